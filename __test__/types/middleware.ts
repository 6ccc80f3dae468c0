import { Server } from "sockeye.io";
import type { ExtendedError, Socket } from "sockeye.io";
import { expectType } from "./helpers";
import type { ClientToServer, Data, InterServer, ServerToClient } from "./helpers";

const io = new Server<ClientToServer, ServerToClient, InterServer, Data>();

for (const source of [io, io.of("/chat")]) {
  source.use((socket, next) => {
    expectType<Socket<ClientToServer, ServerToClient, InterServer, Data>>()(socket);

    const err: ExtendedError = new Error("not authorized");
    err.data = { retryAfter: 60 };
    next();
    next(err);
    next(new TypeError());
    // @ts-expect-error: no error
    next("not authorized");
  });
  source.use(async (socket, next) => next());
}

// the namespace's functions can be written apart
function authorize(socket: Socket<any, any, any, Data>, next: (err?: ExtendedError) => void) {
  next(socket.data.roles.includes("admin") ? undefined : new Error("not authorized"));
}
io.use(authorize).of("/admin").use(authorize);

// Express middleware goes to the engine
io.engine.use((req: any, res: any, next: () => void) => next());

io.on("connection", (socket) => {
  socket
    .use((event, next) => {
      expectType<[string, ...any[]]>()(event);
      next(event[0] === "say" ? undefined : new Error("not authorized"));
    })
    .use(([name, ...args], next) => {
      expectType<string>()(name);
      expectType<any[]>()(args);
      next();
      // @ts-expect-error: no error
      next("not authorized");
    });
});
