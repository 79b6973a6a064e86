//! A process killed in the middle of writing: everything that it was told is committed is there.

use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use silta::clock::Clock;
use silta::store::{Chain, Commit, JournalSeq, NewDocument, NewMember, NoFaults, ResourceKey, Store, Write};

use super::{at, audit_row, config, journal, message, open_with, patient};

const FOLDER: &str = "SILTA_TEST_STORE_FOLDER";

/// One message with everything that follows from it.
fn all_of(name: &str) -> Commit {
    let mut commit = Commit::new();
    let entry = commit.journal(journal(name));
    let person = commit.person([patient("hospital", name)]);
    let body = format!("{{\"id\":\"{name}\"}}");
    commit.write(Write::Document(NewDocument {
        journal: Some(entry),
        members: vec![NewMember {
            key: ResourceKey::new("Task", name),
            person: Some(person),
            span: (0, body.len()),
            version: 1,
            updated: at(1),
            provider: None,
            facets: vec![],
        }],
        body: body.into(),
    }));
    commit.write(message("county", None, name, 0));
    commit.write(audit_row(name));
    commit
}

/// What the killed process does: it commits from many callers and says each name once its commit is acknowledged.
#[test]
#[ignore = "run as a process of its own, by the tests below"]
fn process_that_writes_until_it_is_killed() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let round = std::env::args().count();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let store = open_with(config(Path::new(&folder)), &Clock::system(), Arc::new(NoFaults)).unwrap();
        let first =
            store.read(|view| Ok(view.journal_after(JournalSeq::from_number(0), 1_000_000)?.len())).await.unwrap();
        let callers: Vec<_> = (0..20)
            .map(|caller| {
                let store = store.clone();
                tokio::spawn(async move {
                    for number in 0.. {
                        let name = format!("r{round}-{first}-{caller}-{number}");
                        super::made(&store, all_of(&name)).await;
                        writeln!(std::io::stdout(), "committed {name}").unwrap();
                    }
                })
            })
            .collect();
        for caller in callers {
            caller.await.unwrap();
        }
    });
}

/// Runs the process above and kills it after so many acknowledged commits; all that it said.
fn killed_after(folder: &Path, commits: usize) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", "store::crash::process_that_writes_until_it_is_killed"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut said = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        if let Some((_, name)) = line.unwrap().split_once("committed ") {
            said.push(name.to_owned());
        }
        if said.len() == commits {
            // SIGKILL; what it had said before is still read to the end.
            child.kill().unwrap();
        }
    }
    assert!(!child.wait().unwrap().success());
    assert!(said.len() >= commits, "it ended by itself after {} commits", said.len());
    said
}

async fn is_all_there(store: &Store, name: &str) {
    let name = name.to_owned();
    store
        .read(move |view| {
            let task = view.resource(&ResourceKey::new("Task", name.clone()), None)?.expect("its resource");
            let entry = view.journal(task.journal.unwrap())?.expect("its journal entry");
            assert_eq!(entry.body, name.as_bytes());
            assert_eq!(view.person(&patient("hospital", &name))?, task.person);
            assert!(view.message_named("county", &name)?.is_some());
            Ok(())
        })
        .await
        .unwrap();
}

#[tokio::test]
async fn what_was_acknowledged_before_a_kill_is_there_and_nothing_is_half_there() {
    let folder = tempfile::tempdir().unwrap();
    let mut said = Vec::new();
    // Killed again and again, also while it recovers from the last time.
    for commits in [1, 50, 300] {
        said.extend(killed_after(folder.path(), commits));
    }
    let clock = Clock::manual(at(0));
    let store = open_with(config(folder.path()), &clock, Arc::new(NoFaults)).unwrap();
    for name in &said {
        is_all_there(&store, name).await;
    }
    // What was committed and not yet acknowledged is there as a whole, or not at all.
    let entries = store.read(|view| view.journal_after(JournalSeq::from_number(0), 1_000_000)).await.unwrap();
    assert!(entries.len() >= said.len());
    for entry in &entries {
        is_all_there(&store, std::str::from_utf8(&entry.body).unwrap()).await;
    }
    assert!(matches!(store.verify_chain(None).await.unwrap(), Chain::Whole(Some(_))));
    super::made(&store, all_of("after")).await;
}
