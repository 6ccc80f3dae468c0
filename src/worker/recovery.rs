//! What is left standing after a panic, which would be a defect of ours.
//!
//! What is done on behalf of one client is contained: if it panics, that client's connection ends with "transport
//! error", and the turn goes on. After any other panic the state of the worker is suspect: all its connections end
//! like that, and it starts afresh. JavaScript hears of it by the ends of the sessions and by a `DEFECT`.

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::time::Instant;

use super::websocket::WebSocket;
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
    let begin = shared.borrow().metrics.is_asked_for().then(Instant::now);
    let result = catch_unwind(AssertUnwindSafe(|| turn(&mut shared.borrow_mut())));
    if let Some(begin) = begin {
        shared.borrow().metrics.turns.record(begin.elapsed());
    }
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
            Subject::Connection(id) => {
                self.fail_connection(id);
            }
            Subject::Stream(id) => {
                if let Some(owner) = self.websocket(id).and_then(|websocket| websocket.owner) {
                    self.fail_connection(owner);
                }
                self.drop_stream(id);
            }
            Subject::Newcomer { connection, stream } => {
                // JavaScript must hear of the end of what never was as well, but only once
                let is_untold = self.endings == endings;
                if let Some(stream) = stream {
                    self.fail_new_stream(stream, is_untold);
                }
                if !self.fail_connection(connection) && is_untold {
                    self.refuse_connection(connection);
                }
            }
            Subject::Upgrade { connection, stream } => {
                self.fail_new_stream(stream, self.endings == endings);
                self.fail_connection(connection);
            }
            #[cfg(unix)]
            Subject::Arrival(id) => self.fail_new_stream(id, true),
            Subject::Worker => return self.start_afresh(),
        }
        self.events.defect("the native engine failed while it handled a connection; please report this");
    }

    /// Ends a session without asking it, because its state is suspect, and so may be what it knows of its WebSockets.
    /// `false`: there is none.
    pub(super) fn fail_connection(&mut self, id: ConnectionId) -> bool {
        let is_its = |websocket: &WebSocket| websocket.owner == Some(id);
        let streams: Vec<StreamId> =
            self.websockets.iter().filter(|(_, it)| is_its(it)).map(|(stream, _)| stream).collect();
        for stream in streams {
            self.drop_stream(stream);
        }
        self.drop_connection(id, Ending::InternalError)
    }

    /// Ends a stream that may not be there yet. `is_untold`: nothing has been said of it.
    fn fail_new_stream(&mut self, id: StreamId, is_untold: bool) {
        if self.drop_stream(id).is_none() && is_untold {
            self.refuse_stream(id);
        }
    }

    /// Ends everything that lives here, and forgets the rest.
    pub(super) fn start_afresh(&mut self) {
        panic_point!("start afresh");
        self.rooms = Default::default();
        self.limits = Default::default();
        self.deadlines.clear();
        self.outgoing = Default::default();
        self.drop_everything();
        self.endings = self.endings.wrapping_add(1);
        self.events
            .defect("the native engine failed and has ended the connections of a worker; please report this");
        self.events.publish();
    }
}
