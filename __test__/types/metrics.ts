import { Server, type DrainProgress, type EngineMetrics, type Histogram, type Metrics } from "sockeye.io";
import { register as observe } from "sockeye.io/opentelemetry";
import { register } from "sockeye.io/prometheus";
import { expectType } from "./helpers";

const io = new Server<{ hello: () => void }>();

expectType<Metrics>()(io.metrics());
expectType<number>()(io.metrics().sockets.connects);
expectType<EngineMetrics | undefined>()(io.metrics().engine);
expectType<EngineMetrics>()(io.engine.metrics());
expectType<Histogram>()(io.engine.metrics().heartbeats.roundTrips);
expectType<number>()(io.engine.metrics().sessions.open.websocket);
// @ts-expect-error: there is no such transport
io.engine.metrics().sessions.open.carrierPigeon;

expectType<() => void>()(register(io));
register(io, { prefix: "chat_", labels: { node: "1" } });
// @ts-expect-error: labels are strings
register(io, { labels: { node: 1 } });
expectType<() => void>()(observe(io, { attributes: { node: "1" } }));

io.on("connection", async (socket) => {
  expectType<Promise<void>>()(socket.flushed());
  expectType<number>()(socket.conn.bufferedAmount);
  expectType<number>()(socket.conn.bytesRead + socket.conn.bytesWritten);
  expectType<number | undefined>()(socket.conn.roundTripTime);
  expectType<number | undefined>()(socket.conn.lastHeartbeatAt);
  expectType<number | undefined>()(socket.conn.closeCode);
  expectType<number | undefined>()(socket.conn.connectedAt);
  // @ts-expect-error: it is for reading
  socket.conn.bufferedAmount = 0;
});

expectType<Promise<DrainProgress>>()(io.drain());
io.drain({
  timeout: 1,
  rate: 1,
  patience: 1,
  onProgress: ({ remaining }) => expectType<number>()(remaining),
});
expectType<boolean>()(io.isDraining);
expectType<Promise<void>>()(io.close({ keepHttpServer: true }, () => {}));
// @ts-expect-error: a number of milliseconds
io.drain({ timeout: "soon" });
new Server({ maxSessionAge: 1, maxIdleTime: 1, connectionStateRecovery: { maxPackets: 1, maxBytes: 1 } });
io.on("connection", (socket) => expectType<typeof socket>()(socket.expireAt(new Date())));

new Server({ slowConsumer: { policy: "latest", maxBytes: 1, maxAge: 1 }, maxOutboundTotal: 1 });
// @ts-expect-error: there is no such policy
new Server({ slowConsumer: { policy: "drop" } });
new Server({ limits: { packetsPerSecond: 1, action: "drop", proxies: { trusted: ["10.0.0.0/8"] } } });
// @ts-expect-error: who is trusted has to be said
new Server({ limits: { proxies: {} } });
expectType<ReturnType<typeof io.of>>()(io.of("/prices").slowConsumer({ policy: "drop-newest" }));
io.on("connection", (socket) => {
  expectType<typeof socket>()(socket.slowConsumer(null));
  expectType<void>()(socket.conn.exempt());
});

io.serveStatus("/status", { auth: (req) => req.headers.cookie === "yes" });
io.serveStatus("/status", { auth: false });
// @ts-expect-error: who may see it has to be said
io.serveStatus("/status", {});
expectType<number>()(io.engine.traces()[0].steps[0].at);
