//! Clients that say nothing unless they are asked whether they are still there.

use super::{Scenario, Tally};
use crate::client::Client;
use crate::crowd::Crowd;
use crate::frame::Arrivals;
use crate::histogram::Histogram;
use crate::options::Options;
use crate::report::Report;
use crate::server_process::ServerProcess;
use crate::Outcome;
use std::time::Instant;

/// By how much the server's memory has grown some time after all have connected.
pub fn run(options: &Options) -> Outcome<Report> {
    let server = ServerProcess::new(&options.pids);
    let mut crowd = Crowd::new(options)?;

    let before = server.usage()?;
    crowd.connect(options.clients, &mut Histogram::new())?;
    let settling = Instant::now();
    while settling.elapsed() < options.measured {
        crowd.turn(|_, _, _, _| Ok(()))?;
    }
    let after = server.usage()?;

    let mut report = Report::new();
    report.add_memory(options.clients, before, after);
    Ok(report)
}

/// What Engine.IO's heartbeats cost; an operation is a ping and its pong.
pub struct Heartbeats;

impl Scenario for Heartbeats {
    fn start(&mut self, _clients: &mut [Client], _now: u64) -> Outcome<()> {
        Ok(())
    }

    fn react(
        &mut self,
        _clients: &mut [Client],
        _index: usize,
        arrivals: Arrivals,
        _now: u64,
        tally: &mut Tally,
    ) -> Outcome<()> {
        tally.operations += arrivals.pings as u64;
        Ok(())
    }
}
