"use strict";

/* global document, getComputedStyle, innerWidth -- in functions that run in the page */

// The status page in a browser: it draws, in the dark and on a phone too, and what it shows is text.

const assert = require("node:assert/strict");
const test = require("node:test");
const { NO_BROWSER, findBrowser, launchBrowser } = require("./support/chat-browser");
const { connected, isStock, serve } = require("./support/harness");

const skip = (isStock && "stock has none") || (!findBrowser() && NO_BROWSER);

const EVIL = "<img src=x onerror=document.title='owned'>";

test("the status page in Chromium", { skip }, async (t) => {
  const server = await serve(t, { trace: true }, { stream: "http" });
  const { io, url } = server;
  io.serveStatus("/status", { auth: { username: "ada", password: "secret" } });
  io.on("connection", (socket) => socket.join(EVIL));
  const clients = await Promise.all([0, 1, 2].map(() => connected(server.client())));
  const browser = await launchBrowser(t);
  const context = await browser.newContext({
    httpCredentials: { username: "ada", password: "secret" },
    viewport: { width: 390, height: 844 },
    colorScheme: "dark",
  });
  const page = await context.newPage();
  const complaints = [];
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  await page.goto(`${url}/status/`);
  await page.waitForFunction(() => document.querySelector(".plot b").textContent === "3");
  const pictures = () =>
    page.evaluate(() => [...document.querySelectorAll(".plot canvas")].map((canvas) => canvas.toDataURL()));
  const before = await pictures();
  await page.waitForFunction(
    (old) =>
      [...document.querySelectorAll(".plot canvas")].every((canvas, i) => canvas.toDataURL() !== old[i]),
    before,
  );
  const rooms = await page.locator("#rooms tr").allInnerTexts();
  assert.deepEqual(rooms.length, 2);
  assert.ok(rooms[1].includes(EVIL));
  assert.equal(await page.title(), "Status");
  const [red, green, blue] = (
    await page.evaluate(() => getComputedStyle(document.querySelector(".plot")).backgroundColor)
  ).match(/\d+/g);
  assert.ok(Math.max(red, green, blue) < 80, "the background is dark");
  assert.equal(
    await page.evaluate(() => document.documentElement.scrollWidth > innerWidth),
    false,
    "no scrolling sideways",
  );
  clients[0].disconnect();
  await page.waitForFunction(() =>
    document.querySelector("#ended").innerText.includes("client namespace disconnect"),
  );
  assert.deepEqual(complaints, []);
});
