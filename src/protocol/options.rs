//! What an engine is told once, when it is made.

use std::time::Duration;

use super::session::CLOSE_TIMEOUT;
use super::websocket::frame::{Limits, MAX_FRAGMENTS};

/// What becomes of what is sent to a client that does not read as fast as it is sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Policy {
    /// The client is given up.
    Close = 0,
    /// The events that have waited longest are dropped.
    DropOldest = 1,
    /// Events that come now are dropped.
    DropNewest = 2,
    /// Of events of one name, only the last one waits; of what is still too much, the oldest are dropped.
    Latest = 3,
}

/// Their numbers, by the names that the module's table has for them.
pub const POLICIES: &[(&str, u32)] = &[
    ("CLOSE", Policy::Close as u32),
    ("DROP_OLDEST", Policy::DropOldest as u32),
    ("DROP_NEWEST", Policy::DropNewest as u32),
    ("LATEST", Policy::Latest as u32),
];

impl Policy {
    /// The policy of a number; `None` if it has none.
    pub fn from_number(number: u32) -> Option<Policy> {
        [Policy::Close, Policy::DropOldest, Policy::DropNewest, Policy::Latest]
            .into_iter()
            .find(|&policy| policy as u32 == number)
    }
}

/// How much may wait for a client that does not read, and what comes of more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlowConsumer {
    /// What comes of more.
    pub policy: Policy,
    /// Bytes of messages that may wait, besides what its transport has.
    pub max_bytes: usize,
    /// How long a message may wait.
    pub max_age: Option<Duration>,
}

/// What one client may send, in a second on average.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// Packets of Engine.IO; infinite if they are not limited.
    pub packets: f64,
    /// Bytes of them.
    pub bytes: f64,
    /// For how many seconds a client may have saved up.
    pub burst: f64,
    /// What comes of more.
    pub action: Action,
}

/// What becomes of what a client sends beyond its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Action {
    /// Nothing is read of the client until it has its due again.
    Pause = 0,
    /// Messages are not handed on.
    Drop = 1,
    /// The client is disconnected.
    Close = 2,
}

/// Their numbers, by the names that the module's table has for them.
pub const ACTIONS: &[(&str, u32)] =
    &[("PAUSE", Action::Pause as u32), ("DROP", Action::Drop as u32), ("CLOSE", Action::Close as u32)];

impl Action {
    /// The action of a number; `None` if it has none.
    pub fn from_number(number: u32) -> Option<Action> {
        [Action::Pause, Action::Drop, Action::Close].into_iter().find(|&action| action as u32 == number)
    }
}

/// The options that the workers need. Durations come from JavaScript in milliseconds, sizes in bytes.
#[derive(Debug, Clone)]
pub struct Options {
    /// Time between two pings of a session.
    pub ping_interval: Duration,
    /// Time a client has to answer a ping.
    pub ping_timeout: Duration,
    /// Time a client has to complete an upgrade.
    pub upgrade_timeout: Duration,
    /// Time a client has to answer our Close frame, and to hang up then.
    pub close_timeout: Duration,
    /// Whether clients speak no Engine.IO, so that all requests for a WebSocket are ours.
    pub is_raw: bool,
    /// Whether clients that speak no Engine.IO are pinged, with frames of the WebSocket protocol.
    pub pings_raw: bool,
    /// Whether pings of clients that speak no Engine.IO are answered.
    pub answers_pings: bool,
    /// Largest message that a client may send, in bytes.
    pub max_payload: usize,
    /// Fragments that it may consist of.
    pub max_fragments: u32,
    /// Whether text that is not UTF-8 is let pass.
    pub is_lax: bool,
    /// Whether Socket.IO packet headers are parsed here (the application uses the default parser).
    pub parse_packets: bool,
    /// Bytes of events that may wait for JavaScript before the workers stop reading.
    pub max_backlog: usize,
    /// Bytes that may wait for one client before it is given up.
    pub max_outbound: usize,
    /// What holds for all clients that do not read as fast as they are sent to; `None`: what waits for them waits encoded, as
    /// bytes, of which nothing can be dropped.
    pub slow_consumer: Option<SlowConsumer>,
    /// Bytes that may wait for all clients together.
    pub max_outbound_total: usize,
    /// What one client may send, if there is a limit.
    pub rates: Option<Rates>,
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
        Limits { payload: self.max_payload, fragments: self.max_fragments, is_lax: self.is_lax }
    }
}

impl Default for Options {
    fn default() -> Self {
        Options {
            ping_interval: Duration::from_millis(25_000),
            ping_timeout: Duration::from_millis(20_000),
            upgrade_timeout: Duration::from_millis(10_000),
            close_timeout: CLOSE_TIMEOUT,
            is_raw: false,
            pings_raw: false,
            answers_pings: true,
            max_payload: 1_000_000,
            max_fragments: MAX_FRAGMENTS,
            is_lax: false,
            parse_packets: true,
            max_backlog: 8 << 20,
            max_outbound: usize::MAX,
            slow_consumer: None,
            max_outbound_total: usize::MAX,
            rates: None,
            max_session_age: None,
            idle_timeout: None,
            limits: String::new(),
        }
    }
}
