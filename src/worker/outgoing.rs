//! Which WebSockets wait to be written, in which order.

use std::collections::VecDeque;

use super::outbox::Pool;
use super::websocket::Queued;
use crate::protocol::ids::StreamId;

/// The WebSockets for which something waits that nobody has tried to write.
///
/// Each stands in one of the two lists, once, and its [`Queued`] says in which. One that has ended may still be named;
/// its number finds nothing any more.
#[derive(Debug, Default)]
pub struct Outgoing {
    /// What outboxes draw their buffers from.
    pub pool: Pool,
    /// Those that have something to write at the end of the turn.
    dirty: Vec<StreamId>,
    /// Those that earlier turns have left to be written.
    backlog: VecDeque<StreamId>,
    /// How many more messages for many are queued although they could be written at once: others have left with such ones.
    gathering: u8,
    /// The number of this turn, to tell what it has queued for a WebSocket from what had waited before.
    turn: u32,
}

/// Messages for many that are queued since one of them has met another.
const GATHERING: u8 = 16;

impl Outgoing {
    /// There is a message for many. `few`: how many WebSockets of this turn are none that wait.
    pub fn gather(&mut self, few: usize) {
        let meets_others = self.has_backlog() || self.dirty.len() > few;
        self.gathering = if meets_others { GATHERING } else { self.gathering.saturating_sub(1) };
    }

    /// Whether messages for many are likely to meet others before they are written.
    #[cfg(unix)]
    pub fn is_gathering(&self) -> bool {
        self.gathering > 0
    }

    /// Something has been queued for a WebSocket.
    pub fn mark(&mut self, id: StreamId, queued: &mut Queued) {
        match queued {
            Queued::ThisTurn => {}
            Queued::Backlog { turn } => *turn = self.turn,
            Queued::No => {
                *queued = Queued::ThisTurn;
                self.dirty.push(id);
            }
        }
    }

    /// Moves a WebSocket of this turn to the end of the backlog.
    pub fn postpone(&mut self, id: StreamId, queued: &mut Queued) {
        if *queued == Queued::ThisTurn {
            *queued = Queued::Backlog { turn: self.turn };
            self.backlog.push_back(id);
        }
    }

    /// Puts a WebSocket that is in no list at the end of the backlog: it has been written as much as is its due.
    pub fn leave(&mut self, id: StreamId, queued: &mut Queued) {
        if *queued == Queued::No {
            *queued = Queued::Backlog { turn: self.turn };
            self.backlog.push_back(id);
        }
    }

    /// The WebSockets of this turn, which are in no list any more. They have to be flushed or postponed, and the list
    /// given back.
    pub fn take_dirty(&mut self) -> Vec<StreamId> {
        std::mem::take(&mut self.dirty)
    }

    /// Takes an emptied list back, which saves making another.
    pub fn give_back(&mut self, list: Vec<StreamId>) {
        if self.dirty.is_empty() {
            self.dirty = list;
        }
    }

    /// How many WebSockets this turn has queued something for that were in no list.
    pub fn dirty_len(&self) -> usize {
        self.dirty.len()
    }

    /// Takes the WebSocket that waits longest.
    pub fn next_of_backlog(&mut self) -> Option<StreamId> {
        self.backlog.pop_front()
    }

    /// Whether earlier turns have left anything.
    pub fn has_backlog(&self) -> bool {
        !self.backlog.is_empty()
    }

    /// Whether this turn has queued something for a WebSocket of the backlog.
    pub fn is_of_this_turn(&self, turn: u32) -> bool {
        turn == self.turn
    }

    /// What is queued from now on is of another turn.
    pub fn end_turn(&mut self) {
        self.turn = self.turn.wrapping_add(1);
    }
}
