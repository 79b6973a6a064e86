//! Silta, a FHIR R4 / HL7 interoperability gateway.
//!
//! This file is the map. `engine` (a package of its own) is pure; the modules here do I/O around it. Each may use what
//! stands above it in this list and the engine: [`clock`], [`telemetry`], [`store`] and [`provider`], [`access`],
//! [`exchange`], [`gateway`], [`config`], [`command`].

/// Messages and requests are taken on one thread and given back on another, which the system's allocator does at a price.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

pub mod access;
pub mod clock;
pub mod command;
pub mod config;
pub mod exchange;
pub mod gateway;
pub mod provider;
pub mod store;
pub mod telemetry;
