//! One connection that requests are sent on, and whose answers have a Content-Length.

use crate::dial::dial;
use crate::Outcome;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use std::io::{ErrorKind, Read, Write};

pub struct HttpConnection {
    stream: TcpStream,
    unsent: Vec<u8>,
    received: Vec<u8>,
    /// Of the bytes received, those of the answer that was returned last.
    consumed: usize,
}

impl HttpConnection {
    pub fn new(registry: &Registry, port: u16, index: usize) -> Outcome<HttpConnection> {
        let mut stream = dial(port, index)?;
        registry
            .register(&mut stream, Token(index), Interest::READABLE | Interest::WRITABLE)
            .map_err(|error| error.to_string())?;
        Ok(HttpConnection { stream, unsent: Vec::new(), received: Vec::new(), consumed: 0 })
    }

    /// What the kernel does not take waits until it is writable.
    pub fn send(&mut self, bytes: &[u8]) -> Outcome<()> {
        self.unsent.extend_from_slice(bytes);
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(length) => drop(self.unsent.drain(..length)),
                // not connected yet is no failure, either
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => {
                    break
                }
                Err(error) => return Err(format!("a connection broke: {error}")),
            }
        }
        Ok(())
    }

    pub fn on_writable(&mut self) -> Outcome<()> {
        if self.unsent.is_empty() {
            return Ok(());
        }
        self.send(b"")
    }

    /// Takes what has come, all of it.
    pub fn on_readable(&mut self, scratch: &mut [u8]) -> Outcome<()> {
        loop {
            match self.stream.read(scratch) {
                Ok(0) => return Err("the server has closed a connection".into()),
                Ok(length) => {
                    self.received.extend_from_slice(&scratch[..length]);
                    if length < scratch.len() {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(format!("a connection broke: {error}")),
            }
        }
    }

    /// The body of the next answer that is complete.
    pub fn next_body(&mut self) -> Outcome<Option<&[u8]>> {
        self.received.drain(..std::mem::take(&mut self.consumed));
        let Some(head) = self.received.windows(4).position(|bytes| bytes == b"\r\n\r\n").map(|at| at + 4)
        else {
            return Ok(None);
        };
        let length = content_length(&self.received[..head])?;
        if self.received.len() < head + length {
            return Ok(None);
        }
        self.consumed = head + length;
        Ok(Some(&self.received[head..head + length]))
    }
}

fn content_length(head: &[u8]) -> Outcome<usize> {
    const NAME: &[u8] = b"\r\ncontent-length:";
    if !head.starts_with(b"HTTP/1.1 200") {
        let line = head.split(|&byte| byte == b'\r').next().unwrap_or_default();
        return Err(format!("the server answers a poll with {}", String::from_utf8_lossy(line)));
    }
    head.windows(NAME.len())
        .position(|bytes| bytes.eq_ignore_ascii_case(NAME))
        .and_then(|at| head[at + NAME.len()..].split(|&byte| byte == b'\r').next())
        .and_then(|value| std::str::from_utf8(value).ok()?.trim().parse().ok())
        .ok_or_else(|| "the server answers a poll without Content-Length".into())
}
