import { createServer, type IncomingMessage } from "http";
import Stock = require("ws");
import WebSocket = require("sockeye.io/ws");
import { check, expectType } from "./helpers";
import type { Equal } from "./helpers";

const { WebSocketServer, createWebSocketStream } = WebSocket;

const options: WebSocket.ServerOptions = {
  server: createServer(),
  perMessageDeflate: { threshold: 1024 },
  closeTimeout: 1000,
  workers: 2,
  heartbeat: { interval: 1000 },
  limits: { packetsPerSecond: 100, action: "drop" },
  slowConsumer: { policy: "close", maxBytes: 1e6 },
  maxOutboundBuffer: 1e6,
  maxOutboundTotal: 1e9,
};

const wss = new WebSocketServer(options, () => {});

const chained = wss
  .on("connection", function (ws, request) {
    expectType<WebSocket>()(ws);
    expectType<IncomingMessage>()(request);
    expectType<void>()(ws.subscribe("news"));
    ws.unsubscribe("news");
    ws.publish("news", "text", { binary: false, compress: true });
    ws.on("message", (data, isBinary) => {
      expectType<WebSocket.RawData>()(data);
      wss.broadcast(data, { binary: isBinary, except: ws });
      wss.broadcast(new Uint8Array(1), { except: new Set([ws]) });
    }).on("close", (code, reason) => {
      expectType<number>()(code);
      expectType<Buffer>()(reason);
    });
    this.clients.forEach((client) => client.send("hello", { compress: false }, () => {}));
    createWebSocketStream(ws).pipe(process.stdout);
  })
  .once("slow_consumer", (ws, bytes, outcome) => {
    expectType<WebSocket>()(ws);
    expectType<number>()(bytes);
    expectType<"close" | "drop">()(outcome);
  })
  .addListener("limit", (ws, name) => {
    ws.terminate();
    expectType<"packetsPerSecond" | "bytesPerSecond">()(name);
  })
  .on("wsClientError", (error, socket) => socket.destroy(error))
  .on("of the application", (...args) => args.length);

expectType<typeof wss>()(chained);
expectType<number>()(wss.publish("news", Buffer.alloc(1), { except: [] }));
expectType<number>()(wss.subscribers("news"));
for (const client of wss.clients) expectType<WebSocket>()(client);

// what is meant for ws takes it
const asStock: Stock.WebSocketServer = wss;
const serverOf = (Server: typeof Stock.WebSocketServer) => new Server({ noServer: true });
serverOf(WebSocketServer);
const classOf = (Class: typeof Stock) => new Class("ws://localhost");
classOf(WebSocket);
asStock.on("connection", (ws: Stock) => ws.close());

// and what is written with the types of ws is taken
const stockOptions: Stock.ServerOptions = { port: 3000 };
new WebSocketServer({ ...stockOptions, WebSocket });
wss.on("connection", (ws: Stock, request: IncomingMessage) => ws.send(request.url ?? ""));
wss.broadcast("text", { except: new Stock(null) });
check<Equal<WebSocket.RawData, Stock.RawData>>();
check<Equal<WebSocket.ClientOptions, Stock.ClientOptions>>();

class Member extends WebSocket {
  name = "";
}
new WebSocketServer({ port: 3000, WebSocket: Member }).on("connection", (member) => {
  expectType<string>()(member.name);
  member.subscribe("news");
});

class Club extends WebSocketServer<typeof Member> {
  greet() {
    this.clients.forEach(({ name }) => this.broadcast(name));
  }
}
new Club({ port: 3000, WebSocket: Member }).greet();

const client: WebSocket = new WebSocket("ws://localhost:3000", ["chat"], { perMessageDeflate: false });
expectType<0 | 1 | 2 | 3>()(client.readyState);
expectType<1>()(WebSocket.OPEN);
check<Equal<typeof WebSocket.WebSocket, typeof WebSocket>>();
check<Equal<typeof WebSocket.Server, typeof WebSocketServer>>();

// @ts-expect-error: a topic is a text
client.subscribe(1);
// @ts-expect-error: no such action
new WebSocketServer({ port: 3000, limits: { action: "shout" } });
// @ts-expect-error: of Socket.IO only
new WebSocketServer({ port: 3000, limits: { namespaces: 1 } });
