"use strict";

// Parsers other than the default one, in both directions.

const { EventEmitter } = require("node:events");
const msgpack = require("socket.io-msgpack-parser");
const { requireStock } = require("../support/stock");

/** A parser that writes packets as JSON, all of them in one text. */
const json = {
  Encoder: class {
    encode(packet) {
      return [JSON.stringify(packet)];
    }
  },
  Decoder: class extends EventEmitter {
    add(text) {
      const packet = JSON.parse(text);
      if (packet.type > 10) {
        throw new Error("own format error");
      }
      this.emit("decoded", packet);
    }

    destroy() {}
  },
};

/** A parser that takes several messages for a packet, of which not only the first is text. */
const chatty = {
  Encoder: class {
    encode(packet) {
      return ["{", Buffer.from("bytes"), JSON.stringify(packet), 7, null, "}"];
    }
  },
  Decoder: class extends EventEmitter {
    add(message) {
      if (message !== undefined && String(message).startsWith('{"type"'))
        this.emit("decoded", JSON.parse(message));
    }

    destroy() {}
  },
};

/** The parser of the package itself, handed over as an option. */
const own = requireStock("socket.io-parser");

const PARSERS = { msgpack, json, "socket.io-parser": own };

module.exports = [
  ...Object.entries(PARSERS).flatMap(([name, parser]) =>
    ["websocket", "polling"].map((transport) => ({
      name: `${name}: events both ways, over ${transport}`,
      options: { parser },
      async run(stage) {
        stage.watchSockets();
        stage.io.on("connection", (socket) => socket.on("ask", (value, answer) => answer(value)));
        const { client, socket } = await stage.pair("client", "/", { transports: [transport], parser });
        const values = ["é", 1.5, null, { a: [] }];
        client.emit("in", ...values);
        client.emit("ask", 7, (...args) => stage.log("client", "ack", ...args));
        await stage.until("client", "ack");
        socket.emit("out", ...values);
        stage.io.emit("all", ...values);
        socket.join("r");
        stage.io.to("r").volatile.emit("room", 1);
        if (name !== "json") {
          stage.io.emit("binary", Buffer.from([1, 2]));
          client.emit("binary", Buffer.from([3]));
          await stage.until("server", "event binary");
        }
        socket.disconnect();
        await stage.until("client", "disconnect ");
      },
    })),
  ),
  ...Object.entries(PARSERS).map(([name, parser]) => ({
    name: `${name}: on the wire`,
    options: { parser },
    async run(stage) {
      stage.watchSockets();
      const ws = await stage.ws("raw");
      const [connect] = new parser.Encoder().encode({ type: 0, nsp: "/" });
      if (typeof connect === "string") {
        ws.text(`4${connect}`);
      } else {
        ws.binary(connect);
      }
      await stage.until("server", "connection");
      await ws.count(2);
      stage.hide(/^82.* <Buffer .*736964.*/, "CONNECT, with an id");
      // the id of the socket does not always stand between quotes
      const count = ws.frames.length;
      stage.io.emit("ev", 1, { a: "é" });
      await ws.count(3);
      stage.log("wire", ...ws.frames.slice(count).map(({ payload }) => payload));
      const [event] = new parser.Encoder().encode({ type: 2, nsp: "/", data: ["in", 2] });
      if (typeof event === "string") {
        ws.text(`4${event}`);
      } else {
        ws.binary(event);
      }
      await stage.until("server", "event in");
    },
  })),
  {
    name: "an error of a parser",
    options: { parser: json },
    async run(stage) {
      stage.watchSockets();
      const ws = await stage.ws("raw");
      ws.text('4{"type":0,"nsp":"/"}');
      await stage.until("server", "connection");
      ws.text('4{"type":11}');
      await stage.until("server", "disconnect ");
      await ws.closed();
    },
  },
  {
    name: "what is no JSON to a parser",
    options: { parser: json },
    async run(stage) {
      stage.watchSockets();
      const ws = await stage.ws("raw");
      ws.text('4{"type":0,"nsp":"/"}');
      await stage.until("server", "connection");
      ws.text("4{");
      await stage.until("server", "disconnect ");
      await ws.closed();
    },
  },
  {
    name: "the encoder and the parser of a server",
    options: { parser: json },
    run({ io, log }) {
      log(
        "server",
        "parser",
        io._parser === json,
        io.encoder instanceof json.Encoder,
        io.opts.parser === json,
      );
    },
  },
  ...["websocket", "polling"].map((transport) => ({
    name: `a parser that makes several messages of a packet, texts and others, over ${transport}`,
    options: { parser: chatty },
    async run(stage) {
      const { socket } = await stage.pair("client", "/", { transports: [transport], parser: chatty });
      const { client: other } = await stage.pair("other", "/", { transports: [transport], parser: chatty });
      // apart from the events, as messages that come together are all read before the first event is emitted
      other.io.engine.on("data", (data) => stage.log("other's engine", "data", data));
      socket.emit("out", 1);
      stage.io.emit("all", 2);
      socket.broadcast.emit("others", 3);
      stage.io.volatile.emit("fleeting", 4);
      socket.disconnect();
      stage.io.emit("last", 5);
      await stage.until("client", "disconnect ");
      await stage.until("other", "event last");
    },
  })),
];
