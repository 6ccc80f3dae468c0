//! For tests: random programs of commands, bytes and passing time for a whole worker, with a model of the JavaScript
//! side, which checks all that the worker tells it.
//!
//! The model reads events late, as JavaScript does, so it goes on naming what has ended; and at times it names what it
//! knows to have ended. Every message says whom it is for.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::command::*;
use super::deadlines::Holder;
use super::event::{EventSink, Inbox, Kind};
use super::queue::CommandQueue;
use super::recovery::Subject;
use super::work::Work;
use super::{After, Worker};
use crate::protocol::engine_io::Protocol;
use crate::protocol::ids::{ConnectionId, Id, RoomId, StreamId, GENERATION_BITS, SLOT_BITS};
use crate::protocol::options::Options;

/// One of those that live, or, of the highest numbers, of those that lived.
type Pick = u8;

#[derive(Debug, Clone)]
enum Step {
    Open { websocket: bool, legacy: bool },
    Upgrade(Pick),
    Bytes(Pick, usize),
    Post(Pick, usize),
    Poll(Pick),
    Send(Pick, u8),
    Broadcast(u32, u8),
    Room(u32, Vec<Pick>),
    DropRoom(u32),
    Join(u32, Pick),
    Leave(u32, Pick),
    Close(Pick, bool),
    Drop(Pick),
    Alive(Pick),
    Written(Pick),
    End(Pick),
    FailConnection(Pick),
    FailStream(Pick),
    FailEverything,
    Pass(u64),
    Turn,
    ReadEvents,
}

/// What clients send over a WebSocket.
const FRAMES: [(u8, &[u8]); 16] = [
    (0x81, b"4hello"),
    (0x81, b"4hello"),
    (0x81, b"4hello"),
    (0x81, b"5"),
    (0x81, b"2probe"),
    (0x81, b"2probe"),
    (0x81, b"5"),
    (0x81, b"3"),
    (0x81, b"2"),
    (0x81, b"1"),
    (0x81, b"nonsense"),
    (0x82, b"binary"),
    (0x89, b"ping"),
    (0x88, b"\x03\xe8"),
    (0x83, b"an opcode that does not exist"),
    (0x01, b"a fragment"),
];

/// What they POST.
const BODIES: [&str; 8] = ["4hello", "3", "2", "1", "", "4a\u{1e}3\u{1e}bAQID", "1:2", "1:21:26:4hello"];

const ROOMS: u32 = 4;

fn step() -> impl Strategy<Value = Step> {
    let pick = any::<Pick>;
    prop_oneof![
        12 => any::<(bool, bool)>().prop_map(|(websocket, legacy)| Step::Open { websocket, legacy }),
        8 => pick().prop_map(Step::Upgrade),
        20 => (pick(), 0..FRAMES.len()).prop_map(|(stream, frame)| Step::Bytes(stream, frame)),
        8 => (pick(), 0..BODIES.len()).prop_map(|(connection, body)| Step::Post(connection, body)),
        12 => pick().prop_map(Step::Poll),
        20 => (pick(), 0..8u8).prop_map(|(connection, flags)| Step::Send(connection, flags)),
        20 => (0..ROOMS, 0..4u8).prop_map(|(room, flags)| Step::Broadcast(room, flags)),
        4 => (0..ROOMS, vec(pick(), 0..12)).prop_map(|(room, members)| Step::Room(room, members)),
        1 => (0..ROOMS).prop_map(Step::DropRoom),
        20 => (0..ROOMS, pick()).prop_map(|(room, connection)| Step::Join(room, connection)),
        4 => (0..ROOMS, pick()).prop_map(|(room, connection)| Step::Leave(room, connection)),
        2 => (pick(), any::<bool>()).prop_map(|(connection, discard)| Step::Close(connection, discard)),
        1 => pick().prop_map(Step::Drop),
        4 => pick().prop_map(Step::Alive),
        40 => pick().prop_map(Step::Written),
        2 => pick().prop_map(Step::End),
        1 => pick().prop_map(Step::FailConnection),
        1 => pick().prop_map(Step::FailStream),
        1 => Just(Step::FailEverything),
        8 => (0..1_500u64).prop_map(Step::Pass),
        120 => Just(Step::Turn),
        20 => Just(Step::ReadEvents),
    ]
}

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

struct Scene {
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
}

impl Scene {
    fn new() -> Scene {
        let milliseconds = Duration::from_millis;
        let options = Options {
            ping_interval: milliseconds(3_000),
            ping_timeout: milliseconds(2_000),
            upgrade_timeout: milliseconds(1_000),
            max_outbound: 2_000,
            ..Options::default()
        };
        let inbox = Arc::new(Inbox::new(usize::MAX, Box::new(|| {})));
        let sink = EventSink::new(inbox.clone());
        let mut worker = Worker::new(Default::default(), 0, 1, Arc::new(options), sink, Arc::default());
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
        }
    }

    /// Has a crowd come, and join rooms.
    fn gather(&mut self) {
        for _ in 0..8 {
            self.open(true, false);
        }
        for room in 0..ROOMS {
            self.take(&Step::Room(room, (0..8).collect()));
        }
        self.finish();
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Open { websocket, legacy } => self.open(websocket, legacy),
            Step::Upgrade(pick) => {
                // JavaScript does not let another connection take over what has ended
                if let Some(connection) = self.connections.pick(pick).filter(|_| pick < 220) {
                    let takeover = self.takeover(connection, false);
                    let connection = ConnectionId::from_word(connection);
                    self.command(Command::Upgrade { connection, takeover });
                }
            }
            Step::Bytes(pick, frame) => {
                if let Some(stream) = self.streams.pick(pick) {
                    let data = frame_of(FRAMES[frame]);
                    self.command(Command::PipeData { stream: StreamId::from_word(stream), data });
                }
            }
            Step::Post(pick, body) => {
                let body = BODIES[body];
                self.about_connection(pick, |id| vec![POST, id, body.encode_utf16().count() as u32], body);
            }
            Step::Poll(pick) => {
                if let Some(id) = self.connections.pick(pick).filter(|id| !self.polls.contains(id)) {
                    if self.connections.live.contains(&id) {
                        self.polls.insert(id);
                    }
                    self.batch(&[POLL, id], "");
                }
            }
            Step::Send(pick, flags) => {
                let Some(id) = self.connections.pick(pick) else { return };
                let text = self.message(HashSet::from([id]));
                self.batch(&[SEND | u32::from(flags) << 8, id, text.len() as u32], &text);
            }
            Step::Broadcast(room, flags) => {
                let Some(&id) = self.room_ids.get(&room) else { return };
                let text = self.message(self.rooms.get(&room).cloned().unwrap_or_default());
                self.batch(&[BROADCAST | u32::from(flags) << 8, text.len() as u32, 1, 0, id], &text);
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

    fn open(&mut self, websocket: bool, legacy: bool) {
        let id = self.connections.add();
        let takeover = websocket.then(|| self.takeover(id, legacy));
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

    fn takeover(&mut self, owner: u32, legacy: bool) -> Takeover {
        let stream = self.streams.add();
        self.owners.insert(stream, owner);
        Takeover {
            protocol: protocol(legacy),
            stream: StreamId::from_word(stream),
            #[cfg(unix)]
            fd: None,
            #[cfg(unix)]
            layer: None,
            response: String::new(),
            deflate: None,
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

    /// A message that says its number.
    fn message(&mut self, recipients: HashSet<u32>) -> String {
        self.messages.push(recipients);
        format!("<{}>", self.messages.len() - 1)
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
                let (taken, rest) = text.split_at(length as usize);
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
                    2
                } else if is(Kind::PipeWrite) {
                    assert!(self.streams.live.contains(&subject), "bytes for {subject:x}, which nobody has");
                    assert!(
                        self.writing.insert(subject),
                        "bytes for {subject:x} before it has written others"
                    );
                    let bytes = buffers.next().unwrap();
                    self.check_recipient(self.owners[&subject], &String::from_utf8_lossy(&bytes));
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
                    } else if is(Kind::Text) || is(Kind::Control) {
                        take_text(words[at + 2]);
                        3
                    } else if is(Kind::Binary) {
                        buffers.next().unwrap();
                        2
                    } else if is(Kind::SlowConsumer) {
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

    /// Lets the worker do all that it has been told.
    fn finish(&mut self) {
        while !matches!(self.worker.serve_commands(&self.queue), After::Idle) {}
    }

    /// The application closes everything, and every client hangs up.
    fn end(&mut self) {
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

/// A frame as clients send it, with a mask that changes nothing.
fn frame_of((first, payload): (u8, &[u8])) -> Vec<u8> {
    [&[first, 0x80 | payload.len() as u8, 0, 0, 0, 0], payload].concat()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(80) })]

    #[test]
    fn every_end_is_told_once_and_nobody_gets_what_is_meant_for_another(steps in vec(step(), 1..500)) {
        let mut scene = Scene::new();
        scene.gather();
        for step in &steps {
            scene.take(step);
            scene.check();
            if matches!(step, Step::Pass(_)) {
                scene.check_nothing_is_due();
            }
        }
        scene.end();
    }
}
