"use strict";

// Middlewares that applications really use, shared by Express and the engine: what they see, what they log, and what
// their clients get.

const {
  ORIGIN,
  SETUPS,
  Browser,
  application,
  makeApp,
  routes,
  share,
  tallyRequests,
} = require("../support/middlewares");

const POLLING = "/socket.io/?EIO=4&transport=polling";

/** A page, and then a session that polls, whose requests share their connection with those to Express. */
async function browse(stage, browser) {
  await browser.get("/page");
  const handshake = await browser.get(POLLING);
  const { sid } = JSON.parse(handshake.text.slice(1));
  const url = `${POLLING}&sid=${sid}`;
  await browser.post(url, "40");
  await browser.get(url);
  await browser.get("/api");
  await browser.post(url, '42["count"]');
  await browser.get(url);
  await browser.get("/api");
  await browser.get("/nowhere");
  await browser.get("/socket.io/socket.io.min.js");
  await browser.get(`${POLLING}&sid=nobody`);
  await browser.get("/socket.io/?EIO=4&transport=nope");
  await browser.ask("PUT", url);
  await browser.ask("OPTIONS", POLLING, undefined, { "Access-Control-Request-Method": "POST" });
  await browser.post(url, '42["count"]');
  await browser.get(url);
  await browser.post(url, "1");
  await stage.until("server", "disconnect");
  await browser.get("/page");
}

/** A stock client: connects, is answered, and leaves. */
async function chat(stage, transports = ["polling", "websocket"]) {
  stage.hide(/&t=[\w.-]+/g);
  stage.hide(/, t: "[\w.-]+"/g);
  stage.hide(/(?<=sec-websocket-key"?[:,] ")[\w+/]+==/gi, "<key>");
  const { client } = await stage.pair("client", "/", {
    transports,
    withCredentials: true,
    extraHeaders: { "User-Agent": "a client", Origin: ORIGIN },
  });
  const { engine } = client.io;
  if (engine.transport.name !== transports.at(-1)) {
    await stage.within(new Promise((resolve) => engine.once("upgrade", resolve)), "upgrade");
  }
  stage.log("client", "answered", await client.emitWithAck("count"));
  client.disconnect();
  await stage.until("server", "disconnect");
}

/** Of the two cookies of cookie-session, each has a line of its own in our answer to an upgrade request. */
const OVER_WEBSOCKET = Object.entries(SETUPS).filter(([name]) => name !== "cookie-session");

module.exports = [
  ...Object.entries(SETUPS).flatMap(([name, setup]) =>
    [true, false].map((keepAlive) => ({
      name: `${name}, ${keepAlive ? "over one connection" : "over one connection for each request"}`,
      listener: makeApp,
      async run(stage) {
        share(stage, ...setup(stage));
        routes(stage.app);
        application(stage);
        await browse(stage, new Browser(stage, { keepAlive }));
      },
    })),
  ),
  ...OVER_WEBSOCKET.map(([name, setup]) => ({
    name: `${name}, over a WebSocket`,
    listener: makeApp,
    async run(stage) {
      share(stage, ...setup(stage));
      application(stage);
      const ws = await stage.join("client", { headers: { Origin: ORIGIN, "User-Agent": "a client" } });
      ws.text('42["count"]');
      await ws.count(3);
      const isLogged = name === "pino-http" || name === "all of them";
      stage.log("lines", "none yet");
      ws.frame({ opcode: 8 });
      await ws.closed();
      await stage.until("server", "disconnect");
      if (isLogged) await stage.until("lines", 2);
      await stage.upgrade("refused", {
        query: "EIO=4&transport=nope",
        headers: { "User-Agent": "a client" },
      });
    },
  })),
  ...Object.entries(SETUPS).flatMap(([name, setup]) =>
    [undefined, ["polling"], ["websocket"]].map((transports) => ({
      name: `${name}, with a client that uses ${transports ?? "both transports"}`,
      listener: makeApp,
      async run(stage) {
        const areOver = tallyRequests(stage);
        share(stage, ...setup(stage));
        application(stage);
        await chat(stage, transports);
        await areOver();
      },
    })),
  ),
];
