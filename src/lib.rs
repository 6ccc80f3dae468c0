//! The native engine of sockeye.io.
#![warn(missing_docs)]
pub mod bridge;
mod connection;
mod engine_io;
mod error;
mod options;
mod session;
mod socket_io;
mod stream;
mod transport;
mod worker;
