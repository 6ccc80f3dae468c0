"use strict";

// Servers on Bun and on Deno, with clients on Node; or servers of an installed package on other systems, see
// scripts/release/foreign.js.

const assert = require("node:assert/strict");
const { spawn } = require("node:child_process");
const fs = require("node:fs");
const http = require("node:http");
const os = require("node:os");
const path = require("node:path");
const { createInterface } = require("node:readline");
const test = require("node:test");
const { connect, connected, once, record, within } = require("./support/harness");
const { obtainBeside } = require("../scripts/runtimes");

const APP = path.join(__dirname, "fixtures", "other-runtimes");
const VALUES = [1, "aé語😀", { a: [null] }, Buffer.from([0, 255]), { b: [Buffer.from("x")] }];
const MINUTES = 60_000;

const TRANSPORTS = [["websocket"], ["polling"], ["polling", "websocket"]];

/**
 * How a file is run.
 * @typedef {object} Runtime
 * @property {string} name
 * @property {string} command
 * @property {string[]} args - that go before the file
 * @property {string} folder - where the files are, as the command sees it
 * @property {boolean} [isNative] - whether connections go to native threads there
 * @property {string} [reason] - why it cannot be run
 */

/** A server on another runtime, and its clients. */
class Server {
  constructor(process, port) {
    this.process = process;
    this.url = `http://127.0.0.1:${port}`;
    this.clients = [];
  }

  /** Starts it; it and its clients are gone when the test ends. */
  static async start(t, { command, args, folder, env }, file) {
    const child = spawn(command, [...args, path.join(folder, file)], {
      env,
      stdio: ["ignore", "pipe", "pipe"],
    });
    const kill = () => child.kill("SIGKILL");
    t.after(kill);
    // a file that takes too long ends without its tests
    process.on("exit", kill);
    child.on("exit", () => process.off("exit", kill));
    let errors = "";
    child.stderr.on("data", (data) => (errors += data));
    const ended = once(child, "close").then(([code]) => assert.fail(`it has ended with ${code}: ${errors}`));
    const [port] = await within(
      Promise.race([once(createInterface(child.stdout), "line"), ended]),
      "its port",
    );
    ended.catch(() => {});
    const server = new Server(child, port);
    t.after(() => server.clients.forEach((client) => client.close()));
    return server;
  }

  async connect(transports, nsp = "/") {
    const client = connect(this.url + nsp, {
      forceNew: true,
      reconnection: false,
      transports,
      extraHeaders: { "x-test": "seen" },
    });
    this.clients.push(client);
    await connected(client);
    const { engine } = client.io;
    if (engine.transport.name !== transports.at(-1)) await within(once(engine, "upgrade"), "the upgrade");
    return client;
  }
}

/** Asks the server something. */
function ask(client, ...args) {
  return client.timeout(10_000).emitWithAck(...args);
}

/** @returns {Runtime[]} those that `SIO_RUNTIMES` says, else those beside Node */
function runtimes() {
  const { SIO_RUNTIMES } = process.env;
  return SIO_RUNTIMES ? JSON.parse(SIO_RUNTIMES) : ["bun", "deno"].map(find);
}

/** @returns {Runtime} */
function find(runtime) {
  try {
    return { folder: APP, ...obtainBeside(runtime) };
  } catch (error) {
    return { name: runtime, reason: `${runtime} cannot be had: ${error.message}` };
  }
}

for (const { name, reason, isNative = false, ...runtime } of runtimes()) {
  test(name, { skip: reason, timeout: 2 * MINUTES }, async (t) => {
    const home = fs.mkdtempSync(path.join(os.tmpdir(), "sockeye-runtime-"));
    t.after(() => fs.rmSync(home, { recursive: true, force: true }));
    const env = { ...process.env, DENO_DIR: home, DENO_NO_UPDATE_CHECK: "1", NO_COLOR: "1" };
    delete env.NODE_TEST_CONTEXT;
    const how = { ...runtime, env };
    const server = await Server.start(t, how, "server.js");

    for (const transports of TRANSPORTS) {
      await t.test(`events, acknowledgements and binary data over ${transports.join(" to ")}`, async () => {
        const client = await server.connect(transports);
        assert.equal(await ask(client, "transport"), transports.at(-1));
        if (isNative && transports.at(-1) === "websocket") {
          assert.equal(await ask(client, "road"), "TakenSocket");
        }
        client.on("echo", (value, ack) => ack(value));
        for (const value of VALUES) {
          assert.deepEqual(await ask(client, "echo", value), value);
          assert.deepEqual(await ask(client, "ask me", value), value);
        }
        client.close();
      });

      await t.test(`rooms over ${transports.join(" to ")}`, async () => {
        const clients = await Promise.all([1, 2, 3].map(() => server.connect(transports)));
        const heard = clients.map((client) => record(client, "told"));
        assert.equal(await ask(clients[0], "join", "room"), 2);
        assert.equal(await ask(clients[1], "join", "room"), 2);
        const told = once(clients[1], "told");
        clients[0].emit("tell", "room", "x", Buffer.from([1]));
        assert.deepEqual(await told, ["x", Buffer.from([1])]);
        await Promise.all(clients.map((client) => ask(client, "transport")));
        assert.deepEqual(
          heard.map(({ list }) => list.length),
          [0, 1, 0],
        );
        clients.forEach((client) => client.close());
      });

      await t.test(`disconnections over ${transports.join(" to ")}`, async () => {
        const observer = await server.connect(transports);
        const before = (await ask(observer, "who has gone?")).length;
        const [leaving, kicked] = await Promise.all([server.connect(transports), server.connect(transports)]);
        const gone = once(kicked, "disconnect");
        kicked.emit("kick");
        assert.equal((await gone)[0], "io server disconnect");
        leaving.disconnect();
        let reasons;
        do reasons = (await ask(observer, "who has gone?")).slice(before);
        while (reasons.length < 2);
        assert.deepEqual(reasons.sort(), ["client namespace disconnect", "server namespace disconnect"]);
        observer.close();
      });
    }

    await t.test("the request of a session, and those of the application", async () => {
      const client = await server.connect(["websocket"]);
      const asked = new Promise((resolve) => client.emit("request", (...answer) => resolve(answer)));
      const [header, url] = await within(asked, "the answer");
      assert.equal(header, "seen");
      assert.match(url, /^\/socket\.io\/\?EIO=4&transport=websocket/);
      const [res] = await within(once(http.get(server.url), "response"), "the application's answer");
      assert.equal(Buffer.concat(await res.toArray()).toString(), "the application's own");
      client.close();
    });

    await t.test("middleware refuses a namespace", async () => {
      await assert.rejects(server.connect(["websocket"], "/closed"), /not here/);
    });

    await t.test("the process ends by itself once the server is closed", async () => {
      const client = await server.connect(["websocket"]);
      const gone = once(client, "disconnect");
      const ended = once(server.process, "exit");
      client.emit("close");
      assert.equal((await gone)[0], "transport close");
      assert.deepEqual(await within(ended, "the end of the process"), [0, null]);
    });

    await t.test("it can be imported", async (tt) => {
      const { url } = await Server.start(tt, how, "server.mjs");
      const imported = new Server(undefined, new URL(url).port);
      const client = await imported.connect(["websocket"]);
      assert.deepEqual(await ask(client, "echo", VALUES[4]), VALUES[4]);
      client.close();
    });
  });
}
