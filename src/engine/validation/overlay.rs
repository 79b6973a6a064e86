//! The walk of a profile over a node: what it says beyond the core.

use std::cmp::Ordering;
use std::sync::Arc;

use serde_json::Value as Json;

use crate::definitions::{Strength, TypeId};
use crate::fhir::document::{Children, Node, NodeId};

use super::binding::Within;
use super::content;
use super::facets::More;
use super::finding::{Detail, Finding, IssueType, Rule, Severity};
use super::plan::Binding;
use super::profile::{Profile, Rules, TypeRule, Unusable};
use super::walk::Walk;

/// How many judgements may be under way when what is referred to is judged with them.
const FAR: usize = 48;
const FAR_AWAY: &str = "what is referred to is not judged here: the way of references to it is too long";

/// A reference whose target is judged by profiles, of which one is enough.
pub(super) struct PutOff<'d> {
    node: Node<'d>,
    target: Node<'d>,
    /// The rules that ask for it.
    id: Arc<str>,
    profiles: Vec<Arc<str>>,
}

/// All repetitions of a child by its logical name.
pub(super) fn repetitions<'d>(node: Node<'d>, name: &str) -> Children<'d> {
    node.child(node.document().model().symbol(name))
}

impl<'d> Walk<'_, 'd> {
    /// Judges a node by a profile named in the document or by the caller; a profile that is not at hand is a warning.
    pub(super) fn named_profile(&mut self, node: Node<'d>, at: NodeId, canonical: &str) {
        match self.validator.compiled_profile(canonical) {
            Ok(profile) => self.profile(node, &profile),
            Err(Unusable::Cyclic) => {
                let detail = Detail::Told(format!("the profile {canonical} derives from itself").into());
                self.error(IssueType::Invariant, Rule::Format("profile"), at, detail);
            }
            Err(_) => {
                let missing = self.validator.missing(canonical).unwrap_or_else(|| canonical.to_owned());
                let detail = Detail::UnknownProfile { url: missing.into_boxed_str() };
                self.warning(IssueType::NotFound, Rule::Format("profile"), at, detail);
            }
        }
    }

    /// Judges a node by a profile, unless it is being judged by it further up.
    pub(super) fn profile(&mut self, node: Node<'d>, profile: &Arc<Profile>) {
        let key = (node.id(), Arc::as_ptr(profile) as usize);
        if let Some(place) = self.under_way.iter().position(|held| *held == key) {
            self.judged.borrow_mut().met_again(place);
            return;
        }
        if self.under_way.len() > 64 || !self.judged.borrow_mut().count() {
            self.too_costly(node);
            return;
        }
        if let Some(fault) = profile.fault {
            self.error(IssueType::Invariant, Rule::Profile(profile.name.clone()), node.id(), Detail::Says(fault));
        }
        for remark in &profile.remarks {
            self.warning(
                IssueType::NotSupported,
                Rule::Profile(profile.name.clone()),
                node.id(),
                Detail::Told(remark.clone()),
            );
        }
        if let Some(held) = node.type_id()
            && !self.model.is_a(held, profile.type_id)
        {
            let expected = self.model.type_name(profile.type_id);
            self.error(
                IssueType::Structure,
                Rule::Profile(profile.name.clone()),
                node.id(),
                Detail::Told(format!("the profile is for {expected}, found {}", node.type_name()).into()),
            );
            return;
        }
        self.under_way.push(key);
        self.rules(node, &profile.root, true);
        for imposed in &profile.imposed {
            self.named_profile(node, node.id(), imposed);
        }
        self.under_way.pop();
    }

    /// Tells once that the rules for a document ask for more than is looked at.
    pub(super) fn too_costly(&mut self, node: Node<'d>) {
        if !std::mem::replace(&mut self.judged.borrow_mut().is_told, true) {
            let says = Detail::Says("the profiles and constraints ask for more than is looked at of one document");
            // It is told however much was told before.
            self.findings.push(Finding {
                severity: Severity::Error,
                issue: IssueType::TooCostly,
                rule: Rule::Format("profile"),
                at: node.id(),
                detail: says,
            });
        }
    }

    /// Judges a node by what a profile says of its element.
    pub(super) fn rules(&mut self, node: Node<'d>, rules: &Rules, is_root: bool) {
        let rule = || Rule::Profile(rules.id.clone());
        if let Some(types) = &rules.types
            && !self.types(node, rules, types)
        {
            // What is said of another type is not said of this.
            return;
        }
        // A primitive that has extensions only has no value that could be another.
        let has_value = !node.is_primitive() || node.text().is_some();
        if let Some(fixed) = &rules.fixed
            && has_value
            && !content::has(node, fixed, true)
        {
            self.differs(node, fixed, true, &rule());
        }
        if let Some(pattern) = &rules.pattern
            && has_value
            && !content::has(node, pattern, false)
        {
            self.differs(node, pattern, false, &rule());
        }
        if let Some((key, bound)) = &rules.least
            && content::against(node, key, bound) == Some(Ordering::Less)
        {
            self.error(IssueType::Value, rule(), node.id(), Detail::Told(format!("expected at least {bound}").into()));
        }
        if let Some((key, bound)) = &rules.greatest
            && content::against(node, key, bound) == Some(Ordering::Greater)
        {
            self.error(IssueType::Value, rule(), node.id(), Detail::Told(format!("expected at most {bound}").into()));
        }
        if rules.least.iter().chain(&rules.greatest).any(|(key, bound)| content::is_beside(node, key, bound)) {
            let says = Detail::Says("the unit has no measure in common with that of the bound");
            self.error(IssueType::Value, rule(), node.id(), says);
        }
        if let (Some(most), Some(text)) = (rules.max_length, node.text())
            && !matches!(
                node.type_name(),
                "boolean"
                    | "integer"
                    | "decimal"
                    | "positiveInt"
                    | "unsignedInt"
                    | "date"
                    | "dateTime"
                    | "instant"
                    | "time"
            )
            && text.chars().count() > most as usize
        {
            let detail = Detail::Told(format!("expected a text of at most {most} characters").into());
            self.error(IssueType::Value, rule(), node.id(), detail);
        }
        if let Some(binding) = &rules.binding {
            let binding = Arc::clone(binding);
            if !self.is_for_another_type(node, rules, &binding) {
                self.bound(node, node.type_name(), &binding, &rule());
            }
        }
        if let Some(more) = rules.more.clone() {
            self.more(node, &more, &rule());
        }
        if !rules.constraints.is_empty() {
            // A rule on the element that holds a resource is one of the resource around.
            let resource = match node.parent() {
                Some(parent) if !is_root && node.is_resource() => parent.resource(),
                _ => node.resource(),
            };
            self.constraints(node, resource, &rules.constraints);
        }
        for child in &rules.children {
            let nodes: Vec<Node<'d>> = node.child(child.symbol).collect();
            self.count(node, child, &child.name, nodes.len());
            if let Some(more) = child.more.clone() {
                self.any_bound(node, &nodes, &more, &Rule::Profile(child.id.clone()));
            }
            for node in &nodes {
                self.rules(*node, child, false);
            }
            if let Some(slicing) = &child.slicing
                && !(child.slices.is_empty() && nodes.is_empty())
            {
                self.slices(node, &nodes, child, slicing, &child.slices);
            }
        }
    }

    /// Tells where a value is not what a profile fixes (`exact`) or has as its pattern: at the parts that differ.
    fn differs(&mut self, node: Node<'d>, expected: &Json, exact: bool, rule: &Rule) {
        let whole = |expected: &Json| Detail::NotFixed { expected: expected.to_string().into(), pattern: !exact };
        let members = match expected {
            // Of the codings of a concept none need be the one that was meant.
            Json::Object(members) if exact || node.type_name() != "CodeableConcept" => members,
            _ => {
                self.error(IssueType::Value, rule.clone(), node.id(), whole(expected));
                return;
            }
        };
        let before = self.findings.len();
        for (name, value) in members.iter().filter(|(name, _)| !name.starts_with('_')) {
            let held: Vec<Node<'d>> = node.children().filter(|child| child.name() == name).collect();
            match (value, held.as_slice()) {
                (Json::Array(items), held) if exact && items.len() == held.len() => {
                    for (child, item) in
                        held.iter().zip(items).filter(|(child, item)| !content::has(**child, item, true))
                    {
                        self.differs(*child, item, true, rule);
                    }
                }
                (Json::Array(items), held) => {
                    let has = |item: &Json| held.iter().any(|child| content::has(*child, item, false));
                    if exact || !items.iter().all(has) {
                        self.error(IssueType::Value, rule.clone(), node.id(), whole(expected));
                    }
                }
                (_, []) => {
                    let detail =
                        Detail::PartMissing { name: Box::from(name.as_str()), expected: value.to_string().into() };
                    self.error(IssueType::Value, rule.clone(), node.id(), detail);
                }
                (_, [child, ..]) if !content::has(*child, value, exact) => self.differs(*child, value, exact, rule),
                _ => {}
            }
        }
        for child in node.children().filter(|child| exact && !members.contains_key(child.name())) {
            let says = Detail::Says("the value that the profile fixes does not have this");
            self.error(IssueType::Value, rule.clone(), child.id(), says);
        }
        if self.findings.len() == before {
            self.error(IssueType::Value, rule.clone(), node.id(), whole(expected));
        }
    }

    /// Whether a binding to units is meant for the quantities among the types of a choice, and this is none.
    fn is_for_another_type(&self, node: Node<'d>, rules: &Rules, binding: &Binding) -> bool {
        let is_concept = matches!(node.type_name(), "CodeableConcept" | "Coding" | "string");
        let has_quantity = rules.types.as_ref().is_none_or(|types| types.iter().any(|one| &*one.code == "Quantity"));
        is_concept && has_quantity && binding.set(&self.validator.terminology).is_some_and(|set| set.is_units())
    }

    /// Judges a value by what extensions of the definition say of it.
    fn more(&mut self, node: Node<'d>, more: &More, rule: &Rule) {
        if let Some(text) = node.text() {
            let length = text.chars().count() as u64;
            let decimals = text.split_once('.').map_or(0, |(_, after)| after.len() as u64);
            let is_wrong = if more.min_length.is_some_and(|least| length < least) {
                Some("the text is shorter than the profile allows")
            } else if matches!(&more.regex, Some(Some(regex)) if matches!(regex.is_match(text), Ok(false))) {
                Some("the text does not match the pattern of the profile")
            } else if node.type_name() == "decimal" && more.max_decimals.is_some_and(|most| decimals > most) {
                Some("there are more places after the point than the profile allows")
            } else {
                None
            };
            if let Some(says) = is_wrong {
                self.error(IssueType::Value, rule.clone(), node.id(), Detail::Says(says));
            }
        }
        if let (Some(None), true) = (&more.regex, node.text().is_some()) {
            let says = Detail::Says("the pattern of the profile is no regular expression, or is too large to be used");
            self.warning(IssueType::NotSupported, rule.clone(), node.id(), says);
        }
        let data = match node.type_name() {
            "base64Binary" => node.text(),
            "Attachment" => node.text_at("data"),
            _ => None,
        };
        if let (Some(most), Some(data)) = (more.max_size, data)
            && content::decoded_size(data) as u64 > most
        {
            self.error(
                IssueType::Value,
                rule.clone(),
                node.id(),
                Detail::Says("there are more bytes than the profile allows"),
            );
        }
        for one in more.bindings.iter().filter(|one| !one.any) {
            self.bound(node, node.type_name(), &one.binding, rule);
        }
        if !more.languages.is_empty() {
            self.sections(node, &more.languages, rule);
        }
    }

    /// Bindings that one of the repetitions must meet.
    fn any_bound(&mut self, holder: Node<'d>, nodes: &[Node<'d>], more: &More, rule: &Rule) {
        for one in more.bindings.iter().filter(|one| one.any) {
            let Some(set) = one.binding.set(&self.validator.terminology).cloned() else { continue };
            let found: Vec<Within<'_>> = nodes.iter().map(|node| self.within(*node, node.type_name(), &set)).collect();
            if found.iter().any(|found| !matches!(found, Within::No { .. })) || found.is_empty() {
                continue;
            }
            let at = nodes.first().filter(|_| nodes.len() == 1).unwrap_or(&holder).id();
            let detail = Detail::Told(format!("expected a code from the value set {}", one.binding.url).into());
            let is_error = one.binding.strength == Strength::Required;
            let severity = if is_error { Severity::Error } else { Severity::Warning };
            self.push(Finding { severity, issue: IssueType::CodeInvalid, rule: rule.clone(), at, detail });
        }
    }

    pub(super) fn count(&mut self, holder: Node<'d>, rules: &Rules, name: &str, found: usize) {
        let found = u32::try_from(found).unwrap_or(u32::MAX);
        if found < rules.min {
            let detail = Detail::Missing { name: Box::from(name), min: rules.min, found };
            self.error(IssueType::Required, Rule::Profile(rules.id.clone()), holder.id(), detail);
        } else if let Some(max) = rules.max.filter(|max| found > *max) {
            let detail = Detail::TooMany { name: Box::from(name), max, found };
            self.error(IssueType::Structure, Rule::Profile(rules.id.clone()), holder.id(), detail);
        }
    }

    /// Whether a node is of a type by its name; resources may be of a derived one.
    pub(super) fn is_of(&self, node: Node<'d>, code: &str) -> bool {
        match (node.type_id(), self.model.type_named(code)) {
            (Some(held), Some(wanted)) => {
                held == wanted
                    || (self.model.is_a(held, wanted) && self.model.kind(wanted) != crate::definitions::Kind::Primitive)
            }
            _ => true,
        }
    }

    /// Whether a node is of one of the types; their profiles and targets are judged too.
    fn types(&mut self, node: Node<'d>, rules: &Rules, types: &[TypeRule]) -> bool {
        let nested = node.type_id().is_some_and(|id| self.model.kind(id) == crate::definitions::Kind::Nested);
        let fitting: Vec<&TypeRule> =
            types.iter().filter(|rule| rule.code.is_empty() || nested || self.is_of(node, &rule.code)).collect();
        if fitting.is_empty() {
            let allowed: Vec<&str> = types.iter().map(|rule| &*rule.code).collect();
            let detail = Detail::Told(format!("found {}, expected {}", node.type_name(), allowed.join(" or ")).into());
            // An extension has another value than it may have: it is the extension that is wrong. So is the holder where
            // a choice is left among several types.
            let is_named = |parent: &Node<'_>| {
                parent.type_name() == "Extension" && parent.text_at("url").is_some_and(|url| url.contains(':'))
            };
            let holder = node.parent().filter(|parent| allowed.len() > 1 || is_named(parent));
            let at = holder.unwrap_or(node).id();
            self.error(IssueType::Structure, Rule::Profile(rules.id.clone()), at, detail);
            return false;
        }
        let is_extension = node.type_name() == "Extension";
        let profiles: Vec<Arc<str>> = fitting.iter().flat_map(|rule| rule.profiles.iter().cloned()).collect();
        // An extension is judged by the definition of its url wherever it stands; of other profiles those count that are for it.
        let profiles = if is_extension { self.further_profiles(node, profiles) } else { profiles };
        if !profiles.is_empty() && !fitting.iter().any(|rule| rule.profiles.is_empty()) {
            match profiles.as_slice() {
                [one] => self.named_profile(node, node.id(), one),
                several => {
                    self.tentative += 1;
                    let answers: Vec<Option<bool>> =
                        several.iter().map(|profile| self.conforms(node, profile)).collect();
                    self.tentative -= 1;
                    if !answers.contains(&Some(true)) && !answers.contains(&None) {
                        let detail = Detail::Told(format!("conforms to none of {}", several.join(", ")).into());
                        self.error(IssueType::Invariant, Rule::Profile(rules.id.clone()), node.id(), detail);
                    }
                }
            }
        }
        let targets: Vec<Arc<str>> = fitting.iter().flat_map(|rule| rule.targets.iter().cloned()).collect();
        if !targets.is_empty() {
            self.targets(node, rules, &targets);
        }
        let aggregation: Vec<Arc<str>> = fitting.iter().flat_map(|rule| rule.aggregation.iter().cloned()).collect();
        if !aggregation.is_empty() {
            self.aggregation(node, rules, &aggregation);
        }
        if let Some(wanted) = fitting.first().and_then(|rule| rule.is_versioned)
            && fitting.iter().all(|rule| rule.is_versioned == Some(wanted))
        {
            self.versioning(node, rules, wanted);
        }
        true
    }

    /// Of the profiles that an extension may have, those that derive from its definition; none where the definition itself is
    /// among them.
    fn further_profiles(&self, node: Node<'d>, profiles: Vec<Arc<str>>) -> Vec<Arc<str>> {
        let Some(url) = node.text_at("url") else { return Vec::new() };
        if profiles.iter().any(|profile| profile.split('|').next() == Some(url)) {
            return Vec::new();
        }
        let is_for = |canonical: &Arc<str>| {
            let profile = self.validator.profile(canonical);
            profile.is_some_and(|profile| profile.extension_url() == Some(url))
        };
        profiles.into_iter().filter(is_for).collect()
    }

    /// Whether a reference or a canonical names the version of its target, as a profile wants it or not. What is contained
    /// has no versions.
    fn versioning(&mut self, node: Node<'d>, rules: &Rules, wanted: bool) {
        let (text, mark) = match node.type_name() {
            "canonical" => (node.text(), "|"),
            _ => (node.text_at("reference"), "/_history/"),
        };
        let Some(text) = text.filter(|text| !text.starts_with('#')) else { return };
        if text.contains(mark) != wanted {
            let says = if wanted {
                "expected a reference to a version of its target"
            } else {
                "expected a reference that names no version of its target"
            };
            self.error(IssueType::Structure, Rule::Profile(rules.id.clone()), node.id(), Detail::Says(says));
        }
    }

    /// The type that a target profile is for.
    pub(super) fn target_name(&self, canonical: &str) -> Option<String> {
        let plain = canonical.split('|').next().unwrap_or(canonical);
        if let Some(name) = plain.strip_prefix("http://hl7.org/fhir/StructureDefinition/")
            && self.model.type_named(name).is_some()
        {
            return Some(name.to_owned());
        }
        self.validator.profile(canonical).map(|profile| self.model.type_name(profile.type_id).to_owned())
    }

    fn targets(&mut self, node: Node<'d>, rules: &Rules, targets: &[Arc<str>]) {
        let Some(reference) = node.text().or_else(|| node.text_at("reference")) else { return };
        let resolved = super::reference::resolve(reference, node);
        let found = resolved
            .map(Node::type_name)
            .or_else(|| super::reference::literal(reference).map(|literal| literal.type_name))
            .and_then(|name| self.model.type_named(name));
        let Some(found) = found else { return };
        let allowed: Vec<(Arc<str>, Option<TypeId>)> = targets
            .iter()
            .map(|target| (target.clone(), self.target_name(target).and_then(|name| self.model.type_named(&name))))
            .collect();
        let fits = |type_id: &Option<TypeId>| type_id.is_none_or(|wanted| self.model.is_a(found, wanted));
        let fitting: Vec<&Arc<str>> =
            allowed.iter().filter(|(_, type_id)| fits(type_id)).map(|(target, _)| target).collect();
        if fitting.is_empty() {
            let detail = Detail::TargetType {
                found: Box::from(self.model.type_name(found)),
                allowed: targets.join(" or ").into_boxed_str(),
            };
            self.error(IssueType::Value, Rule::Profile(rules.id.clone()), node.id(), detail);
            return;
        }
        let Some(resolved) = resolved else { return };
        let one =
            PutOff { node, target: resolved, id: rules.id.clone(), profiles: fitting.into_iter().cloned().collect() };
        if self.under_way.len() < FAR {
            self.target(&one);
        } else if self.tentative == 0 {
            // It is taken to conform until it is judged by itself.
            self.put_off.push(one);
        } else {
            self.too_far(&one);
        }
    }

    /// Judges what is referred to by the profiles that it may conform to.
    fn target(&mut self, one: &PutOff<'d>) {
        let several = u32::from(one.profiles.len() > 1);
        self.tentative += several;
        let answers: Vec<Option<bool>> =
            one.profiles.iter().map(|profile| self.conforms(one.target, profile)).collect();
        self.tentative -= several;
        if !answers.contains(&Some(true)) && !answers.contains(&None) {
            let detail =
                Detail::Told(format!("what is referred to conforms to none of {}", one.profiles.join(", ")).into());
            self.error(IssueType::Invariant, Rule::Profile(one.id.clone()), one.node.id(), detail);
        }
    }

    /// Judges what was put off, since the way to it was too long.
    pub(super) fn deferred(&mut self) {
        while let Some(one) = self.put_off.pop() {
            self.target(&one);
        }
    }

    /// Tells once that a way of references was not followed to its end.
    fn too_far(&mut self, one: &PutOff<'d>) {
        if !self.told_systems.contains(FAR_AWAY) {
            self.told_systems.insert(Box::from(FAR_AWAY));
            let rule = Rule::Profile(one.id.clone());
            self.warning(IssueType::NotSupported, rule, one.node.id(), Detail::Says(FAR_AWAY));
        }
    }

    fn aggregation(&mut self, node: Node<'d>, rules: &Rules, modes: &[Arc<str>]) {
        let Some(reference) = node.text_at("reference") else { return };
        let in_bundle = self.resources.first().is_some_and(|root| root.type_name() == "Bundle");
        let mode = if reference.starts_with('#') {
            "contained"
        } else if in_bundle && super::reference::resolve(reference, node).is_some() {
            "bundled"
        } else {
            "referenced"
        };
        let allowed = modes.iter().any(|one| &**one == mode || (mode == "bundled" && &**one == "referenced"));
        // Outside of a Bundle it cannot be seen whether the target would be in one.
        let is_seen = in_bundle || mode == "contained" || modes.iter().all(|one| &**one == "contained");
        if !allowed && is_seen {
            let detail = Detail::Told(format!("expected a reference that is {}", modes.join(" or ")).into());
            self.push(Finding {
                severity: Severity::Error,
                issue: IssueType::Structure,
                rule: Rule::Profile(rules.id.clone()),
                at: node.id(),
                detail,
            });
        }
    }

    /// Whether a node conforms to a profile; nothing when that is not at hand.
    pub(super) fn conforms(&mut self, node: Node<'d>, canonical: &str) -> Option<bool> {
        let profile = self.validator.profile(canonical)?;
        let key = (node.id(), Arc::as_ptr(&profile) as usize);
        if let Some(known) = self.judged.borrow_mut().known(&key) {
            return Some(known);
        }
        let begun = self.judged.borrow_mut().begin();
        let findings = std::mem::take(&mut self.findings);
        self.profile(node, &profile);
        let own = std::mem::replace(&mut self.findings, findings);
        let result = !own.iter().any(Finding::is_error);
        self.judged.borrow_mut().end(key, begun, self.under_way.len(), result);
        Some(result)
    }
}
