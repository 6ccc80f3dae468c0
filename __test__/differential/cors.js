"use strict";

// The option cors: headers of answers, preflight requests, bundles.

const ORIGIN = "https://app.example";

const { get, wire } = require("../support/wire");

const CASES = {
  none: undefined,
  false: false,
  "{}": {},
  "a fixed origin": { origin: ORIGIN },
  "origin: *": { origin: "*" },
  "origin: true": { origin: true },
  "origin: false": { origin: false },
  "a list": { origin: [ORIGIN, /\.example\.org$/] },
  "a regular expression": { origin: /app/ },
  "a function as origin": { origin: (origin, callback) => setImmediate(callback, null, origin === ORIGIN) },
  "a function that fails": { origin: (origin, callback) => callback(new Error("no")) },
  "all options": {
    origin: ORIGIN,
    methods: ["GET", "POST"],
    allowedHeaders: ["X-Custom"],
    exposedHeaders: ["X-Shown"],
    credentials: true,
    maxAge: 123,
    optionsSuccessStatus: 200,
  },
  "a delegate": (req, callback) => callback(null, { origin: req.headers["x-allow"] ? ORIGIN : false }),
};

module.exports = Object.entries(CASES).map(([name, cors]) => ({
  name: `cors: ${name}`,
  options: { cors },
  async run(stage) {
    const headers = { Origin: ORIGIN };
    const path = "/socket.io/?EIO=4&transport=polling";
    const preflight = {
      ...headers,
      "Access-Control-Request-Method": "POST",
      "Access-Control-Request-Headers": "x-wanted",
    };
    const handshake = await stage.http("handshake", { path, headers: { ...headers, "X-Allow": "1" } });
    await stage.http("preflight", { method: "OPTIONS", path, headers: preflight });
    await stage.http("preflight", { method: "OPTIONS", path: "/socket.io/", headers: preflight });
    // to the byte
    const connection = wire(stage.server);
    for (const more of [{}, { "Access-Control-Request-Headers": undefined }]) {
      const text = get(undefined, { ...preflight, ...more }).replace("GET", "OPTIONS");
      stage.log("preflight", (await connection.ask(text)).replaceAll(/Date: [^\r]+/g, "Date: <date>"));
    }
    await stage.http("other origin", { path, headers: { Origin: "https://evil.example" } });
    await stage.http("no origin", { path });
    await stage.http("error", { path: "/socket.io/?EIO=4&transport=nope", headers });
    if (handshake.status === 200) {
      const { sid } = JSON.parse(handshake.body.slice(1));
      await stage.http("preflight of a session", {
        method: "OPTIONS",
        path: `${path}&sid=${sid}`,
        headers: preflight,
      });
      await stage.http("post", { method: "POST", path: `${path}&sid=${sid}`, headers, body: "40" });
      await stage.http("poll", { path: `${path}&sid=${sid}`, headers });
    }
    const ws = await stage.upgrade("ws", { headers });
    await (ws.status === 101 ? ws.count(1) : ws.closed());
    const bundle = await stage.server.request({ path: "/socket.io/socket.io.min.js", headers });
    const { rawHeaders } = bundle;
    stage.log(
      "bundle",
      bundle.status,
      ...rawHeaders.flatMap((text, i) =>
        i % 2 ? [] : /^(access|vary)/i.test(text) ? [text, rawHeaders[i + 1]] : [],
      ),
    );
  },
}));
