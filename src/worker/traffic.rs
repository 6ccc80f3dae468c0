//! What clients may send: of each, so many packets and bytes a second, before JavaScript sees any of it.

use std::mem;
use std::time::{Duration, Instant};

use super::bucket::Bucket;
use super::limits::{Limit, Limits};
use super::stream::Stream;
use super::Worker;
use crate::protocol::engine_io::packet::Type;
use crate::protocol::error::Ending;
use crate::protocol::ids::ConnectionId;
use crate::protocol::options::{Action, Rates};
use crate::protocol::socket_io;
use crate::protocol::websocket::frame::Flow;

/// The status of the Close frame for a client that sends too much: "Policy Violation" (RFC 6455 section 7.4.1).
const POLICY_VIOLATION: u16 = 1008;

/// How long a client may be behind that is not read: it may as well be dead.
const PATIENCE: Duration = Duration::from_secs(60);

/// However much a client has sent at once, it is read again after that.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// What a client has sent of late.
#[derive(Debug)]
pub struct Traffic {
    packets: Bucket,
    bytes: Bucket,
    /// Until when nothing is read of it.
    pub resumes: Option<Instant>,
    /// Whether a POST of it is answered then.
    owes_answer: bool,
    /// Since when something that it owes may be in what is not read.
    behind_since: Option<Instant>,
    /// Whether JavaScript has heard that it has come to a limit, since it last had all its due.
    is_told: bool,
    /// How many attachments are to come of the last message, and whether that was dropped.
    attachments: u32,
    is_dropping: bool,
}

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Toll {
    /// It passes.
    Pass,
    /// It passes, but nothing more for now.
    Pause(Limit),
    /// It does not pass.
    Drop(Limit),
    /// Its client is disconnected.
    Close(Limit),
}

impl Toll {
    /// What is to follow the packet; an error if that itself is not to be handed on.
    pub fn flow(self) -> Result<Flow, Flow> {
        match self {
            Toll::Pass => Ok(Flow::Continue),
            Toll::Pause(_) => Ok(Flow::Pause),
            Toll::Drop(_) => Err(Flow::Continue),
            Toll::Close(_) => Err(Flow::Stop),
        }
    }
}

impl Traffic {
    /// That of a client that has sent nothing yet.
    pub fn new(rates: &Rates, now: Instant) -> Traffic {
        Traffic {
            packets: Bucket::new(rates.packets, rates.burst, now),
            bytes: Bucket::new(rates.bytes, rates.burst, now),
            resumes: None,
            owes_answer: false,
            behind_since: None,
            is_told: false,
            attachments: 0,
            is_dropping: false,
        }
    }

    /// Charges its client for a packet. `attachments`: how many packets that follow belong to it, if it is a message; `None`: it
    /// may be one of these.
    fn charge(
        &mut self,
        rates: &Rates,
        bytes: usize,
        is_message: bool,
        attachments: Option<u32>,
        now: Instant,
    ) -> Toll {
        let is_full = self.packets.fill(rates.packets, rates.burst, now)
            & self.bytes.fill(rates.bytes, rates.burst, now);
        self.is_told &= !is_full;
        let exceeded = if self.packets.tokens < 1.0 {
            Some(Limit::Packets)
        } else if self.bytes.tokens < bytes as f64 {
            Some(Limit::Bytes)
        } else {
            None
        };
        let mut is_dropped = false;
        if rates.action == Action::Drop && is_message {
            // a message passes, or does not, with all that belongs to it
            if attachments.is_none() && self.attachments > 0 {
                self.attachments -= 1;
            } else {
                self.attachments = attachments.unwrap_or(0);
                self.is_dropping = exceeded.is_some();
            }
            is_dropped = self.is_dropping;
        }
        if is_dropped {
            return Toll::Drop(exceeded.unwrap_or(Limit::Packets));
        }
        self.packets.tokens -= 1.0;
        self.bytes.tokens -= bytes as f64;
        match (exceeded, rates.action) {
            (Some(limit), Action::Close) => Toll::Close(limit),
            (Some(limit), Action::Pause) => {
                let packets = self.packets.time_to_go_on(rates.packets, rates.burst);
                let pause = packets.max(self.bytes.time_to_go_on(rates.bytes, rates.burst));
                self.resumes = Some(now + pause.min(LONGEST_PAUSE));
                Toll::Pause(limit)
            }
            _ => Toll::Pass,
        }
    }
}

impl Worker {
    /// Charges a client for a packet of it. `text`: of one that is a text, its data.
    pub(super) fn charge(&mut self, id: ConnectionId, kind: Type, bytes: usize, text: Option<&str>) -> Toll {
        let Some(rates) = self.options.rates else { return Toll::Pass };
        let Some(traffic) = self.limits.get_mut(&id).and_then(|limits| limits.traffic()) else {
            return Toll::Pass;
        };
        let attachments = text.map(socket_io::attachments);
        let was_paused = traffic.resumes.is_some();
        let toll = traffic.charge(&rates, bytes, kind == Type::Message, attachments, self.now);
        let (Toll::Pause(limit) | Toll::Drop(limit) | Toll::Close(limit)) = toll else { return toll };
        if toll == Toll::Drop(limit) {
            self.metrics.packets_refused.add(1);
        }
        let pause = traffic.resumes.map_or(Duration::ZERO, |at| at.saturating_duration_since(self.now));
        let is_news = !mem::replace(&mut traffic.is_told, true);
        // what it reads itself, JavaScript has to leave unread each time
        if is_news || (matches!(toll, Toll::Pause(_)) && !was_paused && self.is_read_by_javascript(id)) {
            self.events.limit(id, limit, pause, !is_news);
        }
        match toll {
            Toll::Close(_) => {
                self.end_with(id, POLICY_VIOLATION, limit.reason(), Ending::TooMuchSent);
            }
            Toll::Pause(_) => self.watch_session(id),
            _ => {}
        }
        toll
    }

    /// Whether the WebSocket of a client, or the one that is to take over, is read by JavaScript.
    fn is_read_by_javascript(&mut self, id: ConnectionId) -> bool {
        let stream = self.connection(id).and_then(|connection| connection.session.stream());
        let websocket = stream.and_then(|stream| self.websocket(stream));
        websocket.is_some_and(|websocket| matches!(websocket.stream, Stream::Pipe(_)))
    }

    /// What a client has sent of late, if that is limited.
    fn traffic(&mut self, id: ConnectionId) -> Option<&mut Traffic> {
        self.limits.get_mut(&id)?.traffic()
    }

    /// Whether nothing is to be read of a client for now.
    pub(super) fn is_paused(&self, id: ConnectionId) -> bool {
        !self.limits.is_empty() && self.limits.get(&id).is_some_and(|limits| limits.paused_until().is_some())
    }

    /// What a client owes is overdue. Returns whether it may be in what is not read of it.
    pub(super) fn may_be_behind(&mut self, id: ConnectionId) -> bool {
        let now = self.now;
        if !self.is_paused(id) || self.end_if_hung_up(id) {
            return false;
        }
        self.traffic(id).is_some_and(|traffic| now < *traffic.behind_since.get_or_insert(now) + PATIENCE)
    }

    /// A client's heartbeat has been read.
    pub(super) fn note_heartbeat(&mut self, id: ConnectionId) {
        if self.limits.is_empty() {
            return;
        }
        if let Some(traffic) = self.traffic(id) {
            traffic.behind_since = None;
        }
    }

    /// Whether the answer to the POST that has been read has to wait.
    pub(super) fn owes_answer(&mut self, id: ConnectionId) -> bool {
        let Some(traffic) = self.traffic(id).filter(|it| it.resumes.is_some()) else { return false };
        traffic.owes_answer = true;
        true
    }

    /// A pause may be over. Returns whether there was one.
    pub(super) fn end_pause(&mut self, id: ConnectionId) -> bool {
        let now = self.now;
        let Some(traffic) = self.traffic(id) else { return false };
        if traffic.resumes.take_if(|at| *at <= now).is_none() {
            return false;
        }
        let owes_answer = mem::take(&mut traffic.owes_answer);
        self.go_on_reading(id, owes_answer);
        true
    }

    /// A client may be read again.
    fn go_on_reading(&mut self, id: ConnectionId, owes_answer: bool) {
        if owes_answer {
            self.tell_posted(id);
        }
        self.signals.resume.notify_waiters();
        // what was kept comes first, also that of a WebSocket that is to take over: no new bytes need come
        if let Some(stream) = self.connection(id).and_then(|connection| connection.session.stream()) {
            self.on_bytes(stream, &mut []);
        }
        if self.is_read_by_javascript(id) && !self.is_paused(id) {
            self.events.limit(id, Limit::Packets, Duration::ZERO, true);
        }
    }

    /// What a client sends is not limited any more.
    pub(super) fn exempt(&mut self, id: ConnectionId) {
        let Some(traffic) = self.limits.get_mut(&id).and_then(Limits::exempt) else { return };
        if traffic.resumes.is_some() {
            self.go_on_reading(id, traffic.owes_answer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATES: Rates = Rates { packets: 10.0, bytes: f64::INFINITY, burst: 0.5, action: Action::Pause };

    fn milliseconds(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn a_client_may_send_what_it_has_saved_up_and_then_its_rate() {
        let now = Instant::now();
        let mut traffic = Traffic::new(&RATES, now);
        let tolls: Vec<Toll> = (0..6).map(|_| traffic.charge(&RATES, 1, true, Some(0), now)).collect();
        assert_eq!(tolls, [[Toll::Pass; 5].as_slice(), &[Toll::Pause(Limit::Packets)]].concat());
        // the one that was too much is owed, and there has to be something to spend
        assert_eq!(traffic.resumes, Some(now + milliseconds(200)));
        let later = now + milliseconds(200);
        assert_eq!(traffic.charge(&RATES, 1, true, Some(0), later), Toll::Pass);
        assert_eq!(traffic.charge(&RATES, 1, true, Some(0), later), Toll::Pause(Limit::Packets));
        let much_later = now + milliseconds(10_000);
        let passed = (0..10).filter(|_| traffic.charge(&RATES, 1, true, Some(0), much_later) == Toll::Pass);
        assert_eq!(passed.count(), 5);
    }

    #[test]
    fn bytes_count_likewise() {
        let rates = Rates { packets: f64::INFINITY, bytes: 1000.0, burst: 1.0, action: Action::Close };
        let now = Instant::now();
        let mut traffic = Traffic::new(&rates, now);
        assert_eq!(traffic.charge(&rates, 600, true, Some(0), now), Toll::Pass);
        assert_eq!(traffic.charge(&rates, 600, true, Some(0), now), Toll::Close(Limit::Bytes));
        let later = now + milliseconds(1000);
        assert_eq!(traffic.charge(&rates, 600, true, Some(0), later), Toll::Pass);
        // however large, it waits for its share
        let pause = Rates { action: Action::Pause, ..rates };
        assert_eq!(traffic.charge(&pause, 5_000, true, Some(0), later), Toll::Pause(Limit::Bytes));
        assert!(traffic.resumes.unwrap() > later + milliseconds(4_500));
    }

    #[test]
    fn attachments_share_the_fate_of_their_packet() {
        let rates = Rates { action: Action::Drop, burst: 0.2, ..RATES };
        let now = Instant::now();
        let mut traffic = Traffic::new(&rates, now);
        let mut charge = |attachments, at| traffic.charge(&rates, 1, true, attachments, at);
        // two packets may pass: this one has three
        assert_eq!([Some(2), None, None].map(|it| charge(it, now)), [Toll::Pass; 3]);
        assert_eq!(charge(Some(1), now), Toll::Drop(Limit::Packets));
        // there would be room for it again
        assert!(matches!(charge(None, now + milliseconds(5_000)), Toll::Drop(_)));
        assert_eq!(charge(Some(0), now + milliseconds(5_000)), Toll::Pass);
    }

    #[test]
    fn heartbeats_are_charged_but_not_dropped() {
        let rates = Rates { action: Action::Drop, burst: 0.1, ..RATES };
        let now = Instant::now();
        let mut traffic = Traffic::new(&rates, now);
        let tolls: Vec<Toll> = (0..3).map(|_| traffic.charge(&rates, 1, false, Some(0), now)).collect();
        assert_eq!(tolls, [Toll::Pass; 3]);
        assert_eq!(traffic.charge(&rates, 1, true, Some(0), now), Toll::Drop(Limit::Packets));
    }
}
