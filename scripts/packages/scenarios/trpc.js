"use strict";

// Queries, mutations, subscriptions and reconnecting over tRPC's adapter, whose server of WebSockets is the application's.

const assert = require("node:assert/strict");
const { EventEmitter, on, once } = require("node:events");
const { close, until } = require("../support");

exports.packages = ["@trpc/server"];

exports.play = async ({ WebSocketServer, WebSocket }) => {
  const { createTRPCClient, createWSClient, wsLink } = require("@trpc/client");
  const { initTRPC, TRPCError } = require("@trpc/server");
  const { applyWSSHandler } = require("@trpc/server/adapters/ws");

  const bus = new EventEmitter();
  const t = initTRPC.context().create();
  const router = t.router({
    who: t.procedure.query(({ ctx }) => ctx.name),
    say: t.procedure
      .input(String)
      .mutation(({ ctx, input }) => bus.emit("said", { from: ctx.name, text: input })),
    refused: t.procedure.query(() => {
      throw new TRPCError({ code: "FORBIDDEN", message: "not for you" });
    }),
    said: t.procedure.subscription(async function* ({ signal }) {
      for await (const [message] of on(bus, "said", { signal })) yield message;
    }),
  });
  const wss = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  await once(wss, "listening");
  const createContext = ({ info, req }) => ({ name: info.connectionParams?.name ?? req.url });
  const handler = applyWSSHandler({
    wss,
    router,
    createContext,
    keepAlive: { enabled: true, pingMs: 50, pongWaitMs: 5000 },
  });
  const url = `ws://127.0.0.1:${wss.address().port}/`;
  const people = ["Alice", "Bob", "Carol"].map((name) => {
    const socket = createWSClient({
      url,
      WebSocket,
      connectionParams: () => ({ name }),
      retryDelayMs: () => 20,
    });
    return { name, socket, heard: [], client: createTRPCClient({ links: [wsLink({ client: socket })] }) };
  });
  for (const person of people) {
    assert.equal(await person.client.who.query(), person.name);
    await new Promise((resolve) => {
      person.subscription = person.client.said.subscribe(undefined, {
        onData: ({ from, text }) => person.heard.push(`${from}: ${text}`),
        onStarted: resolve,
      });
    });
  }
  await until(() => bus.listenerCount("said") === 3);
  await people[0].client.say.mutate("hello");
  await people[1].client.say.mutate("x".repeat(200_000));
  await until(() => people.every(({ heard }) => heard.length === 2));
  for (const { heard } of people) assert.deepEqual(heard, ["Alice: hello", `Bob: ${"x".repeat(200_000)}`]);
  await assert.rejects(people[2].client.refused.query(), /not for you/);

  people[2].subscription.unsubscribe();
  await until(() => bus.listenerCount("said") === 2);

  // the server goes and comes back: clients reconnect, and are subscribed again
  for (const ws of wss.clients) ws.terminate();
  await until(() => bus.listenerCount("said") === 0);
  await until(() => bus.listenerCount("said") === 2);
  handler.broadcastReconnectNotification();
  assert.equal(await people[0].client.say.mutate("back"), true);
  await until(() => people[0].heard.at(-1) === "Alice: back");

  for (const { subscription, socket } of people) {
    subscription.unsubscribe();
    await socket.close();
  }
  await until(() => wss.clients.size === 0);
  await close(wss);
};
