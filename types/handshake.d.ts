import type { IncomingHttpHeaders } from "http";
import type { ParsedUrlQuery } from "querystring";

/** How a client presented itself when it connected. */
export interface Handshake {
  /** The headers of the first HTTP request. */
  headers: IncomingHttpHeaders;
  /** When the socket was created, as text. */
  time: string;
  /** The IP address of the client, or of the proxy in front of it. */
  address: string;
  /** Whether the request carried an `Origin` header. */
  xdomain: boolean;
  /** Whether the request came over TLS. */
  secure: boolean;
  /** When the socket was created, in milliseconds since 1970. */
  issued: number;
  /** The URL of the first HTTP request. */
  url: string;
  /** The parsed query string of that URL. */
  query: ParsedUrlQuery;
  /**
   * What the client gave as its `auth` option.
   *
   * @example
   * // client
   * const socket = io({ auth: { token: "abc" } });
   *
   * // server
   * io.use((socket, next) => {
   *   next(socket.handshake.auth.token === "abc" ? undefined : new Error("not authorized"));
   * });
   */
  auth: { [key: string]: any };
}
