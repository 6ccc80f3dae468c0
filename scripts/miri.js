"use strict";

// `npm run test:miri`: the tests of what makes no system calls, run by Miri, which sees undefined behaviour, in libraries too. It
// wants a nightly Rust with the components miri and rust-src.
//
//   npm run test:miri                    all of it, which takes long: some tests have a megabyte to look at
//   npm run test:miri -- websocket       the tests whose names contain one of the words

const { check, finish } = require("./checks");
const { run } = require("./support");

/** What is left out: `os`, `protocol::tls` (ring is in C and assembler) and what drives sockets or builds on N-API. */
const MODULES = [
  "protocol::engine_io",
  "protocol::error",
  "protocol::http",
  "protocol::polling",
  "protocol::session",
  "protocol::socket_io",
  "protocol::websocket",
  "worker::command",
  "worker::connection",
  "worker::deadlines",
  "worker::event",
  "worker::gathering",
  "worker::outbox",
  "worker::queue",
  "worker::road",
  "worker::rooms",
  "worker::table",
];

const words = process.argv.slice(2);

check("cargo miri test", () =>
  run("cargo", ["+nightly", "miri", "test", "--lib", "--", ...(words.length > 0 ? words : MODULES)], {
    // tests look at the clock
    env: { ...process.env, MIRIFLAGS: "-Zmiri-disable-isolation" },
  }),
);
finish();
