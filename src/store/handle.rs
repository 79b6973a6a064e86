//! The handle: opening, committing, reading, closing.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::{Connection, OptionalExtension};
use tokio::sync::{oneshot, watch};

use super::assign;
use super::checkpoint::{self, LogKeeper};
use super::commit::{Commit, Outcome};
use super::config::Config;
use super::error::StoreError;
use super::faults::Faults;
use super::id::{AssignedId, AuditSeq, NativeKey, ResourceKey};
use super::prepared::Work;
use super::queue::Queue;
use super::readers::{self, Question};
use super::reserve::Reserve;
use super::secret::{Random, Secret};
use super::shared::Shared;
use super::sqlite::{self, Files, audit, migration};
use super::stamps::Stamp;
use super::stored::{Anchor, Chain, Health, Stats};
use super::view::View;
use super::writer::{Job, LastWord, Writer};
use crate::clock::Clock;

/// The store. Cheap to clone; it ends when the last clone goes, or with [`Store::close`].
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    jobs: Arc<Queue<Job>>,
    questions: Arc<Queue<Question>>,
    shared: Arc<Shared>,
    secret: Arc<Secret>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    files: Files,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("health", &self.health()).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the store, making it where it is not there, and starts its threads. Messages that were in flight when the last
    /// process ended are due again. Waits for the disk.
    ///
    /// `random` is asked once, for the key of a new store.
    ///
    /// # Errors
    /// [`StoreError::InUse`], [`StoreError::WrongKey`], [`StoreError::Migration`], [`StoreError::File`], or what SQLite says.
    pub fn open(config: Config, clock: Clock, random: &Random, faults: Arc<dyn Faults>) -> Result<Self, StoreError> {
        let files = Files::take(&config.folder)?;
        let mut connection = sqlite::writing(&files.database(), config.page_cache_bytes)?;
        let fresh: bool = connection.query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| row.get(0))?;
        let secret = Arc::new(Secret::load(&files.key(), fresh, random)?);
        migration::migrate(&mut connection, clock.now())?;
        check_key(&connection, &secret)?;
        sqlite::recover(&connection)?;
        let reserve = Reserve::take(files.reserve(), &config, &connection)?;
        let chain = audit::last_link(&connection)?;

        let shared = Arc::new(Shared::new());
        if !reserve.held() {
            shared.turn(Health::Full);
        }
        let jobs = Arc::new(Queue::new(config.waiting_commits, config.waiting_bytes));
        let questions = Arc::new(Queue::new(config.waiting_reads, usize::MAX));
        let inner = Inner {
            jobs: Arc::clone(&jobs),
            questions: Arc::clone(&questions),
            shared: Arc::clone(&shared),
            secret: Arc::clone(&secret),
            threads: Mutex::new(Vec::new()),
            files,
        };
        // From here on a failure drops `inner`, which ends the threads that were started.
        let (ask, asked) = sync_channel(1);
        inner.start_checkpoints(&config, asked, Arc::clone(&faults))?;
        inner.start_readers(&config, &clock)?;
        let log = LogKeeper::new(&connection, ask, config.wal_restart_bytes)?;
        let last_word = LastWord { queue: Arc::clone(&jobs), shared: Arc::clone(&shared) };
        let writer = Writer {
            connection,
            queue: jobs,
            shared,
            secret,
            clock,
            faults,
            config,
            reserve,
            chain,
            log,
            persons_now: HashMap::new(),
            since_forgetting: 0,
            audited: 0,
        };
        inner.start("store-writer", move || {
            let _last_word = last_word;
            writer.run();
        })?;
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Hands a commit to the writer and waits until it is on the disk, or is refused. A commit that was handed over is made
    /// even when the one who waits for it goes away.
    ///
    /// # Errors
    /// What does not hold ([`StoreError`] says which and how it is mended), or that the store cannot take it; nothing is
    /// written then.
    pub async fn commit(&self, commit: Commit) -> Result<Outcome, StoreError> {
        let counted = |error| {
            self.inner.shared.refusals.fetch_add(1, Ordering::Relaxed);
            error
        };
        let work = Work::prepare(commit, &self.inner.secret).map_err(counted)?;
        let weight = work.weight;
        let (answer, answered) = oneshot::channel();
        // Audit rows of one moment go in one transaction.
        let put = if work.audit_only { Queue::put_patient } else { Queue::put };
        put(&self.inner.jobs, Job { work, answer }, weight).map_err(counted)?;
        answered.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Asks one moment of the store, on a thread of the reader pool (a thread of the store's own, never one of the runtime).
    /// The question runs to its end even when the one who waits for it goes away.
    ///
    /// ```no_run
    /// # use silta::store::{ResourceKey, Store, StoreError};
    /// # async fn example(store: Store) -> Result<(), StoreError> {
    /// let task = store.read(|view| view.resource(&ResourceKey::new("Task", "hospital.1"), None)).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`StoreError::Busy`] when too many wait, [`StoreError::Closed`] after [`Store::close`], or what the question says.
    pub async fn read<T, F>(&self, question: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&View<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let asked: Question = Box::new(move |view| {
            let _ = answer.send(view.and_then(question));
        });
        self.inner.questions.put(asked, 1)?;
        answered.await.unwrap_or(Err(StoreError::Incoherent("a read ended without an answer")))
    }

    /// A stamp of a resource as it stands: taken before a read, it says later whether the read would still find the same.
    #[must_use]
    pub fn stamp(&self, key: &ResourceKey) -> Stamp {
        self.inner.shared.stamps.of(key)
    }

    /// Whether nothing has changed the resource, or made two persons one, since it was stamped. False now and then though
    /// nothing has.
    #[must_use]
    pub fn holds(&self, stamp: &Stamp) -> bool {
        self.inner.shared.stamps.holds(stamp)
    }

    /// Whether the store takes work; readiness follows it.
    #[must_use]
    pub fn health(&self) -> Health {
        self.inner.shared.health()
    }

    /// Changes whenever a message was put into the outbox or moved in it: whoever delivers waits for this or for
    /// [`View::next_due`].
    #[must_use]
    pub fn outbox_changes(&self) -> watch::Receiver<u64> {
        self.inner.shared.outbox()
    }

    /// Numbers for metrics.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub async fn stats(&self) -> Result<Stats, StoreError> {
        let (outbox_open, outbox_dead, outbox_oldest, notices_open) = self.read(|view| view.counts()).await?;
        let shared = &self.inner.shared;
        let (waiting_commits, waiting_bytes) = self.inner.jobs.waiting();
        Ok(Stats {
            health: shared.health(),
            waiting_commits,
            waiting_bytes,
            waiting_reads: self.inner.questions.waiting().0,
            commits: shared.commits.load(Ordering::Relaxed),
            refusals: shared.refusals.load(Ordering::Relaxed),
            groups: shared.groups.load(Ordering::Relaxed),
            wal_bytes: shared.wal_bytes.load(Ordering::Relaxed),
            wal_restarts: shared.restarts.load(Ordering::Relaxed),
            database_bytes: file_size(&self.inner.files.database()),
            outbox_open,
            outbox_dead,
            outbox_oldest,
            notices_open,
        })
    }

    /// Checks every row of the audit against the chain, in pieces, while work goes on. `anchor` is a point kept elsewhere
    /// from an earlier check: it must still be there, which a cut-off end betrays.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub async fn verify_chain(&self, anchor: Option<Anchor>) -> Result<Chain, StoreError> {
        let mut checked = Anchor { seq: AuditSeq(0), hash: [0; 32] };
        loop {
            match self.read(move |view| verify_some(view, checked, anchor)).await? {
                Checked::Further(to) => checked = to,
                Checked::All(to) => return Ok(Chain::Whole((to.seq.0 > 0).then_some(to))),
                Checked::BrokenAfter(seq) => return Ok(Chain::Broken { from: AuditSeq(seq.0.saturating_add(1)) }),
            }
        }
    }

    /// The id that a provider's native id has in the gateway: `{provider}.{native}` where that is a FHIR id and may be shown,
    /// else a hash (of a personal identifier a keyed one), for which the commit that first uses it must hold a
    /// [`super::Write::NativeId`]. The same arguments always give the same id.
    #[must_use]
    pub fn assign(&self, provider: &str, native: &str, kind: NativeKey) -> AssignedId {
        assign::assign(provider, native, kind, |text| self.inner.secret.named(text))
    }

    /// A hash of a value that may hold personal data, made with the store's key: comparable here, useless elsewhere.
    #[must_use]
    pub fn keyed_hash(&self, texts: &[&str]) -> [u8; 32] {
        self.inner.secret.keyed(texts)
    }

    /// A key for one purpose, derived from the store's key: for others who make keyed hashes that must last as long as it.
    #[must_use]
    pub fn derived_key(&self, purpose: &str) -> [u8; 32] {
        self.inner.secret.derive(purpose)
    }

    /// Takes nothing more, makes what waits, copies the log into the database and ends. Reads that wait are answered, later
    /// ones refused.
    pub async fn close(&self) {
        self.inner.jobs.close();
        self.inner.shared.ended().await;
        self.inner.shared.turn(Health::Closed);
        self.inner.questions.close();
    }
}

impl Inner {
    fn start(&self, name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), StoreError> {
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(work).map_err(StoreError::File)?;
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
        Ok(())
    }

    fn start_checkpoints(
        &self,
        config: &Config,
        asked: std::sync::mpsc::Receiver<()>,
        faults: Arc<dyn Faults>,
    ) -> Result<(), StoreError> {
        let connection = sqlite::writing(&self.files.database(), config.page_cache_bytes / 8)?;
        let (shared, jobs) = (Arc::clone(&self.shared), Arc::clone(&self.jobs));
        self.start("store-log", move || checkpoint::serve(&connection, &asked, faults.as_ref(), &shared, &jobs))
    }

    fn start_readers(&self, config: &Config, clock: &Clock) -> Result<(), StoreError> {
        for number in 0..config.readers.max(1) {
            let connection = sqlite::reading(&self.files.database(), config.page_cache_bytes / 4)?;
            let (questions, secret) = (Arc::clone(&self.questions), Arc::clone(&self.secret));
            let (clock, days) = (clock.clone(), config.dedup_days);
            self.start(&format!("store-read-{number}"), move || {
                readers::serve(&connection, &questions, &secret, &clock, days);
            })?;
        }
        Ok(())
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.jobs.close();
        self.questions.close();
        let own = std::thread::current().id();
        for thread in self.threads.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            // A question may hold the last handle; its thread cannot wait for itself.
            if thread.thread().id() != own {
                let _ = thread.join();
            }
        }
    }
}

/// A database knows the key that it was made with.
fn check_key(connection: &Connection, secret: &Secret) -> Result<(), StoreError> {
    let known: Option<Vec<u8>> =
        connection.query_row("SELECT value FROM store WHERE name = 'key'", [], |row| row.get(0)).optional()?;
    match known {
        Some(known) if known == secret.check() => Ok(()),
        Some(_) => Err(StoreError::WrongKey),
        None => {
            connection.execute("INSERT INTO store (name, value) VALUES ('key', ?1)", [secret.check()])?;
            Ok(())
        }
    }
}

fn file_size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |data| data.len())
}

/// How far a piece of checking the chain came.
enum Checked {
    Further(Anchor),
    All(Anchor),
    BrokenAfter(AuditSeq),
}

fn verify_some(view: &View<'_>, from: Anchor, anchor: Option<Anchor>) -> Result<Checked, StoreError> {
    const PIECE: usize = 64;
    let links = audit::links(view.connection, from.seq.0, PIECE)?;
    let mut before = from;
    for link in &links {
        let covered = audit::covered(view.connection, before.seq.0, link.seq.0)?;
        let passed = anchor.filter(|anchor| before.seq < anchor.seq && anchor.seq <= link.seq);
        if covered.last != Some(link.seq.0)
            || view.secret.chained(&before.hash, &covered.bytes) != link.hash
            || passed.is_some_and(|anchor| anchor != *link)
        {
            return Ok(Checked::BrokenAfter(before.seq));
        }
        before = *link;
    }
    if links.len() == PIECE {
        return Ok(Checked::Further(before));
    }
    let cut_off = anchor.is_some_and(|anchor| anchor.seq > before.seq);
    let unlinked = !audit::rows(view.connection, before.seq.0, i64::MAX, 1)?.is_empty();
    Ok(if cut_off || unlinked { Checked::BrokenAfter(before.seq) } else { Checked::All(before) })
}
