import uPlot from "./uplot/uPlot.esm.js";

const WINDOW = 60; // seconds
const HEIGHT = 170;
/** Clients whose process is this busy take part in the latency that they measure. */
const BUSY = 0.8;

/** The sides, and how each is called. */
const SIDES = { ours: "sockeye.io", stock: "stock" };

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const twoDigits = new Intl.NumberFormat("en", { maximumSignificantDigits: 2 });
const compact = new Intl.NumberFormat("en", { notation: "compact" });

/**
 * What is drawn, by the id of its figure: the names of one or two of a row's figures, solid and dashed; the scale and the
 * words on its axis; and how the figures of one moment are read out.
 */
const PLOTS = {
  messages: {
    lines: ["messages"],
    scale: fromZero(100),
    axis: (value) => compact.format(value),
    words: ({ messages }) => `${whole.format(messages)} /s`,
  },
  latency: {
    lines: ["p50", "p99"],
    scale: logarithmic(),
    splits: powersOfTen,
    axis: duration,
    words: ({ p50, p99, busy }) =>
      `${duration(p50)} · p99 ${duration(p99)}${busy > BUSY ? " (busy clients)" : ""}`,
  },
  connected: {
    lines: ["clients"],
    scale: fromZero(100),
    axis: (value) => compact.format(value),
    words: ({ clients, disconnects }) => `${whole.format(clients)} · ${whole.format(disconnects)} lost`,
  },
  utilisation: {
    lines: ["load"],
    scale: { range: () => [0, 100] },
    axis: (value) => `${value} %`,
    words: ({ load, cpu }) => `${whole.format(load)} % · CPU ${cpu.toFixed(2)} cores`,
  },
  delay: {
    lines: ["delay"],
    scale: logarithmic(),
    splits: powersOfTen,
    axis: duration,
    words: ({ delay }) => duration(delay),
  },
  memory: {
    lines: ["memory"],
    scale: fromZero(20),
    axis: (value) => `${compact.format(value)} KiB`,
    words: ({ memory }) => `${twoDigits.format(memory)} KiB`,
  },
};

/** The last minute: a row for each look at the servers, oldest first. */
class Timeline {
  /** `{ at, isBlocked, ours: { messages, p50, … }, stock }`, `at` in seconds */
  rows = [];

  add({ at, wanted, isBlocked, sides }) {
    const row = { at: at / 1000, isBlocked };
    for (const [side, { clients, server }] of Object.entries(sides)) {
      row[side] = { memory: memoryForEach(clients, server, wanted) };
    }
    this.rows.push(row);
    this.rows = this.rows.filter((other) => other.at >= row.at - WINDOW);
    for (const [side, { clients, server }] of Object.entries(sides)) {
      this.#fillIn(side, "clients", clients);
      this.#fillIn(side, "load", asFigures(server));
    }
  }

  /** The figures of a process are those of all the time since it was heard last: who was blocked is late. */
  #fillIn(side, mark, figures) {
    const since = this.now - (figures?.seconds ?? 0);
    for (const row of this.rows) {
      if (row.at > since && row[side] && row[side][mark] === undefined) {
        Object.assign(row[side], figures);
      }
    }
  }

  get now() {
    return this.rows.at(-1)?.at ?? 0;
  }

  column(side, name) {
    return this.rows.map((row) => row[side]?.[name] ?? null);
  }

  has(side) {
    return this.rows.some((row) => row[side]);
  }
}

function asFigures(server) {
  // less than a tenth of a millisecond is no delay, but has no place on a logarithmic scale
  return (
    server && {
      seconds: server.seconds,
      load: 100 * server.load,
      cpu: server.cpu,
      delay: Math.max(0.1, server.delay),
    }
  );
}

/** In KiB; while clients are on their way, the division would mislead. */
function memoryForEach(clients, server, wanted) {
  return server && clients?.clients === wanted ? server.memory / wanted / 1024 : undefined;
}

/** One figure of the page: a plot, and in words what it shows now, or where the pointer is on one of the plots. */
class Plot {
  #id;
  #timeline;
  #plot;
  #values = document.createElement("dl");

  /**
   * @param {keyof typeof PLOTS} id
   * @param {Timeline} timeline
   */
  constructor(id, timeline) {
    this.#id = id;
    this.#timeline = timeline;
    const place = document.createElement("div");
    place.className = "canvas";
    place.role = "img";
    place.ariaLabel = `${document.querySelector(`#${id} h2`).textContent}, the last minute`;
    this.#values.className = "values";
    document.querySelector(`#${id} figcaption`).before(this.#values, place);
    this.#plot = new uPlot(this.#options(place.clientWidth), [[]], place);
    new ResizeObserver(() => this.#plot.setSize({ width: place.clientWidth, height: HEIGHT })).observe(place);
  }

  draw() {
    const { lines } = PLOTS[this.#id];
    const columns = Object.keys(SIDES).flatMap((side) =>
      lines.map((name) => this.#timeline.column(side, name)),
    );
    this.#plot.setData([this.#timeline.rows.map(({ at }) => at), ...columns]);
    this.#readOut();
  }

  #readOut() {
    const { lines, words } = PLOTS[this.#id];
    const row = this.#timeline.rows[this.#plot.cursor.idx ?? this.#timeline.rows.length - 1];
    const sides = Object.keys(SIDES).filter((side) => side === "ours" || this.#timeline.has(side));
    this.#values.replaceChildren(
      ...sides.map((side) => {
        const isKnown = row?.[side]?.[lines[0]] != null;
        return pair(side, SIDES[side], isKnown ? words(row[side]) : "–");
      }),
    );
  }

  #options(width) {
    const { lines, scale, splits, axis } = PLOTS[this.#id];
    const now = () => this.#timeline.now;
    const look = {
      stroke: () => colour("--muted"),
      grid: { stroke: () => colour("--line"), width: 1 },
      ticks: { show: false },
      font: "12px system-ui, sans-serif",
    };
    return {
      width,
      height: HEIGHT,
      padding: [8, 18, 0, 0],
      legend: { show: false },
      cursor: { sync: { key: "live" }, drag: { x: false, y: false }, y: false },
      scales: { x: { time: false, range: () => [now() - WINDOW, now()] }, y: scale },
      axes: [
        {
          ...look,
          splits: () => [60, 40, 20, 0].map((seconds) => now() - seconds),
          values: (plot, splits) =>
            splits.map((at) => (at === now() ? "now" : `−${Math.round(now() - at)} s`)),
          size: 28,
        },
        {
          ...look,
          splits,
          values: (plot, values) => values.map((value) => (value === null ? "" : axis(value))),
          size: 62,
        },
      ],
      series: [
        {},
        ...Object.keys(SIDES).flatMap((side) =>
          lines.map((name, index) => ({
            stroke: () => colour(`--${side}`),
            width: index === 0 ? 2 : 1.5,
            dash: index === 0 ? undefined : [5, 4],
            points: { show: false },
          })),
        ),
      ],
      hooks: {
        drawClear: [(plot) => this.#shadeBlocks(plot)],
        setCursor: [() => this.#readOut()],
      },
    };
  }

  /** Shows when the event loop was blocked. */
  #shadeBlocks({ ctx, bbox, valToPos }) {
    ctx.save();
    ctx.fillStyle = colour("--muted");
    ctx.globalAlpha = 0.18;
    const { rows } = this.#timeline;
    for (let i = 1; i < rows.length; i++) {
      if (rows[i].isBlocked) {
        const [left, right] = [rows[i - 1], rows[i]].map(({ at }) => Math.round(valToPos(at, "x", true)));
        ctx.fillRect(left, bbox.top, right - left, bbox.height);
      }
    }
    ctx.restore();
  }
}

function pair(className, term, value) {
  const group = document.createElement("div");
  group.className = className;
  const dt = document.createElement("dt");
  dt.textContent = term;
  const dd = document.createElement("dd");
  dd.textContent = value;
  group.append(dt, dd);
  return group;
}

/** As the style sheet has it just now, in the light or in the dark. */
function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name);
}

/** A scale that begins with zero and has room for at least so much. */
function fromZero(least) {
  return { range: (plot, min, max) => [Math.min(0, min ?? 0), 1.1 * Math.max(least, max ?? 0)] };
}

function logarithmic() {
  return {
    distr: 3,
    range: (plot, min, max) => (min === null ? [0.1, 10] : uPlot.rangeLog(min, max, 10, true)),
  };
}

/** Of a logarithmic axis. */
function powersOfTen(plot, axis, min, max) {
  const powers = [];
  for (let exponent = Math.round(Math.log10(min)); exponent <= Math.round(Math.log10(max)); exponent++) {
    powers.push(10 ** exponent);
  }
  return powers;
}

function duration(ms) {
  if (ms >= 1000) {
    return `${twoDigits.format(ms / 1000)} s`;
  }
  return `${ms >= 10 ? whole.format(ms) : twoDigits.format(ms)} ms`;
}

export { PLOTS, SIDES, Plot, Timeline, whole };
