//! Running plans: forward, backward, and folding events onto what is known.

pub(crate) mod align;
pub(crate) mod fold;
pub(crate) mod get;
mod modifier;
pub(crate) mod put;
pub(crate) mod source;
pub(crate) mod touch;
pub(crate) mod verify;

use std::sync::Arc;

use crate::definitions::Symbol;
use crate::fault::Fault;
use crate::fhir::draft::{At, DraftError};

use super::plan::{Said, SlotSelect};

/// The extension that says why an element has no value.
pub(crate) const ABSENT: &str = "http://hl7.org/fhir/StructureDefinition/data-absent-reason";

/// A resource of a translation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryInfo {
    /// Its name in the map.
    pub name: Arc<str>,
    /// Its resource type.
    pub resource: Arc<str>,
    /// Its fullUrl in the Bundle.
    pub full_url: String,
    /// The native key, its parts joined by `-`; the keyed HMAC in hexadecimal where it is personal.
    pub native_id: String,
    /// Whether the map gives the resource a key of its own; else the native id hangs on the document's.
    pub has_key: bool,
    /// Whether the document gives that key. Without it the native id hangs on the document's too.
    pub key_found: bool,
    /// Whether the key is a personal identifier.
    pub personal: bool,
    /// What is to be done with it.
    pub verb: Verb,
}

/// Where a resource of a translation is made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EntryPlace {
    pub(crate) frame: usize,
    pub(crate) slot: u16,
    pub(crate) at: At,
}

/// What is to be done with a resource of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Create it, or update it where it is known.
    Put,
    /// It is new.
    Create,
    /// It is known and changes.
    Update,
    /// It is no more.
    Delete,
    /// It is only mentioned.
    Mention,
}

impl Verb {
    /// The verb of an action code (tables 0206 and 0287).
    fn of(code: &str) -> Option<Self> {
        match code {
            "A" | "AD" => Some(Self::Create),
            "U" | "UP" | "CO" => Some(Self::Update),
            "D" | "DE" => Some(Self::Delete),
            "X" | "S" | "LI" | "UC" | "UN" => Some(Self::Mention),
            _ => None,
        }
    }
}

/// What a line of the map said in one occurrence of its scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    /// The line does not run this way, or its condition does not hold.
    Silent,
    /// Native says nothing: no news.
    Empty,
    /// The map says it, not the document.
    Fixed,
    /// Native says that there is none.
    Null,
    /// Native has a value.
    Valued,
}

/// A step of a path from a resource.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ReachStep<'p> {
    pub(crate) written: Symbol,
    pub(crate) logical: Symbol,
    pub(crate) select: &'p SlotSelect,
    pub(crate) list: bool,
}

/// What was said in one occurrence of a scope. Of which element of which resource is found out when that is asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FoldState {
    pub(crate) frame: usize,
    pub(crate) of: Said,
    pub(crate) state: State,
}

/// Why a document is refused: each place that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", items.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct Refusals {
    /// The places, in the order found.
    pub items: Vec<Refusal>,
}

impl Refusals {
    /// The answer: that of the first place.
    #[must_use]
    pub fn fault(&self) -> Fault {
        self.items.first().map_or(Fault::Internal, |item| item.fault)
    }

    /// The first place.
    #[must_use]
    pub fn location(&self) -> &str {
        self.items.first().map_or("", |item| item.path.as_str())
    }

    /// A document that is beyond what FHIR documents may be: nested too deep, too large.
    pub(crate) fn of_draft(error: &DraftError) -> Self {
        Self::one("Bundle", format!("a document within limits as FHIR ({error})"), error.fault())
    }

    pub(crate) fn one(path: impl Into<String>, expected: impl Into<String>, fault: Fault) -> Self {
        Self { items: vec![Refusal { path: path.into(), rule: None, expected: expected.into(), fault }] }
    }
}

/// A place that does not hold: never its content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: expected {expected}{}", rule.as_ref().map(|r| format!(" ({r})")).unwrap_or_default())]
pub struct Refusal {
    /// A native path, or a FHIRPath.
    pub path: String,
    /// The line of the map, `file:line`.
    pub rule: Option<String>,
    /// What would be right.
    pub expected: String,
    /// The answer that it leads to.
    pub fault: Fault,
}
