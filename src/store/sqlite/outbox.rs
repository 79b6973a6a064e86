//! The outbox: lanes by provider and person, in each of which one message goes after the other.

use jiff::Timestamp;
use rusqlite::OptionalExtension;

use super::apply::Applying;
use super::codes::{DEAD, DONE, DUE, IN_FLIGHT};
use crate::store::error::StoreError;
use crate::store::id::{OutboxId, PersonId};
use crate::store::new::{Delivery, Mark, NewMessage};

/// What marking a message needs to know of it.
struct Row {
    provider: String,
    person: i64,
    state: i64,
    due: i64,
}

impl Applying<'_> {
    pub(super) fn message(&mut self, message: &NewMessage) -> Result<(), StoreError> {
        let person = message.person.map_or(Ok(0), |person| self.resolve_person(person))?;
        let journal = self.resolve_journal(message.journal)?;
        let due = message.due.as_microsecond();
        let id: Option<i64> = self
            .connection
            .prepare_cached(
                "INSERT INTO outbox (provider, person, message, created, due, attempts, state, kind, reason, journal, payload)
                 VALUES (?1, ?2, ?3, ?4, ?5, 0, 0, ?6, '', ?7, ?8) ON CONFLICT (provider, message) DO NOTHING RETURNING id",
            )?
            .query_row(
                (
                    &message.provider,
                    person,
                    &message.message,
                    self.now.as_microsecond(),
                    due,
                    &message.kind,
                    journal,
                    &message.payload[..],
                ),
                |row| row.get(0),
            )
            .optional()?;
        let id = id.ok_or(StoreError::MessageExists)?;
        self.wrote = true;
        // A lane that is there has an earlier message at its head.
        self.connection
            .prepare_cached(
                "INSERT OR IGNORE INTO lane (person, provider, head, due, busy) VALUES (?1, ?2, ?3, ?4, 0)",
            )?
            .execute((person, &message.provider, id, due))?;
        self.receipt.outbox.push(OutboxId(id));
        self.outbox_moved = true;
        Ok(())
    }

    pub(super) fn mark(&mut self, mark: &Mark) -> Result<(), StoreError> {
        let id = mark.message.0;
        let row = self
            .connection
            .prepare_cached("SELECT provider, person, state, due FROM outbox WHERE id = ?1")?
            .query_row([id], |row| {
                Ok(Row { provider: row.get(0)?, person: row.get(1)?, state: row.get(2)?, due: row.get(3)? })
            })
            .optional()?
            .ok_or(StoreError::Missing("message"))?;
        let head = row.state == DUE && self.head(&row)? == Some((id, false));
        let sent = head || row.state == IN_FLIGHT;
        let in_turn = match &mark.to {
            Delivery::InFlight => head && row.due <= self.now.as_microsecond(),
            Delivery::Done | Delivery::Again { .. } | Delivery::Dead { .. } => sent,
            Delivery::Replay { .. } => row.state == DEAD || row.state == DONE,
        };
        if !in_turn {
            return Err(StoreError::OutOfTurn);
        }
        self.wrote = true;
        match &mark.to {
            Delivery::InFlight => {
                self.connection
                    .prepare_cached("UPDATE outbox SET state = ?2, attempts = attempts + 1 WHERE id = ?1")?
                    .execute((id, IN_FLIGHT))?;
            }
            Delivery::Done => self.settle(id, DONE, None, "")?,
            Delivery::Again { due, reason } => self.settle(id, DUE, Some(due.as_microsecond()), reason)?,
            Delivery::Dead { reason } => self.settle(id, DEAD, None, reason)?,
            Delivery::Replay { due } => {
                // The person may have been merged since; its lane is now another.
                let person = self.person_now(PersonId(row.person))?;
                self.connection.prepare_cached("UPDATE outbox SET person = ?2 WHERE id = ?1")?.execute([id, person])?;
                self.settle(id, DUE, Some(due.as_microsecond()), "")?;
                self.outbox_moved = true;
                return self.find_head(person, &row.provider);
            }
        }
        self.outbox_moved = true;
        self.find_head(row.person, &row.provider)
    }

    /// Has what waits for a provider tried again at a time, where that is earlier.
    pub(super) fn hasten(&mut self, provider: &str, due: Timestamp) -> Result<(), StoreError> {
        let due = due.as_microsecond();
        self.connection
            .prepare_cached(
                "UPDATE outbox SET due = ?2 WHERE state = 0 AND due > ?2
                 AND id IN (SELECT head FROM lane WHERE provider = ?1 AND busy = 0)",
            )?
            .execute((provider, due))?;
        self.connection
            .prepare_cached("UPDATE lane SET due = ?2 WHERE provider = ?1 AND busy = 0 AND due > ?2")?
            .execute((provider, due))?;
        self.outbox_moved = true;
        Ok(())
    }

    fn settle(&self, id: i64, state: i64, due: Option<i64>, reason: &str) -> Result<(), StoreError> {
        self.connection
            .prepare_cached("UPDATE outbox SET state = ?2, due = coalesce(?3, due), reason = ?4 WHERE id = ?1")?
            .execute((id, state, due, reason))?;
        Ok(())
    }

    /// The head of a message's lane, and whether the lane is busy.
    fn head(&self, row: &Row) -> Result<Option<(i64, bool)>, StoreError> {
        Ok(self
            .connection
            .prepare_cached("SELECT head, busy FROM lane WHERE person = ?1 AND provider = ?2")?
            .query_row((row.person, &row.provider), |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?)
    }

    /// Writes a lane's row anew: its head is what is in flight, else the first that is due.
    fn find_head(&self, person: i64, provider: &str) -> Result<(), StoreError> {
        let first: Option<(i64, i64, i64)> = self
            .connection
            .prepare_cached(
                "SELECT id, due, state FROM outbox WHERE person = ?1 AND provider = ?2 AND state < 2 ORDER BY id LIMIT 1",
            )?
            .query_row((person, provider), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        let Some((id, due, state)) = first else {
            self.connection
                .prepare_cached("DELETE FROM lane WHERE person = ?1 AND provider = ?2")?
                .execute((person, provider))?;
            return Ok(());
        };
        // Something later may be in flight after a replay or a merge; the lane waits for it.
        let busy = state == IN_FLIGHT
            || self
                .connection
                .prepare_cached(
                    "SELECT 1 FROM outbox WHERE person = ?1 AND provider = ?2 AND state = 1 AND state < 2 LIMIT 1",
                )?
                .exists((person, provider))?;
        self.connection
            .prepare_cached(
                "INSERT OR REPLACE INTO lane (person, provider, head, due, busy) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute((person, provider, id, due, busy))?;
        Ok(())
    }

    /// Lets the lanes of a merged person flow into those of the other.
    pub(super) fn merge_lanes(&mut self, into: i64, from: i64) -> Result<(), StoreError> {
        let providers: Vec<String> = self
            .connection
            .prepare_cached("SELECT provider FROM lane WHERE person = ?1")?
            .query_map([from], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        for provider in providers {
            self.connection
                .prepare_cached("UPDATE outbox SET person = ?1 WHERE person = ?2 AND provider = ?3 AND state < 2")?
                .execute((into, from, &provider))?;
            self.connection
                .prepare_cached("DELETE FROM lane WHERE person = ?1 AND provider = ?2")?
                .execute((from, &provider))?;
            self.find_head(into, &provider)?;
            self.outbox_moved = true;
        }
        Ok(())
    }
}

/// What was in flight when the process ended is due again.
pub(in crate::store) fn recover(connection: &rusqlite::Connection) -> Result<(), StoreError> {
    connection.execute_batch(
        "UPDATE outbox SET state = 0 WHERE state < 2 AND state = 1;
         UPDATE lane SET busy = 0 WHERE busy <> 0;",
    )?;
    Ok(())
}
