"use strict";

/** For `oracle.js`: programs of commands, encoded by `lib/native/commands.js`, and a line for each operation that says what it means. */

const { Commands, NOTIFY, TARGET_CONNECTION, wholeText } = require("../lib/native/commands");

const WORKERS = 3;

/** Draws from bytes; zeros behind their end. */
class Choices {
  constructor(bytes) {
    this.bytes = bytes;
    this.at = 0;
  }

  get isEmpty() {
    return this.at >= this.bytes.length;
  }

  byte() {
    return this.bytes[this.at++] ?? 0;
  }

  id() {
    return this.byte() | (this.byte() << 21);
  }

  ids() {
    return Array.from({ length: this.byte() % 5 }, () => this.id());
  }

  targets() {
    return this.ids().map((id) => (id % 2 === 0 ? id : id + TARGET_CONNECTION));
  }

  flags() {
    return this.byte() & 7;
  }

  /** Text of any units, halves of characters included, but at its end. */
  text() {
    const length = this.byte() % 9;
    let text = "";
    for (let i = 0; i < length; i++) {
      const byte = this.byte();
      text += String.fromCharCode(byte < 128 ? byte : byte < 192 ? 0xd7f0 + (byte << 4) : byte << 3);
    }
    return wholeText(text);
  }

  packets(buffers) {
    const count = this.byte() % 4;
    const list = Array.from({ length: count }, () => buffers[this.byte() % buffers.length]);
    return count === 0 || this.byte() % 3 > 0 ? [this.text(), ...list] : list;
  }
}

/**
 * @param {Buffer} bytes
 * @returns {{batches: object[], expected: string[]}} what crosses, in order, and what it means
 */
function encode(bytes) {
  const choices = new Choices(bytes);
  const batches = [];
  const expected = [];
  const native = {
    submit(words, count, places, text, buffers, mask) {
      batches.push({
        words: [...words.subarray(0, count)],
        places: [...words.subarray(count, count + places)],
        text: text.toWellFormed(),
        buffers: (buffers ?? []).map((buffer) => Buffer.from(buffer).toString("hex")),
        mask: mask >>> 0,
      });
    },
  };
  const commands = new Commands(native, WORKERS);
  // flushed by hand: this program has no ticks
  commands.held = true;
  commands._isScheduledLate = true;
  const memory = Buffer.from("some memory that several share");
  const buffers = [
    memory.subarray(0, 3),
    memory.subarray(3, 9),
    new Uint8Array(memory.buffer, memory.byteOffset + 4, 5),
    new ArrayBuffer(2),
  ];
  const hex = (value) =>
    Buffer.from(
      value.buffer ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength) : value,
    ).toString("hex");
  const parcel = (packets) => {
    const hasText = typeof packets[0] === "string";
    const rest = packets.slice(hasText ? 1 : 0).map(hex);
    return `${hasText ? JSON.stringify(packets[0].toWellFormed()) : "-"} [${rest}]`;
  };
  const list = (ids) => `[${ids}]`;
  // consecutive recipients of the same packets are one operation
  let shared;
  // and so are those of the same message, from the second on
  let often;
  const recipients = new Map();
  while (!choices.isEmpty) {
    const kind = choices.byte() % 33;
    if (kind !== 4) shared = undefined;
    if (kind !== 32 && often !== undefined) often.ids = undefined;
    const one = (name, method, ...more) => {
      const id = choices.id();
      commands[method](id, ...more);
      expected.push(`${name} ${id}`);
    };
    switch (kind) {
      case 0: {
        const [id, text, flags] = [choices.id(), choices.text(), choices.flags()];
        commands.send(id, text, flags);
        expected.push(`send ${id} ${parcel([text])} ${flags}`);
        break;
      }
      case 1: {
        const [id, buffer, flags] = [choices.id(), buffers[choices.byte() % buffers.length], choices.flags()];
        commands.sendBuffer(id, buffer, flags);
        expected.push(`send ${id} ${parcel([buffer])} ${flags}`);
        break;
      }
      case 2: {
        const [id, packets, flags] = [choices.id(), choices.packets(buffers), choices.flags()];
        commands.sendPackets(id, packets, flags);
        expected.push(`send ${id} ${parcel(packets)} ${flags}`);
        break;
      }
      case 3: {
        const [packets, targets, except, flags] = [
          choices.packets(buffers),
          choices.targets(),
          choices.targets(),
          choices.flags(),
        ];
        commands.broadcast(packets, targets, except, flags);
        expected.push(`broadcast ${list(targets)} ${list(except)} ${parcel(packets)} ${flags}`);
        break;
      }
      case 4: {
        const id = choices.id();
        const isMore = shared !== undefined && choices.byte() % 4 > 0;
        if (!isMore)
          shared = {
            packets: choices.packets(buffers),
            flags: choices.flags(),
            ids: [],
            at: expected.push("") - 1,
          };
        const before = batches.length;
        shared.ids.push(id);
        commands.sendShared(id, shared.packets, shared.flags);
        expected[shared.at] = `multicast ${list(shared.ids)} ${parcel(shared.packets)} ${shared.flags}`;
        if (batches.length > before) shared = undefined;
        break;
      }
      case 5: {
        const [id, ids] = [choices.id(), choices.ids()];
        commands.room(id, ids);
        expected.push(`room ${id} ${list(ids)}`);
        break;
      }
      case 6:
        one("dropRoom", "dropRoom");
        break;
      case 7:
      case 8: {
        const [room, id] = [choices.id(), choices.id()];
        commands[kind === 7 ? "join" : "leave"](room, id);
        expected.push(`${kind === 7 ? "join" : "leave"} ${room} ${id}`);
        break;
      }
      case 9: {
        const discard = choices.byte() % 2 === 1;
        const id = choices.id();
        commands.close(id, discard);
        expected.push(`close ${id} ${Number(discard)}`);
        break;
      }
      case 10: {
        const mask = choices.byte();
        const id = choices.id();
        commands.watch(id, mask);
        expected.push(`watch ${id} ${mask}`);
        break;
      }
      case 11:
      case 12:
      case 13: {
        const [name, method] = [
          ["post", "post"],
          ["pass", "pass"],
          ["answer", "answerPreflight"],
        ][kind - 11];
        const [id, text] = [choices.id(), choices.text()];
        commands[method](id, text);
        expected.push(`${name} ${id} ${JSON.stringify(text.toWellFormed())}`);
        break;
      }
      case 14: {
        const [id, stream, sid, headers] = [
          choices.id(),
          choices.id(),
          choices.byte() % 2 ? "S-_1" : "",
          choices.text(),
        ];
        const revision = [4, 3, 11, 12][choices.byte() % 4];
        commands.admit(id, stream, revision, sid, headers);
        expected.push(
          `admit ${id} ${stream} ${revision} ${JSON.stringify(sid)} ${JSON.stringify(headers.toWellFormed())}`,
        );
        break;
      }
      case 15: {
        const [id, stream] = [choices.id(), choices.id()];
        const opening = {
          sid: "S",
          origin: "",
          upgrades: "websocket",
          cookie: wholeText(choices.text()),
          first: choices.text(),
          cors: choices.text(),
        };
        commands.admitPolling(id, stream, opening);
        const lengths = `${Buffer.byteLength(opening.cookie)}\n${Buffer.byteLength(opening.first)}`;
        const text = `S\n\nwebsocket\n${lengths}\n${opening.cookie}${opening.first}${opening.cors}`;
        expected.push(`admitPolling ${id} ${stream} ${JSON.stringify(text.toWellFormed())}`);
        break;
      }
      case 16: {
        const ifIdle = choices.byte() % 2 === 1;
        const id = choices.id();
        commands.hangUp(id, ifIdle);
        expected.push(`hangUp ${id} ${Number(ifIdle)}`);
        break;
      }
      case 17: {
        const [id, milliseconds] = [choices.id(), choices.byte()];
        commands.expire(id, milliseconds === 0 ? Infinity : milliseconds);
        expected.push(`expire ${id} ${milliseconds === 0 ? "never" : milliseconds}`);
        break;
      }
      case 18: {
        const [id, policy, maxBytes, maxAge] = [choices.id(), choices.byte(), choices.byte(), choices.byte()];
        const namespace = `/${choices.text()}`;
        const bound = (number) => (number === 0 ? Infinity : number);
        const rule = { policy, maxBytes: bound(maxBytes), maxAge: bound(maxAge) };
        commands.slowConsumer(id, namespace, rule);
        const name = JSON.stringify((namespace === "/" ? "" : namespace).toWellFormed());
        const said = policy > 3 ? "none" : `${policy} ${maxBytes} ${maxAge}`;
        expected.push(`slowConsumer ${id} ${name} ${said}`);
        break;
      }
      case 30: {
        const [id, first] = [choices.id(), choices.byte()];
        const payload = buffers[choices.byte() % 2];
        commands.frame(id, first, payload);
        expected.push(`frame ${id} ${parcel([payload])} ${first}`);
        break;
      }
      case 31: {
        const [id, isHalted] = [choices.id(), choices.byte() % 2 === 1];
        commands.halt(id, isHalted);
        expected.push(`halt ${id} ${Number(isHalted)}`);
        break;
      }
      case 32: {
        const id = choices.id();
        const isMore = often !== undefined && often.crossed === batches.length && choices.byte() % 4 > 0;
        if (!isMore) {
          const isText = choices.byte() % 2 === 0;
          const data = isText ? choices.text() : buffers[choices.byte() % 2];
          // another one, even if it has the same in it
          commands._often = undefined;
          often = { data, isText, flags: choices.flags(), ids: undefined, seen: new Set() };
        }
        if (!recipients.has(id)) recipients.set(id, { _handle: id, _run: 0, _turn: 0, _turnBytes: 0 });
        const before = batches.length;
        commands.sendOften(recipients.get(id), often.data, often.isText, often.flags);
        const packet = [often.isText ? wholeText(often.data) : often.data];
        if (!isMore || (often.flags & NOTIFY) !== 0) {
          expected.push(`send ${id} ${parcel(packet)} ${often.flags}`);
          often.ids = undefined;
        } else {
          // nobody is twice in one
          if (often.ids === undefined || often.seen.has(id)) {
            often.ids = [];
            often.at = expected.push("") - 1;
          }
          if (often.seen.has(id)) often.seen.clear();
          often.ids.push(id);
          expected[often.at] = `multicast ${list(often.ids)} ${parcel(packet)} ${often.flags}`;
        }
        often.seen.add(id);
        often.crossed = batches.length === before ? before : -1;
        break;
      }
      default:
        one(...SIMPLE[kind - 19]);
    }
  }
  commands.flush();
  return { batches, expected };
}

const SIMPLE = [
  ["poll", "poll"],
  ["drop", "drop"],
  ["alive", "alive"],
  ["pipeWritten", "pipeWritten"],
  ["pipeEnd", "pipeEnd"],
  ["tellSent", "tellSent"],
  ["exempt", "exempt"],
  ["hold", "hold"],
  ["posted", "posted"],
  ["decline", "decline"],
  ["watchShown", "watchShown"],
];

module.exports = { encode };
