import { createServer } from "http";
import { attach, listen, parser, protocol, Server, Socket, transports, uServer } from "sockeye.io/engine.io";
import type { ServerOptions } from "sockeye.io/engine.io";
import { expectType } from "./helpers";

const options: ServerOptions = { pingInterval: 1000 };

expectType<Server>()(attach(createServer(), { path: "/ws", ...options }));
expectType<Server>()(listen(3000, () => {}));
expectType<Server>()(listen(3000, options));
expectType<number>()(protocol);
expectType<string[]>()(transports.polling.upgradesTo);
parser.encodePayload([{ type: "noop" }], (payload: string) => payload);
new Server(options).on("connection", (conn) => expectType<boolean>()(conn instanceof Socket));
new uServer();

// @ts-expect-error: a port is a number
listen("3000");
