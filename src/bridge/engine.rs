//! The class that JavaScript talks to.

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use napi::bindgen_prelude::{Buffer, BufferSlice, Either, Float64ArraySlice, Function};
use napi::threadsafe_function::ThreadsafeFunctionCallMode;
use napi::{Env, Error, JsString, Result};
use napi_derive::napi;

use super::copies::Copies;
use super::metrics::{EngineMetrics, Histogram, Refused, WorkerMetrics};
#[cfg(not(unix))]
use super::no_tls::{TlsSession, TlsTerms};
use crate::os::lent::lend;
use crate::os::memory;
use crate::panics::panic_point;
use crate::protocol::engine_io::packet::{Handshake, Type};
use crate::protocol::engine_io::Protocol;
use crate::protocol::http::forwarded::Proxies;
use crate::protocol::ids::{slot_of, ConnectionId, Id, StreamId};
use crate::protocol::options::{Action, Options, Policy, Rates, SlowConsumer};
use crate::protocol::polling::{self, Traveller};
use crate::protocol::websocket;
use crate::protocol::websocket::deflate::Parameters;
use crate::worker::command::{Command, OpBatch, Open, Takeover};
use crate::worker::event::{EventBatch, Inbox};
use crate::worker::gate::{self, Gate, Quota, Quotas};
use crate::worker::recovery::Subject;
use crate::worker::road::{Road, Terms};
use crate::worker::{WorkerHandle, LONGEST_WAIT};
#[cfg(unix)]
use {
    super::tls::{TlsSession, TlsTerms},
    crate::worker::arrivals::Beginning,
};

/// Words at the head of the array that `drain` fills: the number of words that follow, the number of buffers, and what the
/// events weigh.
pub const DRAIN_HEAD: usize = 3;

/// Commands that may wait for a worker before streams in JavaScript are read no more.
const MAX_WAITING_COMMANDS: usize = 64;

/// Of a connection: it does not concern us.
pub const FOREIGN: i32 = -1;

/// Of a connection: it is not known what it is about.
pub const UNKNOWN: i32 = -2;

/// Of a connection: it begins with an upgrade request for a new session.
pub const WEBSOCKET: i32 = -3;

/// Of a connection: it begins with a request for a new session that polls.
pub const POLL: i32 = -4;

/// How long JavaScript waits for an answer of a worker.
const LONGEST_ANSWER: Duration = Duration::from_secs(1);

/// No message is larger than this, whatever the options say.
const LARGEST_PAYLOAD: f64 = (1u64 << 48) as f64;

/// zlib's own choice of a level of compression.
const DEFLATE_LEVEL: u8 = 6;

/// What an engine is told when it is made.
#[napi(object)]
pub struct EngineOptions {
    /// Number of worker threads, at least one.
    pub workers: u32,
    /// Milliseconds between two pings.
    pub ping_interval: f64,
    /// Milliseconds that a client has to answer a ping.
    pub ping_timeout: f64,
    /// Milliseconds that a client has to complete an upgrade.
    pub upgrade_timeout: f64,
    /// What holds for clients that speak no Engine.IO.
    pub raw: Option<RawOptions>,
    /// Bytes that one message of a client may have.
    pub max_payload: f64,
    /// What the `open` packet tells of these, as members of a JSON object.
    pub limits: String,
    /// Whether Socket.IO packet headers are parsed natively.
    pub parse_packets: bool,
    /// Bytes of events that may wait for JavaScript before nothing more is read.
    pub max_backlog: f64,
    /// Bytes that may wait for one client before it is given up.
    pub max_outbound: f64,
    /// What becomes of what is sent to clients that do not read, a [`Policy`], if messages are held back from them.
    pub slow_policy: Option<u32>,
    /// Bytes of them that may wait for one client.
    pub slow_bytes: f64,
    /// Milliseconds that one of them may wait.
    pub slow_age: f64,
    /// Bytes that may wait for all clients together before some are given up.
    pub max_outbound_total: f64,
    /// Packets that a client may send in a second, on average.
    pub packet_rate: f64,
    /// Bytes of them.
    pub byte_rate: f64,
    /// For how many seconds it may have saved up.
    pub burst: f64,
    /// What comes of more, an [`Action`].
    pub rate_action: u32,
    /// Milliseconds that a session may last at the most.
    pub max_session_age: f64,
    /// Milliseconds that a session may be without messages at the most.
    pub idle_timeout: f64,
    /// The settings of permessage-deflate.
    pub deflate: Option<DeflateOptions>,
    /// Who may come, if that is limited.
    pub gate: Option<GateOptions>,
}

/// Who may come. Infinite: any number.
#[napi(object)]
pub struct GateOptions {
    /// Sessions of an address.
    pub connections_each: f64,
    /// Handshakes in a second, on average.
    pub handshakes: f64,
    /// Those of an address.
    pub handshakes_each: f64,
    /// For how many seconds they may have been saved up.
    pub burst: f64,
    /// The header by which proxies say whom they have seen, in lower case; `undefined`: none is trusted.
    pub header: Option<String>,
    /// Their addresses, and networks with the length of a prefix behind a slash.
    pub trusted: Vec<String>,
}

impl GateOptions {
    fn gate(self) -> Gate {
        let quotas = Quotas {
            connections_each: self.connections_each,
            handshakes: self.handshakes,
            handshakes_each: self.handshakes_each,
            burst: self.burst,
        };
        Gate::new(quotas, self.header.map(|header| Proxies::new(header, &self.trusted)))
    }
}

/// What holds while workers refuse clients by themselves.
#[napi(object)]
pub struct GateTerms {
    /// What the targets of requests begin with.
    pub path: String,
    /// The answer to an upgrade request.
    pub websocket: String,
    /// The status line and headers, with their ends, of the one to a client that polls; `undefined`: it is Node's business.
    pub polling: Option<String>,
    /// The body of that.
    pub body: String,
}

/// A time that JavaScript has said, however long.
pub(super) fn milliseconds(value: f64) -> Duration {
    Duration::try_from_secs_f64(value / 1000.0).unwrap_or(Duration::from_secs(u64::from(u32::MAX)))
}

/// The same of what is no limit if it is infinite.
fn limit(value: f64) -> Option<Duration> {
    value.is_finite().then(|| milliseconds(value))
}

/// The settings of permessage-deflate that hold for all connections.
#[napi(object)]
pub struct DeflateOptions {
    /// The level of compression, 0 to 9; `undefined` for the library's own choice.
    pub level: Option<u32>,
    /// Without context takeover, shorter messages are sent as they are. In bytes.
    pub threshold: f64,
}

/// What holds for clients that speak no Engine.IO.
#[napi(object)]
pub struct RawOptions {
    /// Milliseconds that a client has to answer our Close frame, and to hang up then.
    pub close_timeout: f64,
    /// Whether clients are pinged.
    pub pings: bool,
    /// Whether pings of clients are answered.
    pub answers_pings: bool,
    /// Fragments that a message of a client may consist of.
    pub max_fragments: u32,
    /// Whether text that is not UTF-8 is let pass.
    pub is_lax: bool,
}

/// What holds on the road past Node's HTTP server.
#[napi(object)]
pub struct RoadTerms {
    /// The path of requests.
    pub path: String,
    /// Milliseconds that a connection may be silent between two requests.
    pub keep_alive: f64,
    /// The seconds of it that clients are told of.
    pub announced: f64,
    /// Bytes from which on answers are compressed, if the client takes them so.
    pub compress_from: f64,
    /// The level of compression, 0 to 9; `undefined`: it is Node's business.
    pub level: Option<u32>,
    /// Bytes that the body of a POST may have.
    pub max_body: f64,
    /// Whether answers depend on the origin.
    pub has_cors: bool,
    /// Whether the application sees the requests of sessions before they are answered.
    pub shows: bool,
}

/// What is remembered of a session whose requests may come past Node's HTTP server.
#[napi(object)]
pub struct TravellerTerms {
    /// Where the page that polls comes from, if the client has said so.
    pub origin: Option<String>,
    /// Headers that its answers have because of that, lines with their ends.
    pub cors: String,
}

/// What is under way of a session that polls.
#[napi(object)]
pub struct PollingState {
    /// Whether a GET waits that nothing has been sent to answer.
    pub waits: bool,
    /// What waits for a GET.
    pub packets: Vec<Either<String, Buffer>>,
}

/// The native half of an Engine.IO server.
#[napi]
pub struct NativeEngine {
    workers: Vec<WorkerHandle>,
    inbox: Arc<Inbox>,
    options: Arc<Options>,
    road: Arc<Road>,
    deflate_level: u8,
    deflate_threshold: u32,
    copies: Copies,
    /// The batch that is being handed to JavaScript, and whether the workers may read again because of it.
    batch: Option<(EventBatch, bool)>,
    buffers: Vec<Vec<u8>>,
    /// A bit for each chunk of figures that JavaScript has been lent.
    lent: u32,
}

#[napi]
impl NativeEngine {
    /// Makes an engine. `wake` is called without arguments, on the JavaScript thread, when events begin to wait; it
    /// has to see to it that `drain` is called until there are none. Threads start with the first connection.
    #[napi(constructor, catch_unwind)]
    pub fn new(options: EngineOptions, wake: Function<'_, (), ()>) -> Result<NativeEngine> {
        panic_point!("new");
        let wake = wake.build_threadsafe_function::<()>().weak::<true>().build()?;
        let raw = options.raw.map_or_else(Options::default, |raw| Options {
            close_timeout: milliseconds(raw.close_timeout),
            is_raw: true,
            pings_raw: raw.pings,
            answers_pings: raw.answers_pings,
            max_fragments: raw.max_fragments,
            is_lax: raw.is_lax,
            ..Options::default()
        });
        let settings = Arc::new(Options {
            ping_interval: milliseconds(options.ping_interval),
            ping_timeout: milliseconds(options.ping_timeout),
            upgrade_timeout: milliseconds(options.upgrade_timeout),
            max_payload: options.max_payload.clamp(0.0, LARGEST_PAYLOAD) as usize,
            parse_packets: options.parse_packets,
            max_backlog: options.max_backlog.max(1.0) as usize,
            max_outbound: options.max_outbound as usize,
            slow_consumer: options.slow_policy.and_then(Policy::from_number).map(|policy| SlowConsumer {
                policy,
                max_bytes: options.slow_bytes as usize,
                max_age: limit(options.slow_age),
            }),
            max_outbound_total: options.max_outbound_total as usize,
            rates: Action::from_number(options.rate_action)
                .filter(|_| options.packet_rate.is_finite() || options.byte_rate.is_finite())
                .map(|action| Rates {
                    packets: options.packet_rate,
                    bytes: options.byte_rate,
                    burst: options.burst,
                    action,
                }),
            max_session_age: limit(options.max_session_age),
            idle_timeout: limit(options.idle_timeout),
            limits: options.limits,
            ..raw
        });
        let inbox = Arc::new(Inbox::new(
            settings.max_backlog,
            Box::new(move || {
                // fails only while the environment is being torn down, when nobody listens any more
                let _ = wake.call((), ThreadsafeFunctionCallMode::NonBlocking);
            }),
        ));
        let road = Arc::new(Road::with_gate(options.gate.map(GateOptions::gate)));
        let count = options.workers.max(1) as usize;
        let workers = (0..count)
            .map(|index| WorkerHandle::new(index, count, settings.clone(), inbox.clone(), road.clone()))
            .collect();
        let deflate = options.deflate.unwrap_or(DeflateOptions { level: None, threshold: 0.0 });
        Ok(NativeEngine {
            workers,
            inbox,
            options: settings,
            road,
            deflate_level: deflate.level.map_or(DEFLATE_LEVEL, |level| level.min(9) as u8),
            deflate_threshold: deflate.threshold.max(0.0) as u32,
            copies: Copies::default(),
            batch: None,
            buffers: Vec::new(),
            lent: 0,
        })
    }

    /// Hands over operations that JavaScript gathered. `count`: how many words of `words` they are; behind those stand
    /// `places` words, see `OpBatch::new`. `mask`: a bit for each worker that they concern. Waits for a worker that has
    /// fallen behind.
    ///
    /// # Errors
    /// When a worker thread cannot be started.
    #[napi(catch_unwind)]
    pub fn submit(
        &mut self,
        words: &[u32],
        count: u32,
        places: u32,
        text: String,
        buffers: Option<Vec<BufferSlice<'_>>>,
        mask: u32,
    ) -> Result<()> {
        let make = || {
            panic_point!("submit");
            let buffers = self.copies.of(&buffers.unwrap_or_default());
            let (words, rest) = words.split_at(words.len().min(count as usize));
            Arc::new(OpBatch::new(words, text, &buffers, &rest[..rest.len().min(places as usize)]))
        };
        let batch = catch_unwind(AssertUnwindSafe(make));
        // a worker that does not run has no connections
        let concerned = |(index, worker): &(usize, &mut WorkerHandle)| {
            mask & (1 << (index % 32)) != 0 && worker.is_running()
        };
        for (_, worker) in self.workers.iter_mut().enumerate().filter(concerned) {
            let command = match &batch {
                Ok(batch) => Command::Batch(batch.clone()),
                Err(_) => Command::Fail(Subject::Worker),
            };
            worker.push(command).map_err(io_error)?;
        }
        // all of them catch up at the same time
        let deadline = Instant::now() + LONGEST_WAIT;
        for (_, worker) in self.workers.iter_mut().enumerate().filter(concerned) {
            worker.wait_until_caught_up(deadline);
        }
        Ok(())
    }

    /// A session begins with a GET, which waits for its answer. `revision`: see `Protocol::from_word`. `traveller`: if its
    /// further requests may come past Node's HTTP server.
    ///
    /// # Errors
    /// When a worker thread cannot be started.
    #[napi(catch_unwind)]
    pub fn open_polling(
        &mut self,
        connection: u32,
        revision: u32,
        sid: String,
        upgrades: Vec<String>,
        initial: Option<Either<String, BufferSlice<'_>>>,
        traveller: Option<TravellerTerms>,
    ) -> Result<()> {
        let connection = ConnectionId::from_word(connection);
        let subject = Subject::Newcomer { connection, stream: None };
        self.tell(connection, subject, |engine| {
            panic_point!("openPolling");
            let handshake = engine.handshake(&sid, &upgrades);
            let protocol = Protocol::from_word(revision);
            let initial = initial.map(message_of);
            let traveller = traveller.map(|it| Box::new(Traveller::new(sid, it.origin, it.cors)));
            Command::Open(Box::new(Open {
                connection,
                protocol,
                takeover: None,
                handshake,
                initial,
                traveller,
            }))
        })
    }

    /// A session begins with a WebSocket. `fd`: the descriptor to duplicate, or -1 for a stream in JavaScript.
    /// `response`: the answer to the upgrade request. `head`: what came behind the request. `deflate`: what was agreed on,
    /// see `deflate_parameters`.
    ///
    /// # Errors
    /// When the descriptor cannot be duplicated or a worker thread cannot be started.
    #[napi(catch_unwind)]
    #[allow(clippy::too_many_arguments, reason = "an object would cost a lookup for each member")]
    pub fn open_websocket(
        &mut self,
        connection: u32,
        revision: u32,
        stream: u32,
        fd: i32,
        response: String,
        head: Option<BufferSlice<'_>>,
        deflate: u32,
        sid: String,
        initial: Option<Either<String, BufferSlice<'_>>>,
        session: Option<&mut TlsSession>,
    ) -> Result<()> {
        panic_point!("openWebsocket");
        let connection = ConnectionId::from_word(connection);
        let protocol = Protocol::from_word(revision);
        let takeover = self.takeover(protocol, stream, fd, response, head, deflate)?;
        #[cfg(unix)]
        let takeover = Takeover { layer: session.and_then(TlsSession::take), ..takeover };
        #[cfg(not(unix))]
        let _ = session;
        let handshake = match protocol {
            Protocol::Raw => String::new(),
            _ => self.handshake(&sid, &[]),
        };
        let initial = initial.map(message_of);
        self.push(
            connection,
            Command::Open(Box::new(Open {
                connection,
                protocol,
                takeover: Some(takeover),
                handshake,
                initial,
                traveller: None,
            })),
        )
    }

    /// A WebSocket wants to take over from polling. Parameters and errors as for `openWebsocket`.
    #[napi(catch_unwind)]
    #[allow(clippy::too_many_arguments, reason = "an object would cost a lookup for each member")]
    pub fn upgrade(
        &mut self,
        connection: u32,
        revision: u32,
        stream: u32,
        fd: i32,
        response: String,
        head: Option<BufferSlice<'_>>,
        deflate: u32,
        session: Option<&mut TlsSession>,
    ) -> Result<()> {
        panic_point!("upgrade");
        let connection = ConnectionId::from_word(connection);
        let takeover = self.takeover(Protocol::from_word(revision), stream, fd, response, head, deflate)?;
        #[cfg(unix)]
        let takeover = Takeover { layer: session.and_then(TlsSession::take), ..takeover };
        #[cfg(not(unix))]
        let _ = session;
        self.push(connection, Command::Upgrade { connection, takeover })
    }

    /// Node has accepted a connection, whose descriptor is to be duplicated. An event tells when it has become clear what
    /// it begins with. `is_kept`: Node has answered requests of it, and it waits for another. `terms`: it is to begin with a
    /// TLS handshake, on these. `session`: that is done. Returns whether it could be had.
    ///
    /// # Errors
    /// When a worker thread cannot be started.
    #[napi(catch_unwind)]
    pub fn receive(
        &mut self,
        stream: u32,
        fd: i32,
        is_kept: bool,
        terms: Option<&TlsTerms>,
        session: Option<&mut TlsSession>,
    ) -> Result<bool> {
        panic_point!("receive");
        let stream = StreamId::from_word(stream);
        #[cfg(unix)]
        if let Ok(fd) = crate::os::fd::duplicate(fd) {
            // connections that come in a burst have two each for a while: it must not keep Node from accepting others
            if !crate::os::fd::is_scarce(&fd) {
                let beginning = match (terms, session.and_then(TlsSession::take)) {
                    (_, Some(layer)) => Beginning::Secured(layer),
                    (Some(terms), None) => Beginning::Secure(terms.security()),
                    (None, None) if is_kept => Beginning::Kept,
                    (None, None) => Beginning::Fresh,
                };
                return self.push(stream, Command::Receive { stream, fd, beginning }).map(|()| true);
            }
        }
        #[cfg(not(unix))]
        let _ = (stream, fd, is_kept, terms, session);
        Ok(false)
    }

    /// Takes the TLS session over a connection, of which a worker has just been said to have left it.
    #[napi(catch_unwind)]
    pub fn take_session(&self, stream: u32) -> Option<TlsSession> {
        let take = || {
            panic_point!("takeSession");
            let stream = StreamId::from_word(stream);
            #[cfg(unix)]
            return self.inbox.take_layer(stream).map(TlsSession::new);
            #[cfg(not(unix))]
            return (stream.word() == u32::MAX).then_some(TlsSession {});
        };
        twice(take)
    }

    /// Opens the road on which workers answer the requests of clients that poll, or closes it.
    #[napi(catch_unwind)]
    pub fn set_road(&self, terms: Option<RoadTerms>) {
        panic_point!("setRoad");
        self.road.set(terms.map(|terms| Terms {
            path: terms.path,
            keep_alive: milliseconds(terms.keep_alive),
            announced: terms.announced.max(0.0) as u64,
            compress_from: terms.compress_from.clamp(0.0, LARGEST_PAYLOAD) as usize,
            level: terms.level.map(|level| level.min(9)),
            max_body: terms.max_body.clamp(0.0, LARGEST_PAYLOAD) as usize,
            has_cors: terms.has_cors,
            shows: terms.shows,
        }));
    }

    /// Has workers refuse clients for which there is no room by themselves, or leave that to JavaScript.
    #[napi(catch_unwind)]
    pub fn set_gate(&self, terms: Option<GateTerms>) {
        panic_point!("setGate");
        let Some(gate) = self.road.gate() else { return };
        gate.set(terms.map(|GateTerms { path, websocket, polling, body }| gate::Terms {
            path,
            websocket,
            polling: polling.map(|head| gate::Polling { head, body }),
        }));
    }

    /// What is against another session of an address, see `codes`; 0: nothing.
    #[napi(catch_unwind)]
    pub fn find_obstacle(&self, address: String) -> u32 {
        twice(|| {
            panic_point!("findObstacle");
            quota_code(self.road.gate().and_then(|gate| gate.obstacle(&address)))
        })
    }

    /// Takes a place for a session of an address. Returns what is against that, likewise.
    #[napi(catch_unwind)]
    pub fn enter(&self, address: String) -> u32 {
        twice(|| {
            panic_point!("enter");
            quota_code(self.road.gate().and_then(|gate| gate.enter(&address).err()))
        })
    }

    /// Takes the place that a worker has kept for who comes by a stream. Returns its address; nothing if there is none.
    #[napi(catch_unwind)]
    pub fn claim(&self, stream: u32) -> Option<String> {
        twice(|| {
            panic_point!("claim");
            self.road.gate()?.claim(StreamId::from_word(stream)).map(String::from)
        })
    }

    /// Nobody needs the place any more that a worker has kept for who comes by a stream.
    #[napi(catch_unwind)]
    pub fn give_back(&self, stream: u32) {
        twice(|| {
            panic_point!("giveBack");
            if let Some(gate) = self.road.gate() {
                gate.give_back(StreamId::from_word(stream));
            }
        });
    }

    /// How many clients workers have refused by themselves.
    #[napi(catch_unwind)]
    pub fn refused(&self) -> Refused {
        panic_point!("refused");
        let (counts, secure) = self.road.gate().map(Gate::refused).unwrap_or_default();
        Refused { counts, secure }
    }

    /// A session of an address has ended. `has_been`: it has come about.
    #[napi(catch_unwind)]
    pub fn leave(&self, address: String, has_been: bool) {
        twice(|| {
            panic_point!("leave");
            match self.road.gate() {
                Some(gate) if has_been => gate.leave(&address),
                Some(gate) => gate.undo(&address),
                None => {}
            }
        });
    }

    /// Whether a GET of a session waits that nothing has been sent to answer, and what waits for one: texts, the type of
    /// the packet in front, and buffers.
    ///
    /// # Errors
    /// When a worker thread cannot be started.
    #[napi(catch_unwind)]
    pub fn ask_polling(&mut self, connection: u32) -> Result<PollingState> {
        panic_point!("askPolling");
        let (reply, wait) = std::sync::mpsc::channel();
        let connection = ConnectionId::from_word(connection);
        self.push(connection, Command::Ask { connection, reply })?;
        let (waits, packets) = wait.recv_timeout(LONGEST_ANSWER).unwrap_or_default();
        let packets = packets.into_iter().map(|packet| match packet {
            polling::Packet::Text(kind, data) => {
                Either::A(format!("{}{}", kind as u8 as char, String::from_utf8_lossy(&data)))
            }
            polling::Packet::Binary(data) => Either::B(Buffer::from(data.to_vec())),
        });
        Ok(PollingState { waits, packets: packets.collect() })
    }

    /// Looks at what a connection begins with that Node has accepted, as far as it is there, and says what that is:
    /// `FOREIGN`, `UNKNOWN`, `WEBSOCKET` or `POLL` (see `codes`). Ours are targets that begin with `path`, or, where clients speak
    /// no Engine.IO, requests for a WebSocket. If one names a
    /// session whose requests may come past Node, that is its number: the connection is best on the same worker.
    #[napi(catch_unwind)]
    pub fn look_at(&self, fd: i32, path: String) -> i32 {
        panic_point!("lookAt");
        #[cfg(unix)]
        {
            use crate::protocol::http::beginning::{beginning, raw_beginning, Beginning, ENOUGH};
            let mut buffer = [std::mem::MaybeUninit::uninit(); ENOUGH];
            match crate::os::fd::peek(fd, &mut buffer) {
                Ok(bytes) if self.options.is_raw => match raw_beginning(bytes) {
                    Beginning::WebSocket => WEBSOCKET,
                    Beginning::Unknown => UNKNOWN,
                    _ => FOREIGN,
                },
                Ok(bytes) => match beginning(bytes, &path) {
                    Beginning::Foreign => FOREIGN,
                    Beginning::Unknown => UNKNOWN,
                    Beginning::WebSocket => WEBSOCKET,
                    Beginning::Poll => POLL,
                    // the highest bit of a number is free
                    Beginning::Session(sid) => self.road.find(sid).map_or(FOREIGN, |id| id.word() as i32),
                },
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => UNKNOWN,
                Err(_) => FOREIGN,
            }
        }
        #[cfg(not(unix))]
        if fd < 0 || path.is_empty() {
            FOREIGN
        } else {
            UNKNOWN
        }
    }

    /// Takes the request from a connection that Node has accepted which it begins with: its bytes, and no more. Nothing if
    /// they are not all there.
    #[napi(catch_unwind)]
    pub fn take_request(&self, fd: i32) -> Option<Buffer> {
        panic_point!("takeRequest");
        #[cfg(unix)]
        {
            let mut buffer = vec![std::mem::MaybeUninit::uninit(); crate::worker::READ_BUFFER];
            let length = {
                let bytes = crate::os::fd::peek(fd, &mut buffer).ok()?;
                crate::protocol::http::request::length(bytes).filter(|&length| length <= bytes.len())?
            };
            crate::os::fd::read(fd, length).ok().map(Buffer::from)
        }
        #[cfg(not(unix))]
        {
            let _ = fd;
            None
        }
    }

    /// Takes what has come over a connection that has failed: whoever reads it together with the failure would see an end in
    /// the middle of it.
    #[napi(catch_unwind)]
    pub fn take_unread(&self, fd: i32) -> Option<Buffer> {
        panic_point!("takeUnread");
        #[cfg(unix)]
        {
            crate::os::fd::read_all(fd).ok().filter(|bytes| !bytes.is_empty()).map(Buffer::from)
        }
        #[cfg(not(unix))]
        {
            let _ = fd;
            None
        }
    }

    /// Has the kernel keep connections of a listening socket to itself until they have said something, for about a
    /// second, or hand them out at once. Where it cannot do that, nothing changes.
    #[napi(catch_unwind)]
    pub fn defer_accept(&self, fd: i32, defers: bool) {
        panic_point!("deferAccept");
        // it is a matter of speed only
        #[cfg(unix)]
        let _ = crate::os::fd::defer_accept(fd, defers);
        #[cfg(not(unix))]
        let _ = (fd, defers);
    }

    /// The body of a POST, in the pieces in which it arrived: binary, of a client of revision 3, or UTF-8.
    ///
    /// # Errors
    /// When a worker thread cannot be started.
    #[napi(catch_unwind)]
    pub fn post_body(
        &mut self,
        connection: u32,
        pieces: Vec<BufferSlice<'_>>,
        is_binary: bool,
    ) -> Result<()> {
        let connection = ConnectionId::from_word(connection);
        self.tell(connection, Subject::Connection(connection), |_| {
            panic_point!("postBody");
            let mut body = Vec::with_capacity(pieces.iter().map(|piece| piece.len()).sum());
            memory::expect_much(&mut body);
            pieces.iter().for_each(|piece| body.extend_from_slice(piece));
            Command::Body { connection, body, is_binary }
        })
    }

    /// Bytes that a stream in JavaScript received. Returns whether it should not be read for now, see `isBehind`.
    ///
    /// # Errors
    /// When a worker thread cannot be started.
    #[napi(catch_unwind)]
    pub fn pipe_data(&mut self, stream: u32, data: BufferSlice<'_>) -> Result<bool> {
        let stream = StreamId::from_word(stream);
        self.tell(stream, Subject::Stream(stream), |_| {
            panic_point!("pipeData");
            Command::PipeData { stream, data: data.to_vec() }
        })?;
        Ok(self.is_behind())
    }

    /// Whether so much waits for the workers, or for JavaScript, that nothing more should be read.
    #[napi(catch_unwind)]
    pub fn is_behind(&self) -> bool {
        let is_behind = || {
            panic_point!("isBehind");
            self.inbox.is_full()
                || self.workers.iter().any(|worker| worker.waiting_commands() > MAX_WAITING_COMMANDS)
        };
        catch_unwind(AssertUnwindSafe(is_behind)).unwrap_or(false)
    }

    /// The figures of a chunk of slots, see `worker/figures.rs`, as they are whenever they are read. To be asked for once.
    /// `None` where JavaScript cannot be lent memory.
    ///
    /// # Errors
    /// When V8 cannot make the array.
    #[napi(catch_unwind)]
    pub fn figures<'env>(&mut self, env: &'env Env, chunk: u32) -> Result<Option<Float64ArraySlice<'env>>> {
        let bit = 1u32.checked_shl(chunk).unwrap_or(0);
        // V8 must not know memory twice
        if bit == 0 || self.lent & bit != 0 {
            return Ok(None);
        }
        self.lent |= bit;
        self.read_figures();
        self.inbox.figures.chunk(chunk as usize).map_or(Ok(None), |cells| lend(env, cells))
    }

    /// One of the figures of a connection.
    #[napi(catch_unwind)]
    pub fn figure(&mut self, connection: u32, figure: u32) -> f64 {
        self.read_figures();
        self.inbox.figures.get(ConnectionId::from_word(connection), figure as usize)
    }

    /// What the workers have counted since the engine was made, and what waits at present. From the first call on, turns are
    /// timed.
    #[napi(catch_unwind)]
    pub fn metrics(&self) -> EngineMetrics {
        panic_point!("metrics");
        let mut waiting = Vec::new();
        self.inbox.figures.for_each_waiting(|bytes| waiting.push(bytes));
        EngineMetrics {
            workers: self.workers.iter().map(WorkerMetrics::of).collect(),
            backlog: self.inbox.backlog() as f64,
            waits: Histogram::of(self.inbox.waits()),
            waiting,
        }
    }

    /// Waits until the workers have handed to the kernel what was submitted, or for `timeout` milliseconds at the most.
    ///
    /// # Errors
    /// When a worker thread cannot be started.
    #[napi(catch_unwind)]
    pub fn settle(&mut self, timeout: u32) -> Result<()> {
        let settle = || {
            panic_point!("settle");
            self.settle_until(Instant::now() + Duration::from_millis(u64::from(timeout)))
        };
        // the process ends, with or without that
        catch_unwind(AssertUnwindSafe(settle)).unwrap_or(Ok(()))
    }

    /// Ends the worker threads, which have no connections any more. They start again with the next one.
    #[napi(catch_unwind)]
    pub fn stop(&mut self) {
        let stop = || {
            panic_point!("stop");
            self.workers.iter_mut().for_each(WorkerHandle::stop);
        };
        // threads that have not been stopped go on waiting for commands, which harms nobody
        let _ = catch_unwind(AssertUnwindSafe(stop));
    }

    /// Takes a batch of events: their words into `words` (the bytes of a `Uint32Array` of `DRAIN_CAPACITY` words, see
    /// `codes`; words that count them and the buffers, and say what all of it weighs, come first), their texts as the
    /// string that is returned. No words: there are no more events, and `wake` is called for the next.
    ///
    /// # Errors
    /// When V8 cannot make the string.
    #[napi(catch_unwind)]
    pub fn drain<'env>(&mut self, env: &'env Env, mut words: BufferSlice<'_>) -> Result<JsString<'env>> {
        twice(|| self.hand_out(env, &mut words))
    }

    /// The buffers of the batch that was drained last.
    #[napi(catch_unwind)]
    pub fn take_buffers(&mut self) -> Vec<Buffer> {
        twice(|| {
            panic_point!("takeBuffers");
            std::mem::take(&mut self.buffers).into_iter().map(Buffer::from).collect()
        })
    }

    /// What `drain` does. The batch stays here until JavaScript has it.
    fn hand_out<'env>(&mut self, env: &'env Env, words: &mut BufferSlice<'_>) -> Result<JsString<'env>> {
        panic_point!("drain");
        if self.batch.is_none() {
            self.batch = self.inbox.take();
        }
        let Some((batch, resumes)) = &mut self.batch else {
            write_words(words, &[0]);
            return env.create_string("");
        };
        if std::mem::take(resumes) {
            for worker in self.workers.iter_mut().filter(|worker| worker.is_running()) {
                worker.push(Command::Resume).map_err(io_error)?;
            }
        }
        panic_point!("batch");
        let weight = u32::try_from(batch.weight()).unwrap_or(u32::MAX);
        write_words(words, &[batch.words.len() as u32, batch.buffers.len() as u32, weight]);
        write_words(&mut words[DRAIN_HEAD * size_of::<u32>()..], &batch.words);
        let text = if batch.text.is_ascii() {
            env.create_string_latin1(batch.text.as_bytes())
        } else {
            env.create_string(&batch.text)
        };
        self.buffers = std::mem::take(&mut batch.buffers);
        self.batch = None;
        text
    }

    fn handshake(&self, sid: &str, upgrades: &[String]) -> String {
        Handshake { sid, upgrades, limits: &self.options.limits }.encode()
    }

    fn takeover(
        &self,
        protocol: Protocol,
        stream: u32,
        fd: i32,
        response: String,
        head: Option<BufferSlice<'_>>,
        deflate: u32,
    ) -> Result<Takeover> {
        #[cfg(not(unix))]
        let _ = fd;
        Ok(Takeover {
            protocol,
            stream: StreamId::from_word(stream),
            #[cfg(unix)]
            fd: if fd < 0 { None } else { Some(crate::os::fd::duplicate(fd).map_err(io_error)?) },
            #[cfg(unix)]
            layer: None,
            response,
            deflate: self.deflate_parameters(deflate),
            head: head.map(|head| head.to_vec()).unwrap_or_default(),
        })
    }

    /// What was agreed with a client: 0 for nothing; else the logarithms of the server's window in the lowest four
    /// bits and of the client's in the next four, and whether the server (256) and the client (512) keep no context.
    fn deflate_parameters(&self, agreed: u32) -> Option<Parameters> {
        (agreed != 0).then(|| Parameters {
            server_max_window_bits: (agreed & 15).clamp(9, 15) as u8,
            client_max_window_bits: (agreed >> 4 & 15).clamp(9, 15) as u8,
            server_no_context_takeover: agreed & 256 != 0,
            client_no_context_takeover: agreed & 512 != 0,
            level: self.deflate_level,
            threshold: self.deflate_threshold,
        })
    }

    /// Pushes the command that `make` makes for `id`. If that panics, the worker ends what `subject` stands for.
    fn tell(&mut self, id: impl Id, subject: Subject, make: impl FnOnce(&Self) -> Command) -> Result<()> {
        let command = catch_unwind(AssertUnwindSafe(|| make(self))).unwrap_or(Command::Fail(subject));
        self.push(id, command)
    }

    fn settle_until(&mut self, deadline: Instant) -> Result<()> {
        for worker in self.workers.iter_mut().filter(|worker| worker.is_running()) {
            let (done, wait) = std::sync::mpsc::channel();
            worker.push(Command::Settle(done)).map_err(io_error)?;
            // a worker that does not answer in time has lost its turn
            let _ = wait.recv_timeout(deadline.saturating_duration_since(Instant::now()));
        }
        Ok(())
    }

    /// Has the workers keep the figures up to date, if nobody has looked at them before, and waits until they are.
    fn read_figures(&mut self) {
        if !self.inbox.figures.read() {
            return;
        }
        let (reply, wait) = std::sync::mpsc::channel();
        let mut running = 0;
        for worker in self.workers.iter_mut().filter(|worker| worker.is_running()) {
            running += usize::from(worker.push(Command::Report(reply.clone())).is_ok());
        }
        for _ in 0..running {
            let _ = wait.recv_timeout(LONGEST_ANSWER);
        }
    }

    fn push(&mut self, id: impl Id, command: Command) -> Result<()> {
        let index = slot_of(id.word()) as usize % self.workers.len();
        self.workers[index].push(command).map_err(io_error)
    }
}

/// The number of what is against another session; 0: nothing is.
fn quota_code(quota: Option<Quota>) -> u32 {
    quota.map_or(0, |quota| quota as u32)
}

/// Does something that can be repeated, and once more if it panics.
fn twice<T>(mut work: impl FnMut() -> T) -> T {
    catch_unwind(AssertUnwindSafe(&mut work)).unwrap_or_else(|_| work())
}

/// A message in the form in which it waits for a transport.
fn message_of(message: Either<String, BufferSlice<'_>>) -> polling::Packet {
    match message {
        Either::A(text) => polling::Packet::Text(Type::Message, text.into()),
        Either::B(data) => polling::Packet::Binary(Bytes::copy_from_slice(&data)),
    }
}

/// Writes words where JavaScript reads them as a `Uint32Array`.
fn write_words(bytes: &mut [u8], words: &[u32]) {
    for (bytes, word) in bytes.chunks_exact_mut(size_of::<u32>()).zip(words) {
        bytes.copy_from_slice(&word.to_ne_bytes());
    }
}

fn io_error(error: std::io::Error) -> Error {
    Error::from_reason(error.to_string())
}

/// The answer to an upgrade request with this `Sec-WebSocket-Key`, without the end of its last line.
#[napi(catch_unwind)]
pub fn switching_protocols(key: String) -> String {
    panic_point!("switchingProtocols");
    websocket::switching_protocols(&key)
}

/// For tests: has the engine panic the next `times` times that it comes to the point of this name, if it has one. Returns how often the
/// point that was named last would still have panicked.
#[cfg(feature = "panics")]
#[napi]
pub fn panic_at(point: String, times: u32) -> u32 {
    crate::panics::arm(point, times)
}

/// For tests of the sanitizers: loses memory.
#[cfg(feature = "faults")]
#[napi]
pub fn leak() {
    crate::os::faults::leak();
}

/// For tests of the sanitizers: reads memory that has been freed.
#[cfg(feature = "faults")]
#[napi]
pub fn use_after_free() -> u32 {
    u32::from(crate::os::faults::use_after_free())
}
