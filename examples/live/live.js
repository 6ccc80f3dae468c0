"use strict";

const path = require("node:path");
const express = require("express");
const { Refusal } = require("../chat/refusal");
const { Experiment } = require("./experiment");
const settings = require("./settings");

/**
 * Adds the page /live to an application, whose figures come through a namespace of the same name. Nothing runs until somebody
 * opens it.
 *
 * @param {object} options
 * @param {import("express").Express} options.app
 * @param {import("sockeye.io").Server} options.io
 * @param {Partial<typeof settings.load>} [options.load]
 * @param {Partial<typeof settings.limits>} [options.limits]
 * @param {Partial<typeof settings.serverOptions>} [options.serverOptions] of the servers that are compared
 * @param {number} [options.descriptors] what a process may have
 */
function createLive({ app, io, load, limits, serverOptions, descriptors = settings.descriptorLimit() }) {
  const all = {
    load: { ...settings.load, ...load },
    limits: { ...settings.limits, ...limits },
    serverOptions: { ...settings.serverOptions, ...serverOptions },
  };
  const viewers = io.of("/live");
  const experiment = new Experiment(all, descriptors, {
    onState: (state) => viewers.emit("state", state),
    onFigures: (figures) => viewers.emit("figures", figures),
  });
  let farewell;

  app.use("/live", express.static(path.join(__dirname, "public")));
  app.use("/live/uplot", express.static(path.dirname(require.resolve("uplot"))));

  viewers.on("connection", (viewer) => {
    clearTimeout(farewell);
    experiment.start();

    request("clients", () => experiment.addClients());
    request("block", () => experiment.block());
    request("stock", (isWanted) => experiment.compare(isWanted));
    request("restart", () => experiment.restart());

    viewer.on("disconnect", () => {
      if (viewers.sockets.size === 0 && experiment.isRunning) {
        farewell = setTimeout(() => experiment.stop(), all.limits.patience).unref();
      }
    });

    viewer.emit("welcome", {
      settings: { ...all, descriptors: Number.isFinite(descriptors) ? descriptors : null },
      state: experiment.state,
      history: experiment.history,
    });

    /** An event that the page wants an answer to: `{ ok: true }` or `{ ok: false, error }`. */
    function request(event, act) {
      viewer.on(event, (...args) => {
        const reply = args.pop();
        if (typeof reply !== "function") {
          return;
        }
        try {
          act(...args);
          reply({ ok: true });
        } catch (error) {
          if (!(error instanceof Refusal)) {
            console.error(`${event}:`, error);
          }
          reply({ ok: false, error: error instanceof Refusal ? error.message : "Something went wrong." });
        }
      });
    }
  });

  return { close };

  /** Ends all processes that were started. */
  async function close() {
    clearTimeout(farewell);
    await experiment.stop();
  }
}

module.exports = { createLive };
