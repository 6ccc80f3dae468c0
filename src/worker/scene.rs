//! For tests: a whole worker that plays programs of commands, bytes and passing time, with a model of the JavaScript side and of
//! the clients, which checks all that the worker tells them. `random_programs.rs` makes such programs, and so does `fuzz/`.
//!
//! The model reads events late, as JavaScript does, so it goes on naming what has ended; and at times it names what it
//! knows to have ended. Every message says whom it is for.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::command::*;
use super::deadlines::Holder;
use super::event::{EventSink, Inbox, Kind};
use super::queue::CommandQueue;
use super::recovery::Subject;
use super::work::Work;
use super::{After, Worker};
use crate::protocol::engine_io::Protocol;
use crate::protocol::ids::{ConnectionId, Id, RoomId, StreamId, GENERATION_BITS, SLOT_BITS};
use crate::protocol::options::{Action, Options, Policy, Rates, SlowConsumer};
use crate::protocol::websocket::deflate::{Deflate, Parameters};

/// One of those that live, or, of the highest numbers, of those that lived.
pub type Pick = u8;

/// What happens.
#[derive(Debug, Clone)]
pub enum Step {
    /// A client comes, with a WebSocket or polling. With one, `deflate`: it may compress what it says.
    Open {
        websocket: bool,
        legacy: bool,
        deflate: bool,
    },
    /// A client that polls comes with a WebSocket.
    Upgrade(Pick),
    /// Bytes of a client arrive over a WebSocket.
    Bytes(Pick, Vec<u8>),
    /// A body of text is POSTed.
    Post(Pick, String),
    /// A body is POSTed that crosses by itself, and whether it is binary.
    PostBody(Pick, Vec<u8>, bool),
    /// A GET is to be answered.
    Poll(Pick),
    /// The application sends a message to one client, with these flags and this content.
    Send(Pick, u8, Content),
    /// To a room.
    Broadcast(u32, u8, Content),
    /// To clients that it names.
    Multicast(Vec<Pick>, u8, Content),
    /// A room is made, in place of the one there is.
    Room(u32, Vec<Pick>),
    DropRoom(u32),
    Join(u32, Pick),
    Leave(u32, Pick),
    /// The application closes a connection, at once or when all is written.
    Close(Pick, bool),
    Drop(Pick),
    Alive(Pick),
    Watch(Pick, u8),
    TellSent(Pick),
    /// JavaScript has written what it was given for a stream.
    Written(Pick),
    /// A stream has ended.
    End(Pick),
    FailConnection(Pick),
    FailStream(Pick),
    FailEverything,
    /// Milliseconds.
    Pass(u64),
    /// A turn of the worker.
    Turn,
    ReadEvents,
}

/// What a message has beyond its number: bytes of text, and buffers.
#[derive(Debug, Clone, Copy, Default)]
pub struct Content {
    pub padding: u16,
    pub buffers: u8,
}

/// How many rooms there are.
pub const ROOMS: u32 = 4;

/// What is agreed on with clients that may compress.
const DEFLATE: Parameters = Parameters {
    server_no_context_takeover: false,
    client_no_context_takeover: false,
    server_max_window_bits: 12,
    client_max_window_bits: 12,
    level: 1,
    threshold: 0,
};

/// Numbers as JavaScript hands them out.
#[derive(Default)]
struct Numbers {
    live: Vec<u32>,
    dead: Vec<u32>,
    free: VecDeque<u32>,
    slots: u32,
}

impl Numbers {
    fn add(&mut self) -> u32 {
        let id = self.free.pop_front().unwrap_or_else(|| {
            self.slots += 1;
            self.slots - 1
        });
        self.live.push(id);
        id
    }

    /// `false`: nobody has it.
    fn remove(&mut self, id: u32) -> bool {
        let Some(at) = self.live.iter().position(|&one| one == id) else { return false };
        self.live.remove(at);
        self.dead.push(id);
        self.free.push_back((id + (1 << SLOT_BITS)) & ((1 << (SLOT_BITS + GENERATION_BITS)) - 1));
        true
    }

    fn pick(&self, pick: Pick) -> Option<u32> {
        let list = if pick < 220 { &self.live } else { &self.dead };
        (!list.is_empty()).then(|| list[pick as usize % list.len()])
    }
}

/// See the module.
pub struct Scene {
    worker: Worker,
    queue: CommandQueue,
    inbox: Arc<Inbox>,
    connections: Numbers,
    streams: Numbers,
    /// By stream.
    owners: HashMap<u32, u32>,
    /// Those that have a GET waiting.
    polls: HashSet<u32>,
    /// Streams that have something to write, or wait for it to be confirmed.
    writing: HashSet<u32>,
    rooms: HashMap<u32, HashSet<u32>>,
    /// Generations of the rooms' numbers.
    room_ids: HashMap<u32, u32>,
    /// Whom a message is for, by its number.
    messages: Vec<HashSet<u32>>,
    /// The last message that a connection has got.
    received: HashMap<u32, usize>,
    /// What clients read, by stream.
    readers: HashMap<u32, Reader>,
}

/// What a client reads over a WebSocket.
#[derive(Default)]
struct Reader {
    /// The beginning of a frame.
    partial: Vec<u8>,
    deflate: Option<Deflate>,
    is_closed: bool,
}

impl Reader {
    /// Takes bytes of the server, and returns the texts that they complete.
    fn read(&mut self, bytes: &[u8]) -> Vec<String> {
        self.partial.extend_from_slice(bytes);
        let mut texts = Vec::new();
        while let Some((first, payload)) = self.frame() {
            assert!(!self.is_closed, "a frame after a Close frame");
            let payload = match self.deflate.as_mut() {
                Some(deflate) if first & 0x40 != 0 => deflate.decompress_all(&payload, 1 << 20).unwrap(),
                None if first & 0x40 != 0 => panic!("a compressed frame for who has not agreed on that"),
                _ => payload,
            };
            match first & 0xbf {
                0x81 => texts.push(String::from_utf8(payload).unwrap()),
                0x82 => assert!(payload.len() >= 3 && payload.ends_with(&[7; 3]), "{payload:?}"),
                0x88 => self.is_closed = true,
                0x8a => {}
                other => panic!("a frame of the server that begins with {other:x}"),
            }
        }
        texts
    }

    /// The first byte and the payload of the next frame, which the server does not mask.
    fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let (&first, rest) = self.partial.split_first()?;
        let (&length, rest) = rest.split_first()?;
        let (length, at) = match length {
            126 => (usize::from(u16::from_be_bytes(*rest.first_chunk()?)), 4),
            127 => (usize::try_from(u64::from_be_bytes(*rest.first_chunk()?)).unwrap(), 10),
            short => (usize::from(short), 2),
        };
        let payload = self.partial.get(at..at + length)?.to_vec();
        self.partial.drain(..at + length);
        Some((first, payload))
    }
}

impl Scene {
    /// `max_outbound`: bytes that may wait for a client. `is_bounded`: whether they are held back, and what clients send is
    /// limited.
    pub fn new(max_outbound: usize, is_bounded: bool) -> Scene {
        let milliseconds = Duration::from_millis;
        let slow_consumer = SlowConsumer {
            policy: Policy::Close,
            max_bytes: max_outbound,
            max_age: Some(milliseconds(4_000)),
        };
        let rates = Rates { packets: 20.0, bytes: 20_000.0, burst: 0.2, action: Action::Pause };
        let options = Options {
            ping_interval: milliseconds(3_000),
            ping_timeout: milliseconds(2_000),
            upgrade_timeout: milliseconds(1_000),
            max_outbound: if is_bounded { usize::MAX } else { max_outbound },
            slow_consumer: is_bounded.then_some(slow_consumer),
            rates: is_bounded.then_some(rates),
            ..Options::default()
        };
        let inbox = Arc::new(Inbox::new(usize::MAX, Box::new(|| {})));
        let sink = EventSink::new(inbox.clone());
        let (road, metrics) = Default::default();
        let mut worker = Worker::new(Default::default(), 0, 1, Arc::new(options), sink, road, metrics);
        // most broadcasts, and batches, take several turns
        worker.work = Work::with(1);
        Scene {
            worker,
            queue: CommandQueue::default(),
            inbox,
            connections: Numbers::default(),
            streams: Numbers::default(),
            owners: HashMap::new(),
            polls: HashSet::new(),
            writing: HashSet::new(),
            rooms: HashMap::new(),
            room_ids: HashMap::new(),
            messages: Vec::new(),
            received: HashMap::new(),
            readers: HashMap::new(),
        }
    }

    /// Has a crowd come, and join rooms.
    pub fn gather(&mut self) {
        for index in 0..8 {
            self.open(true, false, index >= 6);
        }
        for room in 0..ROOMS {
            self.take(&Step::Room(room, (0..8).collect()));
        }
        self.finish();
    }

    /// Has something happen, and checks what holds after each step.
    pub fn play(&mut self, step: &Step) {
        self.take(step);
        self.check();
        if matches!(step, Step::Pass(_)) {
            self.check_nothing_is_due();
        }
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Open { websocket, legacy, deflate } => self.open(websocket, legacy, deflate),
            Step::Upgrade(pick) => {
                // JavaScript does not let another connection take over what has ended
                if let Some(connection) = self.connections.pick(pick).filter(|_| pick < 220) {
                    let takeover = self.takeover(connection, false, false);
                    let connection = ConnectionId::from_word(connection);
                    self.command(Command::Upgrade { connection, takeover });
                }
            }
            Step::Bytes(pick, ref data) => {
                if let Some(stream) = self.streams.pick(pick) {
                    let data = data.clone();
                    self.command(Command::PipeData { stream: StreamId::from_word(stream), data });
                }
            }
            Step::Post(pick, ref body) => {
                self.about_connection(pick, |id| vec![POST, id, body.encode_utf16().count() as u32], body);
            }
            Step::PostBody(pick, ref body, is_binary) => {
                if let Some(id) = self.connections.pick(pick) {
                    let (connection, body) = (ConnectionId::from_word(id), body.clone());
                    self.command(Command::Body { connection, body, is_binary });
                }
            }
            Step::Poll(pick) => {
                if let Some(id) = self.connections.pick(pick).filter(|id| !self.polls.contains(id)) {
                    if self.connections.live.contains(&id) {
                        self.polls.insert(id);
                    }
                    self.batch(&[POLL, id], "");
                }
            }
            Step::Send(pick, flags, content) => {
                let Some(id) = self.connections.pick(pick) else { return };
                self.message(HashSet::from([id]), flags, content, |text, buffers| {
                    [&[SEND | buffers.0, id, text], &buffers.1[..]].concat()
                });
            }
            Step::Multicast(ref picks, flags, content) => {
                let ids: HashSet<u32> =
                    picks.iter().filter_map(|&pick| self.connections.pick(pick)).collect();
                let list: Vec<u32> = ids.iter().copied().collect();
                self.message(ids, flags, content, |text, buffers| {
                    [&[MULTICAST | buffers.0, text, list.len() as u32], &buffers.1[..], &list].concat()
                });
            }
            Step::Broadcast(room, flags, content) => {
                let Some(&id) = self.room_ids.get(&room) else { return };
                let recipients = self.rooms.get(&room).cloned().unwrap_or_default();
                self.message(recipients, flags, content, |text, buffers| {
                    [&[BROADCAST | buffers.0, text, 1, 0], &buffers.1[..], &[id]].concat()
                });
            }
            Step::Room(room, ref picks) => {
                self.drop_room(room);
                let id = self.room_ids.entry(room).or_insert(room);
                let members: HashSet<u32> =
                    picks.iter().filter_map(|&pick| self.connections.pick(pick)).collect();
                let words: Vec<u32> =
                    [ROOM, *id, members.len() as u32].into_iter().chain(members.iter().copied()).collect();
                self.rooms.insert(room, members);
                self.batch(&words, "");
            }
            Step::DropRoom(room) => self.drop_room(room),
            Step::Join(room, pick) => {
                if let (Some(members), Some(id)) = (self.rooms.get_mut(&room), self.connections.pick(pick)) {
                    members.insert(id);
                    self.batch(&[JOIN, self.room_ids[&room], id], "");
                }
            }
            Step::Leave(room, pick) => {
                if let (Some(members), Some(id)) = (self.rooms.get_mut(&room), self.connections.pick(pick)) {
                    members.remove(&id);
                    self.batch(&[LEAVE, self.room_ids[&room], id], "");
                }
            }
            Step::Close(pick, discard) => {
                self.about_connection(pick, |id| vec![CLOSE | u32::from(discard) << 8, id], "");
            }
            Step::Drop(pick) => self.about_connection(pick, |id| vec![DROP, id], ""),
            Step::Alive(pick) => self.about_connection(pick, |id| vec![ALIVE, id], ""),
            Step::Watch(pick, mask) => {
                self.about_connection(pick, |id| vec![WATCH | u32::from(mask) << 8, id], "");
            }
            Step::TellSent(pick) => self.about_connection(pick, |id| vec![TELL_SENT, id], ""),
            Step::Written(pick) => {
                if let Some(id) = self.streams.pick(pick).filter(|id| self.writing.remove(id)) {
                    self.batch(&[PIPE_WRITTEN, id], "");
                }
            }
            Step::End(pick) => {
                if let Some(id) = self.streams.pick(pick) {
                    self.batch(&[PIPE_END, id], "");
                }
            }
            Step::FailConnection(pick) => {
                if let Some(id) = self.connections.pick(pick) {
                    self.command(Command::Fail(Subject::Connection(ConnectionId::from_word(id))));
                }
            }
            Step::FailStream(pick) => {
                if let Some(id) = self.streams.pick(pick) {
                    self.command(Command::Fail(Subject::Stream(StreamId::from_word(id))));
                }
            }
            Step::FailEverything => self.command(Command::Fail(Subject::Worker)),
            Step::Pass(milliseconds) => {
                self.worker.now += Duration::from_millis(milliseconds);
                while self.worker.is_timer_due() {
                    self.worker.serve_deadlines();
                }
            }
            Step::Turn => {
                self.worker.serve_commands(&self.queue);
            }
            Step::ReadEvents => self.read_events(),
        }
    }

    fn open(&mut self, websocket: bool, legacy: bool, deflate: bool) {
        let id = self.connections.add();
        let takeover = websocket.then(|| self.takeover(id, legacy, deflate));
        if !websocket {
            self.polls.insert(id);
        }
        let open = Open {
            connection: ConnectionId::from_word(id),
            protocol: protocol(legacy),
            takeover,
            handshake: "0{}".into(),
            initial: None,
            traveller: None,
        };
        self.command(Command::Open(Box::new(open)));
    }

    fn takeover(&mut self, owner: u32, legacy: bool, deflate: bool) -> Takeover {
        let stream = self.streams.add();
        self.owners.insert(stream, owner);
        let client = deflate.then(|| Deflate::new(DEFLATE, Default::default()));
        self.readers.insert(stream, Reader { deflate: client, ..Reader::default() });
        Takeover {
            protocol: protocol(legacy),
            stream: StreamId::from_word(stream),
            #[cfg(unix)]
            fd: None,
            #[cfg(unix)]
            layer: None,
            response: String::new(),
            deflate: deflate.then_some(DEFLATE),
            head: Vec::new(),
        }
    }

    fn drop_room(&mut self, room: u32) {
        if self.rooms.remove(&room).is_some() {
            let id = self.room_ids[&room];
            self.batch(&[DROP_ROOM, id], "");
            self.room_ids.insert(room, id + (1 << SLOT_BITS));
        }
    }

    /// Sends a message that says its number. `words`: the operation, by the length of the text, and what it has of buffers: a
    /// bit and their number.
    fn message(
        &mut self,
        recipients: HashSet<u32>,
        flags: u8,
        content: Content,
        words: impl FnOnce(u32, (u32, Vec<u32>)) -> Vec<u32>,
    ) {
        self.messages.push(recipients);
        let text = format!("<{}>{}", self.messages.len() - 1, "x".repeat(usize::from(content.padding)));
        let count = u32::from(content.buffers);
        let buffers = if count == 0 { (0, vec![]) } else { (HAS_BUFFERS, vec![count]) };
        let mut words = words(text.len() as u32, buffers);
        words[0] |= u32::from(flags) << 8;
        let buffer = [Bytes::from(vec![7; 3 + usize::from(content.padding)])];
        let batch = OpBatch::new(&words, text, &buffer, &vec![0; count as usize]);
        self.command(Command::Batch(Arc::new(batch)));
    }

    /// What nobody would say: words that mean anything, or nothing. The model knows nothing of what they do, so it is not asked
    /// any more.
    pub fn say_anything(&mut self, words: &[u32], text: String, buffers: &[Bytes], places: &[u32]) {
        self.command(Command::Batch(Arc::new(OpBatch::new(words, text, buffers, places))));
        self.finish();
        self.worker.now += Duration::from_secs(1);
        while self.worker.is_timer_due() {
            self.worker.serve_deadlines();
        }
        self.worker.events.publish();
        while let Some((batch, _)) = self.inbox.take() {
            let mut at = 0;
            while at < batch.words.len() {
                let kind = batch.words[at] & 0xff;
                assert_ne!(kind, Kind::Defect as u32, "{}", batch.text);
                at += match kind {
                    kind if kind == Kind::Packet as u32 => 5,
                    kind if kind == Kind::Closed as u32 => 4,
                    kind if kind == Kind::Text as u32
                        || kind == Kind::PollAnswer as u32
                        || kind == Kind::Control as u32
                        || kind == Kind::SlowConsumer as u32
                        || kind == Kind::Limit as u32 =>
                    {
                        3
                    }
                    _ => 2,
                };
            }
        }
        self.check();
    }

    fn about_connection(&mut self, pick: Pick, words: impl FnOnce(u32) -> Vec<u32>, text: &str) {
        if let Some(id) = self.connections.pick(pick) {
            self.batch(&words(id), text);
        }
    }

    fn batch(&mut self, words: &[u32], text: &str) {
        self.command(Command::Batch(Arc::new(OpBatch::new(words, text.into(), &[], &[]))));
    }

    fn command(&mut self, command: Command) {
        self.queue.push(command, self.worker.now);
    }

    /// Reads events as `lib/native/events.js` does, all of which have to be about somebody who lives.
    fn read_events(&mut self) {
        self.worker.events.publish();
        while let Some((batch, _)) = self.inbox.take() {
            let (words, mut text) = (&batch.words, batch.text.as_str());
            let mut take_text = |length: u32| {
                let (taken, rest) = text.split_at(bytes_of_units(text, length as usize));
                text = rest;
                taken
            };
            let mut buffers = batch.buffers.into_iter();
            let mut at = 0;
            while at < words.len() {
                let (kind, subject) = (words[at] & 0xff, words[at + 1]);
                let is = |wanted: Kind| kind == wanted as u32;
                let size = if is(Kind::Packet) {
                    take_text(words[at + 3]);
                    5
                } else if is(Kind::Closed) {
                    take_text(words[at + 2]);
                    take_text(words[at + 3]);
                    assert!(self.connections.remove(subject), "CLOSED of {subject:x}, which nobody has");
                    self.rooms.values_mut().for_each(|members| _ = members.remove(&subject));
                    self.polls.remove(&subject);
                    4
                } else if is(Kind::Released) {
                    assert!(self.streams.remove(subject), "RELEASED of {subject:x}, which nobody has");
                    self.writing.remove(&subject);
                    self.readers.remove(&subject);
                    2
                } else if is(Kind::PipeWrite) {
                    assert!(self.streams.live.contains(&subject), "bytes for {subject:x}, which nobody has");
                    assert!(
                        self.writing.insert(subject),
                        "bytes for {subject:x} before it has written others"
                    );
                    let bytes = buffers.next().unwrap();
                    let reader = self.readers.get_mut(&subject).unwrap();
                    for text in reader.read(&bytes) {
                        self.check_recipient(self.owners[&subject], &text);
                    }
                    2
                } else if is(Kind::PipeEnd) {
                    assert!(self.streams.live.contains(&subject));
                    2
                } else if is(Kind::Defect) {
                    take_text(subject);
                    2
                } else {
                    assert!(
                        self.connections.live.contains(&subject),
                        "{kind} of {subject:x}, which nobody has"
                    );
                    if is(Kind::PollAnswer) {
                        let payload = take_text(words[at + 2]).to_owned();
                        assert!(self.polls.remove(&subject), "an answer to no GET of {subject:x}");
                        self.check_recipient(subject, &payload);
                        3
                    } else if is(Kind::PollAnswerBinary) {
                        let payload = buffers.next().unwrap();
                        assert!(self.polls.remove(&subject), "an answer to no GET of {subject:x}");
                        self.check_recipient(subject, &String::from_utf8_lossy(&payload));
                        2
                    } else if is(Kind::Text) || is(Kind::Control) {
                        take_text(words[at + 2]);
                        3
                    } else if is(Kind::Binary) {
                        buffers.next().unwrap();
                        2
                    } else if is(Kind::SlowConsumer) || is(Kind::Limit) {
                        3
                    } else {
                        2
                    }
                };
                at += size;
            }
        }
    }

    /// Nobody gets what is for others, and everybody gets what is for him once, in order.
    fn check_recipient(&mut self, connection: u32, text: &str) {
        for message in text.split('<').skip(1) {
            let number: usize = message.split('>').next().unwrap().parse().unwrap();
            let recipients = &self.messages[number];
            assert!(
                recipients.contains(&connection),
                "{connection:x} has got <{number}>, for {recipients:x?}"
            );
            let before = self.received.insert(connection, number);
            assert!(before < Some(number), "{connection:x} has got <{number}> after {before:?}");
        }
    }

    /// What holds after each step.
    fn check(&self) {
        let worker = &self.worker;
        let holders = worker.connections.len() + worker.websockets.len();
        assert!(worker.deadlines.len() <= holders, "{} deadlines of {holders}", worker.deadlines.len());
        for (id, connection) in worker.connections.iter() {
            let Some(next) = connection.session.next_deadline() else { continue };
            let watched = worker.deadlines.get(Holder::Connection(id));
            assert!(watched.is_some_and(|at| at <= next), "{:x} is not looked at in time", id.word());
        }
    }

    fn check_nothing_is_due(&self) {
        let worker = &self.worker;
        assert!(worker.deadlines.next().is_none_or(|next| next > worker.now));
        let sessions = worker.connections.iter().map(|(_, connection)| &connection.session);
        assert!(sessions.flat_map(|it| it.next_deadline()).all(|next| next > worker.now));
    }

    /// Lets the worker do all that it has been told, and what is due at once.
    fn finish(&mut self) {
        while !matches!(self.worker.serve_commands(&self.queue), After::Idle) {
            if self.worker.is_timer_due() {
                self.worker.serve_deadlines();
            }
        }
    }

    /// The application closes everything, and every client hangs up.
    pub fn end(&mut self) {
        self.finish();
        self.read_events();
        for id in self.connections.live.clone() {
            self.batch(&[DROP, id], "");
        }
        for id in self.streams.live.clone() {
            self.batch(&[PIPE_END, id], "");
        }
        self.finish();
        self.read_events();
        assert!(self.connections.live.is_empty(), "without CLOSED: {:x?}", self.connections.live);
        assert!(self.streams.live.is_empty(), "without RELEASED: {:x?}", self.streams.live);
        assert_eq!(self.worker.connections.len() + self.worker.websockets.len(), 0);
        assert_eq!(self.worker.deadlines.len(), 0);
        for room in self.room_ids.values() {
            assert_eq!(self.worker.rooms.len(RoomId::from_word(*room)), 0);
        }
    }
}

fn protocol(legacy: bool) -> Protocol {
    if legacy {
        Protocol::V3 { base64: false }
    } else {
        Protocol::V4 { base64: false }
    }
}
