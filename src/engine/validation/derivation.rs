//! A profile against what it derives from: a constraint narrows, so what it says of an element lies within what its base says.

use rustc_hash::{FxHashMap, FxHashSet};
use serde_json::Value;

use crate::definitions::{Element, Kind, Model, Strength};
use crate::fhir::document::Node;
use crate::package::place::{Places, Step};

use super::facets::{list, text};
use super::profile::{Profile, Rules};
use super::walk::Walk;

/// An element of a differential with what its base says of it.
struct Derived<'d, 'm, 'b> {
    node: Node<'d>,
    says: Value,
    steps: Vec<Step>,
    core: Option<Element<'m>>,
    /// What the profile that it derives from says of the element.
    base: Option<&'b Rules>,
}

impl Derived<'_, '_, '_> {
    fn slice(&self) -> &str {
        self.steps.last().map_or("", |step| step.slice.as_str())
    }

    fn path(&self) -> &str {
        text(&self.says, "path")
    }
}

/// The core element of a place, where every step but the last has one type that is no resource.
fn core_element<'m>(model: &'m Model, steps: &[Step]) -> Option<Element<'m>> {
    let (first, rest) = steps.split_first()?;
    let mut of = model.type_named(&first.name)?;
    let mut found = None;
    for step in rest {
        let plain = step.name.strip_suffix("[x]").unwrap_or(&step.name);
        if let Some(element) = model.element_named(of, plain) {
            let mut types = element.types();
            if let (Some(one), None) = (types.next(), types.next()) {
                of = one.type_id();
            }
            found = Some(element);
        } else {
            let resolved = model.child(of, model.symbol(plain))?;
            of = resolved.type_id;
            found = Some(model.element(resolved.element));
        }
    }
    found
}

fn rules_at<'b>(base: &'b Profile, steps: &[Step]) -> Option<&'b Rules> {
    let mut rules = &base.root;
    for step in steps.iter().skip(1) {
        rules = rules.child(step.name.strip_suffix("[x]").unwrap_or(&step.name))?;
        if !step.slice.is_empty() {
            rules = rules.slices.named(&step.slice).map(|slice| &slice.rules)?;
        }
    }
    Some(rules)
}

impl<'d> Walk<'_, 'd> {
    /// Judges the differential of a constraint by what its base says.
    pub(super) fn derivation(&mut self, structure: Node<'d>, elements: &[Node<'d>]) {
        let base = structure.text_at("baseDefinition").and_then(|base| self.validator.profile(base));
        let model = &self.validator.model;
        let mut places = Places::default();
        let derived: Vec<Derived<'d, '_, '_>> = elements
            .iter()
            .filter_map(|node| {
                let says: Value = serde_json::from_str(node.raw()).ok()?;
                let steps = places.next_place(&says);
                let core = core_element(model, &steps);
                let base = base.as_deref().and_then(|base| rules_at(base, &steps));
                Some(Derived { node: *node, says, steps, core, base })
            })
            .collect();
        for one in &derived {
            self.counts_within(structure, one);
            self.types_within(structure, one);
            self.values_within(structure, one);
        }
        // The parts of an extension are few, and published in whatever order.
        if structure.text_at("type") != Some("Extension") {
            self.order(structure, &derived);
        }
        self.slices_set_up(&derived, base.as_deref());
    }

    fn counts_within(&mut self, structure: Node<'d>, one: &Derived<'d, '_, '_>) {
        let Some(core) = one.core else { return };
        let path = one.path();
        let base_max = match one.base.and_then(|base| base.max) {
            Some(max) => Some(max),
            None => core.max().map(u32::from),
        };
        let max = text(&one.says, "max");
        if let Some(base_max) = base_max
            && (max == "*" || max.parse::<u32>().is_ok_and(|max| max > base_max))
        {
            self.misdefined(structure, format!("{path}: at most {max} is more than the {base_max} of the base"));
        }
        let base_min = one.base.map_or(0, |base| base.min).max(u32::from(core.min()));
        if one.slice().is_empty()
            && let Some(min) = one.says.get("min").and_then(Value::as_u64)
            && min < u64::from(base_min)
        {
            self.misdefined(structure, format!("{path}: at least {min} is less than the {base_min} of the base"));
        }
    }

    fn types_within(&mut self, structure: Node<'d>, one: &Derived<'d, '_, '_>) {
        let Some(core) = one.core else { return };
        let path = one.path();
        let allowed: Vec<_> = core.types().collect();
        let is_open = allowed.is_empty()
            || allowed.iter().any(|choice| matches!(self.model.kind(choice.type_id()), Kind::Nested))
            || one.path().ends_with(".url");
        for (place, kind) in list(&one.says, "type").iter().enumerate() {
            let code = text(kind, "code");
            let at = one.node.named("type").nth(place).unwrap_or(one.node);
            if code.contains(':') || is_open {
                continue;
            }
            let held = self.model.type_named(code);
            let of_base =
                allowed.iter().find(|choice| held.is_some_and(|held| self.model.is_a(held, choice.type_id())));
            let Some(of_base) = of_base else {
                self.misdefined(structure, format!("{path}: the base does not have the type {code} here"));
                continue;
            };
            let targets: Vec<&str> =
                of_base.targets().map(|target| target.rsplit('/').next().unwrap_or(target)).collect();
            for target in list(kind, "targetProfile").iter().filter_map(Value::as_str) {
                let Some(found) = self.target_name(target).and_then(|name| self.model.type_named(&name)) else {
                    continue;
                };
                let is_any = targets.is_empty() || targets.contains(&"Resource");
                let fits =
                    |name: &&str| self.model.type_named(name).is_some_and(|wanted| self.model.is_a(found, wanted));
                if !is_any && !targets.iter().any(fits) {
                    self.misdefined(structure, format!("{path}: the base has no reference to {target} here"));
                }
            }
            for (number, profile) in list(kind, "profile").iter().filter_map(Value::as_str).enumerate() {
                let of = profile
                    .split_once('#')
                    .is_none()
                    .then(|| self.validator.profile(profile))
                    .flatten()
                    .map(|profile| profile.type_id);
                if let (Some(of), Some(held)) = (of, held)
                    && !self.model.is_a(of, held)
                    && !self.model.is_a(held, of)
                {
                    let says = format!("{path}: the profile {profile} is not one of {code}");
                    self.misdefined(structure, says.clone());
                    self.misdefined(at.named("profile").nth(number).unwrap_or(at), says);
                }
            }
        }
    }

    fn values_within(&mut self, structure: Node<'d>, one: &Derived<'d, '_, '_>) {
        let Some(core) = one.core else { return };
        let path = one.path();
        let strength = match one.says.pointer("/binding/strength").and_then(Value::as_str) {
            Some("extensible") => Some(Strength::Extensible),
            Some("preferred") => Some(Strength::Preferred),
            Some("example") => Some(Strength::Example),
            _ => None,
        };
        if strength.is_some() && core.binding().is_some_and(|(held, _)| held == Strength::Required) {
            self.misdefined(structure, format!("{path}: the binding of the base is required, and stays so"));
        }
        let own: Vec<&str> = list(&one.says, "type").iter().map(|kind| text(kind, "code")).collect();
        let types: Vec<&str> = if own.is_empty() {
            core.types().map(|choice| self.model.type_name(choice.type_id())).collect()
        } else {
            own
        };
        // A name with a type (`valueQuantity`) says the type itself.
        let is_said = one.steps.last().is_some_and(|step| step.name.trim_end_matches("[x]") != core.name());
        if types.is_empty()
            || is_said
            || one.says.get("type").is_none() && one.base.is_some_and(|base| base.types.is_some())
        {
            return;
        }
        for (key, _) in one.says.as_object().into_iter().flatten() {
            let Some(written) = key.strip_prefix("fixed").or_else(|| key.strip_prefix("pattern")) else { continue };
            let fits = |code: &&str| code.contains(':') || code.eq_ignore_ascii_case(written);
            if !types.iter().any(fits) {
                let allowed = types.join(", ");
                self.misdefined(structure, format!("{path}: the value is of the type {written}, expected {allowed}"));
            }
        }
    }

    /// The elements stand in the order of the base, each once.
    fn order(&mut self, structure: Node<'d>, derived: &[Derived<'d, '_, '_>]) {
        let mut least: FxHashMap<String, u32> = FxHashMap::default();
        let mut late: Vec<Node<'d>> = Vec::new();
        let mut seen: FxHashSet<String> = FxHashSet::default();
        let mut is_repeated = false;
        let key =
            |steps: &[Step]| -> String { steps.iter().map(|step| format!("{}:{}.", step.name, step.slice)).collect() };
        for one in derived.iter().rev() {
            let Some((_, before)) = one.steps.split_last() else { continue };
            let Some(core) = one.core else { continue };
            let held = least.entry(key(before)).or_insert(u32::MAX);
            if *held < core.order() {
                late.push(one.node);
            }
            *held = (*held).min(core.order());
            is_repeated |= one.slice().is_empty() && !seen.insert(key(&one.steps));
        }
        for node in late.iter().rev() {
            self.misdefined(*node, "an element that the base has before this one stands after it");
        }
        if !late.is_empty() {
            self.misdefined(structure, "the elements of the differential are not in the order of the base");
        }
        if is_repeated {
            self.misdefined(structure, "the differential has an element twice");
        }
    }

    /// A slice is of an element that is sliced: here, by the base, or as extensions and choices are.
    fn slices_set_up(&mut self, derived: &[Derived<'d, '_, '_>], base: Option<&Profile>) {
        for one in derived.iter().filter(|one| !one.slice().is_empty() && !one.slice().contains('/')) {
            let Some((last, before)) = one.steps.split_last() else { continue };
            let is_implied = last.name.ends_with("[x]")
                || matches!(last.name.as_str(), "extension" | "modifierExtension")
                || one.core.is_none_or(|core| core.is_choice() || !core.is_array());
            let mut whole = before.to_vec();
            whole.push(Step { name: last.name.clone(), slice: String::new() });
            let is_here = derived.iter().any(|other| other.steps == whole && other.says.get("slicing").is_some());
            // What is said within a slice of an element holds for what the element itself says too.
            let bare: Vec<Step> =
                whole.iter().map(|step| Step { name: step.name.clone(), slice: String::new() }).collect();
            let is_of_base = base.is_some_and(|base| {
                [&whole, &bare].iter().any(|steps| rules_at(base, steps).is_some_and(|rules| rules.slicing.is_some()))
            });
            let is_own = one.says.get("slicing").is_some();
            let is_bare = derived.iter().any(|other| other.steps == bare && other.says.get("slicing").is_some());
            if !is_implied && !is_here && !is_of_base && !is_own && !is_bare {
                self.misdefined(one.node, format!("{} has a slice and is not sliced", one.path()));
            }
        }
    }
}
