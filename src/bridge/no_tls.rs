//! Where there are no descriptors, workers have nothing to speak TLS over: nobody makes any of these.

use napi_derive::napi;

/// See `tls.rs`.
#[napi]
pub struct TlsTerms {}

/// See `tls.rs`.
#[napi]
pub struct TlsSession {}
