//! `[providers.NAME.mllp]`.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::framing::LIMIT;
use crate::provider::wait::Wait;
use crate::provider::{Interactions, tls};

/// Sending HL7 v2 messages to a provider's listener.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Host and port of the provider's listener: `"hl7.hospital.example:6661"`.
    pub address: String,
    /// TLS towards it.
    pub tls: Option<tls::Config>,
    /// Speak without TLS to a host that is not this machine.
    #[serde(default)]
    pub plaintext: bool,
    /// What may be sent, by FHIR resource type: `ServiceRequest = { create = true, update = true }`. Reading and
    /// searching are not offered over MLLP.
    #[serde(default)]
    pub types: BTreeMap<String, Interactions>,
    /// How many connections at most; each has one message under way. Order between connections is not kept.
    #[serde(default = "one")]
    pub connections: usize,
    /// A connection unused for so long is closed before the next message rather than trusted.
    #[serde(default = "five_minutes")]
    pub idle: Wait,
    /// Where the answers of the provider's application come (MSH-16): on its own connection to our listener, or on the
    /// one that the message went out on.
    #[serde(default)]
    pub application_answer: ApplicationAnswer,
    /// How long to listen for a refusal when the message asks to be told of errors only (MSH-15 = ER).
    #[serde(default = "one_second")]
    pub error_window: Wait,
    /// The largest answer, in bytes.
    #[serde(default = "limit")]
    pub frame_limit: usize,
}

/// Where application acknowledgements in enhanced mode come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ApplicationAnswer {
    /// As a message to our listener; a commit acknowledgement ends the delivery.
    #[default]
    Separate,
    /// On the same connection, after the commit acknowledgement where there is one.
    SameConnection,
}

const fn one() -> usize {
    1
}
const fn five_minutes() -> Wait {
    Wait::seconds(300)
}
const fn one_second() -> Wait {
    Wait::seconds(1)
}
const fn limit() -> usize {
    LIMIT
}
