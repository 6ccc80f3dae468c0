import type { DisconnectReason, Namespace, Socket } from "../index";
import type { EventsMap } from "./typed-events";

/** The events that a namespace emits by itself. */
export interface NamespaceReservedEventsMap<
  ListenEvents extends EventsMap,
  EmitEvents extends EventsMap,
  ServerSideEvents extends EventsMap,
  SocketData,
> {
  /** The same as `connection`. */
  connect: (socket: Socket<ListenEvents, EmitEvents, ServerSideEvents, SocketData>) => void;
  /** A client has joined the namespace. */
  connection: (socket: Socket<ListenEvents, EmitEvents, ServerSideEvents, SocketData>) => void;
}

/** The events that a server emits by itself. */
export interface ServerReservedEventsMap<
  ListenEvents extends EventsMap,
  EmitEvents extends EventsMap,
  ServerSideEvents extends EventsMap,
  SocketData,
> extends NamespaceReservedEventsMap<ListenEvents, EmitEvents, ServerSideEvents, SocketData> {
  /** A namespace other than the main one has come into being. */
  new_namespace: (namespace: Namespace<ListenEvents, EmitEvents, ServerSideEvents, SocketData>) => void;
}

/** The events that a socket emits by itself. */
export interface SocketReservedEventsMap {
  /** The client is gone; its rooms have been left. */
  disconnect: (reason: DisconnectReason, description?: any) => void;
  /** The client is about to be gone; `socket.rooms` still tells where it was. */
  disconnecting: (reason: DisconnectReason, description?: any) => void;
  /** A packet was malformed, or one of the socket's middleware functions refused it. */
  error: (err: Error) => void;
}
