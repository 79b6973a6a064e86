//! The reader pool: a few threads, each with a connection of its own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use rusqlite::Connection;

use super::error::StoreError;
use super::queue::Queue;
use super::secret::Secret;
use super::view::{View, window_start};
use crate::clock::Clock;

/// What is asked of one moment of the store; it answers by itself.
pub(super) type Question = Box<dyn FnOnce(Result<&View<'_>, StoreError>) + Send>;

/// Answers questions until the queue is closed and empty.
pub(super) fn serve(
    connection: &Connection,
    questions: &Arc<Queue<Question>>,
    secret: &Secret,
    clock: &Clock,
    days: u32,
) {
    while let Some(asked) = questions.take(1, usize::MAX, None) {
        for question in asked {
            let view = View { connection, secret, window_start: window_start(clock.now(), days) };
            // A question that panics is its asker's failure; the thread goes on.
            let _ = catch_unwind(AssertUnwindSafe(|| match execute(connection, "BEGIN") {
                Ok(()) => question(Ok(&view)),
                Err(error) => question(Err(error)),
            }));
            if !connection.is_autocommit() {
                let _ = execute(connection, "ROLLBACK");
            }
        }
    }
}

fn execute(connection: &Connection, sql: &str) -> Result<(), StoreError> {
    connection.prepare_cached(sql)?.execute([])?;
    Ok(())
}
