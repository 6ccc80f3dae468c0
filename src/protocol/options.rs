//! What an engine is told once, when it is made.

use std::time::Duration;

use super::websocket::frame::{Limits, MAX_FRAGMENTS};

/// The options that the workers need. Durations come from JavaScript in milliseconds, sizes in bytes.
#[derive(Debug, Clone)]
pub struct Options {
    /// Time between two pings of a session.
    pub ping_interval: Duration,
    /// Time a client has to answer a ping.
    pub ping_timeout: Duration,
    /// Time a client has to complete an upgrade.
    pub upgrade_timeout: Duration,
    /// Largest message that a client may send, in bytes.
    pub max_payload: usize,
    /// Fragments that it may consist of.
    pub max_fragments: u32,
    /// Whether Socket.IO packet headers are parsed here (the application uses the default parser).
    pub parse_packets: bool,
    /// Bytes of events that may wait for JavaScript before the workers stop reading.
    pub max_backlog: usize,
    /// Bytes that may wait for one client before it is given up.
    pub max_outbound: usize,
    /// How old a session may become, if there is a limit.
    pub max_session_age: Option<Duration>,
    /// How long a session may be without a message either way, if there is a limit.
    pub idle_timeout: Option<Duration>,
    /// What the `open` packet tells of these, as members of a JSON object.
    pub limits: String,
}

impl Options {
    /// What a message over a WebSocket may be.
    pub fn message_limits(&self) -> Limits {
        Limits { payload: self.max_payload, fragments: self.max_fragments }
    }
}

impl Default for Options {
    fn default() -> Self {
        Options {
            ping_interval: Duration::from_millis(25_000),
            ping_timeout: Duration::from_millis(20_000),
            upgrade_timeout: Duration::from_millis(10_000),
            max_payload: 1_000_000,
            max_fragments: MAX_FRAGMENTS,
            parse_packets: true,
            max_backlog: 8 << 20,
            max_outbound: usize::MAX,
            max_session_age: None,
            idle_timeout: None,
            limits: String::new(),
        }
    }
}
