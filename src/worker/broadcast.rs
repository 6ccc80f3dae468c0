//! Messages for many clients, and how far they have come.
//!
//! A broadcast may take longer than a turn. What is left of it is handed out in further turns, while the WebSockets are read
//! and written. The order in which things were said holds for every client all the same:
//!
//! - The members of a room are those at the place of the broadcast: who is still to get it is marked when it is
//!   interrupted. Who ends meanwhile is passed over, who joins has no mark.
//! - What is said about one client goes on meanwhile. If that client is still to get the message, it gets it first.
//! - What is about many waits until everybody has the message.

use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::sync::Arc;

use super::command::{Flags, Op, OpBatch, Parcel, Place, Target};
use super::output::Encoded;
use super::writes::WRITES_PER_TURN;
use super::Worker;
use crate::panics::panic_point;
use crate::protocol::ids::ConnectionId;

/// The bit of a connection's mark that says that it is still to get the broadcast of that number.
const AWAITS: u64 = 1 << 63;

/// A message that is being handed out.
pub(super) struct Broadcast {
    /// The operation that asked for it.
    batch: Arc<OpBatch>,
    place: Place,
    encoded: Encoded,
    /// Whether nobody gets it twice, however many of its targets they are in.
    is_once: bool,
    /// Tells marks of connections apart.
    number: u64,
    /// Targets that are done with.
    done: usize,
    /// The places of the next target, a room, that are left are those below this.
    below: usize,
    /// Whether those who are still to get it are marked.
    is_interrupted: bool,
}

impl Worker {
    /// Begins to hand out a message, that of the operation at a place of a batch. What does not fit into this turn is left
    /// to `go_on`. `is_once`: whether nobody gets it twice.
    pub(super) fn broadcast(&mut self, batch: &Arc<OpBatch>, place: Place, is_once: bool, flags: Flags) {
        debug_assert!(self.interrupted.is_none());
        if flags.volatile() && self.is_behind {
            return;
        }
        self.broadcasts += 1;
        self.outgoing.gather(WRITES_PER_TURN);
        self.hand_out(Broadcast {
            batch: batch.clone(),
            place,
            encoded: Encoded::new(flags),
            is_once,
            number: self.broadcasts,
            done: 0,
            below: usize::MAX,
            is_interrupted: false,
        });
    }

    /// Goes on with the message that an earlier turn has not handed out to everybody.
    pub(super) fn go_on(&mut self) {
        panic_point!("go on");
        if let Some(broadcast) = self.interrupted.take() {
            self.hand_out(*broadcast);
        }
    }

    fn hand_out(&mut self, mut broadcast: Broadcast) {
        let batch = broadcast.batch.clone();
        let is_done = match batch.iter_from(broadcast.place).next() {
            Some(Op::Multicast { connections, parcel, flags }) => {
                let targets = || connections.iter().map(Target::Connection);
                self.visit(targets, &parcel, flags, &mut broadcast)
            }
            Some(Op::Broadcast { targets, except, parcel, flags }) => {
                if broadcast.done == 0 && !broadcast.is_interrupted {
                    self.spare(except.iter(), broadcast.number);
                }
                self.visit(|| targets.iter(), &parcel, flags, &mut broadcast)
            }
            _ => true,
        };
        if !is_done {
            self.interrupted = Some(Box::new(broadcast));
        }
    }

    /// Marks those who are not to get a message as if they had it.
    fn spare(&mut self, except: impl Iterator<Item = Target>, number: u64) {
        for target in except {
            self.for_each(target, usize::MAX, |worker, id| {
                if let Some(connection) = worker.connection(id) {
                    connection.mark = number;
                }
            });
        }
    }

    /// Queues a message for those who have not got it yet, as far as the turn's budget goes. Returns whether that was all.
    fn visit<T: Iterator<Item = Target>>(
        &mut self,
        targets: impl Fn() -> T,
        parcel: &Parcel<'_>,
        flags: Flags,
        broadcast: &mut Broadcast,
    ) -> bool {
        for target in targets().skip(broadcast.done) {
            match target {
                Target::Connection(id) => {
                    if self.work.is_spent() {
                        self.interrupt(targets(), broadcast);
                        return false;
                    }
                    self.hand(id, parcel, flags, broadcast);
                }
                Target::Room(room) => {
                    // from the last to the first, because who cannot be written to ends, and leaves the room
                    let mut place = self.rooms.len(room).min(broadcast.below);
                    while place > 0 {
                        if self.work.is_spent() {
                            broadcast.below = place;
                            self.interrupt(targets(), broadcast);
                            return false;
                        }
                        place -= 1;
                        if let Some(id) = self.rooms.member(room, place) {
                            self.hand(id, parcel, flags, broadcast);
                        }
                    }
                    broadcast.below = usize::MAX;
                }
            }
            broadcast.done += 1;
        }
        true
    }

    /// Queues a message for one client, if it is to get it and has not got it.
    fn hand(&mut self, id: ConnectionId, parcel: &Parcel<'_>, flags: Flags, broadcast: &mut Broadcast) {
        let Broadcast { number, is_interrupted, is_once, ref mut encoded, .. } = *broadcast;
        let is_due = self.connection(id).is_some_and(|connection| {
            let is_member = !is_interrupted || connection.mark == number | AWAITS;
            is_member && (!is_once || std::mem::replace(&mut connection.mark, number) != number)
        });
        if is_due {
            self.metrics.deliveries.add(1);
            self.deliver(id, parcel, encoded, flags);
        }
    }

    /// Marks those who are still to get a message.
    fn interrupt(&mut self, targets: impl Iterator<Item = Target>, broadcast: &mut Broadcast) {
        if std::mem::replace(&mut broadcast.is_interrupted, true) {
            return;
        }
        let (number, mut below) = (broadcast.number, broadcast.below);
        for target in targets.skip(broadcast.done) {
            self.for_each(target, below, |worker, id| {
                if let Some(connection) = worker.connection(id).filter(|it| it.mark != number) {
                    connection.mark = number | AWAITS;
                }
            });
            below = usize::MAX;
        }
    }

    /// Calls `visit` for every connection that a target stands for; those of a room at the places below a certain one.
    fn for_each(&mut self, target: Target, below: usize, mut visit: impl FnMut(&mut Worker, ConnectionId)) {
        match target {
            Target::Connection(id) => visit(self, id),
            Target::Room(room) => {
                let count = self.rooms.len(room).min(below);
                self.work.look(count);
                for place in 0..count {
                    if let Some(id) = self.rooms.member(room, place) {
                        visit(self, id);
                    }
                }
            }
        }
    }

    /// Something is about to be said to a client: if it is still to get a message, that comes first. If handing it out
    /// panics, the others are still to get it.
    pub(super) fn catch_up(&mut self, id: ConnectionId) {
        let Some(mut broadcast) = self.interrupted.take() else { return };
        let result = catch_unwind(AssertUnwindSafe(|| self.hand_late(id, &mut broadcast)));
        self.interrupted = Some(broadcast);
        if let Err(panic) = result {
            resume_unwind(panic);
        }
    }

    /// Queues a message for one client, if it is still to get it.
    fn hand_late(&mut self, id: ConnectionId, broadcast: &mut Broadcast) {
        if self.connection(id).is_none_or(|connection| connection.mark != broadcast.number | AWAITS) {
            return;
        }
        let batch = broadcast.batch.clone();
        match batch.iter_from(broadcast.place).next() {
            Some(Op::Multicast { connections, parcel, flags }) => {
                self.work.look(connections.iter().count());
                for _ in connections.iter().skip(broadcast.done).filter(|&other| other == id) {
                    self.hand(id, &parcel, flags, broadcast);
                }
            }
            Some(Op::Broadcast { parcel, flags, .. }) => self.hand(id, &parcel, flags, broadcast),
            _ => {}
        }
        if let Some(connection) = self.connection(id) {
            connection.mark = broadcast.number;
        }
    }
}
