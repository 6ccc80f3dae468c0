"use strict";

// One descriptor for each client, none left behind, none handed on to other programs.

const test = require("node:test");
const assert = require("node:assert/strict");
const fs = require("node:fs");
const { isStock, RawPolling, RawWebSocket, eventually } = require("./support/harness");
const { startChild } = require("./support/child");

/** The flag of open(2) that closes a descriptor when another program is started. */
const O_CLOEXEC = 0o2000000;

const at = (t, port) => ({ port, secure: false, keep: (ws) => (t.after(() => ws.destroy()), ws) });

async function server({ sio, listen, send }) {
  const httpServer = await listen();
  // each worker has descriptors of its own, which are opened with its first client
  const io = new sio.Server(httpServer, { workers: 1 });
  io.on("connection", (socket) => socket.on("echo", (value, ack) => ack(value)));
  process.on("uncaughtException", (error) => console.error("uncaught", error));
  send("listening", { port: httpServer.address().port });
}

/** A server that has served somebody, so that all it opens once is open. */
async function warmServer(t, options) {
  const child = startChild(t, server, {}, options);
  const { port } = await child.message("listening");
  const target = at(t, port);
  const ws = await RawWebSocket.connect(target);
  ws.destroy();
  const sockets = () => child.descriptors().filter(({ link }) => link.startsWith("socket:")).length;
  await eventually(() => sockets() === countOfIdle(child), "the first client is gone");
  return { child, target, sockets, idle: sockets() };
}

/** The sockets that are there without clients: the listening one, the channel to the test. */
function countOfIdle({ pid }) {
  // connected TCP sockets are those with a remote port
  const connected = new Set(
    fs
      .readFileSync(`/proc/${pid}/net/tcp`, "utf8")
      .split("\n")
      .slice(1, -1)
      .map((line) => line.trim().split(/\s+/))
      .filter(([, , remote]) => !remote.endsWith(":0000"))
      .map((fields) => fields[9]),
  );
  return fs.readdirSync(`/proc/${pid}/fd`).filter((fd) => {
    try {
      const [, inode] = /^socket:\[(\d+)\]$/.exec(fs.readlinkSync(`/proc/${pid}/fd/${fd}`)) ?? [];
      return inode !== undefined && !connected.has(inode);
    } catch {
      return false;
    }
  }).length;
}

async function echo(ws, value) {
  ws.text(`421["echo",${value}]`);
  assert.equal(await ws.next(), `431[${value}]`);
}

test("one descriptor for each client, steady in traffic", async (t) => {
  const { child, target, sockets, idle } = await warmServer(t);
  const all = () => child.descriptors().length;
  const before = all();
  const clients = await Promise.all(Array.from({ length: 100 }, () => RawWebSocket.connect(target)));
  await eventually(() => sockets() === idle + 100, `100 sockets more than ${idle}, not ${sockets()}`);
  for (let round = 0; round < 5; round++) {
    await Promise.all(clients.map((ws) => echo(ws, round)));
    assert.equal(sockets(), idle + 100);
  }
  assert.ok(all() <= before + 105, `${all()} descriptors, ${before} before`);
  for (const ws of clients) {
    ws.destroy();
  }
  await eventually(() => sockets() === idle, `back to ${idle}, not ${sockets()}`);
  await eventually(() => all() <= before, `back to ${before}, not ${all()}`);
});

test("steady after 1,000 connects and disconnects, of all kinds", async (t) => {
  const { child, target, sockets, idle } = await warmServer(t);
  const before = child.descriptors().length;
  const ends = [
    (ws) => ws.destroy(),
    (ws) => ws.reset(),
    (ws) => ws.socket.end(),
    (ws) => ws.frame({ opcode: 8 }),
    (ws) => ws.frame({ opcode: 3 }),
    (ws) => ws.text("42{}"),
    (ws) => ws.text("9"),
  ];
  for (let round = 0; round < 20; round++) {
    const clients = await Promise.all(Array.from({ length: 50 }, () => RawWebSocket.connect(target)));
    await Promise.all(
      clients.map((ws, i) => {
        ends[i % ends.length](ws);
        return i % ends.length > 1 ? ws.closed() : undefined;
      }),
    );
    for (const ws of clients) {
      ws.destroy();
    }
  }
  await eventually(() => sockets() === idle, `back to ${idle} sockets, not ${sockets()}`);
  await eventually(() => child.descriptors().length <= before, `back to ${before} descriptors`);
});

test("upgrades from polling leave none behind", async (t) => {
  const { target, sockets, idle } = await warmServer(t);
  for (let round = 0; round < 30; round++) {
    const polling = await RawPolling.connect(target);
    const ws = await RawWebSocket.upgrade(target, { query: `EIO=4&transport=websocket&sid=${polling.sid}` });
    ws.text("2probe");
    assert.equal(await ws.next(), "3probe");
    ws.text("5");
    await echo(ws, round);
    ws.destroy();
  }
  await eventually(() => sockets() === idle, `back to ${idle} sockets, not ${sockets()}`);
});

test("no descriptor of a client is inherited by another program", async (t) => {
  const { child, target } = await warmServer(t);
  const clients = await Promise.all(Array.from({ length: 10 }, () => RawWebSocket.connect(target)));
  await echo(clients[0], 1);
  let checked = 0;
  for (const { fd, link } of child.descriptors()) {
    // 0 to 2 and the channel to the test were inherited themselves
    if (/^(socket:|anon_inode:)/.test(link) && Number(fd) > 3) {
      const flags = /^flags:\s+(\d+)/m.exec(fs.readFileSync(`/proc/${child.pid}/fdinfo/${fd}`, "utf8"))[1];
      assert.ok(parseInt(flags, 8) & O_CLOEXEC, `descriptor ${fd}, ${link}`);
      checked++;
    }
  }
  assert.ok(checked >= 10, `${checked} checked`);
});

test(
  "the last descriptor: a client whose own cannot be duplicated is dropped, which is logged once",
  {
    skip: isStock && "stock duplicates none",
  },
  async (t) => {
    const child = startChild(
      t,
      async ({ fs, sio, listen, send, inbox }) => {
        const httpServer = await listen();
        const io = new sio.Server(httpServer, { workers: 1 });
        io.on("connection", (socket) => socket.on("echo", (value, ack) => ack(value)));
        const errors = [];
        io.engine.on("connection_error", ({ message }) => errors.push(message));
        const held = [];
        inbox.on("fill", () => {
          try {
            for (;;) {
              held.push(fs.openSync("/dev/null"));
            }
          } catch {
            // one is for the socket that Node accepts
            fs.closeSync(held.pop());
            send("fill");
          }
        });
        inbox.on("free", () => {
          held.splice(0).forEach((fd) => fs.closeSync(fd));
          send("free", { left: io.engine.clientsCount });
        });
        send("listening", { port: httpServer.address().port });
      },
      {},
      { shell: "ulimit -n 100" },
    );
    const { port } = await child.message("listening");
    const target = at(t, port);
    const first = await RawWebSocket.connect(target);
    await child.ask("fill");
    for (let i = 0; i < 5; i++) {
      const ws = await RawWebSocket.upgrade(target);
      assert.equal(ws.status, null);
      await ws.ended();
      await echo(first, i);
    }
    const { left } = await child.ask("free");
    assert.equal(left, 1);
    assert.equal(child.errors.match(/a connection was refused/g)?.length, 1, child.errors);
    await echo(await RawWebSocket.connect(target), 7);
  },
);

test("out of descriptors: those connected are served, and new ones get in when others leave", async (t) => {
  const { target, sockets, idle } = await warmServer(t, { shell: "ulimit -n 80" });
  const attempts = Array.from({ length: 120 }, () => {
    const ws = RawWebSocket.connect(target);
    return ws.then(
      (connected) => connected,
      () => null,
    );
  });
  // some get in; the rest waits or is dropped, depending on when the limit hits
  const first = [];
  await eventually(async () => {
    first.length = 0;
    for (const attempt of attempts) {
      const ws = await Promise.race([attempt, Promise.resolve(undefined)]);
      if (ws) {
        first.push(ws);
      }
    }
    return first.length >= 20;
  }, "some clients are in");
  await Promise.all(first.map((ws, i) => echo(ws, i)));
  assert.ok(sockets() <= 80);
  for (const ws of first) {
    ws.destroy();
  }
  for (const ws of await Promise.all(attempts)) {
    ws?.destroy();
  }
  await eventually(() => sockets() === idle, `back to ${idle} sockets, not ${sockets()}`);
  const again = await RawWebSocket.connect(target);
  await echo(again, 7);
});
