"use strict";

/* global document -- in functions that run in the page */

// The page of @socket.io/admin-ui in a browser, with our half of it on the server.

const assert = require("node:assert/strict");
const fs = require("node:fs");
const path = require("node:path");
const test = require("node:test");
const bcrypt = require("bcryptjs");
const { NO_BROWSER, findBrowser, launchBrowser } = require("./support/chat-browser");
const { connected, isStock, serve } = require("./support/harness");

const skip = (isStock && "stock has another one") || (!findBrowser() && NO_BROWSER);

const PAGE = path.join(path.dirname(require.resolve("@socket.io/admin-ui/package.json")), "ui", "dist");
const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".png": "image/png" };

/** Serves the files of the page. */
function servePage(req, res) {
  const file = path.join(PAGE, req.url === "/" ? "index.html" : new URL(req.url, "http://any").pathname);
  if (!file.startsWith(PAGE) || !fs.existsSync(file)) return res.writeHead(404).end();
  res.writeHead(200, { "Content-Type": TYPES[path.extname(file)] ?? "application/octet-stream" });
  return res.end(fs.readFileSync(file));
}

for (const mode of ["production", "development"]) {
  test(`the Admin UI in Chromium, in ${mode} mode`, { skip }, async (t) => {
    const server = await serve(t, {}, { stream: "http", requestListener: servePage });
    const { io, url } = server;
    const auth = { type: "basic", username: "ada", password: bcrypt.hashSync("secret", 4) };
    require("../admin-ui").instrument(io, { auth, mode, serverId: "the server" });
    io.on("connection", (socket) => socket.join("a room"));
    const clients = await Promise.all([0, 1, 2].map(() => connected(server.client())));
    const browser = await launchBrowser(t);
    const page = await browser.newPage();
    const complaints = [];
    page.on("pageerror", (error) => complaints.push(String(error)));
    // fonts from elsewhere
    await page.route("**/*", (route) =>
      route.request().url().startsWith(url) ? route.continue() : route.abort(),
    );
    const shows = (...texts) =>
      page
        .waitForFunction((wanted) => wanted.every((text) => document.body.innerText.includes(text)), texts)
        .catch(async (error) => {
          error.message = `${texts}: ${error.message}\n${await page.innerText("body")}`;
          throw error;
        });

    await page.goto(url);
    await page.getByLabel("Server URL").fill(url);
    await page.getByLabel("Username").fill("ada");
    await page.getByLabel("Password").fill("wrong");
    await page.getByRole("button", { name: "Connect" }).click();
    await shows("Invalid credentials");
    await page.getByLabel("Password").fill("secret");
    await page.getByRole("button", { name: "Connect" }).click();
    await shows("100.0 %", "HEALTHY", "/\t3", "/admin\t1");
    clients[0].disconnect();
    await shows("/\t2");
    if (mode === "development") {
      await page
        .getByRole("option", { name: "Rooms" })
        .or(page.getByRole("link", { name: "Rooms" }))
        .click();
      await shows("a room");
      io.socketsJoin("another room");
      await shows("another room");
    }
    assert.deepEqual(complaints, []);
    // a connection that it has opened for later would be waited for
    await browser.close();
  });
}
