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

#[cfg(test)]
mod model;
mod upgrade;

use std::time::{Duration, Instant};

use crate::protocol::engine_io::packet::Type;
use crate::protocol::engine_io::Protocol;
use crate::protocol::error::Ending;
use crate::protocol::ids::StreamId;
use crate::protocol::options::Options;

pub use upgrade::ProbeStep;

/// How long a polling session that the server closed waits for the client's next GET, and a WebSocket for the
/// client's Close frame or the end of its bytes.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(30);

/// Where a session is; see the diagram of the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Packets leave through GET answers.
    Polling,
    /// As `Polling`, while a WebSocket asks to take over until `until`. `check`: when a waiting GET is answered next, so
    /// that the client can switch.
    Probing { stream: StreamId, until: Instant, check: Option<Instant>, missed: bool },
    /// Packets leave through a WebSocket.
    WebSocket { stream: StreamId },
    /// The session ends with the next GET, when the WebSocket that probes takes over, or at `until`.
    /// `is_told`: the client has got the last packets, with which the application's side of the session is over.
    Closing { until: Instant, probe: Option<StreamId>, is_told: bool },
    /// The session is over.
    Closed,
}

/// Which side owes the next heartbeat packet (Engine.IO protocol v4, "Heartbeat").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heartbeat {
    /// Neither: the protocol has none.
    Absent,
    /// We send a ping at this time.
    PingDue(Instant),
    /// The client has until then to answer; in revision 3, which has the clients send the pings, to send the next.
    Awaited {
        until: Instant,
        /// How long before that our ping was sent, or the client's last one came, in microseconds: an `Instant` would take room
        /// in every connection.
        patience: u32,
        /// Another packet has shown the client to be alive, which counts once. (Not in revision 3.)
        extended: bool,
        /// The packet was found missing, and it is being made sure that it does not wait somewhere to be read.
        overdue: bool,
        /// Our ping may not have left yet, see [`Session::follow_ping`].
        followed: bool,
    },
}

impl Heartbeat {
    fn first(protocol: Protocol, turn: Turn<'_>) -> Heartbeat {
        match protocol {
            Protocol::V4 { .. } => Heartbeat::PingDue(turn.now + turn.options.ping_interval),
            Protocol::V3 { .. } => Heartbeat::await_ping(turn),
            Protocol::Raw if turn.options.pings_raw => {
                Heartbeat::PingDue(turn.now + turn.options.ping_interval)
            }
            Protocol::Raw => Heartbeat::Absent,
        }
    }

    /// The pong to a ping that is sent now, and was due at `due`, counts from then: turns that come late do not add up.
    /// But the client has most of its time in any case.
    fn await_pong(due: Instant, turn: Turn<'_>) -> Heartbeat {
        let timeout = turn.options.ping_timeout;
        let late = turn.now.saturating_duration_since(due).min(timeout / 8);
        Heartbeat::Awaited {
            until: turn.now + timeout - late,
            patience: microseconds(timeout - late),
            extended: false,
            overdue: false,
            followed: false,
        }
    }

    fn await_ping(turn: Turn<'_>) -> Heartbeat {
        let patience = turn.options.ping_interval + turn.options.ping_timeout;
        Heartbeat::Awaited {
            until: turn.now + patience,
            patience: microseconds(patience),
            extended: true,
            overdue: false,
            followed: false,
        }
    }

    /// When there is something to do about it.
    fn deadline(self) -> Option<Instant> {
        match self {
            Heartbeat::PingDue(at) | Heartbeat::Awaited { until: at, overdue: false, .. } => Some(at),
            Heartbeat::Absent | Heartbeat::Awaited { .. } => None,
        }
    }
}

/// A duration in microseconds, of up to 71 minutes.
fn microseconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}

/// What has become due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Send a ping.
    Ping,
    /// The client's pong is missing: see [`Session::is_heartbeat_overdue`].
    Pong,
    /// In revision 3, the client's ping is missing.
    Expect,
    /// The upgrade took too long: close this WebSocket. The session goes on polling.
    Upgrade(StreamId),
    /// Answer the GET that waits.
    Check,
    /// The client of a closing session does not poll any more: end it.
    Close,
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

/// What a session needs to act: the options, and the time.
#[derive(Debug, Clone, Copy)]
pub struct Turn<'a> {
    pub options: &'a Options,
    pub now: Instant,
}

/// One session.
///
/// Its deadlines are its own: whoever calls a method that takes a [`Turn`] has to look at
/// [`Session::next_deadline`] afterwards, and to ask [`Session::take_due`] when that has come.
#[derive(Debug)]
pub struct Session {
    protocol: Protocol,
    state: State,
    heartbeat: Heartbeat,
}

impl Session {
    /// A session that begins with a GET.
    pub fn polling(protocol: Protocol, turn: Turn<'_>) -> Session {
        Session { protocol, state: State::Polling, heartbeat: Heartbeat::first(protocol, turn) }
    }

    /// A session that begins with a WebSocket.
    pub fn websocket(protocol: Protocol, stream: StreamId, turn: Turn<'_>) -> Session {
        Session { protocol, state: State::WebSocket { stream }, heartbeat: Heartbeat::first(protocol, turn) }
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
    pub fn on_packet(&mut self, kind: Type, turn: Turn<'_>) -> Verdict {
        if !self.is_open() {
            return Verdict::Ignore;
        }
        if self.protocol.is_legacy() {
            match kind {
                Type::Ping => {
                    self.heartbeat = Heartbeat::await_ping(turn);
                    return Verdict::Pong;
                }
                Type::Pong => return Verdict::End(Ending::HeartbeatDirection),
                _ => {}
            }
        }
        match self.heartbeat {
            Heartbeat::Awaited { .. } if kind == Type::Pong => {
                self.heartbeat = Heartbeat::PingDue(turn.now + turn.options.ping_interval);
            }
            Heartbeat::Awaited { extended: false, .. } => self.postpone_heartbeat(turn),
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

    /// How long ago our ping was sent, if its pong is awaited.
    pub fn round_trip(&self, turn: Turn<'_>) -> Option<Duration> {
        match self.heartbeat {
            Heartbeat::Awaited { until, patience, .. } => {
                let whole = Duration::from_micros(patience.into());
                Some(whole.saturating_sub(until.saturating_duration_since(turn.now)))
            }
            _ => None,
        }
    }

    /// The WebSocket that the session has, or that probes.
    pub fn stream(&self) -> Option<StreamId> {
        match self.state {
            State::WebSocket { stream } => Some(stream),
            _ => self.probe(),
        }
    }

    /// Whether packets leave through GET answers.
    pub fn is_polling(&self) -> bool {
        matches!(self.state, State::Polling | State::Probing { .. } | State::Closing { .. })
    }

    /// When something of the session is due next.
    pub fn next_deadline(&self) -> Option<Instant> {
        let of_state = match self.state {
            State::Polling | State::WebSocket { .. } => None,
            State::Probing { until, check, .. } => Some(check.map_or(until, |check| check.min(until))),
            State::Closing { until, .. } => Some(until),
            State::Closed => return None,
        };
        match (self.heartbeat.deadline(), of_state) {
            (Some(heartbeat), Some(of_state)) => Some(heartbeat.min(of_state)),
            (heartbeat, of_state) => heartbeat.or(of_state),
        }
    }

    /// Takes something that is due by now, if there is anything. A session that is closing sends no ping, but waits for
    /// the pong all the same: so it ends in the time that any session takes to find its client gone.
    pub fn take_due(&mut self, turn: Turn<'_>) -> Option<Due> {
        if self.state == State::Closed {
            return None;
        }
        match &mut self.heartbeat {
            Heartbeat::PingDue(due) if *due <= turn.now => {
                self.heartbeat = Heartbeat::await_pong(*due, turn);
                if self.is_open() {
                    return Some(Due::Ping);
                }
            }
            Heartbeat::Awaited { until, overdue, .. } if !*overdue && *until <= turn.now => {
                *overdue = true;
                return Some(if self.protocol.is_legacy() { Due::Expect } else { Due::Pong });
            }
            _ => {}
        }
        match &mut self.state {
            &mut State::Probing { until, stream, .. } if until <= turn.now => {
                self.state = State::Polling;
                Some(Due::Upgrade(stream))
            }
            State::Probing { check: Some(check), .. } if *check <= turn.now => {
                *check = turn.now + upgrade::CHECK_INTERVAL;
                Some(Due::Check)
            }
            State::Closing { until, .. } if *until <= turn.now => Some(Due::Close),
            _ => None,
        }
    }

    /// Whether the client's part of the heartbeat was found missing, and has not come since.
    pub fn is_heartbeat_overdue(&self) -> bool {
        self.state != State::Closed && matches!(self.heartbeat, Heartbeat::Awaited { overdue: true, .. })
    }

    /// The ping that has just been sent goes through somebody who may be busy for a while: the client's time is counted
    /// from [`Session::on_ping_left`].
    pub fn follow_ping(&mut self) {
        if let Heartbeat::Awaited { followed, .. } = &mut self.heartbeat {
            *followed = true;
        }
    }

    /// A ping that was followed has left. `false` if there is none, or it has been answered.
    pub fn on_ping_left(&mut self, turn: Turn<'_>) -> bool {
        match &mut self.heartbeat {
            Heartbeat::Awaited { until, patience, overdue, followed, .. } if *followed => {
                *patience = microseconds(turn.options.ping_timeout);
                *until = turn.now + turn.options.ping_timeout;
                (*overdue, *followed) = (false, false);
                true
            }
            _ => false,
        }
    }

    /// The last packets leave for the client of a closing session.
    pub fn tell_last(&mut self) {
        if let State::Closing { is_told, .. } = &mut self.state {
            *is_told = true;
        }
    }

    /// What to say of an end that comes now: a client that hangs up when it has missed its part of the heartbeat has been
    /// silent for too long, though nobody may have looked at the timer yet, or JavaScript still be looking for its packet. One
    /// that hangs up when it has been told of the end does as it is told.
    pub fn ending_at(&self, now: Instant, ending: Ending) -> Ending {
        if ending == Ending::TransportClose && matches!(self.state, State::Closing { is_told: true, .. }) {
            return Ending::ForcedClose;
        }
        match self.heartbeat {
            Heartbeat::Awaited { until, .. } if ending == Ending::TransportClose && until <= now => {
                Ending::PingTimeout
            }
            _ => ending,
        }
    }

    /// Gives the client more time, because it is alive, or what it sent may not have been read yet.
    pub fn postpone_heartbeat(&mut self, turn: Turn<'_>) {
        self.heartbeat = if self.protocol.is_legacy() {
            Heartbeat::await_ping(turn)
        } else {
            let until = turn.now + turn.options.ping_timeout;
            let (patience, followed) = match self.heartbeat {
                Heartbeat::Awaited { until: before, patience, followed, .. } => {
                    (patience.saturating_add(microseconds(until.saturating_duration_since(before))), followed)
                }
                _ => (microseconds(turn.options.ping_timeout), false),
            };
            Heartbeat::Awaited { until, patience, extended: true, overdue: false, followed }
        };
    }

    /// The application closes the session. `get_waits`: whether a GET of the client is at hand. `discard`: the
    /// session must end now, whether or not the client can be told.
    pub fn close(&mut self, get_waits: bool, discard: bool, turn: Turn<'_>) -> CloseStep {
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
                let until = turn.now + CLOSE_TIMEOUT;
                // a client in the middle of an upgrade may not poll again before that is completed
                self.state = State::Closing { until, probe: self.probe(), is_told: false };
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

    const V4: Protocol = Protocol::V4 { base64: false };
    const V3: Protocol = Protocol::V3 { base64: false };
    const FIRST: StreamId = StreamId::from_word(1);
    const SECOND: StreamId = StreamId::from_word(9);

    struct Simulation {
        options: Options,
        now: Instant,
        session: Session,
        log: Vec<&'static str>,
    }

    impl Simulation {
        fn new(open: fn(Turn<'_>) -> Session) -> Simulation {
            Simulation::pinging_after(300, open)
        }

        fn pinging_after(milliseconds: u64, open: fn(Turn<'_>) -> Session) -> Simulation {
            let options = Options {
                ping_interval: Duration::from_millis(milliseconds),
                ping_timeout: Duration::from_millis(200),
                upgrade_timeout: Duration::from_millis(100),
                ..Options::default()
            };
            let now = Instant::now();
            let session = open(Turn { options: &options, now });
            Simulation { options, now, session, log: Vec::new() }
        }

        fn websocket() -> Simulation {
            Simulation::new(|turn| Session::websocket(V4, FIRST, turn))
        }

        fn polling() -> Simulation {
            Simulation::new(|turn| Session::polling(V4, turn))
        }

        /// The session and its surroundings, apart.
        fn parts(&mut self) -> (&mut Session, Turn<'_>) {
            let turn = Turn { options: &self.options, now: self.now };
            (&mut self.session, turn)
        }

        fn close(&mut self, get_waits: bool, discard: bool) -> CloseStep {
            let (session, turn) = self.parts();
            session.close(get_waits, discard, turn)
        }

        fn begin_upgrade(&mut self, stream: StreamId) {
            let (session, turn) = self.parts();
            assert!(session.begin_upgrade(stream, turn));
        }

        fn probe(&mut self, packet: &str) -> ProbeStep {
            let (session, turn) = self.parts();
            session.on_probe_packet(packet, turn)
        }

        /// Lets time pass and plays the worker's part for everything that is due.
        fn pass(&mut self, milliseconds: u64) {
            let end = self.now + Duration::from_millis(milliseconds);
            while let Some(at) = self.session.next_deadline().filter(|&at| at <= end) {
                self.now = self.now.max(at);
                let (session, turn) = self.parts();
                let Some(due) = session.take_due(turn) else { continue };
                self.log.push(match due {
                    Due::Ping => "ping",
                    Due::Pong | Due::Expect => {
                        assert!(self.session.is_heartbeat_overdue());
                        self.session.end();
                        "timeout"
                    }
                    Due::Upgrade(_) => "upgrade timeout",
                    Due::Check => "check",
                    Due::Close => {
                        self.session.end();
                        "close timeout"
                    }
                });
            }
            self.now = end;
        }

        fn receive(&mut self, kind: Type) -> Verdict {
            let (session, turn) = self.parts();
            session.on_packet(kind, turn)
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
        let (session, turn) = simulation.parts();
        session.postpone_heartbeat(turn);
        simulation.pass(199);
        assert_eq!(simulation.log, ["ping"]);
        simulation.pass(1);
        assert_eq!(simulation.log, ["ping", "timeout"]);
    }

    #[test]
    fn a_client_of_revision_3_sends_the_pings() {
        let protocol = Protocol::V3 { base64: false };
        let mut simulation = Simulation::new(|turn| Session::websocket(V3, FIRST, turn));
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
        let mut simulation = Simulation::pinging_after(60_000, |turn| Session::polling(V4, turn));
        assert_eq!(simulation.close(false, false), CloseStep::Wait);
        assert_eq!(simulation.close(false, false), CloseStep::Nothing);
        assert_eq!(simulation.receive(Type::Message), Verdict::Ignore);
        simulation.pass(29_999);
        assert!(simulation.log.is_empty());
        simulation.pass(1);
        assert_eq!(simulation.log, ["close timeout"]);

        let mut simulation = Simulation::polling();
        assert_eq!(simulation.close(false, false), CloseStep::Wait);
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

        let mut simulation = Simulation::new(|turn| Session::polling(V3, turn));
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
        assert_eq!(simulation.probe("2probe"), ProbeStep::Confirm);
        assert!(simulation.session.is_polling());
        assert_eq!(simulation.probe("5"), ProbeStep::Complete);
        assert_eq!(simulation.session.state(), State::WebSocket { stream: SECOND });
        simulation.pass(200);
        assert!(simulation.log.is_empty());
    }

    #[test]
    fn there_is_one_check_however_often_the_client_probes() {
        let mut simulation = Simulation::pinging_after(60_000, |turn| Session::polling(V4, turn));
        simulation.options.upgrade_timeout = Duration::from_millis(500);
        simulation.begin_upgrade(SECOND);
        for _ in 0..50 {
            assert_eq!(simulation.probe("2probe"), ProbeStep::Confirm);
            simulation.pass(1);
        }
        assert_eq!(simulation.log, ["check"]);
        simulation.pass(200);
        assert_eq!(simulation.log, ["check"; 3]);
        simulation.pass(300);
        assert_eq!(simulation.log[3..], ["check", "check", "upgrade timeout"]);
    }

    #[test]
    fn a_pong_counts_from_when_its_ping_was_due() {
        let mut simulation = Simulation::websocket();
        let start = simulation.now;
        let pong_due_after = |simulation: &mut Simulation, milliseconds| {
            simulation.now = start + Duration::from_millis(milliseconds);
            let (session, turn) = simulation.parts();
            assert_eq!(session.take_due(turn), Some(Due::Ping));
            session.next_deadline().unwrap() - start
        };
        assert_eq!(pong_due_after(&mut simulation, 310), Duration::from_millis(500));
        // not if the client would have no time left: this process may have been stopped
        let mut simulation = Simulation::websocket();
        assert_eq!(pong_due_after(&mut simulation, 5_000), Duration::from_millis(5_175));
    }

    #[test]
    fn a_round_trip_is_measured_from_the_ping_whatever_else_is_heard_meanwhile() {
        let mut simulation = Simulation::websocket();
        let trip = |simulation: &mut Simulation, milliseconds| {
            simulation.now += Duration::from_millis(milliseconds);
            let (session, turn) = simulation.parts();
            session.round_trip(turn)
        };
        assert_eq!(trip(&mut simulation, 310), None);
        let (session, turn) = simulation.parts();
        assert_eq!(session.take_due(turn), Some(Due::Ping));
        assert_eq!(trip(&mut simulation, 40), Some(Duration::from_millis(40)));
        let (session, turn) = simulation.parts();
        assert_eq!(session.on_packet(Type::Message, turn), Verdict::Message);
        assert_eq!(trip(&mut simulation, 25), Some(Duration::from_millis(65)));
        let (session, turn) = simulation.parts();
        assert_eq!(session.on_packet(Type::Pong, turn), Verdict::Heartbeat);
        assert_eq!(trip(&mut simulation, 1), None);
    }

    #[test]
    fn an_upgrade_is_completed_while_closing() {
        let mut simulation = Simulation::polling();
        simulation.begin_upgrade(SECOND);
        assert_eq!(simulation.close(false, false), CloseStep::Wait);
        assert_eq!(simulation.session.probe(), Some(SECOND));
        assert_eq!(simulation.probe("2probe"), ProbeStep::Confirm);
        assert_eq!(simulation.probe("5"), ProbeStep::CompleteToClose);
        assert_eq!(simulation.session.state(), State::WebSocket { stream: SECOND });
    }

    #[test]
    fn a_failed_upgrade_leaves_the_session_polling() {
        let mut simulation = Simulation::polling();
        for packet in ["", "4hello", "2", "3probe", "9"] {
            simulation.begin_upgrade(SECOND);
            assert_eq!(simulation.probe(packet), ProbeStep::Abort, "{packet:?}");
            assert_eq!(simulation.session.state(), State::Polling);
            simulation.pass(1);
        }
        simulation.begin_upgrade(SECOND);
        simulation.pass(100);
        assert_eq!(simulation.log, ["upgrade timeout"]);
    }
}
