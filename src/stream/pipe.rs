//! A stream that lives in JavaScript (TLS, any `Duplex`): its bytes come as commands and leave as events.
//!
//! One write is under way at a time; what is sent meanwhile waits in the outbox, as it does for a socket whose
//! buffer is full.

/// What the engine knows of a stream in JavaScript.
#[derive(Debug, Default)]
pub struct Pipe {
    /// Whether JavaScript has bytes of ours that it has not written yet.
    pub writing: bool,
}
