//! The upgrade from polling to WebSocket (Engine.IO protocol v4, "Upgrade"): the client probes the new transport,
//! and polling goes on until it says that it has switched.

use std::time::Instant;

use super::timers::{Timer, CHECK_INTERVAL, FIRST_CHECK};
use super::{Session, State, Turn};
use crate::protocol::ids::StreamId;

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
    pub fn begin_upgrade(&mut self, stream: StreamId, turn: &mut Turn<'_>) -> bool {
        if self.state != State::Polling {
            return false;
        }
        let until = turn.arm(Timer::Upgrade, turn.options.upgrade_timeout, self.id);
        self.state = State::Probing { stream, until };
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
    pub fn on_probe_packet(&mut self, packet: &str) -> ProbeStep {
        let Some(stream) = self.probe() else { return ProbeStep::Abort };
        match packet.as_bytes() {
            b"2probe" => ProbeStep::Confirm,
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

    /// The probing WebSocket failed; the session goes on polling.
    pub fn abort_upgrade(&mut self) {
        match &mut self.state {
            State::Probing { .. } => self.state = State::Polling,
            State::Closing { probe, .. } => *probe = None,
            _ => {}
        }
    }

    /// Whether the upgrade that was to be completed by `at` is still going on.
    pub fn is_upgrade_overdue(&self, at: Instant) -> bool {
        matches!(self.state, State::Probing { until, .. } if until == at)
    }

    /// Arms the timer at which a waiting GET is answered, so that the client can switch: `Timer::FirstCheck` when the
    /// probe has been answered, `Timer::Check` from then on. `false` if there is no upgrade under way.
    pub fn arm_check(&self, timer: Timer, turn: &mut Turn<'_>) -> bool {
        let probing = matches!(self.state, State::Probing { .. });
        if probing {
            let after = if timer == Timer::FirstCheck { FIRST_CHECK } else { CHECK_INTERVAL };
            turn.arm(timer, after, self.id);
        }
        probing
    }
}
