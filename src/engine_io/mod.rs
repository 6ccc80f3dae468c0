//! The Engine.IO protocol, revision 4: packets and polling payloads. What revision 3 does differently is in [`v3`].

pub mod packet;
pub mod payload;
pub mod v3;

/// The revision of the protocol that a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Revision 4.
    V4,
    /// Revision 3. `base64`: the client wants binary data as text.
    V3 { base64: bool },
}

impl Protocol {
    /// How many ways there are to put a message on the wire.
    pub const FORMS: usize = 3;

    /// Which of these ways it is.
    pub fn form(self) -> usize {
        match self {
            Protocol::V4 => 0,
            Protocol::V3 { base64: false } => 1,
            Protocol::V3 { base64: true } => 2,
        }
    }
}
