//! Checkpoints: copying the write-ahead log into the database, beside the writer, and starting the log over.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::Duration;

use rusqlite::Connection;

use super::error::StoreError;
use super::faults::Faults;
use super::queue::Queue;
use super::shared::Shared;
use super::sqlite::{Meaning, meaning};
use super::stored::Health;
use super::writer::Job;

/// Transactions between two looks at the log.
const LOOK_EVERY: u32 = 16;
/// How far the log may be ahead of the database before it is copied, in bytes.
const COPY_AT: u64 = 4 << 20;
/// How long the log may be while the disk is full, in bytes.
const RESTART_WHEN_FULL: u64 = 1 << 20;
/// How long the writer waits for readers of old pages before it goes on with a long log.
const PATIENCE: Duration = Duration::from_millis(50);
const USUAL_PATIENCE: Duration = Duration::from_secs(5);

/// How far a checkpoint goes (<https://www.sqlite.org/pragma.html#pragma_wal_checkpoint>).
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// Only tells how long the log is.
    Look,
    /// Copies what it can without waiting for anybody.
    Passive,
    /// Copies all of it, and the next write starts the log over.
    Restart,
    /// As [`Kind::Restart`], and the file is cut to nothing.
    Truncate,
}

/// How long the log is, in pages.
#[derive(Debug, Clone, Copy)]
pub(super) struct Log {
    frames: u64,
    copied: u64,
}

/// Makes a checkpoint.
pub(super) fn run(connection: &Connection, kind: Kind, faults: &dyn Faults) -> Result<Log, StoreError> {
    let sql = match kind {
        Kind::Look => "PRAGMA wal_checkpoint(NOOP)",
        Kind::Passive => "PRAGMA wal_checkpoint(PASSIVE)",
        Kind::Restart => "PRAGMA wal_checkpoint(RESTART)",
        Kind::Truncate => "PRAGMA wal_checkpoint(TRUNCATE)",
    };
    if !matches!(kind, Kind::Look) {
        faults.at_checkpoint()?;
    }
    let (frames, copied): (i64, i64) =
        connection.prepare_cached(sql)?.query_row([], |row| Ok((row.get(1)?, row.get(2)?)))?;
    Ok(Log { frames: u64::try_from(frames).unwrap_or(0), copied: u64::try_from(copied).unwrap_or(0) })
}

/// Keeps the log short, from the writer's side.
pub(super) struct LogKeeper {
    ask: SyncSender<()>,
    page: u64,
    restart_at: u64,
    since_look: u32,
}

impl LogKeeper {
    pub(super) fn new(connection: &Connection, ask: SyncSender<()>, restart_at: u64) -> Result<Self, StoreError> {
        let page: u32 = connection.query_row("PRAGMA page_size", [], |row| row.get(0))?;
        Ok(Self { ask, page: page.into(), restart_at, since_look: 0 })
    }

    /// Called after each transaction.
    pub(super) fn keep_short(
        &mut self,
        connection: &Connection,
        shared: &Shared,
        faults: &dyn Faults,
    ) -> Result<(), StoreError> {
        self.since_look += 1;
        if self.since_look < LOOK_EVERY {
            return Ok(());
        }
        self.since_look = 0;
        let log = run(connection, Kind::Look, faults)?;
        let bytes = log.frames.saturating_mul(self.page);
        shared.wal_bytes.store(bytes, Ordering::Relaxed);
        // On a full disk a log that is started over needs no new room.
        let restart_at = if shared.health() == Health::Full { RESTART_WHEN_FULL } else { self.restart_at };
        if bytes > restart_at {
            self.restart(connection, shared, faults)
        } else {
            self.ask_for_copy(log);
            Ok(())
        }
    }

    /// Has the log copied and started over, as far as readers let it.
    pub(super) fn restart(
        &self,
        connection: &Connection,
        shared: &Shared,
        faults: &dyn Faults,
    ) -> Result<(), StoreError> {
        connection.busy_timeout(PATIENCE)?;
        let restarted = run(connection, Kind::Restart, faults);
        connection.busy_timeout(USUAL_PATIENCE)?;
        restarted?;
        shared.restarts.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn ask_for_copy(&self, log: Log) {
        if log.frames.saturating_sub(log.copied).saturating_mul(self.page) > COPY_AT {
            // One that is asked for already is enough.
            let _ = self.ask.try_send(());
        }
    }
}

/// The thread beside the writer: a passive checkpoint whenever one is asked for.
pub(super) fn serve(
    connection: &Connection,
    asked: &Receiver<()>,
    faults: &dyn Faults,
    shared: &Shared,
    jobs: &Arc<Queue<Job>>,
) {
    while asked.recv().is_ok() {
        if shared.broken() {
            return;
        }
        if let Err(error) = run(connection, Kind::Passive, faults)
            && meaning(&error) == Meaning::Disk
        {
            shared.break_down();
            jobs.close();
            return;
        }
    }
}
