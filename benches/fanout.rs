//! A search over several organisations against the slowest of them alone: `POST CarePlan/_search` over TLS at the real
//! program, which asks four FHIR servers that answer after 5, 10, 20 and 50 ms, translates, validates, merges and audits; and
//! the same question put to the slowest server itself. Each search is about another person, so that nothing is kept.
//!
//! `cargo bench --bench fanout [-- SEARCHES]`
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "a measurement that cannot go on says so by panicking, and prints what it saw"
)]

mod site;

use std::time::Duration;

use silta::clock::Clock;

use site::{Gateway, HETU, Provider, code, percentile};

const DELAYS: [u64; 4] = [5, 10, 20, 50];

fn main() {
    let searches = std::env::args().filter_map(|one| one.parse().ok()).next().unwrap_or(200);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(measure(searches));
}

async fn measure(searches: usize) {
    let mut providers = Vec::new();
    for delay in DELAYS {
        providers.push(Provider::start(&format!("after-{delay}-ms"), Duration::from_millis(delay)).await);
    }
    let gateway = Gateway::start(&providers);
    let (caller, clock) = (gateway.caller(), Clock::system());
    let direct = reqwest::Client::builder().no_proxy().build().unwrap();
    let slowest = providers.last().unwrap();
    let (mut alone, mut together) = (Vec::new(), Vec::new());
    let mut used = 0.0;
    for number in 0..searches + 10 {
        let form = format!("patient.identifier={HETU}%7C{}", code(number));
        let ask = |client: &reqwest::Client, url: String| {
            client.post(url).header("content-type", "application/x-www-form-urlencoded").body(form.clone()).send()
        };
        let begun = clock.instant();
        let answer = ask(&direct, format!("http://{}/r4/CarePlan/_search", slowest.address)).await.unwrap();
        assert!(answer.text().await.unwrap().contains("plan-"));
        let first = clock.instant().since(begun);
        let (begun, before) = (clock.instant(), gateway.cpu());
        let answer = ask(&caller, gateway.url("CarePlan/_search")).await.unwrap().text().await.unwrap();
        let second = clock.instant().since(begun);
        for provider in &providers {
            assert!(answer.contains(&format!("{}.plan-", provider.name)), "{answer}");
        }
        // The first ones open connections.
        if number >= 10 {
            alone.push(first);
            together.push(second);
            used += gateway.cpu() - before;
        }
    }
    alone.sort();
    together.sort();
    for (name, times) in [("the slowest alone", &alone), ("all through the gateway", &together)] {
        println!("{name:24} p50 {:>7.2?}  p99 {:>7.2?}", percentile(times, 50), percentile(times, 99));
    }
    let count = f64::from(u32::try_from(searches).unwrap());
    println!(
        "p50 of all is {:.2?} above the slowest alone; {:.0} µs CPU a search over {} servers",
        percentile(&together, 50).saturating_sub(percentile(&alone, 50)),
        used / count * 1e6,
        DELAYS.len()
    );
}
