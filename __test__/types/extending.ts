import { Server, Socket } from "sockeye.io";
import type { ExtendedError } from "sockeye.io";
import { Adapter } from "socket.io-adapter";
import { expectType } from "./helpers";
import type { ClientToServer, ServerToClient } from "./helpers";
import type { EventNames, EventParams, EventsMap } from "../../types/typed-events";

// properties of one's own
declare module "sockeye.io" {
  interface Socket {
    user: { name: string };
  }
  interface ServerOptions {
    tenant?: string;
  }
}

new Server({ tenant: "a" }).use((socket, next) => {
  socket.user = { name: "someone" };
  next();
});

// classes of one's own
class CountingServer extends Server<ClientToServer, ServerToClient> {
  count = 0;

  constructor() {
    super({ serveClient: false });
    this.on("connection", () => this.count++);
  }

  override close(fn?: (err?: Error) => void) {
    this.count = 0;
    return super.close(fn);
  }

  announce() {
    this.emitReserved("new_namespace", this.of("/late"));
  }
}
expectType<number>()(new CountingServer().count);

class LoggingAdapter extends Adapter {
  override addAll(id: string, rooms: Set<string>) {
    console.log(id, rooms);
    return super.addAll(id, rooms);
  }
}
new Server({ adapter: LoggingAdapter }).of("/").adapter.on("create-room", (room: string) => room);

// code that does not know the maps
function relay<Emit extends EventsMap, Ev extends EventNames<Emit>>(
  socket: Socket<any, Emit>,
  ev: Ev,
  ...args: EventParams<Emit, Ev>
): boolean {
  return socket.emit(ev, ...args);
}

function onConnection<Listen extends EventsMap, Emit extends EventsMap>(
  io: Server<Listen, Emit>,
  fn: (socket: Socket<Listen, Emit>) => void,
) {
  io.on("connection", fn);
  io.in("room").disconnectSockets();
}

onConnection(new Server<ClientToServer, ServerToClient>(), (socket) => {
  relay(socket, "said", "me", "hello");
  // @ts-expect-error: an argument is missing
  relay(socket, "said", "me");
  const general: Socket = socket;
  general;
});

// internals that others hook into
new Server().on("connection", (socket) => {
  const onevent = socket["onevent"];
  socket["onevent"] = function (this: Socket, packet: unknown) {
    onevent.call(this, packet);
  };
  // @ts-expect-error: private
  socket.onevent;
  // @ts-expect-error: protected
  socket.emitReserved;
});

const err: ExtendedError = Object.assign(new Error(), { data: 1 });
err;
