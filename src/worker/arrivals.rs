//! Connections that Node has accepted, before anybody has read from them.
//!
//! One that begins with an ordinary upgrade request is shown to JavaScript, which admits it as a session: Node's HTTP
//! parser, and all the objects that come with it, have no part in it. Any other is released, and Node goes on with
//! it as if nothing had happened. Until it is admitted, nothing is taken from its bytes; they are only looked at.

use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::task::AbortHandle;

use super::deadlines::Holder;
use super::recovery::{take_turn, Subject};
use super::{Shared, Worker};
use crate::os::fd::FdStream;
use crate::panics::panic_point;
use crate::protocol::engine_io::packet::Handshake;
use crate::protocol::engine_io::Protocol;
use crate::protocol::ids::{ConnectionId, StreamId};
use crate::protocol::websocket::upgrade_request::{self, Reading, UpgradeRequest, LONGEST};

use std::io::ErrorKind;
use std::os::fd::OwnedFd;

/// How long a connection may say nothing, or not enough, before Node's own time limits begin to count.
const PATIENCE: Duration = Duration::from_secs(1);

/// A connection that has been accepted.
pub(super) struct Arrival {
    fd: Rc<FdStream>,
    /// The task that waits for its first bytes.
    task: Option<AbortHandle>,
    /// What JavaScript has been told of.
    request: Option<Request>,
}

struct Request {
    /// Bytes that it takes.
    length: usize,
    /// The answer to it, but for its end.
    response: String,
}

impl Drop for Arrival {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}

/// The task that waits for the first bytes of a connection.
async fn wait(shared: Shared, id: StreamId, fd: Rc<FdStream>) {
    loop {
        let Ok(mut ready) = fd.readable().await else { return };
        let is_over = ready.ready().is_read_closed();
        match take_turn(&shared, |worker| worker.look_turn(id, &fd, is_over)) {
            Some(Look::Again) => ready.clear_ready(),
            Some(Look::Done) | None => return,
        }
    }
}

/// Whether the first bytes of a connection are to be looked at again when there are more.
#[derive(Clone, Copy)]
enum Look {
    Again,
    Done,
}

impl Worker {
    /// Node has accepted a connection.
    pub(super) fn receive(&mut self, id: StreamId, fd: OwnedFd) {
        let (Ok(fd), Some(this)) = (FdStream::register(fd), self.this.upgrade()) else {
            return self.refuse_stream(id);
        };
        let fd = Rc::new(fd);
        let task = tokio::task::spawn_local(wait(this, id, fd.clone()));
        self.deadlines.arm(Holder::Stream(id), self.now + PATIENCE);
        self.arrivals.insert(id, Arrival { fd, task: Some(task.abort_handle()), request: None });
    }

    /// There is something to look at. `is_over`: nothing more will come.
    fn look_turn(&mut self, id: StreamId, fd: &FdStream, is_over: bool) -> Look {
        panic_point!("looking");
        self.now = Instant::now();
        let look = self.contained(Subject::Stream(id), |worker| {
            if is_over {
                // what to say of it is Node's business, and looking would take away the error that it is to find
                worker.release(id);
                return Look::Done;
            }
            worker.look_at(id, fd)
        });
        self.finish_turn();
        look.unwrap_or(Look::Done)
    }

    fn look_at(&mut self, id: StreamId, fd: &FdStream) -> Look {
        panic_point!("look");
        let reading = match fd.peek(&mut self.read_buffer[..LONGEST]) {
            Ok(0) => Reading::Other,
            Ok(length) => upgrade_request::read(&self.read_buffer[..length]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                Reading::Incomplete
            }
            Err(_) => Reading::Other,
        };
        match reading {
            Reading::Incomplete => return Look::Again,
            Reading::Upgrade(request) => self.announce(id, fd, request),
            Reading::Other => self.release(id),
        }
        Look::Done
    }

    /// Shows JavaScript what it begins with.
    fn announce(&mut self, id: StreamId, fd: &FdStream, request: UpgradeRequest) {
        let (Some(arrival), Some((peer, local))) = (self.arrivals.get_mut(&id), fd.addresses()) else {
            return self.release(id);
        };
        self.events.arrived(id, peer, local, &request.lines, request.offers_extensions);
        arrival.request = Some(Request { length: request.length, response: request.response });
    }

    /// It is to be Node's.
    pub(super) fn release(&mut self, id: StreamId) {
        if self.arrivals.contains_key(&id) {
            self.drop_stream(id);
        }
    }

    /// It has said nothing, or not enough.
    pub(super) fn on_arrival_due(&mut self, id: StreamId) {
        if self.arrivals.get(&id).is_some_and(|it| it.request.is_none()) {
            self.release(id);
        }
    }

    /// JavaScript has made a session of it.
    pub(super) fn admit(
        &mut self,
        id: StreamId,
        connection: ConnectionId,
        protocol: Protocol,
        sid: &str,
        headers: &str,
    ) {
        let arrival = self.arrivals.remove(&id);
        self.deadlines.cancel(Holder::Stream(id));
        let Some((fd, request)) = arrival.and_then(|mut it| Some((it.fd.clone(), it.request.take()?))) else {
            // this worker has failed, and started afresh, since it was announced
            return self.refuse_connection(connection);
        };
        fd.send_without_delay();
        let is_whole = fd.skip(request.length, &mut self.read_buffer).is_ok();
        let handshake = Handshake { sid, upgrades: &[], limits: &self.options.limits }.encode();
        let response = [&request.response, headers, "\r\n\r\n"].concat();
        self.open_admitted(connection, protocol, id, fd, &response, &handshake);
        if !is_whole {
            self.on_end_of_stream(id);
        }
    }
}
