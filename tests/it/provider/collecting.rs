//! Files collected from a provider.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use silta::clock::Clock;
use silta::exchange::files::{CollectedFile, Collector, Config, Cut, Handler, Metrics, Running, UnreadFile, Verdict};
use silta::provider::BoxFuture;
use tokio::sync::Notify;

use crate::support::time::{manual, soon, until};

/// Says what it was told to say, then that everything is taken.
#[derive(Default)]
struct Clerk {
    verdicts: Mutex<VecDeque<Verdict>>,
    seen: Mutex<Vec<CollectedFile>>,
    unread: Mutex<Vec<UnreadFile>>,
    gate: Option<Notify>,
}

impl Handler for Clerk {
    fn handle<'a>(&'a self, file: &'a CollectedFile) -> BoxFuture<'a, Verdict> {
        Box::pin(async move {
            self.seen.lock().unwrap().push(file.clone());
            if let Some(gate) = &self.gate {
                gate.notified().await;
            }
            assert!(file.bytes.as_ref() != b"panic", "the handler fails");
            self.verdicts.lock().unwrap().pop_front().unwrap_or(Verdict::Taken)
        })
    }

    fn unread<'a>(&'a self, file: &'a UnreadFile) -> BoxFuture<'a, bool> {
        self.unread.lock().unwrap().push(file.clone());
        // The first time it cannot be told to anybody.
        let is_told = self.unread.lock().unwrap().len() > 1;
        Box::pin(std::future::ready(is_told))
    }
}

impl Clerk {
    fn saying(verdicts: impl Into<VecDeque<Verdict>>) -> Arc<Self> {
        Arc::new(Self { verdicts: Mutex::new(verdicts.into()), ..Self::default() })
    }

    fn names(&self) -> Vec<String> {
        self.seen.lock().unwrap().iter().map(|file| file.name.clone()).collect()
    }
}

struct Office {
    base: tempfile::TempDir,
    clock: Clock,
    registry: prometheus::Registry,
}

impl Office {
    fn new(files: &[(&str, &str)]) -> Self {
        let base = tempfile::tempdir().unwrap();
        fs::create_dir(base.path().join("in")).unwrap();
        let office = Self { base, clock: manual(), registry: prometheus::Registry::new() };
        for (name, text) in files {
            office.leave(name, text);
        }
        office
    }

    fn leave(&self, name: &str, text: &str) {
        let hidden = self.base.path().join("in/.being-written");
        fs::write(&hidden, text).unwrap();
        fs::rename(hidden, self.base.path().join("in").join(name)).unwrap();
    }

    fn open(&self, rest: &str, clerk: &Arc<Clerk>) -> Running {
        let config: Config = toml::from_str(&format!("provider = 'home-care'\nfolder = 'in'\n{rest}")).unwrap();
        let metrics = Metrics::register(&self.registry).unwrap();
        let collector = Collector::open(config, self.base.path(), self.clock.clone(), &metrics).unwrap();
        collector.start(Arc::clone(clerk) as Arc<dyn Handler>)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.base.path().join("in").join(name)
    }

    fn holds(&self, name: &str, text: &str) -> bool {
        fs::read_to_string(self.path(name)).is_ok_and(|found| found == text)
    }

    async fn until_there(&self, name: &str) {
        until(name, || self.path(name).exists()).await;
    }
}

fn list(path: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn files_are_taken_in_the_order_of_their_numbers_and_moved_to_done() {
    let office = Office::new(&[("k-10.csv", "ten"), ("k-9.csv", "nine"), ("k-11.csv", "eleven")]);
    let clerk = Clerk::saying([]);
    let _running = office.open("name = 'k-{sequence}.csv'", &clerk);
    office.until_there("done/k-11.csv").await;
    let seen: Vec<(Option<u64>, Vec<u8>)> =
        clerk.seen.lock().unwrap().iter().map(|file| (file.sequence, file.bytes.to_vec())).collect();
    assert_eq!(seen, [(Some(9), b"nine".to_vec()), (Some(10), b"ten".to_vec()), (Some(11), b"eleven".to_vec())]);
    assert_eq!(list(&office.path("done")), ["k-10.csv", "k-11.csv", "k-9.csv"]);
    assert!(office.holds("done/k-9.csv", "nine"));
}

#[tokio::test]
async fn a_new_file_is_noticed_without_waiting_for_the_next_look() {
    let office = Office::new(&[]);
    let clerk = Clerk::saying([]);
    let _running = office.open("name = '{any}.csv'", &clerk);
    until("the collector waits", || office.clock.sleepers() == 1).await;
    office.leave("a.csv", "text");
    office.until_there("done/a.csv").await;
}

#[tokio::test]
async fn unfinished_hidden_and_strange_files_and_links_are_left_alone() {
    let office = Office::new(&[("a.csv", "text")]);
    for name in [".hidden.csv", "b.csv.part", "c.csv.tmp", "d.csv~", "e.CSV.FILEPART", "readme.txt"] {
        fs::write(office.path(name), "x").unwrap();
    }
    fs::create_dir(office.path("folder.csv")).unwrap();
    std::os::unix::fs::symlink("/etc/hostname", office.path("link.csv")).unwrap();
    let clerk = Clerk::saying([]);
    let running = office.open("name = '{any}'", &clerk);
    office.until_there("done/readme.txt").await;
    until("the collector waits", || office.clock.sleepers() == 1).await;
    assert_eq!(clerk.names().len(), 2);
    assert!(
        office.path("b.csv.part").exists() && office.path("link.csv").exists() && office.path(".hidden.csv").exists()
    );
    drop(running);

    let strict = Office::new(&[("a.csv", "text"), ("readme.txt", "x")]);
    let clerk = Clerk::saying([]);
    let _running = strict.open("name = '{any}.csv'", &clerk);
    strict.until_there("done/a.csv").await;
    until("the strange one is counted", || {
        let families = strict.registry.gather();
        let strange = families.iter().find(|family| family.name() == "silta_files_strange");
        strange.is_some_and(|family| family.get_metric()[0].get_gauge().get_value() == 1.0)
    })
    .await;
    assert!(strict.path("readme.txt").exists());
}

#[tokio::test]
async fn a_refused_file_is_set_aside_with_an_error_file_beside_it() {
    let office = Office::new(&[("1.csv", "bad"), ("2.csv", "good")]);
    let clerk = Clerk::saying([Verdict::Refused { errors: "row 1/hetu: expected …\n".to_owned() }]);
    let _running = office.open("name = '{sequence}.csv'", &clerk);
    office.until_there("done/2.csv").await;
    assert!(office.holds("set-aside/1.csv", "bad"));
    assert!(office.holds("set-aside/1.csv.error.txt", "row 1/hetu: expected …\n"));
    assert!(!office.path("done/1.csv").exists());
}

#[tokio::test]
async fn of_a_file_taken_in_part_the_rest_is_set_aside_and_the_whole_is_done() {
    let office = Office::new(&[("1.csv", "good\nbad\n")]);
    let part = Verdict::TakenInPart { rejected: "bad\n".into(), errors: "row 2\n".to_owned() };
    let clerk = Clerk::saying([part]);
    let _running = office.open("name = '{sequence}.csv'", &clerk);
    office.until_there("done/1.csv").await;
    assert!(office.holds("done/1.csv", "good\nbad\n"));
    assert!(office.holds("set-aside/1.csv", "bad\n") && office.holds("set-aside/1.csv.error.txt", "row 2\n"));
}

#[tokio::test]
async fn a_name_that_comes_again_overwrites_nothing() {
    let office = Office::new(&[("a.csv", "first")]);
    let clerk = Clerk::saying([]);
    let _running = office.open("name = '{any}.csv'", &clerk);
    office.until_there("done/a.csv").await;
    office.leave("a.csv", "second");
    office.until_there("done/a.csv.2").await;
    assert!(office.holds("done/a.csv", "first") && office.holds("done/a.csv.2", "second"));
}

#[tokio::test]
async fn a_file_that_cannot_be_taken_now_holds_those_behind_it_and_is_tried_again() {
    let office = Office::new(&[("1.csv", "one"), ("2.csv", "two")]);
    let clerk = Clerk::saying([Verdict::Later]);
    let _running = office.open("name = '{sequence}.csv'\nretry = '10s'", &clerk);
    until("it was handed over and waits", || clerk.names().len() == 1 && office.clock.sleepers() == 1).await;
    assert!(office.path("1.csv").exists());
    office.leave("0.txt", "a change in the folder does not shorten the wait");
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
    assert_eq!(clerk.names(), ["1.csv"]);
    office.clock.advance(Duration::from_secs(10));
    office.until_there("done/2.csv").await;
    assert_eq!(clerk.names(), ["1.csv", "1.csv", "2.csv"]);
}

#[tokio::test]
async fn a_handler_that_fails_badly_leaves_the_file_where_it_is() {
    let office = Office::new(&[("1.csv", "panic")]);
    let clerk = Clerk::saying([]);
    let _running = office.open("name = '{sequence}.csv'", &clerk);
    until("the collector waits", || clerk.names().len() == 1 && office.clock.sleepers() == 1).await;
    assert!(office.path("1.csv").exists());
    fs::write(office.path("1.csv"), "mended").unwrap();
    office.clock.advance(Duration::from_secs(10));
    office.until_there("done/1.csv").await;
}

#[tokio::test]
async fn a_growing_file_is_taken_when_it_has_stopped_growing() {
    let office = Office::new(&[]);
    let clerk = Clerk::saying([]);
    let _running = office.open("name = '{any}.csv'\ncomplete = 'stable'\nstable = '5s'\npoll = '1s'", &clerk);
    until("the collector waits", || office.clock.sleepers() == 1).await;
    fs::write(office.path("a.csv"), "half").unwrap();
    let step = async |seconds: u64| {
        until("the collector waits", || office.clock.sleepers() >= 1).await;
        office.clock.advance(Duration::from_secs(seconds));
        for _ in 0..500 {
            tokio::task::yield_now().await;
        }
    };
    for _ in 0..4 {
        step(1).await;
    }
    fs::write(office.path("a.csv"), "half and half").unwrap();
    for _ in 0..4 {
        step(1).await;
    }
    assert!(clerk.names().is_empty());
    for _ in 0..8 {
        step(1).await;
    }
    office.until_there("done/a.csv").await;
    assert!(office.holds("done/a.csv", "half and half"));
}

#[tokio::test]
async fn a_file_over_the_limit_is_set_aside_unread_once_it_was_told() {
    let office = Office::new(&[("1.csv", "12345"), ("2.csv", "1234")]);
    let clerk = Clerk::saying([]);
    let _running = office.open("name = '{sequence}.csv'\nfile_limit = 4", &clerk);
    until("it waits, since nobody could be told", || {
        office.clock.sleepers() > 0 && clerk.unread.lock().unwrap().len() == 1
    })
    .await;
    assert!(office.path("1.csv").exists());
    office.clock.advance(Duration::from_secs(10));
    office.until_there("done/2.csv").await;
    let told = clerk.unread.lock().unwrap().last().cloned().unwrap();
    assert_eq!((told.sequence, told.size, told.limit), (Some(1), 5, 4));
    assert!(office.holds("set-aside/1.csv", "12345") && office.path("set-aside/1.csv.error.txt").exists());
    assert_eq!(clerk.names(), ["2.csv"]);
}

#[tokio::test]
async fn draining_finishes_the_file_at_hand_and_a_late_drain_leaves_it_for_the_next_start() {
    let office = Office::new(&[("1.csv", "one"), ("2.csv", "two")]);
    let clerk = Arc::new(Clerk { gate: Some(Notify::new()), ..Clerk::default() });
    let running = office.open("name = '{sequence}.csv'", &clerk);
    until("the first is at hand", || clerk.names().len() == 1).await;
    let drained = tokio::spawn(running.drain(office.clock.instant().after(Duration::from_secs(30))));
    until("the drain waits", || office.clock.sleepers() == 1).await;
    clerk.gate.as_ref().unwrap().notify_one();
    assert_eq!(soon(drained).await.unwrap(), Ok(()));
    assert!(office.path("done/1.csv").exists() && office.path("2.csv").exists());

    let again = Office { registry: prometheus::Registry::new(), ..office };
    let running = again.open("name = '{sequence}.csv'", &clerk);
    until("the second is at hand", || clerk.names().len() == 2).await;
    let drained = tokio::spawn(running.drain(again.clock.instant().after(Duration::from_secs(30))));
    until("the drain waits", || again.clock.sleepers() == 1).await;
    again.clock.advance(Duration::from_secs(30));
    assert_eq!(soon(drained).await.unwrap(), Err(Cut));
    assert!(again.path("2.csv").exists());
}

#[test]
fn a_configuration_that_cannot_work_names_the_key() {
    let base = tempfile::tempdir().unwrap();
    let open = |rest: &str| {
        let config: Config = toml::from_str(&format!("provider = 'p'\n{rest}")).unwrap();
        let metrics = Metrics::register(&prometheus::Registry::new()).unwrap();
        Collector::open(config, base.path(), manual(), &metrics).map(|_| ()).map_err(|error| error.key)
    };
    assert_eq!(open("folder = 'none'\nname = '{any}'"), Err("folder".to_owned()));
    fs::create_dir(base.path().join("in")).unwrap();
    assert_eq!(open("folder = 'in'\nname = '{what}'"), Err("name".to_owned()));
    assert_eq!(open("folder = 'in'\nname = '{any}'\ndone = 'in'"), Err("done".to_owned()));
    assert_eq!(open("folder = 'in'\nname = '{any}'"), Ok(()));
}
