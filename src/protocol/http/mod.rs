//! HTTP/1.1, as far as it is ours: requests in the form in which clients of Engine.IO write them.

pub mod beginning;
pub mod coding;
pub mod forwarded;
pub mod request;
pub mod response;
