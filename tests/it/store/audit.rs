//! The audit: rows, their chain, and what betrays tampering.

use silta::store::{AuditSeq, AuditTarget, Chain, Commit, NewAudit, Write};

use super::{Fixture, at, audit_row, message, one};

async fn filled() -> (Fixture, silta::store::Anchor) {
    let fixture = Fixture::new();
    for number in 0..5 {
        let mut commit = one(audit_row(&format!("r{number}")));
        commit.write(audit_row(&format!("s{number}")));
        fixture.made(commit).await;
    }
    match fixture.store.verify_chain(None).await.unwrap() {
        Chain::Whole(Some(anchor)) => (fixture, anchor),
        other => panic!("the chain should be whole: {other:?}"),
    }
}

/// Changes the database behind the store's back.
fn tamper(fixture: &Fixture, sql: &str) {
    let connection = rusqlite::Connection::open(fixture.folder.path().join("store/silta.db")).unwrap();
    assert_eq!(connection.execute(sql, []).unwrap(), 1, "{sql} should have changed a row");
}

#[tokio::test]
async fn rows_come_back_as_they_were_written() {
    let fixture = Fixture::new();
    let person = fixture.person("1").await;
    let row = NewAudit {
        time: at(3),
        who: "case-manager".into(),
        interaction: "search-type".into(),
        target: AuditTarget::Query { resource_type: "CarePlan".into(), hash: fixture.store.keyed_hash(&["q"]) },
        person: Some(person.into()),
        providers: vec![],
        outcome: "success".into(),
        request: "r1".into(),
    };
    fixture.made(one(Write::Audit(row.clone()))).await;
    let rows = fixture.store.read(|view| view.audit_after(AuditSeq::from_number(0), 10)).await.unwrap();
    assert_eq!(rows.len(), 1);
    let read = rows.into_iter().next().unwrap();
    assert_eq!((read.target, read.person, read.providers, read.time), (row.target, Some(person), vec![], at(3)));
}

#[tokio::test]
async fn the_chain_goes_on_over_restarts_and_past_commits_without_audit() {
    let (fixture, anchor) = filled().await;
    fixture.made(one(message("county", None, "m", 0))).await;
    let fixture = fixture.reopened().await;
    fixture.made(one(audit_row("later"))).await;
    match fixture.store.verify_chain(Some(anchor)).await.unwrap() {
        Chain::Whole(Some(last)) => assert_eq!(last.seq.number(), 11),
        other => panic!("the chain should be whole: {other:?}"),
    }
    let empty = Fixture::new();
    assert_eq!(empty.store.verify_chain(None).await.unwrap(), Chain::Whole(None));
}

#[tokio::test]
async fn a_changed_row_is_found() {
    for column in ["who = 'x'", "outcome = 'x'", "time = time + 1", "person = 1", "providers = ''", "query = x'00'"] {
        let (fixture, _) = filled().await;
        tamper(&fixture, &format!("UPDATE audit SET {column} WHERE seq = 6"));
        let found = fixture.store.verify_chain(None).await.unwrap();
        assert_eq!(found, Chain::Broken { from: AuditSeq::from_number(5) }, "{column}");
    }
}

#[tokio::test]
async fn a_removed_added_or_cut_off_row_is_found() {
    for sql in [
        "DELETE FROM audit WHERE seq = 5",
        "DELETE FROM audit WHERE seq = 10",
        "DELETE FROM chain WHERE last = 4",
        "DELETE FROM chain WHERE last = 10",
        "UPDATE chain SET hash = zeroblob(32) WHERE last = 10",
        "INSERT INTO audit SELECT 11, time, who, interaction, target, type, id, query, person, providers, outcome, request
         FROM audit WHERE seq = 10",
    ] {
        let (fixture, _) = filled().await;
        tamper(&fixture, sql);
        let found = fixture.store.verify_chain(None).await.unwrap();
        assert!(matches!(found, Chain::Broken { .. }), "{sql}: {found:?}");
    }
}

#[tokio::test]
async fn a_cleanly_cut_off_end_is_found_by_an_anchor_kept_elsewhere() {
    let (fixture, anchor) = filled().await;
    for sql in
        ["DELETE FROM audit WHERE seq = 10", "DELETE FROM audit WHERE seq = 9", "DELETE FROM chain WHERE last = 10"]
    {
        tamper(&fixture, sql);
    }
    assert!(matches!(fixture.store.verify_chain(None).await.unwrap(), Chain::Whole(Some(_))));
    let found = fixture.store.verify_chain(Some(anchor)).await.unwrap();
    assert_eq!(found, Chain::Broken { from: AuditSeq::from_number(9) });
}

#[tokio::test]
async fn rows_of_a_commit_that_failed_are_not_in_the_chain() {
    let fixture = Fixture::new();
    let mut bad = Commit::new();
    bad.write(audit_row("bad"));
    bad.write(Write::Person(vec![super::patient("a", "1")]));
    bad.write(Write::Delete(silta::store::Deletion {
        key: silta::store::ResourceKey::new("Task", "none"),
        version: 1,
        updated: at(0),
    }));
    let (good, failed) = tokio::join!(fixture.store.commit(one(audit_row("good"))), fixture.store.commit(bad));
    good.unwrap();
    failed.unwrap_err();
    let rows = fixture.store.read(|view| view.audit_after(AuditSeq::from_number(0), 10)).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.request.as_str()).collect::<Vec<_>>(), ["good"]);
    assert!(matches!(fixture.store.verify_chain(None).await.unwrap(), Chain::Whole(Some(_))));
}
