//! What the engine reads from the network, or from JavaScript, against other readers of the same and against models.
//!
//! Each file is a target: a function that takes any bytes and panics where an invariant does not hold. `targets/` has
//! programs for `cargo fuzz` of two lines each. `seeds/` has inputs that were worth keeping, which `tests/replay.rs` plays
//! with a stable compiler too, with some mutations of each.

pub mod choices;
pub mod frames;
pub mod inflate;
pub mod operations;
pub mod oracle;
pub mod payloads;
pub mod request_heads;
pub mod seeds;
pub mod socket_io_headers;
pub mod worker;

use peak_alloc::PeakAlloc;

/// Counts what is allocated, for the targets that have bounds on it.
#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// A target: its name, and what takes an input.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: &[Target] = &[
    ("frames", frames::check),
    ("inflate", inflate::check),
    ("operations", operations::check),
    ("payloads", payloads::check),
    ("request_heads", request_heads::check),
    ("socket_io_headers", socket_io_headers::check),
    ("worker", worker::check),
];
