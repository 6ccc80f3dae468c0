//! What is still to be written of the answer to a request.

use std::io::{ErrorKind, IoSlice, Result};

use super::wire::Wire;
use super::work::Work;
use crate::protocol::http::coding::Encoder;

/// Bytes from which on no more are compressed before these are written.
const ENOUGH: usize = 64 << 10;

/// An answer, or the rest of one.
pub(super) struct Answer {
    bytes: Vec<u8>,
    written: usize,
    /// The rest of its body.
    body: Option<Box<Encoder>>,
}

/// How far an answer has come.
pub(super) enum Progress {
    /// To its end.
    Done,
    /// There is no room for more.
    NoRoom,
    /// More of it has to be compressed, in another turn.
    Spent,
}

impl Answer {
    /// One that is complete.
    pub fn whole(bytes: Vec<u8>) -> Answer {
        Answer { bytes, written: 0, body: None }
    }

    /// One of which only the head is there.
    pub fn encoded(head: Vec<u8>, body: Encoder, work: &mut Work) -> Answer {
        let mut answer = Answer { bytes: head, written: 0, body: Some(Box::new(body)) };
        answer.compress(work);
        answer
    }

    /// Compresses another piece of the body. `false`: there is none.
    fn compress(&mut self, work: &mut Work) -> bool {
        let Some(body) = &mut self.body else { return false };
        work.compress(body.write_piece(&mut self.bytes));
        if body.is_done() {
            self.body = None;
        }
        true
    }

    /// Gives back what was written if that is at least half: what is moved is less than that.
    fn forget_written(&mut self) {
        if self.written >= self.bytes.len() / 2 {
            self.bytes.drain(..std::mem::take(&mut self.written));
            self.bytes.shrink_to(2 * self.bytes.len());
        }
    }

    /// Writes as much as there is room for, and time.
    pub fn write(&mut self, fd: &Wire, work: &mut Work) -> Result<Progress> {
        loop {
            while self.bytes.len() < ENOUGH && !work.is_spent() && self.compress(work) {}
            while self.written < self.bytes.len() {
                match fd.write(&[IoSlice::new(&self.bytes[self.written..])]) {
                    Ok(count) => self.written += count,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        self.forget_written();
                        return Ok(Progress::NoRoom);
                    }
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            self.bytes.clear();
            self.written = 0;
            if self.body.is_none() {
                return Ok(Progress::Done);
            }
            if work.is_spent() {
                return Ok(Progress::Spent);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::protocol::http::coding::Coding;

    #[test]
    fn a_large_body_is_compressed_piece_by_piece_as_there_is_room() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (mut socket, ours) = UnixStream::pair().unwrap();
            ours.set_nonblocking(true).unwrap();
            let wire = Wire::register(ours.into(), None).unwrap();
            // hardly smaller when it is compressed
            let mut state = 1u32;
            let mut next = || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                char::from(33 + (state >> 24) as u8 % 90)
            };
            let body: String = (0..2_000_000).map(|_| next()).collect();
            let mut work = Work::default();
            work.begin();
            let encoder = Encoder::new(Coding::Gzip, 1, body.clone());
            let mut answer = Answer::encoded(b"head".to_vec(), encoder, &mut work);
            let (mut received, mut waits) = (Vec::new(), 0);
            let mut buffer = vec![0; 1 << 20];
            loop {
                work.begin();
                match answer.write(&wire, &mut work).unwrap() {
                    Progress::Done => break,
                    Progress::Spent => {}
                    Progress::NoRoom => {
                        waits += 1;
                        let length = socket.read(&mut buffer).unwrap();
                        received.extend_from_slice(&buffer[..length]);
                    }
                }
                assert!(answer.bytes.len() < 8 * ENOUGH, "{} bytes wait", answer.bytes.len());
            }
            drop(wire);
            socket.read_to_end(&mut received).unwrap();
            assert!(waits > 1, "it fits into the socket");
            let mut expected = b"head".to_vec();
            let mut encoder = Encoder::new(Coding::Gzip, 1, body);
            while !encoder.is_done() {
                encoder.write_piece(&mut expected);
            }
            assert!(received == expected, "{} bytes, not {}", received.len(), expected.len());
        });
    }
}
