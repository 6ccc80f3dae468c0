//! Polling payloads (Engine.IO protocol v4, "HTTP long-polling", "Packet encoding"): packets joined by the record
//! separator, binary data as `b` and base64.

use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::Engine;

/// What separates two packets of a payload.
pub const SEPARATOR: char = '\u{1e}';

/// What stands before the base64 of a binary message.
pub const BINARY: u8 = b'b';

/// Base64 as clients produce it, with or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// One element of a payload.
#[derive(Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// A text packet, not yet decoded.
    Text(&'a str),
    /// The data of a binary message.
    Binary(Vec<u8>),
    /// What is no packet; nothing follows.
    Malformed,
}

/// Takes a payload apart, in order. The decoding of binary data is as lenient as Node's: bytes outside the alphabet
/// are skipped, the URL-safe alphabet is understood, and data ends at the first `=`.
pub fn decode(payload: &str) -> impl Iterator<Item = Part<'_>> {
    payload.split(SEPARATOR).map(|part| match part.as_bytes().first() {
        Some(&BINARY) => Part::Binary(decode_base64(&part.as_bytes()[1..])),
        _ => Part::Text(part),
    })
}

/// Appends a binary message to a payload.
pub fn encode_binary(data: &[u8], payload: &mut String) {
    payload.push(BINARY as char);
    encode_base64(data, payload);
}

/// A binary message as a packet of text, for a WebSocket whose client wants it so.
pub fn base64_packet(data: &[u8]) -> String {
    let mut packet = String::new();
    encode_binary(data, &mut packet);
    packet
}

/// Appends data as base64.
pub(super) fn encode_base64(data: &[u8], text: &mut String) {
    BASE64.encode_string(data, text);
}

/// Reads base64, leniently.
pub fn decode_base64(text: &[u8]) -> Vec<u8> {
    if let Ok(data) = BASE64.decode(text) {
        return data;
    }
    let mut clean: Vec<u8> = text
        .iter()
        .take_while(|&&byte| byte != b'=')
        .filter_map(|&byte| match byte {
            b'-' => Some(b'+'),
            b'_' => Some(b'/'),
            b'+' | b'/' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => Some(byte),
            _ => None,
        })
        .collect();
    if clean.len() % 4 == 1 {
        clean.pop();
    }
    BASE64.decode(clean).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_at_the_record_separator() {
        let parts: Vec<_> = decode("4a\u{1e}4é\u{1e}bAQID").collect();
        assert_eq!(parts, [Part::Text("4a"), Part::Text("4é"), Part::Binary(vec![1, 2, 3])]);
    }

    #[test]
    fn a_trailing_separator_is_an_empty_packet() {
        let parts: Vec<_> = decode("4a\u{1e}").collect();
        assert_eq!(parts, [Part::Text("4a"), Part::Text("")]);
    }

    #[test]
    fn binary_round_trip() {
        let data: Vec<u8> = (0..=255).collect();
        let mut payload = String::new();
        encode_binary(&data, &mut payload);
        assert_eq!(decode(&payload).next(), Some(Part::Binary(data)));
    }

    #[test]
    fn base64_is_read_leniently() {
        assert_eq!(decode_base64(b"AQIDBA"), [1, 2, 3, 4]);
        assert_eq!(decode_base64(b"AQID\r\nBA=="), [1, 2, 3, 4]);
        assert_eq!(decode_base64(b"-_8"), [0xfb, 0xff]);
        assert!(decode_base64(b"A").is_empty());
    }
}
