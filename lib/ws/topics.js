"use strict";

const { isUtf8 } = require("node:buffer");
const { COMPRESS, TARGET_CONNECTION } = require("../native/commands");
const { payloadOf } = require("./payload");

/**
 * Who gets what is said to many: all clients of a server, and those that have subscribed to a topic. The workers have a room
 * for each, so that a message to it is one operation.
 */
class Topics {
  /** @param {Bridge} bridge */
  constructor(bridge) {
    this._bridge = bridge;
    /** Topics by their names. */
    this._topics = new Map();
    /** Room of all clients, once something is said to them. */
    this._everybody = undefined;
  }

  /** A client has come. */
  enter(ws) {
    if (this._everybody !== undefined) this._bridge.commands.join(this._everybody.number, ws._handle);
  }

  /** A client has gone; its worker has taken it out of all rooms. */
  leave(ws) {
    const topics = ws._subscriptions;
    if (topics === undefined) return;
    ws._subscriptions = undefined;
    for (const topic of topics) this._remove(topic, ws);
  }

  subscribe(ws, name) {
    if (ws._isEnded) return;
    let topic = this._topics.get(name);
    if (topic === undefined) {
      topic = { name, members: new Set(), number: -1 };
      topic.number = this._bridge.rooms.add(topic);
      this._bridge.commands.room(topic.number, []);
      this._topics.set(name, topic);
    }
    if (topic.members.has(ws)) return;
    topic.members.add(ws);
    (ws._subscriptions ??= new Set()).add(topic);
    this._bridge.commands.join(topic.number, ws._handle);
  }

  unsubscribe(ws, name) {
    const topic = this._topics.get(name);
    if (topic === undefined || !ws._subscriptions?.delete(topic)) return;
    this._bridge.commands.leave(topic.number, ws._handle);
    this._remove(topic, ws);
  }

  _remove(topic, ws) {
    topic.members.delete(ws);
    if (topic.members.size !== 0) return;
    this._topics.delete(topic.name);
    this._bridge.rooms.remove(topic.number);
    this._bridge.commands.dropRoom(topic.number);
  }

  /** How many have subscribed to a topic. */
  sizeOf(name) {
    return this._topics.get(name)?.members.size ?? 0;
  }

  /** Sends a message to those that have subscribed to a topic. @returns {number} how many these are */
  publish(name, payload, options) {
    const topic = this._topics.get(name);
    if (topic === undefined) return 0;
    this._send(topic.number, payload, options);
    return topic.members.size;
  }

  /** Sends a message to all clients. */
  broadcast(payload, options) {
    const { conns, commands, rooms } = this._bridge;
    if (this._everybody === undefined) {
      this._everybody = { number: -1 };
      this._everybody.number = rooms.add(this._everybody);
      const handles = conns.items.filter((ws) => ws !== undefined).map((ws) => ws._handle);
      commands.room(this._everybody.number, handles);
    }
    this._send(this._everybody.number, payload, options);
  }

  _send(
    room,
    data,
    { binary = typeof data !== "string" && typeof data !== "number", compress = true, except } = {},
  ) {
    let payload = payloadToAll(data);
    if (binary) payload = Buffer.from(payload);
    else if (typeof payload !== "string") payload = textOf(payload);
    const spared = except == null ? [] : isIterable(except) ? [...except] : [except];
    // a number is that of a connection of these workers only
    const { conns } = this._bridge;
    const ours = spared.filter((ws) => conns.get(ws._handle) === ws);
    const targets = ours.map((ws) => (ws._handle | TARGET_CONNECTION) >>> 0);
    this._bridge.commands.broadcast([payload], [room], targets, compress ? COMPRESS : 0);
  }
}

/** Data of the application, as what can be sent to many. */
function payloadToAll(data) {
  const payload = payloadOf(typeof data === "number" ? String(data) : data);
  if (payload instanceof Promise) throw new TypeError("a Blob has to be read before it can be sent to many");
  return payload;
}

/** Bytes that are to be sent as text. */
function textOf(payload) {
  if (!isUtf8(payload)) throw new TypeError("a text message has to be UTF-8");
  return payload.toString();
}

function isIterable(value) {
  return typeof value[Symbol.iterator] === "function";
}

module.exports = { Topics, isIterable };
