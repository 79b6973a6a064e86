//! Persons: who is who, across providers.

use silta::store::{Commit, Expect, Ref, ResourceKey, StoreError, Write};

use super::{Fixture, at, document, identifier, message, one, patient};

const HETU: &str = "urn:oid:1.2.246.21";

fn known_by(evidence: impl IntoIterator<Item = silta::store::Evidence>) -> Commit {
    let mut commit = Commit::new();
    commit.person(evidence);
    commit
}

#[tokio::test]
async fn a_person_is_known_by_any_of_what_was_said_before() {
    let fixture = Fixture::new();
    let first = fixture.made(known_by([patient("hospital", "1"), identifier(HETU, "A")])).await.persons[0];
    assert_eq!(fixture.made(known_by([identifier(HETU, "A"), patient("county", "x")])).await.persons[0], first);
    assert_eq!(fixture.made(known_by([patient("county", "x")])).await.persons[0], first);
    assert_ne!(fixture.made(known_by([patient("county", "y")])).await.persons[0], first);
    let (found, patients) = fixture
        .store
        .read(move |view| Ok((view.person(&identifier(HETU, "A"))?, view.patients(first)?)))
        .await
        .unwrap();
    assert_eq!(found, Some(first));
    assert_eq!(patients, [("county".into(), "x".into()), ("hospital".into(), "1".into())]);
}

#[tokio::test]
async fn two_persons_proven_to_be_one_become_one_with_all_that_is_theirs() {
    let fixture = Fixture::new();
    let hospital = fixture.made(known_by([patient("hospital", "1"), identifier(HETU, "A")])).await.persons[0];
    let county = fixture.made(known_by([patient("county", "x")])).await.persons[0];
    for (person, id) in [(hospital, "a"), (county, "b")] {
        let key = ResourceKey::new("CarePlan", id);
        fixture.made(one(document(Some(Ref::Known(person)), &key, 1, "{}", vec![]))).await;
    }
    fixture.made(one(message("home-care", Some(county), "m1", 0))).await;
    fixture.made(one(message("home-care", Some(hospital), "m2", 0))).await;

    let receipt = fixture.made(known_by([patient("county", "x"), identifier(HETU, "A")])).await;
    assert_eq!((receipt.persons[0], receipt.merged.as_slice()), (hospital, &[(county, hospital)][..]));
    // The old number still stands for the person, in reads and in writes.
    let (plans, patients, due) = fixture
        .store
        .read(move |view| {
            Ok((view.members(Some(county), &["CarePlan"])?, view.patients(county)?.len(), view.due(at(1), 10)?))
        })
        .await
        .unwrap();
    assert_eq!(plans.len(), 2);
    assert!(plans.iter().all(|plan| plan.resource.person == Some(hospital)));
    assert_eq!(patients, 2);
    // One lane now: the messages go one after the other.
    assert_eq!(due.iter().map(|message| message.message.as_str()).collect::<Vec<_>>(), ["m1"]);
    let plan = ResourceKey::new("CarePlan", "b");
    fixture.made(one(document(Some(Ref::Known(county)), &plan, 2, "new", vec![]))).await;
    let plans = fixture.store.read(move |view| view.members(Some(hospital), &[])).await.unwrap();
    assert_eq!(plans.len(), 2);
    assert_eq!(plans[1].resource.content, "new");
}

#[tokio::test]
async fn persons_who_contradict_each_other_are_never_made_one_by_a_message() {
    let fixture = Fixture::new();
    let a = fixture.made(known_by([patient("hospital", "1"), identifier(HETU, "A")])).await.persons[0];
    let b = fixture.made(known_by([patient("county", "x"), identifier(HETU, "B")])).await.persons[0];
    for contradiction in [
        // Two persons who have different identity codes.
        vec![patient("hospital", "1"), patient("county", "x")],
        // A known patient with another code.
        vec![patient("hospital", "1"), identifier(HETU, "B")],
        vec![patient("hospital", "1"), identifier(HETU, "C")],
        // A message with two codes.
        vec![patient("new", "9"), identifier(HETU, "D"), identifier(HETU, "E")],
    ] {
        let error = fixture.refused(known_by(contradiction)).await;
        assert!(matches!(error, StoreError::PersonsDiffer), "{error:?}");
    }
    assert_eq!(fixture.store.read(|view| view.person(&patient("new", "9"))).await.unwrap(), None);
    // A human may decide that they are one; afterwards either code is theirs.
    fixture.made(one(Write::Merge { one: Ref::Known(b), other: Ref::Known(a) })).await;
    for evidence in [identifier(HETU, "A"), identifier(HETU, "B")] {
        assert_eq!(fixture.made(known_by([evidence, patient("hospital", "1")])).await.persons[0], a);
    }
    let error = fixture.refused(known_by([patient("hospital", "1"), identifier(HETU, "C")])).await;
    assert!(matches!(error, StoreError::PersonsDiffer));
}

#[tokio::test]
async fn a_commit_can_expect_who_a_person_is() {
    let fixture = Fixture::new();
    let expect = |person| Commit {
        expect: vec![Expect::Person { evidence: patient("hospital", "1"), person }],
        write: vec![Write::Person(vec![patient("hospital", "1")])],
    };
    let person = fixture.made(expect(None)).await.persons[0];
    assert!(matches!(fixture.refused(expect(None)).await, StoreError::PersonsDiffer));
    fixture.made(expect(Some(person))).await;
}

#[tokio::test]
async fn a_resource_can_go_over_to_another_person() {
    let fixture = Fixture::new();
    let (one_person, other) = (fixture.person("1").await, fixture.person("2").await);
    let key = ResourceKey::new("Task", "t");
    fixture.made(one(document(Some(one_person.into()), &key, 1, "{}", vec![]))).await;
    fixture.made(one(document(Some(other.into()), &key, 2, "{}", vec![]))).await;
    let counts = fixture
        .store
        .read(move |view| Ok((view.members(Some(one_person), &[])?.len(), view.members(Some(other), &[])?.len())))
        .await
        .unwrap();
    assert_eq!(counts, (0, 1));
}
