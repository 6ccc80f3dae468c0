"use strict";

// Orders, turns, listeners that throw, pauses, and what waits to be sent.

const { CLOSE, PING, PONG, closePayload } = require("../../support/raw-websocket");
const { frames } = require("../../support/ws-stage");

const MIXED = frames(
  { payload: "1" },
  { opcode: PING, payload: "2" },
  { opcode: 2, payload: "3" },
  { opcode: PONG, payload: "4" },
  { payload: "5" },
);

async function goodbye(stage, raw) {
  await raw.settled();
  raw.close();
  await raw.over();
  await stage.until("server", "close in");
}

/** Whether messages of one piece of bytes have turns of their own. */
const turns = (allowSynchronousEvents) => ({
  name: `microtasks between messages, allowSynchronousEvents ${allowSynchronousEvents}`,
  async run(stage) {
    const { socket, raw } = await stage.rawPair({ allowSynchronousEvents });
    for (const event of ["message", "ping", "pong"]) {
      socket.on(event, (data) => {
        stage.log("turns", data.toString());
        Promise.resolve().then(() => stage.log("microtasks", data.toString()));
        process.nextTick(() => stage.log("ticks", data.toString()));
      });
    }
    raw.write(MIXED);
    await stage.until("ticks", "5");
    socket.removeAllListeners("ping");
    await goodbye(stage, raw);
  },
});

module.exports = [
  turns(true),
  turns(false),
  turns(undefined),
  {
    name: "with allowSynchronousEvents: false, what is awaited in a listener is over before the next message",
    async run(stage) {
      const { socket, raw } = await stage.rawPair({ allowSynchronousEvents: false });
      socket.on("message", async (data) => {
        await null;
        stage.log("server", "awaited", data.toString());
      });
      raw.write(frames({ payload: "1" }, { payload: "2" }, { payload: "3" }));
      await goodbye(stage, raw);
    },
  },
  {
    name: "with allowSynchronousEvents: false, a goodbye behind messages",
    async run(stage) {
      const { raw } = await stage.rawPair({ allowSynchronousEvents: false });
      raw.write(Buffer.concat([MIXED, frames({ opcode: CLOSE, payload: closePayload(1000) })]));
      await raw.over();
      await stage.until("server", "close in");
    },
  },
  {
    name: "with allowSynchronousEvents: false, messages in hundreds",
    async run(stage) {
      const { raw } = await stage.rawPair({ allowSynchronousEvents: false });
      raw.write(frames(...Array.from({ length: 300 }, (_, i) => ({ payload: String(i) }))));
      await stage.until("server", "message", 300);
      await goodbye(stage, raw);
    },
  },
  {
    name: "messages, pings, pongs and a goodbye in one piece",
    async run(stage) {
      const { socket, raw } = await stage.rawPair();
      for (const event of ["message", "ping", "pong", "close"]) {
        socket.on(event, () => stage.log("states", event, socket.readyState));
      }
      raw.write(Buffer.concat([MIXED, frames({ opcode: CLOSE, payload: closePayload(4000, "end") })]));
      await raw.over();
      await stage.until("server", "close in");
    },
  },
  {
    name: "answers in the order of questions",
    async run(stage) {
      const { socket, client } = await stage.pair();
      socket.on("message", (data) => {
        socket.send(`${data} a`);
        setImmediate(() => socket.send(`${data} b`));
      });
      for (let i = 0; i < 20; i++) {
        client.send(`q ${i}`);
        await stage.until("client", `q ${i} b`);
      }
      client.close();
      await stage.over();
    },
  },
  {
    name: "a listener that throws",
    isolated: true,
    async run(stage) {
      process.on("uncaughtException", (error) => stage.log("process", "uncaught", error));
      const { socket, raw } = await stage.rawPair();
      socket.on("message", (data) => {
        if (data.toString() === "2") throw new Error("in the listener");
      });
      raw.text("1");
      await stage.until("server", "message");
      raw.text("2");
      await stage.until("process", "uncaught");
      stage.log("server", "state", socket.readyState);
      socket.send("still able to send");
      await raw.count(1);
      // ws reads nothing more then, nor does it tell of the end; that is not asked for
      socket.removeAllListeners("close");
      socket.terminate();
      await raw.ended();
    },
  },
  ...["close", "ping", "pong"].map((event) => ({
    name: `a listener of ${event} that throws`,
    isolated: true,
    async run(stage) {
      process.on("uncaughtException", (error) => stage.log("process", "uncaught", error));
      const { wss, socket, raw } = await stage.rawPair();
      wss.removeAllListeners("connection");
      socket.on(event, () => {
        throw new Error(`in ${event}`);
      });
      raw.write(
        event === "close"
          ? frames({ opcode: CLOSE, payload: closePayload(1000) })
          : frames({ opcode: event === "ping" ? PING : PONG, payload: "x" }),
      );
      await stage.until("process", "uncaught");
      socket.removeAllListeners("close");
      socket.terminate();
      await raw.ended();
      const other = stage.client("other");
      await stage.once(other, "open");
      other.close();
      await stage.over("other");
    },
  })),
  {
    name: "a listener of connection that throws",
    isolated: true,
    async run(stage) {
      process.on("uncaughtException", (error) => stage.log("process", "uncaught", error));
      const wss = await stage.serve();
      wss.once("connection", () => {
        throw new Error("in connection");
      });
      const first = await stage.handshake("first");
      await stage.until("process", "uncaught");
      stage.log("server", "clients", wss.clients.size);
      first.close();
      await first.over();
      stage.watchSockets();
      const second = stage.client("second");
      await stage.once(second, "open");
      second.close();
      await stage.over("server", "second");
    },
  },
  {
    name: "a callback of send() that throws",
    isolated: true,
    async run(stage) {
      process.on("uncaughtException", (error) => stage.log("process", "uncaught", error));
      const { socket, raw } = await stage.rawPair();
      socket.send("one", () => {
        throw new Error("in the callback");
      });
      await stage.until("process", "uncaught");
      await raw.count(1);
      socket.terminate();
      await raw.ended();
      await stage.until("server", "close in");
    },
  },
  {
    name: "a listener that rejects",
    isolated: true,
    async run(stage) {
      process.on("unhandledRejection", (error) => stage.log("process", "unhandled", error));
      const { socket, raw } = await stage.rawPair();
      socket.on("message", async () => {
        throw new Error("in an async listener");
      });
      raw.write(frames({ payload: "1" }, { payload: "2" }));
      await stage.until("process", "unhandled", 2);
      await goodbye(stage, raw);
    },
  },

  {
    name: "pause() and resume()",
    async run(stage) {
      const { socket, raw } = await stage.rawPair();
      stage.log("server", "paused", socket.isPaused);
      stage.log("server", "returned", socket.pause());
      stage.log("server", "paused", socket.isPaused, socket.readyState);
      raw.write(MIXED);
      await new Promise((resolve) => setTimeout(resolve, 50));
      stage.log("server", "nothing was heard");
      stage.log("server", "returned", socket.resume());
      stage.log("server", "paused", socket.isPaused);
      await stage.until("server", '"5"');
      await goodbye(stage, raw);
    },
  },
  {
    name: "pause() twice, and resume() without a pause",
    async run(stage) {
      const { socket, raw } = await stage.rawPair();
      socket.resume();
      socket.pause();
      socket.pause();
      stage.log("server", "paused", socket.isPaused);
      socket.resume();
      stage.log("server", "paused", socket.isPaused);
      raw.text("one");
      await goodbye(stage, raw);
    },
  },
  {
    name: "pause() does not hinder send()",
    async run(stage) {
      const { socket, raw } = await stage.rawPair();
      socket.pause();
      socket.send("one");
      await raw.count(1);
      socket.resume();
      await goodbye(stage, raw);
    },
  },
  {
    name: "pause() and a client that leaves",
    async run(stage) {
      const { socket, raw } = await stage.rawPair();
      socket.pause();
      raw.text("unheard so far");
      raw.close(1000, "bye");
      await new Promise((resolve) => setTimeout(resolve, 30));
      stage.log("server", "state", socket.readyState);
      socket.resume();
      await raw.over();
      await stage.until("server", "close in");
    },
  },
  {
    name: "terminate() while paused",
    async run(stage) {
      const { socket, raw } = await stage.rawPair();
      socket.pause();
      socket.terminate();
      await raw.ended();
      await stage.until("server", "close in");
      stage.log("server", "paused", socket.isPaused);
    },
  },
  {
    name: "pause() and resume() of what is closed",
    async run(stage) {
      const { socket, raw } = await stage.rawPair();
      socket.terminate();
      await raw.ended();
      await stage.until("server", "close in");
      stage.attempt("server", "pause", () => socket.pause());
      stage.log("server", "paused", socket.isPaused);
      stage.attempt("server", "resume", () => socket.resume());
      stage.log("server", "paused", socket.isPaused);
    },
  },
  {
    name: "pause() while megabytes come: nothing is lost, nor out of order",
    async run(stage) {
      const { socket, client } = await stage.pair();
      socket.removeAllListeners("message");
      const seen = [];
      const all = new Promise((resolve) => {
        socket.on("message", (data) => {
          seen.push(data[0]);
          if (seen.length % 10 === 0) {
            socket.pause();
            setTimeout(() => socket.resume(), 2);
          }
          if (seen.length === 100) resolve();
        });
      });
      for (let i = 0; i < 100; i++) {
        client.send(Buffer.alloc(50_000, i));
      }
      await stage.within(all, "all messages");
      stage.log(
        "server",
        "in order",
        seen.every((n, i) => n === i),
      );
      client.close();
      await stage.over();
    },
  },

  {
    name: "bufferedAmount of a client that does not read",
    async run(stage) {
      const { socket, raw } = await stage.rawPair();
      stage.log("server", "at first", socket.bufferedAmount);
      raw.socket.pause();
      const chunk = Buffer.alloc(1_000_000);
      let called = 0;
      const total = 30;
      for (let i = 0; i < total; i++) {
        socket.send(chunk, () => called++);
      }
      stage.log("server", "much", socket.bufferedAmount > 10_000_000);
      await new Promise((resolve) => setTimeout(resolve, 50));
      stage.log("server", "still", socket.bufferedAmount > 0, called < total);
      stage.events.of("client").list.length = 0;
      raw.onFrame = (received) => raw.frames.push(received);
      raw.socket.resume();
      await raw.changes.until(() => raw.frames.length === total);
      await stage.eventually(() => socket.bufferedAmount === 0, "nothing that waits");
      await stage.eventually(() => called === total, "callbacks");
      stage.log("server", "in the end", socket.bufferedAmount);
      socket.terminate();
      await stage.until("server", "close in");
    },
  },
  {
    name: "bufferedAmount is that of a turn",
    async run(stage) {
      const { socket, raw } = await stage.rawPair();
      socket.send("x".repeat(1000), () => stage.log("server", "in the callback", socket.bufferedAmount));
      await stage.until("server", "in the callback");
      await goodbye(stage, raw);
    },
  },
  {
    name: "one client that does not read is nobody else's business",
    async run(stage) {
      const wss = await stage.serve();
      const slow = await stage.handshake("slow");
      slow.socket.pause();
      const client = stage.client();
      await stage.once(client, "open");
      for (let i = 0; i < 20; i++) {
        for (const socket of wss.clients) {
          socket.send(Buffer.alloc(500_000, i));
        }
      }
      await stage.until("client", "message", 20);
      for (const socket of wss.clients) {
        socket.terminate();
      }
      await stage.over("client");
      stage.events.actors.delete("slow");
    },
  },
  {
    name: "a client that does not read is terminated",
    async run(stage) {
      const { socket, raw } = await stage.rawPair();
      raw.socket.pause();
      const errors = [];
      for (let i = 0; i < 20; i++) {
        socket.send(Buffer.alloc(1_000_000), (error) => errors.push(error instanceof Error));
      }
      socket.terminate();
      await stage.until("server", "close in");
      await stage.turns(10);
      stage.log("server", "callbacks", errors.length, errors.at(-1));
      raw.destroy();
    },
  },
];
