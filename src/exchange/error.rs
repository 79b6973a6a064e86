//! What goes wrong between receiving and delivering.

use silta_engine::fault::Fault;

use crate::provider::AdapterError;
use crate::store::StoreError;

use super::routing::NoRoute;
use super::workflow::state::IllegalMove;

/// One thing that is wrong with what was received, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Which answer it is.
    pub fault: Fault,
    /// What is wrong and what was expected; never the patient's data.
    pub text: String,
    /// Where in the native document: `PRD[2]-7[1].1`, `row 3/hetu`, `$.a[0].b`; `line:column` where it is FHIR.
    pub location: Option<String>,
    /// Where in the resource, as FHIRPath.
    pub expression: Option<String>,
    /// The rule: a constraint key, `profile|version#element`, or a map's line.
    pub rule: Option<String>,
}

impl Problem {
    /// A problem with only its text.
    #[must_use]
    pub fn new(fault: Fault, text: impl Into<String>) -> Self {
        Self { fault, text: text.into(), location: None, expression: None, rule: None }
    }

    /// Says where in the native document.
    #[must_use]
    pub fn at(mut self, location: impl Into<String>) -> Self {
        self.location = Some(location.into());
        self
    }

    /// Says where in the resource.
    #[must_use]
    pub fn expression(mut self, expression: impl Into<String>) -> Self {
        self.expression = Some(expression.into());
        self
    }

    /// Says which rule.
    #[must_use]
    pub fn rule(mut self, rule: impl Into<String>) -> Self {
        self.rule = Some(rule.into());
        self
    }
}

/// Why an exchange did not happen. Nothing of it was kept but what is said.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// What was received is wrong; mended by the sender.
    #[error("{}", .0.first().map_or("refused", |problem| problem.text.as_str()))]
    Refused(Vec<Problem>),
    /// A Task may not be moved so.
    #[error(transparent)]
    Move(#[from] IllegalMove),
    /// Nobody, or several, would get the referral.
    #[error(transparent)]
    Route(#[from] NoRoute),
    /// The store did not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A provider did not.
    #[error(transparent)]
    Provider(#[from] AdapterError),
    /// Not configured: no such provider, no map for what is to be sent.
    #[error("{0}")]
    Configuration(String),
    /// A fault of this program.
    #[error("{0}")]
    Internal(&'static str),
}

impl ExchangeError {
    /// One problem.
    #[must_use]
    pub fn refused(fault: Fault, text: impl Into<String>) -> Self {
        Self::Refused(vec![Problem::new(fault, text)])
    }

    /// Which answer it is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Refused(problems) => problems.first().map_or(Fault::Internal, |problem| problem.fault),
            Self::Move(_) => Fault::BusinessRule,
            Self::Route(_) => Fault::NoRecipient,
            Self::Store(error) => error.fault(),
            Self::Provider(error) => error.fault(),
            Self::Configuration(_) | Self::Internal(_) => Fault::Internal,
        }
    }

    /// What is wrong, one by one.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        match self {
            Self::Refused(problems) => problems.clone(),
            Self::Move(error) => vec![Problem::new(self.fault(), error.to_string()).expression("Task.status")],
            Self::Route(error) => vec![Problem::new(self.fault(), error.to_string()).expression("Task.owner")],
            Self::Store(error) => vec![Problem::new(self.fault(), error.to_string())],
            Self::Provider(error) => vec![Problem::new(self.fault(), error.to_string())],
            Self::Configuration(_) | Self::Internal(_) => {
                vec![Problem::new(self.fault(), "an internal fault; operators are told")]
            }
        }
    }
}
