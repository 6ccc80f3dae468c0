"use strict";

const { FAMILIES, snapshots } = require("./families");

const UNITS = { bytes: "By", seconds: "s" };

/**
 * Has a server's metrics be observed by OpenTelemetry, when a reader collects. Histograms are observed as two counters, their
 * counts and sums: the interface has no others that are read.
 *
 * @example
 * const { register } = require("sockeye.io/opentelemetry");
 *
 * register(io);
 *
 * @param {import("../api/server").Server} io
 * @param {object} [options]
 * @param {object} [options.meter] - by default "sockeye.io" of the global provider
 * @param {string} [options.prefix] - of the names, by default "socket.io."
 * @param {Object<string, string>} [options.attributes] - that all of them have
 * @returns {() => void} ends the observation
 * @throws {Error} if @opentelemetry/api is not installed, and no meter is given
 */
function register(io, { meter = defaultMeter(), prefix = "socket.io.", attributes = {} } = {}) {
  const read = snapshots(io);
  const observed = FAMILIES.flatMap((family) => instrumentsOf(meter, prefix, family));
  const instruments = observed.map(({ instrument }) => instrument);
  const observe = (result) => {
    for (const { instrument, family, valueOf } of observed) {
      for (const sample of family.read(read())) {
        result.observe(instrument, valueOf(sample), { ...attributes, ...sample.labels });
      }
    }
  };
  meter.addBatchObservableCallback(observe, instruments);
  return () => meter.removeBatchObservableCallback(observe, instruments);
}

function defaultMeter() {
  return require("@opentelemetry/api").metrics.getMeter("sockeye.io", require("../../package.json").version);
}

/** The instruments that a family is observed by. */
function instrumentsOf(meter, prefix, family) {
  const { name, help, type, unit } = family;
  const make = (kind, suffix, description, of) =>
    meter[kind](prefix + name + suffix, { description, unit: of && UNITS[of] });
  if (type !== "histogram") {
    const kind = type === "counter" ? "createObservableCounter" : "createObservableGauge";
    return [{ family, instrument: make(kind, "", help, unit), valueOf: ({ value }) => value }];
  }
  const countOf = ({ counts }) => counts.reduce((sum, count) => sum + count, 0);
  return [
    {
      family,
      instrument: make("createObservableCounter", ".count", `${help}: how many`),
      valueOf: (sample) => countOf(sample.histogram),
    },
    {
      family,
      instrument: make("createObservableCounter", ".sum", `${help}: in sum`, unit),
      valueOf: (sample) => sample.histogram.sum,
    },
  ];
}

module.exports = { register };
