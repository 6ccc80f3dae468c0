//! Rooms in which some of the clients talk. What is said goes to the others in the room, and is acknowledged, which lets
//! the talker go on. Deliveries and acknowledgements count; the latency is that of the acknowledgements.

use super::{Scenario, Tally};
use crate::client::Client;
use crate::frame::Arrivals;
use crate::options::Options;
use crate::protocol::{request, text};
use crate::Outcome;

pub struct Chat {
    /// What is said in each room; client i is in room i % rooms, the first ones talk.
    messages: Vec<Vec<u8>>,
    senders: usize,
    inflight: usize,
}

impl Chat {
    pub fn new(options: &Options) -> Chat {
        let text = text(options.size);
        Chat {
            messages: (0..options.rooms.max(1))
                .map(|number| request("say", &[&room(number), &text]))
                .collect(),
            senders: options.senders,
            inflight: options.inflight,
        }
    }
}

fn room(number: usize) -> String {
    format!("room-{number}")
}

impl Scenario for Chat {
    fn room(&self, index: usize) -> Option<String> {
        Some(room(index % self.messages.len()))
    }

    fn start(&mut self, clients: &mut [Client], now: u64) -> Outcome<()> {
        for (sender, message) in clients[..self.senders].iter_mut().zip(self.messages.iter().cycle()) {
            for _ in 0..self.inflight {
                sender.sent.push_back(now);
                sender.send(message)?;
            }
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
        tally.operations += (arrivals.events + arrivals.acks) as u64;
        let client = &mut clients[index];
        for _ in 0..arrivals.acks {
            let sent = client.sent.pop_front().ok_or("an answer to nothing")?;
            client.sent.push_back(now);
            tally.latency.record(now - sent);
            client.send(&self.messages[index % self.messages.len()])?;
        }
        Ok(())
    }
}
