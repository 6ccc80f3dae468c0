"use strict";

/* global document -- in functions that run in the page */

const fs = require("node:fs");
const path = require("node:path");
const { chromium } = require("playwright-core");
const { LIMIT } = require("./waiting");

const NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome.exe"];
const FURTHER_PLACES = [
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
  "/Applications/Chromium.app/Contents/MacOS/Chromium",
  "C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe",
];

/** What a test that needs a browser says when it is skipped. */
const NO_BROWSER =
  "no Chromium was found: install it (on Debian or Ubuntu the package chromium), or name one in CHROMIUM_PATH";

/** @returns {string | undefined} a Chromium or Chrome on this machine */
function findBrowser() {
  if (process.env.CHROMIUM_PATH) {
    return process.env.CHROMIUM_PATH;
  }
  const directories = process.env.PATH.split(path.delimiter);
  const onPath = NAMES.flatMap((name) => directories.map((directory) => path.join(directory, name)));
  return [...onPath, ...FURTHER_PLACES].find((file) => fs.existsSync(file));
}

/**
 * A browser that is closed when the test ends.
 *
 * @param {{ after: Function }} t
 */
async function launchBrowser(t) {
  const browser = await chromium.launch({
    executablePath: findBrowser(),
    timeout: 60_000,
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
  t.after(() => browser.close());
  return browser;
}

/** The chat in a window of its own, with what a test does in it and reads from it. */
class ChatPage {
  /** What the page complained about: uncaught errors, and errors in the console. */
  complaints = [];

  /**
   * @param {import("playwright-core").Browser} browser
   * @param {object} [options] of the browser's context
   */
  static async open(browser, url, options) {
    const context = await browser.newContext(options);
    const page = await context.newPage();
    page.setDefaultTimeout(2 * LIMIT);
    const chat = new ChatPage(page);
    await page.goto(url);
    return chat;
  }

  constructor(page) {
    this.page = page;
    page.on("pageerror", (error) => this.complaints.push(String(error)));
    page.on("console", (message) => {
      // The client may still be polling while its goodbye is on the way, and such a poll gets a 400.
      if (message.type() === "error" && !message.location().url.includes("/socket.io/?")) {
        this.complaints.push(message.text());
      }
    });
  }

  async login(name, password) {
    await this.page.getByLabel("Name", { exact: true }).fill(name);
    await this.page.getByLabel("Password").fill(password);
    await this.page.getByRole("button", { name: "Enter the chat" }).click();
  }

  async say(text) {
    await this.page.getByLabel("Message", { exact: true }).fill(text);
    await this.page.getByRole("button", { name: "Send", exact: true }).click();
  }

  async sendImage(name, buffer) {
    await this.page.locator("#image").setInputFiles({ name, mimeType: "image/png", buffer });
  }

  async createRoom(name) {
    await this.page.getByLabel("Name of a new room").fill(name);
    await this.page.getByRole("button", { name: "Create the room" }).click();
  }

  async goTo(room) {
    await this.page.locator(".rooms .list").getByRole("button", { name: room }).click();
  }

  /** Resolves when an element shows exactly this text. */
  async shows(selector, text) {
    await this.until(
      ([css, wanted]) => document.querySelector(css)?.innerText.trim() === wanted,
      [selector, text],
      `${selector} shows "${text}"`,
    );
  }

  /** Resolves when the elements show exactly these texts. */
  async lists(selector, texts) {
    await this.until(
      ([css, wanted]) => {
        const shown = [...document.querySelectorAll(css)].map((node) => node.innerText.trim());
        return JSON.stringify(shown) === JSON.stringify(wanted);
      },
      [selector, texts],
      `${selector} lists ${JSON.stringify(texts)}`,
    );
  }

  /** Resolves when this many images are shown, all of them decoded. */
  async showsImages(count) {
    await this.until(
      (wanted) => {
        const images = [...document.querySelectorAll(".picture img")];
        return images.length === wanted && images.every((image) => image.naturalWidth === 48);
      },
      count,
      `${count} images are shown`,
    );
  }

  async until(condition, argument, what) {
    try {
      await this.page.waitForFunction(condition, argument);
    } catch (error) {
      error.message = `${what}: ${error.message}\nThe page shows:\n${await this.page.innerText("body")}`;
      throw error;
    }
  }
}

module.exports = { NO_BROWSER, findBrowser, launchBrowser, ChatPage };
