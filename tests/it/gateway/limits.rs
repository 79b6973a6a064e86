//! What is taken at most.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::gateway::{Answer, Plan, SHORT, care_plan, county_secret};
use crate::support::time::soon;

#[tokio::test]
async fn a_body_over_the_limit_is_refused_however_it_comes_and_one_at_the_limit_is_taken() {
    let plan = Plan::new(|request| async move {
        assert_eq!(request.body.unwrap().bytes.len(), 1000);
        Ok(care_plan())
    });
    let site = plan.with(|server| server.body_bytes = 1000).start().await;
    let put = |body: reqwest::Body| {
        site.county().put(site.url("/CarePlan/1")).header("content-type", "application/fhir+json").body(body)
    };
    let larger = Answer::to(put(vec![b' '; 1001].into())).await;
    assert_eq!(larger.issue(), (413, "error".to_owned(), "too-long".to_owned()));
    let taken = Answer::to(put(vec![b' '; 1000].into())).await;
    assert_eq!(taken.status, 200);
    let chunks = format!("3e8\r\n{0}\r\n1\r\n{1}\r\n0\r\n\r\n", " ".repeat(1000), " ");
    let head = format!(
        "PUT /CarePlan/1 HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\ncontent-type: application/fhir+json\r\n\
         transfer-encoding: chunked\r\nconnection: close\r\n\r\n",
        county_secret()
    );
    let answer = site.exchange(&format!("{head}{chunks}")).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[tokio::test]
async fn who_writes_a_whole_request_before_reading_sees_why_it_is_refused() {
    let site = Plan::usual().with(|server| server.body_bytes = 2 << 20).start().await;
    let head = |path: &str| {
        format!(
            "PUT {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n\
             content-type: application/fhir+json\r\ncontent-length: {}\r\n\r\n",
            county_secret(),
            6 << 20
        )
    };
    for (path, status) in [("/CarePlan/1", "413"), ("/Binary/1", "405"), ("/nothing", "404")] {
        let mut stream = site.raw("http/1.1").await;
        stream.write_all(head(path).as_bytes()).await.unwrap();
        soon(stream.write_all(&vec![b' '; 6 << 20])).await.unwrap();
        let mut answer = [0; 12];
        soon(stream.read_exact(&mut answer)).await.unwrap();
        assert_eq!(std::str::from_utf8(&answer).unwrap(), format!("HTTP/1.1 {status}"), "{path}");
        // The connection goes on.
        stream.write_all(b"GET /metadata HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut rest = Vec::new();
        let _ = soon(stream.read_to_end(&mut rest)).await;
        assert!(String::from_utf8_lossy(&rest).contains("HTTP/1.1 200"), "{path}");
    }
    let by_h2 = site.county().put(site.url("/CarePlan/1")).header("content-type", "application/fhir+json");
    let answer = Answer::to(by_h2.body(vec![b' '; 6 << 20])).await;
    assert_eq!(answer.issue(), (413, "error".to_owned(), "too-long".to_owned()));
}

#[tokio::test]
async fn an_announced_body_over_the_limit_is_refused_unread() {
    let site = Plan::usual().start().await;
    let text = format!(
        "PUT /CarePlan/1 HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\ncontent-type: application/fhir+json\r\n\
         content-length: 999999999999\r\n\r\n{{",
        county_secret()
    );
    let mut stream = site.raw("http/1.1").await;
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    soon(stream.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
}

#[tokio::test]
async fn all_bodies_together_have_a_limit_too() {
    let (reached, mut waiting) = tokio::sync::mpsc::unbounded_channel();
    let (release, released) = tokio::sync::watch::channel(false);
    let plan = Plan::new(move |_| {
        let (reached, mut released) = (reached.clone(), released.clone());
        async move {
            reached.send(()).unwrap();
            released.wait_for(|released| *released).await.unwrap();
            Ok(care_plan())
        }
    });
    let plan = plan.with(|server| {
        server.body_bytes = 64 << 10;
        server.bodies_bytes = 128 << 10;
    });
    let site = plan.start().await;
    let county = site.county();
    let put = || {
        let request = county.put(site.url("/CarePlan/1")).header("content-type", "application/fhir+json");
        Answer::to(request.body(vec![b' '; 60 << 10]))
    };
    let held = [tokio::spawn(put()), tokio::spawn(put())];
    for _ in &held {
        soon(waiting.recv()).await.unwrap();
    }
    let refused = put().await;
    assert_eq!(refused.issue(), (429, "error".to_owned(), "throttled".to_owned()));
    assert!(!refused.header("retry-after").is_empty());
    release.send_replace(true);
    for one in held {
        assert_eq!(soon(one).await.unwrap().status, 200);
    }
    assert_eq!(put().await.status, 200, "what was held is free again");
}

#[tokio::test]
async fn a_head_over_the_limits_is_refused_with_an_outcome() {
    let site = Plan::usual().with(|server| server.head_bytes = 4096).start().await;
    let county = site.county();
    let long = Answer::to(county.get(site.url("/CarePlan/1")).header("x-long", "a".repeat(4096))).await;
    assert_eq!(long.issue(), (431, "error".to_owned(), "too-long".to_owned()));
    let long = Answer::to(county.get(site.url(&format!("/CarePlan?a={}", "a".repeat(4096))))).await;
    assert_eq!(long.issue().0, 431);
    let mut many = county.get(site.url("/CarePlan/1"));
    for number in 0..70 {
        many = many.header(format!("x-{number}"), "1");
    }
    assert_eq!(Answer::to(many).await.issue().0, 431);
    assert_eq!(Answer::to(county.get(site.url("/CarePlan/1"))).await.status, 200);
    let flood = format!("GET /CarePlan/1 HTTP/1.1\r\nhost: localhost\r\n{}\r\n", "x: y\r\n".repeat(5000));
    let answer = site.exchange(&flood).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[tokio::test]
async fn too_many_parameters_are_refused() {
    let site = Plan::usual().with(|server| server.parameters = 3).start().await;
    let county = site.county();
    assert_eq!(Answer::to(county.get(site.url("/CarePlan?a=1&b=2&c=3"))).await.status, 200);
    assert_eq!(Answer::to(county.get(site.url("/CarePlan?a=1&b=2&c=3&d=4"))).await.issue().2, "value");
    let form = county
        .post(site.url("/CarePlan/_search?a=1"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body("b=2&c=3&d=4");
    assert_eq!(Answer::to(form).await.issue().2, "value");
}

#[tokio::test]
async fn a_head_that_drips_is_cut_off() {
    let site = Plan::usual().with(|server| server.head_time = SHORT).start().await;
    let mut stream = site.raw("http/1.1").await;
    stream.write_all(b"GET /CarePlan/1 HTTP/1.1\r\nhost: local").await.unwrap();
    let mut answer = Vec::new();
    let _ = soon(stream.read_to_end(&mut answer)).await;
    assert!(!answer.starts_with(b"HTTP/1.1 200"));
}

#[tokio::test]
async fn a_connection_without_a_request_is_closed() {
    let site = Plan::usual().with(|server| server.idle_time = SHORT).start().await;
    for protocol in ["http/1.1", "h2"] {
        let mut stream = site.raw(protocol).await;
        let mut answer = Vec::new();
        let _ = soon(stream.read_to_end(&mut answer)).await;
    }
}

#[tokio::test]
async fn a_handshake_that_does_not_come_is_cut_off() {
    let site = Plan::usual().with(|server| server.handshake_time = SHORT).start().await;
    let mut stream = tokio::net::TcpStream::connect(site.address).await.unwrap();
    let mut answer = Vec::new();
    let _ = soon(stream.read_to_end(&mut answer)).await;
    assert!(answer.is_empty());
}

#[tokio::test]
async fn a_body_that_drips_is_answered_408() {
    let site = Plan::usual().with(|server| server.request_time = SHORT).start().await;
    let text = format!(
        "PUT /CarePlan/1 HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\ncontent-type: application/fhir+json\r\n\
         content-length: 100\r\n\r\n{{",
        county_secret()
    );
    let mut stream = site.raw("http/1.1").await;
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    soon(stream.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 408");
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_answered_504_and_a_read_is_given_up() {
    let (dropped, mut given_up) = tokio::sync::mpsc::unbounded_channel();
    let plan = Plan::new(move |_| {
        let dropped = Dropped(dropped.clone());
        async move {
            std::future::pending::<()>().await;
            drop(dropped);
            Ok(care_plan())
        }
    });
    let site = plan.with(|server| server.request_time = SHORT).start().await;
    let answer = Answer::to(site.county().get(site.url("/CarePlan/1"))).await;
    assert_eq!(answer.issue(), (504, "error".to_owned(), "timeout".to_owned()));
    soon(given_up.recv()).await.unwrap();
}

/// Says so when it is dropped.
struct Dropped(tokio::sync::mpsc::UnboundedSender<()>);

impl Drop for Dropped {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

#[tokio::test]
async fn connections_over_the_limit_wait_for_one_to_end() {
    let plan = Plan::usual().with(|server| {
        server.connections = 1;
        server.idle_time = Duration::from_secs(60);
    });
    let site = plan.start().await;
    let first = site.raw("http/1.1").await;
    let second = {
        let county = site.county();
        let url = site.url("/CarePlan/1");
        tokio::spawn(async move { Answer::to(county.get(url)).await })
    };
    let clock = silta::clock::Clock::system();
    clock.sleep(SHORT).await;
    assert!(!second.is_finished());
    drop(first);
    assert_eq!(soon(second).await.unwrap().status, 200);
}

#[tokio::test]
async fn strangers_cannot_fill_the_audit_and_known_callers_do_not_notice() {
    let mut plan = Plan::usual().with(|server| server.strangers_per_second = 5);
    let clock = silta::clock::Clock::manual(silta::clock::Clock::system().now());
    plan.clock = clock.clone();
    let site = plan.start().await;
    let stranger = site.caller(|caller| caller);
    let mut statuses = Vec::new();
    for _ in 0..40 {
        statuses.push(Answer::to(stranger.get(site.url("/CarePlan/1"))).await.status);
    }
    let expected: Vec<u16> = std::iter::repeat_n(401, 5).chain(std::iter::repeat_n(429, 35)).collect();
    assert_eq!(statuses, expected, "a second's worth is answered at once");
    assert_eq!(site.audit.entries().len(), 5, "what is not throttled is written down");
    clock.advance(std::time::Duration::from_millis(200));
    assert_eq!(Answer::to(stranger.get(site.url("/CarePlan/1"))).await.status, 401, "a fifth of a second allows one");
    assert_eq!(Answer::to(stranger.get(site.url("/CarePlan/1"))).await.status, 429);
    assert_eq!(Answer::to(site.county().get(site.url("/CarePlan/1"))).await.status, 200);
}
