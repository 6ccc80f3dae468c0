"use strict";

// The end of a connection: codes, reasons, who begins, and what comes after.

const { CLOSE, PONG, TEXT, closePayload, frame } = require("../../support/raw-websocket");
const { frames } = require("../../support/ws-stage");

const CODES = [
  1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 1015, 1016,
];
const MORE = [0, 1, 999, 2000, 2999, 3000, 3999, 4000, 4999, 5000, 65535];

/** Arguments of close(). */
const ARGUMENTS = {
  nothing: [],
  "undefined and a reason": [undefined, "why"],
  "a code and a reason": [1000, "why"],
  "a code and an empty reason": [1000, ""],
  "a code and a Buffer": [4000, Buffer.from("why")],
  "a code and an empty Buffer": [4000, Buffer.alloc(0)],
  "a code and a Uint8Array": [4000, new Uint8Array([0x61, 0x62])],
  "a code and bytes that are no text": [4000, Buffer.from([0xff, 0xfe])],
  "a code and other letters": [4001, "прощай"],
  "a reason of 123 bytes": [1000, "x".repeat(123)],
  "a reason of 124 bytes": [1000, "x".repeat(124)],
  "a reason of 62 letters of two bytes": [1000, "ü".repeat(62)],
  "a Buffer of 124 bytes": [1000, Buffer.alloc(124)],
  "a code in text": ["1000"],
  "null as a code": [null],
  "a fraction": [1000.5],
  NaN: [NaN],
  "null as a reason": [1000, null],
  "a number as a reason": [1000, 5],
  "an array as a reason": [1000, [1, 2]],
  "an ArrayBuffer as a reason": [1000, new ArrayBuffer(4)],
  "a callback": [1000, "why", () => {}],
};

/** What a client says last, and how it leaves. */
const GOODBYES = {
  "an empty close frame": frame({ opcode: CLOSE }),
  "a code": frame({ opcode: CLOSE, payload: closePayload(1000) }),
  "a code and a reason": frame({ opcode: CLOSE, payload: closePayload(3001, "a reason") }),
  "a reason of 123 bytes": frame({ opcode: CLOSE, payload: closePayload(1000, "x".repeat(123)) }),
  "a reason in other letters": frame({ opcode: CLOSE, payload: closePayload(1001, "прощай") }),
  "a message in front": frames({ payload: "last" }, { opcode: CLOSE, payload: closePayload(1000) }),
  "a message behind": frames({ opcode: CLOSE, payload: closePayload(1000) }, { payload: "late" }),
  "garbage behind": Buffer.concat([
    frame({ opcode: CLOSE, payload: closePayload(1000) }),
    Buffer.alloc(50, 0xff),
  ]),
  "a second close frame behind": frames(
    { opcode: CLOSE, payload: closePayload(1000, "one") },
    { opcode: CLOSE, payload: closePayload(1001, "two") },
  ),
  "half a message in front": Buffer.concat([
    frame({ opcode: TEXT, payload: "begun", fin: false }),
    frame({ opcode: CLOSE, payload: closePayload(1000) }),
  ]),
};

/** Logs states at each event of the server's socket. */
const states = (stage, socket) => {
  for (const event of ["message", "error", "close"]) {
    socket.on(event, () => stage.log("states", event, socket.readyState));
  }
};

module.exports = [
  ...[...CODES, ...MORE].map((code) => ({
    name: `close(${code}) by the server`,
    async run(stage) {
      const { socket, raw } = await stage.rawPair();
      stage.attempt("server", "close", () => socket.close(code, "why"));
      stage.log("server", "state", socket.readyState);
      if (socket.readyState === 1) socket.close();
      await raw.closed();
      await stage.until("server", "close in");
    },
  })),
  ...Object.entries(ARGUMENTS).map(([name, args]) => ({
    name: `close() with ${name}`,
    async run(stage) {
      const { socket, raw } = await stage.rawPair();
      stage.attempt("server", "close", () => socket.close(...args));
      stage.log("server", "state", socket.readyState);
      if (socket.readyState === 1) socket.close(4444);
      await raw.closed();
      await stage.until("server", "close in");
    },
  })),
  ...[1000, 1001, 1003, 1007, 1008, 1009, 1011, 1012, 1013, 1014, 3000, 4999].map((code) => ({
    name: `a client of ws that closes with ${code}`,
    async run(stage) {
      const { client } = await stage.pair();
      client.close(code, `reason ${code}`);
      await stage.over();
    },
  })),
  {
    name: "a client of ws that closes without a code",
    async run(stage) {
      const { client } = await stage.pair();
      client.close();
      await stage.over();
    },
  },
  ...Object.entries(GOODBYES).map(([name, bytes]) => ({
    name: `goodbye of a client: ${name}`,
    async run(stage) {
      const { socket, raw } = await stage.rawPair();
      states(stage, socket);
      raw.write(bytes);
      await raw.over();
      await stage.until("server", "close in");
    },
  })),
  {
    name: "goodbye of a client byte by byte",
    async run(stage) {
      const { raw } = await stage.rawPair();
      await raw.drip(frame({ opcode: CLOSE, payload: closePayload(1000, "slowly") }));
      await raw.over();
      await stage.until("server", "close in");
    },
  },
  {
    name: "close() twice",
    async run(stage) {
      const { socket, raw } = await stage.rawPair();
      socket.close(4000, "first");
      stage.attempt("server", "again", () => socket.close(4001, "second"));
      stage.attempt("server", "with a code that is none", () => socket.close(5));
      await raw.closed();
      await stage.until("server", "close in");
      stage.attempt("server", "closed", () => socket.close(4002));
      stage.attempt("server", "terminate", () => socket.terminate());
      stage.log("server", "state", socket.readyState);
      await stage.turns();
    },
  },
  {
    name: "close() from the listener of close",
    async run(stage) {
      const { socket, raw } = await stage.rawPair();
      socket.on("close", () => {
        stage.attempt("server", "close", () => socket.close());
        stage.attempt("server", "terminate", () => socket.terminate());
      });
      socket.close();
      await raw.closed();
      await stage.until("server", "terminate");
      await stage.turns();
    },
  },
  {
    name: "close() from both sides at once",
    async run(stage) {
      const { socket, client } = await stage.pair();
      socket.close(4000, "server");
      client.close(4001, "client");
      await stage.over();
    },
  },
  {
    name: "the answer has another code",
    async run(stage) {
      const { socket, raw } = await stage.rawPair();
      socket.close(4000, "server");
      await stage.until("client", "frame");
      raw.close(3000, "my own");
      await raw.over();
      await stage.until("server", "close in");
    },
  },
  {
    name: "the answer is empty",
    async run(stage) {
      const { socket, raw } = await stage.rawPair();
      socket.close(4000, "server");
      await stage.until("client", "frame");
      raw.close(null);
      await raw.over();
      await stage.until("server", "close in");
    },
  },
  {
    name: "messages of the client after close()",
    async run(stage) {
      const { socket, raw } = await stage.rawPair();
      states(stage, socket);
      socket.close(1000, "soon");
      await stage.until("client", "frame");
      raw.write(
        frames({ payload: "still here" }, { opcode: PONG, payload: "!" }, { opcode: 2, payload: "and here" }),
      );
      raw.close();
      await raw.over();
      await stage.until("server", "close in");
    },
  },
  {
    name: "close() in a listener of message, others behind it",
    async run(stage) {
      const { socket, raw } = await stage.rawPair();
      states(stage, socket);
      socket.once("message", () => socket.close(4000));
      raw.write(frames({ payload: "one" }, { payload: "two" }, { opcode: 2, payload: "three" }));
      await raw.closed();
      await stage.until("server", "close in");
    },
  },
  {
    name: "terminate()",
    async run(stage) {
      const { socket, raw } = await stage.rawPair();
      states(stage, socket);
      stage.attempt("server", "terminate", () => socket.terminate());
      stage.log("server", "state", socket.readyState);
      socket.terminate();
      await raw.over();
      await stage.until("server", "close in");
      stage.log("server", "state", socket.readyState);
    },
  },
  {
    name: "terminate() after close()",
    async run(stage) {
      const { socket, raw } = await stage.rawPair();
      socket.close(4000);
      await stage.until("client", "frame");
      socket.terminate();
      await raw.over();
      await stage.until("server", "close in");
    },
  },
  {
    name: "terminate() from the listener of connection",
    async run(stage) {
      const wss = await stage.serve();
      stage.watchSockets();
      wss.on("connection", (socket) => socket.terminate());
      stage.client();
      await stage.over();
      // whether the answer to the handshake gets there before that is not promised
      stage.events.actors.delete("client");
      await stage.eventually(() => wss.clients.size === 0, "nobody");
    },
  },
  {
    name: "terminate() in a listener of message",
    async run(stage) {
      const { socket, raw } = await stage.rawPair();
      socket.once("message", () => socket.terminate());
      raw.text("one");
      await raw.ended();
      await stage.until("server", "close in");
    },
  },
  {
    name: "close() from the listener of connection",
    async run(stage) {
      const wss = await stage.serve();
      stage.watchSockets();
      wss.on("connection", (socket) => {
        socket.send("hello");
        socket.close(4000, "and goodbye");
        stage.log("server", "state", socket.readyState);
      });
      stage.client();
      await stage.over();
    },
  },
  {
    name: "close() while much is buffered",
    async run(stage) {
      const { socket, client } = await stage.pair();
      client.removeAllListeners("message");
      let length = 0;
      client.on("message", (data) => (length += data.length));
      for (let i = 0; i < 40; i++) {
        socket.send(Buffer.alloc(100_000, i));
      }
      socket.send("the end");
      socket.close(1000, "after all");
      await stage.over();
      stage.log("client", "bytes", length);
    },
  },
  {
    name: "close() of the client while much is on its way",
    async run(stage) {
      const { socket, client } = await stage.pair();
      let length = 0;
      socket.removeAllListeners("message");
      socket.on("message", (data) => (length += data.length));
      for (let i = 0; i < 40; i++) {
        client.send(Buffer.alloc(100_000, i));
      }
      client.close(1000, "after all");
      await stage.over();
      stage.log("server", "bytes", length);
    },
  },
  ...[20, 60].map((closeTimeout) => ({
    name: `a client that never answers, closeTimeout ${closeTimeout}`,
    async run(stage) {
      const { socket, raw } = await stage.rawPair({ closeTimeout });
      const start = Date.now();
      socket.close(4000, "are you there?");
      await raw.over();
      await stage.until("server", "close in");
      stage.log("server", "in time", Date.now() - start >= closeTimeout - 5);
    },
  })),
  {
    name: "a client that says goodbye, but does not hang up",
    async run(stage) {
      const { raw } = await stage.rawPair({ closeTimeout: 50 }, { connect: { allowHalfOpen: true } });
      raw.close(1000, "bye");
      await raw.over();
      await stage.until("server", "close in");
    },
  },
  {
    name: "a client that hangs up without a goodbye",
    async run(stage) {
      const { socket, raw } = await stage.rawPair();
      states(stage, socket);
      raw.socket.end();
      await raw.over();
      await stage.until("server", "close in");
    },
  },
  {
    name: "a client that hangs up behind a message",
    async run(stage) {
      const { socket, raw } = await stage.rawPair();
      states(stage, socket);
      raw.text("last words");
      raw.socket.end();
      await raw.over();
      await stage.until("server", "close in");
    },
  },
  {
    name: "a client that hangs up in the middle of a frame",
    async run(stage) {
      const { socket, raw } = await stage.rawPair();
      states(stage, socket);
      raw.text("whole");
      raw.write(frame({ payload: "not the whole" }).subarray(0, 10));
      raw.socket.end();
      await raw.over();
      await stage.until("server", "close in");
    },
  },
  {
    name: "a client that hangs up between fragments",
    async run(stage) {
      const { raw } = await stage.rawPair();
      raw.write(frame({ payload: "begun", fin: false }));
      raw.socket.end();
      await raw.over();
      await stage.until("server", "close in");
    },
  },
  {
    name: "a client that resets the connection",
    async run(stage) {
      const { socket, raw } = await stage.rawPair();
      states(stage, socket);
      raw.text("one");
      await stage.until("server", "message");
      raw.reset();
      await stage.until("server", "close in");
    },
  },
  {
    name: "a client that resets the connection while the server closes",
    async run(stage) {
      const { socket, raw } = await stage.rawPair();
      socket.close(1000);
      await stage.until("client", "frame");
      raw.reset();
      await stage.until("server", "close in");
    },
  },
  {
    name: "a client of ws that terminates",
    async run(stage) {
      const { client } = await stage.pair();
      client.terminate();
      await stage.over();
    },
  },
  {
    name: "send() to a client that has gone",
    async run(stage) {
      const { socket, raw } = await stage.rawPair();
      raw.reset();
      await stage.until("server", "close in");
      socket.send("too late", (error) => stage.log("server", "sent", error));
      await stage.until("server", "sent");
    },
  },
  {
    name: "the reason is the listener's own Buffer",
    async run(stage) {
      const { socket, raw } = await stage.rawPair();
      socket.on("close", (code, reason) =>
        stage.log("server", Buffer.isBuffer(reason), reason.toString(), code),
      );
      raw.close(4321, "a reason");
      await raw.over();
      await stage.until("server", "true");
    },
  },
  {
    name: "fifty clients that come and go",
    async run(stage) {
      const wss = await stage.serve();
      let closed = 0;
      wss.on("connection", (socket) => socket.on("close", (code) => (closed += code === 1000)));
      for (let i = 0; i < 5; i++) {
        await Promise.all(
          Array.from({ length: 10 }, async () => {
            const client = stage.client("none");
            await stage.once(client, "open");
            client.close(1000);
            await stage.once(client, "close");
          }),
        );
      }
      stage.events.actors.delete("none");
      await stage.eventually(() => wss.clients.size === 0, "nobody");
      stage.log("server", "closed", closed);
    },
  },
];
