//! WebSocket (RFC 6455): messages from and to bytes, and the requests that they begin with.

pub mod deflate;
pub mod frame;

use base64::prelude::{Engine, BASE64_STANDARD};
use sha1::{Digest, Sha1};

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_the_rfc_is_accepted_as_there() {
        let answer = switching_protocols("dGhlIHNhbXBsZSBub25jZQ==");
        assert!(answer.ends_with("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{answer}");
    }
}
