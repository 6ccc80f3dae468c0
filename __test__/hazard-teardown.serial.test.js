"use strict";

// Environments that end, or are made anew, while the engine is at work: threads, copies of the package, vm contexts.

const test = require("node:test");
const assert = require("node:assert/strict");
const { target } = require("./support/harness");
const { startChild } = require("./support/child");

/** As little of a client as it takes, because a thousand threads load it: a WebSocket that sends without end. */
function runThread({ target, port }) {
  const http = require("node:http");
  const net = require("node:net");
  const { parentPort } = require("node:worker_threads");
  const { Server } = require(target);
  const httpServer = http.createServer();
  const io = new Server(httpServer);
  const echoed = (text) => Buffer.from([0x81, 0x80 | text.length, 0, 0, 0, 0, ...Buffer.from(text)]);
  io.on("connection", (socket) => {
    socket.join("room");
    socket.on("n", () => {
      io.to("room").emit("n", Buffer.alloc(10));
      socket.emit("n", "x".repeat(1000));
    });
  });
  httpServer.listen(port, "127.0.0.1", () => {
    const client = net.connect(httpServer.address().port, "127.0.0.1");
    client.write(
      "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n" +
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    client.write(echoed("40"));
    let received = 0;
    client.on("data", (chunk) => {
      if (received === 0) {
        parentPort.postMessage("connected");
      }
      received += chunk.length;
      client.write(Buffer.concat(Array(10).fill(echoed('42["n"]'))));
    });
  });
}

test("1,000 threads that end in the middle of their traffic take nothing with them", async (t) => {
  const child = startChild(
    t,
    async ({ args, fs, load, send }) => {
      const { Worker } = load("node:worker_threads");
      const threads = () => fs.readdirSync("/proc/self/task").length;
      const descriptors = () => fs.readdirSync("/proc/self/fd").length;
      const errors = [];
      let connected = 0;
      const source = `(${args.source})(require("node:worker_threads").workerData)`;
      const run = async (i) => {
        const worker = new Worker(source, { eval: true, workerData: { target: args.target, port: 0 } });
        worker.on("error", (error) => errors.push(error.stack));
        const ended = new Promise((resolve) => worker.once("exit", resolve));
        const begun = new Promise((resolve) => worker.once("message", resolve)).then(() => connected++);
        if (i % 4 === 0) {
          // at any moment of its beginning
          await new Promise((resolve) => setTimeout(resolve, (i * 7) % 90));
        } else {
          await Promise.race([begun, ended]);
          await new Promise((resolve) => setTimeout(resolve, (i * 3) % 10));
        }
        await worker.terminate();
        await ended;
      };
      await Promise.all(Array.from({ length: 4 }, (_, i) => run(i)));
      const before = { threads: threads(), descriptors: descriptors() };
      let next = 0;
      const lane = async () => {
        while (next < args.count) {
          await run(next++);
        }
      };
      await Promise.all(Array.from({ length: 6 }, lane));
      send("done", { before, after: { threads: threads(), descriptors: descriptors() }, connected, errors });
    },
    { source: String(runThread), target, count: 1000 },
  );
  const { before, after, connected, errors } = await child.message("done", 100_000);
  assert.deepEqual(errors, []);
  assert.ok(connected >= 700, `${connected} were connected`);
  assert.ok(after.threads <= before.threads, JSON.stringify({ before, after }));
  assert.ok(after.descriptors <= before.descriptors, JSON.stringify({ before, after }));
  assert.deepEqual(await child.ended(), { code: 0, signal: null });
});

test("the package loaded 100 times anew: every copy works, and none stays", async (t) => {
  const child = startChild(
    t,
    async ({ args, fs, load, listen, connect, send }) => {
      const path = load("node:path");
      const { cache } = load;
      const root = path.dirname(load.resolve(args.target));
      const threads = () => fs.readdirSync("/proc/self/task").length;
      const descriptors = () => fs.readdirSync("/proc/self/fd").length;
      const warnings = [];
      process.on("warning", ({ message }) => warnings.push(message));
      const copies = new Set();
      const round = async () => {
        for (const file of Object.keys(cache)) {
          if (file.startsWith(root) && !/node_modules|__test__/.test(file.slice(root.length))) {
            delete cache[file];
          }
        }
        const { Server } = load(args.target);
        copies.add(Server);
        const io = new Server(await listen());
        io.on("connection", (socket) => socket.on("echo", (value, ack) => ack(value)));
        const client = connect(`http://127.0.0.1:${io.httpServer.address().port}`, {
          forceNew: true,
          transports: ["websocket"],
        });
        const answer = await client.timeout(10_000).emitWithAck("echo", copies.size);
        client.close();
        await io.close();
        return answer;
      };
      const answers = [await round(), await round()];
      const before = { threads: threads(), descriptors: descriptors() };
      while (copies.size < 100) {
        answers.push(await round());
      }
      const after = { threads: threads(), descriptors: descriptors() };
      const listeners = process.listenerCount("exit");
      send("done", { answers, before, after, warnings, listeners });
    },
    { target },
  );
  const { answers, before, after, warnings, listeners } = await child.message("done", 60_000);
  assert.deepEqual(
    answers,
    Array.from({ length: 100 }, (_, i) => i + 1),
  );
  assert.deepEqual(warnings, []);
  assert.ok(listeners <= 1, `${listeners} listeners for the end of the process`);
  // the threads of the last server, and what it had open, may be on their way out
  assert.ok(after.threads <= before.threads + 2, JSON.stringify({ before, after }));
  assert.ok(after.descriptors <= before.descriptors + 4, JSON.stringify({ before, after }));
  assert.deepEqual(await child.ended(), { code: 0, signal: null });
});

test("vm contexts with modules of their own, as test runners make them", async (t) => {
  const child = startChild(
    t,
    async ({ args, fs, load, listen, connect, send }) => {
      const path = load("node:path");
      const vm = load("node:vm");
      const { createRequire, isBuiltin } = load("node:module");
      const threads = () => fs.readdirSync("/proc/self/task").length;
      const shared = { Buffer, process, console, setTimeout, clearTimeout, setInterval, clearInterval };
      Object.assign(shared, { setImmediate, clearImmediate, queueMicrotask, URL, performance });

      /** Loads modules inside a context; only what is built in, and addons, come from outside. */
      class Registry {
        constructor() {
          this.context = vm.createContext({ ...shared });
          this.context.global = this.context;
          this.modules = new Map();
        }

        load(file) {
          if (this.modules.has(file)) {
            return this.modules.get(file).exports;
          }
          const outer = createRequire(file);
          if (file.endsWith(".node")) {
            return outer(file);
          }
          const module = { exports: {}, filename: file, id: file, loaded: true };
          this.modules.set(file, module);
          const text = fs.readFileSync(file, "utf8");
          if (file.endsWith(".json")) {
            module.exports = vm.runInContext(`(${text})`, this.context);
            return module.exports;
          }
          const require = (name) =>
            isBuiltin(name) ? outer(name) : this.load(fs.realpathSync(outer.resolve(name)));
          require.resolve = outer.resolve;
          const parameters = ["module", "exports", "require", "__filename", "__dirname"];
          const run = vm.compileFunction(text, parameters, { parsingContext: this.context, filename: file });
          run.call(module.exports, module, module.exports, require, file, path.dirname(file));
          return module.exports;
        }
      }

      const classes = new Set();
      const answers = [];
      const entry = load.resolve(args.target);

      /** A registry with a server of its own, and a client that talks to it. */
      const open = async (i) => {
        const registry = new Registry();
        const { Server } = registry.load(entry);
        classes.add(Server);
        const io = new Server(await listen());
        io.on("connection", (socket) => {
          socket.join("room");
          socket.on("echo", (value, ack) => {
            io.to("room").emit("heard", Buffer.from([1, 2, 3]), { value });
            ack(value);
          });
        });
        const url = `http://127.0.0.1:${io.httpServer.address().port}`;
        const client = connect(url, { forceNew: true, transports: i % 2 ? ["polling"] : ["websocket"] });
        const heard = new Promise((resolve) => client.once("heard", (...list) => resolve(list)));
        answers.push(await client.timeout(10_000).emitWithAck("echo", [i, { text: "ä" }]));
        const [bytes, object] = await heard;
        answers.push([...bytes], object.value[0]);
        return { io, client };
      };
      const before = threads();
      // several at a time
      for (let round = 0; round < 3; round++) {
        const running = await Promise.all([0, 1, 2, 3].map((i) => open(round * 4 + i)));
        for (const { io, client } of running) {
          client.close();
          await io.close();
        }
      }
      send("done", { answers, classes: classes.size, before, after: threads() });
    },
    { target },
  );
  const { answers, classes, before, after } = await child.message("done", 30_000);
  assert.equal(classes, 12);
  assert.equal(answers.length, 36);
  for (const [i, { length }] of answers.filter(Array.isArray).entries()) {
    assert.equal(length, i % 2 ? 3 : 2);
  }
  assert.ok(after <= before + 4, `${after} threads, ${before} before`);
  assert.deepEqual(await child.ended(), { code: 0, signal: null });
});

test("a server that has been closed is collected, and its engine with it", async (t) => {
  const child = startChild(
    t,
    async ({ sio, listen, connect, send }) => {
      const engines = [];
      const run = async () => {
        const io = new sio.Server(await listen());
        engines.push(new WeakRef(io.engine));
        io.on("connection", (socket) => socket.on("echo", (value, ack) => ack(value)));
        const client = connect(`http://127.0.0.1:${io.httpServer.address().port}`, {
          forceNew: true,
          transports: ["websocket"],
        });
        await client.timeout(10_000).emitWithAck("echo", 1);
        client.close();
        await io.close();
      };
      for (let i = 0; i < 10; i++) {
        await run();
      }
      let left = engines.length;
      for (let i = 0; i < 200 && left > 0; i++) {
        await new Promise((resolve) => setTimeout(resolve, 10));
        globalThis.gc();
        left = engines.filter((it) => it.deref() !== undefined).length;
      }
      send("done", { left });
    },
    {},
    { execArgv: ["--expose-gc"] },
  );
  assert.deepEqual(await child.message("done", 30_000), { type: "done", left: 0 });
});
