//! The store: what is committed, what is refused, what survives.

mod audit;
mod commits;
mod crash;
mod disk;
mod full_disk;
mod model;
mod outbox;
mod persons;

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use silta::clock::Clock;
use silta::store::{
    AuditTarget, Commit, Config, Direction, Disposition, Evidence, Facet, Faults, NewAudit, NewDocument, NewJournal,
    NewMember, NewMessage, NoFaults, Outcome, PersonId, Receipt, Ref, ResourceKey, Store, StoreError, Write,
};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn config(folder: &Path) -> Config {
    Config { folder: folder.join("store"), audit_reserve_bytes: 64 << 10, readers: 2, ..Config::default() }
}

fn random(bytes: &mut [u8]) -> std::io::Result<()> {
    bytes.fill(7);
    Ok(())
}

fn open_with(config: Config, clock: &Clock, faults: Arc<dyn Faults>) -> Result<Store, StoreError> {
    Store::open(config, clock.clone(), &random, faults)
}

/// A store in a folder of its own, on a clock that stands at second 0.
struct Fixture {
    store: Store,
    clock: Clock,
    folder: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        Self::with(Arc::new(NoFaults), |_| {})
    }

    fn with(faults: Arc<dyn Faults>, adjust: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::manual(at(0));
        let mut config = config(folder.path());
        adjust(&mut config);
        let store = open_with(config, &clock, faults).unwrap();
        Self { store, clock, folder }
    }

    /// Ends the store and opens it again.
    async fn reopened(self) -> Self {
        self.store.close().await;
        drop(self.store);
        let store = open_with(config(self.folder.path()), &self.clock, Arc::new(NoFaults)).unwrap();
        Self { store, ..self }
    }

    async fn made(&self, commit: Commit) -> Receipt {
        made(&self.store, commit).await
    }

    async fn refused(&self, commit: Commit) -> StoreError {
        self.store.commit(commit).await.expect_err("the commit should have been refused")
    }

    async fn person(&self, native: &str) -> PersonId {
        let mut commit = Commit::new();
        commit.person([patient("hospital", native)]);
        self.made(commit).await.persons[0]
    }
}

async fn made(store: &Store, commit: Commit) -> Receipt {
    match store.commit(commit).await {
        Ok(Outcome::Committed(receipt)) => receipt,
        other => panic!("the commit should have been made, but: {other:?}"),
    }
}

fn patient(provider: &str, native: &str) -> Evidence {
    Evidence::Patient { provider: provider.into(), native: native.into() }
}

fn identifier(system: &str, value: &str) -> Evidence {
    Evidence::Identifier { system: system.into(), value: value.into() }
}

fn journal(body: &str) -> NewJournal {
    NewJournal {
        received: at(0),
        provider: "hospital".into(),
        direction: Direction::Inbound,
        media: "application/hl7-v2+er7".into(),
        control: "MSG1".into(),
        dedup: None,
        body: body.to_owned().into(),
        disposition: Disposition::Accepted,
        acknowledgement: Some("MSA|AA".into()),
    }
}

/// A document of one resource.
fn document(person: Option<Ref<PersonId>>, key: &ResourceKey, version: u64, body: &str, facets: Vec<Facet>) -> Write {
    Write::Document(NewDocument {
        body: body.to_owned().into(),
        journal: None,
        members: vec![NewMember {
            key: key.clone(),
            person,
            span: (0, body.len()),
            version,
            updated: at(i64::try_from(version).unwrap()),
            provider: Some("hospital".into()),
            facets,
        }],
    })
}

fn message(provider: &str, person: Option<PersonId>, name: &str, due: i64) -> Write {
    Write::Message(NewMessage {
        provider: provider.into(),
        person: person.map(Ref::Known),
        message: name.into(),
        due: at(due),
        kind: "task".into(),
        payload: "payload".into(),
        journal: None,
    })
}

fn audit_row(request: &str) -> Write {
    Write::Audit(NewAudit {
        time: at(0),
        who: "case-manager".into(),
        interaction: "read".into(),
        target: AuditTarget::Resource(ResourceKey::new("Task", "hospital.1")),
        person: None,
        providers: vec!["hospital".into(), "county".into()],
        outcome: "success".into(),
        request: request.into(),
    })
}

fn one(write: Write) -> Commit {
    Commit { expect: Vec::new(), write: vec![write] }
}
