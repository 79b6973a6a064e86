//! Who calls and what it may do: certificates, bearer secrets, interactions, audit.
//!
//! A [`caller::Caller`] is another system, known by a client certificate or a bearer secret, with a list of the
//! [`interaction`]s it may use.

pub mod caller;
pub mod interaction;
