//! Organisations' systems behind one trait: adapters, their registry and their health.
//!
//! An [`Adapter`] moves native bytes: it reads, searches and submits in the provider's own format and knows nothing of
//! FHIR or of maps; translation stands above it. [`Registry`] holds one [`Connection`] a provider, whose adapter is
//! already guarded by a deadline, retries, a circuit breaker and a bulkhead ([`health`]).
//!
//! Each kind of connection is a folder of one shape: `config.rs` (its own documented settings), `adapter.rs` (the
//! trait), and files for what is peculiar to it. Adding a kind touches its folder and one table in [`registry`].

pub mod adapter;
pub mod address;
pub mod error;
pub mod fhir;
pub mod files;
pub mod health;
pub mod http;
pub mod metrics;
pub mod mllp;
pub mod random;
pub mod registry;
pub mod secret;
pub mod tls;
pub mod wait;
pub mod web;

pub use adapter::{
    Action, Adapter, Answer, BoxFuture, Capabilities, Delivery, Effect, Identifier, Interactions, Liveness, Mode,
    NativeDocument, Payload, Read, Receipt, Search,
};
pub use error::{AdapterError, Outcome, Party, Refusal, SetupError};
pub use random::Random;
pub use registry::{Connection, Recipient, Registry, Setup};
