"use strict";

// In a process of its own, which an addon that does not fit may take down: prints what the package finds here.

const { closedRoads, whyUnkept, whyUnshown } = require("../node/internals");

const { descriptors, remaking, entrance } = closedRoads();
const roads = { descriptors, remaking, entrance, showing: whyUnshown(), keeping: whyUnkept() };
// those that are open are to be there all the same
for (const name in roads) roads[name] ??= null;

console.log(JSON.stringify({ roads, addon: load() }));

function load() {
  try {
    const addon = require("../native/binding");
    return { file: fileOf(addon), version: addon.VERSION, error: null };
  } catch ({ code, message }) {
    return { file: null, version: null, error: { code: code ?? null, message } };
  }
}

/** The file that an addon has come from; null where the runtime does not tell. */
function fileOf(addon) {
  const loaded = Object.values(require.cache).find(
    (module) => module?.exports === addon && module.filename.endsWith(".node"),
  );
  return loaded?.filename ?? null;
}
