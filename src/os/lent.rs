//! Memory that JavaScript reads while threads write to it.

use std::sync::atomic::AtomicU64;
use std::sync::Arc;

use napi::bindgen_prelude::{Env, Float64ArraySlice, Result};

/// Lends cells, each of which holds the bits of a number, to JavaScript, which reads the numbers as they are at the time. They
/// stay for as long as it holds them. `None` where memory cannot be lent, as where V8 has its memory in a sandbox.
///
/// # Errors
/// When V8 cannot make the array. JavaScript gets the same cells once: V8 must not know memory twice.
pub fn lend<'env>(env: &'env Env, cells: &Arc<[AtomicU64]>) -> Result<Option<Float64ArraySlice<'env>>> {
    let start = cells.as_ptr().cast::<f64>().cast_mut();
    // SAFETY: the cells are as large as the numbers, and aligned like them; what holds them is dropped only when JavaScript
    // has let go of the array. It does not write to it, and what it reads is, whoever writes at the same time, a number that
    // was there: machines read an aligned word of this size as a whole, or halves of two of them at the worst.
    let array = unsafe {
        Float64ArraySlice::from_external(env, start, cells.len(), cells.clone(), |_, held| drop(held))
    }?;
    Ok((array.as_ptr() == start.cast_const()).then_some(array))
}
