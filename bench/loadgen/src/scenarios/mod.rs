//! What the clients do. All are closed loops: an answer causes the next message.

mod broadcast;
mod chat;
mod connect;
mod echo;
mod idle;
mod polling;

use crate::client::Client;
use crate::crowd::{Crowd, PATIENCE};
use crate::frame::Arrivals;
use crate::histogram::Histogram;
use crate::options::Options;
use crate::protocol;
use crate::report::Report;
use crate::server_process::ServerProcess;
use crate::Outcome;
use std::time::{Duration, Instant};

pub fn run(options: &Options) -> Outcome<Report> {
    match options.scenario.as_str() {
        "echo" | "ack" | "binary" => loaded(options, echo::Echo::new(options)),
        "broadcast" => loaded(options, broadcast::Broadcast::new(options)),
        "chat" => loaded(options, chat::Chat::new(options)),
        "heartbeats" => loaded(options, idle::Heartbeats),
        "idle" => idle::run(options),
        "connect" => connect::run(options),
        "polling" => polling::run(options),
        name => Err(format!("there is no scenario {name}")),
    }
}

/// What is counted while a scenario runs.
pub struct Tally {
    /// Echoes, acknowledgements, deliveries, or heartbeats.
    pub operations: u64,
    pub latency: Histogram,
}

impl Tally {
    pub fn new() -> Tally {
        Tally { operations: 0, latency: Histogram::new() }
    }

    pub fn clear(&mut self) {
        self.operations = 0;
        self.latency.clear();
    }
}

trait Scenario {
    /// The room that a client has to join before all begins.
    fn room(&self, _index: usize) -> Option<String> {
        None
    }

    /// Sends the messages that are under way from then on.
    fn start(&mut self, clients: &mut [Client], now: u64) -> Outcome<()>;

    /// Something has come for the client with this index.
    fn react(
        &mut self,
        clients: &mut [Client],
        index: usize,
        arrivals: Arrivals,
        now: u64,
        tally: &mut Tally,
    ) -> Outcome<()>;
}

/// Connects everybody, warms up, and measures.
fn loaded(options: &Options, mut scenario: impl Scenario) -> Outcome<Report> {
    let server = ServerProcess::new(&options.pids);
    let mut crowd = Crowd::new(options)?;
    crowd.connect(options.clients, &mut Histogram::new())?;
    join_rooms(&mut crowd, &scenario)?;
    scenario.start(&mut crowd.clients, crowd.now)?;

    let mut tally = Tally::new();
    run_for(&mut crowd, &mut scenario, &mut tally, Phase::warming(options.warm))?;
    tally.clear();
    let before = server.usage()?;
    let elapsed = run_for(&mut crowd, &mut scenario, &mut tally, Phase::measuring(options.measured))?;
    let after = server.usage()?;

    if tally.operations == 0 {
        return Err("nothing was answered while it was measured".into());
    }
    let mut report = Report::new();
    report.add_operations(tally.operations, elapsed, before, after);
    report.add_latency(&tally.latency);
    Ok(report)
}

fn run_for(
    crowd: &mut Crowd,
    scenario: &mut impl Scenario,
    tally: &mut Tally,
    mut phase: Phase,
) -> Outcome<Duration> {
    loop {
        if let Some(elapsed) = phase.is_over(tally.operations)? {
            return Ok(elapsed);
        }
        crowd.turn(|clients, index, arrivals, now| scenario.react(clients, index, arrivals, now, tally))?;
    }
}

/// A stretch of time in which operations have to go on.
struct Phase {
    began: Instant,
    duration: Duration,
    tolerance: Duration,
    operations: u64,
    progress: Instant,
}

impl Phase {
    fn warming(duration: Duration) -> Phase {
        let began = Instant::now();
        Phase { began, duration, tolerance: PATIENCE, operations: 0, progress: began }
    }

    /// A pause that makes up much of what is measured would make the rest meaningless.
    fn measuring(duration: Duration) -> Phase {
        let tolerance = (duration / 2).clamp(Duration::from_secs(1), PATIENCE);
        Phase { tolerance, ..Phase::warming(duration) }
    }

    /// How long it has lasted, once it is over; an error if nothing has been going on.
    fn is_over(&mut self, operations: u64) -> Outcome<Option<Duration>> {
        let now = Instant::now();
        if operations > self.operations {
            self.operations = operations;
            self.progress = now;
        } else if now - self.progress > self.tolerance {
            return Err(format!("the server stalled after {operations} operations"));
        }
        let elapsed = now - self.began;
        Ok((elapsed >= self.duration).then_some(elapsed))
    }
}

fn join_rooms(crowd: &mut Crowd, scenario: &impl Scenario) -> Outcome<()> {
    let mut missing = 0;
    for (index, client) in crowd.clients.iter_mut().enumerate() {
        if let Some(room) = scenario.room(index) {
            client.send(&protocol::request("join", &[&room]))?;
            missing += 1;
        }
    }
    let began = Instant::now();
    while missing > 0 {
        if began.elapsed() > PATIENCE {
            return Err(format!("{missing} clients could not join their rooms"));
        }
        crowd.turn(|_, _, arrivals, _| {
            missing -= arrivals.acks;
            Ok(())
        })?;
    }
    Ok(())
}
