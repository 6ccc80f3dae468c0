"use strict";

// Clients that send much at once: other things of the process must get their turn in between, as with stock.

const test = require("node:test");
const assert = require("node:assert/strict");
const zlib = require("node:zlib");
const { frame, isStock, RawWebSocket } = require("./support/harness");
const { startChild } = require("./support/child");

const DEFLATE = { headers: { "Sec-WebSocket-Extensions": "permessage-deflate; server_no_context_takeover" } };

/** What is sent, `times` times by each of the clients. */
const FLOODS = {
  "JSON of 12 KB": { times: 600, payload: `42["n",${JSON.stringify(Array(1000).fill({ a: "bc" }))}]` },
  "deep JSON": { times: 300, payload: `42["n",${"[".repeat(5000)}${"]".repeat(5000)}]` },
  "JSON of 20,000 keys": {
    times: 15,
    payload: `42["n",{${Array.from({ length: 20_000 }, (_, i) => `"k${i}":1`).join()}}]`,
  },
  "messages of 1 MB that take little on the wire": {
    times: 60,
    payload: `42["n","${"x".repeat(1_000_000)}"]`,
    isDeflated: true,
  },
};

/** The longest time that the event loop of a server is held by a flood. */
async function longestTurn(t, target, { times, payload, isDeflated }) {
  const child = startChild(
    t,
    async ({ sio, listen, send }) => {
      const httpServer = await listen();
      const io = new sio.Server(httpServer, { maxHttpBufferSize: 2e6, perMessageDeflate: true });
      let last = performance.now();
      let longest = 0;
      let heard = 0;
      io.on("connection", (socket) => {
        socket.on("begin", (ack) => {
          heard = longest = 0;
          last = performance.now();
          ack();
        });
        socket.on("n", () => heard++);
        socket.on("end", (ack) => ack({ longest, heard }));
      });
      (function turn() {
        const now = performance.now();
        longest = Math.max(longest, now - last);
        last = now;
        setImmediate(turn);
      })();
      send("listening", { port: httpServer.address().port });
    },
    {},
    { target },
  );
  const { port } = await child.message("listening");
  const server = { port, secure: false, keep: (ws) => (t.after(() => ws.destroy()), ws) };
  const clients = await Promise.all(
    Array.from({ length: 2 }, () => RawWebSocket.connect(server, isDeflated ? DEFLATE : {})),
  );
  const deflated =
    isDeflated && zlib.deflateRawSync(payload, { finishFlush: zlib.constants.Z_SYNC_FLUSH }).subarray(0, -4);
  const one = isDeflated ? frame({ payload: deflated, rsv: 4 }) : frame({ payload });
  const many = Buffer.concat(Array(times).fill(one));
  const control = await RawWebSocket.connect(server);
  control.text('420["begin"]');
  assert.equal(await control.next(), "430[]");
  for (const ws of clients) ws.write(many);
  for (;;) {
    control.text('421["end"]');
    const [{ longest, heard }] = JSON.parse((await control.next(60_000)).slice(3));
    if (heard === clients.length * times) return longest;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

for (const [name, flood] of Object.entries(FLOODS)) {
  test(
    `${name}, from two clients at once, hold the event loop no longer than with stock`,
    { skip: isStock },
    async (t) => {
      const ours = [];
      const stock = [];
      for (let round = 0; round < 2; round++) {
        ours.push(await longestTurn(t, undefined, flood));
        stock.push(await longestTurn(t, "socket.io", flood));
      }
      const [least, bound] = [Math.min(...ours), Math.max(...stock) + 30];
      t.diagnostic(`${ours.map(Math.round)} ms, stock ${stock.map(Math.round)} ms`);
      assert.ok(least < bound, `${ours.map(Math.round)} ms, stock ${stock.map(Math.round)} ms`);
    },
  );
}
