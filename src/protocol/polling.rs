//! HTTP long-polling, the outgoing half: packets wait here until the client's next GET is at hand.
//!
//! Whoever holds the request writes the answer: JavaScript, or the worker, if it came past Node's HTTP server.

use bytes::Bytes;

use crate::protocol::engine_io::packet::Type;
use crate::protocol::engine_io::payload::{self, SEPARATOR};
use crate::protocol::engine_io::{v3, Protocol};
#[cfg(unix)]
use crate::protocol::ids::StreamId;

/// A packet on its way to a polling client.
#[derive(Debug, Clone)]
pub enum Packet {
    /// A text packet: its type and its data, UTF-8.
    Text(Type, Bytes),
    /// The data of a binary message.
    Binary(Bytes),
}

impl Packet {
    /// Its data.
    pub fn data(&self) -> Bytes {
        let (Packet::Text(_, data) | Packet::Binary(data)) = self;
        data.clone()
    }

    /// Bytes that it takes while it waits: also one without data takes some.
    fn weight(&self) -> usize {
        let (Packet::Text(_, data) | Packet::Binary(data)) = self;
        size_of::<Packet>() + data.len()
    }
}

/// The body of the answer to a GET.
#[derive(Debug, PartialEq, Eq)]
pub enum Payload {
    Text(String),
    Binary(Vec<u8>),
}

/// Who holds a request that waits for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiter {
    /// JavaScript.
    JavaScript,
    /// The worker: it came over this stream.
    #[cfg(unix)]
    Stream(StreamId),
}

/// What a session that began past Node's HTTP server remembers while it polls.
#[derive(Debug)]
pub struct Traveller {
    pub sid: Box<str>,
    /// Where the page that polls comes from, if the client has said so.
    #[cfg(unix)]
    pub origin: Option<Box<str>>,
    /// Headers that its answers have because of that, lines with their ends.
    #[cfg(unix)]
    pub cors: Box<str>,
}

impl Traveller {
    /// What is to be remembered.
    pub fn new(sid: String, origin: Option<String>, cors: String) -> Traveller {
        #[cfg(not(unix))]
        let _ = (origin, cors);
        Traveller {
            sid: sid.into(),
            #[cfg(unix)]
            origin: origin.map(Into::into),
            #[cfg(unix)]
            cors: cors.into(),
        }
    }
}

/// The outgoing half of a polling session.
#[derive(Debug, Default)]
pub struct Polling {
    /// The GET of the client that waits for an answer.
    pub waiter: Option<Waiter>,
    /// The POST of the client that has not been answered, if that is known here.
    pub post: Option<Waiter>,
    /// Of a session whose requests may come past Node's HTTP server.
    pub traveller: Option<Box<Traveller>>,
    queue: Vec<Packet>,
    queued: usize,
    compress: bool,
}

impl Polling {
    /// Whether a packet that is sent now leaves at once: volatile packets are dropped otherwise.
    pub fn is_writable(&self) -> bool {
        self.waiter.is_some() && self.queue.is_empty()
    }

    /// Whether there is something to answer a GET with.
    pub fn has_packets(&self) -> bool {
        !self.queue.is_empty()
    }

    /// What waits.
    pub fn packets(&self) -> &[Packet] {
        &self.queue
    }

    /// Bytes that what waits takes as a payload of revision 4, and whether the application lets it be compressed.
    pub fn payload_size(&self) -> (usize, bool) {
        let size_of = |packet: &Packet| match packet {
            Packet::Text(_, data) => 2 + data.len(),
            Packet::Binary(data) => 2 + data.len().div_ceil(3) * 4,
        };
        (self.queue.iter().map(size_of).sum::<usize>().saturating_sub(1), self.compress)
    }

    /// Bytes that what waits takes.
    pub fn bytes(&self) -> usize {
        self.queued
    }

    /// Queues a packet. `compress`: whether the application allows the answer that carries it to be compressed.
    pub fn push(&mut self, packet: Packet, compress: bool) {
        self.compress |= compress;
        self.queued += packet.weight();
        self.queue.push(packet);
    }

    /// Takes everything that waits, as one payload, and whether it may be compressed.
    pub fn take_payload(&mut self, protocol: Protocol) -> (Payload, bool) {
        let (size, _) = self.payload_size();
        let packets = self.take_packets();
        let has_binary = packets.iter().any(|packet| matches!(packet, Packet::Binary(_)));
        let payload = match protocol {
            Protocol::V4 { .. } | Protocol::Raw => Payload::Text(encode(packets, size)),
            Protocol::V3 { base64: false } if has_binary => Payload::Binary(encode_v3_binary(packets)),
            Protocol::V3 { .. } => Payload::Text(encode_v3(packets)),
        };
        (payload, std::mem::take(&mut self.compress))
    }

    /// Takes the packets that wait, to send them over another transport.
    pub fn take_packets(&mut self) -> Vec<Packet> {
        self.queued = 0;
        std::mem::take(&mut self.queue)
    }
}

fn encode(packets: Vec<Packet>, size: usize) -> String {
    let mut text = String::with_capacity(size);
    for (index, packet) in packets.into_iter().enumerate() {
        if index > 0 {
            text.push(SEPARATOR);
        }
        match packet {
            Packet::Text(kind, data) => {
                text.push(kind as u8 as char);
                text.push_str(&String::from_utf8_lossy(&data));
            }
            Packet::Binary(data) => payload::encode_binary(&data, &mut text),
        }
    }
    text
}

fn encode_v3(packets: Vec<Packet>) -> String {
    let mut text = String::new();
    for packet in packets {
        let packet = match packet {
            Packet::Text(kind, data) => format!("{}{}", kind as u8 as char, String::from_utf8_lossy(&data)),
            Packet::Binary(data) => v3::encode_base64(&data),
        };
        v3::encode_text(&packet, &mut text);
    }
    text
}

fn encode_v3_binary(packets: Vec<Packet>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for packet in packets {
        match packet {
            Packet::Text(kind, data) => v3::encode_binary_part(true, &[kind as u8], &data, &mut bytes),
            Packet::Binary(data) => v3::encode_binary_part(false, &v3::BINARY_MESSAGE, &data, &mut bytes),
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_leave_as_one_payload_in_order() {
        let mut polling = Polling { waiter: Some(Waiter::JavaScript), ..Polling::default() };
        assert!(polling.is_writable());
        polling.push(Packet::Text(Type::Message, Bytes::from_static(b"2[\"a\"]")), false);
        polling.push(Packet::Binary(Bytes::from_static(&[1, 2, 3])), true);
        polling.push(Packet::Text(Type::Ping, Bytes::new()), false);
        assert!(!polling.is_writable());
        assert_eq!(polling.bytes(), 9 + 3 * size_of::<Packet>());
        assert_eq!(polling.payload_size(), ("42[\"a\"]\u{1e}bAQID\u{1e}2".len(), true));
        let (payload, compress) = polling.take_payload(Protocol::V4 { base64: false });
        assert_eq!(payload, Payload::Text("42[\"a\"]\u{1e}bAQID\u{1e}2".to_string()));
        assert!(compress);
        assert!(!polling.has_packets());
        assert_eq!(polling.bytes(), 0);
        polling.push(Packet::Text(Type::Message, Bytes::from_static(b"a")), false);
        polling.push(Packet::Binary(Bytes::from_static(&[1])), false);
        let (payload, _) = polling.take_payload(Protocol::V3 { base64: true });
        assert_eq!(payload, Payload::Text("2:4a6:b4AQ==".to_string()));
        polling.push(Packet::Text(Type::Noop, Bytes::new()), false);
        assert_eq!(
            polling.take_payload(Protocol::V4 { base64: false }),
            (Payload::Text("6".to_string()), false)
        );
    }
}
