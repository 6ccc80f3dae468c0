//! HTTP long-polling, the outgoing half: packets wait here until the client's next GET is at hand.
//!
//! JavaScript holds the request and the response; this side only knows whether a GET is waiting.

use bytes::Bytes;

use crate::engine_io::packet::Type;
use crate::engine_io::payload::{self, SEPARATOR};

/// A packet on its way to a polling client.
#[derive(Debug, Clone)]
pub enum Outgoing {
    /// A text packet: its type and its data, UTF-8.
    Text(Type, Bytes),
    /// The data of a binary message.
    Binary(Bytes),
}

/// The outgoing half of a polling session.
#[derive(Debug, Default)]
pub struct Polling {
    /// Whether a GET of the client waits for an answer.
    pub waiting: bool,
    queue: Vec<Outgoing>,
    compress: bool,
}

impl Polling {
    /// For a session whose first GET waits for the handshake.
    pub fn with_get() -> Polling {
        Polling { waiting: true, ..Polling::default() }
    }

    /// Whether a packet that is sent now leaves at once: volatile packets are dropped otherwise.
    pub fn is_writable(&self) -> bool {
        self.waiting && self.queue.is_empty()
    }

    /// Whether there is something to answer a GET with.
    pub fn has_packets(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Queues a packet. `compress`: whether the application allows the answer that carries it to be compressed.
    pub fn push(&mut self, packet: Outgoing, compress: bool) {
        self.compress |= compress;
        self.queue.push(packet);
    }

    /// Takes everything that waits, as one payload, and whether it may be compressed.
    pub fn take_payload(&mut self) -> (String, bool) {
        let mut text = String::new();
        for (index, packet) in self.queue.drain(..).enumerate() {
            if index > 0 {
                text.push(SEPARATOR);
            }
            match packet {
                Outgoing::Text(kind, data) => {
                    text.push(kind as u8 as char);
                    text.push_str(&String::from_utf8_lossy(&data));
                }
                Outgoing::Binary(data) => payload::encode_binary(&data, &mut text),
            }
        }
        self.queue = Vec::new();
        (text, std::mem::take(&mut self.compress))
    }

    /// Takes the packets that wait, to send them over another transport.
    pub fn take_packets(&mut self) -> Vec<Outgoing> {
        std::mem::take(&mut self.queue)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_leave_as_one_payload_in_order() {
        let mut polling = Polling::with_get();
        assert!(polling.is_writable());
        polling.push(Outgoing::Text(Type::Message, Bytes::from_static(b"2[\"a\"]")), false);
        polling.push(Outgoing::Binary(Bytes::from_static(&[1, 2, 3])), true);
        polling.push(Outgoing::Text(Type::Ping, Bytes::new()), false);
        assert!(!polling.is_writable());
        assert_eq!(polling.take_payload(), ("42[\"a\"]\u{1e}bAQID\u{1e}2".to_string(), true));
        assert!(!polling.has_packets());
        polling.push(Outgoing::Text(Type::Noop, Bytes::new()), false);
        assert_eq!(polling.take_payload(), ("6".to_string(), false));
    }
}
