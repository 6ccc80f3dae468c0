//! The engine's side of one client: its session and what its transport needs.

use crate::protocol::polling::Polling;
use crate::protocol::session::Session;

/// What JavaScript wants to hear of beyond messages, as bits of a mask.
pub mod watch {
    /// Every packet received that is not a message.
    pub const RECEIVED: u8 = 1;
    /// Every packet sent that is not a message.
    pub const SENT: u8 = 2;
}

/// RFC 6455 section 7.1.5: the status of a Close frame that has none, and of a connection that has ended without such a frame.
pub const NO_STATUS: u16 = 1005;
pub const CUT: u16 = 1006;

/// One client.
#[derive(Debug)]
pub struct Connection {
    /// The Engine.IO session.
    pub session: Session,
    /// The outgoing half of HTTP long-polling, until the session has left it.
    pub polling: Option<Box<Polling>>,
    /// A mask of [`watch`] bits.
    pub watch: u8,
    /// The status with which the client has closed its WebSocket (RFC 6455 section 7.1.5); 0 if it has not.
    pub close_code: u16,
    /// The last broadcast that reached, or was to spare, this client; or one that has yet to reach it, see `broadcast.rs`.
    pub mark: u64,
    /// Sends whose completion JavaScript waits for.
    pub notify: u32,
}

impl Connection {
    /// A client with its new session.
    pub fn new(session: Session, polling: Option<Box<Polling>>) -> Connection {
        Connection { session, polling, watch: 0, close_code: 0, mark: 0, notify: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_client_costs_little() {
        assert!(size_of::<Connection>() <= 96, "{} bytes", size_of::<Connection>());
    }
}
