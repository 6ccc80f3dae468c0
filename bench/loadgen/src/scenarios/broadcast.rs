//! One sender for each room, or for everybody. It sends the next message when as many deliveries have come as one
//! message causes, whoever got them: with several under way, that is an average over the clients, not the last of one
//! message.

use super::{Scenario, Tally};
use crate::client::Client;
use crate::frame::Arrivals;
use crate::options::Options;
use crate::protocol::text;
use crate::Outcome;
use std::collections::VecDeque;

/// The room that is left out.
const MUTED: &str = "muted";

pub struct Broadcast {
    /// Client i is in group i % groups, client g sends to group g.
    groups: Vec<Group>,
    named: bool,
    deliveries: usize,
    inflight: usize,
    muted: Option<usize>,
    /// Every delivery has to be compressed.
    deflate: bool,
}

struct Group {
    burst: Vec<u8>,
    received: usize,
    sent: VecDeque<u64>,
}

impl Broadcast {
    pub fn new(options: &Options) -> Broadcast {
        let text = text(options.size);
        let groups = options.rooms.max(1);
        let message = |group: usize| match (options.rooms, options.except) {
            (0, false) => options.framing.event("broadcast", &text),
            (0, true) => options.framing.event("broadcast-except", &text),
            _ => options.framing.event("to-room", &format!("{}\",\"{text}", room(group))),
        };
        Broadcast {
            groups: (0..groups)
                .map(|group| Group {
                    burst: message(group).repeat(options.inflight),
                    received: 0,
                    sent: VecDeque::new(),
                })
                .collect(),
            named: options.rooms > 0,
            deliveries: options.clients / groups - usize::from(options.except),
            inflight: options.inflight,
            muted: options.except.then_some(options.clients - 1),
            deflate: options.deflate,
        }
    }
}

fn room(group: usize) -> String {
    format!("room-{group}")
}

impl Scenario for Broadcast {
    fn room(&self, index: usize) -> Option<String> {
        if self.muted == Some(index) {
            Some(MUTED.into())
        } else {
            self.named.then(|| room(index % self.groups.len()))
        }
    }

    fn start(&mut self, clients: &mut [Client], now: u64) -> Outcome<()> {
        for (group, sender) in self.groups.iter_mut().zip(clients) {
            group.sent.extend((0..self.inflight).map(|_| now));
            sender.send(&group.burst)?;
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
        let sender = index % self.groups.len();
        let group = &mut self.groups[sender];
        tally.operations += arrivals.events as u64;
        if self.deflate && arrivals.compressed < arrivals.events {
            return Err("the server did not compress".into());
        }
        group.received += arrivals.events;
        let mut count = 0;
        while group.received >= self.deliveries {
            group.received -= self.deliveries;
            let sent = group.sent.pop_front().ok_or("a broadcast came twice")?;
            group.sent.push_back(now);
            tally.latency.record(now - sent);
            count += 1;
        }
        let length = group.burst.len() / self.inflight;
        clients[sender].send(&group.burst[..count * length])
    }
}
