//! For tests: random lives of a session beside a model of Engine.IO's states, and what heartbeats promise.
//!
//! The model knows the diagram of the module, and remembers when things were said. Of heartbeats it does not know how they are kept,
//! only what has to be true of them.

use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const INTERVAL: Duration = Duration::from_millis(300);
const TIMEOUT: Duration = Duration::from_millis(200);
const UPGRADE: Duration = Duration::from_millis(700);

/// What happens to a session.
#[derive(Debug, Clone)]
enum Step {
    /// A packet over its own transport.
    Packet(Type),
    /// A packet over a WebSocket that probes, or that does not any more.
    Probe(&'static str),
    BeginUpgrade,
    AbortUpgrade,
    Close {
        get_waits: bool,
        discard: bool,
    },
    TellLast,
    End,
    /// Time passes, in which what is due is seen to at once.
    Pass(u64),
    /// Time passes, in which nobody looks.
    Stall(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let kinds = [Type::Open, Type::Close, Type::Ping, Type::Pong, Type::Message, Type::Upgrade, Type::Noop];
    prop_oneof![
        6 => prop::sample::select(vec![Type::Pong, Type::Message]).prop_map(Step::Packet),
        1 => prop::sample::select(kinds.to_vec()).prop_map(Step::Packet),
        2 => Just(Step::Probe("2probe")),
        2 => Just(Step::Probe("5")),
        1 => prop::sample::select(vec!["", "4a", "2", "3probe", "5x", "é"]).prop_map(Step::Probe),
        5 => Just(Step::BeginUpgrade),
        2 => Just(Step::AbortUpgrade),
        3 => (prop::bool::weighted(0.2), prop::bool::weighted(0.1))
            .prop_map(|(get_waits, discard)| Step::Close { get_waits, discard }),
        1 => Just(Step::TellLast),
        8 => (1..250u64).prop_map(Step::Pass),
        1 => (1..40_000u64).prop_map(Step::Pass),
        1 => (1..600u64).prop_map(Step::Stall),
        1 => prop::bool::weighted(0.1).prop_map(|ends| if ends { Step::End } else { Step::Pass(1) }),
    ]
}

/// Where the model is: the diagram, with what is counted from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Polling,
    Probing { stream: u32, since: Instant },
    WebSocket(u32),
    Closing { probe: Option<u32>, since: Instant },
    Closed,
}

impl Place {
    fn is_open(self) -> bool {
        !matches!(self, Place::Closing { .. } | Place::Closed)
    }

    fn probe(self) -> Option<u32> {
        match self {
            Place::Probing { stream, .. } => Some(stream),
            Place::Closing { probe, .. } => probe,
            _ => None,
        }
    }
}

struct Life {
    session: Session,
    options: Options,
    now: Instant,
    place: Place,
    streams: u32,
    /// Since when a ping is waited for: our next, or, in revision 3, the client's.
    quiet_since: Instant,
    /// When a ping was sent that has not been answered.
    pinged_at: Option<Instant>,
    /// When something else than its answer has come first.
    alive_at: Option<Instant>,
    /// How late somebody has looked at most since the ping was due.
    stalled: bool,
    endings: usize,
}

impl Life {
    fn new(protocol: Protocol, websocket: bool) -> Life {
        let options = Options {
            ping_interval: INTERVAL,
            ping_timeout: TIMEOUT,
            upgrade_timeout: UPGRADE,
            ..Options::default()
        };
        let now = Instant::now();
        let turn = Turn { options: &options, now };
        let session = if websocket {
            Session::websocket(protocol, StreamId::from_word(0), turn)
        } else {
            Session::polling(protocol, turn)
        };
        let place = if websocket { Place::WebSocket(0) } else { Place::Polling };
        Life {
            session,
            options,
            now,
            place,
            streams: 0,
            quiet_since: now,
            pinged_at: None,
            alive_at: None,
            stalled: false,
            endings: 0,
        }
    }

    /// The session acts.
    fn act<T>(&mut self, act: impl FnOnce(&mut Session, Turn<'_>) -> T) -> T {
        act(&mut self.session, Turn { options: &self.options, now: self.now })
    }

    fn end(&mut self) {
        let ended = self.session.end();
        assert_eq!(ended, self.place != Place::Closed);
        self.endings += usize::from(ended);
        self.place = Place::Closed;
    }

    fn play(&mut self, step: &Step) {
        match *step {
            Step::Packet(kind) => self.receive(kind),
            Step::Probe(packet) => self.probe(packet),
            Step::BeginUpgrade => {
                self.streams += 1;
                let stream = self.streams;
                let is_allowed =
                    self.act(|session, turn| session.begin_upgrade(StreamId::from_word(stream), turn));
                assert_eq!(is_allowed, self.place == Place::Polling);
                if is_allowed {
                    self.place = Place::Probing { stream, since: self.now };
                }
            }
            Step::AbortUpgrade => {
                self.session.abort_upgrade();
                self.lose_probe();
            }
            Step::Close { get_waits, discard } => self.close(get_waits, discard),
            Step::TellLast => self.session.tell_last(),
            Step::End => self.end(),
            Step::Pass(milliseconds) => self.pass(milliseconds),
            Step::Stall(milliseconds) => {
                self.now += Duration::from_millis(milliseconds);
                self.stalled = true;
                self.look();
            }
        }
    }

    fn receive(&mut self, kind: Type) {
        let is_polling = !matches!(self.place, Place::WebSocket(_));
        let verdict = self.act(|session, turn| session.on_packet(kind, turn));
        if !self.place.is_open() {
            return assert_eq!(verdict, Verdict::Ignore, "of a session that says nothing more");
        }
        let is_legacy = self.session.protocol().is_legacy();
        let expected = match (kind, is_legacy) {
            (Type::Message, _) => Verdict::Message,
            (Type::Ping, true) => Verdict::Pong,
            (Type::Pong, false) => Verdict::Heartbeat,
            (Type::Ping, false) | (Type::Pong, true) => Verdict::End(Ending::HeartbeatDirection),
            (Type::Close, _) if is_polling => Verdict::End(Ending::TransportClose),
            _ => Verdict::Ignore,
        };
        assert_eq!(verdict, expected);
        match kind {
            Type::Ping if is_legacy => self.quiet_since = self.now,
            Type::Pong if self.pinged_at.is_some() => {
                (self.quiet_since, self.pinged_at, self.alive_at) = (self.now, None, None);
                self.stalled = false;
            }
            _ if self.pinged_at.is_some() => {
                self.alive_at.get_or_insert(self.now);
            }
            _ => {}
        }
        if let Verdict::End(_) = verdict {
            self.end();
        }
    }

    fn probe(&mut self, packet: &'static str) {
        let step = self.act(|session, turn| session.on_probe_packet(packet, turn));
        let expected = match (self.place.probe(), packet) {
            (Some(_), "2probe") => ProbeStep::Confirm,
            (Some(_), "5" | "5x") if self.place.is_open() => ProbeStep::Complete,
            (Some(_), "5" | "5x") => ProbeStep::CompleteToClose,
            _ => ProbeStep::Abort,
        };
        assert_eq!(step, expected, "{packet:?} at {:?}", self.place);
        match (step, self.place.probe()) {
            (ProbeStep::Complete | ProbeStep::CompleteToClose, Some(stream)) => {
                self.place = Place::WebSocket(stream);
                if step == ProbeStep::CompleteToClose {
                    self.close(false, false);
                }
            }
            (ProbeStep::Abort, _) => self.lose_probe(),
            _ => {}
        }
    }

    fn lose_probe(&mut self) {
        self.place = match self.place {
            Place::Probing { .. } => Place::Polling,
            Place::Closing { since, .. } => Place::Closing { since, probe: None },
            other => other,
        };
    }

    fn close(&mut self, get_waits: bool, discard: bool) {
        let step = self.act(|session, turn| session.close(get_waits, discard, turn));
        let (expected, place) = match self.place {
            Place::Closed => (CloseStep::Nothing, Place::Closed),
            Place::WebSocket(stream) => {
                (CloseStep::CloseWebSocket(StreamId::from_word(stream)), Place::Closed)
            }
            _ if get_waits => (CloseStep::AnswerPoll, Place::Closed),
            _ if discard => (CloseStep::Forget, Place::Closed),
            Place::Closing { .. } => (CloseStep::Nothing, self.place),
            open => (CloseStep::Wait, Place::Closing { probe: open.probe(), since: self.now }),
        };
        assert_eq!(step, expected);
        self.endings += usize::from(place == Place::Closed && self.place != Place::Closed);
        self.place = place;
    }

    fn pass(&mut self, milliseconds: u64) {
        let end = self.now + Duration::from_millis(milliseconds);
        while let Some(at) = self.session.next_deadline().filter(|&at| at <= end) {
            assert!(at > self.now, "what is due has been seen to");
            self.now = at;
            self.look();
        }
        self.now = end;
    }

    /// Sees to what is due, as a worker does.
    fn look(&mut self) {
        for _ in 0..10 {
            let deadline = self.session.next_deadline();
            let Some(due) = self.act(Session::take_due) else {
                assert!(deadline.is_none_or(|at| at > self.now) || self.session.next_deadline() != deadline);
                if self.session.next_deadline().is_none_or(|at| at > self.now) {
                    return;
                }
                continue;
            };
            assert!(deadline.is_some_and(|at| at <= self.now), "{due:?} is due, but at {deadline:?}");
            self.on_due(due);
        }
        panic!("there is always something due");
    }

    fn on_due(&mut self, due: Due) {
        let since = |at: Instant| self.now.duration_since(at);
        match due {
            Due::Ping => {
                assert!(self.place.is_open() && !self.session.protocol().is_legacy());
                assert!(self.pinged_at.is_none(), "a ping while one has not been answered");
                let silence = since(self.quiet_since);
                assert!(silence >= INTERVAL && (self.stalled || silence == INTERVAL), "{silence:?}");
                self.pinged_at = Some(self.now);
            }
            Due::Pong => {
                assert!(self.session.is_heartbeat_overdue());
                match (self.place, self.pinged_at) {
                    (Place::Closing { .. }, None) => {
                        assert!(since(self.quiet_since) >= INTERVAL + TIMEOUT - TIMEOUT / 8)
                    }
                    (_, pinged_at) => {
                        let pinged_at = pinged_at.expect("a ping that was not answered");
                        // in a closing session, what comes does not count
                        let begin = self.alive_at.unwrap_or(pinged_at);
                        let waited = since(begin);
                        assert!(waited >= TIMEOUT - TIMEOUT / 8, "{waited:?}");
                        assert!(self.stalled || waited == TIMEOUT, "{waited:?}");
                    }
                }
                self.end();
            }
            Due::Expect => {
                let silence = since(self.quiet_since);
                assert!(silence >= INTERVAL + TIMEOUT && (self.stalled || silence == INTERVAL + TIMEOUT));
                self.end();
            }
            Due::Upgrade(stream) => {
                let Place::Probing { stream: ours, since: begin } = self.place else { panic!("no upgrade") };
                assert!(StreamId::from_word(ours) == stream && since(begin) >= UPGRADE);
                self.place = Place::Polling;
            }
            Due::Check => assert!(matches!(self.place, Place::Probing { .. })),
            Due::Close => {
                let Place::Closing { since: begin, .. } = self.place else { panic!("it is not closing") };
                assert!(since(begin) >= CLOSE_TIMEOUT);
                self.end();
            }
        }
    }

    /// What holds after each step.
    fn check(&mut self) {
        let state = self.session.state();
        let agrees = match (self.place, state) {
            (Place::Polling, State::Polling) | (Place::Closed, State::Closed) => true,
            (Place::Probing { stream: ours, .. }, State::Probing { stream, .. })
            | (Place::WebSocket(ours), State::WebSocket { stream }) => StreamId::from_word(ours) == stream,
            (Place::Closing { probe: ours, .. }, State::Closing { probe, .. }) => {
                ours.map(StreamId::from_word) == probe
            }
            _ => false,
        };
        assert!(agrees, "{state:?}, but by the model {:?}", self.place);
        assert!(self.endings <= 1 && (self.endings == 1) == (state == State::Closed));
        assert_eq!(self.session.is_open(), self.place.is_open());
        assert_eq!(self.session.probe(), self.place.probe().map(StreamId::from_word));
        match self.session.next_deadline() {
            None => assert_eq!(state, State::Closed, "who lives is looked at some time"),
            Some(at) => assert!(state != State::Closed && at <= self.now + INTERVAL + TIMEOUT),
        }
    }

    /// A session that is over says nothing, whatever happens.
    fn check_death(&mut self) {
        if self.place != Place::Closed {
            return;
        }
        for milliseconds in [0, 500, 60_000] {
            self.now += Duration::from_millis(milliseconds);
            assert_eq!(self.act(Session::take_due), None);
            assert_eq!(self.act(|session, turn| session.on_packet(Type::Message, turn)), Verdict::Ignore);
            assert!(!self.session.is_heartbeat_overdue() && !self.session.end());
        }
        self.check();
    }
}

proptest! {
    #![proptest_config(crate::properties::config(600))]

    #[test]
    #[cfg_attr(miri, ignore = "so much takes minutes")]
    fn a_session_goes_through_the_states_of_engine_io_and_ends_once(
        steps in vec(step(), 1..80),
        websocket in prop::bool::weighted(0.3),
        legacy in prop::bool::weighted(0.3),
    ) {
        let protocol = if legacy { Protocol::V3 { base64: false } } else { Protocol::V4 { base64: false } };
        let mut life = Life::new(protocol, websocket);
        for step in &steps {
            life.play(step);
            life.check();
            life.check_death();
        }
    }

    #[test]
    fn who_answers_every_ping_in_time_is_never_given_up(
        delays in vec((0..199u64, 0..3usize), 1..60),
        websocket in any::<bool>(),
    ) {
        let mut life = Life::new(Protocol::V4 { base64: false }, websocket);
        for (delay, messages) in delays {
            life.pass(INTERVAL.as_millis() as u64);
            life.pass(delay);
            prop_assert!(life.pinged_at.is_some());
            for _ in 0..messages {
                life.play(&Step::Packet(Type::Message));
            }
            life.play(&Step::Packet(Type::Pong));
            life.check();
            prop_assert!(life.place != Place::Closed && life.pinged_at.is_none());
        }
    }
}
