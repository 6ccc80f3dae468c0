"use strict";

// README.md and docs/ are true: their links lead somewhere, what they show of this package runs, and their commands are
// run by some test.

const assert = require("node:assert/strict");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const test = require("node:test");
const { WebSocket } = require("ws");
const { ROOT, blocks, commands, links, names, places } = require("./support/documents");
const { Example, makeFolder, writeProgram } = require("./support/example");
const { natsPort, withoutNats } = require("./support/services");
const { connected, eventually, once, record, within } = require("./support/harness");

/** What is put into a bundle. */
const ECHO = `
  const { Server } = require("sockeye.io");
  const io = new Server(3000);
  io.on("connection", (socket) => socket.on("echo", (value, reply) => reply(value)));
`;

/** In place of Next.js. */
const NEXT = `
  module.exports = () => ({
    prepare: async () => {},
    getRequestHandler: () => (req, res) => res.end("a page"),
  });
`;

/** In place of NestJS. */
const NEST = "exports.WsAdapter = class WsAdapter {};";

/** What is tried with the programs, by their marks; each has the program and whoever talks to it. */
const TRIALS = {
  require: (example) => example.end(),
  import: (example) => example.end(),

  async readme(example) {
    const stranger = await example.client();
    const [{ message }] = await once(stranger, "connect_error");
    assert.equal(message, "not logged in");
    const [ada, bob] = await Promise.all(
      ["ada", "bob"].map(async (token) => connected(await example.client("/", { auth: { token } }))),
    );
    const heard = once(bob, "post");
    assert.deepEqual(await within(ada.emitWithAck("post", "hello"), "the answer"), { ok: true });
    assert.deepEqual(await heard, ["hello"]);
    assert.equal(await (await fetch(await example.url())).text(), "hello");
  },

  async "from-4"(example) {
    const [ada, bob] = await pair(example);
    const heard = once(bob, "said");
    ada.emit("say", "hello");
    // with recovery, the number of the packet comes last
    assert.deepEqual((await heard).slice(0, 2), ["hello", false]);
  },

  async "from-3"(example) {
    const [ada, bob] = await pair(example);
    const heard = once(bob, "said");
    ada.emit("say", "hello");
    assert.deepEqual(await heard, ["hello"]);
  },

  async "from-2"(example) {
    const client = await example.client();
    assert.deepEqual(await once(client, "counted"), [2, 1, 1]);
    const response = await fetch(`${await example.url()}/socket.io/?EIO=3&transport=polling`);
    assert.equal(response.status, 200);
    assert.match(await response.text(), /^\d+:0\{"sid"/);
  },

  async "from-ws"(example) {
    const [ada, bob] = await pair(example, { transports: ["websocket"] });
    const heard = once(bob, "message");
    ada.send({ text: "hello" });
    assert.deepEqual(await heard, [{ text: "hello" }]);
    const polling = await example.client("/", { transports: ["polling"] });
    await once(polling, "connect_error");
  },

  async "same-as-ws"(example) {
    const [ada, bob] = await plainPair(example);
    const heard = once(bob, "message");
    ada.send("hello");
    assert.equal(String((await heard)[0]), "hello");
  },

  async ws(example) {
    const [ada, bob] = await plainPair(example);
    const heard = once(bob, "message");
    ada.send(Buffer.from("hello"));
    const [data, isBinary] = await heard;
    assert.deepEqual([String(data), isBinary], ["hello", true]);
  },

  async "ws-broadcast"(example) {
    const ada = await plainClient(example);
    const got = record(ada, "message");
    await plainClient(example);
    await got.until((list) => list.some(([data]) => String(data) === "somebody has come"));
    assert.ok(got.list.some(([data, isBinary]) => isBinary && data.equals(Buffer.from([1, 2, 3]))));
    assert.ok(got.list.some(([data, isBinary]) => !isBinary && String(data) === "text in a Buffer"));
  },

  async "ws-topics"(example) {
    const ada = await plainClient(example, "/room");
    const got = record(ada, "message");
    const bob = await plainClient(example, "/room?name=bob");
    const cyd = await plainClient(example, "/other");
    cyd.send("not for room");
    bob.send("hello");
    await got.until((list) => String(list.at(-1)?.[0]) === "hello");
    assert.equal(String(got.list.at(-2)[0]), "2 are here");
  },

  async "ws-limits"(example) {
    const client = await plainClient(example);
    for (let n = 0; n < 300; n++) client.send(`${n}`);
    await eventually(() => example.said.includes("limit: packetsPerSecond"), "it is told");
    assert.equal(client.readyState, WebSocket.OPEN);
  },

  async "ws-shared"(example) {
    const url = await example.url();
    assert.equal(await (await fetch(`${url}/health`)).text(), "ok");
    const ada = await connected(await example.client());
    const plain = await plainClient(example, "/plain");
    const said = once(ada, "said");
    plain.send("from plain");
    assert.deepEqual(await said, ["from plain"]);
    const heard = once(plain, "message");
    ada.emit("say", "from ada");
    assert.equal(String((await heard)[0]), "from ada");
  },

  async "ws-engine"(example) {
    const client = await connected(await example.client("/", { transports: ["websocket"] }));
    assert.equal(await within(client.emitWithAck("echo", 7), "the answer"), 7);
  },

  async "beside-ws"(example) {
    const [ada] = await pair(example);
    const heard = once(ada, "message");
    const plain = new WebSocket(`${(await example.url()).replace("http", "ws")}/plain`);
    await once(plain, "open");
    plain.send("hello");
    assert.deepEqual(await heard, ["hello"]);
    plain.terminate();
  },

  "from-uws": echoes,

  async "esbuild-external"(example) {
    await example.end();
    await echoes(new Example(example.t, path.join(example.folder, "dist", "server.js")));
  },

  async "esbuild-copy"(example) {
    await example.end();
    const elsewhere = fs.mkdtempSync(path.join(os.tmpdir(), "sockeye-bundle-"));
    example.t.after(() => fs.rmSync(elsewhere, { recursive: true, force: true }));
    fs.cpSync(path.join(example.folder, "dist"), elsewhere, { recursive: true });
    await echoes(new Example(example.t, path.join(elsewhere, "server.js")));
  },

  // these are read, but what they are for is not installed here
  webpack: (example) => example.end(),
  "webpack-inside": (example) => example.end(),
  vite: (example) => example.end(),
  "ws-nest": (example) => example.end(),

  async next(example) {
    assert.equal(await (await fetch(await example.url())).text(), "a page");
    await connected(await example.client());
  },

  async shutdown(example) {
    const client = await connected(await example.client("/", { transports: ["websocket"] }));
    const heard = once(client, "news");
    const gone = once(client, "disconnect");
    example.child.kill("SIGTERM");
    assert.deepEqual(await heard, ["back in a minute"]);
    assert.equal((await gone)[0], "transport close");
    assert.equal(client.active, true);
    await example.end();
  },

  async nats(example) {
    const client = await connected(await example.client());
    assert.equal(client.connected, true);
  },

  async metrics(example) {
    await connected(await example.client());
    await eventually(() => example.said.includes('"connects":1'), "the client is counted");
  },
  async prometheus(example) {
    const url = await example.url();
    await connected(await example.client());
    const response = await fetch(`${url}/metrics`);
    assert.match(response.headers.get("content-type"), /^text\/plain; version=/);
    assert.match(await response.text(), /^socket_io_sockets\{namespace="\/"\} 1$/m);
  },
  async flushed(example) {
    const client = await connected(await example.client());
    let bytes = 0;
    client.on("chunk", (chunk) => (bytes += chunk.length));
    await within(client.emitWithAck("download"), "all has come");
    assert.equal(bytes, fs.statSync(process.execPath).size);
  },
  async expire(example) {
    const client = await connected(await example.client("/", { auth: { lifetime: 60_000 } }));
    const gone = once(client, "disconnect");
    client.emit("renew", 50);
    assert.equal((await gone)[0], "io server disconnect");
    await eventually(() => example.said.includes("server namespace disconnect expireAt"), "it is told");
  },
  async "slow-consumer"(example) {
    const client = await connected(await example.client("/prices", { transports: ["websocket"] }));
    const { ws } = client.io.engine.transport;
    ws.pause();
    assert.equal(ws.isPaused, true);
    ws.resume();
    client.disconnect();
    assert.doesNotMatch(example.said, /slow:/);
  },
  async limits(example) {
    const client = await connected(await example.client("/", { transports: ["websocket"] }));
    for (let n = 0; n < 300; n++) client.emit("n", n);
    await eventually(() => example.said.includes("packetsPerSecond"), "it is told");
    assert.equal(client.connected, true);
  },
  async trace(example) {
    const client = await connected(await example.client("/", { transports: ["websocket"] }));
    client.disconnect();
    await eventually(() => /opened .*[^]*joined .*[^]*left/.test(example.said), "it is told");
  },
  async "admin-ui"(example) {
    const auth = { username: "admin", password: "secret" };
    const admin = await example.client("/admin", { auth });
    const [{ supportedFeatures }] = await once(admin, "config");
    assert.ok(supportedFeatures.includes("AGGREGATED_EVENTS") && !supportedFeatures.includes("ALL_EVENTS"));
    const stranger = await example.client("/admin");
    assert.equal((await once(stranger, "connect_error"))[0].message, "invalid credentials");
  },
  async status(example) {
    const url = await example.url();
    const headers = { authorization: `Basic ${Buffer.from("admin:secret").toString("base64")}` };
    assert.equal((await fetch(`${url}/status`)).status, 401);
    assert.match(await (await fetch(`${url}/status`, { headers })).text(), /<title>Status/);
  },
  async drain(example) {
    const url = await example.url();
    assert.equal((await fetch(`${url}/readyz`)).status, 200);
    const client = await connected(await example.client("/", { transports: ["websocket"] }));
    const gone = once(client, "disconnect");
    example.child.kill("SIGTERM");
    assert.equal((await gone)[0], "transport close");
    await eventually(() => example.said.includes("1 sessions, 0 of them cut short"), "it is told");
    await example.end();
  },
  async channels(example) {
    const client = await connected(await example.client());
    const { id } = client;
    client.disconnect();
    const line = new RegExp(`^${id} \\(.*127.0.0.1\\): client namespace disconnect$`, "m");
    await eventually(() => line.test(example.said), "the end is told");
  },
  async opentelemetry(example) {
    await connected(await example.client());
    await eventually(() => example.said.includes("socket.io.socket_connects"), "it is exported");
  },
  async watch(example) {
    const url = await example.url();
    assert.equal((await fetch(`${url}/socket.io/?EIO=4&transport=carrier-pigeon`)).status, 400);
    await eventually(() => example.said.includes("message: 'Transport unknown'"), "the refusal is told");
    const client = await connected(await example.client());
    client.disconnect();
    await eventually(() => example.said.includes("client namespace disconnect"), "the end is told");
  },
};

/** What the program of a mark needs around it: whether it cannot be had, and what is added to its environment. */
const SURROUNDINGS = {
  nats: { skip: withoutNats, env: async (t) => ({ NATS: `127.0.0.1:${await natsPort(t)}` }) },
  "ws-nest": { files: { "node_modules/@nestjs/platform-ws/index.js": NEST } },
  next: { files: { "node_modules/next.js": NEXT } },
  "esbuild-external": { files: { "server.js": ECHO } },
  "esbuild-copy": { files: { "server.js": ECHO.replace("3000", "3000, { serveClient: false }") } },
};

async function echoes(example) {
  const client = await connected(await example.client());
  assert.equal(await within(client.emitWithAck("echo", 7), "the answer"), 7);
}

/** A client that speaks WebSocket only. */
async function plainClient(example, path = "/") {
  const client = new WebSocket(`${(await example.url()).replace("http", "ws")}${path}`);
  example.t.after(() => client.terminate());
  await once(client, "open");
  return client;
}

/** Two of these. */
function plainPair(example) {
  return Promise.all([plainClient(example), plainClient(example)]);
}

/** Two clients that are connected. */
function pair(example, options) {
  return Promise.all([0, 1].map(async () => connected(await example.client("/", options))));
}

/** Where the commands are run, or what they would do is done: the test file; or why none does. */
const COMMANDS = {
  "npm install sockeye.io": {
    not: "nothing is published yet; release.test.js tries what would be",
  },
  "npm pack": "pack",
  "npm install /path/to/sockeye.io-4.8.100.tgz": "pack",
  "SOCKEYE_NATIVE=0 node server.js": "fallback",
  "npx sockeye.io doctor": "command",
  "npx sockeye.io doctor server.js": "command",
  "npx sockeye.io compare": "command",
  "DEBUG=sockeye:roads node server.js": "internals",
  "docker build -t chat .": "deploy",
  "docker build -t chat -f Dockerfile.alpine .": "deploy",
  "systemctl enable --now sockeye": "deploy",
  "pm2 start ecosystem.config.js": "deploy",
  "kubectl apply -f kubernetes.yaml": "deploy",
  "nginx -t": "deploy",
  "haproxy -c -f haproxy.cfg": "deploy",
  'sysctl -w net.ipv4.ip_local_port_range="1024 65000"': { not: "it is about the whole machine" },
  "npm install socket.io@4": "fallback",
  "node bench/capacity.js --clients 5000 --rooms 20": "bench",
  "npm run bench -- --only idle": "bench",
  "npm run bench -- --only heartbeats": "bench",
  "npm start": { not: "scripts/start.js serves what the tests of the chat start by themselves" },
  "npm test": { not: "it is what runs this" },
  "npm run bench": "bench",
  "npm run bench -- --quick": "bench",
  "npm run bench -- --only roads": "bench",
};

test("links lead somewhere", () => {
  for (const name of names()) {
    for (const { link, file, place, isOnline } of links(name)) {
      const target = path.join(ROOT, file);
      // pictures are made apart from the text
      if (!file.startsWith(path.join("docs", "images"))) {
        assert.ok(fs.existsSync(target), `${name}: ${link}`);
      }
      if (place !== undefined) assert.ok(places(file).includes(place), `${name}: ${link}`);
      // what is in the tarball, and shown by registries, has nothing of the repository beside it
      if (name === "README.md" && !link.startsWith("#")) assert.ok(isOnline, `${name}: ${link} is relative`);
    }
  }
});

test("programs of this package run", { concurrency: 3 }, async (t) => {
  const folder = makeFolder(t);
  const programs = blocks("js", "ts", "mjs");
  for (const { where, code, mark } of programs) {
    if (mark === undefined) {
      assert.ok(!code.includes("sockeye.io"), `${where}: a program of this package has a mark: try`);
    }
  }
  const marked = programs.filter(({ mark }) => mark !== undefined);
  assert.deepEqual(marked.map(({ mark }) => mark).sort(), Object.keys(TRIALS).sort());
  await Promise.all(
    marked.map(({ where, code, mark }) =>
      t.test(`${mark}, ${where}`, { skip: SURROUNDINGS[mark]?.skip }, async (t) => {
        const file = writeProgram(folder, mark, code);
        const { env, files = {} } = SURROUNDINGS[mark] ?? {};
        for (const name in files) {
          const other = path.join(path.dirname(file), name);
          fs.mkdirSync(path.dirname(other), { recursive: true });
          fs.writeFileSync(other, files[name]);
        }
        await TRIALS[mark](new Example(t, file, await env?.(t)));
      }),
    ),
  );
});

test("commands are run by a test", () => {
  const found = commands();
  for (const { where, command } of found) {
    assert.ok(Object.hasOwn(COMMANDS, command), `${where}: which test runs "${command}"?`);
  }
  const shown = new Set(found.map(({ command }) => command));
  for (const [command, by] of Object.entries(COMMANDS)) {
    assert.ok(shown.has(command), `no document has "${command}" any more`);
    if (typeof by === "string") {
      assert.ok(fs.existsSync(path.join(__dirname, `${by}.test.js`)), `${command}: ${by}.test.js`);
    } else {
      assert.ok(by.not.length > 0);
    }
  }
});
