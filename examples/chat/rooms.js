"use strict";

const { randomUUID } = require("node:crypto");
const { Refusal } = require("./refusal");

const LOBBY = "lobby";
const PERMANENT = [LOBBY, "random"];
const MAX_ROOMS = 50;
const ROOM_NAME = /^[\p{L}\p{N}]([\p{L}\p{N} _-]{0,22}[\p{L}\p{N}_-])?$/u;

/** The rooms there are, each with its latest messages. Who is in them is known by the sessions and by Socket.IO. */
class Rooms {
  #rooms = new Map();
  #historySize;

  constructor({ historySize }) {
    this.#historySize = historySize;
    for (const name of PERMANENT) {
      this.#rooms.set(name, new Room(name, historySize));
    }
  }

  names() {
    return [...this.#rooms.keys()];
  }

  get(name) {
    const room = this.#rooms.get(name);
    if (!room) {
      throw new Refusal("There is no such room.");
    }
    return room;
  }

  create(name) {
    if (typeof name !== "string" || !ROOM_NAME.test(name)) {
      throw new Refusal("A room's name has 1 to 24 letters, digits, spaces, hyphens or underscores.");
    }
    if (this.#rooms.has(name)) {
      throw new Refusal("There is a room with this name already.");
    }
    if (this.#rooms.size >= MAX_ROOMS) {
      throw new Refusal("There are too many rooms.");
    }
    this.#rooms.set(name, new Room(name, this.#historySize));
  }

  /** Removes the rooms that nobody uses. Returns whether there was one. */
  removeUnless(isUsed) {
    const unused = this.names().filter((name) => !PERMANENT.includes(name) && !isUsed(name));
    for (const name of unused) {
      this.#rooms.delete(name);
    }
    return unused.length > 0;
  }
}

class Room {
  /** Oldest first. */
  history = [];
  #historySize;
  /** message id -> the bytes of its image, as long as the message is in the history */
  #images = new Map();

  constructor(name, historySize) {
    this.name = name;
    this.#historySize = historySize;
  }

  add(content, imageData) {
    const message = { id: randomUUID(), room: this.name, at: Date.now(), ...content };
    this.history.push(message);
    if (imageData) {
      this.#images.set(message.id, imageData);
    }
    if (this.history.length > this.#historySize) {
      this.#images.delete(this.history.shift().id);
    }
    return message;
  }

  image(id) {
    const data = this.#images.get(id);
    if (!data) {
      throw new Refusal("This image is no longer here.");
    }
    return data;
  }
}

module.exports = { Rooms, LOBBY };
