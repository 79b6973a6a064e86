//! Disks that are slow, full or broken; queues that are full; files that are not ours.

use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use silta::clock::Clock;
use silta::store::{Commit, Config, DiskFailure, Faults, Health, JournalSeq, NoFaults, ResourceKey, Store, StoreError};

use super::{Fixture, at, audit_row, config, document, journal, one, random};

/// A disk that does as it is told, and counts what was asked of it.
#[derive(Default)]
struct Disk {
    commits: AtomicUsize,
    failure: Mutex<Option<DiskFailure>>,
    delay_micros: AtomicU64,
    held: Mutex<bool>,
    let_go: Condvar,
}

impl Disk {
    fn fail(&self, failure: Option<DiskFailure>) {
        *self.failure.lock().unwrap() = failure;
    }

    fn hold(&self, held: bool) {
        *self.held.lock().unwrap() = held;
        self.let_go.notify_all();
    }

    fn commits(&self) -> usize {
        self.commits.load(Ordering::SeqCst)
    }
}

impl Faults for Disk {
    fn at_commit(&self) -> Result<(), DiskFailure> {
        self.commits.fetch_add(1, Ordering::SeqCst);
        let mut held = self.held.lock().unwrap();
        while *held {
            held = self.let_go.wait(held).unwrap();
        }
        drop(held);
        let delay = Duration::from_micros(self.delay_micros.load(Ordering::SeqCst));
        #[expect(clippy::disallowed_methods, reason = "a slow disk is slow in real time, on the writer's own thread")]
        std::thread::sleep(delay);
        self.failure.lock().unwrap().map_or(Ok(()), Err)
    }
}

fn entry(body: &str) -> Commit {
    let mut commit = Commit::new();
    commit.journal(journal(body));
    commit
}

async fn journalled(store: &Store) -> Vec<String> {
    let entries = store.read(|view| view.journal_after(JournalSeq::from_number(0), 10_000)).await.unwrap();
    entries.into_iter().map(|entry| String::from_utf8(entry.body.to_vec()).unwrap()).collect()
}

#[tokio::test]
async fn a_broken_disk_closes_the_store_for_good_and_reads_go_on() {
    let disk = Arc::new(Disk::default());
    let fixture = Fixture::with(disk.clone(), |_| {});
    fixture.made(entry("before")).await;
    disk.fail(Some(DiskFailure::Broken));
    assert!(matches!(fixture.refused(entry("lost")).await, StoreError::Closed));
    assert_eq!(disk.commits(), 2, "the fault must have fired");
    assert_eq!(fixture.store.health(), Health::Closed);
    // The disk seems well again: nothing is tried all the same.
    disk.fail(None);
    assert!(matches!(fixture.refused(entry("after")).await, StoreError::Closed));
    assert!(matches!(fixture.refused(one(audit_row("r"))).await, StoreError::Closed));
    assert_eq!(disk.commits(), 2, "a failed commit is never tried again");
    assert_eq!(journalled(&fixture.store).await, ["before"]);
    // A new process starts from what was acknowledged.
    let fixture = fixture.reopened().await;
    assert_eq!(journalled(&fixture.store).await, ["before"]);
    fixture.made(entry("after")).await;
}

#[tokio::test]
async fn everyone_who_waits_is_told_when_the_disk_breaks() {
    let disk = Arc::new(Disk::default());
    let fixture = Fixture::with(disk.clone(), |_| {});
    disk.hold(true);
    let waiting: Vec<_> = (0..20)
        .map(|number| {
            let store = fixture.store.clone();
            tokio::spawn(async move { store.commit(entry(&number.to_string())).await })
        })
        .collect();
    while disk.commits() == 0 {
        tokio::task::yield_now().await;
    }
    disk.fail(Some(DiskFailure::Broken));
    disk.hold(false);
    for waits in waiting {
        assert!(matches!(waits.await.unwrap(), Err(StoreError::Closed)));
    }
    assert!(journalled(&fixture.store).await.is_empty());
}

#[tokio::test]
async fn a_full_disk_refuses_and_the_store_goes_on_when_there_is_room() {
    let disk = Arc::new(Disk::default());
    let fixture = Fixture::with(disk.clone(), |_| {});
    let reserve = fixture.folder.path().join("store/reserve");
    assert_eq!(std::fs::metadata(&reserve).unwrap().len(), 64 << 10);
    fixture.made(entry("before")).await;
    disk.fail(Some(DiskFailure::Full));
    assert!(matches!(fixture.refused(entry("refused")).await, StoreError::Full));
    assert_eq!((disk.commits(), fixture.store.health()), (2, Health::Full), "the fault must have fired");
    assert!(reserve.exists(), "the reserve is not for this");
    // An audit row gives the reserve up, and is tried once more.
    assert!(matches!(fixture.refused(one(audit_row("r0"))).await, StoreError::Full));
    assert_eq!(disk.commits(), 4);
    assert!(!reserve.exists());
    assert_eq!(journalled(&fixture.store).await, ["before"], "reads go on");
    // There is room for audit rows only: nothing else is even tried before the reserve is there again.
    disk.fail(None);
    fixture.made(one(audit_row("r1"))).await;
    assert!(matches!(fixture.refused(entry("too early")).await, StoreError::Full));
    assert_eq!(fixture.store.health(), Health::Full);
    fixture.clock.advance(Duration::from_secs(1));
    fixture.made(entry("after")).await;
    assert_eq!(fixture.store.health(), Health::Open);
    assert!(reserve.exists());
    assert_eq!(journalled(&fixture.store).await, ["before", "after"]);
}

#[tokio::test]
async fn a_store_nobody_asks_finds_by_itself_that_there_is_room_again() {
    let disk = Arc::new(Disk::default());
    let fixture = Fixture::with(disk.clone(), |_| {});
    disk.fail(Some(DiskFailure::Full));
    assert!(matches!(fixture.refused(entry("refused")).await, StoreError::Full));
    disk.fail(None);
    fixture.clock.advance(Duration::from_secs(1));
    while fixture.store.health() == Health::Full {
        tokio::task::yield_now().await;
    }
    assert_eq!(fixture.store.health(), Health::Open);
    assert!(disk.commits() >= 2, "it must have tried");
}

#[tokio::test]
async fn a_store_at_its_configured_size_takes_audit_rows_only() {
    let fixture = Fixture::with(Arc::new(NoFaults), |config| {
        config.max_bytes = Some(2 << 20);
        config.audit_reserve_bytes = 256 << 10;
    });
    let large = "x".repeat(100_000);
    let mut taken = 0;
    let refused = loop {
        match fixture.store.commit(entry(&large)).await {
            Ok(_) => taken += 1,
            Err(error) => break error,
        }
        assert!(taken < 100, "the size limit must have been reached");
    };
    assert!(matches!(refused, StoreError::Full) && taken > 5, "{taken} {refused:?}");
    assert_eq!(fixture.store.health(), Health::Full);
    for number in 0..100 {
        fixture.made(one(audit_row(&format!("{number}{}", "y".repeat(500))))).await;
    }
    assert_eq!(journalled(&fixture.store).await.len(), taken);
    // The reserve ends too; then nothing is disclosed any more.
    let mut rows = 100;
    while fixture.store.commit(one(audit_row(&"y".repeat(5_000)))).await.is_ok() {
        rows += 1;
        assert!(rows < 1000, "the reserve must have an end");
    }
    assert!(matches!(fixture.refused(one(audit_row(&"y".repeat(5_000)))).await, StoreError::Full));
    assert!(matches!(fixture.store.verify_chain(None).await.unwrap(), silta::store::Chain::Whole(Some(_))));
    assert!(matches!(fixture.refused(entry(&large)).await, StoreError::Full));
}

#[tokio::test]
async fn one_commit_that_does_not_fit_takes_no_other_with_it() {
    let disk = Arc::new(Disk::default());
    let fixture = Fixture::with(disk.clone(), |config| config.max_bytes = Some(2 << 20));
    disk.hold(true);
    let store = fixture.store.clone();
    let first = tokio::spawn(async move { store.commit(entry("first")).await });
    while disk.commits() == 0 {
        tokio::task::yield_now().await;
    }
    // These two wait together, and are taken together.
    let (large, small) = (entry(&"x".repeat(4 << 20)), entry("small"));
    let (store, other) = (fixture.store.clone(), fixture.store.clone());
    let large = tokio::spawn(async move { store.commit(large).await });
    let small = tokio::spawn(async move { other.commit(small).await });
    while fixture.store.stats().await.unwrap().waiting_commits < 2 {
        tokio::task::yield_now().await;
    }
    disk.hold(false);
    first.await.unwrap().unwrap();
    assert!(matches!(large.await.unwrap(), Err(StoreError::Full)));
    small.await.unwrap().unwrap();
    assert_eq!(journalled(&fixture.store).await, ["first", "small"]);
}

#[tokio::test]
async fn refusals_within_a_group_are_undone_alone_and_the_others_are_made_once() {
    let disk = Arc::new(Disk::default());
    let fixture = Fixture::with(disk.clone(), |_| {});
    disk.hold(true);
    let store = fixture.store.clone();
    let first = tokio::spawn(async move { store.commit(entry("first")).await });
    while disk.commits() == 0 {
        tokio::task::yield_now().await;
    }
    let waiting: Vec<_> = (0..30)
        .map(|number| {
            let mut commit = entry(&number.to_string());
            commit.write(audit_row(&number.to_string()));
            if number % 3 == 0 {
                // Refused after it has written.
                commit.write(super::message("county", None, "the same", 0));
                commit.write(super::message("county", None, "the same", 0));
            }
            let store = fixture.store.clone();
            tokio::spawn(async move { store.commit(commit).await })
        })
        .collect();
    while fixture.store.stats().await.unwrap().waiting_commits < 30 {
        tokio::task::yield_now().await;
    }
    disk.hold(false);
    first.await.unwrap().unwrap();
    for (number, waits) in waiting.into_iter().enumerate() {
        match waits.await.unwrap() {
            Ok(_) => assert_ne!(number % 3, 0),
            Err(error) => assert!(matches!(error, StoreError::MessageExists) && number % 3 == 0, "{error:?}"),
        }
    }
    assert_eq!(disk.commits(), 2, "the thirty must have been one group");
    assert_eq!(journalled(&fixture.store).await.len(), 21);
    let rows = fixture.store.read(|view| view.audit_after(silta::store::AuditSeq::from_number(0), 100)).await.unwrap();
    assert_eq!(rows.len(), 20);
    assert!(matches!(fixture.store.verify_chain(None).await.unwrap(), silta::store::Chain::Whole(Some(_))));
}

#[tokio::test]
async fn a_full_queue_refuses_at_once_by_count_and_by_bytes() {
    let disk = Arc::new(Disk::default());
    let fixture = Fixture::with(disk.clone(), |config| {
        config.waiting_commits = 10;
        config.waiting_bytes = 100_000;
    });
    disk.hold(true);
    let store = fixture.store.clone();
    let first = tokio::spawn(async move { store.commit(entry("first")).await });
    while disk.commits() == 0 {
        tokio::task::yield_now().await;
    }
    // The writer holds the first; a heavy one may wait alone, but nothing beside it.
    let store = fixture.store.clone();
    let heavy = tokio::spawn(async move { store.commit(entry(&"x".repeat(200_000))).await });
    while fixture.store.stats().await.unwrap().waiting_commits < 1 {
        tokio::task::yield_now().await;
    }
    assert!(matches!(fixture.refused(entry("light")).await, StoreError::Busy));
    disk.hold(false);
    first.await.unwrap().unwrap();
    heavy.await.unwrap().unwrap();

    disk.hold(true);
    let before = disk.commits();
    let store = fixture.store.clone();
    let first = tokio::spawn(async move { store.commit(entry("first")).await });
    while disk.commits() == before {
        tokio::task::yield_now().await;
    }
    let waiting: Vec<_> = (0..10)
        .map(|number| {
            let store = fixture.store.clone();
            tokio::spawn(async move { store.commit(entry(&number.to_string())).await })
        })
        .collect();
    while fixture.store.stats().await.unwrap().waiting_commits < 10 {
        tokio::task::yield_now().await;
    }
    assert!(matches!(fixture.refused(entry("eleventh")).await, StoreError::Busy));
    disk.hold(false);
    first.await.unwrap().unwrap();
    for waits in waiting {
        waits.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn the_slower_the_disk_the_larger_the_groups() {
    for delay in [0, 2, 20] {
        let disk = Arc::new(Disk::default());
        disk.delay_micros.store(delay * 1000, Ordering::SeqCst);
        let fixture = Fixture::with(disk.clone(), |_| {});
        let callers: Vec<_> = (0..50)
            .map(|caller| {
                let store = fixture.store.clone();
                tokio::spawn(async move {
                    for number in 0..4 {
                        super::made(&store, entry(&format!("{caller}/{number}"))).await;
                    }
                })
            })
            .collect();
        for caller in callers {
            caller.await.unwrap();
        }
        let stats = fixture.store.stats().await.unwrap();
        assert_eq!(stats.commits, 200);
        assert_eq!(u64::try_from(disk.commits()).unwrap(), stats.groups, "each transaction is synced once");
        if delay == 20 {
            assert!(stats.groups <= 40, "{} groups for 200 commits of 50 callers", stats.groups);
        }
        assert_eq!(journalled(&fixture.store).await.len(), 200);
    }
}

#[tokio::test]
async fn a_commit_handed_over_is_made_even_if_nobody_waits_for_it() {
    let disk = Arc::new(Disk::default());
    let fixture = Fixture::with(disk.clone(), |_| {});
    disk.hold(true);
    let store = fixture.store.clone();
    let waits = tokio::spawn(async move { store.commit(entry("left alone")).await });
    while disk.commits() == 0 {
        tokio::task::yield_now().await;
    }
    waits.abort();
    disk.hold(false);
    fixture.made(entry("next")).await;
    assert_eq!(journalled(&fixture.store).await, ["left alone", "next"]);
}

#[tokio::test]
async fn closing_makes_what_waits_and_leaves_no_log() {
    let disk = Arc::new(Disk::default());
    let fixture = Fixture::with(disk.clone(), |_| {});
    disk.hold(true);
    let store = fixture.store.clone();
    let first = tokio::spawn(async move { store.commit(entry("first")).await });
    while disk.commits() == 0 {
        tokio::task::yield_now().await;
    }
    let store = fixture.store.clone();
    let second = tokio::spawn(async move { store.commit(entry("second")).await });
    while fixture.store.stats().await.unwrap().waiting_commits < 1 {
        tokio::task::yield_now().await;
    }
    let store = fixture.store.clone();
    let closing = tokio::spawn(async move { store.close().await });
    while !closing.is_finished() && fixture.store.stats().await.unwrap().waiting_commits < 1 {
        tokio::task::yield_now().await;
    }
    disk.hold(false);
    closing.await.unwrap();
    first.await.unwrap().unwrap();
    second.await.unwrap().unwrap();
    assert!(matches!(fixture.refused(entry("late")).await, StoreError::Closed));
    let log = std::fs::metadata(fixture.folder.path().join("store/silta.db-wal")).map_or(0, |data| data.len());
    assert_eq!(log, 0);
}

#[tokio::test]
async fn the_log_is_started_over_under_load() {
    let fixture = Fixture::with(Arc::new(NoFaults), |config| config.wal_restart_bytes = 1 << 20);
    let large = "x".repeat(50_000);
    for _ in 0..400 {
        fixture.made(entry(&large)).await;
    }
    let stats = fixture.store.stats().await.unwrap();
    assert!(stats.wal_restarts >= 2, "{stats:?}");
    let log = std::fs::metadata(fixture.folder.path().join("store/silta.db-wal")).unwrap().len();
    assert!(log < 6 << 20, "20 MB were written, the log has {log} bytes");
}

#[tokio::test]
async fn files_are_for_their_owner_alone() {
    let fixture = Fixture::new();
    fixture.made(entry("x")).await;
    let folder = fixture.folder.path().join("store");
    assert_eq!(std::fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    let mut names = Vec::new();
    for file in std::fs::read_dir(&folder).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.file_name());
        names.push(file.file_name().into_string().unwrap());
    }
    names.sort();
    assert_eq!(names, ["lock", "reserve", "silta.db", "silta.db-shm", "silta.db-wal", "store.key"]);
}

#[tokio::test]
async fn a_store_is_open_once_with_its_own_key_and_its_own_program() {
    let fixture = Fixture::new();
    fixture.made(one(document(None, &ResourceKey::new("Task", "t"), 1, "{}", vec![]))).await;
    let clock = Clock::manual(at(0));
    let open = |config: Config| Store::open(config, clock.clone(), &random, Arc::new(NoFaults)).map(drop);
    let usual = config(fixture.folder.path());
    assert!(matches!(open(usual.clone()), Err(StoreError::InUse)));
    let folder = usual.folder.clone();
    drop(fixture.store);
    open(usual.clone()).expect("once closed it can be opened again");

    let key = std::fs::read(folder.join("store.key")).unwrap();
    std::fs::write(folder.join("store.key"), [1; 32]).unwrap();
    assert!(matches!(open(usual.clone()), Err(StoreError::WrongKey)));
    std::fs::remove_file(folder.join("store.key")).unwrap();
    assert!(matches!(open(usual.clone()), Err(StoreError::WrongKey)), "no new key for an old database");
    std::fs::write(folder.join("store.key"), key).unwrap();
    open(usual.clone()).unwrap();

    let change = |sql: &str| {
        let connection = rusqlite::Connection::open(folder.join("silta.db")).unwrap();
        assert_eq!(connection.execute(sql, []).unwrap(), 1);
    };
    change("INSERT INTO migration VALUES (900, x'00', 0)");
    assert!(matches!(open(usual.clone()), Err(StoreError::Migration { number: 900 })));
    change("DELETE FROM migration WHERE number = 900");
    change("UPDATE migration SET checksum = x'00' WHERE number = 1");
    assert!(matches!(open(usual), Err(StoreError::Migration { number: 1 })));
}

#[tokio::test]
async fn a_question_that_panics_harms_nobody_else() {
    let fixture = Fixture::with(Arc::new(NoFaults), |config| config.readers = 1);
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let answer = fixture.store.read(|_| -> Result<(), StoreError> { panic!("asked to") }).await;
    std::panic::set_hook(hook);
    assert!(matches!(answer, Err(StoreError::Incoherent(_))));
    fixture.store.read(|view| view.next_due()).await.unwrap();
}

#[test]
fn every_error_is_some_answer_and_says_nothing_about_a_person() {
    let error = StoreError::Stale { resource_type: "Task".into(), current: Some(3) };
    assert_eq!(error.fault().issue_code(), "conflict");
    assert_eq!(StoreError::Busy.fault().issue_code(), "no-store");
    let exists = StoreError::Exists { resource_type: "Patient".into(), ids: vec!["a".into(), "b".into()] };
    assert_eq!(exists.fault().issue_code(), "multiple-matches");
    assert_eq!(exists.to_string(), "Patient: 2 with this identifier exist");
}
