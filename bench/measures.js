"use strict";

/**
 * What is read off a run: how it is called, its unit, and whether more of it is better.
 *
 * @type {Record<string, { label: string, unit: string, moreIsBetter: boolean, ofJsThread?: boolean }>}
 */
const measures = {
  operationsPerSecond: { label: "per second", unit: "/s", moreIsBetter: true },
  operationsPerCpuSecond: { label: "per CPU second", unit: "/s", moreIsBetter: true },
  cpuPerOperation: { label: "CPU each", unit: "µs", moreIsBetter: false },
  mainThreadPerOperation: { label: "of JS thread", unit: "µs", moreIsBetter: false, ofJsThread: true },
  p50: { label: "p50", unit: "µs", moreIsBetter: false },
  p99: { label: "p99", unit: "µs", moreIsBetter: false },
  cpuPerConnect: { label: "CPU a connect", unit: "µs", moreIsBetter: false },
  memoryPerConnection: { label: "memory each", unit: "KiB", moreIsBetter: false },
  cpuPerEcho: { label: "CPU an echo", unit: "µs", moreIsBetter: false },
  cpuPerDelivery: { label: "CPU a delivery", unit: "µs", moreIsBetter: false },
  rateToServer: { label: "to the server", unit: "MB/s", moreIsBetter: true },
  rateToClient: { label: "to the client", unit: "MB/s", moreIsBetter: true },
  cpuToServer: { label: "CPU a MB to it", unit: "µs", moreIsBetter: false },
  cpuToClient: { label: "CPU a MB from it", unit: "µs", moreIsBetter: false },
};

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Three digits, or all before the point. */
function format(value) {
  return Math.abs(value) >= 100
    ? Math.round(value).toLocaleString("en")
    : String(Number(value.toPrecision(3)));
}

/** Ours ÷ theirs. */
function formatRatio(ratio) {
  return ratio >= 0.1 ? `${ratio.toFixed(2)} ×` : `1/${format(1 / ratio)}`;
}

module.exports = { measures, median, format, formatRatio };
