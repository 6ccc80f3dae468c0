//! From JavaScript to a worker: one queue, in the order in which things were said.
//!
//! What happens often is gathered by JavaScript in a batch of operations: an array of words, one text, and a list of
//! buffers. Every worker that a batch concerns gets the same batch and picks what is its own. `lib/native/commands.js`
//! writes what this file reads; the first word of an operation holds its code, its flags << 8 and whether it has
//! buffers << 16, how many of which is a word then:
//!
//! | operation | further words |
//! |---|---|
//! | `SEND`, `POST` | connection; text length; number of buffers, if it has any |
//! | `FRAME` | connection; text length; number of buffers, if it has any. Its flags are the frame's first byte |
//! | `HALT` | connection. Its flags: 1 to stop reading, 0 to go on |
//! | `MULTICAST` | text length; count; number of buffers, if it has any; that many connections |
//! | `BROADCAST` | text length; number of rooms; number of exceptions; number of buffers, if it has any; the targets of both |
//! | `ROOM` | room; count; that many connections |
//! | `DROP_ROOM` | room |
//! | `JOIN`, `LEAVE` | room; connection |
//! | `CLOSE`, `POLL`, `DROP`, `ALIVE`, `WATCH`, `HOLD`, `POSTED`, `TELL_SENT`, `EXEMPT` | connection |
//! | `PIPE_WRITTEN`, `PIPE_END`, `DECLINE`, `HANG_UP`, `WATCH_SHOWN` | stream |
//! | `EXPIRE` | connection; milliseconds, or `NEVER` |
//! | `SLOW_CONSUMER` | connection; text length: a namespace; bytes; milliseconds, of which `NEVER` is no bound. Its flags are the policy, or `NO_POLICY` |
//! | `PASS` | stream; text length: headers, lines with their ends |
//! | `ANSWER` | stream; text length: a status line and headers, alike |
//! | `ADMIT` | connection; stream; text length; revision of the protocol; how much of the text is the session id: nothing of it for a session that there is, or without Engine.IO |
//! | `ADMIT_POLLING` | connection; stream; text length: lines, see `Opening::parse` |
//!
//! Connections, streams and rooms are named as `protocol/ids.rs` says. A text length of `NO_TEXT` means a message that is
//! a buffer. A target is a room, or a connection if its highest bit is set. A buffer crosses once, however often it is
//! sent: behind the operations stand the places of their buffers in the list.

use std::fmt;
use std::marker::PhantomData;
#[cfg(unix)]
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::recovery::Subject;
#[cfg(unix)]
use super::{arrivals::Beginning, wire::Layer};
use crate::protocol::engine_io::Protocol;
use crate::protocol::ids::{ConnectionId, RoomId, StreamId};
use crate::protocol::options::{Policy, SlowConsumer};
use crate::protocol::polling;
use crate::protocol::websocket::deflate::Parameters;

/// The word that stands for "no text".
pub const NO_TEXT: u32 = u32::MAX;

/// The word of `EXPIRE` that stands for "not at all".
pub const NEVER: u32 = u32::MAX;

/// The flags of `SLOW_CONSUMER` that stand for "what holds for all".
pub const NO_POLICY: u8 = u8::MAX;

/// The bit that tells a connection from a room among the targets of a broadcast.
pub const TARGET_CONNECTION: u32 = 1 << 31;

/// Bytes that a command takes beyond what it carries, about.
const SIZE: usize = 256;

/// Flag of a message: drop it for a client whose transport is busy.
pub const VOLATILE: u8 = 1;

/// Flag of a message: it may be compressed.
pub const COMPRESS: u8 = 2;

/// Flag of a message: tell JavaScript when it has been written.
pub const NOTIFY: u8 = 4;

/// Flag of `CLOSE`: end the session now, whether or not the client can be told.
pub const DISCARD: u8 = 1;

/// Flag of `HANG_UP`: only if nothing is under way.
pub const IF_IDLE: u8 = 1;

/// Flags of an operation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Flags(u8);

impl Flags {
    /// The flags in the first word of an operation.
    pub fn from_word(word: u32) -> Flags {
        Flags((word >> 8) as u8)
    }

    /// See [`VOLATILE`].
    pub fn volatile(self) -> bool {
        self.0 & VOLATILE != 0
    }

    /// See [`COMPRESS`].
    pub fn compress(self) -> bool {
        self.0 & COMPRESS != 0
    }

    /// See [`NOTIFY`].
    pub fn notify(self) -> bool {
        self.0 & NOTIFY != 0
    }

    /// See [`DISCARD`].
    pub fn discard(self) -> bool {
        self.0 & DISCARD != 0
    }

    /// See [`IF_IDLE`].
    #[cfg(unix)]
    pub fn if_idle(self) -> bool {
        self.0 & IF_IDLE != 0
    }

    /// `WATCH`: the mask.
    pub fn mask(self) -> u8 {
        self.0
    }
}

/// Something a worker is asked to do.
pub enum Command {
    /// Operations that JavaScript gathered.
    Batch(Arc<OpBatch>),
    /// A session begins.
    Open(Box<Open>),
    /// Node has accepted a connection.
    #[cfg(unix)]
    Receive { stream: StreamId, fd: OwnedFd, beginning: Beginning },
    /// A WebSocket wants to take over from polling.
    Upgrade { connection: ConnectionId, takeover: Takeover },
    /// The body of a POST that is binary, as only clients of revision 3 send it, or large.
    Body { connection: ConnectionId, body: Vec<u8>, is_binary: bool },
    /// Bytes that a stream in JavaScript received.
    PipeData { stream: StreamId, data: Vec<u8> },
    /// Say whether a GET of a session waits, and what waits for one.
    Ask { connection: ConnectionId, reply: std::sync::mpsc::Sender<(bool, Vec<polling::Packet>)> },
    /// JavaScript has caught up: read again.
    Resume,
    /// Say when the figures of all connections are up to date: they are looked at from now on.
    Report(std::sync::mpsc::Sender<()>),
    /// The call in which JavaScript said something about them has panicked.
    Fail(Subject),
    /// Say when everything before this has been handed to the kernel, as far as it takes it.
    Settle(std::sync::mpsc::Sender<()>),
    /// Write what has been queued, drop everything and end.
    Shutdown,
}

impl Command {
    /// On whose behalf the worker acts.
    pub fn subject(&self) -> Subject {
        match self {
            Command::Open(open) => Subject::Newcomer {
                connection: open.connection,
                stream: open.takeover.as_ref().map(|takeover| takeover.stream),
            },
            Command::Upgrade { connection, takeover } => {
                Subject::Upgrade { connection: *connection, stream: takeover.stream }
            }
            #[cfg(unix)]
            Command::Receive { stream, .. } => Subject::Arrival(*stream),
            Command::Body { connection, .. } | Command::Ask { connection, .. } => {
                Subject::Connection(*connection)
            }
            Command::PipeData { stream, .. } => Subject::Stream(*stream),
            Command::Fail(subject) => *subject,
            Command::Batch(_)
            | Command::Resume
            | Command::Report(_)
            | Command::Settle(_)
            | Command::Shutdown => Subject::Worker,
        }
    }

    /// Bytes of memory that it takes while it waits, about.
    pub fn size(&self) -> usize {
        let held = match self {
            Command::Batch(batch) => batch.size,
            Command::Body { body: bytes, .. } | Command::PipeData { data: bytes, .. } => bytes.len(),
            _ => 0,
        };
        SIZE + held
    }

    /// What tests call it that have it panic.
    #[cfg(feature = "panics")]
    pub fn name(&self) -> &'static str {
        match self {
            Command::Batch(_) => "Batch",
            Command::Open(_) => "Open",
            #[cfg(unix)]
            Command::Receive { .. } => "Receive",
            Command::Upgrade { .. } => "Upgrade",
            Command::Body { .. } => "Body",
            Command::PipeData { .. } => "PipeData",
            Command::Ask { .. } => "Ask",
            Command::Resume => "Resume",
            Command::Report(_) => "Report",
            Command::Fail(_) => "Fail",
            Command::Settle(_) => "Settle",
            Command::Shutdown => "Shutdown",
        }
    }
}

/// A new session.
pub struct Open {
    pub connection: ConnectionId,
    /// The revision of the protocol that the client speaks.
    pub protocol: Protocol,
    /// The WebSocket that it begins with, or `None` for a GET.
    pub takeover: Option<Takeover>,
    /// The `open` packet; nothing where the protocol has none.
    pub handshake: String,
    /// A message that follows the handshake at once.
    pub initial: Option<polling::Packet>,
    /// What is to be remembered of it if its further requests may come past Node's HTTP server.
    pub traveller: Option<Box<polling::Traveller>>,
}

/// A connection that has been taken over from Node's HTTP server.
pub struct Takeover {
    /// What its request says of how the client wants messages.
    pub protocol: Protocol,
    pub stream: StreamId,
    /// Our duplicate of the descriptor, or `None` for a stream that lives in JavaScript.
    #[cfg(unix)]
    pub fd: Option<OwnedFd>,
    /// The TLS session over that, if there is one.
    #[cfg(unix)]
    pub layer: Option<Box<Layer>>,
    /// The answer to the upgrade request.
    pub response: String,
    /// What has been agreed on for permessage-deflate.
    pub deflate: Option<Parameters>,
    /// What Node had already read behind the request.
    pub head: Vec<u8>,
}

/// A message of the application: a text and attachments, or a single buffer.
#[derive(Debug, Clone, Copy)]
pub struct Parcel<'a> {
    pub text: Option<&'a str>,
    pub buffers: &'a [Bytes],
}

impl Parcel<'_> {
    /// Bytes of the application in it.
    pub fn len(&self) -> usize {
        self.text.map_or(0, str::len) + self.buffers.iter().map(Bytes::len).sum::<usize>()
    }

    /// Packets of Engine.IO that it becomes.
    pub fn packets(&self) -> usize {
        usize::from(self.text.is_some()) + self.buffers.len()
    }
}

/// Whom a broadcast goes to, or spares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    Room(RoomId),
    Connection(ConnectionId),
}

impl From<u32> for Target {
    fn from(word: u32) -> Target {
        if word & TARGET_CONNECTION != 0 {
            Target::Connection(ConnectionId::from_word(word & !TARGET_CONNECTION))
        } else {
            Target::Room(RoomId::from_word(word))
        }
    }
}

/// Words of a batch that each stand for a `T`.
#[derive(Clone, Copy)]
pub struct Words<'a, T> {
    words: &'a [u32],
    kind: PhantomData<T>,
}

impl<'a, T: From<u32>> Words<'a, T> {
    fn new(words: &'a [u32]) -> Words<'a, T> {
        Words { words, kind: PhantomData }
    }

    /// What they stand for, in order.
    pub fn iter(&self) -> impl Iterator<Item = T> + use<'a, T> {
        self.words.iter().map(|&word| T::from(word))
    }
}

impl<T> fmt::Debug for Words<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.words.fmt(f)
    }
}

/// An operation of a batch.
#[derive(Debug)]
pub enum Op<'a> {
    Send {
        connection: ConnectionId,
        parcel: Parcel<'a>,
        flags: Flags,
    },
    /// A frame for a client that speaks no Engine.IO.
    Frame {
        connection: ConnectionId,
        /// The first byte of the frame.
        first: u8,
        payload: &'a [u8],
    },
    /// The application stops reading such a client, or goes on.
    Halt {
        connection: ConnectionId,
        flags: Flags,
    },
    /// The body of a POST of the client.
    Post {
        connection: ConnectionId,
        body: &'a str,
    },
    Multicast {
        connections: Words<'a, ConnectionId>,
        parcel: Parcel<'a>,
        flags: Flags,
    },
    Broadcast {
        targets: Words<'a, Target>,
        except: Words<'a, Target>,
        parcel: Parcel<'a>,
        flags: Flags,
    },
    Room {
        room: RoomId,
        connections: Words<'a, ConnectionId>,
    },
    DropRoom {
        room: RoomId,
    },
    Join {
        room: RoomId,
        connection: ConnectionId,
    },
    Leave {
        room: RoomId,
        connection: ConnectionId,
    },
    Close {
        connection: ConnectionId,
        flags: Flags,
    },
    Poll {
        connection: ConnectionId,
    },
    Drop {
        connection: ConnectionId,
    },
    Alive {
        connection: ConnectionId,
    },
    Watch {
        connection: ConnectionId,
        flags: Flags,
    },
    PipeWritten {
        stream: StreamId,
    },
    PipeEnd {
        stream: StreamId,
    },
    /// JavaScript wants to know when everything that has been said to the client so far has been written.
    TellSent {
        connection: ConnectionId,
    },
    /// What a client sends is not limited any more.
    Exempt {
        connection: ConnectionId,
    },
    /// JavaScript wants to hear of a session after this time, or not at all.
    Expire {
        connection: ConnectionId,
        after: Option<Duration>,
    },
    /// What holds for events of a namespace if their client does not read.
    SlowConsumer {
        connection: ConnectionId,
        namespace: &'a str,
        rule: Option<SlowConsumer>,
    },
    /// A connection that has arrived becomes a session.
    #[cfg(unix)]
    Admit {
        connection: ConnectionId,
        stream: StreamId,
        protocol: Protocol,
        sid: &'a str,
        /// What the answer to its request has beyond the usual, with a line break in front of each.
        headers: &'a str,
    },
    /// A connection that has arrived becomes a session that polls.
    #[cfg(unix)]
    AdmitPolling {
        connection: ConnectionId,
        stream: StreamId,
        text: &'a str,
    },
    /// The application has seen a request of a session, and lets it pass.
    #[cfg(unix)]
    Pass {
        stream: StreamId,
        /// What the answer has beyond the usual, lines with their ends.
        headers: &'a str,
    },
    /// A preflight is answered.
    #[cfg(unix)]
    Answer {
        stream: StreamId,
        /// The status line and headers, with their ends.
        head: &'a str,
    },
    /// The application takes its time over a request that it was shown.
    #[cfg(unix)]
    WatchShown {
        stream: StreamId,
    },
    /// A connection that has arrived is to be Node's.
    #[cfg(unix)]
    Decline {
        stream: StreamId,
    },
    /// A connection that has arrived is to be closed.
    #[cfg(unix)]
    HangUp {
        stream: StreamId,
        flags: Flags,
    },
    /// JavaScript has read the packets of a POST that the worker has.
    Posted {
        connection: ConnectionId,
    },
    /// JavaScript has a POST of a session whose packets follow.
    Hold {
        connection: ConnectionId,
    },
}

impl Op<'_> {
    /// Whether it is about many clients, or about where they are to be found.
    pub fn is_for_many(&self) -> bool {
        matches!(self, Op::Multicast { .. } | Op::Broadcast { .. } | Op::Room { .. } | Op::DropRoom { .. })
    }
}

/// A batch of operations, shared by all workers that it concerns.
#[derive(Debug, Default)]
pub struct OpBatch {
    /// The operations, as the module's table says; text lengths are in bytes here.
    words: Vec<u32>,
    text: String,
    buffers: Vec<Bytes>,
    /// Bytes of memory that all of it takes, buffers that several operations have counted once.
    size: usize,
}

impl OpBatch {
    /// A batch as JavaScript has written it, with text lengths in UTF-16 units. `places`: which of `distinct` are the
    /// buffers of the operations, in order.
    pub fn new(words: &[u32], text: String, distinct: &[Bytes], places: &[u32]) -> OpBatch {
        let buffer = |&place: &u32| distinct.get(place as usize).cloned().unwrap_or_default();
        let buffers = places.iter().map(buffer).collect();
        let size = 4 * words.len() + text.len() + distinct.iter().map(Bytes::len).sum::<usize>();
        let mut batch = OpBatch { words: words.to_vec(), text, buffers, size };
        if !batch.text.is_ascii() {
            batch.convert_lengths();
        }
        batch
    }

    /// Replaces text lengths in UTF-16 units by lengths in bytes.
    fn convert_lengths(&mut self) {
        let mut rest = self.text.as_str();
        let mut at = 0;
        while let Some((length_at, next)) = layout(&self.words, at) {
            if let Some(length_at) = length_at.filter(|&length_at| self.words[length_at] != NO_TEXT) {
                let bytes = bytes_of_units(rest, self.words[length_at] as usize);
                rest = &rest[bytes..];
                self.words[length_at] = bytes as u32;
            }
            at = next;
        }
    }

    /// The operations in order, from a place on.
    pub fn iter_from(&self, place: Place) -> Ops<'_> {
        Ops { batch: self, last: place, next: place }
    }
}

/// Where an operation of a batch stands, with its text and buffers.
#[derive(Debug, Clone, Copy, Default)]
pub struct Place {
    word: usize,
    text: usize,
    buffer: usize,
}

macro_rules! operations {
    ($($name:ident = $code:literal,)*) => {
        $(pub const $name: u32 = $code;)*

        /// The codes of operations, by the names that the module's table has for them.
        pub const OPERATIONS: &[(&str, u32)] = &[$((stringify!($name), $code),)*];
    };
}

operations! {
    SEND = 1,
    MULTICAST = 2,
    BROADCAST = 3,
    ROOM = 4,
    DROP_ROOM = 5,
    JOIN = 6,
    LEAVE = 7,
    CLOSE = 8,
    POLL = 9,
    DROP = 10,
    ALIVE = 11,
    WATCH = 12,
    PIPE_WRITTEN = 13,
    PIPE_END = 14,
    POST = 15,
    ADMIT = 16,
    DECLINE = 17,
    TELL_SENT = 18,
    HOLD = 19,
    ADMIT_POLLING = 20,
    HANG_UP = 21,
    POSTED = 22,
    PASS = 23,
    WATCH_SHOWN = 24,
    ANSWER = 25,
    EXPIRE = 26,
    SLOW_CONSUMER = 27,
    EXEMPT = 28,
    FRAME = 29,
    HALT = 30,
}

/// The bit of an operation's first word that says that it has buffers.
pub const HAS_BUFFERS: u32 = 1 << 16;

/// Where the text length of the operation at `at` stands, if it has one, and where the next operation begins.
fn layout(words: &[u32], at: usize) -> Option<(Option<usize>, usize)> {
    let count = |offset: usize| words.get(at + offset).map(|&count| count as usize);
    let first = words.get(at)?;
    let buffers = usize::from(first & HAS_BUFFERS != 0);
    let (length_at, size) = match first & 0xff {
        SEND | POST | PASS | ANSWER | FRAME => (Some(at + 2), 3 + buffers),
        MULTICAST => (Some(at + 1), 3 + buffers + count(2)?),
        BROADCAST => (Some(at + 1), 4 + buffers + count(2)? + count(3)?),
        ROOM => (None, 3 + count(2)?),
        JOIN | LEAVE | EXPIRE => (None, 3),
        SLOW_CONSUMER => (Some(at + 2), 5),
        ADMIT => (Some(at + 3), 6),
        ADMIT_POLLING => (Some(at + 3), 4),
        DROP_ROOM | CLOSE | POLL | DROP | ALIVE | WATCH | HOLD | POSTED | TELL_SENT | EXEMPT | HALT => {
            (None, 2)
        }
        PIPE_WRITTEN | PIPE_END | DECLINE | HANG_UP | WATCH_SHOWN => (None, 2),
        _ => return None,
    };
    (at + size <= words.len()).then_some((length_at, at + size))
}

/// What `SLOW_CONSUMER` says of a namespace.
fn rule_of(words: &[u32]) -> Option<SlowConsumer> {
    let policy = Policy::from_number(words[0] >> 8 & 0xff)?;
    let bound = |word: u32| (word != NEVER).then_some(word);
    Some(SlowConsumer {
        policy,
        max_bytes: bound(words[3]).map_or(usize::MAX, |bytes| bytes as usize),
        max_age: bound(words[4]).map(|age| Duration::from_millis(age.into())),
    })
}

/// How many bytes the first `units` UTF-16 units of a text take.
pub(super) fn bytes_of_units(text: &str, units: usize) -> usize {
    let mut left = units;
    for (at, character) in text.char_indices() {
        if left == 0 {
            return at;
        }
        left = left.saturating_sub(character.len_utf16());
    }
    text.len()
}

/// Iterates over a batch.
pub struct Ops<'a> {
    batch: &'a OpBatch,
    /// Where the operation stands that was returned last.
    last: Place,
    next: Place,
}

impl<'a> Iterator for Ops<'a> {
    type Item = Op<'a>;

    fn next(&mut self) -> Option<Op<'a>> {
        let (length_at, end) = layout(&self.batch.words, self.next.word)?;
        let words = &self.batch.words[self.next.word..end];
        self.last = self.next;
        self.next.word = end;
        let flags = Flags::from_word(words[0]);
        let has_buffers = words[0] & HAS_BUFFERS != 0;
        // their number follows the words of a fixed meaning, which end thus
        let fixed = if words[0] & 0xff == BROADCAST { 4 } else { 3 };
        let lists = fixed + usize::from(has_buffers);
        let parcel = match length_at {
            Some(length_at) => {
                self.parcel(self.batch.words[length_at], if has_buffers { words[fixed] as usize } else { 0 })
            }
            None => Parcel { text: None, buffers: &[] },
        };
        let connection = |at: usize| ConnectionId::from_word(words[at]);
        let stream = |at: usize| StreamId::from_word(words[at]);
        let room = || RoomId::from_word(words[1]);
        Some(match words[0] & 0xff {
            SEND => Op::Send { connection: connection(1), parcel, flags },
            FRAME => {
                let buffer = parcel.buffers.first().map(|buffer| &buffer[..]);
                let payload = parcel.text.map(str::as_bytes).or(buffer).unwrap_or_default();
                Op::Frame { connection: connection(1), first: (words[0] >> 8) as u8, payload }
            }
            HALT => Op::Halt { connection: connection(1), flags },
            MULTICAST => Op::Multicast { connections: Words::new(&words[lists..]), parcel, flags },
            BROADCAST => {
                let (targets, except) = words[lists..].split_at(words[2] as usize);
                Op::Broadcast { targets: Words::new(targets), except: Words::new(except), parcel, flags }
            }
            ROOM => Op::Room { room: room(), connections: Words::new(&words[3..]) },
            DROP_ROOM => Op::DropRoom { room: room() },
            JOIN => Op::Join { room: room(), connection: connection(2) },
            LEAVE => Op::Leave { room: room(), connection: connection(2) },
            CLOSE => Op::Close { connection: connection(1), flags },
            POLL => Op::Poll { connection: connection(1) },
            DROP => Op::Drop { connection: connection(1) },
            ALIVE => Op::Alive { connection: connection(1) },
            WATCH => Op::Watch { connection: connection(1), flags },
            PIPE_WRITTEN => Op::PipeWritten { stream: stream(1) },
            #[cfg(unix)]
            ADMIT => {
                let text = parcel.text.unwrap_or_default();
                let (sid, headers) = text.split_at_checked(words[5] as usize).unwrap_or((text, ""));
                let protocol = Protocol::from_word(words[4]);
                Op::Admit { connection: connection(1), stream: stream(2), protocol, sid, headers }
            }
            TELL_SENT => Op::TellSent { connection: connection(1) },
            EXEMPT => Op::Exempt { connection: connection(1) },
            EXPIRE => {
                let after = (words[2] != NEVER).then(|| Duration::from_millis(words[2].into()));
                Op::Expire { connection: connection(1), after }
            }
            SLOW_CONSUMER => {
                let namespace = parcel.text.unwrap_or_default();
                Op::SlowConsumer { connection: connection(1), namespace, rule: rule_of(words) }
            }
            #[cfg(unix)]
            ADMIT_POLLING => Op::AdmitPolling {
                connection: connection(1),
                stream: stream(2),
                text: parcel.text.unwrap_or_default(),
            },
            #[cfg(unix)]
            PASS => Op::Pass { stream: stream(1), headers: parcel.text.unwrap_or_default() },
            #[cfg(unix)]
            ANSWER => Op::Answer { stream: stream(1), head: parcel.text.unwrap_or_default() },
            #[cfg(unix)]
            WATCH_SHOWN => Op::WatchShown { stream: stream(1) },
            #[cfg(unix)]
            DECLINE => Op::Decline { stream: stream(1) },
            #[cfg(unix)]
            HANG_UP => Op::HangUp { stream: stream(1), flags },
            POSTED => Op::Posted { connection: connection(1) },
            HOLD => Op::Hold { connection: connection(1) },
            POST => Op::Post { connection: connection(1), body: parcel.text.unwrap_or_default() },
            _ => Op::PipeEnd { stream: stream(1) },
        })
    }
}

impl<'a> Ops<'a> {
    /// On whose behalf the worker acts with the operation that was returned last.
    pub fn subject(&self) -> Subject {
        match self.batch.words[self.last.word..] {
            [first, connection, ..]
                if matches!(
                    first & 0xff,
                    SEND | POST
                        | FRAME
                        | HALT
                        | CLOSE
                        | POLL
                        | DROP
                        | ALIVE
                        | WATCH
                        | HOLD
                        | POSTED
                        | TELL_SENT
                        | EXPIRE
                        | SLOW_CONSUMER
                        | EXEMPT
                ) =>
            {
                Subject::Connection(ConnectionId::from_word(connection))
            }
            [first, _, connection, ..] if matches!(first & 0xff, JOIN | LEAVE) => {
                Subject::Connection(ConnectionId::from_word(connection))
            }
            [first, connection, stream, ..] if matches!(first & 0xff, ADMIT | ADMIT_POLLING) => {
                Subject::Newcomer {
                    connection: ConnectionId::from_word(connection),
                    stream: Some(StreamId::from_word(stream)),
                }
            }
            [first, stream, ..]
                if matches!(
                    first & 0xff,
                    PIPE_WRITTEN | PIPE_END | DECLINE | HANG_UP | PASS | ANSWER | WATCH_SHOWN
                ) =>
            {
                Subject::Stream(StreamId::from_word(stream))
            }
            _ => Subject::Worker,
        }
    }

    /// Where the operation stands that was returned last.
    pub fn last_place(&self) -> Place {
        self.last
    }

    /// Where the next one stands, if there is any.
    pub fn next_place(&self) -> Option<Place> {
        (self.next.word < self.batch.words.len()).then_some(self.next)
    }

    fn parcel(&mut self, length: u32, buffers: usize) -> Parcel<'a> {
        let text = (length != NO_TEXT).then(|| {
            // lengths that do not fit the text would be a defect of lib/native/commands.js: the text is cut short
            let rest = &self.batch.text[self.next.text..];
            let text = rest.get(..length as usize).unwrap_or(rest);
            self.next.text += text.len();
            text
        });
        let rest = &self.batch.buffers[self.next.buffer..];
        let buffers = &rest[..buffers.min(rest.len())];
        self.next.buffer += buffers.len();
        Parcel { text, buffers }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: ConnectionId = ConnectionId::from_word(10);
    const ROOM_4: RoomId = RoomId::from_word(4);

    #[test]
    #[cfg_attr(miri, ignore = "so much takes minutes")]
    fn operations_pick_their_texts_and_buffers() {
        let buffers = vec![Bytes::from_static(b"1"), Bytes::from_static(b"2"), Bytes::from_static(b"3")];
        let words = [
            SEND | 1 << 8 | HAS_BUFFERS,
            10,
            2,
            1,
            JOIN,
            4,
            10,
            BROADCAST | HAS_BUFFERS,
            3,
            1,
            1,
            70_000,
            4,
            TARGET_CONNECTION | 10,
            MULTICAST | HAS_BUFFERS,
            NO_TEXT,
            2,
            1,
            10,
            11,
            CLOSE | 1 << 8,
            10,
        ];
        let places = [&[0][..], &[1; 70_000], &[2]].concat();
        let batch = OpBatch::new(&words, "abcde".into(), &buffers, &places);
        let ops: Vec<Op> = batch.iter_from(Place::default()).collect();
        assert_eq!(ops.len(), 5);
        match &ops[0] {
            Op::Send { connection: ID, parcel, flags } => {
                assert_eq!((parcel.text, parcel.buffers.len()), (Some("ab"), 1));
                assert!(flags.volatile() && !flags.compress());
            }
            other => panic!("{other:?}"),
        }
        assert!(matches!(ops[1], Op::Join { room: ROOM_4, connection: ID }));
        match &ops[2] {
            Op::Broadcast { targets, except, parcel, .. } => {
                assert_eq!(targets.iter().collect::<Vec<_>>(), [Target::Room(ROOM_4)]);
                assert_eq!(except.iter().collect::<Vec<_>>(), [Target::Connection(ID)]);
                assert_eq!(parcel.text, Some("cde"));
                assert_eq!(parcel.buffers.len(), 70_000);
                assert!(parcel.buffers.iter().all(|buffer| buffer.as_ptr() == buffers[1].as_ptr()));
            }
            other => panic!("{other:?}"),
        }
        match &ops[3] {
            Op::Multicast { connections, parcel, .. } => {
                assert_eq!(connections.iter().collect::<Vec<_>>(), [ID, ConnectionId::from_word(11)]);
                assert_eq!(parcel.text, None);
                assert_eq!(parcel.buffers, [Bytes::from_static(b"3")]);
            }
            other => panic!("{other:?}"),
        }
        assert!(matches!(ops[4], Op::Close { connection: ID, flags } if flags.discard()));
    }

    #[test]
    fn texts_beyond_ascii_are_cut_at_utf16_lengths() {
        let texts = ["é", "a😀b", "", "日本"];
        let mut words = Vec::new();
        for (index, text) in texts.iter().enumerate() {
            words.extend([SEND, index as u32, text.encode_utf16().count() as u32]);
        }
        let batch = OpBatch::new(&words, texts.concat(), &[], &[]);
        let seen: Vec<_> = batch
            .iter_from(Place::default())
            .map(|op| match op {
                Op::Send { parcel, .. } => parcel.text.unwrap(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(seen, texts);
    }

    #[test]
    fn a_truncated_batch_ends_early() {
        let batch = OpBatch::new(&[CLOSE, 1, MULTICAST, 0, 9, 1], String::new(), &[], &[]);
        assert_eq!(batch.iter_from(Place::default()).count(), 1);
    }

    proptest! {
        #![proptest_config(crate::properties::config(128))]

        /// Messages with texts of any alphabet, and with buffers, each of which may be there any number of times.
        #[test]
        fn messages_are_read_as_they_were_written_and_keep_each_buffer_once(
            distinct in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..2_000), 1..4),
            messages in prop::collection::vec(
                (prop::option::of("\\PC{0,12}"), prop::collection::vec(0..4usize, 0..300)),
                1..12,
            ),
        ) {
            let distinct: Vec<Bytes> = distinct.into_iter().map(Bytes::from).collect();
            let (mut words, mut text, mut places) = (Vec::new(), String::new(), Vec::new());
            for (message, picks) in &messages {
                let has_buffers = if picks.is_empty() { 0 } else { HAS_BUFFERS };
                let length = message.as_ref().map_or(NO_TEXT, |text| text.encode_utf16().count() as u32);
                words.extend([SEND | has_buffers, 10, length]);
                if has_buffers != 0 {
                    words.push(picks.len() as u32);
                }
                text.extend(message.as_deref());
                places.extend(picks.iter().map(|pick| (pick % distinct.len()) as u32));
            }
            let written = text.len() + 4 * words.len() + distinct.iter().map(Bytes::len).sum::<usize>();
            let batch = OpBatch::new(&words, text, &distinct, &places);
            prop_assert!(batch.size <= written, "a buffer counts more than once");
            let mut ops = batch.iter_from(Place::default());
            for (message, picks) in &messages {
                let Some(Op::Send { parcel, .. }) = ops.next() else { panic!("a message is missing") };
                prop_assert_eq!(parcel.text, message.as_deref());
                let expected = picks.iter().map(|pick| distinct[pick % distinct.len()].as_ptr());
                prop_assert!(parcel.buffers.iter().map(|buffer| buffer.as_ptr()).eq(expected));
            }
            prop_assert!(ops.next().is_none());
        }
    }
}
