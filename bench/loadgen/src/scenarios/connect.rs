//! Many clients connect, a limited number at a time. An operation is a connect: TCP, the upgrade, joining the namespace.

use crate::crowd::Crowd;
use crate::histogram::Histogram;
use crate::options::Options;
use crate::report::Report;
use crate::server_process::ServerProcess;
use crate::Outcome;
use std::time::Instant;

pub fn run(options: &Options) -> Outcome<Report> {
    let server = ServerProcess::new(&options.pids);
    let mut crowd = Crowd::new(options)?;
    let mut latency = Histogram::new();

    let before = server.usage()?;
    let began = Instant::now();
    crowd.connect(options.clients, &mut latency)?;
    let elapsed = began.elapsed();
    let after = server.usage()?;

    let mut report = Report::new();
    report.add_operations(options.clients as u64, elapsed, before, after);
    report.add_latency(&latency);
    Ok(report)
}
