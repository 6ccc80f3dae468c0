//! One client that uses HTTP long-polling: a connection for the GET that waits, and one for the POSTs.

use crate::http::HttpConnection;
use crate::Outcome;
use mio::Registry;

const SEPARATOR: u8 = 0x1e;

/// The same for all clients of a run.
pub struct Endpoint {
    pub path: String,
    pub port: u16,
    /// The packet that goes to and fro.
    pub packet: String,
}

/// Opening ─▶ Joining ─▶ Idle ─▶ Due ─▶ Away ⇄ Back
#[derive(Clone, Copy, PartialEq)]
enum Phase {
    Opening,
    Joining,
    Idle,
    /// The first packet is to be sent.
    Due,
    /// It was sent at that time, and is not here again.
    Away(u64),
    /// It is here again; the answer to the POST may still be missing.
    Back(u64),
}

pub struct PollingClient {
    phase: Phase,
    /// What waits for packets, and what carries ours.
    get: HttpConnection,
    post: HttpConnection,
    is_posting: bool,
    owes_pong: bool,
    get_request: Vec<u8>,
    event_request: Vec<u8>,
    pong_request: Vec<u8>,
}

impl PollingClient {
    /// Its connections have the tokens 2 × index and 2 × index + 1.
    pub fn new(registry: &Registry, endpoint: &Endpoint, index: usize) -> Outcome<PollingClient> {
        let mut client = PollingClient {
            phase: Phase::Opening,
            get: HttpConnection::new(registry, endpoint.port, 2 * index)?,
            post: HttpConnection::new(registry, endpoint.port, 2 * index + 1)?,
            is_posting: false,
            owes_pong: false,
            get_request: Vec::new(),
            event_request: Vec::new(),
            pong_request: Vec::new(),
        };
        client.get.send(&get(endpoint, ""))?;
        Ok(client)
    }

    pub fn is_idle(&self) -> bool {
        self.phase == Phase::Idle
    }

    /// Begins to send packets, each when the one before is here again.
    pub fn start(&mut self, now: u64) -> Outcome<()> {
        self.phase = Phase::Due;
        self.advance(now).map(|_| ())
    }

    pub fn on_writable(&mut self, token: usize) -> Outcome<()> {
        match token % 2 {
            0 => self.get.on_writable(),
            _ => self.post.on_writable(),
        }
    }

    /// Returns how long the round trip took, if one has ended: the packet is here, and the POST has been answered.
    pub fn on_readable(
        &mut self,
        token: usize,
        scratch: &mut [u8],
        endpoint: &Endpoint,
        now: u64,
    ) -> Outcome<Option<u64>> {
        if token.is_multiple_of(2) {
            self.get.on_readable(scratch)?;
            while self.on_get_answered(endpoint)? {}
        } else {
            self.post.on_readable(scratch)?;
            while self.post.next_body()?.is_some() {
                self.is_posting = false;
            }
        }
        self.advance(now)
    }

    fn on_get_answered(&mut self, endpoint: &Endpoint) -> Outcome<bool> {
        let Some(body) = self.get.next_body()? else { return Ok(false) };
        if self.phase == Phase::Opening {
            let sid = session_id(body)?;
            self.get_request = get(endpoint, &sid);
            self.event_request = post(endpoint, &sid, &endpoint.packet);
            self.pong_request = post(endpoint, &sid, "3");
            self.phase = Phase::Joining;
            self.post.send(&post(endpoint, &sid, "40"))?;
            self.is_posting = true;
        } else {
            for packet in body.split(|&byte| byte == SEPARATOR) {
                match (packet, self.phase) {
                    ([b'2', ..], _) => self.owes_pong = true,
                    ([b'4', b'0', ..], Phase::Joining) => self.phase = Phase::Idle,
                    ([b'4', b'2', ..], Phase::Away(since)) => self.phase = Phase::Back(since),
                    ([b'6', ..], _) => {}
                    _ => return Err(format!("not understood: {}", String::from_utf8_lossy(packet))),
                }
            }
        }
        self.get.send(&self.get_request)?;
        Ok(true)
    }

    /// Sends what is to be sent, unless a POST is under way.
    fn advance(&mut self, now: u64) -> Outcome<Option<u64>> {
        if self.is_posting {
            return Ok(None);
        }
        if std::mem::take(&mut self.owes_pong) {
            self.is_posting = true;
            self.post.send(&self.pong_request)?;
            return Ok(None);
        }
        let elapsed = match self.phase {
            Phase::Due => None,
            Phase::Back(since) => Some(now - since),
            _ => return Ok(None),
        };
        self.phase = Phase::Away(now);
        self.is_posting = true;
        self.post.send(&self.event_request)?;
        Ok(elapsed)
    }
}

fn get(endpoint: &Endpoint, sid: &str) -> Vec<u8> {
    format!("GET {} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n\r\n", target(endpoint, sid), endpoint.port)
        .into_bytes()
}

fn post(endpoint: &Endpoint, sid: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: text/plain;charset=UTF-8\r\n\
         Content-Length: {}\r\n\r\n{body}",
        target(endpoint, sid),
        endpoint.port,
        body.len()
    )
    .into_bytes()
}

fn target(endpoint: &Endpoint, sid: &str) -> String {
    let session = if sid.is_empty() { String::new() } else { format!("&sid={sid}") };
    format!("{}?EIO=4&transport=polling{session}", endpoint.path)
}

/// The sid in an open packet: `0{"sid":"…",…}`.
fn session_id(body: &[u8]) -> Outcome<String> {
    const NAME: &str = "\"sid\":\"";
    let text = String::from_utf8_lossy(body);
    text.find(NAME)
        .and_then(|at| text[at + NAME.len()..].split('"').next())
        .map(str::to_owned)
        .ok_or_else(|| format!("no open packet: {text}"))
}
