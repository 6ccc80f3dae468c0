//! Every client sends an event by POST, and the next one when it has come back by GET. An operation is such a round
//! trip of two requests.

use super::{Phase, Tally};
use crate::crowd::PATIENCE;
use crate::options::Options;
use crate::polling::{Endpoint, PollingClient};
use crate::protocol::text;
use crate::report::Report;
use crate::server_process::ServerProcess;
use crate::{limits, Outcome};
use mio::{Events, Poll, Token};
use std::io::ErrorKind;
use std::time::{Duration, Instant};

pub fn run(options: &Options) -> Outcome<Report> {
    limits::allow(2 * options.clients)?;
    let server = ServerProcess::new(&options.pids);
    let mut pollers = Pollers::new(options)?;
    pollers.connect()?;
    for client in &mut pollers.clients {
        client.start(pollers.now)?;
    }
    pollers.run_for(Phase::warming(options.warm))?;
    pollers.tally.clear();
    let before = server.usage()?;
    let elapsed = pollers.run_for(Phase::measuring(options.measured))?;
    let after = server.usage()?;

    let tally = &pollers.tally;
    if tally.operations == 0 {
        return Err("nothing was answered while it was measured".into());
    }
    let mut report = Report::new();
    report.add_operations(tally.operations, elapsed, before, after);
    report.add_latency(&tally.latency);
    Ok(report)
}

struct Pollers {
    clients: Vec<PollingClient>,
    endpoint: Endpoint,
    tally: Tally,
    poll: Poll,
    events: Events,
    scratch: Vec<u8>,
    began: Instant,
    now: u64,
}

impl Pollers {
    fn new(options: &Options) -> Outcome<Pollers> {
        let poll = Poll::new().map_err(|error| error.to_string())?;
        let endpoint = Endpoint {
            path: options.path.clone(),
            port: options.ports[0],
            packet: format!("42[\"echo\",\"{}\"]", text(options.size)),
        };
        let clients: Outcome<Vec<PollingClient>> =
            (0..options.clients).map(|index| PollingClient::new(poll.registry(), &endpoint, index)).collect();
        Ok(Pollers {
            clients: clients?,
            endpoint,
            tally: Tally::new(),
            poll,
            events: Events::with_capacity(1024),
            scratch: vec![0; 64 * 1024],
            began: Instant::now(),
            now: 0,
        })
    }

    fn connect(&mut self) -> Outcome<()> {
        while !self.clients.iter().all(PollingClient::is_idle) {
            if self.began.elapsed() > PATIENCE {
                return Err("not all clients could connect".into());
            }
            self.turn()?;
        }
        Ok(())
    }

    fn run_for(&mut self, mut phase: Phase) -> Outcome<Duration> {
        loop {
            if let Some(elapsed) = phase.is_over(self.tally.operations)? {
                return Ok(elapsed);
            }
            self.turn()?;
        }
    }

    fn turn(&mut self) -> Outcome<()> {
        match self.poll.poll(&mut self.events, Some(Duration::from_millis(50))) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.to_string()),
            _ => self.now = self.began.elapsed().as_nanos() as u64,
        }
        for event in &self.events {
            let Token(token) = event.token();
            let client = &mut self.clients[token / 2];
            if event.is_writable() {
                client.on_writable(token)?;
            }
            if event.is_readable() {
                if let Some(elapsed) =
                    client.on_readable(token, &mut self.scratch, &self.endpoint, self.now)?
                {
                    self.tally.operations += 1;
                    self.tally.latency.record(elapsed);
                }
            }
        }
        Ok(())
    }
}
