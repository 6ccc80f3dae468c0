"use strict";

const createDebug = require("debug");
const { Admission, Announcement, PollingAdmission } = require("./admission");
const { preflightAnswer } = require("./cors");
const { openWithId, protocolOf } = require("./handshake");
const { ShownRequest, ShownUpgrade } = require("./shown");
const { countOut, uncount } = require("../node/internals");
const { giveRequest, giveSocket, introduce, isTouched, openSocket } = require("../node/shown");
const { attachSession, expectSession } = require("../node/secure-socket");
const { Stream } = require("../node/stream");
const { RefusedFacts, handshakeError, isRemembered, isTooSlow } = require("../node/tls-errors");
const { TlsFacts } = require("../node/tls-terms");
const { warnOnce } = require("../node/warning");

const debug = createDebug("engine");

/** A connection is left to Node that need not be. */
function onFailure(error) {
  debug("an accepted connection is left to Node: %s", error);
  warnOnce("SOCKEYE_ARRIVALS", "accepted connections are left to Node's HTTP server", error);
}

/** An accepted connection of which it is not known yet what it begins with. */
class Arrival extends Stream {
  constructor(arrivals, handle, entrance) {
    super(arrivals.server._bridge);
    this.arrivals = arrivals;
    /** Node's handle, until it is closed, or others have it. */
    this._handle = handle;
    this._entrance = entrance;
    /** The `net.Socket`, if somebody has asked for it. */
    this._socket = undefined;
    /** What requests that were read from it remember of it. */
    this._origin = undefined;
    /** The last request that the application was shown: see `ShownRequest`. */
    this._shown = undefined;
    /** Whether those who listen for connections have been told of it. */
    this._isKnown = false;
    /** What is known of the TLS session over it, once that is established. */
    this._facts = undefined;
    /** What goes on when a worker has left the TLS session: a function of that, or of nothing if there is none. */
    this._onSession = undefined;
  }

  /** Whether the connection is closed, or others have it. */
  get isGone() {
    return this._handle === undefined || this._socket?.destroyed === true;
  }

  /** Whether there is a `net.Socket`. */
  get hasSocket() {
    return this._socket !== undefined;
  }

  /** @override */
  get socket() {
    if (this._socket === undefined && this._handle !== undefined) {
      const socket = openSocket(this.arrivals.httpServer, this._handle, this._facts);
      socket.on("error", noop);
      socket.on("close", () => this._onSocketClose());
      this._socket = socket;
    }
    return this._socket;
  }

  /** What is known of the TLS session over it: see `TlsFacts`. */
  factsOf(word, host) {
    if (this._facts === undefined) {
      this._facts = new TlsFacts(word, host, this.arrivals.tls.certificate);
      this.arrivals.onSecured();
    }
    return this._facts;
  }

  /** What is to be remembered of it, however many requests come over it. */
  originOf(announcement) {
    return (this._origin ??= announcement.makeOrigin());
  }

  /**
   * A worker has recognised a request: see `Announcement`.
   * @param {string} text
   * @param {number} ports
   * @param {number} lengths
   * @param {number} security
   * @param {string} method
   * @param {boolean} offersExtensions
   */
  onRequest(text, ports, lengths, security, method, offersExtensions) {
    if (this._handle === undefined) return;
    const { server, path } = this.arrivals;
    const announcement = new Announcement(this, method, text, ports, lengths, security);
    void announcement.facts;
    const { transport, sid } = announcement._query;
    const isNodes =
      this._isTouched() ||
      !announcement.url.startsWith(path) ||
      (offersExtensions && server.opts.perMessageDeflate);
    if (isNodes) {
      server._bridge.commands.decline(this.id);
    } else if (method === "OPTIONS") {
      this._answerPreflight(announcement);
    } else if (transport === "polling" && (sid || server._showsRequests())) {
      this._show(new ShownRequest(announcement));
    } else if (transport === "polling") {
      this._openPolling(new PollingAdmission(announcement));
    } else if (this.arrivals.showsUpgrades()) {
      this._show(new ShownUpgrade(announcement));
    } else if (sid) {
      this._upgrade(server.clients[sid], new Admission(announcement));
    } else {
      this._openWebSocket(new Admission(announcement));
    }
  }

  /** Tells those who listen for connections of it. */
  introduce() {
    const { socket, arrivals } = this;
    this._isKnown = true;
    introduce(arrivals.httpServer, socket);
  }

  /**
   * Has a worker look at it first.
   * @param {number} [connection] - the session that it names
   * @param {TlsTerms} [terms] - on which it is to speak TLS first
   * @returns {boolean} whether one does
   */
  begin(connection, terms) {
    if (this._isTouched()) return false;
    let isReceived = false;
    try {
      this.register(connection);
      isReceived = this.hand(terms);
    } catch (error) {
      onFailure(error);
    }
    if (!isReceived) this.bridge.releaseStream(this.id);
    return isReceived;
  }

  /** Whether somebody who listens for connections does more than to keep it. */
  _isTouched() {
    return this._isKnown && isTouched(this._socket);
  }

  /**
   * Has its worker look at it.
   * @param {TlsTerms} [terms] - on which it is to speak TLS first
   * @param {TlsSession} [session] - with which it is to go on
   * @returns {boolean} whether that worked
   */
  hand(terms, session) {
    return this.bridge.native.receive(this.id, this._handle.fd, false, terms, session);
  }

  /** Asks the application about a request. */
  _show(attempt) {
    this._shown = attempt;
    // what comes of it takes its own place
    this.arrivals.server._gate?.giveBack(this.id);
    this._entrance.run(attempt.begin, attempt);
    if (attempt.isPending) this.arrivals.watchShown(attempt);
  }

  /** A request that the application was shown is answered. */
  forget(attempt) {
    if (this._shown === attempt) this._shown = undefined;
  }

  _openWebSocket(admission) {
    const { server } = this.arrivals;
    const speaks = protocolOf(admission.announcement) === 4 || server.opts.allowEIO3;
    // whether Node's way would lead to a session without further ado
    if (speaks && this.arrivals.isOpen() && admission.enter()) {
      openWithId(server, admission, server.generateId());
    } else {
      server._bridge.commands.decline(this.id);
    }
  }

  _answerPreflight({ rawRequest }) {
    const { server } = this.arrivals;
    server._road.check();
    const mayAnswer = server._road.isOpen && server._plainCors !== undefined && !server._showsAllRequests();
    const answer = mayAnswer ? preflightAnswer(server, rawRequest) : undefined;
    if (answer !== undefined) server._bridge.commands.answerPreflight(this.id, answer);
    else server._bridge.commands.decline(this.id);
  }

  _openPolling(admission) {
    const { server } = this.arrivals;
    server._road.check();
    // for whom there is no room is refused by Node's way
    if (server._road.isOpen && admission.enter()) openWithId(server, admission, server.generateId());
    else server._bridge.commands.decline(this.id);
  }

  _upgrade(conn, admission) {
    const { server } = this.arrivals;
    const isAllowed =
      conn !== undefined && conn._canUpgrade() && conn.protocol === protocolOf(admission.announcement);
    if (isAllowed && this.arrivals.isOpen()) admission.join(conn);
    else server._bridge.commands.decline(this.id);
  }

  /**
   * What it asks for concerns a session that is on another worker.
   * @param {number} connection
   * @param {TlsSession|undefined} session - over it, if it comes by TLS
   */
  moveTo(connection, session) {
    const { bridge, id } = this;
    if (this._handle === undefined) {
      this._onSession?.(session);
    } else {
      this.register(connection);
      let isReceived = false;
      try {
        isReceived = this.hand(undefined, session);
      } catch (error) {
        debug("a connection is left to Node: %s", error);
      }
      if (!isReceived) {
        bridge.releaseStream(this.id);
        this.onReleased({ isUnanswered: false, served: 0, isCut: false, isSpoilt: false, session });
      }
    }
    bridge.releaseStream(id);
  }

  /**
   * A worker has it no more.
   * @param {object} past
   * @param {boolean} past.isUnanswered - there is a request of which it has told, and nobody has answered that
   * @param {number} past.served - how many others it has answered
   * @param {boolean} past.isCut - the connection has failed
   * @param {boolean} past.isSpoilt - nobody can go on with it
   * @param {TlsSession|undefined} past.session - over it, if it comes by TLS
   */
  onReleased({ isUnanswered, served, isCut, isSpoilt, session }) {
    if (this._handle === undefined) {
      this._onSession?.(session);
    } else if (isSpoilt) {
      this._drop();
    } else {
      if (served > 0 && this.arrivals.tls === undefined) this.arrivals.keep(this, served);
      if (isUnanswered && this._shown !== undefined) {
        this._shown.onUnserved();
        this._onSession?.(session);
      } else {
        this._giveToNode(isCut, session);
      }
    }
  }

  /**
   * It is Node's, with all that is unread.
   * @param {boolean} isCut - the connection has failed
   * @param {TlsSession} [session] - over it, if there is one
   */
  _giveToNode(isCut, session) {
    const { httpServer, tls } = this.arrivals;
    if (session !== undefined) {
      this.factsOf(session.word, session.host);
      void this.socket;
    } else if (tls !== undefined) {
      this.arrivals.onLeft("of what comes first");
    }
    // Node would take what it reads together with the failure for all that was to come
    const bytes = isCut && tls === undefined ? this._takeUnread() : undefined;
    const { _handle: handle, _socket: socket } = this;
    this._handle = undefined;
    this._origin?.end();
    if (socket !== undefined) {
      if (session !== undefined) attachSession(socket, session);
      this._entrance.run(this._give, this, httpServer, socket, bytes);
    } else {
      uncount(httpServer);
      this._entrance.handOver(handle);
    }
  }

  /** It is Node's from the request on that the application was shown. */
  giveRequest(req, res) {
    const { httpServer } = this.arrivals;
    const bytes = this._takeBytes();
    const socket = this._endWithSocket();
    const give = this._give.bind(this);
    this._entrance.run(giveRequest, undefined, httpServer, socket, req, res, bytes, give);
  }

  /** Has the HTTP server go on with the socket. */
  _give(httpServer, socket, bytes) {
    socket.removeListener("error", noop);
    giveSocket(httpServer, socket, this._isKnown);
    if (bytes !== undefined) socket.emit("data", bytes);
  }

  /** It is that of an upgrade request which somebody else answers. */
  takeSocket() {
    if (this.isGone) return this._socket;
    this._takeBytes();
    const socket = this._endWithSocket();
    socket.read(0);
    return socket;
  }

  /** Takes the request from it that the application was shown; undefined: it is left with what is still to come. */
  _takeBytes() {
    if (this._facts !== undefined) return undefined;
    return this.bridge.native.takeRequest(this._handle.fd) ?? undefined;
  }

  /** Takes from it what nobody has read. */
  _takeUnread() {
    const bytes = this.bridge.native.takeUnread(this._handle.fd) ?? undefined;
    // which need somewhere to go
    if (bytes !== undefined) void this.socket;
    return bytes;
  }

  /** A worker has no more to do with it, but Node has. */
  _endWithSocket() {
    const { socket } = this;
    this._handle = undefined;
    this._origin?.end();
    // its TLS session has yet to come, with the request once more
    if (this._facts !== undefined) {
      expectSession(socket);
      this._onSession = (session) => attachSession(socket, session, withoutHead);
    }
    this.bridge.commands.decline(this.id);
    return socket;
  }

  /** It is that of a WebSocket: Node's handle is of no use any more. */
  leaveTo(taken) {
    const { _handle: handle, _socket: socket } = this;
    this._handle = undefined;
    if (socket !== undefined) taken.adopt(socket);
    else handle.close();
  }

  /**
   * It is over.
   * @param {number} refusal - why a TLS handshake has failed: see `handshakeError`; 0: that is not it
   */
  onHungUp(refusal) {
    if (this._handle === undefined) {
      this._onSession?.(undefined);
    } else if (refusal === 0) {
      this._drop();
    } else {
      const { httpServer } = this.arrivals;
      this._facts = new RefusedFacts(refusal);
      const { socket } = this;
      const tell = () =>
        this._entrance.run(httpServer.emit, httpServer, "tlsClientError", handshakeError(refusal), socket);
      if (isTooSlow(refusal)) {
        this._handle = undefined;
        tell();
        attachSession(socket, undefined);
      } else {
        // the application may ask who that was
        if (isRemembered(refusal)) void [socket.remoteAddress, socket.localAddress];
        this._drop();
        tell();
      }
    }
  }

  /** The application closes all connections. */
  close() {
    if (this._handle === undefined) return;
    if (this._shown?.isPending) {
      this._shown.onUnserved();
      this._socket.destroy();
    } else {
      this.bridge.commands.hangUp(this.id, false);
      this._drop();
    }
  }

  _drop() {
    const { _handle: handle, _socket: socket } = this;
    this._handle = undefined;
    this._origin?.end();
    if (socket !== undefined) {
      socket.destroy();
    } else {
      handle.close();
      countOut(this.arrivals.httpServer);
    }
  }

  /** The application has destroyed the socket. */
  _onSocketClose() {
    if (this._handle === undefined) return;
    this._handle = undefined;
    this._origin?.end();
    this.bridge.commands.hangUp(this.id, false);
  }
}

/** What follows the head of a request. */
function withoutHead(bytes) {
  return bytes.subarray(bytes.indexOf(END_OF_HEAD) + END_OF_HEAD.length);
}

const END_OF_HEAD = "\r\n\r\n";

function noop() {}

module.exports = { Arrival, onFailure };
