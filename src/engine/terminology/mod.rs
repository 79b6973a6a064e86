//! Value sets and code systems, decided locally.
//!
//! A value set is compiled on first use: the codes it lists, the whole systems it takes in, the built-in systems (BCP-13,
//! BCP-47, UCUM, ISO 3166, ISO 4217). What cannot be decided without a system that is not at hand is
//! [`Membership::Unknown`], never a guess.

mod builtin;
mod compose;
mod filter;
mod set;
mod ucum;

use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use rustc_hash::FxHashMap;

use crate::definitions::Model;
use crate::package::library::{Canonical, Library};

pub use set::{Membership, Set};
pub use ucum::is_ucum;

use compose::{Composed, Listing, System};

/// Value sets and code systems of the core and of the packages loaded.
#[derive(Debug)]
pub struct Terminology {
    model: Arc<Model>,
    library: Arc<Library>,
    sets: RwLock<FxHashMap<Box<str>, Option<Arc<Set>>>>,
    listings: RwLock<FxHashMap<Box<str>, Option<Arc<Listing>>>>,
}

/// Code systems asked for after which those that are not at hand are no longer remembered.
const MOST_LISTINGS: usize = 4096;

/// Value sets within value sets after which it is taken that there is no end.
const DEEPEST: usize = 64;

/// The value sets that are being compiled.
#[derive(Debug, Default)]
struct Open {
    sets: Vec<String>,
    /// Whether one of them takes itself in.
    is_cyclic: bool,
}

/// What is known of a code in its system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// The system has it, with this display (empty: none given).
    Code {
        /// The preferred display.
        display: String,
    },
    /// The system is complete here and does not have it.
    NoCode,
    /// The system is not at hand, or only in part.
    NoSystem,
}

/// Whether two displays are the same but for case and white space.
#[must_use]
pub fn is_display(said: &str, held: &str) -> bool {
    if said.eq_ignore_ascii_case(held) {
        return true;
    }
    let letters = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    letters(said) == letters(held)
}

/// Over what is part of the program.
static BUILT_IN: LazyLock<Terminology> =
    LazyLock::new(|| Terminology::new(Model::r4(), &Arc::new(Library::built_in())));

impl Terminology {
    /// Over what is part of the program.
    #[must_use]
    pub fn built_in() -> &'static Self {
        &BUILT_IN
    }

    /// Over the core and these packages.
    #[must_use]
    pub fn new(model: &Arc<Model>, library: &Arc<Library>) -> Self {
        Self {
            model: Arc::clone(model),
            library: Arc::clone(library),
            sets: RwLock::new(FxHashMap::default()),
            listings: RwLock::new(FxHashMap::default()),
        }
    }

    /// The compiled value set of a canonical (`url` or `url|version`); nothing when it is not at hand.
    #[must_use]
    pub fn value_set(&self, canonical: &str) -> Option<Arc<Set>> {
        if let Some(held) = self.sets.read().unwrap_or_else(PoisonError::into_inner).get(canonical) {
            return held.clone();
        }
        let made = self.compile(canonical, &mut Open::default());
        self.keep(canonical, made)
    }

    fn keep(&self, canonical: &str, made: Option<Arc<Set>>) -> Option<Arc<Set>> {
        let mut sets = self.sets.write().unwrap_or_else(PoisonError::into_inner);
        sets.entry(Box::from(canonical)).or_insert(made).clone()
    }

    /// Whether a value set is at hand.
    #[must_use]
    pub fn has_value_set(&self, canonical: &str) -> bool {
        Composed::find(&self.model, &self.library, canonical).is_some()
    }

    /// Whether a canonical is that of a value set at hand and of no code system.
    #[must_use]
    pub fn is_value_set(&self, canonical: &str) -> bool {
        (self.library.find("ValueSet", canonical).is_some() || self.model.value_set(canonical).is_some())
            && !self.has_code_system(canonical)
    }

    /// Whether a code system is at hand, with or without its codes.
    #[must_use]
    pub fn has_code_system(&self, system: &str) -> bool {
        System::find(&self.model, &self.library, system).is_some()
    }

    /// A value set that is not published by itself, compiled.
    #[must_use]
    pub fn compose(&self, value_set: &Canonical) -> Arc<Set> {
        let mut open = Open::default();
        let composed = Composed::of_package(value_set);
        let set = Set::compile(&composed, &self.model, &self.library, &mut |inner| self.compile(inner, &mut open));
        Arc::new(set.cyclic_if(open.is_cyclic))
    }

    /// Whether a code is in a value set. Without a system any system of the set will do (elements of type code).
    #[must_use]
    pub fn contains(&self, canonical: &str, system: Option<&str>, code: &str) -> Membership {
        self.value_set(canonical).map_or(Membership::Unknown, |set| set.contains(system, code))
    }

    /// What is known of a code.
    #[must_use]
    pub fn code(&self, system: &str, code: &str) -> Known {
        if let Some(predicate) = builtin::predicate(system) {
            return if predicate(code) { Known::Code { display: String::new() } } else { Known::NoCode };
        }
        let Some(listing) = self.listing(system) else { return Known::NoSystem };
        if let Some(display) = listing.display(code) {
            return Known::Code { display: display.to_owned() };
        }
        if builtin::is_pattern_code(system.split('|').next().unwrap_or(system), code) {
            return Known::Code { display: String::new() };
        }
        if listing.is_complete { Known::NoCode } else { Known::NoSystem }
    }

    /// What is known of a code of a version of its system. Of a version that is not at hand nothing is, where the system is of
    /// a package; what the core has stands for all versions.
    #[must_use]
    pub fn code_of(&self, system: &str, version: Option<&str>, code: &str) -> Known {
        let Some(version) = version.filter(|_| !system.contains('|')) else { return self.code(system, code) };
        let canonical = format!("{system}|{version}");
        if self.library.versions("CodeSystem", system).is_empty() {
            return self.code(system, code);
        }
        match System::find(&self.model, &self.library, &canonical) {
            Some(System::Package(_)) => self.code(&canonical, code),
            Some(System::Core(_)) => self.code(system, code),
            None => Known::NoSystem,
        }
    }

    /// The codes of a system, listed once.
    fn listing(&self, system: &str) -> Option<Arc<Listing>> {
        if let Some(held) = self.listings.read().unwrap_or_else(PoisonError::into_inner).get(system) {
            return held.clone();
        }
        let made = System::find(&self.model, &self.library, system)
            .map(|found| Arc::new(found.listing(&compose::supplements(&self.library, system))));
        let mut listings = self.listings.write().unwrap_or_else(PoisonError::into_inner);
        if listings.len() >= MOST_LISTINGS && made.is_none() {
            // Documents name what systems they like: what is not at hand is not remembered without end.
            return made;
        }
        listings.entry(Box::from(system)).or_insert(made).clone()
    }

    /// Whether a text is one of the other names that a system of a package has for a code.
    #[must_use]
    pub fn has_designation(&self, system: &str, code: &str, text: &str) -> bool {
        self.listing(system).is_some_and(|listing| listing.has_designation(code, text))
    }

    /// Whether `code` is `ancestor` or below it in the system's hierarchy; nothing when the system is not at hand.
    #[must_use]
    pub fn subsumes(&self, system: &str, ancestor: &str, code: &str) -> Option<bool> {
        let system = System::find(&self.model, &self.library, system)?;
        Some(filter::descendants(&system, ancestor)?.contains(&Box::from(code)))
    }

    fn compile(&self, canonical: &str, open: &mut Open) -> Option<Arc<Set>> {
        // Once a set is found to take itself in, there is no use in going on.
        open.is_cyclic |= open.sets.iter().any(|one| one == canonical) || open.sets.len() > DEEPEST;
        if open.is_cyclic {
            return None;
        }
        if let Some(held) = self.sets.read().unwrap_or_else(PoisonError::into_inner).get(canonical) {
            return held.clone();
        }
        let composed = Composed::find(&self.model, &self.library, canonical)?;
        open.sets.push(canonical.to_owned());
        let set = Set::compile(&composed, &self.model, &self.library, &mut |inner| self.compile(inner, open));
        open.sets.pop();
        let set = Some(Arc::new(set.cyclic_if(open.is_cyclic)));
        // What another is part of may be asked for by many: it is compiled once.
        if open.is_cyclic { set } else { self.keep(canonical, set) }
    }
}
