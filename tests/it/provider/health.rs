//! Deadline, retries, circuit breaker and bulkhead, on a hand-moved clock around an adapter that does as it is told.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use silta::clock::{Clock, Instant};
use silta::provider::health::{Breaker, Config, Guarded, State, Ticket};
use silta::provider::metrics::Metrics;
use silta::provider::wait::Wait;
use silta::provider::{
    Action, Adapter, AdapterError, Answer, BoxFuture, Capabilities, Delivery, Effect, Liveness, Mode, NativeDocument,
    Random, Read, Receipt, Search,
};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::{delivery, in_a_minute, read, update};
use crate::support::time::{manual, soon, until};

/// What the adapter does next.
enum Deed {
    Fail(AdapterError),
    Succeed,
    /// Wait to be released, then succeed.
    Hold,
    Never,
}

struct Puppet {
    capabilities: Capabilities,
    deeds: Mutex<VecDeque<Deed>>,
    calls: Mutex<u32>,
    release: Notify,
    repeatable: bool,
}

impl Puppet {
    async fn act<T>(&self, done: T) -> Result<T, AdapterError> {
        *self.calls.lock().unwrap() += 1;
        let deed = self.deeds.lock().unwrap().pop_front();
        match deed {
            None | Some(Deed::Succeed) => Ok(done),
            Some(Deed::Fail(error)) => Err(error),
            Some(Deed::Never) => std::future::pending().await,
            Some(Deed::Hold) => {
                self.release.notified().await;
                Ok(done)
            }
        }
    }
}

impl Adapter for Puppet {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn read<'a>(&'a self, _: &'a Read, _: Instant) -> BoxFuture<'a, Result<NativeDocument, AdapterError>> {
        let document = NativeDocument {
            bytes: "{}".to_owned().into(),
            media_type: "application/json".to_owned(),
            kind: None,
            native_id: None,
            url: None,
            version: None,
            last_modified: None,
            fetched_at: "2026-02-03T08:00:00Z".parse().unwrap(),
        };
        Box::pin(self.act(document))
    }

    fn search<'a>(&'a self, _: &'a Search, _: Instant) -> BoxFuture<'a, Result<Answer, AdapterError>> {
        Box::pin(self.act(Answer { documents: vec![], unusable: vec![], not_searched: vec![], complete: true }))
    }

    fn submit<'a>(&'a self, _: &'a Delivery, _: Instant) -> BoxFuture<'a, Result<Receipt, AdapterError>> {
        let receipt = Receipt {
            effect: Effect::Applied,
            created: true,
            native_id: None,
            version: None,
            returned: None,
            answer: None,
        };
        Box::pin(self.act(receipt))
    }

    fn repeatable(&self, _: &Delivery) -> bool {
        self.repeatable
    }
}

struct Stage {
    clock: Clock,
    puppet: Arc<Puppet>,
    guarded: Arc<Guarded>,
    registry: prometheus::Registry,
}

fn stage(config: Config, repeatable: bool, deeds: Vec<Deed>) -> Stage {
    let (clock, registry) = (manual(), prometheus::Registry::new());
    let puppet = Arc::new(Puppet {
        capabilities: Capabilities { liveness: Liveness::Live, types: BTreeMap::new() },
        deeds: Mutex::new(deeds.into()),
        calls: Mutex::new(0),
        release: Notify::new(),
        repeatable,
    });
    let handles = Metrics::register(&registry).unwrap().of("county");
    let inner = Arc::clone(&puppet) as Arc<dyn Adapter>;
    let guarded = Guarded::new(inner, "county", Mode::Test, config, clock.clone(), Random::seeded(7), handles).unwrap();
    Stage { clock, puppet, guarded: Arc::new(guarded), registry }
}

impl Stage {
    fn calls(&self) -> u32 {
        *self.puppet.calls.lock().unwrap()
    }

    fn reading(&self) -> JoinHandle<Result<NativeDocument, AdapterError>> {
        let (guarded, deadline) = (Arc::clone(&self.guarded), in_a_minute(&self.clock));
        tokio::spawn(async move { guarded.read(&read("CarePlan", "1"), deadline).await })
    }

    fn submitting(&self) -> JoinHandle<Result<Receipt, AdapterError>> {
        let (guarded, deadline) = (Arc::clone(&self.guarded), in_a_minute(&self.clock));
        tokio::spawn(async move { guarded.submit(&delivery("Task", update("1", None), "{}"), deadline).await })
    }

    /// Moves the clock past every backoff until the work is done.
    async fn through<T>(&self, work: JoinHandle<T>) -> T {
        until("it is done or waits", || work.is_finished() || self.clock.sleepers() > 0).await;
        while !work.is_finished() {
            self.clock.advance(Duration::from_millis(50));
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
        }
        work.await.unwrap()
    }

    fn count(&self, name: &str, label: &str) -> f64 {
        let families = self.registry.gather();
        let metrics = families.iter().filter(|family| family.name() == name).flat_map(|family| family.get_metric());
        metrics
            .filter(|metric| label.is_empty() || metric.get_label().iter().any(|pair| pair.value() == label))
            .map(|metric| metric.get_counter().get_value() + metric.get_gauge().get_value())
            .sum()
    }
}

fn unreachable() -> Deed {
    Deed::Fail(AdapterError::Unreachable { what: "refused".to_owned() })
}

fn interrupted() -> Deed {
    Deed::Fail(AdapterError::Interrupted { what: "reset".to_owned() })
}

#[tokio::test]
async fn a_read_is_tried_again_after_passing_failures() {
    let stage = stage(Config::default(), false, vec![unreachable(), interrupted(), Deed::Succeed]);
    stage.through(stage.reading()).await.unwrap();
    assert_eq!(stage.calls(), 3);
    assert_eq!(stage.count("silta_provider_retries_total", ""), 2.0);
    assert_eq!(stage.count("silta_provider_requests_total", "ok"), 1.0);
}

#[tokio::test]
async fn attempts_end_at_their_number() {
    let stage = stage(Config::default(), false, vec![unreachable(), unreachable(), unreachable(), Deed::Succeed]);
    assert!(stage.through(stage.reading()).await.is_err());
    assert_eq!(stage.calls(), 3);
}

#[tokio::test]
async fn what_the_provider_decided_is_not_asked_again() {
    let stage = stage(Config::default(), true, vec![Deed::Fail(AdapterError::NotFound)]);
    assert!(matches!(stage.through(stage.reading()).await, Err(AdapterError::NotFound)));
    assert_eq!(stage.calls(), 1);
}

#[tokio::test]
async fn a_submission_with_unknown_outcome_is_repeated_only_where_that_cannot_act_twice() {
    let once = stage(Config::default(), false, vec![interrupted(), Deed::Succeed]);
    assert!(once.through(once.submitting()).await.is_err());
    assert_eq!(once.calls(), 1);
    let safe = stage(Config::default(), true, vec![interrupted(), Deed::Succeed]);
    safe.through(safe.submitting()).await.unwrap();
    assert_eq!(safe.calls(), 2);
    let not_done = stage(Config::default(), false, vec![unreachable(), Deed::Succeed]);
    not_done.through(not_done.submitting()).await.unwrap();
    assert_eq!(not_done.calls(), 2);
}

#[tokio::test]
async fn a_pause_that_the_provider_asks_for_is_kept_and_one_beyond_the_deadline_is_not_waited_for() {
    let overloaded = |seconds| {
        let retry_after = Some(Duration::from_secs(seconds));
        Deed::Fail(AdapterError::Overloaded { status: "503".to_owned(), retry_after, answer: None })
    };
    let short = stage(Config::default(), false, vec![overloaded(4), Deed::Succeed]);
    let work = short.reading();
    until("it pauses", || short.clock.sleepers() > 0).await;
    short.clock.advance(Duration::from_millis(3990));
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    assert_eq!(short.calls(), 1);
    short.clock.advance(Duration::from_millis(10));
    soon(work).await.unwrap().unwrap();

    let long = stage(Config::default(), false, vec![overloaded(11), Deed::Succeed]);
    assert!(matches!(soon(long.reading()).await.unwrap(), Err(AdapterError::Overloaded { .. })));
}

#[tokio::test]
async fn the_deadline_ends_a_request_that_hangs() {
    let stage = stage(Config::default(), true, vec![Deed::Never]);
    let work = stage.reading();
    until("it hangs", || stage.clock.sleepers() > 0).await;
    stage.clock.advance(Duration::from_secs(10));
    assert!(matches!(soon(work).await.unwrap(), Err(AdapterError::TimedOut { sent: true })));
    assert_eq!(stage.count("silta_provider_requests_total", "timeout"), 1.0);
    assert_eq!(stage.guarded.health().in_flight, 0);
}

#[tokio::test]
async fn the_breaker_opens_after_failures_in_a_row_lets_one_through_and_closes_when_that_succeeds() {
    let config = Config { attempts: 1, failures: 3, ..Config::default() };
    let deeds = vec![unreachable(), unreachable(), unreachable(), unreachable(), Deed::Hold];
    let stage = stage(config, true, deeds);
    for _ in 0..3 {
        assert!(matches!(soon(stage.reading()).await.unwrap(), Err(AdapterError::Unreachable { .. })));
    }
    assert_eq!(stage.guarded.health().breaker, State::Open);
    assert_eq!(stage.count("silta_provider_breaker", ""), 2.0);
    let error = soon(stage.reading()).await.unwrap().unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(10)));
    assert_eq!(stage.calls(), 3, "an open breaker lets nothing through");

    stage.clock.advance(Duration::from_secs(10));
    assert!(matches!(soon(stage.reading()).await.unwrap(), Err(AdapterError::Unreachable { .. })));
    assert_eq!(stage.guarded.health().breaker, State::Open, "the one that was let through failed");

    stage.clock.advance(Duration::from_secs(10));
    let probe = stage.reading();
    until("the one that is let through is under way", || stage.calls() == 5).await;
    assert_eq!(stage.guarded.health().breaker, State::HalfOpen);
    assert!(matches!(soon(stage.reading()).await.unwrap(), Err(AdapterError::CircuitOpen { .. })));
    stage.puppet.release.notify_one();
    soon(probe).await.unwrap().unwrap();
    assert_eq!(stage.guarded.health().breaker, State::Closed);
    soon(stage.reading()).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_cancelled_look_at_a_failing_provider_leaves_room_for_the_next() {
    let config = Config { attempts: 1, failures: 1, ..Config::default() };
    let stage = stage(config, true, vec![unreachable(), Deed::Hold]);
    assert!(soon(stage.reading()).await.unwrap().is_err());
    stage.clock.advance(Duration::from_secs(10));
    let probe = stage.reading();
    until("it is under way", || stage.calls() == 2).await;
    probe.abort();
    assert!(soon(probe).await.is_err());
    soon(stage.reading()).await.unwrap().unwrap();
    assert_eq!(stage.guarded.health().breaker, State::Closed);
}

#[tokio::test]
async fn refusals_do_not_open_the_breaker() {
    let config = Config { failures: 1, ..Config::default() };
    let stage = stage(config, true, (0..5).map(|_| Deed::Fail(AdapterError::NotFound)).collect());
    for _ in 0..5 {
        assert!(matches!(soon(stage.reading()).await.unwrap(), Err(AdapterError::NotFound)));
    }
    assert_eq!(stage.guarded.health().breaker, State::Closed);
}

#[tokio::test]
async fn a_full_bulkhead_lets_some_wait_and_refuses_the_rest() {
    let config = Config { concurrent: 1, waiting: 1, ..Config::default() };
    let stage = stage(config, true, vec![Deed::Hold]);
    let first = stage.reading();
    until("the first is under way", || stage.calls() == 1).await;
    let second = stage.reading();
    until("the second waits", || stage.guarded.health().waiting == 1).await;
    assert!(matches!(soon(stage.reading()).await.unwrap(), Err(AdapterError::Busy)));
    stage.puppet.release.notify_one();
    soon(first).await.unwrap().unwrap();
    soon(second).await.unwrap().unwrap();
    assert_eq!(stage.count("silta_provider_requests_total", "busy"), 1.0);
    assert_eq!(stage.count("silta_provider_in_flight", ""), 0.0);
}

#[tokio::test]
async fn waiting_for_a_turn_has_an_end() {
    let config = Config { concurrent: 1, waiting: 1, ..Config::default() };
    let stage = stage(config, true, vec![Deed::Hold]);
    let first = stage.reading();
    until("the first is under way", || stage.calls() == 1).await;
    let second = stage.reading();
    until("the second waits", || stage.guarded.health().waiting == 1 && stage.clock.sleepers() == 2).await;
    stage.clock.advance(Duration::from_secs(2));
    assert!(matches!(soon(second).await.unwrap(), Err(AdapterError::Busy)));
    stage.puppet.release.notify_one();
    soon(first).await.unwrap().unwrap();
    assert_eq!(stage.guarded.health().waiting, 0);
}

#[tokio::test]
async fn test_data_never_leaves_for_a_provider_of_the_other_mode() {
    let stage = stage(Config::default(), true, vec![]);
    let wrong = Delivery { mode: Mode::Production, ..delivery("Task", Action::Create, "{}") };
    let error = stage.guarded.submit(&wrong, in_a_minute(&stage.clock)).await.unwrap_err();
    assert!(matches!(error, AdapterError::WrongMode));
    assert_eq!(stage.calls(), 0);
    soon(stage.submitting()).await.unwrap().unwrap();
    assert_eq!(stage.calls(), 1);
}

#[test]
fn the_pause_before_another_attempt_is_random_and_bounded() {
    let random = Random::seeded(1);
    let numbers: Vec<u64> = (0..1000).map(|_| random.below(100)).collect();
    assert!(numbers.iter().all(|n| *n < 100));
    assert!(numbers.iter().any(|n| *n < 10) && numbers.iter().any(|n| *n >= 90));
    assert_eq!(random.below(0), 0);
}

#[test]
fn lengths_of_time_are_written_with_their_unit() {
    let config: Config = toml::from_str("deadline = '1m 30s'\nbackoff = '250ms'\nopen = 'PT5S'").unwrap();
    assert_eq!(config.deadline, Wait(Duration::from_secs(90)));
    assert_eq!((config.backoff, config.open), (Wait::millis(250), Wait::seconds(5)));
    for wrong in ["deadline = '10'", "deadline = 10", "deadline = '-1s'", "dead_line = '1s'"] {
        assert!(toml::from_str::<Config>(wrong).is_err(), "{wrong}");
    }
}

proptest::proptest! {
    #[test]
    fn a_breaker_lets_at_most_one_through_while_it_is_not_closed(
        threshold in 1_u32..4,
        steps in proptest::collection::vec((0_u8..5, 0_u64..4), 0..80),
    ) {
        let clock = manual();
        let mut breaker = Breaker::new(threshold, Duration::from_secs(3));
        let mut out: Vec<Ticket> = Vec::new();
        let mut probe = false;
        for (deed, seconds) in steps {
            clock.advance(Duration::from_secs(seconds));
            let now = clock.instant();
            let before = breaker.state();
            match deed {
                0 | 1 => {
                    let entered = breaker.enter(now);
                    proptest::prop_assert!(before != State::Closed || entered.is_ok());
                    proptest::prop_assert!(before != State::HalfOpen || entered.is_err());
                    if before == State::Open && entered.is_ok() {
                        proptest::prop_assert!(!probe);
                        probe = true;
                    }
                    out.extend(entered);
                }
                _ if out.is_empty() => {}
                2 => breaker.succeeded(&out.swap_remove(0)),
                3 => breaker.failed(&out.swap_remove(0), now),
                _ => breaker.abandoned(&out.swap_remove(0), now),
            }
            probe &= breaker.state() == State::HalfOpen;
            proptest::prop_assert_eq!(probe, breaker.state() == State::HalfOpen);
            proptest::prop_assert!(breaker.state() != State::Closed || breaker.failures() < threshold);
        }
    }
}
