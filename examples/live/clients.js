"use strict";

// The clients of one server, in a process of their own.

const { Crew } = require("./crew");
const { obey, tell } = require("./parent");

const WORK_EVERY = 20; // ms

const { port, load } = JSON.parse(process.argv[2]);
const crew = new Crew(port, load);

obey({
  grow: (count) => crew.grow(count),
  measure: () => tell("figures", crew.measure()),
});
setInterval(() => crew.work(), WORK_EVERY);
tell("ready");
