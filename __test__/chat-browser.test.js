"use strict";

const assert = require("node:assert/strict");
const test = require("node:test");
const { createChat } = require("../examples/chat/app");
const { atEnd, once, sio, within } = require("./support/harness");
const { NO_BROWSER, ChatPage, findBrowser, launchBrowser } = require("./support/chat-browser");
const { selfSigned } = require("./support/certificate");
const { testImage } = require("./support/chat-image");
const { requireStock } = require("./support/stock");

const PASSWORD = "salmon";
const MESSAGES = "#messages .bubble:not(.picture)";

/** A chat on a free port, over TLS if there is a key, and two browser windows in it that share nothing. */
async function twoInTheChat(t, tls) {
  const { io, httpServer } = createChat({
    Server: sio.Server,
    password: PASSWORD,
    maxImageBytes: 50_000,
    tls,
  });
  atEnd(t, () => {
    const closed = io.close();
    // a browser keeps some that it may use again, for which stock waits, too
    httpServer.closeAllConnections();
    return within(closed, "io.close()");
  });
  httpServer.listen(0, "127.0.0.1");
  await once(httpServer, "listening");
  const url = `${tls ? "https" : "http"}://127.0.0.1:${httpServer.address().port}`;
  const browser = await launchBrowser(t);
  const ann = await ChatPage.open(browser, url, { ignoreHTTPSErrors: true });
  const bob = await ChatPage.open(browser, url, { ignoreHTTPSErrors: true });
  return { io, ann, bob };
}

const options = { skip: !findBrowser() && NO_BROWSER, timeout: 180_000 };

test("two people chat in Chromium", options, (t) => chat(t));

test("two people chat in Chromium over HTTPS", options, async (t) => {
  const io = await chat(t, selfSigned());
  if (sio.Server !== requireStock("socket.io").Server) {
    const { native, node } = io.engine.tlsRoads();
    // browsers open connections beforehand, and may say nothing by them
    const { "of what comes first": silent = 0, ...others } = node;
    assert.ok(native > silent && Object.keys(others).length === 0, JSON.stringify({ native, node }));
  }
});

async function chat(t, tls) {
  const { io, ann, bob } = await twoInTheChat(t, tls);

  await t.test("a bad login is answered in the page", async () => {
    await ann.login("Ann", "trout");
    await ann.shows("#login-error", "This password is wrong.");
    await ann.login("<b>", PASSWORD);
    await ann.shows(
      "#login-error",
      "Please choose a name of 1 to 24 letters, digits, spaces, dots or hyphens.",
    );
  });

  await t.test("they log in and see each other", async () => {
    await ann.login("Ann", PASSWORD);
    await ann.lists("#people .name", ["Ann (you)"]);
    await bob.login("ann", PASSWORD);
    await bob.shows("#login-error", "Somebody with this name is here already.");
    await bob.login("Bob", PASSWORD);
    await bob.lists("#people .name", ["Ann", "Bob (you)"]);
    await ann.lists("#people .name", ["Ann (you)", "Bob"]);
    await Promise.all([ann.shows("#status", "websocket"), bob.shows("#status", "websocket")]);
  });

  await t.test("a message reaches the other page, as text", async () => {
    await ann.say("<img src=x onerror=alert(1)> & \u{1F41F}");
    await Promise.all(
      [ann, bob].map((page) => page.lists(MESSAGES, ["<img src=x onerror=alert(1)> & \u{1F41F}"])),
    );
    assert.equal(await bob.page.locator("#messages img").count(), 0);
  });

  await t.test("who is typing is shown, until the message is there", async () => {
    await bob.page.getByLabel("Message", { exact: true }).pressSequentially("Hel");
    await ann.shows("#typing", "Bob is typing …");
    await bob.say("Hello");
    await ann.shows("#typing", "");
    await ann.lists(MESSAGES, ["<img src=x onerror=alert(1)> & \u{1F41F}", "Hello"]);
  });

  await t.test("an image is shown in both pages", async () => {
    await ann.sendImage("too-large.png", testImage(50_001));
    await ann.shows("#trouble", "This image is too large: at most 48 KiB can be sent.");
    await ann.sendImage("fish.png", Buffer.from("this is no image"));
    await ann.shows("#trouble", "Only PNG, JPEG, GIF and WebP images can be sent.");
    await ann.sendImage("fish.png", testImage(50_000));
    await Promise.all([ann.showsImages(1), bob.showsImages(1)]);
    await ann.page.locator("#trouble").waitFor({ state: "hidden" });
  });

  await t.test("a room of their own, with what is said elsewhere counted", async () => {
    await ann.createRoom("den");
    await ann.shows("#room-name", "den");
    await ann.lists("#people .name", ["Ann (you)"]);
    await bob.lists("#other-rooms .name", ["random", "den"]);
    await bob.say("Where are you?");
    await ann.shows("#joined-rooms .badge", "1");
    await bob.goTo("den");
    await bob.shows("#room-name", "den");
    await ann.lists("#people .name", ["Ann (you)", "Bob"]);
    await bob.say("Here you are");
    await Promise.all([ann, bob].map((page) => page.lists(MESSAGES, ["Here you are"])));
    await ann.goTo("lobby");
    await ann.shows("#messages .message:last-child .bubble", "Where are you?");
    assert.equal(await ann.page.locator("#joined-rooms .badge").count(), 0);
    await ann.goTo("den");
  });

  await t.test("a reload comes back as the same person into the same room, with the history", async () => {
    const before = [...io.sockets.sockets.values()].find(({ data }) => data.user.name === "Bob");
    await Promise.all([once(before, "disconnect"), bob.page.reload()]);
    await bob.shows("#room-name", "den");
    await bob.lists(MESSAGES, ["Here you are"]);
    await bob.lists("#joined-rooms .name", ["lobby", "den"]);
    await ann.lists("#people .name", ["Ann (you)", "Bob"]);
    await bob.goTo("lobby");
    await bob.showsImages(1);
    await bob.shows("#messages .message:last-child .bubble", "Where are you?");
    await bob.goTo("den");
    await bob.shows("#status", "websocket");
  });

  await t.test("a dropped connection is shown, made again, and works as before", async () => {
    for (const socket of io.sockets.sockets.values()) {
      socket.conn.close();
    }
    await Promise.all([ann.shows("#status", "reconnecting …"), bob.shows("#status", "reconnecting …")]);
    await Promise.all([ann.shows("#status", "websocket"), bob.shows("#status", "websocket")]);
    await Promise.all([
      ann.lists("#people .name", ["Ann (you)", "Bob"]),
      bob.lists("#people .name", ["Ann", "Bob (you)"]),
    ]);
    await ann.say("Still there?");
    await bob.lists(MESSAGES, ["Here you are", "Still there?"]);
    await bob.say("Yes");
    await ann.lists(MESSAGES, ["Here you are", "Still there?", "Yes"]);
  });

  await t.test("who logs out is gone, and sees the login", async () => {
    await bob.page.getByRole("button", { name: "Log out" }).click();
    await bob.page.getByRole("button", { name: "Enter the chat" }).waitFor();
    await ann.lists("#people .name", ["Ann (you)"]);
    await bob.page.reload();
    await bob.page.getByRole("button", { name: "Enter the chat" }).waitFor();
  });

  assert.deepEqual(ann.complaints, []);
  assert.deepEqual(bob.complaints, []);
  return io;
}
