"use strict";

// createWebSocketStream over sockets of a server.

const { Readable, Transform, pipeline } = require("node:stream");
const { CLOSE, closePayload } = require("../../support/raw-websocket");
const { frames } = require("../../support/ws-stage");

/** A stream over the server's socket, its events logged. */
function streamOf(stage, socket, options) {
  const stream = stage.ws.createWebSocketStream(socket, options);
  for (const event of ["end", "finish", "close"]) {
    stream.on(event, () => stage.log("stream", event));
  }
  stream.on("error", (error) => stage.log("stream", "error", error));
  return stream;
}

const reading = (name, options) => ({
  name: `messages read from a stream, ${name}`,
  async run(stage) {
    const { socket, raw } = await stage.rawPair();
    const stream = streamOf(stage, socket, options);
    const chunks = [];
    stream.on("data", (chunk) => chunks.push(chunk));
    raw.write(frames({ payload: "text" }, { opcode: 2, payload: "bytes" }, { payload: "ü" }));
    raw.close(1000);
    await raw.over();
    await stage.until("stream", "end");
    stream.end();
    await stage.until("stream", "close");
    const isText = chunks.every((chunk) => typeof chunk === "string");
    stage.log(
      "stream",
      "data",
      isText,
      isText ? chunks.join("") : Buffer.concat(chunks.map((one) => Buffer.from(one))),
    );
  },
});

module.exports = [
  reading("as they are", undefined),
  reading("with an encoding", { encoding: "utf8" }),
  reading("decodeStrings: false", { decodeStrings: false }),
  reading("with a small highWaterMark", { highWaterMark: 2 }),
  {
    name: "a stream with readableObjectMode keeps texts and messages apart",
    async run(stage) {
      const { socket, raw } = await stage.rawPair();
      const stream = streamOf(stage, socket, { readableObjectMode: true });
      stream.on("data", (chunk) => stage.log("stream", "data", chunk));
      raw.write(frames({ payload: "text" }, { opcode: 2, payload: "bytes" }, { payload: "more" }));
      raw.close();
      await raw.over();
      await stage.until("stream", "end");
      stream.end();
      await stage.until("stream", "close");
    },
  },
  {
    name: "objectMode is not taken over",
    async run(stage) {
      const { socket, raw } = await stage.rawPair();
      const stream = streamOf(stage, socket, { objectMode: true, writableObjectMode: true });
      stage.log("stream", stream.readableObjectMode, stream.writableObjectMode, stream.allowHalfOpen);
      stage.attempt("stream", "write", () => stream.write("text"));
      await raw.count(1);
      socket.terminate();
      stream.resume();
      await stage.until("stream", "end");
      stream.destroy();
      await stage.until("stream", "close");
    },
  },
  {
    name: "what is written to a stream",
    async run(stage) {
      const { socket, raw } = await stage.rawPair();
      const stream = streamOf(stage, socket);
      stream.write("text", (error) => stage.log("stream", "written", error ?? "fine"));
      stream.write(Buffer.from([1, 2]));
      stream.write("hex".repeat(0) || "00ff", "hex");
      stream.end("last");
      await raw.closed();
      stream.resume();
      await stage.until("stream", "close");
    },
  },
  {
    name: "what is written to a stream that does not decode",
    async run(stage) {
      const { socket, raw } = await stage.rawPair();
      const stream = streamOf(stage, socket, { decodeStrings: false });
      stream.write("text");
      stream.end(Buffer.from("bytes"));
      await raw.closed();
      stream.resume();
      await stage.until("stream", "close");
    },
  },
  {
    name: "end() of a stream",
    async run(stage) {
      const { socket, raw } = await stage.rawPair();
      const stream = streamOf(stage, socket);
      stream.resume();
      stream.end();
      await raw.closed();
      await stage.until("stream", "close");
      stage.log("stream", "destroyed", stream.destroyed, socket.readyState);
    },
  },
  {
    name: "destroy() of a stream",
    async run(stage) {
      const { socket, raw } = await stage.rawPair();
      const stream = streamOf(stage, socket);
      stream.destroy();
      await raw.ended();
      await stage.until("stream", "close");
      stage.log("stream", "destroyed", stream.destroyed, socket.readyState);
    },
  },
  {
    name: "destroy() of a stream with an error",
    async run(stage) {
      const { socket, raw } = await stage.rawPair();
      const stream = streamOf(stage, socket);
      stream.destroy(new Error("of the application"));
      await raw.ended();
      await stage.until("stream", "close");
    },
  },
  {
    name: "a broken rule, seen by a stream",
    async run(stage) {
      const { socket, raw } = await stage.rawPair();
      const stream = streamOf(stage, socket);
      stream.resume();
      raw.frame({ rsv: 2 });
      await raw.ended();
      await stage.until("stream", "close");
    },
  },
  {
    name: "terminate() under a stream",
    async run(stage) {
      const { socket, raw } = await stage.rawPair();
      const stream = streamOf(stage, socket);
      stream.resume();
      socket.terminate();
      await raw.ended();
      await stage.until("stream", "end");
      stream.destroy();
      await stage.until("stream", "close");
    },
  },
  {
    name: "write() to a stream whose socket is closed",
    async run(stage) {
      const { socket, raw } = await stage.rawPair();
      const stream = streamOf(stage, socket);
      socket.terminate();
      await raw.ended();
      await stage.until("server", "close in");
      stream.write("late", (error) => stage.log("stream", "written", error ?? "fine"));
      await stage.until("stream", "written");
    },
  },
  {
    name: "an echo by a pipe",
    async run(stage) {
      const { socket, client } = await stage.pair();
      const stream = streamOf(stage, socket, { decodeStrings: false });
      stream.pipe(stream);
      client.send("one");
      client.send(Buffer.from("two"));
      await stage.until("client", "message", 2);
      client.close(1000);
      await stage.over();
      await stage.until("stream", "close");
    },
  },
  {
    name: "a pipeline that changes what it hears",
    async run(stage) {
      const { socket, client } = await stage.pair();
      const stream = stage.ws.createWebSocketStream(socket, { encoding: "utf8", decodeStrings: false });
      const upper = new Transform({
        decodeStrings: false,
        encoding: "utf8",
        transform: (chunk, _, done) => done(null, chunk.toUpperCase()),
      });
      pipeline(stream, upper, stream, (error) => stage.log("stream", "over", error ?? "fine"));
      client.send("one");
      await stage.until("client", "message");
      client.send("two");
      await stage.until("client", "message", 2);
      client.close(1000);
      await stage.over();
      await stage.until("stream", "over");
    },
  },
  {
    name: "a large source piped into a stream",
    async run(stage) {
      const { socket, client } = await stage.pair();
      client.removeAllListeners("message");
      let length = 0;
      client.on("message", (data) => (length += data.length));
      const stream = streamOf(stage, socket);
      stream.resume();
      const chunks = Array.from({ length: 50 }, (_, i) => Buffer.alloc(100_000, i));
      Readable.from(chunks).pipe(stream);
      await stage.over();
      await stage.until("stream", "close");
      stage.log("client", "bytes", length);
    },
  },
  {
    name: "a stream that is read slowly",
    async run(stage) {
      const { socket, client } = await stage.pair();
      socket.removeAllListeners("message");
      const stream = streamOf(stage, socket, { highWaterMark: 100_000 });
      for (let i = 0; i < 50; i++) {
        client.send(Buffer.alloc(100_000, i));
      }
      client.close(1000, "all");
      let length = 0;
      for await (const chunk of stream) {
        length += chunk.length;
        await new Promise(setImmediate);
      }
      stage.log("stream", "bytes", length);
      await stage.over();
    },
  },
  {
    name: "a stream pauses its socket",
    async run(stage) {
      const { socket, raw } = await stage.rawPair();
      const stream = streamOf(stage, socket, { highWaterMark: 5 });
      raw.text("1234567890");
      await stage.until("server", "message");
      stage.log("server", "paused", socket.isPaused);
      stage.log("stream", "read", stream.read());
      await stage.turns();
      stage.log("server", "paused", socket.isPaused);
      stream.destroy();
      await raw.ended();
      await stage.until("stream", "close");
    },
  },
  {
    name: "two streams, of a server and of a client",
    async run(stage) {
      const { socket, client } = await stage.pair();
      const ofServer = streamOf(stage, socket, { encoding: "utf8" });
      const ofClient = stage.ws.createWebSocketStream(client, { encoding: "utf8" });
      ofServer.on("data", (text) => ofServer.write(`heard ${text}`));
      ofClient.on("data", (text) => {
        stage.log("stream of the client", text);
        ofClient.end();
      });
      ofClient.write("hello");
      await stage.over();
      ofServer.end();
      await stage.until("stream", "close");
    },
  },
  {
    name: "a goodbye, seen by a stream that nobody reads",
    async run(stage) {
      const { socket, raw } = await stage.rawPair();
      const stream = streamOf(stage, socket);
      raw.write(frames({ payload: "unread" }, { opcode: CLOSE, payload: closePayload(1000) }));
      await raw.over();
      await stage.until("server", "close in");
      await stage.turns();
      stage.log("stream", "read", stream.read(), stream.readableEnded);
      stream.resume();
      await stage.until("stream", "end");
      stream.destroy();
      await stage.until("stream", "close");
    },
  },
];
