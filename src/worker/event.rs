//! From the workers to JavaScript: one queue of batches, one wake-up.
//!
//! A batch is an array of words, one text and a list of buffers. An event is a few words; the texts that belong to
//! the events of a batch stand one behind the other in its text, and their lengths are in UTF-16 units, so that
//! JavaScript slices one string. `lib/native/events.js` reads what this file writes:
//!
//! | event | words (the first holds the kind in its lowest byte) |
//! |---|---|
//! | `PACKET` | kind, type << 8, namespace length << 16; connection; acknowledgement id; text length; start of the JSON |
//! | `TEXT` | kind; connection; text length |
//! | `BINARY` | kind; connection (takes the next buffer) |
//! | `FRAME` | kind, opcode << 8; connection (takes the next buffer): of a client that speaks no Engine.IO, a control frame, or a text that is not UTF-8 |
//! | `VIOLATION` | kind, the status for a Close frame << 16; connection; text length: what is wrong with what such a client has sent |
//! | `CLOSED` | kind, the status with which the client has closed its WebSocket, or 0, << 16; connection; length of the reason; length of the description |
//! | `RELEASED` | kind, has an unanswered request that was announced << 8, how many of it were answered << 16, it has failed << 24, nobody can go on with it << 25, a TLS session is left << 26; stream |
//! | `HUNG_UP` | kind, why a TLS handshake failed << 8: see `Refusal`; stream |
//! | `ELSEWHERE` | kind, a TLS session is left << 8; stream; connection |
//! | `POLL_ANSWER` | kind, compress << 8; connection; text length |
//! | `POLL_ANSWER_BINARY` | kind, compress << 8; connection (takes the next buffer) |
//! | `CONTROL` | kind, packet type << 8, sent << 16; connection; text length |
//! | `POST_DONE`, `UPGRADING`, `UPGRADED`, `UPGRADE_FAILED`, `SENT`, `OVERLAP`, `POST_OVERLAP` | kind; connection |
//! | `CHECK_ALIVE` | kind, whether to answer at once << 8; connection |
//! | `PIPE_WRITE` | kind; stream (takes the next buffer) |
//! | `PIPE_END` | kind; stream |
//! | `SLOW_CONSUMER` | kind, whether events are dropped for it << 8; connection; bytes that wait for it |
//! | `LIMIT` | kind, which one << 8: see `limits::Limit`, whether that has been told before << 16; connection; milliseconds for which nothing is read of it |
//! | `ARRIVED` | kind, offers extensions << 8, method << 9; stream; ports of the peer and of ourselves << 16; lengths of their addresses, of ours << 8, of the name of the host over TLS << 16; what else is known of TLS, see `security_word`; text length: peer, ourselves, host, request |
//! | `DEFECT` | kind; text length |

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::figures::Figures;
use super::limits::Limit;
use super::metrics::Histogram;
use super::sync::{AtomicBool, AtomicUsize, Mutex, Ordering};
use crate::protocol::engine_io::packet::Type;
use crate::protocol::error::{Ending, Violation};
use crate::protocol::ids::{ConnectionId, Id, StreamId};
use crate::protocol::socket_io;
#[cfg(unix)]
use {
    super::wire::Layer,
    crate::protocol::tls::session::{Facts, Failure},
    std::collections::HashMap,
    std::net::SocketAddr,
};

macro_rules! kinds {
    ($($(#[$condition:meta])* $kind:ident $name:ident = $code:literal,)*) => {
        /// Kinds of events.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Kind {
            $($(#[$condition])* $kind = $code,)*
        }

        /// Their numbers, by the names that the module's table has for them.
        pub const KINDS: &[(&str, u32)] = &[$((stringify!($name), $code),)*];
    };
}

kinds! {
    Packet PACKET = 0,
    Text TEXT = 1,
    Binary BINARY = 2,
    Closed CLOSED = 3,
    Released RELEASED = 4,
    PollAnswer POLL_ANSWER = 5,
    PostDone POST_DONE = 6,
    Control CONTROL = 7,
    Upgrading UPGRADING = 8,
    Upgraded UPGRADED = 9,
    UpgradeFailed UPGRADE_FAILED = 10,
    PipeWrite PIPE_WRITE = 11,
    PipeEnd PIPE_END = 12,
    Sent SENT = 13,
    CheckAlive CHECK_ALIVE = 14,
    Defect DEFECT = 15,
    PollAnswerBinary POLL_ANSWER_BINARY = 16,
    SlowConsumer SLOW_CONSUMER = 17,
    #[cfg(unix)]
    Arrived ARRIVED = 18,
    #[cfg(unix)]
    HungUp HUNG_UP = 19,
    #[cfg(unix)]
    Elsewhere ELSEWHERE = 20,
    #[cfg(unix)]
    Overlap OVERLAP = 21,
    #[cfg(unix)]
    PostOverlap POST_OVERLAP = 22,
    Limit LIMIT = 23,
    Frame FRAME = 24,
    Violation VIOLATION = 25,
}

/// What was done on a stream until it was released.
#[derive(Debug, Default)]
pub struct Past {
    /// JavaScript knows of a request over it that nobody has answered.
    pub is_unanswered: bool,
    /// How many requests over it a worker has answered, if that are no more than this can say.
    pub served: u8,
    /// The connection has failed, perhaps with bytes that nobody has read.
    pub is_cut: bool,
    /// It is in the middle of something, and nobody can go on with it.
    pub is_spoilt: bool,
    /// The TLS session over it.
    #[cfg(unix)]
    pub layer: Option<Box<Layer>>,
}

/// Why a TLS handshake was not completed.
#[cfg(unix)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The client has hung up.
    HungUp,
    /// The connection has been reset.
    Reset,
    /// The client has taken too long. Whether version 1.3 was agreed on, or none yet.
    TooSlow(Option<bool>),
    /// The client has been told what is wrong. As above.
    Failed(Failure, Option<bool>),
}

#[cfg(unix)]
impl Refusal {
    /// 1 to 8; descriptions of alerts from 256 on. From bit 12 on: 1 for version 1.2, 2 for 1.3.
    fn code(self) -> u32 {
        let (code, is_1_3) = match self {
            Refusal::HungUp => (1, None),
            Refusal::Reset => (2, None),
            Refusal::TooSlow(is_1_3) => (3, is_1_3),
            Refusal::Failed(Failure::Decrypt, is_1_3) => (4, is_1_3),
            Refusal::Failed(Failure::Protocol, is_1_3) => (5, is_1_3),
            Refusal::Failed(Failure::Version, is_1_3) => (6, is_1_3),
            Refusal::Failed(Failure::Kind, is_1_3) => (7, is_1_3),
            Refusal::Failed(Failure::Exchange, is_1_3) => (8, is_1_3),
            Refusal::Failed(Failure::Alert(description), is_1_3) => (256 + u32::from(description), is_1_3),
        };
        code | is_1_3.map_or(0, |it| 1 + u32::from(it)) << 12
    }
}

/// What is known of a TLS session, in a word: the cipher suite; bit 16: there is one; 17: of version 1.3; 18: it goes on
/// with an earlier one; 19: client and server have agreed on a protocol.
#[cfg(unix)]
pub fn security_word(facts: &Facts) -> u32 {
    let Facts { cipher, is_1_3, is_reused, has_protocol, .. } = facts;
    let bits = 1 | u32::from(*is_1_3) << 1 | u32::from(*is_reused) << 2 | u32::from(*has_protocol) << 3;
    u32::from(*cipher) | bits << 16
}

/// What of a request JavaScript cannot tell by its lines.
#[cfg(unix)]
#[derive(Debug, Default)]
pub struct Announcement {
    /// Whether the client offers extensions of the WebSocket protocol.
    pub offers_extensions: bool,
    /// How it asks.
    pub method: Method,
    /// What is known of the TLS session that it has come by.
    pub facts: Option<Facts>,
}

/// The method of a request.
#[cfg(unix)]
#[derive(Debug, Clone, Copy, Default)]
#[repr(u32)]
pub enum Method {
    #[default]
    Get = 0,
    Post = 1,
    Options = 2,
}

/// The word that stands for "no acknowledgement id".
pub const NO_ID: u32 = u32::MAX;

/// Words that a batch holds at the most; JavaScript's array has room for that many.
pub const MAX_WORDS: usize = 8192;

/// The longest event, in words.
const LONGEST_EVENT: usize = 6;

/// A batch that has this many bytes of text takes no further events.
const FULL_TEXT: usize = 32 << 10;

/// Nor does one that weighs this much, with its buffers: it is worked through in one go.
const FULL_WEIGHT: usize = 256 << 10;

/// Words of events that JavaScript is woken for although more WebSockets wait to be read.
#[cfg(unix)]
const WORTHWHILE: usize = 16 * 5;

/// What an event weighs in the backlog beyond its bytes, about what it costs JavaScript.
const EVENT_WEIGHT: usize = 64;

/// Events in the order in which they happened.
#[derive(Debug, Default)]
pub struct EventBatch {
    /// The events, as the module's table says.
    pub words: Vec<u32>,
    /// Their texts.
    pub text: String,
    /// Their buffers.
    pub buffers: Vec<Vec<u8>>,
    weight: usize,
    /// Since when the first of them waits, if somebody wants to know how long events do.
    since: Option<Instant>,
}

impl EventBatch {
    fn is_full(&self) -> bool {
        self.words.len() + LONGEST_EVENT > MAX_WORDS
            || self.text.len() >= FULL_TEXT
            || self.weight >= FULL_WEIGHT
    }

    fn has_room_for(&self, other: &EventBatch) -> bool {
        self.words.len() + other.words.len() <= MAX_WORDS
            && self.text.len() + other.text.len() <= FULL_TEXT
            && self.weight + other.weight <= FULL_WEIGHT
    }

    /// What it costs JavaScript, in about bytes.
    pub fn weight(&self) -> usize {
        self.weight
    }

    fn append(&mut self, other: &mut EventBatch) {
        self.words.append(&mut other.words);
        self.text.push_str(&other.text);
        other.text.clear();
        self.buffers.append(&mut other.buffers);
        self.weight += std::mem::take(&mut other.weight);
        other.since = None;
    }
}

/// A place in the queue of events: how much had ever been published up to there.
#[cfg(unix)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark(u64);

/// How far the queue has been taken, for workers that ask.
#[cfg(unix)]
#[derive(Default)]
struct Progress {
    /// The weight of all that has ever been published ...
    published: u64,
    /// ... and taken.
    taken: u64,
    /// The nearest place that a worker wants to be told of.
    awaited: Option<Mark>,
}

#[cfg(unix)]
impl Progress {
    fn is_passed(&mut self, mark: Mark) -> bool {
        let is_passed = mark.0 <= self.taken;
        if !is_passed {
            self.awaited = Some(self.awaited.map_or(mark, |other| other.min(mark)));
        }
        is_passed
    }

    /// Returns whether a place has been passed now that somebody waits for.
    fn take(&mut self, weight: usize) -> bool {
        self.taken += weight as u64;
        self.awaited.take_if(|mark| mark.0 <= self.taken).is_some()
    }
}

/// The batches that wait.
#[derive(Default)]
struct Queue {
    batches: VecDeque<EventBatch>,
    #[cfg(unix)]
    progress: Progress,
}

impl Queue {
    fn push(&mut self, batch: &mut EventBatch) {
        #[cfg(unix)]
        {
            self.progress.published += batch.weight as u64;
        }
        match self.batches.back_mut() {
            Some(last) if last.has_room_for(batch) => last.append(batch),
            _ => self.batches.push_back(std::mem::take(batch)),
        }
    }

    /// Takes the oldest batch. The second: with it a place has been passed that somebody waits for.
    fn pop(&mut self) -> Option<(EventBatch, bool)> {
        let batch = self.batches.pop_front()?;
        #[cfg(unix)]
        let is_awaited = self.progress.take(batch.weight);
        #[cfg(not(unix))]
        let is_awaited = false;
        Some((batch, is_awaited))
    }
}

/// The queue that JavaScript drains.
pub struct Inbox {
    queue: Mutex<Queue>,
    /// Whether JavaScript has been woken and has not yet found the queue empty.
    signaled: AtomicBool,
    backlog: AtomicUsize,
    limit: usize,
    wake: Box<dyn Fn() + Send + Sync>,
    /// What is known of each connection.
    pub figures: Figures,
    /// How long batches wait for JavaScript, which is the one to count that, once somebody has asked for it.
    waits: Histogram,
    are_waits_asked_for: AtomicBool,
    /// TLS sessions that JavaScript is to take over, by their streams.
    #[cfg(unix)]
    layers: Mutex<HashMap<u32, Box<Layer>>>,
}

impl Inbox {
    /// A queue that calls `wake` once when events begin to wait. `limit`: the backlog in bytes from which on the
    /// workers stop reading.
    pub fn new(limit: usize, wake: Box<dyn Fn() + Send + Sync>) -> Inbox {
        Inbox {
            queue: Mutex::default(),
            signaled: AtomicBool::new(false),
            backlog: AtomicUsize::new(0),
            limit,
            wake,
            figures: Figures::default(),
            waits: Histogram::default(),
            are_waits_asked_for: AtomicBool::new(false),
            #[cfg(unix)]
            layers: Mutex::default(),
        }
    }

    /// Takes the TLS session that a worker has left with a stream.
    #[cfg(unix)]
    pub fn take_layer(&self, stream: StreamId) -> Option<Box<Layer>> {
        self.layers.lock().remove(&stream.word())
    }

    /// Whether JavaScript has fallen so far behind that nothing more should be read.
    pub fn is_full(&self) -> bool {
        self.backlog.load(Ordering::Relaxed) >= self.limit
    }

    /// Bytes of events that wait for JavaScript, about.
    pub fn backlog(&self) -> usize {
        self.backlog.load(Ordering::Relaxed)
    }

    /// How long batches of events have waited for JavaScript, from the first call on.
    pub fn waits(&self) -> &Histogram {
        self.are_waits_asked_for.store(true, Ordering::Relaxed);
        &self.waits
    }

    fn publish(&self, batch: &mut EventBatch) {
        if self.are_waits_asked_for.load(Ordering::Relaxed) {
            batch.since = Some(Instant::now());
        }
        {
            let queue = &mut *self.queue.lock();
            self.backlog.fetch_add(batch.weight, Ordering::Relaxed);
            queue.push(batch);
        }
        if !self.signaled.swap(true, Ordering::AcqRel) {
            (self.wake)();
        }
    }

    /// The end of what has been published.
    #[cfg(unix)]
    fn mark(&self) -> Mark {
        Mark(self.queue.lock().progress.published)
    }

    /// Whether JavaScript has taken what comes before a place. If not, [`Inbox::take`] will say when it has.
    #[cfg(unix)]
    fn is_passed(&self, mark: Mark) -> bool {
        self.queue.lock().progress.is_passed(mark)
    }

    /// Takes the oldest batch, and whether workers that wait shall look again: the backlog has just fallen below the limit,
    /// or a place has been passed that one of them asked for. `None`: the queue is empty, and the next event wakes JavaScript
    /// again.
    pub fn take(&self) -> Option<(EventBatch, bool)> {
        let mut queue = self.queue.lock();
        let Some((batch, is_awaited)) = queue.pop() else {
            // an exchange as well: the models take no order between one and a store for granted, which there is
            self.signaled.swap(false, Ordering::AcqRel);
            return None;
        };
        if let Some(since) = batch.since {
            self.waits.record(since.elapsed());
        }
        let before = self.backlog.fetch_sub(batch.weight, Ordering::Relaxed);
        let resumes = before >= self.limit && before - batch.weight < self.limit;
        Some((batch, resumes || is_awaited))
    }
}

/// A worker's end of the queue: events gather here during a turn and are published at its end.
pub struct EventSink {
    inbox: Arc<Inbox>,
    batch: EventBatch,
    /// The weight of all events that have ever been written here.
    #[cfg(unix)]
    written: usize,
}

impl EventSink {
    /// The end of one worker.
    pub fn new(inbox: Arc<Inbox>) -> EventSink {
        EventSink {
            inbox,
            batch: EventBatch::default(),
            #[cfg(unix)]
            written: 0,
        }
    }

    /// Whether JavaScript has fallen so far behind that nothing more should be read.
    pub fn is_full(&self) -> bool {
        self.inbox.is_full()
    }

    /// What the events weigh that have ever been written here; wraps around.
    #[cfg(unix)]
    pub fn written(&self) -> usize {
        self.written
    }

    /// Makes what has been written known to JavaScript, and marks its end.
    #[cfg(unix)]
    pub fn publish_and_mark(&mut self) -> Mark {
        self.publish();
        self.inbox.mark()
    }

    /// Whether JavaScript has taken what comes before a place. Who is told that it has not waits for `Command::Resume`.
    #[cfg(unix)]
    pub fn is_passed(&self, mark: Mark) -> bool {
        self.inbox.is_passed(mark)
    }

    /// Whether there is enough to wake JavaScript for, even if more will come at once.
    #[cfg(unix)]
    pub fn is_worthwhile(&self) -> bool {
        self.batch.words.len() >= WORTHWHILE
    }

    /// Words of the events that are not published yet, if there are any and JavaScript sleeps.
    #[cfg(unix)]
    pub fn words_to_wake_for(&self) -> Option<usize> {
        let words = self.batch.words.len();
        (words > 0 && !self.inbox.signaled.load(Ordering::Acquire)).then_some(words)
    }

    /// What is known of each connection, which JavaScript sees without an event.
    pub fn figures(&self) -> &Figures {
        &self.inbox.figures
    }

    /// Makes the events of the turn known to JavaScript.
    pub fn publish(&mut self) {
        if !self.batch.words.is_empty() {
            self.inbox.publish(&mut self.batch);
        }
    }

    /// A text message. With `parse`, Socket.IO headers of the usual form are taken apart.
    pub fn text(&mut self, connection: ConnectionId, text: &str, parse: bool) {
        let length = utf16_length(text);
        match if parse { socket_io::parse_header(text) } else { None } {
            Some(header) if header.namespace.len() <= 0xffff => {
                let namespace = utf16_length(&text[header.namespace]);
                let body =
                    if namespace == 0 { header.body as u32 } else { utf16_length(&text[..header.body]) };
                let first = Kind::Packet as u32 | u32::from(header.kind) << 8 | namespace << 16;
                self.push(&[first, connection.word(), header.id.unwrap_or(NO_ID), length, body], text);
            }
            _ => self.push(&[Kind::Text as u32, connection.word(), length], text),
        }
    }

    /// A binary message.
    pub fn binary(&mut self, connection: ConnectionId, data: Vec<u8>) {
        self.push_buffer(Kind::Binary as u32, connection, data);
    }

    /// A frame of a client that speaks no Engine.IO: a control frame, or a text that is not UTF-8.
    pub fn frame(&mut self, connection: ConnectionId, opcode: u8, payload: Vec<u8>) {
        self.push_buffer(Kind::Frame as u32 | u32::from(opcode) << 8, connection, payload);
    }

    /// Such a client has broken the WebSocket protocol: nothing more comes of it.
    pub fn violation(&mut self, connection: ConnectionId, violation: Violation) {
        let description = violation.to_string();
        let first = Kind::Violation as u32 | u32::from(violation.close_code()) << 16;
        self.push(&[first, connection.word(), utf16_length(&description)], &description);
    }

    /// The session is over; `close_code` as of [`super::connection::Connection`].
    pub fn closed(&mut self, connection: ConnectionId, ending: Ending, close_code: u16) {
        let (reason, description) = (ending.reason(), ending.description());
        let lengths = [utf16_length(reason), utf16_length(&description)];
        let first = Kind::Closed as u32 | u32::from(close_code) << 16;
        self.push(&[first, connection.word(), lengths[0], lengths[1]], reason);
        self.batch.text.push_str(&description);
    }

    /// The answer to a waiting GET.
    pub fn poll_answer(&mut self, connection: ConnectionId, payload: &str, compress: bool) {
        let first = Kind::PollAnswer as u32 | u32::from(compress) << 8;
        self.push(&[first, connection.word(), utf16_length(payload)], payload);
    }

    /// The answer to a waiting GET of a client of revision 3, with binary data.
    pub fn poll_answer_binary(&mut self, connection: ConnectionId, payload: Vec<u8>, compress: bool) {
        self.push_buffer(Kind::PollAnswerBinary as u32 | u32::from(compress) << 8, connection, payload);
    }

    /// A packet other than a message was received, or sent, on a connection that is watched.
    pub fn control(&mut self, connection: ConnectionId, kind: Type, data: &str, sent: bool) {
        let first = Kind::Control as u32 | (kind as u32) << 8 | u32::from(sent) << 16;
        self.push(&[first, connection.word(), utf16_length(data)], data);
    }

    /// A client does not read, and is given up.
    pub fn slow_consumer(&mut self, connection: ConnectionId, waiting: usize) {
        let waiting = u32::try_from(waiting).unwrap_or(u32::MAX);
        self.push(&[Kind::SlowConsumer as u32, connection.word(), waiting], "");
    }

    /// A client does not read, and events are dropped for it, for the first time since it had caught up.
    pub fn dropping(&mut self, connection: ConnectionId, waiting: usize) {
        let waiting = u32::try_from(waiting).unwrap_or(u32::MAX);
        self.push(&[Kind::SlowConsumer as u32 | 1 << 8, connection.word(), waiting], "");
    }

    /// A connection has come to one of its limits.
    pub fn limit(&mut self, connection: ConnectionId, limit: Limit, pause: Duration, is_told: bool) {
        let pause = u32::try_from(pause.as_millis()).unwrap_or(u32::MAX);
        let first = Kind::Limit as u32 | (limit as u32) << 8 | u32::from(is_told) << 16;
        self.push(&[first, connection.word(), pause], "");
    }

    /// A heartbeat depends on how far JavaScript has come, which answers: at once, or when it has read what had arrived.
    pub fn check_alive(&mut self, connection: ConnectionId, at_once: bool) {
        self.push(&[Kind::CheckAlive as u32 | u32::from(at_once) << 8, connection.word()], "");
    }

    /// Bytes for a stream in JavaScript.
    pub fn pipe_write(&mut self, stream: StreamId, data: Vec<u8>) {
        self.push_buffer(Kind::PipeWrite as u32, stream, data);
    }

    /// What a connection asks for concerns a session of another worker.
    #[cfg(unix)]
    pub fn elsewhere(&mut self, stream: StreamId, session: ConnectionId, layer: Option<Box<Layer>>) {
        let first = Kind::Elsewhere as u32 | u32::from(layer.is_some()) << 8;
        self.leave_layer(stream, layer);
        self.push(&[first, stream.word(), session.word()], "");
    }

    /// A connection is over, and Node's descriptor of it is to be closed as well.
    #[cfg(unix)]
    pub fn hung_up(&mut self, stream: StreamId, refusal: Option<Refusal>) {
        let first = Kind::HungUp as u32 | refusal.map_or(0, Refusal::code) << 8;
        self.push(&[first, stream.word()], "");
    }

    /// Leaves a TLS session for JavaScript to take when it hears of the stream. Returns whether there is one.
    #[cfg(unix)]
    fn leave_layer(&mut self, stream: StreamId, layer: Option<Box<Layer>>) -> bool {
        let Some(layer) = layer else { return false };
        self.inbox.layers.lock().insert(stream.word(), layer);
        true
    }

    /// A stream is no more.
    pub fn released(&mut self, stream: StreamId, past: Past) {
        #[cfg(unix)]
        let has_layer = self.leave_layer(stream, past.layer.filter(|_| !past.is_spoilt));
        #[cfg(not(unix))]
        let has_layer = false;
        let word = Kind::Released as u32
            | u32::from(past.is_unanswered) << 8
            | u32::from(past.served) << 16
            | u32::from(past.is_cut) << 24
            | u32::from(past.is_spoilt) << 25
            | u32::from(has_layer) << 26;
        self.push(&[word, stream.word()], "");
    }

    /// A connection asks for a session, or for a WebSocket; or something of its session.
    #[cfg(unix)]
    pub fn arrived(
        &mut self,
        stream: StreamId,
        peer: SocketAddr,
        local: SocketAddr,
        request: &str,
        Announcement { offers_extensions, method, facts }: Announcement,
    ) {
        let first = Kind::Arrived as u32 | u32::from(offers_extensions) << 8 | (method as u32) << 9;
        let ports = u32::from(peer.port()) | u32::from(local.port()) << 16;
        let (peer, local) = (peer.ip().to_string(), local.ip().to_string());
        let host = facts.as_ref().and_then(|facts| facts.server_name.as_deref()).unwrap_or_default();
        let security = facts.as_ref().map_or(0, security_word);
        let lengths = utf16_length(&peer) | utf16_length(&local) << 8 | utf16_length(host) << 16;
        let text = [&peer, &local, host, request].concat();
        self.push(&[first, stream.word(), ports, lengths, security, utf16_length(&text)], &text);
    }

    /// An event of a kind that has nothing but a subject.
    pub fn simple(&mut self, kind: Kind, subject: impl Id) {
        self.push(&[kind as u32, subject.word()], "");
    }

    /// A defect of ours that was contained.
    pub fn defect(&mut self, message: &str) {
        self.push(&[Kind::Defect as u32, utf16_length(message)], message);
    }

    fn push_buffer(&mut self, first: u32, subject: impl Id, data: Vec<u8>) {
        self.push(&[first, subject.word()], "");
        self.weigh(data.len());
        self.batch.buffers.push(data);
    }

    fn push(&mut self, words: &[u32], text: &str) {
        if self.batch.is_full() {
            self.publish();
        }
        self.batch.words.extend_from_slice(words);
        self.batch.text.push_str(text);
        self.weigh(EVENT_WEIGHT + text.len());
    }

    fn weigh(&mut self, weight: usize) {
        self.batch.weight += weight;
        #[cfg(unix)]
        {
            self.written = self.written.wrapping_add(weight);
        }
    }
}

/// How many UTF-16 units JavaScript needs for a text.
fn utf16_length(text: &str) -> u32 {
    if text.is_ascii() {
        return text.len() as u32;
    }
    // one unit for each first byte of a character, and one more for those beyond the basic plane
    text.bytes().map(|byte| u32::from(byte & 0xc0 != 0x80) + u32::from(byte >= 0xf0)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: ConnectionId = ConnectionId::from_word(1);

    fn sink(limit: usize) -> (EventSink, Arc<Inbox>, Arc<AtomicUsize>) {
        let wakes = Arc::new(AtomicUsize::new(0));
        let counter = wakes.clone();
        let inbox = Arc::new(Inbox::new(
            limit,
            Box::new(move || {
                counter.fetch_add(1, Ordering::Relaxed);
            }),
        ));
        (EventSink::new(inbox.clone()), inbox, wakes)
    }

    #[test]
    fn lengths_are_in_utf16_units() {
        for text in ["", "abc", "é", "日本", "😀", "a😀é日"] {
            assert_eq!(utf16_length(text) as usize, text.encode_utf16().count(), "{text}");
        }
    }

    #[test]
    fn one_wake_up_until_the_queue_was_found_empty() {
        let (mut sink, inbox, wakes) = sink(1 << 20);
        for _ in 0..3 {
            sink.text(ID, "2[\"a\"]", true);
            sink.publish();
        }
        assert_eq!(wakes.load(Ordering::Relaxed), 1);
        let (batch, _) = inbox.take().unwrap();
        assert_eq!(batch.words.len(), 15);
        assert_eq!(batch.text, "2[\"a\"]2[\"a\"]2[\"a\"]");
        sink.text(ID, "x", true);
        sink.publish();
        assert_eq!(wakes.load(Ordering::Relaxed), 1);
        assert!(inbox.take().is_some());
        assert!(inbox.take().is_none());
        sink.simple(Kind::PostDone, ID);
        sink.publish();
        assert_eq!(wakes.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn a_packet_is_described_in_utf16_units() {
        let (mut sink, inbox, _) = sink(1 << 20);
        sink.text(ConnectionId::from_word(5), "2/é😀,7[\"ü\"]", true);
        sink.publish();
        let (batch, _) = inbox.take().unwrap();
        assert_eq!(batch.words, [2 << 8 | 4 << 16, 5, 7, 12, 7]);
    }

    #[test]
    fn batches_fit_into_the_array_of_javascript() {
        let (mut sink, inbox, _) = sink(usize::MAX);
        for index in 0..10_000 {
            sink.text(ConnectionId::from_word(index), "2[]", true);
        }
        sink.publish();
        let mut words = 0;
        while let Some((batch, _)) = inbox.take() {
            assert!(batch.words.len() <= MAX_WORDS);
            words += batch.words.len();
        }
        assert_eq!(words, 50_000);
    }

    #[test]
    fn a_batch_takes_no_more_than_javascript_can_work_through_in_one_go() {
        let (mut sink, inbox, _) = sink(usize::MAX);
        for _ in 0..100 {
            sink.binary(ID, vec![0; FULL_WEIGHT / 4]);
            sink.text(ID, &"x".repeat(FULL_TEXT / 2), false);
            sink.publish();
        }
        let (mut batches, mut waiting) = (0, inbox.backlog.load(Ordering::Relaxed));
        assert!(waiting > 100 * (FULL_WEIGHT / 4 + FULL_TEXT / 2));
        while let Some((batch, _)) = inbox.take() {
            assert!(batch.weight() <= FULL_WEIGHT && batch.text.len() <= FULL_TEXT);
            batches += 1;
            waiting -= batch.weight();
            assert_eq!(inbox.backlog.load(Ordering::Relaxed), waiting);
        }
        assert_eq!(batches, 50);
        for _ in 0..10 {
            sink.binary(ID, vec![0; FULL_WEIGHT / 2]);
        }
        sink.publish();
        assert!(std::iter::from_fn(|| inbox.take()).all(|(batch, _)| batch.buffers.len() <= 2));
    }

    #[cfg(unix)]
    #[test]
    fn who_waits_for_a_place_is_told_when_it_has_been_passed() {
        let (mut sink, inbox, _) = sink(usize::MAX);
        let mark = |sink: &mut EventSink| {
            sink.binary(ID, vec![0; FULL_WEIGHT]);
            sink.publish_and_mark()
        };
        let marks = [(); 4].map(|()| mark(&mut sink));
        // nobody has asked yet
        assert!(inbox.take().is_some_and(|(_, resumes)| !resumes));
        assert!(sink.is_passed(marks[0]) && !sink.is_passed(marks[2]) && !sink.is_passed(marks[1]));
        assert!(inbox.take().is_some_and(|(_, resumes)| resumes));
        // who was told of the nearest asks again
        assert!(sink.is_passed(marks[1]) && !sink.is_passed(marks[2]));
        assert!(inbox.take().is_some_and(|(_, resumes)| resumes));
        assert!(inbox.take().is_some_and(|(_, resumes)| !resumes));
        assert!(marks.iter().all(|mark| sink.is_passed(*mark)));
    }

    #[cfg(unix)]
    #[test]
    fn it_is_worth_it_to_wake_javascript_for_sixteen_packets() {
        let (mut sink, _, _) = sink(usize::MAX);
        for count in 0..20 {
            assert_eq!(sink.is_worthwhile(), count >= 16, "{count} packets");
            sink.text(ID, "2[]", true);
        }
        sink.publish();
        assert!(!sink.is_worthwhile());
    }

    #[test]
    fn the_backlog_is_measured() {
        let (mut sink, inbox, _) = sink(1000);
        sink.text(ID, &"x".repeat(900), false);
        sink.publish();
        assert!(!inbox.is_full());
        sink.binary(ID, vec![0; 500]);
        sink.publish();
        assert!(inbox.is_full());
        let (_, resumes) = inbox.take().unwrap();
        assert!(resumes && !inbox.is_full());
    }
}
