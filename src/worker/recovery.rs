//! What is left standing after a panic, which would be a defect of ours.
//!
//! What is done on behalf of one client is contained: if it panics, that client's connection ends with "transport
//! error", and the turn goes on. After any other panic the state of the worker is suspect: all its connections end
//! like that, and it starts afresh. JavaScript hears of it by the ends of the sessions and by a `DEFECT`.

use std::panic::{catch_unwind, AssertUnwindSafe};

use super::event::Kind;
use super::{Shared, Worker, READ_BUFFER};
use crate::panics::panic_point;
use crate::protocol::error::Ending;
use crate::protocol::ids::{ConnectionId, StreamId};

/// Whose work it is that may panic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// A session's.
    Connection(ConnectionId),
    /// A WebSocket's, and that of the session it belongs to.
    Stream(StreamId),
    /// That of a session that begins, and of its WebSocket; they may not be there yet.
    Newcomer { connection: ConnectionId, stream: Option<StreamId> },
    /// That of a session to which a WebSocket comes, which may not be there yet.
    Upgrade { connection: ConnectionId, stream: StreamId },
    /// That of a connection which Node has accepted, and which may not be there yet.
    #[cfg(unix)]
    Arrival(StreamId),
    /// Everybody's.
    Worker,
}

/// Takes a turn. `None`: it has panicked, and the worker has started afresh.
pub(super) fn take_turn<T>(shared: &Shared, turn: impl FnOnce(&mut Worker) -> T) -> Option<T> {
    let result = catch_unwind(AssertUnwindSafe(|| turn(&mut shared.borrow_mut())));
    result.map_err(|_| shared.borrow_mut().start_afresh()).ok()
}

impl Worker {
    /// Does something on behalf of a client, whose connection ends if that panics: `None`.
    pub(super) fn contained<T>(
        &mut self,
        subject: Subject,
        work: impl FnOnce(&mut Worker) -> T,
    ) -> Option<T> {
        let endings = self.endings;
        let result = catch_unwind(AssertUnwindSafe(|| work(self)));
        result.map_err(|_| self.fail(subject, endings)).ok()
    }

    /// What was done for `subject` has panicked. `endings`: what `self.endings` was when that began.
    pub(super) fn fail(&mut self, subject: Subject, endings: u32) {
        // who was reading had it
        self.read_buffer.resize(READ_BUFFER, 0);
        match subject {
            Subject::Connection(id) => self.fail_connection(id),
            Subject::Stream(id) => {
                if let Some(owner) = self.websocket(id).and_then(|websocket| websocket.owner) {
                    self.fail_connection(owner);
                }
                self.fail_stream(id);
            }
            Subject::Newcomer { connection, stream } => {
                // JavaScript must hear of the end of what never was as well, but only once
                let is_unknown = self.endings == endings;
                if let Some(stream) = stream {
                    self.fail_new_stream(stream, is_unknown);
                }
                if self.connection(connection).is_none() && is_unknown {
                    self.events.closed(connection, Ending::InternalError);
                }
                self.fail_connection(connection);
            }
            Subject::Upgrade { connection, stream } => {
                self.fail_new_stream(stream, self.endings == endings);
                self.fail_connection(connection);
            }
            #[cfg(unix)]
            Subject::Arrival(id) => {
                self.arrivals.remove(&id);
                self.events.simple(Kind::Released, id);
            }
            Subject::Worker => return self.start_afresh(),
        }
        self.events.defect("the native engine failed while it handled a connection; please report this");
    }

    /// Ends a session without asking it, because its state is suspect.
    fn fail_connection(&mut self, id: ConnectionId) {
        let Some(slot) = self.slot(id) else { return };
        let streams: Vec<StreamId> =
            self.streams().filter(|&(_, owner)| owner == Some(id)).map(|it| it.0).collect();
        for stream in streams {
            self.fail_stream(stream);
        }
        if self.connections.get_mut(slot).and_then(Option::take).is_some() {
            self.endings = self.endings.wrapping_add(1);
            self.events.closed(id, Ending::InternalError);
        }
    }

    fn fail_new_stream(&mut self, id: StreamId, is_unknown: bool) {
        #[cfg(unix)]
        let is_unknown = is_unknown && !self.arrivals.contains_key(&id);
        if self.websocket(id).is_none() && is_unknown {
            self.events.simple(Kind::Released, id);
        }
        self.fail_stream(id);
    }

    fn fail_stream(&mut self, id: StreamId) {
        let Some(slot) = self.slot(id) else { return };
        if self.websockets.get_mut(slot).and_then(Option::take).is_some() {
            self.endings = self.endings.wrapping_add(1);
            self.events.simple(Kind::Released, id);
        }
        #[cfg(unix)]
        self.release(id);
    }

    /// The streams that live here, and the sessions that they belong to.
    fn streams(&self) -> impl Iterator<Item = (StreamId, Option<ConnectionId>)> + '_ {
        let named = |(slot, websocket): (usize, &Option<Box<_>>)| {
            let websocket: &super::websocket::WebSocket = websocket.as_deref()?;
            Some((slot as u32 * self.count + self.index, websocket.owner))
        };
        self.websockets.iter().enumerate().filter_map(named)
    }

    /// Ends everything that lives here, and forgets the rest.
    pub(super) fn start_afresh(&mut self) {
        panic_point!("start afresh");
        for (slot, websocket) in std::mem::take(&mut self.websockets).into_iter().enumerate() {
            if websocket.is_some() {
                self.events.simple(Kind::Released, slot as u32 * self.count + self.index);
            }
        }
        #[cfg(unix)]
        for id in std::mem::take(&mut self.arrivals).into_keys() {
            self.events.simple(Kind::Released, id);
        }
        for (slot, connection) in std::mem::take(&mut self.connections).into_iter().enumerate() {
            if connection.is_some() {
                self.events.closed(slot as u32 * self.count + self.index, Ending::InternalError);
            }
        }
        self.endings = self.endings.wrapping_add(1);
        self.rooms = Default::default();
        self.deadlines = Default::default();
        self.pool = Default::default();
        self.dirty.clear();
        self.backlog.clear();
        self.events
            .defect("the native engine failed and has ended the connections of a worker; please report this");
        self.events.publish();
    }
}
