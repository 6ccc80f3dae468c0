//! A WebSocket: its stream, the reader of its frames, and what waits to be written.

use tokio::task::AbortHandle;

use super::figures::{Figure, Figures};
use super::outbox::{Outbox, Pool};
use super::stream::Stream;
use crate::protocol::engine_io::Protocol;
use crate::protocol::ids::ConnectionId;
use crate::protocol::websocket::frame::{self, FrameReader};

/// While more than this many bytes wait to be written, pings of the client are not answered: RFC 6455 section 5.5.3
/// asks for a pong to the most recent one only, and a client that never reads must not make us keep them.
const PONG_LIMIT: usize = 64 << 10;

/// How far a WebSocket is on its way to its end.
///
/// ```text
///   Open ── our Close frame ──▶ Closing ── the client's ──▶ Lingering ── its FIN, timeout ──▶ (dropped)
///     ├── the client's Close frame, or its violation ──────────────────▲
///     ├── the same without Engine.IO ──▶ Concluding ── our Close frame ┘
///     └── the client's FIN, without Engine.IO ──▶ HungUp ── ALIVE ──▶ (dropped)
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Messages flow.
    Open,
    /// The client has come to its end, but not the application: what it answers to earlier messages goes first, as with ws.
    /// `has_hung_up`: it has finished sending as well.
    Concluding { has_hung_up: bool },
    /// The client has hung up without a Close frame. Likewise.
    HungUp,
    /// Our Close frame is on its way, the client's is waited for; messages of Engine.IO are ignored.
    Closing,
    /// Both Close frames are done with: what waits is written, then a FIN, and what comes is thrown away.
    Lingering { finished: bool },
}

/// Whether a WebSocket stands in a list of its worker's, to be written.
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

/// A stream that speaks RFC 6455.
#[derive(Debug)]
pub struct WebSocket {
    /// The session that it carries or wants to carry; `None` once it is over.
    pub owner: Option<ConnectionId>,
    /// How the client wants messages over it.
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
    /// Whether the application wants nothing to be read of it for now.
    pub is_halted: bool,
    /// Whether JavaScript can see that something waits for its session.
    pub is_told: bool,
    /// Packets that were queued behind others since nothing waited. Those that went first are on their way.
    pub behind: usize,
    /// Bytes that were written and are not among the figures of its session yet.
    pub unreported: usize,
    /// The task that reads from the descriptor.
    pub read_task: Option<AbortHandle>,
    /// The task that waits for room in the descriptor's buffer, while there is none.
    pub write_task: Option<AbortHandle>,
}

impl WebSocket {
    /// A WebSocket whose handshake is done.
    pub fn new(owner: ConnectionId, protocol: Protocol, stream: Stream) -> WebSocket {
        WebSocket {
            owner: Some(owner),
            protocol,
            stream,
            phase: Phase::Open,
            outbox: Outbox::default(),
            reader: FrameReader::default(),
            queued: Queued::No,
            is_halted: false,
            is_told: false,
            behind: 0,
            unreported: 0,
            read_task: None,
            write_task: None,
        }
    }

    /// Has the figures of its session tell what was written.
    pub fn report(&mut self, figures: &Figures) {
        let bytes = std::mem::take(&mut self.unreported);
        if let Some(owner) = self.owner.filter(|_| bytes > 0) {
            figures.add(owner, Figure::Sent, bytes);
        }
    }

    /// A message of so many packets is about to be queued.
    pub fn note_packets(&mut self, packets: usize) {
        let is_first = self.outbox.is_empty() && self.stream.unfinished() == 0;
        self.behind = if is_first { packets.saturating_sub(1) } else { self.behind + packets };
    }

    /// Bytes that wait to be written.
    pub fn waiting(&self) -> usize {
        self.outbox.len() + self.stream.unsent()
    }

    /// Whether messages of the client are the application's.
    pub fn hears_messages(&self) -> bool {
        match self.phase {
            Phase::Open => true,
            Phase::Closing => self.protocol == Protocol::Raw,
            Phase::Concluding { .. } | Phase::HungUp | Phase::Lingering { .. } => false,
        }
    }

    /// Whether messages of the application may still be sent.
    pub fn takes_messages(&self) -> bool {
        matches!(self.phase, Phase::Open | Phase::Concluding { .. } | Phase::HungUp)
    }

    /// Whether nothing waits, in whatever way: what is next can as well be written past the outbox.
    #[cfg(unix)]
    pub fn is_at_rest(&self) -> bool {
        self.queued == Queued::No
            && self.write_task.is_none()
            && self.outbox.can_be_passed()
            && self.stream.unsent() == 0
    }

    /// Queues our Close frame, without a status, and waits for the client's. Does nothing if that has happened before.
    pub fn close(&mut self, pool: &mut Pool) {
        self.send_close(&[], pool);
    }

    /// Queues a Close frame with a status and a reason because of what the client did, and listens no more.
    pub fn fail(&mut self, code: u16, reason: &str, pool: &mut Pool) {
        self.send_close(&[&code.to_be_bytes(), reason.as_bytes()].concat(), pool);
        self.linger();
    }

    /// The client's Close frame has come: it is answered with the same, unless it is an answer, and nothing may follow.
    pub fn answer_close(&mut self, payload: &[u8], pool: &mut Pool) {
        self.send_close(payload, pool);
        self.linger();
    }

    /// Queues our Close frame; the payload is empty, or a status and a reason. Does nothing if that has happened before.
    pub fn send_close(&mut self, payload: &[u8], pool: &mut Pool) {
        if self.takes_messages() {
            self.outbox.append(pool, |out| frame::write_close(payload, out));
            self.phase = Phase::Closing;
        }
    }

    /// Both Close frames are done with.
    pub fn linger(&mut self) {
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
