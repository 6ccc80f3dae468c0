//! A worker: a thread with its own runtime, on which connections live for life.
//!
//! All state of a worker is behind one `RefCell` that is borrowed for the length of a turn: a batch of commands, the
//! bytes that one WebSocket had, or the timers that are due. A turn ends by writing what it produced, or by leaving that
//! to the main task if it goes to many WebSockets, and by publishing its events. Nothing is borrowed across an `await`.
#![forbid(unsafe_code)]

#[cfg(unix)]
mod answer;
#[cfg(unix)]
pub mod arrivals;
mod broadcast;
mod bucket;
pub mod command;
pub mod connection;
mod deadlines;
mod endings;
pub mod event;
pub mod figures;
pub mod gate;
#[cfg(unix)]
mod gathering;
mod held;
#[cfg(unix)]
pub mod hello;
mod input;
mod lifecycle;
pub mod limits;
pub mod metrics;
#[cfg(all(test, feature = "models"))]
mod models;
mod outbox;
mod outgoing;
mod output;
mod queue;
#[cfg(test)]
mod random_programs;
pub mod recovery;
pub mod road;
mod rooms;
#[cfg(any(test, feature = "internals"))]
pub mod scene;
#[cfg(all(test, unix))]
mod simulation;
mod stream;
mod sync;
mod table;
mod traffic;
mod websocket;
#[cfg(unix)]
pub mod wire;
mod work;
mod writes;

use std::cell::RefCell;
use std::collections::HashMap;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;
use tokio::task::LocalSet;

use crate::os::memory;
use crate::panics::panic_point;
use crate::protocol::ids::{ConnectionId, IdHash, StreamId};
use crate::protocol::options::Options;
use crate::protocol::polling::{Polling, Waiter};
use crate::protocol::session::Turn;
use crate::protocol::websocket::deflate::Spares;
#[cfg(unix)]
use arrivals::{Arrival, Orphan};
use broadcast::Broadcast;
use command::{Command, Op, OpBatch, Place};
use connection::Connection;
use deadlines::{Deadlines, Holder};
use event::{EventSink, Inbox};
use held::Held;
use limits::Limits;
use metrics::Metrics;
use outbox::Pool;
use outgoing::Outgoing;
use queue::CommandQueue;
use recovery::{take_turn, Subject};
use road::Road;
use rooms::Rooms;
use table::Table;
use websocket::WebSocket;
use work::Work;

/// Bytes that one read takes from a WebSocket at the most: a message of 64 KiB, and what comes with it.
pub const READ_BUFFER: usize = 80 << 10;

/// Commands that one turn takes from the queue at the most, so that WebSockets get their turn too.
const COMMANDS_PER_TURN: usize = 64;

/// How long JavaScript waits for workers that have fallen behind before it says more.
pub const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// How long after much memory has been freed it is given back to the operating system: it may be needed again.
const EBB_TIME: Duration = Duration::from_secs(1);

/// While more bytes than this wait for clients, no memory is given back.
const EBB: usize = 4 << 20;

/// The JavaScript side's hold on a worker. The thread starts when there is a first command.
pub struct WorkerHandle {
    queue: Arc<CommandQueue>,
    thread: Option<JoinHandle<()>>,
    index: usize,
    count: usize,
    options: Arc<Options>,
    inbox: Arc<Inbox>,
    road: Arc<Road>,
    /// What it counts.
    pub metrics: Arc<Metrics>,
}

impl WorkerHandle {
    /// Worker `index` of `count`.
    pub fn new(
        index: usize,
        count: usize,
        options: Arc<Options>,
        inbox: Arc<Inbox>,
        road: Arc<Road>,
    ) -> WorkerHandle {
        WorkerHandle {
            queue: Arc::default(),
            thread: None,
            index,
            count,
            options,
            inbox,
            road,
            metrics: Arc::default(),
        }
    }

    /// Whether there has been a command.
    pub fn is_running(&self) -> bool {
        self.thread.is_some()
    }

    /// How many commands wait.
    pub fn waiting_commands(&self) -> usize {
        self.queue.len()
    }

    /// Gives the worker something to do.
    ///
    /// # Errors
    /// When the thread, or what it needs, cannot be made.
    pub fn push(&mut self, command: Command) -> std::io::Result<()> {
        if self.thread.is_none() {
            let (queue, options, inbox) = (self.queue.clone(), self.options.clone(), self.inbox.clone());
            let (index, count, road) = (self.index, self.count, self.road.clone());
            let metrics = self.metrics.clone();
            let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
            let thread = std::thread::Builder::new().name(format!("sockeye-{index}")).spawn(move || {
                let sink = EventSink::new(inbox);
                run(&runtime, |this| Worker::new(this, index, count, options, sink, road, metrics), &queue);
            })?;
            self.thread = Some(thread);
        }
        self.queue.push(command, Instant::now());
        Ok(())
    }

    /// Waits until the worker has caught up, if it has fallen behind, but not beyond the deadline.
    pub fn wait_until_caught_up(&self, deadline: Instant) {
        self.queue.wait_until_caught_up(deadline);
    }
}

impl WorkerHandle {
    /// Ends the thread, which starts again with the next command, and waits for it: its code must not be unloaded
    /// under it. Connections that it still has are dropped.
    pub fn stop(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.queue.push(Command::Shutdown, Instant::now());
            // a panic of the thread has been reported by the panic hook
            let _ = thread.join();
        }
    }
}

impl Drop for WorkerHandle {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The state of a worker.
struct Worker {
    /// To hand to the tasks that it spawns.
    #[cfg(unix)]
    this: Weak<RefCell<Worker>>,
    options: Arc<Options>,
    connections: Table<ConnectionId, Connection>,
    /// The streams that carry WebSockets.
    websockets: Table<StreamId, WebSocket>,
    /// The streams of connections that Node has accepted, and of which it is not known yet what they begin with.
    #[cfg(unix)]
    arrivals: HashMap<StreamId, Arrival>,
    /// Those of them that wait for JavaScript to hear of the end of a session.
    #[cfg(unix)]
    orphans: Vec<Orphan>,
    /// On what terms their requests are answered here.
    road: Arc<Road>,
    rooms: Rooms,
    deadlines: Deadlines,
    /// What bounds connections, of those that have bounds.
    limits: HashMap<ConnectionId, Limits, IdHash>,
    /// What is held back from clients that do not read, and the rules of those that have their own.
    held: HashMap<ConnectionId, Held, IdHash>,
    /// Whether more waits for all clients than may.
    is_crowded: bool,
    events: EventSink,
    metrics: Arc<Metrics>,
    outgoing: Outgoing,
    read_buffer: Vec<u8>,
    /// Windows for connections that keep none.
    spares: Rc<RefCell<Spares>>,
    /// The number of the last broadcast, to tell marks of connections apart.
    broadcasts: u64,
    /// The broadcast that an earlier turn has not handed out to everybody.
    interrupted: Option<Box<Broadcast>>,
    /// The command that comes next, and where in a batch, if an earlier turn has left it.
    left: Option<(Command, Place)>,
    /// What this part of the turn may still cost.
    work: Work,
    /// Counts the ends of connections and streams, so that it can be told whether there has been one.
    endings: u32,
    now: Instant,
    signals: Signals,
    /// Whether the worker has fallen behind JavaScript: volatile messages are dropped.
    is_behind: bool,
    /// Whether nothing else is to be executed: no other message could leave with this one.
    #[cfg_attr(not(unix), allow(dead_code, reason = "what is written to are descriptors"))]
    is_last: bool,
}

/// How turns wake tasks that wait for something.
#[derive(Debug, Default)]
struct Signals {
    /// Wakes the task that publishes events when the WebSockets that were ready have been read.
    publish: Rc<Notify>,
    /// Wakes the main task to arm its timer anew.
    rearm: Rc<Notify>,
    /// Wakes the tasks that stopped reading because JavaScript fell behind.
    resume: Rc<Notify>,
    /// Wakes the task that gives memory back.
    ebb: Rc<Notify>,
}

type Shared = Rc<RefCell<Worker>>;

fn run(runtime: &Runtime, make: impl FnOnce(Weak<RefCell<Worker>>) -> Worker, queue: &CommandQueue) {
    let shared = Rc::new_cyclic(|this| RefCell::new(make(this.clone())));
    let _serving = queue.serve();
    let tasks = LocalSet::new();
    tasks.spawn_local(publish(shared.clone()));
    tasks.spawn_local(give_memory_back(shared.clone()));
    // a panic that gets here came from outside of any turn
    while catch_unwind(AssertUnwindSafe(|| tasks.block_on(runtime, serve(&shared, queue)))).is_err() {
        shared.borrow_mut().start_afresh();
    }
}

/// The task that publishes what turns of reading have left to it. It is woken behind the tasks of all WebSockets that
/// were ready at the same time.
async fn publish(shared: Shared) {
    let due = shared.borrow().signals.publish.clone();
    #[cfg(unix)]
    let mut gathering = gathering::Gathering::default();
    loop {
        due.notified().await;
        #[cfg(unix)]
        gather(&shared, &mut gathering).await;
        take_turn(&shared, |worker| worker.events.publish());
    }
}

/// Waits for further events before JavaScript is woken, if that pays.
#[cfg(unix)]
async fn gather(shared: &Shared, gathering: &mut gathering::Gathering) {
    let Some(words) = shared.borrow().events.words_to_wake_for() else { return };
    if let Some(rest) = gathering.begin(Instant::now()) {
        // the timers of the runtime count milliseconds
        std::thread::sleep(rest);
        // what is ready by now is read
        tokio::task::yield_now().await;
        let now = shared.borrow().events.words_to_wake_for().unwrap_or(0);
        gathering.learn(now.saturating_sub(words));
    }
    gathering.end(Instant::now());
}

/// The task that gives memory back after much has waited, for the worker or for its clients.
async fn give_memory_back(shared: Shared) {
    let ebb = shared.borrow().signals.ebb.clone();
    loop {
        ebb.notified().await;
        loop {
            tokio::time::sleep(EBB_TIME).await;
            if shared.borrow().waiting_bytes() < EBB {
                break;
            }
        }
        shared.borrow_mut().outgoing.pool = Pool::default();
        memory::give_back();
    }
}

/// The main task: commands and timers.
async fn serve(shared: &Shared, queue: &CommandQueue) {
    let rearm = shared.borrow().signals.rearm.clone();
    loop {
        panic_point!("serve");
        let mut more = true;
        while more {
            more = match take_turn(shared, |worker| worker.command_turn(queue)) {
                Some(After::Shutdown) => return,
                Some(After::Idle) => false,
                Some(After::More) | None => true,
            };
            if more {
                if shared.borrow().is_timer_due() {
                    take_turn(shared, Worker::timer_turn);
                }
                tokio::task::yield_now().await;
            }
        }
        let next = shared.borrow_mut().deadlines.plan();
        match next {
            Some(at) => tokio::select! {
                () = queue.wait() => {}
                () = rearm.notified() => {}
                () = tokio::time::sleep_until(at.into()) => {
                    take_turn(shared, Worker::timer_turn);
                }
            },
            None => tokio::select! {
                () = queue.wait() => {}
                () = rearm.notified() => {}
            },
        }
    }
}

/// How a turn of commands ended.
enum After {
    Idle,
    More,
    Shutdown,
}

impl Worker {
    fn new(
        this: Weak<RefCell<Worker>>,
        index: usize,
        count: usize,
        options: Arc<Options>,
        events: EventSink,
        road: Arc<Road>,
        metrics: Arc<Metrics>,
    ) -> Worker {
        #[cfg(not(unix))]
        let _ = this;
        let (lane, lanes) = (index as u32, count as u32);
        Worker {
            #[cfg(unix)]
            this,
            options,
            connections: Table::new(lane, lanes),
            websockets: Table::new(lane, lanes),
            #[cfg(unix)]
            arrivals: HashMap::new(),
            #[cfg(unix)]
            orphans: Vec::new(),
            road,
            rooms: Rooms::default(),
            deadlines: Deadlines::new(lanes),
            limits: HashMap::default(),
            held: HashMap::default(),
            is_crowded: false,
            events,
            metrics,
            outgoing: Outgoing::default(),
            read_buffer: vec![0; READ_BUFFER],
            spares: Rc::default(),
            broadcasts: 0,
            interrupted: None,
            left: None,
            work: Work::default(),
            endings: 0,
            now: Instant::now(),
            signals: Signals::default(),
            is_behind: false,
            is_last: false,
        }
    }

    /// Bytes that wait for clients.
    fn waiting_bytes(&self) -> usize {
        let polling = self.connections.iter().filter_map(|(_, it)| it.polling.as_ref());
        let websockets = self.websockets.iter().map(|(_, it)| it.waiting());
        let held = self.held.values().map(Held::bytes);
        websockets.chain(polling.map(|it| it.bytes())).chain(held).sum()
    }

    fn command_turn(&mut self, queue: &CommandQueue) -> After {
        panic_point!("command turn");
        self.now = Instant::now();
        self.serve_commands(queue)
    }

    fn serve_commands(&mut self, queue: &CommandQueue) -> After {
        let mut after = After::More;
        self.work.begin();
        self.is_last = self.left.is_none() && queue.len() == 0;
        self.contained(Subject::Worker, Worker::go_on);
        self.work.begin();
        for _ in 0..COMMANDS_PER_TURN {
            if self.work.is_spent() {
                break;
            }
            let (command, place) = match self.left.take() {
                Some(left) => left,
                None => {
                    let Some((command, is_behind)) = queue.pop() else {
                        after = After::Idle;
                        if queue.has_ebbed() {
                            self.signals.ebb.notify_one();
                        }
                        break;
                    };
                    self.is_behind = is_behind;
                    (command, Place::default())
                }
            };
            match command {
                Command::Settle(_) | Command::Shutdown if self.interrupted.is_some() => {
                    self.left = Some((command, place));
                    break;
                }
                Command::Shutdown => {
                    self.contained(Subject::Worker, Worker::write_everything);
                    return After::Shutdown;
                }
                Command::Batch(batch) => {
                    self.is_last = queue.len() == 0;
                    if let Some(place) = self.execute_batch(&batch, place) {
                        self.left = Some((Command::Batch(batch), place));
                        break;
                    }
                }
                command => {
                    let subject = command.subject();
                    if let Subject::Upgrade { connection, .. } = subject {
                        let subject = Subject::Connection(connection);
                        self.contained(subject, |worker| worker.catch_up(connection));
                    }
                    self.contained(subject, |worker| worker.execute(command));
                }
            }
        }
        self.is_last = false;
        self.work.begin();
        self.write_backlog();
        self.finish_turn();
        match after {
            After::Idle
                if self.outgoing.has_backlog() || self.interrupted.is_some() || self.is_timer_due() =>
            {
                After::More
            }
            after => after,
        }
    }

    /// Executes the operations of a batch from a place on, also those behind one that panics. Returns where to go on in
    /// another turn, if the budget is spent or if a message has to be handed out to everybody before.
    fn execute_batch(&mut self, batch: &Arc<OpBatch>, place: Place) -> Option<Place> {
        let is_last = self.is_last;
        let mut ops = batch.iter_from(place);
        loop {
            let result = catch_unwind(AssertUnwindSafe(|| {
                while let Some(op) = ops.next() {
                    if self.interrupted.is_some() {
                        if op.is_for_many() {
                            return Some(ops.last_place());
                        }
                        if let Subject::Connection(id) = ops.subject() {
                            self.catch_up(id);
                        }
                    }
                    self.is_last = is_last && ops.next_place().is_none();
                    self.execute_op(op, batch, ops.last_place());
                    if self.work.is_spent() {
                        return ops.next_place();
                    }
                }
                None
            }));
            match result {
                Ok(place) => return place,
                Err(_) => self.fail(ops.subject(), self.endings),
            }
        }
    }

    fn execute(&mut self, command: Command) {
        panic_point!("command {}", command.name());
        match command {
            Command::Open(open) => self.open(*open),
            #[cfg(unix)]
            Command::Receive { stream, fd, beginning } => self.receive(stream, fd, beginning),
            Command::Upgrade { connection, takeover } => self.upgrade(connection, takeover),
            Command::Body { connection, body, is_binary: true } => self.on_binary_post(connection, &body),
            Command::Body { connection, body, is_binary: false } => match std::str::from_utf8(&body) {
                Ok(body) => self.on_post(connection, body),
                // as Node reads it; that is slow where there is nothing to replace
                Err(_) => self.on_post(connection, &String::from_utf8_lossy(&body)),
            },
            Command::PipeData { stream, mut data } => {
                self.count_received(self.owner_of(stream), data.len());
                self.on_bytes(stream, &mut data);
            }
            Command::Ask { connection, reply } => {
                let state = self.connections.get(connection).and_then(|it| it.polling.as_ref());
                let held = self.held_packets(connection);
                let state =
                    state.map(|it| (it.is_writable(), it.packets().iter().cloned().chain(held).collect()));
                // nobody waits any more if that took too long
                let _ = reply.send(state.unwrap_or_default());
            }
            Command::Resume => self.signals.resume.notify_waiters(),
            Command::Report(done) => {
                let ids: Vec<StreamId> = self.websockets.iter().map(|(id, _)| id).collect();
                for id in ids {
                    if let Some(websocket) = self.websockets.get_mut(id) {
                        websocket.report(self.events.figures());
                    }
                }
                // nobody waits any more if that took too long
                let _ = done.send(());
            }
            Command::Settle(done) => {
                self.write_everything();
                self.finish_turn();
                // nobody waits any more if that took too long
                let _ = done.send(());
            }
            Command::Fail(subject) => self.fail(subject, self.endings),
            Command::Batch(_) | Command::Shutdown => {}
        }
    }

    /// `batch` and `place`: where the operation is from.
    fn execute_op(&mut self, op: Op<'_>, batch: &Arc<OpBatch>, place: Place) {
        panic_point!("op {op:?}");
        match op {
            Op::Send { connection, parcel, flags } => self.send(connection, parcel, flags),
            Op::Frame { connection, first, parcel } => self.send_frame(connection, first, parcel.bytes()),
            Op::Halt { connection, flags } => self.halt(connection, flags.mask() != 0),
            Op::Post { connection, body } => self.on_post(connection, body),
            Op::Hold { connection } => {
                let post = self.polling(connection).map(|it| *it.post.get_or_insert(Waiter::JavaScript));
                self.check_post(connection, post);
            }
            Op::Posted { connection } => self.answer_post(connection),
            Op::Multicast { flags, .. } => self.broadcast(batch, place, false, flags),
            Op::Broadcast { flags, .. } => self.broadcast(batch, place, true, flags),
            // who has ended meanwhile is in no room any more
            Op::Room { room, connections } => {
                self.work.look(connections.iter().count());
                let ours = connections.iter().filter(|&id| self.connections.contains(id));
                self.rooms.create(room, ours);
            }
            Op::DropRoom { room } => self.rooms.remove(room),
            Op::Join { room, connection } if self.connections.contains(connection) => {
                self.rooms.join(room, connection);
            }
            Op::Leave { room, connection } => self.rooms.leave(room, connection),
            Op::Close { connection, flags } => self.close(connection, flags.discard()),
            Op::Poll { connection } => self.on_poll(connection),
            Op::Drop { connection } => self.forget(connection),
            Op::Alive { connection } => self.on_alive(connection),
            Op::Watch { connection, flags } => {
                if let Some(connection) = self.connection(connection) {
                    connection.watch = flags.mask();
                }
            }
            Op::Exempt { connection } => self.exempt(connection),
            Op::TellSent { connection } => self.tell_sent(connection),
            Op::Expire { connection, after } => self.expire(connection, after),
            Op::SlowConsumer { connection, namespace, rule } => self.set_rule(connection, namespace, rule),
            Op::PipeWritten { stream } => self.on_pipe_written(stream),
            Op::PipeEnd { stream } => self.on_hang_up(stream),
            #[cfg(unix)]
            Op::Admit { connection, stream, protocol, sid, headers } if self.websockets.is_ours(stream) => {
                self.admit(stream, connection, protocol, sid, headers);
            }
            #[cfg(unix)]
            Op::AdmitPolling { connection, stream, text } if self.connections.is_ours(connection) => {
                self.admit_polling(stream, connection, text);
            }
            #[cfg(unix)]
            Op::Decline { stream } => self.release(stream),
            #[cfg(unix)]
            Op::HangUp { stream, flags } => self.close_arrival(stream, flags.if_idle()),
            #[cfg(unix)]
            Op::Pass { stream, headers } => self.pass(stream, headers),
            #[cfg(unix)]
            Op::Answer { stream, head } => self.answer_preflight(stream, head),
            #[cfg(unix)]
            Op::WatchShown { stream } => self.watch_shown(stream),
            #[cfg(unix)]
            Op::Admit { .. } | Op::AdmitPolling { .. } => {}
            Op::Join { .. } => {}
        }
    }
}

/// Access to what lives here. Connections and streams that belong to other workers are not found.
impl Worker {
    fn connection(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.connections.get_mut(id)
    }

    /// The outgoing half of a session that polls.
    fn polling(&mut self, id: ConnectionId) -> Option<&mut Polling> {
        self.connection(id)?.polling.as_deref_mut()
    }

    fn websocket(&mut self, id: StreamId) -> Option<&mut WebSocket> {
        self.websockets.get_mut(id)
    }

    /// The session that a WebSocket belongs to.
    fn owner_of(&self, id: StreamId) -> Option<ConnectionId> {
        self.websockets.get(id)?.owner
    }

    /// A message has come from a client, or is sent to it.
    fn note_message(&mut self, id: ConnectionId) {
        if self.limits.is_empty() {
            return;
        }
        if let Some(limits) = self.limits.get_mut(&id) {
            limits.note_message(self.now);
        }
    }

    /// Counts bytes that a client has sent.
    fn count_received(&self, from: Option<ConnectionId>, bytes: usize) {
        self.metrics.count_received(self.events.figures(), from, bytes);
    }

    /// Counts bytes that a client is sent.
    fn count_sent(&self, to: Option<ConnectionId>, bytes: usize) {
        self.metrics.count_sent(self.events.figures(), to, bytes);
    }

    /// Has a session act. Only here does it get what it needs to set deadlines, so that none is missed.
    fn with_session<T>(
        &mut self,
        id: ConnectionId,
        act: impl FnOnce(&mut Connection, Turn<'_>) -> T,
    ) -> Option<T> {
        let connection = self.connections.get_mut(id)?;
        let before = connection.session.next_deadline();
        let result = act(connection, Turn { options: &self.options, now: self.now });
        let after = connection.session.next_deadline();
        // most deadlines are put off
        if after.is_some_and(|after| before.is_none_or(|before| after < before)) {
            self.watch_session(id);
        }
        Some(result)
    }

    /// Sees to it that a session is looked at when something of it is due.
    fn watch_session(&mut self, id: ConnectionId) {
        let session = self.connections.get(id).and_then(|connection| connection.session.next_deadline());
        let limit = self.limits.get(&id).and_then(Limits::next);
        let held = self.held.get(&id).and_then(Held::next);
        if let Some(next) = [session, limit, held].into_iter().flatten().min() {
            self.deadlines.arm(Holder::Connection(id), next);
        }
    }

    /// A WebSocket together with the pool that its outbox draws from.
    fn websocket_and_pool(&mut self, id: StreamId) -> Option<(&mut WebSocket, &mut Pool)> {
        Some((self.websockets.get_mut(id)?, &mut self.outgoing.pool))
    }

    /// Something has been queued for a WebSocket.
    fn mark_dirty(&mut self, id: StreamId) {
        if let Some(websocket) = self.websockets.get_mut(id) {
            self.outgoing.mark(id, &mut websocket.queued);
        }
    }
}
