//! Profiles compiled: the tree of what a profile says beyond the core, slices included.
//!
//! A profile is merged over the tree of its base, so a derived profile refines the slices of its base. What the core says
//! anyway is left out: the walk over the core has decided it.

use std::sync::Arc;

use serde_json::Value;

use crate::definitions::{Model, Symbol, TypeId};
use crate::package::library::{Canonical, Library};

use super::constraint::Constraint;
use super::facets::{IMPOSE, More, extensions, list, strings, text, text_of};
use super::merger::Merger;
use super::plan::Binding;
use super::slices::Slices;

/// A profile.
#[derive(Debug)]
pub(super) struct Profile {
    /// `url|version`, or `url`.
    pub(super) name: Arc<str>,
    pub(super) type_id: TypeId,
    pub(super) root: Rules,
    /// For extensions: where they may stand: kind and expression.
    pub(super) contexts: Vec<(String, String)>,
    /// For extensions: what must hold of the element that has it.
    pub(super) context_invariants: Vec<Arc<str>>,
    /// Profiles that whatever conforms to this one must conform to as well.
    pub(super) imposed: Vec<Arc<str>>,
    pub(super) is_modifier: bool,
    /// What is wrong with the definition itself.
    pub(super) fault: Option<&'static str>,
    /// What of it is not judged, or not as it says, and why.
    pub(super) remarks: Vec<Box<str>>,
}

/// How many profiles may derive from each other.
pub(super) const DEEPEST: usize = 40;

/// What a profile says of one element or slice.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    /// `url|version#id`.
    pub(super) id: Arc<str>,
    /// Logical name.
    pub(super) name: Arc<str>,
    pub(super) symbol: Symbol,
    pub(super) min: u32,
    pub(super) max: Option<u32>,
    /// None: as the core.
    pub(super) types: Option<Vec<TypeRule>>,
    pub(super) fixed: Option<Arc<Value>>,
    pub(super) pattern: Option<Arc<Value>>,
    /// The key they came by (`minValueDate`) tells the type.
    pub(super) least: Option<(Arc<str>, Arc<Value>)>,
    pub(super) greatest: Option<(Arc<str>, Arc<Value>)>,
    pub(super) max_length: Option<u32>,
    /// What extensions of the definition say; most have none.
    pub(super) more: Option<Arc<More>>,
    pub(super) binding: Option<Arc<Binding>>,
    pub(super) constraints: Arc<Vec<Constraint>>,
    pub(super) children: Vec<Rules>,
    pub(super) slicing: Option<Slicing>,
    pub(super) slices: Slices,
    /// The core element, where the tree knows it.
    pub(super) core: Option<TypeId>,
}

#[derive(Debug, Clone)]
pub(super) struct Slice {
    pub(super) name: Arc<str>,
    pub(super) rules: Rules,
}

#[derive(Debug, Clone)]
pub(super) struct TypeRule {
    pub(super) code: Arc<str>,
    pub(super) profiles: Vec<Arc<str>>,
    pub(super) targets: Vec<Arc<str>>,
    pub(super) aggregation: Vec<Arc<str>>,
    /// Whether a reference names a version of its target, where that is said.
    pub(super) is_versioned: Option<bool>,
}

#[derive(Debug, Clone)]
pub(super) struct Slicing {
    pub(super) discriminators: Vec<(Discriminator, Arc<str>)>,
    pub(super) openness: Openness,
    pub(super) ordered: bool,
    /// Whether all that slices are told by is something that the element can have.
    pub(super) is_decidable: bool,
}

impl Slicing {
    /// What slices are told by: the kinds of discriminators as codes, and their paths.
    pub(super) fn told_by(&self) -> Vec<(String, String)> {
        let code = |kind: &Discriminator| match kind {
            Discriminator::Value => "value",
            Discriminator::Exists => "exists",
            Discriminator::Pattern => "pattern",
            Discriminator::Type => "type",
            Discriminator::Profile => "profile",
        };
        self.discriminators.iter().map(|(kind, path)| (code(kind).to_owned(), path.to_string())).collect()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Discriminator {
    Value,
    Exists,
    Pattern,
    Type,
    Profile,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Openness {
    Open,
    Closed,
    OpenAtEnd,
}

/// The definition of a canonical: of a package, else of the core.
pub(super) fn definition(model: &Model, library: &Library, canonical: &str) -> Option<Arc<Canonical>> {
    if let Some(found) = library.find("StructureDefinition", canonical) {
        return Some(Arc::clone(found));
    }
    let url = canonical.split(['|', '#']).next().unwrap_or(canonical);
    let Some(structure) = model.structure(url) else {
        return super::published::extension(canonical).map(Arc::new);
    };
    let content: Value = serde_json::from_str(structure).ok()?;
    Some(Arc::new(Canonical { url: url.to_owned(), version: model.fhir_version().to_owned(), content }))
}

/// Why a profile cannot be compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unusable {
    /// It, or one it derives from, is not at hand.
    NotFound,
    /// It derives from itself.
    Cyclic,
    /// Its type is not one of this version of FHIR.
    Type,
}

/// Compiles a profile. Core types have nothing to add: their profile is empty.
pub(super) fn compile(
    model: &Model,
    library: &Library,
    canonical: &str,
    open: &mut Vec<String>,
) -> Result<Profile, Unusable> {
    if open.iter().any(|one| one == canonical) || open.len() > DEEPEST {
        return Err(Unusable::Cyclic);
    }
    let plain = canonical.split('|').next().unwrap_or(canonical);
    if let Some(type_id) = plain
        .strip_prefix("http://hl7.org/fhir/StructureDefinition/")
        .and_then(|name| model.type_named(name))
        .filter(|_| library.find("StructureDefinition", canonical).is_none())
    {
        return Ok(Profile {
            name: Arc::from(plain),
            type_id,
            root: Rules::empty(Arc::from(plain), Arc::from(model.type_name(type_id)), Symbol::UNKNOWN, Some(type_id)),
            contexts: Vec::new(),
            context_invariants: Vec::new(),
            imposed: Vec::new(),
            is_modifier: false,
            fault: None,
            remarks: Vec::new(),
        });
    }
    let found = definition(model, library, canonical).ok_or(Unusable::NotFound)?;
    let content = &found.content;
    let type_name = text(content, "type").rsplit('/').next().unwrap_or("");
    let type_id = model.type_named(type_name).ok_or(Unusable::Type)?;
    let name: Arc<str> = if found.version.is_empty() {
        Arc::from(found.url.as_str())
    } else {
        Arc::from(format!("{}|{}", found.url, found.version))
    };
    let differential = list(content.get("differential").unwrap_or(&Value::Null), "element");
    let snapshot = list(content.get("snapshot").unwrap_or(&Value::Null), "element");
    let base = text(content, "baseDefinition");
    let derives = text(content, "derivation") == "constraint";
    open.push(canonical.to_owned());
    let parent =
        if derives && !base.is_empty() { compile(model, library, base, open) } else { Err(Unusable::NotFound) };
    open.pop();
    // What a profile asks of whatever conforms to it, those that derive from it ask, too.
    let mut imposed = parent.as_ref().map(|parent| parent.imposed.clone()).unwrap_or_default();
    let (mut root, elements) = match parent {
        Ok(parent) if !differential.is_empty() || snapshot.is_empty() => (parent.root, differential),
        Err(Unusable::Cyclic) => return Err(Unusable::Cyclic),
        Err(_) if snapshot.is_empty() && !base.is_empty() && derives => return Err(Unusable::NotFound),
        // The snapshot holds what an absent base would have said.
        _ => (Rules::empty(Arc::clone(&name), Arc::from(type_name), Symbol::UNKNOWN, Some(type_id)), snapshot),
    };
    root.id = Arc::clone(&name);
    let contained = list(content, "contained");
    let mut merger = Merger::new(model, library, &name, contained, open);
    for element in elements {
        merger.merge(&mut root, element, type_name);
    }
    let (fault, remarks) = merger.told();
    let contexts = list(content, "context")
        .iter()
        .map(|context| (text(context, "type").to_owned(), text(context, "expression").to_owned()))
        .collect();
    let is_modifier = elements
        .iter()
        .find(|element| !text(element, "path").contains('.'))
        .is_some_and(|element| element.get("isModifier").and_then(Value::as_bool) == Some(true));
    let context_invariants = strings(content, "contextInvariant");
    let own = extensions(content, IMPOSE);
    imposed.extend(
        own.filter_map(|one| text_of(one, "valueCanonical").or_else(|| text_of(one, "valueUri"))).map(Arc::<str>::from),
    );
    Ok(Profile { name, type_id, root, contexts, context_invariants, imposed, is_modifier, fault, remarks })
}

impl Profile {
    /// The url of the extensions that it is for.
    pub(super) fn extension_url(&self) -> Option<&str> {
        self.root.child("url")?.fixed.as_ref()?.as_str()
    }

    /// What it says of one of its elements (`Composition.section:history`), as a profile of its own.
    pub(super) fn part(&self, id: &str) -> Option<Self> {
        let mut rules = &self.root;
        for step in id.split('.').skip(1) {
            let (name, slice) = step.split_once(':').map_or((step, ""), |(name, slice)| (name, slice));
            rules = rules.child(name.strip_suffix("[x]").unwrap_or(name))?;
            if !slice.is_empty() {
                for part in reslices(slice) {
                    rules = &rules.slices.named(&part)?.rules;
                }
            }
        }
        Some(Self {
            name: Arc::from(format!("{}#{id}", self.name)),
            type_id: rules.core?,
            root: rules.clone(),
            contexts: Vec::new(),
            context_invariants: Vec::new(),
            imposed: Vec::new(),
            is_modifier: false,
            fault: self.fault,
            remarks: Vec::new(),
        })
    }
}

impl Rules {
    fn empty(id: Arc<str>, name: Arc<str>, symbol: Symbol, core: Option<TypeId>) -> Self {
        Self {
            id,
            name,
            symbol,
            min: 0,
            max: None,
            types: None,
            fixed: None,
            pattern: None,
            least: None,
            greatest: None,
            max_length: None,
            more: None,
            binding: None,
            constraints: Arc::new(Vec::new()),
            children: Vec::new(),
            slicing: None,
            slices: Slices::default(),
            core,
        }
    }

    pub(super) fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| &*child.name == name)
    }

    /// The profiles that its type rules name.
    pub(super) fn profiles(&self) -> impl Iterator<Item = &Arc<str>> {
        self.types.iter().flatten().flat_map(|rule| &rule.profiles)
    }

    pub(super) fn child_mut(&mut self, model: &Model, profile: &str, name: &str) -> &mut Self {
        let place = self.children.iter().position(|child| &*child.name == name).unwrap_or_else(|| {
            let core = self.core.and_then(|of| model.element_named(of, name)).and_then(|element| {
                let mut types = element.types();
                let first = types.next()?;
                types.next().is_none().then(|| first.type_id())
            });
            let id = if self.id.contains('#') {
                format!("{}.{name}", self.id)
            } else {
                format!("{profile}#{}.{name}", self.name)
            };
            self.children.push(Self::empty(Arc::from(id), Arc::from(name), model.symbol(name), core));
            self.children.len() - 1
        });
        #[expect(clippy::indexing_slicing, reason = "the place was just found or made")]
        &mut self.children[place]
    }

    /// Takes over what tells a slice from others, where nothing is said of it here.
    pub(super) fn tell_by(&mut self, theirs: &Self, kind: Discriminator) {
        if self.fixed.is_none() && self.pattern.is_none() {
            self.fixed.clone_from(&theirs.fixed);
            self.pattern.clone_from(&theirs.pattern);
        }
        if self.types.is_none() && matches!(kind, Discriminator::Type | Discriminator::Profile) {
            self.types.clone_from(&theirs.types);
        }
        if self.binding.is_none() {
            self.binding.clone_from(&theirs.binding);
        }
        if kind == Discriminator::Exists {
            self.min = self.min.max(theirs.min);
            self.max = self.max.or(theirs.max);
        }
    }

    pub(super) fn slice_mut(&mut self, name: &str) -> &mut Self {
        let new = || {
            let id = format!("{}:{name}", self.id);
            Self::empty(Arc::from(id), Arc::clone(&self.name), self.symbol, self.core)
        };
        self.slices.rules_mut(name, new)
    }
}

/// `a/b` is the slice b within the slice a: the slices from outside in.
pub(super) fn reslices(name: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(slash) = name.get(at..).and_then(|rest| rest.find('/')) {
        out.extend(name.get(..at + slash).map(str::to_owned));
        at += slash + 1;
    }
    out.push(name.to_owned());
    out
}
