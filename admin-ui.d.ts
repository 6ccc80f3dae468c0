import type { Server } from "./index";

/** Keeps the sessions of admins, so that they need not say the password again. */
export interface Store {
  doesSessionExist(sessionId: string): Promise<boolean>;
  saveSession(sessionId: string): void | Promise<void>;
}

/** Keeps them in this process. */
export declare class InMemoryStore implements Store {
  doesSessionExist(sessionId: string): Promise<boolean>;
  saveSession(sessionId: string): void;
}

/** How sessions are kept in Redis. */
export interface RedisStoreOptions {
  /** What the keys begin with, by default "socket.io-admin". */
  prefix?: string;
  /** How many seconds a session lasts, by default a day. */
  sessionDuration?: number;
}

/** Keeps them in Redis, for several servers. */
export declare class RedisStore implements Store {
  /** @param redisClient - of redis, any version, or of ioredis */
  constructor(redisClient: any, options?: RedisStoreOptions);
  readonly redisClient: any;
  doesSessionExist(sessionId: string): Promise<boolean>;
  saveSession(sessionId: string): Promise<void>;
}

/** A name and a password. */
export interface BasicAuthentication {
  type: "basic";
  username: string;
  /** The hash that bcrypt has made of it. */
  password: string;
}

/** What admins may see and do. */
export interface InstrumentOptions {
  /** Who may connect; `false`: everybody. */
  auth: false | BasicAuthentication;
  /** Of the namespace to which they connect, by default "/admin". */
  namespaceName?: string;
  /** Whether they may only look, by default false. */
  readonly?: boolean;
  /** By what they tell the servers of a cluster from each other; by default the name of the machine. */
  serverId?: string;
  /** Of their sessions, by default in memory. */
  store?: Store;
  /**
   * Whether they see every socket, room and event, or statistics only; by default what the environment variable NODE_ENV says,
   * else "development".
   */
  mode?: "development" | "production";
}

/**
 * Lets admins look at a server, by the page of the package `@socket.io/admin-ui`.
 *
 * @example
 * import { instrument } from "sockeye.io/admin-ui";
 *
 * instrument(io, { auth: { type: "basic", username: "admin", password: process.env.ADMIN_HASH! }, mode: "production" });
 *
 * @throws a TypeError if it is not said who may connect, an Error if bcryptjs is needed for that, and not installed
 */
export declare function instrument(io: Server<any, any, any, any>, options: InstrumentOptions): void;
