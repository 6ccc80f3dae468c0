"use strict";

// What servers send: values of all kinds, options, callbacks, states; pings and pongs.

const { inspect } = require("node:util");

/** What may be given to send(), made anew each time. */
const VALUES = {
  "a text": () => "text",
  "an empty text": () => "",
  "other letters": () => "Füße, 文字, 🦀",
  "half a pair of surrogates": () => "a\ud800b",
  "a text of 125 bytes": () => "x".repeat(125),
  "a text of 126 bytes": () => "x".repeat(126),
  "a text of 65,535 bytes": () => "x".repeat(65_535),
  "a text of 65,536 bytes": () => "x".repeat(65_536),
  "a text of 300,000 bytes": () => "0123456789".repeat(30_000),
  "a Buffer": () => Buffer.from([1, 2, 3, 255]),
  "an empty Buffer": () => Buffer.alloc(0),
  "a Buffer of 70,000 bytes": () => Buffer.alloc(70_000, "abcdefg"),
  "a Buffer of 300,000 bytes": () => Buffer.alloc(300_000, "abcdefg"),
  "a piece of a Buffer": () => Buffer.from("0123456789").subarray(3, 6),
  "an ArrayBuffer": () => new Uint8Array([1, 2, 3]).buffer,
  "a SharedArrayBuffer": () => new SharedArrayBuffer(3),
  "a Uint8Array": () => new Uint8Array([1, 2, 3]),
  "a Uint16Array": () => new Uint16Array([1, 2, 3]),
  "a Float32Array": () => new Float32Array([0.5, 1, 1.5]),
  "a part of an Int32Array": () => new Int32Array([1, 2, 3, 4]).subarray(1, 3),
  "a BigInt64Array": () => new BigInt64Array([1n, -1n]),
  "a DataView": () => new DataView(new Uint8Array([1, 2, 3, 4]).buffer, 1, 2),
  "a Blob": () => new Blob(["in a ", "blob"]),
  "an empty Blob": () => new Blob([]),
  "a number": () => 42,
  nought: () => 0,
  "a fraction": () => -1.5,
  NaN: () => NaN,
  undefined: () => undefined,
  null: () => null,
  true: () => true,
  false: () => false,
  "a bigint": () => 10n,
  "an array of numbers": () => [1, 2, 256],
  "an array of text": () => ["1", "b"],
  "an empty array": () => [],
  "an object": () => ({ a: 1 }),
  "an object with a length": () => ({ length: 2, 0: 7, 1: 8 }),
  "an object with valueOf()": () => ({ valueOf: () => "value" }),
  "an object with toString()": () => ({ toString: () => "text" }),
  "a String": () => new String("boxed"),
  "a Date": () => new Date(0),
  "a function": () => () => {},
  "a symbol": () => Symbol("s"),
};

const OPTIONS = {
  "binary: true": { binary: true },
  "binary: false": { binary: false },
  "binary: undefined": { binary: undefined },
  "compress: true": { compress: true },
  "fin: true": { fin: true },
  "mask: true": { mask: true },
  "fin: undefined": { fin: undefined },
  "nothing known": { other: 1 },
  undefined,
  null: null,
};

const HANDSHAKE = [
  "HTTP/1.1 101 Switching Protocols",
  "  Upgrade: websocket",
  "  Connection: Upgrade",
  "  Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
];

const GOODBYE = ["frame 8802 <Buffer 03e8>", "end FIN"];

/** What a client gets of messages, and of pings and pongs, whose length has this bit as well. */
const sentMasked = (bit) => [
  ...HANDSHAKE,
  `frame 81${hex(4 + bit)} "text"`,
  `frame 82${hex(5 + bit)} <Buffer 6279746573>`,
  `frame 81${hex(bit)} ""`,
  `frame 81${hex(1 + bit)} "5"`,
  ...GOODBYE,
];
const controlsMasked = (start, bit) => [
  ...["00 <Buffer >", "00 <Buffer >", "01 <Buffer 61>", "01 <Buffer 62>", "01 <Buffer 63>"].map(
    (rest) => start + rest,
  ),
  `${start}${hex(1 + bit)} <Buffer 64>`,
];
const pingsMasked = (bit) => [...HANDSHAKE, ...controlsMasked("frame 89", bit), ...GOODBYE];
const pongsMasked = (bit) => controlsMasked("8a", bit);

function hex(byte) {
  return byte.toString(16).padStart(2, "0");
}

/** RFC 6455 section 5.1: a server masks nothing, even if it is told to. */
function unmasked(actor, logOf) {
  return {
    why: "a server must not mask what it sends",
    logs: { [actor]: { stock: logOf(0x80), ours: logOf(0) } },
  };
}

async function goodbye(stage, raw) {
  await raw.settled();
  raw.close();
  await raw.over();
  await stage.until("server", "close in");
}

/** Sends, logs when that is done, and waits for it. */
function sent(stage, socket, method, value, ...rest) {
  return new Promise((resolve) => {
    try {
      const result = socket[method](value, ...rest, (...args) => {
        stage.log("server", "sent", args[0] ?? "without an error");
        resolve();
      });
      stage.log("server", "returned", result);
    } catch (error) {
      stage.log("server", "threw", error.name, error.code, error.code ? undefined : error.message);
      resolve();
    }
  });
}

const controls = (method, name, value) => ({
  name: `${method}() of ${name}`,
  async run(stage) {
    const { socket, raw } = await stage.rawPair();
    await sent(stage, socket, method, value());
    await goodbye(stage, raw);
  },
});

const CONTROL_VALUES = Object.entries(VALUES).filter(
  ([name]) => !/(65|70|300),|126|a Date|a String|a function/.test(name),
);

const STATES = {
  CLOSING(socket) {
    socket.close(1000);
  },
  CLOSED(socket) {
    return new Promise((resolve) => {
      socket.once("close", resolve);
      socket.terminate();
    });
  },
};

module.exports = [
  ...Object.entries(VALUES).map(([name, value]) => ({
    name: `send() of ${name}`,
    async run(stage) {
      const { socket, raw } = await stage.rawPair();
      await sent(stage, socket, "send", value());
      socket.send("after");
      await goodbye(stage, raw);
    },
  })),
  ...Object.entries(OPTIONS).map(([name, options]) => ({
    name: `send() with options: ${name}`,
    differs: name === "mask: true" ? unmasked("client", sentMasked) : undefined,
    async run(stage) {
      const { socket, raw } = await stage.rawPair();
      for (const value of ["text", Buffer.from("bytes"), "", 5]) {
        await sent(stage, socket, "send", value, options);
      }
      await goodbye(stage, raw);
    },
  })),
  {
    name: "send() without a callback, and with undefined as one",
    async run(stage) {
      const { socket, raw } = await stage.rawPair();
      stage.attempt("server", "send", () => socket.send("1"));
      stage.attempt("server", "send", () => socket.send("2", undefined));
      stage.attempt("server", "send", () => socket.send("3", {}, undefined));
      stage.attempt("server", "send", () => socket.send());
      await goodbye(stage, raw);
    },
  },
  {
    name: "send() in fragments",
    async run(stage) {
      const { socket, raw } = await stage.rawPair();
      socket.send("one ", { fin: false });
      socket.send("two ", { fin: false });
      socket.ping("between");
      socket.send("", { fin: false });
      socket.send("three", { fin: true });
      socket.send(Buffer.from("by"), { fin: false });
      socket.send("tes", { fin: true });
      socket.send("whole");
      await goodbye(stage, raw);
    },
  },
  {
    name: "send() in fragments to a client of ws",
    async run(stage) {
      const { socket, client } = await stage.pair();
      socket.send("a", { fin: false });
      socket.send("b");
      socket.send(Buffer.from("c"), { fin: false });
      socket.send(Buffer.from("d"), { fin: false });
      socket.send(Buffer.from("e"));
      socket.close();
      await stage.over();
      stage.log("client", "state", client.readyState);
    },
  },
  {
    name: "callbacks of send() come in order",
    async run(stage) {
      const { socket, raw } = await stage.rawPair();
      const all = [];
      for (const value of ["1", Buffer.from("2"), "3".repeat(100_000), "", "5"]) {
        all.push(sent(stage, socket, "send", value));
      }
      socket.ping("6", undefined, () => stage.log("server", "pinged"));
      socket.pong("7", undefined, () => stage.log("server", "ponged"));
      all.push(sent(stage, socket, "send", "8"));
      stage.log("server", "nothing was called yet");
      await Promise.all(all);
      await goodbye(stage, raw);
    },
  },
  {
    name: "send() from a callback of send()",
    async run(stage) {
      const { socket, raw } = await stage.rawPair();
      const next = (n) => {
        if (n < 5) socket.send(`n ${n}`, () => next(n + 1));
      };
      next(0);
      await raw.count(5);
      await goodbye(stage, raw);
    },
  },
  {
    name: "a Blob between others keeps its place",
    async run(stage) {
      const { socket, raw } = await stage.rawPair();
      const all = ["1", new Blob(["2"]), Buffer.from("3"), new Blob(["4"]), "5"].map((value) =>
        sent(stage, socket, "send", value),
      );
      socket.ping("6");
      await Promise.all(all);
      await goodbye(stage, raw);
    },
  },
  {
    name: "a Buffer that is changed after the callback",
    async run(stage) {
      const { socket, raw } = await stage.rawPair();
      const buffer = Buffer.from("as it was");
      await sent(stage, socket, "send", buffer);
      await raw.count(1);
      buffer.fill("x");
      await sent(stage, socket, "send", buffer);
      stage.log("server", "left as it is", buffer);
      await goodbye(stage, raw);
    },
  },
  {
    name: "a thousand messages of all sizes",
    async run(stage) {
      const { socket, client } = await stage.pair();
      const sizes = [];
      client.removeAllListeners("message");
      client.on("message", (data) => sizes.push(data.length));
      for (let i = 0; i < 1000; i++) {
        const size = (i * 7919) % 3000;
        socket.send(i % 2 ? "x".repeat(size) : Buffer.alloc(size));
      }
      socket.close(1000, "all");
      await stage.over();
      stage.log(
        "client",
        "in order",
        sizes.length,
        sizes.every((size, i) => size === (i * 7919) % 3000),
      );
    },
  },
  {
    name: "send() from the listener of connection",
    async run(stage) {
      const wss = await stage.serve();
      stage.watchSockets();
      wss.on("connection", (socket) => {
        socket.send("first");
        socket.ping("second");
        socket.send("third", () => stage.log("server", "sent"));
      });
      const raw = await stage.handshake();
      await raw.count(2);
      await goodbye(stage, raw);
    },
  },
  ...["ping", "pong"].flatMap((method) => [
    ...CONTROL_VALUES.map(([name, value]) => controls(method, name, value)),
    controls(method, "126 bytes of text", () => "x".repeat(126)),
    controls(method, "a Buffer of 126 bytes", () => Buffer.alloc(126)),
    controls(method, "a Blob of 126 bytes", () => new Blob(["x".repeat(126)])),
    controls(method, "63 letters of two bytes", () => "ü".repeat(63)),
    {
      name: `${method}() with all its arguments`,
      differs: method === "ping" ? unmasked("client", pingsMasked) : unmasked("client: pongs", pongsMasked),
      async run(stage) {
        const { socket, raw } = await stage.rawPair();
        const done = (what) =>
          new Promise((resolve) => {
            what((...args) => resolve(stage.log("server", "done", args[0] ?? "without an error")));
          });
        socket[method]();
        await done((cb) => socket[method](cb));
        await done((cb) => socket[method]("a", cb));
        await done((cb) => socket[method]("b", undefined, cb));
        await done((cb) => socket[method]("c", false, cb));
        await done((cb) => socket[method]("d", true, cb));
        await goodbye(stage, raw);
      },
    },
  ]),
  ...Object.entries(STATES).flatMap(([name, reach]) =>
    ["send", "ping", "pong"].map((method) => ({
      name: `${method}() while ${name}`,
      async run(stage) {
        const { socket, raw } = await stage.rawPair();
        await reach(socket);
        stage.log("server", "state", socket.readyState, socket.bufferedAmount > 0);
        stage.attempt("server", method, () => socket[method]("no callback"));
        await sent(stage, socket, method, "text");
        await sent(stage, socket, method, undefined);
        await sent(stage, socket, method, 12);
        await sent(stage, socket, method, Buffer.alloc(1000));
        await sent(stage, socket, method, new Blob(["blob"]));
        stage.attempt("server", "object", () => socket[method]({}));
        const late = [];
        socket[method]("later", () => late.push("called"));
        stage.log("server", "called at once", late);
        await raw.closed();
        await stage.until("server", "close in");
      },
    })),
  ),
  {
    name: "what is sent after the end counts as buffered",
    async run(stage) {
      const { socket, raw } = await stage.rawPair();
      socket.terminate();
      await stage.until("server", "close in");
      const before = socket.bufferedAmount;
      for (const value of ["12345", Buffer.alloc(100), 77, "ü", new Blob(["abc"]), new Uint16Array(4)]) {
        socket.send(value);
        stage.log("server", inspect(value).slice(0, 20), socket.bufferedAmount - before);
      }
      await raw.over();
    },
  },
  {
    name: "what a socket says of itself",
    async run(stage) {
      const { socket, raw } = await stage.rawPair();
      for (const name of ["binaryType", "extensions", "isPaused", "protocol", "readyState", "url"]) {
        stage.log("server", name, socket[name]);
      }
      for (const name of ["CONNECTING", "OPEN", "CLOSING", "CLOSED"]) {
        stage.log("server", name, socket[name]);
      }
      stage.log("server", "buffered", socket.bufferedAmount);
      await goodbye(stage, raw);
      for (const name of ["extensions", "isPaused", "protocol", "readyState", "url"]) {
        stage.log("server", name, socket[name]);
      }
    },
  },
  ...["protocol", "readyState", "extensions", "isPaused", "bufferedAmount", "url"].map((name) => ({
    name: `${name} can't be set`,
    async run(stage) {
      const { socket, raw } = await stage.rawPair();
      const before = socket[name];
      try {
        socket[name] = "changed";
        stage.log("server", "set");
      } catch (error) {
        stage.log("server", "threw", error.name);
      }
      stage.log("server", "is the same", socket[name] === before);
      await goodbye(stage, raw);
    },
  })),
];
