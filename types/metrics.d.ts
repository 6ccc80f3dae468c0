/** How often something was, or took, how much. */
export interface Histogram {
  /** The bounds of the buckets: each holds what is at most this, and more than the bound before. */
  bounds: number[];
  /** By bucket; one more than there are bounds. */
  counts: number[];
  /** All of it together. */
  sum: number;
}

/** What a native thread has counted. */
export interface WorkerMetrics {
  /**
   * What its turns took, in milliseconds: the growth of `sum` in a second is the share of it that the thread was busy. They
   * are timed from the first call of `metrics()` on.
   */
  turns: Histogram;
  /** Batches of commands that wait for it. */
  commands: number;
}

/** What an engine has counted since it was made, and how things are now. */
export interface EngineMetrics {
  sessions: {
    /** How many there are, by transport. */
    open: { polling: number; websocket: number; webtransport: number };
    /** Of those that do not poll, whose bytes native threads read and write, or JavaScript. */
    roads: { native: number; pumped: number };
    /** How many have begun, by the transport that they began with. */
    connects: Record<string, number>;
    /** How many have gone on over a WebSocket. */
    upgrades: number;
    /** How many have ended, by reason. */
    disconnects: Record<string, number>;
    /** Requests that were refused, by message: see the event `connection_error`. */
    refusals: Record<string, number>;
    /** How many were ended for a limit, by its name: an option, or `expireAt`. */
    limits: Record<string, number>;
  };
  /** Packets of Engine.IO from clients and to them, pings and the like included. */
  packets: { received: number; sent: number };
  /** Bytes from clients and to them: of WebSockets with frames, of requests and answers their bodies. */
  bytes: { received: number; sent: number };
  heartbeats: {
    pings: number;
    /** From a ping to its pong, in milliseconds. */
    roundTrips: Histogram;
  };
  /** What WebSockets could not be written yet, because their clients do not read as fast. */
  waiting: {
    /** Bytes for all of them. */
    bytes: number;
    /** Bytes for the one for which most waits. */
    largest: number;
    /** By the bytes that wait for each: those for which nothing waits are not in it. */
    clients: Histogram;
  };
  dropped: {
    /** Volatile messages that were dropped for a client. */
    volatile: number;
    /** Events that were dropped because their clients did not read, see `slowConsumer`. */
    events: number;
    /** Messages of clients that were dropped because these sent more than they may, see `limits`. */
    messages: number;
    /** Clients that were given up, see `maxOutboundBuffer`. */
    slowConsumers: number;
  };
  /** For how many clients the messages were that native threads were given for many. */
  deliveries: number;
  events: {
    /** Bytes of events that wait for JavaScript, about. */
    waiting: number;
    /** How long batches of events have waited for it, in milliseconds: timed from the first call of `metrics()` on. */
    waits: Histogram;
  };
  workers: WorkerMetrics[];
}

/** The same of a `WebSocketServer` of `sockeye.io/ws`, which has no sessions. */
export interface WebSocketMetrics extends Omit<EngineMetrics, "sessions"> {
  webSockets: {
    /** How many there are, by whose bytes native threads read and write, or JavaScript. */
    open: { native: number; pumped: number };
    /** How many have been opened. */
    connects: number;
    /** How many are over, by the status that `close` tells. */
    closes: Record<string, number>;
    /** How often one has come to a limit, by its name: see `limits`. */
    limits: Record<string, number>;
  };
}

/** What a server has counted since it was made, and how things are now: see {@link Server.metrics}. */
export interface Metrics {
  sockets: {
    /** How many sockets have joined a namespace. */
    connects: number;
    /** How many have left one, by reason. */
    disconnects: Record<string, number>;
  };
  /** Of connection state recovery. */
  recovery: {
    /** How many clients that came back have got their session back ... */
    recovered: number;
    /** ... and how many have not. */
    failed: number;
    /** How many sessions are kept in this process for clients that may come back ... */
    sessions: number;
    /** ... and how many packets. */
    packets: number;
  };
  /** How many sockets there are, by namespace. */
  namespaces: Record<string, number>;
  broadcasts: {
    /** How many were "native", and how many went socket by socket, by why. */
    roads: Record<string, number>;
    /** For how many clients native ones were, in sum. */
    deliveries: number;
  };
  /** Of the engine, if it is this package's. */
  engine: EngineMetrics | undefined;
}
