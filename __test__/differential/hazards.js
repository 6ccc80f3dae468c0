"use strict";

// What a native transport could easily break, and published vulnerabilities that both packages can be asked about.

const { AsyncLocalStorage } = require("node:async_hooks");
const { once } = require("node:events");
const { RawConnection, frame, upgradeRequest } = require("../support/raw-websocket");

const HANDSHAKE = "/socket.io/?EIO=4&transport=polling";

module.exports = [
  {
    name: "the request of a middleware is the one that sockets see",
    async run(stage) {
      const seen = new Set();
      stage.io.engine.use((req, res, next) => {
        req.session = { user: "me" };
        seen.add(req);
        next();
      });
      const { socket } = await stage.pair("client");
      stage.log(
        "server",
        seen.has(socket.request),
        socket.request.session,
        socket.request === socket.conn.request,
      );
      const polling = await stage.pair("polling", "/", { transports: ["polling"] });
      stage.log("server", seen.has(polling.socket.request), polling.socket.request.session);
    },
  },
  {
    name: "addresses before and after the end",
    not: { duplex: "such a stream has no address" },
    async run(stage) {
      const { client, socket } = await stage.pair("client");
      const { conn, handshake, request } = socket;
      stage.log(
        "server",
        handshake.address,
        conn.remoteAddress,
        request.socket.remoteAddress,
        request.connection === request.socket,
      );
      stage.log(
        "server",
        typeof request.socket.remotePort,
        request.socket.localAddress,
        request.socket.localPort === stage.port,
        request.socket.encrypted === true,
      );
      socket.on("disconnect", () => stage.log("server", "gone", conn.remoteAddress, handshake.address));
      client.disconnect();
      await stage.until("server", "gone");
    },
  },
  {
    name: "destroying the socket of the request",
    async run(stage) {
      const { socket } = await stage.pair("client");
      stage.watchSocket(socket);
      socket.request.socket.destroy();
      await stage.until("server", "disconnect ");
      await stage.until("client", "disconnect ");
    },
  },
  {
    name: "getConnections and the end of a client",
    not: { duplex: "such streams are not counted" },
    async run(stage) {
      const count = () =>
        new Promise((resolve) => stage.httpServer.getConnections((error, number) => resolve(number)));
      const ws = await stage.join("ws");
      stage.log("server", "connected", await count());
      ws.frame({ opcode: 8 });
      await ws.closed();
      await stage.eventually(async () => (await count()) === 0, "nobody is left");
      stage.log("server", "left", await count());
    },
  },
  {
    name: "httpServer.close() waits for WebSockets",
    not: { duplex: "the HTTP server does not listen there" },
    async run(stage) {
      const { client, socket } = await stage.pair("client");
      let isClosed = false;
      const closed = new Promise((resolve) => stage.httpServer.close(resolve)).then(() => (isClosed = true));
      socket.emit("still here");
      await stage.until("client", "event still here");
      stage.log("server", "closed", isClosed);
      client.disconnect();
      await closed;
      stage.log("server", "closed", isClosed);
    },
  },
  {
    name: "an AsyncLocalStorage entered in the connection handler",
    async run(stage) {
      const storage = new AsyncLocalStorage();
      let next = 0;
      stage.io.on("connection", (socket) => {
        const number = next++;
        storage.run(number, () => {
          socket.on("ev", () =>
            process.nextTick(() => stage.log(`server ${number}`, "store", storage.getStore())),
          );
        });
      });
      const a = await stage.pair("a");
      const b = await stage.pair("b");
      a.client.emit("ev");
      b.client.emit("ev");
      await stage.until("server 0", "store");
      await stage.until("server 1", "store");
    },
  },
  {
    name: "socket.data replaced by a Proxy",
    async run(stage) {
      stage.io.on("connection", (socket) => {
        socket.data = new Proxy(
          {},
          {
            set(target, key, value) {
              stage.log("server", "set", key, value);
              target[key] = value;
              return true;
            },
          },
        );
      });
      const { socket } = await stage.pair("client");
      socket.data.name = "me";
      const [remote] = await stage.io.fetchSockets();
      stage.log("server", "remote", remote.data.name);
    },
  },
  {
    name: "Socket.prototype.on is patched",
    async run(stage) {
      const { prototype } = stage.sio.Socket;
      const own = Object.getOwnPropertyDescriptor(prototype, "on");
      const { on } = prototype;
      prototype.on = function (event, listener) {
        return on.call(this, event, (...args) => {
          stage.log("server", "patched", event);
          return listener.apply(this, args);
        });
      };
      try {
        const { client, socket } = await stage.pair("client");
        socket.on("ev", (value) => stage.log("server", "ev", value));
        client.emit("ev", 1);
        await stage.until("server", "ev 1");
      } finally {
        if (own) {
          Object.defineProperty(prototype, "on", own);
        } else {
          delete prototype.on;
        }
      }
    },
  },
  {
    name: "every packet is listened to, as a user interface for administrators does",
    async run(stage) {
      stage.io.engine.on("connection", (conn) => {
        conn.on("packet", ({ type, data }) => stage.log("conn", "in", type, data));
        conn.on("packetCreate", ({ type, data }) => stage.log("conn", "out", type, data));
      });
      const { client, socket } = await stage.pair("client");
      client.emit("in", 1);
      await stage.until("conn", 'in "message"', 2);
      socket.emit("out", 2);
      stage.io.emit("all", Buffer.from([1]));
      socket.join("r");
      stage.io.to("r").emit("room");
      await stage.until("client", "event room");
    },
  },
  {
    name: "what is done in one tick keeps its order",
    async run(stage) {
      const { socket } = await stage.pair("a");
      const other = await stage.pair("b");
      for (let i = 0; i < 10; i++) {
        socket.emit("n", i);
        stage.io.emit("all", i);
        socket.join("r");
        stage.io.to("r").emit("room", i);
        socket.leave("r");
        stage.io.to("r").emit("nobody", i);
        other.socket.to(socket.id).emit("from b", i);
      }
      socket.disconnect(true);
      stage.io.emit("end");
      await stage.until("a", "disconnect ");
      await stage.until("b", "event end");
    },
  },
  {
    name: "packets behind the end are ignored",
    async run(stage) {
      stage.watchSockets();
      stage.io.on("connection", (socket) => {
        socket.on("leave", () => socket.disconnect());
        socket.on("after", () => stage.log("server", "not reached"));
      });
      const ws = await stage.join("ws");
      ws.text('42["leave"]');
      await stage.until("server", "disconnect ");
      await ws.count(3);
      ws.text('42["after"]');
      await ws.closed();
    },
  },
  {
    name: "the public id is another than that of the session, and both have the usual form",
    async run(stage) {
      const { socket } = await stage.pair("client");
      stage.log(
        "server",
        socket.id !== socket.conn.id,
        /^[\w-]{20}$/.test(socket.id),
        /^[\w-]{20}$/.test(socket.conn.id),
        socket.client.id === socket.conn.id,
      );
    },
  },
  {
    name: "upgrades that are refused, then reset",
    async run(stage) {
      for (const path of [
        "/socket.io/?EIO=4&transport=nope",
        "/socket.io/?EIO=4&transport=websocket&sid=nope",
        "/socket.io/?EIO=3&transport=websocket",
        "/socket.io/?EIO=4&transport=websocket",
      ]) {
        for (let i = 0; i < 5; i++) {
          const connection = new RawConnection(stage.server);
          const event = stage.server.secure ? "secureConnect" : "connect";
          await new Promise((resolve) => connection.socket.once(event, resolve));
          await new Promise((resolve) => connection.socket.write(upgradeRequest(path), resolve));
          connection.reset();
        }
      }
      await stage.eventually(() => stage.io.engine.clientsCount === 0, "no session is left");
      await stage.http("still served", { path: HANDSHAKE });
    },
  },
  {
    name: "a broken frame right behind the answer",
    async run(stage) {
      const ws = await stage.upgrade("ws");
      ws.write(frame({ payload: "6", rsv: 1 }));
      await ws.closed();
    },
  },
  {
    name: "bad packets to a server that listens to nothing",
    async run(stage) {
      for (const [i, packet] of [
        "4x",
        "42{}",
        '42["a"',
        "40[]",
        "41{}",
        "431{}",
        "45-",
        "4511-[]",
        "4",
        "44[]",
        "9",
        "2",
      ].entries()) {
        const ws = await stage.join(`ws ${i}`);
        ws.text(packet);
        await ws.closed();
      }
      await stage.http("still served", { path: HANDSHAKE });
    },
  },
  ...["end", "destroySoon", "destroy"].map((method) => ({
    name: `the application calls ${method}() of a WebSocket's connection`,
    async run(stage) {
      stage.watchSockets();
      const options = { transports: ["websocket"], reconnection: false };
      const { socket } = await stage.pair("client", "/", options);
      const released = once(socket.request.socket, "close");
      socket.request.socket[method]();
      await stage.until("client", "disconnect");
      await stage.until("server", "disconnect ");
      await released;
    },
    not: method === "destroySoon" ? { duplex: "such a stream has no such method" } : undefined,
  })),
  {
    name: "connections that were remembered when they came are ended, and the HTTP server closes",
    async run(stage) {
      const sockets = new Set();
      stage.httpServer.on("connection", (socket) => sockets.add(socket));
      const { client } = await stage.pair("client", "/", { transports: ["websocket"], reconnection: false });
      const closed = new Promise((resolve) => stage.httpServer.close(resolve));
      for (const socket of sockets) socket.end();
      await closed;
      await stage.until("client", "disconnect");
      stage.log("client", "connected", client.connected);
    },
  },
];
