//! Any sequence of commits leaves the store as a simple model says.

use std::collections::BTreeMap;

use proptest::prelude::*;
use silta::store::{
    Commit, DedupKey, Deletion, Delivery, Event, Expect, Facet, IdentifierQuery, Mark, Occurred, OutboxId, Outcome,
    ResourceKey, Write,
};

use super::{Fixture, at, document, journal, message};

/// One step of a commit, in a world small enough that steps meet.
#[derive(Debug, Clone)]
enum Step {
    Put { id: u8, identifier: u8, by: i8 },
    Delete { id: u8, by: i8 },
    Expect { id: u8, version: Option<u64> },
    NoneExist { identifier: u8 },
    Message { lane: u8 },
    Send { nth: usize, to: Delivery },
    Event { key: u8, second: i64 },
    Receive { key: u8, body: u8 },
}

fn step() -> impl Strategy<Value = Step> {
    let by = prop_oneof![6 => Just(0_i8), 1 => Just(1), 1 => Just(-1)];
    let delivery = prop_oneof![
        Just(Delivery::InFlight),
        Just(Delivery::Done),
        Just(Delivery::Again { due: at(0), reason: "slow".into() }),
        Just(Delivery::Dead { reason: "bad".into() }),
        Just(Delivery::Replay { due: at(0) }),
    ];
    prop_oneof![
        4 => (0..3_u8, 0..3_u8, by.clone()).prop_map(|(id, identifier, by)| Step::Put { id, identifier, by }),
        1 => (0..3_u8, by).prop_map(|(id, by)| Step::Delete { id, by }),
        1 => (0..3_u8, proptest::option::of(1..4_u64)).prop_map(|(id, version)| Step::Expect { id, version }),
        1 => (0..3_u8).prop_map(|identifier| Step::NoneExist { identifier }),
        3 => (0..2_u8).prop_map(|lane| Step::Message { lane }),
        6 => (0..8_usize, delivery).prop_map(|(nth, to)| Step::Send { nth, to }),
        2 => (0..2_u8, 0..5_i64).prop_map(|(key, second)| Step::Event { key, second }),
        2 => (0..3_u8, 0..2_u8).prop_map(|(key, body)| Step::Receive { key, body }),
    ]
}

/// The model: plain maps, and rules in their plainest form.
#[derive(Debug, Clone, Default)]
struct Model {
    /// By id: versions in order; `None` is a deletion, else the identifier.
    resources: BTreeMap<u8, Vec<Option<u8>>>,
    /// Lane and state of every message, in order.
    messages: Vec<(u8, MessageState)>,
    events: BTreeMap<u8, i64>,
    accepted: BTreeMap<u8, u8>,
    journal: usize,
    /// Messages that were there before the commit: it can mark only those, its own have no number yet.
    known: usize,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum MessageState {
    Due,
    InFlight,
    Done,
    Dead,
}

#[derive(Debug, PartialEq)]
enum Expected {
    Made,
    Repeated,
    Refused,
}

impl Model {
    fn apply(&mut self, steps: &[Step]) -> Expected {
        let before = self.clone();
        self.known = self.messages.len();
        // What is expected is checked before anything is written.
        let (expected, written): (Vec<_>, Vec<_>) =
            steps.iter().partition(|step| matches!(step, Step::Expect { .. } | Step::NoneExist { .. }));
        for step in expected.into_iter().chain(written) {
            let outcome = self.step(step);
            if outcome != Expected::Made {
                *self = before;
                return outcome;
            }
        }
        Expected::Made
    }

    fn step(&mut self, step: &Step) -> Expected {
        let held = match step {
            Step::Put { id, identifier, by } => {
                let versions = self.resources.entry(*id).or_default();
                versions.push(Some(*identifier));
                *by == 0
            }
            Step::Delete { id, by } => {
                let versions = self.resources.entry(*id).or_default();
                let there = matches!(versions.last(), Some(Some(_)));
                versions.push(None);
                there && *by == 0
            }
            Step::Expect { id, version } => {
                let current = self.resources.get(id).map_or(0, Vec::len);
                version.unwrap_or(0) == u64::try_from(current).unwrap()
            }
            Step::NoneExist { identifier } => {
                !self.resources.values().any(|versions| versions.last() == Some(&Some(*identifier)))
            }
            Step::Message { lane } => {
                self.messages.push((*lane, MessageState::Due));
                true
            }
            Step::Send { nth, to } => self.send(*nth, to),
            Step::Event { key, second } => {
                let newest = self.events.entry(*key).or_insert(*second);
                let newer = *second >= *newest;
                *newest = *second;
                newer
            }
            Step::Receive { key, body } => match self.accepted.get(key) {
                Some(before) if before == body => return Expected::Repeated,
                Some(_) => false,
                None => {
                    self.accepted.insert(*key, *body);
                    self.journal += 1;
                    true
                }
            },
        };
        if held { Expected::Made } else { Expected::Refused }
    }

    fn send(&mut self, nth: usize, to: &Delivery) -> bool {
        let Some((lane, state)) = self.messages.get(nth).copied().filter(|_| nth < self.known) else { return false };
        let head = self.heads().contains(&nth);
        let next = match (to, state) {
            (Delivery::InFlight, _) if head => MessageState::InFlight,
            (Delivery::Replay { .. }, MessageState::Dead | MessageState::Done) => MessageState::Due,
            (Delivery::Done, _) if head || state == MessageState::InFlight => MessageState::Done,
            (Delivery::Again { .. }, _) if head || state == MessageState::InFlight => MessageState::Due,
            (Delivery::Dead { .. }, _) if head || state == MessageState::InFlight => MessageState::Dead,
            _ => return false,
        };
        self.messages[nth] = (lane, next);
        true
    }

    /// Of each lane with nothing in flight, the first that is due.
    fn heads(&self) -> Vec<usize> {
        let mut heads = BTreeMap::new();
        for (nth, (lane, state)) in self.messages.iter().enumerate() {
            if *state == MessageState::Due {
                heads.entry(*lane).or_insert(nth);
            }
        }
        heads.retain(|lane, _| !self.messages.contains(&(*lane, MessageState::InFlight)));
        let mut heads: Vec<_> = heads.into_values().collect();
        heads.sort_unstable();
        heads
    }
}

fn key(id: u8) -> ResourceKey {
    ResourceKey::new("ServiceRequest", format!("s{id}"))
}

fn identifier(number: u8) -> IdentifierQuery {
    IdentifierQuery { system: Some(Some("urn:x".into())), value: number.to_string() }
}

/// The commit that a sequence of steps is, given what the model knows before it. Names of messages are their places.
fn commit(steps: &[Step], model: &Model, ids: &[OutboxId], unique: usize) -> Commit {
    let mut commit = Commit::new();
    let mut versions: BTreeMap<u8, u64> =
        model.resources.iter().map(|(id, versions)| (*id, u64::try_from(versions.len()).unwrap())).collect();
    let mut next = |id: u8, by: i8| {
        let version = versions.entry(id).or_insert(0);
        *version += 1;
        version.saturating_add_signed(i64::from(by))
    };
    for (place, step) in steps.iter().enumerate() {
        match step {
            Step::Put { id, identifier, by } => commit.write(document(
                None,
                &key(*id),
                next(*id, *by),
                &format!("{id}:{identifier}"),
                vec![Facet::token("identifier", Some("urn:x"), identifier.to_string())],
            )),
            Step::Delete { id, by } => {
                commit.write(Write::Delete(Deletion { key: key(*id), version: next(*id, *by), updated: at(9) }));
            }
            Step::Expect { id, version } => commit.expect(Expect::Version { key: key(*id), version: *version }),
            Step::NoneExist { identifier: number } => commit
                .expect(Expect::NoneExist { resource_type: "ServiceRequest".into(), identifier: identifier(*number) }),
            Step::Message { lane } => {
                commit.write(message(&format!("lane{lane}"), None, &format!("{unique}-{place}"), 0));
            }
            Step::Send { nth, to } => {
                // What is not there yet has a number that nothing has.
                let message = ids.get(*nth).copied().unwrap_or(OutboxId::from_number(1_000_000));
                commit.write(Write::Mark(Mark { message, to: to.clone() }));
            }
            Step::Event { key, second } => commit.write(Write::Event(Event {
                provider: "hospital".into(),
                key: key.to_string(),
                occurred: Occurred { time: at(*second), sequence: 0 },
            })),
            Step::Receive { key, body } => {
                let mut entry = journal(&body.to_string());
                entry.dedup = Some(DedupKey::of([key.to_string().as_str()]));
                commit.journal(entry);
            }
        }
    }
    commit
}

/// What the store says, in the model's terms.
fn compare(fixture: &Fixture, runtime: &tokio::runtime::Runtime, model: &Model, ids: &[OutboxId]) {
    let (expected, ids) = (model.clone(), ids.to_vec());
    let check = fixture.store.read(move |view| {
        for id in 0..3 {
            let mut versions = view.history(&key(id), None, 100)?;
            versions.reverse();
            let found: Vec<_> = versions
                .iter()
                .map(|version| {
                    let text = std::str::from_utf8(&version.content).unwrap();
                    (!version.deleted).then(|| text.split_once(':').unwrap().1.parse::<u8>().unwrap())
                })
                .collect();
            assert_eq!(found, expected.resources.get(&id).cloned().unwrap_or_default());
            let current = view.resource(&key(id), None)?.filter(|current| !current.deleted);
            assert_eq!(view.member(&key(id))?.map(|member| member.resource), current);
        }
        for number in 0..3 {
            let bearers: Vec<_> = expected
                .resources
                .iter()
                .filter(|(_, versions)| versions.last() == Some(&Some(number)))
                .map(|(id, _)| format!("s{id}"))
                .collect();
            assert_eq!(view.identified("ServiceRequest", &identifier(number))?, bearers);
        }
        let current = expected.resources.values().filter(|versions| matches!(versions.last(), Some(Some(_)))).count();
        assert_eq!(view.members(None, &[])?.len(), current);
        let mut due: Vec<_> = view.due(at(0), 100)?.into_iter().map(|message| message.id).collect();
        due.sort_unstable();
        assert_eq!(due, expected.heads().into_iter().map(|nth| ids[nth]).collect::<Vec<_>>());
        for (event, second) in &expected.events {
            assert_eq!(view.newest_event("hospital", &event.to_string())?.unwrap().time, at(*second));
        }
        assert_eq!(view.journal_after(silta::store::JournalSeq::from_number(0), 1000)?.len(), expected.journal);
        Ok(())
    });
    runtime.block_on(check).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]
    #[test]
    fn any_sequence_of_commits_does_what_the_model_does(
        commits in proptest::collection::vec(proptest::collection::vec(step(), 1..4), 1..30)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let fixture = Fixture::new();
        let (mut model, mut ids) = (Model::default(), Vec::new());
        for (unique, steps) in commits.iter().enumerate() {
            let commit = commit(steps, &model, &ids, unique);
            let expected = model.apply(steps);
            let outcome = runtime.block_on(fixture.store.commit(commit));
            match (outcome, expected) {
                (Ok(Outcome::Committed(receipt)), Expected::Made) => ids.extend(receipt.outbox),
                (Ok(Outcome::Repeated(_)), Expected::Repeated) | (Err(_), Expected::Refused) => {}
                (outcome, expected) => prop_assert!(false, "{expected:?}, but {outcome:?}, at commit {unique}"),
            }
        }
        compare(&fixture, &runtime, &model, &ids);
        let fixture = runtime.block_on(fixture.reopened());
        for (_, state) in &mut model.messages {
            if *state == MessageState::InFlight {
                *state = MessageState::Due;
            }
        }
        compare(&fixture, &runtime, &model, &ids);
    }
}
