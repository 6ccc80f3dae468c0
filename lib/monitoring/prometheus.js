"use strict";

const { FAMILIES, snapshots } = require("./families");

/**
 * Has a server's metrics be those of a registry of prom-client. They are read when the registry is asked for them.
 *
 * @example
 * const { register } = require("sockeye.io/prometheus");
 *
 * register(io);
 *
 * @param {import("../api/server").Server} io
 * @param {object} [options]
 * @param {object} [options.registry] - by default that of prom-client
 * @param {string} [options.prefix] - of the names, by default "socket_io_"
 * @param {Object<string, string>} [options.labels] - that all of them have
 * @returns {() => void} takes them out again
 * @throws {Error} if prom-client is not installed, and no registry is given, or if names are taken
 */
function register(
  io,
  { registry = require("prom-client").register, prefix = "socket_io_", labels = {} } = {},
) {
  const read = snapshots(io);
  const names = [];
  const unregister = () => names.forEach((name) => registry.removeSingleMetric(name));
  try {
    for (const family of FAMILIES) {
      const metric = new Metric(family, prefix, labels, read);
      registry.registerMetric(metric);
      names.push(metric.name);
    }
  } catch (error) {
    unregister();
    throw error;
  }
  return unregister;
}

/** A family, as registries of prom-client want it. */
class Metric {
  constructor({ name, help, type, unit, read }, prefix, labels, snapshot) {
    const base = prefix + (unit === undefined ? name : `${name}_${unit}`);
    this.name = type === "counter" ? `${base}_total` : base;
    this.help = help;
    this.type = type;
    this.aggregator = "sum";
    this._labels = labels;
    this._read = () => read(snapshot());
  }

  /** @returns {Promise<object>} the values at present */
  async get() {
    const { name, help, type, aggregator } = this;
    return { name, help, type, aggregator, values: this._read().flatMap((sample) => this._valuesOf(sample)) };
  }

  /** What a sample is in the format of Prometheus: a histogram's buckets include those below. */
  _valuesOf({ labels: own, value, histogram }) {
    const labels = { ...this._labels, ...own };
    if (histogram === undefined) return [{ labels, value }];
    const { name } = this;
    let count = 0;
    const buckets = histogram.counts.map((inBucket, bucket) => {
      count += inBucket;
      const le = histogram.bounds[bucket] ?? "+Inf";
      return { metricName: `${name}_bucket`, labels: { le, ...labels }, value: count };
    });
    return [
      ...buckets,
      { metricName: `${name}_sum`, labels, value: histogram.sum },
      { metricName: `${name}_count`, labels, value: count },
    ];
  }

  /** Counters of a server are never set back: it is the registry's `resetMetrics()` that asks. */
  reset() {}
}

module.exports = { register };
