//! The limit of open files.

use crate::Outcome;
use rustix::process::{getrlimit, setrlimit, Resource, Rlimit};

/// Standard streams, epoll, and what the C library may open.
const SPARE: usize = 32;

/// Raises the limit as far as `connections` need it; an error says what is missing.
pub fn allow(connections: usize) -> Outcome<()> {
    let wanted = (connections + SPARE) as u64;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    if let Some(maximum) = limit.maximum.filter(|&maximum| maximum < wanted) {
        return Err(format!(
            "{connections} connections need {wanted} open files, and the limit is {maximum} (ulimit -Hn)"
        ));
    }
    setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum })
        .map_err(|error| format!("the limit of open files cannot be raised to {wanted}: {error}"))
}
