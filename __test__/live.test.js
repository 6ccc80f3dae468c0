"use strict";

const assert = require("node:assert/strict");
const { spawn } = require("node:child_process");
const { once: onceEvent } = require("node:events");
const path = require("node:path");
const { createInterface } = require("node:readline");
const test = require("node:test");
const { eventually, once, within } = require("./support/harness");
const { serveLive, Viewer, childrenOf, haveEnded } = require("./support/live");

const SERVER = path.join(__dirname, "..", "examples", "chat", "server.js");

const options = { skip: process.platform !== "linux" && "looks for processes in /proc" };

test("a server under load is watched, and compared with stock", options, async (t) => {
  const url = await serveLive(t);
  const viewer = new Viewer(t, url);
  const [{ settings, state, history }] = await once(viewer.socket, "welcome");
  assert.equal(settings.descriptors, 230);
  assert.deepEqual(state, { clients: 10, maxClients: 30, isBlocked: false, withStock: false, trouble: "" });
  assert.deepEqual(history, []);

  await t.test("figures arrive", async () => {
    await viewer.seesClients(10, "ours");
    const { at, sides } = await viewer.sees(
      ({ sides: { ours } }) => ours.clients?.messages > 0 && ours.server,
    );
    assert.ok(Math.abs(Date.now() - at) < 60_000);
    const { clients, server } = sides.ours;
    assert.ok(clients.p50 > 0 && clients.p50 <= clients.p99, JSON.stringify(clients));
    assert.equal(clients.disconnects, 0);
    assert.ok(server.load > 0 && server.load <= 1, JSON.stringify(server));
    assert.ok(server.cpu > 0 && server.delay >= 0 && Number.isInteger(server.memory), JSON.stringify(server));
  });

  await t.test("more clients come, as many as descriptors allow", async () => {
    assert.deepEqual(await viewer.ask("clients", 1e9), { ok: true });
    assert.equal(viewer.states.list.at(-1)[0].clients, 25);
    assert.deepEqual(await viewer.ask("clients"), { ok: true });
    assert.equal(viewer.states.list.at(-1)[0].clients, 30);
    assert.deepEqual(await viewer.ask("clients"), {
      ok: false,
      error: "There are 30 clients already; more are not allowed.",
    });
    await viewer.seesClients(30, "ours");
  });

  await t.test("stock gets the same clients", async () => {
    for (const bad of ["true", 1, null, {}, []]) {
      assert.equal((await viewer.ask("stock", bad)).ok, false, JSON.stringify(bad));
    }
    assert.equal((await viewer.ask("stock")).ok, false);
    assert.deepEqual(await viewer.ask("stock", true), { ok: true });
    assert.deepEqual(await viewer.ask("stock", true), { ok: true });
    await viewer.seesClients(30, "ours", "stock");
    assert.equal(childrenOf(process.pid).length, 4);
  });

  await t.test("a blocked event loop costs stock its clients, and this package none", async () => {
    const start = viewer.now;
    assert.deepEqual(await viewer.ask("block"), { ok: true });
    assert.deepEqual(await viewer.ask("block"), { ok: false, error: "The event loop is blocked already." });
    await viewer.sees(({ isBlocked }) => isBlocked, start);
    await viewer.sees(({ sides }) => sides.stock.clients?.clients === 0, start);
    const wasBlocked = ({ server }) => server?.delay > 2900 && server.seconds > 2.9 && server.load > 0.5;
    await viewer.sees(({ sides }) => wasBlocked(sides.ours), start);
    await viewer.sees(({ sides }) => wasBlocked(sides.stock), start);
    const { sides, isBlocked } = await viewer.seesClients(30, "ours", "stock");
    assert.equal(isBlocked, false);
    assert.ok(sides.stock.clients.disconnects >= 30, `${sides.stock.clients.disconnects} on stock`);
    assert.equal(sides.ours.clients.disconnects, 0);
  });

  await t.test("who opens the page later sees what has been", async () => {
    const later = new Viewer(t, url);
    const [{ history: past, state: now }] = await once(later.socket, "welcome");
    assert.ok(past.some(({ isBlocked }) => isBlocked));
    assert.equal(now.withStock, true);
    later.socket.disconnect();
  });

  await t.test("it can be had without stock again, and from the beginning", async () => {
    assert.deepEqual(await viewer.ask("stock", false), { ok: true });
    await viewer.seesClients(30, "ours");
    await eventually(() => childrenOf(process.pid).length === 2, "the end of stock's processes");
    await eventually(async () => (await viewer.ask("restart")).ok, "a new beginning");
    await viewer.seesClients(10, "ours");
  });

  await t.test("when nobody looks any more, all processes end", async () => {
    const pids = childrenOf(process.pid);
    assert.equal(pids.length, 2);
    viewer.socket.disconnect();
    await haveEnded(pids);
  });
});

test("whatever somebody asks for, and how often, processes and clients stay few", options, async (t) => {
  const viewer = new Viewer(t, await serveLive(t));
  await viewer.seesClients(10, "ours");
  const answers = [];
  for (let round = 0; round < 50; round++) {
    for (const [event, ...args] of [["stock", true], ["stock", false], ["restart"], ["clients"], ["block"]]) {
      viewer.socket.emit(event, ...args); // nobody waits for an answer: not done
      viewer.socket.emit(event, "not a function");
      answers.push(viewer.ask(event, ...args));
    }
  }
  const refused = (await Promise.all(answers)).filter(({ ok }) => !ok);
  assert.ok(refused.length > 100, `${refused.length} refused`);
  assert.ok(childrenOf(process.pid).length <= 6); // those of one side may still be ending
  assert.ok(viewer.states.list.every(([{ clients }]) => clients <= 30));
  await viewer.sees(({ sides: { ours } }) => ours.clients?.messages > 0);
});

test("a process that ends by itself is missed", options, async (t) => {
  const viewer = new Viewer(t, await serveLive(t));
  await viewer.seesClients(10, "ours");
  const pids = childrenOf(process.pid);
  process.kill(Number(pids[0]), "SIGKILL");
  await viewer.sees(({ sides }) => !sides.ours);
  assert.equal(viewer.states.list.at(-1)[0].trouble, "A process of sockeye.io has ended (SIGKILL).");
  await haveEnded(pids);
  await eventually(async () => (await viewer.ask("restart")).ok, "a new beginning");
  await viewer.seesClients(10, "ours");
  assert.equal(viewer.states.list.at(-1)[0].trouble, "");
});

for (const signal of ["SIGTERM", "SIGKILL"]) {
  test(`on ${signal}, no process of npm start is left over`, options, async (t) => {
    const server = spawn(process.execPath, [SERVER], { env: { ...process.env, PORT: "0" } });
    t.after(() => server.kill("SIGKILL"));
    server.stderr.pipe(process.stderr);
    const ended = onceEvent(server, "exit");
    const [line] = await within(onceEvent(createInterface(server.stdout), "line"), "the server's address");
    const [url] = /http:\/\/localhost:\d+/.exec(line);
    const viewer = new Viewer(t, url);
    await viewer.sees(({ sides: { ours } }) => ours?.clients?.clients > 0);
    const pids = childrenOf(server.pid);
    assert.equal(pids.length, 2);
    server.kill(signal);
    await within(ended, "the server's end");
    await haveEnded(pids);
  });
}
