//! The store's configuration.

use std::path::PathBuf;

use serde::Deserialize;

/// Keys of `[store]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The folder of the database and its key; made with mode 0700 where it is not there. Files in it have mode 0600.
    /// In the configuration file a relative path starts at the state folder.
    pub folder: PathBuf,
    /// Connections (each with a thread) that answer reads. Default 4.
    pub readers: usize,
    /// Commits that may wait; more are refused. Default 4096.
    pub waiting_commits: usize,
    /// Bytes that may wait in commits; more are refused. Default 64 MiB. One commit alone may be larger.
    pub waiting_bytes: usize,
    /// Commits taken into one transaction at most. Default 256.
    pub group_commits: usize,
    /// Bytes taken into one transaction at most, but at least one commit. Default 8 MiB.
    pub group_bytes: usize,
    /// Reads that may wait; more are refused. Default 4096.
    pub waiting_reads: usize,
    /// Days for which a message is known again by its id. Default 7.
    pub dedup_days: u32,
    /// Size that the database must not pass, in bytes: then commits are refused as on a full disk. Default: none.
    pub max_bytes: Option<u64>,
    /// Bytes kept free for audit rows, so that reads can still be audited when the store is full. Default 16 MiB.
    pub audit_reserve_bytes: u64,
    /// Size of the write-ahead log at which the writer starts it over, in bytes. Default 64 MiB.
    pub wal_restart_bytes: u64,
    /// Memory for pages of each connection, in bytes. Default 32 MiB for the writer, a quarter of it for each reader.
    pub page_cache_bytes: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            folder: PathBuf::from("store"),
            readers: 4,
            waiting_commits: 4096,
            waiting_bytes: 64 << 20,
            group_commits: 256,
            group_bytes: 8 << 20,
            waiting_reads: 4096,
            dedup_days: 7,
            max_bytes: None,
            audit_reserve_bytes: 16 << 20,
            wal_restart_bytes: 64 << 20,
            page_cache_bytes: 32 << 20,
        }
    }
}
