"use strict";

// What an application has a say in: verifyClient, handleProtocols, headers, handleUpgrade.

const { frames } = require("../../support/ws-stage");

const ORIGIN = { Origin: "http://a.example", "Sec-WebSocket-Origin": "http://b.example" };

/** A handshake, and a proper goodbye if it succeeds. */
async function ask(stage, request) {
  const raw = await stage.handshake("client", request);
  if (raw.status === 101) {
    raw.close();
    await raw.over();
    await stage.until("server", "close in");
  }
}

const verified = (name, verifyClient, request) => ({
  name: `verifyClient ${name}`,
  async run(stage) {
    await stage.serve({ verifyClient: (...args) => verifyClient(stage, ...args) });
    stage.watchServer();
    await ask(stage, request);
  },
});

/** One that has two parameters, which ws looks at. */
const verifiedLater = (name, verifyClient, request) => ({
  name: `verifyClient with a callback ${name}`,
  async run(stage) {
    await stage.serve({ verifyClient: (info, done) => verifyClient(done, stage, info) });
    stage.watchServer();
    await ask(stage, request);
  },
});

const REFUSALS = [
  ["false", [false]],
  ["no argument", []],
  ["a code", [false, 403]],
  ["code and text", [false, 403, "not you"]],
  ["code 0", [false, 0, "none"]],
  ["an empty text", [false, 404, ""]],
  ["code, text and headers", [false, 429, "later", { "Retry-After": 120, "X-Two": ["a", "b"] }]],
  ["headers in place of the usual ones", [false, 401, "{}", { "Content-Type": "application/json" }]],
  ["another length", [false, 401, "abc", { "Content-Length": 2 }]],
  ["a text of more bytes than letters", [false, 400, "прощай"]],
  ["a code that has no name", [false, 799, "strange"]],
  ["a redirect", [false, 302, undefined, { Location: "ws://127.0.0.1/elsewhere" }]],
];

const protocols = (name, handleProtocols, offered = "one, two") => ({
  name: `handleProtocols ${name}`,
  async run(stage) {
    await stage.serve({ handleProtocols: (...args) => handleProtocols(stage, ...args) });
    stage.watchServer();
    stage.wss.on("connection", (socket) => stage.log("server", "protocol", socket.protocol));
    await ask(stage, { headers: { "Sec-WebSocket-Protocol": offered } });
  },
});

const headers = (name, change) => ({
  name: `headers: ${name}`,
  async run(stage) {
    await stage.serve({ perMessageDeflate: true });
    stage.watchServer();
    stage.wss.on("headers", (lines, req) => {
      stage.log("server", "headers", lines, req.url, req.headers.origin);
      change(lines, req);
    });
    await ask(stage, {
      path: "/h?x=1",
      headers: {
        ...ORIGIN,
        "Sec-WebSocket-Protocol": "p",
        "Sec-WebSocket-Extensions": "permessage-deflate",
      },
    });
  },
});

/** A server without a port, behind an HTTP server whose upgrades it is given. */
async function behind(stage, options, upgrade) {
  const wss = stage.make({ noServer: true, ...options });
  stage.watchServer();
  const server = await stage.listen((req, res) => res.end("plain"));
  server.on("upgrade", (req, socket, head) => upgrade(wss, req, socket, head));
  return { wss, server };
}

module.exports = [
  verified("that agrees", () => true),
  verified("that refuses", () => false),
  verified("that returns text", () => "yes"),
  verified("that returns nothing", () => {}),
  verified("that returns a promise, which counts as a yes", () => Promise.resolve(false)),
  ...[13, 8].map((version) =>
    verified(
      `and what it is told, version ${version}`,
      (stage, info, ...rest) => {
        const { req, ...others } = info;
        stage.log("server", "info", others, rest.length, req.method, req.url, req.httpVersion);
        stage.log("server", "request", req.headers, req.rawHeaders.length, typeof req.socket.remoteAddress);
        return true;
      },
      { path: "/a?b=c", headers: { ...ORIGIN, "Sec-WebSocket-Version": version, Cookie: "a=1; b=2" } },
    ),
  ),
  verified("and a request without an origin", (stage, info) => {
    stage.log("server", "info", Object.keys(info), info.origin, info.secure);
    return true;
  }),
  verified("and `this`", function (stage) {
    stage.log("server", "verifyClient");
    return stage.wss.clients.size === 0;
  }),
  {
    name: "verifyClient as a method",
    async run(stage) {
      const options = {
        verifyClient(info) {
          stage.log("server", "this", this === stage.wss.options, arguments.length, info.secure);
          return true;
        },
      };
      await stage.serve(options);
      stage.watchServer();
      await ask(stage);
    },
  },
  {
    name: "verifyClient over TLS",
    async run(stage) {
      const server = await stage.listen(undefined, { secure: true });
      stage.make({ server, verifyClient: (info) => stage.log("server", "secure", info.secure) ?? true });
      stage.watchServer();
      await ask(stage, { secure: true });
    },
  },
  verifiedLater("that agrees at once", (done) => done(true)),
  verifiedLater("that agrees in a turn", (done) => setImmediate(done, true)),
  verifiedLater("that agrees in a while", (done) => setTimeout(done, 20, true)),
  ...REFUSALS.map(([name, args]) => verifiedLater(`that refuses with ${name}`, (done) => done(...args))),
  ...REFUSALS.slice(2, 6).map(([name, args]) =>
    verifiedLater(`that refuses in a turn with ${name}`, (done) => setImmediate(done, ...args)),
  ),
  verifiedLater("while messages wait", (done) => setTimeout(done, 20, true), {
    head: frames({ payload: "one" }, { payload: "two" }),
  }),
  {
    name: "verifyClient with a callback, after the client has gone",
    async run(stage) {
      let agree;
      await stage.serve({ verifyClient: (info, done) => (agree = { done, req: info.req }) });
      stage.watchServer();
      const client = stage.client();
      await stage.eventually(() => agree, "a request");
      client.terminate();
      await stage.over("client");
      await stage.eventually(() => !agree.req.socket.readable, "the end of the request");
      stage.attempt("server", "agreeing", () => agree.done(true));
      await stage.turns(10);
      stage.log("server", "clients", stage.wss.clients.size);
    },
  },
  {
    name: "verifyClient with a callback, after the server was closed",
    async run(stage) {
      let agree;
      const wss = await stage.serve({ verifyClient: (info, done) => (agree = done) });
      stage.watchServer();
      const answered = stage.handshake();
      await stage.eventually(() => agree, "a request");
      wss.close();
      agree(true);
      await answered;
      await stage.until("server", "server close");
    },
  },
  {
    name: "verifyClient that throws",
    isolated: true,
    async run(stage) {
      process.on("uncaughtException", (error) => stage.log("process", "uncaught", error));
      let count = 0;
      await stage.serve({
        verifyClient() {
          if (count++ === 0) throw new Error("in verifyClient");
          return true;
        },
      });
      stage.watchServer();
      const first = await stage.handshake("first", { answered: false });
      await stage.until("process", "uncaught");
      first.destroy();
      await ask(stage);
    },
  },

  protocols("that takes one", (stage, set, req) => {
    stage.log("server", "offered", set, set instanceof Set, req.url);
    return "two";
  }),
  protocols("that takes none", () => false),
  protocols("that returns nothing", () => {}),
  protocols("that returns an empty text", () => ""),
  protocols("that returns null", () => null),
  protocols("that takes what was not offered", () => "three"),
  protocols("that changes the set", (stage, set) => set.delete("one") && [...set][0]),
  protocols("that returns true", () => true),
  {
    name: "handleProtocols is not asked when nothing is offered",
    async run(stage) {
      await stage.serve({ handleProtocols: () => stage.log("server", "asked") });
      stage.watchServer();
      await ask(stage);
    },
  },
  {
    name: "handleProtocols as a method",
    async run(stage) {
      await stage.serve({
        handleProtocols() {
          stage.log("server", "this", this === stage.wss.options, arguments.length);
          return "one";
        },
      });
      stage.watchServer();
      await ask(stage, { headers: { "Sec-WebSocket-Protocol": "one" } });
    },
  },
  {
    name: "subprotocols, seen by clients of ws",
    async run(stage) {
      await stage.serve({ handleProtocols: (set) => (set.has("two") ? "two" : false) });
      stage.wss.on("connection", (socket) => stage.log("server", "protocol", socket.protocol));
      for (const offered of [undefined, "two", ["one", "two"], ["one"]]) {
        const actor = `client of ${offered}`;
        const client = stage.client(actor, { protocols: offered });
        client.on("open", () => {
          stage.log(actor, "protocol", client.protocol);
          client.close();
        });
        await stage.over(actor);
      }
    },
  },

  headers("looked at", () => {}),
  headers("some more", (lines) => lines.push("X-One: 1", "Set-Cookie: a=1; Path=/", "Set-Cookie: b=2")),
  headers("the extensions left out", (lines) => {
    const at = lines.findIndex((line) => line.startsWith("Sec-WebSocket-Extensions"));
    lines.splice(at, 1);
  }),
  headers("in another order", (lines) => lines.splice(1, lines.length, ...lines.slice(1).reverse())),
  headers("letters beyond ASCII", (lines) => lines.push("X-Name: прощай")),
  headers("the first line", (lines) => (lines[0] = "HTTP/1.1 101 Come in")),
  {
    name: "headers: what is there already",
    async run(stage) {
      const wss = await stage.serve();
      wss.on("headers", (lines, req) => {
        stage.log("server", "headers", lines.length, req.socket.bytesWritten, wss.clients.size);
      });
      stage.watchServer();
      await ask(stage);
    },
  },

  {
    name: "handleUpgrade: what its callback is given",
    async run(stage) {
      await behind(stage, {}, (wss, req, socket, head) => {
        const returned = wss.handleUpgrade(req, socket, head, (...args) => {
          const [ws, request, ...more] = args;
          stage.log("server", "callback", request === req, more, ws.readyState, wss.clients.has(ws));
          stage.watch("server", ws);
        });
        stage.log("server", "returned", returned, head.length);
      });
      await ask(stage);
    },
  },
  {
    name: "handleUpgrade emits no connection by itself",
    async run(stage) {
      await behind(stage, {}, (wss, req, socket, head) => {
        wss.handleUpgrade(req, socket, head, (ws) => {
          stage.watch("server", ws);
          stage.log("server", "emitting");
          stage.log("server", "listeners", wss.emit("connection", ws, req, { user: 1 }));
        });
      });
      stage.wss.on("connection", (ws, req, ...more) => stage.log("server", "with", ...more));
      await ask(stage, { path: "/n" });
    },
  },
  {
    name: "handleUpgrade with messages behind the request",
    async run(stage) {
      await behind(stage, {}, (wss, req, socket, head) => {
        wss.handleUpgrade(req, socket, head, (ws) => stage.watch("server", ws));
      });
      await ask(stage, { head: frames({ payload: "one" }, { opcode: 2, payload: "two" }) });
    },
  },
  {
    name: "handleUpgrade with a head of the application's own",
    async run(stage) {
      await behind(stage, {}, (wss, req, socket) => {
        wss.handleUpgrade(req, socket, frames({ payload: "from elsewhere" }), (ws) =>
          stage.watch("server", ws),
        );
      });
      await ask(stage);
    },
  },
  {
    name: "handleUpgrade in a later turn",
    async run(stage) {
      await behind(stage, {}, (wss, req, socket, head) => {
        setTimeout(() => wss.handleUpgrade(req, socket, head, (ws) => stage.watch("server", ws)), 20);
      });
      await ask(stage, { head: frames({ payload: "one" }) });
    },
  },
  {
    name: "handleUpgrade twice with one socket",
    async run(stage) {
      await behind(stage, {}, (wss, req, socket, head) => {
        wss.handleUpgrade(req, socket, head, (ws) => stage.watch("server", ws));
        stage.attempt("server", "again", () => wss.handleUpgrade(req, socket, head, () => {}));
        stage.log("server", "clients", wss.clients.size);
      });
      await ask(stage);
    },
  },
  {
    name: "handleUpgrade of two servers with one socket",
    async run(stage) {
      const other = stage.make({ noServer: true });
      await behind(stage, {}, (wss, req, socket, head) => {
        wss.handleUpgrade(req, socket, head, (ws) => stage.watch("server", ws));
        stage.attempt("server", "again", () => other.handleUpgrade(req, socket, head, () => {}));
        stage.log("server", "clients", wss.clients.size, other.clients.size);
      });
      await ask(stage);
    },
  },
  {
    name: "handleUpgrade after close()",
    async run(stage) {
      await behind(stage, {}, (wss, req, socket, head) => {
        wss.handleUpgrade(req, socket, head, () => stage.log("server", "callback"));
      });
      stage.wss.close();
      await stage.until("server", "server close");
      await ask(stage);
    },
  },
  {
    name: "handleUpgrade of a bad request",
    async run(stage) {
      await behind(stage, {}, (wss, req, socket, head) => {
        wss.handleUpgrade(req, socket, head, () => stage.log("server", "callback"));
      });
      await ask(stage, { headers: { "Sec-WebSocket-Key": "x" } });
    },
  },
  ...[true, false, undefined, "yes"].map((answer) => ({
    name: `shouldHandle that returns ${answer}`,
    async run(stage) {
      const wss = await stage.serve({ path: "/ignored" });
      stage.watchServer();
      wss.shouldHandle = function (req) {
        stage.log("server", "shouldHandle", req.url, this === wss);
        return answer;
      };
      await ask(stage, { path: "/x" });
    },
  })),
  {
    name: "shouldHandle asked by hand",
    async run(stage) {
      for (const path of [undefined, "/", "/ws", "/ws?a", ""]) {
        const wss = stage.make({ noServer: true, path });
        for (const url of ["/", "/ws", "/ws?a", "/ws/", "?", ""]) {
          stage.log("server", `${path} ${url}`, wss.shouldHandle({ url }));
        }
      }
    },
  },
  {
    name: "a subclass of WebSocketServer that overrides shouldHandle and handleUpgrade",
    async run(stage) {
      class Mine extends stage.ws.WebSocketServer {
        shouldHandle(req) {
          return req.url !== "/no" && super.shouldHandle(req);
        }

        handleUpgrade(req, socket, head, done) {
          stage.log("server", "handleUpgrade", req.url, head.length, typeof done);
          super.handleUpgrade(req, socket, head, done);
        }
      }
      const wss = new Mine({ port: 0, host: "127.0.0.1" });
      stage.atEnd(() => wss.close());
      await stage.once(wss, "listening");
      stage.know(wss.address().port);
      stage.wss = wss;
      stage.watchServer();
      await stage.handshake("refused", { path: "/no" });
      await ask(stage, { path: "/yes" });
    },
  },
  {
    name: "a class of the application's own for sockets",
    async run(stage) {
      class Mine extends stage.ws.WebSocket {
        greet() {
          this.send(`hello from ${this.constructor.name}`);
        }
      }
      const wss = await stage.serve({ WebSocket: Mine });
      stage.watchServer();
      wss.on("connection", (socket) => {
        stage.log("server", "is one", socket instanceof Mine, socket instanceof stage.ws.WebSocket);
        socket.greet();
      });
      await ask(stage);
    },
  },
];
