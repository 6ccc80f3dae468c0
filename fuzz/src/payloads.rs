//! Engine.IO packets and payloads, revision 4 and 3 (`src/protocol/engine_io`), against a model of them that reads character by
//! character, and base64 against Node's.
//!
//! * Anything is taken apart as the model takes it apart; what follows something malformed is not looked at.
//! * What is taken apart and put together again is taken apart in the same way, and put together in the same form.
//! * There are no more parts than bytes, and what they hold is no more than what they came in.

use sockeye::internals::engine_io::packet::{self, Type};
use sockeye::internals::engine_io::payload::{self, decode_base64, Part, SEPARATOR};
use sockeye::internals::engine_io::v3;

use crate::oracle::ask;

/// Takes an input: a payload, which is read as each of the three kinds.
pub fn check(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    check_packet(&text);
    check_v4(&text);
    check_v3(&text);
    check_v3_binary(input);
    check_base64(input);
}

fn check_packet(text: &str) {
    let expected =
        text.chars().next().and_then(|first| "0123456".find(first)).map(|number| (number, &text[1..]));
    let decoded = packet::decode(text).map(|(kind, data)| (kind as usize - usize::from(b'0'), data));
    assert_eq!(decoded, expected, "{text:?}");
    let binary = v3::decode_binary(text.as_bytes()).map(|(kind, data)| (kind as u8 - b'0', data));
    assert_eq!(
        binary,
        text.as_bytes().split_first().filter(|(&kind, _)| kind <= 6).map(|(&kind, data)| (kind, data))
    );
}

/// A part in the model.
#[derive(Debug, PartialEq, Eq)]
enum Expected {
    Text(String),
    Binary(Vec<u8>),
    Malformed,
}

fn same(parts: &[Part<'_>], expected: &[Expected]) -> bool {
    parts.len() == expected.len()
        && parts.iter().zip(expected).all(|(part, expected)| match (part, expected) {
            (Part::Text(text), Expected::Text(other)) => text == other,
            (Part::Binary(data), Expected::Binary(other)) => data == other,
            (Part::Malformed, Expected::Malformed) => true,
            _ => false,
        })
}

/// Base64 bit by bit: up to the first `=`, of either alphabet, without what is in neither.
fn model_base64(text: &[u8]) -> Vec<u8> {
    let (mut bits, mut count, mut out) = (0_u32, 0, Vec::new());
    for &byte in text.iter().take_while(|&&byte| byte != b'=') {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => continue,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    out
}

fn check_base64(input: &[u8]) {
    let decoded = decode_base64(input);
    assert_eq!(decoded, model_base64(input), "{input:x?}");
    // Node is of another opinion about what comes after a `=`, which no client sends
    let end = input.iter().position(|&byte| byte == b'=').unwrap_or(input.len());
    let is_ordinary = input.is_ascii() && input[end..].iter().all(|&byte| byte == b'=');
    if is_ordinary && input.len() < 40 && input.len() % 8 == 3 {
        let hex: String = decoded.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(ask(b'B', input), hex, "{input:x?}");
    }
}

fn check_v4(text: &str) {
    let parts: Vec<Part> = payload::decode(text).collect();
    let mut expected = vec![String::new()];
    for character in text.chars() {
        match (character, expected.last_mut()) {
            (SEPARATOR, _) | (_, None) => expected.push(String::new()),
            (other, Some(last)) => last.push(other),
        }
    }
    let expected = expected.into_iter().map(|part| match part.strip_prefix('b') {
        Some(data) => Expected::Binary(model_base64(data.as_bytes())),
        None => Expected::Text(part),
    });
    assert!(same(&parts, &expected.collect::<Vec<_>>()), "{parts:?} of {text:?}");
    check_size(&parts, text.len());
    let again = encode_v4(&parts);
    let decoded: Vec<Part> = payload::decode(&again).collect();
    assert_eq!(decoded, parts, "put together to {again:?}");
    assert_eq!(encode_v4(&decoded), again);
}

fn encode_v4(parts: &[Part<'_>]) -> String {
    let mut out = String::new();
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            out.push(SEPARATOR);
        }
        match part {
            Part::Text(text) => out.push_str(text),
            Part::Binary(data) => payload::encode_binary(data, &mut out),
            Part::Malformed => panic!("nothing is malformed in revision 4"),
        }
    }
    out
}

fn check_size(parts: &[Part<'_>], bytes: usize) {
    assert!(parts.len() <= bytes + 1);
    let held: usize = parts
        .iter()
        .map(|part| match part {
            Part::Text(text) => text.len(),
            Part::Binary(data) => data.len(),
            Part::Malformed => 0,
        })
        .sum();
    assert!(held <= bytes, "{held} bytes out of {bytes}");
}

/// A packet of text in revision 3.
fn expected_v3(packet: String) -> Expected {
    let Some(rest) = packet.strip_prefix('b') else { return Expected::Text(packet) };
    match rest.strip_prefix('4') {
        Some(data) => Expected::Binary(model_base64(data.as_bytes())),
        None => Expected::Malformed,
    }
}

/// Revision 3, text, in UTF-16 units as stock counts.
fn model_v3(text: &str) -> Vec<Expected> {
    let units: Vec<u16> = text.encode_utf16().collect();
    let (mut at, mut parts) = (0, Vec::new());
    if units.is_empty() {
        return vec![Expected::Malformed];
    }
    while at < units.len() {
        let Some(colon) = units[at..].iter().position(|&unit| unit == u16::from(b':')) else {
            parts.push(Expected::Malformed);
            return parts;
        };
        let digits = String::from_utf16_lossy(&units[at..at + colon]);
        // the sign is let through, as stock does
        let digits = digits.strip_prefix('+').unwrap_or(&digits);
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let length: Option<usize> = is_number.then(|| digits.parse().ok()).flatten();
        let begin = at + colon + 1;
        let packet = length.and_then(|length| units.get(begin..begin.checked_add(length)?));
        // neither may half a character be left
        let Some(Ok(packet)) = packet.map(String::from_utf16) else {
            parts.push(Expected::Malformed);
            return parts;
        };
        at = begin + packet.encode_utf16().count();
        if !packet.is_empty() {
            parts.push(expected_v3(packet));
        }
    }
    parts
}

fn check_v3(text: &str) {
    let parts = v3::decode_payload(text);
    assert!(same(&parts, &model_v3(text)), "{parts:?}, but {:?} of {text:?}", model_v3(text));
    check_size(&parts, text.len());
    if parts.contains(&Part::Malformed) {
        return;
    }
    let encode = |parts: &[Part<'_>]| {
        let mut out = String::new();
        for part in parts {
            match part {
                Part::Text(text) => v3::encode_text(text, &mut out),
                Part::Binary(data) => v3::encode_text(&v3::encode_base64(data), &mut out),
                Part::Malformed => {}
            }
        }
        out
    };
    let again = encode(&parts);
    if parts.is_empty() {
        return;
    }
    let decoded = v3::decode_payload(&again);
    assert_eq!(decoded, parts, "put together to {again:?}");
    assert_eq!(encode(&decoded), again);
}

/// Revision 3, with binary data.
fn model_v3_binary(bytes: &[u8]) -> Vec<Expected> {
    let (mut at, mut parts) = (0, Vec::new());
    while at < bytes.len() {
        let kind = bytes[at];
        let digits: Vec<u8> = bytes[at + 1..].iter().copied().take_while(|&byte| byte != 255).collect();
        // each byte is a digit, whatever it is; nothing says that it is below 10
        let value = digits
            .iter()
            .try_fold(0_u64, |value, &digit| value.checked_mul(10)?.checked_add(u64::from(digit)));
        let begin = at + 1 + digits.len() + 1;
        let Some(value) = value.filter(|_| begin <= bytes.len() && digits.len() < 310) else {
            parts.push(Expected::Malformed);
            return parts;
        };
        let end =
            usize::try_from(value).ok().and_then(|length| begin.checked_add(length)).unwrap_or(usize::MAX);
        let packet = &bytes[begin..end.min(bytes.len())];
        parts.push(match (kind, packet) {
            (0, packet) => String::from_utf8(packet.to_vec()).map_or(Expected::Malformed, expected_v3),
            (_, [4, data @ ..]) => Expected::Binary(data.to_vec()),
            _ => Expected::Malformed,
        });
        at = begin + packet.len();
    }
    parts
}

fn check_v3_binary(bytes: &[u8]) {
    let parts = v3::decode_binary_payload(bytes);
    assert!(
        same(&parts, &model_v3_binary(bytes)),
        "{parts:?}, but {:?} of {bytes:x?}",
        model_v3_binary(bytes)
    );
    check_size(&parts, bytes.len());
    if parts.contains(&Part::Malformed) {
        return;
    }
    let encode = |parts: &[Part<'_>]| {
        let mut out = Vec::new();
        for part in parts {
            match part {
                Part::Text(text) => v3::encode_binary_part(true, b"", text.as_bytes(), &mut out),
                Part::Binary(data) => v3::encode_binary_part(false, &v3::BINARY_MESSAGE, data, &mut out),
                Part::Malformed => {}
            }
        }
        out
    };
    let again = encode(&parts);
    let decoded = v3::decode_binary_payload(&again);
    assert_eq!(decoded, parts, "put together to {again:x?}");
    assert_eq!(encode(&decoded), again);
    // a type that there is has the digit of its number
    for number in 0..=u8::MAX {
        let kind = Type::from_digit(number);
        assert!(kind.is_none_or(|kind| kind as u8 == number));
    }
}
