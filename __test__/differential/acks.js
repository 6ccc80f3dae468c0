"use strict";

// Acknowledgements: of clients, of the server, with timeouts, of broadcasts.

const { frame } = require("../support/raw-websocket");

/** A raw client that answers what it is asked with its own name. */
async function answering(stage, actor, answer = `["${actor}"]`) {
  const ws = await stage.join(actor);
  const { onFrame } = ws;
  ws.onFrame = function (received) {
    onFrame.call(this, received);
    const asked = /^42(\d+)\[/.exec(received.payload.toString());
    if (asked && answer !== null) {
      ws.text(`43${asked[1]}${answer}`);
    }
  };
  return ws;
}

function ignore() {}

module.exports = [
  {
    name: "questions on the wire, both ways",
    async run(stage) {
      stage.io.on("connection", (socket) => {
        socket.on("ask", (...args) => args.pop()(...args, socket.rooms.size));
        socket.emit("question", 1, (...args) => stage.log("server", "answer", ...args));
      });
      const ws = await stage.join("raw");
      await ws.count(3);
      ws.text('430["yes",{"a":[]}]');
      ws.text('425["ask",1,{"x":null}]');
      ws.text('426["ask"]');
      await ws.count(5);
      await stage.until("server", "answer");
    },
  },
  {
    name: "what an answer may hold",
    async run(stage) {
      stage.io.on("connection", (socket) => {
        socket.on("ask", (answer) =>
          answer(undefined, NaN, null, new Date(0), Buffer.from([1]), { a: Buffer.from([2]) }),
        );
        socket.on("nothing", (answer) => answer());
      });
      const { client } = await stage.pair("client");
      client.emit("ask", (...args) => stage.log("client", "ack", ...args));
      client.emit("nothing", (...args) => stage.log("client", "ack", ...args));
      await stage.until("client", "ack", 2);
      const ws = await stage.join("raw");
      ws.text('420["ask"]');
      await ws.count(5);
      ws.text('421["nothing"]');
      await ws.count(6);
    },
  },
  {
    name: "a function that answers twice",
    async run(stage) {
      stage.io.on("connection", (socket) => {
        socket.on("ask", (answer) => {
          answer(1);
          answer(2);
          socket.emit("end");
        });
      });
      const ws = await stage.join("raw");
      ws.text('420["ask"]');
      await ws.count(4);
    },
  },
  {
    name: "an answer that comes twice, and answers to nothing",
    async run(stage) {
      const ws = await stage.join("raw");
      const [socket] = await stage.io.of("/").sockets.values();
      socket.on("end", () => stage.log("server", "end"));
      socket.emit("ask", (...args) => stage.log("server", "answer", ...args));
      await ws.count(3);
      for (const packet of ['430["one"]', '430["two"]', '437["three"]', '43["four"]', '42["end"]']) {
        ws.text(packet);
      }
      await stage.until("server", "end");
    },
  },
  {
    name: "the callback is the last argument only",
    async run(stage) {
      stage.watchSockets();
      const { client, socket } = await stage.pair("client");
      const callback = () => {};
      socket.emit("ev", callback, 1);
      stage.log("server", "acks", socket.acks.size);
      client.emit("in", 1, (answer) => stage.log("client", "ack", answer));
      await stage.until("server", "event in");
      await stage.until("client", "event ev");
    },
  },
  {
    name: "which callbacks are kept, and until when",
    async run(stage) {
      const ws = await stage.join("raw");
      const [socket] = await stage.io.of("/").sockets.values();
      const log = (...args) => stage.log("server", ...args, [...socket.acks.keys()], { ...socket.flags });
      socket.emit("one", () => log("one"));
      socket.timeout(5000).emit("two", (...args) => log("two", ...args));
      socket.compress(false).emit("three", 3, (...args) => log("three", ...args));
      log("asked");
      const endless = {};
      endless.itself = endless;
      const thrower = {
        toJSON() {
          log("in between");
          throw new Error("not this");
        },
      };
      for (const value of [endless, 1n, thrower]) {
        try {
          socket.volatile.emit("four", value, ignore);
        } catch (error) {
          log("refused", error.name);
        }
      }
      await ws.count(5);
      for (const packet of ['432["3",true]', "430[]", "431[null]", "430[]"]) ws.text(packet);
      await stage.until("server", "two");
      log("answered");
      socket.emit("five", ignore);
      socket.disconnect();
      log("disconnected");
      socket.emit("six", ignore);
      log("too late");
    },
  },
  {
    name: "how packets with callbacks and flags are created, as the connection tells",
    async run(stage) {
      for (const transport of ["websocket", "polling"]) {
        const { client, socket } = await stage.pair(transport, "/", { transports: [transport] });
        client.on("ask", (answer) => answer());
        socket.conn.on("packetCreate", ({ data, options }) => stage.log(transport, "created", data, options));
        for (const flagged of [
          () => socket,
          () => socket.volatile,
          () => socket.compress(false),
          () => socket.timeout(5000),
          () => socket.timeout(5000).volatile.compress(true),
        ]) {
          await flagged().emitWithAck("ask");
          flagged().emit("tell", 1);
          // what is volatile is dropped while another packet waits
          await socket.emitWithAck("ask");
        }
      }
    },
  },
  {
    name: "emitWithAck of server and client",
    async run(stage) {
      const { client, socket } = await stage.pair("client");
      client.on("ask", (value, answer) => answer(value, 2));
      socket.on("ask", (value, answer) => answer(value, 3));
      stage.log("server", "answer", await socket.emitWithAck("ask", 1));
      stage.log("client", "answer", await client.emitWithAck("ask", 1));
    },
  },
  {
    name: "a timeout without an answer, and with one that is late",
    async run(stage) {
      const { client, socket } = await stage.pair("client");
      let late;
      client.on("ask", (answer) => (late = answer));
      await new Promise((resolve) => {
        socket.timeout(20).emit("ask", (...args) => {
          stage.log("server", "answer", ...args);
          resolve();
        });
      });
      await stage.until("client", "event ask");
      late("too late");
      await socket
        .timeout(20)
        .emitWithAck("ask")
        .catch((error) => stage.log("server", "rejected", error));
      socket.timeout(5000).emit("ask", (...args) => stage.log("server", "answer", ...args));
      await stage.until("client", "event ask", 3);
      late("in time");
      await stage.until("server", "in time");
      stage.log("server", "acks", socket.acks.size);
    },
  },
  {
    name: "a broadcast with answers of all",
    async run(stage) {
      await Promise.all(["a", "b", "c"].map((name) => answering(stage, name)));
      await new Promise((resolve) => {
        stage.io.timeout(5000).emit("ask", 1, (err, answers) => {
          stage.log("server", "answers", err, answers.sort());
          resolve();
        });
      });
      stage.log("server", "answers", (await stage.io.timeout(5000).emitWithAck("ask")).sort());
    },
  },
  {
    name: "a broadcast that one does not answer",
    async run(stage) {
      await answering(stage, "a");
      await answering(stage, "b", null);
      await new Promise((resolve) => {
        stage.io.timeout(300).emit("ask", (err, answers) => {
          stage.log("server", "answers", err, answers);
          resolve();
        });
      });
      await stage.io
        .timeout(300)
        .emitWithAck("ask")
        .catch((error) => stage.log("server", "rejected", error));
    },
  },
  {
    name: "a broadcast with answers to nobody, to a room, and from a socket",
    async run(stage) {
      const { io } = stage;
      stage.log("server", "nobody", await io.to("empty").timeout(5000).emitWithAck("ask"));
      await answering(stage, "a");
      await answering(stage, "b");
      const [first, second] = io.of("/").sockets.values();
      first.join("room");
      stage.log("server", "room", await io.to("room").timeout(5000).emitWithAck("ask", 1));
      stage.log("server", "except", (await io.except("room").timeout(5000).emitWithAck("ask", 2)).length);
      stage.log("server", "broadcast", (await first.broadcast.timeout(5000).emitWithAck("ask", 3)).length);
      stage.log("server", "to", (await second.to("room").timeout(5000).emitWithAck("ask", 4)).length);
    },
  },
  {
    name: "an answer of more than one value to a broadcast",
    async run(stage) {
      await answering(stage, "a", '["x","y"]');
      await answering(stage, "b", "[]");
      const answers = await stage.io.timeout(5000).emitWithAck("ask");
      stage.log("server", "answers", answers.sort());
    },
  },
  {
    name: "a broadcast with binary answers",
    async run(stage) {
      const ws = await stage.join("a");
      const answers = stage.io.timeout(5000).emitWithAck("ask", Buffer.from([9]));
      await ws.count(4);
      ws.write(
        Buffer.concat([
          frame({ payload: '461-0[{"_placeholder":true,"num":0}]' }),
          frame({ opcode: 2, payload: Buffer.from([7]) }),
        ]),
      );
      stage.log("server", "answers", await answers);
    },
  },
  {
    name: "a client that leaves before it has answered",
    async run(stage) {
      const { client, socket } = await stage.pair("client");
      const answer = socket.timeout(50).emitWithAck("ask");
      client.on("ask", () => client.disconnect());
      await answer.catch((error) => stage.log("server", "rejected", error));
      const other = await stage.pair("other");
      other.client.on("ask", () => other.client.disconnect());
      await stage.io
        .timeout(50)
        .emitWithAck("ask")
        .catch((error) => stage.log("server", "rejected", error));
    },
  },
  {
    name: "an answer after the socket has gone",
    async run(stage) {
      stage.watchSockets();
      let answer;
      stage.io.on("connection", (socket) => socket.on("ask", (fn) => (answer = fn)));
      const ws = await stage.join("raw");
      ws.text('420["ask"]');
      await stage.eventually(() => answer, "the question");
      ws.text("41");
      await stage.until("server", "disconnect ");
      answer(1);
      ws.text("40");
      await ws.count(4);
      await stage.until("server", "connection", 2);
    },
  },
  {
    name: "ids of acks are counted per namespace and per socket",
    async run(stage) {
      stage.io.of("/chat");
      const ws = await stage.join("raw");
      ws.text("40/chat,");
      await ws.count(3);
      const ask = (nsp) => {
        const [socket] = stage.io.of(nsp).sockets.values();
        socket.emit("ask", (value) => stage.log("server", nsp, value));
      };
      ask("/");
      ask("/");
      ask("/chat");
      await ws.count(6);
      ws.text('43/chat,0["chat"]');
      ws.text('431["second"]');
      ws.text('430["first"]');
      await stage.until("server", 3);
    },
  },
  {
    name: "a broadcast with a callback but without a timeout",
    async run(stage) {
      await answering(stage, "a");
      for (const [name, ask] of Object.entries({
        "io.emit": () => stage.io.emit("ask", () => {}),
        "io.to.emit": () => stage.io.to("r").emit("ask", () => {}),
        "socket.broadcast.emit": () =>
          [...stage.io.of("/").sockets.values()][0].broadcast.emit("ask", () => {}),
      })) {
        try {
          ask();
          stage.log("server", name, "passes");
        } catch (error) {
          stage.log("server", name, error);
        }
      }
      stage.io.emit("end");
      await stage.until("a", '"42[');
    },
  },
];
