//! Panics on purpose, so that tests can see what is left standing after one.
//!
//! Only with the feature `panics`: else `panic_point!` is nothing at all, whatever it is given.

/// Panics if a test has asked for that at the point of this name, once for each time it has asked.
macro_rules! panic_point {
    ($($name:tt)*) => {
        #[cfg(feature = "panics")]
        crate::panics::reach(&format!($($name)*));
    };
}
pub(crate) use panic_point;

#[cfg(feature = "panics")]
use parking_lot::Mutex;

#[cfg(feature = "panics")]
static ARMED: Mutex<Option<(String, u32)>> = Mutex::new(None);

/// Arms the point of this name, and disarms the one before, unless the name is empty. Returns how often that one would still
/// have panicked.
#[cfg(feature = "panics")]
pub fn arm(point: String, times: u32) -> u32 {
    let mut armed = ARMED.lock();
    let left = armed.as_ref().map_or(0, |(_, left)| *left);
    if !point.is_empty() {
        *armed = Some((point, times));
    }
    left
}

/// Panics if the point of this name is armed. What is `Debug` may go on behind the name.
#[cfg(feature = "panics")]
pub fn reach(point: &str) {
    let is_armed = match &mut *ARMED.lock() {
        Some((name, left)) if *left > 0 && is_named(point, name) => {
            *left -= 1;
            true
        }
        _ => false,
    };
    assert!(!is_armed, "on purpose, at {point}");
}

#[cfg(feature = "panics")]
fn is_named(point: &str, name: &str) -> bool {
    point.strip_prefix(name).is_some_and(|rest| !rest.starts_with(|next: char| next.is_alphanumeric()))
}
