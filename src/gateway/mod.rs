//! The FHIR interface: listener, interactions, federation, cache, answers.
//!
//! HTTP becomes a [`request::Request`], an implementation of [`service::Interactions`] makes a [`respond::Response`] or
//! an [`outcome::Refusal`] of it, and [`respond`] makes HTTP of that again.

pub mod outcome;
pub mod request;
pub mod respond;
pub mod service;
