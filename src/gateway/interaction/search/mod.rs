//! Search: `GET [base]/Type?…` and `POST [base]/Type/_search` (<http://hl7.org/fhir/R4/http.html#search>).
//!
//! A search is about somebody or something: [`anchor`] finds out whom, [`pool`] gathers what is known of it and chooses,
//! [`include`] adds what belongs to it, [`bundle`] writes it with an [`outcome`] that says who was asked.

mod anchor;
mod bundle;
mod include;
mod outcome;
mod page;
mod pool;

use std::sync::Arc;

use silta_engine::search::{Bounds, Query, Summary};

pub use self::page::{NoKey, Pages};

use super::Exchanged;
use crate::access::interaction::ResourceType;
use crate::gateway::outcome::Refusal;
use crate::gateway::request::Request;
use crate::gateway::respond::Response;

/// Matches on a page, where the caller does not say.
const PAGE: u32 = 50;

/// Matches on a page, whatever the caller says.
const LARGEST_PAGE: u32 = 200;

/// What is found, as a Bundle of type searchset.
pub(super) async fn search(exchanged: &Exchanged, request: &Request, kind: ResourceType) -> Result<Response, Refusal> {
    let federation = &exchanged.federation;
    let asked = exchanged.pages.asked(request, kind)?;
    let query = Query::parse(
        kind.name(),
        &asked.parameters,
        &request.base,
        request.received,
        request.prefer.strict,
        &Bounds::default(),
    )
    .map_err(|error| Refusal::new(error.fault(), error.to_string()))?;
    let deadline = federation.deadline(request.deadline);
    let scope = pool::Scope { federation, query: &query, mode: request.caller.mode, deadline };
    let anchored = anchor::anchor(&scope).await?;
    let mut pool = pool::gather(&scope, anchored).await?;
    let matches = pool.matches(&query);
    let count = if query.summary == Summary::Count { 0 } else { query.count.unwrap_or(PAGE).min(LARGEST_PAGE) };
    let page = page::Page::of(&matches, asked.offset, count);
    let included = include::included(&scope, &mut pool, page.keys).await?;
    let links = exchanged.pages.links(request, kind, &query, &asked, &page);
    let written = bundle::Bundle {
        base: &request.base,
        query: &query,
        pool: &pool,
        page: &page,
        included: &included,
        links: &links,
        since: asked.found.as_deref(),
        now: federation.clock.now(),
    };
    Ok(written.response())
}

/// Keys of matches, in their order.
type Keys = Vec<Arc<crate::store::ResourceKey>>;
