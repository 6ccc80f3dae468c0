/** Whether two types are the same; unlike mutual assignability, this tells `any` from everything else. */
export type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

/** Compiles if its type argument is `true`. */
export declare function check<T extends true>(): void;

/** Compiles if the value's type is exactly `Expected`: `expectType<number>()(value)`. */
export declare function expectType<Expected>(): <Actual>(
  value: Actual,
  ...mismatch: Equal<Actual, Expected> extends true ? [] : [{ expected: Expected; actual: Actual }]
) => void;

/** The events maps that the tests share. */
export interface ClientToServer {
  say: (text: string) => void;
  save: (text: string, done: (id: number, at: Date) => void) => void;
  quit: () => void;
}

export interface ServerToClient {
  said: (from: string, text: string) => void;
  ask: (question: string, answer: (text: string, sure: boolean) => void) => void;
  ping: (pong: () => void) => void;
  message: (text: string) => void;
}

export interface InterServer {
  flush: (room: string) => void;
  count: (room: string, done: (n: number) => void) => void;
}

export interface Data {
  user: string;
  roles: string[];
}
