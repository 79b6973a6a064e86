//! What stands behind the interface: the interactions, and what they say they offer.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;

use super::outcome::Refusal;
use super::request::Request;
use super::respond::Response;
use crate::access::interaction::{Action, ResourceType};

/// A future in a box, so that traits with asynchronous functions can be objects.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The interactions of the interface.
pub trait Interactions: Send + Sync {
    /// What is offered: made once, at start. A request for anything else is answered before it comes here, and the
    /// CapabilityStatement is made of it.
    fn offers(&self) -> &Offers;

    /// The answer, where it is ready: made before and known to be the same still. Does not wait for anything.
    fn ready(&self, request: &Request) -> Option<Response> {
        let _ = request;
        None
    }

    /// Does what is asked. Runs as a task of its own: it goes on when the caller hangs up, and when the deadline in the
    /// request passes for an interaction that is not safe.
    ///
    /// # Errors
    /// A [`Refusal`] says what the caller is told instead.
    fn handle<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Result<Response, Refusal>>;
}

/// Rules on what this requester may be given: consent, scopes, redaction. Everything before the cache is the same for
/// everyone; this is what is not.
pub trait Policy: Send + Sync {
    /// Before anything is done for the request.
    ///
    /// # Errors
    /// A [`Refusal`] says what the caller is told instead.
    fn admit<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Result<(), Refusal>>;

    /// After the answer is made and before it is written and audited: takes out what this requester may not see.
    ///
    /// # Errors
    /// A [`Refusal`] says what the caller is told instead.
    fn redact<'a>(&'a self, request: &'a Request, response: Response) -> BoxFuture<'a, Result<Response, Refusal>>;
}

/// No rule beyond the caller's list of interactions.
#[derive(Debug, Clone, Copy, Default)]
pub struct ListOnly;

impl Policy for ListOnly {
    fn admit<'a>(&'a self, _: &'a Request) -> BoxFuture<'a, Result<(), Refusal>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn redact<'a>(&'a self, _: &'a Request, response: Response) -> BoxFuture<'a, Result<Response, Refusal>> {
        Box::pin(std::future::ready(Ok(response)))
    }
}

/// What is offered, by type.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Offers {
    /// Types and what is offered on each.
    pub types: BTreeMap<ResourceType, Offer>,
    /// Operations on the whole system: name without `$` and canonical URL of the definition.
    pub operations: Vec<(String, String)>,
    /// Operations on every type and its resources, also where nothing else is offered on it: name without `$` and
    /// canonical URL of the definition.
    pub everywhere: Vec<(String, String)>,
    /// Whether a batch or a transaction is taken.
    pub batch: bool,
}

/// What is offered on one type.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Offer {
    /// The interactions.
    pub actions: Vec<Action>,
    /// Canonical URLs of profiles that its resources follow.
    pub profiles: Vec<String>,
    /// Search parameters.
    pub parameters: Vec<SearchParameter>,
    /// `_include` values, such as `CarePlan:activity-reference`.
    pub includes: Vec<String>,
    /// `_revinclude` values, such as `Task:focus`.
    pub reverse_includes: Vec<String>,
    /// Whether a create may be conditional (`If-None-Exist`).
    pub conditional_create: bool,
    /// Whether a change must name the version it is made on (`If-Match`).
    pub version_aware: bool,
    /// Operations on the type or its resources: name without `$` and canonical URL of the definition.
    pub operations: Vec<(String, String)>,
}

/// A search parameter that is offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchParameter {
    /// Its name in a query.
    pub name: &'static str,
    /// Its type (<http://hl7.org/fhir/R4/valueset-search-param-type.html>).
    pub kind: &'static str,
    /// The canonical URL of its definition.
    pub definition: Option<&'static str>,
}

impl Offers {
    /// What is offered on the type.
    #[must_use]
    pub fn on(&self, kind: ResourceType) -> Option<&Offer> {
        self.types.get(&kind)
    }
}
