"use strict";

// How sessions and sockets end, and who is told what.

/** Ends a client's socket in a way of its own; all of it is logged. */
const ENDS = {
  "the client disconnects": ({ client }) => client.disconnect(),
  "the client closes the engine": ({ client }) => client.io.engine.close(),
  "the server disconnects the socket": ({ socket }) => socket.disconnect(),
  "the server disconnects the client": ({ socket }) => socket.disconnect(true),
  "the server closes the session": ({ socket }) => socket.conn.close(),
  "the server closes the session at once": ({ socket }) => socket.conn.close(true),
  "the client's connection is closed by client._disconnect": ({ socket }) => socket.client._disconnect(),
  disconnectSockets: ({ stage }) => stage.io.disconnectSockets(),
  "disconnectSockets(true)": ({ stage }) => stage.io.disconnectSockets(true),
  "io.close()": ({ stage }) => void stage.io.close(),
  "engine.close()": ({ stage }) => stage.io.engine.close(),
  "disconnect twice": ({ socket }) => socket.disconnect().disconnect(true),
  "emit, then disconnect": ({ socket }) => {
    socket.emit("bye", 1);
    socket.disconnect(true);
    socket.emit("too late");
  },
  "conn.transport.close()": ({ socket }) => socket.conn.transport.close(),
};

const TRANSPORTS = ["websocket", "polling"];

/** What no packet can be made of. */
const UNENCODABLE = {
  "a value that holds itself": () => {
    const value = {};
    value.self = value;
    return value;
  },
  "a BigInt": () => 1n,
  "a getter that throws": () => ({
    get broken() {
      throw new Error("of the application");
    },
  }),
};

module.exports = [
  ...TRANSPORTS.flatMap((transport) =>
    Object.entries(ENDS).map(([name, end]) => ({
      name: `${name}, over ${transport}`,
      async run(stage) {
        stage.io.on("connection", (socket) => {
          socket.join("r");
          socket.on("disconnecting", (reason) =>
            stage.log("server", "disconnecting", reason, socket.rooms.size, socket.connected),
          );
          socket.on("disconnect", (reason) => {
            stage.log(
              "server",
              "disconnect",
              reason,
              socket.rooms.size,
              socket.connected,
              socket.disconnected,
            );
            stage.log("server", "join", socket.join("late"), socket.rooms.size);
          });
        });
        const { client, socket } = await stage.pair("client", "/", { transports: [transport] });
        stage.watch("conn", socket.conn, "close");
        if (transport === "polling") {
          await stage.eventually(() => socket.conn.transport.writable, "a poll is open");
        }
        end({ stage, client, socket });
        await stage.until("client", "disconnect ");
        await stage.until("server", "join");
        // a client that has left its namespace ends the session too
        await stage.until("conn", "close");
        stage.log("server", "after", socket.conn.readyState, stage.io.engine.clientsCount);
      },
    })),
  ),
  {
    name: "a client that does not answer pings",
    options: { pingInterval: 20, pingTimeout: 30 },
    async run(stage) {
      stage.io.engine.on("connection", (conn) => stage.watch("conn", conn, "packetCreate", "close"));
      const ws = await stage.ws("raw");
      await stage.until("conn", "close");
      await ws.closed();
    },
  },
  {
    name: "all namespaces of a client end, in which order",
    async run(stage) {
      for (const nsp of ["/", "/a", "/b"]) {
        stage.io.of(nsp).on("connection", (socket) => {
          socket.on("disconnecting", (reason) => stage.log("server", nsp, "disconnecting", reason));
          socket.on("disconnect", (reason) => stage.log("server", nsp, "disconnect", reason));
        });
      }
      const ws = await stage.join("raw");
      ws.text("40/a,");
      ws.text("40/b,");
      await ws.count(4);
      const [socket] = stage.io.of("/a").sockets.values();
      socket.disconnect(true);
      await stage.until("server", 6);
      await ws.closed();
    },
  },
  {
    name: "a DISCONNECT of each namespace, and the session stays",
    async run(stage) {
      stage.watchSockets();
      stage.watchSockets(stage.io.of("/a"), "a");
      const ws = await stage.join("raw");
      ws.text("40/a,");
      await ws.count(3);
      ws.text("41/a,");
      ws.text("41");
      await stage.until("server", "disconnect ");
      await stage.until("a", "disconnect ");
      ws.text("40");
      await ws.count(4);
    },
  },
  {
    name: "a client that reconnects",
    async run(stage) {
      stage.watchSockets();
      const client = stage.client("client", "/", {
        reconnection: true,
        reconnectionDelay: 5,
        reconnectionDelayMax: 10,
      });
      await stage.connected(client);
      const first = client.id;
      client.io.engine.close();
      await stage.until("client", "connect", 3);
      await stage.until("server", "connection", 2);
      stage.log("client", "ids", client.id !== first);
    },
  },
  {
    name: "listeners of disconnect that emit, join and look around",
    async run(stage) {
      const { socket, client } = await stage.pair("client");
      await stage.pair("other");
      socket.join("r");
      socket.on("disconnecting", () => {
        socket.broadcast.emit("going", [...socket.rooms].length);
        stage.io.to("r").emit("room");
      });
      socket.on("disconnect", () => {
        socket.broadcast.emit("gone", stage.io.of("/").sockets.size);
        stage.io.emit("all");
      });
      client.disconnect();
      await stage.until("other", "event all");
    },
  },
  {
    name: "io.close() with its promise, its callback, and afterwards",
    async run(stage) {
      const { io, log, httpServer } = stage;
      stage.watchSockets();
      await stage.pair("client");
      const polling = await stage.joinPolling("polling");
      await new Promise((resolve) => {
        io.close((error) => {
          log("server", "closed", error);
          resolve();
        }).then((value) => log("server", "resolved", value));
      });
      await stage.until("server", "resolved");
      await stage.until("client", "disconnect ");
      log("server", "listening", httpServer.listening, io.engine.clientsCount, io.of("/").sockets.size);
      await io.close((error) => log("server", "again", error));
      log("server", "sid", typeof polling.sid);
    },
    not: { duplex: "the HTTP server does not listen there" },
  },
  {
    name: "what a poll in flight is told by io.close()",
    async run(stage) {
      const polling = await stage.joinPolling("polling");
      const poll = polling.poll();
      await stage.eventually(() => stage.io.engine.clients[polling.sid].transport.writable, "a poll is open");
      void stage.io.close();
      await poll;
    },
  },
  ...Object.entries(UNENCODABLE).flatMap(([what, make]) =>
    TRANSPORTS.map((transport) => ({
      name: `${what} for a client that has gone, over ${transport}`,
      async run(stage) {
        const { client, socket } = await stage.pair("client", "/", { transports: [transport] });
        socket.on("question", (answer) => {
          socket.on("disconnect", () => {
            const attempts = {
              emit: () => socket.emit("ev", make()),
              "volatile emit": () => socket.volatile.emit("ev", make()),
              "emit with an acknowledgement": () => socket.emit("ev", make(), () => {}),
              send: () => socket.send(make()) === socket,
              answer: () => answer(make()),
              "answer again": () => answer(make()),
            };
            for (const [name, attempt] of Object.entries(attempts)) {
              try {
                stage.log("server", name, attempt());
              } catch (error) {
                stage.log("server", name, error);
              }
            }
          });
        });
        client.emit("question", () => {});
        await stage.eventually(() => socket.listenerCount("disconnect") !== 0, "the question");
        client.io.engine.close();
        await stage.until("server", "answer again");
      },
    })),
  ),
  ...Object.entries({
    "conn.close(true)": ({ socket }) => socket.conn.close(true),
    "io.close()": ({ stage }) => void stage.io.close(),
  }).map(([name, end]) => ({
    name: `emit, then ${name} at once`,
    async run(stage) {
      const { ws, socket } = await stage.server.rawPair();
      for (let i = 0; i < 3; i++) socket.emit("ev", i);
      end({ stage, socket });
      await ws.closed();
      stage.log("client", ...ws.messages.filter((message) => message.startsWith("42")));
    },
    differs: {
      why: "what has been emitted is delivered; with stock, what the transport has not taken yet is thrown away",
      logs: {
        client: {
          stock: ['42["ev",0]'],
          ours: ['42["ev",0] "42[\\"ev\\",1]" "42[\\"ev\\",2]"'],
        },
      },
    },
  })),
];
