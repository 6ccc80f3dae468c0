"use strict";

// Clients of revision 3 of Engine.IO, with the option allowEIO3.

const options = { allowEIO3: true };
const type = { "Content-Type": "text/plain;charset=UTF-8" };

/** A polling client of old; everything that it gets is logged. */
class OldPolling {
  constructor(stage, query = "") {
    this.stage = stage;
    this.path = `/socket.io/?EIO=3&transport=polling${query}`;
  }

  /** Opens a session, and has seen the CONNECT packet of the main namespace. */
  async open() {
    const { body, bytes } = await this.stage.server.request({ path: this.path });
    const text = bytes[0] < 2 ? bytes.toString("latin1") : body;
    this.sid = /sid[^\w]+([\w-]{20})/.exec(text)[1];
    // whether the CONNECT packet comes with the handshake depends on timing
    if (!/40/.test(text.slice(text.indexOf("}") + 1))) {
      await this.stage.server.request({ path: `${this.path}&sid=${this.sid}` });
    }
    return this;
  }

  poll() {
    return this.stage.http("client", { path: `${this.path}&sid=${this.sid}` });
  }

  post(body, headers = type) {
    return this.stage.http("client", { method: "POST", path: `${this.path}&sid=${this.sid}`, body, headers });
  }
}

const payload = (...packets) => packets.map((packet) => `${packet.length}:${packet}`).join("");

function echo({ io, log }) {
  io.on("connection", (socket) => {
    socket.on("echo", (...args) => {
      const answer = args.filter((arg) => typeof arg !== "function");
      socket.emit("echo", ...answer);
      args.find((arg) => typeof arg === "function")?.(...answer);
    });
    socket.on("disconnect", (reason) => log("server", "disconnect", reason));
    log(
      "server",
      "connection",
      socket.nsp.name,
      socket.handshake.auth,
      socket.conn.protocol,
      socket.handshake.query.EIO,
    );
  });
}

const polls = (name, packets, query = "") => ({
  name: `polling: ${name}`,
  options,
  async run(stage) {
    echo(stage);
    const client = await new OldPolling(stage, query).open();
    await client.post(payload(...packets));
    await client.poll();
  },
});

const sockets = (name, run, query = "") => ({
  name: `WebSocket: ${name}`,
  options,
  async run(stage) {
    echo(stage);
    const ws = await stage.ws("client", { query: `EIO=3&transport=websocket${query}` });
    stage.watch("conn", stage.io.engine.clients[ws.sid], "close", "packet");
    await ws.count(2);
    await run(ws, stage);
  },
});

module.exports = [
  {
    name: "polling: the handshake",
    options,
    async run(stage) {
      echo(stage);
      const { headers, status, body } = await stage.server.request({
        path: "/socket.io/?EIO=3&transport=polling",
      });
      // whether the CONNECT packet comes with it depends on timing
      stage.log("client", status, headers["content-type"], body.replace(/}.*/, "}"));
    },
  },
  polls("an event", ['42["echo","a",1]']),
  polls("lengths are those of UTF-16", ['42["echo","é😀"]']),
  polls("several packets", ['42["echo",1]', '42["echo",2]']),
  polls("an ack", ['425["echo","x"]']),
  polls("a ping", ["2"]),
  polls("a ping with data", ["2probe"]),
  polls("base64", ['451-["echo",{"_placeholder":true,"num":0}]', "b4AQID"], "&b64=1"),
  polls("binary data in binary frames", ['451-["echo",{"_placeholder":true,"num":0}]', "b4AQID"]),
  polls("an event with b64", ['42["echo","é"]'], "&b64=1"),
  ...["", "x", "4:42", "1:9", "99999999999999999999:4", "-1:4", "3:42[", ":", "1:1"].map((body) => ({
    name: `polling: the body ${JSON.stringify(body)}`,
    options,
    async run(stage) {
      echo(stage);
      const client = await new OldPolling(stage).open();
      await client.post(body);
      await client.poll();
    },
  })),
  {
    name: "polling: a body of binary frames",
    options,
    async run(stage) {
      echo(stage);
      const client = await new OldPolling(stage).open();
      const text = '42["echo","bin"]';
      const body = Buffer.concat([Buffer.from([0, 1, 6, 255]), Buffer.from(text)]);
      await client.post(body, { "Content-Type": "application/octet-stream" });
      await client.poll();
    },
  },
  {
    name: "polling: JSONP",
    options,
    async run(stage) {
      echo(stage);
      const client = await new OldPolling(stage, "&j=7").open();
      const packet = '42["echo","a\\nb\u2028</script>"]';
      const body = `d=${encodeURIComponent(payload(packet).replaceAll("\\n", "\\\\n"))}`;
      await client.post(body, { "Content-Type": "application/x-www-form-urlencoded" });
      await client.poll();
    },
  },
  {
    name: "polling: two polls at once",
    options,
    async run(stage) {
      echo(stage);
      const client = await new OldPolling(stage).open();
      const first = stage.http("first", { path: `${client.path}&sid=${client.sid}` });
      await stage.eventually(() => stage.io.engine.clients[client.sid].transport.writable, "a poll is open");
      await stage.http("second", { path: `${client.path}&sid=${client.sid}` });
      await first;
    },
  },
  {
    name: "polling: EIO=4 on a session of EIO=3",
    options,
    async run(stage) {
      const client = await new OldPolling(stage).open();
      await stage.http("client", { path: `/socket.io/?EIO=4&transport=polling&sid=${client.sid}` });
    },
  },
  {
    name: "an upgrade",
    options,
    async run(stage) {
      echo(stage);
      const client = await new OldPolling(stage).open();
      const ws = await stage.upgrade("ws", { query: `EIO=3&transport=websocket&sid=${client.sid}` });
      ws.text("2probe");
      await ws.count(1);
      ws.text("5");
      ws.text('42["echo","over it"]');
      await ws.count(2);
    },
  },
  sockets("events and an ack", async (ws) => {
    ws.text('42["echo","é"]');
    await ws.count(3);
    ws.text('423["echo",{"a":1}]');
    await ws.count(5);
  }),
  sockets("pings", async (ws, stage) => {
    ws.text("2");
    await ws.count(3);
    ws.text("2probe");
    await ws.count(4);
    await stage.until("conn", "ping", 2);
  }),
  sockets("binary data", async (ws) => {
    ws.text('451-["echo",{"_placeholder":true,"num":0}]');
    ws.binary(Buffer.from([4, 1, 2]));
    await ws.count(4);
  }),
  sockets(
    "binary data as base64",
    async (ws) => {
      ws.text('451-["echo",{"_placeholder":true,"num":0}]');
      ws.text("b4AQID");
      await ws.count(4);
    },
    "&b64=1",
  ),
  sockets("a namespace with a query", async (ws, stage) => {
    stage.io
      .of("/chat")
      .on("connection", ({ handshake, nsp }) => stage.log("chat", "connection", nsp.name, handshake.auth));
    ws.text("40/chat?token=a%20b&x=1,");
    await ws.count(3);
    stage.io.of("/chat").emit("hello");
    await ws.count(4);
  }),
  sockets("an unknown namespace, and one that refuses", async (ws, stage) => {
    stage.io.of("/closed").use((socket, next) => next(Object.assign(new Error("closed"), { data: 1 })));
    ws.text("40/nope,");
    await ws.count(3);
    ws.text("40/closed,");
    await ws.count(4);
  }),
  sockets("a broadcast next to a client of today", async (ws, stage) => {
    const today = await stage.join("today");
    stage.io.emit("all", "é", Buffer.from([1]));
    await ws.count(4);
    await today.count(4);
  }),
  ...["9", "4", "42{}", "3"].map((packet) =>
    sockets(`the packet ${packet} ends the session`, async (ws, stage) => {
      ws.text(packet);
      await stage.until("conn", "close");
      await ws.closed();
    }),
  ),
  ...["1", "41", "0", "5", "6"].map((packet) =>
    sockets(`the packet ${packet} does not`, async (ws, stage) => {
      ws.text(packet);
      ws.text("2");
      await ws.count(3);
      await stage.until("conn", "ping");
    }),
  ),
  {
    name: "a client that sends no pings",
    options: { ...options, pingInterval: 15, pingTimeout: 15 },
    async run(stage) {
      echo(stage);
      const ws = await stage.ws("client", { query: "EIO=3&transport=websocket" });
      await stage.until("server", "disconnect ");
      await ws.closed();
    },
  },
  {
    name: "a middleware refuses the main namespace",
    options,
    async run(stage) {
      stage.io.use((socket, next) => next(new Error("no")));
      const ws = await stage.ws("client", { query: "EIO=3&transport=websocket" });
      await ws.count(2);
    },
  },
];
