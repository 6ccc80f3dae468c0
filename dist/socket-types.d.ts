export type { DisconnectReason } from "../index";
export type { Handshake } from "../types/handshake";
export type { SocketReservedEventsMap } from "../types/reserved-events";

/** The events that any emitter emits by itself. */
export interface EventEmitterReservedEventsMap {
  newListener: (eventName: string | Symbol, listener: (...args: any[]) => void) => void;
  removeListener: (eventName: string | Symbol, listener: (...args: any[]) => void) => void;
}

/** The names that neither side may emit, since a socket, or any emitter, emits them by itself. */
export declare const RESERVED_EVENTS: ReadonlySet<string | Symbol>;
