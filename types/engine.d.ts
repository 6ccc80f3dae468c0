/**
 * The layer below Socket.IO: `io.engine` is a {@link Server} of this file, `socket.conn` a {@link Socket}.
 *
 * The listeners of both are untyped. Applications hang properties of their own onto a connection in there, or set its
 * `request` to `null`, and none of that should need a cast.
 */
import { EventEmitter } from "events";
import type { CorsOptions, CorsOptionsDelegate } from "cors";
import type { IncomingMessage, Server as HttpServer, ServerResponse } from "http";
import type { Duplex } from "stream";
import type { ZlibOptions } from "zlib";
import type { EngineMetrics } from "./metrics";

// --- Options ----------------------------------------------------------------------------------------------------

type TransportName = "polling" | "websocket" | "webtransport";

/** The options that say which requests are for the engine. */
export interface AttachOptions {
  /**
   * The path of the requests to answer.
   *
   * @default "/engine.io", which a Socket.IO server makes "/socket.io"
   */
  path?: string;

  /**
   * Whether to end upgrade requests for other paths, if nobody else takes them.
   *
   * @default true
   */
  destroyUpgrade?: boolean;

  /**
   * How long anybody else has to take such an upgrade request, in milliseconds.
   *
   * @default 1000
   */
  destroyUpgradeTimeout?: number;

  /**
   * Whether the path ends with a slash: `/socket.io/` rather than `/socket.io`. The client has the same option.
   *
   * @default true
   */
  addTrailingSlash?: boolean;
}

/** The options of the transport layer. */
export interface ServerOptions {
  /**
   * How many native threads carry the connections, from 1 to 31. A connection stays on one thread for life. One is
   * plenty for most applications, and more than the machine has cores are of no use.
   *
   * @default one per core left over from the JavaScript thread: at least 1, at most 4
   */
  workers?: number;

  /**
   * Whether the native threads speak TLS with the clients of an `https.Server`, where its options and what a client offers
   * are of the ordinary kind; others are left to Node. `io.engine.tlsRoads()` tells which were, and why.
   *
   * @default true
   */
  nativeTls?: boolean;

  /**
   * How long a client may take to answer a ping before it counts as gone, in milliseconds.
   *
   * @default 20000
   */
  pingTimeout?: number;

  /**
   * The time from one ping to the next, in milliseconds.
   *
   * @default 25000
   */
  pingInterval?: number;

  /**
   * How long a client may take to move from one transport to another, in milliseconds.
   *
   * @default 10000
   */
  upgradeTimeout?: number;

  /**
   * The size of the largest message that a client may send, in bytes. A WebSocket with a larger one is closed, a
   * polling request with more than that is refused, and its session ended.
   *
   * @default 1e6 (1 MB)
   */
  maxHttpBufferSize?: number;

  /**
   * In how many pieces the body of a polling request may come. One with more is refused, and its session ended.
   *
   * @default 10000
   */
  maxBufferedChunks?: number;

  /**
   * How long the body of a polling request may take to arrive, in milliseconds. One that takes longer is refused, and
   * its session ended.
   *
   * @default 30000
   */
  httpRequestBodyTimeout?: number;

  /**
   * How many bytes may wait for a client that does not read what it is sent. With more, the engine emits
   * `slow_consumer`, and the session ends with the reason "transport error"; what waits is thrown away.
   *
   * @default Infinity
   */
  maxOutboundBuffer?: number;

  /**
   * What becomes of messages for clients that do not read as fast as they are sent to. Namespaces and sockets may have rules of
   * their own: `slowConsumer()`.
   *
   * @default undefined: all that does not exceed `maxOutboundBuffer` waits
   */
  slowConsumer?: SlowConsumerOptions;

  /**
   * How many bytes may wait for all clients together. With more, those for which most waits are given up.
   *
   * @default Infinity
   */
  maxOutboundTotal?: number;

  /**
   * What clients may do, at the most.
   *
   * @default nothing is limited
   */
  limits?: LimitOptions;

  /**
   * Whether it is kept what has happened to each connection, for {@link Socket.trace}, {@link Server.traces} and the status
   * page: of each `events` things, and of the `connections` that have ended last.
   *
   * @default false; with `true`, 32 things and 100 connections
   */
  trace?: boolean | { events?: number; connections?: number };

  /**
   * How long a session may last, in milliseconds: its client is disconnected ("transport close"), and comes back with a new
   * one. Sessions that begin together end spread over the last tenth of the time.
   *
   * @default Infinity
   */
  maxSessionAge?: number;

  /**
   * How long a session may be without a message either way, in milliseconds: its client is disconnected, as by
   * `socket.disconnect(true)`. Heartbeats do not count.
   *
   * @default Infinity
   */
  maxIdleTime?: number;

  /**
   * Decides whether a client may open a session at all. It is asked once per session, before anything else is known
   * of the client. `fn` takes the message for a refused client, and the decision.
   *
   * @example
   * const io = new Server(httpServer, {
   *   allowRequest: (req, fn) => {
   *     const allowed = req.headers.origin === "https://example.com";
   *     fn(allowed ? null : "unknown origin", allowed);
   *   },
   * });
   */
  allowRequest?: (
    req: IncomingMessage,
    fn: (err: string | null | undefined, success: boolean) => void,
  ) => void;

  /**
   * The transports that clients may use. WebTransport has to be asked for by name, and needs an HTTP/3 server beside
   * the HTTP server.
   *
   * @default ["polling", "websocket"]
   */
  transports?: TransportName[];

  /**
   * Whether a client may move from polling to a better transport.
   *
   * @default true
   */
  allowUpgrades?: boolean;

  /**
   * Whether, and how, WebSocket messages are compressed. `true` stands for the defaults of
   * {@link PerMessageDeflateOptions}. Compression costs processor time and memory for each connection.
   *
   * @default false
   */
  perMessageDeflate?: boolean | PerMessageDeflateOptions;

  /**
   * Whether, and how, the answers of HTTP long-polling are compressed: an object takes `threshold`, the size in bytes
   * from which on it is worth the effort, and the options of `node:zlib`.
   *
   * @default { threshold: 1024 }
   */
  httpCompression?: boolean | object;

  /**
   * The class of another WebSocket server, as `WebSocketServer` of the `ws` package is one. Its WebSockets are used instead
   * of the native ones, which are faster: give it only for what it does differently.
   */
  wsEngine?: any;

  /** A packet that each client gets together with the one that opens its session, which saves a round trip. */
  initialPacket?: any;

  /**
   * A cookie with the id of the session, which load balancers may use to find the way back to this process. `true`
   * stands for a cookie named `io`.
   *
   * @example
   * const io = new Server(httpServer, {
   *   cookie: { name: "node", sameSite: "strict", maxAge: 86400 },
   * });
   *
   * @default false
   */
  cookie?: (CookieSerializeOptions & { name: string }) | boolean;

  /**
   * Which other origins browsers may connect from: the options of the `cors` package, or a function that finds them
   * for a given request.
   *
   * @example
   * const io = new Server(httpServer, {
   *   cors: { origin: ["https://example.com"], credentials: true },
   * });
   */
  cors?: CorsOptions | CorsOptionsDelegate;

  /**
   * Whether clients of Socket.IO 2, which speak the third revision of Engine.IO, are welcome too.
   *
   * @default false
   */
  allowEIO3?: boolean;
}

/** How WebSocket messages are compressed (RFC 7692). */
export interface PerMessageDeflateOptions {
  /** Whether the server starts each message with an empty window. Saves memory, compresses less. */
  serverNoContextTakeover?: boolean | undefined;
  /** Whether clients are asked to do the same. */
  clientNoContextTakeover?: boolean | undefined;
  /** The size of the server's window, as a power of two: 8 to 15. */
  serverMaxWindowBits?: number | undefined;
  /** The size of the window that clients may use, as a power of two: 8 to 15. */
  clientMaxWindowBits?: number | undefined;
  /** How outgoing messages are compressed, in the terms of `node:zlib`. */
  zlibDeflateOptions?:
    | {
        flush?: number | undefined;
        finishFlush?: number | undefined;
        chunkSize?: number | undefined;
        windowBits?: number | undefined;
        level?: number | undefined;
        memLevel?: number | undefined;
        strategy?: number | undefined;
        dictionary?: Buffer | Buffer[] | DataView | undefined;
        info?: boolean | undefined;
      }
    | undefined;
  /** How incoming messages are decompressed, in the terms of `node:zlib`. */
  zlibInflateOptions?: ZlibOptions | undefined;
  /**
   * The size in bytes below which a message is sent as it is.
   *
   * @default 1024
   */
  threshold?: number | undefined;
  /** How many messages may be compressed at the same time. */
  concurrencyLimit?: number | undefined;
}

/** The attributes of a cookie, as the `cookie` package takes them. */
export interface CookieSerializeOptions {
  /** The host, and its subdomains, that get the cookie. Without it, only the host that set it. */
  domain?: string | undefined;
  /** Turns the value into something that is allowed in a cookie; `encodeURIComponent` by default. */
  encode?(value: string): string;
  /** When the cookie ends. `maxAge` counts if both are set. */
  expires?: Date | undefined;
  /** Whether scripts in the page are kept from reading it. */
  httpOnly?: boolean | undefined;
  /** How long the cookie lasts, in seconds. */
  maxAge?: number | undefined;
  /** Whether the cookie is kept apart for each top-level site. */
  partitioned?: boolean | undefined;
  /** The path below which the cookie is sent. */
  path?: string | undefined;
  /** Which cookies a browser short of room drops last. */
  priority?: "low" | "medium" | "high" | undefined;
  /** Whether requests from other sites carry the cookie. `true` is `"strict"`. */
  sameSite?: true | false | "lax" | "strict" | "none" | undefined;
  /** Whether the cookie is sent over TLS only. */
  secure?: boolean | undefined;
}

/** What becomes of messages for a client that does not read as fast as it is sent to. */
export interface SlowConsumerOptions {
  /**
   * `close`: the client is given up. `drop-oldest`, `drop-newest`: events are dropped, those that wait longest or those that come.
   * `latest`: of events of one name, only the last one waits. What has an acknowledgement, or is no event, is never dropped.
   *
   * @default "close"
   */
  policy?: "close" | "drop-oldest" | "drop-newest" | "latest";

  /**
   * How many bytes of messages may wait, besides what is with the network already (64 KiB, or a message).
   *
   * @default `maxOutboundBuffer`
   */
  maxBytes?: number;

  /**
   * How many milliseconds a message may wait: then the client is given up, or, with another policy, it is dropped.
   *
   * @default Infinity
   */
  maxAge?: number;
}

/** What clients may do, at the most. */
export interface LimitOptions {
  /** Packets that a client may send in a second, on average: events, acknowledgements, attachments, heartbeats. */
  packetsPerSecond?: number;
  /** Bytes of these. */
  bytesPerSecond?: number;
  /**
   * For how many seconds a client may have saved up what it has not sent, and an address handshakes.
   *
   * @default 1
   */
  burst?: number;
  /**
   * What comes of more packets or bytes. `pause`: nothing is read of the client until it has its due again. `drop`: messages are
   * not handed on. `close`: it is disconnected.
   *
   * @default "pause"
   */
  action?: "pause" | "drop" | "close";
  /** Namespaces that a client may be in. */
  namespaces?: number;
  /** Acknowledgements that a client may owe: one that owes more is disconnected. */
  unansweredAcks?: number;
  /** Sessions from one address. */
  connectionsPerAddress?: number;
  /** Sessions that may begin in a second. */
  handshakesPerSecond?: number;
  /** The same from one address. */
  handshakesPerSecondPerAddress?: number;
  /** Whose word counts on where a request comes from. */
  proxies?: {
    /**
     * The header, in which each proxy adds the address that it has seen.
     *
     * @default "x-forwarded-for"
     */
    header?: string;
    /** The addresses and networks of the proxies: `"10.0.0.0/8"`. */
    trusted: string[];
  };
}

// --- Server -----------------------------------------------------------------------------------------------------

/** An Express-style middleware. `res` stands for the response to an upgrade as well. */
type Middleware = (req: IncomingMessage, res: ServerResponse, next: (err?: any) => void) => void;

/**
 * The events of the engine. Any other name is accepted as well.
 *
 * | Event | Arguments | When |
 * |---|---|---|
 * | `connection` | `conn` | a session has been opened |
 * | `initial_headers` | `headers, req` | before the headers of the first answer of a session are written |
 * | `headers` | `headers, req` | before the headers of any answer are written |
 * | `connection_error` | `{ req, code, message, context, address }` | a client was refused |
 * | `flush` | `conn, packets` | packets of a connection go out |
 * | `drain` | `conn` | the packets of a connection have been handed over |
 * | `limit` | `conn, name` | a session has come to a limit |
 * | `slow_consumer` | `conn, bytes, outcome` | more waits for a client than is allowed: its session ends (`"close"`), or events are dropped from now on (`"drop"`) |
 */
type ServerEvent =
  | "connection"
  | "initial_headers"
  | "headers"
  | "connection_error"
  | "flush"
  | "drain"
  | "limit"
  | "slow_consumer"
  | AnyEvent;

/** Any name: the intersection keeps it from swallowing the names beside it, so that editors can offer them. */
type AnyEvent = (string & {}) | symbol;

/**
 * The engine: `io.engine`.
 *
 * @example
 * io.engine.on("connection_error", (err) => {
 *   console.log(err.code, err.message, err.context);
 * });
 *
 * @example
 * // add a header to the first answer of each session
 * io.engine.on("initial_headers", (headers, req) => {
 *   headers["x-served-by"] = os.hostname();
 * });
 */
export declare class Server extends EventEmitter {
  /** The codes of the errors with which a client can be refused. */
  static errors: {
    readonly UNKNOWN_TRANSPORT: 0;
    readonly UNKNOWN_SID: 1;
    readonly BAD_HANDSHAKE_METHOD: 2;
    readonly BAD_REQUEST: 3;
    readonly FORBIDDEN: 4;
    readonly UNSUPPORTED_PROTOCOL_VERSION: 5;
    readonly SHUTTING_DOWN: 6;
    readonly TOO_MANY_SESSIONS: 7;
  };

  /** What each of those codes says to the client. */
  static errorMessages: {
    readonly 0: "Transport unknown";
    readonly 1: "Session ID unknown";
    readonly 2: "Bad handshake method";
    readonly 3: "Bad request";
    readonly 4: "Forbidden";
    readonly 5: "Unsupported protocol version";
    readonly 6: "Server shutting down";
    readonly 7: "Too many sessions";
  };

  /** What has happened to the connections that have ended last, with the option `trace`; the last one first. */
  traces(): { address: string; steps: TraceStep[] }[];

  /** The options, defaults filled in. */
  opts: ServerOptions;

  /** How many sessions are open. */
  clientsCount: number;

  /** The HTTP server that the engine is attached to, if it is. */
  httpServer?: HttpServer;

  /** The open sessions by their id. */
  protected clients: Record<string, Socket>;

  /** The functions registered with {@link use}. */
  protected middlewares: Middleware[];

  private ws;

  /** @private */
  constructor(opts?: ServerOptions);

  /** Calls `listener` each time that the event happens; see {@link ServerEvent}. */
  on(event: ServerEvent, listener: (...args: any[]) => void): this;

  /** Calls `listener` the next time that the event happens; see {@link ServerEvent}. */
  once(event: ServerEvent, listener: (...args: any[]) => void): this;

  /**
   * Registers an Express-style middleware that runs for each HTTP request of the engine, upgrades included.
   *
   * @example
   * io.engine.use(session({ secret: "keyboard cat", resave: false, saveUninitialized: true }));
   *
   * io.on("connection", (socket) => {
   *   console.log(socket.request.session);
   * });
   */
  use(fn: any): void;

  /** The transports that a session may move to from the given one. */
  upgrades(transport: TransportName): string[];

  /**
   * Makes the id of a session. Replace it to choose the ids; they must be unique and hard to guess.
   *
   * @example
   * io.engine.generateId = async (req) => {
   *   return crypto.randomUUID();
   * };
   */
  generateId(req: IncomingMessage): string | PromiseLike<string>;

  /** Who speaks TLS with the clients: how many connections native threads have had, and how many Node, by the reason. */
  tlsRoads(): { native: number; node: Record<string, number>; obstacle: string | undefined };

  /** What was counted since the engine was made, and how things are now. */
  metrics(): EngineMetrics;

  /** Handles one HTTP request, for those who route requests themselves. */
  handleRequest(req: IncomingMessage, res: ServerResponse): void;

  /** Handles one HTTP upgrade, for those who route upgrades themselves. */
  handleUpgrade(req: IncomingMessage, socket: Duplex, upgradeHead: Buffer): void;

  /**
   * Takes a WebTransport session from an HTTP/3 server.
   *
   * @example
   * for await (const session of h3Server.sessionStream("/socket.io/")) {
   *   io.engine.onWebTransportSession(session);
   * }
   */
  onWebTransportSession(session: any): Promise<any>;

  /** Answers the requests and upgrades of an HTTP server that are for the engine's path. */
  attach(server: HttpServer, options?: AttachOptions): void;

  /** Closes all sessions. The HTTP server goes on. */
  close(): this;
}

// --- Connections ------------------------------------------------------------------------------------------------

type ReadyState = "opening" | "open" | "closing" | "closed";

/** How one message is sent. */
export interface SendOptions {
  /** Whether the message may be compressed. */
  compress?: boolean;
}

/**
 * The events of a connection. Any other name is accepted as well.
 *
 * | Event | Arguments | When |
 * |---|---|---|
 * | `open` | | the session has been opened |
 * | `packet` | `{ type, data }` | a packet came in |
 * | `packetCreate` | `{ type, data }` | a packet is about to go out |
 * | `data`, `message` | `data` | a message came in |
 * | `heartbeat` | | the client has answered a ping |
 * | `upgrading` | `transport` | the client is trying another transport |
 * | `upgrade` | `transport` | the client has moved to another transport |
 * | `flush` | `packets` | packets go out |
 * | `drain` | | the packets have been handed over |
 * | `error` | `err` | the transport failed |
 * | `close` | `reason, description` | the session is over |
 */
type SocketEvent =
  | "open"
  | "packet"
  | "packetCreate"
  | "data"
  | "message"
  | "heartbeat"
  | "upgrading"
  | "upgrade"
  | "flush"
  | "drain"
  | "error"
  | "close"
  | AnyEvent;

/** Something that has happened to a connection. */
export interface TraceStep {
  /** When, in milliseconds since 1970. */
  at: number;
  /** What: "opened", "joined", "upgraded", "left", "limit", "slow consumer", "closed" and the like. */
  event: string;
  /** What more there is to say. */
  details?: Record<string, any>;
}

/**
 * A connection, or session: `socket.conn`. The sockets of all namespaces that a client has joined share one.
 *
 * @example
 * io.on("connection", (socket) => {
 *   console.log(socket.conn.transport.name); // "polling" or "websocket"
 *
 *   socket.conn.once("upgrade", (transport) => {
 *     console.log(transport.name); // "websocket"
 *   });
 * });
 */
export declare class Socket extends EventEmitter {
  /** The revision of Engine.IO that the client speaks: 3 for clients of Socket.IO 2, 4 for later ones. */
  readonly protocol: number;

  /** The HTTP request that opened the session. Setting it to `null` frees its memory early. */
  request: IncomingMessage;

  /** The IP address of the client, or of the proxy in front of it. */
  readonly remoteAddress: string;

  /** How the messages travel at the moment. */
  transport: Transport;

  /** Whether the client is trying another transport. */
  upgrading: boolean;

  /** Whether the client has moved to another transport. */
  upgraded: boolean;

  /** The id of the session. Whoever knows it can take the session over, so keep it from other clients. */
  private readonly id;
  private server;
  private writeBuffer;

  private constructor();

  /** How far the connection is in its life. */
  get readyState(): ReadyState;
  set readyState(state: ReadyState);

  /**
   * Bytes that wait because the client has not read what was sent before, or, while it polls, for its next request: as of the
   * last write, so that what was sent just now may not be among them. Reading it costs nothing.
   */
  readonly bufferedAmount: number;

  /** Bytes that the client has sent: of a WebSocket with its frames, of requests their bodies. Until its `close` event. */
  readonly bytesRead: number;

  /** Bytes that the client was sent, counted alike. */
  readonly bytesWritten: number;

  /** Milliseconds that the last ping took to be answered; `undefined` before there was one. */
  readonly roundTripTime: number | undefined;

  /** When the client's last heartbeat came, in milliseconds since 1970; `undefined` before there was one. */
  readonly lastHeartbeatAt: number | undefined;

  /**
   * The status with which the client has closed its WebSocket (RFC 6455 section 7.1.5): 1005 is a Close frame without one, 1006
   * a connection that broke off. `undefined` if the client has not, or not over a WebSocket.
   */
  readonly closeCode: number | undefined;

  /** When the session began, in milliseconds since 1970. */
  readonly connectedAt: number | undefined;

  /**
   * Waits until all that was sent has been handed to the network.
   *
   * @returns a promise that is rejected if the session ends before
   */
  flushed(): Promise<void>;

  /** What the client sends is not limited any more: see {@link LimitOptions}. */
  exempt(): void;

  /** What has happened to it, with the option `trace`: how it began, and the last things. */
  trace(): TraceStep[];

  /** Calls `listener` each time that the event happens; see {@link SocketEvent}. */
  on(event: SocketEvent, listener: (...args: any[]) => void): this;

  /** Calls `listener` the next time that the event happens; see {@link SocketEvent}. */
  once(event: SocketEvent, listener: (...args: any[]) => void): this;

  /**
   * Sends a message as it is, below Socket.IO.
   *
   * @param data - text or binary
   * @param options - how to send it
   * @param callback - called once it was handed over
   */
  send(data: any, options?: SendOptions, callback?: (transport: Transport) => void): this;

  /** The same as {@link send}. */
  write(data: any, options?: SendOptions, callback?: (transport: Transport) => void): this;

  /**
   * Closes the session.
   *
   * @param discard - whether to drop what is waiting to be sent
   */
  close(discard?: boolean): void;
}

/** How the messages of a connection travel. */
export declare abstract class Transport extends EventEmitter {
  /** The transports that a session may move to from this one. */
  static upgradesTo: string[];

  /** The id of the session. */
  sid: string;

  /** Whether a message sent now would leave at once: with polling, whether the client is waiting for an answer. */
  writable: boolean;

  /** The revision of Engine.IO that the client speaks. */
  protocol: 3 | 4;

  /** `"polling"`, `"websocket"` or `"webtransport"`. */
  abstract get name(): string;

  /** How far the transport is in its life. */
  get readyState(): "open" | "closing" | "closed";
  set readyState(state: "open" | "closing" | "closed");

  /** Sends packets of the Engine.IO layer. */
  abstract send(packets: { type: string; data?: any; options?: { compress: boolean } }[]): void;

  /** Makes the transport deaf, once another one has taken its place. */
  discard(): void;

  /** Closes the transport. */
  close(fn?: () => void): void;
}

export {};
