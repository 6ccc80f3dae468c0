"use strict";

// Queries, subscriptions and refusals over graphql-ws, whose server of WebSockets is the application's.

const assert = require("node:assert/strict");
const { once } = require("node:events");
const { close, connect, listen, until } = require("../support");

exports.packages = ["graphql-ws"];

exports.play = async ({ WebSocketServer, WebSocket }) => {
  const { buildSchema } = require("graphql");
  const { createClient } = require("graphql-ws");
  const { useServer } = require("graphql-ws/use/ws");
  const { createServer } = require("node:http");

  const schema = buildSchema(`
    type Query { greeting(name: String!): String, failing: String }
    type Subscription { count(to: Int!): Int, forever: Int }
  `);
  let stopped = 0;
  const roots = {
    query: {
      greeting: ({ name }) => `Hello, ${name}`,
      failing: () => {
        throw new Error("it fails");
      },
    },
    subscription: {
      async *count({ to }) {
        for (let i = 1; i <= to; i++) yield { count: i };
      },
      async *forever() {
        try {
          for (let i = 0; ; i++) {
            yield { forever: i };
            await new Promise((resolve) => setTimeout(resolve, 5));
          }
        } finally {
          stopped++;
        }
      },
    },
  };
  const httpServer = createServer();
  const wss = new WebSocketServer({ server: httpServer, path: "/graphql" });
  const onConnect = ({ connectionParams }) => connectionParams?.token === "secret";
  const server = useServer({ schema, roots, onConnect }, wss, 500);
  const url = `ws://127.0.0.1:${await listen(httpServer)}/graphql`;
  const client = (token) =>
    createClient({
      url,
      webSocketImpl: WebSocket,
      connectionParams: { token },
      retryAttempts: 0,
      lazy: true,
    });

  const clients = Array.from({ length: 4 }, () => client("secret"));
  await Promise.all(
    clients.map(async (one, i) => {
      const results = [];
      for await (const result of one.iterate({ query: `{ greeting(name: "${i}") }` }))
        results.push(result.data);
      for await (const { data } of one.iterate({ query: "subscription { count(to: 100) }" }))
        results.push(data.count);
      assert.deepEqual(JSON.parse(JSON.stringify(results)), [
        { greeting: `Hello, ${i}` },
        ...Array.from({ length: 100 }, (_, k) => k + 1),
      ]);
    }),
  );
  const failed = await clients[0].iterate({ query: "{ failing }" }).next();
  assert.equal(failed.value.errors[0].message, "it fails");

  // a subscription that the client leaves, and one whose connection is cut
  for await (const { data } of clients[0].iterate({ query: "subscription { forever }" }))
    if (data.forever === 20) break;
  await until(() => stopped === 1);
  const cut = clients[1].iterate({ query: "subscription { forever }" });
  await cut.next();
  clients[1].terminate();
  await until(() => stopped === 2);
  await assert.rejects(async () => {
    while (!(await cut.next()).done);
  });

  // refusals: by the application, of the subprotocol, of what is no message
  await assert.rejects(client("wrong").iterate({ query: '{ greeting(name: "x") }' }).next(), { code: 4403 });
  const stranger = await connect(WebSocket, url, ["graphql-transport-ws"]);
  assert.equal(stranger.protocol, "graphql-transport-ws");
  stranger.send("nonsense");
  assert.equal((await stranger.closed).code, 4400);
  const protocolless = new WebSocket(url);
  assert.equal((await once(protocolless, "close"))[0], 4406);

  await Promise.all(clients.map((one) => one.dispose()));
  const last = await connect(WebSocket, url, ["graphql-transport-ws"]);
  const disposed = server.dispose();
  assert.deepEqual(await last.closed, { code: 1001, reason: "Going away" });
  await disposed;
  await close(httpServer);
};
