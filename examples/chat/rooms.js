"use strict";

const { randomUUID } = require("node:crypto");
const { Refusal } = require("./refusal");

const LOBBY = "lobby";
const PERMANENT = [LOBBY, "random"];
const MAX_ROOMS = 50;
const ROOM_NAME = /^[\p{L}\p{N}]([\p{L}\p{N} _-]{0,22}[\p{L}\p{N}_-])?$/u;

/**
 * The rooms there are, each with its latest messages. Who is in them is known by the sessions and by Socket.IO.
 *
 * Every change is told to `onChange`, so that other processes can keep the same rooms: see examples/cluster.
 */
class Rooms {
  #rooms = new Map();
  #historySize;
  #onChange;

  constructor({ historySize, onChange = () => {} }) {
    this.#historySize = historySize;
    this.#onChange = onChange;
    for (const name of PERMANENT) {
      this.#open(name);
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
    this.#open(name);
    this.#onChange({ opened: name });
  }

  /** Makes a change that another process has made. */
  apply({ opened, closed, message, imageData }) {
    if (opened !== undefined && !this.#rooms.has(opened)) {
      this.#open(opened);
    }
    if (closed !== undefined) {
      this.#rooms.delete(closed);
    }
    if (message !== undefined) {
      this.#rooms.get(message.room)?.keep(message, imageData);
    }
  }

  /** The changes that make these rooms out of none. */
  snapshot() {
    return [...this.#rooms.values()].flatMap((room) => [{ opened: room.name }, ...room.snapshot()]);
  }

  #open(name) {
    this.#rooms.set(name, new Room(name, this.#historySize, this.#onChange));
  }

  /** Removes the rooms that nobody uses. Returns whether there was one. */
  removeUnless(isUsed) {
    const unused = this.names().filter((name) => !PERMANENT.includes(name) && !isUsed(name));
    for (const name of unused) {
      this.#rooms.delete(name);
      this.#onChange({ closed: name });
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
  #onChange;

  constructor(name, historySize, onChange) {
    this.name = name;
    this.#historySize = historySize;
    this.#onChange = onChange;
  }

  add(content, imageData) {
    const message = { id: randomUUID(), room: this.name, at: Date.now(), ...content };
    this.keep(message, imageData);
    this.#onChange({ message, imageData });
    return message;
  }

  keep(message, imageData) {
    if (this.history.some(({ id }) => id === message.id)) {
      return; // from a snapshot as well as by itself
    }
    this.history.push(message);
    if (imageData) {
      this.#images.set(message.id, Buffer.from(imageData));
    }
    if (this.history.length > this.#historySize) {
      this.#images.delete(this.history.shift().id);
    }
  }

  snapshot() {
    return this.history.map((message) => ({ message, imageData: this.#images.get(message.id) }));
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
