"use strict";

const assert = require("node:assert/strict");
const { createHash } = require("node:crypto");
const { once } = require("node:events");
const { createChat } = require("../../examples/chat/app");
const { Guest, normalise } = require("./chat-guest");
const { testImage } = require("./chat-image");
const { LIMIT, eventually, within } = require("./waiting");

const PASSWORD = "salmon";
const MAX_IMAGE_BYTES = 100_000;

/**
 * An evening in the chat, from the first login to the server's end, on a given Socket.IO server class. Each step waits
 * for what it causes, so that two correct servers give the same log.
 *
 * @param {{ after: Function }} t
 * @param {Function} Server
 * @returns {Promise<object>} per guest what it saw, what the server saw of it, and the answers to plain HTTP requests
 */
async function runChat(t, Server) {
  const { io, httpServer } = createChat({
    Server,
    password: PASSWORD,
    historySize: 5,
    maxImageBytes: MAX_IMAGE_BYTES,
  });
  const guests = [];
  t.after(async () => {
    guests.forEach((guest) => guest.close());
    await within(io.close(), "io.close()");
  });
  httpServer.listen(0, "127.0.0.1");
  await once(httpServer, "listening");
  const url = `http://127.0.0.1:${httpServer.address().port}`;

  const serverLog = {};
  io.on("connection", (socket) => {
    const log = (serverLog[socket.data.user.name] ??= []);
    log.push(
      `connection, ${socket.conn.transport.name}, ${socket.handshake.auth.token ? "token" : "password"}`,
    );
    socket.on("disconnecting", () => log.push(["disconnecting", ...[...socket.rooms].slice(1)].join(", ")));
    socket.on("disconnect", (reason) => log.push(`disconnect, ${reason}`));
  });

  function guest(name, ...transports) {
    const result = new Guest(name, url, transports.length > 0 ? { transports } : {});
    guests.push(result);
    return result;
  }

  /** What is somebody's connection on the server. */
  function serverSide(name) {
    return [...io.sockets.sockets.values()].find(({ data }) => data.user.name === name);
  }

  const httpLog = await plainRequests(url);

  // Nobody comes in without a proper login.
  const stranger = guest("stranger", "websocket");
  await stranger.login({});
  await stranger.login({ name: "<b>", password: PASSWORD });
  await stranger.login({ name: ["Ann"], password: PASSWORD });
  await stranger.login({ name: "Ann" });
  await stranger.login({ name: "Ann", password: "trout" });
  await stranger.login({ token: "made up" });
  assert.equal(io.sockets.sockets.size, 0);

  // Three come, each over another transport; the others hear of it.
  const ann = guest("Ann", "websocket");
  const bob = guest("Bob", "polling");
  const cyd = guest("Cyd");
  await ann.login({ name: "Ann", password: PASSWORD });
  await stranger.login({ name: "ann", password: PASSWORD });
  await bob.login({ name: " Bob ", password: PASSWORD });
  await ann.sees("presence");
  await cyd.login({ name: "Cyd", password: PASSWORD });
  await cyd.upgraded();
  await Promise.all([ann.sees("presence"), bob.sees("presence")]);

  // They talk.
  await ann.asks("message", { room: "lobby", text: "  Good evening, " + "\u{1F41F}\u2028\u0000é  " });
  await Promise.all([bob.sees("message"), cyd.sees("message")]);
  await bob.asks("message", { room: "lobby", text: "Hello" });
  await Promise.all([ann.sees("message"), cyd.sees("message")]);
  await ann.asks("message", { room: "lobby", text: " " });
  await ann.asks("message", { room: "lobby", text: "x".repeat(2001) });
  await ann.asks("message", { room: "random", text: "not in there" });
  await ann.asks("message", { room: "__proto__", text: "nor there" });
  await ann.asks("message", null);

  // Bob types, and stops.
  bob.socket.emit("typing", { room: "lobby", typing: true });
  await Promise.all([ann.sees("typing"), cyd.sees("typing")]);
  bob.socket.emit("typing", { room: "lobby", typing: false });
  bob.socket.emit("typing", { room: "random", typing: true });
  bob.socket.emit("typing");
  await Promise.all([ann.sees("typing"), cyd.sees("typing")]);

  // A room of two, of which the third only knows that it is there.
  await ann.asks("room:create", { name: "den" });
  await Promise.all([ann.sees("rooms"), bob.sees("rooms"), cyd.sees("rooms")]);
  await bob.asks("room:create", { name: "den" });
  await bob.asks("room:create", { name: "  " });
  await bob.asks("room:join", { name: "attic" });
  await bob.asks("message", { room: "den", text: "let me in" });
  await cyd.asks("room:join", { name: "den" });
  await ann.sees("presence");
  await cyd.asks("message", { room: "den", text: "Just us" });
  await ann.sees("message");
  ann.socket.emit("typing", { room: "den", typing: true });
  await cyd.sees("typing");

  // Images go up and down, through both transports.
  const image = testImage(20_000);
  for (const [sender, ...others] of [
    [ann, bob, cyd],
    [bob, ann, cyd],
  ]) {
    const { ok } = await sender.asks("image", { room: "lobby", name: "fish.png", data: image });
    assert.ok(ok);
    for (const other of others) {
      const [message] = await other.sees("message");
      assert.deepEqual(message.image.data, image);
    }
  }
  await ann.asks("image", { room: "lobby", name: "fish.svg", data: Buffer.from("<svg/>") });
  await ann.asks("image", { room: "lobby", name: "fish.png", data: testImage(MAX_IMAGE_BYTES + 1) });
  await bob.asks("image", { room: "lobby", name: "fish.png", data: testImage(MAX_IMAGE_BYTES + 1) });
  await ann.asks("image", { room: "lobby", name: "fish.png", data: "no bytes" });

  // Whoever comes later gets the history, and the images that it describes.
  const dan = guest("Dan", "polling");
  const [{ joined }] = await dan.login({ name: "Dan", password: PASSWORD });
  await Promise.all([ann.sees("presence"), bob.sees("presence"), cyd.sees("presence")]);
  const { id } = joined[0].history.find((message) => message.image);
  assert.deepEqual((await dan.asks("image:get", { room: "lobby", id })).data, image);
  assert.deepEqual((await ann.asks("image:get", { room: "lobby", id })).data, image);
  await ann.asks("image:get", { room: "lobby", id: "made up" });

  // Many at once stay in order, and push the oldest out of the history.
  const lines = Array.from({ length: 20 }, (_, index) => `line ${index}`);
  await Promise.all(lines.map((text) => bob.asks("message", { room: "lobby", text })));
  for (const other of [ann, cyd, dan]) {
    for (const text of lines) {
      const [message] = await other.sees("message");
      assert.equal(message.text, text);
    }
  }
  await dan.asks("image:get", { room: "lobby", id });
  await dan.asks("room:leave", { name: "lobby" });
  await Promise.all([ann.sees("presence"), bob.sees("presence"), cyd.sees("presence")]);
  await dan.asks("message", { room: "lobby", text: "not in there any more" });
  await dan.asks("room:join", { name: "lobby" });
  await Promise.all([ann.sees("presence"), bob.sees("presence"), cyd.sees("presence")]);

  // The last one out takes the room along.
  await cyd.asks("room:leave", { name: "den" });
  await ann.sees("presence");
  await ann.asks("room:leave", { name: "den" });
  await Promise.all([ann, bob, cyd, dan].map((each) => each.sees("rooms")));

  // The end of a connection, in every way; who comes back is the same person in the same rooms.
  bob.socket.disconnect();
  await bob.sees("disconnect");
  await Promise.all([ann.sees("presence"), cyd.sees("presence"), dan.sees("presence")]);
  await bob.login(bob.auth);
  await Promise.all([ann.sees("presence"), cyd.sees("presence"), dan.sees("presence")]);

  serverSide("Cyd").conn.close();
  await cyd.sees("disconnect");
  await Promise.all([ann.sees("presence"), bob.sees("presence"), dan.sees("presence")]);
  await cyd.sees("welcome");
  await cyd.upgraded();
  await Promise.all([ann.sees("presence"), bob.sees("presence"), dan.sees("presence")]);

  io.in(serverSide("Dan").id).disconnectSockets(true);
  await dan.sees("disconnect");
  await Promise.all([ann.sees("presence"), bob.sees("presence"), cyd.sees("presence")]);
  await dan.login(dan.auth);
  await Promise.all([ann.sees("presence"), bob.sees("presence"), cyd.sees("presence")]);

  ann.socket.emit("image", { room: "lobby", data: testImage(3 * MAX_IMAGE_BYTES) }, () => {});
  await ann.sees("disconnect");
  await ann.sees("welcome");
  for (const other of [bob, cyd, dan]) {
    await other.sees("presence");
    await other.sees("presence");
  }

  cyd.socket.io.engine.close();
  await cyd.sees("disconnect");
  await cyd.sees("welcome");
  await cyd.upgraded();
  for (const other of [ann, bob, dan]) {
    await other.sees("presence");
    await other.sees("presence");
  }

  // Who has logged out does not come back.
  await dan.asks("logout");
  dan.socket.disconnect();
  await dan.sees("disconnect");
  await Promise.all([ann.sees("presence"), bob.sees("presence"), cyd.sees("presence")]);
  await dan.login(dan.auth);
  await dan.login({ name: "Dan", password: PASSWORD });
  await Promise.all([ann.sees("presence"), bob.sees("presence"), cyd.sees("presence")]);

  await Promise.all([ann, bob, cyd, dan].map((each) => each.settled()));
  for (const each of [ann, bob, cyd, dan]) {
    each.socket.io.reconnection(false);
    // who polls is told of the end only if a poll is waiting
    await eventually(() => serverSide(each.name).conn.transport.writable, `a poll of ${each.name}`);
  }
  await within(io.close(), "io.close()");
  await Promise.all([ann, bob, cyd, dan].map((each) => each.sees("disconnect")));
  assert.equal(httpServer.listening, false);
  assert.equal(io.sockets.sockets.size, 0);

  return {
    http: httpLog,
    server: serverLog,
    guests: normalise(Object.fromEntries(guests.map((each) => [each.name, each.recorder.list]))),
  };
}

/** The answers to requests that no Socket.IO client makes. */
async function plainRequests(url) {
  const log = {};
  for (const path of [
    "/",
    "/config.json",
    "/nothing-here",
    "/socket.io/socket.io.js",
    "/socket.io/socket.io.min.js",
    "/socket.io/socket.io.esm.min.js",
    "/socket.io/socket.io.msgpack.min.js.map",
    "/socket.io/?EIO=4&transport=pigeon",
    "/socket.io/?EIO=3&transport=polling",
    "/socket.io/?EIO=4&transport=polling&sid=unknown",
  ]) {
    const get = (headers) => fetch(url + path, { headers, signal: AbortSignal.timeout(LIMIT) });
    const response = await get({});
    const body = Buffer.from(await response.arrayBuffer());
    const etag = response.headers.get("etag"); // the version, or of the file's time: only that it works is the same
    log[path] = {
      status: response.status,
      statusIfKnown: etag && (await get({ "If-None-Match": etag, "Cache-Control": "max-age=0" })).status,
      type: response.headers.get("content-type"),
      cacheControl: response.headers.get("cache-control"),
      csp: response.headers.get("content-security-policy"),
      body: body.length < 300 ? body.toString() : createHash("sha256").update(body).digest("hex"),
    };
  }
  return log;
}

module.exports = { runChat };
