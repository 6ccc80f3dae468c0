import { Server } from "sockeye.io";
import type { BroadcastOperator, Socket } from "sockeye.io";
import { check, expectType } from "./helpers";
import type { ClientToServer, Equal, ServerToClient } from "./helpers";

const io = new Server<ClientToServer, ServerToClient>();

// one client
io.on("connection", async (socket) => {
  socket.emit("ask", "6 * 7?", (text, sure) => {
    expectType<string>()(text);
    expectType<boolean>()(sure);
  });

  const patient = socket.timeout(1000);
  patient.emit("ask", "6 * 7?", (err, text, sure) => {
    expectType<Error>()(err);
    expectType<string>()(text);
    expectType<boolean>()(sure);
  });
  patient.emit("ping", (err) => expectType<Error>()(err));
  patient.emit("said", "me", "hello");
  patient.on("save", (text, done) => {
    // what the client gets is not decorated
    expectType<(id: number, at: Date) => void>()(done);
  });

  // a second timeout() adds no second error
  socket
    .timeout(1000)
    .timeout(2000)
    .emit("ask", "6 * 7?", (err, text) => expectType<string>()(text));

  expectType<string>()(await socket.emitWithAck("ask", "6 * 7?"));
  expectType<string>()(await patient.emitWithAck("ask", "6 * 7?"));
  expectType<undefined>()(await socket.emitWithAck("ping"));

  // @ts-expect-error: no acknowledgement
  socket.emitWithAck("said", "me", "hello");
  // @ts-expect-error: the callback is not for the caller to give
  socket.emitWithAck("ask", "6 * 7?", () => {});
  // @ts-expect-error: an argument is missing
  socket.emitWithAck("ask");
  // @ts-expect-error: of the other map
  socket.emitWithAck("save", "text");
});

// many clients: one array of first values, behind an error with timeout()
io.on("connection", async (socket) => {
  for (const source of [io, io.of("/chat")]) {
    for (const operator of [
      source.to("a"),
      source.in("a"),
      source.except("a"),
      source.compress(true),
      source.volatile,
      source.local,
      socket.broadcast,
    ]) {
      operator.emit("ask", "6 * 7?", (texts) => expectType<string[]>()(texts));
      // @ts-expect-error: a promise needs the timeout
      operator.emitWithAck("ask", "6 * 7?");

      operator.timeout(1000).emit("ask", "6 * 7?", (err, texts) => {
        expectType<Error>()(err);
        expectType<string[]>()(texts);
      });
      expectType<string[]>()(await operator.timeout(1000).emitWithAck("ask", "6 * 7?"));
    }

    source.timeout(1000).emit("ask", "6 * 7?", (err, texts) => {
      expectType<Error>()(err);
      expectType<string[]>()(texts);
    });
    source.timeout(1000).emit("ping", (err) => expectType<Error>()(err));
    expectType<string[]>()(await source.timeout(1000).emitWithAck("ask", "6 * 7?"));
    expectType<string[]>()(await source.to("a").timeout(1).timeout(2).emitWithAck("ask", "6 * 7?"));

    // @ts-expect-error: no acknowledgement
    source.timeout(1000).emitWithAck("said", "me", "hello");
  }

  // @ts-expect-error: without a timeout, a server emits no events that want an acknowledgement
  io.emit("ask", "6 * 7?", () => {});
  // @ts-expect-error: nor does a namespace
  io.of("/chat").emit("ask", "6 * 7?", () => {});

  socket.timeout(1000).broadcast.emit("ask", "6 * 7?", (err, texts) => {
    expectType<Error>()(err);
    expectType<string[]>()(texts);
  });
});

// a fetched socket answers like a socket
io.fetchSockets().then(([socket]) => {
  socket.emit("ask", "6 * 7?", (text, sure) => {
    expectType<string>()(text);
    expectType<boolean>()(sure);
  });
  socket.timeout(1000).emit("ask", "6 * 7?", (err, text) => {
    expectType<Error>()(err);
    expectType<string>()(text);
  });
});

// what the two kinds of decoration come to
interface Decorated {
  said: (from: string, text: string) => void;
  ask: (question: string, answer: (err: Error, text: string, sure: boolean) => void) => void;
  ping: (pong: (err: Error) => void) => void;
  message: (text: string) => void;
}

interface Collected {
  said: (from: string, text: string) => void;
  ask: (question: string, answer: (texts: string[]) => void) => void;
  ping: (pong: () => void) => void;
  message: (text: string) => void;
}

declare const socket: Socket<ClientToServer, ServerToClient>;
const timedOut: Socket<ClientToServer, Decorated> = socket.timeout(1);
const broadcast: BroadcastOperator<Collected, any> = socket.broadcast;
timedOut;
broadcast;

// untyped
async function untyped(io: Server) {
  expectType<any>()(await io.timeout(1000).emitWithAck("anything", 1, 2));
  expectType<any>()(await io.to("a").emitWithAck("anything"));
  io.to("a").emit("anything", (err: Error, answers: number[]) => answers);
}
check<Equal<ReturnType<typeof untyped>, Promise<void>>>();
