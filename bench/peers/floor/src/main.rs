//! The floor: the least that writes the bytes which a Socket.IO server would write, on one epoll thread. It takes frames
//! apart and answers them, and has nothing else: no rooms, no checks, no heartbeats, no limits. With the argument `raw`, it
//! speaks no Socket.IO: what comes goes back, or, if the environment variable MODE says `broadcast`, to all.

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use rustix::process::{getrlimit, setrlimit, Resource, Rlimit};
use std::io::{self, ErrorKind, Read, Write};

/// The answer to the one key that the load generator sends.
const UPGRADED: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
const OPEN: &[u8] =
    br#"0{"sid":"AAAAAAAAAAAAAAAAAAAA","upgrades":[],"pingInterval":25000,"pingTimeout":60000,"maxPayload":1000000}"#;
const JOINED: &[u8] = br#"40{"sid":"BBBBBBBBBBBBBBBBBBBB"}"#;

const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const LISTENER: Token = Token(usize::MAX);

/// What is done with messages.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    SocketIo,
    Echo,
    Broadcast,
}

impl Mode {
    fn read() -> Mode {
        if std::env::args().nth(1).as_deref() != Some("raw") {
            Mode::SocketIo
        } else if std::env::var("MODE").as_deref() == Ok("broadcast") {
            Mode::Broadcast
        } else {
            Mode::Echo
        }
    }
}

struct Client {
    stream: TcpStream,
    mode: Mode,
    is_upgraded: bool,
    /// An incomplete frame.
    received: Vec<u8>,
    /// What the kernel does not take yet.
    unsent: Vec<u8>,
}

/// What one turn of the loop sends.
struct Output {
    to_one: Vec<u8>,
    to_all: Vec<u8>,
}

fn main() -> io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?;

    let mode = Mode::read();
    let mut poll = Poll::new()?;
    let mut listener = TcpListener::bind(([127, 0, 0, 1], 0).into())?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    println!("{}", listener.local_addr()?.port());

    let mut events = Events::with_capacity(1024);
    let mut buffer = vec![0; 256 * 1024];
    let mut clients: Vec<Option<Client>> = Vec::new();
    let mut output = Output { to_one: Vec::new(), to_all: Vec::new() };
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            result => result?,
        }
        for event in &events {
            if event.token() == LISTENER {
                accept(&listener, &poll, &mut clients, mode)?;
                continue;
            }
            let slot = &mut clients[event.token().0];
            let Some(client) = slot else { continue };
            if client.serve(&mut buffer, &mut output).is_err() {
                *slot = None;
            }
        }
        if !output.to_all.is_empty() {
            for client in clients.iter_mut().flatten() {
                // who is gone is found out by reading
                client.send(&output.to_all).ok();
            }
            output.to_all.clear();
        }
    }
}

fn accept(
    listener: &TcpListener,
    poll: &Poll,
    clients: &mut Vec<Option<Client>>,
    mode: Mode,
) -> io::Result<()> {
    loop {
        let mut stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        stream.set_nodelay(true)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        poll.registry().register(&mut stream, Token(clients.len()), interest)?;
        clients.push(Some(Client {
            stream,
            mode,
            is_upgraded: false,
            received: Vec::new(),
            unsent: Vec::new(),
        }));
    }
}

impl Client {
    /// Writes what waits, reads what has come, answers. An error means that the client is gone.
    fn serve(&mut self, buffer: &mut [u8], output: &mut Output) -> io::Result<()> {
        if !self.unsent.is_empty() {
            let unsent = std::mem::take(&mut self.unsent);
            self.send(&unsent)?;
        }
        loop {
            let length = match self.stream.read(buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            self.take(&mut buffer[..length], output);
            if !output.to_one.is_empty() {
                self.send(&output.to_one)?;
                output.to_one.clear();
            }
            if length < buffer.len() {
                return Ok(());
            }
        }
    }

    fn send(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while self.unsent.is_empty() && !bytes.is_empty() {
            match self.stream.write(bytes) {
                Ok(length) => bytes = &bytes[length..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        self.unsent.extend_from_slice(bytes);
        Ok(())
    }

    fn take(&mut self, bytes: &mut [u8], output: &mut Output) {
        if self.received.is_empty() {
            let taken = self.take_complete(bytes, output);
            self.received.extend_from_slice(&bytes[taken..]);
        } else {
            let mut received = std::mem::take(&mut self.received);
            received.extend_from_slice(bytes);
            let taken = self.take_complete(&mut received, output);
            received.drain(..taken);
            self.received = received;
        }
    }

    /// Answers what is complete; returns how much that was.
    fn take_complete(&mut self, bytes: &mut [u8], output: &mut Output) -> usize {
        let mut taken = 0;
        if !self.is_upgraded {
            let Some(end) = bytes.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { return 0 };
            taken = end + 4;
            self.is_upgraded = true;
            output.to_one.extend_from_slice(UPGRADED);
            if self.mode == Mode::SocketIo {
                frame(&mut output.to_one, TEXT, &[OPEN]);
            }
        }
        while let Some((header, length)) = header(&bytes[taken..]) {
            let Some(payload) = bytes.get_mut(taken + header - 4..taken + header + length) else { break };
            let (mask, payload) = payload.split_at_mut(4);
            unmask(payload, [mask[0], mask[1], mask[2], mask[3]]);
            let (opcode, payload) = (bytes[taken], &bytes[taken + header..taken + header + length]);
            match self.mode {
                Mode::SocketIo => answer(opcode, payload, output),
                Mode::Echo => frame(&mut output.to_one, opcode, &[payload]),
                Mode::Broadcast => frame(&mut output.to_all, opcode, &[payload]),
            }
            taken += header + length;
        }
        taken
    }
}

fn answer(opcode: u8, payload: &[u8], output: &mut Output) {
    match (opcode, payload) {
        (BINARY, _) | (TEXT, [b'4', b'5', ..]) => frame(&mut output.to_one, opcode, &[payload]),
        (TEXT, b"40") => frame(&mut output.to_one, TEXT, &[JOINED]),
        (TEXT, [b'4', b'2', event @ ..]) => {
            if let Some(text) = event.strip_prefix(br#"["broadcast""#) {
                frame(&mut output.to_all, TEXT, &[br#"42["news""#, text]);
            } else if let Some(text) = event.strip_prefix(br#"7["ack","#) {
                frame(&mut output.to_one, TEXT, &[b"437[", text]);
            } else {
                frame(&mut output.to_one, TEXT, &[payload]);
            }
        }
        _ => {}
    }
}

fn frame(out: &mut Vec<u8>, opcode: u8, parts: &[&[u8]]) {
    out.push(opcode);
    match parts.iter().map(|part| part.len()).sum() {
        length @ 0..=125 => out.push(length as u8),
        length @ 126..=0xffff => {
            out.push(126);
            out.extend((length as u16).to_be_bytes());
        }
        length => {
            out.push(127);
            out.extend((length as u64).to_be_bytes());
        }
    }
    parts.iter().for_each(|part| out.extend_from_slice(part));
}

/// The lengths of a header, with its mask, and of the payload.
fn header(bytes: &[u8]) -> Option<(usize, usize)> {
    match bytes.get(1)? & 0x7f {
        126 => Some((8, u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?).into())),
        127 => Some((14, u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?) as usize)),
        length => Some((6, length.into())),
    }
}

fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let mask = u32::from_ne_bytes(mask);
    let mut words = payload.chunks_exact_mut(4);
    for word in &mut words {
        let unmasked = u32::from_ne_bytes([word[0], word[1], word[2], word[3]]) ^ mask;
        word.copy_from_slice(&unmasked.to_ne_bytes());
    }
    for (byte, mask) in words.into_remainder().iter_mut().zip(mask.to_ne_bytes()) {
        *byte ^= mask;
    }
}
