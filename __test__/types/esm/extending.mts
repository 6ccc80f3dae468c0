import { Server } from "sockeye.io";
import { Server as Engine } from "sockeye.io/engine.io";
import { check } from "../helpers.js";
import type { Equal } from "../helpers.js";

// what is added by way of a module is there for those that import it
declare module "sockeye.io" {
  interface Socket {
    locale: string;
  }
}

new Server().on("connection", (socket) => {
  check<Equal<typeof socket.locale, string>>();
  // @ts-expect-error nobody has added this
  socket.region;
});

// @ts-expect-error the module has no default export
import io from "sockeye.io";
// @ts-expect-error nor has that of the engine
import engine from "sockeye.io/engine.io";

export { Engine, engine, io };
