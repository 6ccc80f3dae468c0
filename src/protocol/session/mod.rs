//! An Engine.IO session: a deterministic state machine. Packets and the time go in, verdicts come out; it knows
//! neither streams nor clocks.
//!
//! ```text
//!   GET without sid                              WebSocket without sid
//!         │                                               │
//!         ▼       begin_upgrade          "5" packet       ▼
//!      Polling ───────────────▶ Probing ─────────────▶ WebSocket
//!         │ ▲    abort_upgrade   │ │                   ▲  │
//!         │ └────────────────────┘ │                   │  │
//!         ├────────────────────────┤    "5" packet,    │  │
//!         │ close, no GET at hand  │    to be closed   │  │
//!         ▼                        ▼                   │  │
//!      Closing (with or without a probing WebSocket) ──┘  │
//!         │ next GET, timeouts                            │
//!         ▼                                               ▼
//!      Closed ◀── close with a GET at hand, end, from any state
//! ```

pub mod timers;
mod upgrade;

use std::time::{Duration, Instant};

use crate::protocol::engine_io::packet::Type;
use crate::protocol::engine_io::Protocol;
use crate::protocol::error::Ending;
use crate::protocol::ids::{ConnectionId, Id, StreamId};
use crate::protocol::options::Options;

pub use timers::{Deadlines, Timer};
pub use upgrade::ProbeStep;

/// Where a session is; see the diagram of the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Packets leave through GET answers.
    Polling,
    /// As `Polling`, while a WebSocket asks to take over until `until`.
    Probing { stream: StreamId, until: Instant },
    /// Packets leave through a WebSocket.
    WebSocket { stream: StreamId },
    /// The session ends with the next GET, when the WebSocket that probes takes over, or at `until`.
    Closing { until: Instant, probe: Option<StreamId> },
    /// The session is over.
    Closed,
}

/// Which side owes the next heartbeat packet (Engine.IO protocol v4, "Heartbeat").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heartbeat {
    /// We send a ping at this time.
    PingDue(Instant),
    /// Revision 3: the client sends the pings, the next of them until then.
    PingExpected(Instant),
    /// The client has until then to answer; `extended` once another packet has shown it to be alive.
    PongDue { at: Instant, extended: bool },
}

impl Heartbeat {
    fn expect_ping(id: ConnectionId, turn: &mut Turn<'_>) -> Heartbeat {
        let patience = turn.options.ping_interval + turn.options.ping_timeout;
        Heartbeat::PingExpected(turn.arm(Timer::Expect, patience, id))
    }
}

/// What a packet of the client means for the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Hand the data to the application.
    Message,
    /// The client is alive.
    Heartbeat,
    /// The client is alive and wants a pong (revision 3).
    Pong,
    /// Nothing to do.
    Ignore,
    /// The session is over.
    End(Ending),
}

/// What has to be done when the application closes a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseStep {
    /// Close this WebSocket; the session is over.
    CloseWebSocket(StreamId),
    /// Answer the GET at hand with a close packet; the session is over.
    AnswerPoll,
    /// There is no GET at hand and none is waited for; the session is over.
    Forget,
    /// Wait for the client's next GET.
    Wait,
    /// The session is closing or closed already.
    Nothing,
}

/// What a session needs of its worker to act: the options, the time, and a place for its timers.
#[derive(Debug)]
pub struct Turn<'a> {
    pub options: &'a Options,
    pub now: Instant,
    pub deadlines: &'a mut Deadlines,
}

impl Turn<'_> {
    /// Arms a timer and returns when it will go off.
    pub fn arm(&mut self, timer: Timer, after: Duration, id: ConnectionId) -> Instant {
        let at = self.now + after;
        self.deadlines.arm(timer, at, id.word());
        at
    }
}

/// One session.
#[derive(Debug)]
pub struct Session {
    id: ConnectionId,
    protocol: Protocol,
    state: State,
    heartbeat: Heartbeat,
}

impl Session {
    /// A session that begins with a GET.
    pub fn polling(id: ConnectionId, protocol: Protocol, turn: &mut Turn<'_>) -> Session {
        Session::open(State::Polling, id, protocol, turn)
    }

    /// A session that begins with a WebSocket.
    pub fn websocket(id: ConnectionId, protocol: Protocol, stream: StreamId, turn: &mut Turn<'_>) -> Session {
        Session::open(State::WebSocket { stream }, id, protocol, turn)
    }

    fn open(state: State, id: ConnectionId, protocol: Protocol, turn: &mut Turn<'_>) -> Session {
        let heartbeat = match protocol {
            Protocol::V4 { .. } => Heartbeat::PingDue(turn.arm(Timer::Ping, turn.options.ping_interval, id)),
            Protocol::V3 { .. } => Heartbeat::expect_ping(id, turn),
        };
        Session { id, protocol, state, heartbeat }
    }

    /// The revision of the protocol that the client speaks, over the transport of the session.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The session has another transport, whose request may have asked for base64, or not.
    pub fn set_protocol(&mut self, protocol: Protocol) {
        self.protocol = protocol;
    }

    /// Where the session is.
    pub fn state(&self) -> State {
        self.state
    }

    /// Whether the application's messages still reach the client.
    pub fn is_open(&self) -> bool {
        !matches!(self.state, State::Closing { .. } | State::Closed)
    }

    /// Judges a packet that came over the session's own transport (not over a probing one).
    pub fn on_packet(&mut self, kind: Type, turn: &mut Turn<'_>) -> Verdict {
        if !self.is_open() {
            return Verdict::Ignore;
        }
        match self.heartbeat {
            Heartbeat::PongDue { .. } if kind == Type::Pong => {
                let at = turn.arm(Timer::Ping, turn.options.ping_interval, self.id);
                self.heartbeat = Heartbeat::PingDue(at);
            }
            Heartbeat::PongDue { extended: false, .. } => self.postpone_heartbeat(turn),
            _ => {}
        }
        match (kind, self.heartbeat) {
            (Type::Ping, Heartbeat::PingExpected(_)) => {
                self.heartbeat = Heartbeat::expect_ping(self.id, turn);
                return Verdict::Pong;
            }
            (Type::Pong, Heartbeat::PingExpected(_)) => return Verdict::End(Ending::HeartbeatDirection),
            _ => {}
        }
        match kind {
            Type::Message => Verdict::Message,
            Type::Pong => Verdict::Heartbeat,
            Type::Ping => Verdict::End(Ending::HeartbeatDirection),
            Type::Close if self.is_polling() => Verdict::End(Ending::TransportClose),
            Type::Open | Type::Close | Type::Upgrade | Type::Noop => Verdict::Ignore,
        }
    }

    /// The WebSocket that the session has, or that probes.
    pub fn stream(&self) -> Option<StreamId> {
        match self.state {
            State::WebSocket { stream } => Some(stream),
            _ => self.probe(),
        }
    }

    /// Whether the session is closing since the timer for `at` was armed.
    pub fn is_close_overdue(&self, at: Instant) -> bool {
        matches!(self.state, State::Closing { until, .. } if until == at)
    }

    /// Whether packets leave through GET answers.
    pub fn is_polling(&self) -> bool {
        matches!(self.state, State::Polling | State::Probing { .. } | State::Closing { .. })
    }

    /// The ping timer went off for `at`. `true`: send a ping now. A session that is closing sends none, but waits for the
    /// pong all the same: so it ends in the time that any session takes to find its client gone.
    pub fn on_ping_due(&mut self, at: Instant, turn: &mut Turn<'_>) -> bool {
        if self.state == State::Closed || self.heartbeat != Heartbeat::PingDue(at) {
            return false;
        }
        let due = turn.arm(Timer::Pong, turn.options.ping_timeout, self.id);
        self.heartbeat = Heartbeat::PongDue { at: due, extended: false };
        self.is_open()
    }

    /// The timer for the client's part of the heartbeat went off for `at`. `true`: it has not done it in time.
    pub fn is_heartbeat_overdue(&self, at: Instant) -> bool {
        self.state != State::Closed && self.heartbeat_due() == Some(at)
    }

    /// Until when the client has to do its part of the heartbeat, if it is its turn.
    fn heartbeat_due(&self) -> Option<Instant> {
        match self.heartbeat {
            Heartbeat::PongDue { at, .. } | Heartbeat::PingExpected(at) => Some(at),
            Heartbeat::PingDue(_) => None,
        }
    }

    /// What to say of an end that comes now: a client that hangs up when it has missed its part of the heartbeat has been
    /// silent for too long, though nobody may have looked at the timer yet, or JavaScript still be looking for its packet.
    pub fn ending_at(&self, now: Instant, ending: Ending) -> Ending {
        if ending == Ending::TransportClose && self.heartbeat_due().is_some_and(|due| due <= now) {
            return Ending::PingTimeout;
        }
        ending
    }

    /// Gives the client more time, because what it sent may not have been read yet.
    pub fn postpone_heartbeat(&mut self, turn: &mut Turn<'_>) {
        if let Heartbeat::PingExpected(_) = self.heartbeat {
            self.heartbeat = Heartbeat::expect_ping(self.id, turn);
            return;
        }
        let at = turn.arm(Timer::Pong, turn.options.ping_timeout, self.id);
        self.heartbeat = Heartbeat::PongDue { at, extended: true };
    }

    /// The application closes the session. `get_waits`: whether a GET of the client is at hand. `discard`: the
    /// session must end now, whether or not the client can be told.
    pub fn close(&mut self, get_waits: bool, discard: bool, turn: &mut Turn<'_>) -> CloseStep {
        match self.state {
            State::WebSocket { stream } => {
                self.state = State::Closed;
                CloseStep::CloseWebSocket(stream)
            }
            State::Polling | State::Probing { .. } | State::Closing { .. } if get_waits => {
                self.state = State::Closed;
                CloseStep::AnswerPoll
            }
            State::Polling | State::Probing { .. } | State::Closing { .. } if discard => {
                self.state = State::Closed;
                CloseStep::Forget
            }
            State::Polling | State::Probing { .. } => {
                let until = turn.arm(Timer::Close, timers::CLOSE_TIMEOUT, self.id);
                // a client in the middle of an upgrade may not poll again before that is completed
                self.state = State::Closing { until, probe: self.probe() };
                CloseStep::Wait
            }
            State::Closing { .. } | State::Closed => CloseStep::Nothing,
        }
    }

    /// The session is over. `false` if it was already.
    pub fn end(&mut self) -> bool {
        std::mem::replace(&mut self.state, State::Closed) != State::Closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: ConnectionId = ConnectionId::from_word(7);
    const FIRST: StreamId = StreamId::from_word(1);
    const SECOND: StreamId = StreamId::from_word(9);

    struct Simulation {
        options: Options,
        now: Instant,
        deadlines: Deadlines,
        session: Session,
        log: Vec<&'static str>,
    }

    impl Simulation {
        fn new(open: fn(&mut Turn<'_>) -> Session) -> Simulation {
            Simulation::pinging_after(300, open)
        }

        fn pinging_after(milliseconds: u64, open: fn(&mut Turn<'_>) -> Session) -> Simulation {
            let options = Options {
                ping_interval: Duration::from_millis(milliseconds),
                ping_timeout: Duration::from_millis(200),
                upgrade_timeout: Duration::from_millis(100),
                ..Options::default()
            };
            let now = Instant::now();
            let mut deadlines = Deadlines::default();
            let session = open(&mut Turn { options: &options, now, deadlines: &mut deadlines });
            Simulation { options, now, deadlines, session, log: Vec::new() }
        }

        fn websocket() -> Simulation {
            Simulation::new(|turn| Session::websocket(ID, Protocol::V4 { base64: false }, FIRST, turn))
        }

        fn polling() -> Simulation {
            Simulation::new(|turn| Session::polling(ID, Protocol::V4 { base64: false }, turn))
        }

        /// The session and its surroundings, apart.
        fn parts(&mut self) -> (&mut Session, Turn<'_>) {
            let turn = Turn { options: &self.options, now: self.now, deadlines: &mut self.deadlines };
            (&mut self.session, turn)
        }

        fn close(&mut self, get_waits: bool, discard: bool) -> CloseStep {
            let (session, mut turn) = self.parts();
            session.close(get_waits, discard, &mut turn)
        }

        fn begin_upgrade(&mut self, stream: StreamId) {
            let (session, mut turn) = self.parts();
            assert!(session.begin_upgrade(stream, &mut turn));
        }

        /// Lets time pass and plays the worker's part for every timer that goes off.
        fn pass(&mut self, milliseconds: u64) {
            let end = self.now + Duration::from_millis(milliseconds);
            while let Some(at) = self.deadlines.next().filter(|&at| at <= end) {
                self.now = at;
                while let Some((timer, id, at)) = self.deadlines.pop_due(self.now) {
                    assert_eq!(id, ID.word());
                    let what = match timer {
                        Timer::Ping => {
                            let (session, mut turn) = self.parts();
                            session.on_ping_due(at, &mut turn).then_some("ping")
                        }
                        Timer::Pong | Timer::Expect => self.session.is_heartbeat_overdue(at).then(|| {
                            self.session.end();
                            "timeout"
                        }),
                        Timer::Upgrade => self.session.is_upgrade_overdue(at).then_some("upgrade timeout"),
                        Timer::Close => self.session.is_close_overdue(at).then_some("close timeout"),
                        Timer::FirstCheck | Timer::Check | Timer::Linger | Timer::Arrival => None,
                    };
                    self.log.extend(what);
                }
            }
            self.now = end;
        }

        fn receive(&mut self, kind: Type) -> Verdict {
            let (session, mut turn) = self.parts();
            session.on_packet(kind, &mut turn)
        }
    }

    #[test]
    fn a_silent_client_is_pinged_and_then_given_up() {
        let mut simulation = Simulation::websocket();
        simulation.pass(299);
        assert!(simulation.log.is_empty());
        simulation.pass(1);
        assert_eq!(simulation.log, ["ping"]);
        simulation.pass(199);
        assert_eq!(simulation.log, ["ping"]);
        simulation.pass(1);
        assert_eq!(simulation.log, ["ping", "timeout"]);
        assert_eq!(simulation.session.state(), State::Closed);
    }

    #[test]
    fn an_answering_client_is_pinged_for_ever() {
        let mut simulation = Simulation::websocket();
        for round in 1..=50 {
            simulation.pass(300);
            assert_eq!(simulation.log.len(), round);
            assert_eq!(simulation.receive(Type::Pong), Verdict::Heartbeat);
        }
        assert!(simulation.log.iter().all(|&entry| entry == "ping"));
    }

    #[test]
    fn another_packet_extends_the_wait_once() {
        let mut simulation = Simulation::websocket();
        simulation.pass(300 + 150);
        assert_eq!(simulation.receive(Type::Message), Verdict::Message);
        simulation.pass(150);
        assert_eq!(simulation.receive(Type::Message), Verdict::Message);
        simulation.pass(49);
        assert_eq!(simulation.log, ["ping"]);
        simulation.pass(1);
        assert_eq!(simulation.log, ["ping", "timeout"]);
    }

    #[test]
    fn a_postponed_pong_is_waited_for_again() {
        let mut simulation = Simulation::websocket();
        simulation.pass(300 + 199);
        let (session, mut turn) = simulation.parts();
        session.postpone_heartbeat(&mut turn);
        simulation.pass(199);
        assert_eq!(simulation.log, ["ping"]);
        simulation.pass(1);
        assert_eq!(simulation.log, ["ping", "timeout"]);
    }

    #[test]
    fn a_client_of_revision_3_sends_the_pings() {
        let protocol = Protocol::V3 { base64: false };
        let mut simulation =
            Simulation::new(|turn| Session::websocket(ID, Protocol::V3 { base64: false }, FIRST, turn));
        assert_eq!(simulation.session.protocol(), protocol);
        for _ in 0..5 {
            simulation.pass(499);
            assert_eq!(simulation.receive(Type::Ping), Verdict::Pong);
        }
        assert_eq!(simulation.receive(Type::Pong), Verdict::End(Ending::HeartbeatDirection));
        simulation.pass(499);
        assert!(simulation.log.is_empty());
        simulation.pass(1);
        assert_eq!(simulation.log, ["timeout"]);
    }

    #[test]
    fn packets_are_judged_by_type() {
        let mut simulation = Simulation::websocket();
        assert_eq!(simulation.receive(Type::Message), Verdict::Message);
        for kind in [Type::Open, Type::Close, Type::Upgrade, Type::Noop] {
            assert_eq!(simulation.receive(kind), Verdict::Ignore);
        }
        assert_eq!(simulation.receive(Type::Ping), Verdict::End(Ending::HeartbeatDirection));
        assert_eq!(Simulation::polling().receive(Type::Close), Verdict::End(Ending::TransportClose));
    }

    #[test]
    fn closing_a_websocket_ends_the_session() {
        let mut simulation = Simulation::websocket();
        assert_eq!(simulation.close(false, false), CloseStep::CloseWebSocket(FIRST));
        assert_eq!(simulation.receive(Type::Message), Verdict::Ignore);
        simulation.pass(1000);
        assert!(simulation.log.is_empty());
        assert!(!simulation.session.end());
    }

    #[test]
    fn closing_while_polling_waits_for_a_get() {
        let mut simulation = Simulation::pinging_after(60_000, |turn| {
            Session::polling(ID, Protocol::V4 { base64: false }, turn)
        });
        assert_eq!(simulation.close(false, false), CloseStep::Wait);
        assert_eq!(simulation.close(false, false), CloseStep::Nothing);
        assert_eq!(simulation.receive(Type::Message), Verdict::Ignore);
        simulation.pass(29_999);
        assert!(simulation.log.is_empty());
        simulation.pass(1);
        assert_eq!(simulation.log, ["close timeout"]);
        assert_eq!(simulation.close(true, false), CloseStep::AnswerPoll);

        assert_eq!(Simulation::polling().close(true, false), CloseStep::AnswerPoll);
        assert_eq!(Simulation::polling().close(false, true), CloseStep::Forget);
    }

    #[test]
    fn a_closing_session_ends_when_its_client_is_found_gone() {
        let mut simulation = Simulation::polling();
        assert_eq!(simulation.close(false, false), CloseStep::Wait);
        simulation.pass(499);
        assert!(simulation.log.is_empty());
        simulation.pass(1);
        assert_eq!(simulation.log, ["timeout"]);

        // a pong does not help any more
        let mut simulation = Simulation::polling();
        simulation.pass(300);
        assert_eq!(simulation.close(false, false), CloseStep::Wait);
        assert_eq!(simulation.receive(Type::Pong), Verdict::Ignore);
        simulation.pass(200);
        assert_eq!(simulation.log, ["ping", "timeout"]);

        let mut simulation =
            Simulation::new(|turn| Session::polling(ID, Protocol::V3 { base64: false }, turn));
        simulation.pass(400);
        assert_eq!(simulation.close(false, false), CloseStep::Wait);
        assert_eq!(simulation.receive(Type::Ping), Verdict::Ignore);
        simulation.pass(100);
        assert_eq!(simulation.log, ["timeout"]);
    }

    #[test]
    fn a_client_that_hangs_up_too_late_has_timed_out() {
        let mut simulation = Simulation::polling();
        let late = simulation.now + Duration::from_millis(500);
        let ending_at =
            |simulation: &Simulation, at| simulation.session.ending_at(at, Ending::TransportClose);
        // no pong is due
        assert_eq!(ending_at(&simulation, late), Ending::TransportClose);
        simulation.pass(300);
        assert_eq!(ending_at(&simulation, late - Duration::from_millis(1)), Ending::TransportClose);
        assert_eq!(ending_at(&simulation, late), Ending::PingTimeout);
        assert_eq!(simulation.session.ending_at(late, Ending::ParseError), Ending::ParseError);
        assert_eq!(simulation.receive(Type::Pong), Verdict::Heartbeat);
        assert_eq!(ending_at(&simulation, late), Ending::TransportClose);
    }

    #[test]
    fn an_upgrade_replaces_polling() {
        let mut simulation = Simulation::polling();
        simulation.begin_upgrade(SECOND);
        assert_eq!(simulation.session.on_probe_packet("2probe"), ProbeStep::Confirm);
        assert!(simulation.session.is_polling());
        assert_eq!(simulation.session.on_probe_packet("5"), ProbeStep::Complete);
        assert_eq!(simulation.session.state(), State::WebSocket { stream: SECOND });
        simulation.pass(200);
        assert!(simulation.log.is_empty());
    }

    #[test]
    fn an_upgrade_is_completed_while_closing() {
        let mut simulation = Simulation::polling();
        simulation.begin_upgrade(SECOND);
        assert_eq!(simulation.close(false, false), CloseStep::Wait);
        assert_eq!(simulation.session.probe(), Some(SECOND));
        assert_eq!(simulation.session.on_probe_packet("2probe"), ProbeStep::Confirm);
        assert_eq!(simulation.session.on_probe_packet("5"), ProbeStep::CompleteToClose);
        assert_eq!(simulation.session.state(), State::WebSocket { stream: SECOND });
    }

    #[test]
    fn a_failed_upgrade_leaves_the_session_polling() {
        let mut simulation = Simulation::polling();
        for packet in ["", "4hello", "2", "3probe", "9"] {
            simulation.begin_upgrade(SECOND);
            assert_eq!(simulation.session.on_probe_packet(packet), ProbeStep::Abort, "{packet:?}");
            assert_eq!(simulation.session.state(), State::Polling);
            simulation.pass(1);
        }
        simulation.begin_upgrade(SECOND);
        simulation.pass(100);
        assert_eq!(simulation.log, ["upgrade timeout"]);
    }
}
