//! What a turn may cost.
//!
//! Turns that are counted in commands, or in clients, say nothing of how long they take: one command may be a broadcast to
//! everybody, of a message that is compressed for each. So what is done is counted as what it takes, and who has a budget
//! stops when it is spent, to go on in another turn.

/// The budget of a part of a turn, in about nanoseconds.
const BUDGET: usize = 1_000_000;

/// What it takes to queue a message for a client, beyond its bytes.
const QUEUE: usize = 100;

/// What it takes to hand bytes to the kernel, or to JavaScript, beyond them.
const WRITE: usize = 2_000;

/// What it takes to handle a message of a client, beyond its bytes.
const RECEIVE: usize = 200;

/// What it takes to compress a byte.
const COMPRESS: usize = 16;

/// What a part of a turn has left of its budget.
#[derive(Debug)]
pub struct Work {
    budget: usize,
    left: usize,
}

impl Default for Work {
    fn default() -> Work {
        Work::with(BUDGET)
    }
}

impl Work {
    /// With another budget than the usual one.
    pub fn with(budget: usize) -> Work {
        Work { budget, left: budget }
    }

    /// Another part of a turn begins.
    pub fn begin(&mut self) {
        self.left = self.budget;
    }

    /// Whether it is time for something else.
    pub fn is_spent(&self) -> bool {
        self.left == 0
    }

    /// A message has been queued for a client.
    pub fn queue(&mut self, bytes: usize) {
        self.spend(QUEUE + bytes / 8);
    }

    /// A message has been compressed.
    pub fn compress(&mut self, bytes: usize) {
        self.spend(COMPRESS * bytes);
    }

    /// Bytes have been handed to the kernel, or to JavaScript.
    pub fn write(&mut self, bytes: usize) {
        self.spend(WRITE + bytes / 4);
    }

    /// Something of a client has been handled.
    pub fn receive(&mut self, bytes: usize) {
        self.spend(RECEIVE + bytes);
    }

    /// As much of a list has been looked at.
    pub fn look(&mut self, entries: usize) {
        self.spend(entries * 10);
    }

    fn spend(&mut self, cost: usize) {
        self.left = self.left.saturating_sub(cost);
    }
}
