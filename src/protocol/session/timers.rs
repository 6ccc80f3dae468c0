//! The deadlines of all sessions of a worker.
//!
//! All sessions share their options, so of one kind of timer the one armed last is due last, and a plain queue per
//! kind is a priority queue. Nothing is ever cancelled: who takes a due timer compares its time with the state that
//! it was armed for.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How long a polling session that the server closed waits for the client's next GET, and a WebSocket for the
/// client's Close frame or the end of its bytes.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long after the probe a waiting GET is answered for the first time: the client, which stops polling when it has
/// the answer to its probe, should have that first.
pub const FIRST_CHECK: Duration = Duration::from_millis(10);

/// How often a waiting GET is answered from then on, until the client has switched.
pub const CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// A kind of timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timer {
    /// A ping is due. Named by connection.
    Ping,
    /// The client's pong is overdue. Named by connection.
    Pong,
    /// The ping of a client of revision 3 is overdue. Named by connection.
    Expect,
    /// The upgrade takes too long. Named by connection.
    Upgrade,
    /// A waiting GET is to be answered during an upgrade, for the first time. Named by connection.
    FirstCheck,
    /// A waiting GET is to be answered during an upgrade, once more. Named by connection.
    Check,
    /// The client of a closing session does not poll any more. Named by connection.
    Close,
    /// The client of a closed WebSocket does not hang up. Named by stream.
    Linger,
    /// An accepted connection says nothing. Named by stream.
    Arrival,
}

const KINDS: [Timer; 9] = [
    Timer::Ping,
    Timer::Pong,
    Timer::Expect,
    Timer::Upgrade,
    Timer::FirstCheck,
    Timer::Check,
    Timer::Close,
    Timer::Linger,
    Timer::Arrival,
];

/// The armed timers, one queue a kind.
#[derive(Debug, Default)]
pub struct Deadlines {
    queues: [VecDeque<(Instant, u32)>; KINDS.len()],
}

impl Deadlines {
    /// Arms a timer for `id`.
    pub fn arm(&mut self, timer: Timer, at: Instant, id: u32) {
        self.queues[timer as usize].push_back((at, id));
    }

    /// When the next timer is due.
    pub fn next(&self) -> Option<Instant> {
        self.queues.iter().filter_map(|queue| queue.front()).map(|&(at, _)| at).min()
    }

    /// Takes a timer that is due: its kind, whose it is, and the time it was armed for.
    pub fn pop_due(&mut self, now: Instant) -> Option<(Timer, u32, Instant)> {
        for timer in KINDS {
            let queue = &mut self.queues[timer as usize];
            if queue.front().is_some_and(|&(at, _)| at <= now) {
                let (at, id) = queue.pop_front()?;
                return Some((timer, id, at));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_come_when_they_are_due() {
        let start = Instant::now();
        let after = |milliseconds| start + Duration::from_millis(milliseconds);
        let mut deadlines = Deadlines::default();
        assert_eq!(deadlines.next(), None);
        deadlines.arm(Timer::Ping, after(20), 1);
        deadlines.arm(Timer::Ping, after(30), 2);
        deadlines.arm(Timer::Pong, after(10), 3);
        assert_eq!(deadlines.next(), Some(after(10)));
        assert_eq!(deadlines.pop_due(after(9)), None);
        assert_eq!(deadlines.pop_due(after(25)), Some((Timer::Ping, 1, after(20))));
        assert_eq!(deadlines.pop_due(after(25)), Some((Timer::Pong, 3, after(10))));
        assert_eq!(deadlines.pop_due(after(25)), None);
        assert_eq!(deadlines.next(), Some(after(30)));
    }
}
