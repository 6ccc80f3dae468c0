//! What bounds one connection beyond what the protocol does. Most have nothing of it, and cost nothing for it.

use std::time::{Duration, Instant};

use super::traffic::Traffic;
use crate::protocol::ids::{ConnectionId, Id};
use crate::protocol::options::Options;

/// A limit that a connection has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Limit {
    /// The time that the application has set has come.
    Expiry = 1,
    /// The session is as old as it may become.
    Age = 2,
    /// No message has gone either way for as long as that may be.
    Idleness = 3,
    /// The client sends more packets than it may.
    Packets = 4,
    /// The client sends more bytes than it may.
    Bytes = 5,
}

impl Limit {
    /// What a client reads of it in the Close frame.
    pub fn reason(self) -> &'static str {
        match self {
            Limit::Packets => "too many packets",
            _ => "too many bytes",
        }
    }
}

/// Their numbers, by the names that the module's table has for them.
pub const LIMITS: &[(&str, u32)] = &[
    ("EXPIRY", Limit::Expiry as u32),
    ("AGE", Limit::Age as u32),
    ("IDLENESS", Limit::Idleness as u32),
    ("PACKETS", Limit::Packets as u32),
    ("BYTES", Limit::Bytes as u32),
];

/// The limits of a connection. Each is told once; JavaScript decides what comes of it.
#[derive(Debug, Default)]
pub struct Limits {
    expires: Option<Instant>,
    ends: Option<Instant>,
    idle: Option<Idle>,
    traffic: Option<Box<Traffic>>,
}

/// Since when nothing has happened, and when it is looked at next.
#[derive(Debug)]
struct Idle {
    since: Instant,
    check: Instant,
}

impl Limits {
    /// Those that every connection has. `None`: there are none.
    pub fn of_all(id: ConnectionId, options: &Options, now: Instant) -> Option<Limits> {
        let ends = options.max_session_age.and_then(|age| now.checked_add(earlier(age, id)));
        let idle = options.idle_timeout.and_then(|timeout| Idle::since(now, timeout));
        let traffic = options.rates.map(|rates| Box::new(Traffic::new(&rates, now)));
        let has_any = ends.is_some() || idle.is_some() || traffic.is_some();
        has_any.then_some(Limits { expires: None, ends, idle, traffic })
    }

    /// What the client has sent of late, if that is limited.
    pub fn traffic(&mut self) -> Option<&mut Traffic> {
        self.traffic.as_deref_mut()
    }

    /// What the client sends is not limited any more. Returns what it has sent of late.
    pub fn exempt(&mut self) -> Option<Box<Traffic>> {
        self.traffic.take()
    }

    /// Until when nothing is to be read of the client.
    pub fn paused_until(&self) -> Option<Instant> {
        self.traffic.as_ref()?.resumes
    }

    /// Sets when the application's limit comes, or that it does not.
    pub fn expire(&mut self, at: Option<Instant>) {
        self.expires = at;
    }

    /// A message has gone one way or the other.
    pub fn note_message(&mut self, now: Instant) {
        if let Some(idle) = &mut self.idle {
            idle.since = now;
        }
    }

    /// When to look at them next.
    pub fn next(&self) -> Option<Instant> {
        let idle = self.idle.as_ref().map(|idle| idle.check);
        [self.expires, self.ends, idle, self.paused_until()].into_iter().flatten().min()
    }

    /// Takes one that has come.
    pub fn take_due(&mut self, options: &Options, now: Instant) -> Option<Limit> {
        if self.expires.take_if(|at| *at <= now).is_some() {
            return Some(Limit::Expiry);
        }
        if self.ends.take_if(|at| *at <= now).is_some() {
            return Some(Limit::Age);
        }
        let idle = self.idle.as_mut().filter(|idle| idle.check <= now)?;
        let timeout = options.idle_timeout?;
        let end = idle.since + timeout;
        // what JavaScript does not end is idle for as long again
        idle.check = if end <= now { now + timeout } else { end };
        (end <= now).then_some(Limit::Idleness)
    }
}

impl Idle {
    fn since(now: Instant, timeout: Duration) -> Option<Idle> {
        now.checked_add(timeout).map(|check| Idle { since: now, check })
    }
}

/// Up to a tenth less than a duration, by connection: those that have begun together are not to end together.
fn earlier(duration: Duration, id: ConnectionId) -> Duration {
    let tenth = duration / 10;
    let share = id.word().wrapping_mul(0x9e37_79b9) >> 16;
    duration - tenth.mul_f64(f64::from(share) / 65_536.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: ConnectionId = ConnectionId::from_word(3);

    fn options(age: Option<u64>, idle: Option<u64>) -> Options {
        Options {
            max_session_age: age.map(Duration::from_secs),
            idle_timeout: idle.map(Duration::from_secs),
            ..Options::default()
        }
    }

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn without_options_there_is_nothing() {
        assert!(Limits::of_all(ID, &options(None, None), Instant::now()).is_none());
    }

    #[test]
    fn ages_end_spread_over_the_last_tenth() {
        let (options, now) = (options(Some(1000), None), Instant::now());
        let end_of = |id| {
            let limits = Limits::of_all(ConnectionId::from_word(id), &options, now).unwrap();
            limits.next().unwrap() - now
        };
        let ends: Vec<Duration> = (0..1000).map(end_of).collect();
        assert!(ends.iter().all(|&end| end >= seconds(900) && end <= seconds(1000)));
        let in_half = ends.iter().filter(|&&end| end < seconds(950)).count();
        assert!((400..600).contains(&in_half), "{in_half}");
    }

    #[test]
    fn each_is_told_once() {
        let (options, now) = (options(Some(100), None), Instant::now());
        let mut limits = Limits::of_all(ID, &options, now).unwrap();
        limits.expire(Some(now + seconds(50)));
        assert_eq!(limits.next(), Some(now + seconds(50)));
        assert_eq!(limits.take_due(&options, now + seconds(49)), None);
        assert_eq!(limits.take_due(&options, now + seconds(50)), Some(Limit::Expiry));
        assert_eq!(limits.take_due(&options, now + seconds(50)), None);
        assert_eq!(limits.take_due(&options, now + seconds(100)), Some(Limit::Age));
        assert_eq!((limits.take_due(&options, now + seconds(100)), limits.next()), (None, None));
    }

    #[test]
    fn messages_put_idleness_off_without_a_timer_of_their_own() {
        let (options, now) = (options(None, Some(10)), Instant::now());
        let mut limits = Limits::of_all(ID, &options, now).unwrap();
        limits.note_message(now + seconds(4));
        assert_eq!(limits.next(), Some(now + seconds(10)));
        assert_eq!(limits.take_due(&options, now + seconds(10)), None);
        assert_eq!(limits.next(), Some(now + seconds(14)));
        assert_eq!(limits.take_due(&options, now + seconds(14)), Some(Limit::Idleness));
        assert_eq!(limits.next(), Some(now + seconds(24)));
    }

    #[test]
    fn an_expiry_may_be_set_and_taken_back() {
        let (options, now) = (options(None, None), Instant::now());
        let mut limits = Limits::default();
        limits.expire(Some(now));
        limits.expire(None);
        assert_eq!((limits.take_due(&options, now + seconds(1)), limits.next()), (None, None));
    }
}
