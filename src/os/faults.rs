//! Defects on purpose, by which the sanitizers show that they see such: only with the feature `faults`.

use std::hint::black_box;

/// Loses memory.
pub fn leak() {
    black_box(Box::leak(black_box(Box::new([1u8; 12_345]))));
    // what is left of the pointer goes with the stack and the registers
    black_box([0u64; 1024]);
}

/// Reads memory that has been freed.
pub fn use_after_free() -> u8 {
    let pointer = Box::into_raw(black_box(Box::new([1u8; 100])));
    // SAFETY: the pointer is that of a box, which is made anew from it once. What is read then is not there any more, which is
    // undefined behaviour and meant to be found out.
    unsafe {
        drop(Box::from_raw(pointer));
        black_box(pointer.cast::<u8>()).add(10).read_volatile()
    }
}

/// Two threads that write to the same memory.
#[cfg(test)]
#[test]
#[ignore = "undefined behaviour, which ThreadSanitizer has to find out"]
fn a_race() {
    struct Shared(*mut u64);
    // SAFETY: it is not safe, and meant to be found out.
    unsafe impl Send for Shared {}
    let mut value = 0;
    fn write(Shared(pointer): Shared) {
        for _ in 0..1000 {
            // SAFETY: the memory outlives the scope; that another thread writes as well is meant to be found out.
            unsafe { *pointer += 1 };
        }
    }
    let (one, other) = (Shared(&raw mut value), Shared(&raw mut value));
    std::thread::scope(|scope| {
        scope.spawn(|| write(one));
        scope.spawn(|| write(other));
    });
    assert!(black_box(value) > 0);
}
