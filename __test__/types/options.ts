import { createServer } from "http";
import { createServer as createHttp2Server, createSecureServer } from "http2";
import { createServer as createHttpsServer } from "https";
import { Adapter, SessionAwareAdapter } from "socket.io-adapter";
import { Server } from "sockeye.io";
import type { Namespace, ServerOptions } from "sockeye.io";
import { expectType } from "./helpers";

// ways to get a server
new Server();
new Server(3000);
new Server(undefined, {});
new Server({ path: "/ws" });
new Server(createServer(), { path: "/ws" });
new Server(createHttpsServer());
new Server(createHttp2Server());
new Server(createSecureServer());
new Server().attach(createServer()).listen(3000, { pingInterval: 1000 });
new Server().bind({});
new Server().attachApp({}, {});
// @ts-expect-error: ports are numbers
new Server("3000");
// @ts-expect-error: no server
new Server().attach({});

// all options
new Server({
  path: "/ws",
  serveClient: false,
  adapter: Adapter,
  parser: { Encoder: class {}, Decoder: class {} },
  connectTimeout: 10000,
  connectionStateRecovery: { maxDisconnectionDuration: 60000, skipMiddlewares: false },
  cleanupEmptyChildNamespaces: true,

  destroyUpgrade: false,
  destroyUpgradeTimeout: 500,
  addTrailingSlash: false,

  workers: 2,
  maxOutboundBuffer: 16e6,
  nativeTls: false,
  pingTimeout: 10000,
  pingInterval: 5000,
  upgradeTimeout: 5000,
  maxHttpBufferSize: 1e5,
  maxBufferedChunks: 100,
  httpRequestBodyTimeout: 5000,
  allowRequest: (req, fn) => {
    expectType<string | undefined>()(req.headers.origin);
    fn(null, true);
    fn(undefined, true);
    fn("not here", false);
    // @ts-expect-error: the decision is missing
    fn("not here");
  },
  transports: ["polling", "websocket", "webtransport"],
  allowUpgrades: false,
  perMessageDeflate: {
    serverNoContextTakeover: true,
    clientNoContextTakeover: true,
    serverMaxWindowBits: 10,
    clientMaxWindowBits: 10,
    zlibDeflateOptions: { level: 6, memLevel: 8, windowBits: 15 },
    zlibInflateOptions: { chunkSize: 16 * 1024 },
    threshold: 2048,
    concurrencyLimit: 10,
  },
  httpCompression: { threshold: 2048 },
  wsEngine: class {},
  initialPacket: "hello",
  cookie: {
    name: "sid",
    domain: "example.com",
    encode: encodeURIComponent,
    expires: new Date(),
    httpOnly: true,
    maxAge: 3600,
    partitioned: true,
    path: "/",
    priority: "high",
    sameSite: "none",
    secure: true,
  },
  cors: { origin: [/\.example\.com$/, "https://example.org"], credentials: true },
  allowEIO3: true,
});

// what has several forms
new Server({ perMessageDeflate: true, httpCompression: false, cookie: true, connectionStateRecovery: {} });
new Server({ adapter: (nsp: Namespace) => new SessionAwareAdapter(nsp) });
new Server({
  cors: (req, callback) => callback(null, { origin: req.headers.origin === "https://example.com" }),
});
new Server({ cors: { origin: (origin, callback) => callback(null, origin !== undefined) } });

// what is wrong
// @ts-expect-error: no such option
new Server({ ping: 1000 });
// @ts-expect-error: a number of threads
new Server({ workers: "auto" });
// @ts-expect-error: no such transport
new Server({ transports: ["flashsocket"] });
// @ts-expect-error: a cookie has a name
new Server({ cookie: { path: "/" } });
// @ts-expect-error: no such setting
new Server({ perMessageDeflate: { level: 6 } });
// @ts-expect-error: no such setting
new Server({ connectionStateRecovery: { duration: 1000 } });
// @ts-expect-error: not an adapter
new Server({ adapter: () => "adapter" });

// frameworks collect the options in stages
const some: Partial<ServerOptions> = { cors: undefined, workers: undefined };
new Server({ ...some, path: "/ws" });
expectType<number | undefined>()(some.workers);
function complete(options: Partial<ServerOptions>): Pick<ServerOptions, "path" | "serveClient"> {
  return { path: options.path ?? "/socket.io", serveClient: options.serveClient ?? true };
}
complete(some);

// getters that are setters
const io = new Server();
expectType<string>()(io.path());
expectType<boolean>()(io.serveClient());
expectType<number>()(io.connectTimeout());
expectType<ServerOptions["adapter"] | undefined>()(io.adapter());
expectType<Server>()(io.path("/ws").serveClient(false).connectTimeout(1000).adapter(Adapter));

// closing
expectType<Promise<void>>()(io.close());
io.close((err) => expectType<Error | undefined>()(err));
