"use strict";

const { Server: StockServer } = require("socket.io");
const { sio, listen, adopt, atEnd } = require("./harness");
const { uniqueName } = require("./services");
const { eventually, once, record } = require("./waiting");

/** Several servers, of this package and of stock, that an adapter joins; each with some clients. */
class Cluster {
  constructor() {
    /** @type {import("./harness").TestServer[]} */
    this.nodes = [];
    /** All clients, with the node that each is connected to. */
    this.members = [];
    this.rounds = 0;
  }

  /**
   * Starts the nodes, and waits until each is heard by all clients.
   *
   * @param {object} t
   * @param {object} kind one of `KINDS`
   * @param {{ packages?: ("ours" | "stock")[], clients?: number, options?: object, where?: any }} [how]
   */
  static async start(t, kind, { packages = ["ours", "ours", "stock"], clients = 10, options, where } = {}) {
    const cluster = new Cluster();
    cluster.where = where ?? (await kind.where(t));
    cluster.name = uniqueName();
    for (const name of packages) {
      const Server = name === "ours" ? sio.Server : StockServer;
      const connection = await kind.connect(cluster.where, cluster.name);
      atEnd(t, () => connection.close());
      const { httpServer, port } = await listen(t, "http");
      const io = new Server(httpServer, { adapter: connection.adapter, ...options });
      const node = adopt(t, io, port);
      node.errors = connection.errors;
      cluster.nodes.push(node);
    }
    for (const node of cluster.nodes) {
      for (const { client, socket } of await node.pairs(clients))
        cluster.members.push({ client, socket, node });
    }
    await cluster.untilHeard();
    return cluster;
  }

  /** Waits until what any node broadcasts arrives at all clients, and each node knows of all. */
  async untilHeard(ms) {
    await Promise.all(
      this.nodes.map(async (node) => {
        const event = `heard ${this.rounds++}`;
        const waiting = new Set(this.members);
        for (const member of this.members) member.client.once(event, () => waiting.delete(member));
        let nextTry = 0;
        await eventually(
          async () => {
            if (waiting.size === 0)
              return (await node.io.of("/").adapter.serverCount()) === this.nodes.length;
            if (Date.now() >= nextTry) {
              node.io.emit(event);
              nextTry = Date.now() + 50;
            }
            return false;
          },
          "a node is heard by all",
          ms,
        );
      }),
    );
  }

  /** The clients of a node. */
  of(node) {
    return this.members.filter((member) => member.node === node);
  }

  /** Broadcasts by a node, and returns for each client what it has received of "event" up to then: first arguments. */
  async received(node, broadcast) {
    const end = `end ${this.rounds++}`;
    const logs = this.members.map(({ client }) => record(client, "event"));
    const ends = this.members.map(({ client }) => once(client, end));
    await broadcast();
    node.io.emit(end);
    await Promise.all(ends);
    for (const { client } of this.members) client.off("event");
    return logs.map(({ list }) => list.map(([value]) => value));
  }
}

module.exports = { Cluster };
