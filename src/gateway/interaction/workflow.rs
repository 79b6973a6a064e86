//! What changes go through: the exchange decides, commits, audits and notifies.

use std::sync::Arc;

use jiff::Timestamp;
use silta_engine::fhir::document::Document;

use crate::access::caller::Caller;
use crate::gateway::outcome::Refusal;
use crate::gateway::request::{Content, RequestId};
use crate::gateway::respond::Response;
use crate::gateway::service::BoxFuture;
use crate::store::{IdentifierQuery, PersonId};

/// Changes, on behalf of a caller.
pub trait Workflow: Send + Sync {
    /// Takes a new resource, with what follows from it.
    ///
    /// # Errors
    /// What is wrong with it, or that it cannot be taken now; nothing is kept then.
    fn create<'a>(&'a self, new: NewResource<'a>) -> BoxFuture<'a, Result<Changed, Refusal>>;

    /// Makes a new version of a Task.
    ///
    /// # Errors
    /// What is wrong with it, that the version is not the current one, or that it cannot be taken now.
    fn update_task<'a>(&'a self, change: Change<'a>) -> BoxFuture<'a, Result<Changed, Refusal>>;
}

/// A resource to be made.
pub struct NewResource<'a> {
    /// The resource, as the caller sent it.
    pub document: Arc<Document>,
    /// `If-None-Exist`: nothing of the type may bear this identifier.
    pub none_exist: Option<IdentifierQuery>,
    /// Who sent it.
    pub caller: &'a Caller,
    /// In which request.
    pub request: &'a RequestId,
}

/// A Task to be changed.
pub struct Change<'a> {
    /// The Task, as the caller sent it.
    pub document: Arc<Document>,
    /// Its id.
    pub id: &'a str,
    /// The version that it was made on.
    pub if_match: u64,
    /// Who sent it.
    pub caller: &'a Caller,
    /// In which request.
    pub request: &'a RequestId,
}

/// A change that was made.
pub struct Changed {
    /// The resource as it is now.
    pub document: Arc<Document>,
    /// Its version.
    pub version: u64,
    /// When it was made.
    pub last_modified: Timestamp,
    /// Whose data it is.
    pub persons: Vec<PersonId>,
    /// It was there already (`If-None-Exist`), and nothing was changed or audited.
    pub existed: bool,
}

impl Changed {
    /// The answer, with as much of the resource as the caller prefers.
    pub(super) fn response(self, status: hyper::StatusCode, content: Content) -> Response {
        let root = self.document.root();
        let location =
            format!("{}/{}/_history/{}", root.type_name(), root.text_at("id").unwrap_or_default(), self.version);
        let mut response = match content {
            Content::Minimal => Response::empty(status),
            Content::Unstated | Content::Representation => Response::new(status, self.document.json().to_owned()),
            Content::Outcome => Response::new(status, super::document::all_well()),
        };
        response.version = Some(self.version.to_string());
        response.last_modified = Some(self.last_modified);
        response.location = Some(location);
        response.persons = self.persons;
        response.audited = true;
        response
    }
}
