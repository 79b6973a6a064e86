//! Waiting for what must come, without guessing how long it takes.

use std::future::Future;

use silta::clock::Clock;

/// A hand-moved clock.
pub(crate) fn manual() -> Clock {
    Clock::manual("2026-02-03T08:00:00Z".parse().unwrap())
}

/// Lets everything else run until `holds`; fails the test when it does not come about.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let patience = Clock::system();
    let end = patience.instant().after(std::time::Duration::from_secs(20));
    while !holds() {
        assert!(patience.instant() < end, "waited in vain until {what}");
        tokio::task::yield_now().await;
    }
}

/// Runs `work` and fails the test when it takes longer than any machine needs.
pub(crate) async fn soon<T>(work: impl Future<Output = T>) -> T {
    let patience = Clock::system();
    let end = patience.instant().after(std::time::Duration::from_secs(20));
    patience.deadline(end, work).await.expect("this should have come about long ago")
}
