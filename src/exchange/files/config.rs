//! `[[files]]`: one folder that one provider leaves files in.

use std::path::PathBuf;

use serde::Deserialize;

use crate::provider::wait::Wait;

/// One folder that one provider leaves files in.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The provider whose files come here.
    pub provider: String,
    /// The folder; it must exist. A relative path starts at the configuration's folder.
    pub folder: PathBuf,
    /// Which files are taken: texts and `{sequence}`, `{date}`, `{time}`, `{any}`, such as `visits-{sequence}.csv`. With
    /// `{sequence}` they are taken in its order, else by the time they were last written. Others are left alone; so are
    /// hidden names and those of files being written (`.tmp`, `.part`, `.filepart`, `~`).
    pub name: String,
    /// When a file counts as whole.
    #[serde(default)]
    pub complete: Complete,
    /// For `complete = "stable"`: how long its size and time must not have changed.
    #[serde(default = "five_seconds")]
    pub stable: Wait,
    /// Where files go that were taken; default: `done` in the folder. On the same file system as the folder.
    pub done: Option<PathBuf>,
    /// Where files go that were refused, with an error file beside each; default: `set-aside` in the folder. On the same
    /// file system as the folder.
    pub set_aside: Option<PathBuf>,
    /// How often the folder is looked at, beside at every change that the operating system tells of.
    #[serde(default = "five_seconds")]
    pub poll: Wait,
    /// How long to wait before a file that could not be taken is tried again.
    #[serde(default = "ten_seconds")]
    pub retry: Wait,
    /// The largest file, in bytes; a larger one is set aside unread.
    #[serde(default = "limit")]
    pub file_limit: u64,
}

/// When a file counts as whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Complete {
    /// As soon as it is there under its name: the provider writes under another name and renames.
    #[default]
    Renamed,
    /// When it has not changed for a while.
    Stable,
}

const fn five_seconds() -> Wait {
    Wait::seconds(5)
}
const fn ten_seconds() -> Wait {
    Wait::seconds(10)
}
const fn limit() -> u64 {
    64 << 20
}
