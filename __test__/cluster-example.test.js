"use strict";

const assert = require("node:assert/strict");
const { spawn } = require("node:child_process");
const { once: onceEvent } = require("node:events");
const fs = require("node:fs");
const path = require("node:path");
const test = require("node:test");
const { atEnd, eventually, within } = require("./support/harness");
const { Guest } = require("./support/chat-guest");
const { testImage } = require("./support/chat-image");
const { redisPort, withoutRedis } = require("./support/services");

const DIRECTORY = path.join(__dirname, "..", "examples", "cluster");

/** Starts one of the examples, and resolves with the addresses that it prints. */
async function start(t, file, count, env) {
  const child = spawn(process.execPath, [path.join(DIRECTORY, file)], {
    env: { ...process.env, PORT: "0", ...env },
  });
  const ended = onceEvent(child, "exit");
  atEnd(t, async () => {
    child.kill("SIGTERM");
    await within(ended, "the end of the example");
  });
  let output = "";
  child.stdout.on("data", (chunk) => (output += chunk));
  child.stderr.pipe(process.stderr);
  const urls = () => output.match(/http:\/\/localhost:\d+(?=\s)/g) ?? [];
  await eventually(() => urls().length === count, "the addresses");
  return { child, ended, urls: urls(), output: () => output };
}

/** Somebody who has logged in. */
async function guest(t, name, url, transports) {
  const one = new Guest(name, url, { transports, timeout: 2000 });
  atEnd(t, () => one.socket.disconnect());
  const [{ user }] = await one.login({ name });
  assert.equal(user.name, name);
  return one;
}

/** Waits until the last thing that somebody has heard of who is in the lobby is this. */
function presence(one, names) {
  return one.recorder.until((log) => {
    const people = log.map(([event, content]) =>
      event === "presence" ? content.people : event === "welcome" ? content.joined[0].people : undefined,
    );
    const last = people.findLast((list) => list !== undefined);
    return last?.map(({ name }) => name).join() === names.join();
  });
}

async function chat(guests) {
  const image = testImage(5_000);
  for (const sender of guests) {
    const others = guests.filter((other) => other !== sender);
    assert.equal((await sender.asks("message", { room: "lobby", text: `I am ${sender.name}` })).ok, true);
    assert.equal((await sender.asks("image", { room: "lobby", name: "x.png", data: image })).ok, true);
    for (const other of others) {
      const [{ text, from }] = await other.sees("message");
      assert.equal(text, `I am ${sender.name}`);
      assert.equal(from.name, sender.name);
      const [message] = await other.sees("message");
      assert.deepEqual(message.image.data, image);
    }
  }
}

/** Rooms, sessions and histories are the same in all processes. */
async function shareAll(t, guests, url) {
  const [ann, bob] = guests;
  const names = guests.map(({ name }) => name);
  await Promise.all(guests.map((one) => presence(one, names)));
  await chat(guests);
  assert.equal((await ann.asks("room:create", { name: "den" })).ok, true);
  await bob.sees("rooms");
  assert.equal((await bob.asks("room:join", { name: "den" })).ok, true);
  assert.equal((await bob.asks("message", { room: "den", text: "here" })).ok, true);
  assert.equal((await ann.sees("message"))[0].text, "here");

  const impostor = new Guest("impostor", url, { transports: ["websocket"], timeout: 2000 });
  atEnd(t, () => impostor.socket.disconnect());
  const [refusal] = await impostor.login({ name: ann.name });
  assert.equal(refusal, "Somebody with this name is here already.");
  const [{ joined }] = await impostor.login({ name: "Zoe" });
  assert.equal(joined[0].history.filter(({ text }) => text === `I am ${ann.name}`).length, 1);
  const { id } = joined[0].history.find(({ image }) => image);
  assert.deepEqual((await impostor.asks("image:get", { room: "lobby", id })).data, testImage(5_000));
  impostor.socket.disconnect();
  await Promise.all(guests.map((one) => presence(one, names)));
}

test("four processes behind one port, one of which dies", async (t) => {
  const { child, ended, urls, output } = await start(t, "machine.js", 1, { WORKERS: "4", REDIS_URL: "" });
  const [url] = urls;
  const response = await fetch(`${url}/`);
  assert.match(await response.text(), /<title>/);
  const guests = [
    await guest(t, "Ann", url, ["websocket"]),
    await guest(t, "Bob", url, ["polling"]),
    await guest(t, "Cyd", url, ["polling", "websocket"]),
    await guest(t, "Dan", url, ["websocket"]),
  ];
  await shareAll(t, guests, url);

  // one of the four is with somebody
  const pids = fs.readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, "utf8").trim().split(" ");
  assert.equal(pids.length, 4);
  process.kill(Number(pids[0]), "SIGKILL");
  await eventually(() => output().includes("has died"), "the death is noticed");
  const disconnected = () =>
    guests.filter(({ recorder }) => recorder.list.some(([event]) => event === "disconnect"));
  await eventually(() => disconnected().length > 0, "somebody has lost the connection");
  for (const one of disconnected()) {
    const [{ user, joined }] = await one.recorder
      .until((log) => log.filter(([event]) => event === "welcome").length === 2)
      .then((log) => log.findLast(([event]) => event === "welcome").slice(1));
    assert.equal(user.name, one.name);
    assert.equal(joined[0].name, "lobby");
  }
  await Promise.all(guests.map((one) => presence(one, ["Ann", "Bob", "Cyd", "Dan"])));
  await chat(guests);

  child.kill("SIGTERM");
  assert.deepEqual(await within(ended, "the end"), [0, null]);
});

test("two machines joined by Redis", { skip: withoutRedis }, async (t) => {
  const port = await redisPort(t);
  const { child, ended, urls } = await start(t, "two-machines.js", 2, {
    REDIS_URL: `redis://127.0.0.1:${port}`,
    WORKERS: "2",
  });
  const guests = [
    await guest(t, "Ann", urls[0], ["websocket"]),
    await guest(t, "Bob", urls[1], ["polling"]),
    await guest(t, "Cyd", urls[1], ["websocket"]),
  ];
  await shareAll(t, guests, urls[1]);
  child.kill("SIGTERM");
  assert.deepEqual(await within(ended, "the end"), [0, null]);
});
