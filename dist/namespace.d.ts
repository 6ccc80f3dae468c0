export { Namespace, type ExtendedError } from "../index";
export type { NamespaceReservedEventsMap, ServerReservedEventsMap } from "../types/reserved-events";

/** The events that no other server may cause here, since a namespace emits them by itself. */
export declare const RESERVED_EVENTS: ReadonlySet<string | Symbol>;
