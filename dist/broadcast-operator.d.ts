export type { BroadcastOperator, RemoteSocket } from "../index";
