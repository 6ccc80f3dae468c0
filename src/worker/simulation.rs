//! For tests: a worker without a thread, whose tasks run only while a test waits, and clients whose ends the test holds.

use std::cell::RefCell;
use std::future::Future;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use tokio::task::{yield_now, LocalSet};

use super::command::*;
use super::event::{EventSink, Inbox, Kind};
use super::figures::Figure;
use super::queue::CommandQueue;
use super::stream::Stream;
use super::wire::Wire;
use super::work::Work;
use super::{After, Shared, Worker, READ_BUFFER};
use crate::protocol::engine_io::Protocol;
use crate::protocol::error::Ending;
use crate::protocol::ids::{ConnectionId, StreamId};
use crate::protocol::options::Options;
use crate::protocol::websocket::deflate::{Deflate, Parameters};
use crate::protocol::websocket::frame;

const PROTOCOL: Protocol = Protocol::V4 { base64: false };

const DEFLATE: Parameters = Parameters {
    server_max_window_bits: 15,
    client_max_window_bits: 15,
    server_no_context_takeover: false,
    client_no_context_takeover: false,
    level: 6,
    threshold: 0,
};

/// The worker, and what it tells JavaScript.
pub struct Simulation {
    pub shared: Shared,
    queue: CommandQueue,
    inbox: Arc<Inbox>,
}

impl Simulation {
    /// Runs a test in which there is a worker.
    pub fn run<F: Future<Output = ()>>(options: Options, test: impl FnOnce(Simulation) -> F) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        LocalSet::new().block_on(&runtime, async {
            let inbox = Arc::new(Inbox::new(options.max_backlog, Box::new(|| {})));
            let (options, sink) = (Arc::new(options), EventSink::new(inbox.clone()));
            let shared = Rc::new_cyclic(|this| {
                RefCell::new(Worker::new(this.clone(), 0, 1, options, sink, Arc::default(), Arc::default()))
            });
            test(Simulation { shared, queue: CommandQueue::default(), inbox }).await;
        });
    }

    /// A client whose session and stream have this number.
    pub fn connect(&self, id: u32) -> Client {
        self.connect_with(id, None)
    }

    pub fn connect_with(&self, id: u32, deflate: Option<Parameters>) -> Client {
        let mut client = self.open(id, PROTOCOL, deflate, "0");
        assert_eq!(client.received(), b"\x81\x010");
        client
    }

    /// A client that speaks no Engine.IO.
    pub fn connect_raw(&self, id: u32) -> Client {
        self.open(id, Protocol::Raw, None, "")
    }

    fn open(&self, id: u32, protocol: Protocol, deflate: Option<Parameters>, handshake: &str) -> Client {
        let (client, server) = UnixStream::pair().unwrap();
        client.set_nonblocking(true).unwrap();
        server.set_nonblocking(true).unwrap();
        let takeover = Takeover {
            protocol,
            stream: StreamId::from_word(id),
            fd: Some(server.into()),
            #[cfg(unix)]
            layer: None,
            response: String::new(),
            deflate,
            head: Vec::new(),
        };
        self.turn(|worker| {
            worker.open(Open {
                connection: ConnectionId::from_word(id),
                protocol,
                takeover: Some(takeover),
                handshake: handshake.into(),
                initial: None,
                traveller: None,
            });
        });
        Client { end: client }
    }

    /// A turn in which something is said to the worker.
    pub fn turn<T>(&self, say: impl FnOnce(&mut Worker) -> T) -> T {
        let mut worker = self.shared.borrow_mut();
        let said = say(&mut worker);
        worker.finish_turn();
        said
    }

    pub fn send(&self, id: u32, text: &str) {
        let parcel = Parcel { text: Some(text), buffers: &[] };
        self.turn(|worker| worker.send(ConnectionId::from_word(id), parcel, Flags::default()));
    }

    /// Sends a Close frame to a client that speaks no Engine.IO.
    pub fn close_raw(&self, id: u32, payload: &[u8]) {
        self.turn(|worker| {
            worker.send_frame(ConnectionId::from_word(id), frame::FINAL | frame::CLOSE, payload)
        });
    }

    /// Pushes a batch of operations that have no buffers.
    pub fn push(&self, words: &[u32], text: &str) {
        let batch = OpBatch::new(words, text.into(), &[], &[]);
        self.queue.push(Command::Batch(Arc::new(batch)), Instant::now());
    }

    /// A turn of the main task. Returns whether there is more to do.
    pub fn command_turn(&self) -> bool {
        matches!(self.shared.borrow_mut().command_turn(&self.queue), After::More)
    }

    /// Has turns cost little, or anything.
    pub fn set_budget(&self, budget: usize) {
        self.shared.borrow_mut().work = Work::with(budget);
    }

    pub fn stream(&self, id: u32) -> Rc<Wire> {
        match &self.shared.borrow_mut().websocket(StreamId::from_word(id)).unwrap().stream {
            Stream::Fd(fd) => fd.clone(),
            Stream::Pipe(_) => unreachable!("clients of a simulation have descriptors"),
        }
    }

    /// The kinds of the events since the last call, and their texts.
    pub fn events(&self) -> (Vec<u32>, String) {
        self.shared.borrow_mut().events.publish();
        let (mut kinds, mut texts) = (Vec::new(), String::new());
        while let Some((batch, _)) = self.inbox.take() {
            let mut at = 0;
            while at < batch.words.len() {
                let kind = batch.words[at] & 0xff;
                kinds.push(kind);
                at += match kind {
                    kind if kind == Kind::Packet as u32 => 5,
                    kind if kind == Kind::Closed as u32 => 4,
                    kind if [Kind::Text, Kind::PollAnswer, Kind::Violation]
                        .map(|it| it as u32)
                        .contains(&kind) =>
                    {
                        3
                    }
                    _ => 2,
                };
            }
            texts.push_str(&batch.text);
        }
        (kinds, texts)
    }
}

/// Lets the worker's tasks run, some times each.
pub async fn moments(count: usize) {
    for _ in 0..count {
        yield_now().await;
    }
}

/// The other end of a connection.
pub struct Client {
    end: UnixStream,
}

impl Client {
    /// What has come by now.
    pub fn received(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        // ends with "would block"
        let _ = self.end.read_to_end(&mut all);
        all
    }

    /// Sends a short message.
    pub fn send(&mut self, text: &str) {
        assert!(text.len() < 125);
        let mut frame = vec![0x81, 0x81 + text.len() as u8, 0, 0, 0, 0, b'4'];
        frame.extend(text.as_bytes());
        self.end.write_all(&frame).unwrap();
    }
}

const PONG: &[u8] = b"\x81\x81\0\0\0\x003";

/// Options with which heartbeats are due at once.
fn impatient() -> Options {
    let moment = Duration::from_millis(1);
    Options { ping_interval: moment, ping_timeout: moment, parse_packets: false, ..Options::default() }
}

/// A turn of the timers, in which everything that was set before is due.
fn late_timer_turn(simulation: &Simulation) {
    std::thread::sleep(Duration::from_millis(3));
    simulation.shared.borrow_mut().timer_turn();
}

#[test]
fn the_answer_to_a_ping_is_looked_for_however_little_is_left_of_the_turn() {
    Simulation::run(impatient(), |simulation| async move {
        let mut clients: Vec<Client> = (0..3).map(|id| simulation.connect(id)).collect();
        late_timer_turn(&simulation);
        for client in &mut clients {
            assert_eq!(client.received(), b"\x81\x012");
            client.end.write_all(PONG).unwrap();
        }
        simulation.set_budget(1);
        for _ in 0..3 {
            late_timer_turn(&simulation);
        }
        assert_eq!(simulation.events(), (vec![], String::new()));
    });
}

#[test]
fn who_is_still_being_read_is_not_given_up() {
    Simulation::run(impatient(), |simulation| async move {
        let mut client = simulation.connect(0);
        late_timer_turn(&simulation);
        assert_eq!(client.received(), b"\x81\x012");
        // any message is a sign of life, which counts once
        client.send("before");
        simulation.turn(|worker| worker.read_turn(StreamId::from_word(0)));
        let flood = [0x81, 0x81, 0, 0, 0, 0, b'4'].repeat(2 * READ_BUFFER / 7);
        client.end.write_all(&flood).unwrap();
        simulation.set_budget(1);
        late_timer_turn(&simulation);
        let (kinds, _) = simulation.events();
        assert!(kinds.iter().all(|&kind| kind == Kind::Text as u32) && kinds.len() > 1000);
        client.end.write_all(PONG).unwrap();
        simulation.set_budget(usize::MAX);
        late_timer_turn(&simulation);
        late_timer_turn(&simulation);
        let (kinds, _) = simulation.events();
        assert!(kinds.iter().all(|&kind| kind == Kind::Text as u32));
        assert_eq!(client.received(), b"\x81\x012");
    });
}

#[test]
fn a_failed_write_is_the_last_and_what_the_client_has_sent_is_delivered() {
    Simulation::run(Options { parse_packets: false, ..Options::default() }, |simulation| async move {
        let mut client = simulation.connect(0);
        client.send("before");
        simulation.stream(0).failing().set(1);
        simulation.send(0, "lost");
        client.send("after");
        simulation.send(0, "garbage, for a client that has got half a frame");
        moments(20).await;
        let (kinds, texts) = simulation.events();
        let expected = [Kind::Text, Kind::Text, Kind::Released, Kind::Closed].map(|kind| kind as u32);
        assert_eq!(kinds, expected);
        assert_eq!(texts, "beforeaftertransport close");
        assert_eq!(client.received(), b"");
    });
}

#[test]
fn a_write_that_fails_later_is_the_last_as_well() {
    Simulation::run(Options { parse_packets: false, ..Options::default() }, |simulation| async move {
        let mut client = simulation.connect(0);
        simulation.send(0, &"x".repeat(1 << 20));
        moments(5).await;
        simulation.stream(0).failing().set(1);
        client.send("before");
        let first = client.received();
        moments(20).await;
        let rest = client.received();
        let (kinds, _) = simulation.events();
        assert_eq!(kinds, [Kind::Text, Kind::Released, Kind::Closed].map(|kind| kind as u32));
        assert!(!first.is_empty() && rest.is_empty());
    });
}

#[test]
fn volatile_messages_are_dropped_while_the_worker_is_behind() {
    Simulation::run(Options::default(), |simulation| async move {
        let mut client = simulation.connect(0);
        let parcel = Parcel { text: Some("n"), buffers: &[] };
        let (id, volatile) = (ConnectionId::from_word(0), Flags::from_word(u32::from(VOLATILE) << 8));
        for (is_behind, expected) in [(true, &b""[..]), (false, b"\x81\x024n")] {
            simulation.shared.borrow_mut().is_behind = is_behind;
            simulation.turn(|worker| worker.send(id, parcel, volatile));
            assert_eq!(client.received(), expected);
            for (flags, expected) in [(VOLATILE, expected), (0, b"\x81\x024n")] {
                for words in [
                    &[MULTICAST | u32::from(flags) << 8, 1, 1, 0][..],
                    &[BROADCAST | u32::from(flags) << 8, 1, 1, 0, TARGET_CONNECTION],
                ] {
                    let batch = Arc::new(OpBatch::new(words, "n".into(), &[], &[]));
                    simulation.turn(|worker| worker.execute_batch(&batch, Place::default()));
                    assert_eq!(client.received(), expected);
                }
            }
        }
    });
}

#[test]
fn without_engine_io_messages_are_as_they_are_and_nobody_is_pinged() {
    Simulation::run(impatient(), |simulation| async move {
        let mut client = simulation.connect_raw(0);
        client.end.write_all(b"\x81\x81\0\0\0\x002\x82\x81\0\0\0\x00b\x89\x80\0\0\0\0").unwrap();
        simulation.turn(|worker| worker.read_turn(StreamId::from_word(0)));
        late_timer_turn(&simulation);
        late_timer_turn(&simulation);
        assert_eq!(client.received(), b"\x8a\0");
        let (kinds, texts) = simulation.events();
        let expected = [Kind::Text, Kind::Binary, Kind::Frame].map(|it| it as u32);
        assert_eq!((&kinds[..], texts.as_str()), (&expected[..], "2"));
        simulation.send(0, "2");
        assert_eq!(client.received(), b"\x81\x012");
    });
}

#[test]
fn without_engine_io_what_came_before_a_clients_end_is_answered_first() {
    let message = b"\x81\x81\0\0\0\x00a";
    for (last, kind, text, status) in [
        (&b"\x88\x85\0\0\0\0\x03\xe8bye"[..], Kind::Frame, "a", &b"\x03\xe8"[..]),
        (b"\x88\x80\0\0\0\0", Kind::Frame, "a", b""),
        (
            b"\x83\x80\0\0\0\0",
            Kind::Violation,
            "aRangeError: Invalid WebSocket frame: invalid opcode 3",
            b"\x03\xea",
        ),
    ] {
        Simulation::run(Options::default(), |simulation| async move {
            let mut client = simulation.connect_raw(0);
            client.end.write_all(&[message, last, message].concat()).unwrap();
            simulation.turn(|worker| worker.read_turn(StreamId::from_word(0)));
            assert_eq!(client.received(), b"");
            assert_eq!(simulation.events(), ([Kind::Text, kind].map(|it| it as u32).into(), text.into()));
            simulation.send(0, "b");
            // what comes meanwhile is nobody's
            client.send("c");
            simulation.turn(|worker| worker.read_turn(StreamId::from_word(0)));
            simulation.close_raw(0, status);
            let answer = [&b"\x88"[..], &[status.len() as u8], status].concat();
            assert_eq!(client.received(), [&b"\x81\x01b"[..], &answer].concat());
            assert_eq!(simulation.events(), (vec![Kind::Closed as u32], "transport close".into()));
            simulation.send(0, "d");
            assert_eq!(client.received(), b"");
        });
    }
}

#[test]
fn without_engine_io_messages_come_until_the_client_has_closed_as_well() {
    Simulation::run(Options::default(), |simulation| async move {
        let mut client = simulation.connect_raw(0);
        simulation.close_raw(0, b"\x03\xe9why");
        simulation.send(0, "late");
        assert_eq!(client.received(), b"\x88\x05\x03\xe9why");
        client.end.write_all(b"\x81\x81\0\0\0\x00a\x89\x80\0\0\0\0\x88\x82\0\0\0\0\x03\xe9").unwrap();
        simulation.turn(|worker| worker.read_turn(StreamId::from_word(0)));
        // no pong, and no second Close frame
        assert_eq!(client.received(), b"");
        let (kinds, texts) = simulation.events();
        let expected = [Kind::Text, Kind::Frame, Kind::Frame, Kind::Closed].map(|it| it as u32);
        assert_eq!((&kinds[..], texts.as_str()), (&expected[..], "atransport close"));
    });
}

#[test]
fn without_engine_io_a_client_that_does_not_close_is_given_up() {
    let options = Options { close_timeout: Duration::from_millis(1), ..Options::default() };
    Simulation::run(options, |simulation| async move {
        let mut client = simulation.connect_raw(0);
        simulation.close_raw(0, b"");
        assert_eq!(client.received(), b"\x88\0");
        late_timer_turn(&simulation);
        assert_eq!(simulation.events().0, [Kind::Released, Kind::Closed].map(|it| it as u32));
        // the tasks that have the descriptor end
        moments(10).await;
        assert_eq!(client.end.read(&mut [0]).unwrap(), 0);
    });
}

#[test]
fn without_engine_io_clients_are_pinged_if_that_is_wanted() {
    let options = Options { pings_raw: true, ..impatient() };
    Simulation::run(options, |simulation| async move {
        let mut client = simulation.connect_raw(0);
        late_timer_turn(&simulation);
        assert_eq!(client.received(), b"\x89\x07sockeye");
        client.end.write_all(b"\x8a\x87\0\0\0\0sockeye\x8a\x81\0\0\0\x00x").unwrap();
        simulation.turn(|worker| worker.read_turn(StreamId::from_word(0)));
        // one that answers no ping of ours is the application's
        assert_eq!(simulation.events().0, [Kind::Frame as u32]);
        late_timer_turn(&simulation);
        late_timer_turn(&simulation);
        let (kinds, texts) = simulation.events();
        assert_eq!(
            (kinds, texts.as_str()),
            ([Kind::Released, Kind::Closed].map(|it| it as u32).into(), "ping timeout")
        );
    });
}

#[test]
fn without_engine_io_a_client_that_finishes_sending_is_answered_first() {
    for last in [&b"\x81\x81\0\0\0\x00a"[..], b"\x81\x81\0\0\0\x00a\x88\x80\0\0\0\0"] {
        Simulation::run(Options::default(), |simulation| async move {
            let mut client = simulation.connect_raw(0);
            client.end.write_all(last).unwrap();
            client.end.shutdown(std::net::Shutdown::Write).unwrap();
            // the second comes to the end
            for _ in 0..2 {
                simulation.turn(|worker| worker.read_turn(StreamId::from_word(0)));
            }
            let is_closed = last.len() > 7;
            let end = if is_closed { Kind::Frame } else { Kind::CheckAlive };
            assert_eq!(simulation.events(), ([Kind::Text, end].map(|it| it as u32).into(), "a".into()));
            simulation.send(0, "b");
            if is_closed {
                simulation.close_raw(0, b"");
            } else {
                simulation.turn(|worker| worker.on_alive(ConnectionId::from_word(0)));
            }
            let answer = if is_closed { &b"\x81\x01b\x88\0"[..] } else { b"\x81\x01b" };
            assert_eq!(client.received(), answer);
            let mut kinds = simulation.events().0;
            kinds.sort();
            assert_eq!(kinds, [Kind::Closed, Kind::Released].map(|it| it as u32));
        });
    }
}

#[test]
fn without_engine_io_a_client_is_not_read_while_the_application_wants_nothing() {
    Simulation::run(Options::default(), |simulation| async move {
        let mut client = simulation.connect_raw(0);
        simulation.turn(|worker| worker.halt(ConnectionId::from_word(0), true));
        client.end.write_all(b"\x81\x81\0\0\0\x00a").unwrap();
        moments(10).await;
        assert!(simulation.events().0.is_empty());
        simulation.turn(|worker| worker.halt(ConnectionId::from_word(0), false));
        moments(10).await;
        assert_eq!(simulation.events(), (vec![Kind::Text as u32], "a".into()));
    });
}

/// What JavaScript may say about 8 clients and 3 rooms.
#[derive(Debug, Clone)]
enum Said {
    Send(u32),
    Multicast(Vec<u32>),
    Broadcast(Vec<u32>, Vec<u32>),
    Room(u32, Vec<u32>),
    DropRoom(u32),
    Join(u32, u32),
    Leave(u32, u32),
    Close(u32),
}

fn said() -> impl Strategy<Value = Said> {
    let client = || 0..8u32;
    let room = || 0..3u32;
    let target = || prop_oneof![1 => client().prop_map(|it| it | TARGET_CONNECTION), 2 => room()];
    let some = |target| prop::collection::vec(target, 0..10);
    prop_oneof![
        8 => client().prop_map(Said::Send),
        2 => some(client().boxed()).prop_map(Said::Multicast),
        8 => (prop::collection::vec(target(), 1..4), prop::collection::vec(target(), 0..2))
            .prop_map(|(targets, except)| Said::Broadcast(targets, except)),
        2 => (room(), some(client().boxed())).prop_map(|(room, members)| Said::Room(room, members)),
        1 => room().prop_map(Said::DropRoom),
        4 => (room(), client()).prop_map(|(room, client)| Said::Join(room, client)),
        4 => (room(), client()).prop_map(|(room, client)| Said::Leave(room, client)),
        1 => client().prop_map(Said::Close),
    ]
}

/// The words of what was said, and whether they have a text.
fn words_of(said: &Said, length: u32) -> (Vec<u32>, bool) {
    match said {
        Said::Send(client) => (vec![SEND, *client, length], true),
        Said::Multicast(clients) => {
            ([&[MULTICAST, length, clients.len() as u32][..], clients].concat(), true)
        }
        Said::Broadcast(targets, except) => {
            let head = [BROADCAST, length, targets.len() as u32, except.len() as u32];
            ([&head[..], targets, except].concat(), true)
        }
        Said::Room(room, members) => ([&[ROOM, *room, members.len() as u32][..], members].concat(), false),
        Said::DropRoom(room) => (vec![DROP_ROOM, *room], false),
        Said::Join(room, client) => (vec![JOIN, *room, *client], false),
        Said::Leave(room, client) => (vec![LEAVE, *room, *client], false),
        Said::Close(client) => (vec![CLOSE, *client], false),
    }
}

/// What every client has got in the end, where turns have this budget and batches so many operations.
fn outcome(all: &[Said], budget: usize, per_batch: usize) -> Vec<Vec<u8>> {
    let got = Rc::new(RefCell::new(Vec::new()));
    let result = got.clone();
    let all = all.to_vec();
    Simulation::run(Options::default(), |simulation| async move {
        let mut clients: Vec<Client> = (0..8).map(|id| simulation.connect(id)).collect();
        simulation.set_budget(budget);
        for (batch, some) in all.chunks(per_batch).enumerate() {
            let (mut words, mut text) = (Vec::new(), String::new());
            for (index, said) in some.iter().enumerate() {
                let name = format!("{batch}.{index}");
                let (more, has_text) = words_of(said, name.len() as u32);
                words.extend(more);
                if has_text {
                    text.push_str(&name);
                }
            }
            simulation.push(&words, &text);
        }
        while simulation.command_turn() {}
        assert!(simulation.shared.borrow().interrupted.is_none());
        *result.borrow_mut() = clients.iter_mut().map(Client::received).collect();
    });
    got.take()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_interrupted_reaches_the_same_clients_in_the_same_order(
        all in prop::collection::vec(said(), 1..60),
        budget in 1..1000usize,
        per_batch in 1..20usize,
    ) {
        prop_assert_eq!(outcome(&all, budget, per_batch), outcome(&all, usize::MAX, per_batch));
    }
}

const ALL: u32 = 1;
const CROWD: u32 = 100;

/// A room of everybody.
fn everybody() -> Vec<u32> {
    [ROOM, ALL, CROWD].into_iter().chain(0..CROWD).collect()
}

/// How many clients have got something.
fn reached(clients: &mut [Client]) -> usize {
    clients.iter_mut().map(Client::received).filter(|got| !got.is_empty()).count()
}

#[test]
fn a_turn_compresses_no_more_than_its_budget_allows_and_clients_are_read_between() {
    Simulation::run(Options { parse_packets: false, ..Options::default() }, |simulation| async move {
        let mut clients: Vec<Client> =
            (0..CROWD).map(|id| simulation.connect_with(id, Some(DEFLATE))).collect();
        let text = "x".repeat(40_000);
        let broadcast = [BROADCAST | u32::from(COMPRESS) << 8, text.len() as u32, 1, 0, ALL];
        simulation.push(&[everybody(), broadcast.to_vec()].concat(), &text);
        let mut last = CROWD as usize - 1;
        let mut turns = 0;
        while simulation.command_turn() {
            let now = reached(&mut clients);
            assert!(now <= 4, "{now} clients in a turn");
            turns += 1;
            last = last.saturating_sub(now);
            // the next to be reached
            clients[last].send("hello");
            moments(2).await;
            let (kinds, _) = simulation.events();
            assert!(kinds.contains(&(Kind::Text as u32)), "what a client says is heard");
        }
        assert!(turns >= 25, "{turns} turns");
    });
}

#[test]
fn what_others_say_does_not_wait_until_a_message_is_decompressed() {
    const LARGE: usize = 900_000;
    Simulation::run(Options { parse_packets: false, ..Options::default() }, |simulation| async move {
        let mut heavy = simulation.connect_with(0, Some(DEFLATE));
        let mut light = simulation.connect(1);
        let mut deflate = Deflate::new(DEFLATE, Rc::default());
        let mut frame = Vec::new();
        frame::write_compressed(true, &deflate.compress([b"4", &[b'x'; LARGE]]), &mut frame);
        // a client's, with a mask of zeros
        assert_eq!(frame[1], 126);
        frame[1] |= 0x80;
        frame.splice(4..4, [0; 4]);
        heavy.end.write_all(&frame).unwrap();
        heavy.send("after");
        let (mut texts, mut turns) = (String::new(), 0);
        while texts.len() < LARGE + 5 {
            light.send(",");
            moments(1).await;
            texts.push_str(&simulation.events().1);
            turns += 1;
            assert!(turns < 100, "{} bytes have come", texts.len());
        }
        let heard = texts.find('x').unwrap();
        assert!((5..50).contains(&heard), "others were heard {heard} times before");
        let expected = format!("{}after", "x".repeat(LARGE));
        assert_eq!(texts.replace(',', ""), expected);
    });
}

#[test]
fn what_is_said_to_one_client_does_not_wait_for_a_broadcast_to_others() {
    Simulation::run(Options::default(), |simulation| async move {
        let mut clients: Vec<Client> = (0..CROWD + 1).map(|id| simulation.connect(id)).collect();
        simulation.set_budget(1000);
        simulation.push(&[&everybody()[..], &[BROADCAST, 3, 1, 0, ALL]].concat(), "all");
        assert!(simulation.command_turn() && simulation.command_turn());
        // a stranger to the room, and one who has yet to get the broadcast
        simulation.push(&[SEND, CROWD, 5, SEND, 0, 5], "aloneafter");
        simulation.command_turn();
        assert!(simulation.shared.borrow().interrupted.is_some());
        let waiting =
            |id| simulation.shared.borrow_mut().websocket(StreamId::from_word(id)).unwrap().outbox.len();
        assert_eq!((waiting(0), waiting(1), waiting(CROWD)), (14, 0, 8));
        while simulation.command_turn() {}
        assert_eq!(clients[CROWD as usize].received(), b"\x81\x064alone");
        assert_eq!(clients[0].received(), b"\x81\x044all\x81\x064after");
        assert_eq!(reached(&mut clients), CROWD as usize - 1);
    });
}

#[test]
fn who_ends_while_a_broadcast_is_interrupted_takes_nothing_from_others() {
    Simulation::run(Options::default(), |simulation| async move {
        let mut clients: Vec<Client> = (0..CROWD).map(|id| simulation.connect(id)).collect();
        simulation.set_budget(1000);
        simulation.push(&[&everybody()[..], &[BROADCAST, 3, 1, 0, ALL]].concat(), "all");
        simulation.command_turn();
        let mut ended = 0;
        for id in (0..CROWD).step_by(7) {
            simulation.turn(|worker| worker.sever(StreamId::from_word(id), Ending::TransportClose));
            ended += 1;
            simulation.command_turn();
        }
        while simulation.command_turn() {}
        for (id, client) in clients.iter_mut().enumerate().filter(|(id, _)| id % 7 != 0) {
            assert_eq!(client.received(), b"\x81\x044all", "client {id}");
        }
        assert_eq!(ended, 15);
    });
}

#[test]
fn a_client_that_reads_as_fast_as_it_is_written_to_keeps_nobody_waiting() {
    Simulation::run(Options::default(), |simulation| async move {
        let (mut greedy, mut other) = (simulation.connect(0), simulation.connect(1));
        let large = "x".repeat(8 << 20);
        simulation.push(&[SEND, 0, large.len() as u32], &large);
        simulation.push(&[SEND, 1, 1], "n");
        simulation.command_turn();
        // the second turn, because queueing so much has cost the first all it may
        simulation.command_turn();
        assert_eq!(other.received(), b"\x81\x024n");
        let mut got = 0;
        while got < large.len() {
            simulation.command_turn();
            moments(1).await;
            let more = greedy.received().len();
            assert!(more <= 512 << 10, "{more} bytes in a turn");
            got += more;
        }
    });
}

#[test]
fn what_a_client_leaves_unread_can_be_seen_until_it_is_written_or_the_client_ends() {
    Simulation::run(Options::default(), |simulation| async move {
        let (mut client, other) = (simulation.connect(0), simulation.connect(300));
        let waiting =
            |id| simulation.inbox.figures.get(ConnectionId::from_word(id), Figure::Waiting as usize) as usize;
        simulation.send(0, "short");
        assert_eq!(waiting(0), 0);
        let large = "x".repeat(1 << 20);
        simulation.send(0, &large);
        simulation.send(300, &large);
        let left = waiting(0);
        assert!(left > 0 && left < large.len());
        simulation.send(0, &large);
        assert_eq!(waiting(0), left + large.len() + 11);
        while waiting(0) > 0 {
            client.received();
            moments(2).await;
        }
        assert!(waiting(300) > 0);
        drop(other);
        moments(5).await;
        assert_eq!((waiting(0), waiting(300)), (0, 0));
    });
}

#[test]
fn a_turn_answers_no_more_requests_than_its_budget_allows() {
    Simulation::run(Options::default(), |simulation| async move {
        for id in 0..CROWD {
            simulation.turn(|worker| {
                let (connection, handshake) = (ConnectionId::from_word(id), "0".into());
                worker.open(Open {
                    connection,
                    protocol: PROTOCOL,
                    takeover: None,
                    handshake,
                    initial: None,
                    traveller: None,
                });
                worker.on_poll(connection);
            });
        }
        simulation.events();
        let text = "x".repeat(400_000);
        simulation.push(&[&everybody()[..], &[BROADCAST, text.len() as u32, 1, 0, ALL]].concat(), &text);
        let (mut turns, mut answers) = (0, 0);
        loop {
            let has_more = simulation.command_turn();
            let (kinds, _) = simulation.events();
            assert!(kinds.len() <= 10, "{} answers in a turn", kinds.len());
            answers += kinds.len();
            turns += 1;
            if !has_more {
                break;
            }
        }
        assert!(answers == CROWD as usize && turns >= 10, "{answers} answers in {turns} turns");
    });
}

#[test]
fn who_fails_while_a_broadcast_is_interrupted_takes_nothing_from_others() {
    Simulation::run(Options::default(), |simulation| async move {
        let impossible = Parameters {
            server_max_window_bits: 0,
            client_max_window_bits: 15,
            server_no_context_takeover: false,
            client_no_context_takeover: false,
            level: 6,
            threshold: 0,
        };
        let mut clients: Vec<Client> =
            (0..CROWD).map(|id| simulation.connect_with(id, Some(impossible).filter(|_| id == 0))).collect();
        simulation.events();
        simulation.set_budget(1000);
        let broadcast = [BROADCAST | u32::from(COMPRESS) << 8, 3, 1, 0, ALL];
        simulation.push(&[&everybody()[..], &broadcast].concat(), "all");
        assert!(simulation.command_turn() && simulation.command_turn());
        simulation.push(&[SEND, 0, 5], "after");
        simulation.command_turn();
        let (kinds, _) = simulation.events();
        assert_eq!(kinds, [Kind::Released, Kind::Closed, Kind::Defect].map(|kind| kind as u32));
        while simulation.command_turn() {}
        for (id, client) in clients.iter_mut().enumerate().skip(1) {
            assert_eq!(client.received(), b"\x81\x044all", "client {id}");
        }
    });
}

#[test]
fn looking_for_one_client_in_a_long_list_of_recipients_is_counted() {
    Simulation::run(Options::default(), |simulation| async move {
        let _clients: Vec<Client> = (0..CROWD).map(|id| simulation.connect(id)).collect();
        simulation.set_budget(1000);
        let everybody: Vec<u32> = (0..CROWD).collect();
        simulation.push(&[&[MULTICAST, 3, CROWD][..], &everybody].concat(), "all");
        let answers: Vec<u32> = (CROWD - 20..CROWD).flat_map(|id| [SEND, id, 1]).collect();
        simulation.push(&answers, &"n".repeat(20));
        simulation.command_turn();
        simulation.command_turn();
        let waiting =
            |id| simulation.shared.borrow_mut().websocket(StreamId::from_word(id)).unwrap().outbox.len();
        let late = (CROWD - 20..CROWD).filter(|&id| waiting(id) > 0).count();
        assert_eq!(late, 1, "of the second batch");
        while simulation.command_turn() {}
    });
}

/// Says the same to clients, as one operation of a batch of its own.
fn say_to_all(simulation: &Simulation, clients: &[u32], text: &str) {
    let head = [MULTICAST, text.len() as u32, clients.len() as u32];
    simulation.push(&[&head, clients].concat(), text);
}

fn text_frame(text: &str) -> Vec<u8> {
    let mut frame = Vec::new();
    frame::write_text(b"4", text.as_bytes(), &mut frame);
    frame
}

#[test]
fn a_message_for_many_for_which_there_is_no_room_follows_as_it_is_read() {
    Simulation::run(Options::default(), |simulation| async move {
        let mut clients = [simulation.connect(0), simulation.connect(1)];
        let texts = ["x".repeat(3_000_000), "y".repeat(100), "z".repeat(20_000)];
        let expected: Vec<u8> = texts.iter().flat_map(|text| text_frame(text)).collect();
        for text in &texts {
            say_to_all(&simulation, &[0, 1], text);
            while simulation.command_turn() {}
        }
        assert!(simulation.shared.borrow().waiting_bytes() > 0);
        for client in &mut clients {
            let mut got = Vec::new();
            while got.len() < expected.len() {
                got.append(&mut client.received());
                moments(5).await;
                simulation.command_turn();
            }
            assert!(got == expected, "{} bytes of {}", got.len(), expected.len());
        }
        assert_eq!(simulation.shared.borrow().waiting_bytes(), 0);
    });
}

#[test]
fn a_message_for_many_that_one_cannot_be_written_ends_that_one_only() {
    Simulation::run(Options::default(), |simulation| async move {
        let mut clients = [simulation.connect(0), simulation.connect(1)];
        simulation.stream(1).failing().set(1);
        say_to_all(&simulation, &[0, 1], "first");
        while simulation.command_turn() {}
        say_to_all(&simulation, &[0, 1], "second");
        while simulation.command_turn() {}
        moments(20).await;
        let (kinds, texts) = simulation.events();
        assert_eq!(kinds, [Kind::Released, Kind::Closed].map(|kind| kind as u32));
        assert_eq!(texts, "transport close");
        assert_eq!(clients[0].received(), [text_frame("first"), text_frame("second")].concat());
        assert_eq!(clients[1].received(), b"");
    });
}

#[test]
fn a_message_for_many_counts_for_what_may_wait_for_one() {
    let options = Options { max_outbound: 100_000, ..Options::default() };
    Simulation::run(options, |simulation| async move {
        let mut client = simulation.connect(0);
        say_to_all(&simulation, &[0], &"x".repeat(50_000));
        while simulation.command_turn() {}
        assert_eq!(client.received().len(), text_frame(&"x".repeat(50_000)).len());
        say_to_all(&simulation, &[0], &"x".repeat(3_000_000));
        while simulation.command_turn() {}
        let (kinds, _) = simulation.events();
        assert_eq!(kinds.first(), Some(&(Kind::SlowConsumer as u32)));
        assert!(simulation.shared.borrow_mut().connection(ConnectionId::from_word(0)).is_none());
    });
}
