//! Every client has some messages under way, and sends one for each that comes back: as an event, with an attachment,
//! or as an acknowledgement.

use super::{Scenario, Tally};
use crate::client::Client;
use crate::frame::Arrivals;
use crate::options::Options;
use crate::protocol::{request, text};
use crate::Outcome;

pub struct Echo {
    /// As many messages as one client may have under way, one behind the other.
    burst: Vec<u8>,
    length: usize,
    inflight: usize,
    /// What counts as an answer.
    answers: fn(&Arrivals) -> usize,
}

impl Echo {
    pub fn new(options: &Options) -> Echo {
        let (message, answers): (Vec<u8>, fn(&Arrivals) -> usize) = match options.scenario.as_str() {
            "ack" => (request("ack", &[&text(options.size)]), |arrivals| arrivals.acks),
            "binary" => {
                (options.framing.binary_event("echo-binary", options.size), |arrivals| arrivals.attachments)
            }
            _ => (options.framing.event("echo", &text(options.size)), |arrivals| arrivals.events),
        };
        Echo {
            burst: message.repeat(options.inflight),
            length: message.len(),
            inflight: options.inflight,
            answers,
        }
    }
}

impl Scenario for Echo {
    fn start(&mut self, clients: &mut [Client], now: u64) -> Outcome<()> {
        for client in clients {
            client.sent.extend((0..self.inflight).map(|_| now));
            client.send(&self.burst)?;
        }
        Ok(())
    }

    fn react(
        &mut self,
        clients: &mut [Client],
        index: usize,
        arrivals: Arrivals,
        now: u64,
        tally: &mut Tally,
    ) -> Outcome<()> {
        let client = &mut clients[index];
        let count = (self.answers)(&arrivals);
        for _ in 0..count {
            let sent = client.sent.pop_front().ok_or("an answer to nothing")?;
            client.sent.push_back(now);
            tally.latency.record(now - sent);
        }
        tally.operations += count as u64;
        // more than were under way would have been an error
        client.send(&self.burst[..count * self.length])
    }
}
