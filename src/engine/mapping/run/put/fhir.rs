//! FHIR places in the two Bundles: what a slot stands for, and which resource is which entry.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::definitions::Symbol;
use crate::fhir::document::{Document, Node, NodeId as FhirId};

use super::super::super::plan::{Entry, Link, Mark, Plan, Scope, SlotAt, SlotRef, SlotSelect, StmtKind};
use super::super::super::trace::{Disposition, Lost};
use super::super::fold::{choose, choose_first, node_says};
use super::{Known, Put, Side};

impl<'r> Put<'r> {
    /// The node that a slot stands for in one of the Bundles.
    pub(super) fn node(&mut self, side: Side, frame: usize, slot: u16) -> Option<Node<'r>> {
        let of = self.frames.get(frame)?;
        let known = if side == Side::New { &of.new } else { &of.old };
        match known.get(usize::from(slot))? {
            Known::Is(node) => return *node,
            // A place that is looked for on the way to itself is not there.
            Known::Asked => return None,
            Known::Unasked => {}
        }
        self.mark_asked(frame, side, slot);
        let scope = self.scope_of(frame)?;
        let at = &scope.slots.get(usize::from(slot))?.at;
        let node = match at {
            SlotAt::Nowhere => None,
            SlotAt::Alias(to) => self.node(side, self.above(frame, to.up), to.slot),
            SlotAt::Child { select: SlotSelect::Index(_) | SlotSelect::From(_), .. } => {
                self.indexed(frame, slot);
                return self.listed(side, frame, slot).first().copied();
            }
            SlotAt::Child { parent, written, logical, select, .. } => {
                let above = self.above(frame, parent.up);
                let parent = self.node(side, above, parent.slot);
                parent.and_then(|p| choose_first(p, written.symbol, *logical, select))
            }
            SlotAt::Entry(index) => {
                scope.entries.get(usize::from(*index)).and_then(|e| self.entry(side, frame, scope, e))
            }
        };
        self.assign(frame, side, slot, node);
        node
    }

    /// Whether a slot stands for one node at most.
    pub(super) fn is_one(&self, frame: usize, slot: u16) -> bool {
        let at = self.scope_of(frame).and_then(|scope| scope.slots.get(usize::from(slot))).map(|s| &s.at);
        match at {
            Some(SlotAt::Child { select: SlotSelect::From(_), .. }) => false,
            Some(at) => slot == 0 || !at.fresh(),
            None => false,
        }
    }

    /// All nodes that a slot stands for.
    pub(super) fn nodes(&mut self, side: Side, frame: usize, slot: u16) -> Vec<Node<'r>> {
        let Some(scope) = self.scope_of(frame) else { return Vec::new() };
        match scope.slots.get(usize::from(slot)).map(|s| &s.at) {
            Some(SlotAt::Child {
                parent,
                written,
                logical,
                select: select @ (SlotSelect::Each | SlotSelect::With(_, true)),
                ..
            }) if slot != 0 => {
                let above = self.above(frame, parent.up);
                let parent = self.node(side, above, parent.slot);
                parent.map(|p| choose(p, written.symbol, *logical, select)).unwrap_or_default()
            }
            Some(SlotAt::Child { select: SlotSelect::From(_), .. }) => {
                self.node(side, frame, slot);
                self.listed(side, frame, slot).to_vec()
            }
            _ => self.node(side, frame, slot).into_iter().collect(),
        }
    }

    fn listed(&self, side: Side, frame: usize, slot: u16) -> &[Node<'r>] {
        let key = (frame, slot);
        let (old, new) = match self.lists.get(&key) {
            Some((old, new)) => (old.as_slice(), new.as_slice()),
            None => (&[][..], &[][..]),
        };
        if side == Side::New { new } else { old }
    }

    /// Several lines fill one list by place (`given[0]`, `given[1+]`). A line's element is where the forward run put
    /// it; on the wanted side it is the one in that place, or the same one where the lists differ in length.
    fn indexed(&mut self, frame: usize, slot: u16) {
        let Some(scope) = self.scope_of(frame) else { return };
        let Some(SlotAt::Child { parent, written, logical, .. }) = scope.slots.get(usize::from(slot)).map(|s| &s.at)
        else {
            return;
        };
        let lines: Vec<(u16, &SlotSelect)> = (0_u16..)
            .zip(scope.slots.iter())
            .filter_map(|(index, other)| match &other.at {
                SlotAt::Child {
                    parent: p,
                    written: w,
                    select: select @ (SlotSelect::Index(_) | SlotSelect::From(_)),
                    ..
                } if p == parent && w == written => Some((index, select)),
                _ => None,
            })
            .collect();
        let above = self.above(frame, parent.up);
        let all = |holder: Option<Node<'r>>| {
            holder.map(|p| choose(p, written.symbol, *logical, &SlotSelect::Each)).unwrap_or_default()
        };
        let old_holder = self.node(Side::Old, above, parent.slot);
        let new_holder = self.node(Side::New, above, parent.slot);
        let (old, new) = (all(old_holder), all(new_holder));
        let was = self.frames.get(frame).and_then(|f| f.was);
        let place = |line: u16| was.and_then(|was| self.run.place_in_list(self.plan, was, line));
        let mut owner: Vec<Option<u16>> = vec![None; old.len()];
        for (line, select) in &lines {
            if matches!(select, SlotSelect::Index(_))
                && let Some(owner) = place(*line).and_then(|at| owner.get_mut(at))
            {
                *owner = Some(*line);
            }
        }
        let idle = |owners: &[Option<u16>]| {
            let mut free = lines.iter().filter(|(_, s)| matches!(s, SlotSelect::Index(_))).map(|(line, _)| *line);
            free.find(|line| !owners.contains(&Some(*line)))
        };
        let tail = lines.iter().find(|(_, select)| matches!(select, SlotSelect::From(_))).map(|(line, _)| *line);
        for at in 0..owner.len() {
            // Where the forward run was not here, both sides are read alike.
            let next = if was.is_none() { idle(&owner).or(tail) } else { tail };
            if let Some(one) = owner.get_mut(at) {
                *one = one.or(next);
            }
        }
        let matched = super::super::align::in_order(self.old, self.new, &old, &new);
        let mut taken: Vec<Option<u16>> = vec![None; new.len()];
        for (at, owner) in owner.iter().enumerate() {
            if let Some(slot) = matched.get(at).copied().flatten().and_then(|to| taken.get_mut(to)) {
                *slot = *owner;
            }
        }
        // What is left goes to lines that have nothing, in their order, then to the one that takes the rest.
        for at in 0..taken.len() {
            if taken.get(at).is_some_and(Option::is_some) {
                continue;
            }
            let next = idle(&taken).or(tail);
            if let Some(one) = taken.get_mut(at) {
                *one = next;
            }
        }
        for (line, _) in &lines {
            let of = |nodes: &[Node<'r>], owners: &[Option<u16>]| -> Vec<Node<'r>> {
                nodes.iter().zip(owners).filter(|(_, owner)| **owner == Some(*line)).map(|(node, _)| *node).collect()
            };
            let lists = (of(&old, &owner), of(&new, &taken));
            self.assign(frame, Side::Old, *line, lists.0.first().copied());
            self.assign(frame, Side::New, *line, lists.1.first().copied());
            self.lists.insert((frame, *line), lists);
        }
    }

    pub(super) fn mark_asked(&mut self, frame: usize, side: Side, slot: u16) {
        if let Some(frame) = self.frames.get_mut(frame) {
            let known = if side == Side::New { &mut frame.new } else { &mut frame.old };
            if let Some(known) = known.get_mut(usize::from(slot)) {
                *known = Known::Asked;
            }
        }
    }

    pub(super) fn document(&self, side: Side) -> &'r Document {
        if side == Side::New { self.new } else { self.old }
    }

    /// The resource that a reference leads to in its Bundle.
    pub(super) fn target(&self, side: Side, reference: Node<'r>) -> Option<Node<'r>> {
        resolve(self.document(side), reference.text_at("reference")?)
    }

    /// The wanted resource of a type that a reference leads to. Where a map has room for an organisation or a
    /// practitioner only, that of a role stands for the role, and the report says so.
    pub(super) fn target_as(&mut self, reference: Node<'r>, resource: &str) -> Option<Node<'r>> {
        let node = self.target(Side::New, reference)?;
        if node.type_name() == resource {
            return Some(node);
        }
        let part = match resource {
            "Organization" => "organization",
            "Practitioner" => "practitioner",
            _ => return None,
        };
        let role = Some(node).filter(|n| n.type_name() == "PractitionerRole")?;
        let node = self.target(Side::New, role.first(part)?).filter(|n| n.type_name() == resource)?;
        if self.exempt.insert(reference.id()) {
            self.lost.push(Lost {
                path: reference.path().to_string(),
                disposition: Disposition::Approximated,
                rule: None,
                reason: format!("the {part} of the role was written in its place"),
            });
        }
        Some(node)
    }

    /// The fullUrl that the forward run gave an entry of a frame.
    pub(super) fn url_of(&self, was: usize, slot: u16) -> Option<&'r str> {
        self.entry_at.get(&(was, slot)).copied()
    }

    pub(super) fn entry(&mut self, side: Side, frame: usize, scope: &'r Scope, entry: &'r Entry) -> Option<Node<'r>> {
        let was = self.frames.get(frame)?.was;
        let url = was.and_then(|was| self.url_of(was, entry.slot));
        let by_url =
            url.and_then(|url| resolve(self.document(side), url)).filter(|n| n.type_name() == entry.resource.as_ref());
        if side == Side::Old {
            return by_url;
        }
        let node = by_url
            .or_else(|| self.by_links(frame, scope, entry))
            .or_else(|| if frame == 0 { self.by_type(entry) } else { None })?;
        self.taken.insert(node.id());
        Some(node)
    }

    /// An entry that another refers to, or that refers to another.
    pub(super) fn by_links(&mut self, frame: usize, scope: &'r Scope, entry: &'r Entry) -> Option<Node<'r>> {
        for link in &scope.links {
            if link.to != (SlotRef { up: 0, slot: entry.slot }) {
                continue;
            }
            let references = self.nodes(Side::New, frame, link.slot);
            if references.is_empty() {
                continue;
            }
            // What stands for it where it is not there is not it.
            let mut stands = Vec::new();
            for to in &link.outer {
                let above = self.above(frame, to.up);
                stands.extend(self.node(Side::New, above, to.slot).map(|node| node.id()));
            }
            let mut exact = references.iter().filter_map(|r| self.target(Side::New, *r));
            if !stands.is_empty() && exact.clone().all(|node| stands.contains(&node.id())) {
                continue;
            }
            if let Some(node) = exact.find(|n| n.type_name() == entry.resource.as_ref()) {
                return Some(node);
            }
            // A role that a line of its own takes is that line's.
            if roles_have_a_line(self.plan, scope, link.slot) {
                continue;
            }
            if let Some(node) = references.into_iter().find_map(|r| self.target_as(r, entry.resource.as_ref())) {
                return Some(node);
            }
        }
        for link in &scope.links {
            // Only what stands in the same scope tells one entry from another's.
            if link.anchor == (SlotRef { up: 0, slot: entry.slot })
                && link.to.up == 0
                && link.to != link.anchor
                && let Some(node) = self.referrer(frame, scope, entry, link)
            {
                return Some(node);
            }
        }
        None
    }

    /// A free entry of the type whose link leads to what it should.
    pub(super) fn referrer(
        &mut self,
        frame: usize,
        scope: &'r Scope,
        entry: &'r Entry,
        link: &'r Link,
    ) -> Option<Node<'r>> {
        let above = self.above(frame, link.to.up);
        let target = self.node(Side::New, above, link.to.slot)?;
        let path = path_of(scope, entry, link)?;
        let key = (std::ptr::from_ref(scope).addr(), entry.slot, link.slot);
        if !self.referring.contains_key(&key) {
            let mut referring: FxHashMap<FhirId, Vec<Node<'r>>> = FxHashMap::default();
            for candidate in self.of_type.get(entry.resource.as_ref()).into_iter().flatten() {
                for to in along(*candidate, &path).into_iter().filter_map(|r| self.target(Side::New, r)) {
                    referring.entry(to.id()).or_default().push(*candidate);
                }
            }
            self.referring.insert(key, referring);
        }
        let mut all = self.referring.get(&key)?.get(&target.id())?.iter().copied();
        all.find(|node| !self.taken.contains(&node.id()) && self.is_unknown(*node))
    }

    /// Whether a resource that a scope in a frame could take speaks of what the frame is about, by the links that the scope
    /// makes: one of several patients has the stays and results that are said of that patient.
    pub(super) fn speaks_of(&mut self, frame: usize, scope: &'r Scope, entry: &'r Entry, node: Node<'r>) -> bool {
        let own = SlotRef { up: 0, slot: entry.slot };
        for link in scope.links.iter().filter(|link| link.anchor == own && link.to.up > 0) {
            let Some(path) = path_of(scope, entry, link) else { continue };
            let said: Vec<FhirId> =
                along(node, &path).into_iter().filter_map(|r| self.target(Side::New, r)).map(|n| n.id()).collect();
            let mut meant = Vec::new();
            for to in std::iter::once(&link.to).chain(&link.outer) {
                let above = self.above(frame, to.up.saturating_sub(1));
                meant.extend(self.node(Side::New, above, to.slot).map(|n| n.id()));
            }
            if !said.is_empty() && !meant.is_empty() && !said.iter().any(|id| meant.contains(id)) {
                return false;
            }
        }
        true
    }

    /// The resources of a type that are not spoken for.
    pub(super) fn resources(&self, resource: &str) -> Vec<Node<'r>> {
        let all = self.of_type.get(resource).into_iter().flatten();
        all.filter(|r| !self.taken.contains(&r.id())).copied().collect()
    }

    /// The resources in the wanted Bundle that other lines than a scope's own lead to: they are those lines'.
    pub(super) fn led_to_by_others(&self, scope: usize, entry: &Entry) -> FxHashSet<FhirId> {
        let (others, own) = leading(self.plan, scope, entry);
        if others.is_empty() {
            return FxHashSet::default();
        }
        let (mut theirs, mut ours) = (FxHashSet::default(), FxHashSet::default());
        for resource in self.new.root().named("entry").filter_map(|e| e.first("resource")) {
            let mut open = vec![resource];
            while let Some(node) = open.pop() {
                let leads = |by: &[Leading<'_>]| by.iter().any(|one| one.is(resource, node));
                let found = match (leads(&others), leads(&own)) {
                    (true, _) => &mut theirs,
                    (false, true) => &mut ours,
                    (false, false) => {
                        open.extend(node.children());
                        continue;
                    }
                };
                found.extend(self.target(Side::New, node).map(|to| to.id()));
            }
        }
        theirs.retain(|id| !ours.contains(id));
        theirs
    }

    pub(super) fn by_type(&mut self, entry: &'r Entry) -> Option<Node<'r>> {
        let led = self.led_to_by_others(0, entry);
        self.unknown(entry.resource.as_ref()).into_iter().find(|node| !led.contains(&node.id()))
    }

    /// The free resources of a type that the document does not know: another occurrence's are its own.
    pub(super) fn unknown(&self, resource: &str) -> Vec<Node<'r>> {
        let mut all = self.resources(resource);
        all.retain(|node| self.is_unknown(*node));
        all
    }

    /// Whether the document does not know a resource of the wanted Bundle.
    fn is_unknown(&self, node: Node<'r>) -> bool {
        !self.known.contains_key(node.parent().and_then(|e| e.text_at("fullUrl")).unwrap_or_default())
    }
}

type Path<'p> = Vec<(Symbol, Symbol, &'p SlotSelect)>;

/// The way from an entry to the reference that a link of its scope makes.
fn path_of<'p>(scope: &'p Scope, entry: &Entry, link: &Link) -> Option<Path<'p>> {
    let mut path = Vec::new();
    let mut slot = link.slot;
    while slot != entry.slot {
        match &scope.slots.get(usize::from(slot))?.at {
            SlotAt::Child { parent, written, logical, select, .. } if parent.up == 0 => {
                path.push((written.symbol, *logical, select));
                slot = parent.slot;
            }
            SlotAt::Alias(to) if to.up == 0 => slot = to.slot,
            _ => return None,
        }
    }
    path.reverse();
    Some(path)
}

/// What a path leads to from a resource.
fn along<'d>(from: Node<'d>, path: &Path<'_>) -> Vec<Node<'d>> {
    path.iter().fold(vec![from], |here, (written, logical, select)| {
        here.into_iter().flat_map(|node| choose(node, *written, *logical, select)).collect()
    })
}

/// An element that refers: of which resource, by which name, and what tells the repetition that it stands in.
#[derive(Clone, Copy, PartialEq)]
struct Leading<'p> {
    resource: &'p str,
    name: Symbol,
    within: &'p [Mark],
}

impl Leading<'_> {
    fn is(&self, resource: Node<'_>, node: Node<'_>) -> bool {
        self.name == node.symbol()
            && self.resource == resource.type_name()
            && (self.within.is_empty()
                || node.parent().is_some_and(|holder| self.within.iter().all(|mark| node_says(holder, mark))))
    }
}

/// The elements by which only others than this entry of a scope are led to, and those by which only it is.
fn leading<'p>(plan: &'p Plan, own: usize, of: &Entry) -> (Vec<Leading<'p>>, Vec<Leading<'p>>) {
    let resource = of.resource.as_ref();
    let (mut theirs, mut ours) = (Vec::new(), Vec::new());
    for (id, scope) in plan.scopes.iter().enumerate() {
        let by_reference = scope.entries.iter().filter(|e| e.resource.as_ref() == resource).filter_map(|e| e.reference);
        theirs.extend(by_reference.filter(|_| id != own).filter_map(|slot| element(plan, id, slot)));
        for link in &scope.links {
            let target = above(plan, id, link.to.up);
            let entry = plan.scopes.get(target).and_then(|to| to.entries.iter().find(|e| e.slot == link.to.slot));
            if entry.is_some_and(|entry| entry.resource.as_ref() == resource) {
                let found = if target == own && link.to.slot == of.slot { &mut ours } else { &mut theirs };
                found.extend(element(plan, id, link.slot));
            }
        }
    }
    let both: Vec<Leading<'p>> = theirs.iter().filter(|one| ours.contains(one)).copied().collect();
    theirs.retain(|one| !both.contains(one));
    ours.retain(|one| !both.contains(one));
    (theirs, ours)
}

/// The resource that a slot is in, its name there, and what tells the repetition that it stands in.
fn element(plan: &Plan, scope: usize, slot: u16) -> Option<Leading<'_>> {
    let (mut scope, mut slot, mut name, mut within) = (scope, slot, None, None);
    loop {
        let of = plan.scopes.get(scope)?;
        let up = match &of.slots.get(usize::from(slot))?.at {
            SlotAt::Entry(index) => {
                let resource = of.entries.get(usize::from(*index))?.resource.as_ref();
                return Some(Leading { resource, name: name?, within: within.unwrap_or_default() });
            }
            SlotAt::Nowhere => return None,
            SlotAt::Alias(to) => *to,
            SlotAt::Child { parent, written, select, .. } => {
                if name.is_some() && within.is_none() {
                    let marks = if let SlotSelect::With(marks, _) = select { marks.as_slice() } else { &[] };
                    within = Some(marks);
                }
                name.get_or_insert(written.symbol);
                *parent
            }
        };
        scope = above(plan, scope, up.up);
        slot = up.slot;
    }
}

fn above(plan: &Plan, scope: usize, up: u8) -> usize {
    (0..up).fold(scope, |id, _| plan.scopes.get(id).and_then(|s| s.parent).map_or(0, |parent| parent as usize))
}

/// Whether a scope has a line that takes roles into the list, or by the reference, that a slot of it is.
fn roles_have_a_line(plan: &Plan, scope: &Scope, slot: u16) -> bool {
    let own = scope.slots.get(usize::from(slot)).map(|s| &s.at);
    scope.body.iter().any(|stmt| {
        let StmtKind::Scope(id) = stmt.kind else { return false };
        let Some(other) = plan.scope(id) else { return false };
        let Some(entry) = other.entries.first().filter(|e| e.resource.as_ref() == "PractitionerRole") else {
            return false;
        };
        let theirs = entry.reference.and_then(|slot| other.slots.get(usize::from(slot))).map(|s| &s.at);
        match (own, theirs) {
            (Some(SlotAt::Child { parent, written, .. }), Some(SlotAt::Child { parent: p, written: w, .. })) => {
                parent.up + 1 == p.up && parent.slot == p.slot && written == w
            }
            (_, Some(SlotAt::Alias(to))) => to.up == 1 && to.slot == slot,
            _ => false,
        }
    })
}

/// The resource that a reference text leads to in a Bundle: by fullUrl, or by `Type/id`.
pub(crate) fn resolve<'d>(document: &'d Document, reference: &str) -> Option<Node<'d>> {
    document.bundle().by_reference(reference).map(|id| document.node(id))
}
