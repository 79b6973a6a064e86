//! A disk that is really full: a small file system in memory, mounted in a namespace of its own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use silta::clock::Clock;
use silta::store::{Chain, Commit, Config, Health, JournalSeq, NoFaults, Store, StoreError};

use super::{at, audit_row, journal, made, one, open_with};

const MOUNTED: &str = "SILTA_TEST_SMALL_DISK";

/// Runs the ignored test of this name on a file system of 24 MiB.
fn on_a_small_disk(test: &str) {
    let folder = tempfile::tempdir().unwrap();
    let script = "mount -t tmpfs -o size=24m,mode=700 tmpfs \"$1\" || exit 99; shift; exec \"$@\"";
    let unshare = Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", script, "sh"])
        .arg(folder.path())
        .arg(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", test])
        .env(MOUNTED, folder.path())
        .output();
    match unshare {
        Ok(ran) if ran.status.success() => {
            let said = String::from_utf8_lossy(&ran.stdout);
            assert!(said.contains("1 passed"), "the test was not run: {said}");
        }
        Ok(ran) if String::from_utf8_lossy(&ran.stdout).contains("running 1 test") => {
            panic!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        }
        _ => println!("skipped: no file system can be mounted here"),
    }
}

fn open(folder: &Path, clock: &Clock) -> Store {
    let config = Config { folder: folder.join("store"), audit_reserve_bytes: 6 << 20, ..Config::default() };
    open_with(config, clock, Arc::new(NoFaults)).unwrap()
}

fn entry(body: &str) -> Commit {
    let mut commit = Commit::new();
    commit.journal(journal(body));
    commit
}

async fn count(store: &Store) -> usize {
    store.read(|view| Ok(view.journal_after(JournalSeq::from_number(0), 10_000)?.len())).await.unwrap()
}

#[test]
#[ignore = "run on a file system of its own, by the test below"]
fn process_that_fills_its_disk() {
    let Some(folder) = std::env::var_os(MOUNTED).map(PathBuf::from) else { return };
    let filler = folder.join("filler");
    std::fs::write(&filler, vec![1; 6 << 20]).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let clock = Clock::manual(at(0));
        let store = open(&folder, &clock);
        let large = "x".repeat(100_000);
        let mut taken = 0;
        let refused = loop {
            match store.commit(entry(&large)).await {
                Ok(_) => taken += 1,
                Err(error) => break error,
            }
            assert!(taken < 200, "the disk must have become full");
        };
        assert!(matches!(refused, StoreError::Full), "{refused:?}");
        assert_eq!(store.health(), Health::Full);
        assert!(taken > 20);
        // Reads go on, and can be audited from what was kept for that.
        assert_eq!(count(&store).await, taken);
        for number in 0..500 {
            made(&store, one(audit_row(&number.to_string()))).await;
        }
        assert!(matches!(store.commit(entry(&large)).await, Err(StoreError::Full)));
        // Until there is room again: then it goes on, without a restart, and has lost nothing.
        std::fs::remove_file(&filler).unwrap();
        clock.advance(Duration::from_secs(1));
        made(&store, entry(&large)).await;
        assert_eq!(store.health(), Health::Open);
        assert!(folder.join("store/reserve").exists());
        store.close().await;
        drop(store);
        let store = open(&folder, &clock);
        assert_eq!(count(&store).await, taken + 1);
        assert!(
            matches!(store.verify_chain(None).await.unwrap(), Chain::Whole(Some(last)) if last.seq.number() == 500)
        );
    });
}

#[test]
fn a_full_disk_loses_nothing_and_work_goes_on_when_there_is_room() {
    // More than once, since a checkpoint may come at any moment.
    for _ in 0..3 {
        on_a_small_disk("store::full_disk::process_that_fills_its_disk");
    }
}
