//! The header of a Socket.IO packet (Socket.IO protocol v5, "Packet encoding"):
//! `<type>[<namespace>,][<acknowledgement id>][JSON]`.

use std::ops::Range;

/// The highest packet type that carries no attachments: CONNECT, DISCONNECT, EVENT, ACK, CONNECT_ERROR.
const LAST_PLAIN_TYPE: u8 = b'4';

/// Where the members of a header stand in the packet. All positions are in bytes, and the bytes before `body` are
/// ASCII unless the namespace is not.
#[derive(Debug, PartialEq, Eq)]
pub struct Header {
    /// The type, 0 to 4.
    pub kind: u8,
    /// The namespace; empty for the main one.
    pub namespace: Range<usize>,
    /// The acknowledgement id.
    pub id: Option<u32>,
    /// Where the JSON begins.
    pub body: usize,
}

/// Reads the header of a packet without attachments. `None` for anything that is not plainly of the usual form: the
/// decoder in JavaScript then decides, so that oddities have one judge.
pub fn parse_header(packet: &str) -> Option<Header> {
    let bytes = packet.as_bytes();
    let kind = *bytes.first()?;
    if !(b'0'..=LAST_PLAIN_TYPE).contains(&kind) {
        return None;
    }
    let mut at = 1;
    let mut namespace = 0..0;
    if bytes.get(at) == Some(&b'/') {
        let length = bytes[at..].iter().position(|&byte| byte == b',')?;
        namespace = at..at + length;
        at += length + 1;
    }
    let digits = bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let id = match digits {
        0 => None,
        1..=9 => packet[at..at + digits].parse().ok(),
        _ => return None,
    };
    at += digits;
    match bytes.get(at) {
        None | Some(b'[' | b'{' | b'"') => Some(Header { kind: kind - b'0', namespace, id, body: at }),
        _ => None,
    }
}

/// How many attachments follow a packet.
pub fn attachments(packet: &str) -> u32 {
    let counted = packet.strip_prefix(['5', '6']).and_then(|rest| rest.split_once('-'));
    counted.and_then(|(count, _)| count.parse().ok()).unwrap_or(0)
}

/// What tells an event from others.
#[derive(Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// Empty for the main one.
    pub namespace: &'a str,
    /// As it is written in JSON, without quotes.
    pub name: &'a str,
    /// Whether the sender waits for an acknowledgement.
    pub wants_ack: bool,
}

/// Reads what an event is, with or without attachments. `None` for any other packet.
pub fn parse_event(packet: &str) -> Option<Event<'_>> {
    let mut rest = match packet.as_bytes().first()? {
        b'2' => &packet[1..],
        b'5' => packet[1..].split_once('-')?.1,
        _ => return None,
    };
    let mut namespace = "";
    if rest.starts_with('/') {
        (namespace, rest) = rest.split_once(',')?;
    }
    let body = rest.trim_start_matches(|digit: char| digit.is_ascii_digit());
    let wants_ack = body.len() < rest.len();
    let name = body.strip_prefix("[\"")?;
    let mut is_escaped = false;
    let end = name.bytes().position(|byte| {
        let is_end = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        is_end
    })?;
    Some(Event { namespace, name: &name[..end], wants_ack })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_events_apart() {
        let event = |packet| parse_event(packet).unwrap();
        let main = Event { namespace: "", name: "price", wants_ack: false };
        assert_eq!(event(r#"2["price",1]"#), main);
        assert_eq!(event(r#"51-["price",{"_placeholder":true,"num":0}]"#), main);
        let admin = Event { namespace: "/admin", name: r#"a\"b\\"#, wants_ack: true };
        assert_eq!(event(r#"2/admin,12["a\"b\\"]"#), admin);
        assert_eq!(event(r#"512-/admin,12["a\"b\\"]"#), admin);
        for packet in ["", "0", "31[]", "2", "2[", "2[1]", "2[\"a", "5[\"a\"]", "2/admin[\"a\"]", "x"] {
            assert_eq!(parse_event(packet), None, "{packet}");
        }
    }

    #[test]
    fn counts_attachments() {
        let counts = ["51-[]", "612-/a,1[]", "2[]", "", "5", "5-", "5x-", "4-"].map(attachments);
        assert_eq!(counts, [1, 12, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn reads_each_member() {
        let header = parse_header(r#"2/admin,12["a"]"#).unwrap();
        assert_eq!(header, Header { kind: 2, namespace: 1..7, id: Some(12), body: 10 });
        let header = parse_header(r#"2["a"]"#).unwrap();
        assert_eq!(header, Header { kind: 2, namespace: 0..0, id: None, body: 1 });
        let header = parse_header("0").unwrap();
        assert_eq!(header, Header { kind: 0, namespace: 0..0, id: None, body: 1 });
        let header = parse_header("1/admin,").unwrap();
        assert_eq!(header, Header { kind: 1, namespace: 1..7, id: None, body: 8 });
    }

    #[test]
    fn leaves_the_unusual_to_the_decoder() {
        for packet in
            ["", "7[]", "x", "51-[]", "2/admin", "2 [\"a\"]", "2[", "212345678901[\"a\"]", "2true", "2-1"]
        {
            let header = parse_header(packet);
            assert!(header.is_none() || packet == "2[", "{packet}");
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "so much takes minutes")]
    fn a_megabyte_of_digits_is_refused_at_once() {
        assert_eq!(parse_header(&format!("2{}", "1".repeat(1_000_000))), None);
    }
}
