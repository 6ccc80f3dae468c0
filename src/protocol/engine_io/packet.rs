//! Engine.IO packets (Engine.IO protocol v4, "Packet encoding"): one digit for the type, then the data.

use serde_json::json;

/// The type of a packet, as the digit that stands for it on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Type {
    Open = b'0',
    Close = b'1',
    Ping = b'2',
    Pong = b'3',
    Message = b'4',
    Upgrade = b'5',
    Noop = b'6',
}

impl Type {
    /// The type that a wire digit stands for, or `None` for any other byte.
    pub fn from_digit(digit: u8) -> Option<Type> {
        Some(match digit {
            b'0' => Type::Open,
            b'1' => Type::Close,
            b'2' => Type::Ping,
            b'3' => Type::Pong,
            b'4' => Type::Message,
            b'5' => Type::Upgrade,
            b'6' => Type::Noop,
            _ => return None,
        })
    }
}

/// A text packet taken apart: its type and its data. `None` if the type is unknown or the packet is empty.
pub fn decode(text: &str) -> Option<(Type, &str)> {
    let digit = *text.as_bytes().first()?;
    Some((Type::from_digit(digit)?, &text[1..]))
}

/// The data of an `open` packet (Engine.IO protocol v4, "Handshake").
pub struct Handshake<'a> {
    /// Session id.
    pub sid: &'a str,
    /// Names of the transports that the client may upgrade to.
    pub upgrades: &'a [String],
    /// The members that all sessions share, as JSON: the times of heartbeats, and how large a message may be.
    pub limits: &'a str,
}

impl Handshake<'_> {
    /// The whole `open` packet. Members stand in the order in which the reference server writes them.
    pub fn encode(&self) -> String {
        format!("0{{\"sid\":{},\"upgrades\":{},{}}}", json!(self.sid), json!(self.upgrades), self.limits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_every_type() {
        for (text, expected) in [
            ("0{}", (Type::Open, "{}")),
            ("1", (Type::Close, "")),
            ("2probe", (Type::Ping, "probe")),
            ("3", (Type::Pong, "")),
            ("4hello", (Type::Message, "hello")),
            ("5", (Type::Upgrade, "")),
            ("6", (Type::Noop, "")),
        ] {
            assert_eq!(decode(text), Some(expected));
        }
    }

    #[test]
    fn refuses_what_is_no_packet() {
        for text in ["", "7", "9", "x", "é", "\u{feff}4a"] {
            assert_eq!(decode(text), None, "{text:?}");
        }
    }

    #[test]
    fn the_handshake_escapes_the_session_id() {
        let upgrades = ["websocket".to_string()];
        let handshake = Handshake { sid: "a\"b", upgrades: &upgrades, limits: r#""pingInterval":25000"# };
        assert_eq!(handshake.encode(), r#"0{"sid":"a\"b","upgrades":["websocket"],"pingInterval":25000}"#);
    }
}
