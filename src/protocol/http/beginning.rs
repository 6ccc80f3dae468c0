//! The first bytes of a connection, when it is accepted: whose it is can often be told by them already.

/// How the requests begin that are looked at further; the path follows.
const STARTS: [&[u8]; 3] = [b"GET ", b"POST ", b"OPTIONS "];

/// What a target asks for a WebSocket with.
const WEBSOCKET: &[u8] = b"transport=websocket";

/// What a target names a session with.
const SID: &[u8] = b"sid=";

/// The longest path that is looked for.
const LONGEST_PATH: usize = 120;

/// Bytes that are enough to tell.
pub const ENOUGH: usize = LONGEST_PATH + 392;

/// What the first bytes of a connection are.
#[derive(Debug, PartialEq, Eq)]
pub enum Beginning<'a> {
    /// No request of ours.
    Foreign,
    /// Not enough to tell, but it may be one.
    Unknown,
    /// It asks for a WebSocket, and a new session.
    WebSocket,
    /// It asks for a new session that polls, or something odd.
    Poll,
    /// It seems to name this session: who reads the request makes sure.
    Session(&'a str),
}

/// Judges the first bytes of a connection. Ours are requests for a target that begins with `path`.
///
/// What is not ours, or may not come past Node, is not to be looked at by a worker either. Requests of one client that come
/// by several connections would overtake each other if some of them were.
pub fn beginning<'a>(bytes: &'a [u8], path: &str) -> Beginning<'a> {
    if bytes.is_empty() {
        return Beginning::Foreign;
    }
    let agree = |bytes: &[u8], expected: &[u8]| {
        let length = bytes.len().min(expected.len());
        bytes[..length] == expected[..length]
    };
    let Some(start) = STARTS.iter().find(|start| agree(bytes, start)) else { return Beginning::Foreign };
    let Some(rest) = bytes.get(start.len()..) else { return Beginning::Unknown };
    if !agree(rest, path.as_bytes()) {
        return Beginning::Foreign;
    }
    let Some(end) = rest.iter().position(|&byte| byte == b' ') else { return Beginning::Unknown };
    let target = &rest[..end];
    if let Some(sid) = sid_in(target) {
        return Beginning::Session(sid);
    }
    let is_websocket = target.windows(WEBSOCKET.len()).any(|window| window == WEBSOCKET);
    if is_websocket {
        Beginning::WebSocket
    } else {
        Beginning::Poll
    }
}

/// How the line ends that asks for a WebSocket, in small letters.
const UPGRADE: &[u8] = b"upgrade: websocket";

/// The same where clients speak no Engine.IO: whatever asks for a WebSocket is ours.
pub fn raw_beginning(bytes: &[u8]) -> Beginning<'static> {
    let start = STARTS[0];
    let length = bytes.len().min(start.len());
    if bytes.is_empty() || bytes[..length] != start[..length] {
        return Beginning::Foreign;
    }
    if bytes.windows(UPGRADE.len()).any(|window| window.eq_ignore_ascii_case(UPGRADE)) {
        return Beginning::WebSocket;
    }
    let is_whole = bytes.windows(4).any(|window| window == b"\r\n\r\n");
    if is_whole {
        Beginning::Foreign
    } else {
        Beginning::Unknown
    }
}

/// The session that a target names.
fn sid_in(target: &[u8]) -> Option<&str> {
    let at = target.windows(SID.len()).position(|window| window == SID)? + SID.len();
    let sid = target[at..].split(|&byte| byte == b'&').next()?;
    std::str::from_utf8(sid).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_for_the_path_and_every_beginning_of_it_may_concern_us() {
        let request = b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1";
        let end = request.iter().rposition(|&byte| byte == b' ').unwrap();
        for length in 1..=end {
            assert_eq!(beginning(&request[..length], "/socket.io/"), Beginning::Unknown, "{length}");
        }
        assert_eq!(beginning(request, "/socket.io/"), Beginning::WebSocket);
    }

    #[test]
    fn anything_else_does_not() {
        for bytes in [
            "",
            "GET / HTTP/1.1",
            "POST / HTTP/1.1",
            "GET /socket.iO/",
            "GET /socket.io?",
            "GET http://here/socket.io/",
            "get /socket.io/",
            "GETT /socket.io/",
            "HEAD /socket.io/",
            "X",
            "\r\n",
            "\u{16}\u{3}\u{1}",
        ] {
            assert_eq!(beginning(bytes.as_bytes(), "/socket.io/"), Beginning::Foreign, "{bytes:?}");
        }
    }

    #[test]
    fn requests_of_clients_that_poll_are_told_from_those_of_sessions() {
        for (request, expected) in [
            ("GET /socket.io/ HTTP/1.1", Beginning::Poll),
            ("GET /socket.io/?EIO=4&transport=polling HTTP/1.1", Beginning::Poll),
            ("POST /socket.io/?EIO=4&transport=polling&sid=x HTTP/1.1", Beginning::Session("x")),
            ("GET /socket.io/?EIO=4&transport=websocket&sid=x&t=1 HTTP/1.1", Beginning::Session("x")),
            ("GET /socket.io/?EIO=4&sid= HTTP/1.1", Beginning::Session("")),
            ("OPTIONS /socket.io/?EIO=4&transport=polling&sid=x HTTP/1.1", Beginning::Session("x")),
        ] {
            assert_eq!(beginning(request.as_bytes(), "/socket.io/"), expected, "{request}");
        }
    }

    #[test]
    fn without_engine_io_whatever_asks_for_a_websocket_is_ours() {
        let request = b"GET /any HTTP/1.1\r\nHost: x\r\nupgrade: WebSocket\r\n\r\n";
        assert_eq!(raw_beginning(request), Beginning::WebSocket);
        for length in 1..=40 {
            assert_eq!(raw_beginning(&request[..length]), Beginning::Unknown, "{length}");
        }
        for foreign in ["", "POST / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\u{16}\u{3}"] {
            assert_eq!(raw_beginning(foreign.as_bytes()), Beginning::Foreign, "{foreign:?}");
        }
    }

    #[test]
    fn a_path_that_is_too_long_to_be_seen_as_a_whole() {
        let path = "/long/".repeat(100);
        let request = format!("GET {path}?");
        assert_eq!(beginning(&request.as_bytes()[..ENOUGH], &path), Beginning::Unknown);
    }
}
