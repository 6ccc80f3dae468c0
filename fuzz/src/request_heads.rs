//! Requests (`src/protocol/http`) against Node's parser, which a process of Node's is asked for.
//!
//! * What is recognised means the same to Node: method, target, each header, the length of head and body, whether the connection is
//!   kept, and what coding the answer gets, for which `accepts` is asked as stock does.
//! * Every beginning of what is recognised is waited for, and what follows it changes nothing.
//! * `beginning` does not change its mind when more arrives.
//! * An answer is one to Node, with the body and the date that were meant. A compressed body is the one that was given.
//!
//! Node is only asked about what is recognised: it may accept any more.

use std::io::Read;

use flate2::read::{GzDecoder, ZlibDecoder};
use serde_json::Value;
use sockeye::internals::http::beginning::{beginning, Beginning, ENOUGH};
use sockeye::internals::http::coding::{accepted, Accepted, Coding, Encoder};
use sockeye::internals::http::request::{length, read, Reading};
use sockeye::internals::http::response::{answer, Body, Then};

use crate::choices::{Choices, Sequence};
use crate::oracle::ask;

const PATH: &str = "/socket.io/";

/// Takes an input: a byte that says which of the parts is meant, then bytes for that.
pub fn check(input: &[u8]) {
    let mut choices = Choices::new(input);
    match choices.byte() {
        0..=127 => check_head(choices.rest()),
        128..=223 => check_head(&built(&mut choices)),
        224..=239 => check_encoder(&mut choices),
        _ => check_answer(&mut choices),
    }
}

/// Lines of requests as clients write them, and as they had better not.
const LINES: [&str; 40] = [
    "Host: here:3000",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Connection: keep-alive, Upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
    "Content-Type: text/plain;charset=UTF-8",
    "Content-Length: 2",
    "Content-Length: 0",
    "Content-Length: 00000003",
    "content-length: 100",
    "Connection: keep-alive",
    "Connection: close",
    "Connection: Close",
    "Accept-Encoding: gzip, deflate, br",
    "Accept-Encoding: deflate;q=0.5, gzip;q=0.4",
    "Accept-Encoding: *;q=0.1",
    "Accept-Encoding: identity;q=1, gzip;q=0",
    "Origin: http://here",
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64)",
    "Cookie: a=1; b=2",
    "Cookie: io=x",
    "X-Empty: ",
    "X-Long: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: ",
    "Expect: 100-continue",
    "Keep-Alive: timeout=5",
    "Proxy-Connection: keep-alive",
    "Upgrade: h2c",
    "Upgrade: ",
    "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
    "Host: there",
    "Host: ",
    "Connection: ",
    "Te: trailers",
    "Content-Length: ",
    "Accept-Encoding: ",
    "Access-Control-Request-Method: POST",
];

/// A request made of a method, a target, and lines, some of which have more in them.
fn built(choices: &mut Choices<'_>) -> Vec<u8> {
    let first = choices.byte();
    let method = ["GET", "POST", "OPTIONS", "GET"][usize::from(first & 3)];
    let transport = if first & 4 != 0 { "websocket" } else { "polling" };
    let mut head = format!("{method} {PATH}?EIO=4&transport={transport}").into_bytes();
    if first & 8 != 0 {
        head.extend(b"&sid=abc_-1");
    }
    if first & 16 != 0 {
        head.extend(choices.bytes(usize::from(first >> 5)));
    }
    head.extend(b" HTTP/1.1\r\n");
    // what each kind has to have, unless it is to be missing
    let usual: &[usize] = match (method, transport) {
        ("GET", "websocket") => &[0, 1, 2, 4, 5],
        ("POST", _) => &[0, 7, 8],
        _ => &[0],
    };
    let missing = usize::from(choices.byte());
    let more = usize::from(choices.byte() % 8);
    let all = usual.iter().copied().filter(|&line| line + 1 != missing).collect::<Vec<_>>().into_iter();
    let all: Vec<usize> = all.chain((0..more).map(|_| usize::from(choices.byte()) % LINES.len())).collect();
    for line in all {
        let change = choices.byte();
        let line = LINES[line].as_bytes();
        let at = usize::from(choices.byte()) % (line.len() + 1);
        head.extend(&line[..at]);
        if change > 200 {
            head.extend(choices.bytes(usize::from(change - 200) % 6));
        }
        head.extend(&line[at..]);
        head.extend(if change == 1 { &b"\n"[..] } else { b"\r\n" });
    }
    head.extend(b"\r\n");
    head.extend(choices.rest());
    head
}

/// What has been recognised.
struct Recognised<'a> {
    method: &'a str,
    head: usize,
    body: usize,
    lines: String,
    is_upgrade: bool,
    keeps_alive: bool,
    coding: Accepted,
    sid: Option<String>,
}

fn recognised(bytes: &[u8]) -> Option<Recognised<'_>> {
    let (reading, is_preflight) = match read(bytes) {
        Reading::Incomplete | Reading::Other => return None,
        Reading::Upgrade(request) => {
            return Some(Recognised {
                method: "GET",
                head: request.length,
                body: 0,
                lines: request.lines,
                is_upgrade: true,
                keeps_alive: true,
                coding: Accepted::Unclear,
                sid: request.sid,
            })
        }
        Reading::Poll(request) => (request, false),
        Reading::Preflight(request) => (request, true),
    };
    let method = match (is_preflight, reading.body) {
        (true, _) => "OPTIONS",
        (_, None) => "GET",
        _ => "POST",
    };
    Some(Recognised {
        // what came first is the method, of which there are three
        method: if bytes.starts_with(b"POST") { "POST" } else { method },
        head: reading.head,
        body: reading.body.unwrap_or(0),
        lines: reading.lines(),
        is_upgrade: false,
        keeps_alive: reading.keeps_alive,
        coding: reading.accepted,
        sid: reading.sid.map(str::to_owned),
    })
}

fn check_head(bytes: &[u8]) {
    check_beginning(bytes);
    let Some(request) = recognised(bytes) else { return };
    assert_eq!(length(bytes), Some(request.head + request.body));
    let mut sequence = Sequence::new(bytes.len() as u64);
    let cuts = (0..12).map(|_| sequence.below(request.head)).chain([request.head - 1]);
    for cut in cuts {
        assert_eq!(read(&bytes[..cut]), Reading::Incomplete, "the first {cut} bytes of {bytes:x?}");
    }
    for more in [&b""[..], b"GET / HTTP/1.1\r\n\r\n", &[0; 20]] {
        let followed = [&bytes[..request.head], more].concat();
        let other = recognised(&followed).expect("what follows a head changes nothing");
        assert_eq!((other.head, &other.lines), (request.head, &request.lines));
    }
    compare(bytes, &request);
}

/// The first bytes say the same as more of them, if they say anything.
fn check_beginning(bytes: &[u8]) {
    let bytes = &bytes[..bytes.len().min(ENOUGH)];
    let whole = beginning(bytes, PATH);
    for length in (1..bytes.len()).rev().take(300).chain(1..bytes.len().min(60)) {
        let part = beginning(&bytes[..length], PATH);
        assert!(
            part == Beginning::Unknown || part == whole,
            "{part:?} of {length} bytes, {whole:?} of {bytes:x?}"
        );
    }
}

fn compare(bytes: &[u8], request: &Recognised<'_>) {
    let text = String::from_utf8_lossy(bytes);
    // as much of a body as there has to be, or all of it: it need not be there
    let body: Vec<u8> = (0..request.body.min(3000)).map(|index| b"4\x1e\r\n0"[index % 5]).collect();
    let head = request.head as u32;
    let mut question = head.to_le_bytes().to_vec();
    question.extend((bytes.len() as u32).wrapping_mul(77).to_le_bytes());
    question.extend(&bytes[..request.head]);
    question.extend(&body);
    let node = ask(b'H', &question);
    assert_eq!(node.get("error"), None, "Node refuses what is recognised: {text:?}");
    assert_eq!(node["early"], 0, "to Node, the head ends before: {text:?}");
    let mut lines = request.lines.split('\n');
    let target = lines.next_back().expect("a target");
    assert_eq!(node["method"], request.method, "{text:?}");
    assert_eq!(node["url"], target, "{text:?}");
    assert_eq!(node["version"], "1.1");
    let headers: Vec<&str> =
        node["headers"].as_array().expect("headers").iter().filter_map(Value::as_str).collect();
    assert_eq!(headers, lines.collect::<Vec<_>>(), "{text:?}");
    assert_eq!(node["upgrade"], request.is_upgrade, "{text:?}");
    if let Some(sid) = &request.sid {
        assert!(target.contains(&format!("sid={sid}")));
    }
    if request.is_upgrade {
        return;
    }
    assert_eq!(node["keepAlive"], request.keeps_alive, "{text:?}");
    assert_eq!(node["completeAtHead"], u32::from(request.body == 0), "{text:?}");
    assert_eq!(node["body"], hex(&body), "{text:?}");
    if request.body == body.len() {
        assert_eq!(node["completeAtBody"], 1, "{text:?}");
        assert_eq!(node["next"], if request.keeps_alive { "/next".into() } else { Value::Null }, "{text:?}");
    } else {
        assert_eq!(node["completeAtBody"], 0, "{text:?}");
    }
    match request.coding {
        Accepted::Unclear => {}
        Accepted::Plain => assert_eq!(node["coding"], false, "{text:?}"),
        Accepted::Coding(coding) => assert_eq!(node["coding"], coding.name(), "{text:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What chunks contain, by RFC 9112 section 7.1, without extensions and trailers.
fn joined(mut chunks: &[u8]) -> Vec<u8> {
    let mut joined = Vec::new();
    loop {
        let end = chunks.windows(2).position(|it| it == b"\r\n").expect("a line");
        let size = std::str::from_utf8(&chunks[..end]).expect("digits");
        let size = usize::from_str_radix(size, 16).expect("digits");
        joined.extend_from_slice(&chunks[end + 2..end + 2 + size]);
        chunks = chunks[end + 2 + size..].strip_prefix(b"\r\n").expect("the end of a chunk");
        if size == 0 {
            assert!(chunks.is_empty());
            return joined;
        }
    }
}

/// A body, repeated until it has some length, is what it was.
fn check_encoder(choices: &mut Choices<'_>) {
    let (coding, level) =
        (if choices.byte() & 1 == 0 { Coding::Gzip } else { Coding::Deflate }, choices.byte() % 10);
    let repeats = 1 + usize::from(choices.word()) % 200;
    // and anything is judged that may be the value of a header
    let bytes = choices.rest();
    let _ = accepted(bytes);
    let body = String::from_utf8_lossy(bytes).repeat(repeats);
    let mut encoder = Encoder::new(coding, u32::from(level), body.clone());
    let mut out = Vec::new();
    while !encoder.is_done() {
        encoder.write_piece(&mut out);
    }
    let (compressed, mut text) = (joined(&out), String::new());
    match coding {
        Coding::Gzip => GzDecoder::new(&compressed[..]).read_to_string(&mut text),
        Coding::Deflate => ZlibDecoder::new(&compressed[..]).read_to_string(&mut text),
    }
    .expect("a stream that ends");
    assert!(text == body, "{coding:?} {level} of {} bytes", body.len());
}

fn check_answer(choices: &mut Choices<'_>) {
    let kind = choices.byte();
    // up to the end of the year 9999
    let now = (u64::from(choices.word()) << 32 | u64::from(choices.word()) << 16 | u64::from(choices.word()))
        % 253_402_300_800;
    let body = String::from_utf8_lossy(choices.rest()).into_owned();
    let then = if kind & 1 == 0 { Then::Close } else { Then::KeepAlive(u64::from(kind)) };
    let first = if kind & 2 == 0 { "" } else { "Vary: Origin\r\n" };
    let expected = if kind & 4 == 0 { "ok" } else { &body };
    let what = if kind & 4 == 0 { Body::Ok } else { Body::Payload(&body) };
    let bytes = answer(first, what, "Set-Cookie: a=b\r\n", now, then);
    let node = ask(b'R', &[&now.to_le_bytes()[..], &bytes].concat());
    assert_eq!(node.get("error"), None, "{bytes:x?}");
    assert_eq!(
        (&node["status"], &node["complete"], &node["body"]),
        (&200.into(), &1.into(), &hex(expected.as_bytes()).into())
    );
    assert_eq!(node["keepAlive"], kind & 1 == 1);
    let headers: Vec<&str> =
        node["headers"].as_array().expect("headers").iter().filter_map(Value::as_str).collect();
    let date = headers.chunks(2).find(|it| it[0] == "Date").expect("a date");
    assert_eq!(date[1], node["date"]);
    assert_eq!(headers.contains(&"Vary"), kind & 2 != 0);
}
