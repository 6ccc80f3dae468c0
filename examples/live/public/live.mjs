import { PLOTS, SIDES, Plot, Timeline, whole } from "./plots.mjs";

const ANSWER_TIMEOUT = 10_000;
/** Who does not like motion sees the plots change now and then. */
const DRAW_EVERY = matchMedia("(prefers-reduced-motion: reduce)").matches ? 5000 : 0;
/** rows after the end of a block until all that it has caused has been counted */
const AFTERMATH = 3;

const $ = (id) => document.getElementById(id);

let isPaused = false;
let drawnAt = -Infinity;
/** What a block has been the cause of: `{ before, rows }`, the disconnects before it, and the rows since its end. */
let block;
const timeline = new Timeline();
const plots = Object.keys(PLOTS).map((id) => new Plot(id, timeline));

const socket = io("/live");

// --- what the server says

socket.on("connect", () => showStatus("connected"));
socket.on("disconnect", () => showStatus("reconnecting …"));

socket.on("welcome", ({ settings, state, history }) => {
  explain(settings, state.maxClients);
  showState(state);
  timeline.rows = [];
  history.forEach((figures) => timeline.add(figures));
  draw();
});

socket.on("state", showState);

socket.on("figures", (figures) => {
  timeline.add(figures);
  followBlock(figures.isBlocked);
  if (!isPaused && performance.now() - drawnAt >= DRAW_EVERY) {
    draw();
  }
});

function draw() {
  drawnAt = performance.now();
  for (const plot of plots) {
    plot.draw();
  }
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);

// --- what people do

for (const event of ["clients", "block", "restart"]) {
  $(event).addEventListener("click", () => ask(event));
}

$("stock").addEventListener("click", () => ask("stock", $("stock").getAttribute("aria-pressed") !== "true"));

$("pause").addEventListener("click", () => {
  isPaused = !isPaused;
  $("pause").setAttribute("aria-pressed", isPaused);
});

async function ask(event, ...args) {
  try {
    const { ok, error } = await socket.timeout(ANSWER_TIMEOUT).emitWithAck(event, ...args);
    showTrouble(ok ? "" : error);
  } catch {
    showTrouble("The server does not answer.");
  }
}

// --- what the page says

/** Once: what is running, and by which settings. */
function explain({ load, limits, serverOptions, descriptors }, maxClients) {
  const seconds = (ms) => `${whole.format(ms / 1000)} s`;
  $("load").textContent =
    `Clients in rooms of ${load.roomSize} talk through a server that runs in a process of its own. Each says something ` +
    `to its room every ${seconds(load.sayEvery)}, and asks for an answer every ${seconds(load.echoEvery)}.`;
  $("clients").textContent = `${whole.format(limits.clientsMore)} more clients`;
  $("block").textContent = `Block the event loop for ${seconds(limits.block)}`;
  const ping = serverOptions.pingInterval / 1000;
  const patience = serverOptions.pingTimeout / 1000;
  $("heartbeats").textContent =
    `Heartbeats: pingInterval ${ping} s, pingTimeout ${patience} s on both. A client that hears no ping for ` +
    `${ping + patience} s takes the server for dead and connects again, as Socket.IO’s own client does. The defaults are ` +
    `25 s and 20 s: with them it would take a block of 45 s.`;
  $("limit").textContent = `At most ${whole.format(maxClients)} clients.`;
  if (descriptors !== null) {
    $("limit").textContent +=
      ` Each needs a descriptor in two processes, and a process may have ${whole.format(descriptors)} here (ulimit\u00a0-n).`;
  }
}

function showState({ clients, maxClients, isBlocked, withStock, trouble }) {
  $("clients").disabled = clients >= maxClients;
  $("block").disabled = isBlocked;
  $("stock").setAttribute("aria-pressed", withStock);
  if (isBlocked) {
    $("news").textContent = "The event loop is blocked: nobody’s messages are handled. Who stays connected?";
  } else if (!block) {
    $("news").textContent = `${whole.format(clients)} clients, of ${whole.format(maxClients)} at most.`;
  }
  showTrouble(trouble);
}

/** Says who has lost connections by a block, when it is over. */
function followBlock(isBlocked) {
  if (isBlocked) {
    block ??= { before: disconnects(), rows: 0 };
    block.rows = 0;
  } else if (block && ++block.rows === AFTERMATH) {
    const now = disconnects();
    const lost = Object.keys(now).map((side) => {
      return `${whole.format(now[side] - (block.before[side] ?? 0))} on ${SIDES[side]}`;
    });
    $("news").textContent = `The event loop is free again. Connections lost: ${lost.join(", ")}.`;
    block = undefined;
  }
}

/** So far, by side. */
function disconnects() {
  const counts = {};
  for (const side of Object.keys(SIDES)) {
    const count = timeline.column(side, "disconnects").findLast((value) => value !== null);
    if (count !== undefined && timeline.rows.at(-1)[side]) {
      counts[side] = count;
    }
  }
  return counts;
}

function showStatus(text) {
  $("status").textContent = text;
  $("status").classList.toggle("online", socket.connected);
}

function showTrouble(text) {
  $("trouble").textContent = text;
  $("trouble").hidden = text === "";
}
