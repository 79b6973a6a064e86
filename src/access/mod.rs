//! Who calls and what it may do: certificates, bearer secrets, interactions, audit.
//!
//! A [`caller::Caller`] is another system, known by a client certificate or a bearer [`secret`], with a list of the
//! [`interaction`]s it may use. [`callers`] makes one of credentials; [`tls`] is how its connections are secured, with an
//! [`authority`] of our own for development; [`audit`] is what is written down of what it was given and refused.

pub mod audit;
pub mod authority;
pub mod caller;
pub mod callers;
pub mod certificate;
pub mod config;
pub mod interaction;
pub mod secret;
pub mod tls;
