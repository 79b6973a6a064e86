//! Files dropped for a provider.

use std::fs;
use std::path::Path;

use silta::clock::Clock;
use silta::provider::files::pattern::{Parts, Pattern};
use silta::provider::files::{Config, Files};
use silta::provider::{Action, Adapter, AdapterError, Delivery, Effect};
use silta_engine::fault::Fault;

use super::{delivery, in_a_minute};
use crate::support::time::{manual, soon};

fn config(name: &str) -> Config {
    toml::from_str(&format!("folder = 'in'\nname = '{name}'\ntypes.Task = {{ create = true }}")).unwrap()
}

fn open(base: &Path) -> Files {
    fs::create_dir_all(base.join("in")).unwrap();
    Files::new(config("tilaus-{date}-{sequence:4}.csv"), base, manual()).unwrap()
}

fn message(id: &str) -> Delivery {
    Delivery { message_id: id.to_owned(), ..delivery("Task", Action::Create, &format!("rivi;{id}\r\n")) }
}

async fn submit(files: &Files, message: &Delivery) -> Result<Effect, AdapterError> {
    soon(files.submit(message, in_a_minute(&Clock::system()))).await.map(|receipt| receipt.effect)
}

fn visible(base: &Path) -> Vec<String> {
    let names = fs::read_dir(base.join("in")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
    names.sort();
    names
}

#[tokio::test]
async fn each_message_is_a_file_with_the_next_number_and_exactly_its_bytes() {
    let base = tempfile::tempdir().unwrap();
    let files = open(base.path());
    for id in ["A", "B"] {
        assert_eq!(submit(&files, &message(id)).await.unwrap(), Effect::Committed);
    }
    assert_eq!(visible(base.path()), ["tilaus-20260203-0001.csv", "tilaus-20260203-0002.csv"]);
    assert_eq!(fs::read(base.path().join("in/tilaus-20260203-0002.csv")).unwrap(), b"rivi;B\r\n");
    let hidden = fs::read_dir(base.path().join("in"))
        .unwrap()
        .filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().ends_with(".part"));
    assert_eq!(hidden.count(), 0, "nothing half-written is left");
}

#[tokio::test]
async fn a_message_sent_again_is_no_second_file_not_even_after_a_restart_or_when_it_was_collected() {
    let base = tempfile::tempdir().unwrap();
    submit(&open(base.path()), &message("A")).await.unwrap();
    let files = open(base.path());
    submit(&files, &message("A")).await.unwrap();
    assert_eq!(visible(base.path()).len(), 1);
    fs::remove_file(base.path().join("in/tilaus-20260203-0001.csv")).unwrap();
    submit(&files, &message("A")).await.unwrap();
    assert!(visible(base.path()).is_empty());
    submit(&files, &message("B")).await.unwrap();
    assert_eq!(visible(base.path()), ["tilaus-20260203-0002.csv"]);
    assert!(files.repeatable(&message("A")));
}

#[tokio::test]
async fn a_crash_between_the_note_and_the_name_is_finished_by_sending_again() {
    let base = tempfile::tempdir().unwrap();
    submit(&open(base.path()), &message("A")).await.unwrap();
    // As it stands after a crash in that place: noted, still under its hidden name.
    let hidden: String = <sha2::Sha256 as sha2::Digest>::digest("A").iter().map(|b| format!("{b:02x}")).collect();
    let folder = base.path().join("in");
    fs::rename(folder.join("tilaus-20260203-0001.csv"), folder.join(format!(".silta-{hidden}.part"))).unwrap();
    let files = open(base.path());
    submit(&files, &message("B")).await.unwrap();
    submit(&files, &message("A")).await.unwrap();
    assert_eq!(visible(base.path()), ["tilaus-20260203-0001.csv", "tilaus-20260203-0002.csv"]);
    assert_eq!(fs::read(folder.join("tilaus-20260203-0001.csv")).unwrap(), b"rivi;A\r\n");
}

#[tokio::test]
async fn a_file_that_is_there_is_never_overwritten() {
    let base = tempfile::tempdir().unwrap();
    let files = open(base.path());
    fs::write(base.path().join("in/tilaus-20260203-0001.csv"), "older").unwrap();
    submit(&files, &message("A")).await.unwrap();
    assert_eq!(fs::read(base.path().join("in/tilaus-20260203-0001.csv")).unwrap(), b"older");
    assert_eq!(fs::read(base.path().join("in/tilaus-20260203-0002.csv")).unwrap(), b"rivi;A\r\n");
}

#[tokio::test]
async fn a_folder_that_has_gone_is_an_error_that_may_pass() {
    let base = tempfile::tempdir().unwrap();
    let files = open(base.path());
    fs::remove_dir_all(base.path().join("in")).unwrap();
    let error = submit(&files, &message("A")).await.unwrap_err();
    assert_eq!((error.fault(), error.retryable()), (Fault::ProviderDown, true));
    fs::create_dir(base.path().join("in")).unwrap();
    submit(&files, &message("A")).await.unwrap();
    assert_eq!(visible(base.path()).len(), 1);
}

#[tokio::test]
async fn what_is_not_offered_is_not_done() {
    let base = tempfile::tempdir().unwrap();
    let files = open(base.path());
    let error = submit(&files, &delivery("CarePlan", Action::Create, "x")).await.unwrap_err();
    assert_eq!(error.fault(), Fault::MethodNotSupported);
    let error = soon(files.read(&super::read("Task", "1"), in_a_minute(&Clock::system()))).await.unwrap_err();
    assert_eq!(error.fault(), Fault::MethodNotSupported);
    assert!(visible(base.path()).is_empty());
}

#[test]
fn a_configuration_that_cannot_work_names_the_key() {
    let base = tempfile::tempdir().unwrap();
    let key = |name: &str| Files::new(config(name), base.path(), manual()).map(|_| ()).unwrap_err().key;
    assert_eq!(key("orders-{sequence}.csv"), "folder");
    fs::create_dir(base.path().join("in")).unwrap();
    for name in
        ["orders.csv", "{sequence}/x.csv", ".{sequence}", "{any}{sequence}", "{number}", "{sequence", "{sequence:99}"]
    {
        assert_eq!(key(name), "name", "{name}");
    }
    fs::write(base.path().join("in/.silta-sequence.json"), "not a note").unwrap();
    assert_eq!(key("orders-{sequence}.csv"), "folder");
}

#[test]
fn a_name_that_was_written_is_read_again_with_its_number() {
    let now = "2026-02-03T08:09:10Z".parse().unwrap();
    let parts = |sequence| Parts { sequence, now, resource_type: "Task", kind: "../tilaus" };
    for (pattern, name) in [
        ("orders-{sequence:6}.csv", "orders-000042.csv"),
        ("{date}{time}_{sequence}_{type}-{kind}.txt", "20260203080910_42_Task----tilaus.txt"),
        ("{date}{sequence:3}", "20260203042"),
    ] {
        let pattern = Pattern::parse(pattern).unwrap();
        assert_eq!(pattern.name(&parts(42)), name);
        assert_eq!(pattern.read(name), Some(Some(42)));
    }
    let collected = Pattern::parse("kaynnit-{any}.csv").unwrap();
    assert_eq!(collected.read("kaynnit-a.b.csv"), Some(None));
    for strange in ["kaynnit-a.txt", "muut.csv", "", "kaynnit-"] {
        assert_eq!(collected.read(strange), None, "{strange}");
    }
    let numbered = Pattern::parse("a{sequence:3}.csv").unwrap();
    assert_eq!((numbered.read("a1000.csv"), numbered.read("a12.csv")), (Some(Some(1000)), None));
}
