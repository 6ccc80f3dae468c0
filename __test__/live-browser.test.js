"use strict";

/* global document, getComputedStyle -- in functions that run in the page */

const assert = require("node:assert/strict");
const test = require("node:test");
const { NO_BROWSER, ChatPage, findBrowser, launchBrowser } = require("./support/chat-browser");
const { serveLive, Viewer } = require("./support/live");

const FIGURES = ["messages", "latency", "connected", "utilisation", "delay", "memory"];

test("the plots of a server under load in Chromium", { skip: !findBrowser() && NO_BROWSER }, async (t) => {
  const url = await serveLive(t, {
    limits: { clientsAtFirst: 10, clientsMore: 15, interval: 100, block: 1000 },
  });
  const live = await ChatPage.open(await launchBrowser(t), url, { viewport: { width: 1280, height: 800 } });
  const viewer = new Viewer(t, url);
  const { page } = live;
  const button = (name) => page.getByRole("button", { name });
  const pictures = () =>
    page.evaluate(() => [...document.querySelectorAll(".plot canvas")].map((canvas) => canvas.toDataURL()));
  /** Resolves when so many clients are connected; whether some have been lost is up to the machine. */
  const connected = (side, count) =>
    live.until(
      ([css, start]) => document.querySelector(css)?.innerText.startsWith(start),
      [`#connected .${side} dd`, `${count} · `],
      `${count} clients of ${side}`,
    );
  const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);

  await t.test("the chat leads to it", async () => {
    await page.getByRole("link", { name: "See a server under load" }).click();
    await page.waitForURL(`${url}/live/`);
    await live.shows("#status", "connected");
  });

  await t.test("the plots get figures, and move", async () => {
    await connected("ours", 10);
    await live.until(
      (ids) => ids.every((id) => /\d/.test(document.querySelector(`#${id} .ours dd`)?.innerText)),
      FIGURES,
      "a value in words beside each plot",
    );
    const before = await pictures();
    assert.equal(before.length, FIGURES.length);
    await live.until(
      (old) =>
        [...document.querySelectorAll(".plot canvas")].every((canvas, i) => canvas.toDataURL() !== old[i]),
      before,
      "other pictures",
    );
  });

  await t.test("more clients, until there are enough", async () => {
    await button("15 more clients").click();
    await connected("ours", 25);
    await button("15 more clients").click();
    await connected("ours", 30);
    await live.shows("#news", "30 clients, of 30 at most.");
    assert.equal(await button("15 more clients").isDisabled(), true);
  });

  await t.test("stock is shown beside", async () => {
    assert.equal(await page.locator("#connected .stock").count(), 0);
    await button("The same on stock").click();
    await connected("stock", 30);
    assert.equal(await button("The same on stock").getAttribute("aria-pressed"), "true");
  });

  await t.test("a block is shown while it lasts, and what it has cost", async () => {
    await button("Block the event loop for 1 s").click();
    await live.shows(
      "#news",
      "The event loop is blocked: nobody’s messages are handled. Who stays connected?",
    );
    assert.equal(await button("Block the event loop").isDisabled(), true);
    await live.until(
      () =>
        /Connections lost: \d+ on sockeye.io, \d+ on stock/.test(document.querySelector("#news").innerText),
      undefined,
      "the connections lost",
    );
    assert.equal(await button("Block the event loop").isEnabled(), true);
  });

  await t.test("the plots can be held, and go on", async () => {
    await button("Pause the plots").click();
    const before = await pictures();
    await viewer.figures.until(viewer.now + 3);
    assert.deepEqual(await pictures(), before);
    await button("Pause the plots").click();
    await live.until(
      (old) => document.querySelector(".plot canvas").toDataURL() !== old,
      before[0],
      "another picture",
    );
  });

  await t.test("it fits on a phone, and is dark where people want that", async () => {
    const light = await background();
    await page.emulateMedia({ colorScheme: "dark" });
    assert.notEqual(await background(), light);
    await page.setViewportSize({ width: 360, height: 740 });
    await live.until(
      () => [...document.querySelectorAll(".plot canvas")].every((canvas) => canvas.clientWidth < 340),
      undefined,
      "narrow plots",
    );
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 360);
  });

  await t.test("it can begin anew", async () => {
    await button("Start over").click();
    await connected("ours", 10);
    await live.shows("#trouble", "");
  });

  assert.deepEqual(live.complaints, []);
});
