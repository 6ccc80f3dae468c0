import type { Server } from "./index";

/** What is needed of a `Meter` of OpenTelemetry. */
interface Meter {
  createObservableCounter(name: string, options?: any): any;
  createObservableGauge(name: string, options?: any): any;
  addBatchObservableCallback(callback: (result: any) => void, observables: any[]): void;
  removeBatchObservableCallback(callback: (result: any) => void, observables: any[]): void;
}

/** How metrics are observed. */
export interface RegisterOptions {
  /** By default "sockeye.io" of the global provider. */
  meter?: Meter;
  /** What the names begin with, by default "socket.io.". */
  prefix?: string;
  /** Attributes that all of them have. */
  attributes?: Record<string, string>;
}

/**
 * Has a server's metrics be observed by OpenTelemetry, when a reader collects.
 *
 * @example
 * import { register } from "sockeye.io/opentelemetry";
 *
 * register(io);
 *
 * @return ends the observation
 * @throws an Error if @opentelemetry/api is not installed, and no meter is given
 */
export declare function register(io: Server<any, any, any, any>, options?: RegisterOptions): () => void;
