//! TLS, HTTP versions, framing.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::gateway::{Answer, Plan, county_secret};
use crate::support::time::soon;

#[tokio::test]
async fn tls_1_3_and_1_2_carry_http_2_and_1_1() {
    let site = Plan::usual().start().await;
    for tls in [reqwest::tls::Version::TLS_1_2, reqwest::tls::Version::TLS_1_3] {
        let modern = site.caller(|caller| caller.tls_version_min(tls).tls_version_max(tls));
        let answer = soon(modern.get(site.url("/metadata")).send()).await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.version()), (200, reqwest::Version::HTTP_2));
        let older = site.caller(|caller| caller.tls_version_min(tls).tls_version_max(tls).http1_only());
        let answer = soon(older.get(site.url("/metadata")).send()).await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.version()), (200, reqwest::Version::HTTP_11));
    }
}

#[tokio::test]
async fn tls_1_2_is_refused_where_1_3_is_the_oldest() {
    let mut plan = Plan::usual();
    plan.tls.oldest = silta::access::tls::Version::V13;
    let site = plan.start().await;
    let old = site.caller(|caller| caller.tls_version_max(reqwest::tls::Version::TLS_1_2));
    assert!(soon(old.get(site.url("/metadata")).send()).await.is_err());
    let new = site.caller(|caller| caller);
    assert_eq!(Answer::to(new.get(site.url("/metadata"))).await.status, 200);
}

#[tokio::test]
async fn plain_http_is_not_answered() {
    let site = Plan::usual().start().await;
    let mut stream = tokio::net::TcpStream::connect(site.address).await.unwrap();
    stream.write_all(b"GET /metadata HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = soon(stream.read_to_end(&mut answer)).await;
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    assert!(String::from_utf8_lossy(&site.metrics.text().unwrap()).contains("silta_tls_handshakes_failed_total 1"));
}

fn create(lengths: &str, body: &str) -> String {
    format!(
        "POST /CarePlan HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\ncontent-type: application/fhir+json\r\n\
         {lengths}\r\n{body}",
        county_secret()
    )
}

#[tokio::test]
async fn a_length_told_twice_is_refused_in_either_order() {
    let site = Plan::usual().start().await;
    let chunked = "2\r\n{}\r\n0\r\n\r\n";
    let smuggled = "GET /CarePlan/smuggled HTTP/1.1\r\nhost: localhost\r\n\r\n";
    for lengths in [
        "content-length: 6\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 6\r\n",
        "Transfer-Encoding : chunked\r\nContent-Length: 6\r\n",
    ] {
        let answer = site.exchange(&create(lengths, &format!("{chunked}{smuggled}"))).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{lengths:?} gave {answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "the connection ends there: {answer}");
    }
    assert!(site.audit.entries().iter().all(|entry| entry.id.is_none()), "nothing smuggled was asked");
}

#[tokio::test]
async fn a_length_told_twice_is_found_in_a_later_request_too() {
    let site = Plan::usual().start().await;
    let first = create("transfer-encoding: chunked\r\n", "3;name=x\r\n{ }\r\n0\r\ntrailer: y\r\n\r\n");
    let second = create("content-length: 3\r\n", "{ }");
    let third = create("content-length: 6\r\ntransfer-encoding: chunked\r\n", "2\r\n{}\r\n0\r\n\r\n");
    let answer = site.exchange(&format!("{first}{second}{third}")).await;
    assert!(answer.contains("HTTP/1.1 400 "), "{answer}");
    assert!(!answer.ends_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn requests_one_after_the_other_are_each_answered() {
    let site = Plan::usual().start().await;
    let first = create("transfer-encoding: chunked\r\n", "3;name=x\r\n{ }\r\n0\r\ntrailer: y\r\n\r\n");
    let second = create("content-length: 3\r\n", "{ }");
    let third = create("content-length: 3\r\nconnection: close\r\n", "{ }");
    let answer = site.exchange(&format!("{first}{second}{third}")).await;
    assert_eq!(answer.matches("HTTP/1.1 200 ").count(), 3, "{answer}");
}

#[tokio::test]
async fn a_flood_of_resets_ends_the_connection() {
    let site = Plan::usual().start().await;
    let mut stream = site.raw("h2").await;
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    stream.write_all(&frame(4, 0, 0, &[])).await.unwrap();
    // :method GET, :scheme https, :path /, :authority localhost
    let mut head = vec![0x82, 0x87, 0x84, 0x01, 9];
    head.extend(b"localhost");
    let mut flood = Vec::new();
    for number in 0..500_u32 {
        let stream = number * 2 + 1;
        flood.extend(frame(1, 5, stream, &head));
        flood.extend(frame(3, 0, stream, &8_u32.to_be_bytes()));
    }
    let _ = stream.write_all(&flood).await;
    let mut answer = Vec::new();
    let _ = soon(stream.read_to_end(&mut answer)).await;
    let kinds = frame_kinds(&answer);
    assert!(kinds.contains(&7), "a GOAWAY before the end: {kinds:?}");
    let other = site.county();
    assert_eq!(Answer::to(other.get(site.url("/CarePlan/1"))).await.status, 200, "others are served");
}

#[tokio::test]
async fn a_flood_of_continuations_ends_the_connection() {
    let site = Plan::usual().start().await;
    let mut stream = site.raw("h2").await;
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    stream.write_all(&frame(4, 0, 0, &[])).await.unwrap();
    let mut flood = frame(1, 1, 1, &[0x82, 0x87, 0x84]);
    let mut field = vec![0x00, 1, b'a', 0x7f, 0x81, 0x1e];
    field.resize(6 + 4000, b'b');
    for _ in 0..2000 {
        flood.extend(frame(9, 0, 1, &field));
    }
    let _ = stream.write_all(&flood).await;
    let mut answer = Vec::new();
    let _ = soon(stream.read_to_end(&mut answer)).await;
    assert!(!frame_kinds(&answer).contains(&0), "no answer with content to such a thing");
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

fn frame_kinds(mut bytes: &[u8]) -> Vec<u8> {
    let mut kinds = Vec::new();
    while bytes.len() >= 9 {
        let length = usize::from(bytes[0]) << 16 | usize::from(bytes[1]) << 8 | usize::from(bytes[2]);
        kinds.push(bytes[3]);
        bytes = bytes.get(9 + length..).unwrap_or_default();
    }
    kinds
}
