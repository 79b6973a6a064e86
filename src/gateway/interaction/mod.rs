//! The interactions of the interface, one in each file.
//!
//! <http://hl7.org/fhir/R4/http.html>

mod convert;
mod create;
mod document;
mod offers;
mod read;
mod ready;
mod search;
mod update;
mod validate;
mod version_read;
mod workflow;

use std::sync::Arc;

use silta_engine::fault::Fault;
use silta_engine::validation::Validator;

pub use self::convert::Converter;
pub(super) use self::convert::taken;
use self::ready::Ready;
pub use self::search::{NoKey, Pages};
pub use self::workflow::{Change, Changed, NewResource, Workflow};
use super::cache::Failure;
use super::federation::Federation;
use super::outcome::Refusal;
use super::request::{Interaction, Request};
use super::respond::Response;
use super::service::{BoxFuture, Interactions, Offers};

/// Reads and searches over the federation, and changes through the workflow.
pub struct Exchanged {
    offers: Offers,
    federation: Arc<Federation>,
    workflow: Arc<dyn Workflow>,
    pages: Pages,
    validator: Arc<Validator>,
    converter: Option<Converter>,
    ready: Ready,
}

impl Exchanged {
    /// The interactions over these parts; `$validate` judges by this validator.
    #[must_use]
    pub fn new(
        federation: Arc<Federation>,
        workflow: Arc<dyn Workflow>,
        pages: Pages,
        validator: Arc<Validator>,
    ) -> Self {
        let ready = Ready::new(federation.cache_bytes());
        Self { offers: offers::offers(), federation, workflow, pages, validator, converter: None, ready }
    }

    /// Converting documents too.
    #[must_use]
    pub fn converting(mut self, converter: Converter) -> Self {
        self.offers.operations.push((convert::NAME.to_owned(), convert::DEFINITION.to_owned()));
        Self { converter: Some(converter), ..self }
    }
}

impl Interactions for Exchanged {
    fn offers(&self) -> &Offers {
        &self.offers
    }

    fn ready(&self, request: &Request) -> Option<Response> {
        match &request.interaction {
            Interaction::Read(kind, id) => read::ready(self, request, *kind, id),
            _ => None,
        }
    }

    fn handle<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Result<Response, Refusal>> {
        match &request.interaction {
            Interaction::Read(kind, id) => Box::pin(read::read(self, request, *kind, id)),
            Interaction::VersionRead(kind, id, version) => {
                Box::pin(version_read::version_read(self, request, *kind, id, version))
            }
            Interaction::Search(Some(kind)) => Box::pin(search::search(self, request, *kind)),
            Interaction::Create(kind) => Box::pin(create::create(self, request, *kind)),
            Interaction::Update(kind, Some(id)) => Box::pin(update::update(self, request, *kind, id)),
            Interaction::Operation(Some(kind), id, name) if name == validate::NAME => {
                Box::pin(validate::validate(self, request, *kind, id.as_ref()))
            }
            Interaction::Operation(None, None, name) if name == convert::NAME => match &self.converter {
                Some(converter) => Box::pin(converter.convert(request)),
                None => Box::pin(std::future::ready(Err(Refusal::new(Fault::MethodNotSupported, "not offered here")))),
            },
            other => {
                let text = format!("{} is not offered in this form", other.action());
                Box::pin(std::future::ready(Err(Refusal::new(Fault::MethodNotSupported, text))))
            }
        }
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        let refusal = Self::new(failure.fault, failure.text);
        match failure.retry_after {
            Some(wait) => refusal.retry_after(wait),
            None => refusal,
        }
    }
}
