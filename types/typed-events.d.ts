/**
 * The machinery behind typed events.
 *
 * The keys of an events map are event names, its values are listeners. Everything in this file is a question asked of
 * such a map ("which events carry an acknowledgement?") or a map derived from another one ("what does the sender see
 * once `timeout()` was called?").
 */
import { EventEmitter } from "events";

type AnyListener = (...args: any[]) => any;

// --- Events maps ------------------------------------------------------------------------------------------------

/** What every events map must look like: event names to listeners. */
export interface EventsMap {
  [event: string]: any;
}

/** The map in use when none is given: any name, any arguments. */
export interface DefaultEventsMap {
  [event: string]: (...args: any[]) => void;
}

/** The event names of a map. */
export type EventNames<Map extends EventsMap> = keyof Map & (string | symbol);

/** The arguments that the listener of event `Ev` receives, as a tuple. */
export type EventParams<Map extends EventsMap, Ev extends EventNames<Map>> = Parameters<Map[Ev]>;

// --- Which events carry an acknowledgement ----------------------------------------------------------------------
//
// An event has an acknowledgement when the last parameter of its listener is a function. As soon as one of the
// listeners, or one of those last parameters, is `any`, nothing can be told and every name passes each of the three
// filters below; that is what keeps maps like `DefaultEventsMap` usable.

/** The events whose listener ends with an acknowledgement callback. */
export type EventNamesWithAck<Map extends EventsMap, K extends EventNames<Map> = EventNames<Map>> = IfAny<
  Map[K] | LastParameter<Map[K]>,
  K,
  NamesByAck<Map, K, true>
>;

/** The events whose listener does not end with an acknowledgement callback. */
export type EventNamesWithoutAck<Map extends EventsMap, K extends EventNames<Map> = EventNames<Map>> = IfAny<
  Map[K] | LastParameter<Map[K]>,
  K,
  NamesByAck<Map, K, false>
>;

/** The events whose acknowledgement callback takes an error first, as all of them do behind a `timeout()`. */
export type EventNamesWithError<
  Map extends EventsMap,
  K extends EventNamesWithAck<Map> = EventNamesWithAck<Map>,
> = IfAny<
  Map[K] | LastParameter<Map[K]>,
  K,
  K extends unknown ? (LooseParameters<LastParameter<Map[K]>>[0] extends Error ? K : never) : never
>;

/** The map without the events that expect an acknowledgement. */
export type RemoveAcknowledgements<E extends EventsMap> = { [K in EventNamesWithoutAck<E>]: E[K] };

/** Of the names `K`, those for which the answer to "does it have an acknowledgement?" is `Answer`. */
type NamesByAck<Map extends EventsMap, K extends EventNames<Map>, Answer extends boolean> = K extends unknown
  ? HasAck<Map[K]> extends Answer
    ? K
    : never
  : never;

type HasAck<Listener> =
  LooseParameters<Listener> extends never[]
    ? false
    : LastParameter<Listener> extends AnyListener
      ? true
      : false;

// --- What the sender sees of an acknowledgement -----------------------------------------------------------------
//
// The receiver of an event calls the acknowledgement as the map declares it. The sender may get something else: an
// error in front once `timeout()` was called, arrays once more than one client answers, or both.

/**
 * The map as seen behind `socket.timeout()`: each acknowledgement gets an error in front.
 *
 * @example
 * interface Events {
 *   save: (text: string, done: (id: number) => void) => void;
 * }
 *
 * // the receiver answers with one argument ...
 * socket.on("save", (text, done) => done(1));
 *
 * // ... and the sender, who may wait in vain, gets two
 * socket.timeout(1000).emit("save", "hello", (err, id) => {});
 */
export type DecorateAcknowledgements<E> = {
  [K in keyof E]: E[K] extends (...args: infer Args) => infer Result
    ? (...args: PrependTimeoutError<Args>) => Result
    : E[K];
};

/** The map as seen by a broadcast: each acknowledgement gets the answers of all receivers as one array. */
export type DecorateAcknowledgementsWithMultipleResponses<E> = {
  [K in keyof E]: E[K] extends (...args: infer Args) => infer Result
    ? (...args: ExpectMultipleResponses<Args>) => Result
    : E[K];
};

/** The map as seen behind a broadcast with `timeout()`: an error in front, then the answers as one array. */
export type DecorateAcknowledgementsWithTimeoutAndMultipleResponses<E> = {
  [K in keyof E]: E[K] extends (...args: infer Args) => infer Result
    ? (...args: ExpectMultipleResponses<PrependTimeoutError<Args>>) => Result
    : E[K];
};

/** Puts an error in front of the parameters of each callback in a tuple, unless one is there already. */
type PrependTimeoutError<Args extends any[]> = {
  [I in keyof Args]: Args[I] extends (...args: infer AckArgs) => infer Result
    ? AckArgs[0] extends Error
      ? Args[I]
      : (err: Error, ...args: AckArgs) => Result
    : Args[I];
};

/**
 * Turns the first value that each callback in a tuple receives into an array of such values. An error in front stays
 * as it is; only the first value of an answer is collected, so that the values after it are dropped.
 */
type ExpectMultipleResponses<Args extends any[]> = {
  [I in keyof Args]: Args[I] extends (...args: infer AckArgs) => infer Result
    ? AckArgs extends [Error]
      ? (err: Error) => Result
      : AckArgs extends [Error, ...infer Values]
        ? (err: Error, ...args: LabelledHead<MultiplyArray<Values>>) => Result
        : AckArgs extends []
          ? () => Result
          : (...args: LabelledHead<MultiplyArray<AckArgs>>) => Result
    : Args[I];
};

/** The tuple with each element type turned into an array of it. */
export type MultiplyArray<T extends unknown[]> = { [I in keyof T]: T[I][] };

/** The first element of a tuple, as a tuple of one: unlike `[T[0]]`, this keeps the parameter's name in tooltips. */
type LabelledHead<T extends any[]> = T extends [any, ...infer Rest]
  ? T extends [...infer Head, ...Rest]
    ? Head
    : never
  : never;

// --- Tuples and functions ---------------------------------------------------------------------------------------

/** The last element of a tuple, or the element type of an array. */
export type Last<T extends readonly unknown[]> = T extends readonly [infer Only]
  ? Only
  : T extends readonly [unknown, ...infer Rest]
    ? Last<Rest>
    : T extends readonly (infer Item)[]
      ? Item
      : never;

/** A tuple without its last element; for an array of unknown length, any arguments. */
export type AllButLast<T extends any[]> = T extends [...infer Rest, unknown] ? Rest : any[];

/** The first element of a tuple that is not the error in front. */
export type FirstNonErrorTuple<T extends unknown[]> = T[0] extends Error ? T[1] : T[0];

/** The value with which a promise is resolved that stands for the callback `T`: its first parameter after the error. */
export type FirstNonErrorArg<T> = T extends (...args: infer Args) => any ? FirstNonErrorTuple<Args> : any;

/** `Parameters`, for a type that is not known to be a function yet. */
type LooseParameters<T> = T extends (...args: infer Args) => any ? Args : never;

type LastParameter<T> = Last<LooseParameters<T>>;

/** `Then` if `T` is `any`: of all types, `any` alone lets `0` extend what is left of `1` and itself. */
type IfAny<T, Then, Else> = 0 extends T & 1 ? Then : Else;

// --- Emitters ---------------------------------------------------------------------------------------------------

/** An event name that may be listened to: one of the user's, or one that the library emits itself. */
export type ReservedOrUserEventNames<Reserved extends EventsMap, User extends EventsMap> =
  EventNames<Reserved> | EventNames<User>;

/** The listener of such an event. Where both maps know the name, the reserved one counts. */
export type ReservedOrUserListener<
  Reserved extends EventsMap,
  User extends EventsMap,
  Ev extends ReservedOrUserEventNames<Reserved, User>,
> = ListenerOrUntyped<
  Ev extends EventNames<Reserved> ? Reserved[Ev] : Ev extends EventNames<User> ? User[Ev] : never
>;

/** The listener, or an untyped one if the lookup came up empty: nobody could pass a `never`. */
type ListenerOrUntyped<T> = [T] extends [never] ? (...args: any[]) => void | Promise<void> : T;

/** Something with a typed `emit()`, whether or not one can listen to it. */
export interface TypedEventBroadcaster<EmitEvents extends EventsMap> {
  emit<Ev extends EventNames<EmitEvents>>(ev: Ev, ...args: EventParams<EmitEvents, Ev>): boolean;
}

/**
 * An `EventEmitter` whose `on()`, `once()`, `emit()` and `listeners()` follow events maps.
 *
 * @typeParam ListenEvents - the user's events, to listen to
 * @typeParam EmitEvents - the user's events, to emit
 * @typeParam ReservedEvents - the events that only the library emits, to listen to
 */
export declare abstract class StrictEventEmitter<
  ListenEvents extends EventsMap,
  EmitEvents extends EventsMap,
  ReservedEvents extends EventsMap = {},
>
  extends EventEmitter
  implements TypedEventBroadcaster<EmitEvents>
{
  /**
   * Calls `listener` each time that the event arrives.
   *
   * @example
   * socket.on("hello", (name) => {
   *   console.log(`hello from ${name}`);
   * });
   *
   * @param ev - name of the event
   * @param listener - what to call
   */
  on<Ev extends ReservedOrUserEventNames<ReservedEvents, ListenEvents>>(
    ev: Ev,
    listener: ReservedOrUserListener<ReservedEvents, ListenEvents, Ev>,
  ): this;

  /**
   * Calls `listener` the next time that the event arrives, and then no more.
   *
   * @param ev - name of the event
   * @param listener - what to call
   */
  once<Ev extends ReservedOrUserEventNames<ReservedEvents, ListenEvents>>(
    ev: Ev,
    listener: ReservedOrUserListener<ReservedEvents, ListenEvents, Ev>,
  ): this;

  /**
   * Emits an event.
   *
   * @param ev - name of the event
   * @param args - what its listeners receive
   */
  emit<Ev extends EventNames<EmitEvents>>(ev: Ev, ...args: EventParams<EmitEvents, Ev>): boolean;

  /**
   * Emits one of the events that are the library's own. Protected: reserved names are not for users to emit.
   *
   * @param ev - name of the reserved event
   * @param args - what its listeners receive
   */
  protected emitReserved<Ev extends EventNames<ReservedEvents>>(
    ev: Ev,
    ...args: EventParams<ReservedEvents, Ev>
  ): boolean;

  /**
   * Emits an event to the listeners on this side, whatever the maps say about it.
   *
   * @param ev - name of the event
   * @param args - what its listeners receive
   */
  protected emitUntyped(ev: string, ...args: any[]): boolean;

  /**
   * The listeners of an event.
   *
   * @param event - name of the event
   */
  listeners<Ev extends ReservedOrUserEventNames<ReservedEvents, ListenEvents>>(
    event: Ev,
  ): ReservedOrUserListener<ReservedEvents, ListenEvents, Ev>[];
}
