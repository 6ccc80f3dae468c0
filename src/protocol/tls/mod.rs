//! TLS, for connections whose bytes workers read themselves (RFC 8446, RFC 5246): rustls does it; here is what decides
//! whether it may, and what feeds it.

pub mod hello;
mod hybrid;
mod provider;
pub mod session;
pub mod terms;

#[cfg(test)]
pub mod simulation;
