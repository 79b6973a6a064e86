//! The database: its files, its connections, and how its errors are read.

pub(super) mod apply;
pub(super) mod audit;
pub(super) mod codes;
pub(super) mod migration;
mod outbox;
mod persons;
pub(super) mod places;
pub(super) mod prune;

pub(super) use outbox::recover;

use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::error::StoreError;

/// The files of one store. The lock on one of them lasts as long as the value.
#[derive(Debug)]
pub(super) struct Files {
    folder: PathBuf,
    lock: File,
}

impl Files {
    /// Makes the folder where it is not there and takes it for this process alone.
    pub(super) fn take(folder: &Path) -> Result<Self, StoreError> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(StoreError::File)?;
        let lock = private_file(&folder.join("lock"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Err(StoreError::InUse),
            Err(std::fs::TryLockError::Error(error)) => return Err(StoreError::File(error)),
        }
        // SQLite gives the files beside the database the mode of the database itself.
        private_file(&folder.join("silta.db"))?;
        Ok(Self { folder: folder.to_owned(), lock })
    }

    pub(super) fn key(&self) -> PathBuf {
        self.folder.join("store.key")
    }

    pub(super) fn reserve(&self) -> PathBuf {
        self.folder.join("reserve")
    }

    pub(super) fn database(&self) -> PathBuf {
        self.folder.join("silta.db")
    }
}

impl Drop for Files {
    /// Gives the lock back at once: closing the file would not, while a program that is just being started has a copy of it.
    fn drop(&mut self) {
        let _ = self.lock.unlock();
    }
}

/// Opens a file for writing, made with mode 0600 where it is not there.
pub(super) fn private_file(path: &Path) -> Result<File, StoreError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(StoreError::File)
}

/// The connection that writes.
pub(super) fn writing(database: &Path, cache_bytes: u64) -> Result<Connection, StoreError> {
    let connection =
        Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    settle(&connection, cache_bytes)?;
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(StoreError::Damaged("journal mode"));
    }
    connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;")?;
    Ok(connection)
}

/// A connection that only reads.
pub(super) fn reading(database: &Path, cache_bytes: u64) -> Result<Connection, StoreError> {
    let connection =
        Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    settle(&connection, cache_bytes)?;
    connection.execute_batch("PRAGMA query_only = ON; PRAGMA wal_autocheckpoint = 0;")?;
    Ok(connection)
}

fn settle(connection: &Connection, cache_bytes: u64) -> Result<(), StoreError> {
    // After a failed write nothing may be copied into the database; a checkpoint is only made where it is asked for.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    // Statements are planned once: without this they are planned anew whenever other values are bound.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.set_prepared_statement_cache_capacity(128);
    let pages = i64::try_from(cache_bytes / 1024).unwrap_or(i64::MAX);
    connection.execute_batch(&format!(
        "PRAGMA cache_size = -{pages}; PRAGMA foreign_keys = OFF; PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF;"
    ))?;
    Ok(())
}

/// What an error of SQLite means for the store as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Only this statement failed.
    Statement,
    /// There is no room.
    Full,
    /// The disk or the file cannot be trusted any more.
    Disk,
}

pub(super) fn meaning(error: &StoreError) -> Meaning {
    match error {
        StoreError::Full => Meaning::Full,
        StoreError::Closed | StoreError::File(_) => Meaning::Disk,
        StoreError::Database(rusqlite::Error::SqliteFailure(failure, _)) => match failure.code {
            ErrorCode::DiskFull => Meaning::Full,
            // The index of the log could not grow: there is no room, and nothing was written yet.
            _ if failure.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE => Meaning::Full,
            ErrorCode::SystemIoFailure
            | ErrorCode::DatabaseCorrupt
            | ErrorCode::NotADatabase
            | ErrorCode::CannotOpen
            | ErrorCode::ReadOnly
            | ErrorCode::PermissionDenied
            | ErrorCode::FileLockingProtocolFailed => Meaning::Disk,
            _ => Meaning::Statement,
        },
        _ => Meaning::Statement,
    }
}
