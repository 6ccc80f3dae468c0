/**
 * WebSockets without Socket.IO: the API of npm's ws, on native threads.
 *
 * @example
 * import { WebSocketServer } from "sockeye.io/ws";
 *
 * const wss = new WebSocketServer({ port: 3000, heartbeat: true });
 *
 * wss.on("connection", (ws) => {
 *   ws.on("message", (data, isBinary) => wss.broadcast(data, { binary: isBinary, except: ws }));
 * });
 */
import type { IncomingMessage } from "http";
import type { Duplex } from "stream";
import type {
  LimitOptions as AllLimitOptions,
  SlowConsumerOptions as AnySlowConsumerOptions,
} from "./types/engine";
import type { WebSocketMetrics } from "./types/metrics";
import Base = require("ws");

/**
 * A WebSocket. Those that a `WebSocketServer` gives out live in native threads; those that are made with an address are clients,
 * and ws's own.
 */
declare class WebSocket extends Base {
  /**
   * Subscribes to a topic of the server: what is published there is sent to this client as well, until it leaves. Does nothing
   * more the second time.
   */
  subscribe(topic: string): void;
  /** Leaves a topic. */
  unsubscribe(topic: string): void;
  /** Sends a message to all that have subscribed to a topic, but for this client. */
  publish(topic: string, data: WebSocket.Payload, options?: WebSocket.PublishOptions): void;
}

declare namespace WebSocket {
  export import RawData = Base.RawData;
  export import Data = Base.Data;
  export import CertMeta = Base.CertMeta;
  export import VerifyClientCallbackSync = Base.VerifyClientCallbackSync;
  export import VerifyClientCallbackAsync = Base.VerifyClientCallbackAsync;
  export import FinishRequestCallback = Base.FinishRequestCallback;
  export import ClientOptions = Base.ClientOptions;
  export import PerMessageDeflateOptions = Base.PerMessageDeflateOptions;
  export import Event = Base.Event;
  export import ErrorEvent = Base.ErrorEvent;
  export import CloseEvent = Base.CloseEvent;
  export import MessageEvent = Base.MessageEvent;
  export import WebSocketEventMap = Base.WebSocketEventMap;
  export import EventListenerOptions = Base.EventListenerOptions;
  export import AddressInfo = Base.AddressInfo;
  export import createWebSocketStream = Base.createWebSocketStream;

  /** What can be sent to many: all that `send()` takes, but for a `Blob`. */
  type Payload = Exclude<Parameters<Base["send"]>[0], Blob>;

  /** How a message is published. */
  interface PublishOptions {
    /**
     * Whether it is a binary message.
     *
     * @default unless the data are a string
     */
    binary?: boolean | undefined;
    /**
     * Whether it is compressed for clients that have agreed to that.
     *
     * @default true
     */
    compress?: boolean | undefined;
  }

  /** How a message is sent to many. */
  interface BroadcastOptions extends PublishOptions {
    /** Who does not get it. */
    except?: Base | Iterable<Base> | undefined;
  }

  /** Pings of the native threads. */
  interface HeartbeatOptions {
    /**
     * Milliseconds between two pings.
     *
     * @default 30000
     */
    interval?: number | undefined;
    /**
     * Milliseconds that a client has to answer one: else its connection is ended, with the code 1006.
     *
     * @default 30000
     */
    timeout?: number | undefined;
  }

  /** What a client may send, at the most. */
  type LimitOptions = Pick<AllLimitOptions, "packetsPerSecond" | "bytesPerSecond" | "burst" | "action">;

  /** What becomes of messages for a client that does not read as fast as it is sent to. */
  interface SlowConsumerOptions extends Omit<AnySlowConsumerOptions, "policy"> {
    /**
     * `close`: the client is given up. `drop-oldest`, `drop-newest`: messages are dropped, those that wait longest or those that come.
     * `latest`: of the messages that wait, the last one stays. None is dropped for which `send()` was given a callback.
     *
     * @default "close"
     */
    policy?: "close" | "drop-oldest" | "drop-newest" | "latest" | undefined;
  }

  /** The options of ws, and some more. What of these has no effect here is told in docs/ws.md. */
  interface ServerOptions<
    T extends typeof Base = typeof WebSocket,
    U extends typeof IncomingMessage = typeof IncomingMessage,
  > extends Base.ServerOptions<T, U> {
    /**
     * Milliseconds that a client has to answer a Close frame, and to hang up after that.
     *
     * @default 30000
     */
    closeTimeout?: number | undefined;
    /**
     * How many native threads carry the connections, from 1 to 31.
     *
     * @default one per core left over from the JavaScript thread: at least 1, at most 4
     */
    workers?: number | undefined;
    /**
     * Whether the native threads ping the clients, and end those that do not answer.
     *
     * @default false
     */
    heartbeat?: boolean | HeartbeatOptions | undefined;
    /**
     * What clients may send, at the most.
     *
     * @default nothing is limited
     */
    limits?: LimitOptions | undefined;
    /**
     * What becomes of messages for clients that do not read as fast as they are sent to.
     *
     * @default undefined: all that does not exceed `maxOutboundBuffer` waits
     */
    slowConsumer?: SlowConsumerOptions | undefined;
    /**
     * How many bytes may wait for a client that does not read what it is sent. With more, its connection is cut.
     *
     * @default Infinity
     */
    maxOutboundBuffer?: number | undefined;
    /**
     * How many bytes may wait for all clients together. With more, those for which most waits are given up.
     *
     * @default Infinity
     */
    maxOutboundTotal?: number | undefined;
    /**
     * Whether the native threads speak TLS with the clients of an `https.Server`, where its options and what a client offers
     * allow it.
     *
     * @default true
     */
    nativeTls?: boolean | undefined;
  }

  /** The events of a server, with what listeners are given. */
  interface ServerEvents<T extends typeof Base, U extends typeof IncomingMessage> {
    connection: [websocket: InstanceType<T>, request: InstanceType<U>];
    headers: [headers: string[], request: InstanceType<U>];
    wsClientError: [error: Error, socket: Duplex, request: InstanceType<U>];
    error: [error: Error];
    listening: [];
    close: [];
    /** More waits for a client than is allowed: it is given up (`"close"`), or messages for it are dropped from now on. */
    slow_consumer: [websocket: InstanceType<T>, bytes: number, outcome: "close" | "drop"];
    /** A client has come to a limit. */
    limit: [websocket: InstanceType<T>, name: "packetsPerSecond" | "bytesPerSecond"];
  }

  /** A server of WebSockets, whose connections live in native threads. */
  class WebSocketServer<
    T extends typeof Base = typeof WebSocket,
    U extends typeof IncomingMessage = typeof IncomingMessage,
  > extends Base.Server<T, U> {
    options: ServerOptions<T, U>;

    constructor(options?: ServerOptions<T, U>, callback?: () => void);

    /** Sends a message to all clients. It is encoded, and compressed, once. */
    broadcast(data: Payload, options?: BroadcastOptions): void;
    /**
     * Sends a message to all clients that have subscribed to a topic.
     *
     * @returns how many these are
     */
    publish(topic: string, data: Payload, options?: BroadcastOptions): number;
    /** How many clients have subscribed to a topic. */
    subscribers(topic: string): number;
    /** What was counted since this was made, and how things are now. */
    metrics(): WebSocketMetrics;

    on<K extends keyof ServerEvents<T, U>>(
      event: K,
      listener: Listener<Base.Server<T>, ServerEvents<T, U>[K]>,
    ): this;
    on(event: string | symbol, listener: Listener<Base.Server<T>, any[]>): this;
    once<K extends keyof ServerEvents<T, U>>(
      event: K,
      listener: Listener<Base.Server<T>, ServerEvents<T, U>[K]>,
    ): this;
    once(event: string | symbol, listener: Listener<Base.Server<T>, any[]>): this;
    off<K extends keyof ServerEvents<T, U>>(
      event: K,
      listener: Listener<Base.Server<T>, ServerEvents<T, U>[K]>,
    ): this;
    off(event: string | symbol, listener: Listener<Base.Server<T>, any[]>): this;
    addListener<K extends keyof ServerEvents<T, U>>(
      event: K,
      listener: Listener<Base.Server<T>, ServerEvents<T, U>[K]>,
    ): this;
    addListener(event: string | symbol, listener: Listener<Base.Server<T>, any[]>): this;
    removeListener<K extends keyof ServerEvents<T, U>>(
      event: K,
      listener: Listener<Base.Server<T>, ServerEvents<T, U>[K]>,
    ): this;
    removeListener(event: string | symbol, listener: Listener<Base.Server<T>, any[]>): this;
  }

  type Listener<This, Args extends any[]> = (this: This, ...args: Args) => void;

  const Server: typeof WebSocketServer;
  interface Server extends WebSocketServer {}
  const WebSocket: typeof WebSocketAlias;
  interface WebSocket extends WebSocketAlias {}
}

declare const WebSocketAlias: typeof WebSocket;
interface WebSocketAlias extends WebSocket {}

export = WebSocket;
