//! Room kept for audit rows: a file that is given up when the disk is full, and pages below the configured size.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use rusqlite::Connection;

use super::config::Config;
use super::error::StoreError;
use super::sqlite::private_file;
use crate::clock::Instant;

const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// What is kept, and whether it still is.
#[derive(Debug)]
pub(super) struct Reserve {
    path: PathBuf,
    bytes: u64,
    /// Pages that the database may have: without and with the reserve.
    pages: Option<(u64, u64)>,
    held: bool,
    next_look: Instant,
}

impl Reserve {
    /// Sets the database's size limit and takes the room, which may fail for lack of it: then it is not held.
    pub(super) fn take(path: PathBuf, config: &Config, connection: &Connection) -> Result<Self, StoreError> {
        let page: u64 = connection.query_row("PRAGMA page_size", [], |row| row.get::<_, u32>(0))?.into();
        let pages = config.max_bytes.map(|bytes| {
            let all = bytes / page.max(1);
            let kept = (config.audit_reserve_bytes / page.max(1)).min(all / 4);
            (all.saturating_sub(kept).max(1), all.max(1))
        });
        let mut reserve =
            Self { path, bytes: config.audit_reserve_bytes, pages, held: false, next_look: Instant::default() };
        reserve.held = reserve.fill().is_ok();
        if let Some((usual, _)) = pages {
            set_limit(connection, usual)?;
        }
        Ok(reserve)
    }

    pub(super) fn held(&self) -> bool {
        self.held
    }

    /// Gives the room up to whoever writes next; `false` when it was given up before.
    pub(super) fn release(&mut self, connection: &Connection) -> bool {
        if !self.held {
            return false;
        }
        self.held = false;
        let removed = std::fs::remove_file(&self.path).is_ok();
        match self.pages {
            Some((_, all)) => set_limit(connection, all).is_ok(),
            None => removed,
        }
    }

    /// Whether it is time to look for room, at most once a second; the next time is then later.
    pub(super) fn may_look(&mut self, now: Instant) -> bool {
        let due = now >= self.next_look;
        if due {
            self.look_later(now);
        }
        due
    }

    pub(super) fn look_later(&mut self, now: Instant) {
        self.next_look = now.after(BETWEEN_LOOKS);
    }

    /// Takes the room again where there is enough; `true` when it is held.
    pub(super) fn restore(&mut self, connection: &Connection) -> bool {
        if self.held {
            return true;
        }
        if let Some((usual, _)) = self.pages
            && !(used_pages(connection).is_ok_and(|used| used < usual) && set_limit(connection, usual).is_ok())
        {
            return false;
        }
        self.held = self.fill().is_ok();
        self.held
    }

    /// Writes the file whole; what could not be written whole is removed.
    fn fill(&self) -> Result<(), StoreError> {
        let file = private_file(&self.path)?;
        if file.metadata().is_ok_and(|data| data.len() == self.bytes) {
            return Ok(());
        }
        write_zeros(&file, self.bytes).map_err(|error| {
            let _ = std::fs::remove_file(&self.path);
            StoreError::File(error)
        })
    }
}

fn write_zeros(mut file: &File, bytes: u64) -> std::io::Result<()> {
    static BLOCK: [u8; 65_536] = [0; 65_536];
    file.set_len(0)?;
    let mut left = bytes;
    while left > 0 {
        let next = usize::try_from(left).unwrap_or(usize::MAX).min(BLOCK.len());
        file.write_all(BLOCK.get(..next).unwrap_or(&BLOCK))?;
        left = left.saturating_sub(u64::try_from(next).unwrap_or(u64::MAX));
    }
    file.sync_all()
}

fn set_limit(connection: &Connection, pages: u64) -> Result<(), StoreError> {
    connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))?;
    Ok(())
}

fn used_pages(connection: &Connection) -> Result<u64, StoreError> {
    let count: u32 = connection.query_row("PRAGMA page_count", [], |row| row.get(0))?;
    let free: u32 = connection.query_row("PRAGMA freelist_count", [], |row| row.get(0))?;
    Ok(u64::from(count.saturating_sub(free)))
}
