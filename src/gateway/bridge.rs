//! The exchange behind the interface: it translates what providers answer, and makes the changes that callers ask for.

use std::sync::Arc;

use crate::access::caller::{Caller, Mode};
use crate::clock::Clock;
use crate::exchange::{Current, Exchange, ExchangeError, Hooked, Origin, Problem};
use crate::provider::{Identifier, NativeDocument};
use crate::store::PersonId;

use super::federation::{Translated, Translation};
use super::interaction::{Change, Changed, NewResource, Workflow};
use super::outcome::{Issue, Refusal};
use super::request::RequestId;
use super::service::BoxFuture;
use super::webhook::{Hooks, Post, Taken};

/// The system of the rules that issues name.
pub const RULES: &str = "urn:silta:rules";

/// The exchange, as the interface uses it: changes and posted documents are taken by that of the moment.
#[derive(Debug, Clone)]
pub struct Bridge {
    exchange: Current,
    clock: Clock,
}

/// The exchange of one configuration, as it translates what is fetched by that configuration.
#[derive(Debug, Clone)]
pub struct Translating(Exchange);

impl Translating {
    /// By an exchange.
    #[must_use]
    pub fn by(exchange: Exchange) -> Arc<Self> {
        Arc::new(Self(exchange))
    }
}

impl Bridge {
    /// Over an exchange.
    pub fn new(exchange: impl Into<Current>, clock: Clock) -> Arc<Self> {
        Arc::new(Self { exchange: exchange.into(), clock })
    }

    fn origin(&self, caller: &Caller, request: &RequestId) -> Origin {
        let organisation = |text: &String| {
            let (system, value) = text.split_once('|').unwrap_or(("", text));
            Identifier::organisation(system, value)
        };
        Origin {
            caller: caller.name.clone(),
            organisations: caller.organisations.iter().map(organisation).collect(),
            request: request.as_str().to_owned(),
            received: self.clock.now(),
            test: caller.mode == Mode::Test,
        }
    }
}

impl Translation for Translating {
    fn translate<'a>(
        &'a self,
        provider: &'a str,
        documents: &'a [NativeDocument],
    ) -> BoxFuture<'a, Result<Translated, Issue>> {
        Box::pin(async move {
            let live = self.0.translate(provider, documents).await.map_err(|error| {
                let first = error.problems().into_iter().next();
                first.map_or_else(|| Issue::new(error.fault(), error.to_string()), |problem| issue(&problem))
            })?;
            Ok(Translated {
                resources: live.resources,
                warnings: live.warnings.iter().map(|problem| issue(problem).severity("warning")).collect(),
            })
        })
    }

    fn generation(&self, provider: &str, person: PersonId) -> u64 {
        self.0.generations().current(provider, person)
    }
}

impl Workflow for Bridge {
    fn create<'a>(&'a self, new: NewResource<'a>) -> BoxFuture<'a, Result<Changed, Refusal>> {
        Box::pin(async move {
            let origin = self.origin(new.caller, new.request);
            let made = self.exchange.now().create_order(new.document, new.none_exist, &origin).await;
            made.map(changed).map_err(|error| refusal(&error))
        })
    }

    fn update_task<'a>(&'a self, change: Change<'a>) -> BoxFuture<'a, Result<Changed, Refusal>> {
        Box::pin(async move {
            let origin = self.origin(change.caller, change.request);
            let made = self.exchange.now().update_task(change.id, change.if_match, change.document, &origin).await;
            made.map(changed).map_err(|error| refusal(&error))
        })
    }
}

fn changed(changed: crate::exchange::Changed) -> Changed {
    Changed {
        document: changed.document,
        version: changed.version,
        last_modified: changed.last_modified,
        persons: changed.persons,
        existed: changed.existed,
    }
}

/// An error of the exchange as what a caller is told.
pub(super) fn refusal(error: &ExchangeError) -> Refusal {
    Refusal::all(error.problems().iter().map(issue)).unwrap_or_else(|| Refusal::new(error.fault(), error.to_string()))
}

fn issue(problem: &Problem) -> Issue {
    let mut issue = Issue::new(problem.fault, problem.text.clone());
    if let Some(location) = &problem.location {
        issue = issue.located(location.clone());
    }
    if let Some(expression) = &problem.expression {
        issue = issue.at(expression.clone());
    }
    if let Some(rule) = &problem.rule {
        issue = issue.rule(RULES, rule.clone());
    }
    issue
}

impl Hooks for Bridge {
    fn may(&self, caller: &Caller, provider: &str) -> bool {
        let Some(partner) = self.exchange.now().partner(provider) else { return false };
        caller.organisations.iter().any(|text| {
            let (system, value) = text.split_once('|').unwrap_or(("", text));
            partner.connection.organisations.contains(&Identifier::organisation(system, value))
        })
    }

    fn take<'a>(&'a self, post: Post<'a>) -> BoxFuture<'a, Result<Taken, Refusal>> {
        Box::pin(async move {
            let request = post.request.as_str();
            let names = post.names;
            let done = self
                .exchange
                .now()
                .hook(post.provider, names, post.media_type, post.body, post.message_id, request)
                .await;
            match done.map_err(|error| refusal(&error))? {
                Hooked::Applied(changed) => Ok(Taken { text: "taken".to_owned(), changed }),
                Hooked::Repeated => Ok(Taken { text: "taken before".to_owned(), changed: Vec::new() }),
                Hooked::Older => {
                    let text = "kept and not applied: a newer event had been applied".to_owned();
                    Ok(Taken { text, changed: Vec::new() })
                }
            }
        })
    }
}
