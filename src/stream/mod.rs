//! Where bytes come from and go to: a descriptor of our own, or a stream that lives in JavaScript.

#[cfg(unix)]
pub mod fd;
pub mod pipe;
