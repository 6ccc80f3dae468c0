//! The command line.

use crate::protocol::Framing;
use crate::Outcome;
use std::str::FromStr;
use std::time::Duration;

pub struct Options {
    pub scenario: String,
    /// Of the servers, among which the clients are dealt out in turn.
    pub ports: Vec<u16>,
    /// The servers' processes, for their CPU time and memory.
    pub pids: Vec<u32>,
    pub path: String,
    pub framing: Framing,
    /// Offers permessage-deflate, and insists on it.
    pub deflate: bool,
    pub clients: usize,
    /// Messages under way for each sender.
    pub inflight: usize,
    /// Bytes of payload.
    pub size: usize,
    /// 0: everybody is in one crowd.
    pub rooms: usize,
    /// How many clients talk in a chat.
    pub senders: usize,
    /// One client is in a room that broadcasts leave out.
    pub except: bool,
    /// Handshakes under way at the same time.
    pub handshakes: usize,
    /// What passes before the measuring begins, and how long it lasts.
    pub warm: Duration,
    pub measured: Duration,
}

pub fn parse(mut arguments: impl Iterator<Item = String>) -> Outcome<Options> {
    let mut options = Options {
        scenario: "echo".into(),
        ports: Vec::new(),
        pids: Vec::new(),
        path: "/socket.io/".into(),
        framing: Framing::SocketIo,
        deflate: false,
        clients: 1,
        inflight: 1,
        size: 32,
        rooms: 0,
        senders: 1,
        except: false,
        handshakes: 100,
        warm: Duration::from_millis(300),
        measured: Duration::from_secs(3),
    };
    while let Some(flag) = arguments.next() {
        match flag.as_str() {
            "--deflate" => options.deflate = true,
            "--except" => options.except = true,
            _ => {
                let value = arguments.next().ok_or_else(|| format!("{flag} needs a value"))?;
                set(&mut options, &flag, value)?;
            }
        }
    }
    if options.ports.is_empty() || options.pids.is_empty() {
        return Err("--port and --pid are needed".into());
    }
    if options.clients == 0 || options.inflight == 0 || options.senders > options.clients {
        return Err("there is nobody to send anything".into());
    }
    if options.rooms > 0 && !options.clients.is_multiple_of(options.rooms) {
        return Err("the rooms must be of one size".into());
    }
    Ok(options)
}

fn set(options: &mut Options, flag: &str, value: String) -> Outcome<()> {
    match flag {
        "--scenario" => options.scenario = value,
        "--path" => options.path = value,
        "--framing" => options.framing = Framing::named(&value)?,
        "--port" => options.ports = numbers(flag, &value)?,
        "--pid" => options.pids = numbers(flag, &value)?,
        "--clients" => options.clients = number(flag, &value)?,
        "--inflight" => options.inflight = number(flag, &value)?,
        "--size" => options.size = number(flag, &value)?,
        "--rooms" => options.rooms = number(flag, &value)?,
        "--senders" => options.senders = number(flag, &value)?,
        "--handshakes" => options.handshakes = number(flag, &value)?,
        "--warm" => options.warm = seconds(flag, &value)?,
        "--secs" => options.measured = seconds(flag, &value)?,
        _ => return Err(format!("unknown flag {flag}")),
    }
    Ok(())
}

fn number<T: FromStr>(flag: &str, value: &str) -> Outcome<T> {
    value.parse().map_err(|_| format!("{flag} {value} is no number"))
}

fn numbers<T: FromStr>(flag: &str, value: &str) -> Outcome<Vec<T>> {
    value.split(',').map(|value| number(flag, value)).collect()
}

fn seconds(flag: &str, value: &str) -> Outcome<Duration> {
    Duration::try_from_secs_f64(number(flag, value)?).map_err(|_| format!("{flag} {value} is no duration"))
}
