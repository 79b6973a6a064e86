//! What is written down of every disclosure and every refusal.

use std::future::Future;
use std::pin::Pin;

use jiff::Timestamp;

use super::interaction::{Action, ResourceType};
use crate::store::{AuditTarget, Commit, NewAudit, PersonId, Ref, ResourceKey, Store, Write};

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

/// The audit in the store: a row for each person whose data was given, all in one commit.
#[derive(Debug, Clone)]
pub struct ToStore(
    /// The store.
    pub Store,
);

impl Audit for ToStore {
    fn record(&self, entry: Entry) -> Pin<Box<dyn Future<Output = Result<(), AuditFailed>> + Send + '_>> {
        Box::pin(async move {
            let target = self.target(&entry);
            let rows = match entry.persons.as_slice() {
                [] => vec![None],
                persons => persons.iter().map(|person| Some(Ref::Known(*person))).collect(),
            };
            let mut commit = Commit::new();
            for person in rows {
                commit.write(Write::Audit(NewAudit {
                    time: entry.time,
                    who: entry.caller.clone().unwrap_or_default(),
                    interaction: word(entry.action).to_owned(),
                    target: target.clone(),
                    person,
                    providers: entry.providers.clone(),
                    outcome: entry.outcome.to_owned(),
                    request: entry.request.clone(),
                }));
            }
            self.0.commit(commit).await.map(drop).map_err(|_| AuditFailed)
        })
    }
}

/// The interaction's code (<http://hl7.org/fhir/R4/valueset-type-restful-interaction.html>), or our word for it.
fn word(action: Option<Action>) -> &'static str {
    action.map_or("unknown", |action| action.declared().unwrap_or(action.word()))
}

impl ToStore {
    fn target(&self, entry: &Entry) -> AuditTarget {
        let kind = entry.resource_type.map_or("", ResourceType::name);
        match &entry.id {
            Some(id) => AuditTarget::Resource(ResourceKey::new(kind, id)),
            None if entry.action == Some(Action::Search) => {
                let mut sorted: Vec<&(String, String)> = entry.parameters.iter().collect();
                sorted.sort();
                let texts: Vec<&str> =
                    sorted.into_iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]).collect();
                AuditTarget::Query { resource_type: kind.to_owned(), hash: self.0.keyed_hash(&texts) }
            }
            None => AuditTarget::None,
        }
    }
}
