//! Connections that begin with TLS: what their clients offer is looked at, and where it comes to the same as if Node
//! answered, the handshake is done here. Bytes that are Node's stay where they are.
//!
//! ```text
//!   Hello ── a client that can be spoken to here ──▶ Shaking ── established ──▶ Looking (arrivals.rs)
//!     └── anything else, or silence ──▶ (Node's)        └── failed, hung up, too slow ──▶ (closed)
//! ```

use std::io::ErrorKind;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::arrivals::{Look, Stage};
use super::event::Refusal;
use super::wire::{Handshake, Layer, Wire};
use super::Worker;
use crate::panics::panic_point;
use crate::protocol::ids::StreamId;
use crate::protocol::tls::hello::{self, Reading};
use crate::protocol::tls::terms::Terms;

/// How TLS is terminated for the connections of a server.
#[derive(Debug)]
pub struct Security {
    /// On what terms.
    pub terms: Terms,
    /// How long a handshake may take.
    pub patience: Duration,
}

/// The task that writes the rest of our part of a handshake.
async fn write(fd: Rc<Wire>) {
    loop {
        let Ok(mut ready) = fd.writable().await else { return };
        match fd.write(&[]) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => ready.clear_ready(),
            // an end of the connection is noticed by who reads
            Ok(_) | Err(_) => return,
        }
    }
}

impl Worker {
    /// Looks at what a client offers.
    pub(super) fn look_at_hello(&mut self, id: StreamId, fd: &Wire, security: &Arc<Security>) -> Look {
        panic_point!("hello");
        let read = fd.peek_below(&mut self.read_buffer);
        let hello = match read.map(|length| hello::read(&self.read_buffer[..length])) {
            Ok(Reading::Hello(hello)) if security.terms.admit(&hello).is_ok() => hello,
            Ok(Reading::Incomplete) => return self.look_again(id),
            Ok(_) => return self.look_elsewhere(id),
            Err(_) => return Look::Again,
        };
        let Some(layer) = Layer::new(&security.terms, &hello) else { return self.look_elsewhere(id) };
        fd.secure(layer);
        // flights of handshakes are waited for
        fd.send_without_delay();
        let Some(arrival) = self.arrivals.get_mut(&id) else { return Look::Done };
        arrival.stage = Stage::Shaking;
        self.await_request(id, security.patience);
        self.shake_hands(id, fd)
    }

    /// Goes on with a handshake.
    pub(super) fn shake_hands(&mut self, id: StreamId, fd: &Wire) -> Look {
        panic_point!("handshake");
        let refusal = match fd.shake() {
            Handshake::UnderWay if fd.unsent() > 0 => return self.write_flight(id),
            Handshake::UnderWay => return Look::Again,
            Handshake::Established => {
                self.begin_looking(id);
                // the first request may have come with the end of the handshake
                return Look::Repeat;
            }
            Handshake::Ended => Refusal::HungUp,
            Handshake::Reset => Refusal::Reset,
            Handshake::Failed(failure) => Refusal::Failed(failure, fd.is_1_3()),
        };
        self.refuse_hello(id, refusal);
        Look::Done
    }

    /// There was no room for all of our part of a handshake.
    fn write_flight(&mut self, id: StreamId) -> Look {
        if let Some(arrival) = self.arrivals.get_mut(&id) {
            if arrival.flight.is_none() {
                let task = tokio::task::spawn_local(write(arrival.fd.clone()));
                arrival.flight = Some(task.abort_handle());
            }
        }
        Look::Again
    }

    /// A handshake has failed: JavaScript hears why.
    pub(super) fn refuse_hello(&mut self, id: StreamId, refusal: Refusal) {
        // who it was can be asked of the connection as long as nobody has finished it, which is left to JavaScript
        if self.take_arrival(id).is_some() {
            self.events.hung_up(id, Some(refusal));
        }
    }
}
