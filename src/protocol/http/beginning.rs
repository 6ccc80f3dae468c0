//! The first bytes of a connection, when it is accepted: whose it is can often be told by them already.

/// How the requests begin that are looked at further; the path follows.
const STARTS: [&[u8]; 2] = [b"GET ", b"POST "];

/// The longest path that is looked for.
const LONGEST_PATH: usize = 120;

/// Bytes that are enough to tell.
pub const ENOUGH: usize = LONGEST_PATH + 392;

/// Whether these bytes may be the beginning of a request that workers take, at a target that begins with `path`: one for a
/// new WebSocket session; or, if `takes_sessions`, any of a client of Engine.IO.
///
/// What is not is not looked at by a worker either. Requests of one client that come by several connections would
/// overtake each other if some of them were.
pub fn may_concern(bytes: &[u8], path: &str, takes_sessions: bool) -> bool {
    let agree = |bytes: &[u8], expected: &[u8]| {
        let length = bytes.len().min(expected.len());
        bytes[..length] == expected[..length]
    };
    STARTS.iter().any(|start| {
        agree(bytes, start)
            && bytes.get(start.len()..).is_none_or(|rest| {
                agree(rest, path.as_bytes()) && (takes_sessions || may_ask_for_a_websocket(rest))
            })
    })
}

/// Whether a target, as far as it is there, may be that of an upgrade request without a session.
fn may_ask_for_a_websocket(rest: &[u8]) -> bool {
    let Some(end) = rest.iter().position(|&byte| byte == b' ') else { return true };
    let has = |part: &[u8]| rest[..end].windows(part.len()).any(|window| window == part);
    has(b"transport=websocket") && !has(b"sid=")
}

/// The session that the target of a request seems to name. It is a guess: who reads the request makes sure.
pub fn sid_in(bytes: &[u8]) -> Option<&str> {
    let line = bytes.split(|&byte| byte == b'\r').next()?;
    let at = line.windows(5).position(|it| it == b"&sid=")? + 5;
    let sid = line[at..].split(|&byte| byte == b'&' || byte == b' ').next()?;
    std::str::from_utf8(sid).ok().filter(|_| line.len() > at + sid.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_for_the_path_and_every_beginning_of_it_may_concern_us() {
        let request = b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1";
        for length in 0..=request.len() {
            assert!(may_concern(&request[..length], "/socket.io/", false), "{length}");
        }
    }

    #[test]
    fn anything_else_does_not() {
        for bytes in [
            "GET / HTTP/1.1",
            "GET /socket.io/ HTTP/1.1",
            "GET /socket.io/?EIO=4&transport=polling HTTP/1.1",
            "GET /socket.io/?EIO=4&transport=websocket&sid=x HTTP/1.1",
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
            assert!(!may_concern(bytes.as_bytes(), "/socket.io/", false), "{bytes:?}");
        }
    }

    #[test]
    fn requests_of_sessions_may_concern_us_as_well() {
        for request in [
            "GET /socket.io/?EIO=4&transport=polling HTTP/1.1",
            "POST /socket.io/?EIO=4&transport=polling&sid=x HTTP/1.1",
            "GET /socket.io/?EIO=4&transport=websocket&sid=x HTTP/1.1",
        ] {
            assert!(may_concern(request.as_bytes(), "/socket.io/", true), "{request}");
            assert!(!may_concern(request.as_bytes(), "/socket.io/", false), "{request}");
        }
        assert!(!may_concern(b"POST / HTTP/1.1", "/socket.io/", true));
    }

    #[test]
    fn the_session_is_found_in_the_target() {
        assert_eq!(sid_in(b"GET /?a=b&sid=abc HTTP/1.1\r\n"), Some("abc"));
        assert_eq!(sid_in(b"GET /?a=b&sid=abc&x=y HTTP/1.1\r\n"), Some("abc"));
        for bytes in ["GET /?a=b&sid=abc", "GET / HTTP/1.1\r\nX: &sid=abc ", "GET /?a=b HTTP/1.1", ""] {
            assert_eq!(sid_in(bytes.as_bytes()), None, "{bytes:?}");
        }
    }

    #[test]
    fn a_path_that_is_too_long_to_be_seen_as_a_whole() {
        let path = "/long/".repeat(100);
        let request = format!("GET {path}?");
        assert!(may_concern(&request.as_bytes()[..ENOUGH], &path, false));
    }
}
