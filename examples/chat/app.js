"use strict";

const http = require("node:http");
const https = require("node:https");
const path = require("node:path");
const express = require("express");
const { Refusal } = require("./refusal");
const { Rooms, LOBBY } = require("./rooms");
const { Sessions } = require("./sessions");
const { sniffImage } = require("./sniff-image");

const MAX_TEXT_LENGTH = 2000;

/**
 * The whole chat, not listening yet.
 *
 * @param {object} options
 * @param {Function} options.Server the Socket.IO server class to run on
 * @param {string} [options.password] asked for at the login, if set
 * @param {number} [options.historySize] messages kept per room
 * @param {number} [options.maxImageBytes]
 * @param {number} [options.sessionLifetime] how long somebody who is gone may come back, in milliseconds
 * @param {string} [options.node] a name for this process, if there are several
 * @param {(change: object) => void} [options.onChange] is told of what other processes have to `apply` to theirs
 * @param {object} [options.serverOptions] more options of the Socket.IO server
 * @param {object} [options.tls] `key` and `cert`, to serve it over HTTPS
 * @param {string} [options.livePage] where examples/live is, if it is served as well
 */
function createChat({
  Server,
  password = "",
  historySize = 50,
  maxImageBytes = 1024 * 1024,
  sessionLifetime = 10 * 60_000,
  node,
  onChange = () => {},
  serverOptions = {},
  tls,
  livePage,
}) {
  const app = express();
  const httpServer = tls ? https.createServer(tls, app) : http.createServer(app);
  const io = new Server(httpServer, {
    // an image a little over the limit gets an answer; only what is far over it loses the connection
    maxHttpBufferSize: 2 * maxImageBytes,
    ...serverOptions,
  });
  const rooms = new Rooms({ historySize, onChange: (room) => onChange({ room }) });
  const sessions = new Sessions({
    password,
    lifetime: sessionLifetime,
    onRemove: removeUnusedRooms,
    onChange: (session) => onChange({ session }),
    node,
  });

  app.use((req, res, next) => {
    res.set({
      "Content-Security-Policy":
        "default-src 'self'; img-src 'self' blob:; connect-src 'self' ws: wss:; frame-ancestors 'none'",
      "X-Content-Type-Options": "nosniff",
    });
    next();
  });
  app.get("/config.json", (req, res) => {
    res.json({ passwordRequired: password !== "", maxImageBytes, maxTextLength: MAX_TEXT_LENGTH, livePage });
  });
  app.use(express.static(path.join(__dirname, "public")));

  io.use((socket, next) => {
    try {
      const session = sessions.authenticate(socket.handshake.auth);
      socket.data.user = session.user;
      socket.data.token = session.token;
      next();
    } catch (error) {
      next(error);
    }
  });

  io.on("connection", (socket) => {
    const session = sessions.attach(socket.data.token);
    if (!session) {
      socket.disconnect(true); // it ended while this connection was being made
      return;
    }
    const { user } = session;
    if (session.rooms.size === 0) {
      sessions.enter(session, LOBBY);
    }
    socket.join([...session.rooms].map(channel));

    request("room:create", ({ name }) => {
      rooms.create(name);
      io.emit("rooms", rooms.names());
      return enter(name);
    });

    request("room:join", ({ name }) => {
      rooms.get(name);
      return enter(name);
    });

    request("room:leave", async ({ name }) => {
      mustBeIn(name);
      sessions.leave(session, name);
      socket.leave(channel(name));
      await announcePresence(name);
      removeUnusedRooms();
    });

    request("room:list", () => ({ rooms: rooms.names() }));

    request("message", ({ room, text }) => {
      mustBeIn(room);
      if (typeof text !== "string" || text.trim() === "") {
        throw new Refusal("A message needs some text.");
      }
      if (text.length > MAX_TEXT_LENGTH) {
        throw new Refusal(`A message has at most ${MAX_TEXT_LENGTH} characters.`);
      }
      const message = rooms.get(room).add({ from: user, text: text.trim() });
      socket.to(channel(room)).emit("message", message);
      return { message };
    });

    request("image", ({ room, name, data }) => {
      mustBeIn(room);
      const type = Buffer.isBuffer(data) && sniffImage(data);
      if (!type) {
        throw new Refusal("Only PNG, JPEG, GIF and WebP images can be sent.");
      }
      if (data.length > maxImageBytes) {
        throw new Refusal(`An image has at most ${Math.floor(maxImageBytes / 1024)} KiB.`);
      }
      const image = { name: typeof name === "string" ? name.slice(0, 100) : "", type, size: data.length };
      const message = rooms.get(room).add({ from: user, image }, data);
      socket.to(channel(room)).emit("message", { ...message, image: { ...image, data } });
      return { message };
    });

    // The history only describes its images; the page asks for those it does not have yet.
    request("image:get", ({ room, id }) => {
      mustBeIn(room);
      return { data: rooms.get(room).image(id) };
    });

    request("logout", () => {
      sessions.remove(session);
    });

    socket.on("typing", (message) => {
      if (session.rooms.has(message?.room)) {
        // worth nothing a moment later: whoever cannot take it now does without
        socket.volatile.to(channel(message.room)).emit("typing", {
          room: message.room,
          user,
          typing: message.typing === true,
        });
      }
    });

    socket.on("disconnect", () => {
      sessions.detach(session);
      for (const name of session.rooms) {
        announcePresence(name).catch(console.error);
      }
    });

    welcome().catch(console.error);

    async function welcome() {
      const joined = await Promise.all([...session.rooms].map(describe));
      socket.emit("welcome", { user, token: session.token, rooms: rooms.names(), joined });
      for (const { name, people } of joined) {
        socket.to(channel(name)).emit("presence", { room: name, people });
      }
    }

    async function enter(name) {
      sessions.enter(session, name);
      socket.join(channel(name));
      const room = await describe(name);
      socket.to(channel(name)).emit("presence", { room: name, people: room.people });
      return { room };
    }

    function mustBeIn(name) {
      if (!session.rooms.has(name)) {
        throw new Refusal("You are not in this room.");
      }
    }

    /** An event that the page wants an answer to: `{ ok: true, … }` or `{ ok: false, error }`. */
    function request(event, answer) {
      socket.on(event, async (...args) => {
        const reply = args.pop();
        if (typeof reply !== "function") {
          return;
        }
        try {
          reply({ ok: true, ...(await answer(Object(args[0]))) });
        } catch (error) {
          if (!(error instanceof Refusal)) {
            console.error(`${event}:`, error);
          }
          reply({ ok: false, error: error instanceof Refusal ? error.message : "Something went wrong." });
        }
      });
    }
  });

  return { app, httpServer, io, apply, snapshot };

  /** Makes a change that the chat of another process has made. */
  function apply({ room, session }) {
    if (room) {
      rooms.apply(room);
    }
    if (session) {
      sessions.apply(session);
    }
  }

  /** The changes that make what this process knows out of nothing. */
  function snapshot() {
    return [
      ...rooms.snapshot().map((room) => ({ room })),
      ...sessions.snapshot().map((session) => ({ session })),
    ];
  }

  /** Everything that a page needs to show a room. */
  async function describe(name) {
    return { name, history: rooms.get(name).history, people: await peopleIn(name) };
  }

  /** Who is connected in a room; somebody with two windows counts once. */
  async function peopleIn(name) {
    const sockets = await io.in(channel(name)).fetchSockets();
    const people = new Map(sockets.map(({ data }) => [data.user.id, data.user]));
    return [...people.values()].sort((a, b) => a.name.localeCompare(b.name));
  }

  async function announcePresence(name) {
    io.to(channel(name)).emit("presence", { room: name, people: await peopleIn(name) });
  }

  function removeUnusedRooms() {
    if (rooms.removeUnless((name) => sessions.anyIn(name))) {
      io.emit("rooms", rooms.names());
    }
  }
}

/** The Socket.IO room of a chat room; the prefix keeps people from naming a room after somebody's socket id. */
function channel(name) {
  return `room:${name}`;
}

module.exports = { createChat };
