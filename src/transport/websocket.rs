//! A WebSocket connection: its stream, the reader of its frames, and what waits to be written.

use std::rc::Rc;

use base64::prelude::{Engine, BASE64_STANDARD};
use sha1::{Digest, Sha1};
use tokio::task::AbortHandle;

use super::frame::{self, FrameReader};
use crate::engine_io::Protocol;
use crate::session::outbox::{Outbox, Pool};
use crate::session::ConnectionId;
#[cfg(unix)]
use crate::stream::fd::FdStream;
use crate::stream::pipe::Pipe;

/// While more than this many bytes wait to be written, pings of the client are not answered: RFC 6455 section 5.5.3
/// asks for a pong to the most recent one only, and a client that never reads must not make us keep them.
const PONG_LIMIT: usize = 64 << 10;

/// What RFC 6455 section 1.3 has servers append to a key.
const KEY_SUFFIX: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The answer to an upgrade request with this `Sec-WebSocket-Key` (RFC 6455 section 4.2.2), without the end of its last
/// line: more headers may follow.
pub fn switching_protocols(key: &str) -> String {
    let accept = BASE64_STANDARD.encode(Sha1::new().chain_update(key).chain_update(KEY_SUFFIX).finalize());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}"
    )
}

/// Where the bytes of a connection come from and go to.
#[derive(Debug)]
pub enum Stream {
    /// A descriptor of our own.
    #[cfg(unix)]
    Fd(Rc<FdStream>),
    /// A stream in JavaScript.
    Pipe(Pipe),
}

/// How far a connection is on its way to its end.
///
/// ```text
///   Open ── our Close frame ──▶ Closing ── the client's ──▶ Lingering ── its FIN, timeout ──▶ (dropped)
///     └── the client's Close frame, or its violation ──────────▲
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Messages flow.
    Open,
    /// Our Close frame is on its way, the client's is waited for; messages are ignored.
    Closing,
    /// Both Close frames are done with: what waits is written, then a FIN, and what comes is thrown away.
    Lingering { finished: bool },
}

/// Whether a connection stands in a list of its worker's, to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queued {
    /// Nothing waits, or it waits for room in the descriptor's buffer.
    No,
    /// In that of the turn that is being taken.
    ThisTurn,
    /// In the backlog that earlier turns have left.
    Backlog {
        /// The number of the turn that last queued something.
        turn: u32,
    },
}

/// A connection that speaks RFC 6455.
#[derive(Debug)]
pub struct WebSocket {
    /// The session that this connection carries or wants to carry; `None` once it is over.
    pub owner: Option<ConnectionId>,
    /// How the client wants messages over this connection.
    pub protocol: Protocol,
    /// The bytes.
    pub stream: Stream,
    /// Where it is on its way to its end.
    pub phase: Phase,
    /// What waits to be written.
    pub outbox: Outbox,
    /// Assembles the client's messages.
    pub reader: FrameReader,
    /// Where it waits to be written.
    pub queued: Queued,
    /// The task that reads from the descriptor.
    pub read_task: Option<AbortHandle>,
    /// The task that waits for room in the descriptor's buffer, while there is none.
    pub write_task: Option<AbortHandle>,
}

impl WebSocket {
    /// A connection whose handshake is done.
    pub fn new(owner: ConnectionId, protocol: Protocol, stream: Stream) -> WebSocket {
        WebSocket {
            owner: Some(owner),
            protocol,
            stream,
            phase: Phase::Open,
            outbox: Outbox::default(),
            reader: FrameReader::default(),
            queued: Queued::No,
            read_task: None,
            write_task: None,
        }
    }

    /// Queues our Close frame, without a status, and waits for the client's. Does nothing if that has happened before.
    pub fn close(&mut self, pool: &mut Pool) {
        self.send_close(&[], pool);
    }

    /// Queues a Close frame with a status because of what the client did, and listens no more.
    pub fn fail(&mut self, code: u16, pool: &mut Pool) {
        self.send_close(&code.to_be_bytes(), pool);
        self.linger();
    }

    /// The client's Close frame has come: it is answered with the same, unless it is an answer, and nothing may follow.
    pub fn answer_close(&mut self, payload: &[u8], pool: &mut Pool) {
        self.send_close(payload, pool);
        self.linger();
    }

    fn send_close(&mut self, payload: &[u8], pool: &mut Pool) {
        if self.phase == Phase::Open {
            self.outbox.append(pool, |out| frame::write_close(payload, out));
            self.phase = Phase::Closing;
        }
    }

    fn linger(&mut self) {
        if self.phase == Phase::Closing {
            self.phase = Phase::Lingering { finished: false };
            self.reader = FrameReader::default();
        }
    }

    /// Queues the answer to a ping.
    pub fn pong(&mut self, data: &[u8], pool: &mut Pool) {
        if self.outbox.len() < PONG_LIMIT {
            self.outbox.append(pool, |out| frame::write_pong(data, out));
        }
    }
}

impl Drop for WebSocket {
    fn drop(&mut self) {
        for task in [self.read_task.take(), self.write_task.take()].into_iter().flatten() {
            task.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_the_rfc_is_accepted_as_there() {
        let answer = switching_protocols("dGhlIHNhbXBsZSBub25jZQ==");
        assert!(answer.ends_with("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{answer}");
    }
}
