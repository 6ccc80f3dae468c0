// Socket.IO on Bun, with the engine that is made for it.

import { Server as Engine } from "@socket.io/bun-engine";
import { Server } from "socket.io";
import { selfSigned } from "../../__test__/support/certificate.js";
import application from "../application.js";

const engine = new Engine({
  path: "/socket.io/",
  pingInterval: Number(process.env.PING_INTERVAL),
  pingTimeout: 60000,
});
const io = new Server();
io.bind(engine);
application(io);

const { fetch, ...handler } = engine.handler();

// by hand rather than by `export default`, so that the port can be told
const server = globalThis.Bun.serve({
  ...handler,
  fetch: (request, server) => ownAnswer(request) ?? fetch(request, server),
  tls: process.env.TLS ? selfSigned() : undefined,
  hostname: "127.0.0.1",
  port: 0,
});
console.log(server.port);

/** What the application answers, unless the request is the engine's. */
function ownAnswer({ url }) {
  const path = url.slice(url.indexOf("/", "https://".length));
  if (path.startsWith("/socket.io/")) {
    return undefined;
  }
  if (path === "/gc") {
    globalThis.Bun.gc(true);
  }
  return new Response("hello");
}
