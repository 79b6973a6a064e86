//! Forgetting by which key a message was known, once it is past the window. The journal itself stays.

use rusqlite::{Connection, OptionalExtension};

use crate::store::error::StoreError;

/// Commits between two rounds.
pub(in crate::store) const EVERY: usize = 512;
/// Journal entries looked at in a round: more than were written since the last.
const ROUND: i64 = 2048;

/// One round, from where the last one ended.
pub(in crate::store) fn forget(connection: &Connection, window_start: i64) -> Result<(), StoreError> {
    let from: Option<Vec<u8>> = connection
        .prepare_cached("SELECT value FROM store WHERE name = 'forgotten'")?
        .query_row([], |row| row.get(0))
        .optional()?;
    let from = from.and_then(|bytes| bytes.try_into().ok()).map_or(0, i64::from_be_bytes);
    let mut reached = from;
    {
        let mut statement = connection
            .prepare_cached("SELECT seq, received, dedup FROM journal WHERE seq > ?1 ORDER BY seq LIMIT ?2")?;
        let mut rows = statement.query([from, ROUND])?;
        while let Some(row) = rows.next()? {
            if row.get::<_, i64>(1)? >= window_start {
                break;
            }
            reached = row.get(0)?;
            if let Some(key) = row.get::<_, Option<Vec<u8>>>(2)? {
                connection
                    .prepare_cached("DELETE FROM dedup WHERE key = ?1 AND journal = ?2")?
                    .execute((key, reached))?;
            }
        }
    }
    if reached != from {
        connection
            .prepare_cached("INSERT OR REPLACE INTO store (name, value) VALUES ('forgotten', ?1)")?
            .execute([reached.to_be_bytes()])?;
    }
    Ok(())
}
