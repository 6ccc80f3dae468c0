import type { Server } from "./index";

/** What is needed of a `Registry` of prom-client. */
interface Registry {
  registerMetric(metric: any): void;
  removeSingleMetric(name: string): void;
}

/** How metrics are registered. */
export interface RegisterOptions {
  /** By default that of prom-client. */
  registry?: Registry;
  /** What the names begin with, by default "socket_io_". */
  prefix?: string;
  /** Labels that all of them have. */
  labels?: Record<string, string>;
}

/**
 * Has a server's metrics be those of a registry of prom-client. They are read when the registry is asked for them.
 *
 * @example
 * import { register } from "sockeye.io/prometheus";
 *
 * register(io);
 *
 * @return takes them out again
 * @throws an Error if prom-client is not installed, and no registry is given, or if names are taken
 */
export declare function register(io: Server<any, any, any, any>, options?: RegisterOptions): () => void;
