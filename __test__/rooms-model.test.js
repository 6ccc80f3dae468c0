"use strict";

// Random programs of joins, leaves, comings, goings, recoveries and broadcasts, played on a server with raw clients and, step
// by step, on the adapter of socket.io-adapter with sockets that are nothing but a list. Who gets what, and in which order,
// the Maps of rooms and the events about them have to be the same.
//
//   SIO_SEED=5 node --test __test__/rooms-model.test.js       one seed, as a failure names it
//   SIO_PROGRAMS=50 node --test __test__/rooms-model.test.js  more of them

const test = require("node:test");
const assert = require("node:assert/strict");
const { Adapter, SessionAwareAdapter } = require("socket.io-adapter");
const { isStock, defaultWorkers, serve, once, Recorder, RawWebSocket } = require("./support/harness");
const { Random } = require("../scripts/random");

const PROGRAMS = Number(process.env.SIO_PROGRAMS) || 3;
const STEPS = 120;
const ROOMS = ["a", "b", "c", "d", "e"];
const EVENTS = ["create-room", "join-room", "leave-room", "delete-room"];

const CONFIGURATIONS = [
  ["the default adapter", {}, Adapter],
  ["that of socket.io-adapter", { adapter: Adapter }, Adapter],
  ["the default adapter with recovery", { connectionStateRecovery: {} }, SessionAwareAdapter],
  [
    "that of socket.io-adapter with recovery",
    { adapter: SessionAwareAdapter, connectionStateRecovery: {} },
    SessionAwareAdapter,
  ],
];

for (const workers of isStock ? [1] : defaultWorkers ? [defaultWorkers] : [1, 4]) {
  for (const [name, options, Model] of CONFIGURATIONS) {
    test(`${name}, ${workers} workers: as the model says`, async (t) => {
      const seeds = process.env.SIO_SEED
        ? [Number(process.env.SIO_SEED)]
        : Array.from({ length: PROGRAMS }, () => Math.floor(Math.random() * 2 ** 31));
      for (const seed of seeds) {
        const server = await serve(t, { adapter: undefined, ...options, workers });
        const program = new Program(server, Model, options.connectionStateRecovery !== undefined, seed);
        try {
          await program.run();
        } catch (error) {
          error.message += `\nSIO_SEED=${seed}, after:\n${program.log.slice(-40).join("\n")}`;
          throw error;
        } finally {
          await server.close();
        }
      }
    });
  }
}

/** A server, and what the model says of it. */
class Program {
  constructor(server, Model, recovers, seed) {
    this.server = server;
    this.io = server.io;
    this.recovers = recovers;
    const random = new Random(seed);
    this.random = () => random.next();
    /** What was done, to be told on failure. */
    this.log = [];
    /** Sockets that are in the namespace. */
    this.guests = [];
    /** Those that the middleware holds back. */
    this.held = [];
    this.holding = new Recorder();
    this.connections = new Set();
    this.lost = [];
    this.serial = 0;
    this.ends = 0;
    this.offsets = new Map();
    const encoder = { encode: ({ data }) => [data[1]] };
    this.nsp = {
      name: "/",
      sockets: new Map(),
      server: { encoder, opts: { connectionStateRecovery: { maxDisconnectionDuration: 60_000 } } },
    };
    this.model = new Model(this.nsp);
    this.adapter = this.io.of("/").adapter;
    /** Whether the events are listened to, and the Maps looked at and changed: ours does less as long as nobody does. */
    this.listens = this.chance(0.5);
    this.looks = this.chance(0.5);
    this.events = [];
    this.expectedEvents = [];
    if (this.listens) {
      for (const event of EVENTS) {
        this.adapter.on(event, (...args) => this.events.push([event, ...args].join(" ")));
        this.model.on(event, (...args) => this.expectedEvents.push([event, ...args].join(" ")));
      }
    }
    this.io.use((socket, next) => {
      if (socket.handshake.auth.hold) this.holding.push({ socket, next });
      else next();
    });
  }

  async run() {
    for (let i = 0; i < 14; i++) await this.connect();
    for (const guest of this.guests) if (this.chance(0.8)) this.join(guest, ["a"]);
    for (let step = 0; step < STEPS; step++) {
      await this.step();
      if (this.chance(0.1)) await this.compare();
    }
    await this.compare();
  }

  async step() {
    const { guests, held } = this;
    const guest = this.pick(guests);
    const dice = this.random();
    if (dice < 0.4) this.broadcast();
    else if (dice < 0.5) this.join(guest, this.some(ROOMS, 3));
    else if (dice < 0.58) this.leave(guest, this.pick(ROOMS));
    else if (dice < 0.62) this.joinAll(this.pick(ROOMS), this.pick(ROOMS));
    else if (dice < 0.64) this.leaveAllOf(this.pick(ROOMS), this.pick(ROOMS));
    else if (dice < 0.66) this.leaveAll(guest);
    else if (dice < 0.7) this.emit(guest);
    else if (dice < 0.76) await this.connect();
    else if (dice < 0.8 && guests.length > 10) await this.disconnect(guest, this.chance(0.5));
    else if (dice < 0.84 && guests.length > 10) await this.drop(guest);
    else if (dice < 0.87) await this.hold(this.chance(0.5) ? 2 : 1);
    else if (dice < 0.9 && held.length > 0) this.join(this.pick(held), this.some(ROOMS, 2));
    else if (dice < 0.93 && held.length > 0) await this.admit(this.pick(held), this.chance(0.8));
    else if (dice < 0.97 && this.lost.length > 0) await this.recover(this.pick(this.lost));
    else if (this.looks) this.tamper(guest);
  }

  // what is done to both

  join({ id, socket }, rooms) {
    this.note("join", id, ...rooms);
    socket.join(rooms);
    this.model.addAll(id, new Set(rooms));
  }

  leave({ id, socket }, room) {
    this.note("leave", id, room);
    socket.leave(room);
    this.model.del(id, room);
  }

  leaveAll({ id, socket }) {
    this.note("leave all", id);
    socket.leaveAll();
    this.model.delAll(id);
  }

  joinAll(room, joined) {
    this.note("sockets join", room, joined);
    this.io.in(room).socketsJoin(joined);
    this.model.apply({ rooms: new Set([room]) }, ({ id }) => this.model.addAll(id, new Set([joined])));
  }

  leaveAllOf(room, left) {
    this.note("sockets leave", room, left);
    this.io.in(room).socketsLeave(left);
    this.model.apply({ rooms: new Set([room]) }, ({ id }) => this.model.del(id, left));
  }

  emit({ id, connection, socket }) {
    const serial = this.next("emit", id);
    socket.emit("event", serial);
    if (this.recovers) this.expect(serial, [id], []);
    else connection.expected.push(serial);
  }

  broadcast() {
    const rooms = this.chance(0.3) ? [] : this.some(this.targets(), 3);
    const except = this.chance(0.6) ? [] : this.some(this.targets(), 2);
    const sender = this.chance(0.3) ? this.pick(this.guests) : undefined;
    const serial = this.next("broadcast", `to ${rooms}`, `except ${except}`, `from ${sender?.id}`);
    let operator = sender?.socket ?? this.io;
    if (rooms.length > 0) operator = operator.to(rooms);
    if (except.length > 0) operator = operator.except(except);
    if (operator === sender?.socket) operator = operator.broadcast;
    operator.emit("event", serial);
    this.expect(serial, rooms, sender === undefined ? except : [...except, sender.id]);
  }

  expect(serial, rooms, except, flags = {}) {
    const packet = { type: 2, data: ["event", serial] };
    this.model.broadcast(packet, { rooms: new Set(rooms), except: new Set(except), flags });
    if (packet.data.length > 2) this.offsets.set(serial, packet.data[2]);
  }

  /** Changes the Maps by hand. */
  tamper({ id }) {
    const room = this.pick(ROOMS);
    const kind = Math.floor(this.random() * 6);
    this.note("tamper", kind, id, room);
    for (const { rooms, sids } of [this.adapter, this.model]) {
      if (kind === 0) rooms.delete(room);
      else if (kind === 1) rooms.set(room, new Set(this.guests.slice(2).map((guest) => guest.id)));
      else if (kind === 2) rooms.get(room)?.add(id);
      else if (kind === 3) rooms.get(room)?.delete(id);
      else if (kind === 4) sids.delete(id);
      else sids.get(id)?.delete(room);
    }
  }

  // who comes and goes

  async open() {
    const ws = await RawWebSocket.open(this.server);
    ws.messages = [];
    const connection = { ws, conn: undefined, expected: [] };
    this.connections.add(connection);
    return connection;
  }

  async connect() {
    const connection = await this.open();
    const arrival = once(this.io, "connection");
    connection.ws.text("40");
    const [socket] = await arrival;
    this.arrive(connection, socket);
  }

  /** Opens a connection with so many sockets that the middleware holds back. */
  async hold(count) {
    const connection = await this.open();
    const before = this.holding.list.length;
    for (let i = 0; i < count; i++) connection.ws.text('40{"hold":true}');
    const list = await this.holding.until(before + count);
    for (const { socket, next } of list.slice(before)) {
      this.note("hold", socket.id);
      connection.conn = socket.conn;
      this.held.push({ id: socket.id, socket, next, connection });
    }
  }

  async admit(guest, isWelcome) {
    this.held.splice(this.held.indexOf(guest), 1);
    const { socket, next, connection, id } = guest;
    if (isWelcome) {
      const arrival = once(this.io, "connection");
      next();
      await arrival;
      this.arrive(connection, socket);
    } else {
      this.note("turn away", id);
      next(new Error("not welcome"));
      await tick();
      this.model.delAll(id);
    }
  }

  arrive(connection, socket) {
    const { id } = socket;
    connection.conn = socket.conn;
    this.note("connect", id);
    const writeToEngine = ([serial]) => connection.expected.push(serial);
    this.nsp.sockets.set(id, { id, socket, client: { writeToEngine } });
    this.model.addAll(id, new Set([id]));
    this.guests.push({ id, pid: socket.pid, socket, connection });
  }

  async disconnect(guest, closes) {
    this.note("disconnect", guest.id, closes);
    await this.synchronise(guest.connection);
    const companions = closes
      ? this.guests.filter(({ connection }) => connection === guest.connection)
      : [guest];
    guest.socket.disconnect(closes);
    for (const companion of companions) this.depart(companion);
    if (closes) await this.forget(guest.connection);
  }

  async drop({ connection }) {
    const companions = this.guests.filter((guest) => guest.connection === connection);
    this.note("drop", ...companions.map(({ id }) => id));
    await this.synchronise(connection);
    const gone = companions.map(({ socket }) => once(socket, "disconnect"));
    connection.ws.destroy();
    await Promise.all(gone);
    for (const guest of companions) {
      const rooms = [...(this.model.socketRooms(guest.id) ?? [])];
      if (!this.hasTwin(guest)) {
        this.model.persistSession({ sid: guest.id, pid: guest.pid, rooms, data: {} });
      }
      const last = connection.ws.messages.map(parse).findLast((event) => event?.length === 3);
      if (this.recovers && last !== undefined) this.lost.push({ ...guest, serial: last[1], offset: last[2] });
      this.depart(guest);
    }
    await this.forget(connection);
  }

  depart(guest) {
    this.guests.splice(this.guests.indexOf(guest), 1);
    if (this.hasTwin(guest)) return;
    this.model.delAll(guest.id);
    this.nsp.sockets.delete(guest.id);
  }

  /** Whether the session is another connection's by now. With stock, that does not keep anybody from ending it. */
  hasTwin({ id, socket }) {
    return !isStock && this.nsp.sockets.has(id) && this.nsp.sockets.get(id).socket !== socket;
  }

  /** A connection has ended, and with it those that were still held back: they leave when the middleware is done. */
  async forget(connection) {
    this.connections.delete(connection);
    connection.ws.destroy();
    for (const guest of this.held.filter((one) => one.connection === connection)) {
      this.note("give up", guest.id);
      this.held.splice(this.held.indexOf(guest), 1);
      guest.next();
      await tick();
      this.model.delAll(guest.id);
    }
  }

  async recover({ id, pid, serial, offset }) {
    const session = await this.model.restoreSession(pid, this.offsets.get(serial));
    const connection = await this.open();
    const arrival = once(this.io, "connection");
    connection.ws.text(`40${JSON.stringify({ pid, offset })}`);
    const [socket] = await arrival;
    assert.equal(socket.recovered, session !== null);
    this.note("recover", id);
    if (session !== null) {
      assert.equal(socket.id, session.sid);
      for (const room of session.rooms) this.model.addAll(id, new Set([room]));
      for (const [, missed] of session.missedPackets) connection.expected.push(missed);
    }
    this.arrive(connection, socket);
  }

  // what has to be equal

  /** Resolves when a connection has got all that was sent to it. */
  async synchronise({ ws, conn }) {
    const end = `end ${++this.ends}`;
    conn.send(`2["${end}"]`);
    await ws.changes.until(() => ws.messages.includes(`42["${end}"]`) || ws.end !== null);
    assert.equal(ws.end, null);
  }

  async compare() {
    for (const connection of this.connections) {
      await this.synchronise(connection);
      const events = connection.ws.messages.map(parse).filter((event) => event?.[0] === "event");
      assert.deepEqual(
        events.map(([, serial]) => serial),
        connection.expected,
      );
    }
    assert.deepEqual(this.events, this.expectedEvents);
    this.events.length = 0;
    this.expectedEvents.length = 0;
    assert.deepEqual(
      this.guests.map(({ socket }) => [...socket.rooms]),
      this.guests.map(({ id }) => [...(this.model.socketRooms(id) ?? [])]),
    );
    if (this.looks) {
      assert.deepEqual(this.adapter.rooms, this.model.rooms);
      assert.deepEqual(this.adapter.sids, this.model.sids);
    }
  }

  // chance

  chance(probability) {
    return this.random() < probability;
  }

  pick(list) {
    return list[Math.floor(this.random() * list.length)];
  }

  some(list, most) {
    return Array.from({ length: 1 + Math.floor(this.random() * most) }, () => this.pick(list));
  }

  targets() {
    return [...ROOMS, this.pick(this.guests).id];
  }

  next(...what) {
    this.note(++this.serial, ...what);
    return this.serial;
  }

  note(...what) {
    this.log.push(what.join(" "));
  }
}

function tick() {
  return new Promise(setImmediate);
}

/** The event in a message. */
function parse(message) {
  return message.startsWith("42") ? JSON.parse(message.slice(2)) : undefined;
}
