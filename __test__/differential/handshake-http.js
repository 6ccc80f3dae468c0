"use strict";

// Requests that are no valid handshake, and those that are.

const path = (query) => `/socket.io/?${query}`;

const REQUESTS = [
  ["no query", ""],
  ["no transport", "EIO=4"],
  ["an empty transport", "EIO=4&transport="],
  ["an unknown transport", "EIO=4&transport=nope"],
  ["transport=Polling", "EIO=4&transport=Polling"],
  ["transport=webtransport", "EIO=4&transport=webtransport"],
  ["transport=constructor", "EIO=4&transport=constructor"],
  ["transport=__proto__", "EIO=4&transport=__proto__"],
  ["an unknown sid", "EIO=4&transport=polling&sid=nope"],
  ["sid=__proto__", "EIO=4&transport=polling&sid=__proto__"],
  ["sid=constructor", "EIO=4&transport=polling&sid=constructor"],
  ["an empty sid", "EIO=4&transport=polling&sid="],
  ["a long sid", `EIO=4&transport=polling&sid=${"x".repeat(5000)}`],
  ["a POST to an unknown sid", "EIO=4&transport=polling&sid=nope", "POST"],
  ["POST", "EIO=4&transport=polling", "POST"],
  ["PUT", "EIO=4&transport=polling", "PUT"],
  ["OPTIONS", "EIO=4&transport=polling", "OPTIONS"],
  ["HEAD", "EIO=4&transport=polling", "HEAD"],
  ["DELETE", "EIO=4&transport=polling", "DELETE"],
  ["POST for a WebSocket", "EIO=4&transport=websocket", "POST"],
  ["a WebSocket without an upgrade", "EIO=4&transport=websocket"],
  ["EIO=3", "EIO=3&transport=polling"],
  ["EIO=5", "EIO=5&transport=polling"],
  ["EIO=04", "EIO=04&transport=polling"],
  ["an empty EIO", "EIO=&transport=polling"],
  ["no EIO", "transport=polling"],
  ["EIO twice", "EIO=4&EIO=4&transport=polling"],
  ["transport twice", "EIO=4&transport=polling&transport=polling"],
  ["transport twice, once unknown", "EIO=4&transport=polling&transport=nope"],
  ["sid twice", "EIO=4&transport=polling&sid=a&sid=b"],
  ["parameters as of arrays", "EIO[]=4&transport[]=polling"],
  ["parameters of __proto__", "__proto__[transport]=polling&EIO=4"],
  ["EIO=__proto__", "EIO=__proto__&transport=polling"],
  ["broken percent signs", "EIO=4&transport=polling&x=%&y=%zz&sid=%ff"],
  ["a plus sign", "EIO=4&transport=poll+ing"],
];

/** Logs what the engine says of refused requests. */
function watchErrors({ io, log }) {
  io.engine.on("connection_error", ({ req, code, message, context }) => {
    log("engine", "connection_error", req.url.slice(0, 100), code, message, context);
  });
}

module.exports = REQUESTS.map(([name, query, method]) => ({
  name,
  async run(stage) {
    watchErrors(stage);
    await stage.http("request", { method, path: path(query), headers: { Origin: "https://evil.example" } });
    stage.log("engine", "clients", stage.io.engine.clientsCount);
  },
}));
