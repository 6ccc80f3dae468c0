"use strict";

// Rooms, broadcasts and what is done to many sockets at once.

/** Clients a, b and c, and their sockets. */
async function three(stage, nsp) {
  const sockets = {};
  for (const name of ["a", "b", "c"]) {
    const { socket } = await stage.pair(name, nsp);
    sockets[name] = socket;
  }
  return sockets;
}

/** Ends with an event to everybody, which all three must have got. */
async function finish(stage, nsp = "/") {
  stage.io.of(nsp).emit("end");
  await Promise.all(["a", "b", "c"].map((name) => stage.until(name, "event end")));
}

const names = (sockets, { a, b, c }) =>
  [...sockets]
    .map(({ id }) => Object.entries({ a, b, c }).find(([, socket]) => socket.id === id)?.[0])
    .sort();

const scenario = (name, body, nsp) => ({
  name,
  async run(stage) {
    await body(stage, await three(stage, nsp));
    await finish(stage, nsp);
  },
});

/** Who gets what, written as calls on io and on a's socket. */
const BROADCASTS = {
  "io.emit": (io) => io.emit("x"),
  "io.to(room)": (io) => io.to("ab").emit("x"),
  "io.in(room)": (io) => io.in("ab").emit("x"),
  "io.to(two rooms)": (io) => io.to("ab").to("bc").emit("x"),
  "io.to([rooms])": (io) => io.to(["ab", "bc"]).emit("x"),
  "io.to([])": (io) => io.to([]).emit("x"),
  "io.to(nobody)": (io) => io.to("nobody").emit("x"),
  "io.except(room)": (io) => io.except("ab").emit("x"),
  "io.to(room).except(room)": (io) => io.to("ab").except("bc").emit("x"),
  "io.except([rooms])": (io) => io.except(["ab", "bc"]).emit("x"),
  "io.to(id)": (io, a) => io.to(a.id).emit("x"),
  "io.to(id).except(id)": (io, a) => io.to(a.id).except(a.id).emit("x"),
  "socket.broadcast": (io, a) => a.broadcast.emit("x"),
  "socket.broadcast.to(room)": (io, a) => a.broadcast.to("ab").emit("x"),
  "socket.to(room)": (io, a) => a.to("ab").emit("x"),
  "socket.in(room)": (io, a) => a.in("bc").emit("x"),
  "socket.except(room)": (io, a) => a.except("bc").emit("x"),
  "socket.to(own id)": (io, a) => a.to(a.id).emit("x"),
  "socket.emit": (io, a) => a.emit("x"),
  "socket.broadcast.volatile": (io, a) => a.broadcast.volatile.emit("x"),
  "io.local.to": (io) => io.local.to("ab").emit("x"),
  "io.compress(false).to": (io) => io.compress(false).to("ab").emit("x"),
  "io.to(number)": (io) => io.to(7).emit("x"),
  "binary data to a room": (io) => io.to("ab").emit("x", Buffer.from([1]), { b: Buffer.from([2]) }),
  "an operator kept, used twice": (io) => {
    const operator = io.to("ab");
    operator.to("bc").emit("x", 1);
    operator.emit("x", 2);
  },
};

module.exports = [
  ...Object.entries(BROADCASTS).map(([name, broadcast]) =>
    scenario(`who gets ${name}`, ({ io }, { a, b, c }) => {
      a.join("ab");
      b.join(["ab", "bc"]);
      c.join("bc");
      a.join(7);
      broadcast(io, a);
    }),
  ),
  ...Object.entries(BROADCASTS)
    .slice(0, 12)
    .map(([name, broadcast]) =>
      scenario(
        `who gets ${name} of a namespace`,
        ({ io }, { a, b, c }) => {
          a.join("ab");
          b.join(["ab", "bc"]);
          c.join("bc");
          broadcast(io.of("/chat"), a);
        },
        "/chat",
      ),
    )
    .map((entry) => ({
      ...entry,
      run(stage) {
        stage.io.of("/chat");
        return entry.run(stage);
      },
    })),
  scenario("join and leave between broadcasts of one tick", ({ io }, { a, b }) => {
    a.join("r");
    io.to("r").emit("x", 1);
    b.join("r");
    io.to("r").emit("x", 2);
    a.leave("r");
    io.to("r").emit("x", 3);
    a.emit("x", 4);
    io.emit("x", 5);
  }),
  {
    name: "rooms of a socket, and of the adapter",
    async run(stage) {
      const { io, log } = stage;
      const { a, b } = await three(stage);
      const state = (what) => {
        const { rooms, sids } = io.of("/").adapter;
        log(
          "server",
          what,
          [...a.rooms].filter((room) => room !== a.id),
          a.rooms.has(a.id),
          rooms.size,
          sids.size,
        );
        log(
          "server",
          "members",
          [...rooms].filter(([room]) => room.length < 20).map(([room, ids]) => [room, ids.size]),
        );
      };
      state("before");
      log("server", "join", a.join("r"), a.join(["s", "t"]), b.join("r"));
      state("joined");
      log("server", "leave", a.leave("s"), a.leave("never"));
      state("left");
      a.leave(a.id);
      state("left its own");
      a.disconnect();
      state("disconnected");
      a.join("late");
      state("joined afterwards");
    },
  },
  {
    name: "events of the adapter",
    async run(stage) {
      for (const event of ["create-room", "join-room", "leave-room", "delete-room"]) {
        stage.io.of("/").adapter.on(event, (...args) => stage.log("adapter", event, ...args));
      }
      const { client, socket } = await stage.pair("client");
      socket.join("r");
      socket.join("r");
      socket.join(["r", "s"]);
      socket.leave("r");
      stage.io.socketsJoin("all");
      client.disconnect();
      await stage.until("adapter", "delete-room", 4);
    },
  },
  scenario("fetchSockets", async ({ io, log }, sockets) => {
    const { a, b, c } = sockets;
    a.join("ab");
    b.join("ab");
    c.data.name = "c";
    log("server", "all", names(await io.fetchSockets(), sockets));
    log("server", "room", names(await io.in("ab").fetchSockets(), sockets));
    log("server", "except", names(await io.except("ab").fetchSockets(), sockets));
    log("server", "local", names(await io.local.fetchSockets(), sockets));
    log("server", "broadcast", names(await a.broadcast.fetchSockets(), sockets));
    log("server", "to", names(await a.to("ab").fetchSockets(), sockets));
    const [remote] = await io.in(c.id).fetchSockets();
    log("server", "remote", remote.data, remote.rooms, remote.handshake === c.handshake, remote.id === c.id);
    remote.join("d");
    remote.emit("x", 1);
    log("server", "rooms", c.rooms.has("d"), remote.leave("d"), c.rooms.has("d"));
    log("server", "allSockets", (await io.allSockets()).size, (await io.in("ab").allSockets()).size);
  }),
  scenario("socketsJoin and socketsLeave", ({ io, log }, { a, b, c }) => {
    const state = () =>
      log("server", "rooms", ...[a, b, c].map(({ rooms, id }) => [...rooms].filter((room) => room !== id)));
    io.socketsJoin("all");
    state();
    io.in("all").socketsJoin(["x", "y"]);
    io.in(a.id).socketsLeave("x");
    state();
    a.broadcast.socketsLeave(["y", "all"]);
    state();
    io.to("x").emit("x");
    io.except("all").socketsJoin("others");
    state();
  }),
  {
    name: "disconnectSockets of a room, without and with the connection",
    async run(stage) {
      const { a, b } = await three(stage);
      for (const socket of stage.io.of("/").sockets.values()) {
        const actor = socket === a ? "socket a" : socket === b ? "socket b" : "socket c";
        stage.watch(actor, socket, "disconnecting", "disconnect");
      }
      a.join("ab");
      b.join("ab");
      stage.io.to("ab").emit("goodbye");
      stage.io.in("ab").disconnectSockets();
      stage.io.emit("still");
      stage.io.disconnectSockets(true);
      await Promise.all(["a", "b", "c"].map((name) => stage.until(name, "disconnect ")));
      stage.log("server", "left", stage.io.of("/").sockets.size, stage.io.of("/").adapter.rooms.size);
    },
  },
  scenario("a large room, joined and left many times", ({ io, log }, { a, b, c }) => {
    for (let i = 0; i < 30; i++) {
      for (const socket of [a, b, c]) {
        socket.join(`r${i}`);
      }
      if (i % 3) {
        a.leave(`r${i}`);
      }
      io.to(`r${i}`)
        .except(i % 2 ? b.id : c.id)
        .emit("x", i);
    }
    log("server", "rooms", a.rooms.size, b.rooms.size, io.of("/").adapter.rooms.size);
  }),
  {
    name: "a broadcast to sockets that poll and to WebSockets, on the wire",
    async run(stage) {
      const ws = await stage.join("ws");
      const polling = await stage.joinPolling("polling");
      stage.io.emit("text", "é", 1);
      stage.io.emit("binary", Buffer.from([1, 2, 3]));
      stage.io.to("nobody").emit("nothing");
      stage.io.except("nobody").emit("all", {});
      await ws.count(6);
      await polling.poll();
    },
  },
  {
    name: "a broadcast to a socket that middleware still holds back",
    async run(stage) {
      let go;
      stage.io.use((socket, next) => {
        socket.join("r");
        go = next;
      });
      const client = stage.client("client");
      await stage.eventually(() => go, "the middleware");
      stage.io.emit("too early");
      stage.io.to("r").emit("too early");
      go();
      await stage.connected(client);
      stage.io.to("r").emit("end");
      await stage.until("client", "event end");
    },
  },
  scenario("whom what is done to many sockets reaches, if it changes their rooms", (stage, { a, b, c }) => {
    const { io } = stage;
    const { adapter } = io.of("/");
    const all = { a, b, c };
    const visits = (name, rooms, change) => {
      const visited = [];
      adapter.apply({ rooms: new Set(rooms) }, (socket) => {
        visited.push(...names([socket], all));
        change(socket);
      });
      stage.log("server", name, visited);
    };
    a.join(["one", "two"]);
    b.join("one");
    visits("one puts out the next", ["one"], () => b.leave("one"));
    visits("one lets in another", ["one"], () => c.join("one"));
    visits("each leaves and comes back", ["one"], (socket) => {
      socket.leave("one");
      socket.join("one");
    });
    visits("one moves to the next room", ["one", "two"], () => b.join("two"));
    visits("everybody is in a room", [], (socket) => socket.join("three"));
    visits("everybody leaves", ["two", "three", "none"], (socket) => socket.leave("three"));
  }),
  {
    name: "disconnecting a room whose members put out each other",
    async run(stage) {
      const { a, b, c } = await three(stage);
      for (const socket of [a, b]) socket.join("r");
      a.on("disconnect", () => {
        c.join("r");
        b.leave("r");
      });
      stage.io.in("r").disconnectSockets();
      stage.log("server", "left", names(stage.io.of("/").sockets.values(), { a, b, c }));
      await stage.until("a", "disconnect");
      await stage.until("c", "disconnect");
    },
  },
  {
    name: "serverSideEmit without other servers",
    async run(stage) {
      const { io, log } = stage;
      io.on("ping", (...args) => log("server", "ping", ...args));
      log("server", "returns", io.serverSideEmit("ping", 1));
      io.of("/chat").serverSideEmit("ping");
      for (const name of ["connection", "connect", "new_namespace"]) {
        try {
          log("server", name, io.serverSideEmit(name));
        } catch (error) {
          log("server", name, error);
        }
      }
      await new Promise(setImmediate);
    },
  },
];
