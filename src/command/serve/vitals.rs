//! The store's numbers, as metrics.

use std::time::Duration;

use crate::clock::Clock;
use crate::store::{Health, Store};
use crate::telemetry::metrics::{MetricError, Metrics};

/// How often they are asked for.
const EVERY: Duration = Duration::from_secs(5);

/// Registers the gauges; what is given back keeps them up to date as long as it runs.
///
/// # Errors
/// When a name is taken.
pub(super) fn watch(
    store: Store,
    metrics: &Metrics,
    clock: Clock,
) -> Result<impl Future<Output = ()> + Send + 'static + use<>, MetricError> {
    let open = metrics.gauge("silta_store_open", "Whether the store takes work (1) or is full or closed (0)")?;
    let waiting = metrics.gauge("silta_store_commits_waiting", "Commits waiting for the writer")?;
    let waiting_bytes = metrics.gauge("silta_store_bytes_waiting", "Bytes in commits waiting for the writer")?;
    let reads = metrics.gauge("silta_store_reads_waiting", "Reads waiting for a connection")?;
    let commits = metrics.gauge("silta_store_commits", "Commits made since the start")?;
    let groups = metrics.gauge("silta_store_transactions", "Transactions since the start, of one or more commits")?;
    let refusals = metrics.gauge("silta_store_commits_refused", "Commits refused since the start")?;
    let wal = metrics.gauge("silta_store_log_bytes", "Size of the write-ahead log in use")?;
    let database = metrics.gauge("silta_store_database_bytes", "Size of the database")?;
    let outbox = metrics.gauge("silta_outbox_messages", "Messages in the outbox, due or in flight")?;
    let oldest = metrics.gauge("silta_outbox_oldest_seconds", "Age of the oldest message in the outbox")?;
    let dead = metrics.gauge("silta_outbox_dead_messages", "Messages given up")?;
    let notices = metrics.gauge("silta_operator_notices", "Open entries of the operators' queue")?;
    Ok(async move {
        let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let count = |value: usize| i64::try_from(value).unwrap_or(i64::MAX);
        loop {
            open.set(i64::from(store.health() == Health::Open));
            if let Ok(stats) = store.stats().await {
                waiting.set(count(stats.waiting_commits));
                waiting_bytes.set(count(stats.waiting_bytes));
                reads.set(count(stats.waiting_reads));
                commits.set(number(stats.commits));
                groups.set(number(stats.groups));
                refusals.set(number(stats.refusals));
                wal.set(number(stats.wal_bytes));
                database.set(number(stats.database_bytes));
                outbox.set(number(stats.outbox_open));
                dead.set(number(stats.outbox_dead));
                notices.set(number(stats.notices_open));
                let age = stats.outbox_oldest.map_or(0, |since| clock.now().duration_since(since).as_secs());
                oldest.set(age);
            }
            clock.sleep(EVERY).await;
        }
    })
}
