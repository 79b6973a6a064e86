//! What is written down of every disclosure and every refusal.

use std::future::Future;
use std::pin::Pin;

use jiff::Timestamp;

use super::interaction::{Action, ResourceType};
use crate::store::PersonId;

/// One fact for the audit: who asked for what, about whom, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When.
    pub time: Timestamp,
    /// The caller's name; none when it is not known who called.
    pub caller: Option<String>,
    /// The request's id, as in the logs.
    pub request: String,
    /// What was asked; none when the request could not be understood.
    pub action: Option<Action>,
    /// On which type.
    pub resource_type: Option<ResourceType>,
    /// On which resource.
    pub id: Option<String>,
    /// With which parameters, in order. They may hold an identity code: only a keyed hash of them is kept.
    pub parameters: Vec<(String, String)>,
    /// Whose data was given.
    pub persons: Vec<PersonId>,
    /// Which providers were asked.
    pub providers: Vec<String>,
    /// `success`, or the issue code of the refusal.
    pub outcome: &'static str,
}

/// The audit could not be written, so nothing may be disclosed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the audit cannot be written")]
pub struct AuditFailed;

/// Where the audit goes.
pub trait Audit: Send + Sync {
    /// Writes it down; done when it is durable.
    ///
    /// # Errors
    /// When it is not durable: what it tells of must then not happen.
    fn record(&self, entry: Entry) -> Pin<Box<dyn Future<Output = Result<(), AuditFailed>> + Send + '_>>;
}

/// An audit in the log, at level info under `audit`: durable only as far as the log is. For tries on one machine, where
/// nothing is stored.
#[derive(Debug, Clone, Copy, Default)]
pub struct ToLog;

impl Audit for ToLog {
    fn record(&self, entry: Entry) -> Pin<Box<dyn Future<Output = Result<(), AuditFailed>> + Send + '_>> {
        tracing::info!(
            target: "audit",
            caller = entry.caller.as_deref().unwrap_or("-"),
            request = entry.request,
            interaction = entry.action.map_or("-", Action::word),
            resource_type = entry.resource_type.map_or("-", ResourceType::name),
            outcome = entry.outcome,
        );
        Box::pin(std::future::ready(Ok(())))
    }
}
