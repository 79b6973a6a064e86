//! The listener, seen by those who send to it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use silta::clock::Clock;
use silta::exchange::mllp::{BrokenFrame, Config, Cut, Handler, Listener, Metrics, Peer, Reply, Running, TlsConfig};
use silta::provider::BoxFuture;
use tokio::sync::{Notify, mpsc};

use crate::support::mllp::{Line, framed};
use crate::support::time::{manual, soon, until};
use crate::support::tls::Authority;

/// Answers each message with `ok:` and the message, when it is let through.
struct Echo {
    gate: Option<Arc<Notify>>,
    begun: AtomicUsize,
    peers: mpsc::UnboundedSender<Peer>,
}

impl Handler for Echo {
    fn handle<'a>(&'a self, message: Bytes, peer: &'a Peer) -> BoxFuture<'a, Reply> {
        Box::pin(async move {
            self.begun.fetch_add(1, Ordering::SeqCst);
            let _ = self.peers.send(peer.clone());
            if let Some(gate) = &self.gate {
                gate.notified().await;
            }
            let echo = Bytes::from([b"ok:", message.as_ref()].concat());
            match message.as_ref() {
                b"silence" => Reply::nothing(),
                b"twice" => Reply { messages: vec![echo.clone(), echo], close: false },
                b"bye" => Reply { messages: vec![echo], close: true },
                b"panic" => panic!("the handler fails"),
                _ => Reply::message(echo),
            }
        })
    }

    fn broken<'a>(&'a self, error: &'a BrokenFrame, _: &'a Peer) -> BoxFuture<'a, Reply> {
        Box::pin(async move { Reply::message(format!("broken:{}:{}", error.label(), error.partial().len())) })
    }
}

struct Site {
    running: Running,
    echo: Arc<Echo>,
    peers: mpsc::UnboundedReceiver<Peer>,
    registry: prometheus::Registry,
}

fn config() -> Config {
    toml::from_str("provider = 'hospital'\nlisten = '127.0.0.1:0'\n").unwrap()
}

async fn site(config: Config, base: &Path, clock: &Clock, gate: Option<Arc<Notify>>) -> Site {
    let registry = prometheus::Registry::new();
    let metrics = Metrics::register(&registry).unwrap();
    let listener = Listener::bind(config, base, clock.clone(), &metrics).await.unwrap();
    let (sender, peers) = mpsc::unbounded_channel();
    let echo = Arc::new(Echo { gate, begun: AtomicUsize::new(0), peers: sender });
    Site { running: listener.start(Arc::clone(&echo) as Arc<dyn Handler>), echo, peers, registry }
}

impl Site {
    fn count(&self, name: &str) -> f64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name);
        family.map_or(0.0, |f| {
            f.get_metric().iter().map(|m| m.get_counter().get_value() + m.get_gauge().get_value()).sum()
        })
    }
}

async fn plain(clock: &Clock) -> Site {
    site(config(), Path::new("."), clock, None).await
}

#[tokio::test]
async fn messages_of_one_packet_are_answered_one_by_one_in_order() {
    let site = plain(&Clock::system()).await;
    let mut line = Line::to(site.running.address()).await;
    line.write(&[framed("one"), framed("silence"), framed("twice"), framed("last")].concat()).await;
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(line.receive().await.unwrap());
    }
    assert_eq!(seen, ["ok:one", "ok:twice", "ok:twice", "ok:last"]);
}

#[tokio::test]
async fn the_next_message_is_handled_only_when_the_last_is_answered() {
    let gate = Arc::new(Notify::new());
    let site = site(config(), Path::new("."), &Clock::system(), Some(Arc::clone(&gate))).await;
    let mut line = Line::to(site.running.address()).await;
    line.write(&[framed("one"), framed("two")].concat()).await;
    until("the first message is being handled", || site.echo.begun.load(Ordering::SeqCst) == 1).await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(site.echo.begun.load(Ordering::SeqCst), 1);
    gate.notify_one();
    assert_eq!(line.receive().await.unwrap(), "ok:one");
    until("the second message is being handled", || site.echo.begun.load(Ordering::SeqCst) == 2).await;
    gate.notify_one();
    assert_eq!(line.receive().await.unwrap(), "ok:two");
}

#[tokio::test]
async fn a_broken_frame_is_answered_and_the_connection_kept() {
    let site = plain(&Clock::system()).await;
    let mut line = Line::to(site.running.address()).await;
    line.write(b"\x0blost\x0bfound\x1c\r").await;
    assert_eq!(line.receive().await.unwrap(), "broken:start_inside:4");
    assert_eq!(line.receive().await.unwrap(), "ok:found");
    assert_eq!(site.count("silta_mllp_broken_total"), 1.0);
}

#[tokio::test]
async fn a_frame_that_is_too_large_is_answered_from_its_head_and_the_connection_closed() {
    let site = site(Config { frame_limit: 1000, ..config() }, Path::new("."), &Clock::system(), None).await;
    let mut line = Line::to(site.running.address()).await;
    line.write(&framed(&"x".repeat(1000))).await;
    assert_eq!(line.receive().await.unwrap().len(), 1003);
    line.write(&[b"\x0b".as_slice(), &[b'x'; 1001]].concat()).await;
    assert_eq!(line.receive().await.unwrap(), "broken:too_large:1000");
    assert_eq!(line.receive().await, None);
}

#[tokio::test]
async fn the_reply_to_a_frame_that_is_too_large_arrives_although_the_sender_goes_on_sending() {
    let site = site(Config { frame_limit: 1000, ..config() }, Path::new("."), &Clock::system(), None).await;
    let mut line = Line::to(site.running.address()).await;
    line.write(&framed(&"x".repeat(500_000))).await;
    assert_eq!(line.receive().await.unwrap(), "broken:too_large:1000");
    assert_eq!(line.receive().await, None);
}

#[tokio::test]
async fn a_tls_handshake_that_does_not_come_is_given_up() {
    let (authority, clock) = (Authority::new(), manual());
    let server = authority.issue("server");
    let tls = TlsConfig { certificate: server.certificate, key: server.key, client_ca: None, clients: vec![] };
    let site = site(Config { tls: Some(tls), ..config() }, authority.folder(), &clock, None).await;
    let mut silent = Line::to(site.running.address()).await;
    until("the handshake is awaited", || clock.sleepers() == 1).await;
    clock.advance(Duration::from_secs(60));
    assert_eq!(silent.receive().await, None);
    until("it is counted", || site.count("silta_mllp_turned_away_total") == 1.0).await;
    Line::tls_to(site.running.address(), &authority, None).await.unwrap();
}

#[tokio::test]
async fn a_handler_may_close_the_connection_and_one_that_panics_harms_no_other() {
    let site = plain(&Clock::system()).await;
    let mut other = Line::to(site.running.address()).await;
    other.send("before").await;
    assert_eq!(other.receive().await.unwrap(), "ok:before");
    let mut line = Line::to(site.running.address()).await;
    line.send("bye").await;
    assert_eq!(line.receive().await.unwrap(), "ok:bye");
    assert_eq!(line.receive().await, None);
    let mut line = Line::to(site.running.address()).await;
    line.send("panic").await;
    assert_eq!(line.receive().await, None);
    other.send("after").await;
    assert_eq!(other.receive().await.unwrap(), "ok:after");
    until("the others are no longer counted", || site.count("silta_mllp_connections") == 1.0).await;
}

#[tokio::test]
async fn a_sender_that_closes_its_side_after_the_message_still_gets_its_answer() {
    let site = plain(&Clock::system()).await;
    let mut line = Line::to(site.running.address()).await;
    line.send("only").await;
    line.finish().await;
    assert_eq!(line.receive().await.unwrap(), "ok:only");
    assert_eq!(line.receive().await, None);
}

#[tokio::test]
async fn one_connection_too_many_is_closed_and_a_place_that_falls_free_is_given_again() {
    let site = site(Config { connections: 1, ..config() }, Path::new("."), &Clock::system(), None).await;
    let mut first = Line::to(site.running.address()).await;
    first.send("one").await;
    assert_eq!(first.receive().await.unwrap(), "ok:one");
    let mut second = Line::to(site.running.address()).await;
    assert_eq!(second.receive().await, None);
    assert_eq!(site.count("silta_mllp_turned_away_total"), 1.0);
    drop(first);
    until("the place is free", || site.count("silta_mllp_connections") == 0.0).await;
    soon(async {
        loop {
            let mut third = Line::to(site.running.address()).await;
            third.send("three").await;
            if let Some(answer) = third.receive().await {
                return assert_eq!(answer, "ok:three");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_its_time_and_not_before() {
    let clock = manual();
    let site = plain(&clock).await;
    let mut line = Line::to(site.running.address()).await;
    line.send("one").await;
    assert_eq!(line.receive().await.unwrap(), "ok:one");
    until("the connection waits", || clock.sleepers() == 1).await;
    clock.advance(Duration::from_secs(3599));
    line.send("two").await;
    assert_eq!(line.receive().await.unwrap(), "ok:two");
    until("the connection waits again", || clock.sleepers() == 1).await;
    clock.advance(Duration::from_secs(3600));
    assert_eq!(line.receive().await, None);
}

#[tokio::test]
async fn dripping_bytes_do_not_prolong_the_time_of_a_frame() {
    let clock = manual();
    let site = plain(&clock).await;
    let mut line = Line::to(site.running.address()).await;
    line.write(b"\x0b").await;
    for _ in 0..5 {
        until("the connection waits", || clock.sleepers() == 1).await;
        clock.advance(Duration::from_secs(11));
        line.write(b"x").await;
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
    }
    until("the connection waits", || clock.sleepers() == 1).await;
    clock.advance(Duration::from_secs(11));
    assert!(line.receive().await.unwrap().starts_with("broken:truncated:"));
    assert_eq!(line.receive().await, None);
}

#[tokio::test]
async fn draining_finishes_what_is_in_flight_and_takes_nothing_new() {
    let (gate, clock) = (Arc::new(Notify::new()), manual());
    let site = site(config(), Path::new("."), &clock, Some(Arc::clone(&gate))).await;
    let address = site.running.address();
    let (mut busy, mut idle) = (Line::to(address).await, Line::to(address).await);
    busy.send("in flight").await;
    until("the message is being handled", || site.echo.begun.load(Ordering::SeqCst) == 1).await;
    until("the idle connection waits", || clock.sleepers() >= 1).await;
    let drained = tokio::spawn(site.running.drain(clock.instant().after(Duration::from_secs(30))));
    assert_eq!(idle.receive().await, None);
    assert!(!drained.is_finished());
    gate.notify_one();
    assert_eq!(busy.receive().await.unwrap(), "ok:in flight");
    assert_eq!(busy.receive().await, None);
    assert_eq!(soon(drained).await.unwrap(), Ok(()));
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_drain_that_is_late_cuts_what_is_left_without_acknowledging_it() {
    let (gate, clock) = (Arc::new(Notify::new()), manual());
    let site = site(config(), Path::new("."), &clock, Some(gate)).await;
    let mut line = Line::to(site.running.address()).await;
    line.send("never done").await;
    until("the message is being handled", || site.echo.begun.load(Ordering::SeqCst) == 1).await;
    let drained = tokio::spawn(site.running.drain(clock.instant().after(Duration::from_secs(30))));
    until("the drain waits", || clock.sleepers() == 1).await;
    clock.advance(Duration::from_secs(30));
    assert_eq!(soon(drained).await.unwrap(), Err(Cut));
    assert_eq!(line.receive().await, None);
}

#[tokio::test]
async fn only_an_accepted_client_certificate_gets_through_and_the_handler_sees_which() {
    let authority = Authority::new();
    let (server, known, unknown) = (authority.issue("server"), authority.issue("known"), authority.issue("unknown"));
    let tls = TlsConfig {
        certificate: server.certificate.clone(),
        key: server.key.clone(),
        client_ca: Some("ca.pem".into()),
        clients: vec![known.fingerprint.to_uppercase()],
    };
    let mut site = site(Config { tls: Some(tls), ..config() }, authority.folder(), &Clock::system(), None).await;
    let address = site.running.address();

    let mut line = Line::tls_to(address, &authority, Some(&known)).await.unwrap();
    line.send("hello").await;
    assert_eq!(line.receive().await.unwrap(), "ok:hello");
    let peer = site.peers.recv().await.unwrap();
    assert_eq!(peer.certificate.as_deref(), Some(known.fingerprint.as_str()));
    assert_eq!(&*peer.provider, "hospital");

    for turned_away in [None, Some(&unknown)] {
        // TLS 1.3 lets the client finish its handshake before the server has judged the certificate.
        if let Ok(mut line) = Line::tls_to(address, &authority, turned_away).await {
            assert_eq!(line.receive().await, None);
        }
    }
    let stranger = Authority::new();
    let foreign = stranger.issue("foreign");
    std::fs::copy(stranger.folder().join("foreign.pem"), authority.folder().join("foreign.pem")).unwrap();
    std::fs::copy(stranger.folder().join("foreign.key"), authority.folder().join("foreign.key")).unwrap();
    if let Ok(mut line) = Line::tls_to(address, &authority, Some(&foreign)).await {
        assert_eq!(line.receive().await, None);
    }
    until("all three were turned away", || site.count("silta_mllp_turned_away_total") == 3.0).await;
    assert_eq!(site.echo.begun.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn new_certificates_serve_new_connections_and_the_old_connection_stays() {
    let (old, new) = (Authority::new(), Authority::new());
    let (first, second) = (old.issue("server"), new.issue("server"));
    let tls = |issued: &crate::support::tls::Issued| {
        let (certificate, key) = (issued.certificate.clone(), issued.key.clone());
        Config { tls: Some(TlsConfig { certificate, key, client_ca: None, clients: vec![] }), ..config() }
    };
    let site = site(tls(&first), old.folder(), &Clock::system(), None).await;
    let address = site.running.address();
    let mut before = Line::tls_to(address, &old, None).await.unwrap();
    before.send("one").await;
    assert_eq!(before.receive().await.unwrap(), "ok:one");

    let reload = site.running.reload();
    let mut bad = tls(&second);
    bad.tls.as_mut().unwrap().key = "missing.key".into();
    assert_eq!(reload.read(&bad, new.folder()).err().unwrap().key, "tls.key");
    Line::tls_to(address, &old, None).await.unwrap();

    reload.certificates(reload.read(&tls(&second), new.folder()).unwrap());
    assert!(Line::tls_to(address, &old, None).await.is_err());
    Line::tls_to(address, &new, None).await.unwrap();
    before.send("two").await;
    assert_eq!(before.receive().await.unwrap(), "ok:two");
}

#[tokio::test]
async fn without_tls_only_this_machine_is_listened_to_unless_told_otherwise() {
    let metrics = Metrics::register(&prometheus::Registry::new()).unwrap();
    let open = Config { listen: "0.0.0.0:0".parse().unwrap(), ..config() };
    let refused =
        Listener::bind(open.clone(), Path::new("."), Clock::system(), &metrics).await.map(|_| ()).unwrap_err();
    assert_eq!(refused.key, "tls");
    let told = Config { plaintext: true, ..open };
    Listener::bind(told, Path::new("."), Clock::system(), &metrics).await.map(|_| ()).unwrap();
}
