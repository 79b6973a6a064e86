//! A value set compiled: a few parts, each a set of codes or a predicate on them.

use std::sync::Arc;

use rustc_hash::FxHashSet;

use crate::definitions::Model;
use crate::package::library::Library;

use super::builtin;
use super::compose::{Codes, Composed, Part, System};
use super::filter::filtered;

/// Whether a code is in a value set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Membership {
    /// It is.
    In,
    /// It is not.
    Out,
    /// It cannot be decided with what is at hand.
    Unknown,
}

/// A compiled value set.
#[derive(Debug)]
pub struct Set {
    url: String,
    includes: Vec<Compiled>,
    excludes: Vec<Compiled>,
    expansion: Option<Vec<(String, String)>>,
    /// Names that it gives to its codes: code and name in small letters.
    names: FxHashSet<(String, String)>,
    is_cyclic: bool,
    asks_for_version: bool,
}

#[derive(Debug)]
struct Compiled {
    /// Empty: any, since it only takes in value sets.
    system: String,
    codes: Decider,
    /// What decides codes that name a version, where the set names none: the versions at hand.
    versions: Vec<(String, Decider)>,
    /// Sets in all of which the code must be as well.
    within: Vec<Option<Arc<Set>>>,
}

#[derive(Debug)]
enum Decider {
    Any,
    Listed {
        codes: Codes,
        fold_case: bool,
    },
    /// The codes known; others may be in it.
    Partly(Codes),
    Predicate(fn(&str) -> bool),
    /// Some of those that hold.
    PredicatePartly(fn(&str) -> bool),
}

impl Set {
    pub(super) fn compile(
        composed: &Composed,
        model: &Model,
        library: &Library,
        inner: &mut dyn FnMut(&str) -> Option<Arc<Self>>,
    ) -> Self {
        let (mut includes, mut excludes) = (Vec::new(), Vec::new());
        for part in &composed.parts {
            let within = part.value_sets.iter().map(|canonical| inner(canonical)).collect();
            let (codes, versions) = deciders(part, model, library);
            let compiled = Compiled { system: part.system.clone(), codes, versions, within };
            if part.exclude { &mut excludes } else { &mut includes }.push(compiled);
        }
        let names = composed.parts.iter().flat_map(|part| &part.names).chain(&composed.names).cloned().collect();
        let expansion = composed.expansion.clone();
        let asks = |part: &Compiled| {
            !part.versions.is_empty() || part.within.iter().flatten().any(|set: &Arc<Self>| set.asks_for_version)
        };
        let names_version = composed.parts.iter().any(|part| !part.version.is_empty());
        let asks_for_version = (expansion.is_none() && includes.iter().chain(&excludes).any(asks)) || names_version;
        Self { url: composed.url.clone(), includes, excludes, expansion, names, is_cyclic: false, asks_for_version }
    }

    pub(super) fn cyclic_if(self, is_cyclic: bool) -> Self {
        Self { is_cyclic, ..self }
    }

    /// Whether it takes itself in, so that it has no meaning.
    #[must_use]
    pub fn is_cyclic(&self) -> bool {
        self.is_cyclic && self.expansion.is_none()
    }

    /// Its canonical.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whether a code is in it. Without a system any of its systems will do.
    #[must_use]
    pub fn contains(&self, system: Option<&str>, code: &str) -> Membership {
        self.contains_of(system, None, code)
    }

    /// Whether it depends on the version that a code names, or names one itself.
    #[must_use]
    pub fn asks_for_version(&self) -> bool {
        self.asks_for_version
    }

    /// Whether a code of a version of its system is in it.
    #[must_use]
    pub fn contains_of(&self, system: Option<&str>, version: Option<&str>, code: &str) -> Membership {
        if let Some(expansion) = &self.expansion {
            let found = expansion
                .iter()
                .any(|(held, held_code)| held_code == code && system.is_none_or(|system| same_system(held, system)));
            return if found { Membership::In } else { Membership::Out };
        }
        let included = any(&self.includes, system, version, code);
        if included == Membership::Out {
            return included;
        }
        match (any(&self.excludes, system, version, code), included) {
            (Membership::In, _) => Membership::Out,
            (Membership::Unknown, _) => Membership::Unknown,
            (Membership::Out, included) => included,
        }
    }

    /// Whether it calls a code by this name.
    #[must_use]
    pub fn has_name(&self, code: &str, name: &str) -> bool {
        !self.names.is_empty() && self.names.contains(&(code.to_owned(), name.to_lowercase()))
    }

    /// Whether all its codes are units of UCUM.
    #[must_use]
    pub fn is_units(&self) -> bool {
        !self.includes.is_empty()
            && self.includes.iter().all(|part| same_system(&part.system, "http://unitsofmeasure.org"))
    }

    /// Whether it takes codes from a system.
    #[must_use]
    pub fn has_system(&self, system: &str) -> bool {
        self.includes.iter().any(|part| {
            same_system(&part.system, system)
                || (part.system.is_empty()
                    && part.within.iter().all(|set| set.as_ref().is_none_or(|set| set.has_system(system))))
        })
    }

    /// The systems of its codes for which a code is in it, when that is exactly one: what `code` means by it.
    #[must_use]
    pub fn system_of(&self, code: &str) -> Option<&str> {
        if let Some(expansion) = &self.expansion {
            return expansion.iter().find(|(_, held)| held == code).map(|(system, _)| system.as_str());
        }
        self.includes.iter().find_map(|part| {
            if part.system.is_empty() {
                return part.within.iter().flatten().find_map(|set| set.system_of(code));
            }
            (part.contains(None, None, code) == Membership::In).then_some(part.system.as_str())
        })
    }
}

fn same_system(held: &str, wanted: &str) -> bool {
    held.split('|').next() == wanted.split('|').next()
}

fn any(parts: &[Compiled], system: Option<&str>, version: Option<&str>, code: &str) -> Membership {
    let mut answer = Membership::Out;
    for part in parts {
        match part.contains(system, version, code) {
            Membership::In => return Membership::In,
            Membership::Unknown => answer = Membership::Unknown,
            Membership::Out => {}
        }
    }
    answer
}

impl Decider {
    fn has(&self, system: &str, code: &str) -> Membership {
        match self {
            Decider::Any => Membership::In,
            Decider::Predicate(holds) => {
                if holds(code) {
                    Membership::In
                } else {
                    Membership::Out
                }
            }
            Decider::PredicatePartly(holds) => {
                if holds(code) {
                    Membership::Unknown
                } else {
                    Membership::Out
                }
            }
            Decider::Listed { codes, fold_case } => {
                let found = codes.contains(code)
                    || (*fold_case && codes.iter().any(|held| held.eq_ignore_ascii_case(code)))
                    || builtin::is_pattern_code(system, code);
                if found { Membership::In } else { Membership::Out }
            }
            Decider::Partly(codes) if codes.contains(code) => Membership::In,
            Decider::Partly(_) => Membership::Unknown,
        }
    }
}

impl Compiled {
    fn contains(&self, system: Option<&str>, version: Option<&str>, code: &str) -> Membership {
        if !self.system.is_empty() && system.is_some_and(|system| !same_system(&self.system, system)) {
            return Membership::Out;
        }
        let mut answer = match version.filter(|_| !self.versions.is_empty()) {
            None => self.codes.has(&self.system, code),
            Some(wanted) => match self.versions.iter().find(|(held, _)| is_version(held, wanted)) {
                Some((_, codes)) => codes.has(&self.system, code),
                // Of a version that is not at hand it is not known what codes it has.
                None => match self.codes.has(&self.system, code) {
                    Membership::In => Membership::In,
                    _ => Membership::Unknown,
                },
            },
        };
        for set in &self.within {
            let inner = set.as_ref().map_or(Membership::Unknown, |set| set.contains_of(system, version, code));
            answer = match (answer, inner) {
                (Membership::Out, _) | (_, Membership::Out) => return Membership::Out,
                (Membership::Unknown, _) | (_, Membership::Unknown) => Membership::Unknown,
                (Membership::In, Membership::In) => Membership::In,
            };
        }
        answer
    }
}

/// Whether a version that is at hand is the one wanted: `1.2` means any 1.2.x.
fn is_version(held: &str, wanted: &str) -> bool {
    held == wanted || held.strip_prefix(wanted).is_some_and(|rest| rest.starts_with('.'))
}

/// What decides the codes of a part, and those of codes that name a version.
fn deciders(part: &Part, model: &Model, library: &Library) -> (Decider, Vec<(String, Decider)>) {
    let held = library.versions("CodeSystem", &part.system);
    let of = |version: &str| decider(part, &format!("{}|{version}", part.system), model, library);
    if part.system.is_empty() || part.system.contains('|') || held.is_empty() {
        return (decider(part, &part.system, model, library), Vec::new());
    }
    if part.version.is_empty() {
        let versions = if part.codes.is_empty() {
            held.iter().map(|version| ((*version).to_owned(), of(version))).collect()
        } else {
            Vec::new()
        };
        return (decider(part, &part.system, model, library), versions);
    }
    if held.iter().any(|held| is_version(held, &part.version)) {
        return (of(&part.version), Vec::new());
    }
    // Another version tells what the one that is not at hand may well have, not what it has not.
    let codes = match decider(part, &part.system, model, library) {
        Decider::Listed { codes, .. } if part.codes.is_empty() => Decider::Partly(codes),
        other => other,
    };
    (codes, Vec::new())
}

fn decider(part: &Part, system: &str, model: &Model, library: &Library) -> Decider {
    if part.system.is_empty() {
        return Decider::Any;
    }
    let found = System::find(model, library, system);
    let inactive = found.as_ref().filter(|_| part.active_only).map(System::inactive).unwrap_or_default();
    if !part.codes.is_empty() {
        let codes = part.codes.iter().filter(|code| !inactive.contains(code.as_str()));
        return Decider::Listed { codes: codes.map(|code| Box::from(code.as_str())).collect(), fold_case: false };
    }
    if let Some(predicate) = builtin::predicate(&part.system) {
        return if part.filters.is_empty() {
            Decider::Predicate(predicate)
        } else {
            Decider::PredicatePartly(predicate)
        };
    }
    let Some(system) = found else { return Decider::Partly(Codes::default()) };
    let mut codes: Option<Codes> = None;
    for (property, operation, value) in &part.filters {
        let Some(found) = filtered(&system, property, operation, value) else {
            return Decider::Partly(Codes::default());
        };
        codes = Some(match codes {
            None => found,
            Some(held) => held.intersection(&found).cloned().collect(),
        });
    }
    let fold_case = !system.is_case_sensitive();
    let mut codes = codes.unwrap_or_else(|| system.codes());
    codes.retain(|code| !inactive.contains(code));
    if system.is_complete() { Decider::Listed { codes, fold_case } } else { Decider::Partly(codes) }
}
