//! What may still come of something whose rate is limited; it fills itself with time.

use std::time::{Duration, Instant};

/// A bucket.
#[derive(Debug)]
pub struct Bucket {
    /// What may still come.
    pub tokens: f64,
    since: Instant,
}

impl Bucket {
    /// A full one.
    pub fn new(rate: f64, burst: f64, now: Instant) -> Bucket {
        Bucket { tokens: capacity(rate, burst), since: now }
    }

    /// Fills it with what is due by now. Returns whether it is full.
    pub fn fill(&mut self, rate: f64, burst: f64, now: Instant) -> bool {
        if rate.is_infinite() {
            return true;
        }
        let elapsed = now.saturating_duration_since(self.since).as_secs_f64();
        self.since = now;
        self.tokens = (self.tokens + elapsed * rate).min(capacity(rate, burst));
        self.tokens >= capacity(rate, burst)
    }

    /// How long it takes until a twentieth of a second's worth is in it: whoever sends too much is not to be woken for each packet.
    pub fn time_to_go_on(&self, rate: f64, burst: f64) -> Duration {
        if rate.is_infinite() {
            return Duration::ZERO;
        }
        let wanted = (rate / 20.0).max(1.0).min(capacity(rate, burst));
        Duration::try_from_secs_f64((wanted - self.tokens).max(0.0) / rate).unwrap_or(Duration::MAX)
    }
}

/// What a bucket holds: one at least, or nothing would ever pass.
fn capacity(rate: f64, burst: f64) -> f64 {
    (rate * burst).max(1.0)
}
