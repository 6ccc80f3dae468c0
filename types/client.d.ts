import type { IncomingMessage } from "http";
import type { Server, Socket } from "../index";
import type { Socket as RawSocket } from "./engine";
import type { Packet } from "./packet";
import type { EventsMap } from "./typed-events";

interface WriteOptions {
  compress?: boolean;
  volatile?: boolean;
  preEncoded?: boolean;
  wsPreEncoded?: string;
}

/** One connection, which the sockets of all namespaces that its client has joined share. */
export declare class Client<
  ListenEvents extends EventsMap,
  EmitEvents extends EventsMap,
  ServerSideEvents extends EventsMap,
  SocketData = any,
> {
  /** The Engine.IO connection below. */
  readonly conn: RawSocket;

  private readonly id;
  private readonly server;
  private readonly encoder;
  private readonly decoder;
  private sockets;
  private nsps;
  private connectTimeout?;

  /** @private */
  constructor(server: Server<ListenEvents, EmitEvents, ServerSideEvents, SocketData>, conn: RawSocket);

  /** The HTTP request that opened the connection. */
  get request(): IncomingMessage;

  private setup;
  private connect;
  private doConnect;

  /** @private */
  _disconnect(): void;

  /** @private */
  _remove(socket: Socket<ListenEvents, EmitEvents, ServerSideEvents, SocketData>): void;

  private close;

  /** @private */
  _packet(packet: Packet | Packet[], opts?: WriteOptions): void;

  private writeToEngine;
  private ondata;
  private ondecoded;
  private _parseNamespace;
  private onerror;
  private onclose;
  private destroy;
}

export {};
