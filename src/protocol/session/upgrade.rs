//! The upgrade from polling to WebSocket (Engine.IO protocol v4, "Upgrade"): the client probes the new transport,
//! and polling goes on until it says that it has switched.

use std::time::Duration;

use super::{Session, State, Turn};
use crate::protocol::ids::StreamId;

/// How long after the probe a waiting GET is answered for the first time: the client, which stops polling when it has
/// the answer to its probe, should have that first.
const FIRST_CHECK: Duration = Duration::from_millis(10);

/// How often a waiting GET is answered from then on, until the client has switched.
pub(super) const CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// What a packet on a probing WebSocket asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeStep {
    /// Answer `3probe`, and keep the polling requests of the client short from now on.
    Confirm,
    /// The WebSocket is the session's transport now.
    Complete,
    /// The same, and the session, which was closing, is to be closed now.
    CompleteToClose,
    /// Close the WebSocket; the session goes on polling.
    Abort,
}

impl Session {
    /// A WebSocket wants to take over. `false` if the session's state does not allow that.
    pub fn begin_upgrade(&mut self, stream: StreamId, turn: Turn<'_>) -> bool {
        if self.state != State::Polling {
            return false;
        }
        let until = turn.now + turn.options.upgrade_timeout;
        self.state = State::Probing { stream, until, check: None, missed: false };
        true
    }

    /// The WebSocket that probes, if there is one.
    pub fn probe(&self) -> Option<StreamId> {
        match self.state {
            State::Probing { stream, .. } => Some(stream),
            State::Closing { probe, .. } => probe,
            _ => None,
        }
    }

    /// Judges a text packet that came over the probing WebSocket.
    pub fn on_probe_packet(&mut self, packet: &str, turn: Turn<'_>) -> ProbeStep {
        let Some(stream) = self.probe() else { return ProbeStep::Abort };
        match packet.as_bytes() {
            b"2probe" => {
                // there is one check, however often the client probes
                if let State::Probing { check: check @ None, .. } = &mut self.state {
                    *check = Some(turn.now + FIRST_CHECK);
                }
                ProbeStep::Confirm
            }
            [b'5', ..] => {
                let closing = !self.is_open();
                self.state = State::WebSocket { stream };
                if closing {
                    ProbeStep::CompleteToClose
                } else {
                    ProbeStep::Complete
                }
            }
            _ => {
                self.abort_upgrade();
                ProbeStep::Abort
            }
        }
    }

    /// No GET waited when it was to be answered: the next one is answered at once, since the client, if it has the answer
    /// to its probe, sends no other one and waits for that.
    pub fn note_missed_check(&mut self) {
        if let State::Probing { missed, .. } = &mut self.state {
            *missed = true;
        }
    }

    /// Whether a GET that has come is to be answered because there was none before.
    pub fn take_missed_check(&mut self) -> bool {
        match &mut self.state {
            State::Probing { missed, .. } => std::mem::take(missed),
            _ => false,
        }
    }

    /// The probing WebSocket failed; the session goes on polling.
    pub fn abort_upgrade(&mut self) {
        match &mut self.state {
            State::Probing { .. } => self.state = State::Polling,
            State::Closing { probe, .. } => *probe = None,
            _ => {}
        }
    }
}
