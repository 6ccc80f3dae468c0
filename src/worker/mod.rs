//! A worker: a thread with its own runtime, on which connections live for life.
//!
//! All state of a worker is behind one `RefCell` that is borrowed for the length of a turn: a batch of commands, the
//! bytes that one WebSocket had, or the timers that are due. A turn ends by writing what it produced, or by leaving that
//! to the main task if it goes to many WebSockets, and by publishing its events. Nothing is borrowed across an `await`.
#![forbid(unsafe_code)]

#[cfg(unix)]
mod arrivals;
pub mod command;
mod connection;
pub mod event;
mod input;
mod lifecycle;
mod outbox;
mod output;
pub mod recovery;
mod rooms;
#[cfg(all(test, unix))]
mod simulation;
mod stream;
mod websocket;
mod writes;

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;
use tokio::task::LocalSet;

use crate::panics::panic_point;
use crate::protocol::ids::{ConnectionId, StreamId};
use crate::protocol::options::Options;
use crate::protocol::polling::Polling;
use crate::protocol::session::{Deadlines, Turn};
#[cfg(unix)]
use arrivals::Arrival;
use command::{Command, CommandQueue, Op, OpBatch};
use connection::Connection;
use event::{EventSink, Inbox};
use outbox::Pool;
use recovery::{take_turn, Subject};
use rooms::Rooms;
use websocket::{Queued, WebSocket};

/// Bytes that one read takes from a WebSocket at the most.
const READ_BUFFER: usize = 64 << 10;

/// Commands that one turn takes from the queue at the most, so that WebSockets get their turn too.
const COMMANDS_PER_TURN: usize = 64;

/// The JavaScript side's hold on a worker. The thread starts when there is a first command.
pub struct WorkerHandle {
    queue: Arc<CommandQueue>,
    thread: Option<JoinHandle<()>>,
    index: usize,
    count: usize,
    options: Arc<Options>,
    inbox: Arc<Inbox>,
}

impl WorkerHandle {
    /// Worker `index` of `count`.
    pub fn new(index: usize, count: usize, options: Arc<Options>, inbox: Arc<Inbox>) -> WorkerHandle {
        WorkerHandle { queue: Arc::default(), thread: None, index, count, options, inbox }
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
            let (index, count) = (self.index, self.count);
            let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
            let thread = std::thread::Builder::new()
                .name(format!("sockeye-{index}"))
                .spawn(move || run(&runtime, index, count, options, EventSink::new(inbox), &queue))?;
            self.thread = Some(thread);
        }
        self.queue.push(command);
        Ok(())
    }
}

impl WorkerHandle {
    /// Ends the thread, which starts again with the next command, and waits for it: its code must not be unloaded
    /// under it. Connections that it still has are dropped.
    pub fn stop(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.queue.push(Command::Shutdown);
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
    this: Weak<RefCell<Worker>>,
    index: u32,
    count: u32,
    options: Arc<Options>,
    connections: Vec<Option<Box<Connection>>>,
    websockets: Vec<Option<Box<WebSocket>>>,
    /// Connections that Node has accepted, by the numbers of their streams.
    #[cfg(unix)]
    arrivals: HashMap<StreamId, Arrival>,
    rooms: Rooms,
    deadlines: Deadlines,
    events: EventSink,
    pool: Pool,
    read_buffer: Vec<u8>,
    /// WebSockets that have something to write at the end of the turn.
    dirty: Vec<StreamId>,
    /// WebSockets that earlier turns have left to be written, each once. Those that have ended since are still named,
    /// and may have successors of the same number.
    backlog: VecDeque<StreamId>,
    /// The number of this turn, to tell what it has queued for a WebSocket from what had waited before.
    turn: u32,
    /// The number of the last broadcast, to tell marks of connections apart.
    broadcast: u32,
    /// Counts the connections and WebSockets that have ended, so that it can be told whether one has.
    endings: u32,
    now: Instant,
    /// When the main task will look at the timers.
    armed: Option<Instant>,
    /// Wakes the task that publishes events when the WebSockets that were ready have been read.
    publish: Rc<Notify>,
    /// Wakes the main task to arm its timer anew.
    rearm: Rc<Notify>,
    /// Wakes the tasks that stopped reading because JavaScript fell behind.
    resume: Rc<Notify>,
}

type Shared = Rc<RefCell<Worker>>;

fn run(
    runtime: &Runtime,
    index: usize,
    count: usize,
    options: Arc<Options>,
    events: EventSink,
    queue: &CommandQueue,
) {
    let shared =
        Rc::new_cyclic(|this| RefCell::new(Worker::new(this.clone(), index, count, options, events)));
    let tasks = LocalSet::new();
    tasks.spawn_local(publish(shared.clone()));
    // a panic that gets here came from outside of any turn
    while catch_unwind(AssertUnwindSafe(|| tasks.block_on(runtime, serve(&shared, queue)))).is_err() {
        shared.borrow_mut().start_afresh();
    }
}

/// The task that publishes what turns of reading have left to it. It is woken behind the tasks of all WebSockets that
/// were ready at the same time.
async fn publish(shared: Shared) {
    let due = shared.borrow().publish.clone();
    loop {
        due.notified().await;
        take_turn(&shared, |worker| worker.events.publish());
    }
}

/// The main task: commands and timers.
async fn serve(shared: &Shared, queue: &CommandQueue) {
    let rearm = shared.borrow().rearm.clone();
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
        let next = shared.borrow_mut().arm_timer();
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
    ) -> Worker {
        Worker {
            this,
            index: index as u32,
            count: count as u32,
            options,
            connections: Vec::new(),
            websockets: Vec::new(),
            #[cfg(unix)]
            arrivals: HashMap::new(),
            rooms: Rooms::default(),
            deadlines: Deadlines::default(),
            events,
            pool: Pool::default(),
            read_buffer: vec![0; READ_BUFFER],
            dirty: Vec::new(),
            backlog: VecDeque::new(),
            turn: 0,
            broadcast: 0,
            endings: 0,
            now: Instant::now(),
            armed: None,
            publish: Rc::default(),
            rearm: Rc::default(),
            resume: Rc::default(),
        }
    }

    fn command_turn(&mut self, queue: &CommandQueue) -> After {
        panic_point!("command turn");
        self.now = Instant::now();
        let mut after = After::More;
        for _ in 0..COMMANDS_PER_TURN {
            match queue.pop() {
                None => {
                    after = After::Idle;
                    break;
                }
                Some(Command::Shutdown) => {
                    self.contained(Subject::Worker, Worker::write_everything);
                    return After::Shutdown;
                }
                Some(Command::Batch(batch)) => self.execute_batch(&batch),
                Some(command) => {
                    self.contained(command.subject(), |worker| worker.execute(command));
                }
            }
        }
        self.write_backlog();
        self.finish_turn();
        match after {
            After::Idle if !self.backlog.is_empty() => After::More,
            after => after,
        }
    }

    /// Executes the operations of a batch, also those behind one that panics.
    fn execute_batch(&mut self, batch: &OpBatch) {
        let mut ops = batch.iter();
        loop {
            let rest = catch_unwind(AssertUnwindSafe(|| {
                for op in ops.by_ref() {
                    self.execute_op(op);
                }
            }));
            if rest.is_ok() {
                return;
            }
            self.fail(ops.subject(), self.endings);
        }
    }

    fn execute(&mut self, command: Command) {
        panic_point!("command {}", command.name());
        match command {
            Command::Open(open) => self.open(*open),
            #[cfg(unix)]
            Command::Receive { stream, fd } => self.receive(stream, fd),
            Command::Upgrade { connection, takeover } => self.upgrade(connection, takeover),
            Command::PostBinary { connection, body } => self.on_binary_post(connection, &body),
            Command::PipeData { stream, mut data } => self.on_bytes(stream, &mut data),
            Command::Resume => self.resume.notify_waiters(),
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

    fn execute_op(&mut self, op: Op<'_>) {
        panic_point!("op {op:?}");
        match op {
            Op::Send { connection, parcel, flags } => self.send(connection, parcel, flags),
            Op::Post { connection, body } => self.on_post(connection, body),
            Op::Multicast { connections, parcel, flags } => self.multicast(connections, parcel, flags),
            Op::Broadcast { rooms, except, parcel, flags } => self.broadcast(rooms, except, parcel, flags),
            Op::Room { room, connections } => {
                let ours = connections.iter().copied().filter(|&id| self.is_ours(id)).collect();
                self.rooms.create(room, ours);
            }
            Op::DropRoom { room } => self.rooms.remove(room),
            Op::Join { room, connection } if self.is_ours(connection) => self.rooms.join(room, connection),
            Op::Leave { room, connection } if self.is_ours(connection) => self.rooms.leave(room, connection),
            Op::Close { connection, flags } => self.close(connection, flags.discard()),
            Op::Poll { connection } => self.on_poll(connection),
            Op::Drop { connection } => self.forget(connection),
            Op::Alive { connection } => self.on_alive(connection),
            Op::Watch { connection, flags } => {
                if let Some(connection) = self.connection(connection) {
                    connection.watch = flags.mask();
                }
            }
            Op::PipeWritten { stream } => self.on_pipe_written(stream),
            Op::PipeEnd { stream } => self.on_end_of_stream(stream),
            #[cfg(unix)]
            Op::Admit { connection, stream, protocol, sid, headers } if self.is_ours(stream) => {
                self.admit(stream, connection, protocol, sid, headers);
            }
            #[cfg(unix)]
            Op::Decline { stream } => self.release(stream),
            #[cfg(not(unix))]
            Op::Decline { .. } => {}
            Op::Join { .. } | Op::Leave { .. } | Op::Admit { .. } => {}
        }
    }
}

/// Access to what lives here. Connections and streams that belong to other workers are not found.
impl Worker {
    fn is_ours(&self, id: u32) -> bool {
        id % self.count == self.index
    }

    fn slot(&self, id: u32) -> Option<usize> {
        self.is_ours(id).then_some((id / self.count) as usize)
    }

    fn connection(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        let slot = self.slot(id)?;
        self.connections.get_mut(slot)?.as_deref_mut()
    }

    /// The outgoing half of a session that polls.
    fn polling(&mut self, id: ConnectionId) -> Option<&mut Polling> {
        self.connection(id)?.polling.as_deref_mut()
    }

    fn websocket(&mut self, id: StreamId) -> Option<&mut WebSocket> {
        let slot = self.slot(id)?;
        self.websockets.get_mut(slot)?.as_deref_mut()
    }

    /// A connection together with what its session needs to act.
    fn connection_turn(&mut self, id: ConnectionId) -> Option<(&mut Connection, Turn<'_>)> {
        let slot = self.slot(id)?;
        let connection = self.connections.get_mut(slot)?.as_deref_mut()?;
        Some((connection, Turn { options: &self.options, now: self.now, deadlines: &mut self.deadlines }))
    }

    /// A WebSocket together with the pool that its outbox draws from.
    fn websocket_and_pool(&mut self, id: StreamId) -> Option<(&mut WebSocket, &mut Pool)> {
        let slot = self.slot(id)?;
        Some((self.websockets.get_mut(slot)?.as_deref_mut()?, &mut self.pool))
    }

    fn mark_dirty(&mut self, id: StreamId) {
        let now = self.turn;
        let Some(websocket) = self.websocket(id) else { return };
        match &mut websocket.queued {
            Queued::ThisTurn => {}
            Queued::Backlog { turn } => *turn = now,
            queued @ Queued::No => {
                *queued = Queued::ThisTurn;
                self.dirty.push(id);
            }
        }
    }
}

/// Puts `value` into the slot, which is free: JavaScript numbers densely and reuses a number only when told so.
fn put<T>(table: &mut Vec<Option<Box<T>>>, slot: usize, value: T) {
    if table.len() <= slot {
        table.resize_with(slot + 1, || None);
    }
    table[slot] = Some(Box::new(value));
}
