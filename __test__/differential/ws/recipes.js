"use strict";

// What the documentation of ws shows, done in our own words.

const http = require("node:http");

const opened = async (stage, actor, options) => {
  const client = stage.client(actor, options);
  await stage.once(client, "open");
  return client;
};

/** Everybody is told, or everybody else. */
const broadcast = (name, but) => ({
  name: `a broadcast to ${name}`,
  async run(stage) {
    const wss = await stage.serve();
    wss.on("connection", (socket) => {
      socket.on("message", (data, isBinary) => {
        for (const other of wss.clients) {
          if (other.readyState === stage.ws.WebSocket.OPEN && !but(other, socket)) {
            other.send(data, { binary: isBinary });
          }
        }
      });
    });
    const clients = [];
    for (const actor of ["a", "b", "c"]) {
      clients.push(await opened(stage, actor));
    }
    clients[0].send("to you");
    await stage.until("b", "to you");
    clients[1].send(Buffer.from([1, 2, 3]));
    await stage.until("c", "Buffer 010203");
    await stage.until("a", "Buffer 010203");
    clients[2].close();
    await stage.over("c");
    clients[0].send("without you");
    await stage.until("b", "without you");
    wss.clients.forEach((socket) => socket.close(1001));
    await stage.over("a", "b");
  },
});

module.exports = [
  {
    name: "a simple server",
    async run(stage) {
      const wss = await stage.serve();
      wss.on("connection", (socket) => {
        socket.on("error", (error) => stage.log("server", error));
        socket.on("message", (data) => stage.log("server", "received: %s", data.toString()));
        socket.send("something");
      });
      const client = await opened(stage, "client");
      client.send("something else");
      await stage.until("server", "received");
      await stage.until("client", "message");
      client.close();
      await stage.over("client");
    },
  },
  {
    name: "floats as binary data",
    async run(stage) {
      const wss = await stage.serve();
      wss.on("connection", (socket) => {
        socket.binaryType = "arraybuffer";
        socket.on("message", (data) => {
          const floats = [...new Float32Array(data)];
          stage.log("server", floats);
          socket.send(new Float32Array(floats.map((one) => 2 * one)));
        });
      });
      const client = await opened(stage, "client");
      client.send(Float32Array.from({ length: 5 }, (_, i) => i / 2));
      await stage.until("client", "message");
      client.close();
      await stage.over("client");
    },
  },
  {
    name: "a server for HTTPS and WebSocket",
    async run(stage) {
      const server = await stage.listen((req, res) => res.end("hello"), { secure: true });
      const wss = stage.make({ server });
      wss.on("connection", (socket) => {
        socket.on("message", (data) => stage.log("server", data.toString()));
        socket.send("something");
      });
      const client = await opened(stage, "client", { secure: true });
      client.send("secret");
      await stage.until("server", "secret");
      await stage.request("browser", { secure: true });
      client.close();
      await stage.over("client");
    },
  },
  {
    name: "two WebSocketServers share an HTTP server",
    async run(stage) {
      const server = await stage.listen();
      const servers = { "/foo": stage.make({ noServer: true }), "/bar": stage.make({ noServer: true }) };
      for (const [path, wss] of Object.entries(servers)) {
        stage.watchServer(wss, path);
        wss.on("connection", (socket) => socket.send(`welcome to ${path}`));
      }
      server.on("upgrade", (req, socket, head) => {
        const { pathname } = new URL(req.url, "ws://base.example");
        const wss = servers[pathname];
        if (wss === undefined) {
          socket.destroy();
        } else {
          wss.handleUpgrade(req, socket, head, (ws) => wss.emit("connection", ws, req));
        }
      });
      const foo = await opened(stage, "foo", { path: "/foo?a=1" });
      const bar = await opened(stage, "bar", { path: "/bar" });
      await stage.until("foo", "message");
      await stage.until("bar", "message");
      const other = await stage.handshake("other", { path: "/other" });
      stage.log("other", "status", other.status);
      foo.send("to foo");
      bar.send("to bar");
      await stage.until("/foo", "message");
      await stage.until("/bar", "message");
      stage.log("sizes", servers["/foo"].clients.size, servers["/bar"].clients.size);
      foo.close();
      bar.close();
      await stage.over("foo", "bar", "/foo", "/bar");
    },
  },
  {
    name: "clients that are authenticated",
    async run(stage) {
      const server = await stage.listen();
      const wss = stage.make({ noServer: true });
      const onSocketError = (error) => stage.log("server", "socket error", error);
      const authenticate = (req, next) => {
        const user = new URL(req.url, "ws://base.example").searchParams.get("user");
        setImmediate(() => (user === null ? next(new Error("who?")) : next(undefined, user)));
      };
      server.on("upgrade", (req, socket, head) => {
        socket.on("error", onSocketError);
        authenticate(req, (error, user) => {
          if (error) {
            socket.write("HTTP/1.1 401 Unauthorized\r\n\r\n");
            socket.destroy();
            return;
          }
          socket.removeListener("error", onSocketError);
          wss.handleUpgrade(req, socket, head, (ws) => wss.emit("connection", ws, req, user));
        });
      });
      wss.on("connection", (socket, req, user) => {
        socket.on("message", (data) => stage.log("server", `${user} says ${data}`, req.url));
      });
      const refused = stage.client("refused");
      await stage.over("refused");
      stage.log("refused", "state", refused.readyState);
      const client = await opened(stage, "client", { path: "/?user=ann" });
      client.send("hello");
      await stage.until("server", "ann says");
      client.close();
      await stage.over("client");
    },
  },
  {
    name: "clients that are authenticated by verifyClient and a cookie",
    async run(stage) {
      const wss = await stage.serve({
        verifyClient: ({ req }, done) => {
          const isKnown = req.headers.cookie === "session=1";
          setImmediate(done, isKnown, 403, "no session", { "Set-Cookie": "session=; Max-Age=0" });
        },
      });
      wss.on("connection", (socket, req) => socket.send(req.headers.cookie));
      stage.client("refused");
      await stage.over("refused");
      const client = await opened(stage, "client", { headers: { Cookie: "session=1" } });
      await stage.until("client", "message");
      client.close();
      await stage.over("client");
    },
  },
  broadcast("all", () => false),
  broadcast("all but the sender", (other, socket) => other === socket),
  {
    name: "how long it takes to and fro",
    async run(stage) {
      const wss = await stage.serve();
      wss.on("connection", (socket) => {
        socket.on("message", (data) => socket.send(Number(data)));
      });
      const client = await opened(stage, "client");
      client.removeAllListeners("message");
      for (let i = 0; i < 3; i++) {
        client.send(Date.now());
        const [data] = await stage.once(client, "message");
        const time = Date.now() - Number(data);
        stage.log("client", "a sound time", time >= 0 && time < 10_000);
      }
      client.close();
      await stage.over("client");
    },
  },
  {
    name: "the address of a client",
    async run(stage) {
      const wss = await stage.serve();
      wss.on("connection", (socket, req) => {
        const { remoteAddress, remotePort, localAddress, localPort } = req.socket;
        stage.log("server", remoteAddress, typeof remotePort, localAddress, localPort);
        socket.send(remoteAddress);
        setImmediate(() => stage.log("server", "later", req.socket.remoteAddress));
      });
      const client = await opened(stage, "client");
      await stage.until("server", "later");
      await stage.until("client", "message");
      client.close();
      await stage.over("client");
    },
  },
  {
    name: "the address of a client behind a proxy",
    async run(stage) {
      const wss = await stage.serve();
      wss.on("connection", (socket, req) => {
        socket.send(req.headers["x-forwarded-for"].split(",")[0].trim());
      });
      const client = await opened(stage, "client", {
        headers: { "X-Forwarded-For": "203.0.113.7, 10.0.0.1" },
      });
      await stage.until("client", "message");
      client.close();
      await stage.over("client");
    },
  },
  {
    name: "broken connections are noticed",
    async run(stage) {
      const wss = await stage.serve();
      wss.on("connection", (socket, req) => {
        const actor = req.url;
        socket.isAlive = true;
        socket.on("pong", function () {
          this.isAlive = true;
          stage.log(actor, "pong");
        });
        socket.on("close", (code) => stage.log(actor, "close", code));
      });
      const look = () => {
        wss.clients.forEach((socket) => {
          if (!socket.isAlive) {
            socket.terminate();
            return;
          }
          socket.isAlive = false;
          socket.ping();
        });
      };
      const good = await opened(stage, "good", { path: "/good" });
      await stage.handshake("silent", { path: "/silent" });
      for (let i = 1; i <= 3; i++) {
        look();
        await stage.until("/good", "pong", i);
      }
      await stage.until("/silent", "close");
      await stage.eventually(() => wss.clients.size === 1, "one client");
      good.close();
      await stage.until("/good", "close");
      await stage.over("good");
    },
  },
  {
    name: "a client that notices that its server is gone",
    async run(stage) {
      const wss = await stage.serve();
      const client = await opened(stage, "client");
      let timer;
      const heard = () => {
        clearTimeout(timer);
        timer = setTimeout(() => client.terminate(), 100);
      };
      client.on("ping", heard);
      client.on("close", () => clearTimeout(timer));
      for (const socket of wss.clients) {
        socket.ping();
      }
      await stage.until("client", "ping");
      await stage.over("client");
    },
  },
  {
    name: "an echo as a stream",
    async run(stage) {
      const wss = await stage.serve();
      wss.on("connection", (socket) => {
        const duplex = stage.ws.createWebSocketStream(socket, { encoding: "utf8", decodeStrings: false });
        duplex.on("error", (error) => stage.log("server", error));
        duplex.pipe(duplex);
      });
      const client = await opened(stage, "client");
      client.send("to and fro");
      await stage.until("client", "message");
      client.close();
      await stage.over("client");
    },
  },
  {
    name: "a chat with names, by JSON",
    async run(stage) {
      const wss = await stage.serve({ path: "/chat", maxPayload: 1000 });
      const names = new Map();
      wss.on("connection", (socket) => {
        socket.on("message", (data) => {
          const { type, text } = JSON.parse(data);
          if (type === "name") {
            names.set(socket, text);
          } else {
            const message = JSON.stringify({ from: names.get(socket), text });
            wss.clients.forEach((other) => other.send(message));
          }
        });
        socket.on("close", () => {
          stage.log("server", "left", names.get(socket));
          names.delete(socket);
        });
      });
      const ann = await opened(stage, "ann", { path: "/chat" });
      const bob = await opened(stage, "bob", { path: "/chat" });
      ann.send(JSON.stringify({ type: "name", text: "Ann" }));
      ann.send(JSON.stringify({ type: "say", text: "hi, Bob" }));
      await stage.until("bob", "hi, Bob");
      bob.send(JSON.stringify({ type: "name", text: "Bob" }));
      bob.send(JSON.stringify({ type: "say", text: "hi, Ann" }));
      await stage.until("ann", "hi, Ann");
      ann.close();
      await stage.over("ann");
      await stage.until("server", "Ann");
      bob.close();
      await stage.over("bob");
      await stage.until("server", "Bob");
    },
  },
  {
    name: "a shutdown: clients are told, the rest is cut off",
    async run(stage) {
      const server = await stage.listen((req, res) => res.end("plain"));
      const wss = stage.make({ server, closeTimeout: 60_000 });
      const polite = await opened(stage, "polite");
      const silent = await stage.handshake("silent");
      await stage.eventually(() => wss.clients.size === 2, "two clients");
      wss.close(() => stage.log("server", "closed"));
      wss.clients.forEach((socket) => socket.close(1001, "shutdown"));
      await stage.over("polite");
      await stage.until("silent", "frame");
      wss.clients.forEach((socket) => socket.terminate());
      await silent.ended();
      await stage.until("server", "closed");
      await new Promise((resolve) => server.close(resolve));
      stage.log("server", "clients", wss.clients.size, polite.readyState);
    },
  },
  {
    name: "a server of HTTP whose upgrades are for somebody else as well",
    async run(stage) {
      const server = await stage.listen();
      const wss = stage.make({ noServer: true });
      stage.watchServer();
      server.on("upgrade", (req, socket, head) => {
        if (req.headers.upgrade === "echo") {
          socket.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n");
          socket.pipe(socket);
          return;
        }
        wss.handleUpgrade(req, socket, head, (ws) => wss.emit("connection", ws, req));
      });
      const request = http.get({
        host: "127.0.0.1",
        port: stage.port,
        headers: { Connection: "Upgrade", Upgrade: "echo" },
      });
      const [response, socket] = await stage.once(request, "upgrade");
      stage.log("echo", response.statusCode);
      socket.write("hello");
      const [data] = await stage.once(socket, "data");
      stage.log("echo", data.toString());
      socket.end();
      const client = await opened(stage, "client");
      client.close();
      await stage.over();
    },
  },
];
