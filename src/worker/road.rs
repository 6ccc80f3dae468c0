//! The road of clients that poll past Node's HTTP server: what all workers of an engine know of it.

#![cfg_attr(not(unix), allow(dead_code, reason = "there are no descriptors to answer on"))]

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};

use super::gate::Gate;
use crate::protocol::http::coding::{Accepted, Coding};
use crate::protocol::ids::ConnectionId;

/// What holds for the requests that workers answer by themselves.
#[derive(Debug)]
pub struct Terms {
    /// The path of their targets.
    pub path: String,
    /// How long a connection may be silent between two requests.
    pub keep_alive: Duration,
    /// The seconds of it that clients are told of.
    pub announced: u64,
    /// Bytes from which on an answer is compressed.
    pub compress_from: usize,
    /// The level of compression, 0 to 9; `None`: it takes Node to do it as the application wants it.
    pub level: Option<u32>,
    /// Bytes that the body of a POST may have.
    pub max_body: usize,
    /// Whether answers depend on where the page comes from that asks.
    pub has_cors: bool,
    /// Whether the application sees the requests of sessions before they are answered.
    pub shows: bool,
}

/// How a payload is an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Plain,
    /// Compressed, at this level.
    Encoded(Coding, u32),
    /// In a way that Node has to find.
    Nodes,
}

impl Terms {
    /// How a payload of so many bytes, which may be compressed, is the answer to who accepts that.
    pub fn form(&self, accepted: Accepted, length: usize) -> Form {
        match (accepted, self.level) {
            _ if length < self.compress_from => Form::Plain,
            (Accepted::Plain, _) => Form::Plain,
            (Accepted::Coding(coding), Some(level)) => Form::Encoded(coding, level),
            _ => Form::Nodes,
        }
    }
}

/// The road, which JavaScript opens and closes: it is open while the application could not tell the difference.
#[derive(Debug, Default)]
pub struct Road {
    terms: RwLock<Option<Arc<Terms>>>,
    /// The sessions whose requests may come by it, by their ids.
    sessions: Mutex<HashMap<Box<str>, ConnectionId>>,
    /// Who lets clients in, if there is anything against that.
    gate: Option<Gate>,
}

impl Road {
    /// A road that is closed. `gate`: for clients on every road.
    pub fn with_gate(gate: Option<Gate>) -> Road {
        Road { gate, ..Road::default() }
    }

    /// Who lets clients in, if there is anything against that.
    pub fn gate(&self) -> Option<&Gate> {
        self.gate.as_ref()
    }

    /// Opens it, or closes it.
    pub fn set(&self, terms: Option<Terms>) {
        *self.terms.write() = terms.map(Arc::new);
    }

    /// What holds at present; `None`: it is closed.
    pub fn terms(&self) -> Option<Arc<Terms>> {
        self.terms.read().clone()
    }

    /// The session of this id.
    pub fn find(&self, sid: &str) -> Option<ConnectionId> {
        self.sessions.lock().get(sid).copied()
    }

    /// A session begins.
    pub fn enter(&self, sid: &str, id: ConnectionId) {
        self.sessions.lock().insert(sid.into(), id);
    }

    /// It has ended, or polls no more.
    pub fn leave(&self, sid: &str, id: ConnectionId) {
        let mut sessions = self.sessions.lock();
        if sessions.get(sid) == Some(&id) {
            sessions.remove(sid);
            if sessions.capacity() > 1024 && sessions.len() < sessions.capacity() / 8 {
                sessions.shrink_to_fit();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_found_until_it_has_left_itself() {
        let road = Road::default();
        let [first, second] = [1, 2].map(ConnectionId::from_word);
        road.enter("a", first);
        road.enter("b", second);
        road.leave("a", second);
        assert_eq!([road.find("a"), road.find("b")], [Some(first), Some(second)], "not its own");
        road.leave("a", first);
        assert_eq!([road.find("a"), road.find("b")], [None, Some(second)]);
    }

    #[test]
    fn sessions_that_have_left_take_no_memory() {
        let road = Road::default();
        let sids: Vec<_> = (0..5000).map(|n| n.to_string()).collect();
        sids.iter().for_each(|sid| road.enter(sid, ConnectionId::from_word(1)));
        sids.iter().for_each(|sid| road.leave(sid, ConnectionId::from_word(1)));
        assert!(road.sessions.lock().capacity() <= 1024);
    }

    #[test]
    fn what_cannot_be_compressed_here_is_nodes() {
        let terms = |level| Terms {
            path: String::new(),
            keep_alive: Duration::ZERO,
            announced: 0,
            compress_from: 10,
            level,
            max_body: 0,
            has_cors: false,
            shows: false,
        };
        let gzip = Accepted::Coding(Coding::Gzip);
        for (accepted, level, form) in [
            (gzip, Some(1), Form::Encoded(Coding::Gzip, 1)),
            (gzip, None, Form::Nodes),
            (Accepted::Unclear, Some(1), Form::Nodes),
            (Accepted::Plain, Some(1), Form::Plain),
            (Accepted::Plain, None, Form::Plain),
        ] {
            assert_eq!(terms(level).form(accepted, 10), form, "{accepted:?} {level:?}");
            assert_eq!(terms(level).form(accepted, 9), Form::Plain, "{accepted:?} {level:?}");
        }
    }
}
