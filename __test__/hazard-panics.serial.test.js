"use strict";

// A panic of the native engine, wherever it strikes: the process lives and hears of it, and others are served.

const test = require("node:test");
const assert = require("node:assert/strict");
const {
  isStock,
  eventually,
  request,
  frame,
  upgradeRequest,
  RawPolling,
  RawWebSocket,
} = require("./support/harness");
const { startChild } = require("./support/child");
const { buildPanickingAddon } = require("./support/panicking-addon");

const OURS = { skip: isStock && "stock has no native engine" };

test.before(async () => {
  if (!isStock) {
    process.env.SOCKEYE_BINDING = await buildPanickingAddon();
  }
});

/** A server with two workers, and everything that a test wants it to do. */
async function server({ args, sio, load, listen, send, inbox, block }) {
  const { panicAt } = load(process.env.SOCKEYE_BINDING);
  const { SocketDuplex } = load("./duplex");
  const httpServer = await listen();
  const front = load("node:net").createServer({ allowHalfOpen: true, noDelay: true }, (socket) =>
    httpServer.emit("connection", new SocketDuplex(socket)),
  );
  front.listen(0);
  const io = new sio.Server(httpServer, { workers: 2, allowEIO3: true, ...args.options });
  const ends = {};
  const warnings = [];
  const failures = [];
  process.on("warning", ({ message }) => warnings.push(message));
  process.on("uncaughtException", (error) => failures.push(error.stack));
  let last;
  io.on("connection", (socket) => {
    last = socket;
    socket.on("echo", (value, ack) => ack?.(value));
    socket.on("disconnect", (reason) => (ends[socket.id] = reason));
  });
  const lane = (socket) => socket.conn._handle % 2;
  const deeds = {
    nothing: () => {},
    emit: () => last.emit("n", 1),
    "emit much": () => last.emit("n", "x".repeat(16e6)),
    broadcast: () => io.emit("n", 1),
    // a room of many members is mirrored by the workers
    "make room": () => {
      io.socketsJoin("room");
      io.to("room").emit("n");
    },
    "drop room": () => io.socketsLeave("room"),
    join: () => last.join("room"),
    "leave room": () => last.leave("room"),
    disconnect: () => last.disconnect(),
    "one by one": () => {
      const packets = [`2["n"]`];
      io.sockets.sockets.forEach((socket) => socket.client.writeToEngine(packets, { preEncoded: true }));
    },
    close: () => last.conn.close(),
    discard: () => last.conn.onError(new Error("on purpose")),
    watch: () => last.conn.on("packet", () => {}),
    block: () => block(500),
    exit: () => setImmediate(() => process.exit(3)),
    "close all": () => io.close().then(() => front.close()),
  };
  inbox.on("do", ({ deed, point, times }) => {
    // without a point, it is only asked
    const left = panicAt(point ?? "", times ?? 1);
    deeds[deed]();
    send("do", { left });
  });
  inbox.on("state", () => {
    const lanes = Object.fromEntries([...io.sockets.sockets.values()].map((it) => [it.id, lane(it)]));
    const names = Object.fromEntries(
      Object.values(io.engine.clients).map((it) => [it.id, it.transport.name]),
    );
    send("state", { ends, warnings, failures, lanes, names, left: io.engine.clientsCount });
  });
  send("listening", { port: httpServer.address().port, duplexPort: front.address().port });
}

async function echo(ws, value) {
  ws.text(`421["echo",${value}]`);
  let packet;
  do {
    packet = await ws.next();
  } while (!packet.startsWith("431"));
  assert.equal(packet, `431[${value}]`);
}

class Scene {
  constructor(t, child, { port, duplexPort }) {
    this.child = child;
    this.crowd = [];
    const keep = (ws) => (t.after(() => ws.destroy()), ws);
    this.server = { port, secure: false, keep };
    this.duplex = { port: duplexPort, secure: false, keep };
  }

  /** Starts a server; `near` is a client of the worker that the next one will come to, `far` one of the other. */
  static async open(t, options) {
    const child = startChild(t, server, { options });
    const scene = new Scene(t, child, await child.message("listening"));
    scene.near = await RawWebSocket.connect(scene.server);
    scene.far = await RawWebSocket.connect(scene.server);
    return scene;
  }

  state() {
    return this.child.ask("state");
  }

  /** Has the server do something. The next time that the engine comes to `point` it panics. */
  async do(deed, point, times) {
    return (await this.child.ask("do", { deed, point, times })).left;
  }

  /** The reason with which a client's session ended, and what its server side says of it. */
  async endOf(id) {
    let state;
    await eventually(async () => (state = await this.state()).ends[id] !== undefined, `the end of ${id}`);
    return state.ends[id];
  }

  /** What must be true after any panic. */
  async check(outcome) {
    // a worker may have yet to come to what was asked of it
    await eventually(async () => (await this.do("nothing")) === 0, "the panic has happened");
    const { failures } = await this.state();
    assert.deepEqual(failures, []);
    const hit = { worker: [this.near], everybody: [this.near, this.far] }[outcome] ?? [];
    for (const ws of [this.near, this.far]) {
      if (hit.includes(ws)) {
        assert.equal(await this.endOf(ws.id), "transport error");
        await ws.ended();
      } else {
        await echo(ws, 1);
      }
    }
    if (outcome !== "nobody") {
      const heard = async () =>
        (await this.state()).warnings.some((it) => it.startsWith("the native engine"));
      await eventually(heard, "a warning");
    }
    // newcomers, on both workers
    const newcomers = [];
    for (let i = 0; i < 4; i++) {
      newcomers.push(await RawWebSocket.connect(this.server));
    }
    await Promise.all(newcomers.map((ws, i) => echo(ws, i)));
    const polling = await RawPolling.connect(this.server);
    await polling.post('421["echo",5]');
    assert.equal(await polling.next(), "431[5]");
    // everybody's session and descriptor go when they leave, nobody else's did
    for (const ws of [...newcomers, ...this.crowd, this.near, this.far, this.victim]) {
      ws?.destroy?.();
    }
    await polling.post("1");
    await eventually(async () => (await this.state()).left === 0, "all sessions are gone");
    assert.deepEqual((await this.state()).failures, []);
    await this.do("close all");
    assert.deepEqual(await this.child.ended(), { code: 0, signal: null });
  }
}

/** The query of a client whose requests are left to Node's HTTP server. */
const UNUSUAL = "EIO=4&transport=polling&x=%41";

/** Clients of several kinds. */
const connect = {
  websocket: (scene) => RawWebSocket.connect(scene.server),
  duplex: (scene) => RawWebSocket.connect(scene.duplex),
  polling: (scene) => RawPolling.connect(scene.server),
  // whose requests are Node's
  unusual: (scene) => RawPolling.connect(scene.server, { query: UNUSUAL }),
};

/** What a client that is to be hit does after the point has been armed. */
const provoke = {
  message: ({ victim }) => victim.text('42["n"]'),
  binary: ({ victim }) =>
    victim.write(
      Buffer.concat([
        frame({ payload: '451-["echo",{"_placeholder":true,"num":0}]' }),
        frame({ opcode: 2, payload: "x" }),
      ]),
    ),
  post: ({ victim }) => victim.post('42["n"]').catch(() => {}),
  poll: ({ victim }) => void victim.poll().catch(() => {}),
  nothing: () => {},
};

/**
 * Where it panics, who is hit, by what, and whose session ends: "victim", "worker" (those of the victim's worker),
 * "everybody" (both workers panic) or "nobody".
 */
const POINTS = [
  ["submit", "websocket", "emit", "worker"],
  ["pipeData", "duplex", "message", "victim"],
  ["isBehind", "duplex", "message", "nobody"],
  ["drain", "websocket", "message", "nobody"],
  ["batch", "websocket", "message", "nobody"],
  ["takeBuffers", "websocket", "binary", "nobody"],
  ["serve", "websocket", "emit", "worker"],
  ["command turn", "websocket", "emit", "worker"],
  ["op Post", "unusual", "post", "victim"],
  ["op Posted", "polling", "post", "victim"],
  ["command PipeData", "duplex", "message", "victim"],
  ["op Send", "websocket", "emit", "victim"],
  ["op Send", "polling", "emit", "victim"],
  ["op Broadcast", "websocket", "broadcast", "everybody"],
  ["op Multicast", "websocket", "one by one", "everybody"],
  ["op Close", "websocket", "close", "victim"],
  ["op Drop", "websocket", "discard", "victim"],
  ["op Watch", "websocket", "watch", "victim"],
  ["op Poll", "unusual", "poll", "victim"],
  ["looking", "polling", "post", "worker"],
  ["op PipeWritten", "duplex", "emit", "victim"],
  ["reading", "websocket", "message", "worker"],
  ["read", "websocket", "message", "victim"],
  ["bytes", "websocket", "message", "victim"],
  ["message", "websocket", "message", "victim"],
  ["message", "duplex", "message", "victim"],
  ["finish turn", "websocket", "message", "worker"],
  ["flush", "websocket", "emit", "worker"],
  ["backlog", "websocket", "emit", "worker"],
];

for (const [point, kind, act, outcome] of POINTS) {
  test(`in "${point}" of a ${kind} client`, OURS, async (t) => {
    const scene = await Scene.open(t);
    scene.victim = await connect[kind](scene);
    const before = await scene.state();
    assert.equal(before.lanes[scene.victim.id], before.lanes[scene.near.id]);
    const isProvoked = provoke[act] !== undefined;
    await scene.do(isProvoked ? "nothing" : act, point, outcome === "everybody" ? 2 : 1);
    if (isProvoked) {
      await provoke[act](scene);
    }
    if (outcome === "nobody") {
      await echo(scene.victim, 7);
    } else {
      const expected = { "op Close": "forced close" }[point] ?? "transport error";
      assert.equal(await scene.endOf(scene.victim.id), expected);
      await scene.victim.ended?.();
    }
    await scene.check(outcome);
  });
}

test(`in "write", while a client does not read`, OURS, async (t) => {
  const scene = await Scene.open(t);
  scene.victim = await RawWebSocket.connect(scene.server);
  scene.victim.socket.pause();
  await scene.do("emit much", "write");
  scene.victim.socket.resume();
  assert.equal(await scene.endOf(scene.victim.id), "transport error");
  await scene.check("victim");
});

for (const [point, deed, prepare, outcome] of [
  ["op Room", "make room", [], "everybody"],
  ["op DropRoom", "drop room", ["make room"], "everybody"],
  ["op Join", "join", ["make room", "leave room"], "victim"],
  ["op Leave", "leave room", ["make room"], "victim"],
  ["op Leave", "disconnect", ["make room"], "victim"],
]) {
  test(`in "${point}" of a room with many members, by ${deed}`, OURS, async (t) => {
    const scene = await Scene.open(t);
    for (let i = 0; i < 10; i++) {
      scene.crowd.push(await RawWebSocket.connect(scene.server));
    }
    scene.victim = await RawWebSocket.connect(scene.server);
    for (const one of prepare) {
      await scene.do(one);
    }
    await scene.do(deed, point, outcome === "everybody" ? 2 : 1);
    const expected = deed === "disconnect" ? "server namespace disconnect" : "transport error";
    assert.equal(await scene.endOf(scene.victim.id), expected);
    await scene.check(outcome);
  });
}

test(`in "op PipeEnd"`, OURS, async (t) => {
  const scene = await Scene.open(t);
  scene.victim = await RawWebSocket.connect(scene.duplex);
  await scene.do("nothing", "op PipeEnd");
  scene.victim.socket.end();
  assert.equal(await scene.endOf(scene.victim.id), "transport error");
  await scene.check("victim");
});

test(`in "command Resume", when JavaScript has caught up`, OURS, async (t) => {
  const scene = await Scene.open(t);
  scene.victim = await RawWebSocket.connect(scene.server);
  const large = frame({ payload: `42["n","${"x".repeat(900_000)}"]` });
  await scene.do("nothing", "command Resume", 2);
  const blocked = scene.do("block", "command Resume", 2);
  for (let i = 0; i < 20; i++) {
    scene.victim.write(large);
  }
  await blocked;
  assert.equal(await scene.endOf(scene.victim.id), "transport error");
  await scene.check("everybody");
});

for (const [point, options] of [
  ["timer Ping", { pingInterval: 300 }],
  ["timer Pong", { pingInterval: 200, pingTimeout: 100 }],
  ["timer Expect", { pingInterval: 100, pingTimeout: 200 }, "EIO=3&transport=websocket"],
]) {
  test(`in "${point}"`, OURS, async (t) => {
    // without the others, whose timers might be due first
    const child = startChild(t, server, { options });
    const scene = new Scene(t, child, await child.message("listening"));
    const query = point === "timer Expect" ? "EIO=3&transport=websocket" : "EIO=4&transport=websocket";
    const { ends } = await scene.state();
    assert.deepEqual(ends, {});
    await scene.do("nothing", point);
    const ws = await RawWebSocket.open(scene.server, { query });
    if (point !== "timer Expect") {
      ws.text("40");
    }
    await eventually(async () => Object.keys((await scene.state()).ends).length === 1, "the end");
    const state = await scene.state();
    assert.deepEqual(Object.values(state.ends), ["transport error"]);
    assert.deepEqual([state.failures, state.left], [[], 0]);
    assert.equal(await scene.do("nothing"), 0);
    const again = await RawWebSocket.connect(scene.server);
    await echo(again, 8);
  });
}

for (const [point, options, reply] of [
  ["timer Upgrade", { upgradeTimeout: 100 }],
  ["timer Check", {}, "3probe"],
]) {
  test(`in "${point}", during an upgrade`, OURS, async (t) => {
    const scene = await Scene.open(t, options);
    scene.victim = await RawPolling.connect(scene.server);
    await scene.do("nothing", point);
    const query = `EIO=4&transport=websocket&sid=${scene.victim.sid}`;
    const ws = await RawWebSocket.upgrade(scene.server, { query });
    if (reply !== undefined) {
      ws.text("2probe");
      assert.equal(await ws.next(), reply);
    }
    assert.equal(await scene.endOf(scene.victim.id), "transport error");
    await ws.ended();
    await scene.check("victim");
  });
}

test(`in "op Alive", when the server has been asked about a client that polls`, OURS, async (t) => {
  const child = startChild(t, server, { options: { pingInterval: 100, pingTimeout: 100 } });
  const scene = new Scene(t, child, await child.message("listening"));
  const polling = await RawPolling.connect(scene.server);
  await scene.do("nothing", "op Alive");
  assert.equal(await scene.endOf(polling.id), "transport error");
  assert.deepEqual((await scene.state()).failures, []);
});

for (const point of ["upgrade", "command Upgrade"]) {
  test(`in "${point}"`, OURS, async (t) => {
    const scene = await Scene.open(t);
    scene.victim = await connect.unusual(scene);
    await scene.do("nothing", point);
    const query = `EIO=4&transport=websocket&sid=${scene.victim.sid}`;
    // what says this is left to Node's HTTP server
    const headers = { "Sec-WebSocket-Protocol": "chat" };
    const ws = await RawWebSocket.upgrade(scene.server, { query, headers });
    await ws.ended();
    if (point === "upgrade") {
      // polling goes on
      await scene.victim.post('421["echo",1]');
      assert.equal(await scene.victim.next(), "431[1]");
      await scene.victim.post("1");
      await scene.check("nobody");
    } else {
      assert.equal(await scene.endOf(scene.victim.id), "transport error");
      await scene.check("victim");
    }
  });
}

for (const [point, kind] of [
  ["openPolling", "polling"],
  ["openWebsocket", "unusual"],
  ["switchingProtocols", "unusual"],
  ["command Open", "polling"],
  ["command Open", "unusual"],
  ["command Open", "duplex"],
  ["op Admit", "websocket"],
]) {
  test(`in "${point}" of a ${kind} client: it does not get in`, OURS, async (t) => {
    const scene = await Scene.open(t);
    await scene.do("nothing", point);
    if (kind === "polling") {
      const { body } = await request(scene.server, { path: `/socket.io/?${UNUSUAL}` });
      assert.equal(body, "1");
    } else {
      // what is said in two lines is left to Node's HTTP server
      const headers = kind === "unusual" ? { "Sec-WebSocket-Protocol": "chat" } : {};
      const ws = await RawWebSocket.upgrade(kind === "duplex" ? scene.duplex : scene.server, { headers });
      await ws.ended();
      assert.ok([null, 500].includes(ws.status), `${ws.status}`);
    }
    await eventually(async () => (await scene.state()).left === 2, "the others are left");
    const isReported = kind === "polling" || point === "command Open" || point === "op Admit";
    await scene.check(isReported ? "victim" : "nobody");
  });
}

for (const [point, outcome] of [
  ["receive", "nobody"],
  ["command Receive", "victim"],
  ["look", "victim"],
  ["looking", "worker"],
]) {
  test(`in "${point}" of a connection that was accepted: Node goes on with it`, OURS, async (t) => {
    const scene = await Scene.open(t);
    await scene.do("nothing", point);
    scene.victim = await RawWebSocket.connect(scene.server);
    await echo(scene.victim, 7);
    await scene.check(outcome);
  });
}

test(`in "refuse session": JavaScript refuses the client`, OURS, async (t) => {
  const scene = await Scene.open(t, { limits: { connectionsPerAddress: 7 } });
  const others = await Promise.all(Array.from({ length: 5 }, () => RawWebSocket.open(scene.server)));
  await scene.do("nothing", "refuse session");
  assert.equal((await RawWebSocket.upgrade(scene.server)).status, 429);
  others.forEach((ws) => ws.destroy());
  await eventually(async () => (await scene.state()).left === 2, "they have gone");
  await scene.check("victim");
});

test(`in "op AdmitPolling": Node goes on with it`, OURS, async (t) => {
  const scene = await Scene.open(t);
  await scene.do("nothing", "op AdmitPolling");
  scene.victim = await RawPolling.connect(scene.server);
  await scene.victim.post('421["echo",7]');
  assert.equal(await scene.victim.next(), "431[7]");
  await scene.victim.post("1");
  await scene.check("victim");
});

test(`in "timer Arrival" of a connection that says nothing: Node goes on with it`, OURS, async (t) => {
  // without the others, whose timers are due first
  const child = startChild(t, server, {});
  const scene = new Scene(t, child, await child.message("listening"));
  await scene.do("nothing", "timer Arrival");
  const silent = scene.server.keep(new RawWebSocket(scene.server));
  await eventually(async () => (await scene.state()).warnings.length > 0, "the timer");
  silent.write(upgradeRequest("/socket.io/?EIO=4&transport=websocket"));
  assert.match(await silent.next(), /^0/);
  assert.deepEqual((await scene.state()).failures, []);
  assert.equal(await scene.do("nothing"), 0);
});

test(`in "op Decline" of a request that leads to no session: Node goes on with it`, OURS, async (t) => {
  const scene = await Scene.open(t, { allowEIO3: false });
  await scene.do("nothing", "op Decline");
  const ws = await RawWebSocket.upgrade(scene.server, { query: "EIO=3&transport=websocket" });
  assert.equal(await ws.ended(), "FIN");
  await scene.check("victim");
});

for (const point of ["postBody", "command Body"]) {
  test(`in "${point}"`, OURS, async (t) => {
    const scene = await Scene.open(t);
    const client = await RawPolling.open(scene.server, { query: "EIO=3&transport=polling&b64=1" }).catch(
      (error) => error,
    );
    // a payload of revision 3 begins with its length, which RawPolling does not read
    const { left } = await scene.state();
    assert.ok(client && left === 3);
    const sid = Object.entries((await scene.state()).names).find(([, name]) => name === "polling")[0];
    await scene.do("nothing", point);
    const answer = await request(scene.server, {
      method: "POST",
      path: `/socket.io/?EIO=3&transport=polling&sid=${sid}`,
      headers: { "Content-Type": "application/octet-stream" },
      body: Buffer.from([0, 1, 255, 0x34]),
    }).catch(() => null);
    assert.ok(answer === null || answer.body === "ok");
    await eventually(async () => (await scene.state()).left === 2, "the others are left");
    await scene.check("victim");
  });
}

for (const point of ["new"]) {
  test(`in "${point}": the constructor throws`, OURS, async (t) => {
    const child = startChild(
      t,
      async ({ args, sio, http, load, send }) => {
        load(process.env.SOCKEYE_BINDING).panicAt(args, 1);
        let message;
        try {
          new sio.Server(http.createServer());
        } catch (error) {
          message = error.message;
        }
        const io = new sio.Server(http.createServer());
        send("done", { message, works: io.engine.clientsCount === 0 });
      },
      point,
    );
    const { message, works } = await child.message("done");
    assert.match(message, /on purpose/);
    assert.ok(works);
    assert.deepEqual(await child.ended(), { code: 0, signal: null });
  });
}

for (const point of ["settle", "command Settle"]) {
  test(`in "${point}", at process.exit()`, OURS, async (t) => {
    const scene = await Scene.open(t);
    scene.child.send("do", { deed: "exit", point });
    assert.deepEqual(await scene.child.ended(), { code: 3, signal: null });
  });
}

test(`in "stop", at io.close()`, OURS, async (t) => {
  const scene = await Scene.open(t);
  await scene.do("close all", "stop");
  await Promise.all([scene.near.closed(), scene.far.closed()]);
  assert.deepEqual(await scene.child.ended(), { code: 0, signal: null });
});
