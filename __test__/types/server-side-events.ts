import { Server } from "sockeye.io";
import { expectType } from "./helpers";
import type { ClientToServer, InterServer, ServerToClient } from "./helpers";

const io = new Server<ClientToServer, ServerToClient, InterServer>();

for (const source of [io, io.of("/chat")]) {
  expectType<boolean>()(source.serverSideEmit("flush", "room"));

  source.serverSideEmit("count", "room", (err, counts) => {
    expectType<Error>()(err);
    expectType<number[]>()(counts);
  });

  source.serverSideEmitWithAck("count", "room").then((counts) => expectType<number[]>()(counts));

  // @ts-expect-error: of another map
  source.serverSideEmit("said", "me", "hello");
  // @ts-expect-error: an argument is missing
  source.serverSideEmit("flush");
  // @ts-expect-error: no acknowledgement
  source.serverSideEmitWithAck("flush", "room");
}

io.on("flush", (room) => expectType<string>()(room));
io.of("/chat").on("flush", (room) => expectType<string>()(room));
io.once("count", (room, done) => {
  expectType<string>()(room);
  done(1);
  // @ts-expect-error: the acknowledgement takes a number
  done("1");
});

// @ts-expect-error: what clients send is not heard here
io.on("say", () => {});

// without a map, anything goes
const untyped = new Server();
untyped.serverSideEmit("anything", 1, "2");
untyped.serverSideEmitWithAck("anything", 1).then((answers) => expectType<any[]>()(answers));
untyped.on("anything", (a, b) => expectType<any>()(b));
