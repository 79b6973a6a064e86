//! Stopping, and what goes on while it runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use silta::clock::Clock;
use silta::gateway::admin::{Admin, Config, Readiness};
use silta::telemetry::metrics::Metrics;
use tokio::sync::{mpsc, watch};

use crate::support::gateway::{Answer, Plan, SHORT, Site, care_plan};
use crate::support::time::{soon, until};

/// A site whose answers wait, the notices that one is waited for, and what lets them go.
async fn held(plan: impl FnOnce(Plan) -> Plan) -> (Site, mpsc::UnboundedReceiver<()>, watch::Sender<bool>) {
    let (reached, waiting) = mpsc::unbounded_channel();
    let (release, released) = watch::channel(false);
    let site = plan(Plan::new(move |_| {
        let (reached, mut released) = (reached.clone(), released.clone());
        async move {
            reached.send(()).unwrap();
            released.wait_for(|released| *released).await.unwrap();
            Ok(care_plan())
        }
    }))
    .start()
    .await;
    (site, waiting, release)
}

#[tokio::test]
async fn stopping_finishes_what_is_in_flight_and_takes_nothing_new() {
    let (site, mut waiting, release) = held(|plan| plan).await;
    let mut flights = Vec::new();
    for older in [false, true] {
        let caller = site.caller(|builder| {
            let mut headers = reqwest::header::HeaderMap::new();
            let secret = crate::support::gateway::county_secret();
            headers.insert("authorization", format!("Bearer {secret}").parse().unwrap());
            let builder = builder.default_headers(headers);
            if older { builder.http1_only() } else { builder }
        });
        let url = site.url("/CarePlan/1");
        flights.push(tokio::spawn(async move { Answer::to(caller.get(url)).await.status }));
        soon(waiting.recv()).await.unwrap();
    }
    site.begin_stop();
    let address = site.address;
    until("new connections are refused", || std::net::TcpStream::connect(address).is_err()).await;
    assert!(flights.iter().all(|flight| !flight.is_finished()));
    release.send_replace(true);
    for flight in flights {
        assert_eq!(soon(flight).await.unwrap(), 200);
    }
    assert_eq!(site.stop().await.cut, 0);
}

#[tokio::test]
async fn stopping_cuts_what_does_not_end_in_time() {
    let (site, mut waiting, _release) = held(|plan| plan.with(|server| server.stop_time = SHORT)).await;
    let county = site.county();
    let url = site.url("/CarePlan/1");
    let flight = tokio::spawn(async move { county.get(url).send().await.is_err() });
    soon(waiting.recv()).await.unwrap();
    assert_eq!(site.stop().await.cut, 1);
    assert!(soon(flight).await.unwrap(), "the caller sees its connection end");
}

#[tokio::test]
async fn an_idle_connection_does_not_hold_up_stopping() {
    let site = Plan::usual().start().await;
    let county = site.county();
    assert_eq!(Answer::to(county.get(site.url("/CarePlan/1"))).await.status, 200);
    let _idle = site.raw("http/1.1").await;
    assert_eq!(site.stop().await.cut, 0);
}

#[tokio::test]
async fn a_change_is_finished_when_its_caller_has_gone_and_a_read_is_given_up() {
    let finished = Arc::new(AtomicUsize::new(0));
    let begun = Arc::new(AtomicUsize::new(0));
    let (release, released) = watch::channel(false);
    let (count, start) = (Arc::clone(&finished), Arc::clone(&begun));
    let site = Plan::new(move |request| {
        let (count, start, mut released) = (Arc::clone(&count), Arc::clone(&start), released.clone());
        async move {
            start.fetch_add(1, Ordering::SeqCst);
            released.wait_for(|released| *released).await.unwrap();
            count.fetch_add(if request.interaction.is_safe() { 100 } else { 1 }, Ordering::SeqCst);
            Ok(care_plan())
        }
    })
    .start()
    .await;
    let county = site.county();
    let put = county.put(site.url("/CarePlan/1")).header("content-type", "application/fhir+json").body("{}");
    let flights = [tokio::spawn(put.send()), tokio::spawn(county.get(site.url("/CarePlan/1")).send())];
    until("both have begun", || begun.load(Ordering::SeqCst) == 2).await;
    for flight in &flights {
        flight.abort();
    }
    drop((flights, county));
    let metrics = site.metrics.clone();
    let gone = "silta_requests_abandoned_total 2";
    until("their connection has ended", || String::from_utf8(metrics.text().unwrap()).unwrap().contains(gone)).await;
    release.send_replace(true);
    until("the change is done", || finished.load(Ordering::SeqCst) == 1).await;
    assert_eq!(site.stop().await.cut, 0);
    assert_eq!(finished.load(Ordering::SeqCst), 1, "and the read was not");
}

#[tokio::test]
async fn the_administrators_port_tells_metrics_liveness_and_readiness() {
    crate::support::gateway::provide_crypto();
    let (metrics, readiness) = (Metrics::new().unwrap(), Readiness::default());
    let fine = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let flag = Arc::clone(&fine);
    readiness.check("store", move || if flag.load(Ordering::SeqCst) { Ok(()) } else { Err("full".to_owned()) });
    let config = Config { enabled: true, listen: "127.0.0.1:0".parse().unwrap() };
    let admin = Admin::bind(&config, metrics.clone(), readiness).await.unwrap();
    let base = format!("http://{}", admin.address().unwrap());
    let (stop, mut stopped) = watch::channel(false);
    let running = tokio::spawn(admin.run(async move {
        let _ = stopped.wait_for(|stopped| *stopped).await;
    }));
    let caller = reqwest::Client::builder().no_proxy().build().unwrap();
    let of = |path: &str| Answer::to(caller.get(format!("{base}{path}")));
    assert_eq!(of("/livez").await.status, 200);
    let ready = of("/readyz").await;
    assert_eq!((ready.status, &*ready.text), (200, "store: ok\n"));
    fine.store(false, Ordering::SeqCst);
    let ready = of("/readyz").await;
    assert_eq!((ready.status, &*ready.text), (503, "store: not ready: full\n"));
    assert_eq!(of("/livez").await.status, 200, "it lives all the same");
    let counter = metrics.counter("silta_example_total", "An example").unwrap();
    counter.inc();
    let text = of("/metrics").await;
    assert!(text.text.contains("silta_example_total 1") && text.text.contains("silta_build_info{version="));
    assert!(text.header("content-type").starts_with("text/plain; version=0.0.4"));
    assert_eq!(of("/other").await.status, 404);
    assert_eq!(Answer::to(caller.post(format!("{base}/livez"))).await.status, 405);
    stop.send_replace(true);
    soon(running).await.unwrap();
}

#[tokio::test]
async fn a_request_without_an_id_gets_one_of_ours_and_a_strange_one_is_not_taken() {
    let site = Plan::usual().start().await;
    let county = site.county();
    let one = Answer::to(county.get(site.url("/CarePlan/1"))).await;
    let two = Answer::to(county.get(site.url("/CarePlan/1")).header("x-request-id", "with space")).await;
    let ours = |answer: &Answer| answer.header("x-request-id").starts_with("010101010101-");
    assert!(ours(&one) && ours(&two));
    assert_ne!(one.header("x-request-id"), two.header("x-request-id"));
}

#[tokio::test]
async fn a_clock_moved_by_hand_serves_as_well() {
    let mut plan = Plan::usual();
    // Certificates are made for the clock's day, and the caller's library asks the operating system.
    plan.clock = Clock::manual(Clock::system().now());
    let site = plan.start().await;
    assert_eq!(Answer::to(site.county().get(site.url("/CarePlan/1"))).await.status, 200);
}
