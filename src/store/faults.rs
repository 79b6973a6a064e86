//! Faults of the disk, handed in: by them tests prove what the store does when the disk is slow, full or broken.

/// What the disk is made to do. The default does nothing.
pub trait Faults: Send + Sync {
    /// Called by the writer just before each COMMIT, on its thread: it may wait, as a slow disk does.
    ///
    /// # Errors
    /// The failure that the COMMIT is to have.
    fn at_commit(&self) -> Result<(), DiskFailure> {
        Ok(())
    }

    /// Called just before each checkpoint of the write-ahead log.
    ///
    /// # Errors
    /// The failure that the checkpoint is to have.
    fn at_checkpoint(&self) -> Result<(), DiskFailure> {
        Ok(())
    }
}

/// How a disk fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskFailure {
    /// There is no room (ENOSPC).
    Full,
    /// Writing or syncing failed (EIO).
    Broken,
}

/// No faults but the real ones.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoFaults;

impl Faults for NoFaults {}
