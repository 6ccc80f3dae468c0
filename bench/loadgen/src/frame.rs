//! Frames of RFC 6455: made once, beforehand, and counted as they come in.

use crate::protocol::Framing;
use crate::Outcome;

pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
pub const PONG: u8 = 10;

/// Not 0: some servers do not unmask then.
const MASK: [u8; 4] = [0x12, 0x34, 0x56, 0x78];

/// As many bytes of a payload as tell what it is.
const PREFIX: usize = 2;

/// So many bytes before what is read have to be free: an incomplete header and prefix go there.
pub const HEADROOM: usize = 16;

pub fn masked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode];
    match payload.len() {
        length @ 0..=125 => frame.push(0x80 | length as u8),
        length @ 126..=0xffff => {
            frame.push(0x80 | 126);
            frame.extend((length as u16).to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend(MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// How many messages of each kind one read has completed.
#[derive(Clone, Copy, Default)]
pub struct Arrivals {
    pub events: usize,
    /// Those of the events that were compressed.
    pub compressed: usize,
    pub acks: usize,
    pub attachments: usize,
    /// Engine.IO's.
    pub pings: usize,
    /// WebSocket's.
    pub frame_pings: usize,
    /// Engine.IO's open packet.
    pub opened: usize,
    /// The namespace is joined.
    pub joined: usize,
    pub closed: usize,
}

#[derive(Clone, Copy)]
enum Kind {
    Event,
    Compressed,
    Ack,
    Attachment,
    Ping,
    FramePing,
    Opened,
    Joined,
    Closed,
    Other,
}

/// Counts messages. No payload is kept or copied: of what is not there yet only the length is remembered.
pub struct FrameReader {
    /// The beginning of a frame that cannot be told yet.
    tail: [u8; HEADROOM],
    held: usize,
    /// What is still to come of the message that has begun.
    kind: Kind,
    rest: usize,
}

impl FrameReader {
    pub fn new() -> FrameReader {
        FrameReader { tail: [0; HEADROOM], held: 0, kind: Kind::Other, rest: 0 }
    }

    /// Reads `buffer[HEADROOM..end]`; the bytes before are overwritten.
    pub fn feed(&mut self, buffer: &mut [u8], end: usize, framing: Framing) -> Outcome<Arrivals> {
        let mut arrivals = Arrivals::default();
        let mut at = HEADROOM - self.held;
        buffer[at..HEADROOM].copy_from_slice(&self.tail[..self.held]);
        loop {
            if self.rest > 0 {
                let skipped = self.rest.min(end - at);
                at += skipped;
                self.rest -= skipped;
                if self.rest > 0 {
                    break;
                }
                arrivals.count(self.kind);
            }
            let Some((header, length)) = header(&buffer[at..end]) else { break };
            let prefix = at + header..at + header + length.min(PREFIX);
            if prefix.end > end {
                break;
            }
            self.kind = kind(buffer[at], &buffer[prefix], framing)?;
            at += header;
            self.rest = length;
            if length == 0 {
                arrivals.count(self.kind);
            }
        }
        self.held = end - at;
        self.tail[..self.held].copy_from_slice(&buffer[at..end]);
        Ok(arrivals)
    }
}

impl Arrivals {
    fn count(&mut self, kind: Kind) {
        match kind {
            Kind::Event => self.events += 1,
            Kind::Compressed => {
                self.events += 1;
                self.compressed += 1;
            }
            Kind::Ack => self.acks += 1,
            Kind::Attachment => self.attachments += 1,
            Kind::Ping => self.pings += 1,
            Kind::FramePing => self.frame_pings += 1,
            Kind::Opened => self.opened += 1,
            Kind::Joined => self.joined += 1,
            Kind::Closed => self.closed += 1,
            Kind::Other => {}
        }
    }
}

/// The lengths of header and payload, if the header is complete.
fn header(bytes: &[u8]) -> Option<(usize, usize)> {
    match bytes.get(1)? & 0x7f {
        126 => Some((4, u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?).into())),
        127 => Some((10, u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?) as usize)),
        length => Some((2, length.into())),
    }
}

fn kind(first: u8, prefix: &[u8], framing: Framing) -> Outcome<Kind> {
    const FINAL: u8 = 0x80;
    const COMPRESSED: u8 = 0x40;
    if first & FINAL == 0 {
        return Err("the server fragments its messages, which is not understood here".into());
    }
    Ok(match (first & 0x0f, framing) {
        // only events are long enough to be compressed
        (TEXT, _) if first & COMPRESSED != 0 => Kind::Compressed,
        (TEXT, Framing::Raw) => Kind::Event,
        (TEXT, Framing::SocketIo) => match prefix {
            b"42" => Kind::Event,
            b"43" => Kind::Ack,
            [b'2', ..] => Kind::Ping,
            [b'0', ..] => Kind::Opened,
            b"40" => Kind::Joined,
            b"41" | b"44" | [b'1', ..] => Kind::Closed,
            _ => Kind::Other,
        },
        (BINARY, _) => Kind::Attachment,
        (PING, _) => Kind::FramePing,
        (CLOSE, _) => Kind::Closed,
        _ => Kind::Other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unmasked(opcode: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = masked(opcode, payload);
        let header = header(&frame).map(|(header, _)| header).unwrap();
        frame[1] &= 0x7f;
        frame.truncate(header);
        [frame, payload.to_vec()].concat()
    }

    #[test]
    fn counts_the_same_however_the_bytes_are_cut() {
        let long = [b"42[\"b\",\"".to_vec(), vec![b'x'; 70_000], b"\"]".to_vec()].concat();
        let bytes = [
            unmasked(TEXT, b"2"),
            unmasked(TEXT, b"42[\"b\"]"),
            unmasked(TEXT, &[b"437[\"".to_vec(), vec![b'y'; 300], b"\"]".to_vec()].concat()),
            unmasked(TEXT, &long),
            unmasked(BINARY, &[1; 200]),
            unmasked(PING, b""),
        ]
        .concat();
        for step in [1, 2, 3, 5, 7, 11, 13, 4096, bytes.len()] {
            let mut reader = FrameReader::new();
            let mut total = Arrivals::default();
            for piece in bytes.chunks(step) {
                let mut buffer = vec![0; HEADROOM];
                buffer.extend(piece);
                let end = buffer.len();
                let arrivals = reader.feed(&mut buffer, end, Framing::SocketIo).unwrap();
                total.events += arrivals.events;
                total.acks += arrivals.acks;
                total.attachments += arrivals.attachments;
                total.pings += arrivals.pings;
                total.frame_pings += arrivals.frame_pings;
            }
            let counts = [total.events, total.acks, total.attachments, total.pings, total.frame_pings];
            assert_eq!(counts, [2, 1, 1, 1, 1], "in steps of {step}");
        }
    }
}
