//! Everything that N-API sees.

pub mod codes;
mod copies;
pub mod engine;
mod metrics;
#[cfg(not(unix))]
mod no_tls;
#[cfg(unix)]
pub mod tls;

/// The version of this addon, which has to be that of the JavaScript that loads it.
#[napi_derive::napi]
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
