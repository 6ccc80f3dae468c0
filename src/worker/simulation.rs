//! For tests: a worker without a thread, whose tasks run only while a test waits, and clients whose ends the test holds.

use std::cell::RefCell;
use std::future::Future;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;

use tokio::task::{yield_now, LocalSet};

use super::command::{Flags, Open, Parcel, Takeover};
use super::event::{EventSink, Inbox, Kind};
use super::stream::Stream;
use super::{Shared, Worker};
use crate::os::fd::FdStream;
use crate::protocol::engine_io::Protocol;
use crate::protocol::ids::{ConnectionId, StreamId};
use crate::protocol::options::Options;

const PROTOCOL: Protocol = Protocol::V4 { base64: false };

/// The worker, and what it tells JavaScript.
pub struct Simulation {
    pub shared: Shared,
    inbox: Arc<Inbox>,
}

impl Simulation {
    /// Runs a test in which there is a worker.
    pub fn run<F: Future<Output = ()>>(options: Options, test: impl FnOnce(Simulation) -> F) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        LocalSet::new().block_on(&runtime, async {
            let inbox = Arc::new(Inbox::new(options.max_backlog, Box::new(|| {})));
            let (options, sink) = (Arc::new(options), EventSink::new(inbox.clone()));
            let shared = Rc::new_cyclic(|this| RefCell::new(Worker::new(this.clone(), 0, 1, options, sink)));
            test(Simulation { shared, inbox }).await;
        });
    }

    /// A client whose session and stream have this number.
    pub fn connect(&self, id: u32) -> Client {
        let (client, server) = UnixStream::pair().unwrap();
        client.set_nonblocking(true).unwrap();
        server.set_nonblocking(true).unwrap();
        let takeover = Takeover {
            protocol: PROTOCOL,
            stream: StreamId::from_word(id),
            fd: Some(server.into()),
            response: String::new(),
            deflate: None,
            head: Vec::new(),
        };
        self.turn(|worker| {
            worker.open(Open {
                connection: ConnectionId::from_word(id),
                protocol: PROTOCOL,
                takeover: Some(takeover),
                handshake: "0".into(),
                initial: None,
            });
        });
        let mut client = Client { end: client };
        assert_eq!(client.received(), b"\x81\x010");
        client
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

    pub fn stream(&self, id: u32) -> Rc<FdStream> {
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
                    kind if kind == Kind::Text as u32 => 3,
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

#[test]
fn a_failed_write_is_the_last_and_what_the_client_has_sent_is_delivered() {
    Simulation::run(Options { parse_packets: false, ..Options::default() }, |simulation| async move {
        let mut client = simulation.connect(0);
        client.send("before");
        simulation.stream(0).failing.set(1);
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
        simulation.stream(0).failing.set(1);
        client.send("before");
        let first = client.received();
        moments(20).await;
        let rest = client.received();
        let (kinds, _) = simulation.events();
        assert_eq!(kinds, [Kind::Text, Kind::Released, Kind::Closed].map(|kind| kind as u32));
        assert!(!first.is_empty() && rest.is_empty());
    });
}
