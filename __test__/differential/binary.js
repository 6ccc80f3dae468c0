"use strict";

// Binary data in both directions, on both transports.

const VALUES = {
  "a Buffer": [Buffer.from([1, 2, 3])],
  "an empty Buffer": [Buffer.alloc(0)],
  "a Uint8Array": [new Uint8Array([1, 2])],
  "typed arrays": [new Uint16Array([1, 2]), new Float64Array([1.5]), new DataView(new ArrayBuffer(3))],
  "an ArrayBuffer": [new Uint8Array([9, 8]).buffer],
  "a view of a part": [Buffer.from([0, 1, 2, 3]).subarray(1, 3), new Uint8Array(new ArrayBuffer(8), 2, 3)],
  "nested and mixed": [{ a: [Buffer.from([1]), { b: Buffer.from([2]) }], c: "text" }, 7, Buffer.from([3])],
  "one Buffer twice": (() => {
    const buffer = Buffer.from([5]);
    return [buffer, { again: buffer }];
  })(),
  "an object with toJSON that gives a Buffer": [{ toJSON: () => Buffer.from([4]) }],
  "dates and null next to it": [new Date(0), null, Buffer.from([1])],
  "126 bytes": [Buffer.alloc(126, 1)],
  "70,000 bytes": [Buffer.alloc(70_000, 2)],
  "all bytes": [Buffer.from(Array.from({ length: 256 }, (_, i) => i))],
  "twelve Buffers": Array.from({ length: 12 }, (_, i) => Buffer.from([i])),
};

module.exports = [
  ...Object.entries(VALUES).map(([name, values]) => ({
    name: `${name}, from the server`,
    async run(stage) {
      const ws = await stage.join("ws");
      const polling = await stage.joinPolling("polling");
      // more than ten attachments are too many for the client of today
      if (values.length <= 10) {
        const { socket } = await stage.pair("client");
        socket.emit("one", ...values);
      }
      stage.io.emit("all", ...values);
      stage.io.emit("end");
      if (values.length <= 10) {
        await stage.until("client", "event end");
      }
      await stage.until("ws", String.raw`[\"end\"]`);
      await ws.settled();
      while (!(await polling.poll()).body.includes('["end"]'));
    },
  })),
  ...["websocket", "polling"].flatMap((transport) =>
    Object.entries(VALUES)
      .filter(([, values]) => values.length <= 10)
      .map(([name, values]) => ({
        name: `${name}, from the client over ${transport}, and back`,
        async run(stage) {
          stage.watchSockets();
          stage.io.on("connection", (socket) => {
            socket.on("ev", (...args) => args.pop()(...args));
          });
          const { client } = await stage.pair("client", "/", { transports: [transport] });
          client.emit("ev", ...values, (...args) => stage.log("client", "ack", ...args));
          await stage.until("client", "ack");
        },
      })),
  ),
  {
    name: "text and binary data in turns",
    async run(stage) {
      stage.watchSockets();
      const { client, socket } = await stage.pair("client");
      for (let i = 0; i < 20; i++) {
        const value = i % 2 ? i : Buffer.from([i]);
        client.emit("in", value);
        socket.emit("out", value);
        stage.io.emit("all", value);
      }
      await stage.until("client", "event all", 20);
      await stage.until("server", "event in", 20);
    },
  },
  {
    name: "a client that gets base64 over polling",
    async run(stage) {
      const query = "EIO=4&transport=polling&b64=1";
      const polling = await stage.joinPolling("polling", { query });
      stage.io.emit("ev", Buffer.from([0xfb, 0xff]));
      await polling.poll();
    },
  },
  ...[{ transports: ["websocket"] }, { transports: ["polling"] }, {}].map((options) => ({
    name: `a client that forces base64, ${JSON.stringify(options)}`,
    async run(stage) {
      stage.watchSockets();
      stage.io.on("connection", (socket) => {
        socket.on("ev", (data, reply) => reply(data, Buffer.alloc(200, 3)));
      });
      const { client, socket } = await stage.pair("client", "/", { forceBase64: true, ...options });
      if (options.transports === undefined) {
        await stage.eventually(() => socket.conn.transport.name === "websocket", "the client has upgraded");
      }
      stage.log("conn", "supports binary", socket.conn.transport.supportsBinary);
      client.emit("ev", Buffer.from([0xfb, 0xff]), (...args) => stage.log("client", "ack", ...args));
      await stage.until("client", "ack");
      stage.io.emit("all", new Uint8Array([1, 2]), { nested: Buffer.alloc(70_000, 4) });
      await stage.until("client", "event all");
    },
  })),
  ...[undefined, true].map((perMessageDeflate) => ({
    name: `WebSockets that want base64 beside one that does not, perMessageDeflate: ${perMessageDeflate}`,
    options: { perMessageDeflate },
    async run(stage) {
      const headers = { "Sec-WebSocket-Extensions": "permessage-deflate; server_no_context_takeover" };
      const options = { query: "EIO=4&transport=websocket&b64=1" };
      const clients = [await stage.join("plain"), await stage.join("base64", options)];
      if (perMessageDeflate) clients.push(await stage.join("deflated", { ...options, headers }));
      stage.io.emit("all", Buffer.from([0xfb, 0xff]), Buffer.alloc(500, 1));
      for (const client of clients) await client.count(5);
    },
  })),
  ...["bAQID", "bAQID====", "b-_8", "b", "bA", "b!"].map((packet) => ({
    name: `a WebSocket that sends ${packet}, though it wants no base64`,
    async run(stage) {
      stage.watchSockets();
      const ws = await stage.join("ws");
      ws.text('451-["ev",{"_placeholder":true,"num":0}]');
      ws.text(packet);
      await stage.until("server", "event ev");
      await ws.settled();
    },
  })),
  ...["", "&b64=1"].map((asked) => ({
    name: `an upgrade with the query ${JSON.stringify(asked)}, of a session that was opened with the other`,
    async run(stage) {
      const other = asked === "" ? "&b64=1" : "";
      const polling = await stage.joinPolling("polling", { query: `EIO=4&transport=polling${other}` });
      const query = `EIO=4&transport=websocket&sid=${polling.sid}${asked}`;
      const ws = await stage.upgrade("ws", { query });
      ws.text("2probe");
      await ws.count(1);
      stage.io.emit("waits", Buffer.from([1]));
      ws.text("5");
      await ws.count(3);
      stage.io.emit("all", Buffer.from([2]));
      await ws.count(5);
    },
  })),
];
