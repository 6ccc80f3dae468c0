//! The request that a WebSocket begins with, in the form in which clients write it.
//!
//! Whether a request is valid, and what answers one that is not, is the business of Node's HTTP parser and of
//! `lib/engine/upgrade.js`. What is recognised here is the ordinary one, about which there can be no two opinions; anything
//! else is left to them, unread.

use super::switching_protocols;

/// Bytes of a request that are looked at. Longer ones are Node's, whose own limit is no lower.
pub const LONGEST: usize = 8 << 10;

/// Headers that are looked at.
pub const MAX_HEADERS: usize = 64;

/// RFC 6455 section 4.2.1: the version of the protocol.
const VERSION: &[u8] = b"13";

/// What the first bytes of a connection are.
#[derive(Debug, PartialEq, Eq)]
pub enum Reading {
    /// The beginning of something that may become an upgrade request.
    Incomplete,
    /// A request to switch to WebSocket, for a new session.
    Upgrade(UpgradeRequest),
    /// Anything else.
    Other,
}

/// An ordinary upgrade request.
#[derive(Debug, PartialEq, Eq)]
pub struct UpgradeRequest {
    /// The bytes that it takes, up to what follows the empty line.
    pub length: usize,
    /// Names and values of its headers, by turns, and the target, on a line each: what `lib/node/request.js` makes a
    /// request of if somebody asks for it.
    pub lines: String,
    /// The answer to it, but for its end: see [`switching_protocols`].
    pub response: String,
    /// Whether the client offers extensions.
    pub offers_extensions: bool,
}

/// The headers that decide, each of which may come only once.
#[derive(Default)]
struct Deciding<'a> {
    host: Option<&'a [u8]>,
    upgrade: Option<&'a [u8]>,
    connection: Option<&'a [u8]>,
    version: Option<&'a [u8]>,
    key: Option<&'a [u8]>,
    extensions: Option<&'a [u8]>,
}

/// Looks at the first bytes of a connection.
pub fn read(bytes: &[u8]) -> Reading {
    let start = b"GET /";
    if !bytes.starts_with(&start[..bytes.len().min(start.len())]) {
        return Reading::Other;
    }
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => {
            recognise(&request, &bytes[..length]).map_or(Reading::Other, Reading::Upgrade)
        }
        Ok(httparse::Status::Partial) if bytes.len() < LONGEST => Reading::Incomplete,
        _ => Reading::Other,
    }
}

fn recognise(request: &httparse::Request<'_, '_>, bytes: &[u8]) -> Option<UpgradeRequest> {
    let target = request.path.filter(|_| request.version == Some(1))?;
    if !target.bytes().all(is_plain) || !target.contains("transport=websocket") || target.contains("sid=") {
        return None;
    }
    // with other line ends, or more space than it takes, Node might be of another opinion
    let mut rest =
        bytes.strip_prefix(b"GET ")?.strip_prefix(target.as_bytes())?.strip_prefix(b" HTTP/1.1\r\n")?;
    let mut lines = String::with_capacity(bytes.len());
    let mut deciding = Deciding::default();
    for header in request.headers.iter() {
        let value = std::str::from_utf8(header.value).ok()?;
        if !value.bytes().all(|byte| matches!(byte, b' '..=b'~')) || !deciding.note(header.name, header.value)
        {
            return None;
        }
        rest = rest.strip_prefix(header.name.as_bytes())?.strip_prefix(b": ")?;
        rest = rest.strip_prefix(header.value)?.strip_prefix(b"\r\n")?;
        lines.extend([header.name, "\n", value, "\n"]);
    }
    if rest != b"\r\n" || !deciding.ask_for_a_websocket() {
        return None;
    }
    lines.push_str(target);
    Some(UpgradeRequest {
        length: bytes.len(),
        lines,
        response: switching_protocols(std::str::from_utf8(deciding.key?).ok()?),
        offers_extensions: deciding.extensions.is_some(),
    })
}

/// What stands in a target for itself (RFC 3986 section 2).
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~/?=&:@!$'()*,;".contains(&byte)
}

impl<'a> Deciding<'a> {
    /// Takes notice of a header. `false`: it is not in an ordinary request.
    fn note(&mut self, name: &str, value: &'a [u8]) -> bool {
        let place = match name.to_ascii_lowercase().as_str() {
            "host" => &mut self.host,
            "upgrade" => &mut self.upgrade,
            "connection" => &mut self.connection,
            "sec-websocket-version" => &mut self.version,
            "sec-websocket-key" => &mut self.key,
            "sec-websocket-extensions" => &mut self.extensions,
            // a body, or something to be agreed on
            "content-length" | "transfer-encoding" | "expect" | "trailer" | "sec-websocket-protocol" => {
                return false
            }
            _ => return true,
        };
        place.replace(value).is_none()
    }

    /// RFC 6455 section 4.2.1.
    fn ask_for_a_websocket(&self) -> bool {
        let is_upgrade = |token: &[u8]| token.trim_ascii().eq_ignore_ascii_case(b"upgrade");
        self.host.is_some()
            && self.upgrade.is_some_and(|value| value.eq_ignore_ascii_case(b"websocket"))
            && self.connection.is_some_and(|value| value.split(|&byte| byte == b',').any(is_upgrade))
            && self.version == Some(VERSION)
            && self.key.is_some_and(is_key)
    }
}

/// RFC 6455 section 4.1: 16 bytes in base64.
fn is_key(key: &[u8]) -> bool {
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    matches!(key, [digits @ .., b'=', b'='] if digits.len() == 22 && digits.iter().all(is_base64))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: here:3000\r\n";
    const REST: &str =
        "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

    fn request(more: &str) -> String {
        format!("{HEAD}{REST}{more}\r\n")
    }

    fn recognised(text: &str) -> Option<UpgradeRequest> {
        match read(text.as_bytes()) {
            Reading::Upgrade(request) => Some(request),
            Reading::Other => None,
            Reading::Incomplete => panic!("{text:?} is complete"),
        }
    }

    #[test]
    fn an_ordinary_request_is_recognised() {
        let text = request("Cookie: a=1; b=2\r\nCookie: c=3\r\nX-Empty: \r\n");
        let upgrade = recognised(&format!("{text}\u{0}what follows")).unwrap();
        assert_eq!(upgrade.length, text.len());
        assert!(upgrade.response.ends_with(": s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        assert!(!upgrade.offers_extensions);
        assert!(upgrade.lines.starts_with("Host\nhere:3000\nUpgrade\nwebsocket\n"));
        let end = "Cookie\na=1; b=2\nCookie\nc=3\nX-Empty\n\n/socket.io/?EIO=4&transport=websocket";
        assert!(upgrade.lines.ends_with(end));
        assert!(
            recognised(&request("Sec-WebSocket-Extensions: permessage-deflate\r\n"))
                .unwrap()
                .offers_extensions
        );
    }

    #[test]
    fn a_part_of_it_is_waited_for() {
        let text = request("");
        for length in 0..text.len() {
            assert_eq!(read(&text.as_bytes()[..length]), Reading::Incomplete, "{length}");
        }
        assert_eq!(read(&[b"GET /".as_slice(), &[b'a'; LONGEST]].concat()), Reading::Other);
    }

    #[test]
    fn anything_else_is_left_alone() {
        for more in [
            "Host: there\r\n",
            "Upgrade: websocket\r\n",
            "Content-Length: 0\r\n",
            "Transfer-Encoding: chunked\r\n",
            "Sec-WebSocket-Protocol: chat\r\n",
            "X: caf\u{e9}\r\n",
            "X: a\tb\r\n",
            "X:no space\r\n",
            "X:  two spaces\r\n",
            "X: space behind \r\n",
            "X: line end\n",
            "X: line end\nY:  two spaces\r\n",
            "X : y\r\n",
            "X: folded\r\n  line\r\n",
            &"X: y\r\n".repeat(MAX_HEADERS),
        ] {
            assert_eq!(recognised(&request(more)), None, "{more:?}");
        }
        for (from, to) in [
            ("GET ", "POST "),
            ("GET ", "get "),
            ("GET /", "GET http://here/"),
            ("HTTP/1.1", "HTTP/1.0"),
            ("EIO=4", "EIO=4&x=%41"),
            ("EIO=4", "EIO=4&sid=abc"),
            ("EIO=4", "EIO=4#x"),
            ("websocket HTTP", "polling HTTP"),
            ("Host: here:3000\r\n", ""),
            ("Upgrade: websocket\r\n", ""),
            ("Upgrade: websocket", "Upgrade: h2c"),
            ("keep-alive, Upgrade", "keep-alive"),
            ("Version: 13", "Version: 8"),
            ("jZQ==", "jZQ="),
            ("jZQ==", "jZ=="),
            ("dGhl", "dG%l"),
        ] {
            assert_eq!(recognised(&request("").replacen(from, to, 1)), None, "{from:?} → {to:?}");
        }
        for other in ["\r\nGET / HTTP/1.1", "PRI * HTTP/2.0", "\u{16}\u{3}\u{1}", "GET *"] {
            assert_eq!(read(other.as_bytes()), Reading::Other, "{other:?}");
        }
    }
}
