import { Namespace, Server, Socket } from "socket.io";
import type { BroadcastOperator, RemoteSocket } from "socket.io/dist/broadcast-operator";
import type { Client } from "socket.io/dist/client";
import type { Server as SameServer } from "socket.io/dist/index";
import type { ExtendedError, NamespaceReservedEventsMap } from "socket.io/dist/namespace";
import type { ParentNamespace } from "socket.io/dist/parent-namespace";
import type { Event, Socket as SameSocket } from "socket.io/dist/socket";
import type { DisconnectReason, Handshake } from "socket.io/dist/socket-types";
import {
  DefaultEventsMap,
  EventNames,
  EventParams,
  EventsMap,
  StrictEventEmitter,
} from "socket.io/dist/typed-events";
import { expectType } from "../helpers";

// properties of one's own
declare module "socket.io/dist/socket" {
  interface Socket {
    user: { name: string };
  }
}
declare module "socket.io/dist/socket-types" {
  interface Handshake {
    token: string;
  }
}
declare module "socket.io" {
  interface Socket {
    tenant: number;
  }
}

interface ClientToServer {
  say: (text: string) => void;
}

type AppServer = Server<ClientToServer, DefaultEventsMap, DefaultEventsMap, { name: string }>;

const io: AppServer = new Server();
expectType<SameServer<ClientToServer, DefaultEventsMap, DefaultEventsMap, { name: string }>>()(io);

io.use((socket, next: (err?: ExtendedError) => void) => {
  socket.user = { name: socket.handshake.token };
  socket.tenant = 1;
  expectType<Handshake>()(socket.handshake);
  next();
});

io.on("connection", (socket) => {
  expectType<SameSocket<ClientToServer, DefaultEventsMap, DefaultEventsMap, { name: string }>>()(socket);
  expectType<Client<ClientToServer, DefaultEventsMap, DefaultEventsMap>>()(socket.client);
  socket.on("disconnect", (reason) => expectType<DisconnectReason>()(reason));
  socket.use((event: Event, next) => next());
  // @ts-expect-error: no such event
  socket.on("shout", () => {});
});

expectType<BroadcastOperator<DefaultEventsMap, { name: string }>>()(io.to("room"));
io.fetchSockets().then((sockets) =>
  expectType<RemoteSocket<DefaultEventsMap, { name: string }>[]>()(sockets),
);

function createChild(parent: ParentNamespace): Namespace {
  return parent.createChild("/child");
}
createChild(io.of(/^\/child/) as unknown as ParentNamespace);

function relay<Emit extends EventsMap, Ev extends EventNames<Emit>>(
  socket: Socket<any, Emit>,
  ev: Ev,
  ...args: EventParams<Emit, Ev>
): boolean {
  return socket.emit(ev, ...args);
}
relay(null as unknown as Socket<any, ClientToServer>, "say", "hello");

const emitter: StrictEventEmitter<any, any> = io;
emitter;
type Listener = NamespaceReservedEventsMap<any, any, any, any>["connection"];
const listener: Listener = (socket) => socket.user;
listener;
