//! The outbox: lanes, attempts, dead letters, replay.

use silta::store::{Commit, Delivery, Mark, OutboxId, State, StoreError, Write};

use super::{Fixture, at, message, one};

fn mark(message: OutboxId, to: Delivery) -> Commit {
    one(Write::Mark(Mark { message, to }))
}

async fn due(fixture: &Fixture, second: i64) -> Vec<String> {
    let messages = fixture.store.read(move |view| view.due(at(second), 10)).await.unwrap();
    messages.into_iter().map(|message| message.message).collect()
}

fn again(due: i64) -> Delivery {
    Delivery::Again { due: at(due), reason: "connection refused".into() }
}

fn dead() -> Delivery {
    Delivery::Dead { reason: "AR 207".into() }
}

#[tokio::test]
async fn messages_of_a_lane_go_one_after_the_other_and_lanes_beside_each_other() {
    let fixture = Fixture::new();
    let (a, b) = (fixture.person("1").await, fixture.person("2").await);
    let mut commit = Commit::new();
    for (person, name) in [(a, "a1"), (a, "a2"), (b, "b1")] {
        commit.write(message("county", Some(person), name, 0));
    }
    commit.write(message("home-care", Some(a), "h1", 0));
    commit.write(message("county", None, "n1", 0));
    commit.write(message("county", Some(b), "b2", 0));
    let ids = fixture.made(commit).await.outbox;
    assert_eq!(due(&fixture, 0).await, ["a1", "h1", "b1", "n1"], "providers take turns");
    fixture.made(mark(ids[0], Delivery::InFlight)).await;
    assert_eq!(due(&fixture, 0).await, ["b1", "h1", "n1"]);
    fixture.made(mark(ids[0], Delivery::Done)).await;
    assert_eq!(due(&fixture, 0).await, ["a2", "h1", "b1", "n1"]);
    for second in [ids[5], ids[0]] {
        assert!(matches!(fixture.refused(mark(second, Delivery::InFlight)).await, StoreError::OutOfTurn));
    }
}

#[tokio::test]
async fn a_poison_message_blocks_its_lane_only_and_then_goes_to_the_dead() {
    let fixture = Fixture::new();
    let (a, b) = (fixture.person("1").await, fixture.person("2").await);
    let mut commit = Commit::new();
    for (person, name) in [(a, "a1"), (a, "a2"), (b, "b1")] {
        commit.write(message("county", Some(person), name, 0));
    }
    let ids = fixture.made(commit).await.outbox;
    fixture.made(mark(ids[0], Delivery::InFlight)).await;
    fixture.made(mark(ids[0], again(30))).await;
    assert_eq!(due(&fixture, 29).await, ["b1"]);
    fixture.made(mark(ids[2], Delivery::Done)).await;
    assert_eq!(fixture.store.read(|view| view.next_due()).await.unwrap(), Some(at(30)));
    // Not before its time.
    assert!(matches!(fixture.refused(mark(ids[0], Delivery::InFlight)).await, StoreError::OutOfTurn));
    fixture.clock.advance(std::time::Duration::from_secs(30));
    fixture.made(mark(ids[0], Delivery::InFlight)).await;
    fixture.made(mark(ids[0], dead())).await;
    assert_eq!(due(&fixture, 30).await, ["a2"]);
    let gone = fixture.store.read(|view| view.dead(OutboxId::from_number(0), 10)).await.unwrap();
    assert_eq!((gone.len(), gone[0].attempts, gone[0].reason.as_str()), (1, 2, "AR 207"));
    let stats = fixture.store.stats().await.unwrap();
    assert_eq!((stats.outbox_open, stats.outbox_dead, stats.outbox_oldest), (1, 1, Some(at(0))));
}

#[tokio::test]
async fn a_replayed_message_keeps_its_place_and_its_id() {
    let fixture = Fixture::new();
    let a = fixture.person("1").await;
    let mut commit = Commit::new();
    for name in ["a1", "a2", "a3"] {
        commit.write(message("county", Some(a), name, 0));
    }
    let ids = fixture.made(commit).await.outbox;
    fixture.made(mark(ids[0], dead())).await;
    fixture.made(mark(ids[1], Delivery::InFlight)).await;
    fixture.made(mark(ids[0], Delivery::Replay { due: at(0) })).await;
    // The lane waits for what is being sent, then goes on with the earlier one.
    assert!(due(&fixture, 0).await.is_empty());
    assert!(matches!(fixture.refused(mark(ids[0], Delivery::InFlight)).await, StoreError::OutOfTurn));
    fixture.made(mark(ids[1], Delivery::Done)).await;
    assert_eq!(due(&fixture, 0).await, ["a1"]);
    fixture.made(mark(ids[0], Delivery::InFlight)).await;
    fixture.made(mark(ids[0], Delivery::Done)).await;
    assert_eq!(due(&fixture, 0).await, ["a3"]);
    assert!(matches!(fixture.refused(mark(ids[2], Delivery::Replay { due: at(0) })).await, StoreError::OutOfTurn));
}

#[tokio::test]
async fn what_was_in_flight_at_the_end_is_due_again_with_the_same_id() {
    let fixture = Fixture::new();
    let ids = fixture.made(one(message("county", None, "m", 0))).await.outbox;
    fixture.made(mark(ids[0], Delivery::InFlight)).await;
    let fixture = fixture.reopened().await;
    assert_eq!(due(&fixture, 0).await, ["m"]);
    let id = ids[0];
    let found = fixture.store.read(move |view| view.message(id)).await.unwrap().unwrap();
    assert_eq!((found.state, found.attempts), (State::Due, 1));
}

#[tokio::test]
async fn a_stable_id_is_used_once_a_provider() {
    let fixture = Fixture::new();
    fixture.made(one(message("county", None, "m", 0))).await;
    fixture.made(one(message("hospital", None, "m", 0))).await;
    assert!(matches!(fixture.refused(one(message("county", None, "m", 0))).await, StoreError::MessageExists));
}

#[tokio::test]
async fn whoever_delivers_is_told_of_new_messages() {
    let fixture = Fixture::new();
    let mut changes = fixture.store.outbox_changes();
    fixture.made(one(super::audit_row("r"))).await;
    assert!(!changes.has_changed().unwrap());
    fixture.made(one(message("county", None, "m", 0))).await;
    changes.changed().await.unwrap();
}

#[tokio::test]
async fn a_provider_with_a_long_backlog_keeps_nobody_else_waiting() {
    let fixture = Fixture::new();
    let mut commit = Commit::new();
    for number in 0..50 {
        let person = commit.person([super::patient("hospital", &number.to_string())]);
        commit.write(Write::Message(silta::store::NewMessage {
            provider: "slow".into(),
            person: Some(person),
            message: number.to_string(),
            due: at(0),
            kind: "task".into(),
            payload: "p".into(),
            journal: None,
        }));
    }
    commit.write(message("quick", None, "q", 5));
    fixture.made(commit).await;
    let messages = fixture.store.read(|view| view.due(at(5), 4)).await.unwrap();
    let names: Vec<_> = messages.into_iter().map(|message| message.message).collect();
    assert_eq!(names, ["0", "q", "1", "2"]);
}
