//! What a worker counts. JavaScript reads it whenever it likes, and nobody waits for anybody: only one thread writes to a
//! counter.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::figures::{Figure, Figures};
use super::websocket::WebSocket;
use crate::protocol::ids::ConnectionId;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to it. Only one thread may.
    pub fn add(&self, count: usize) {
        // no exchange: nobody else writes
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(count as u64), Ordering::Relaxed);
    }

    /// Its value. JavaScript's numbers are exact up to 2^53.
    pub fn get(&self) -> f64 {
        self.0.load(Ordering::Relaxed) as f64
    }
}

/// Buckets of a histogram that have a bound.
pub const BUCKETS: usize = 16;

/// The bound of the first bucket, in microseconds. That of each further one is twice that of the one before: 64 µs to 2.1 s.
pub const FIRST_BOUND: u64 = 64;

/// How long something took, how often.
#[derive(Debug, Default)]
pub struct Histogram {
    /// By bucket, each without those below it; the last is for what is above all bounds.
    counts: [Counter; BUCKETS + 1],
    microseconds: Counter,
}

impl Histogram {
    /// Counts a duration. Only one thread may.
    pub fn record(&self, duration: Duration) {
        let microseconds = duration.as_micros().min(u128::from(u64::MAX)) as u64;
        // the bucket below whose bound, or at it, it is
        let doublings = microseconds.div_ceil(FIRST_BOUND).max(1).next_power_of_two().trailing_zeros();
        self.counts[(doublings as usize).min(BUCKETS)].add(1);
        self.microseconds.add(microseconds as usize);
    }

    /// The counts by bucket, and the sum of the durations in milliseconds.
    pub fn read(&self) -> (Vec<f64>, f64) {
        (self.counts.iter().map(Counter::get).collect(), self.microseconds.get() / 1000.0)
    }
}

/// What one worker counts.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Packets of Engine.IO that clients have sent.
    pub packets_received: Counter,
    /// Bytes of WebSockets, frames included, and of the bodies of POSTs.
    pub bytes_received: Counter,
    /// Packets of Engine.IO that were queued for clients.
    pub packets_sent: Counter,
    /// Bytes that were written to WebSockets, frames included, or that answers to GETs have had.
    pub bytes_sent: Counter,
    /// Messages for many that were queued for one of them.
    pub deliveries: Counter,
    /// Volatile messages that were dropped for a client.
    pub volatile_dropped: Counter,
    /// Messages of clients that were dropped because they sent more than they may.
    pub packets_refused: Counter,
    /// Events that were dropped because their clients did not read.
    pub events_dropped: Counter,
    /// Pings that were sent.
    pub pings: Counter,
    /// From a ping to its pong.
    pub round_trips: Histogram,
    /// What turns took. Only counted when somebody has asked for it.
    pub turns: Histogram,
    /// Whether that is so.
    is_asked_for: AtomicBool,
}

impl Metrics {
    /// Counts bytes that a client has sent, here and for its connection.
    pub fn count_received(&self, figures: &Figures, from: Option<ConnectionId>, bytes: usize) {
        self.bytes_received.add(bytes);
        if let Some(id) = from {
            figures.add(id, Figure::Received, bytes);
        }
    }

    /// Counts bytes that a client is sent, likewise.
    pub fn count_sent(&self, figures: &Figures, to: Option<ConnectionId>, bytes: usize) {
        self.bytes_sent.add(bytes);
        if let Some(id) = to {
            figures.add(id, Figure::Sent, bytes);
        }
    }

    /// Counts bytes that were written to a WebSocket. Where nobody looks at the figures, theirs stays with the WebSocket: a broadcast
    /// would have to fetch them for each client (measured with 1,000: 3 % of its CPU time).
    pub fn count_written(&self, figures: &Figures, websocket: &mut WebSocket, bytes: usize) {
        self.bytes_sent.add(bytes);
        websocket.unreported += bytes;
        if figures.is_read() {
            websocket.report(figures);
        }
    }

    /// Somebody reads them, and will do so again.
    pub fn ask_for(&self) {
        self.is_asked_for.store(true, Ordering::Relaxed);
    }

    /// Whether what takes a look at the clock shall be counted too.
    pub fn is_asked_for(&self) -> bool {
        self.is_asked_for.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket_of(microseconds: u64) -> usize {
        let histogram = Histogram::default();
        histogram.record(Duration::from_micros(microseconds));
        let (counts, sum) = histogram.read();
        assert_eq!(sum, microseconds as f64 / 1000.0);
        assert_eq!(counts.iter().sum::<f64>(), 1.0);
        counts.iter().position(|&count| count == 1.0).unwrap()
    }

    #[test]
    fn a_duration_is_in_the_first_bucket_whose_bound_it_does_not_exceed() {
        for (bucket, bound) in (0..BUCKETS).map(|bucket| (bucket, FIRST_BOUND << bucket)) {
            assert_eq!((bucket_of(bound), bucket_of(bound + 1)), (bucket, bucket + 1));
        }
        assert_eq!(bucket_of(0), 0);
        assert_eq!(bucket_of(1 << 40), BUCKETS);
    }

    #[test]
    fn counters_add_up() {
        let counter = Counter::default();
        counter.add(2);
        counter.add(40);
        assert_eq!(counter.get(), 42.0);
    }
}
