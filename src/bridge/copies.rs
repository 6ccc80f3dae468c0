//! Copies of the buffers that JavaScript sends, which it may change as soon as it has sent them.
//!
//! Those of some size are made in memory that earlier ones have left: what the allocator gives back to the operating system
//! has to be cleared and mapped anew, which costs more than the copy.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use napi::bindgen_prelude::BufferSlice;
use parking_lot::Mutex;

use crate::os::memory;

/// Copies of so many bytes are made in memory that is used again.
const RECYCLED: std::ops::RangeInclusive<usize> = (16 << 10)..=(512 << 10);

/// Bytes that lie ready at the most.
const READY: usize = 2 << 20;

/// Where copies are made.
#[derive(Default)]
pub struct Copies {
    ready: Arc<Mutex<Ready>>,
}

/// Memory that lies ready, what was given back last at the end.
#[derive(Default)]
struct Ready {
    buffers: VecDeque<Vec<u8>>,
    bytes: usize,
}

impl Ready {
    /// Memory for so many bytes, of which it does not waste much.
    fn take(&mut self, length: usize) -> Option<Vec<u8>> {
        let fits = |buffer: &Vec<u8>| (length..=2 * length).contains(&buffer.capacity());
        let buffer = self.buffers.iter().rposition(fits).and_then(|place| self.buffers.remove(place))?;
        self.bytes -= buffer.capacity();
        Some(buffer)
    }

    /// Keeps memory, in the place of what was not used for the longest time.
    fn give_back(&mut self, mut buffer: Vec<u8>) {
        buffer.clear();
        self.bytes += buffer.capacity();
        self.buffers.push_back(buffer);
        while self.bytes > READY {
            let Some(oldest) = self.buffers.pop_front() else { return };
            self.bytes -= oldest.capacity();
        }
    }
}

/// A copy that gives its memory back when nobody needs it any more, on whichever thread.
struct Recycled {
    bytes: Vec<u8>,
    ready: Arc<Mutex<Ready>>,
}

impl AsRef<[u8]> for Recycled {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Recycled {
    fn drop(&mut self) {
        self.ready.lock().give_back(std::mem::take(&mut self.bytes));
    }
}

impl Copies {
    /// Copies of buffers; those that are the same memory share one.
    pub fn of(&self, buffers: &[BufferSlice<'_>]) -> Vec<Bytes> {
        if let [only] = buffers {
            return vec![self.copy(only)];
        }
        let mut known = HashMap::new();
        let copy = |buffer: &BufferSlice<'_>| {
            let memory = (buffer.as_ptr(), buffer.len());
            known.entry(memory).or_insert_with(|| self.copy(buffer)).clone()
        };
        buffers.iter().map(copy).collect()
    }

    fn copy(&self, bytes: &[u8]) -> Bytes {
        if !RECYCLED.contains(&bytes.len()) {
            let mut copy = Vec::with_capacity(bytes.len());
            memory::expect_much(&mut copy);
            copy.extend_from_slice(bytes);
            return Bytes::from(copy);
        }
        let ready = self.ready.lock().take(bytes.len());
        let mut copy = ready.unwrap_or_else(|| Vec::with_capacity(bytes.len()));
        copy.extend_from_slice(bytes);
        Bytes::from_owner(Recycled { bytes: copy, ready: self.ready.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: usize = 64 << 10;

    #[test]
    fn memory_is_used_again() {
        let copies = Copies::default();
        let first = copies.copy(&[1; SIZE]);
        let place = first.as_ptr();
        let second = copies.copy(&[2; SIZE]);
        assert!(first == [1; SIZE][..] && second == [2; SIZE][..]);
        drop(first);
        let third = copies.copy(&[3; SIZE - 100]);
        assert_eq!(third.as_ptr(), place);
        assert!(third == [3; SIZE - 100][..]);
    }

    #[test]
    fn a_copy_is_no_bigger_than_it_has_to_be_and_shares_its_memory_with_nobody() {
        let copies = Copies::default();
        drop(copies.copy(&[1; SIZE]));
        let small = copies.copy(&[2; SIZE / 2 - 1]);
        let large = copies.copy(&[3; SIZE]);
        let other = copies.copy(&[4; SIZE]);
        assert!(small == [2; SIZE / 2 - 1][..] && large == [3; SIZE][..] && other == [4; SIZE][..]);
        assert_eq!(copies.ready.lock().bytes, 0);
    }

    #[test]
    fn what_lies_ready_is_bounded_and_what_was_used_last() {
        let copies = Copies::default();
        let many: Vec<Bytes> = (0..200).map(|_| copies.copy(&[0; SIZE])).collect();
        drop(many);
        let held = |copies: &Copies| {
            let ready = copies.ready.lock();
            assert_eq!(ready.bytes, ready.buffers.iter().map(Vec::capacity).sum::<usize>());
            ready.bytes
        };
        assert_eq!(held(&copies), READY);
        drop((copies.copy(&[0; 1000]), copies.copy(&vec![0; 5 << 20])));
        assert_eq!(held(&copies), READY);
        drop(copies.copy(&vec![0; 512 << 10]));
        assert!(held(&copies) <= READY);
        assert_eq!(copies.ready.lock().buffers.back().map(Vec::capacity), Some(512 << 10));
    }
}
