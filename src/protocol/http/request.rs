//! Requests of Engine.IO, in the form in which clients write them.
//!
//! Whether a request is valid, and what answers one that is not, is the business of Node's HTTP parser and of
//! `lib/engine/`. What is recognised here is the ordinary one, about which there can be no two opinions; anything else is
//! left to them, unread.

use crate::protocol::http::coding::{accepted, Accepted};
use crate::protocol::websocket::switching_protocols;

/// Bytes of a request's head that are looked at. Longer ones are Node's, whose own limit is no lower.
pub const LONGEST: usize = 8 << 10;

/// Headers that are looked at.
pub const MAX_HEADERS: usize = 64;

/// RFC 6455 section 4.2.1: the version of the protocol.
const VERSION: &[u8] = b"13";

/// The most digits of a length that is looked at.
const MAX_DIGITS: usize = 9;

/// What the next bytes of a connection are.
#[derive(Debug, PartialEq, Eq)]
pub enum Reading<'a> {
    /// The beginning of something that may become a request.
    Incomplete,
    /// A request to switch to WebSocket.
    Upgrade(UpgradeRequest),
    /// A GET or a POST of a client that polls.
    Poll(PollRequest<'a>),
    /// A browser asks whether it may send such a request.
    Preflight(PollRequest<'a>),
    /// Anything else.
    Other,
}

/// An ordinary upgrade request.
#[derive(Debug, PartialEq, Eq)]
pub struct UpgradeRequest {
    /// The bytes that it takes, up to what follows the empty line.
    pub length: usize,
    /// What it consists of: see [`PollRequest::lines`].
    pub lines: String,
    /// The session that it names, if it does.
    pub sid: Option<String>,
    /// The answer to it, but for its end: see [`switching_protocols`].
    pub response: String,
    /// Whether the client offers extensions.
    pub offers_extensions: bool,
    /// Whether its query says anything twice, or what the ordinary client does not say.
    pub is_odd: bool,
}

/// An ordinary request of a client that polls.
#[derive(Debug, PartialEq, Eq)]
pub struct PollRequest<'a> {
    /// The bytes that its head takes.
    pub head: usize,
    /// The bytes that its body takes; `None`: it is a GET.
    pub body: Option<usize>,
    /// The path of its target.
    pub path: &'a str,
    /// The session that it names, if it does.
    pub sid: Option<&'a str>,
    /// Where the page that it is sent for comes from.
    pub origin: Option<&'a str>,
    /// What the client takes in place of plain text.
    pub accepted: Accepted,
    /// Whether another request may follow.
    pub keeps_alive: bool,
    lines: Lines<'a>,
}

/// The headers of a request, and its target.
#[derive(Debug, PartialEq, Eq)]
struct Lines<'a> {
    /// The lines between the request line and the empty one.
    headers: &'a str,
    target: &'a str,
}

impl PollRequest<'_> {
    /// Names and values of its headers, by turns, and the target, on a line each: what `lib/node/request.js` makes a
    /// request of if somebody asks for it.
    pub fn lines(&self) -> String {
        self.lines.apart()
    }
}

impl Lines<'_> {
    fn apart(&self) -> String {
        let mut apart = String::with_capacity(self.headers.len() + self.target.len());
        for (name, value) in self.headers.split_terminator("\r\n").filter_map(|line| line.split_once(": ")) {
            apart.extend([name, "\n", value, "\n"]);
        }
        apart.push_str(self.target);
        apart
    }
}

/// The headers that decide, each of which may come only once.
#[derive(Default)]
struct Deciding<'a> {
    host: Option<&'a [u8]>,
    connection: Option<&'a [u8]>,
    upgrade: Option<&'a [u8]>,
    version: Option<&'a [u8]>,
    key: Option<&'a [u8]>,
    extensions: Option<&'a [u8]>,
    protocols: Option<&'a [u8]>,
    length: Option<&'a [u8]>,
    kind: Option<&'a [u8]>,
    encodings: Option<&'a [u8]>,
    origin: Option<&'a [u8]>,
    agent: Option<&'a [u8]>,
}

/// What the query of a target says.
#[derive(Default)]
struct Query<'a> {
    revision: Option<&'a str>,
    transport: Option<&'a str>,
    sid: Option<&'a str>,
    /// Whether there is what the ordinary client does not say.
    is_odd: bool,
}

/// Looks at the next bytes of a connection.
pub fn read(bytes: &[u8]) -> Reading<'_> {
    read_as(bytes, recognise)
}

/// The same where clients speak no Engine.IO: of their requests, only those for a WebSocket are looked at, whatever the target.
pub fn read_raw(bytes: &[u8]) -> Reading<'_> {
    read_as(bytes, |request, bytes| {
        let Whole { method, deciding, lines } = whole(request, bytes)?;
        (method == "GET").then(|| upgrade(bytes, &deciding, &lines, &Query::default())).flatten()
    })
}

fn read_as<'a>(
    bytes: &'a [u8],
    recognise: impl FnOnce(&httparse::Request<'_, 'a>, &'a [u8]) -> Option<Reading<'a>>,
) -> Reading<'a> {
    let begins_with = |start: &[u8]| bytes.starts_with(&start[..bytes.len().min(start.len())]);
    if !begins_with(b"GET /") && !begins_with(b"POST /") && !begins_with(b"OPTIONS /") {
        return Reading::Other;
    }
    let looked_at = &bytes[..bytes.len().min(LONGEST)];
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(looked_at) {
        Ok(httparse::Status::Complete(length)) => {
            recognise(&request, &bytes[..length]).unwrap_or(Reading::Other)
        }
        Ok(httparse::Status::Partial) if bytes.len() < LONGEST => Reading::Incomplete,
        _ => Reading::Other,
    }
}

/// The bytes that an ordinary request takes with its body, some of which may not be there yet.
pub fn length(bytes: &[u8]) -> Option<usize> {
    match read(bytes) {
        Reading::Upgrade(request) => Some(request.length),
        Reading::Poll(poll) | Reading::Preflight(poll) => Some(poll.head + poll.body.unwrap_or(0)),
        Reading::Incomplete | Reading::Other => None,
    }
}

/// A request that is written as clients write it.
struct Whole<'a> {
    method: &'a str,
    deciding: Deciding<'a>,
    lines: Lines<'a>,
}

fn whole<'a>(request: &httparse::Request<'_, 'a>, bytes: &'a [u8]) -> Option<Whole<'a>> {
    let target = request.path.filter(|_| request.version == Some(1))?;
    let method = request.method?;
    if !target.bytes().all(is_plain) {
        return None;
    }
    // with other line ends, or more space than it takes, Node might be of another opinion
    let first = bytes.strip_prefix(method.as_bytes())?.strip_prefix(b" ")?.strip_prefix(target.as_bytes())?;
    let lines = first.strip_prefix(b" HTTP/1.1\r\n")?;
    let mut rest = lines;
    let mut deciding = Deciding::default();
    for header in request.headers.iter() {
        if !header.value.iter().all(|byte| matches!(byte, b' '..=b'~'))
            || !deciding.note(header.name, header.value)
        {
            return None;
        }
        rest = rest.strip_prefix(header.name.as_bytes())?.strip_prefix(b": ")?;
        rest = rest.strip_prefix(header.value)?.strip_prefix(b"\r\n")?;
    }
    if rest != b"\r\n" {
        return None;
    }
    let headers = std::str::from_utf8(&lines[..lines.len() - rest.len()]).ok()?;
    Some(Whole { method, deciding, lines: Lines { headers, target } })
}

/// A request to switch to WebSocket, if it is one.
fn upgrade<'a>(
    bytes: &[u8],
    deciding: &Deciding<'_>,
    lines: &Lines<'_>,
    query: &Query<'_>,
) -> Option<Reading<'a>> {
    if !deciding.ask_for_a_websocket() {
        return None;
    }
    Some(Reading::Upgrade(UpgradeRequest {
        length: bytes.len(),
        lines: lines.apart(),
        sid: query.sid.map(str::to_owned),
        response: switching_protocols(std::str::from_utf8(deciding.key?).ok()?),
        offers_extensions: deciding.extensions.is_some(),
        is_odd: query.is_odd,
    }))
}

fn recognise<'a>(request: &httparse::Request<'_, 'a>, bytes: &'a [u8]) -> Option<Reading<'a>> {
    let Whole { method, deciding, lines } = whole(request, bytes)?;
    let (path, query) = lines.target.split_once('?')?;
    let query = Query::parse(query);
    match (method, query.transport?) {
        // a subprotocol is for Engine.IO's server to choose
        ("GET", "websocket") if deciding.protocols.is_none() => upgrade(bytes, &deciding, &lines, &query),
        ("GET" | "POST" | "OPTIONS", "polling") if !query.is_odd && query.revision == Some("4") => {
            let poll = PollRequest {
                head: bytes.len(),
                body: deciding.poll(method == "POST")?,
                path,
                sid: query.sid,
                origin: deciding.origin.and_then(|origin| std::str::from_utf8(origin).ok()),
                accepted: deciding.encodings.map_or(Accepted::Plain, accepted),
                keeps_alive: deciding.connection.is_none_or(|it| it.eq_ignore_ascii_case(b"keep-alive")),
                lines,
            };
            Some(if method == "OPTIONS" { Reading::Preflight(poll) } else { Reading::Poll(poll) })
        }
        _ => None,
    }
}

/// What stands in a target for itself (RFC 3986 section 2).
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~/?=&:@!$'()*,;".contains(&byte)
}

impl<'a> Query<'a> {
    fn parse(text: &'a str) -> Query<'a> {
        let mut query = Query::default();
        for member in text.split('&') {
            let (name, value) = member.split_once('=').unwrap_or((member, ""));
            let place = match name {
                "EIO" => &mut query.revision,
                "transport" => &mut query.transport,
                "sid" => &mut query.sid,
                // JSONP, and clients that want base64
                "j" | "b64" => {
                    query.is_odd = true;
                    continue;
                }
                _ => continue,
            };
            query.is_odd |= place.replace(value).is_some() || value.is_empty();
        }
        query
    }
}

impl<'a> Deciding<'a> {
    /// Takes notice of a header. `false`: it is not in an ordinary request.
    fn note(&mut self, name: &str, value: &'a [u8]) -> bool {
        let place = match name.to_ascii_lowercase().as_str() {
            "host" => &mut self.host,
            "connection" => &mut self.connection,
            "upgrade" => &mut self.upgrade,
            "sec-websocket-version" => &mut self.version,
            "sec-websocket-key" => &mut self.key,
            "sec-websocket-extensions" => &mut self.extensions,
            "sec-websocket-protocol" => &mut self.protocols,
            "content-length" => &mut self.length,
            "content-type" => &mut self.kind,
            "accept-encoding" => &mut self.encodings,
            "origin" => &mut self.origin,
            "user-agent" => &mut self.agent,
            // a body of unknown length, or something to be agreed on
            "transfer-encoding" | "expect" | "trailer" | "proxy-connection" => return false,
            _ => return true,
        };
        place.replace(value).is_none()
    }

    /// RFC 6455 section 4.2.1.
    fn ask_for_a_websocket(&self) -> bool {
        let is_upgrade = |token: &[u8]| token.trim_ascii().eq_ignore_ascii_case(b"upgrade");
        self.host.is_some()
            && self.length.is_none()
            && self.upgrade.is_some_and(|value| value.eq_ignore_ascii_case(b"websocket"))
            && self.connection.is_some_and(|value| value.split(|&byte| byte == b',').any(is_upgrade))
            && self.version == Some(VERSION)
            && self.key.is_some_and(is_key)
    }

    /// The length of the body of a POST, or none of a GET, if that is as it should be.
    fn poll(&self, is_post: bool) -> Option<Option<usize>> {
        let is_known =
            |value: &[u8]| [&b"keep-alive"[..], b"close"].iter().any(|it| value.eq_ignore_ascii_case(it));
        // stock has a header for browsers of these names
        let is_old = |agent: &[u8]| {
            agent.windows(7).any(|it| it == b"Trident") || agent.windows(5).any(|it| it == b";MSIE")
        };
        if self.host.is_none()
            || self.upgrade.is_some()
            || !self.connection.is_none_or(is_known)
            || self.agent.is_some_and(is_old)
        {
            return None;
        }
        if !is_post {
            return self.length.is_none().then_some(None);
        }
        let length = self.length.filter(|it| it.len() <= MAX_DIGITS && it.iter().all(u8::is_ascii_digit))?;
        let length = std::str::from_utf8(length).ok()?.parse().ok()?;
        // other kinds of bodies are faults, or are read in other ways
        self.kind.filter(|kind| kind.starts_with(b"text/plain")).map(|_| Some(length))
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
    use crate::protocol::http::coding::Coding;

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
            other => panic!("{text:?}: {other:?}"),
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
    fn the_length_of_a_request_is_known_by_its_head() {
        let head = "POST /socket.io/?EIO=4&transport=polling&sid=x HTTP/1.1\r\nHost: here\r\n\
            Content-Type: text/plain\r\nContent-Length: 5\r\n\r\n";
        assert_eq!(length(format!("{head}4a").as_bytes()), Some(head.len() + 5));
        assert_eq!(length(format!("{}4a", request("")).as_bytes()), Some(request("").len()));
        assert_eq!(length(b"GET / HTTP/1.1\r\n\r\n"), None);
        assert_eq!(length(b"GET /"), None);
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

    fn poll(text: &str) -> Option<PollRequest<'_>> {
        match read(text.as_bytes()) {
            Reading::Poll(request) => Some(request),
            Reading::Other => None,
            other => panic!("{text:?}: {other:?}"),
        }
    }

    const GET: &str = "GET /socket.io/?EIO=4&transport=polling&t=abc HTTP/1.1\r\nHost: here\r\n";
    const POST: &str = "POST /socket.io/?EIO=4&transport=polling&t=abc&sid=S-_1 HTTP/1.1\r\nHost: here\r\n\
        Content-Type: text/plain;charset=UTF-8\r\nContent-Length: 2\r\n";

    #[test]
    fn a_preflight_request_is_recognised() {
        let text = format!("{GET}Access-Control-Request-Headers: x\r\n\r\n").replacen("GET", "OPTIONS", 1);
        let Reading::Preflight(request) = read(text.as_bytes()) else { panic!("{text}") };
        assert_eq!((request.head, request.body, request.path), (text.len(), None, "/socket.io/"));
        assert_eq!(length(text.as_bytes()), Some(text.len()));
        assert_eq!(read(&text.as_bytes()[..text.len() - 1]), Reading::Incomplete);
        let with_body = text.replacen("Host", "Content-Length: 0\r\nHost", 1);
        assert_eq!(read(with_body.as_bytes()), Reading::Other);
    }

    #[test]
    fn an_upgrade_request_may_name_a_session() {
        let text = request("").replacen("EIO=4", "EIO=4&sid=abc", 1);
        assert_eq!(recognised(&text).unwrap().sid.as_deref(), Some("abc"));
        assert_eq!(recognised(&request("")).unwrap().sid, None);
    }

    #[test]
    fn a_get_of_a_client_that_polls_is_recognised() {
        let text = format!("{GET}Origin: http://here\r\nX: y: z\r\nConnection: close\r\n\r\n");
        let get = poll(&text).unwrap();
        assert_eq!((get.head, get.body, get.path, get.sid), (text.len(), None, "/socket.io/", None));
        assert_eq!(
            (get.origin, get.keeps_alive, get.accepted),
            (Some("http://here"), false, Accepted::Plain)
        );
        assert_eq!(
            get.lines(),
            "Host\nhere\nOrigin\nhttp://here\nX\ny: z\nConnection\nclose\n/socket.io/?EIO=4&transport=polling&t=abc"
        );
        let text = format!("{GET}Connection: Keep-Alive\r\nAccept-Encoding: gzip\r\nX: \r\n\r\n");
        let get = poll(&text).unwrap();
        assert_eq!(get.accepted, Accepted::Coding(Coding::Gzip));
        assert!(get.keeps_alive && get.lines().contains("\nX\n\n/"));
    }

    #[test]
    fn a_post_of_a_client_that_polls_is_recognised() {
        let text = format!("{POST}\r\n40");
        let post = poll(&text).unwrap();
        assert_eq!((post.head, post.body, post.sid), (text.len() - 2, Some(2), Some("S-_1")));
        assert!(post.keeps_alive);
        for length in 0..post.head {
            assert_eq!(read(&text.as_bytes()[..length]), Reading::Incomplete, "{length}");
        }
    }

    #[test]
    fn any_other_request_is_left_alone() {
        for more in [
            "Host: there\r\n",
            "Content-Length: 0\r\n",
            "Content-Length: 2\r\n",
            "Transfer-Encoding: chunked\r\n",
            "transfer-encoding: identity\r\n",
            "Expect: 100-continue\r\n",
            "Trailer: x\r\n",
            "Upgrade: h2c\r\n",
            "Connection: upgrade\r\n",
            "Connection: close, keep-alive\r\n",
            "Connection: close\r\nConnection: close\r\n",
            "Proxy-Connection: close\r\n",
            "Origin: a\r\nOrigin: b\r\n",
            "User-Agent: Mozilla (;MSIE 9)\r\n",
            "User-Agent: Trident/7\r\n",
            "X: \u{e9}\r\n",
            "X: line end\n",
            "X : y\r\n",
            "X: folded\r\n\tline\r\n",
        ] {
            assert_eq!(poll(&format!("{GET}{more}\r\n")), None, "{more:?}");
        }
        for (from, to) in [
            ("EIO=4&", "EIO=3&"),
            ("EIO=4&", ""),
            ("EIO=4", "EIO=4&EIO=3"),
            ("polling", "polling&transport=polling"),
            ("polling", "polling&sid="),
            ("polling", "websocket"),
            ("&t=", "&j=1&t="),
            ("&t=", "&b64=1&t="),
            ("&t=", "&t=%31"),
            ("HTTP/1.1", "HTTP/1.0"),
            ("Host", "Hosts"),
            ("GET", "PUT"),
            ("GET", "OPTION"),
        ] {
            assert_eq!(poll(&format!("{GET}\r\n").replacen(from, to, 1)), None, "{from:?} → {to:?}");
        }
        for (from, to) in [
            ("Content-Length: 2\r\n", ""),
            ("Content-Length: 2", "Content-Length: +2"),
            ("Content-Length: 2", "Content-Length: 0x2"),
            ("Content-Length: 2", "Content-Length: 2, 2"),
            ("Content-Length: 2", "Content-Length: 2\r\nContent-Length: 2"),
            ("Content-Length: 2", "Content-Length: 1234567890"),
            ("Content-Length: 2", "Content-Length: "),
            ("text/plain", "application/octet-stream"),
            ("Content-Type: text/plain;charset=UTF-8\r\n", ""),
        ] {
            assert_eq!(poll(&format!("{POST}\r\n40").replacen(from, to, 1)), None, "{from:?} → {to:?}");
        }
    }
}
