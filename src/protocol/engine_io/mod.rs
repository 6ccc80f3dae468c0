//! The Engine.IO protocol, revision 4: packets and polling payloads. What revision 3 does differently is in [`v3`].

pub mod packet;
pub mod payload;
pub mod v3;

/// The revision of the protocol that a client speaks. `base64`: it wants binary data as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    V4 {
        base64: bool,
    },
    V3 {
        base64: bool,
    },
    /// None: what comes over a WebSocket is the application's as it is, without packets, handshake and heartbeats.
    Raw,
}

impl Protocol {
    /// The protocol that a number of JavaScript's stands for: the revision, and 8 if the client wants base64; 0 if there is none.
    pub fn from_word(word: u32) -> Protocol {
        let base64 = word & 8 != 0;
        match word & 7 {
            0 => Protocol::Raw,
            3 => Protocol::V3 { base64 },
            _ => Protocol::V4 { base64 },
        }
    }

    /// How many ways there are to put a message on the wire.
    pub const FORMS: usize = 5;

    /// Which of these ways it is.
    pub fn form(self) -> usize {
        match self {
            Protocol::V4 { base64: false } => 0,
            Protocol::V4 { base64: true } => 1,
            Protocol::V3 { base64: false } => 2,
            Protocol::V3 { base64: true } => 3,
            Protocol::Raw => 4,
        }
    }

    /// What stands in front of the text of a message.
    pub fn text_prefix(self) -> &'static [u8] {
        match self {
            Protocol::V4 { .. } | Protocol::V3 { .. } => b"4",
            Protocol::Raw => b"",
        }
    }

    /// Whether it is revision 3.
    pub fn is_legacy(self) -> bool {
        matches!(self, Protocol::V3 { .. })
    }
}
