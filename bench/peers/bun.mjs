// Socket.IO on Bun, with the engine that is made for it.

import { Server as Engine } from "@socket.io/bun-engine";
import { Server } from "socket.io";
import application from "../application.js";

const engine = new Engine({
  path: "/socket.io/",
  pingInterval: Number(process.env.PING_INTERVAL),
  pingTimeout: 60000,
});
const io = new Server();
io.bind(engine);
application(io);

// by hand rather than by `export default`, so that the port can be told
const server = globalThis.Bun.serve({ ...engine.handler(), hostname: "127.0.0.1", port: 0 });
console.log(server.port);
