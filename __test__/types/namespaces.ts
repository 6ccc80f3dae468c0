import { Namespace, Server, Socket } from "sockeye.io";
import { expectType } from "./helpers";
import type { ClientToServer, Data, InterServer, ServerToClient } from "./helpers";

const io = new Server<ClientToServer, ServerToClient, InterServer, Data>();
const chat = io.of("/chat");

expectType<Namespace<ClientToServer, ServerToClient, InterServer, Data>>()(chat);
expectType<Namespace<ClientToServer, ServerToClient, InterServer, Data>>()(io.sockets);
expectType<string>()(chat.name);
expectType<Map<string, Socket<ClientToServer, ServerToClient, InterServer, Data>>>()(chat.sockets);
expectType<Server<ClientToServer, ServerToClient, InterServer, Data>>()(chat.server);
expectType<boolean>()(chat.emit("said", "me", "hello"));
expectType<Map<string, Set<string>>>()(chat.adapter.rooms);

chat.on("connection", (socket) => {
  expectType<Socket<ClientToServer, ServerToClient, InterServer, Data>>()(socket);
  socket.nsp.emit("said", "me", "hello");
});
chat.on("connect", (socket) => expectType<string>()(socket.data.user));
// @ts-expect-error: reserved
chat.emit("connection", 1);
// @ts-expect-error: only a server announces namespaces
chat.on("new_namespace", () => {});

io.on("new_namespace", (namespace) => {
  expectType<Namespace<ClientToServer, ServerToClient, InterServer, Data>>()(namespace);
});

// on demand
io.of(/^\/tenant-\d+$/).on("connection", (socket) => expectType<string>()(socket.nsp.name));
io.of(
  (name, auth, next) => {
    expectType<string>()(name);
    expectType<any>()(auth.token);
    next(null, true);
    next(new Error("no such tenant"), false);
    // @ts-expect-error: the decision is missing
    next(null);
  },
  (socket) => expectType<string[]>()(socket.data.roles),
);
// @ts-expect-error: neither a name nor something that tells names
io.of(1);

// rooms
chat.socketsJoin("a");
chat.socketsLeave(["a", "b"]);
chat.disconnectSockets(true);
io.in(["a", "b"]).socketsJoin("c");
chat.allSockets().then((ids) => expectType<Set<string>>()(ids));
chat.on("connection", async (socket) => {
  expectType<void | Promise<void>>()(socket.join(["a", "b"]));
  await socket.leave("a");
  expectType<Set<string>>()(socket.rooms);
  // @ts-expect-error: one room at a time
  socket.leave(["a", "b"]);
  // @ts-expect-error: rooms are strings
  socket.join(1);
});
