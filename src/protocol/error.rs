//! The layers of failure, and the one place where they become the words that users see.
//!
//! A *violation* is a peer that breaks a protocol; an [`Ending`] is why a session is over, in Engine.IO's terms.
//! Input/output errors stay `std::io::Error` and end a session as [`Ending::TransportClose`].

use std::fmt;

/// A breach of RFC 6455 by the peer. `Display` gives the text that the application sees, [`Violation::close_code`]
/// the status that goes into our Close frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Violation {
    /// RFC 6455 section 5.2: RSV2 or RSV3 set without an extension that defines it.
    ReservedBits23,
    /// RFC 6455 section 5.2: RSV1 set without permessage-deflate, or on a frame that may not carry it.
    ReservedBit1,
    /// RFC 6455 section 5.2: an opcode that is unknown, or that the fragmentation state does not allow.
    Opcode(u8),
    /// RFC 6455 section 5.4: a control frame that is fragmented.
    FragmentedControl,
    /// RFC 6455 section 5.5: a control frame of more than 125 bytes, or a Close frame of one byte.
    ControlLength(u8),
    /// RFC 6455 section 5.1: a client frame without a mask.
    Unmasked,
    /// A length that no JavaScript number can hold.
    LengthOverflow,
    /// The message, or the sum of its fragments, exceeds `maxHttpBufferSize`.
    TooLarge,
    /// More fragments than one message may have.
    TooManyFragments,
    /// RFC 6455 section 8.1: text or a close reason that is not UTF-8.
    Utf8,
    /// RFC 7692 section 7.2.2: a message that does not inflate.
    Compression,
    /// RFC 6455 section 7.4: a close status that may not appear on the wire.
    CloseCode(u16),
}

impl Violation {
    /// The status for our Close frame (RFC 6455 section 7.4.1).
    pub fn close_code(self) -> u16 {
        match self {
            Violation::Utf8 | Violation::Compression => 1007,
            Violation::TooManyFragments => 1008,
            Violation::TooLarge | Violation::LengthOverflow => 1009,
            _ => 1002,
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let class = match self {
            Violation::Utf8 | Violation::Compression => "Error",
            _ => "RangeError",
        };
        match self {
            Violation::LengthOverflow => {
                write!(f, "{class}: Unsupported WebSocket frame: payload length > 2^53 - 1")
            }
            Violation::TooLarge => write!(f, "{class}: Max payload size exceeded"),
            Violation::Compression => write!(f, "{class}: invalid compressed data"),
            Violation::TooManyFragments => write!(f, "{class}: Too many message fragments"),
            framed => {
                write!(f, "{class}: Invalid WebSocket frame: ")?;
                match framed {
                    Violation::ReservedBits23 => f.write_str("RSV2 and RSV3 must be clear"),
                    Violation::ReservedBit1 => f.write_str("RSV1 must be clear"),
                    Violation::Opcode(opcode) => write!(f, "invalid opcode {opcode}"),
                    Violation::FragmentedControl => f.write_str("FIN must be set"),
                    Violation::ControlLength(length) => write!(f, "invalid payload length {length}"),
                    Violation::Unmasked => f.write_str("MASK must be set"),
                    Violation::CloseCode(code) => write!(f, "invalid status code {code}"),
                    _ => f.write_str("invalid UTF-8 sequence"),
                }
            }
        }
    }
}

/// Why a session is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The peer closed its transport, orderly or not.
    TransportClose,
    /// The peer broke the WebSocket protocol.
    WebSocketViolation(Violation),
    /// A ping from a v4 client or a pong from a v3 client (Engine.IO protocol, "Heartbeat").
    HeartbeatDirection,
    /// A packet that cannot be decoded.
    ParseError,
    /// No answer to a ping within `pingTimeout`.
    PingTimeout,
    /// The server closed the session.
    ForcedClose,
    /// More waits for the client than `maxOutboundBuffer` allows.
    SlowConsumer,
    /// The client sent more than it may.
    TooMuchSent,
    /// The application closed the connection over which a GET waited.
    #[cfg(unix)]
    PollCut,
    /// The application closed the connection over which a POST arrived.
    #[cfg(unix)]
    PostCut,
    /// A defect of ours: the task that served the connection panicked.
    InternalError,
}

impl Ending {
    /// Engine.IO's reason, which Socket.IO hands to `disconnect` listeners unchanged.
    pub fn reason(self) -> &'static str {
        match self {
            Ending::TransportClose => "transport close",
            Ending::WebSocketViolation(_)
            | Ending::HeartbeatDirection
            | Ending::SlowConsumer
            | Ending::TooMuchSent
            | Ending::InternalError => "transport error",
            #[cfg(unix)]
            Ending::PollCut | Ending::PostCut => "transport error",
            Ending::ParseError => "parse error",
            Ending::PingTimeout => "ping timeout",
            Ending::ForcedClose => "forced close",
        }
    }

    /// The message of the error that accompanies the reason, or an empty text.
    pub fn description(self) -> String {
        match self {
            Ending::WebSocketViolation(violation) => violation.to_string(),
            Ending::HeartbeatDirection => "invalid heartbeat direction".into(),
            Ending::SlowConsumer => "the client does not read what it is sent".into(),
            Ending::TooMuchSent => "the client sends more than it may".into(),
            #[cfg(unix)]
            Ending::PollCut => "poll connection closed prematurely".into(),
            #[cfg(unix)]
            Ending::PostCut => "data request connection closed prematurely".into(),
            Ending::InternalError => "internal error in the native engine".into(),
            _ => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn violations_carry_the_status_of_the_close_frame() {
        assert_eq!(Violation::Utf8.close_code(), 1007);
        assert_eq!(Violation::TooManyFragments.close_code(), 1008);
        assert_eq!(Violation::TooLarge.close_code(), 1009);
        assert_eq!(Violation::Unmasked.close_code(), 1002);
    }

    #[test]
    fn endings_read_as_socket_io_reasons() {
        let ending = Ending::WebSocketViolation(Violation::ReservedBit1);
        assert_eq!(ending.reason(), "transport error");
        assert_eq!(ending.description(), "RangeError: Invalid WebSocket frame: RSV1 must be clear");
        assert_eq!(Ending::PingTimeout.reason(), "ping timeout");
        assert_eq!(Ending::PingTimeout.description(), "");
    }
}
