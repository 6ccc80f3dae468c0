/** What one Socket.IO packet says. */
export declare enum PacketType {
  CONNECT = 0,
  DISCONNECT = 1,
  EVENT = 2,
  ACK = 3,
  CONNECT_ERROR = 4,
  BINARY_EVENT = 5,
  BINARY_ACK = 6,
}

/** One Socket.IO packet, before it is encoded or after it was decoded. */
export interface Packet {
  type: PacketType;
  /** Name of the namespace, `"/"` for the main one. */
  nsp: string;
  /** The event name and its arguments, the arguments of an acknowledgement, or the data of a CONNECT. */
  data?: any;
  /** Set if an acknowledgement is wanted, or given. */
  id?: number;
  /** How many binary attachments follow. */
  attachments?: number;
}

/** Turns packets into what goes over the wire. */
export interface Encoder {
  /** The text of the packet first, then its binary attachments. */
  encode(packet: Packet): any[];
}

/** Turns what came over the wire into packets, announced by its `decoded` event. */
export interface Decoder {
  /** Takes one piece of text, or one binary attachment. */
  add(chunk: any): void;
  /** Drops what it has of an unfinished packet. */
  destroy(): void;
  on(event: "decoded", listener: (packet: Packet) => void): this;
  off(event?: "decoded", listener?: (packet: Packet) => void): this;
}

/** The two halves of a packet format, as given to the `parser` option. */
export interface Parser {
  Encoder: new (...args: any[]) => Encoder;
  Decoder: new (...args: any[]) => Decoder;
  [key: string]: any;
}
