"use strict";

// Gateways of NestJS. Its WsAdapter has ws's class, so a subclass makes the servers.

const assert = require("node:assert/strict");
const { connect } = require("../support");

exports.packages = ["@nestjs/platform-ws"];

exports.play = async ({ WebSocketServer, WebSocket }) => {
  require("reflect-metadata");
  const { Module } = require("@nestjs/common");
  const { NestFactory } = require("@nestjs/core");
  const websockets = require("@nestjs/websockets");
  const { WsAdapter } = require("@nestjs/platform-ws");
  const { of } = require("rxjs");

  class Adapter extends WsAdapter {
    create(port, { server, path, namespace: _namespace, ...options }) {
      if (server) return server;
      const isShared = port === 0 && this.httpServer;
      if (!isShared && !path) return this.bindErrorHandler(new WebSocketServer({ port, ...options }));
      const httpServer = this.ensureHttpServerExists(port, isShared ? this.httpServer : undefined);
      if (!isShared) httpServer?.listen(port);
      const wss = this.bindErrorHandler(new WebSocketServer({ noServer: true, ...options }));
      this.addWsServerToRegistry(wss, port, path);
      return wss;
    }
  }

  const left = [];
  class Gateway {
    handleConnection(client, request) {
      client.send(JSON.stringify({ event: "welcome", data: request.url }));
    }
    handleDisconnect() {
      left.push(this.server.clients.size);
    }
    echo(_client, data) {
      return { event: "echo", data };
    }
    stream() {
      return of({ event: "part", data: 1 }, { event: "part", data: 2 });
    }
    all(_client, data) {
      for (const client of this.server.clients) client.send(JSON.stringify({ event: "all", data }));
    }
  }
  for (const name of ["echo", "stream", "all"]) {
    const descriptor = Object.getOwnPropertyDescriptor(Gateway.prototype, name);
    websockets.SubscribeMessage(name)(Gateway.prototype, name, descriptor);
  }
  websockets.WebSocketServer()(Gateway.prototype, "server");
  websockets.WebSocketGateway({ path: "/chat" })(Gateway);
  class AppModule {}
  Module({ providers: [Gateway] })(AppModule);

  const app = await NestFactory.create(AppModule, { logger: false });
  app.useWebSocketAdapter(new Adapter(app));
  await app.listen(0, "127.0.0.1");
  const url = `ws://127.0.0.1:${app.getHttpServer().address().port}`;

  const clients = await Promise.all([1, 2, 3].map(() => connect(WebSocket, `${url}/chat`)));
  const say = (client, event, data) => client.send(JSON.stringify({ event, data }));
  const hear = async (client) => {
    const { event, data } = JSON.parse(await client.next());
    return [event, data];
  };
  for (const client of clients) assert.deepEqual(await hear(client), ["welcome", "/chat"]);
  say(clients[0], "echo", { deep: ["é", 1] });
  assert.deepEqual(await hear(clients[0]), ["echo", { deep: ["é", 1] }]);
  say(clients[1], "stream");
  assert.deepEqual(await hear(clients[1]), ["part", 1]);
  assert.deepEqual(await hear(clients[1]), ["part", 2]);
  clients[2].send("no json");
  say(clients[2], "unknown");
  say(clients[2], "all", "x".repeat(100_000));
  for (const client of clients) assert.deepEqual(await hear(client), ["all", "x".repeat(100_000)]);

  const stray = new WebSocket(`${url}/elsewhere`);
  await new Promise((resolve) => stray.on("error", resolve));
  clients[0].close();
  await clients[0].closed;
  await app.close();
  for (const client of clients.slice(1)) assert.equal((await client.closed).code, 1006);
  assert.equal(left.length, 3);
};
