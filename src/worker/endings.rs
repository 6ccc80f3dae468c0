//! How connections and streams are taken off the books, and JavaScript is told of it: the one and the other happen here
//! and nowhere else, so that each end is told once.

use super::deadlines::Holder;
use super::event::Past;
use super::Worker;
use crate::protocol::error::Ending;
use crate::protocol::ids::{ConnectionId, StreamId};
#[cfg(unix)]
use crate::protocol::polling::Waiter;

impl Worker {
    /// Takes a connection off the books: `CLOSED`. Its number means nothing from here on. `false`: it has none.
    pub(super) fn drop_connection(&mut self, id: ConnectionId, ending: Ending) -> bool {
        let Some(mut connection) = self.connections.remove(id) else { return false };
        if let Some(polling) = connection.polling.take() {
            self.leave_road(id, &polling);
            // nobody has answered it: Node will have something to say
            #[cfg(unix)]
            if let Some(Waiter::Stream(stream)) = polling.waiter {
                self.release(stream);
            }
            #[cfg(unix)]
            self.leave_post(id, *polling);
        }
        self.rooms.leave_all(id);
        // what is left of its WebSocket is read again
        let is_paused = self.limits.remove(&id).is_some_and(|limits| limits.paused_until().is_some());
        if is_paused {
            self.signals.resume.notify_waiters();
        }
        self.held.remove(&id);
        self.set_waiting(id, 0, 0);
        self.deadlines.cancel(Holder::Connection(id));
        self.tell_closed(id, ending, connection.close_code);
        true
    }

    /// Says the same of a connection that JavaScript has numbered, and that never came to be. If another has the number, which
    /// would be a defect of JavaScript's, that one ends: each end is told once.
    pub(super) fn refuse_connection(&mut self, id: ConnectionId) {
        if !self.fail_connection(id) {
            self.tell_closed(id, Ending::InternalError, 0);
        }
    }

    /// Takes a stream off the books, with what waits for it: `RELEASED`. `None`: it is not there. Else the session that
    /// it belonged to, if it was a WebSocket's.
    pub(super) fn drop_stream(&mut self, id: StreamId) -> Option<Option<ConnectionId>> {
        let (owner, past) = match self.websockets.remove(id) {
            Some(mut websocket) => {
                websocket.report(self.events.figures());
                (websocket.owner, Past::default())
            }
            #[cfg(unix)]
            None => (None, self.drop_arrival(id)?),
            #[cfg(not(unix))]
            None => return None,
        };
        self.deadlines.cancel(Holder::Stream(id));
        self.tell_released(id, past);
        Some(owner)
    }

    /// Says the same of a stream that JavaScript has numbered, and that never came to be.
    pub(super) fn refuse_stream(&mut self, id: StreamId) {
        debug_assert!(!self.websockets.contains(id));
        self.tell_released(id, Past::default());
    }

    /// The same for one that Node has accepted. `is_spoilt`: Node cannot go on with it.
    #[cfg(unix)]
    pub(super) fn refuse_arrival(&mut self, id: StreamId, is_spoilt: bool) {
        self.tell_released(id, Past { is_spoilt, ..Past::default() });
    }

    /// Takes everything off the books.
    pub(super) fn drop_everything(&mut self) {
        let streams = self.websockets.iter().map(|(id, _)| id);
        #[cfg(unix)]
        let streams = streams.chain(self.arrivals.keys().copied());
        for id in streams.collect::<Vec<_>>() {
            self.drop_stream(id);
        }
        for id in self.connections.iter().map(|(id, _)| id).collect::<Vec<_>>() {
            self.drop_connection(id, Ending::InternalError);
        }
    }

    fn tell_closed(&mut self, id: ConnectionId, ending: Ending, close_code: u16) {
        self.endings = self.endings.wrapping_add(1);
        self.events.closed(id, ending, close_code);
    }

    fn tell_released(&mut self, id: StreamId, past: Past) {
        self.endings = self.endings.wrapping_add(1);
        self.events.released(id, past);
    }
}
