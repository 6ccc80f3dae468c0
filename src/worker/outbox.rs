//! Bytes on their way to one client, in order, as far as the stream has not taken them yet.

use std::collections::VecDeque;
#[cfg(any(unix, test))]
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

/// From this many bytes on, those that were written are given back although others still wait behind them.
const COMPACT_FROM: usize = 16 << 10;

/// A list of so many segments is not worth being made shorter.
const FEW_SEGMENTS: usize = 64;

/// A queue of bytes. An empty one owns no memory.
#[derive(Debug, Default)]
pub struct Outbox {
    /// The oldest bytes; nearly always the only ones.
    front: Vec<u8>,
    /// What follows `front`.
    rest: VecDeque<Segment>,
    /// How many bytes of `front`, or of the first segment if `front` is empty, are gone already. That segment is shared
    /// then: an owned one becomes `front` when it is the oldest.
    written: usize,
    queued: usize,
    /// Whether nothing is taken in any more.
    sealed: bool,
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

    /// Whether nothing waits and something may: what is next can as well be written past the queue.
    #[cfg(unix)]
    pub fn can_be_passed(&self) -> bool {
        self.queued == 0 && !self.sealed
    }

    /// Bytes that wait.
    pub fn len(&self) -> usize {
        self.queued
    }

    /// Lets `write` append to the end of the queue.
    pub fn append(&mut self, pool: &mut Pool, write: impl FnOnce(&mut Vec<u8>)) {
        if self.sealed {
            return;
        }
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
        if self.sealed {
            return;
        }
        self.queued += bytes.len();
        self.rest.push_back(Segment::Shared(bytes));
    }

    /// Fills `slices` with the bytes that wait and returns how many slices it used.
    #[cfg(any(unix, test))]
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

    /// Forgets the first `taken` bytes, and gives back what they took.
    pub fn advance(&mut self, taken: usize, pool: &mut Pool) {
        self.queued -= taken;
        self.written += taken;
        loop {
            if !self.front.is_empty() {
                if self.written < self.front.len() {
                    return self.compact();
                }
                self.written -= self.front.len();
            }
            pool.give_back(std::mem::take(&mut self.front));
            match self.rest.pop_front() {
                None => break,
                Some(Segment::Owned(bytes)) => self.front = bytes,
                Some(Segment::Shared(bytes)) if self.written < bytes.len() => {
                    self.rest.push_front(Segment::Shared(bytes));
                    return self.compact();
                }
                Some(Segment::Shared(bytes)) => self.written -= bytes.len(),
            }
        }
        self.rest = VecDeque::new();
    }

    /// Gives back what was written although something waits behind it: a client that always leaves a little would have
    /// us keep all that was ever sent to it. What is moved is less than what was written since the last time.
    fn compact(&mut self) {
        if self.written >= COMPACT_FROM && self.written >= self.front.len() / 2 && !self.front.is_empty() {
            self.front.drain(..self.written);
            self.written = 0;
            if self.front.capacity() > POOLED_CAPACITY.max(4 * self.front.len()) {
                self.front.shrink_to(2 * self.front.len());
            }
        }
        if self.rest.capacity() > FEW_SEGMENTS.max(4 * self.rest.len()) {
            self.rest.shrink_to(2 * self.rest.len());
        }
    }

    /// What waits, in pieces that can be shared.
    pub fn into_pieces(self) -> Vec<Bytes> {
        let rest = self.rest.into_iter().map(|segment| match segment {
            Segment::Owned(bytes) => Bytes::from(bytes),
            Segment::Shared(bytes) => bytes,
        });
        let mut pieces: Vec<Bytes> = std::iter::once(Bytes::from(self.front)).chain(rest).collect();
        if let Some(cut) = pieces.iter_mut().find(|piece| !piece.is_empty()) {
            *cut = cut.slice(self.written..);
        }
        pieces.retain(|piece| !piece.is_empty());
        pieces
    }

    /// Throws away what waits, and whatever is still to come: the stream has failed, perhaps in the middle of a frame.
    #[cfg(any(unix, test))]
    pub fn seal(&mut self, pool: &mut Pool) {
        self.advance(self.queued, pool);
        self.sealed = true;
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
    use proptest::prelude::*;

    use super::*;

    /// What may be held beyond what waits, whatever has happened before.
    const SLACK: usize = 2 * POOLED_CAPACITY;

    impl Outbox {
        /// Bytes of memory that the queue keeps for itself, and those of others that it keeps from being freed.
        fn held(&self) -> usize {
            let segments = self.rest.iter().map(|segment| match segment {
                Segment::Owned(bytes) => bytes.capacity(),
                Segment::Shared(bytes) => bytes.len(),
            });
            self.front.capacity() + self.rest.capacity() * size_of::<Segment>() + segments.sum::<usize>()
        }
    }

    /// What may happen to a queue.
    #[derive(Debug, Clone)]
    enum Step {
        Append(usize),
        AppendShared(usize),
        /// So many thousandths of what waits are written.
        Advance(usize),
        /// All but so many bytes are written.
        AdvanceTo(usize),
        /// All is taken at once.
        Take,
    }

    /// More than an outbox has in one piece. Miri looks at every byte for a long time.
    const MUCH: usize = if cfg!(miri) { 20_000 } else { 200_000 };
    const ROUNDS: usize = if cfg!(miri) { 100 } else { 2000 };
    const STEPS: usize = if cfg!(miri) { 30 } else { 120 };

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => (0..3000usize).prop_map(Step::Append),
            1 => (0..MUCH).prop_map(Step::Append),
            3 => (1..20_000usize).prop_map(Step::AppendShared),
            4 => (0..=1000usize).prop_map(Step::Advance),
            4 => (0..40usize).prop_map(Step::AdvanceTo),
            1 => Just(Step::Take),
        ]
    }

    fn all_of(outbox: &Outbox) -> Vec<u8> {
        let mut slices = vec![IoSlice::new(&[]); outbox.rest.len() + 1];
        let count = outbox.slices(&mut slices);
        slices[..count].iter().flat_map(|slice| slice.to_vec()).collect()
    }

    proptest! {
        #![proptest_config(crate::properties::config(64))]

        #[test]
        fn is_a_queue_of_bytes_that_holds_what_waits_and_little_more(steps in prop::collection::vec(step(), 1..STEPS)) {
            let (mut outbox, mut pool) = (Outbox::default(), Pool::default());
            let mut model = VecDeque::<u8>::new();
            let mut next = 0u8;
            let mut fresh = |length: usize| -> Vec<u8> {
                (0..length).map(|_| { next = next.wrapping_add(1); next }).collect()
            };
            for step in steps {
                match step {
                    Step::Append(length) => {
                        let bytes = fresh(length);
                        model.extend(&bytes);
                        outbox.append(&mut pool, |out| out.extend(&bytes));
                    }
                    Step::AppendShared(length) => {
                        let bytes = fresh(length);
                        model.extend(&bytes);
                        outbox.append_shared(bytes.into());
                    }
                    Step::Advance(thousandths) => {
                        let taken = model.len() * thousandths / 1000;
                        model.drain(..taken);
                        outbox.advance(taken, &mut pool);
                    }
                    Step::AdvanceTo(left) => {
                        let taken = model.len().saturating_sub(left);
                        model.drain(..taken);
                        outbox.advance(taken, &mut pool);
                    }
                    Step::Take => {
                        prop_assert!(model == outbox.take(&mut pool), "other bytes are taken");
                        model.clear();
                    }
                }
                prop_assert_eq!(outbox.len(), model.len());
                prop_assert!(model == all_of(&outbox), "the bytes differ");
                let (held, waiting) = (outbox.held(), outbox.len());
                // up to half of the front may be written, which may have room for four times as much; a shared segment is
                // held as a whole until the last of its bytes has been written
                let cut = outbox.rest.front().map_or(0, |segment| segment.bytes().len());
                prop_assert!(held <= 8 * waiting + cut + SLACK, "{} held for {}", held, waiting);
            }
            let pieces = outbox.into_pieces();
            prop_assert!(pieces.iter().all(|piece| !piece.is_empty()));
            prop_assert!(model == pieces.concat(), "the pieces differ");
        }
    }

    /// A client that always leaves a little waiting, for a long time. `share`: how many of the pieces are shared.
    fn trickle(share: usize) {
        let (mut outbox, mut pool) = (Outbox::default(), Pool::default());
        for round in 0..ROUNDS {
            outbox.append(&mut pool, |out| out.extend(std::iter::repeat_n(1, 1000)));
            if share > 0 && round % share == 0 {
                outbox.append_shared(Bytes::from(vec![2; SHARE_FROM]));
            }
            outbox.advance(outbox.len() - 10, &mut pool);
            let held = outbox.held();
            assert!(held <= SLACK + SHARE_FROM, "round {round}: {held} bytes held for 10");
        }
    }

    #[test]
    fn what_was_written_is_given_back_although_something_always_waits() {
        trickle(0);
        trickle(1);
        trickle(7);
    }

    #[test]
    fn an_owned_tail_behind_a_shared_piece_is_given_back_as_it_is_written() {
        let (mut outbox, mut pool) = (Outbox::default(), Pool::default());
        outbox.append_shared(Bytes::from(vec![1; SHARE_FROM]));
        for _ in 0..ROUNDS {
            outbox.append(&mut pool, |out| out.extend(std::iter::repeat_n(1, 1000)));
            outbox.advance(outbox.len() - 10, &mut pool);
        }
        assert!(outbox.held() <= SLACK, "{} bytes held", outbox.held());
    }

    #[test]
    #[cfg_attr(miri, ignore = "so much takes minutes")]
    fn a_long_queue_that_has_become_short_gives_its_memory_back() {
        let (mut outbox, mut pool) = (Outbox::default(), Pool::default());
        outbox.append(&mut pool, |out| out.extend(std::iter::repeat_n(1, 10 << 20)));
        for _ in 0..1000 {
            outbox.append_shared(Bytes::from_static(&[0; SHARE_FROM]));
            outbox.append(&mut pool, |out| out.extend(b"head"));
        }
        outbox.advance(outbox.len() - 4, &mut pool);
        assert!(outbox.held() <= SLACK, "{} bytes held", outbox.held());
    }

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
    fn a_sealed_queue_stays_empty() {
        let mut pool = Pool::default();
        let mut outbox = Outbox::default();
        outbox.append(&mut pool, |out| out.extend(b"abc"));
        outbox.append_shared(Bytes::from_static(b"def"));
        outbox.seal(&mut pool);
        outbox.append(&mut pool, |out| out.extend(b"abc"));
        outbox.append_shared(Bytes::from_static(b"def"));
        assert!(outbox.is_empty() && waiting(&outbox).is_empty());
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
