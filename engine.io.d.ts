/**
 * The layer below Socket.IO on its own: sessions with clients, over HTTP long-polling and native WebSockets.
 *
 * @example
 * import { attach } from "sockeye.io/engine.io";
 *
 * const engine = attach(httpServer);
 *
 * engine.on("connection", (conn) => {
 *   conn.on("message", (data) => conn.send(data));
 * });
 */
import type { Server as HttpServer } from "http";
import * as parser from "engine.io-parser";
import {
  Server,
  Socket,
  Transport,
  type AttachOptions,
  type PerMessageDeflateOptions,
  type SendOptions,
  type ServerOptions,
} from "./types/engine";

export { Server, Socket, Transport, parser };
export type { AttachOptions, PerMessageDeflateOptions, SendOptions, ServerOptions };

/** The revision of Engine.IO that is spoken. */
export declare const protocol: number;

/** The classes of the transports by name. */
export declare const transports: {
  polling: typeof Transport;
  websocket: typeof Transport;
  webtransport: typeof Transport;
};

/** Not supported: its constructor throws an error that says what to use instead. */
export declare class uServer {
  constructor(options?: any);
}

/** An engine with an HTTP server of its own, `httpServer`, which answers everything else with 501. */
export declare function listen(
  port: number,
  options?: AttachOptions & ServerOptions,
  listenCallback?: () => void,
): Server;
export declare function listen(port: number, listenCallback?: () => void): Server;

/** An engine for an HTTP server, which goes on answering all other requests. */
export declare function attach(server: HttpServer, options?: AttachOptions & ServerOptions): Server;
