//! Judging FHIR documents against the core definitions and profiles.
//!
//! A [`Validator`] holds what is compiled; [`Validator::validate`] walks a document once and gives [`Finding`]s.
//! Findings are numbers and names; paths, positions and sentences are made when they are read:
//!
//! ```
//! use std::sync::Arc;
//! use silta_engine::definitions::Model;
//! use silta_engine::fhir::document::{Document, Limits};
//! use silta_engine::validation::Validator;
//!
//! let validator = Validator::built_in();
//! let text = br#"{"resourceType":"Patient","gender":"F"}"#.to_vec();
//! let document = Document::from_json(Model::r4(), text, &Limits::default())?;
//! let findings = validator.validate(&document, &[]);
//! assert_eq!(findings[0].path(&document), "Patient.gender");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod binding;
mod bundle;
mod canonical;
mod codes;
mod coding;
mod conformance;
mod constraint;
mod content;
mod derivation;
mod entities;
mod extension;
mod facets;
mod finding;
mod invariant;
mod judged;
mod markup;
mod measure;
mod merger;
mod narrative;
mod outcome;
mod overlay;
mod plan;
mod profile;
mod published;
mod questionnaire;
mod reference;
mod slices;
mod slicing;
mod structure_map;
mod text;
mod walk;

use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use rustc_hash::FxHashMap;

use crate::definitions::{Model, TypeId};
use crate::fhir::document::{Document, Part};
use crate::fhirpath::{Plan, Temporal};
use crate::package::library::Library;
use crate::terminology::Terminology;

pub use finding::{Detail, Finding, IssueType, RULE_SYSTEM, Rule, Severity};
pub use invariant::Knowledge;
pub use outcome::{issue, outcome, slip_issues, syntax_outcome};

/// What is checked beyond what every document must hold to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Rules of best practice as well, as warnings.
    pub best_practice: bool,
}

/// A profile, or why there is none.
type Compiled = Result<Arc<profile::Profile>, profile::Unusable>;

/// Type and bases by canonical.
type ParametersOfCore = FxHashMap<Box<str>, (String, Vec<String>)>;

/// Compiled rules. Made once, shared by threads; plans are made as documents need them.
#[derive(Debug)]
pub struct Validator {
    model: Arc<Model>,
    library: Arc<Library>,
    terminology: Arc<Terminology>,
    plans: plan::Plans,
    names: plan::Names,
    compiled: constraint::Compiled,
    profiles: RwLock<FxHashMap<Box<str>, Compiled>>,
    /// The core's search parameters by canonical: type and bases. Made when a definition names one.
    parameters: OnceLock<ParametersOfCore>,
    /// Profiles that the guides at hand ask for wherever a resource of a type stands.
    globals: Vec<(TypeId, Box<str>)>,
    options: Options,
    now: Now,
}

/// The time that invariants with `now()` are decided by; without one they are not decided.
struct Now(Option<Box<dyn Fn() -> Option<Temporal> + Send + Sync>>);

impl std::fmt::Debug for Now {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "Now" } else { "Never" })
    }
}

/// Profiles asked for after which those that are not at hand are no longer remembered.
const MOST_PROFILES: usize = 4096;

/// What the guides of a library ask of every resource of a type.
fn globals(model: &Model, library: &Library) -> Vec<(TypeId, Box<str>)> {
    let guides = library.all("ImplementationGuide");
    let rules = guides.values().flat_map(|guide| facets::list(&guide.content, "global"));
    rules
        .filter_map(|rule| {
            let type_id = model.type_named(facets::text(rule, "type"))?;
            Some((type_id, Box::from(facets::text_of(rule, "profile")?)))
        })
        .collect()
}

impl Validator {
    /// Over R4 and these packages.
    #[must_use]
    pub fn new(library: Library) -> Self {
        let model = Model::r4();
        let library = Arc::new(library);
        Self {
            model: Arc::clone(model),
            terminology: Arc::new(Terminology::new(model, &library)),
            plans: plan::Plans::new(model),
            names: plan::Names::new(model),
            compiled: constraint::Compiled::default(),
            profiles: RwLock::new(FxHashMap::default()),
            parameters: OnceLock::new(),
            globals: globals(model, &library),
            library,
            options: Options::default(),
            now: Now(None),
        }
    }

    /// Over R4 and the profiles that are part of the program.
    #[must_use]
    pub fn built_in() -> Self {
        Self::new(Library::built_in())
    }

    /// With other options.
    #[must_use]
    pub fn with_options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// With a clock, by which invariants that ask for the time are decided.
    #[must_use]
    pub fn with_clock(mut self, now: impl Fn() -> Option<Temporal> + Send + Sync + 'static) -> Self {
        self.now = Now(Some(Box::new(now)));
        self
    }

    /// What expressions may ask that are evaluated by themselves: references within the document, value sets, profiles.
    #[must_use]
    pub fn knowledge(&self) -> Knowledge<'_> {
        Knowledge::new(self)
    }

    /// The time, where an expression asks for it.
    fn now(&self, plan: &Plan) -> Option<Temporal> {
        self.now.0.as_ref().filter(|_| plan.asks_for_time()).and_then(|now| now())
    }

    /// Whether a profile is at hand and can be used.
    #[must_use]
    pub fn knows(&self, canonical: &str) -> bool {
        self.profile(canonical).is_some()
    }

    fn profile(&self, canonical: &str) -> Option<Arc<profile::Profile>> {
        self.compiled_profile(canonical).ok()
    }

    /// The first definition that is not at hand of a profile and those that it derives from.
    fn missing(&self, canonical: &str) -> Option<String> {
        let mut canonical = canonical.split('#').next().unwrap_or(canonical).to_owned();
        for _ in 0..profile::DEEPEST {
            let Some(found) = profile::definition(&self.model, &self.library, &canonical) else {
                return Some(canonical);
            };
            canonical = found.content.get("baseDefinition")?.as_str()?.to_owned();
        }
        None
    }

    fn compiled_profile(&self, canonical: &str) -> Compiled {
        if let Some(held) = self.profiles.read().unwrap_or_else(PoisonError::into_inner).get(canonical) {
            return held.clone();
        }
        let made = match canonical.split_once('#') {
            Some((url, element)) if !url.is_empty() => {
                self.compiled_profile(url)?.part(element).ok_or(profile::Unusable::NotFound)
            }
            _ => profile::compile(&self.model, &self.library, canonical, &mut Vec::new()),
        };
        let made = made.map(Arc::new);
        let mut profiles = self.profiles.write().unwrap_or_else(PoisonError::into_inner);
        if made.is_err() && profiles.len() >= MOST_PROFILES {
            // Documents name what profiles they like: what is not at hand is not remembered without end.
            return made;
        }
        profiles.entry(Box::from(canonical)).or_insert(made).clone()
    }

    /// The value sets and code systems it decides by.
    #[must_use]
    pub fn terminology(&self) -> &Arc<Terminology> {
        &self.terminology
    }

    /// The definitions it was made over.
    #[must_use]
    pub fn library(&self) -> &Arc<Library> {
        &self.library
    }

    /// Judges a document: the core rules, the profiles that it claims in `meta.profile`, and `profiles` (canonicals)
    /// for its root. Findings are in document order.
    #[must_use]
    pub fn validate(&self, document: &Document, profiles: &[&str]) -> Vec<Finding> {
        walk::validate(self, document.root(), profiles)
    }

    /// Judges a part of a document, an entry's resource, as a resource of its own whose references may be resolved in
    /// the whole.
    #[must_use]
    pub fn validate_part(&self, part: &Part, profiles: &[&str]) -> Vec<Finding> {
        walk::validate(self, part.node(), profiles)
    }
}
