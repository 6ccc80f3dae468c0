//! Bytes on their way to one client, in order, as far as the stream has not taken them yet.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Bytes;

/// Bytes that need not be copied, because several recipients share them or a buffer of its own holds them, are queued by
/// reference if there are at least this many.
pub const SHARE_FROM: usize = 8 << 10;

/// A buffer of more bytes than this is freed, not pooled.
const POOLED_CAPACITY: usize = 64 << 10;

/// Buffers that the pool keeps at most.
const POOLED_BUFFERS: usize = 1024;

/// Write buffers that lie ready for the next connection that has something to send.
#[derive(Debug, Default)]
pub struct Pool {
    buffers: Vec<Vec<u8>>,
}

impl Pool {
    fn take(&mut self) -> Vec<u8> {
        self.buffers.pop().unwrap_or_default()
    }

    fn give_back(&mut self, mut buffer: Vec<u8>) {
        if buffer.capacity() > 0
            && buffer.capacity() <= POOLED_CAPACITY
            && self.buffers.len() < POOLED_BUFFERS
        {
            buffer.clear();
            self.buffers.push(buffer);
        }
    }
}

/// A queue of bytes. An empty one owns no memory.
#[derive(Debug, Default)]
pub struct Outbox {
    /// The oldest bytes; nearly always the only ones.
    front: Vec<u8>,
    /// What follows `front`.
    rest: VecDeque<Segment>,
    /// How many bytes of `front`, or of the first segment if `front` is empty, are gone already.
    written: usize,
    queued: usize,
}

#[derive(Debug)]
enum Segment {
    Owned(Vec<u8>),
    Shared(Bytes),
}

impl Segment {
    fn bytes(&self) -> &[u8] {
        match self {
            Segment::Owned(bytes) => bytes,
            Segment::Shared(bytes) => bytes,
        }
    }
}

impl Outbox {
    /// Whether everything has been taken.
    pub fn is_empty(&self) -> bool {
        self.queued == 0
    }

    /// Bytes that wait.
    pub fn len(&self) -> usize {
        self.queued
    }

    /// Lets `write` append to the end of the queue.
    pub fn append(&mut self, pool: &mut Pool, write: impl FnOnce(&mut Vec<u8>)) {
        let tail = if self.rest.is_empty() {
            if self.front.capacity() == 0 {
                self.front = pool.take();
            }
            &mut self.front
        } else {
            if !matches!(self.rest.back(), Some(Segment::Owned(_))) {
                // often no more than a frame's header: for that, the pool's buffers are too large to wait with it
                self.rest.push_back(Segment::Owned(Vec::new()));
            }
            match self.rest.back_mut() {
                Some(Segment::Owned(tail)) => tail,
                _ => return,
            }
        };
        let before = tail.len();
        write(tail);
        self.queued += tail.len() - before;
    }

    /// Appends bytes without a copy.
    pub fn append_shared(&mut self, bytes: Bytes) {
        self.queued += bytes.len();
        self.rest.push_back(Segment::Shared(bytes));
    }

    /// Fills `slices` with the bytes that wait and returns how many slices it used.
    pub fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut count = 0;
        let mut skip = self.written;
        let segments = std::iter::once(self.front.as_slice()).chain(self.rest.iter().map(Segment::bytes));
        for bytes in segments.filter(|bytes| !bytes.is_empty()) {
            if count == slices.len() {
                break;
            }
            slices[count] = IoSlice::new(&bytes[skip..]);
            skip = 0;
            count += 1;
        }
        count
    }

    /// Forgets the first `taken` bytes.
    pub fn advance(&mut self, taken: usize, pool: &mut Pool) {
        self.queued -= taken;
        self.written += taken;
        if !self.front.is_empty() {
            if self.written < self.front.len() {
                return;
            }
            self.written -= self.front.len();
        }
        pool.give_back(std::mem::take(&mut self.front));
        while let Some(segment) = self.rest.front() {
            let length = segment.bytes().len();
            if self.written < length {
                return;
            }
            self.written -= length;
            if let Some(Segment::Owned(buffer)) = self.rest.pop_front() {
                pool.give_back(buffer);
            }
        }
        self.rest = VecDeque::new();
    }

    /// Takes everything that waits, as one piece.
    pub fn take(&mut self, pool: &mut Pool) -> Vec<u8> {
        let mut all = Vec::with_capacity(self.queued);
        let mut skip = self.written;
        let segments = std::iter::once(self.front.as_slice()).chain(self.rest.iter().map(Segment::bytes));
        for bytes in segments.filter(|bytes| !bytes.is_empty()) {
            all.extend_from_slice(&bytes[skip..]);
            skip = 0;
        }
        self.advance(self.queued, pool);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(outbox: &Outbox) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); 16];
        let count = outbox.slices(&mut slices);
        slices[..count].iter().flat_map(|slice| slice.to_vec()).collect()
    }

    #[test]
    fn keeps_order_across_owned_and_shared_segments() {
        let mut pool = Pool::default();
        for step in 1..=12 {
            let mut outbox = Outbox::default();
            outbox.append(&mut pool, |out| out.extend(b"abc"));
            outbox.append_shared(Bytes::from_static(b"defg"));
            outbox.append(&mut pool, |out| out.extend(b"hi"));
            outbox.append(&mut pool, |out| out.extend(b"j"));
            outbox.append_shared(Bytes::from_static(b"kl"));
            let mut seen = Vec::<u8>::new();
            while !outbox.is_empty() {
                let bytes = waiting(&outbox);
                assert_eq!(bytes.len(), outbox.len());
                let taken = step.min(bytes.len());
                seen.extend(&bytes[..taken]);
                outbox.advance(taken, &mut pool);
            }
            assert_eq!(seen, b"abcdefghijkl");
            assert_eq!(waiting(&outbox), b"");
        }
    }

    #[test]
    fn take_empties_the_queue() {
        let mut pool = Pool::default();
        let mut outbox = Outbox::default();
        outbox.append_shared(Bytes::from_static(b"ab"));
        outbox.append(&mut pool, |out| out.extend(b"cd"));
        outbox.advance(1, &mut pool);
        assert_eq!(outbox.take(&mut pool), b"bcd");
        assert!(outbox.is_empty());
        outbox.append(&mut pool, |out| out.extend(b"e"));
        assert_eq!(waiting(&outbox), b"e");
    }

    #[test]
    fn an_empty_queue_gives_its_buffer_back() {
        let mut pool = Pool::default();
        let mut outbox = Outbox::default();
        outbox.append(&mut pool, |out| out.extend(b"abc"));
        outbox.advance(3, &mut pool);
        assert_eq!(outbox.front.capacity(), 0);
        assert_eq!(pool.buffers.len(), 1);
    }
}
