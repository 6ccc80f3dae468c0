//! What revision 3 of the Engine.IO protocol does differently. All legacy encoding is here and nowhere else.
//!
//! * A binary packet begins with the number of its type, or is `b`, the digit of its type, and base64.
//! * A payload of text is `<length in UTF-16 units>:<packet>`, one after the other.
//! * A payload with binary data is, for each packet: 0 for text or 1 for binary; the digits of its length in bytes,
//!   a byte each; 255; the packet.

use super::packet::Type;
use super::payload::{self, Part};

/// The number of the message type, as it begins a binary packet.
pub const BINARY_MESSAGE: [u8; 1] = [4];

/// More digits than any length has.
const MAX_DIGITS: usize = 310;

/// Takes a binary packet apart: its type and its data. `None` if there is no such type.
pub fn decode_binary(packet: &[u8]) -> Option<(Type, &[u8])> {
    let (&number, data) = packet.split_first()?;
    Some((Type::from_digit(number.checked_add(b'0')?)?, data))
}

/// Takes a binary packet in text apart, without its leading `b`.
pub fn decode_base64(packet: &str) -> Option<(Type, Vec<u8>)> {
    let (&digit, data) = packet.as_bytes().split_first()?;
    Some((Type::from_digit(digit)?, payload::decode_base64(data)))
}

/// Takes a payload of text apart. It ends with [`Part::Malformed`] if it is not one.
pub fn decode_payload(payload: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = payload;
    if rest.is_empty() {
        parts.push(Part::Malformed);
    }
    while !rest.is_empty() {
        let Some((packet, after)) = split_packet(rest) else {
            parts.push(Part::Malformed);
            break;
        };
        if !packet.is_empty() {
            parts.push(text_part(packet));
        }
        rest = after;
    }
    parts
}

fn split_packet(payload: &str) -> Option<(&str, &str)> {
    let (length, rest) = payload.split_once(':')?;
    let mut units: usize = length.parse().ok()?;
    for (at, character) in rest.char_indices() {
        if units == 0 {
            return Some(rest.split_at(at));
        }
        units = units.checked_sub(character.len_utf16())?;
    }
    (units == 0).then_some((rest, ""))
}

/// Takes a payload with binary data apart. It ends with [`Part::Malformed`] if it is not one.
pub fn decode_binary_payload(payload: &[u8]) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = payload;
    while !rest.is_empty() {
        let Some((is_text, packet, after)) = split_binary_packet(rest) else {
            parts.push(Part::Malformed);
            break;
        };
        parts.push(match (is_text, std::str::from_utf8(packet)) {
            (true, Ok(packet)) => text_part(packet),
            (true, Err(_)) => Part::Malformed,
            (false, _) => binary_part(decode_binary(packet).map(|(kind, data)| (kind, data.to_vec()))),
        });
        rest = after;
    }
    parts
}

fn split_binary_packet(payload: &[u8]) -> Option<(bool, &[u8], &[u8])> {
    let (&kind, rest) = payload.split_first()?;
    let digits = rest.iter().take(MAX_DIGITS).position(|&byte| byte == 255)?;
    let mut length: usize = 0;
    for &digit in &rest[..digits] {
        length = length.checked_mul(10)?.checked_add(usize::from(digit))?;
    }
    // a packet that is shorter than announced ends with the payload
    let packet = &rest[digits + 1..];
    let (packet, after) = packet.split_at(length.min(packet.len()));
    Some((kind == 0, packet, after))
}

fn text_part(packet: &str) -> Part<'_> {
    match packet.strip_prefix('b') {
        Some(packet) => binary_part(decode_base64(packet)),
        None => Part::Text(packet),
    }
}

fn binary_part(decoded: Option<(Type, Vec<u8>)>) -> Part<'static> {
    match decoded {
        Some((Type::Message, data)) => Part::Binary(data),
        _ => Part::Malformed,
    }
}

/// Appends a packet of text to a payload of text.
pub fn encode_text(packet: &str, payload: &mut String) {
    payload.push_str(&packet.encode_utf16().count().to_string());
    payload.push(':');
    payload.push_str(packet);
}

/// A binary message as a packet of text.
pub fn encode_base64(data: &[u8]) -> String {
    let mut packet = String::from("b4");
    payload::encode_base64(data, &mut packet);
    packet
}

/// Appends a packet to a payload with binary data. `prefix` and `data` make up the packet.
pub fn encode_binary_part(is_text: bool, prefix: &[u8], data: &[u8], payload: &mut Vec<u8>) {
    payload.push(u8::from(!is_text));
    payload.extend((prefix.len() + data.len()).to_string().bytes().map(|digit| digit - b'0'));
    payload.push(255);
    payload.extend_from_slice(prefix);
    payload.extend_from_slice(data);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_payloads_count_utf16_units() {
        let mut payload = String::new();
        for packet in ["4a", "4é😀", "2"] {
            encode_text(packet, &mut payload);
        }
        assert_eq!(payload, "2:4a4:4é😀1:2");
        assert_eq!(decode_payload(&payload), [Part::Text("4a"), Part::Text("4é😀"), Part::Text("2")]);
    }

    #[test]
    fn base64_packets_are_binary_messages() {
        let packet = encode_base64(&[1, 2, 3]);
        assert_eq!(packet, "b4AQID");
        let mut payload = String::new();
        encode_text(&packet, &mut payload);
        assert_eq!(decode_payload(&payload), [Part::Binary(vec![1, 2, 3])]);
    }

    #[test]
    fn what_is_no_payload_is_malformed() {
        for payload in ["", "4a", ":4a", "x:4a", "3:4a", "1:😀", "2:4a1"] {
            assert_eq!(decode_payload(payload).last(), Some(&Part::Malformed), "{payload:?}");
        }
        for payload in [&[1, 1][..], &[1, 200, 255, 4][..0], &[0, 1, 255, 0xff]] {
            let parts = decode_binary_payload(payload);
            assert!(payload.is_empty() || parts.last() == Some(&Part::Malformed), "{payload:?}");
        }
    }

    #[test]
    fn binary_payloads_round_trip() {
        let mut payload = Vec::new();
        encode_binary_part(true, b"4", "é".as_bytes(), &mut payload);
        encode_binary_part(false, &BINARY_MESSAGE, &[7; 12], &mut payload);
        assert_eq!(payload[..6], [0, 3, 255, b'4', 0xc3, 0xa9]);
        assert_eq!(payload[6..11], [1, 1, 3, 255, 4]);
        assert_eq!(decode_binary_payload(&payload), [Part::Text("4é"), Part::Binary(vec![7; 12])]);
    }
}
