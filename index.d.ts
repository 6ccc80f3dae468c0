import type { IncomingMessage, Server as HTTPServer } from "http";
import type { Http2SecureServer, Http2Server } from "http2";
import type { Server as HTTPSServer } from "https";
import type { Adapter, BroadcastFlags, Room, SocketId } from "socket.io-adapter";
import { Event, Socket } from "./dist/socket";
import type { Client } from "./types/client";
import type {
  AttachOptions,
  Server as Engine,
  ServerOptions as EngineOptions,
  SlowConsumerOptions,
} from "./types/engine";
import type { Handshake } from "./types/handshake";
import type { Metrics } from "./types/metrics";
import type { Encoder, Parser } from "./types/packet";
import type { NamespaceReservedEventsMap, ServerReservedEventsMap } from "./types/reserved-events";
import {
  AllButLast,
  DecorateAcknowledgements,
  DecorateAcknowledgementsWithMultipleResponses,
  DecorateAcknowledgementsWithTimeoutAndMultipleResponses,
  DefaultEventsMap,
  EventNames,
  EventNamesWithAck,
  EventNamesWithError,
  EventNamesWithoutAck,
  EventParams,
  EventsMap,
  FirstNonErrorArg,
  Last,
  RemoveAcknowledgements,
  StrictEventEmitter,
  TypedEventBroadcaster,
} from "./types/typed-events";

export { Server, Namespace, Socket };
export type { LimitOptions, SlowConsumerOptions } from "./types/engine";
export type { EngineMetrics, Histogram, Metrics, WorkerMetrics } from "./types/metrics";
export type {
  ServerOptions,
  BroadcastOperator,
  DrainOptions,
  DrainProgress,
  RemoteSocket,
  DisconnectReason,
  ExtendedError,
  Event,
  DefaultEventsMap,
};

// --- Options ----------------------------------------------------------------------------------------------------

/**
 * The options of a server: those of Socket.IO here, those of its transport layer in the interfaces that it extends.
 *
 * @example
 * const io = new Server(httpServer, {
 *   cors: { origin: "https://example.com" },
 *   connectionStateRecovery: {},
 * });
 */
interface ServerOptions extends EngineOptions, AttachOptions {
  /**
   * The path of the requests to answer.
   *
   * @default "/socket.io"
   */
  path: string;

  /**
   * Whether to serve the browser client, as `<path>/socket.io.js` and the other bundles.
   *
   * @default true
   */
  serveClient: boolean;

  /**
   * What keeps track of the rooms of a namespace, and reaches the sockets of other servers in a cluster.
   *
   * @example
   * import { createAdapter } from "@socket.io/redis-adapter";
   *
   * const io = new Server(httpServer, { adapter: createAdapter(pubClient, subClient) });
   *
   * @default the in-memory adapter
   */
  adapter: AdapterConstructor;

  /**
   * The packet format, if it is not to be the default one: an object with an `Encoder` and a `Decoder` class. The
   * client needs the same.
   *
   * @example
   * import * as parser from "socket.io-msgpack-parser";
   *
   * const io = new Server(httpServer, { parser });
   */
  parser: any;

  /**
   * How long a client may take to join its first namespace before it is closed, in milliseconds.
   *
   * @default 45000
   */
  connectTimeout: number;

  /**
   * Whether a client that comes back soon after a disconnection finds its id, its rooms, its `data` and the packets
   * that it missed. An empty object stands for the defaults; see {@link Socket.recovered}.
   */
  connectionStateRecovery: {
    /**
     * How long all this is kept, in milliseconds.
     *
     * @default 120000 (2 minutes)
     */
    maxDisconnectionDuration?: number;

    /**
     * Whether a client that has been recognized goes past the middleware functions of the namespace.
     *
     * @default true
     */
    skipMiddlewares?: boolean;

    /**
     * How many packets are kept for those who may come back, by namespace: the oldest go first. Who has missed one that is gone
     * begins anew. Of the adapter of a single server.
     *
     * @default Infinity
     */
    maxPackets?: number;

    /**
     * How many bytes of memory these may take, about.
     *
     * @default Infinity
     */
    maxBytes?: number;
  };

  /**
   * Whether a namespace that was created on demand is removed as soon as its last client has left.
   *
   * @default false
   */
  cleanupEmptyChildNamespaces: boolean;
}

/** How a server is drained: see {@link Server.drain}. */
interface DrainOptions {
  /**
   * How long all of it may take, in milliseconds: the sessions that are left then are closed at once.
   *
   * @default 30000
   */
  timeout?: number;

  /**
   * How many sessions are closed in a second.
   *
   * @default all of them in half of the `timeout`, 100 at least
   */
  rate?: number;

  /**
   * How long a session whose turn has come may wait for acknowledgements, in milliseconds: those that its client wants, and
   * those that the server wants of it.
   *
   * @default 5000
   */
  patience?: number;

  /** Called with how far it is, several times a second, and at the end. */
  onProgress?: (progress: DrainProgress) => void;
}

/** How far the draining of a server is. */
interface DrainProgress {
  /** How many sessions there were. */
  total: number;
  /** How many are closed. */
  closed: number;
  /** Of these, how many although somebody waited for an acknowledgement, or because time was up. */
  forced: number;
  /** How many are open. */
  remaining: number;
}

type AdapterConstructor = typeof Adapter | ((nsp: Namespace) => Adapter);

type AnyHttpServer = HTTPServer | HTTPSServer | Http2SecureServer | Http2Server;

/** Decides whether a client may create the namespace `name`; `fn` takes an error, if any, and the decision. */
type NamespaceMatcher = (
  name: string,
  auth: { [key: string]: any },
  fn: (err: Error | null, success: boolean) => void,
) => void;

// --- Server -----------------------------------------------------------------------------------------------------

/**
 * A Socket.IO server.
 *
 * Most of its methods act on the main namespace, {@link Server.sockets}: `io.emit()` reaches the clients of `/`, not
 * those of other namespaces.
 *
 * @example
 * import { createServer } from "http";
 * import { Server } from "sockeye.io";
 *
 * const httpServer = createServer();
 * const io = new Server(httpServer);
 *
 * io.on("connection", (socket) => {
 *   socket.on("say", (text) => {
 *     io.emit("said", socket.id, text);
 *   });
 * });
 *
 * httpServer.listen(3000);
 *
 * @example
 * // with typed events
 * interface ClientToServerEvents {
 *   say: (text: string, done: (count: number) => void) => void;
 * }
 *
 * interface ServerToClientEvents {
 *   said: (id: string, text: string) => void;
 * }
 *
 * interface InterServerEvents {
 *   ping: () => void;
 * }
 *
 * interface SocketData {
 *   user: string;
 * }
 *
 * const io = new Server<ClientToServerEvents, ServerToClientEvents, InterServerEvents, SocketData>(httpServer);
 *
 * @typeParam ListenEvents - the events that clients send
 * @typeParam EmitEvents - the events that clients receive
 * @typeParam ServerSideEvents - the events that the servers of a cluster send each other
 * @typeParam SocketData - the type of `socket.data`
 */
declare class Server<
  ListenEvents extends EventsMap = DefaultEventsMap,
  EmitEvents extends EventsMap = ListenEvents,
  ServerSideEvents extends EventsMap = DefaultEventsMap,
  SocketData = any,
> extends StrictEventEmitter<
  ServerSideEvents,
  RemoveAcknowledgements<EmitEvents>,
  ServerReservedEventsMap<ListenEvents, EmitEvents, ServerSideEvents, SocketData>
> {
  /** The main namespace, `/`. */
  readonly sockets: Namespace<ListenEvents, EmitEvents, ServerSideEvents, SocketData>;

  /**
   * The transport layer.
   *
   * @example
   * console.log(io.engine.clientsCount);
   */
  engine: Engine;

  /** The HTTP server that this server is attached to. */
  httpServer: AnyHttpServer;

  /** @private */
  readonly _parser: Parser;

  /** @private */
  readonly encoder: Encoder;

  /** @private */
  _nsps: Map<string, Namespace<ListenEvents, EmitEvents, ServerSideEvents, SocketData>>;

  /** @private */
  _connectTimeout: number;

  private parentNsps;
  private parentNamespacesFromRegExp;
  private _adapter?;
  private _serveClient;
  private readonly opts;
  private eio;
  private _path;
  private _corsMiddleware;

  /**
   * Creates a server that is to be attached later.
   *
   * @example
   * const io = new Server({ pingInterval: 10000 });
   * io.attach(httpServer);
   *
   * @param opts - the options
   */
  constructor(opts?: Partial<ServerOptions>);
  /**
   * Creates a server and attaches it.
   *
   * @example
   * // beside an HTTP server
   * const io = new Server(httpServer, { serveClient: false });
   *
   * @example
   * // with an HTTP server of its own
   * const io = new Server(3000);
   *
   * @param srv - an HTTP server, or a port for a new one
   * @param opts - the options
   */
  constructor(srv?: AnyHttpServer | number, opts?: Partial<ServerOptions>);
  /**
   * Creates a server from whatever the other forms take.
   *
   * @param srv - an HTTP server, a port, or the options
   * @param opts - the options, if they do not come first
   */
  constructor(
    srv: undefined | Partial<ServerOptions> | AnyHttpServer | number,
    opts?: Partial<ServerOptions>,
  );

  /** @private */
  get _opts(): Partial<ServerOptions>;

  /**
   * Sets whether the browser client is served.
   *
   * @param v - whether to serve it
   */
  serveClient(v: boolean): this;
  /** Whether the browser client is served. */
  serveClient(): boolean;
  /** Sets whether the browser client is served, or tells whether it is. */
  serveClient(v?: boolean): this | boolean;

  /** @private */
  _checkNamespace(
    name: string,
    auth: { [key: string]: any },
    fn: (nsp: Namespace<ListenEvents, EmitEvents, ServerSideEvents, SocketData> | false) => void,
  ): void;

  /**
   * Sets the path of the requests to answer. It has to be set before the server is attached.
   *
   * @example
   * const io = new Server().path("/chat").attach(httpServer);
   *
   * @param v - the path, `"/socket.io"` by default
   */
  path(v: string): this;
  /** The path of the requests to answer. */
  path(): string;
  /** Sets the path of the requests to answer, or tells it. */
  path(v?: string): this | string;

  /**
   * Sets how long a client may take to join its first namespace.
   *
   * @param v - the time in milliseconds
   */
  connectTimeout(v: number): this;
  /** How long a client may take to join its first namespace, in milliseconds. */
  connectTimeout(): number;
  /** Sets how long a client may take to join its first namespace, or tells it. */
  connectTimeout(v?: number): this | number;

  /** What creates the adapters of namespaces. */
  adapter(): AdapterConstructor | undefined;
  /**
   * Sets what creates the adapters of namespaces. The existing namespaces get a new adapter.
   *
   * @example
   * io.adapter(createAdapter(pubClient, subClient));
   *
   * @param v - an adapter class, or a function that makes an adapter for a namespace
   */
  adapter(v: AdapterConstructor): this;

  /**
   * The same as {@link attach}.
   *
   * @example
   * io.listen(3000);
   *
   * @param srv - an HTTP server, or a port for a new one
   * @param opts - options, which do not replace those given to the constructor
   */
  listen(srv: AnyHttpServer | number, opts?: Partial<ServerOptions>): this;

  /**
   * Attaches the server to an HTTP server, whose other requests go to the listeners that were there before.
   *
   * @example
   * const io = new Server();
   * io.attach(httpServer);
   *
   * @param srv - an HTTP server, or a port for a new one
   * @param opts - options, which do not replace those given to the constructor
   */
  attach(srv: AnyHttpServer | number, opts?: Partial<ServerOptions>): this;

  /**
   * Throws: the transport is native already, and does without uWebSockets.js.
   *
   * @deprecated use {@link attach} or {@link listen}
   */
  attachApp(app: any, opts?: Partial<ServerOptions>): void;

  private extractFilename;
  private initEngine;
  private attachServe;
  private serve;
  private static sendFile;

  /**
   * Takes the connections of an engine that was created elsewhere.
   *
   * @param engine - an Engine.IO server, or something that emits `connection` and has `close()` like one
   */
  bind(engine: any): this;

  private onconnection;

  /**
   * Returns a namespace, which is created if need be.
   *
   * With a regular expression or a function, returns the parent of all namespaces that clients create by joining them.
   * Listeners and middleware functions of the parent count for its children, and emitting to it reaches all of them.
   *
   * @example
   * io.of("/chat").on("connection", (socket) => {
   *   // ...
   * });
   *
   * @example
   * // one namespace per tenant
   * io.of(/^\/tenant-\d+$/).on("connection", (socket) => {
   *   socket.nsp.emit("joined", socket.id); // reaches the clients of this tenant
   * });
   *
   * @example
   * // one namespace per tenant that exists
   * io.of((name, auth, next) => {
   *   tenants.exists(name).then((exists) => next(null, exists), next);
   * });
   *
   * @param name - the name, a regular expression for names, or a function that decides about a name
   * @param fn - a listener for the `connect` event of the namespace
   */
  of(
    name: string | RegExp | NamespaceMatcher,
    fn?: (socket: Socket<ListenEvents, EmitEvents, ServerSideEvents, SocketData>) => void,
  ): Namespace<ListenEvents, EmitEvents, ServerSideEvents, SocketData>;

  /**
   * What was counted since the server was made, and how things are now, of this process alone. It asks the native threads
   * nothing, so that it may be called as often as one likes.
   *
   * @example
   * const { engine, sockets } = io.metrics();
   * console.log(engine?.sessions.open.websocket, engine?.packets.sent, sockets.disconnects);
   */
  metrics(): Metrics;

  /**
   * Serves a page that shows what the server does: plots of its metrics, namespaces, rooms, workers, connections.
   *
   * @example
   * io.serveStatus("/status", { auth: { username: "admin", password: process.env.STATUS_PASSWORD } });
   *
   * @param path - where; it begins with a slash
   * @param options - `auth`: who may see it. A function is given the request, and returns `true` or `false`, or a promise of
   *   that; `false`: everybody may
   */
  serveStatus(
    path: string,
    options: {
      auth:
        | ((req: IncomingMessage) => boolean | Promise<boolean>)
        | { username: string; password: string }
        | false;
    },
  ): this;

  /**
   * Has the clients go on at other servers: new sessions are refused, and those that there are are closed at a rate, each when
   * nobody waits for an acknowledgement. Clients come back by themselves, and recover their sessions where the adapter has
   * them. The server goes on listening: close it afterwards.
   *
   * @example
   * process.once("SIGTERM", async () => {
   *   await io.drain({ timeout: 20_000 });
   *   await io.close();
   * });
   *
   * @param options - of the first call, which decides
   * @return what came of it
   */
  drain(options?: DrainOptions): Promise<DrainProgress>;

  /** Whether the server is being drained, or was: it is not ready for new clients. */
  readonly isDraining: boolean;

  /**
   * Disconnects all clients and closes the adapters, the engine and the HTTP server.
   *
   * @example
   * await io.close();
   *
   * @param options - `keepHttpServer`: the HTTP server goes on, without this; or the next one
   * @param fn - called when done, with the error of an HTTP server that was not running
   * @return a promise that is resolved when done, and never rejected because of the HTTP server
   */
  close(
    options?: { keepHttpServer?: boolean } | ((err?: Error) => void),
    fn?: (err?: Error) => void,
  ): Promise<void>;

  /**
   * Registers a middleware of the main namespace: a function that each client has to pass before it is connected.
   *
   * @example
   * io.use((socket, next) => {
   *   if (isValid(socket.handshake.auth.token)) {
   *     next();
   *   } else {
   *     next(new Error("not authorized")); // the client gets a `connect_error` event
   *   }
   * });
   *
   * @param fn - the middleware
   */
  use(
    fn: (
      socket: Socket<ListenEvents, EmitEvents, ServerSideEvents, SocketData>,
      next: (err?: ExtendedError) => void,
    ) => void,
  ): this;

  /**
   * Selects the clients in a room. Clients in several selected rooms get an event once.
   *
   * @example
   * io.to("room-1").emit("hello");
   * io.to(["room-1", "room-2"]).emit("hello");
   * io.to("room-1").to("room-2").emit("hello");
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
   * io.in("room-1").disconnectSockets();
   *
   * @param room - a room, or several
   */
  in(
    room: Room | Room[],
  ): BroadcastOperator<DecorateAcknowledgementsWithMultipleResponses<EmitEvents>, SocketData>;

  /**
   * Leaves out the clients in a room.
   *
   * @example
   * io.except("room-1").emit("hello");
   * io.to("room-1").except(["room-2", "room-3"]).emit("hello");
   *
   * @param room - a room, or several
   */
  except(
    room: Room | Room[],
  ): BroadcastOperator<DecorateAcknowledgementsWithMultipleResponses<EmitEvents>, SocketData>;

  /**
   * Emits a `message` event to all clients.
   *
   * @example
   * io.send("hello"); // io.emit("message", "hello")
   */
  send(...args: EventParams<EmitEvents, "message">): this;

  /** The same as {@link send}. */
  write(...args: EventParams<EmitEvents, "message">): this;

  /**
   * Emits an event to the other servers of the cluster. The adapter has to know how to reach them.
   *
   * @example
   * io.serverSideEmit("reload", "settings");
   *
   * // on each of the other servers
   * io.on("reload", (what) => {
   *   console.log(`${what} changed`);
   * });
   *
   * @example
   * // with an acknowledgement
   * io.serverSideEmit("uptime", (err, uptimes) => {
   *   console.log(uptimes); // if there is an error, those that arrived in time
   * });
   *
   * io.on("uptime", (cb) => cb(process.uptime()));
   *
   * @param ev - name of the event
   * @param args - its arguments, then a callback if the other servers are to acknowledge it
   */
  serverSideEmit<Ev extends EventNames<ServerSideEvents>>(
    ev: Ev,
    ...args: EventParams<DecorateAcknowledgementsWithTimeoutAndMultipleResponses<ServerSideEvents>, Ev>
  ): boolean;

  /**
   * Emits an event to the other servers of the cluster, and waits for their acknowledgements.
   *
   * @example
   * try {
   *   const uptimes = await io.serverSideEmitWithAck("uptime");
   * } catch (err) {
   *   // not all of them answered in time
   * }
   *
   * @param ev - name of the event
   * @param args - its arguments
   * @return one answer per server
   */
  serverSideEmitWithAck<Ev extends EventNamesWithAck<ServerSideEvents>>(
    ev: Ev,
    ...args: AllButLast<EventParams<ServerSideEvents, Ev>>
  ): Promise<FirstNonErrorArg<Last<EventParams<ServerSideEvents, Ev>>>[]>;

  /**
   * The ids of all clients.
   *
   * @deprecated {@link fetchSockets} tells more, and works the same in a cluster
   */
  allSockets(): Promise<Set<SocketId>>;

  /**
   * Sets whether the next event is compressed, where the transport compresses at all.
   *
   * @example
   * io.compress(false).emit("picture", jpeg);
   *
   * @param compress - whether to compress it
   */
  compress(
    compress: boolean,
  ): BroadcastOperator<DecorateAcknowledgementsWithMultipleResponses<EmitEvents>, SocketData>;

  /**
   * Lets the next event be lost for clients to which it cannot be sent at once.
   *
   * @example
   * io.volatile.emit("position", x, y);
   */
  get volatile(): BroadcastOperator<DecorateAcknowledgementsWithMultipleResponses<EmitEvents>, SocketData>;

  /**
   * Keeps the next event on this server of the cluster.
   *
   * @example
   * io.local.emit("hello");
   */
  get local(): BroadcastOperator<DecorateAcknowledgementsWithMultipleResponses<EmitEvents>, SocketData>;

  /**
   * Sets how long the next event waits for acknowledgements.
   *
   * @example
   * io.timeout(1000).emit("ready?", (err, answers) => {
   *   if (err) {
   *     // some clients did not answer within a second
   *   } else {
   *     console.log(answers); // one per client
   *   }
   * });
   *
   * @param timeout - the time in milliseconds
   */
  timeout(
    timeout: number,
  ): BroadcastOperator<
    DecorateAcknowledgements<DecorateAcknowledgementsWithMultipleResponses<EmitEvents>>,
    SocketData
  >;

  /**
   * Fetches the sockets of all clients, those on other servers of the cluster included.
   *
   * @example
   * for (const socket of await io.fetchSockets()) {
   *   console.log(socket.id, socket.rooms, socket.data);
   *   socket.emit("hello");
   * }
   */
  fetchSockets(): Promise<RemoteSocket<EmitEvents, SocketData>[]>;

  /**
   * Makes all clients join a room, those on other servers of the cluster included.
   *
   * @example
   * io.socketsJoin("room-1");
   * io.in("room-1").socketsJoin(["room-2", "room-3"]);
   *
   * @param room - a room, or several
   */
  socketsJoin(room: Room | Room[]): void;

  /**
   * Makes all clients leave a room, those on other servers of the cluster included.
   *
   * @example
   * io.socketsLeave("room-1");
   * io.in("room-1").socketsLeave(["room-2", "room-3"]);
   *
   * @param room - a room, or several
   */
  socketsLeave(room: Room | Room[]): void;

  /**
   * Disconnects all clients, those on other servers of the cluster included.
   *
   * @example
   * io.disconnectSockets();
   * io.in("room-1").disconnectSockets(true);
   *
   * @param close - whether to close the connection as well, rather than leave the namespace only
   */
  disconnectSockets(close?: boolean): void;
}

// --- Namespace --------------------------------------------------------------------------------------------------

/**
 * A namespace: a channel of its own, with its own listeners, middleware functions and rooms, over the connection that
 * a client has anyway.
 *
 * @example
 * const chat = io.of("/chat");
 *
 * chat.use((socket, next) => {
 *   next(socket.handshake.auth.token ? undefined : new Error("not authorized"));
 * });
 *
 * chat.on("connection", (socket) => {
 *   socket.join("lobby");
 *   chat.to("lobby").emit("joined", socket.id);
 * });
 *
 * @typeParam ListenEvents - the events that clients send
 * @typeParam EmitEvents - the events that clients receive
 * @typeParam ServerSideEvents - the events that the servers of a cluster send each other
 * @typeParam SocketData - the type of `socket.data`
 */
declare class Namespace<
  ListenEvents extends EventsMap = DefaultEventsMap,
  EmitEvents extends EventsMap = ListenEvents,
  ServerSideEvents extends EventsMap = DefaultEventsMap,
  SocketData = any,
> extends StrictEventEmitter<
  ServerSideEvents,
  RemoveAcknowledgements<EmitEvents>,
  NamespaceReservedEventsMap<ListenEvents, EmitEvents, ServerSideEvents, SocketData>
> {
  /** The name, starting with a slash. */
  readonly name: string;

  /** The sockets of the clients that are connected to this server. */
  readonly sockets: Map<SocketId, Socket<ListenEvents, EmitEvents, ServerSideEvents, SocketData>>;

  /**
   * What keeps track of the rooms.
   *
   * @example
   * io.of("/").adapter.on("create-room", (room) => {
   *   console.log(`room ${room} has its first member`);
   * });
   */
  adapter: Adapter;

  /** The server that the namespace belongs to. */
  readonly server: Server<ListenEvents, EmitEvents, ServerSideEvents, SocketData>;

  /** @private */
  _ids: number;

  private _preConnectSockets;
  private _fns;

  /**
   * @param server - the server
   * @param name - the name
   * @private
   */
  constructor(server: Server<ListenEvents, EmitEvents, ServerSideEvents, SocketData>, name: string);

  /** @private */
  _initAdapter(): void;

  /**
   * Sets what becomes of events for clients that do not read as fast as they are sent to, in this namespace, in place of the
   * option `slowConsumer`.
   *
   * @example
   * io.of("/prices").slowConsumer({ policy: "latest" });
   *
   * @param options - `null`: nothing of its own
   */
  slowConsumer(options: SlowConsumerOptions | null): this;

  /**
   * Registers a middleware: a function that each client has to pass before it is connected to the namespace.
   *
   * @example
   * io.of("/chat").use((socket, next) => {
   *   const err: ExtendedError = new Error("not authorized");
   *   err.data = { retryAfter: 60 }; // the client finds it in its `connect_error` event
   *   next(err);
   * });
   *
   * @param fn - the middleware
   */
  use(
    fn: (
      socket: Socket<ListenEvents, EmitEvents, ServerSideEvents, SocketData>,
      next: (err?: ExtendedError) => void,
    ) => void,
  ): this;

  private run;

  /**
   * Selects the clients in a room. Clients in several selected rooms get an event once.
   *
   * @example
   * io.of("/chat").to("room-1").emit("hello");
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
   * io.of("/chat").in("room-1").disconnectSockets();
   *
   * @param room - a room, or several
   */
  in(
    room: Room | Room[],
  ): BroadcastOperator<DecorateAcknowledgementsWithMultipleResponses<EmitEvents>, SocketData>;

  /**
   * Leaves out the clients in a room.
   *
   * @example
   * io.of("/chat").except("room-1").emit("hello");
   *
   * @param room - a room, or several
   */
  except(
    room: Room | Room[],
  ): BroadcastOperator<DecorateAcknowledgementsWithMultipleResponses<EmitEvents>, SocketData>;

  /** @private */
  _add(
    client: Client<ListenEvents, EmitEvents, ServerSideEvents>,
    auth: Record<string, unknown>,
    fn: (socket: Socket<ListenEvents, EmitEvents, ServerSideEvents, SocketData>) => void,
  ): Promise<void>;

  private _createSocket;
  private _doConnect;

  /** @private */
  _remove(socket: Socket<ListenEvents, EmitEvents, ServerSideEvents, SocketData>): void;

  /**
   * Emits an event to all clients of the namespace. For acknowledgements, see {@link timeout}.
   *
   * @example
   * io.of("/chat").emit("hello", "world");
   *
   * // whatever can be serialized is accepted, binary data included
   * io.of("/chat").emit("picture", { name: "cat.jpg", size: [640, 480] }, Buffer.from(jpeg));
   *
   * @param ev - name of the event
   * @param args - its arguments
   * @return always `true`
   */
  emit<Ev extends EventNamesWithoutAck<EmitEvents>>(ev: Ev, ...args: EventParams<EmitEvents, Ev>): boolean;

  /**
   * Emits a `message` event to all clients of the namespace.
   *
   * @example
   * io.of("/chat").send("hello"); // io.of("/chat").emit("message", "hello")
   */
  send(...args: EventParams<EmitEvents, "message">): this;

  /** The same as {@link send}. */
  write(...args: EventParams<EmitEvents, "message">): this;

  /**
   * Emits an event to the same namespace on the other servers of the cluster.
   *
   * @example
   * io.of("/chat").serverSideEmit("reload", "topics");
   *
   * // on each of the other servers
   * io.of("/chat").on("reload", (what) => {
   *   console.log(`${what} changed`);
   * });
   *
   * @param ev - name of the event
   * @param args - its arguments, then a callback if the other servers are to acknowledge it
   */
  serverSideEmit<Ev extends EventNames<ServerSideEvents>>(
    ev: Ev,
    ...args: EventParams<DecorateAcknowledgementsWithTimeoutAndMultipleResponses<ServerSideEvents>, Ev>
  ): boolean;

  /**
   * Emits an event to the same namespace on the other servers of the cluster, and waits for their acknowledgements.
   *
   * @example
   * const counts = await io.of("/chat").serverSideEmitWithAck("count");
   *
   * @param ev - name of the event
   * @param args - its arguments
   * @return one answer per server
   */
  serverSideEmitWithAck<Ev extends EventNamesWithAck<ServerSideEvents>>(
    ev: Ev,
    ...args: AllButLast<EventParams<ServerSideEvents, Ev>>
  ): Promise<FirstNonErrorArg<Last<EventParams<ServerSideEvents, Ev>>>[]>;

  /** @private */
  _onServerSideEmit(args: [string, ...any[]]): void;

  /**
   * The ids of all clients of the namespace.
   *
   * @deprecated {@link fetchSockets} tells more, and works the same in a cluster
   */
  allSockets(): Promise<Set<SocketId>>;

  /**
   * Sets whether the next event is compressed, where the transport compresses at all.
   *
   * @example
   * io.of("/chat").compress(false).emit("picture", jpeg);
   *
   * @param compress - whether to compress it
   */
  compress(
    compress: boolean,
  ): BroadcastOperator<DecorateAcknowledgementsWithMultipleResponses<EmitEvents>, SocketData>;

  /**
   * Lets the next event be lost for clients to which it cannot be sent at once.
   *
   * @example
   * io.of("/game").volatile.emit("position", x, y);
   */
  get volatile(): BroadcastOperator<DecorateAcknowledgementsWithMultipleResponses<EmitEvents>, SocketData>;

  /**
   * Keeps the next event on this server of the cluster.
   *
   * @example
   * io.of("/chat").local.emit("hello");
   */
  get local(): BroadcastOperator<DecorateAcknowledgementsWithMultipleResponses<EmitEvents>, SocketData>;

  /**
   * Sets how long the next event waits for acknowledgements.
   *
   * @example
   * io.of("/chat").timeout(1000).emit("ready?", (err, answers) => {
   *   console.log(answers); // one per client
   * });
   *
   * @param timeout - the time in milliseconds
   */
  timeout(
    timeout: number,
  ): BroadcastOperator<
    DecorateAcknowledgements<DecorateAcknowledgementsWithMultipleResponses<EmitEvents>>,
    SocketData
  >;

  /**
   * Fetches the sockets of all clients of the namespace, those on other servers of the cluster included.
   *
   * @example
   * const sockets = await io.of("/chat").fetchSockets();
   */
  fetchSockets(): Promise<RemoteSocket<EmitEvents, SocketData>[]>;

  /**
   * Makes all clients of the namespace join a room, those on other servers of the cluster included.
   *
   * @example
   * io.of("/chat").socketsJoin("room-1");
   *
   * @param room - a room, or several
   */
  socketsJoin(room: Room | Room[]): void;

  /**
   * Makes all clients of the namespace leave a room, those on other servers of the cluster included.
   *
   * @example
   * io.of("/chat").socketsLeave("room-1");
   *
   * @param room - a room, or several
   */
  socketsLeave(room: Room | Room[]): void;

  /**
   * Disconnects all clients of the namespace, those on other servers of the cluster included.
   *
   * @example
   * io.of("/chat").disconnectSockets();
   *
   * @param close - whether to close the connection as well, rather than leave the namespace only
   */
  disconnectSockets(close?: boolean): void;
}

// --- Socket -----------------------------------------------------------------------------------------------------

/** Why a client was disconnected. */
type DisconnectReason =
  /** The connection broke. */
  | "transport error"
  /** The client closed the connection, or lost the network. */
  | "transport close"
  /** The connection was closed on this side: by `socket.conn.close()`, or because of a malformed packet. */
  | "forced close"
  /** The client did not answer a ping in time. */
  | "ping timeout"
  /** The client sent something that is no packet of the transport layer. */
  | "parse error"
  /** The server was closed. */
  | "server shutting down"
  /** The server gave the connection up, for example because of a packet for a namespace that was not joined. */
  | "forced server close"
  /** The client left the namespace: `socket.disconnect()` over there. */
  | "client namespace disconnect"
  /** The server made the client leave: `socket.disconnect()`, or one of the `disconnectSockets()`. */
  | "server namespace disconnect";

/** An error for the client. Besides `message`, it finds `data` in its `connect_error` event. */
interface ExtendedError extends Error {
  data?: any;
}

// --- Many sockets, and sockets elsewhere ------------------------------------------------------------------------

/**
 * A selection of clients. Each method that selects returns a new operator, so that one can be kept and reused.
 *
 * @example
 * const others = socket.to("room-1").except("room-2");
 *
 * others.emit("hello");
 * others.volatile.emit("position", x, y);
 *
 * @typeParam EmitEvents - the events that clients receive
 * @typeParam SocketData - the type of `socket.data`
 */
declare class BroadcastOperator<
  EmitEvents extends EventsMap,
  SocketData,
> implements TypedEventBroadcaster<EmitEvents> {
  private readonly adapter;
  private readonly rooms;
  private readonly exceptRooms;
  private readonly flags;

  /** @private */
  constructor(
    adapter: Adapter,
    rooms?: Set<Room>,
    exceptRooms?: Set<Room>,
    flags?: BroadcastFlags & { expectSingleResponse?: boolean },
  );

  /**
   * Selects the clients in a room, in addition to those already selected.
   *
   * @example
   * io.to("room-1").to("room-2").emit("hello");
   *
   * @param room - a room, or several
   */
  to(room: Room | Room[]): BroadcastOperator<EmitEvents, SocketData>;

  /**
   * The same as {@link to}, for what reads better with it.
   *
   * @example
   * io.in("room-1").disconnectSockets();
   *
   * @param room - a room, or several
   */
  in(room: Room | Room[]): BroadcastOperator<EmitEvents, SocketData>;

  /**
   * Leaves out the clients in a room.
   *
   * @example
   * io.to("room-1").except("room-2").emit("hello");
   *
   * @param room - a room, or several
   */
  except(room: Room | Room[]): BroadcastOperator<EmitEvents, SocketData>;

  /**
   * Sets whether the event is compressed, where the transport compresses at all.
   *
   * @example
   * io.to("room-1").compress(false).emit("picture", jpeg);
   *
   * @param compress - whether to compress it
   */
  compress(compress: boolean): BroadcastOperator<EmitEvents, SocketData>;

  /**
   * Lets the event be lost for clients to which it cannot be sent at once.
   *
   * @example
   * io.to("room-1").volatile.emit("position", x, y);
   */
  get volatile(): BroadcastOperator<EmitEvents, SocketData>;

  /**
   * Selects only clients on this server of the cluster.
   *
   * @example
   * io.to("room-1").local.emit("hello");
   */
  get local(): BroadcastOperator<EmitEvents, SocketData>;

  /**
   * Sets how long the event waits for acknowledgements.
   *
   * @example
   * io.to("room-1").timeout(1000).emit("ready?", (err, answers) => {
   *   console.log(answers); // one per client, and if there is an error, those that arrived in time
   * });
   *
   * @param timeout - the time in milliseconds
   */
  timeout(timeout: number): BroadcastOperator<DecorateAcknowledgements<EmitEvents>, SocketData>;

  /**
   * Emits an event to the selected clients.
   *
   * @example
   * io.to("room-1").emit("hello", "world");
   *
   * // with acknowledgements
   * io.to("room-1").timeout(1000).emit("ready?", (err, answers) => {
   *   // ...
   * });
   *
   * @param ev - name of the event
   * @param args - its arguments, then a callback if the clients are to acknowledge it
   * @return always `true`
   */
  emit<Ev extends EventNames<EmitEvents>>(ev: Ev, ...args: EventParams<EmitEvents, Ev>): boolean;

  /**
   * Emits an event to the selected clients, and waits for their acknowledgements. Needs a {@link timeout}.
   *
   * @example
   * try {
   *   const answers = await io.to("room-1").timeout(1000).emitWithAck("ready?");
   * } catch (err) {
   *   console.log(err.responses); // those that arrived in time
   * }
   *
   * @param ev - name of the event
   * @param args - its arguments
   * @return one answer per client
   */
  emitWithAck<Ev extends EventNamesWithError<EmitEvents>>(
    ev: Ev,
    ...args: AllButLast<EventParams<EmitEvents, Ev>>
  ): Promise<FirstNonErrorArg<Last<EventParams<EmitEvents, Ev>>>>;

  /**
   * The ids of the clients in the selected rooms.
   *
   * @deprecated {@link fetchSockets} tells more, and works the same in a cluster
   */
  allSockets(): Promise<Set<SocketId>>;

  /**
   * Fetches the sockets of the selected clients, those on other servers of the cluster included.
   *
   * @example
   * const sockets = await io.in("room-1").fetchSockets();
   */
  fetchSockets(): Promise<RemoteSocket<EmitEvents, SocketData>[]>;

  /**
   * Makes the selected clients join a room, those on other servers of the cluster included.
   *
   * @example
   * io.in("room-1").socketsJoin(["room-2", "room-3"]);
   *
   * @param room - a room, or several
   */
  socketsJoin(room: Room | Room[]): void;

  /**
   * Makes the selected clients leave a room, those on other servers of the cluster included.
   *
   * @example
   * io.in("room-1").socketsLeave(["room-2", "room-3"]);
   *
   * @param room - a room, or several
   */
  socketsLeave(room: Room | Room[]): void;

  /**
   * Disconnects the selected clients, those on other servers of the cluster included.
   *
   * @example
   * io.in("room-1").disconnectSockets(true);
   *
   * @param close - whether to close the connection as well, rather than leave the namespace only
   */
  disconnectSockets(close?: boolean): void;
}

/**
 * What `fetchSockets()` tells of a client that may be connected to another server of the cluster: a copy of its
 * details, and a few methods that reach it wherever it is.
 *
 * @example
 * const [socket] = await io.in(userId).fetchSockets();
 *
 * console.log(socket.data.name);
 * socket.join("room-1");
 *
 * @typeParam EmitEvents - the events that the client receives
 * @typeParam SocketData - the type of `socket.data`
 */
declare class RemoteSocket<
  EmitEvents extends EventsMap,
  SocketData,
> implements TypedEventBroadcaster<EmitEvents> {
  /** The id of the socket. */
  readonly id: SocketId;

  /** How the client presented itself. */
  readonly handshake: Handshake;

  /** The rooms of the client at the time of the call. */
  readonly rooms: Set<Room>;

  /** What the application keeps with the socket. On other servers, changes go unnoticed. */
  readonly data: SocketData;

  private readonly operator;

  /** @private */
  constructor(
    adapter: Adapter,
    details: { id: SocketId; handshake: Handshake; rooms: Room[]; data: SocketData },
  );

  /**
   * Sets how long the next event waits for its acknowledgement.
   *
   * @example
   * for (const socket of await io.fetchSockets()) {
   *   socket.timeout(1000).emit("ready?", (err, answer) => {
   *     // ...
   *   });
   * }
   *
   * @param timeout - the time in milliseconds
   */
  timeout(timeout: number): BroadcastOperator<DecorateAcknowledgements<EmitEvents>, SocketData>;

  /**
   * Emits an event to the client.
   *
   * @param ev - name of the event
   * @param args - its arguments, then a callback if the client is to acknowledge it
   * @return always `true`
   */
  emit<Ev extends EventNames<EmitEvents>>(ev: Ev, ...args: EventParams<EmitEvents, Ev>): boolean;

  /**
   * Makes the client join a room.
   *
   * @param room - a room, or several
   */
  join(room: Room | Room[]): void;

  /**
   * Makes the client leave a room.
   *
   * @param room - the room
   */
  leave(room: Room): void;

  /**
   * Disconnects the client.
   *
   * @param close - whether to close the connection as well, rather than leave the namespace only
   */
  disconnect(close?: boolean): this;
}
