//! The writer: one thread, one connection, one transaction for whatever was waiting.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::checkpoint::{self, LogKeeper};
use super::commit::Outcome;
use super::config::Config;
use super::error::StoreError;
use super::faults::Faults;
use super::prepared::Work;
use super::queue::Queue;
use super::reserve::Reserve;
use super::secret::Secret;
use super::shared::Shared;
use super::sqlite::apply::Applying;
use super::sqlite::audit::Covered;
use super::sqlite::{Meaning, audit, meaning, prune};
use super::stored::{Anchor, Health};
use super::view::window_start;
use crate::clock::Clock;

/// A commit and who waits for its answer.
pub(super) struct Job {
    pub(super) work: Work,
    pub(super) answer: oneshot::Sender<Answer>,
}

/// How long the writer waits for work before it looks by itself whether there is room again.
const WAIT_FOR_ROOM: Duration = Duration::from_secs(1);

/// Persons that the writer remembers.
const PERSONS: usize = 1 << 14;

/// How long audit rows wait at most for those of others who ask at the same time.
const GATHERING: Duration = Duration::from_micros(200);

type Answer = Result<Outcome, StoreError>;

/// The writing thread's own.
pub(super) struct Writer {
    pub(super) connection: Connection,
    pub(super) queue: Arc<Queue<Job>>,
    pub(super) shared: Arc<Shared>,
    pub(super) secret: Arc<Secret>,
    pub(super) clock: Clock,
    pub(super) faults: Arc<dyn Faults>,
    pub(super) config: Config,
    pub(super) reserve: Reserve,
    pub(super) chain: Anchor,
    pub(super) log: LogKeeper,
    /// Who persons are now, as far as it was asked.
    pub(super) persons_now: HashMap<i64, i64>,
    /// Commits since messages past the window were last forgotten.
    pub(super) since_forgetting: usize,
    /// How many were answered last, where all of them only wrote audit rows.
    pub(super) audited: usize,
}

/// A transaction that is on the disk, or that had nothing to write.
struct Done {
    answers: Vec<Answer>,
    chain: Option<Anchor>,
    outbox_moved: bool,
}

/// What came of one commit within a transaction.
struct Applied {
    answer: Answer,
    outbox_moved: bool,
    covered: Covered,
}

impl Applied {
    fn nothing(answer: Answer) -> Self {
        Self { answer, outbox_moved: false, covered: Covered::default() }
    }
}

/// How a refused commit is undone within a transaction.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Undo {
    /// Not at all: it must not have written anything.
    Nothing,
    /// By going back to its savepoint.
    Savepoint,
}

impl Writer {
    /// Works until the queue is closed and empty, or the disk fails.
    pub(super) fn run(mut self) {
        loop {
            self.gather();
            let patience = (self.shared.health() == Health::Full).then_some(WAIT_FOR_ROOM);
            let Some(jobs) = self.queue.take(self.config.group_commits, self.config.group_bytes, patience) else {
                break;
            };
            self.admit(jobs);
            self.look_for_room();
            if let Err(error) = self.log.keep_short(&self.connection, &self.shared, self.faults.as_ref())
                && meaning(&error) == Meaning::Disk
            {
                self.shared.break_down();
            }
            if self.shared.broken() {
                self.queue.close();
            }
        }
        if !self.shared.broken() {
            // A clean end leaves everything in the database itself.
            let _ = checkpoint::run(&self.connection, checkpoint::Kind::Truncate, self.faults.as_ref());
        }
    }

    /// Those who were answered and those who wait by now are who asks at the same time: when the first ask again, their audit
    /// rows go with those of the others, in one transaction instead of two. Nobody waits for one who is alone.
    fn gather(&mut self) {
        let answered = std::mem::take(&mut self.audited);
        let (waiting, _) = self.queue.waiting();
        let asking = answered.saturating_add(waiting).min(self.config.group_commits);
        if answered > 0 && asking > 1 && self.shared.health() == Health::Open {
            let _ = self.queue.gather(asking, GATHERING);
        }
    }

    /// Tries what may be tried: while there is no room, audit rows may use what is kept for them, and nothing else may.
    fn admit(&mut self, jobs: Vec<Job>) {
        match self.shared.health() {
            // Closing by the owner still lets through what waits; a broken disk does not.
            _ if self.shared.broken() => self.refuse(jobs, || StoreError::Closed),
            Health::Full => {
                let (audit_only, others): (Vec<_>, Vec<_>) = jobs.into_iter().partition(|job| job.work.audit_only);
                self.transaction(audit_only);
                self.look_for_room();
                if self.reserve.held() {
                    self.transaction(others);
                } else {
                    self.refuse(others, || StoreError::Full);
                }
            }
            Health::Open | Health::Closed => self.transaction(jobs),
        }
    }

    fn transaction(&mut self, mut jobs: Vec<Job>) {
        if jobs.is_empty() {
            return;
        }
        match self.attempt(&mut jobs) {
            Ok(done) => self.settle(jobs, done),
            Err(Meaning::Full) if jobs.len() > 1 => {
                // One that does not fit must not take the others with it.
                self.turn_full();
                for job in jobs {
                    self.admit(vec![job]);
                }
            }
            Err(Meaning::Full) => {
                self.turn_full();
                let audit_only = jobs.iter().all(|job| job.work.audit_only);
                if !(audit_only && self.reserve.release(&self.connection)) {
                    return self.refuse(jobs, || StoreError::Full);
                }
                // The room given up is enough to copy the log; a log started over then takes new rows in its old place. Where
                // it is not, the rows go into the room itself.
                let copied = self.log.restart(&self.connection, &self.shared, self.faults.as_ref());
                if copied.is_err_and(|error| meaning(&error) == Meaning::Disk) {
                    return self.break_down(jobs);
                }
                match self.attempt(&mut jobs) {
                    Ok(done) => self.settle(jobs, done),
                    Err(Meaning::Disk) => self.break_down(jobs),
                    Err(Meaning::Full | Meaning::Statement) => self.refuse(jobs, || StoreError::Full),
                }
            }
            Err(Meaning::Disk) => self.break_down(jobs),
            Err(Meaning::Statement) => self.refuse(jobs, || StoreError::Busy),
        }
    }

    /// Makes one transaction of these commits; nothing of it is there when it fails.
    ///
    /// Refusals are known, with few exceptions, before a commit has written anything. So the transaction is first tried
    /// without savepoints, which cost a copy of every page; where one of the exceptions comes, all of it is done again with a
    /// savepoint for each commit.
    fn attempt(&mut self, jobs: &mut Vec<Job>) -> Result<Done, Meaning> {
        let mut result = self.group(jobs, Undo::Nothing);
        if matches!(result, Ok(None)) {
            self.persons_now.clear();
            result = self.execute("ROLLBACK").and_then(|()| self.group(jobs, Undo::Savepoint));
        }
        if !matches!(result, Ok(Some(_))) {
            self.persons_now.clear();
        }
        if result.is_err() && !self.connection.is_autocommit() && self.execute("ROLLBACK").is_err() {
            return Err(Meaning::Disk);
        }
        match result {
            Ok(Some(done)) => Ok(done),
            Ok(None) => Err(Meaning::Statement),
            Err(error) => Err(meaning(&error)),
        }
    }

    /// `None` when a commit that was refused has left something that cannot be undone by itself.
    ///
    /// What came to wait while the others were written is made in the same transaction, up to the bounds of one.
    fn group(&mut self, jobs: &mut Vec<Job>, undo: Undo) -> Result<Option<Done>, StoreError> {
        self.execute("BEGIN IMMEDIATE")?;
        let (now, mut covered) = (self.clock.now(), Covered::default());
        let window_start = window_start(now, self.config.dedup_days);
        let mut done = Done { answers: Vec::with_capacity(jobs.len()), chain: None, outbox_moved: false };
        let mut weight = 0_usize;
        loop {
            for job in jobs.iter().skip(done.answers.len()) {
                let Some(one) = self.one(&job.work, now, window_start, undo)? else { return Ok(None) };
                done.outbox_moved |= one.outbox_moved;
                covered.append(&one.covered);
                done.answers.push(one.answer);
                weight = weight.saturating_add(job.work.weight);
            }
            if undo == Undo::Savepoint || self.shared.health() != Health::Open {
                break;
            }
            let most = self.config.group_commits.saturating_sub(jobs.len());
            self.queue.take_more(most, self.config.group_bytes.saturating_sub(weight), jobs);
            if jobs.len() == done.answers.len() {
                break;
            }
        }
        if !done.answers.iter().any(|answer| matches!(answer, Ok(Outcome::Committed(_)))) {
            self.execute("ROLLBACK")?;
            return Ok(Some(done));
        }
        self.since_forgetting = self.since_forgetting.saturating_add(jobs.len());
        if self.since_forgetting >= prune::EVERY {
            prune::forget(&self.connection, window_start)?;
            self.since_forgetting = 0;
        }
        done.chain = audit::add_link(&self.connection, &self.secret, &self.chain, &covered)?;
        self.faults.at_commit().map_err(StoreError::from)?;
        self.execute("COMMIT")?;
        Ok(Some(done))
    }

    /// One commit. An error is one of the whole transaction; the commit's own is in the answer. `None` when it was refused and
    /// what it had written cannot be undone by itself.
    fn one(
        &mut self,
        work: &Work,
        now: Timestamp,
        window_start: i64,
        undo: Undo,
    ) -> Result<Option<Applied>, StoreError> {
        if undo == Undo::Savepoint {
            self.execute("SAVEPOINT one")?;
        }
        let mut applying = Applying::new(&self.connection, &self.secret, now, window_start);
        applying.persons_now = std::mem::take(&mut self.persons_now);
        let applied = applying.apply(work);
        // What was learnt from writes that may be undone is not kept.
        if matches!(applied, Ok(Outcome::Committed(_))) && applying.persons_now.len() < PERSONS {
            self.persons_now = std::mem::take(&mut applying.persons_now);
        }
        match applied {
            Ok(Outcome::Committed(receipt)) => {
                if undo == Undo::Savepoint {
                    self.execute("RELEASE one")?;
                }
                Ok(Some(Applied {
                    answer: Ok(Outcome::Committed(receipt)),
                    outbox_moved: applying.outbox_moved,
                    covered: applying.covered,
                }))
            }
            Err(error) if meaning(&error) != Meaning::Statement || self.connection.is_autocommit() => Err(error),
            refused if undo == Undo::Savepoint => {
                self.execute("ROLLBACK TO one")?;
                self.execute("RELEASE one")?;
                Ok(Some(Applied::nothing(refused)))
            }
            refused => Ok((!applying.wrote).then(|| Applied::nothing(refused))),
        }
    }

    /// Looks, now and then, whether there is room again: first for the reserve, then for a write of some size.
    fn look_for_room(&mut self) {
        let due = self.shared.health() == Health::Full && self.reserve.may_look(self.clock.instant());
        if !(due && self.reserve.restore(&self.connection)) {
            return;
        }
        let mut probed = self.execute("BEGIN IMMEDIATE");
        probed = probed.and_then(|()| {
            self.execute("INSERT OR REPLACE INTO store (name, value) VALUES ('probe', zeroblob(65536))")?;
            self.faults.at_commit()?;
            self.execute("COMMIT")
        });
        let undone = self.connection.is_autocommit() || self.execute("ROLLBACK").is_ok();
        match probed.map_err(|error| meaning(&error)) {
            _ if !undone => self.shared.break_down(),
            Ok(()) => self.shared.turn(Health::Open),
            Err(Meaning::Disk) => self.shared.break_down(),
            Err(Meaning::Full | Meaning::Statement) => {}
        }
    }

    fn settle(&mut self, jobs: Vec<Job>, done: Done) {
        if let Some(chain) = done.chain {
            self.chain = chain;
        }
        if self.shared.health() == Health::Full && self.reserve.held() {
            self.shared.turn(Health::Open);
        }
        self.audited = if jobs.iter().all(|job| job.work.audit_only) { jobs.len() } else { 0 };
        self.shared.groups.fetch_add(1, Ordering::Relaxed);
        // Everything is counted before anybody is told: who was told must not be given what was there before.
        for (job, answer) in jobs.iter().zip(&done.answers) {
            if let Ok(outcome) = answer {
                self.shared.stamps.count(&job.work, outcome);
            }
        }
        for (job, answer) in jobs.into_iter().zip(done.answers) {
            let count =
                if matches!(answer, Ok(Outcome::Committed(_))) { &self.shared.commits } else { &self.shared.refusals };
            count.fetch_add(1, Ordering::Relaxed);
            // Who no longer waits has its commit all the same.
            let _ = job.answer.send(answer);
        }
        if done.outbox_moved {
            self.shared.tell_outbox();
        }
    }

    /// A failed write or sync is never tried again: what the system says is on the disk may not be.
    fn break_down(&self, jobs: Vec<Job>) {
        self.shared.break_down();
        self.refuse(jobs, || StoreError::Closed);
    }

    fn turn_full(&mut self) {
        self.shared.turn(Health::Full);
        self.reserve.look_later(self.clock.instant());
    }

    fn refuse(&self, jobs: Vec<Job>, error: impl Fn() -> StoreError) {
        for job in jobs {
            self.shared.refusals.fetch_add(1, Ordering::Relaxed);
            let _ = job.answer.send(Err(error()));
        }
    }

    fn execute(&self, sql: &str) -> Result<(), StoreError> {
        self.connection.prepare_cached(sql)?.execute([])?;
        Ok(())
    }
}

/// Whatever ends the writing thread: nobody is left waiting for it.
pub(super) struct LastWord {
    pub(super) queue: Arc<Queue<Job>>,
    pub(super) shared: Arc<Shared>,
}

impl Drop for LastWord {
    fn drop(&mut self) {
        self.shared.turn(Health::Closed);
        self.queue.close();
        while self.queue.take(usize::MAX, usize::MAX, None).is_some() {}
        self.shared.tell_end();
    }
}
