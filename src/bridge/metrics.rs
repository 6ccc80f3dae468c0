//! What the workers count, as JavaScript gets it.

use napi_derive::napi;

use crate::worker::metrics::{self, BUCKETS, FIRST_BOUND};
use crate::worker::WorkerHandle;

/// How long something took.
#[napi(object)]
pub struct Histogram {
    /// The bounds of buckets, in milliseconds: each holds what is at most this, and more than the bound before.
    pub bounds: Vec<f64>,
    /// How often it was that, by bucket; one more than there are bounds.
    pub counts: Vec<f64>,
    /// Milliseconds, in sum.
    pub sum: f64,
}

impl Histogram {
    pub(super) fn of(histogram: &metrics::Histogram) -> Histogram {
        let (counts, sum) = histogram.read();
        let bounds = (0..BUCKETS).map(|bucket| (FIRST_BOUND << bucket) as f64 / 1000.0).collect();
        Histogram { bounds, counts, sum }
    }
}

/// What a worker has counted, see `worker/metrics.rs`.
#[napi(object)]
pub struct WorkerMetrics {
    pub packets_received: f64,
    pub bytes_received: f64,
    pub packets_sent: f64,
    pub bytes_sent: f64,
    pub deliveries: f64,
    pub volatile_dropped: f64,
    pub events_dropped: f64,
    pub packets_refused: f64,
    pub pings: f64,
    pub round_trips: Histogram,
    pub turns: Histogram,
    /// Commands that wait for it.
    pub commands: u32,
}

impl WorkerMetrics {
    /// What a worker has counted so far. From now on its turns are timed.
    pub fn of(worker: &WorkerHandle) -> WorkerMetrics {
        let metrics = &worker.metrics;
        metrics.ask_for();
        WorkerMetrics {
            packets_received: metrics.packets_received.get(),
            bytes_received: metrics.bytes_received.get(),
            packets_sent: metrics.packets_sent.get(),
            bytes_sent: metrics.bytes_sent.get(),
            deliveries: metrics.deliveries.get(),
            volatile_dropped: metrics.volatile_dropped.get(),
            packets_refused: metrics.packets_refused.get(),
            events_dropped: metrics.events_dropped.get(),
            pings: metrics.pings.get(),
            round_trips: Histogram::of(&metrics.round_trips),
            turns: Histogram::of(&metrics.turns),
            commands: worker.waiting_commands() as u32,
        }
    }
}

/// What all of it has counted, and what waits.
#[napi(object)]
pub struct EngineMetrics {
    pub workers: Vec<WorkerMetrics>,
    /// Bytes of events that wait for JavaScript, about.
    pub backlog: f64,
    /// How long batches of events have waited for it.
    pub waits: Histogram,
    /// Bytes that wait for each client that does not read as fast as it is written to.
    pub waiting: Vec<f64>,
}

/// How many clients workers have refused.
#[napi(object)]
pub struct Refused {
    /// By what was against them, in the order of `quotas` of `codes`.
    pub counts: Vec<f64>,
    /// How many of them over TLS.
    pub secure: f64,
}
