import sockeye = require("sockeye.io");
import byDefault from "sockeye.io";
import * as all from "sockeye.io";
import { Namespace, Server, Socket } from "sockeye.io";
import type {
  BroadcastOperator,
  DefaultEventsMap,
  DisconnectReason,
  Event,
  ExtendedError,
  RemoteSocket,
  ServerOptions,
} from "sockeye.io";
import { check } from "./helpers";
import type { Equal } from "./helpers";

check<Equal<typeof sockeye.Server, typeof Server>>();
check<Equal<typeof byDefault.Server, typeof Server>>();
check<Equal<typeof all.Namespace, typeof Namespace>>();
check<Equal<all.Socket, Socket>>();
check<Equal<keyof typeof sockeye, "Server" | "Namespace" | "Socket">>();

const io: sockeye.Server = new sockeye.Server();
io.on("connection", (socket: Socket) => socket.id);

// types are no values
// @ts-expect-error: a type only
new sockeye.BroadcastOperator();
// @ts-expect-error: a type only
new sockeye.RemoteSocket();

export type All = [
  BroadcastOperator<{}, any>,
  DefaultEventsMap,
  DisconnectReason,
  Event,
  ExtendedError,
  RemoteSocket<{}, any>,
  ServerOptions,
];
