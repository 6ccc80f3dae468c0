//! Where bytes come from and go to: a descriptor of our own, or a stream that lives in JavaScript.

#[cfg(unix)]
use std::rc::Rc;

#[cfg(unix)]
use super::wire::Wire;

/// Where the bytes of a WebSocket come from and go to.
#[derive(Debug)]
pub enum Stream {
    /// A descriptor of our own.
    #[cfg(unix)]
    Fd(Rc<Wire>),
    /// A stream in JavaScript.
    Pipe(Pipe),
}

impl Stream {
    /// Bytes that it has taken, and not written.
    pub fn unsent(&self) -> usize {
        match self {
            #[cfg(unix)]
            Stream::Fd(fd) => fd.unsent(),
            Stream::Pipe(_) => 0,
        }
    }

    /// The same, with those that JavaScript is writing.
    pub fn unfinished(&self) -> usize {
        match self {
            #[cfg(unix)]
            Stream::Fd(fd) => fd.unsent(),
            Stream::Pipe(pipe) => pipe.writing,
        }
    }
}

/// What the engine knows of a stream in JavaScript (TLS, any `Duplex`): its bytes come as commands and leave as events.
///
/// One write is under way at a time; what is sent meanwhile waits in the outbox, as it does for a descriptor whose
/// buffer is full.
#[derive(Debug, Default)]
pub struct Pipe {
    /// Bytes of ours that JavaScript has and has not written yet.
    pub writing: usize,
}
