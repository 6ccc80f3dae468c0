import { Server } from "sockeye.io";
import { InMemoryStore, RedisStore, instrument, type Store } from "sockeye.io/admin-ui";
import { expectType } from "./helpers";

const io = new Server<{ hello: () => void }>();
const auth = { type: "basic", username: "admin", password: "$2b$10$" } as const;

expectType<void>()(instrument(io, { auth: false }));
instrument(io, { auth, mode: "production", readonly: true, serverId: "one", namespaceName: "/custom" });
instrument(io, { auth, store: new InMemoryStore() });
instrument(io, { auth, store: new RedisStore({}, { prefix: "admin", sessionDuration: 60 }) });
instrument(io, { auth, store: { doesSessionExist: async (id) => id === "1", saveSession: () => {} } });
expectType<Promise<boolean>>()((new InMemoryStore() satisfies Store).doesSessionExist("1"));
// @ts-expect-error: who may connect has to be said
instrument(io, {});
// @ts-expect-error: there is no such mode
instrument(io, { auth, mode: "verbose" });
