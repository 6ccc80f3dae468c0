// Bun's own WebSockets, without Socket.IO: as ws.js.

const { DEFLATE, MODE } = process.env;

const server = globalThis.Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  fetch: (request, server) => (server.upgrade(request) ? undefined : new Response("hello")),
  websocket: {
    perMessageDeflate: DEFLATE === "1",
    open: (client) => client.subscribe("all"),
    message(client, data) {
      if (MODE === "broadcast") server.publish("all", data, DEFLATE === "1");
      else client.send(data);
    },
  },
});
console.log(server.port);
