import type { Namespace, Server } from "../index";
import type { DefaultEventsMap, EventsMap } from "../types/typed-events";

/** What `io.of()` returns for a regular expression or a function: what is done to it is done to its children. */
export declare class ParentNamespace<
  ListenEvents extends EventsMap = DefaultEventsMap,
  EmitEvents extends EventsMap = ListenEvents,
  ServerSideEvents extends EventsMap = DefaultEventsMap,
  SocketData = any,
> extends Namespace<ListenEvents, EmitEvents, ServerSideEvents, SocketData> {
  /** @private */
  constructor(server: Server<ListenEvents, EmitEvents, ServerSideEvents, SocketData>);

  /** Makes a namespace with the middleware and the listeners of this one. */
  createChild(name: string): Namespace<ListenEvents, EmitEvents, ServerSideEvents, SocketData>;
}
