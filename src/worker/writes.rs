//! The writes: at the end of a turn, or from the backlog, and when a WebSocket has room again.

use super::event::Kind;
#[cfg(unix)]
use super::output::queue_pieces;
use super::stream::Stream;
use super::websocket::{Phase, Queued, WebSocket};
use super::Worker;
use crate::panics::panic_point;
use crate::protocol::ids::{ConnectionId, StreamId};
use crate::protocol::session::State;

#[cfg(unix)]
use {
    super::input::Read,
    super::recovery::{take_turn, Subject},
    super::wire::Wire,
    super::Shared,
    crate::protocol::error::Ending,
    bytes::Bytes,
    std::io::{ErrorKind, IoSlice},
    std::rc::Rc,
};

/// Pieces that one write hands to the kernel at the most.
#[cfg(unix)]
const SLICES: usize = 32;

/// Bytes that wait for one client and are worth being given back to the operating system when they do not any more.
pub(super) const MUCH: usize = 4 << 20;

/// Bytes that are written to one stream before others get their turn: a client may read as fast as it is written to.
#[cfg(unix)]
const WRITE_LIMIT: usize = 256 << 10;

/// WebSockets that one turn writes to, as a rule. More of them wait in the backlog, where messages gather.
pub(super) const WRITES_PER_TURN: usize = 64;

/// Turns after which every WebSocket of the backlog has been written. With so many of them that this takes more writes,
/// a turn makes them: what one waits for must not grow with the crowd, since each of these turns executes commands.
const TURNS_PER_ROUND: usize = 16;

/// The task that writes to a WebSocket whose buffer was full, until nothing waits.
#[cfg(unix)]
pub(super) async fn write(shared: Shared, id: StreamId, fd: Rc<Wire>) {
    loop {
        let Ok(mut ready) = fd.writable().await else { return };
        match take_turn(&shared, |worker| worker.write_turn(id, &fd)) {
            Some(Wrote::NotAll) => ready.clear_ready(),
            Some(Wrote::Enough) => {
                drop(ready);
                tokio::task::yield_now().await;
            }
            Some(Wrote::Everything | Wrote::Broken) | None => return,
        }
    }
}

/// The task that ends a connection which cannot be written to any more, after what the client has still sent.
#[cfg(unix)]
async fn end_after_reading(shared: Shared, id: StreamId) {
    loop {
        // it was spawned by a turn
        tokio::task::yield_now().await;
        if shared.borrow().events.is_full() {
            let resume = shared.borrow().signals.resume.clone();
            resume.notified().await;
            continue;
        }
        match take_turn(&shared, |worker| worker.read_turn(id)) {
            Some(Read::More) => {}
            Some(Read::Drained) => {
                take_turn(&shared, |worker| worker.end_turn(id));
                return;
            }
            Some(Read::Gone) | None => return,
        }
    }
}

/// How far a write came.
#[cfg(unix)]
enum Wrote {
    Everything,
    /// As much as is this stream's due for now.
    Enough,
    /// As much as there was room for.
    NotAll,
    Broken,
}

impl Worker {
    /// Whether nothing waits for a WebSocket that an earlier turn could not write, or that this one has queued:
    /// volatile messages are dropped otherwise.
    pub(super) fn is_writable(&mut self, stream: StreamId) -> bool {
        match self.websocket(stream).map(|websocket| websocket.queued) {
            Some(Queued::Backlog { turn }) if self.outgoing.is_of_this_turn(turn) => return false,
            // earlier turns have not tried to write what they queued
            Some(Queued::Backlog { .. }) => self.flush(stream),
            _ => {}
        }
        // what was held back comes first
        let owner = self.owner_of(stream);
        owner.is_none_or(|id| self.held_bytes(id) == 0)
            && self.websocket(stream).is_some_and(|websocket| websocket.waiting() == 0)
    }

    /// Writes what the turn produced and publishes its events. What goes to many WebSockets is left to the main task.
    pub(super) fn finish_turn(&mut self) {
        self.write_turn_output();
        self.events.publish();
    }

    /// The same for a turn of reading: others are likely to be read next, and JavaScript is better woken once.
    #[cfg(unix)]
    pub(super) fn finish_read_turn(&mut self) {
        self.write_turn_output();
        if self.events.is_worthwhile() {
            self.events.publish();
        } else {
            self.signals.publish.notify_one();
        }
    }

    fn write_turn_output(&mut self) {
        panic_point!("finish turn");
        if std::mem::take(&mut self.is_crowded) {
            self.relieve();
        }
        if self.outgoing.dirty_len() <= WRITES_PER_TURN {
            self.work.begin();
            let mut dirty = self.outgoing.take_dirty();
            for id in dirty.drain(..) {
                if self.work.is_spent() {
                    self.postpone_write(id);
                } else {
                    self.flush_queued(id);
                }
            }
            self.outgoing.give_back(dirty);
        } else {
            self.postpone_writes();
        }
        self.outgoing.end_turn();
        // the turn may have armed a timer that is due before the one that the main task waits for
        if self.deadlines.is_ahead_of_plan() {
            self.signals.rearm.notify_one();
        }
    }

    fn flush_queued(&mut self, id: StreamId) {
        if let Some(websocket) = self.websocket(id) {
            websocket.queued = Queued::No;
            self.flush(id);
        }
    }

    /// Moves the WebSockets of this turn to the end of the backlog.
    fn postpone_writes(&mut self) {
        let mut dirty = self.outgoing.take_dirty();
        for id in dirty.drain(..) {
            self.postpone_write(id);
        }
        self.outgoing.give_back(dirty);
    }

    fn postpone_write(&mut self, id: StreamId) {
        if let Some(websocket) = self.websockets.get_mut(id) {
            self.outgoing.postpone(id, &mut websocket.queued);
        }
        // the main task may be waiting for something else to happen
        self.signals.rearm.notify_one();
    }

    /// Writes to some of the WebSockets that wait longest.
    ///
    /// A broadcast is written like this, a few WebSockets at a time, while others are read and commands executed. The
    /// messages of a broadcast that comes meanwhile join those that wait, and leave with the same writes.
    pub(super) fn write_backlog(&mut self) {
        panic_point!("backlog");
        let mut left = WRITES_PER_TURN.max(self.websockets.len() / TURNS_PER_ROUND);
        while left > 0 && !self.work.is_spent() {
            let Some(id) = self.outgoing.next_of_backlog() else { break };
            let is_queued = |websocket: &mut WebSocket| matches!(websocket.queued, Queued::Backlog { .. });
            if self.websocket(id).is_some_and(is_queued) {
                self.flush_queued(id);
                left -= 1;
            }
        }
    }

    /// Writes what this turn and earlier ones have queued, at the end of the process or of the worker.
    pub(super) fn write_everything(&mut self) {
        self.postpone_writes();
        while self.outgoing.has_backlog() {
            self.work.begin();
            self.write_backlog();
        }
    }

    /// Writes as much of a WebSocket's outbox as its stream takes.
    pub(super) fn flush(&mut self, id: StreamId) {
        panic_point!("flush");
        self.try_to_write(id);
        self.note_waiting(id);
    }

    /// Lets JavaScript see what could not be written, and that it has been.
    pub(super) fn note_waiting(&mut self, id: StreamId) {
        let Some(websocket) = self.websockets.get_mut(id) else { return };
        let mut waiting = websocket.waiting();
        let mut packets = if waiting > 0 { websocket.behind } else { 0 };
        if let Some(held) = websocket.owner.and_then(|owner| self.held.get(&owner)) {
            waiting += held.bytes();
            packets += held.packets();
        }
        if waiting > 0 || websocket.is_told {
            websocket.is_told = waiting > 0;
            if let Some(owner) = websocket.owner {
                self.set_waiting(owner, waiting, packets);
            }
        }
    }

    fn try_to_write(&mut self, id: StreamId) {
        let Some((websocket, pool)) = self.websocket_and_pool(id) else { return };
        match &mut websocket.stream {
            Stream::Pipe(pipe) => {
                if pipe.writing == 0 && !websocket.outbox.is_empty() {
                    let data = websocket.outbox.take(pool);
                    pipe.writing = data.len();
                    self.work.write(data.len());
                    self.count_sent(self.owner_of(id), data.len());
                    self.events.pipe_write(id, data);
                } else if pipe.writing == 0 {
                    self.after_flush(id);
                }
            }
            #[cfg(unix)]
            Stream::Fd(fd) => {
                if websocket.write_task.is_some() {
                    return;
                }
                let fd = fd.clone();
                match self.write_stream(id, &fd) {
                    Wrote::Everything => self.after_flush(id),
                    Wrote::Enough => self.leave_to_backlog(id),
                    Wrote::NotAll => self.start_writing(id, fd),
                    Wrote::Broken => self.on_broken_pipe(id),
                }
            }
        }
    }

    /// The WebSocket has room again.
    #[cfg(unix)]
    fn write_turn(&mut self, id: StreamId, fd: &Wire) -> Wrote {
        self.now = std::time::Instant::now();
        let wrote = self.contained(Subject::Stream(id), |worker| worker.write_rest(id, fd));
        self.finish_turn();
        wrote.unwrap_or(Wrote::Broken)
    }

    /// What a client that cannot be written to had sent has been read.
    #[cfg(unix)]
    fn end_turn(&mut self, id: StreamId) {
        self.contained(Subject::Stream(id), |worker| worker.sever(id, Ending::TransportClose));
        self.finish_turn();
    }

    #[cfg(unix)]
    fn write_rest(&mut self, id: StreamId, fd: &Wire) -> Wrote {
        panic_point!("write");
        let wrote = self.write_stream(id, fd);
        if !matches!(wrote, Wrote::NotAll | Wrote::Enough) {
            if let Some(websocket) = self.websocket(id) {
                websocket.write_task = None;
            }
        }
        match wrote {
            Wrote::Everything => self.after_flush(id),
            Wrote::Broken => self.on_broken_pipe(id),
            Wrote::NotAll | Wrote::Enough => {}
        }
        self.note_waiting(id);
        wrote
    }

    /// Writing failed, perhaps in the middle of a frame: nothing more is written, and the connection ends when what the
    /// client has sent by now has been read. The kernel need not report an end: it may only be out of buffers.
    #[cfg(unix)]
    fn on_broken_pipe(&mut self, id: StreamId) {
        let this = self.this.upgrade();
        if let Some((websocket, pool)) = self.websocket_and_pool(id) {
            websocket.outbox.seal(pool);
            if let Some(this) = this {
                // in the place of the task that writes, which has nothing to do any more
                websocket.write_task =
                    Some(tokio::task::spawn_local(end_after_reading(this, id)).abort_handle());
            }
        }
    }

    /// Writes frames that others get as well to a WebSocket for which nothing waits, from where they are. What there is no
    /// room for is queued. Returns whether that was nothing.
    #[cfg(unix)]
    pub(super) fn write_past(&mut self, id: StreamId, pieces: &[Bytes]) -> bool {
        let Some(websocket) = self.websockets.get_mut(id) else { return true };
        let mut taken = 0;
        if let Stream::Fd(fd) = &websocket.stream {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let mut count = 0;
            for (slice, piece) in slices.iter_mut().zip(pieces) {
                *slice = IoSlice::new(piece);
                count += 1;
            }
            match fd.write(&slices[..count]) {
                Ok(length) => taken = length,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                Err(_) => {
                    self.on_broken_pipe(id);
                    return true;
                }
            }
            self.work.write(taken);
            self.metrics.count_written(self.events.figures(), websocket, taken);
        }
        let rest = pieces.iter().filter_map(|piece| {
            let gone = taken.min(piece.len());
            taken -= gone;
            (gone < piece.len()).then(|| piece.slice(gone..))
        });
        let rest: Vec<Bytes> = rest.collect();
        queue_pieces(&rest, &mut websocket.outbox, &mut self.outgoing.pool);
        let is_written = websocket.waiting() == 0;
        if !is_written {
            self.mark_dirty(id);
        }
        is_written
    }

    pub(super) fn leave_to_backlog(&mut self, id: StreamId) {
        if let Some(websocket) = self.websockets.get_mut(id) {
            self.outgoing.leave(id, &mut websocket.queued);
        }
        self.signals.rearm.notify_one();
    }

    #[cfg(unix)]
    fn write_stream(&mut self, id: StreamId, fd: &Wire) -> Wrote {
        let Some(websocket) = self.websockets.get_mut(id) else { return Wrote::Everything };
        let mut left = WRITE_LIMIT;
        while websocket.waiting() > 0 {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let count = websocket.outbox.slices(&mut slices);
            match fd.write(&slices[..count]) {
                Ok(taken) => {
                    websocket.outbox.advance(taken, &mut self.outgoing.pool);
                    self.work.write(taken);
                    self.metrics.count_written(self.events.figures(), websocket, taken);
                    left = left.saturating_sub(taken);
                    if left == 0 && !websocket.outbox.is_empty() {
                        return Wrote::Enough;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if websocket.outbox.len() >= MUCH {
                        // when it has been written, or is dropped
                        self.signals.ebb.notify_one();
                    }
                    return Wrote::NotAll;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Wrote::Broken,
            }
        }
        Wrote::Everything
    }

    /// Everything of a WebSocket has been written.
    fn after_flush(&mut self, id: StreamId) {
        let Some(websocket) = self.websocket(id) else { return };
        if let Phase::Lingering { finished: false } = websocket.phase {
            websocket.phase = Phase::Lingering { finished: true };
            match &websocket.stream {
                #[cfg(unix)]
                Stream::Fd(fd) => fd.finish(),
                Stream::Pipe(_) => self.events.simple(Kind::PipeEnd, id),
            }
        } else if let Some(owner) = websocket.owner {
            if !self.release_held(owner, id) {
                self.note_if_sent(owner);
            }
        }
    }

    /// JavaScript waits for what has been queued for a client to leave.
    pub(super) fn tell_sent(&mut self, id: ConnectionId) {
        let Some(connection) = self.connection(id) else { return };
        connection.notify += 1;
        if let State::WebSocket { stream } = connection.session.state() {
            self.mark_dirty(stream);
        } else if connection.polling.as_ref().is_none_or(|polling| !polling.has_packets())
            && self.held_bytes(id) == 0
        {
            self.note_if_sent(id);
        }
    }

    /// Tells JavaScript that its sends have left, if it waits for that.
    pub(super) fn note_if_sent(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connection(id) {
            for _ in 0..std::mem::take(&mut connection.notify) {
                self.events.simple(Kind::Sent, id);
            }
        }
    }

    /// JavaScript has written the bytes that it was given.
    pub(super) fn on_pipe_written(&mut self, id: StreamId) {
        if let Some(websocket) = self.websocket(id) {
            match &mut websocket.stream {
                Stream::Pipe(pipe) => pipe.writing = 0,
                #[cfg(unix)]
                Stream::Fd(_) => {}
            }
            self.flush(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::command::{Flags, OpBatch, Open, Parcel, Place, Takeover, MULTICAST};
    use super::super::event::{EventSink, Inbox};
    use super::super::output::GATHERED;
    use super::*;
    use crate::protocol::engine_io::Protocol;
    use crate::protocol::error::Ending;
    use crate::protocol::options::Options;
    use crate::protocol::websocket::frame;

    const COUNT: u32 = 300;
    const PLAIN: u32 = 0;
    const VOLATILE: u32 = 1;

    /// A worker whose clients have streams in JavaScript: what it writes comes as events.
    struct Crowd {
        worker: Worker,
        inbox: Arc<Inbox>,
        got: Vec<Vec<u8>>,
        /// How many WebSockets the last turn wrote to.
        writes: usize,
    }

    impl Crowd {
        fn new(count: u32) -> Crowd {
            let inbox = Arc::new(Inbox::new(usize::MAX, Box::new(|| {})));
            let worker = Worker::new(
                Default::default(),
                0,
                1,
                Arc::default(),
                EventSink::new(inbox.clone()),
                Arc::default(),
                Arc::default(),
            );
            let mut crowd = Crowd { worker, inbox, got: vec![Vec::new(); count as usize], writes: 0 };
            (0..count).for_each(|id| crowd.open(id));
            crowd.turns_until_idle();
            crowd.got.iter_mut().for_each(Vec::clear);
            crowd
        }

        fn open(&mut self, id: u32) {
            let protocol = Protocol::V4 { base64: false };
            let takeover = Takeover {
                protocol,
                stream: StreamId::from_word(id),
                #[cfg(unix)]
                fd: None,
                #[cfg(unix)]
                layer: None,
                response: String::new(),
                deflate: None,
                head: Vec::new(),
            };
            let handshake = "0".into();
            self.worker.open(Open {
                connection: ConnectionId::from_word(id),
                protocol,
                takeover: Some(takeover),
                handshake,
                initial: None,
                traveller: None,
            });
        }

        fn emit(&mut self, text: &str, flags: u32) {
            let everybody: Vec<u32> = (0..self.got.len() as u32).collect();
            let head = [MULTICAST | flags << 8, text.len() as u32, everybody.len() as u32];
            let batch = OpBatch::new(&[&head[..], &everybody].concat(), text.into(), &[], &[]);
            self.worker.work.begin();
            assert!(self.worker.execute_batch(&Arc::new(batch), Place::default()).is_none());
        }

        fn send(&mut self, id: u32, text: &str, flags: u32) {
            self.worker.send(
                ConnectionId::from_word(id),
                Parcel { text: Some(text), buffers: &[] },
                Flags::from_word(flags << 8),
            );
        }

        /// Ends a turn of the main task, and reads as clients do.
        fn turn(&mut self) {
            self.worker.work.begin();
            self.worker.write_backlog();
            self.worker.finish_turn();
            self.read();
        }

        fn read(&mut self) {
            self.writes = 0;
            while let Some((batch, _)) = self.inbox.take() {
                let mut buffers = batch.buffers.into_iter();
                for words in batch.words.chunks(2).filter(|words| words[0] == Kind::PipeWrite as u32) {
                    self.writes += 1;
                    self.got[words[1] as usize].extend(buffers.next().unwrap());
                    self.worker.on_pipe_written(StreamId::from_word(words[1]));
                }
            }
        }

        fn turns_until_idle(&mut self) -> usize {
            let mut turns = 1;
            self.turn();
            while self.worker.outgoing.has_backlog() {
                self.turn();
                turns += 1;
            }
            turns
        }

        /// Compares what every client has got with texts of less than 125 bytes.
        fn assert_got(&self, texts: &[&str]) {
            let expected = frames(texts);
            for (id, got) in self.got.iter().enumerate() {
                assert_eq!(String::from_utf8_lossy(got), String::from_utf8_lossy(&expected), "client {id}");
            }
        }
    }

    fn frames(texts: &[&str]) -> Vec<u8> {
        let mut out = Vec::new();
        texts.iter().for_each(|text| frame::write_text(b"4", text.as_bytes(), &mut out));
        out
    }

    #[test]
    fn a_turn_writes_to_some_and_what_comes_meanwhile_leaves_with_the_same_writes() {
        let mut crowd = Crowd::new(COUNT);
        crowd.emit("one", PLAIN);
        crowd.turn();
        assert_eq!(crowd.writes, 0);
        crowd.turn();
        assert_eq!(crowd.writes, WRITES_PER_TURN);
        for id in 0..COUNT {
            crowd.send(id, "two", PLAIN);
        }
        let mut writes = 0;
        while crowd.worker.outgoing.has_backlog() {
            crowd.turn();
            // to some of the backlog, and to those that are not in it any more
            assert!(crowd.writes <= 2 * WRITES_PER_TURN);
            writes += crowd.writes;
        }
        assert_eq!(writes, COUNT as usize, "those that the second turn had written to are written to again");
        crowd.assert_got(&["one", "two"]);
    }

    #[test]
    fn a_turn_hands_javascript_no_more_than_its_budget_allows() {
        let mut crowd = Crowd::new(COUNT);
        let large = "x".repeat(GATHERED - 100);
        (0..COUNT).for_each(|id| crowd.send(id, &large, PLAIN));
        crowd.turn();
        let mut writes = 0;
        while crowd.worker.outgoing.has_backlog() {
            crowd.turn();
            assert!(crowd.writes < WRITES_PER_TURN, "{} writes", crowd.writes);
            writes += crowd.writes;
        }
        assert_eq!(writes, COUNT as usize);
    }

    #[test]
    fn few_websockets_are_written_to_in_the_same_turn_whatever_waits_for_others() {
        let mut crowd = Crowd::new(COUNT);
        (0..100).for_each(|id| crowd.send(id, "many", PLAIN));
        crowd.turn();
        crowd.send(200, "few", PLAIN);
        crowd.worker.finish_turn();
        crowd.read();
        assert_eq!((crowd.writes, crowd.got[200].clone()), (1, frames(&["few"])));
    }

    #[test]
    fn a_round_takes_no_more_turns_for_a_larger_crowd() {
        for count in [100, 1000, 5000] {
            let mut crowd = Crowd::new(count);
            crowd.emit("n", PLAIN);
            // the first one postpones, the last one has what is left of the division
            let turns = crowd.turns_until_idle();
            assert!(turns <= TURNS_PER_ROUND + 2, "{turns} turns for {count}");
            crowd.assert_got(&["n"]);
        }
    }

    #[test]
    fn volatile_messages_wait_for_nothing_that_has_not_been_tried() {
        let mut crowd = Crowd::new(COUNT);
        crowd.emit("before", PLAIN);
        crowd.turn();
        crowd.emit("one", VOLATILE);
        crowd.emit("dropped", VOLATILE);
        (0..COUNT).for_each(|id| crowd.send(id, "dropped", VOLATILE));
        crowd.turn();
        (0..COUNT).for_each(|id| crowd.send(id, "two", VOLATILE));
        crowd.emit("dropped", VOLATILE);
        crowd.turns_until_idle();
        crowd.assert_got(&["before", "one", "two"]);
    }

    #[test]
    fn much_that_gathers_leaves_at_once() {
        let mut crowd = Crowd::new(COUNT);
        crowd.emit("n", PLAIN);
        crowd.turn();
        let large = "x".repeat(GATHERED / 2);
        for _ in 0..20 {
            crowd.send(COUNT - 1, &large, PLAIN);
            crowd.worker.finish_turn();
            crowd.read();
            let waiting = crowd.worker.websocket(StreamId::from_word(COUNT - 1)).unwrap().outbox.len();
            assert!(waiting <= GATHERED, "{waiting} bytes wait");
        }
        assert!(crowd.worker.outgoing.has_backlog());
        crowd.turns_until_idle();
        assert_eq!(crowd.got.pop().unwrap(), frames(&[&["n"][..], &[large.as_str(); 20]].concat()));
        crowd.assert_got(&["n"]);
    }

    #[test]
    fn what_waits_in_the_backlog_is_tried_before_a_client_is_given_up() {
        let mut crowd = Crowd::new(COUNT);
        crowd.worker.options = Arc::new(Options { max_outbound: 500, ..Options::default() });
        let texts: [String; 20] = std::array::from_fn(|_| "x".repeat(100));
        for text in &texts {
            crowd.emit(text, PLAIN);
            crowd.worker.finish_turn();
            crowd.read();
        }
        crowd.turns_until_idle();
        crowd.assert_got(&texts.each_ref().map(String::as_str));
    }

    #[test]
    fn who_ends_in_the_backlog_leaves_nothing_to_the_next_of_that_number() {
        let mut crowd = Crowd::new(COUNT);
        crowd.emit("n", PLAIN);
        crowd.turn();
        for id in (0..COUNT).step_by(2) {
            crowd.worker.sever(StreamId::from_word(id), Ending::TransportClose);
        }
        // 0 gets a successor in the same turn, 2 in the next, 4 none
        crowd.open(0);
        crowd.turn();
        crowd.open(2);
        crowd.emit("m", PLAIN);
        crowd.turns_until_idle();
        let (open, both) = ([frames(&[]), frames(&["m"])], frames(&["n", "m"]));
        for (id, got) in crowd.got.iter().enumerate() {
            match id {
                0 | 2 => {
                    assert!(got.ends_with(&open[1]) && !got.windows(2).any(|it| it == b"4n"), "client {id}")
                }
                _ if id % 2 == 0 => assert_eq!(got, &open[0]),
                _ => assert_eq!(got, &both),
            }
        }
        let queued = (0..COUNT).filter_map(|id| {
            crowd.worker.websocket(StreamId::from_word(id)).map(|websocket| websocket.queued)
        });
        assert!(queued.into_iter().all(|queued| queued == Queued::No));
    }

    #[test]
    fn in_the_end_everything_is_written() {
        let mut crowd = Crowd::new(COUNT);
        crowd.emit("one", PLAIN);
        crowd.turn();
        crowd.emit("two", PLAIN);
        crowd.worker.write_everything();
        crowd.worker.events.publish();
        crowd.read();
        assert_eq!(crowd.writes, COUNT as usize);
        crowd.assert_got(&["one", "two"]);
    }
}
