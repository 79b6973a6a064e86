//! The elements of a definition merged over what its base says, one by one.

use std::sync::Arc;

use rustc_hash::FxHashMap;
use serde_json::Value;

use crate::definitions::{Kind, Model, Strength, TypeId};
use crate::package::library::{Canonical, Library};
use crate::package::place::{Places, Step};

use super::constraint::Constraint;
use super::facets::{More, list, strings, text, type_profiles};
use super::plan::Binding;
use super::profile::{Discriminator, Openness, Profile, Rules, Slicing, TypeRule, compile, definition, reslices};
use super::slicing;

/// How many remarks are made on one profile.
const MOST_REMARKS: usize = 5;

/// Merges the elements of one definition.
pub(super) struct Merger<'m> {
    model: &'m Model,
    library: &'m Library,
    name: &'m str,
    /// The resources that the profile contains.
    contained: &'m [Value],
    places: Places,
    fault: Option<&'static str>,
    remarks: Vec<Box<str>>,
    /// The profiles of the types of elements, as far as they were asked for.
    of_types: FxHashMap<Arc<str>, Option<Arc<Profile>>>,
    /// The profiles that are being compiled.
    open: &'m mut Vec<String>,
}

/// The place in the profile of a type that an element stands in.
type Within = (Arc<Profile>, Vec<Step>);

fn rules_within((profile, steps): &Within) -> Option<&Rules> {
    steps.iter().try_fold(&profile.root, |rules, step| {
        let rules = rules.child(step.name.strip_suffix("[x]").unwrap_or(&step.name))?;
        if step.slice.is_empty() { Some(rules) } else { rules.slices.named(&step.slice).map(|slice| &slice.rules) }
    })
}

impl<'m> Merger<'m> {
    pub(super) fn new(
        model: &'m Model,
        library: &'m Library,
        name: &'m str,
        contained: &'m [Value],
        open: &'m mut Vec<String>,
    ) -> Self {
        Self {
            model,
            library,
            name,
            contained,
            places: Places::default(),
            fault: None,
            remarks: Vec::new(),
            of_types: FxHashMap::default(),
            open,
        }
    }

    /// What is wrong with the definition, and what of it is not judged as it says.
    pub(super) fn told(self) -> (Option<&'static str>, Vec<Box<str>>) {
        (self.fault, self.remarks)
    }

    fn remark(&mut self, text: String) {
        if self.remarks.len() < MOST_REMARKS {
            self.remarks.push(text.into_boxed_str());
        }
    }

    /// The profile that the one type of an element names.
    fn of_type(&mut self, rules: &Rules) -> Option<Arc<Profile>> {
        let [one] = rules.types.as_deref()? else { return None };
        let [canonical] = one.profiles.as_slice() else { return None };
        if let Some(known) = self.of_types.get(canonical) {
            return known.clone();
        }
        self.open.push(self.name.split('|').next().unwrap_or(self.name).to_owned());
        let found = compile(self.model, self.library, canonical, self.open).ok().map(Arc::new);
        self.open.pop();
        self.of_types.insert(Arc::clone(canonical), found.clone());
        found
    }

    /// A slice that the profile of a type has is told from the others by what that profile says of it.
    fn tell_slice(&self, slice: &mut Rules, slicing: &Slicing, within: Option<&Within>) {
        let Some(theirs) = within.and_then(rules_within) else { return };
        for (kind, path) in &slicing.discriminators {
            let (mut own, mut theirs) = (&mut *slice, theirs);
            own.tell_by(theirs, *kind);
            for step in slicing::steps(path) {
                let slicing::Step::Name(name) = step else { break };
                let Some(below) = theirs.child(name) else { break };
                theirs = below;
                own = own.child_mut(self.model, self.name, name);
                own.tell_by(theirs, *kind);
            }
        }
    }

    pub(super) fn merge(&mut self, root: &mut Rules, element: &Value, type_name: &str) {
        let steps = self.places.next_place(element);
        let mut at = root;
        let mut of = self.model.type_named(type_name);
        let mut within: Option<Within> = None;
        for step in steps.iter().skip(1) {
            match self.of_type(at) {
                Some(profile) => within = Some((profile, vec![step.clone()])),
                None => within.iter_mut().for_each(|(_, path)| path.push(step.clone())),
            }
            let plain = step.name.strip_suffix("[x]").unwrap_or(&step.name);
            // `valueQuantity` stands for the slice of `value[x]` with that type.
            let resolved = of.and_then(|of| self.model.child(of, self.model.symbol(plain)));
            if of.is_some_and(|of| self.model.kind(of) != Kind::Primitive)
                && resolved.is_none()
                && of.and_then(|of| self.model.element_named(of, plain)).is_none()
            {
                // The type has no such element, so nothing can be said of it.
                let id = element_id(element, &steps);
                self.remark(format!("what the profile says of {id} is not checked: its type has no such element"));
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
                    // The profile of the type judges all its slices; here some of them are spoken of.
                    let around = within.as_ref().and_then(|(profile, path)| {
                        let (last, before) = path.split_last()?;
                        let mut path = before.to_vec();
                        path.push(Step { name: last.name.clone(), slice: String::new() });
                        rules_within(&(Arc::clone(profile), path))?.slicing.clone()
                    });
                    let theirs = around.map(|theirs| Slicing { openness: Openness::Open, ordered: false, ..theirs });
                    let mut slicing = implicit(&logical, is_choice);
                    if by_type.is_some() {
                        // Where nothing else slices it, the short names leave the choice their types only.
                        slicing.openness = Openness::Closed;
                    }
                    at.slicing = Some(theirs.unwrap_or(slicing));
                }
                let slicing = at.slicing.clone();
                for part in reslices(slice) {
                    at = at.slice_mut(&part);
                }
                if let Some(slicing) = &slicing {
                    self.tell_slice(at, slicing, within.as_ref());
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
            // A profile can only narrow (<http://hl7.org/fhir/R4/profiling.html#limitations>).
            let (least, most) = (rules.min, rules.max);
            if let Some(min) = element.get("min").and_then(Value::as_u64) {
                rules.min = u32::try_from(min).unwrap_or(u32::MAX).max(least);
                if u64::from(rules.min) > min {
                    self.remark(format!(
                        "{}: at least {min} is less than the {least} of the base, which counts",
                        rules.id
                    ));
                }
            }
            let max = text(element, "max");
            if !max.is_empty() {
                let wanted = max.parse().ok();
                rules.max = match (wanted, most) {
                    (Some(wanted), Some(most)) => Some(most.min(wanted)),
                    (wanted, most) => wanted.or(most),
                };
                if rules.max != wanted {
                    let most = most.unwrap_or_default();
                    self.remark(format!(
                        "{}: at most {max} is more than the {most} of the base, which counts",
                        rules.id
                    ));
                }
            }
        }
        if let Some(slicing) = element.get("slicing") {
            let mut slicing = explicit(slicing);
            let lost = slicing.discriminators.iter().find(|(_, path)| !leads_somewhere(self.model, rules.core, path));
            if let Some((_, path)) = lost {
                self.remark(format!("{}: what belongs to its slices cannot be told: it has no {path}", rules.id));
                slicing.is_decidable = false;
            }
            rules.slicing = Some(slicing);
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
            // The url of an extension is the canonical of its definition, whether that is at hand or not.
            if let [one] = rules_of.as_slice()
                && let [canonical] = one.profiles.as_slice()
                && &*one.code == "Extension"
                && definition(self.model, self.library, canonical).is_none()
            {
                let url = canonical.split('|').next().unwrap_or(canonical);
                let own = rules.child_mut(self.model, self.name, "url");
                own.fixed = Some(Arc::new(Value::String(url.to_owned())));
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

fn of_choice_slice(model: &Model, logical: &str, slice: &str) -> Option<TypeId> {
    let rest = slice.strip_prefix(logical)?;
    model.type_named(rest).or_else(|| {
        let mut letters = rest.chars();
        let first = letters.next()?.to_ascii_lowercase();
        model.type_named(&format!("{first}{}", letters.as_str()))
    })
}

/// Whether the path of a discriminator leads to something from elements of a type, as far as the model tells.
fn leads_somewhere(model: &Model, from: Option<TypeId>, path: &str) -> bool {
    let mut of = from;
    for step in slicing::steps(path) {
        let Some(here) = of else { return true };
        of = match step {
            slicing::Step::This => of,
            slicing::Step::Extension(_) => model.type_named("Extension"),
            slicing::Step::OfType(name) => model.type_named(name),
            slicing::Step::Resolve => None,
            slicing::Step::Name(_) if model.is_abstract(here) || model.kind(here) == Kind::Primitive => None,
            slicing::Step::Name(name) => match model.element_named(here, name) {
                Some(element) => {
                    let mut types = element.types();
                    let first = types.next();
                    first.filter(|_| types.next().is_none()).map(|choice| choice.type_id())
                }
                None => match model.child(here, model.symbol(name)) {
                    Some(child) => Some(child.type_id),
                    None => return false,
                },
            },
        };
    }
    true
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
    Slicing { discriminators, openness: Openness::Open, ordered: false, is_decidable: true }
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
        is_decidable: true,
    }
}
