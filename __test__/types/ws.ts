import { createServer, IncomingMessage } from "node:http";
import { Duplex } from "node:stream";
import stockWebSocket, * as stock from "ws";
import ours, { createWebSocketStream, WebSocket, WebSocketServer } from "sockeye.io/ws";
import { expectType } from "./helpers";

// what is written for ws takes ours; the other way round, there is more in ours than ws has

function ofStock(wss: stock.WebSocketServer, ws: stock.WebSocket): void {
  wss.clients.forEach((client) => client.send("text"));
  ws.close(1000, "reason");
}

function ofOurs(wss: WebSocketServer, ws: WebSocket): void {
  wss.clients.forEach((client) => client.send("text"));
  ws.close(1000, "reason");
}

const wss = new WebSocketServer({ port: 0 });
const stockWss = new stock.WebSocketServer({ port: 0 });
const ws = new WebSocket("ws://localhost");
const stockWs = new stock.WebSocket("ws://localhost");

ofStock(wss, ws);
ofStock(wss, stockWs);
ofOurs(wss, ws);
// @ts-expect-error: it has no topics
ofOurs(stockWss, ws);
// @ts-expect-error: it subscribes to none
ofOurs(wss, stockWs);

const server: stock.WebSocketServer = wss;
const socket: stock.WebSocket = ws;
const constructor: typeof stock.WebSocketServer = WebSocketServer;
const defaultOne: typeof stockWebSocket = ours;
void [server, socket, constructor, defaultOne];

// options, events and methods

const options: stock.ServerOptions = {
  noServer: true,
  maxPayload: 1000,
  perMessageDeflate: { threshold: 10, serverNoContextTakeover: true },
  verifyClient: ({ origin, secure, req }, done) =>
    done(secure && origin === req.url, 401, "no", { "X-A": "b" }),
  handleProtocols: (protocols) => protocols.has("a") && "a",
};

new WebSocketServer(options, () => {});
new WebSocketServer({ server: createServer() });

wss.on("connection", (socket, req) => {
  expectType<IncomingMessage>()(req);
  socket.on("message", (data, isBinary) => {
    expectType<stock.RawData>()(data);
    expectType<boolean>()(isBinary);
    socket.send(data, { binary: isBinary, compress: false, fin: true }, (error) => error?.message);
  });
  socket.on("close", (code, reason) => {
    expectType<number>()(code);
    reason.toString();
  });
  socket.ping("x");
  socket.pause();
  socket.binaryType = "arraybuffer";
  expectType<string>()(socket.protocol);
  expectType<boolean>()(socket.isPaused);
});
wss.on("headers", (lines, req) => lines.push(`X-Url: ${req.url}`));
wss.on("wsClientError", (error, socket, req) => socket.end(`${error.message} ${req.url}`));

createServer().on("upgrade", (req, socket, head) => {
  wss.handleUpgrade(req, socket, head, (ws) => wss.emit("connection", ws, req));
});

expectType<Duplex>()(createWebSocketStream(ws, { encoding: "utf8" }));
expectType<0>()(WebSocket.CONNECTING);
expectType<3>()(ws.CLOSED);

// @ts-expect-error: a port is a number
new WebSocketServer({ port: "3000" });

// @ts-expect-error: a code is a number
ws.close("1000");
