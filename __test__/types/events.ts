import { Server, Socket } from "sockeye.io";
import type { DefaultEventsMap, DisconnectReason, Event } from "sockeye.io";
import { check, expectType } from "./helpers";
import type { ClientToServer, Equal, ServerToClient } from "./helpers";

// without maps, any event goes, with any arguments
{
  const io = new Server();

  io.emit("anything", 1, "2", [3], () => {});
  io.to("room").emit("anything", Buffer.alloc(1));
  io.send(1, 2).write("3");

  io.on("connection", (socket) => {
    expectType<Socket<DefaultEventsMap, DefaultEventsMap, DefaultEventsMap, any>>()(socket);

    socket.on("anything", (a, b, done) => {
      expectType<any>()(a);
      done(b.c);
    });
    socket.once("anything", async () => {});
    socket.emit("anything", 1, (answer: string) => answer.length);
    socket.send("hello").write("hello");
  });

  enum Name {
    Connection = "connection",
    Hello = "hello",
  }

  io.on(Name.Connection, (socket) => {
    expectType<Socket>()(socket);
    socket.on(Name.Hello, (a, b) => {
      expectType<any>()(a);
      expectType<any>()(b);
    });
  });
}

// one map serves both directions
{
  const io = new Server<ClientToServer>();
  expectType<Server<ClientToServer, ClientToServer, DefaultEventsMap, any>>()(io);

  io.on("connection", (socket) => {
    expectType<Socket<ClientToServer, ClientToServer, DefaultEventsMap, any>>()(socket);
    socket.emit("say", "hello");
  });
}

// listeners are typed by the first map, emits by the second
new Server<ClientToServer, ServerToClient>().on("connection", (socket) => {
  socket.on("say", (text) => expectType<string>()(text));
  socket.on("quit", (...args) => expectType<[]>()(args));
  socket.once("save", (text, done) => {
    expectType<string>()(text);
    expectType<(id: number, at: Date) => void>()(done);
    done(1, new Date());
    // @ts-expect-error: the acknowledgement takes a number first
    done("1", new Date());
  });
  expectType<((text: string) => void)[]>()(socket.listeners("say"));

  // @ts-expect-error: of the other map
  socket.on("said", () => {});
  // @ts-expect-error: of neither map
  socket.on("unknown", () => {});
  // @ts-expect-error: the argument is a string
  socket.on("say", (text: number) => text);
  // @ts-expect-error: there is one argument only
  socket.on("say", (text, more) => more);
  // @ts-expect-error: names are no numbers
  socket.on(1, () => {});

  expectType<boolean>()(socket.emit("said", "me", "hello"));
  socket.send("hello").write("hello").emit("message", "hello");

  // @ts-expect-error: of the other map
  socket.emit("say", "hello");
  // @ts-expect-error: an argument is missing
  socket.emit("said", "me");
  // @ts-expect-error: an argument too many
  socket.emit("said", "me", "hello", "again");
  // @ts-expect-error: reserved
  socket.emit("disconnect", "transport close");
  // @ts-expect-error: a message is a string
  socket.send(1);

  for (const operator of [
    socket.to("a"),
    socket.in(["a"]),
    socket.except("a"),
    socket.broadcast,
    socket.local,
  ]) {
    operator.emit("said", "me", "hello");
    // @ts-expect-error: of the other map
    operator.emit("say", "hello");
  }

  // flags keep the type
  expectType<Socket<ClientToServer, ServerToClient, DefaultEventsMap, any>>()(socket.volatile);
  expectType<Socket<ClientToServer, ServerToClient, DefaultEventsMap, any>>()(socket.compress(false));
  socket.compress(false).volatile.emit("said", "me", "hello");
  socket.broadcast.compress(true).volatile.local.to("a").in("b").except(["c"]).emit("said", "me", "hello");
});

// a map without `message` has nothing to send
{
  const io = new Server<ServerToClient, ClientToServer>();
  // @ts-expect-error: no such event
  io.send("hello");
  // @ts-expect-error: no such event
  io.of("/chat").write("hello");
}

// reserved events
new Server<ClientToServer, ServerToClient>().on("connection", (socket) => {
  socket.on("disconnect", (reason, description) => {
    expectType<DisconnectReason>()(reason);
    expectType<any>()(description);
    // @ts-expect-error: no such reason
    if (reason === "boredom") return;
  });
  socket.on("disconnecting", (reason) => expectType<DisconnectReason>()(reason));
  socket.on("error", (err) => expectType<Error>()(err));
});

check<
  Equal<
    DisconnectReason,
    | "transport error"
    | "transport close"
    | "forced close"
    | "ping timeout"
    | "parse error"
    | "server shutting down"
    | "forced server close"
    | "client namespace disconnect"
    | "server namespace disconnect"
  >
>();

// catch-all listeners
new Server<ClientToServer, ServerToClient>().on("connection", (socket) => {
  const listener = (event: string, ...args: any[]) => console.log(event, args);

  socket.onAny(listener).prependAny(listener).offAny(listener).offAny();
  socket.onAnyOutgoing(listener).prependAnyOutgoing(listener).offAnyOutgoing(listener).offAnyOutgoing();
  expectType<((...args: any[]) => void)[]>()(socket.listenersAny());
  expectType<((...args: any[]) => void)[]>()(socket.listenersAnyOutgoing());
});

// events that are made up as a program goes
function forward(socket: Socket, event: Event) {
  const [name, ...args] = event;
  expectType<string>()(name);
  expectType<any[]>()(args);
  socket.emit(...event);
}
forward;
