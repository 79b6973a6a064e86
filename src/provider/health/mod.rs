//! What stands between the gateway and every adapter: a deadline, retries with jittered backoff, a circuit breaker and a
//! bulkhead.
//!
//! [`Guarded`] is itself an [`Adapter`](super::Adapter), so that nothing above can reach a provider unguarded. In the order of a
//! request: mode check, bulkhead (bounded concurrency, bounded waiting), breaker, attempt, and, where the failure is
//! passing and another attempt cannot act twice, a pause and another attempt within the same deadline.

mod breaker;
mod config;
mod guarded;

pub use breaker::{Breaker, State, Ticket};
pub use config::Config;
pub use guarded::{Guarded, Health};
