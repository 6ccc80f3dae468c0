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
//! | `MULTICAST` | text length; count; number of buffers, if it has any; that many connections |
//! | `BROADCAST` | text length; number of rooms; number of exceptions; number of buffers, if it has any; the targets of both |
//! | `ROOM` | room; count; that many connections |
//! | `DROP_ROOM` | room |
//! | `JOIN`, `LEAVE` | room; connection |
//! | `CLOSE`, `POLL`, `DROP`, `ALIVE`, `WATCH` | connection |
//! | `PIPE_WRITTEN`, `PIPE_END`, `DECLINE` | stream |
//! | `ADMIT` | connection; stream; text length; revision of the protocol; how much of the text is the session id |
//!
//! A text length of `NO_TEXT` means a message that is a buffer. A target is a room, or a connection if its highest
//! bit is set. A buffer crosses once, however often it is sent: behind the operations stand the places of their buffers
//! in the list.

use std::collections::VecDeque;
#[cfg(unix)]
use std::os::fd::OwnedFd;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::recovery::Subject;
use crate::protocol::engine_io::Protocol;
use crate::protocol::ids::{ConnectionId, StreamId};
use crate::protocol::polling::Outgoing;
use crate::protocol::websocket::deflate::Parameters;

/// The word that stands for "no text".
pub const NO_TEXT: u32 = u32::MAX;

/// The bit that tells a connection from a room among the targets of a broadcast.
const TARGET_CONNECTION: u32 = 1 << 31;

/// Flags of a message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Flags(u8);

impl Flags {
    /// The flags in the first word of an operation.
    pub fn from_word(word: u32) -> Flags {
        Flags((word >> 8) as u8)
    }

    /// Drop the message for a client whose transport is busy.
    pub fn volatile(self) -> bool {
        self.0 & 1 != 0
    }

    /// The message may be compressed.
    pub fn compress(self) -> bool {
        self.0 & 2 != 0
    }

    /// Tell JavaScript when the message has been written.
    pub fn notify(self) -> bool {
        self.0 & 4 != 0
    }

    /// `CLOSE`: end the session now, whether or not the client can be told.
    pub fn discard(self) -> bool {
        self.0 & 1 != 0
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
    Receive { stream: StreamId, fd: OwnedFd },
    /// A WebSocket wants to take over from polling.
    Upgrade { connection: ConnectionId, takeover: Takeover },
    /// The body of a POST of a client of revision 3, with binary data.
    PostBinary { connection: ConnectionId, body: Vec<u8> },
    /// Bytes that a stream in JavaScript received.
    PipeData { stream: StreamId, data: Vec<u8> },
    /// JavaScript has caught up: read again.
    Resume,
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
            Command::PostBinary { connection, .. } => Subject::Connection(*connection),
            Command::PipeData { stream, .. } => Subject::Stream(*stream),
            Command::Fail(subject) => *subject,
            Command::Batch(_) | Command::Resume | Command::Settle(_) | Command::Shutdown => Subject::Worker,
        }
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
            Command::PostBinary { .. } => "PostBinary",
            Command::PipeData { .. } => "PipeData",
            Command::Resume => "Resume",
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
    /// The `open` packet.
    pub handshake: String,
    /// A message that follows the handshake at once.
    pub initial: Option<Outgoing>,
}

/// A connection that has been taken over from Node's HTTP server.
pub struct Takeover {
    /// What its request says of how the client wants messages.
    pub protocol: Protocol,
    pub stream: StreamId,
    /// Our duplicate of the descriptor, or `None` for a stream that lives in JavaScript.
    #[cfg(unix)]
    pub fd: Option<OwnedFd>,
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

/// Whom a broadcast goes to, or spares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    Room(u32),
    Connection(ConnectionId),
}

impl Target {
    /// The target that a word stands for.
    pub fn from_word(word: u32) -> Target {
        if word & TARGET_CONNECTION != 0 {
            Target::Connection(word & !TARGET_CONNECTION)
        } else {
            Target::Room(word)
        }
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
    /// The body of a POST of the client.
    Post {
        connection: ConnectionId,
        body: &'a str,
    },
    Multicast {
        connections: &'a [ConnectionId],
        parcel: Parcel<'a>,
        flags: Flags,
    },
    Broadcast {
        rooms: &'a [u32],
        except: &'a [u32],
        parcel: Parcel<'a>,
        flags: Flags,
    },
    Room {
        room: u32,
        connections: &'a [ConnectionId],
    },
    DropRoom {
        room: u32,
    },
    Join {
        room: u32,
        connection: ConnectionId,
    },
    Leave {
        room: u32,
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
    /// A connection that has arrived becomes a session.
    Admit {
        connection: ConnectionId,
        stream: StreamId,
        protocol: Protocol,
        sid: &'a str,
        /// What the answer to its request has beyond the usual, with a line break in front of each.
        headers: &'a str,
    },
    /// A connection that has arrived is to be Node's.
    Decline {
        stream: StreamId,
    },
}

/// A batch of operations, shared by all workers that it concerns.
#[derive(Debug, Default)]
pub struct OpBatch {
    /// The operations, as the module's table says; text lengths are in bytes here.
    words: Vec<u32>,
    text: String,
    buffers: Vec<Bytes>,
}

impl OpBatch {
    /// A batch as JavaScript has written it, with text lengths in UTF-16 units. `places`: which of `distinct` are the
    /// buffers of the operations, in order.
    pub fn new(words: &[u32], text: String, distinct: &[Bytes], places: &[u32]) -> OpBatch {
        let buffer = |&place: &u32| distinct.get(place as usize).cloned().unwrap_or_default();
        let buffers = places.iter().map(buffer).collect();
        let mut batch = OpBatch { words: words.to_vec(), text, buffers };
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

    /// The operations in order.
    pub fn iter(&self) -> Ops<'_> {
        Ops { batch: self, last: 0, at: 0, text: &self.text, buffers: &self.buffers }
    }
}

const SEND: u32 = 1;
const MULTICAST: u32 = 2;
const BROADCAST: u32 = 3;
const ROOM: u32 = 4;
const DROP_ROOM: u32 = 5;
const JOIN: u32 = 6;
const LEAVE: u32 = 7;
const CLOSE: u32 = 8;
const POLL: u32 = 9;
const DROP: u32 = 10;
const ALIVE: u32 = 11;
const WATCH: u32 = 12;
const PIPE_WRITTEN: u32 = 13;
const PIPE_END: u32 = 14;
const POST: u32 = 15;
const ADMIT: u32 = 16;
const DECLINE: u32 = 17;

/// The bit of an operation's first word that says that it has buffers.
const HAS_BUFFERS: u32 = 1 << 16;

/// Where the text length of the operation at `at` stands, if it has one, and where the next operation begins.
fn layout(words: &[u32], at: usize) -> Option<(Option<usize>, usize)> {
    let count = |offset: usize| words.get(at + offset).map(|&count| count as usize);
    let first = words.get(at)?;
    let buffers = usize::from(first & HAS_BUFFERS != 0);
    let (length_at, size) = match first & 0xff {
        SEND | POST => (Some(at + 2), 3 + buffers),
        MULTICAST => (Some(at + 1), 3 + buffers + count(2)?),
        BROADCAST => (Some(at + 1), 4 + buffers + count(2)? + count(3)?),
        ROOM => (None, 3 + count(2)?),
        JOIN | LEAVE => (None, 3),
        ADMIT => (Some(at + 3), 6),
        DROP_ROOM | CLOSE | POLL | DROP | ALIVE | WATCH | PIPE_WRITTEN | PIPE_END | DECLINE => (None, 2),
        _ => return None,
    };
    (at + size <= words.len()).then_some((length_at, at + size))
}

/// How many bytes the first `units` UTF-16 units of a text take.
fn bytes_of_units(text: &str, units: usize) -> usize {
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
    last: usize,
    at: usize,
    text: &'a str,
    buffers: &'a [Bytes],
}

impl<'a> Iterator for Ops<'a> {
    type Item = Op<'a>;

    fn next(&mut self) -> Option<Op<'a>> {
        let (length_at, end) = layout(&self.batch.words, self.at)?;
        let words = &self.batch.words[self.at..end];
        self.last = self.at;
        self.at = end;
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
        Some(match words[0] & 0xff {
            SEND => Op::Send { connection: words[1], parcel, flags },
            MULTICAST => Op::Multicast { connections: &words[lists..], parcel, flags },
            BROADCAST => {
                let (rooms, except) = words[lists..].split_at(words[2] as usize);
                Op::Broadcast { rooms, except, parcel, flags }
            }
            ROOM => Op::Room { room: words[1], connections: &words[3..] },
            DROP_ROOM => Op::DropRoom { room: words[1] },
            JOIN => Op::Join { room: words[1], connection: words[2] },
            LEAVE => Op::Leave { room: words[1], connection: words[2] },
            CLOSE => Op::Close { connection: words[1], flags },
            POLL => Op::Poll { connection: words[1] },
            DROP => Op::Drop { connection: words[1] },
            ALIVE => Op::Alive { connection: words[1] },
            WATCH => Op::Watch { connection: words[1], flags },
            PIPE_WRITTEN => Op::PipeWritten { stream: words[1] },
            ADMIT => {
                let text = parcel.text.unwrap_or_default();
                let (sid, headers) = text.split_at_checked(words[5] as usize).unwrap_or((text, ""));
                let protocol = Protocol::from_word(words[4]);
                Op::Admit { connection: words[1], stream: words[2], protocol, sid, headers }
            }
            DECLINE => Op::Decline { stream: words[1] },
            POST => Op::Post { connection: words[1], body: parcel.text.unwrap_or_default() },
            _ => Op::PipeEnd { stream: words[1] },
        })
    }
}

impl<'a> Ops<'a> {
    /// On whose behalf the worker acts with the operation that was returned last.
    pub fn subject(&self) -> Subject {
        match self.batch.words[self.last..] {
            [first, connection, ..]
                if matches!(first & 0xff, SEND | POST | CLOSE | POLL | DROP | ALIVE | WATCH) =>
            {
                Subject::Connection(connection)
            }
            [first, _, connection, ..] if matches!(first & 0xff, JOIN | LEAVE) => {
                Subject::Connection(connection)
            }
            [first, connection, stream, ..] if first & 0xff == ADMIT => {
                Subject::Newcomer { connection, stream: Some(stream) }
            }
            [first, stream, ..] if matches!(first & 0xff, PIPE_WRITTEN | PIPE_END | DECLINE) => {
                Subject::Stream(stream)
            }
            _ => Subject::Worker,
        }
    }

    fn parcel(&mut self, length: u32, buffers: usize) -> Parcel<'a> {
        let text = (length != NO_TEXT).then(|| {
            // lengths that do not fit the text would be a defect of lib/native/commands.js: the text is cut short
            let (text, rest) = self.text.split_at_checked(length as usize).unwrap_or((self.text, ""));
            self.text = rest;
            text
        });
        let (buffers, rest) = self.buffers.split_at(buffers.min(self.buffers.len()));
        self.buffers = rest;
        Parcel { text, buffers }
    }
}

/// The queue of one worker.
#[derive(Default)]
pub struct CommandQueue {
    commands: Mutex<VecDeque<Command>>,
    notify: Notify,
}

impl CommandQueue {
    /// Adds a command and wakes the worker.
    pub fn push(&self, command: Command) {
        let waits = {
            let mut commands = self.commands.lock();
            commands.push_back(command);
            commands.len() == 1
        };
        if waits {
            self.notify.notify_one();
        }
    }

    /// How many commands wait.
    pub fn len(&self) -> usize {
        self.commands.lock().len()
    }

    /// Takes the oldest command.
    pub fn pop(&self) -> Option<Command> {
        self.commands.lock().pop_front()
    }

    /// Waits until there may be a command.
    pub async fn wait(&self) {
        self.notify.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
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
        let ops: Vec<Op> = batch.iter().collect();
        assert_eq!(ops.len(), 5);
        match &ops[0] {
            Op::Send { connection: 10, parcel, flags } => {
                assert_eq!((parcel.text, parcel.buffers.len()), (Some("ab"), 1));
                assert!(flags.volatile() && !flags.compress());
            }
            other => panic!("{other:?}"),
        }
        assert!(matches!(ops[1], Op::Join { room: 4, connection: 10 }));
        match &ops[2] {
            Op::Broadcast { rooms: [4], except, parcel, .. } => {
                assert_eq!(Target::from_word(except[0]), Target::Connection(10));
                assert_eq!(parcel.text, Some("cde"));
                assert_eq!(parcel.buffers.len(), 70_000);
                assert!(parcel.buffers.iter().all(|buffer| buffer.as_ptr() == buffers[1].as_ptr()));
            }
            other => panic!("{other:?}"),
        }
        match &ops[3] {
            Op::Multicast { connections: [10, 11], parcel, .. } => {
                assert_eq!(parcel.text, None);
                assert_eq!(parcel.buffers, [Bytes::from_static(b"3")]);
            }
            other => panic!("{other:?}"),
        }
        assert!(matches!(ops[4], Op::Close { connection: 10, flags } if flags.discard()));
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
            .iter()
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
        assert_eq!(batch.iter().count(), 1);
    }
}
