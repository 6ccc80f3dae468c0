//! One WebSocket connection.

use crate::frame::{masked, Arrivals, FrameReader, HEADROOM, PONG, TEXT};
use crate::protocol::{upgrade, Framing};
use crate::Outcome;
use mio::net::TcpStream;
use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};

/// What all clients of a run have in common: how they speak, and the frames that the protocol itself asks for.
pub struct Protocol {
    pub framing: Framing,
    deflate: bool,
    upgrade: Vec<u8>,
    join: Vec<u8>,
    pong: Vec<u8>,
    frame_pong: Vec<u8>,
}

impl Protocol {
    pub fn new(path: &str, port: u16, framing: Framing, deflate: bool) -> Protocol {
        Protocol {
            framing,
            deflate,
            upgrade: upgrade(path, port, framing, deflate),
            join: masked(TEXT, b"40"),
            pong: masked(TEXT, b"3"),
            frame_pong: masked(PONG, b""),
        }
    }
}

/// Connecting ─▶ Upgrading ─▶ Joining ─▶ Ready (Upgrading ─▶ Ready without Socket.IO)
#[derive(PartialEq)]
enum Phase {
    Connecting,
    /// The answer of the HTTP server, as far as it has come.
    Upgrading(Vec<u8>),
    Joining,
    Ready,
}

pub struct Client {
    stream: TcpStream,
    phase: Phase,
    reader: FrameReader,
    /// What the kernel has not taken yet; hardly ever anything.
    unsent: Vec<u8>,
    /// When the messages were sent that are to be answered; before it is ready, when it began to connect.
    pub sent: VecDeque<u64>,
}

impl Client {
    pub fn new(stream: TcpStream, now: u64) -> Client {
        Client {
            stream,
            phase: Phase::Connecting,
            reader: FrameReader::new(),
            unsent: Vec::new(),
            sent: VecDeque::from([now]),
        }
    }

    /// When it began to connect, once it is ready, and once only.
    pub fn take_ready(&mut self) -> Option<u64> {
        if self.phase == Phase::Ready {
            self.sent.pop_front()
        } else {
            None
        }
    }

    pub fn on_writable(&mut self, protocol: &Protocol) -> Outcome<()> {
        if self.phase == Phase::Connecting {
            match self.stream.take_error() {
                Ok(None) => {}
                Ok(Some(error)) | Err(error) => return Err(format!("a client cannot connect: {error}")),
            }
            if self.stream.peer_addr().is_ok() {
                self.phase = Phase::Upgrading(Vec::new());
                self.send(&protocol.upgrade)?;
            }
        } else if !self.unsent.is_empty() {
            let unsent = std::mem::take(&mut self.unsent);
            self.send(&unsent)?;
        }
        Ok(())
    }

    /// Reads once. Returns what has come, and whether there may be more.
    pub fn on_readable(&mut self, buffer: &mut [u8], protocol: &Protocol) -> Outcome<(Arrivals, bool)> {
        let length = match self.stream.read(&mut buffer[HEADROOM..]) {
            Ok(0) => return Err("the server has closed a connection".into()),
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok((Arrivals::default(), false)),
            Err(error) => return Err(format!("a connection broke: {error}")),
        };
        let mut end = HEADROOM + length;
        let has_more = end == buffer.len();
        if matches!(self.phase, Phase::Upgrading(_)) {
            match self.upgraded(buffer, end, protocol)? {
                Some(new_end) => end = new_end,
                None => return Ok((Arrivals::default(), has_more)),
            }
        }
        let arrivals = self.reader.feed(buffer, end, protocol.framing)?;
        if arrivals.opened + arrivals.joined + arrivals.pings + arrivals.frame_pings + arrivals.closed > 0 {
            self.on_protocol(&arrivals, protocol)?;
        }
        Ok((arrivals, has_more))
    }

    /// Sends the bytes as they are, without copying what the kernel takes at once.
    pub fn send(&mut self, mut bytes: &[u8]) -> Outcome<()> {
        while self.unsent.is_empty() && !bytes.is_empty() {
            match self.stream.write(bytes) {
                Ok(length) => bytes = &bytes[length..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(format!("a connection broke: {error}")),
            }
        }
        self.unsent.extend_from_slice(bytes);
        Ok(())
    }

    /// Takes the answer to the upgrade request; once it is complete, moves what follows to its place in the buffer and
    /// returns its end.
    fn upgraded(&mut self, buffer: &mut [u8], end: usize, protocol: &Protocol) -> Outcome<Option<usize>> {
        let Phase::Upgrading(answer) = &mut self.phase else { return Ok(Some(end)) };
        answer.extend_from_slice(&buffer[HEADROOM..end]);
        let Some(length) = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").map(|at| at + 4) else {
            return Ok(None);
        };
        let head = String::from_utf8_lossy(&answer[..length]).to_ascii_lowercase();
        if !head.starts_with("http/1.1 101") {
            return Err(format!(
                "the server refuses to upgrade: {}",
                head.lines().next().unwrap_or_default()
            ));
        }
        if protocol.deflate && !head.contains("permessage-deflate") {
            return Err("the server does not compress".into());
        }
        let rest = end - (answer.len() - length)..end;
        let new_end = HEADROOM + rest.len();
        buffer.copy_within(rest, HEADROOM);
        self.phase = match protocol.framing {
            Framing::SocketIo => Phase::Joining,
            Framing::Raw => Phase::Ready,
        };
        Ok(Some(new_end))
    }

    #[cold]
    fn on_protocol(&mut self, arrivals: &Arrivals, protocol: &Protocol) -> Outcome<()> {
        if arrivals.closed > 0 {
            return Err("the server has ended a session".into());
        }
        if arrivals.opened > 0 {
            self.send(&protocol.join)?;
        }
        if arrivals.joined > 0 {
            self.phase = Phase::Ready;
        }
        for _ in 0..arrivals.pings {
            self.send(&protocol.pong)?;
        }
        for _ in 0..arrivals.frame_pings {
            self.send(&protocol.frame_pong)?;
        }
        Ok(())
    }
}
