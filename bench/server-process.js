"use strict";

// What the kernel says of a server's process, from outside, and so alike for all servers.

const fs = require("node:fs");

/**
 * One look at it.
 *
 * @param {string} pid
 * @returns {{ threads: Map<string, number>, memory: number }} the CPU time of each thread in µs; the resident set in KiB
 */
function look(pid) {
  const threads = new Map();
  for (const task of fs.readdirSync(`/proc/${pid}/task`)) {
    try {
      threads.set(task, threadCpu(`/proc/${pid}/task/${task}`));
    } catch {
      // it has just ended
    }
  }
  return { threads, memory: residentSet(pid) };
}

/** The CPU time that passed between two looks, in µs, of a thread or of all. A thread that has ended counts no more. */
function cpuBetween(before, after, tasks = after.threads.keys()) {
  let sum = 0;
  for (const task of tasks) {
    sum += after.threads.get(task) - (before.threads.get(task) ?? 0);
  }
  return sum;
}

/**
 * What all of it has taken since it started, and what it holds.
 *
 * @param {number | string} pid
 * @returns {{ cpu: number, rss: number, peakRss: number, descriptors: number, threads: number }} `cpu` in ms of all threads,
 *   those that have ended included, in steps of 10; memory in bytes
 */
function totals(pid) {
  const status = fs.readFileSync(`/proc/${pid}/status`, "utf8");
  const of = (name) => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(status)[1]);
  return {
    cpu: ticks(`/proc/${pid}`) * 10,
    rss: of("VmRSS") * 1024,
    peakRss: of("VmHWM") * 1024,
    descriptors: fs.readdirSync(`/proc/${pid}/fd`).length,
    threads: of("Threads"),
  };
}

/** In nanoseconds where the kernel says it so, else in ticks of 10 ms. */
function threadCpu(directory) {
  if (fs.existsSync(`${directory}/schedstat`)) {
    return Number.parseInt(fs.readFileSync(`${directory}/schedstat`, "utf8"), 10) / 1e3;
  }
  return ticks(directory) * 1e4;
}

/** User and system time, in ticks of 10 ms. */
function ticks(directory) {
  const stat = fs.readFileSync(`${directory}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return Number(fields[11]) + Number(fields[12]);
}

function residentSet(pid) {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(fs.readFileSync(`/proc/${pid}/status`, "utf8"))[1]);
}

module.exports = { look, cpuBetween, totals };
