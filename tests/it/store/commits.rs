//! Commits: all or nothing, what they expect, messages that come again, versions and finding.

use silta::store::{
    Commit, DedupKey, Deletion, Disposition, Event, Expect, Facet, IdentifierQuery, NativeId, NativeKey, NewDocument,
    NewMember, NewNotice, NewOriginal, NoticeEnd, NoticeId, Occurred, Outcome, Ref, ResourceKey, Role, Seen,
    StoreError, Write,
};

use super::{Fixture, at, audit_row, document, journal, message, one, patient};

fn task(id: &str) -> ResourceKey {
    ResourceKey::new("Task", id)
}

fn query(system: Option<Option<&str>>, value: &str) -> IdentifierQuery {
    IdentifierQuery { system: system.map(|system| system.map(str::to_owned)), value: value.into() }
}

#[tokio::test]
async fn an_inbound_message_is_committed_with_everything_that_follows_from_it() {
    let fixture = Fixture::new();
    let mut commit = Commit::new();
    let entry = commit.journal(journal("MSH|^~\\&|"));
    let person = commit.person([patient("hospital", "123")]);
    let body = r#"[{"resourceType":"Task","id":"a"},{"resourceType":"Patient","id":"b"}]"#;
    let member = |kind: &str, id: &str, text: &str| NewMember {
        key: ResourceKey::new(kind, id),
        person: Some(person),
        span: (body.find(text).unwrap(), text.len()),
        version: 1,
        updated: at(1),
        provider: Some("hospital".into()),
        facets: vec![Facet::token("status", None, "requested")],
    };
    commit.write(Write::Document(NewDocument {
        body: body.into(),
        journal: Some(entry),
        members: vec![
            member("Task", "a", r#"{"resourceType":"Task","id":"a"}"#),
            member("Patient", "b", r#"{"resourceType":"Patient","id":"b"}"#),
        ],
    }));
    commit.write(audit_row("r1"));
    let receipt = fixture.made(commit).await;

    let person = receipt.persons[0];
    let fixture = fixture.reopened().await;
    let (entry, members) = fixture
        .store
        .read(move |view| Ok((view.journal(receipt.journal[0])?.unwrap(), view.members(Some(person), &[])?)))
        .await
        .unwrap();
    assert_eq!(entry.body, "MSH|^~\\&|");
    assert_eq!(entry.acknowledgement.as_deref(), Some(&b"MSA|AA"[..]));
    let texts: Vec<_> = members.iter().map(|member| std::str::from_utf8(&member.resource.content).unwrap()).collect();
    assert_eq!(texts, [r#"{"resourceType":"Patient","id":"b"}"#, r#"{"resourceType":"Task","id":"a"}"#]);
    assert_eq!(members[0].resource.journal, Some(entry.seq));
    assert_eq!(members[0].facets, [Facet::token("status", None, "requested")]);
    let only = fixture.store.read(move |view| view.members(Some(person), &["Task", "Goal"])).await.unwrap();
    assert_eq!(only.len(), 1);
}

#[tokio::test]
async fn a_commit_that_fails_leaves_nothing_and_takes_no_other_with_it() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let good = |id: &str| one(document(None, &task(id), 1, "{}", vec![]));
    // The failure comes last, after a journal entry, a document and a message.
    let mut bad = Commit::new();
    bad.journal(journal("half"));
    bad.write(document(None, &task("bad"), 1, "{}", vec![]));
    bad.write(message("county", None, "m1", 0));
    bad.write(Write::CloseNotice(NoticeEnd { notice: NoticeId::from_number(99), closed: at(1), text: String::new() }));
    let (before, failed, after) =
        tokio::join!(store.commit(good("before")), store.commit(bad), store.commit(good("after")));
    before.unwrap();
    after.unwrap();
    assert!(matches!(failed, Err(StoreError::Missing("open notice"))), "{failed:?}");
    store
        .read(|view| {
            assert!(view.resource(&task("before"), None)?.is_some());
            assert!(view.resource(&task("after"), None)?.is_some());
            assert!(view.resource(&task("bad"), None)?.is_none());
            assert!(view.journal_after(silta::store::JournalSeq::from_number(0), 10)?.is_empty());
            assert!(view.due(at(1000), 10)?.is_empty());
            Ok(())
        })
        .await
        .unwrap();
}

#[tokio::test]
async fn commits_of_one_caller_are_numbered_in_the_order_in_which_they_were_handed_over() {
    let fixture = Fixture::new();
    let mut waiting = Vec::new();
    for number in 0..300 {
        let store = fixture.store.clone();
        let mut commit = Commit::new();
        commit.journal(journal(&number.to_string()));
        let mut handed = Box::pin(async move { super::made(&store, commit).await });
        // Handed over at the first poll, answered later.
        let polled = futures_poll(&mut handed).await;
        waiting.push((polled, handed));
    }
    let mut numbers = Vec::new();
    for (ready, handed) in waiting {
        let receipt = match ready {
            Some(receipt) => receipt,
            None => handed.await,
        };
        numbers.push(receipt.journal[0].number());
    }
    assert!(numbers.is_sorted());
    assert_eq!(numbers.len(), 300);
}

/// Polls once.
async fn futures_poll<T>(future: &mut (impl Future<Output = T> + Unpin)) -> Option<T> {
    std::future::poll_fn(|cx| {
        std::task::Poll::Ready(match std::pin::Pin::new(&mut *future).poll(cx) {
            std::task::Poll::Ready(done) => Some(done),
            std::task::Poll::Pending => None,
        })
    })
    .await
}

#[tokio::test]
async fn of_two_changes_to_one_version_one_is_made_and_the_other_told_of_it() {
    let fixture = Fixture::new();
    let key = task("t");
    fixture.made(one(document(None, &key, 1, "one", vec![]))).await;
    let change = |text: &str| Commit {
        expect: vec![Expect::Version { key: task("t"), version: Some(1) }],
        write: vec![document(None, &task("t"), 2, text, vec![])],
    };
    let (first, second) = tokio::join!(fixture.store.commit(change("a")), fixture.store.commit(change("b")));
    first.unwrap();
    assert!(matches!(second, Err(StoreError::Stale { current: Some(2), .. })), "{second:?}");
    let error = fixture.refused(one(document(None, &key, 2, "late", vec![]))).await;
    assert!(matches!(error, StoreError::VersionConflict { current: Some(2), .. }), "{error:?}");
    let error = fixture.refused(one(document(None, &key, 4, "gap", vec![]))).await;
    assert!(matches!(error, StoreError::VersionConflict { .. }), "{error:?}");
    let history = fixture.store.read(move |view| view.history(&key, None, 10)).await.unwrap();
    let texts: Vec<_> = history.iter().map(|version| &version.content[..]).collect();
    assert_eq!(texts, [b"a".as_slice(), b"one"]);
}

#[tokio::test]
async fn a_deleted_resource_keeps_its_versions_and_is_found_no_more() {
    let fixture = Fixture::new();
    let key = ResourceKey::new("ServiceRequest", "s");
    let facets = vec![Facet::token("identifier", Some("urn:x"), "77")];
    fixture.made(one(document(None, &key, 1, "{}", facets.clone()))).await;
    let deletion = |version| one(Write::Delete(Deletion { key: key.clone(), version, updated: at(5) }));
    assert!(matches!(fixture.refused(deletion(7)).await, StoreError::VersionConflict { .. }));
    fixture.made(deletion(2)).await;
    assert!(matches!(fixture.refused(deletion(3)).await, StoreError::Missing(_)));
    let of = key.clone();
    let (current, first, ids, members) = fixture
        .store
        .read(move |view| {
            Ok((
                view.resource(&of, None)?.unwrap(),
                view.resource(&of, Some(1))?.unwrap(),
                view.identified("ServiceRequest", &query(None, "77"))?,
                view.members(None, &[])?,
            ))
        })
        .await
        .unwrap();
    assert!(current.deleted && current.version == 2 && current.content.is_empty());
    assert!(!first.deleted && first.content == "{}");
    assert!(ids.is_empty() && members.is_empty());
    // It may come back, as the version after its deletion.
    fixture.made(one(document(None, &key, 3, "again", facets))).await;
    let ids = fixture.store.read(|view| view.identified("ServiceRequest", &query(None, "77"))).await.unwrap();
    assert_eq!(ids, ["s"]);
}

#[tokio::test]
async fn identifiers_are_found_by_system_and_value_as_tokens_are() {
    let fixture = Fixture::new();
    let key = |id: &str| ResourceKey::new("ServiceRequest", id);
    let of = |system, value: &str| vec![Facet::token("identifier", system, value)];
    fixture.made(one(document(None, &key("a"), 1, "{}", of(Some("urn:x"), "1")))).await;
    fixture.made(one(document(None, &key("b"), 1, "{}", of(Some("urn:y"), "1")))).await;
    fixture.made(one(document(None, &key("c"), 1, "{}", of(None, "1")))).await;
    let found = fixture
        .store
        .read(|view| {
            let of = |system| view.identified("ServiceRequest", &query(system, "1"));
            Ok((of(None)?, of(Some(Some("urn:y")))?, of(Some(None))?, view.identified("Task", &query(None, "1"))?))
        })
        .await
        .unwrap();
    assert_eq!(found, (vec!["a".into(), "b".into(), "c".into()], vec!["b".into()], vec!["c".into()], vec![]));
    // A new version without the identifier is found no more.
    fixture.made(one(document(None, &key("b"), 2, "{}", of(Some("urn:y"), "2")))).await;
    let found = fixture.store.read(|view| view.identified("ServiceRequest", &query(None, "1"))).await.unwrap();
    assert_eq!(found, ["a", "c"]);
}

#[tokio::test]
async fn a_conditional_create_is_made_once() {
    let fixture = Fixture::new();
    let create = |id: &str| Commit {
        expect: vec![Expect::NoneExist {
            resource_type: "ServiceRequest".into(),
            identifier: query(Some(Some("urn:x")), "1"),
        }],
        write: vec![document(
            None,
            &ResourceKey::new("ServiceRequest", id),
            1,
            "{}",
            vec![Facet::token("identifier", Some("urn:x"), "1")],
        )],
    };
    let (first, second) = tokio::join!(fixture.store.commit(create("a")), fixture.store.commit(create("b")));
    first.unwrap();
    match second {
        Err(StoreError::Exists { ids, .. }) => assert_eq!(ids, ["a"]),
        other => panic!("the second create should have found the first: {other:?}"),
    }
}

#[tokio::test]
async fn worklists_follow_owner_requester_and_status_of_tasks() {
    let fixture = Fixture::new();
    let facets = |owner: &str, status: &str| {
        vec![
            Facet::reference("owner", format!("Organization/{owner}")),
            Facet::reference("requester", "Organization/hospital"),
            Facet::token("status", Some("http://hl7.org/fhir/task-status"), status),
        ]
    };
    fixture.made(one(document(None, &task("a"), 1, "{}", facets("county", "requested")))).await;
    fixture.made(one(document(None, &task("b"), 1, "{}", facets("county", "accepted")))).await;
    // The same facets on another type make no worklist.
    let request = ResourceKey::new("ServiceRequest", "r");
    fixture.made(one(document(None, &request, 1, "{}", facets("county", "requested")))).await;
    let list = |role, party: &'static str, statuses: &'static [&'static str]| {
        let store = fixture.store.clone();
        async move {
            let entries = store.read(move |view| view.worklist(role, party, statuses)).await.unwrap();
            entries.into_iter().map(|entry| entry.key.id + ":" + &entry.status).collect::<Vec<_>>()
        }
    };
    assert_eq!(list(Role::Owner, "Organization/county", &[]).await, ["b:accepted", "a:requested"]);
    assert_eq!(list(Role::Owner, "Organization/county", &["requested"]).await, ["a:requested"]);
    assert_eq!(list(Role::Requester, "Organization/hospital", &["accepted"]).await, ["b:accepted"]);
    fixture.made(one(document(None, &task("a"), 2, "{}", facets("home-care", "accepted")))).await;
    assert_eq!(list(Role::Owner, "Organization/county", &[]).await, ["b:accepted"]);
    assert_eq!(list(Role::Owner, "Organization/home-care", &[]).await, ["a:accepted"]);
}

#[tokio::test]
async fn a_message_that_comes_again_gets_its_acknowledgement_and_has_no_second_effect() {
    let fixture = Fixture::new();
    let key = DedupKey::of(["hospital", "APP", "FAC", "MSG1"]);
    let send = |body: &str, disposition, name: &str| {
        let mut commit = Commit::new();
        let mut entry = journal(body);
        (entry.dedup, entry.disposition) = (Some(key), disposition);
        commit.journal(entry);
        commit.write(message("county", None, name, 0));
        commit
    };
    // Refused first: what comes again is processed anew.
    fixture.made(send("body", Disposition::Refused, "m0")).await;
    assert_eq!(fixture.store.read(move |view| view.seen(&key, b"body")).await.unwrap(), Seen::New);
    let first = fixture.made(send("body", Disposition::Accepted, "m1")).await.journal[0];
    // Accepted before, same body.
    let again = fixture.store.commit(send("body", Disposition::Accepted, "m2")).await.unwrap();
    match again {
        Outcome::Repeated(repeat) => {
            assert_eq!((repeat.first, repeat.acknowledgement.as_deref()), (first, Some(&b"MSA|AA"[..])));
        }
        other @ Outcome::Committed(_) => panic!("it should have been known: {other:?}"),
    }
    // Accepted before, other body.
    let other = fixture.refused(send("other", Disposition::Accepted, "m3")).await;
    assert!(matches!(other, StoreError::Duplicate { first: known } if known == first), "{other:?}");
    let seen = fixture.store.read(move |view| view.seen(&key, b"other")).await.unwrap();
    assert_eq!(seen, Seen::Duplicate { first });
    // Its bytes are kept with the refusal, which does not make it known.
    fixture.made(send("other", Disposition::Refused, "m4")).await;
    assert!(matches!(fixture.store.commit(send("body", Disposition::Accepted, "m5")).await, Ok(Outcome::Repeated(_))));
    let names: Vec<_> = fixture
        .store
        .read(|view| Ok(["m0", "m1", "m2", "m3", "m4", "m5"].map(|name| view.message_named("county", name).unwrap())))
        .await
        .unwrap()
        .into_iter()
        .flatten()
        .map(|message| message.message)
        .collect();
    assert_eq!(names, ["m0", "m1", "m4"]);
}

#[tokio::test]
async fn a_message_is_forgotten_after_the_window() {
    let fixture = Fixture::new();
    let send = |number: usize, second| {
        let mut commit = Commit::new();
        let mut entry = journal("body");
        entry.dedup = Some(DedupKey::of([number.to_string().as_str()]));
        entry.received = at(second);
        commit.journal(entry);
        commit
    };
    fixture.made(send(0, 0)).await;
    let week = 7 * 24 * 3600;
    fixture.clock.advance(std::time::Duration::from_secs(week));
    assert!(matches!(fixture.store.commit(send(0, 0)).await, Ok(Outcome::Repeated(_))));
    fixture.clock.advance(std::time::Duration::from_secs(1));
    let late = i64::try_from(week).unwrap() + 1;
    fixture.made(send(0, late)).await;
    // Enough commits that the old keys are swept out: the one that was taken anew stays.
    for number in 1..1100 {
        fixture.made(send(number, late)).await;
    }
    assert!(matches!(fixture.store.commit(send(0, late)).await, Ok(Outcome::Repeated(_))));
}

#[tokio::test]
async fn an_older_event_is_never_applied_over_a_newer_one() {
    let fixture = Fixture::new();
    let event = |second, sequence| {
        let occurred = Occurred { time: at(second), sequence };
        Write::Event(Event { provider: "hospital".into(), key: "patient 123".into(), occurred })
    };
    let phone = |version, text: &str, second| Commit {
        expect: vec![],
        write: vec![event(second, 0), document(None, &ResourceKey::new("Patient", "p"), version, text, vec![])],
    };
    fixture.made(phone(1, "first", 10)).await;
    fixture.made(phone(2, "newer", 20)).await;
    let error = fixture.refused(phone(3, "older", 15)).await;
    assert!(matches!(error, StoreError::Older { newest } if newest.time == at(20)), "{error:?}");
    // It is journalled all the same; the same moment again is not older; a sequence orders within a moment.
    let mut kept = Commit::new();
    kept.journal(super::NewJournal { disposition: Disposition::Older, ..journal("older") });
    fixture.made(kept).await;
    fixture.made(phone(3, "same", 20)).await;
    fixture.made(one(event(20, 2))).await;
    assert!(matches!(fixture.refused(one(event(20, 1))).await, StoreError::Older { .. }));
    let (text, newest) = fixture
        .store
        .read(|view| {
            let patient = view.resource(&ResourceKey::new("Patient", "p"), None)?.unwrap();
            Ok((patient.content, view.newest_event("hospital", "patient 123")?.unwrap()))
        })
        .await
        .unwrap();
    assert_eq!((text.as_ref(), newest.sequence), (&b"same"[..], 2));
}

#[tokio::test]
async fn the_last_original_is_kept_and_a_replacement_in_between_is_noticed() {
    let fixture = Fixture::new();
    let keep = |body: &str| {
        Write::Original(NewOriginal {
            provider: "home-care".into(),
            key: "order 9".into(),
            media: "text/csv".into(),
            body: body.to_owned().into(),
            journal: None,
        })
    };
    let expect = |version| Expect::Original { provider: "home-care".into(), key: "order 9".into(), version };
    fixture.made(Commit { expect: vec![expect(None)], write: vec![keep("a;b")] }).await;
    let error = fixture.refused(Commit { expect: vec![expect(None)], write: vec![keep("c;d")] }).await;
    assert!(matches!(error, StoreError::OriginalChanged));
    fixture.made(Commit { expect: vec![expect(Some(1))], write: vec![keep("e;f")] }).await;
    let original = fixture.store.read(|view| view.original("home-care", "order 9")).await.unwrap().unwrap();
    assert_eq!((original.version, original.body.as_ref()), (2, &b"e;f"[..]));
}

#[tokio::test]
async fn a_native_id_becomes_an_id_that_shows_nothing_personal_and_the_way_back_is_known() {
    let fixture = Fixture::new();
    let plain = fixture.store.assign("hospital", "RF-1", NativeKey::Plain);
    assert_eq!((plain.id.as_str(), plain.hashed), ("hospital.RF-1", false));
    let long = "x".repeat(80);
    for (native, kind) in [("a/b", NativeKey::Plain), (long.as_str(), NativeKey::Plain), ("", NativeKey::Plain)] {
        let id = fixture.store.assign("hospital", native, kind);
        assert!(id.hashed && id.id.len() == 32, "{id:?}");
        assert!(id.id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()));
    }
    let personal = fixture.store.assign("hospital", "010190-999X", NativeKey::Personal);
    assert!(personal.hashed && !personal.id.contains("999"));
    assert_ne!(personal.id, fixture.store.assign("hospital", "010190-999X/", NativeKey::Plain).id);
    assert_ne!(personal.id, fixture.store.assign("county", "010190-999X", NativeKey::Personal).id);
    let link = |native: &str| {
        one(Write::NativeId(NativeId {
            key: ResourceKey::new("Patient", personal.id.clone()),
            provider: "hospital".into(),
            native: native.into(),
        }))
    };
    fixture.made(link("010190-999X")).await;
    fixture.made(link("010190-999X")).await;
    assert!(matches!(fixture.refused(link("another")).await, StoreError::Incoherent(_)));
    let key = ResourceKey::new("Patient", personal.id.clone());
    let back = fixture.store.read(move |view| view.native(&key)).await.unwrap();
    assert_eq!(back, Some(("hospital".into(), "010190-999X".into())));
}

#[tokio::test]
async fn an_operators_entry_is_open_until_it_is_closed() {
    let fixture = Fixture::new();
    let receipt = fixture
        .made(one(Write::Notice(NewNotice {
            opened: at(1),
            kind: "no-recipient".into(),
            provider: "hospital".into(),
            journal: None,
            text: "PRD-4.4 names no provider".into(),
        })))
        .await;
    let id = receipt.notices[0];
    let open = || fixture.store.read(|view| view.open_notices(NoticeId::from_number(0), 10));
    assert_eq!(open().await.unwrap().len(), 1);
    let close = || one(Write::CloseNotice(NoticeEnd { notice: id, closed: at(2), text: "sent by hand".into() }));
    fixture.made(close()).await;
    assert!(open().await.unwrap().is_empty());
    assert!(matches!(fixture.refused(close()).await, StoreError::Missing("open notice")));
    let notice = fixture.store.read(move |view| view.notice(id)).await.unwrap().unwrap();
    assert_eq!((notice.closed, notice.decision.as_str()), (Some(at(2)), "sent by hand"));
}

#[tokio::test]
async fn a_commit_that_contradicts_itself_is_refused_whole() {
    let fixture = Fixture::new();
    let dangling = document(Some(Ref::Here(0)), &task("t"), 1, "{}", vec![]);
    assert!(matches!(fixture.refused(one(dangling)).await, StoreError::Incoherent(_)));
    let unknown = document(Some(Ref::Known(silta::store::PersonId::from_number(404))), &task("t"), 1, "{}", vec![]);
    assert!(matches!(fixture.refused(one(unknown)).await, StoreError::Missing("person")));
    let mut outside = document(None, &task("t"), 1, "{}", vec![]);
    if let Write::Document(document) = &mut outside {
        document.members[0].span = (1, 2);
    }
    assert!(matches!(fixture.refused(one(outside)).await, StoreError::Incoherent(_)));
}
