//! What can be asked of a FHIR interface: resource types, kinds of interaction, and lists of both.
//!
//! Interactions are named as in <http://hl7.org/fhir/R4/valueset-type-restful-interaction.html>.

use std::fmt;
use std::str::FromStr;

use silta_engine::definitions::{Kind, Model, TypeId};

/// A resource type of FHIR R4 by name, such as `CarePlan`. Only known names can be held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResourceType(&'static str);

impl ResourceType {
    /// The type of this name; names are case-sensitive and abstract types have none.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let model = Model::r4();
        model.type_named(name).and_then(Self::of)
    }

    /// Every type that there can be a resource of.
    pub fn all() -> impl Iterator<Item = Self> {
        Model::r4().types().filter_map(Self::of)
    }

    fn of(id: TypeId) -> Option<Self> {
        let model = Model::r4();
        (model.kind(id) == Kind::Resource && !model.is_abstract(id)).then(|| Self(model.type_name(id)))
    }

    /// The name as FHIR writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for ResourceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// A kind of interaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// `GET metadata`.
    Capabilities,
    /// `GET Type/id`.
    Read,
    /// `GET Type/id/_history/version`.
    VersionRead,
    /// `GET Type?…` and `POST Type/_search`.
    Search,
    /// `POST Type`.
    Create,
    /// `PUT Type/id`, and `PUT Type?…` (conditional).
    Update,
    /// `PATCH Type/id`.
    Patch,
    /// `DELETE Type/id`.
    Delete,
    /// `_history` of the system, a type or a resource.
    History,
    /// `POST` of a batch or a transaction to the base.
    Batch,
    /// `$name`.
    Operation,
}

impl Action {
    /// Every kind, in the order of the declaration.
    pub const ALL: [Self; 11] = [
        Self::Capabilities,
        Self::Read,
        Self::VersionRead,
        Self::Search,
        Self::Create,
        Self::Update,
        Self::Patch,
        Self::Delete,
        Self::History,
        Self::Batch,
        Self::Operation,
    ];

    /// The word used in lists of what a caller may do, in logs and in metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Capabilities => "capabilities",
            Self::Read => "read",
            Self::VersionRead => "vread",
            Self::Search => "search",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::History => "history",
            Self::Batch => "batch",
            Self::Operation => "operation",
        }
    }

    /// The code of the CapabilityStatement for the interaction on a type; none for those that are not declared so.
    #[must_use]
    pub const fn declared(self) -> Option<&'static str> {
        match self {
            Self::Read => Some("read"),
            Self::VersionRead => Some("vread"),
            Self::Search => Some("search-type"),
            Self::Create => Some("create"),
            Self::Update => Some("update"),
            Self::Patch => Some("patch"),
            Self::Delete => Some("delete"),
            Self::History => Some("history-instance"),
            Self::Capabilities | Self::Batch | Self::Operation => None,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// One entry of a list of permitted interactions: `CarePlan.search`, `*.read`, `Task.*`, `*`, `Patient.$everything`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    kind: Option<ResourceType>,
    what: Granted,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Granted {
    Everything,
    Action(Action),
    Operation(String),
}

/// A text is not an entry of a list of interactions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GrantError {
    /// There is no dot between type and interaction.
    #[error("`{0}` is not `Type.interaction`, as in `CarePlan.search` or `*.read`")]
    Shape(String),
    /// The type is none of FHIR R4.
    #[error("`{0}` is not a resource type of FHIR R4")]
    Type(String),
    /// The word after the dot is no interaction.
    #[error(
        "`{0}` is not an interaction: read, vread, search, create, update, patch, delete, history, batch, $operation or *"
    )]
    Interaction(String),
}

impl FromStr for Grant {
    type Err = GrantError;

    fn from_str(text: &str) -> Result<Self, GrantError> {
        if text == "*" {
            return Ok(Self { kind: None, what: Granted::Everything });
        }
        let (kind, word) = text.split_once('.').ok_or_else(|| GrantError::Shape(text.to_owned()))?;
        let kind = match kind {
            "*" => None,
            name => Some(ResourceType::named(name).ok_or_else(|| GrantError::Type(name.to_owned()))?),
        };
        let what = match word {
            "*" => Granted::Everything,
            operation if operation.len() > 1 && operation.starts_with('$') => Granted::Operation(operation.to_owned()),
            word => Granted::Action(
                Action::ALL
                    .into_iter()
                    .find(|action| action.word() == word && *action != Action::Operation)
                    .ok_or_else(|| GrantError::Interaction(word.to_owned()))?,
            ),
        };
        Ok(Self { kind, what })
    }
}

/// A list of permitted interactions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grants(Vec<Grant>);

impl Grants {
    /// A list that permits what any of its entries permits.
    #[must_use]
    pub fn new(entries: Vec<Grant>) -> Self {
        Self(entries)
    }

    /// Everything.
    #[must_use]
    pub fn everything() -> Self {
        Self(vec![Grant { kind: None, what: Granted::Everything }])
    }

    /// Whether the interaction is permitted on this type; on the whole system where there is no type, which only an
    /// entry for all types permits. `operation` is the name with its `$`, for [`Action::Operation`].
    #[must_use]
    pub fn permit(&self, action: Action, kind: Option<ResourceType>, operation: Option<&str>) -> bool {
        self.0.iter().any(|grant| {
            let type_fits = grant.kind.is_none() || grant.kind == kind;
            type_fits
                && match &grant.what {
                    Granted::Everything => true,
                    Granted::Action(granted) => *granted == action,
                    Granted::Operation(name) => action == Action::Operation && operation == Some(name.as_str()),
                }
        })
    }
}
