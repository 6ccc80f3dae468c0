import type { IncomingMessage } from "http";
import type { Room, Session, SocketId } from "socket.io-adapter";
import type { BroadcastOperator, DisconnectReason, Namespace } from "../index";
import type { Client } from "../types/client";
import type { SlowConsumerOptions, Socket as RawSocket } from "../types/engine";
import type { Handshake } from "../types/handshake";
import type { Packet } from "../types/packet";
import type { SocketReservedEventsMap } from "../types/reserved-events";
import {
  AllButLast,
  DecorateAcknowledgements,
  DecorateAcknowledgementsWithMultipleResponses,
  DefaultEventsMap,
  EventNames,
  EventNamesWithAck,
  EventParams,
  EventsMap,
  FirstNonErrorArg,
  Last,
  StrictEventEmitter,
} from "../types/typed-events";

/** An event as the middleware functions of a socket see it: its name, then its arguments. */
export type Event = [string, ...any[]];

/**
 * One client in one namespace.
 *
 * It emits what the client sends, and `disconnecting`, `disconnect` and `error` of its own accord.
 *
 * @example
 * io.on("connection", (socket) => {
 *   socket.join(`user:${socket.handshake.auth.user}`);
 *
 *   socket.on("rename", (name, done) => {
 *     socket.data.name = name;
 *     socket.broadcast.emit("renamed", socket.id, name);
 *     done("ok");
 *   });
 *
 *   socket.on("disconnect", (reason) => {
 *     console.log(`${socket.id} is gone: ${reason}`);
 *   });
 * });
 *
 * @typeParam ListenEvents - the events that the client sends
 * @typeParam EmitEvents - the events that the client receives
 * @typeParam ServerSideEvents - the events that the servers of a cluster send each other
 * @typeParam SocketData - the type of `socket.data`
 */
export declare class Socket<
  ListenEvents extends EventsMap = DefaultEventsMap,
  EmitEvents extends EventsMap = ListenEvents,
  ServerSideEvents extends EventsMap = DefaultEventsMap,
  SocketData = any,
> extends StrictEventEmitter<ListenEvents, EmitEvents, SocketReservedEventsMap> {
  /** The namespace. */
  readonly nsp: Namespace<ListenEvents, EmitEvents, ServerSideEvents>;

  /** What the sockets that the client has in different namespaces share. */
  readonly client: Client<ListenEvents, EmitEvents, ServerSideEvents>;

  /**
   * The id of the socket, which is the name of a room with nobody else in it as well. Unlike the id of the session
   * below, it is no secret.
   */
  readonly id: SocketId;

  /**
   * Whether this is a client that came back after a short disconnection, and got back what it had; see the option
   * `connectionStateRecovery`.
   *
   * @example
   * io.on("connection", (socket) => {
   *   if (!socket.recovered) {
   *     socket.emit("state", wholeState());
   *   }
   * });
   */
  readonly recovered: boolean;

  /** How the client presented itself: headers, query, `auth`, address. */
  readonly handshake: Handshake;

  /**
   * Anything that the application wants to keep with the socket. Unlike properties on the socket itself, it is seen
   * by {@link Server.fetchSockets} on other servers, and survives a short disconnection.
   *
   * @example
   * io.use((socket, next) => {
   *   socket.data.user = socket.handshake.auth.user;
   *   next();
   * });
   */
  data: SocketData;

  /** Whether the client is connected: not yet in a middleware, not any more in a `disconnect` listener. */
  connected: boolean;

  private readonly pid;
  private readonly server;
  private readonly adapter;
  private acks;
  private fns;
  private flags;
  private _anyListeners?;
  private _anyOutgoingListeners?;

  /**
   * @param nsp - the namespace
   * @param client - the connection
   * @param auth - what the client gave as its `auth` option
   * @param previousSession - what is left of the client's earlier socket
   * @private
   */
  constructor(
    nsp: Namespace<ListenEvents, EmitEvents, ServerSideEvents>,
    client: Client<ListenEvents, EmitEvents, ServerSideEvents>,
    auth: Record<string, unknown>,
    previousSession?: Session,
  );

  private buildHandshake;

  /**
   * Emits an event to the client.
   *
   * @example
   * socket.emit("hello", "world");
   *
   * // whatever can be serialized is accepted, binary data included
   * socket.emit("picture", { name: "cat.jpg", size: [640, 480] }, Buffer.from(jpeg));
   *
   * // with an acknowledgement
   * socket.emit("question", "6 * 7?", (answer) => {
   *   console.log(answer);
   * });
   *
   * @param ev - name of the event
   * @param args - its arguments, then a callback if the client is to acknowledge it
   * @return always `true`
   */
  emit<Ev extends EventNames<EmitEvents>>(ev: Ev, ...args: EventParams<EmitEvents, Ev>): boolean;

  /**
   * Emits an event to the client, and waits for its acknowledgement: without {@link timeout}, for as long as it takes.
   *
   * @example
   * try {
   *   const answer = await socket.timeout(1000).emitWithAck("question", "6 * 7?");
   * } catch (err) {
   *   // no answer within a second
   * }
   *
   * @param ev - name of the event
   * @param args - its arguments
   * @return the answer
   */
  emitWithAck<Ev extends EventNamesWithAck<EmitEvents>>(
    ev: Ev,
    ...args: AllButLast<EventParams<EmitEvents, Ev>>
  ): Promise<FirstNonErrorArg<Last<EventParams<EmitEvents, Ev>>>>;

  private registerAckCallback;

  /**
   * Selects the clients in a room, this one left out.
   *
   * @example
   * socket.to("room-1").emit("hello");
   * socket.to(["room-1", "room-2"]).emit("hello");
   *
   * @param room - a room, or several
   */
  to(
    room: Room | Room[],
  ): BroadcastOperator<DecorateAcknowledgementsWithMultipleResponses<EmitEvents>, SocketData>;

  /**
   * The same as {@link to}, for what reads better with it.
   *
   * @example
   * socket.in("room-1").disconnectSockets();
   *
   * @param room - a room, or several
   */
  in(
    room: Room | Room[],
  ): BroadcastOperator<DecorateAcknowledgementsWithMultipleResponses<EmitEvents>, SocketData>;

  /**
   * Leaves out the clients in a room, along with this one.
   *
   * @example
   * socket.except("room-1").emit("hello");
   *
   * @param room - a room, or several
   */
  except(
    room: Room | Room[],
  ): BroadcastOperator<DecorateAcknowledgementsWithMultipleResponses<EmitEvents>, SocketData>;

  /**
   * Emits a `message` event to the client.
   *
   * @example
   * socket.send("hello"); // socket.emit("message", "hello")
   */
  send(...args: EventParams<EmitEvents, "message">): this;

  /** The same as {@link send}. */
  write(...args: EventParams<EmitEvents, "message">): this;

  private packet;

  /**
   * Makes the client join a room.
   *
   * @example
   * socket.join("room-1");
   * socket.join(["room-2", "room-3"]);
   *
   * @param rooms - a room, or several
   * @return a promise with adapters that take their time, nothing with the in-memory adapter
   */
  join(rooms: Room | Array<Room>): Promise<void> | void;

  /**
   * Makes the client leave a room. A client that is gone leaves its rooms by itself.
   *
   * @example
   * socket.leave("room-1");
   *
   * @param room - the room
   * @return a promise with adapters that take their time, nothing with the in-memory adapter
   */
  leave(room: string): Promise<void> | void;

  private leaveAll;

  /** @private */
  _onconnect(): void;

  /** @private */
  _onpacket(packet: Packet): void;

  private onevent;
  private ack;
  private onack;
  private ondisconnect;

  /** @private */
  _onerror(err: Error): void;

  /** @private */
  _onclose(reason: DisconnectReason, description?: any): this | undefined;

  /** @private */
  _cleanup(): void;

  /** @private */
  _error(err: any): void;

  /**
   * Disconnects the client.
   *
   * @example
   * socket.disconnect(); // from this namespace
   * socket.disconnect(true); // from all namespaces, and the connection is closed
   *
   * @param close - whether to close the connection as well
   */
  disconnect(close?: boolean): this;

  /**
   * Sets whether the next event is compressed, where the transport compresses at all.
   *
   * @example
   * socket.compress(false).emit("picture", jpeg);
   *
   * @param compress - whether to compress it
   */
  compress(compress: boolean): this;

  /**
   * Lets the next event be lost if it cannot be sent at once.
   *
   * @example
   * socket.volatile.emit("position", x, y);
   */
  get volatile(): this;

  /**
   * Selects all clients of the namespace but this one.
   *
   * @example
   * socket.broadcast.emit("joined", socket.id);
   */
  get broadcast(): BroadcastOperator<DecorateAcknowledgementsWithMultipleResponses<EmitEvents>, SocketData>;

  /**
   * Selects all clients on this server of the cluster but this one.
   *
   * @example
   * socket.local.emit("joined", socket.id);
   */
  get local(): BroadcastOperator<DecorateAcknowledgementsWithMultipleResponses<EmitEvents>, SocketData>;

  /**
   * Sets how long the next event waits for its acknowledgement.
   *
   * @example
   * socket.timeout(5000).emit("question", "6 * 7?", (err, answer) => {
   *   if (err) {
   *     // no answer within five seconds
   *   }
   * });
   *
   * @param timeout - the time in milliseconds
   */
  timeout(
    timeout: number,
  ): Socket<ListenEvents, DecorateAcknowledgements<EmitEvents>, ServerSideEvents, SocketData>;

  private dispatch;

  /**
   * Registers a middleware: a function that each event from the client has to pass before its listeners are called.
   *
   * @example
   * socket.use(([event, ...args], next) => {
   *   next(isAllowed(event, args) ? undefined : new Error("not authorized"));
   * });
   *
   * socket.on("error", (err) => {
   *   console.log(err.message); // "not authorized"
   * });
   *
   * @param fn - the middleware
   */
  use(fn: (event: Event, next: (err?: Error) => void) => void): this;

  private run;

  /** The opposite of {@link connected}. */
  get disconnected(): boolean;

  /**
   * The HTTP request that opened the connection.
   *
   * @example
   * console.log(socket.request.headers["user-agent"]);
   */
  get request(): IncomingMessage;

  /**
   * The Engine.IO connection below.
   *
   * @example
   * console.log(socket.conn.transport.name); // "polling" or "websocket"
   */
  get conn(): RawSocket;

  /**
   * Disconnects the client at a time: when its token expires, for instance. The last time that was set counts, and costs the
   * process no timer.
   *
   * @example
   * io.use((socket, next) => {
   *   const { exp } = verify(socket.handshake.auth.token);
   *   socket.expireAt(exp * 1000);
   *   next();
   * });
   *
   * @param when - a number is milliseconds since 1970; `null`: not at all
   */
  expireAt(when: Date | number | null): this;

  /**
   * Sets what becomes of events for this client while it does not read as fast as it is sent to, in place of what its namespace or
   * the option `slowConsumer` say.
   *
   * @example
   * socket.slowConsumer({ policy: "drop-oldest", maxBytes: 1e6 });
   *
   * @param options - `null`: nothing of its own
   */
  slowConsumer(options: SlowConsumerOptions | null): this;

  /**
   * Waits until all that was emitted to the client has been handed to the network: who waits in between sends as fast as the
   * client reads, and piles up nothing.
   *
   * @example
   * for await (const chunk of file) {
   *   socket.emit("chunk", chunk);
   *   await socket.flushed();
   * }
   *
   * @returns a promise that is rejected if the client disconnects before
   */
  flushed(): Promise<void>;

  /**
   * The rooms of the client, its own one included.
   *
   * @example
   * socket.join("room-1");
   * console.log(socket.rooms); // Set { socket.id, "room-1" }
   */
  get rooms(): Set<Room>;

  /**
   * Calls `listener` for each event from the client, before the listeners for that event.
   *
   * @example
   * socket.onAny((event, ...args) => {
   *   metrics.count("in", event, args.length);
   * });
   *
   * @param listener - takes the name of the event, then its arguments
   */
  onAny(listener: (...args: any[]) => void): this;

  /**
   * The same as {@link onAny}, ahead of the others of its kind.
   *
   * @param listener - takes the name of the event, then its arguments
   */
  prependAny(listener: (...args: any[]) => void): this;

  /**
   * Removes a listener that was added with {@link onAny} or {@link prependAny}, or all of them.
   *
   * @example
   * socket.offAny(listener);
   * socket.offAny();
   *
   * @param listener - the one to remove
   */
  offAny(listener?: (...args: any[]) => void): this;

  /** The listeners that were added with {@link onAny} and {@link prependAny}, in the order of their calls. */
  listenersAny(): ((...args: any[]) => void)[];

  /**
   * Calls `listener` for each event that is sent to the client. Acknowledgements are not events.
   *
   * @example
   * socket.onAnyOutgoing((event, ...args) => {
   *   metrics.count("out", event, args.length);
   * });
   *
   * @param listener - takes the name of the event, then its arguments
   */
  onAnyOutgoing(listener: (...args: any[]) => void): this;

  /**
   * The same as {@link onAnyOutgoing}, ahead of the others of its kind.
   *
   * @param listener - takes the name of the event, then its arguments
   */
  prependAnyOutgoing(listener: (...args: any[]) => void): this;

  /**
   * Removes a listener that was added with {@link onAnyOutgoing} or {@link prependAnyOutgoing}, or all of them.
   *
   * @example
   * socket.offAnyOutgoing(listener);
   * socket.offAnyOutgoing();
   *
   * @param listener - the one to remove
   */
  offAnyOutgoing(listener?: (...args: any[]) => void): this;

  /**
   * The listeners that were added with {@link onAnyOutgoing} and {@link prependAnyOutgoing}, in the order of their
   * calls.
   */
  listenersAnyOutgoing(): ((...args: any[]) => void)[];

  private notifyOutgoingListeners;
  private newBroadcastOperator;
}
