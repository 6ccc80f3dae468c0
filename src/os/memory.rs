//! The memory of the process.

/// Gives memory that has been freed back to the operating system, where the allocator keeps it otherwise: glibc's gives
/// back only what lies at the end of a heap.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: the call takes no pointers, and may be made by any thread at any time.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// From this many bytes on, memory is worth being mapped in large pages.
const MUCH: usize = 4 << 20;

/// Has memory that is about to be filled mapped in large pages, if there is much of it: page by page, that takes longer
/// than to fill it. What it grows to later is mapped alike.
pub fn expect_much(buffer: &mut Vec<u8>) {
    let capacity = buffer.capacity();
    if capacity < MUCH || buffer.len() > capacity / 2 {
        return;
    }
    #[cfg(target_os = "linux")]
    {
        let start = buffer.as_mut_ptr();
        // all of the allocation's mapping, which can be moved only as long as it is one
        let before = start as usize % PAGE;
        let length = (before + capacity).next_multiple_of(PAGE);
        // SAFETY: the range is that of the pages in which the buffer lies, which stay mapped during the call, and the advice
        // does not change what is in them. That it is not taken is no error.
        unsafe { libc::madvise(start.wrapping_sub(before).cast(), length, libc::MADV_HUGEPAGE) };
    }
}

/// What addresses for `madvise` are multiples of, on most machines; on others, it refuses.
#[cfg(target_os = "linux")]
const PAGE: usize = 4 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_is_expected_to_be_filled_keeps_what_is_in_it() {
        for capacity in [0, 100, MUCH - 1, MUCH, 3 * MUCH + 12_345] {
            let mut buffer = Vec::with_capacity(capacity);
            buffer.extend_from_slice(&[1; 10][..capacity.min(10)]);
            expect_much(&mut buffer);
            buffer.resize(capacity, 2);
            let expected = (0..capacity).map(|place| if place < 10 { 1 } else { 2 });
            assert!(buffer.iter().copied().eq(expected));
            // it can still be made larger
            buffer.resize(2 * capacity, 3);
            assert!(buffer[capacity..].iter().all(|&byte| byte == 3));
        }
    }
}
