//! Commits a second with fifty callers, each waiting for its answer before it goes on, and reads a second beside them.
//!
//! `cargo bench --bench store [-- FOLDER]`: the folder decides which disk is measured. A virtual disk may sync in no time, so
//! each run is also made with 2 and 20 ms added to every commit of a group.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a measurement that cannot go on says so by panicking, and prints what it saw"
)]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use silta::clock::Clock;
use silta::store::{
    AuditTarget, Commit, Config, DedupKey, Direction, DiskFailure, Disposition, Event, Evidence, Facet, Faults,
    NewAudit, NewDocument, NewJournal, NewMember, NewMessage, Occurred, Outcome, ResourceKey, Store, Write,
};

const CALLERS: usize = 50;

struct Slow(Duration);

impl Faults for Slow {
    fn at_commit(&self) -> Result<(), DiskFailure> {
        if !self.0.is_zero() {
            #[expect(
                clippy::disallowed_methods,
                reason = "a slow disk is slow in real time, on the writer's own thread"
            )]
            std::thread::sleep(self.0);
        }
        Ok(())
    }
}

/// An audit row: the commit of a read.
fn small(clock: &Clock, name: &str) -> Commit {
    let mut commit = Commit::new();
    commit.write(audit(clock, name));
    commit
}

fn audit(clock: &Clock, name: &str) -> Write {
    Write::Audit(NewAudit {
        time: clock.now(),
        who: "case-manager".into(),
        interaction: "message".into(),
        target: AuditTarget::Resource(ResourceKey::new("Task", name)),
        person: None,
        providers: vec!["hospital".into()],
        outcome: "success".into(),
        request: name.into(),
    })
}

/// A referral message of 5 kB with all that follows from it: journal, dedup, person, order guard, four resources with
/// facets and identifiers, a message to the recipient, an audit row.
fn message(clock: &Clock, name: &str) -> Commit {
    let now = clock.now();
    let mut commit = Commit::new();
    let journal = commit.journal(NewJournal {
        received: now,
        provider: "hospital".into(),
        direction: Direction::Inbound,
        media: "application/hl7-v2+er7".into(),
        control: name.into(),
        dedup: Some(DedupKey::of(["hospital", "APP", "FAC", name])),
        body: vec![b'x'; 5000].into(),
        disposition: Disposition::Accepted,
        acknowledgement: Some(vec![b'a'; 200].into()),
    });
    let person = commit.person([
        Evidence::Identifier { system: "urn:oid:1.2.246.21".into(), value: name.into() },
        Evidence::Patient { provider: "hospital".into(), native: name.into() },
    ]);
    commit.write(Write::Event(Event {
        provider: "hospital".into(),
        key: name.into(),
        occurred: Occurred { time: now, sequence: 0 },
    }));
    let text = "y".repeat(1500);
    let member = |place: usize, kind: &str, facets| NewMember {
        key: ResourceKey::new(kind, format!("hospital.{name}")),
        person: Some(person),
        span: (place * text.len(), text.len()),
        version: 1,
        updated: now,
        provider: Some("hospital".into()),
        facets,
    };
    let identifier = || Facet::token("identifier", Some("urn:oid:1.2.3"), name);
    let status = || Facet::token("status", Some("http://hl7.org/fhir/task-status"), "requested");
    let task = vec![
        identifier(),
        status(),
        Facet::reference("owner", "Organization/county"),
        Facet::reference("requester", "Organization/hospital"),
        Facet::reference("patient", format!("Patient/hospital.{name}")),
    ];
    let members = vec![
        member(0, "Patient", vec![identifier()]),
        member(1, "ServiceRequest", vec![identifier(), status()]),
        member(2, "Task", task),
        member(3, "Encounter", vec![identifier()]),
    ];
    commit.write(Write::Document(NewDocument { body: text.repeat(4).into(), journal: Some(journal), members }));
    commit.write(Write::Message(NewMessage {
        provider: "county".into(),
        person: Some(person),
        message: name.into(),
        due: now,
        kind: "task".into(),
        payload: format!("Task/hospital.{name}").into(),
        journal: Some(journal),
    }));
    commit.write(audit(clock, name));
    commit
}

/// User and system time of this process so far, in microseconds.
fn cpu_micros() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    // Clock ticks of 10 ms.
    (fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()) * 10_000
}

async fn measure(folder: &Path, what: &str, make: fn(&Clock, &str) -> Commit, delay_millis: u64, each: usize) {
    let folder = tempfile::tempdir_in(folder).unwrap();
    let clock = Clock::system();
    let config = Config { folder: folder.path().join("store"), ..Config::default() };
    let random = |bytes: &mut [u8]| {
        bytes.fill(1);
        Ok(())
    };
    let faults = Arc::new(Slow(Duration::from_millis(delay_millis)));
    let store = Store::open(config, clock.clone(), &random, faults).unwrap();
    let (started, cpu) = (clock.instant(), cpu_micros());
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let (store, clock) = (store.clone(), clock.clone());
            tokio::spawn(async move {
                let mut waits = Vec::with_capacity(each);
                for number in 0..each {
                    let commit = make(&clock, &format!("{caller}-{number}"));
                    let asked = clock.instant();
                    assert!(matches!(store.commit(commit).await, Ok(Outcome::Committed(_))));
                    waits.push(clock.instant().since(asked));
                }
                waits
            })
        })
        .collect();
    let mut waits = Vec::new();
    for caller in callers {
        waits.extend(caller.await.unwrap());
    }
    let (took, cpu) = (clock.instant().since(started), cpu_micros() - cpu);
    waits.sort();
    let stats = store.stats().await.unwrap();
    let count = u64::try_from(waits.len()).unwrap();
    println!(
        "{what:8} +{delay_millis:2} ms  {:7} commits/s  {:4} µs CPU each  {:5.1} a group  wait p50 {:6} µs p99 {:6} µs  log {} MiB, {} restarts",
        u128::from(count) * 1_000_000 / took.as_micros(),
        cpu / count,
        f64::from(u32::try_from(count).unwrap()) / f64::from(u32::try_from(stats.groups).unwrap()),
        waits[waits.len() / 2].as_micros(),
        waits[waits.len() * 99 / 100].as_micros(),
        stats.wal_bytes >> 20,
        stats.wal_restarts,
    );
    if delay_millis == 0 {
        reads(&store, &clock, what).await;
    }
    store.close().await;
}

async fn reads(store: &Store, clock: &Clock, what: &str) {
    if what != "message" {
        return;
    }
    let started = clock.instant();
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let store = store.clone();
            tokio::spawn(async move {
                for number in 0..400 {
                    let key = ResourceKey::new("Task", format!("hospital.{caller}-{number}"));
                    let members = store
                        .read(move |view| {
                            let person = view.resource(&key, None)?.and_then(|task| task.person);
                            view.members(person, &[])
                        })
                        .await
                        .unwrap();
                    assert_eq!(members.len(), 4);
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    let took = clock.instant().since(started);
    println!("read a task, then all of its person: {} a second", 20_000_000_000 / took.as_micros());
}

fn main() {
    let folder = std::env::args().nth(1).filter(|argument| !argument.starts_with('-'));
    let folder = folder.map_or_else(std::env::temp_dir, Into::into);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    for (delay, each) in [(0, 1000), (2, 400), (20, 50)] {
        runtime.block_on(measure(&folder, "audit", small, delay, each * 4));
        runtime.block_on(measure(&folder, "message", message, delay, each));
    }
}
