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
import { check } from "./helpers.js";
import type { Equal } from "./helpers.js";

check<Equal<typeof all.Server, typeof Server>>();
check<Equal<all.Socket, Socket>>();
check<Equal<all.Namespace, Namespace>>();

const io = new Server();
io.on("connection", (socket: Socket) => socket.id);

const { Server: Imported } = await import("sockeye.io");
check<Equal<typeof Imported, typeof Server>>();

export type All = [
  BroadcastOperator<{}, any>,
  DefaultEventsMap,
  DisconnectReason,
  Event,
  ExtendedError,
  RemoteSocket<{}, any>,
  ServerOptions,
];
