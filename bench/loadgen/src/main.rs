//! A closed-loop load generator: many clients on one epoll thread, next to the server on the same machine, so it must
//! cost little. It speaks just enough of Engine.IO 4 and Socket.IO 5, or plain text over WebSocket (`--framing raw`).
//!
//! The way of an operation: `crowd` waits for readiness and reads the clock once a batch, `client` reads once and has
//! `frame` count the messages in what came, a scenario answers with bytes made beforehand. Prints one line of JSON.

mod client;
mod crowd;
mod dial;
mod frame;
mod histogram;
mod http;
mod limits;
mod options;
mod polling;
mod protocol;
mod report;
mod scenarios;
mod server_process;

use std::process::ExitCode;

/// What goes wrong is only ever told to people.
type Outcome<T> = Result<T, String>;

fn main() -> ExitCode {
    match options::parse(std::env::args().skip(1)).and_then(|options| scenarios::run(&options)) {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(fault) => {
            eprintln!("{fault}");
            ExitCode::FAILURE
        }
    }
}
