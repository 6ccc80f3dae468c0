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
