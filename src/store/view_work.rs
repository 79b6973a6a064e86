//! Reading what is to be done: the outbox and the operators' queue.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row};

use super::error::StoreError;
use super::id::{JournalSeq, NoticeId, OutboxId};
use super::sqlite::codes;
use super::stored::{Message, Notice};
use super::view::{View, limit_of};

const MESSAGE: &str =
    "SELECT o.id, o.provider, o.person, o.message, o.created, o.due, o.attempts, o.state, o.kind, o.payload,
                       o.journal, o.reason FROM outbox o";

impl View<'_> {
    /// What may be sent now: the head of every lane that is due and not being sent, at most `limit`. Providers take turns, and
    /// of each the longest due goes first, so that one with a long backlog keeps nobody else waiting.
    pub fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<Message>, StoreError> {
        let mut turns: BTreeMap<(usize, i64), i64> = BTreeMap::new();
        for provider in self.waiting_providers()? {
            let mut statement = self.connection.prepare_cached(
                "SELECT head FROM lane WHERE busy = 0 AND provider = ?1 AND due <= ?2 ORDER BY due, head LIMIT ?3",
            )?;
            let mut heads = statement.query((&provider, now.as_microsecond(), limit_of(limit)))?;
            let mut turn = 0;
            while let Some(row) = heads.next()? {
                let head = row.get(0)?;
                turns.insert((turn, head), head);
                turn += 1;
            }
        }
        let mut due = Vec::with_capacity(turns.len().min(limit));
        for head in turns.into_values().take(limit) {
            due.extend(self.message(OutboxId(head))?);
        }
        Ok(due)
    }

    /// When the next head of a lane is due that is not being sent; `None` where none is waiting.
    pub fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        let mut first: Option<i64> = None;
        for provider in self.waiting_providers()? {
            let due: Option<i64> = self
                .connection
                .prepare_cached("SELECT due FROM lane WHERE busy = 0 AND provider = ?1 ORDER BY due LIMIT 1")?
                .query_row([provider], |row| row.get(0))
                .optional()?;
            first = first.into_iter().chain(due).min();
        }
        first.map(codes::time).transpose()
    }

    /// The providers that have a lane with something due now or later: one step in the index each.
    fn waiting_providers(&self) -> Result<Vec<String>, StoreError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT provider FROM lane WHERE busy = 0 AND provider > ?1 ORDER BY provider LIMIT 1")?;
        let mut found: Vec<String> = Vec::new();
        loop {
            let after = found.last().map_or("", String::as_str);
            let Some(next) = statement.query_row([after], |row| row.get(0)).optional()? else { return Ok(found) };
            found.push(next);
        }
    }

    /// A message by its number.
    pub fn message(&self, id: OutboxId) -> Result<Option<Message>, StoreError> {
        Ok(self.messages(&format!("{MESSAGE} WHERE o.id = ?1"), [id.0])?.into_iter().next())
    }

    /// A message by its stable id: what an acknowledgement is for.
    pub fn message_named(&self, provider: &str, message: &str) -> Result<Option<Message>, StoreError> {
        let found =
            self.messages(&format!("{MESSAGE} WHERE o.provider = ?1 AND o.message = ?2"), [provider, message])?;
        Ok(found.into_iter().next())
    }

    /// Messages that were given up, after a number, in order.
    pub fn dead(&self, after: OutboxId, limit: usize) -> Result<Vec<Message>, StoreError> {
        self.messages(
            &format!("{MESSAGE} WHERE o.state = 3 AND o.id > ?1 ORDER BY o.id LIMIT ?2"),
            (after.0, limit_of(limit)),
        )
    }

    fn messages(&self, sql: &str, parameters: impl rusqlite::Params) -> Result<Vec<Message>, StoreError> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(parameters)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(message(row)?);
        }
        Ok(found)
    }

    /// The open entries of the operators' queue after a number, in order.
    pub fn open_notices(&self, after: NoticeId, limit: usize) -> Result<Vec<Notice>, StoreError> {
        self.notices("closed IS NULL AND id > ?1 ORDER BY id LIMIT ?2", (after.0, limit_of(limit)))
    }

    /// An entry of the operators' queue.
    pub fn notice(&self, id: NoticeId) -> Result<Option<Notice>, StoreError> {
        Ok(self.notices("id = ?1", [id.0])?.into_iter().next())
    }

    fn notices(&self, which: &str, parameters: impl rusqlite::Params) -> Result<Vec<Notice>, StoreError> {
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT id, opened, closed, kind, provider, journal, text, decision FROM notice WHERE {which}"
        ))?;
        let mut rows = statement.query(parameters)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(Notice {
                id: NoticeId(row.get(0)?),
                opened: codes::time(row.get(1)?)?,
                closed: row.get::<_, Option<i64>>(2)?.map(codes::time).transpose()?,
                kind: row.get(3)?,
                provider: row.get(4)?,
                journal: row.get::<_, Option<i64>>(5)?.map(JournalSeq),
                text: row.get(6)?,
                decision: row.get(7)?,
            });
        }
        Ok(found)
    }

    /// Open messages, given-up messages, when the oldest open one was put in, open notices.
    pub(super) fn counts(&self) -> Result<(u64, u64, Option<Timestamp>, u64), StoreError> {
        let (open, dead, oldest, notices): (i64, i64, Option<i64>, i64) = self
            .connection
            .prepare_cached(
                "SELECT (SELECT count(*) FROM outbox WHERE state < 2),
                        (SELECT count(*) FROM outbox WHERE state = 3),
                        (SELECT min(o.created) FROM lane l JOIN outbox o ON o.id = l.head),
                        (SELECT count(*) FROM notice WHERE closed IS NULL)",
            )?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
        Ok((codes::count(open)?, codes::count(dead)?, oldest.map(codes::time).transpose()?, codes::count(notices)?))
    }
}

fn message(row: &Row<'_>) -> Result<Message, StoreError> {
    Ok(Message {
        id: OutboxId(row.get(0)?),
        provider: row.get(1)?,
        person: codes::person(row.get(2)?),
        message: row.get(3)?,
        created: codes::time(row.get(4)?)?,
        due: codes::time(row.get(5)?)?,
        attempts: row.get(6)?,
        state: codes::state(row.get(7)?)?,
        kind: row.get(8)?,
        payload: row.get::<_, Vec<u8>>(9)?.into(),
        journal: row.get::<_, Option<i64>>(10)?.map(JournalSeq),
        reason: row.get(11)?,
    })
}
