//! All clients of a run, and the loop that waits for them.

use crate::client::{Client, Protocol};
use crate::dial::dial;
use crate::frame::Arrivals;
use crate::histogram::Histogram;
use crate::options::Options;
use crate::{limits, Outcome};
use mio::{Events, Interest, Poll, Token};
use std::io::ErrorKind;
use std::time::{Duration, Instant};

/// Who hears nothing for so long has been forgotten.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// Large enough that one read takes all that waits.
const READ_BUFFER: usize = 256 * 1024;

pub struct Crowd {
    pub clients: Vec<Client>,
    /// Nanoseconds since the beginning; read once a turn.
    pub now: u64,
    protocol: Protocol,
    ports: Vec<u16>,
    handshakes: usize,
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
    began: Instant,
}

impl Crowd {
    pub fn new(options: &Options) -> Outcome<Crowd> {
        limits::allow(options.clients)?;
        Ok(Crowd {
            clients: Vec::with_capacity(options.clients),
            now: 0,
            protocol: Protocol::new(&options.path, options.ports[0], options.framing, options.deflate),
            ports: options.ports.clone(),
            handshakes: options.handshakes,
            poll: Poll::new().map_err(|error| error.to_string())?,
            events: Events::with_capacity(1024),
            buffer: vec![0; READ_BUFFER],
            began: Instant::now(),
        })
    }

    /// Connects so many clients, a limited number at a time, and records how long each took.
    pub fn connect(&mut self, count: usize, latency: &mut Histogram) -> Outcome<()> {
        let mut ready = 0;
        let mut progress = Instant::now();
        while ready < count {
            while self.clients.len() < count && self.clients.len() < ready + self.handshakes {
                self.add_client()?;
            }
            let before = ready;
            self.turn(|clients, index, _, now| {
                if let Some(since) = clients[index].take_ready() {
                    latency.record(now.saturating_sub(since));
                    ready += 1;
                }
                Ok(())
            })?;
            if ready > before {
                progress = Instant::now();
            } else if progress.elapsed() > PATIENCE {
                return Err(format!("only {ready} of {count} clients could connect"));
            }
        }
        Ok(())
    }

    /// Waits once, and calls `react` with each client that has received anything, and what.
    pub fn turn<F>(&mut self, mut react: F) -> Outcome<()>
    where
        F: FnMut(&mut [Client], usize, Arrivals, u64) -> Outcome<()>,
    {
        match self.poll.poll(&mut self.events, Some(Duration::from_millis(50))) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.to_string()),
            _ => self.now = self.began.elapsed().as_nanos() as u64,
        }
        for event in &self.events {
            let Token(index) = event.token();
            if event.is_writable() {
                self.clients[index].on_writable(&self.protocol)?;
            }
            // edge-triggered: a read that does not fill the buffer has taken everything
            let mut has_more = event.is_readable();
            while has_more {
                let arrivals;
                (arrivals, has_more) = self.clients[index].on_readable(&mut self.buffer, &self.protocol)?;
                react(&mut self.clients, index, arrivals, self.now)?;
            }
        }
        Ok(())
    }

    fn add_client(&mut self) -> Outcome<()> {
        let index = self.clients.len();
        let mut stream = dial(self.ports[index % self.ports.len()], index)?;
        self.poll
            .registry()
            .register(&mut stream, Token(index), Interest::READABLE | Interest::WRITABLE)
            .map_err(|error| error.to_string())?;
        self.clients.push(Client::new(stream, self.began.elapsed().as_nanos() as u64));
        Ok(())
    }
}
