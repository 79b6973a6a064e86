//! Profiles compiled: the tree of what a profile says beyond the core, slices included.
//!
//! A profile is merged over the tree of its base, so a derived profile refines the slices of its base. What the core says
//! anyway is left out: the walk over the core has decided it.

use std::sync::Arc;

use serde_json::Value;

use crate::definitions::{Kind, Model, Strength, Symbol, TypeId};
use crate::package::library::{Canonical, Library};
use crate::package::place::{Places, Step};

use super::constraint::Constraint;
use super::facets::{IMPOSE, More, extensions, list, strings, text, text_of, type_profiles};
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
    /// The first element of which it says something though its type has none such.
    pub(super) passed_over: Option<Box<str>>,
}

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
    core: Option<TypeId>,
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
    if open.iter().any(|one| one == canonical) || open.len() > 40 {
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
            passed_over: None,
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
    let (mut root, elements) = match parent {
        Ok(parent) if !differential.is_empty() || snapshot.is_empty() => (parent.root, differential),
        Err(Unusable::Cyclic) => return Err(Unusable::Cyclic),
        Err(_) if snapshot.is_empty() && !base.is_empty() && derives => return Err(Unusable::NotFound),
        // The snapshot holds what an absent base would have said.
        _ => (Rules::empty(Arc::clone(&name), Arc::from(type_name), Symbol::UNKNOWN, Some(type_id)), snapshot),
    };
    root.id = Arc::clone(&name);
    let contained = list(content, "contained");
    let mut merger =
        Merger { model, name: &name, contained, places: Places::default(), fault: None, passed_over: None };
    for element in elements {
        merger.merge(&mut root, element, type_name);
    }
    let contexts = list(content, "context")
        .iter()
        .map(|context| (text(context, "type").to_owned(), text(context, "expression").to_owned()))
        .collect();
    let is_modifier = elements
        .iter()
        .find(|element| !text(element, "path").contains('.'))
        .is_some_and(|element| element.get("isModifier").and_then(Value::as_bool) == Some(true));
    let (fault, passed_over) = (merger.fault, merger.passed_over);
    let context_invariants = strings(content, "contextInvariant");
    let imposed = extensions(content, IMPOSE)
        .filter_map(|one| text_of(one, "valueCanonical").or_else(|| text_of(one, "valueUri")))
        .map(Arc::from)
        .collect();
    Ok(Profile { name, type_id, root, contexts, context_invariants, imposed, is_modifier, fault, passed_over })
}

impl Profile {
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
            passed_over: None,
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

    fn child_mut(&mut self, model: &Model, profile: &str, name: &str) -> &mut Self {
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

    fn slice_mut(&mut self, name: &str) -> &mut Self {
        let new = || {
            let id = format!("{}:{name}", self.id);
            Self::empty(Arc::from(id), Arc::clone(&self.name), self.symbol, self.core)
        };
        self.slices.rules_mut(name, new)
    }
}

struct Merger<'m> {
    model: &'m Model,
    name: &'m str,
    /// The resources that the profile contains.
    contained: &'m [Value],
    places: Places,
    fault: Option<&'static str>,
    /// The first element that the type does not have.
    passed_over: Option<Box<str>>,
}

impl Merger<'_> {
    fn merge(&mut self, root: &mut Rules, element: &Value, type_name: &str) {
        let steps = self.places.next_place(element);
        let mut at = root;
        let mut of = self.model.type_named(type_name);
        for step in steps.iter().skip(1) {
            let plain = step.name.strip_suffix("[x]").unwrap_or(&step.name);
            // `valueQuantity` stands for the slice of `value[x]` with that type.
            let resolved = of.and_then(|of| self.model.child(of, self.model.symbol(plain)));
            if of.is_some_and(|of| self.model.kind(of) != Kind::Primitive)
                && resolved.is_none()
                && of.and_then(|of| self.model.element_named(of, plain)).is_none()
            {
                // The type has no such element, so nothing can be said of it.
                self.passed_over.get_or_insert_with(|| Box::from(element_id(element, &steps)));
                return;
            }
            let core = resolved.map(|resolved| self.model.element(resolved.element));
            let by_type = core.filter(|element| element.is_choice() && element.name() != plain);
            let logical = by_type.map_or(plain, |element| element.name()).to_owned();
            let is_choice =
                of.and_then(|of| self.model.element_named(of, &logical)).is_some_and(|element| element.is_choice());
            at = at.child_mut(self.model, self.name, &logical);
            of = match by_type {
                Some(_) => resolved.map(|resolved| resolved.type_id),
                None => at.core,
            };
            let slice = if by_type.is_some() && step.slice.is_empty() { plain } else { step.slice.as_str() };
            if !slice.is_empty() {
                if at.slicing.is_none() {
                    let mut slicing = implicit(&logical, is_choice);
                    if by_type.is_some() && step.slice.is_empty() {
                        // Where nothing else slices it, the short name leaves the choice that type only.
                        slicing.openness = Openness::Closed;
                    }
                    at.slicing = Some(slicing);
                }
                for part in reslices(slice) {
                    at = at.slice_mut(&part);
                }
                if let Some(type_id) = by_type.and(resolved).map(|resolved| resolved.type_id) {
                    at.core = Some(type_id);
                    if at.types.is_none() {
                        at.types = Some(vec![TypeRule {
                            code: Arc::from(self.model.type_name(type_id)),
                            profiles: Vec::new(),
                            targets: Vec::new(),
                            aggregation: Vec::new(),
                            is_versioned: None,
                        }]);
                    }
                } else if is_choice {
                    // A slice of a choice is named after its type: `valueQuantity`.
                    of = of_choice_slice(self.model, &logical, slice);
                    at.core = of;
                } else {
                    of = at.core;
                }
            }
            if of.is_none() {
                of = at.core.or_else(|| single_type(self.model, at));
            }
        }
        if steps.len() == 1 && (!text(element, "sliceName").is_empty() || element.get("slicing").is_some()) {
            self.fault = Some("slicing is not allowed at the root of a profile");
        }
        self.apply(at, element, &steps);
    }

    fn apply(&mut self, rules: &mut Rules, element: &Value, steps: &[Step]) {
        let is_root = steps.len() == 1;
        rules.id = Arc::from(format!("{}#{}", self.name, element_id(element, steps)));
        if !is_root {
            if let Some(min) = element.get("min").and_then(Value::as_u64) {
                rules.min = u32::try_from(min).unwrap_or(u32::MAX);
            }
            match text(element, "max") {
                "" => {}
                "*" => rules.max = None,
                max => rules.max = max.parse().ok(),
            }
        }
        if let Some(slicing) = element.get("slicing") {
            rules.slicing = Some(explicit(slicing));
        }
        let types = list(element, "type");
        if !types.is_empty() && !is_root {
            let rules_of: Vec<TypeRule> = types
                .iter()
                .map(|one| TypeRule {
                    code: Arc::from(type_code(one)),
                    profiles: type_profiles(one),
                    targets: strings(one, "targetProfile"),
                    aggregation: strings(one, "aggregation"),
                    is_versioned: match text(one, "versioning") {
                        "specific" => Some(true),
                        "independent" => Some(false),
                        _ => None,
                    },
                })
                .collect();
            // One type only: what comes below is of that, also where the element takes any resource.
            let only =
                Some(&rules_of).filter(|of| of.len() == 1).and_then(|of| self.model.type_named(&of.first()?.code));
            if let Some(only) = only.filter(|only| rules.core.is_none_or(|core| self.model.is_a(*only, core))) {
                rules.core = Some(only);
            }
            rules.types = Some(rules_of);
        }
        for (key, value) in element.as_object().into_iter().flatten() {
            let shared = || Arc::new(value.clone());
            if key.starts_with("fixed") {
                rules.fixed = Some(shared());
            } else if key.starts_with("pattern") {
                rules.pattern = Some(shared());
            } else if key.starts_with("minValue") {
                rules.least = Some((Arc::from(key.as_str()), shared()));
            } else if key.starts_with("maxValue") {
                rules.greatest = Some((Arc::from(key.as_str()), shared()));
            } else if key == "maxLength" {
                rules.max_length = value.as_u64().and_then(|length| u32::try_from(length).ok());
            }
        }
        if let Some(more) = More::of(element) {
            rules.more = Some(Arc::new(more));
        }
        if let Some(binding) = element.get("binding") {
            let strength = match text(binding, "strength") {
                "required" => Some(Strength::Required),
                "extensible" => Some(Strength::Extensible),
                _ => None,
            };
            let url = text(binding, "valueSet");
            rules.binding = strength.filter(|_| !url.is_empty()).map(|strength| {
                let contained =
                    url.strip_prefix('#').and_then(|id| self.contained.iter().find(|one| text(one, "id") == id));
                Arc::new(match contained {
                    Some(value_set) => Binding::to_contained(
                        strength,
                        Canonical { url: url.to_owned(), version: String::new(), content: value_set.clone() },
                    ),
                    None => Binding::new(strength, url),
                })
            });
        }
        let constraints: Vec<Constraint> = list(element, "constraint")
            .iter()
            .filter(|one| !text(one, "expression").is_empty() && !is_of_core(one))
            .filter(|one| !rules.constraints.iter().any(|held| *held.key == *text(one, "key")))
            .filter_map(|one| {
                Constraint::new(
                    text(one, "key"),
                    text(one, "expression"),
                    text(one, "severity") == "error",
                    Some(text(one, "human")).filter(|human| !human.is_empty()),
                )
            })
            .collect();
        if !constraints.is_empty() {
            let mut all: Vec<Constraint> = Vec::new();
            for held in rules.constraints.iter() {
                all.extend(Constraint::new(&held.key, &held.expression, held.is_error, held.human.as_deref()));
            }
            all.extend(constraints);
            rules.constraints = Arc::new(all);
        }
    }
}

fn element_id(element: &Value, steps: &[Step]) -> String {
    let id = text(element, "id");
    if !id.is_empty() {
        return id.to_owned();
    }
    let parts: Vec<String> = steps
        .iter()
        .map(|step| if step.slice.is_empty() { step.name.clone() } else { format!("{}:{}", step.name, step.slice) })
        .collect();
    parts.join(".")
}

/// Constraints that a snapshot repeats from the core, which the walk over the core decides.
fn is_of_core(constraint: &Value) -> bool {
    let source = text(constraint, "source");
    let name = source.strip_prefix("http://hl7.org/fhir/StructureDefinition/").unwrap_or("");
    let key = text(constraint, "key");
    matches!(key, "ele-1" | "ext-1" | "dom-2" | "dom-3" | "dom-4" | "dom-5" | "dom-6" | "ref-1" | "txt-1" | "txt-2")
        || (!name.is_empty() && Model::r4().type_named(name).is_some())
}

fn type_code(one: &Value) -> &str {
    let code = text(one, "code");
    match code.strip_prefix("http://hl7.org/fhirpath/System.") {
        Some(_) => "",
        None => code,
    }
}

/// `a/b` is the slice b within the slice a: the slices from outside in.
fn reslices(name: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(slash) = name.get(at..).and_then(|rest| rest.find('/')) {
        out.extend(name.get(..at + slash).map(str::to_owned));
        at += slash + 1;
    }
    out.push(name.to_owned());
    out
}

fn of_choice_slice(model: &Model, logical: &str, slice: &str) -> Option<TypeId> {
    let rest = slice.strip_prefix(logical)?;
    model.type_named(rest).or_else(|| {
        let mut letters = rest.chars();
        let first = letters.next()?.to_ascii_lowercase();
        model.type_named(&format!("{first}{}", letters.as_str()))
    })
}

fn single_type(model: &Model, rules: &Rules) -> Option<TypeId> {
    match rules.types.as_deref() {
        Some([one]) => model.type_named(&one.code).filter(|id| model.kind(*id) != Kind::Nested),
        _ => None,
    }
}

fn implicit(name: &str, is_choice: bool) -> Slicing {
    let discriminators = if is_choice {
        vec![(Discriminator::Type, Arc::from("$this"))]
    } else if matches!(name, "extension" | "modifierExtension") {
        vec![(Discriminator::Value, Arc::from("url"))]
    } else {
        Vec::new()
    };
    Slicing { discriminators, openness: Openness::Open, ordered: false }
}

fn explicit(slicing: &Value) -> Slicing {
    Slicing {
        discriminators: list(slicing, "discriminator")
            .iter()
            .map(|one| {
                let kind = match text(one, "type") {
                    "exists" => Discriminator::Exists,
                    "pattern" => Discriminator::Pattern,
                    "type" => Discriminator::Type,
                    "profile" => Discriminator::Profile,
                    _ => Discriminator::Value,
                };
                (kind, Arc::from(text(one, "path")))
            })
            .collect(),
        openness: match text(slicing, "rules") {
            "closed" => Openness::Closed,
            "openAtEnd" => Openness::OpenAtEnd,
            _ => Openness::Open,
        },
        ordered: slicing.get("ordered").and_then(Value::as_bool).unwrap_or(false),
    }
}
