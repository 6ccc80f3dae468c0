import Stock, { WebSocketServer as StockServer } from "ws";
import byDefault, { createWebSocketStream, WebSocket, WebSocketServer } from "sockeye.io/ws";
import type { BroadcastOptions, RawData, ServerOptions } from "sockeye.io/ws";
import { check, expectType } from "./helpers.js";
import type { Equal } from "./helpers.js";

check<Equal<typeof byDefault, typeof WebSocket>>();
check<Equal<typeof byDefault.WebSocketServer, typeof WebSocketServer>>();

const options: ServerOptions = { port: 3000, heartbeat: true };
const wss: WebSocketServer = new WebSocketServer(options);
const how: BroadcastOptions = { binary: true };

wss.on("connection", (ws) => {
  expectType<WebSocket>()(ws);
  ws.on("message", (data: RawData) => wss.broadcast(data, { ...how, except: ws }));
  createWebSocketStream(ws).end();
});

export const stock: StockServer = wss;
export const ofStock: Stock = new WebSocket("ws://localhost:3000");
