//! What is wrong with a document, where, and by which rule. Texts are made only when they are read.

use std::sync::Arc;

use crate::definitions::{ElementId, TypeId};
use crate::fault::Fault;
use crate::fhir::document::{Document, Node, NodeId};
use crate::fhir::physical::Physical;

/// How grave a finding is (<http://hl7.org/fhir/R4/valueset-issue-severity.html>).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The document breaks a rule.
    Error,
    /// Likely a mistake, or a rule that could not be decided.
    Warning,
    /// Worth knowing.
    Information,
}

impl Severity {
    /// The code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Information => "information",
        }
    }
}

/// The kind of a finding (<http://hl7.org/fhir/R4/valueset-issue-type.html>).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum IssueType {
    /// The shape of the content is wrong.
    Structure,
    /// Something that must be there is not.
    Required,
    /// A value is not of its type or out of its range.
    Value,
    /// A rule on the content is broken.
    Invariant,
    /// A code is not of its value set.
    CodeInvalid,
    /// An extension that is not known or not allowed there.
    Extension,
    /// A profile, package or target that is not at hand.
    NotFound,
    /// What is asked cannot be decided here.
    NotSupported,
    /// A rule of use is broken.
    BusinessRule,
    /// A limit was reached.
    TooCostly,
}

impl IssueType {
    /// The code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Structure => "structure",
            Self::Required => "required",
            Self::Value => "value",
            Self::Invariant => "invariant",
            Self::CodeInvalid => "code-invalid",
            Self::Extension => "extension",
            Self::NotFound => "not-found",
            Self::NotSupported => "not-supported",
            Self::BusinessRule => "business-rule",
            Self::TooCostly => "too-costly",
        }
    }
}

/// The rule that a finding is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// An element of the core definitions.
    Element(ElementId),
    /// A type of the core definitions.
    Type(TypeId),
    /// A rule of a FHIR format, by a name of ours: `json-array`.
    Format(&'static str),
    /// A constraint by its key.
    Constraint(Arc<str>),
    /// An element of a profile: `url|version#Patient.identifier:PIC`.
    Profile(Arc<str>),
    /// A value set: `url`.
    ValueSet(Arc<str>),
}

/// What was found and what was expected; the text is made by [`Finding::text`].
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Detail {
    /// The resource does not say its type.
    NoResourceType,
    /// The type is not one of this version of FHIR.
    UnknownType,
    /// A type that no resource can have.
    AbstractType,
    /// The type has no such element.
    UnknownElement(Box<str>),
    /// Fewer than the least number of repetitions.
    Missing {
        /// The element.
        name: Box<str>,
        /// Least number.
        min: u32,
        /// Number found.
        found: u32,
    },
    /// More than the greatest number of repetitions.
    TooMany {
        /// The element.
        name: Box<str>,
        /// Greatest number.
        max: u32,
        /// Number found.
        found: u32,
    },
    /// Another shape of JSON than the element has.
    Shape {
        /// What the element is.
        expected: &'static str,
        /// What stands there.
        found: &'static str,
    },
    /// An array, object or string with nothing in it.
    Empty(&'static str),
    /// `null` where FHIR's JSON does not have it.
    Null,
    /// Two types of one choice.
    TwoChoices(Box<str>),
    /// Not in the form of its primitive type.
    Form {
        /// The primitive type.
        type_name: Box<str>,
    },
    /// A fixed sentence.
    Says(&'static str),
    /// A sentence made for the case; never content of the document other than codes and addresses.
    Told(Box<str>),
    /// A code outside of the value set it must be from.
    NotInValueSet {
        /// The value set.
        value_set: Arc<str>,
        /// The code.
        code: Box<str>,
        /// Its system, where given.
        system: Option<Box<str>>,
    },
    /// Whether a code is in the value set cannot be decided here.
    Undecided {
        /// The value set.
        value_set: Arc<str>,
    },
    /// A reference to another type than is allowed.
    TargetType {
        /// The type referred to.
        found: Box<str>,
        /// The types allowed.
        allowed: Box<str>,
    },
    /// A reference to something that is not in the document where it must be.
    Dangling {
        /// Where it should be: `contained`, `Bundle.entry`.
        within: &'static str,
    },
    /// An extension that is not known.
    UnknownExtension {
        /// Its url.
        url: Box<str>,
    },
    /// A profile that is not at hand.
    UnknownProfile {
        /// Its canonical.
        url: Box<str>,
    },
    /// A constraint does not hold.
    Constraint {
        /// Its FHIRPath.
        expression: Arc<str>,
        /// What it says in words, where the definition does.
        human: Option<Arc<str>>,
    },
    /// The value is not the one that the profile fixes.
    NotFixed {
        /// The value expected, as JSON.
        expected: Box<str>,
        /// Whether more than the expected is allowed (pattern).
        pattern: bool,
    },
    /// A part of the value that the profile fixes is not there.
    PartMissing {
        /// The part.
        name: Box<str>,
        /// Its value expected, as JSON.
        expected: Box<str>,
    },
    /// A repetition that belongs to no slice where slices are all there may be.
    NoSlice {
        /// The sliced element.
        name: Box<str>,
    },
}

/// One finding. Its place is a node of the document that was validated.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// How grave.
    pub severity: Severity,
    /// Which kind.
    pub issue: IssueType,
    /// By which rule.
    pub rule: Rule,
    /// Where.
    pub at: NodeId,
    /// What.
    pub detail: Detail,
}

/// The code system of the rules named in outcomes.
pub const RULE_SYSTEM: &str = "https://silta.example/fhir/CodeSystem/validation-rule";

impl Finding {
    /// Whether it makes the document invalid.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// Where in the document, as FHIRPath with indexes.
    ///
    /// What is no element of FHIR has no FHIRPath: it is told at the object that holds it, in XML by the XPath of the element
    /// that holds it. So is a second type of a choice. The line and column are those of [`Finding::at`].
    #[must_use]
    pub fn path(&self, document: &Document) -> String {
        let node = document.node(self.at);
        match (&self.detail, node.parent()) {
            (Detail::UnknownElement(name), Some(holder)) if document.is_xml() => match name.strip_prefix('?') {
                // An element of another namespace, or of none.
                Some(other) if other.starts_with(':') => format!("{}/?{other}", xpath(holder)),
                Some(other) => format!("{}/{other}", xpath(holder)),
                None => xpath(holder),
            },
            (Detail::Empty("object"), Some(_)) if document.is_xml() => xpath(node),
            (Detail::UnknownElement(_) | Detail::TwoChoices(_), Some(holder)) => holder.path().to_string(),
            // Where there is no type there is no path: the name that the document gives itself, or the whole of it.
            (Detail::UnknownType, None) => {
                let said = Physical::of(node).members().find(|member| member.name() == "resourceType");
                said.and_then(Physical::text).unwrap_or("$this").to_owned()
            }
            (Detail::PartMissing { name, .. }, _) => format!("{}.{name}", node.path()),
            _ if self.rule == Rule::Format("json-array") => {
                // It is the member that is wrong: there is nothing to count.
                let path = node.path().to_string();
                path.strip_suffix("[0]").map_or(path.clone(), str::to_owned)
            }
            _ => node.path().to_string(),
        }
    }

    /// The rule: `profile|version#element` or the key of a constraint.
    #[must_use]
    pub fn rule_code(&self, document: &Document) -> String {
        let model = document.model();
        match &self.rule {
            Rule::Element(id) => {
                let element = model.element(*id);
                let root = element.path().split('.').next().unwrap_or("");
                format!("http://hl7.org/fhir/StructureDefinition/{root}|{}#{}", model.fhir_version(), element.path())
            }
            Rule::Type(id) => {
                let name = model.type_name(*id);
                let root = name.split('.').next().unwrap_or(name);
                format!("http://hl7.org/fhir/StructureDefinition/{root}|{}#{name}", model.fhir_version())
            }
            Rule::Format(name) => (*name).to_owned(),
            Rule::Constraint(key) | Rule::Profile(key) | Rule::ValueSet(key) => key.to_string(),
        }
    }

    /// One sentence: what was found and what was expected.
    #[must_use]
    pub fn text(&self, document: &Document) -> String {
        match &self.detail {
            Detail::NoResourceType => "expected a member resourceType that names a type of resource".to_owned(),
            Detail::UnknownType => {
                format!("expected a type of resource of FHIR {}", document.model().fhir_version())
            }
            Detail::AbstractType => "a resource cannot have an abstract type".to_owned(),
            Detail::UnknownElement(name) => {
                let holder = document.node(self.at);
                let holder = holder.parent().unwrap_or(holder);
                match (name.split_at_checked(1), document.is_xml()) {
                    (Some(("@", name)), true) => format!("there is no attribute \"{name}\" in {}", holder.type_name()),
                    (Some(("?", name)), true) => {
                        let name = name.trim_start_matches(':');
                        format!("the element \"{name}\" is not in the namespace http://hl7.org/fhir")
                    }
                    (Some(("#", "nothing")), true) => "an element has a value or children; found neither".to_owned(),
                    (Some(("#", what)), true) => format!("found {what} where FHIR has only elements and attributes"),
                    _ => format!("there is no element \"{name}\" in {}", holder.type_name()),
                }
            }
            Detail::Missing { name, min, found } => {
                format!("found {found} of {name}, expected at least {min}")
            }
            Detail::TooMany { name, max, found } => format!("found {found} of {name}, expected at most {max}"),
            Detail::Shape { expected, found } => format!("found {found}, expected {expected}"),
            Detail::Empty(what) => format!("found an empty {what}; leave out what has no content"),
            Detail::Null => "null stands only in an array of primitives beside a \"_\" array".to_owned(),
            Detail::TwoChoices(name) => format!("{name}[x] is there with two types, expected one"),
            Detail::Form { type_name } => format!("found a text that is not of the form of {type_name}"),
            Detail::Says(text) => (*text).to_owned(),
            Detail::Told(text) => text.to_string(),
            Detail::NotInValueSet { value_set, code, system: Some(system) } => {
                format!("the code {system}#{code} is not in the value set {value_set}")
            }
            Detail::NotInValueSet { value_set, code, system: None } => {
                format!("the code \"{code}\" is not in the value set {value_set}")
            }
            Detail::Undecided { value_set } => {
                format!("whether the code is in the value set {value_set} cannot be decided without its code system")
            }
            Detail::TargetType { found, allowed } => {
                format!("found a reference to {found}, expected one to {allowed}")
            }
            Detail::Dangling { within } => format!("what is referred to is not in {within}"),
            Detail::UnknownExtension { url } => format!("the extension {url} is not known"),
            Detail::UnknownProfile { url } => format!("the profile {url} is not at hand, so it was not checked"),
            Detail::Constraint { expression, human: Some(human) } => format!("{human} ({expression})"),
            Detail::Constraint { expression, human: None } => format!("this does not hold: {expression}"),
            Detail::NotFixed { expected, pattern: false } => format!("expected exactly {expected}"),
            Detail::NotFixed { expected, pattern: true } => format!("expected a value that has {expected}"),
            Detail::PartMissing { name, expected } => format!("{name} is missing, expected {expected}"),
            Detail::NoSlice { name } => format!("this {name} belongs to none of the slices, and no others are allowed"),
        }
    }

    /// Which answer of the product it is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self.issue {
            IssueType::Structure => Fault::CannotParse,
            IssueType::Required => Fault::RequiredMissing,
            IssueType::Value => Fault::BadValue,
            IssueType::CodeInvalid => Fault::CodeNotInValueSet,
            IssueType::BusinessRule => Fault::BusinessRule,
            IssueType::Invariant | IssueType::Extension | IssueType::NotFound | IssueType::NotSupported => {
                Fault::ProfileRule
            }
            IssueType::TooCostly => Fault::TooLarge,
        }
    }
}

/// The elements down to a node as XML names them: `/f:Patient/f:name`. A resource within an element has one of its own.
fn xpath(node: Node<'_>) -> String {
    let mut steps: Vec<&str> = Vec::new();
    for at in std::iter::successors(Some(node), |at| at.parent()) {
        if at.is_resource() {
            steps.push(at.type_name());
        }
        if at.parent().is_some() {
            steps.push(at.name());
        }
    }
    steps.iter().rev().fold(String::new(), |path, step| path + "/f:" + step)
}

/// The core and several profiles may say the same of a place: it is told once.
pub(super) fn without_repeats(findings: Vec<Finding>) -> Vec<Finding> {
    let mut out: Vec<Finding> = Vec::with_capacity(findings.len());
    for finding in findings {
        let is_told = out.iter().rev().take_while(|held| held.at == finding.at).any(|held| {
            held.severity <= finding.severity
                && match (&held.detail, &finding.detail) {
                    (Detail::Missing { name: one, .. }, Detail::Missing { name: two, .. })
                    | (Detail::TooMany { name: one, .. }, Detail::TooMany { name: two, .. }) => one == two,
                    (Detail::NotInValueSet { code: one, .. }, Detail::NotInValueSet { code: two, .. }) => one == two,
                    (Detail::TargetType { .. }, Detail::TargetType { .. }) => true,
                    (Detail::Constraint { .. }, Detail::Constraint { .. }) => held.rule == finding.rule,
                    (one, two) => one == two,
                }
        });
        if !is_told {
            out.push(finding);
        }
    }
    out
}
