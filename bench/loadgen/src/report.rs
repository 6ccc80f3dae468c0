//! What was measured, as one line of JSON. Times are in microseconds, memory in KiB.

use crate::histogram::Histogram;
use crate::server_process::Usage;
use std::fmt;
use std::time::Duration;

pub struct Report {
    fields: Vec<(&'static str, f64)>,
}

impl Report {
    pub fn new() -> Report {
        Report { fields: Vec::new() }
    }

    pub fn add(&mut self, name: &'static str, value: f64) -> &mut Report {
        self.fields.push((name, value));
        self
    }

    /// What a number of operations took, and what they cost the server.
    pub fn add_operations(&mut self, operations: u64, elapsed: Duration, before: Usage, after: Usage) {
        let cpu = after.cpu - before.cpu;
        let each = |seconds: f64| seconds * 1e6 / operations as f64;
        self.add("operationsPerSecond", operations as f64 / elapsed.as_secs_f64())
            .add("operationsPerCpuSecond", operations as f64 / cpu)
            .add("cpuPerOperation", each(cpu))
            .add("mainThreadPerOperation", each(after.main_cpu - before.main_cpu))
            .add("serverCores", cpu / elapsed.as_secs_f64());
    }

    /// Nothing, if nothing was recorded.
    pub fn add_latency(&mut self, latency: &Histogram) {
        for (name, fraction) in [("p50", 0.5), ("p99", 0.99)] {
            if let Some(nanoseconds) = latency.quantile(fraction) {
                self.add(name, nanoseconds as f64 / 1e3);
            }
        }
    }

    pub fn add_memory(&mut self, connections: usize, before: Usage, after: Usage) {
        self.add("memoryPerConnection", (after.rss_kib - before.rss_kib) / connections as f64);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let separators = ["{"].into_iter().chain(std::iter::repeat(","));
        for ((name, value), separator) in self.fields.iter().zip(separators) {
            write!(out, "{separator}\"{name}\":{value:.6}")?;
        }
        write!(out, "}}")
    }
}
