//! What is said, as frames ready to be sent.

use crate::frame::{masked, BINARY, TEXT};
use crate::Outcome;

/// The constant key of every handshake; nothing here depends on its being random.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// How messages look inside WebSocket frames.
#[derive(Clone, Copy, PartialEq)]
pub enum Framing {
    SocketIo,
    /// Plain text, for servers that know nothing of Socket.IO.
    Raw,
}

impl Framing {
    pub fn named(name: &str) -> Outcome<Framing> {
        match name {
            "socket.io" => Ok(Framing::SocketIo),
            "raw" => Ok(Framing::Raw),
            _ => Err(format!("there is no framing {name}")),
        }
    }

    /// An event with one string, to be answered by an event.
    pub fn event(self, name: &str, text: &str) -> Vec<u8> {
        match self {
            Framing::SocketIo => masked(TEXT, format!("42[\"{name}\",\"{text}\"]").as_bytes()),
            Framing::Raw => masked(TEXT, text.as_bytes()),
        }
    }

    /// An event with `size` bytes as an attachment.
    pub fn binary_event(self, name: &str, size: usize) -> Vec<u8> {
        let attachment = masked(BINARY, &vec![0xa5; size]);
        match self {
            Framing::SocketIo => {
                let header = format!("451-[\"{name}\",{{\"_placeholder\":true,\"num\":0}}]");
                [masked(TEXT, header.as_bytes()), attachment].concat()
            }
            Framing::Raw => attachment,
        }
    }
}

/// An event that asks for an acknowledgement. All have the same id, since nobody but the sender looks at it.
pub fn request(name: &str, arguments: &[&str]) -> Vec<u8> {
    let mut packet = format!("427[\"{name}\"");
    for argument in arguments {
        packet.push_str(&format!(",\"{argument}\""));
    }
    packet.push(']');
    masked(TEXT, packet.as_bytes())
}

/// Text of so many bytes that neither needs escaping nor is all alike, as it may be compressed.
pub fn text(size: usize) -> String {
    let mut state = 0x2545_f491_u32;
    let mut letter = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        // the upper bits are the random ones; e and spaces are frequent, as in language
        char::from(b"etaoin shrdlu etaoin cmfwyp e vb"[(state >> 27) as usize])
    };
    (0..size).map(|_| letter()).collect()
}

/// The request that upgrades a connection to WebSocket.
pub fn upgrade(path: &str, port: u16, framing: Framing, deflate: bool) -> Vec<u8> {
    let query = if framing == Framing::SocketIo { "?EIO=4&transport=websocket" } else { "" };
    let extensions = if deflate {
        "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n"
    } else {
        ""
    };
    format!(
        "GET {path}{query} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n{extensions}\r\n"
    )
    .into_bytes()
}
