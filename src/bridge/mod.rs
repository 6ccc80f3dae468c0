//! Everything that N-API sees.

pub mod codes;
pub mod engine;
#[cfg(unix)]
pub mod tls;
