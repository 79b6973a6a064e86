//! The sending adapter, seen by the provider that it sends to.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use silta::clock::Clock;
use silta::provider::mllp::{Config, MEDIA_TYPE, Mllp};
use silta::provider::{Action, Adapter, AdapterError, Delivery, Effect, Mode, Outcome, Receipt, Refusal};
use silta_engine::fault::Fault;

use crate::support::mllp::{Line, Peer};
use crate::support::time::{manual, soon, until};
use crate::support::tls::Authority;

const MINUTE: Duration = Duration::from_secs(60);

fn config(port: u16) -> Config {
    toml::from_str(&format!("address = 'localhost:{port}'\ntypes.ServiceRequest = {{ create = true }}\nidle = '5m'"))
        .unwrap()
}

fn adapter(peer: &Peer, clock: &Clock) -> Arc<Mllp> {
    Arc::new(Mllp::new(config(peer.port()), Path::new("."), clock.clone()).unwrap())
}

fn message(id: &str, accept: &str, application: &str) -> Delivery {
    let text = format!(
        "MSH|^~\\&|SILTA|S|HIS|H|20260203080000||REF^I12^REF_I12|{id}|T|2.5.1|||{accept}|{application}\rPID|1\r"
    );
    Delivery {
        message_id: id.to_owned(),
        resource_type: "ServiceRequest".to_owned(),
        kind: None,
        action: Action::Create,
        bytes: text.into_bytes().into(),
        media_type: MEDIA_TYPE.to_owned(),
        mode: Mode::Test,
        identifier: None,
    }
}

fn ack(code: &str, id: &str, rest: &str) -> String {
    format!("MSH|^~\\&|HIS|H|SILTA|S|20260203080001||ACK|A{id}|T|2.5.1\rMSA|{code}|{id}\r{rest}")
}

fn submit(
    adapter: &Arc<Mllp>,
    delivery: Delivery,
    clock: &Clock,
) -> tokio::task::JoinHandle<Result<Receipt, AdapterError>> {
    let (adapter, deadline) = (Arc::clone(adapter), clock.instant().after(MINUTE));
    tokio::spawn(async move { adapter.submit(&delivery, deadline).await })
}

/// Sends one message and answers it on a connection of its own.
async fn answered(delivery: Delivery, answers: &[String]) -> Result<Receipt, AdapterError> {
    let (peer, clock) = (Peer::plain().await, Clock::system());
    let adapter = adapter(&peer, &clock);
    let sent = submit(&adapter, delivery, &clock);
    let mut line = peer.accept().await;
    line.receive().await.unwrap();
    for answer in answers {
        line.send(answer).await;
    }
    soon(sent).await.unwrap()
}

#[tokio::test]
async fn in_original_mode_aa_means_applied_and_the_answer_is_handed_up() {
    let answer = ack("AA", "M1", "RF1|A");
    let receipt = answered(message("M1", "", ""), std::slice::from_ref(&answer)).await.unwrap();
    assert_eq!(receipt.effect, Effect::Applied);
    assert_eq!(receipt.answer.unwrap().bytes.as_ref(), answer.as_bytes());
}

#[tokio::test]
async fn in_enhanced_mode_ca_means_committed() {
    let receipt = answered(message("M1", "AL", "AL"), &[ack("CA", "M1", "")]).await.unwrap();
    assert_eq!(receipt.effect, Effect::Committed);
}

#[tokio::test]
async fn where_application_answers_come_on_the_same_connection_they_are_awaited() {
    let (peer, clock) = (Peer::plain().await, Clock::system());
    let config =
        Config { application_answer: silta::provider::mllp::ApplicationAnswer::SameConnection, ..config(peer.port()) };
    let adapter = Arc::new(Mllp::new(config, Path::new("."), clock.clone()).unwrap());
    let sent = submit(&adapter, message("M1", "AL", "AL"), &clock);
    let mut line = peer.accept().await;
    line.receive().await.unwrap();
    line.send(&ack("CA", "M1", "")).await;
    line.send(&ack("AE", "M1", "ERR||PID^1^3|103^no such code^HL70357|E")).await;
    let error = soon(sent).await.unwrap().unwrap_err();
    assert!(
        matches!(&error, AdapterError::Refused { status, refusal: Refusal::Code, .. } if status == "AE"),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_refusal_says_what_the_provider_said_and_is_not_sent_again() {
    for (code, rest, fault) in [
        ("AE", "ERR||PID^1^3|101^missing^HL70357|E", Fault::RequiredMissing),
        ("CE", "ERR||PID^1^3|102^bad^HL70357|E", Fault::BadValue),
        ("AR", "ERR||MSH^1^12|203^version^HL70357|E", Fault::MethodNotSupported),
        ("CR", "", Fault::BusinessRule),
        ("AE", "ERR|PID^1^3^204&unknown key&HL70357", Fault::NotFound),
    ] {
        let error = answered(message("M1", "", ""), &[ack(code, "M1", rest)]).await.unwrap_err();
        assert_eq!(
            (error.fault(), error.retryable(), error.outcome()),
            (fault, false, Outcome::NotDone),
            "{code} {rest}"
        );
        assert!(error.answer().is_some());
    }
}

#[tokio::test]
async fn an_internal_error_of_the_provider_may_be_tried_again() {
    for code in ["AE", "CE", "AR", "CR"] {
        let error =
            answered(message("M1", "", ""), &[ack(code, "M1", "ERR|||207^no disk^HL70357|E")]).await.unwrap_err();
        assert!(matches!(error, AdapterError::Overloaded { .. }), "{error:?}");
        assert!(error.retryable() && error.ailing());
    }
}

#[tokio::test]
async fn messages_follow_each_other_on_one_connection_also_after_a_refusal() {
    let (peer, clock) = (Peer::plain().await, Clock::system());
    let adapter = adapter(&peer, &clock);
    let first = submit(&adapter, message("M1", "", ""), &clock);
    let mut line = peer.accept().await;
    for (id, code) in [("M1", "AE"), ("M2", "AA"), ("M3", "AA")] {
        let sent = if id == "M1" { None } else { Some(submit(&adapter, message(id, "", ""), &clock)) };
        assert!(line.receive().await.unwrap().contains(&format!("|{id}|")));
        line.send(&ack(code, id, "")).await;
        match sent {
            Some(sent) => assert_eq!(soon(sent).await.unwrap().unwrap().effect, Effect::Applied),
            None => {
                until("the refusal is in", || first.is_finished()).await;
            }
        }
    }
    assert!(first.await.unwrap().is_err());
}

#[tokio::test]
async fn a_second_message_waits_until_the_first_is_answered() {
    let (peer, clock) = (Peer::plain().await, manual());
    let adapter = adapter(&peer, &clock);
    let first = submit(&adapter, message("M1", "", ""), &clock);
    let mut line = peer.accept().await;
    assert!(line.receive().await.unwrap().contains("|M1|"));
    let second = submit(&adapter, message("M2", "", ""), &clock);
    until("both wait", || clock.sleepers() == 2).await;
    line.send(&ack("AA", "M1", "")).await;
    soon(first).await.unwrap().unwrap();
    assert!(line.receive().await.unwrap().contains("|M2|"));
    line.send(&ack("AA", "M2", "")).await;
    soon(second).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_late_acknowledgement_is_never_taken_for_the_next_message() {
    let (peer, clock) = (Peer::plain().await, manual());
    let adapter = adapter(&peer, &clock);
    let first = submit(&adapter, message("M1", "", ""), &clock);
    let mut line = peer.accept().await;
    line.receive().await.unwrap();
    until("the answer is awaited", || clock.sleepers() == 1).await;
    clock.advance(MINUTE);
    let error = soon(first).await.unwrap().unwrap_err();
    assert!(matches!(error, AdapterError::TimedOut { sent: true }), "{error:?}");
    assert_eq!((error.fault(), error.outcome()), (Fault::ProviderSlow, Outcome::Unknown));
    assert_eq!(line.receive().await, None, "the connection is closed at the timeout");

    let second = submit(&adapter, message("M2", "", ""), &clock);
    let mut new = peer.accept().await;
    assert!(new.receive().await.unwrap().contains("|M2|"));
    new.send(&ack("AA", "M2", "")).await;
    assert_eq!(soon(second).await.unwrap().unwrap().effect, Effect::Applied);
}

#[tokio::test]
async fn an_acknowledgement_of_another_message_is_no_answer_and_closes_the_connection() {
    let (peer, clock) = (Peer::plain().await, Clock::system());
    let adapter = adapter(&peer, &clock);
    let sent = submit(&adapter, message("M1", "", ""), &clock);
    let mut line = peer.accept().await;
    line.receive().await.unwrap();
    line.send(&ack("AA", "M0", "")).await;
    let error = soon(sent).await.unwrap().unwrap_err();
    assert!(matches!(&error, AdapterError::AnswerUnusable { what, .. } if what.contains("MSA-2")), "{error:?}");
    assert_eq!((error.fault(), error.outcome()), (Fault::ProviderAnswerUnusable, Outcome::Unknown));
    assert_eq!(line.receive().await, None);
}

#[tokio::test]
async fn a_late_answer_to_an_earlier_message_of_the_connection_is_passed_over() {
    let (peer, clock) = (Peer::plain().await, Clock::system());
    let adapter = adapter(&peer, &clock);
    let first = submit(&adapter, message("M1", "AL", "NE"), &clock);
    let mut line = peer.accept().await;
    line.receive().await.unwrap();
    line.send(&ack("CA", "M1", "")).await;
    assert_eq!(soon(first).await.unwrap().unwrap().effect, Effect::Committed);
    let second = submit(&adapter, message("M2", "AL", "NE"), &clock);
    assert!(line.receive().await.unwrap().contains("|M2|"), "on the same connection");
    line.send(&ack("AE", "M1", "")).await;
    line.send(&ack("CA", "M2", "")).await;
    assert_eq!(soon(second).await.unwrap().unwrap().effect, Effect::Committed);
}

#[tokio::test]
async fn what_is_no_acknowledgement_is_no_answer() {
    let unusable = ["hello".to_owned(), ack("XX", "M1", ""), "MSH|^~\\&|HIS\rPID|1".to_owned()];
    for answer in unusable {
        let error = answered(message("M1", "", ""), &[answer]).await.unwrap_err();
        assert!(matches!(error, AdapterError::AnswerUnusable { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn an_acknowledgement_that_came_while_nobody_waited_closes_the_connection_before_the_next_message() {
    let (peer, clock) = (Peer::plain().await, Clock::system());
    let adapter = adapter(&peer, &clock);
    let first = submit(&adapter, message("M1", "", ""), &clock);
    let mut line = peer.accept().await;
    line.receive().await.unwrap();
    line.send(&(ack("AA", "M1", "") + "\x1c\r\x0b" + &ack("AA", "M2", ""))).await;
    soon(first).await.unwrap().unwrap();
    let second = submit(&adapter, message("M2", "", ""), &clock);
    let mut new = peer.accept().await;
    assert!(new.receive().await.unwrap().contains("|M2|"));
    new.send(&ack("AA", "M2", "")).await;
    soon(second).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_connection_that_the_provider_closed_while_idle_is_replaced_unnoticed() {
    let (peer, clock) = (Peer::plain().await, Clock::system());
    let adapter = adapter(&peer, &clock);
    for id in ["M1", "M2"] {
        let sent = submit(&adapter, message(id, "", ""), &clock);
        let mut line = peer.accept().await;
        line.receive().await.unwrap();
        line.send(&ack("AA", id, "")).await;
        soon(sent).await.unwrap().unwrap();
        drop(line);
    }
}

#[tokio::test]
async fn a_connection_unused_for_long_is_not_trusted() {
    let (peer, clock) = (Peer::plain().await, manual());
    let adapter = adapter(&peer, &clock);
    let mut kept: Vec<Line> = Vec::new();
    for id in ["M1", "M2"] {
        let sent = submit(&adapter, message(id, "", ""), &clock);
        let mut line = peer.accept().await;
        line.receive().await.unwrap();
        line.send(&ack("AA", id, "")).await;
        soon(sent).await.unwrap().unwrap();
        kept.push(line);
        clock.advance(Duration::from_secs(300));
    }
    assert_eq!(kept[0].receive().await, None);
}

#[tokio::test]
async fn a_provider_that_breaks_off_leaves_the_outcome_unknown() {
    let (peer, clock) = (Peer::plain().await, Clock::system());
    let adapter = adapter(&peer, &clock);
    let sent = submit(&adapter, message("M1", "", ""), &clock);
    let mut line = peer.accept().await;
    line.receive().await.unwrap();
    drop(line);
    let error = soon(sent).await.unwrap().unwrap_err();
    assert!(matches!(error, AdapterError::Interrupted { .. }), "{error:?}");
    assert_eq!(error.outcome(), Outcome::Unknown);
}

#[tokio::test]
async fn a_provider_that_is_not_there_is_unreachable_and_nothing_was_done() {
    let (peer, clock) = (Peer::plain().await, Clock::system());
    let adapter = adapter(&peer, &clock);
    drop(peer);
    let error = soon(submit(&adapter, message("M1", "", ""), &clock)).await.unwrap().unwrap_err();
    assert!(matches!(error, AdapterError::Unreachable { .. }), "{error:?}");
    assert_eq!((error.fault(), error.outcome()), (Fault::ProviderDown, Outcome::NotDone));
}

#[tokio::test]
async fn a_message_that_asks_for_no_answer_is_sent_and_one_that_asks_for_errors_only_waits_a_moment() {
    let (peer, clock) = (Peer::plain().await, manual());
    let adapter = adapter(&peer, &clock);
    let silent = submit(&adapter, message("M1", "NE", "NE"), &clock);
    let mut line = peer.accept().await;
    line.receive().await.unwrap();
    assert_eq!(soon(silent).await.unwrap().unwrap().effect, Effect::Committed);

    let quiet = submit(&adapter, message("M2", "ER", "NE"), &clock);
    line.receive().await.unwrap();
    until("the window is open", || clock.sleepers() == 2).await;
    clock.advance(Duration::from_secs(1));
    assert_eq!(soon(quiet).await.unwrap().unwrap().effect, Effect::Committed);

    let refused = submit(&adapter, message("M3", "ER", "NE"), &clock);
    line.receive().await.unwrap();
    line.send(&ack("CR", "M3", "ERR|||202^mode^HL70357|E")).await;
    assert!(soon(refused).await.unwrap().is_err());
}

#[tokio::test]
async fn a_message_without_a_header_or_an_id_is_not_sent() {
    let (peer, clock) = (Peer::plain().await, Clock::system());
    let adapter = adapter(&peer, &clock);
    for bytes in
        ["PID|1", "MSH|^~\\&|A|B|C|D|20260203||ADT^A01||T|2.5", "MSH|^~\\&|A|B|C|D|2026||ADT^A01|M\x1c1|T|2.5", ""]
    {
        let delivery = Delivery { bytes: bytes.as_bytes().to_vec().into(), ..message("M1", "", "") };
        let error = soon(submit(&adapter, delivery, &clock)).await.unwrap().unwrap_err();
        assert!(matches!(error, AdapterError::Unsendable { .. }), "{error:?}");
    }
    let other = Delivery { resource_type: "CarePlan".to_owned(), ..message("M1", "", "") };
    let error = soon(submit(&adapter, other, &clock)).await.unwrap().unwrap_err();
    assert_eq!(error.fault(), Fault::MethodNotSupported);
}

#[tokio::test]
async fn over_tls_both_sides_must_know_each_other() {
    let authority = Authority::new();
    let (server, ours) = (authority.issue("server"), authority.issue("ours"));
    let peer = Peer::tls(&authority, &server, true).await;
    let clock = Clock::system();
    let tls = |ca: &str| silta::provider::tls::Config {
        ca: Some(ca.into()),
        certificate: Some(ours.certificate.clone()),
        key: Some(ours.key.clone()),
        server_name: None,
    };
    let known = Config { tls: Some(tls("ca.pem")), ..config(peer.port()) };
    let adapter = Arc::new(Mllp::new(known.clone(), authority.folder(), clock.clone()).unwrap());
    let sent = submit(&adapter, message("M1", "", ""), &clock);
    let mut line = peer.accept().await;
    line.receive().await.unwrap();
    line.send(&ack("AA", "M1", "")).await;
    assert_eq!(soon(sent).await.unwrap().unwrap().effect, Effect::Applied);

    let stranger = Authority::new();
    std::fs::copy(stranger.folder().join("ca.pem"), authority.folder().join("stranger.pem")).unwrap();
    let unknown = Config { tls: Some(tls("stranger.pem")), ..known };
    let adapter = Arc::new(Mllp::new(unknown, authority.folder(), clock.clone()).unwrap());
    let serving = tokio::spawn(async move {
        // The handshake fails here too; what matters is what the adapter says.
        let _ = tokio::spawn(async move { peer.accept().await }).await;
    });
    let error = soon(submit(&adapter, message("M2", "", ""), &clock)).await.unwrap().unwrap_err();
    assert!(matches!(error, AdapterError::Unreachable { .. }), "{error:?}");
    serving.await.unwrap();
}

#[test]
fn without_tls_only_this_machine_is_spoken_to_unless_told_otherwise() {
    let remote = Config { address: "hl7.hospital.example:6661".to_owned(), ..config(1) };
    let made = |config| Mllp::new(config, Path::new("."), Clock::system()).map(|_| ());
    assert_eq!(made(remote.clone()).unwrap_err().key, "tls");
    made(Config { plaintext: true, ..remote.clone() }).unwrap();
    assert_eq!(made(Config { address: "hospital".to_owned(), ..remote }).unwrap_err().key, "address");
}
