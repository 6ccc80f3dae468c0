import type { IncomingMessage } from "http";
import { Server } from "sockeye.io";
import { expectType } from "./helpers";

const { engine } = new Server();

expectType<number>()(engine.clientsCount);
expectType<number | undefined>()(engine.opts.pingInterval);
expectType<number | undefined>()(engine.opts.workers);
expectType<string[]>()(engine.upgrades("polling"));

engine.generateId = () => "id";
engine.generateId = async (req) => {
  expectType<IncomingMessage>()(req);
  return "id";
};
// @ts-expect-error: ids are strings
engine.generateId = () => 1;

engine.close().attach(new Server().httpServer as import("http").Server, { path: "/ws" });

// listeners may do as they like: add properties, clear the request
engine.on("connection", (conn) => {
  conn.certificate = conn.request.socket.getPeerCertificate();
  conn.request = null;
});
engine.once("initial_headers", (headers, req) => {
  headers["x-id"] = req.id;
});
engine.on("connection_error", ({ code, message, context }) => console.log(code, message, context.name));
engine.on("anything else", (a, b) => a === b);
engine.on(Symbol("anything else"), () => {});
// @ts-expect-error: names are no numbers
engine.on(1, () => {});

// of no concern to others, but reachable
engine["clients"]["some id"].close();
engine["ws"];
// @ts-expect-error: protected
engine.clients;

new Server().on("connection", ({ conn, request, handshake, client }) => {
  expectType<number>()(conn.protocol);
  expectType<string>()(conn.remoteAddress);
  expectType<"opening" | "open" | "closing" | "closed">()(conn.readyState);
  expectType<IncomingMessage>()(conn.request);
  expectType<IncomingMessage>()(request);
  expectType<boolean>()(conn.upgraded);
  expectType<string>()(conn.transport.name);
  expectType<boolean>()(conn.transport.writable);
  expectType<typeof conn>()(client.conn);

  conn.on("packet", ({ type, data }) => console.log(type, data));
  conn.once("upgrade", (transport) => console.log(transport.name));
  conn.send("hello", { compress: false }, (transport) => expectType<string>()(transport.name)).write("hello");
  conn.close(true);

  // the id of the session is a secret
  // @ts-expect-error: private
  conn.id;

  expectType<string | undefined>()(handshake.headers.cookie);
  expectType<string | string[] | undefined>()(handshake.query.token);
  expectType<string>()(handshake.address);
  expectType<string>()(handshake.time);
  expectType<number>()(handshake.issued);
  expectType<boolean>()(handshake.secure);
  expectType<boolean>()(handshake.xdomain);
  expectType<string>()(handshake.url);
});
