import { Server, Socket } from "sockeye.io";
import type { RemoteSocket } from "sockeye.io";
import { expectType } from "./helpers";
import type { ClientToServer, Data, InterServer, ServerToClient } from "./helpers";

const io = new Server<ClientToServer, ServerToClient, InterServer, Data>();

io.use((socket, next) => {
  socket.data.user = "someone";
  // @ts-expect-error: not a string
  socket.data.user = 1;
  // @ts-expect-error: no such property
  socket.data.nickname = "someone";
  next();
});

io.on("connection", (socket) => {
  expectType<Data>()(socket.data);
  expectType<Data>()(socket.timeout(1).data);
  socket.broadcast.fetchSockets().then((others) => expectType<Data>()(others[0].data));
});

async function fetch() {
  const sockets = await io.fetchSockets();
  expectType<RemoteSocket<ServerToClient, Data>[]>()(sockets);

  for (const socket of await io.of("/chat").in("room").except("other").fetchSockets()) {
    expectType<Data>()(socket.data);
    expectType<string>()(socket.id);
    expectType<Set<string>>()(socket.rooms);
    expectType<any>()(socket.handshake.auth.token);
    socket.emit("said", "me", "hello");
    socket.join(["a", "b"]);
    socket.leave("a");
    socket.disconnect(true);
    // @ts-expect-error: the copy cannot be replaced
    socket.data = { user: "me", roles: [] };
  }
}
fetch;

// untyped, data is anything
new Server().on("connection", (socket) => {
  expectType<any>()(socket.data);
  socket.data.anything = 1;
});

// helpers that ask for a certain type of data
function nameOf(socket: Socket<any, any, any, { user: string }>) {
  return socket.data.user;
}
io.on("connection", (socket) => expectType<string>()(nameOf(socket)));
new Server<ClientToServer, ServerToClient, InterServer, { age: number }>().on("connection", (socket) => {
  // @ts-expect-error: other data
  nameOf(socket);
});
