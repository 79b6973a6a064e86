//! Migrations: numbered, applied in order in one transaction each, and checked by checksum at every start.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior};
use sha2::{Digest, Sha256};

use crate::store::error::StoreError;

/// A migration that has been released is never changed; a change is a new one.
const MIGRATIONS: &[(u32, &str)] =
    &[(1, include_str!("0001.sql")), (2, include_str!("0002.sql")), (3, include_str!("0003.sql"))];

/// Brings the database to this program's version.
pub(in crate::store) fn migrate(connection: &mut Connection, now: Timestamp) -> Result<(), StoreError> {
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS migration (number INTEGER PRIMARY KEY, checksum BLOB NOT NULL, applied INTEGER NOT NULL) STRICT",
    )?;
    for (number, sql) in MIGRATIONS {
        let checksum: [u8; 32] = Sha256::digest(sql).into();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let applied: Option<Vec<u8>> = transaction
            .query_row("SELECT checksum FROM migration WHERE number = ?1", [number], |row| row.get(0))
            .optional()?;
        match applied {
            Some(before) if before == checksum => {}
            Some(_) => return Err(StoreError::Migration { number: *number }),
            None => {
                transaction.execute_batch(sql)?;
                transaction.execute(
                    "INSERT INTO migration (number, checksum, applied) VALUES (?1, ?2, ?3)",
                    (number, checksum, now.as_microsecond()),
                )?;
            }
        }
        transaction.commit()?;
    }
    let known = MIGRATIONS.last().map_or(0, |(number, _)| *number);
    let later: Option<u32> = connection
        .query_row("SELECT min(number) FROM migration WHERE number > ?1", [known], |row| row.get(0))
        .optional()?
        .flatten();
    later.map_or(Ok(()), |number| Err(StoreError::Migration { number }))
}
