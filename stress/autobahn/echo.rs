//! The echo server that the Autobahn testsuite examines: a worker with everything that it is in the addon (its thread,
//! descriptors, frames, outboxes, close handshake, compression), to which messages are the application's as they are.
//!
//! What JavaScript does otherwise is done here: the upgrade request is answered, events are taken from the inbox and
//! answered with batches of operations. It prints the port that it listens on, and runs until its input ends.

use std::collections::HashMap;
use std::error::Error;
use std::io::Read;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::mpsc::{channel, Sender};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sockeye::internals::command::{
    Command, OpBatch, Open, Takeover, COMPRESS, FRAME, HAS_BUFFERS, NO_TEXT, SEND,
};
use sockeye::internals::engine_io::Protocol;
use sockeye::internals::event::{EventBatch, Inbox, Kind};
use sockeye::internals::ids::{ConnectionId, StreamId};
use sockeye::internals::options::Options;
use sockeye::internals::road::Road;
use sockeye::internals::websocket::deflate::Parameters;
use sockeye::internals::websocket::frame::{CLOSE, FINAL};
use sockeye::internals::websocket::switching_protocols;
use sockeye::internals::{WorkerHandle, LONGEST_WAIT};

/// The suite sends messages of 16 MiB.
const MAX_PAYLOAD: usize = 64 << 20;

/// And of 4 MiB in fragments of 64 bytes.
const MAX_FRAGMENTS: u32 = 1 << 20;

/// An upgrade request has to be here by then.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// What the package compresses with unless told otherwise.
const LEVEL: u8 = 6;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What the main thread is told.
enum News {
    /// A client, whose request was answered thus, and what came behind the request.
    Client { stream: TcpStream, answer: Answer, head: Vec<u8> },
    /// Events wait.
    Events,
    /// Nobody needs this server any more.
    End,
}

/// The answer to an upgrade request.
struct Answer {
    response: String,
    deflate: Option<Parameters>,
}

fn main() -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    println!("{}", listener.local_addr()?.port());
    let (news, incoming) = channel();
    let accepting = news.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let news = accepting.clone();
            std::thread::spawn(move || greet(stream, &news));
        }
    });
    let input = news.clone();
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        let _ = input.send(News::End);
    });
    let mut echo = Echo::new(news);
    for news in incoming {
        match news {
            News::Client { stream, answer, head } => echo.open(stream, answer, head)?,
            News::Events => echo.drain()?,
            News::End => break,
        }
    }
    Ok(())
}

/// Reads a request, and hands the client over with the answer. Whoever asks for something else is hung up on.
fn greet(mut stream: TcpStream, news: &Sender<News>) {
    if let Ok(Some((answer, head))) = read_request(&mut stream) {
        let _ = news.send(News::Client { stream, answer, head });
    }
}

fn read_request(stream: &mut TcpStream) -> Result<Option<(Answer, Vec<u8>)>> {
    stream.set_read_timeout(Some(REQUEST_TIMEOUT))?;
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let length = stream.read(&mut buffer)?;
        bytes.extend_from_slice(&buffer[..length]);
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut request = httparse::Request::new(&mut headers);
        if let httparse::Status::Complete(end) = request.parse(&bytes).map_err(|error| error.to_string())? {
            let value = |name: &str| {
                let header = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
                header.and_then(|header| std::str::from_utf8(header.value).ok())
            };
            let Some(key) = value("sec-websocket-key") else { return Ok(None) };
            let answer = answer(key, value("sec-websocket-extensions").unwrap_or_default());
            return Ok(Some((answer, bytes[end..].to_vec())));
        }
        if length == 0 {
            return Ok(None);
        }
    }
}

/// Answers a request with this key, which offers these extensions.
fn answer(key: &str, offers: &str) -> Answer {
    let mut response = switching_protocols(key);
    let agreement = offers.split(',').find_map(agree);
    if let Some((parameters, _)) = &agreement {
        response.push_str("\r\nSec-WebSocket-Extensions: ");
        response.push_str(parameters);
    }
    response.push_str("\r\n\r\n");
    Answer { response, deflate: agreement.map(|(_, deflate)| deflate) }
}

/// Agrees to an offer of permessage-deflate as ws does in the package with no settings of its own: what the client asks of
/// us it gets, what it would let us ask of it we do not ask for. The parameters as they are answered, and what they mean.
fn agree(offer: &str) -> Option<(String, Parameters)> {
    let mut parts = offer.split(';').map(str::trim);
    if parts.next()? != "permessage-deflate" {
        return None;
    }
    let mut deflate = Parameters {
        server_no_context_takeover: false,
        client_no_context_takeover: false,
        server_max_window_bits: 15,
        client_max_window_bits: 15,
        level: LEVEL,
        threshold: 0,
    };
    let mut answered = vec!["permessage-deflate"];
    for part in parts {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let bits = || value.trim_matches('"').parse().ok().filter(|bits| (9..=15).contains(bits));
        match name {
            "server_no_context_takeover" => deflate.server_no_context_takeover = true,
            "client_no_context_takeover" => deflate.client_no_context_takeover = true,
            "server_max_window_bits" => deflate.server_max_window_bits = bits()?,
            // it may be told how large a window to use
            "client_max_window_bits" if value.is_empty() => continue,
            "client_max_window_bits" => deflate.client_max_window_bits = bits()?,
            _ => return None,
        }
        answered.push(part);
    }
    Some((answered.join("; "), deflate))
}

/// The application, with one worker.
struct Echo {
    worker: WorkerHandle,
    inbox: Arc<Inbox>,
    /// How many clients there have been: each has a number of its own.
    clients: u32,
    /// Whether the frames of a client are compressed.
    is_compressed: HashMap<u32, bool>,
}

impl Echo {
    fn new(news: Sender<News>) -> Echo {
        let never = Duration::from_secs(u64::from(u32::MAX));
        let options = Arc::new(Options {
            ping_interval: never,
            ping_timeout: never,
            max_payload: MAX_PAYLOAD,
            max_fragments: MAX_FRAGMENTS,
            parse_packets: false,
            ..Options::default()
        });
        let wake = Box::new(move || {
            let _ = news.send(News::Events);
        });
        let inbox = Arc::new(Inbox::new(options.max_backlog, wake));
        let worker = WorkerHandle::new(0, 1, options, inbox.clone(), Arc::<Road>::default());
        Echo { worker, inbox, clients: 0, is_compressed: HashMap::new() }
    }

    fn open(&mut self, stream: TcpStream, answer: Answer, head: Vec<u8>) -> Result<()> {
        let client = self.clients;
        self.clients += 1;
        self.is_compressed.insert(client, answer.deflate.is_some());
        stream.set_nonblocking(true)?;
        // as Node does for every connection that is taken over
        stream.set_nodelay(true)?;
        let takeover = Takeover {
            protocol: Protocol::Raw,
            stream: StreamId::from_word(client),
            fd: Some(stream.into()),
            layer: None,
            response: answer.response,
            deflate: answer.deflate,
            head,
        };
        self.worker.push(Command::Open(Box::new(Open {
            connection: ConnectionId::from_word(client),
            protocol: Protocol::Raw,
            takeover: Some(takeover),
            handshake: String::new(),
            initial: None,
            traveller: None,
        })))?;
        Ok(())
    }

    /// Takes what has happened, and sends every message back.
    fn drain(&mut self) -> Result<()> {
        while let Some((batch, resumes)) = self.inbox.take() {
            if resumes {
                self.worker.push(Command::Resume)?;
            }
            self.answer(batch)?;
        }
        Ok(())
    }

    fn answer(&mut self, batch: EventBatch) -> Result<()> {
        let (mut words, mut buffers) = (batch.words.into_iter(), batch.buffers.into_iter());
        let mut text = batch.text.as_str();
        let mut operations = Operations::default();
        while let (Some(first), Some(subject)) = (words.next(), words.next()) {
            let mut cut = || {
                let length = bytes_of_units(text, words.next().unwrap_or(0));
                let piece = &text[..length];
                text = &text[length..];
                piece
            };
            let flags = match self.is_compressed.get(&subject) {
                Some(true) => u32::from(COMPRESS) << 8,
                _ => 0,
            };
            match first & 0xff {
                kind if kind == Kind::Text as u32 => operations.send_text(subject, flags, cut()),
                kind if kind == Kind::Binary as u32 => {
                    operations.send_binary(subject, flags, buffers.next().unwrap_or_default());
                }
                kind if kind == Kind::Closed as u32 => {
                    // both lengths stand in front of the texts
                    let lengths = [words.next(), words.next()].map(Option::unwrap_or_default);
                    text = &text[bytes_of_units(text, lengths[0] + lengths[1])..];
                    self.is_compressed.remove(&subject);
                }
                kind if kind == Kind::Frame as u32 => {
                    let payload = buffers.next().unwrap_or_default();
                    // as ws answers: with the status, if there is one, and the reason
                    if (first >> 8) as u8 == CLOSE {
                        operations.close(subject, payload);
                    }
                }
                kind if kind == Kind::Violation as u32 => {
                    cut();
                    operations.close(subject, ((first >> 16) as u16).to_be_bytes().to_vec());
                }
                kind if kind == Kind::Released as u32 => {}
                kind => return Err(format!("an event of kind {kind}").into()),
            }
        }
        if !operations.words.is_empty() {
            let Operations { words, text, buffers, places } = operations;
            self.worker.push(Command::Batch(Arc::new(OpBatch::new(&words, text, &buffers, &places))))?;
            self.worker.wait_until_caught_up(Instant::now() + LONGEST_WAIT);
        }
        Ok(())
    }
}

/// A batch of operations in the making, as `lib/native/commands.js` makes them.
#[derive(Default)]
struct Operations {
    words: Vec<u32>,
    text: String,
    buffers: Vec<Bytes>,
    places: Vec<u32>,
}

impl Operations {
    fn send_text(&mut self, client: u32, flags: u32, text: &str) {
        self.words.extend([SEND | flags, client, text.encode_utf16().count() as u32]);
        self.text.push_str(text);
    }

    fn close(&mut self, client: u32, payload: Vec<u8>) {
        let first = FRAME | u32::from(FINAL | CLOSE) << 8;
        self.add_buffer(first, client, payload);
    }

    fn send_binary(&mut self, client: u32, flags: u32, data: Vec<u8>) {
        self.add_buffer(SEND | flags, client, data);
    }

    fn add_buffer(&mut self, first: u32, client: u32, data: Vec<u8>) {
        self.words.extend([first | HAS_BUFFERS, client, NO_TEXT, 1]);
        self.places.push(self.buffers.len() as u32);
        self.buffers.push(Bytes::from(data));
    }
}

/// How many bytes the first `units` UTF-16 units of a text take.
fn bytes_of_units(text: &str, units: u32) -> usize {
    let mut left = units as usize;
    let end = text.char_indices().find(|(_, character)| {
        let is_behind = left == 0;
        left = left.saturating_sub(character.len_utf16());
        is_behind
    });
    end.map_or(text.len(), |(at, _)| at)
}
