//! The bytes of a connection, as its client means them: those of a descriptor, or those of a TLS session over one.

use std::cell::RefCell;
use std::io::{self, ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll};

use socket2::Socket;
use tokio::io::unix::AsyncFdReadyGuard;

use super::READ_BUFFER;
use crate::os::fd::FdStream;
use crate::protocol::tls::hello::Hello;
use crate::protocol::tls::session::{Facts, Failure, Session};
use crate::protocol::tls::terms::Terms;

/// Plain bytes that one write encrypts at the most.
const LARGEST_WRITE: usize = 64 << 10;

/// What a connection's bytes come from and go to.
#[derive(Debug)]
pub struct Wire {
    fd: FdStream,
    /// What is between the descriptor and who reads and writes, if anything is.
    layer: RefCell<Option<Box<Layer>>>,
}

/// A TLS session, and what waits on its way in and out.
#[derive(Debug)]
pub struct Layer {
    session: Session,
    /// What has been decrypted, and not been read.
    plain: Vec<u8>,
    /// What has been encrypted, and not been written.
    unsent: Vec<u8>,
    failure: Option<Failure>,
}

/// What a read has brought.
#[derive(Debug, Clone, Copy)]
pub struct Got {
    /// So many bytes; none: there will be no more.
    pub length: usize,
    /// Whether that was all that had come.
    pub is_all: bool,
}

/// How far a handshake has come.
#[derive(Debug)]
pub enum Handshake {
    /// It takes more of the client.
    UnderWay,
    /// To its end.
    Established,
    /// The client has hung up.
    Ended,
    /// The connection has failed.
    Reset,
    /// The client has been told what is wrong.
    Failed(Failure),
}

/// Room for what is under way within one call; each thread has one.
struct Scratch {
    incoming: Vec<u8>,
    plain: Vec<u8>,
    out: Vec<u8>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> =
        const { RefCell::new(Scratch { incoming: Vec::new(), plain: Vec::new(), out: Vec::new() }) };
}

fn with_scratch<T>(work: impl FnOnce(&mut Scratch) -> T) -> T {
    SCRATCH.with_borrow_mut(|scratch| {
        scratch.incoming.resize(READ_BUFFER, 0);
        scratch.plain.clear();
        scratch.out.clear();
        work(scratch)
    })
}

impl Layer {
    /// A session with a client that offers this, of which nothing has been read.
    pub fn new(terms: &Terms, hello: &Hello) -> Option<Layer> {
        let session = Session::new(terms, hello)?;
        Some(Layer { session, plain: Vec::new(), unsent: Vec::new(), failure: None })
    }

    /// What is known of the session, once it is established.
    pub fn facts(&self) -> Option<Facts> {
        self.session.facts()
    }

    /// Encrypted bytes have come. Returns what they say, with what was there before; `out`: what is to be sent because of
    /// them. `None`: nothing that comes can be understood any more.
    pub fn receive(&mut self, bytes: &mut [u8], out: &mut Vec<u8>) -> Option<Vec<u8>> {
        out.append(&mut self.unsent);
        if let Err(failure) = self.session.receive(bytes, &mut self.plain, out) {
            self.failure = Some(failure);
        }
        if self.failure.is_some() && self.plain.is_empty() {
            return None;
        }
        Some(std::mem::take(&mut self.plain))
    }

    /// Whether the client has said that nothing more will come.
    pub fn is_ended(&self) -> bool {
        self.session.is_ended()
    }

    /// Appends to `out` what is to be sent to say these bytes. Returns whether it can be said.
    pub fn send(&mut self, plain: &[u8], out: &mut Vec<u8>) -> bool {
        out.append(&mut self.unsent);
        self.session.send(plain, out).is_ok()
    }

    /// Appends to `out` what says that nothing more will be said.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        out.append(&mut self.unsent);
        self.session.finish(out);
    }

    /// Whether nothing more will be understood: the client has said so, or has sent what is none of the session.
    fn is_over(&self) -> bool {
        self.failure.is_some() || self.session.is_ended()
    }

    /// Whether nothing is on its way in or out that somebody else would have to see to.
    pub fn is_clear(&self) -> bool {
        self.plain.is_empty() && self.unsent.is_empty() && self.failure.is_none()
    }

    /// Writes what has been encrypted, as far as there is room.
    fn push(&mut self, fd: &FdStream) -> io::Result<()> {
        while !self.unsent.is_empty() {
            match fd.write(&[IoSlice::new(&self.unsent)]) {
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.unsent = Vec::new();
        Ok(())
    }

    /// Writes what has just been encrypted, and keeps what there is no room for.
    fn push_or_keep(&mut self, fd: &FdStream, out: &[u8]) -> io::Result<()> {
        let count = if !self.unsent.is_empty() {
            0
        } else {
            match fd.write(&[IoSlice::new(out)]) {
                Ok(count) => count,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => 0,
                Err(error) => return Err(error),
            }
        };
        self.unsent.extend_from_slice(&out[count..]);
        Ok(())
    }

    /// Reads what has come, once. Appends it to `scratch.plain`. Returns what `read` does of the encrypted bytes.
    fn pull(&mut self, fd: &FdStream, scratch: &mut Scratch) -> io::Result<Got> {
        let room = scratch.incoming.len();
        let length = fd.read(&mut scratch.incoming)?;
        if length > 0 {
            let result =
                self.session.receive(&mut scratch.incoming[..length], &mut scratch.plain, &mut scratch.out);
            // who cannot be written to will be noticed by who writes
            let _ = self.push_or_keep(fd, &scratch.out);
            scratch.out.clear();
            self.failure = self.failure.or(result.err());
        }
        Ok(Got { length, is_all: length < room })
    }

    /// Reads until there is as much as that, or no more.
    fn fill(&mut self, fd: &FdStream, enough: usize) -> io::Result<()> {
        with_scratch(|scratch| {
            std::mem::swap(&mut scratch.plain, &mut self.plain);
            let mut result = Ok(());
            while scratch.plain.len() < enough && !self.is_over() {
                match self.pull(fd, scratch) {
                    Ok(Got { length: 0, .. }) => {
                        result = Err(ErrorKind::UnexpectedEof.into());
                        break;
                    }
                    Ok(Got { is_all: true, .. }) => {
                        result = Err(ErrorKind::WouldBlock.into());
                        break;
                    }
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => {
                        result = Err(error);
                        break;
                    }
                }
            }
            std::mem::swap(&mut scratch.plain, &mut self.plain);
            result
        })
    }

    /// What reading comes to when there is nothing to be read; `result`: of the last attempt.
    fn outcome(&self, result: io::Result<()>) -> io::Result<usize> {
        if self.failure.is_some() {
            return Err(ErrorKind::InvalidData.into());
        }
        match result {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(0),
            _ if self.session.is_ended() => Ok(0),
            Err(error) => Err(error),
            Ok(()) => Err(ErrorKind::WouldBlock.into()),
        }
    }

    /// Reads what is there, as far as there is room, and hands it to `put`.
    fn read(&mut self, fd: &FdStream, room: usize, put: impl FnOnce(&[u8])) -> io::Result<Got> {
        if !self.plain.is_empty() {
            let length = self.plain.len().min(room);
            put(&self.plain[..length]);
            self.consume(length);
            return Ok(Got { length, is_all: false });
        }
        with_scratch(|scratch| loop {
            if self.is_over() {
                return self.outcome(Ok(())).map(|length| Got { length, is_all: true });
            }
            let got = self.pull(fd, scratch)?;
            let length = scratch.plain.len().min(room);
            if length > 0 {
                put(&scratch.plain[..length]);
                self.plain.extend_from_slice(&scratch.plain[length..]);
                let is_all = got.is_all && self.plain.is_empty() && !self.is_over();
                return Ok(Got { length, is_all });
            }
            if got.length == 0 {
                return Ok(got);
            }
            if got.is_all && !self.is_over() {
                return Err(ErrorKind::WouldBlock.into());
            }
        })
    }

    fn peek(&mut self, fd: &FdStream, buffer: &mut [u8]) -> io::Result<usize> {
        let result = self.fill(fd, buffer.len());
        if self.plain.is_empty() {
            return self.outcome(result);
        }
        let length = self.plain.len().min(buffer.len());
        buffer[..length].copy_from_slice(&self.plain[..length]);
        Ok(length)
    }

    fn consume(&mut self, length: usize) {
        if length == self.plain.len() {
            self.plain = Vec::new();
        } else {
            self.plain.drain(..length);
        }
    }

    fn write(&mut self, fd: &FdStream, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.push(fd)?;
        with_scratch(|scratch| {
            let plain = match slices {
                [single] => &single[..single.len().min(LARGEST_WRITE)],
                several => {
                    for slice in several {
                        let room = LARGEST_WRITE - scratch.plain.len();
                        scratch.plain.extend_from_slice(&slice[..slice.len().min(room)]);
                    }
                    &scratch.plain[..]
                }
            };
            if plain.is_empty() {
                return Ok(0);
            }
            if self.session.send(plain, &mut scratch.out).is_err() {
                return Err(ErrorKind::BrokenPipe.into());
            }
            self.push_or_keep(fd, &scratch.out)?;
            Ok(plain.len())
        })
    }
}

impl Wire {
    /// The bytes of a descriptor, see `FdStream::register`; `layer`: of the session that is established over it.
    ///
    /// # Errors
    /// As for `FdStream::register`.
    pub fn register(fd: OwnedFd, layer: Option<Box<Layer>>) -> io::Result<Wire> {
        Ok(Wire { fd: FdStream::register(fd)?, layer: RefCell::new(layer) })
    }

    /// Puts a session in between.
    pub fn secure(&self, layer: Layer) {
        *self.layer.borrow_mut() = Some(Box::new(layer));
    }

    /// Takes the session away, for somebody else to go on with.
    pub fn take_layer(&self) -> Option<Box<Layer>> {
        self.layer.take()
    }

    /// What is known of the session in between.
    pub fn facts(&self) -> Option<Facts> {
        self.layer.borrow().as_ref()?.facts()
    }

    /// Whether the session in between is of version 1.3, as soon as that is agreed on.
    pub fn is_1_3(&self) -> Option<bool> {
        self.layer.borrow().as_ref()?.session.is_1_3()
    }

    /// Goes on with a handshake.
    pub fn shake(&self) -> Handshake {
        let mut layer = self.layer.borrow_mut();
        let Some(layer) = layer.as_mut() else { return Handshake::Established };
        let result = layer.fill(&self.fd, 1);
        match (layer.failure, result) {
            (Some(failure), _) => Handshake::Failed(failure),
            _ if layer.session.is_established() => Handshake::Established,
            (None, Err(error)) if error.kind() == ErrorKind::WouldBlock => Handshake::UnderWay,
            (None, Ok(())) if !layer.session.is_ended() => Handshake::UnderWay,
            (None, Err(error)) if error.kind() != ErrorKind::UnexpectedEof => Handshake::Reset,
            (None, _) => Handshake::Ended,
        }
    }

    /// See `FdStream::readable`.
    ///
    /// # Errors
    /// As there.
    pub async fn readable(&self) -> io::Result<AsyncFdReadyGuard<'_, Socket>> {
        self.fd.readable().await
    }

    /// See `FdStream::poll_readable`.
    ///
    /// # Errors
    /// As there.
    pub fn poll_readable(
        &self,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<AsyncFdReadyGuard<'_, Socket>>> {
        self.fd.poll_readable(context)
    }

    /// See `FdStream::writable`.
    ///
    /// # Errors
    /// As there.
    pub async fn writable(&self) -> io::Result<AsyncFdReadyGuard<'_, Socket>> {
        self.fd.writable().await
    }

    /// Reads what is there.
    ///
    /// # Errors
    /// `WouldBlock` when there is nothing, `InvalidData` when it cannot be decrypted, or what the kernel reports.
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<Got> {
        if let Some(layer) = self.layer.borrow_mut().as_mut() {
            return layer.read(&self.fd, buffer.len(), |bytes| buffer[..bytes.len()].copy_from_slice(bytes));
        }
        let length = self.fd.read(buffer)?;
        Ok(Got { length, is_all: length < buffer.len() })
    }

    /// Reads what is there onto the end of `buffer`, `most` bytes at the most.
    ///
    /// # Errors
    /// As for `read`.
    pub fn read_onto(&self, buffer: &mut Vec<u8>, most: usize) -> io::Result<Got> {
        if let Some(layer) = self.layer.borrow_mut().as_mut() {
            return layer.read(&self.fd, most, |bytes| buffer.extend_from_slice(bytes));
        }
        let length = self.fd.read_onto(buffer, most)?;
        Ok(Got { length, is_all: length < most })
    }

    /// Reads what is there and leaves it there; 0 means that the peer has finished.
    ///
    /// # Errors
    /// As for `read`.
    pub fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.layer.borrow_mut().as_mut() {
            Some(layer) => layer.peek(&self.fd, buffer),
            None => self.fd.peek(buffer),
        }
    }

    /// The encrypted bytes alike, whether or not there is a session.
    ///
    /// # Errors
    /// As for `read`.
    pub fn peek_below(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.fd.peek(buffer)
    }

    /// Throws away the next `length` bytes, which have been peeked at.
    ///
    /// # Errors
    /// `UnexpectedEof` when there are fewer, or what the kernel reports.
    pub fn skip(&self, length: usize, buffer: &mut [u8]) -> io::Result<()> {
        match self.layer.borrow_mut().as_mut() {
            None => self.fd.skip(length, buffer),
            Some(layer) if layer.plain.len() < length => Err(ErrorKind::UnexpectedEof.into()),
            Some(layer) => {
                layer.consume(length);
                Ok(())
            }
        }
    }

    /// Whether there is something to be read of which the descriptor does not tell: it has been decrypted.
    pub fn has_unread(&self) -> bool {
        self.layer.borrow().as_ref().is_some_and(|layer| !layer.plain.is_empty())
    }

    /// See `FdStream::is_hung_up`.
    pub fn is_hung_up(&self) -> bool {
        self.fd.is_hung_up()
    }

    /// Whether the client has said that nothing more will come, though its connection may still be open.
    pub fn is_ended(&self) -> bool {
        self.layer.borrow().as_ref().is_some_and(|layer| layer.is_ended() && layer.plain.is_empty())
    }

    /// See `FdStream::addresses`.
    pub fn addresses(&self) -> Option<(SocketAddr, SocketAddr)> {
        self.fd.addresses()
    }

    /// See `FdStream::send_without_delay`.
    pub fn send_without_delay(&self) {
        self.fd.send_without_delay();
    }

    /// Writes as much as there is room for; without anything to write, what an earlier call has taken and not written.
    ///
    /// # Errors
    /// `WouldBlock` when there is no room, or what the kernel reports.
    pub fn write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self.layer.borrow_mut().as_mut() {
            Some(layer) => layer.write(&self.fd, slices),
            None => self.fd.write(slices),
        }
    }

    /// Bytes that `write` has taken and not written.
    pub fn unsent(&self) -> usize {
        self.layer.borrow().as_ref().map_or(0, |layer| layer.unsent.len())
    }

    /// Says that nothing more will be said; reading goes on.
    pub fn finish(&self) {
        if let Some(layer) = self.layer.borrow_mut().as_mut() {
            with_scratch(|scratch| {
                layer.session.finish(&mut scratch.out);
                // who does not read will not miss it
                let _ = layer.push_or_keep(&self.fd, &scratch.out);
            });
        }
        self.fd.finish();
    }

    /// See `FdStream::failing`.
    #[cfg(test)]
    pub fn failing(&self) -> &std::cell::Cell<u32> {
        &self.fd.failing
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::protocol::tls::simulation::{terms, Client};

    /// Both sides of a session over a pair of sockets.
    struct Pair {
        client: Client,
        socket: UnixStream,
        wire: Wire,
    }

    impl Pair {
        /// Runs a test with a session that is established.
        fn run(test: impl FnOnce(Pair)) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let (socket, ours) = UnixStream::pair().unwrap();
                for it in [&socket, &ours] {
                    it.set_nonblocking(true).unwrap();
                }
                let mut client = Client::new(true, true);
                let (hello, bytes) = client.hello();
                let wire = Wire::register(ours.into(), None).unwrap();
                wire.secure(Layer::new(&terms(|_| {}).unwrap(), &hello).unwrap());
                let mut pair = Pair { client, socket, wire };
                assert!(matches!(pair.wire.shake(), Handshake::UnderWay));
                pair.send(&bytes);
                assert!(matches!(pair.wire.shake(), Handshake::UnderWay));
                pair.receive();
                let bytes = pair.client.bytes();
                pair.send(&bytes);
                assert!(matches!(pair.wire.shake(), Handshake::Established));
                test(pair);
            });
        }

        fn send(&mut self, bytes: &[u8]) {
            self.socket.write_all(bytes).unwrap();
        }

        /// What has come for the client, as far as it is there.
        fn receive(&mut self) -> Vec<u8> {
            let mut bytes = Vec::new();
            let _ = self.socket.read_to_end(&mut bytes);
            self.client.receive(&bytes)
        }

        fn say(&mut self, plain: &[u8]) {
            let bytes = self.client.say(plain);
            self.send(&bytes);
        }
    }

    #[test]
    fn what_there_is_no_room_for_is_written_later() {
        Pair::run(|mut pair| {
            pair.receive();
            let text: Vec<u8> = (0..3_000_000_u32).map(|it| (it >> 3) as u8).collect();
            let (mut at, mut heard, mut waits) = (0, Vec::new(), 0);
            while at < text.len() {
                match pair.wire.write(&[IoSlice::new(&text[at..])]) {
                    Ok(count) => at += count,
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::WouldBlock);
                        assert!(pair.wire.unsent() > 0);
                        waits += 1;
                        heard.extend(pair.receive());
                    }
                }
            }
            assert!(waits > 3, "{waits} times without room");
            while pair.wire.unsent() > 0 {
                heard.extend(pair.receive());
                let _ = pair.wire.write(&[]);
            }
            heard.extend(pair.receive());
            assert!(heard == text, "{} bytes", heard.len());
        });
    }

    #[test]
    fn several_slices_are_written_as_one() {
        Pair::run(|mut pair| {
            pair.receive();
            assert_eq!(
                pair.wire.write(&[IoSlice::new(b"to"), IoSlice::new(b""), IoSlice::new(b"gether")]).unwrap(),
                8
            );
            assert_eq!(pair.receive(), b"together");
        });
    }

    #[test]
    fn what_is_peeked_at_stays() {
        Pair::run(|mut pair| {
            let mut buffer = [0; 100];
            assert_eq!(pair.wire.peek(&mut buffer).unwrap_err().kind(), ErrorKind::WouldBlock);
            pair.say(b"head, body");
            pair.say(b", more");
            assert_eq!(pair.wire.peek(&mut buffer[..4]).unwrap(), 4);
            assert_eq!(&buffer[..4], b"head");
            let length = pair.wire.peek(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], b"head, body, more");
            assert_eq!(pair.wire.skip(17, &mut [0; 100]).unwrap_err().kind(), ErrorKind::UnexpectedEof);
            pair.wire.skip(6, &mut [0; 100]).unwrap();
            let got = pair.wire.read(&mut buffer[..4]).unwrap();
            assert_eq!((got.length, &buffer[..4]), (4, &b"body"[..]));
            let mut rest = Vec::new();
            assert_eq!(pair.wire.read_onto(&mut rest, 100).unwrap().length, 6);
            assert_eq!(rest, b", more");
            assert_eq!(pair.wire.read(&mut buffer).unwrap_err().kind(), ErrorKind::WouldBlock);
        });
    }

    #[test]
    fn the_end_comes_behind_all_that_was_said() {
        Pair::run(|mut pair| {
            pair.say(b"last words");
            pair.client.0.send_close_notify();
            let bytes = pair.client.bytes();
            pair.send(&bytes);
            let mut buffer = [0; 4];
            assert_eq!(pair.wire.read(&mut buffer).unwrap().length, 4);
            assert!(!pair.wire.is_ended());
            let mut rest = Vec::new();
            while pair.wire.read_onto(&mut rest, 100).unwrap().length > 0 {}
            assert_eq!(rest, b" words");
            assert!(pair.wire.is_ended());
            assert_eq!(pair.wire.peek(&mut buffer).unwrap(), 0);
            pair.wire.finish();
            pair.receive();
            assert!(pair.client.0.process_new_packets().unwrap().peer_has_closed());
        });
    }

    #[test]
    fn a_client_that_hangs_up_or_talks_nonsense() {
        Pair::run(|mut pair| {
            pair.say(b"all");
            drop(pair.socket);
            let mut buffer = [0; 10];
            assert_eq!(pair.wire.read(&mut buffer).unwrap().length, 3);
            assert!(pair.wire.read(&mut buffer).map_or(true, |it| it.length == 0));
        });
        Pair::run(|mut pair| {
            pair.say(b"all");
            pair.send(&[
                23, 3, 3, 0, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20,
            ]);
            let mut buffer = [0; 10];
            assert_eq!(pair.wire.read(&mut buffer).unwrap().length, 3);
            assert_eq!(pair.wire.read(&mut buffer).unwrap_err().kind(), ErrorKind::InvalidData);
        });
    }
}
