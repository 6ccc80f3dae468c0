"use strict";

const test = require("node:test");
const assert = require("node:assert/strict");
const { serve, isStock, once, record, within, Recorder } = require("./support/harness");

test("the client asks, the server answers", async (t) => {
  const server = await serve(t);
  const { client, socket } = await server.pair();
  socket.on("add", (a, b, ack) => ack(a + b, "and", { more: [null] }));
  const answer = await within(
    new Promise((resolve) => client.emit("add", 1, 2, (...args) => resolve(args))),
    "ack",
  );
  assert.deepEqual(answer, [3, "and", { more: [null] }]);
});

test("the server asks, the client answers", async (t) => {
  const server = await serve(t);
  const { client, socket } = await server.pair();
  client.on("add", (a, b, ack) => ack(a + b, "and"));
  const answer = await within(
    new Promise((resolve) => socket.emit("add", 1, 2, (...args) => resolve(args))),
    "ack",
  );
  assert.deepEqual(answer, [3, "and"]);
});

test("emitWithAck in both directions", async (t) => {
  const server = await serve(t);
  const { client, socket } = await server.pair();
  socket.on("up", (value, ack) => ack(`server got ${value}`));
  client.on("down", (value, ack) => ack(`client got ${value}`));
  assert.equal(await within(client.emitWithAck("up", 1), "ack"), "server got 1");
  assert.equal(await within(socket.emitWithAck("down", 2), "ack"), "client got 2");
  assert.equal(await socket.timeout(5000).emitWithAck("down", 3), "client got 3");
});

test("acks on the wire, both ways", async (t) => {
  const server = await serve(t);
  const { ws, socket } = await server.rawPair();
  socket.on("ask", (...args) => args.pop()(...args));
  ws.text('4217["ask",1,"two"]');
  assert.equal(await ws.next(), '4317[1,"two"]');
  ws.text('4218["ask"]');
  assert.equal(await ws.next(), "4318[]");
  const answers = [];
  const done = new Promise((resolve) => {
    socket.emit("q", (...args) => answers.push(["first", ...args]));
    socket.emit("q", "x", (...args) => resolve(answers.push(["second", ...args])));
  });
  const first = /^42(\d+)\["q"\]$/.exec(await ws.next())[1];
  const second = /^42(\d+)\["q","x"\]$/.exec(await ws.next())[1];
  assert.equal(Number(second), Number(first) + 1);
  ws.text(`43${first}["a",1]`);
  ws.text(`43${second}[]`);
  await done;
  assert.deepEqual(answers, [["first", "a", 1], ["second"]]);
});

test("acks may come back in another order", async (t) => {
  const server = await serve(t);
  const { client, socket } = await server.pair();
  const held = [];
  client.on("q", (n, ack) => {
    held.push(() => ack(n));
    if (held.length === 5) {
      held.reverse().forEach((answer) => answer());
    }
  });
  const order = [];
  const answers = await Promise.all(
    [0, 1, 2, 3, 4].map(async (n) => {
      const answer = await socket.timeout(5000).emitWithAck("q", n);
      order.push(n);
      return answer;
    }),
  );
  assert.deepEqual(answers, [0, 1, 2, 3, 4]);
  assert.deepEqual(order, [4, 3, 2, 1, 0]);
});

test("an ack function sends only once", async (t) => {
  const server = await serve(t);
  const { ws, socket } = await server.rawPair();
  socket.on("ask", (ack) => {
    ack(1);
    ack(2);
    socket.emit("after");
  });
  ws.text('420["ask"]');
  assert.equal(await ws.next(), "430[1]");
  assert.equal(await ws.next(), '42["after"]');
});

test("unknown, double and huge ack ids from a client are ignored", async (t) => {
  const server = await serve(t);
  const { ws, socket, log } = await server.rawPair();
  const answers = [];
  socket.emit("q", (value) => answers.push(value));
  const id = /^42(\d+)\["q"\]$/.exec(await ws.next())[1];
  ws.text("43999[]");
  ws.text(`43${id}["once"]`);
  ws.text(`43${id}["twice"]`);
  ws.text("4399999999999999999999[]");
  ws.text('43["no id"]');
  socket.on("barrier", (ack) => ack());
  ws.text('421["barrier"]');
  assert.equal(await ws.next(), "431[]");
  assert.deepEqual(answers, ["once"]);
  assert.deepEqual(log, []);
});

test("a double ack with binary data is ignored", async (t) => {
  const server = await serve(t);
  const { ws, socket } = await server.rawPair();
  const answers = [];
  socket.emit("q", (value) => answers.push(value));
  const id = /^42(\d+)\["q"\]$/.exec(await ws.next())[1];
  for (const byte of [1, 2]) {
    ws.text(`461-${id}[{"_placeholder":true,"num":0}]`);
    ws.binary(Buffer.of(byte));
  }
  socket.on("barrier", (ack) => ack());
  ws.text('421["barrier"]');
  assert.equal(await ws.next(), "431[]");
  assert.deepEqual(answers, [Buffer.of(1)]);
});

test("huge ack ids are echoed as JavaScript prints the number", async (t) => {
  const server = await serve(t);
  const { ws, socket } = await server.rawPair();
  socket.on("ask", (ack) => ack());
  for (const [sent, echoed] of [
    ["0", "0"],
    ["007", "7"],
    ["9007199254740991", "9007199254740991"],
    ["9007199254740993", "9007199254740992"],
    ["100000000000000000000000", "1e+23"],
    ["9".repeat(400), "Infinity"],
  ]) {
    ws.text(`42${sent}["ask"]`);
    assert.equal(await ws.next(), `43${echoed}[]`);
  }
});

test("the server's timeout hits when the client does not answer", async (t) => {
  const server = await serve(t);
  const { client, socket } = await server.pair();
  const asked = once(client, "q");
  await assert.rejects(socket.timeout(20).emitWithAck("q"), { message: "operation has timed out" });
  await asked;
  const [error] = await new Promise((resolve) => socket.timeout(20).emit("q", (...args) => resolve(args)));
  assert.ok(error instanceof Error);
  assert.equal(error.message, "operation has timed out");
});

test("an answer in time goes to the callback with a null error", async (t) => {
  const server = await serve(t);
  const { client, socket } = await server.pair();
  client.on("q", (ack) => ack(1, 2));
  const args = await new Promise((resolve) => socket.timeout(5000).emit("q", (...got) => resolve(got)));
  assert.deepEqual(args, [null, 1, 2]);
});

test("an answer after the timeout is ignored", async (t) => {
  const server = await serve(t);
  const { client, socket } = await server.pair();
  const answers = [];
  const late = new Promise((resolve) => client.on("q", resolve));
  const timedOut = new Promise((resolve) => {
    socket.timeout(10).emit("q", (...args) => {
      answers.push(args.map(String));
      resolve();
    });
  });
  const ack = await late;
  await timedOut;
  ack("too late");
  socket.on("barrier", (done) => done());
  await client.timeout(5000).emitWithAck("barrier");
  assert.deepEqual(answers, [["Error: operation has timed out"]]);
});

test("a timeout applies to one emit only", async (t) => {
  const server = await serve(t);
  const { client, socket } = await server.pair();
  client.on("q", (ack) => ack("x"));
  await socket.timeout(5000).emitWithAck("q");
  const args = await new Promise((resolve) => socket.emit("q", (...got) => resolve(got)));
  assert.deepEqual(args, ["x"]);
});

test("the client's timeout hits when the server does not answer", async (t) => {
  const server = await serve(t);
  const { client, socket } = await server.pair();
  const asked = once(socket, "q");
  await assert.rejects(client.timeout(20).emitWithAck("q"), { message: "operation has timed out" });
  assert.equal(typeof (await asked)[0], "function");
});

test("io.timeout().emit collects the answers of all clients", async (t) => {
  const server = await serve(t);
  const pairs = await server.pairs(3);
  pairs.forEach(({ client }, i) => client.on("q", (x, ack) => ack(x + i)));
  const args = await new Promise((resolve) => {
    server.io.timeout(5000).emit("q", 10, (...got) => resolve(got));
  });
  assert.equal(args[0], null);
  assert.deepEqual(args[1].sort(), [10, 11, 12]);
  const responses = await server.io.timeout(5000).emitWithAck("q", 20);
  assert.deepEqual(responses.sort(), [20, 21, 22]);
});

test("a broadcast with ack hands over the answers so far when it times out", async (t) => {
  const server = await serve(t);
  const pairs = await server.pairs(3);
  pairs[0].client.on("q", (ack) => ack("one"));
  pairs[1].client.on("q", (ack) => ack("two"));
  const [error, responses] = await new Promise((resolve) => {
    server.io.timeout(1000).emit("q", (...got) => resolve(got));
  });
  assert.equal(error.message, "operation has timed out");
  assert.deepEqual(responses.sort(), ["one", "two"]);
  await assert.rejects(server.io.timeout(1000).emitWithAck("q"), (rejection) => {
    assert.equal(rejection.message, "operation has timed out");
    assert.deepEqual(rejection.responses.sort(), ["one", "two"]);
    return true;
  });
});

test("an answer after the timeout of a broadcast with ack is ignored, and nothing is kept for it", async (t) => {
  const server = await serve(t);
  const [quick, slow] = await server.pairs(2);
  quick.client.on("q", (ack) => ack("in time"));
  const question = once(slow.client, "q");
  const calls = new Recorder();
  server.io.timeout(200).emit("q", (error, responses) => calls.push([error.message, responses]));
  const [answer] = await question;
  assert.equal(slow.socket.acks.size, 1);
  await calls.until(1);
  assert.equal(slow.socket.acks.size, 0);
  assert.equal(quick.socket.acks.size, 0);
  answer("too late");
  slow.socket.on("barrier", (done) => done());
  await slow.client.timeout(5000).emitWithAck("barrier");
  assert.deepEqual(calls.list, [["operation has timed out", ["in time"]]]);
});

test(
  "what an adapter tells after the timeout of a broadcast with ack is ignored",
  { skip: isStock },
  async (t) => {
    const server = await serve(t);
    let tell;
    server.io.sockets.adapter.broadcastWithAck = (packet, opts, onServer, onResponse) => {
      tell = { onServer, onResponse };
    };
    const calls = new Recorder();
    server.io.timeout(10).emit("q", (error, responses) => calls.push([error?.message, responses]));
    await calls.until(1);
    tell.onResponse("too late");
    tell.onServer(0);
    assert.deepEqual(calls.list, [["operation has timed out", []]]);
  },
);

test("a broadcast with ack to nobody answers with an empty list", async (t) => {
  const server = await serve(t);
  await server.pair();
  assert.deepEqual(await server.io.to("empty").timeout(5000).emitWithAck("q"), []);
});

test("a broadcast with ack to a room, except one, and from a socket", async (t) => {
  const server = await serve(t);
  const pairs = await server.pairs(4);
  pairs.forEach(({ client, socket }, i) => {
    client.on("q", (ack) => ack(i));
    if (i < 3) {
      socket.join("room");
    }
  });
  const toRoom = await server.io.to("room").except(pairs[2].socket.id).timeout(5000).emitWithAck("q");
  assert.deepEqual(toRoom.sort(), [0, 1]);
  const fromSocket = await pairs[0].socket.broadcast.timeout(5000).emitWithAck("q");
  assert.deepEqual(fromSocket.sort(), [1, 2, 3]);
  const toOthers = await pairs[0].socket.to("room").timeout(5000).emitWithAck("q");
  assert.deepEqual(toOthers.sort(), [1, 2]);
});

test("a client that leaves does not answer; the others' answers count", async (t) => {
  const server = await serve(t);
  const [stays, leaves] = await server.pairs(2);
  stays.client.on("q", (ack) => ack("here"));
  leaves.client.on("q", () => leaves.client.disconnect());
  await assert.rejects(server.io.timeout(1000).emitWithAck("q"), (rejection) => {
    assert.deepEqual(rejection.responses, ["here"]);
    return true;
  });
});

test("acks of different namespaces do not mix", async (t) => {
  const server = await serve(t);
  server.io.of("/a").on("connection", (socket) => socket.on("q", (ack) => ack("a")));
  server.io.on("connection", (socket) => socket.on("q", (ack) => ack("main")));
  const { client } = await server.pair();
  const a = client.io.socket("/a");
  const answers = await Promise.all([client, a].map((one) => one.timeout(5000).emitWithAck("q")));
  assert.deepEqual(answers, ["main", "a"]);
});

test("an event inside an ack callback arrives", async (t) => {
  const server = await serve(t);
  const { client, socket } = await server.pair();
  client.on("q", (ack) => ack("answer"));
  const nested = record(client, "nested");
  socket.emit("q", (answer) => socket.emit("nested", answer));
  await nested.until(1);
  assert.deepEqual(nested.list, [["answer"]]);
});

test("an ack after the socket disconnected does no harm", async (t) => {
  const server = await serve(t);
  const { client, socket } = await server.pair();
  const asked = once(socket, "q");
  client.emit("q", () => {});
  const [ack] = await asked;
  const gone = once(socket, "disconnect");
  client.disconnect();
  await gone;
  ack("nobody is there");
  socket.emit("neither", 1);
  await server.pair();
});

test("1,000 questions at once each get their own answer", async (t) => {
  const server = await serve(t);
  const { client, socket } = await server.pair();
  socket.on("square", (n, ack) => ack(n * n));
  client.on("square", (n, ack) => ack(n * n));
  const numbers = Array.from({ length: 1000 }, (_, n) => n);
  const squares = numbers.map((n) => n * n);
  const up = Promise.all(numbers.map((n) => client.timeout(10_000).emitWithAck("square", n)));
  const down = Promise.all(numbers.map((n) => socket.timeout(10_000).emitWithAck("square", n)));
  assert.deepEqual(await up, squares);
  assert.deepEqual(await down, squares);
});
