"use strict";

const TYPING_INTERVAL = 2000; // how often the others hear that we are typing
const TYPING_LIFETIME = 4000; // how long they believe it
const ANSWER_TIMEOUT = 10_000;
const FOLLOW_UP = 5 * 60_000; // messages of one person within this time share a heading

const $ = (id) => document.getElementById(id);

/** What survives a reload: the token of our session, our name, and the room we were looking at. */
const saved = {
  get: () => JSON.parse(sessionStorage.getItem("chat") ?? "{}"),
  set: (changes) => sessionStorage.setItem("chat", JSON.stringify({ ...saved.get(), ...changes })),
};

let config;
let me;
let allRooms = [];
/** The rooms we are in: name -> { name, history, people, typing: Map of id -> { name, timer }, unread } */
const joined = new Map();
let current;
/** message id -> URL of the image that we have already */
const imageUrls = new Map();
let lastTypingAt = 0;

const socket = io({
  autoConnect: false,
  auth: (send) => send(credentials()),
});

start();

async function start() {
  config = await (await fetch("config.json")).json();
  $("login-password-field").hidden = !config.passwordRequired;
  $("login-password").required = config.passwordRequired;
  $("text").maxLength = config.maxTextLength;
  for (const link of document.querySelectorAll(".live-link")) {
    link.href = config.livePage ?? "";
    link.hidden = !config.livePage;
  }
  if (saved.get().token) {
    socket.connect();
  } else {
    showLogin();
  }
}

// --- the connection

function credentials() {
  const { token } = saved.get();
  return token ? { token } : { name: $("login-name").value, password: $("login-password").value };
}

socket.on("connect", () => {
  showStatus();
  socket.io.engine.on("upgrade", showStatus);
});

socket.on("connect_error", (error) => {
  if (socket.active) {
    showStatus(); // the network's trouble: the client goes on trying
    if (!me && !saved.get().token) {
      showLogin("The server cannot be reached, still trying.");
    }
    return;
  }
  // The server said no, and why.
  const hadToken = error.data?.code === "session";
  endSession();
  showLogin(error.message, hadToken ? "name" : error.data?.code);
});

socket.on("disconnect", (reason) => {
  showStatus();
  if (reason === "io server disconnect") {
    endSession();
    showLogin("The server has closed the connection.");
  }
});

socket.on("welcome", ({ user, token, rooms, joined: described }) => {
  me = user;
  allRooms = rooms;
  saved.set({ token, name: user.name });
  joined.clear();
  described.forEach(addRoom);
  $("login").hidden = true;
  $("login-password").value = "";
  $("chat").hidden = false;
  $("me-name").textContent = user.name;
  $("me-avatar").replaceChildren(avatar(user));
  show(joined.has(saved.get().room) ? saved.get().room : described[0]?.name);
});

socket.on("rooms", (names) => {
  allRooms = names;
  renderRooms();
});

socket.on("presence", ({ room, people }) => {
  const entry = joined.get(room);
  if (entry) {
    entry.people = people;
    renderPeople();
  }
});

socket.on("message", receive);

socket.on("typing", ({ room, user, typing }) => {
  const entry = joined.get(room);
  if (!entry) {
    return;
  }
  stopTyping(entry, user);
  if (typing) {
    const timer = setTimeout(() => stopTyping(entry, user), TYPING_LIFETIME);
    entry.typing.set(user.id, { name: user.name, timer });
    renderTyping();
  }
});

/** Asks the server for something. Resolves with its answer: `{ ok: true, … }` or `{ ok: false, error }`. */
async function ask(event, content = {}) {
  try {
    return await socket.timeout(ANSWER_TIMEOUT).emitWithAck(event, content);
  } catch {
    return { ok: false, error: "The server did not answer." };
  }
}

/** Asks on behalf of the person, who is shown what went wrong. */
async function request(event, content) {
  const answer = await ask(event, content);
  showTrouble(answer.ok ? "" : answer.error);
  return answer;
}

function endSession() {
  me = undefined;
  current = undefined;
  joined.clear();
  saved.set({ token: undefined, room: undefined });
}

// --- rooms

function addRoom({ name, history, people }) {
  joined.set(name, { name, history, people, typing: new Map(), unread: 0 });
}

function show(name) {
  current = joined.get(name);
  saved.set({ room: name });
  if (current) {
    current.unread = 0;
  }
  showTrouble("");
  closeDrawers();
  renderRooms();
  renderPeople();
  renderTyping();
  $("room-name").textContent = name ?? "";
  $("leave").disabled = !current;
  $("messages").replaceChildren();
  if (current?.history.length) {
    current.history.forEach((message, index) => appendMessage(message, current.history[index - 1]));
  } else {
    const hint = current ? "Nothing has been said here yet." : "Join a room or create one.";
    $("messages").append(element("li", { className: "empty" }, hint));
  }
  scrollDown();
  if (matchMedia("(hover: hover)").matches) {
    $("text").focus(); // on a phone this would bring up the keyboard
  }
}

async function enter(event, name) {
  const answer = await request(event, { name });
  if (answer.ok) {
    addRoom(answer.room);
    show(name);
  }
  return answer.ok;
}

async function leave() {
  const { name } = current;
  if ((await request("room:leave", { name })).ok) {
    joined.delete(name);
    show(joined.keys().next().value);
  }
}

// --- messages

function receive(message) {
  const entry = joined.get(message.room);
  if (!entry) {
    return;
  }
  const previous = entry.history.at(-1);
  entry.history.push(message);
  stopTyping(entry, message.from);
  if (entry !== current || document.hidden) {
    entry.unread++;
    renderRooms();
  }
  if (entry === current) {
    const wasAtEnd = isAtEnd();
    $("messages").querySelector(".empty")?.remove();
    appendMessage(message, previous);
    if (wasAtEnd || message.from.id === me.id) {
      scrollDown();
    }
  }
}

async function sendText() {
  const text = $("text").value.trim();
  if (text === "" || !current) {
    return;
  }
  $("text").value = "";
  lastTypingAt = 0;
  const answer = await request("message", { room: current.name, text });
  if (answer.ok) {
    receive(answer.message);
  } else if ($("text").value === "") {
    $("text").value = text;
  }
}

async function sendImage(file) {
  if (!file || !current) {
    return;
  }
  if (file.size > config.maxImageBytes) {
    showTrouble(
      `This image is too large: at most ${Math.floor(config.maxImageBytes / 1024)} KiB can be sent.`,
    );
    return;
  }
  const answer = await request("image", { room: current.name, name: file.name, data: file });
  if (answer.ok) {
    imageUrls.set(answer.message.id, URL.createObjectURL(file));
    receive(answer.message);
  }
}

function typed() {
  const typing = $("text").value.trim() !== "";
  if (!current || !socket.connected || (typing && Date.now() - lastTypingAt < TYPING_INTERVAL)) {
    return;
  }
  lastTypingAt = typing ? Date.now() : 0;
  socket.emit("typing", { room: current.name, typing });
}

function stopTyping(entry, { id }) {
  clearTimeout(entry.typing.get(id)?.timer);
  if (entry.typing.delete(id) && entry === current) {
    renderTyping();
  }
}

// --- rendering; everything that people wrote goes in as text, never as HTML

function element(tag, properties, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

function avatar({ name }) {
  const hue = [...name].reduce((sum, character) => (sum * 31 + character.codePointAt(0)) % 360, 7);
  const node = element("span", { className: "avatar", ariaHidden: "true" }, [...name][0].toUpperCase());
  node.style.setProperty("--hue", hue);
  return node;
}

function renderRooms() {
  const row = (name, onclick, ...extra) =>
    element(
      "li",
      {},
      element("button", { type: "button", onclick }, element("span", { className: "name" }, name), ...extra),
    );
  $("joined-rooms").replaceChildren(
    ...[...joined.values()].map((entry) => {
      const badge = entry.unread ? [element("span", { className: "badge" }, String(entry.unread))] : [];
      const item = row(entry.name, () => show(entry.name), ...badge);
      item.firstChild.ariaCurrent = entry === current ? "true" : null;
      return item;
    }),
  );
  const others = allRooms.filter((name) => !joined.has(name));
  $("other-rooms-title").hidden = others.length === 0;
  $("other-rooms").replaceChildren(
    ...others.map((name) =>
      row(name, () => enter("room:join", name), element("span", { className: "hint" }, "join")),
    ),
  );
  const unread = [...joined.values()].reduce((sum, entry) => sum + entry.unread, 0);
  $("total-unread").hidden = unread === 0;
  $("total-unread").textContent = unread;
  document.title = (unread ? `(${unread}) ` : "") + (current ? `${current.name} · ` : "") + "Sockeye Chat";
}

function renderPeople() {
  const people = current?.people ?? [];
  $("people-count").textContent = people.length;
  $("people").replaceChildren(
    ...people.map((person) => {
      const name = person.name + (person.id === me.id ? " (you)" : "");
      return element("li", {}, avatar(person), element("span", { className: "name" }, name));
    }),
  );
}

function renderTyping() {
  const names = [...(current?.typing.values() ?? [])].map(({ name }) => name);
  $("typing").textContent =
    names.length === 0
      ? ""
      : names.length > 3
        ? "Several people are typing …"
        : `${names.join(", ")} ${names.length === 1 ? "is" : "are"} typing …`;
}

function appendMessage(message, previous) {
  const { from, at, text } = message;
  const follows = previous?.from.id === from.id && at - previous.at < FOLLOW_UP;
  const item = element("li", { className: "message" });
  item.classList.toggle("own", from.id === me.id);
  item.classList.toggle("follows", follows);
  if (!follows) {
    const time = new Date(at);
    const shown = time.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
    item.append(
      avatar(from),
      element(
        "div",
        { className: "head" },
        element("strong", {}, from.name),
        element("time", { dateTime: time.toISOString(), title: time.toLocaleString() }, shown),
      ),
    );
  }
  item.append(message.image ? picture(message) : element("div", { className: "bubble" }, text));
  $("messages").append(item);
}

function picture(message) {
  const image = element("img", { alt: message.image.name || "image" });
  const link = element("a", { className: "bubble picture", target: "_blank" }, image);
  image.onload = () => {
    if (isAtEnd(image.height + 50)) {
      scrollDown();
    }
  };
  imageUrl(message).then((url) => {
    if (url) {
      image.src = link.href = url;
    } else {
      link.replaceChildren("This image is no longer here.");
    }
  });
  return link;
}

/** Images come with a new message; those of the history are asked for, once. */
async function imageUrl({ id, room, image }) {
  if (!imageUrls.has(id)) {
    const data = image.data ?? (await ask("image:get", { room, id })).data;
    if (!data) {
      return undefined;
    }
    imageUrls.set(id, URL.createObjectURL(new Blob([data], { type: image.type })));
  }
  return imageUrls.get(id);
}

function showStatus() {
  const { connected } = socket;
  $("status").classList.toggle("online", connected);
  $("status").textContent = connected ? socket.io.engine.transport.name : "reconnecting …";
  for (const control of $("composer").elements) {
    control.disabled = !connected;
  }
}

function showTrouble(sentence) {
  $("trouble").hidden = sentence === "";
  $("trouble").textContent = sentence;
}

function showLogin(sentence = "", code = "name") {
  $("chat").hidden = true;
  $("login").hidden = false;
  $("login-name").value ||= saved.get().name ?? "";
  $("login-error").hidden = sentence === "";
  $("login-error").textContent = sentence;
  $("login-submit").disabled = socket.active;
  (code === "password" ? $("login-password") : $("login-name")).select();
}

function isAtEnd(tolerance = 80) {
  const { scrollHeight, scrollTop, clientHeight } = $("messages");
  return scrollHeight - scrollTop - clientHeight < tolerance;
}

function scrollDown() {
  $("messages").scrollTop = $("messages").scrollHeight;
}

function closeDrawers() {
  $("chat").classList.remove("rooms-open", "people-open");
}

// --- what the person does

$("login-form").addEventListener("submit", (event) => {
  event.preventDefault();
  $("login-error").hidden = true;
  $("login-submit").disabled = true;
  socket.disconnect().connect();
});

$("logout").addEventListener("click", async () => {
  await ask("logout");
  socket.disconnect();
  endSession();
  showLogin();
});

$("create-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (await enter("room:create", $("create-name").value.trim())) {
    $("create-name").value = "";
  }
});

$("leave").addEventListener("click", leave);

$("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  sendText();
});

$("text").addEventListener("input", typed);
$("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    sendText();
  }
});
$("text").addEventListener("paste", (event) => sendImage(event.clipboardData.files[0]));

$("image").addEventListener("change", async () => {
  await sendImage($("image").files[0]);
  $("image").value = "";
});

$("chat").addEventListener("dragover", (event) => {
  event.preventDefault();
  $("chat").classList.add("dropping");
});
$("chat").addEventListener("dragleave", () => $("chat").classList.remove("dropping"));
$("chat").addEventListener("drop", (event) => {
  event.preventDefault();
  $("chat").classList.remove("dropping");
  sendImage(event.dataTransfer.files[0]);
});

$("show-rooms").addEventListener("click", () => $("chat").classList.toggle("rooms-open"));
$("show-people").addEventListener("click", () => $("chat").classList.toggle("people-open"));
$("shade").addEventListener("click", closeDrawers);

document.addEventListener("visibilitychange", () => {
  if (!document.hidden && current?.unread) {
    current.unread = 0;
    renderRooms();
  }
});
