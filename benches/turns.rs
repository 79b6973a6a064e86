//! Timing by turns: each piece of work has its shortest run, and all have seen the same machine.

use std::time::{Duration, Instant};

/// The shortest runs of three pieces of work, taking turns.
pub(crate) fn shortest(runs: u32, mut work: [&mut dyn FnMut(); 3]) -> [Duration; 3] {
    let mut best = [Duration::MAX; 3];
    for _ in 0..runs {
        for (best, work) in best.iter_mut().zip(&mut work) {
            *best = (*best).min(timed(work));
        }
    }
    best
}

#[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
pub(crate) fn timed(work: &mut dyn FnMut()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}
