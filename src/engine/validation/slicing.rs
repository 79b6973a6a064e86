//! Which repetition belongs to which slice.

use std::sync::Arc;

use crate::fhir::document::Node;

use super::binding::Within;
use super::content;
use super::finding::{Detail, IssueType, Rule};
use super::overlay::repetitions;
use super::profile::{Discriminator, Openness, Rules, Slice, Slicing};
use super::slices::Slices;
use super::walk::Walk;

/// The slice of whatever belongs to no other (<http://hl7.org/fhir/R4/profiling.html#default>).
const DEFAULT: &str = "@default";

/// A step of a discriminator's path.
pub(super) enum Step<'p> {
    This,
    Name(&'p str),
    Extension(&'p str),
    Resolve,
    OfType(&'p str),
}

/// `$this`, `code.coding`, `extension('url').value`, `resolve().code`, `value.ofType(Coding)`.
pub(super) fn steps(path: &str) -> Vec<Step<'_>> {
    let mut steps = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        let mut depth = 0;
        let end = rest
            .char_indices()
            .find(|(_, letter)| {
                match letter {
                    '(' => depth += 1,
                    ')' => depth -= 1,
                    _ => {}
                }
                *letter == '.' && depth == 0
            })
            .map_or(rest.len(), |(at, _)| at);
        let (step, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
        rest = after.strip_prefix('.').unwrap_or(after);
        let argument =
            step.split_once('(').map(|(_, argument)| argument.trim_end_matches(')').trim_matches(['\'', '"', '`']));
        steps.push(match argument {
            None if step == "$this" => Step::This,
            None => Step::Name(step.strip_suffix("[x]").unwrap_or(step)),
            Some(url) if step.starts_with("extension(") => Step::Extension(url),
            Some(_) if step.starts_with("resolve(") => Step::Resolve,
            Some(name) if step.starts_with("ofType(") => Step::OfType(name),
            Some(_) => Step::Name(step),
        });
    }
    steps
}

impl<'d> Walk<'_, 'd> {
    /// Assigns repetitions to slices and checks the slices; tells those that belong to none where that is not allowed.
    pub(super) fn slices(
        &mut self,
        holder: Node<'d>,
        nodes: &[Node<'d>],
        rules: &Rules,
        slicing: &Slicing,
        slices: &Slices,
    ) {
        if !slicing.is_decidable {
            return;
        }
        let default = slices.iter().position(|slice| &*slice.name == DEFAULT);
        let mut assigned: Vec<Option<usize>> = Vec::with_capacity(nodes.len());
        // Slices of which it cannot be told whether a node that belongs to no other belongs to them.
        let mut unclear: Vec<usize> = Vec::new();
        let mut is_clear: Vec<bool> = Vec::with_capacity(nodes.len());
        for node in nodes {
            let before = unclear.len();
            let place = self.place(*node, rules, slicing, slices, &mut unclear);
            if place.is_some() {
                unclear.truncate(before);
            }
            is_clear.push(unclear.len() == before);
            assigned.push(place.or(default));
        }
        unclear.sort_unstable();
        unclear.dedup();
        let mut latest = 0;
        let mut unmatched_seen = false;
        for ((node, place), is_clear) in nodes.iter().zip(&assigned).zip(is_clear) {
            match place {
                None if !is_clear => {}
                Some(place) => {
                    if slicing.ordered && *place < latest {
                        self.error(
                            IssueType::Structure,
                            Rule::Profile(rules.id.clone()),
                            node.id(),
                            Detail::Says("the slices do not stand in their order"),
                        );
                    }
                    latest = latest.max(*place);
                    if unmatched_seen && slicing.openness == Openness::OpenAtEnd {
                        self.error(
                            IssueType::Structure,
                            Rule::Profile(rules.id.clone()),
                            node.id(),
                            Detail::Says("what belongs to no slice stands after all that does"),
                        );
                    }
                }
                None => {
                    unmatched_seen = true;
                    if slicing.openness == Openness::Closed {
                        self.error(
                            IssueType::Structure,
                            Rule::Profile(rules.id.clone()),
                            node.id(),
                            Detail::NoSlice { name: Box::from(&*rules.name) },
                        );
                    }
                }
            }
        }
        let mut members: Vec<(usize, Node<'d>)> =
            assigned.iter().zip(nodes).filter_map(|(place, node)| Some(((*place)?, *node))).collect();
        members.sort_by_key(|(place, _)| *place);
        let mut members = members.as_slice();
        for (place, slice) in slices.iter().enumerate() {
            let (own, rest) = members.split_at(members.partition_point(|(at, _)| *at == place));
            members = rest;
            let has_few = u32::try_from(own.len()).is_ok_and(|found| found < slice.rules.min);
            if has_few && unclear.binary_search(&place).is_ok() {
                let paths: Vec<&str> = slicing.discriminators.iter().map(|(_, path)| &**path).collect();
                let says = format!(
                    "what belongs to the slice {} cannot be told by {}: what it has there is not said, or not at hand",
                    slice.name,
                    paths.join(" or ")
                );
                let rule = Rule::Profile(slice.rules.id.clone());
                self.warning(IssueType::NotSupported, rule, holder.id(), Detail::Told(says.into()));
            } else {
                self.count_slice(holder, &rules.name, slice, own.len());
            }
            for (_, node) in own {
                self.rules(*node, &slice.rules, false);
            }
            if slice.rules.slicing.is_some() {
                let own: Vec<Node<'d>> = own.iter().map(|(_, node)| *node).collect();
                self.resliced(holder, &own, &slice.rules);
            }
        }
    }

    /// The slice that a node belongs to; that it belongs to several is told. Noted are those of which it cannot be told.
    fn place(
        &mut self,
        node: Node<'d>,
        rules: &Rules,
        slicing: &Slicing,
        slices: &Slices,
        unclear: &mut Vec<usize>,
    ) -> Option<usize> {
        let validator = self.validator;
        let url_of = |profile: &str| {
            let profile = validator.profile(profile)?;
            Some(profile.root.child("url")?.fixed.as_ref()?.as_str()?.to_owned())
        };
        let candidates = slices.candidates(node, slicing, self.model, &url_of);
        let places: &mut dyn Iterator<Item = usize> = match &candidates {
            Some(candidates) => &mut candidates.iter().copied(),
            None => &mut (0..slices.len()),
        };
        let mut found: Option<(usize, &Slice)> = None;
        for (place, slice) in places.filter_map(|place| Some((place, slices.get(place)?))) {
            if &*slice.name == DEFAULT {
                continue;
            }
            match self.belongs(node, slicing, &slice.rules) {
                Some(true) => {}
                Some(false) => continue,
                None => {
                    unclear.push(place);
                    continue;
                }
            }
            let Some((_, first)) = found else {
                found = Some((place, slice));
                continue;
            };
            let detail =
                Detail::Told(format!("belongs to more than one slice: {} and {}", first.name, slice.name).into());
            self.error(IssueType::Structure, Rule::Profile(rules.id.clone()), node.id(), detail);
            break;
        }
        found.map(|(place, _)| place)
    }

    fn count_slice(&mut self, holder: Node<'d>, name: &str, slice: &Slice, found: usize) {
        let is_within = u32::try_from(found)
            .is_ok_and(|found| found >= slice.rules.min && slice.rules.max.is_none_or(|max| found <= max));
        if !is_within {
            self.count(holder, &slice.rules, &format!("{name}:{}", slice.name), found);
        }
    }

    fn resliced(&mut self, holder: Node<'d>, nodes: &[Node<'d>], rules: &Rules) {
        if let Some(slicing) = &rules.slicing
            && !rules.slices.is_empty()
        {
            self.slices(holder, nodes, rules, slicing, &rules.slices);
        }
    }

    /// Whether a node has what tells a slice from the others. A slice that says nothing of one of the discriminators is
    /// told by the rest of them; nothing where none of them tells it.
    fn belongs(&mut self, node: Node<'d>, slicing: &Slicing, slice: &Rules) -> Option<bool> {
        let mut decided = None;
        for (kind, path) in &slicing.discriminators {
            match self.discriminates(node, *kind, path, slice) {
                Some(true) => decided = Some(true),
                Some(false) => return Some(false),
                None => {}
            }
        }
        decided
    }

    /// Whether a node fits a slice by one discriminator; nothing when the slice does not say what it expects there.
    fn discriminates(&mut self, node: Node<'d>, kind: Discriminator, path: &str, slice: &Rules) -> Option<bool> {
        self.leads(vec![node], Held::Own(slice), &steps(path), kind)
    }

    /// Whether what steps lead to from nodes is what the rules at their end say; nothing when they say nothing.
    fn leads(
        &mut self,
        mut nodes: Vec<Node<'d>>,
        mut rules: Held<'_>,
        steps: &[Step<'_>],
        kind: Discriminator,
    ) -> Option<bool> {
        for (at, step) in steps.iter().enumerate() {
            if matches!(kind, Discriminator::Value | Discriminator::Pattern)
                && let Some(answer) = decides(&nodes, rules.rules())
            {
                return Some(answer);
            }
            match step {
                Step::This => {}
                Step::Name(name) => {
                    nodes = nodes.iter().flat_map(|node| repetitions(*node, name)).collect();
                    rules = self.below(rules, name);
                    // What tells may stand in a slice that must be there.
                    if let Held::Own(found) = rules {
                        let rest = steps.get(at + 1..).unwrap_or_default();
                        let must = found.slices.iter().filter(|slice| slice.rules.min > 0);
                        let mut refused = false;
                        for slice in must {
                            match self.leads(nodes.clone(), Held::Own(&slice.rules), rest, kind) {
                                Some(true) => return Some(true),
                                Some(false) => refused = true,
                                None => {}
                            }
                        }
                        if refused {
                            return Some(false);
                        }
                    }
                }
                Step::Extension(url) => {
                    nodes = nodes
                        .iter()
                        .flat_map(|node| node.extensions())
                        .filter(|one| one.text_at("url") == Some(url))
                        .collect();
                    rules = self.extension_below(rules, url);
                }
                Step::Resolve => {
                    let is_last = at + 1 == steps.len();
                    if is_last && kind == Discriminator::Type {
                        return Some(self.refers_to(&nodes, rules.rules()));
                    }
                    nodes = nodes
                        .iter()
                        .filter_map(|node| {
                            let reference = node.text().or_else(|| node.text_at("reference"))?;
                            super::reference::resolve(reference, *node)
                        })
                        .collect();
                    if is_last && kind == Discriminator::Profile {
                        return self.any_conforms(&nodes, &targets(rules.rules()));
                    }
                    rules = self.target_below(rules);
                }
                Step::OfType(name) => nodes.retain(|node| node.type_name() == *name),
            }
        }
        Some(match kind {
            Discriminator::Value | Discriminator::Pattern => {
                let found = rules.rules()?;
                if let Some(answer) = decides(&nodes, Some(found)) {
                    return Some(answer);
                }
                if found.max == Some(0) {
                    return Some(nodes.is_empty());
                }
                let fits: Vec<Option<bool>> = nodes.iter().map(|node| self.fits(*node, found)).collect();
                return any(&fits);
            }
            Discriminator::Exists => match rules.rules() {
                Some(found) if found.max == Some(0) => nodes.is_empty(),
                Some(found) if found.min > 0 => !nodes.is_empty(),
                _ => return None,
            },
            Discriminator::Type => {
                let found = rules.rules()?;
                // `contentString` under a slice is a slice of `content` by its type.
                let types: Vec<&str> = match &found.types {
                    Some(types) => types.iter().map(|rule| &*rule.code).collect(),
                    None => found
                        .slices
                        .iter()
                        .filter(|slice| slice.rules.max != Some(0))
                        .flat_map(|slice| slice.rules.types.iter().flatten())
                        .map(|rule| &*rule.code)
                        .collect(),
                };
                nodes.iter().any(|node| types.iter().any(|code| self.is_of(*node, code)))
            }
            Discriminator::Profile => {
                let profiles: Vec<_> = rules.rules().into_iter().flat_map(Rules::profiles).cloned().collect();
                return self.any_conforms(&nodes, &profiles);
            }
        })
    }

    /// Whether one of the nodes conforms to one of the profiles; nothing where that hangs on one that is not at hand.
    fn any_conforms(&mut self, nodes: &[Node<'d>], profiles: &[Arc<str>]) -> Option<bool> {
        self.tentative += 1;
        let answers: Vec<Option<bool>> = nodes
            .iter()
            .flat_map(|node| profiles.iter().map(move |profile| (node, profile)))
            .map(|(node, profile)| self.conforms(*node, profile))
            .collect();
        self.tentative -= 1;
        any(&answers)
    }

    /// Whether a node has what its slice fixes further down: types, bindings, the children's values; nothing where it fixes nothing or that hangs on
    /// a value set that is not at hand.
    fn fits(&mut self, node: Node<'d>, rules: &Rules) -> Option<bool> {
        let mut decided = false;
        if let Some(binding) = &rules.binding {
            let set = binding.set(&self.validator.terminology).cloned()?;
            match self.within(node, node.type_name(), &set) {
                Within::Yes => {}
                Within::Unknown => return None,
                Within::No { .. } | Within::NoCode => return Some(false),
            }
            decided = true;
        }
        for child in rules.children.iter().chain(rules.slices.iter().map(|slice| &slice.rules)) {
            let is_slice = rules.slices.iter().any(|slice| std::ptr::eq(&slice.rules, child));
            let nodes: Vec<Node<'d>> = if is_slice { vec![node] } else { repetitions(node, &child.name).collect() };
            if child.fixed.is_some() || child.pattern.is_some() {
                decided = true;
                if decides(&nodes, Some(child)) != Some(true) {
                    return Some(false);
                }
            } else if !child.children.is_empty() && child.min > 0 {
                let fits: Vec<Option<bool>> = nodes.iter().map(|node| self.fits(*node, child)).collect();
                if !any(&fits)? {
                    return Some(false);
                }
                decided = true;
            }
        }
        decided.then_some(true)
    }

    fn refers_to(&self, nodes: &[Node<'d>], rules: Option<&Rules>) -> bool {
        let targets = targets(rules);
        nodes.iter().any(|node| {
            let reference = node.text().or_else(|| node.text_at("reference"));
            let Some(reference) = reference else { return false };
            let found = super::reference::resolve(reference, *node)
                .map(Node::type_name)
                .or_else(|| super::reference::literal(reference).map(|literal| literal.type_name));
            found.is_some_and(|found| targets.iter().any(|target| self.target_name(target).as_deref() == Some(found)))
        })
    }

    fn below<'r>(&mut self, rules: Held<'r>, name: &str) -> Held<'r> {
        let Some(found) = rules.rules() else { return Held::None };
        if found.child(name).is_some() {
            return rules.child(name);
        }
        // What one of the slices within must have tells this slice too.
        if let Held::Shared(profile, path) = &rules {
            let slices = rules.rules().map(|within| &*within.slices).unwrap_or_default();
            if let Some(place) =
                slices.iter().position(|slice| slice.rules.min > 0 && slice.rules.child(name).is_some())
            {
                let mut path = path.clone();
                path.push(format!(":{place}"));
                path.push(name.to_owned());
                return Held::Shared(Arc::clone(profile), path);
            }
        }
        // What the profile of the type says: an extension's fixed url.
        let profiles: Vec<_> = found.profiles().cloned().collect();
        for profile in profiles {
            if let Some(profile) = self.validator.profile(&profile)
                && profile.root.child(name).is_some()
            {
                return Held::Shared(profile, vec![name.to_owned()]);
            }
        }
        Held::None
    }

    fn extension_below<'r>(&mut self, rules: Held<'r>, url: &str) -> Held<'r> {
        let Some(extension) = rules.rules().and_then(|found| found.child("extension")) else { return Held::None };
        let found = extension.slices.iter().position(|slice| {
            slice.rules.profiles().any(|profile| profile.split('|').next() == Some(url))
                || slice.rules.child("url").and_then(|url| url.fixed.as_ref()).and_then(|fixed| fixed.as_str())
                    == Some(url)
        });
        match (rules, found) {
            (Held::Own(found_rules), Some(place)) => found_rules
                .child("extension")
                .and_then(|extension| extension.slices.get(place))
                .map_or(Held::None, |slice| Held::Own(&slice.rules)),
            _ => Held::None,
        }
    }

    fn target_below<'r>(&mut self, rules: Held<'r>) -> Held<'r> {
        for target in targets(rules.rules()) {
            if let Some(profile) = self.validator.profile(&target) {
                return Held::Shared(profile, Vec::new());
            }
        }
        Held::None
    }
}

/// The rules at a place of a path: of the slice itself, or of another profile.
enum Held<'r> {
    Own(&'r Rules),
    /// Steps are names, or `:` and the place of a slice.
    Shared(Arc<super::profile::Profile>, Vec<String>),
    None,
}

impl Held<'_> {
    fn rules(&self) -> Option<&Rules> {
        match self {
            Self::Own(rules) => Some(rules),
            Self::Shared(profile, path) => {
                path.iter().try_fold(&profile.root, |rules, name| match name.strip_prefix(':') {
                    Some(place) => rules.slices.get(place.parse::<usize>().ok()?).map(|slice| &slice.rules),
                    None => rules.child(name),
                })
            }
            Self::None => None,
        }
    }

    fn child(self, name: &str) -> Self {
        match self {
            Self::Own(rules) => rules.child(name).map_or(Self::None, Held::Own),
            Self::Shared(profile, mut path) => {
                path.push(name.to_owned());
                Self::Shared(profile, path)
            }
            Self::None => Self::None,
        }
    }
}

/// Whether one of the answers is yes; nothing where none is and one is not known.
fn any(answers: &[Option<bool>]) -> Option<bool> {
    if answers.contains(&Some(true)) {
        return Some(true);
    }
    (!answers.contains(&None)).then_some(false)
}

/// The profiles that a reference's target may have by rules.
fn targets(rules: Option<&Rules>) -> Vec<Arc<str>> {
    let types = rules.and_then(|rules| rules.types.as_ref()).into_iter().flatten();
    types.flat_map(|rule| rule.targets.iter().cloned()).collect()
}

/// Whether nodes have the value that rules fix; nothing when they fix none.
fn decides(nodes: &[Node<'_>], rules: Option<&Rules>) -> Option<bool> {
    let rules = rules?;
    if let Some(fixed) = &rules.fixed {
        return Some(nodes.iter().any(|node| content::has(*node, fixed, true)));
    }
    let pattern = rules.pattern.as_ref()?;
    Some(nodes.iter().any(|node| content::has(*node, pattern, false)))
}
