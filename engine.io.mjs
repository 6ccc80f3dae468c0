import engine from "./engine.io.js";

export const { Server, uServer, Socket, Transport, transports, parser, protocol, listen, attach } = engine;
