//! Scopes backward: what is in both documents is walked, what is gone is taken out, what is new is made.

use rustc_hash::FxHashSet;

use crate::fhir::document::{Node, NodeId as FhirId};
use crate::native::{Anchor, EditError, Insert, Kind, NodeId, Place, Step};

use super::super::super::plan::{
    Condition, Entry, NativeName, NativePath, NativeSelect, NativeStep, Scope, ScopeId, SlotAt, StmtKind,
};
use super::super::super::syntax::Test;
use super::super::align::{Pair, align};
use super::super::fold::choose;
use super::super::source::Base;
use super::super::verify::{equal, is_agent, is_same_text};
use super::fhir::resolve;
use super::{Change, Put, Side, Spot, spot_of};

/// How many resources of other occurrences are looked at for one that comes.
const MOST_OTHERS: usize = 256;

impl<'r> Put<'r> {
    pub(super) fn scope(&mut self, frame: usize, id: ScopeId, scope: &'r Scope) -> Result<(), EditError> {
        let was = self.frames.get(frame).and_then(|f| f.was);
        let olds: Vec<usize> = was.and_then(|was| self.inner.get(&(was, id)).cloned()).unwrap_or_default();
        if matches!(scope.slots.first().map(|s| &s.at), Some(SlotAt::Nowhere)) {
            // Without a FHIR place of its own, a scope is where native has it.
            for old in olds {
                if let Some(of) = self.run.frames.get(old) {
                    let inner = self.frame(id, frame, spot_of(of.base()), Some(old));
                    self.body(inner);
                }
            }
            return Ok(());
        }
        let holds = self.holds(Side::New, frame, &scope.only);
        if !holds && !self.holds(Side::Old, frame, &scope.only) {
            return Ok(());
        }
        let mut new = if holds { self.places(Side::New, frame, scope, &[]) } else { Vec::new() };
        let made: Vec<usize> = olds
            .iter()
            .copied()
            .filter(|old| self.run.frames.get(*old).is_some_and(|f| self.run.made(f, 0).is_some()))
            .collect();
        if scope.each {
            self.keep_free(frame, id, scope, &mut new);
            let (mine, theirs) = self.olds(frame, id, scope, &made, &mut new);
            return self.repeated(frame, id, &made, &mine, &theirs, &new);
        }
        let old = self.places(Side::Old, frame, scope, &made);
        self.single(frame, id, scope, olds.first().copied(), old.first().copied(), new.first().copied())
    }

    /// The old repetitions of a scope that repeats: those of this occurrence of what it stands in, and all others in
    /// the same list.
    fn olds(
        &mut self,
        frame: usize,
        id: ScopeId,
        scope: &'r Scope,
        made: &[usize],
        new: &mut Vec<Node<'r>>,
    ) -> (Vec<Node<'r>>, Vec<Node<'r>>) {
        if let Some(SlotAt::Entry(index)) = scope.slots.first().map(|s| &s.at) {
            let Some(entry) = scope.entries.get(usize::from(*index)) else { return (Vec::new(), Vec::new()) };
            let mine: Vec<Node<'r>> =
                made.iter().filter_map(|was| resolve(self.old, self.url_of(*was, entry.slot)?)).collect();
            return (mine, self.others(id, entry, made, new));
        }
        let all = self.places(Side::Old, frame, scope, made);
        let of_all: FxHashSet<FhirId> = all.iter().map(|node| node.id()).collect();
        let holder = all.first().and_then(|node| Some((node.parent()?, node.symbol())));
        let list: Vec<Node<'r>> = holder
            .map(|(holder, symbol)| holder.children().filter(|child| child.symbol() == symbol).collect())
            .unwrap_or_default();
        let mine: Vec<Node<'r>> = made
            .iter()
            .filter_map(|was| list.get(self.run.place_in_list(self.plan, *was, 0)?).copied())
            .filter(|node| of_all.contains(&node.id()))
            .collect();
        let ids: FxHashSet<FhirId> = mine.iter().map(|node| node.id()).collect();
        let theirs = all.into_iter().filter(|node| !ids.contains(&node.id())).collect();
        (mine, theirs)
    }

    /// The resources that other occurrences of a scope had and that the wanted Bundle does not know by their names: what is
    /// new here may be one of them. What is known by the name of one of the others is theirs.
    fn others(&self, id: ScopeId, entry: &Entry, made: &[usize], new: &mut Vec<Node<'r>>) -> Vec<Node<'r>> {
        let slot = entry.slot;
        let own: FxHashSet<&str> = made.iter().filter_map(|was| self.url_of(*was, slot)).collect();
        let url = |node: &Node<'r>| node.parent().and_then(|e| e.text_at("fullUrl")).unwrap_or_default();
        // Those who act are told wherever something leads to them.
        let by_reference = |node: &Node<'r>| entry.reference.is_some() && is_agent(*node);
        new.retain(|node| own.contains(url(node)) || by_reference(node) || !self.is_of(id, slot, url(node)));
        if new.iter().all(|node| own.contains(url(node))) {
            return Vec::new();
        }
        let gone = self.gone.get(&(id, slot)).into_iter().flatten().filter(|url| !own.contains(*url));
        gone.take(MOST_OTHERS).filter_map(|url| resolve(self.old, url)).collect()
    }

    /// Whether a fullUrl is that of an entry of a scope.
    pub(super) fn is_of(&self, id: ScopeId, slot: u16, url: &str) -> bool {
        let entry = self.known.get(url).and_then(|(frame, of)| Some((self.run.frames.get(*frame)?, *of)));
        entry.is_some_and(|(frame, of)| frame.scope == id && of == slot)
    }

    /// The FHIR places of a scope in one of the Bundles.
    pub(super) fn places(&mut self, side: Side, frame: usize, scope: &'r Scope, made: &[usize]) -> Vec<Node<'r>> {
        let Some(slot) = scope.slots.first() else { return Vec::new() };
        match &slot.at {
            SlotAt::Child { parent, written, logical, select, .. } => {
                let above = self.above(frame, parent.up.saturating_sub(1));
                let parent = self.node(side, above, parent.slot);
                parent.map(|p| choose(p, written.symbol, *logical, select)).unwrap_or_default()
            }
            SlotAt::Alias(to) => {
                let above = self.above(frame, to.up.saturating_sub(1));
                let follows = self.scope_of(above).and_then(|s| s.slots.get(usize::from(to.slot)));
                if follows.is_some_and(|slot| slot.at.follows()) {
                    return self.nodes(side, above, to.slot);
                }
                self.node(side, above, to.slot).into_iter().collect()
            }
            SlotAt::Entry(index) => {
                let Some(entry) = scope.entries.get(usize::from(*index)) else { return Vec::new() };
                if side == Side::Old {
                    return made.iter().filter_map(|was| resolve(self.old, self.url_of(*was, entry.slot)?)).collect();
                }
                self.entries(frame, scope, entry)
            }
            SlotAt::Nowhere => Vec::new(),
        }
    }

    pub(super) fn enter(
        &mut self,
        id: ScopeId,
        frame: usize,
        spot: Spot,
        was: Option<usize>,
        old: Option<Node<'r>>,
        new: Option<Node<'r>>,
    ) {
        let scope = self.plan.scope(id);
        let repeats = scope.is_some_and(|s| s.each);
        // A resource that refers to itself, be it by others, is written once.
        if let Some(new) = new
            && matches!(scope.and_then(|s| s.slots.first()).map(|s| &s.at), Some(SlotAt::Entry(_)))
            && self.stands_within(frame, new)
        {
            return;
        }
        if let Some(new) = new.filter(|n| repeats || n.is_resource()) {
            self.take(frame, scope, new);
        }
        // What is written the same says the same.
        if !self.forced
            && !self.creating
            && was.is_some()
            && scope.is_some_and(|s| s.closed)
            && let (Some(old), Some(new)) = (old, new)
            && is_same_text(old, new)
        {
            return;
        }
        let inner = self.frame(id, frame, spot, was);
        self.assign(inner, Side::Old, 0, old);
        self.assign(inner, Side::New, 0, new);
        self.body(inner);
    }

    /// A scope that is there once or not.
    pub(super) fn single(
        &mut self,
        frame: usize,
        id: ScopeId,
        scope: &'r Scope,
        was: Option<usize>,
        old: Option<Node<'r>>,
        new: Option<Node<'r>>,
    ) -> Result<(), EditError> {
        if new.is_none() && old.is_none() {
            return Ok(());
        }
        let Some(outer) = self.frames.get(frame).map(|f| f.spot.clone()) else { return Ok(()) };
        if let Some(of) = was.and_then(|was| self.run.frames.get(was)) {
            let spot = spot_of(of.base());
            if new.is_none() && self.removable(scope, &spot) {
                return self.remove(scope, &spot);
            }
            if let Some(new) = new
                && self.heir(frame, id, scope, new).is_some()
            {
                self.give_way(frame, id, &spot);
                return Ok(());
            }
            self.enter(id, frame, spot, was, old, new);
            return Ok(());
        }
        if new.is_none() {
            return Ok(());
        }
        let mut old = old.filter(|_| !self.is_told_here(frame, scope.direction));
        if !scope.when.is_empty() && self.base(&outer).is_none_or(|base| !self.source.hold(base, &scope.when)) {
            // Several lines may fill the same element from differently typed leaves: the first that can, does.
            // What was there before is another line's to write.
            if let (Some(_), Some(wanted)) = (old, new)
                && self.inherits(frame, id, scope, wanted)
            {
                old = None;
            }
            if old.is_some() || !self.may_become(&outer, scope) || self.spoken_for(&outer, &scope.when)? {
                return Ok(());
            }
            // Of several lines for one element the one that carries most of it is taken.
            if let Some(new) = new
                && self.outdone(frame, id, scope, new)
            {
                return Ok(());
            }
            self.make_true(&outer, &scope.when)?;
        }
        // The place may be there for what other lines say of it.
        let flat = scope.body.iter().all(|stmt| matches!(stmt.kind, StmtKind::Rule(_)));
        if flat && scope.links.is_empty() && new.is_some_and(|new| self.carries(Side::New, frame, id, new) == 0) {
            return Ok(());
        }
        // What another line gave is that line's to write.
        if flat && old.is_some_and(|old| self.carries(Side::Old, frame, id, old) > 0) {
            return Ok(());
        }
        if new.is_some_and(|new| self.is_default(frame, scope, new)) {
            return Ok(());
        }
        // What stands there without the line, and stays as it is, is not the line's to write.
        if !self.creating
            && let (Some(old), Some(new)) = (old, new)
            && equal(self.old, self.new, old, new)
        {
            return Ok(());
        }
        let Some(path) = scope.native.first() else { return Ok(()) };
        let open = self.open_guards.len();
        let spot = if scope.repeats {
            self.grow(&outer, scope)?
        } else {
            let spot = self.locate(&outer, path)?;
            self.written(scope, &spot)?;
            spot
        };
        self.enter(id, frame, spot, None, old, new);
        self.close_guards(open)
    }

    /// Where a guard allows several values and no line in the scope has chosen one, the first is written.
    fn close_guards(&mut self, from: usize) -> Result<(), EditError> {
        let open = self.open_guards.split_off(from.min(self.open_guards.len()));
        for (spot, conditions, before) in open {
            for condition in conditions {
                // A line inside may have made it hold, in whichever repetition.
                if let (Some(_), Test::In(values)) = (&condition.any, &condition.test)
                    && self.changes.iter().skip(before).any(|(_, steps, change)| {
                        matches!(change, Change::Set(text) if values.contains(text))
                            && last_step(&condition.path).is_some_and(|last| steps.last() == Some(&last))
                    })
                {
                    continue;
                }
                let at = self.locate(&spot, &condition.path)?;
                let chosen = self.change_of(at.at, &at.steps).is_some();
                if !chosen {
                    self.make_true(&spot, std::slice::from_ref(&condition))?;
                }
            }
        }
        Ok(())
    }

    /// Whether this run has written something else where a condition wants a value: another line was first.
    pub(super) fn spoken_for(&mut self, outer: &Spot, conditions: &[Condition]) -> Result<bool, EditError> {
        for condition in conditions {
            let (values, wanted) = match &condition.test {
                Test::In(values) => (values, true),
                Test::NotIn(values) => (values, false),
                // That one time is later than another is no one's to make so.
                Test::After
                    if !self
                        .base(outer)
                        .is_some_and(|base| self.source.hold(base, std::slice::from_ref(condition))) =>
                {
                    return Ok(true);
                }
                _ => continue,
            };
            let spot = self.locate(outer, &condition.path)?;
            let written = self.change_of(spot.at, &spot.steps);
            if matches!(written, Some(Change::Set(text)) if values.contains(text) != wanted) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether nothing that stands there speaks against making a scope's conditions hold.
    pub(super) fn may_become(&self, outer: &Spot, scope: &Scope) -> bool {
        scope.when.iter().all(|condition| match &condition.test {
            Test::In(_) => self.first(outer, &condition.path).is_none() || outer.node.is_some(),
            Test::Absent
            | Test::NotIn(_)
            | Test::NotBegins(_)
            | Test::NotNumeric
            | Test::Outside(_)
            | Test::NotSame
            | Test::After
            | Test::NotAfter => self.base(outer).is_none_or(|b| self.source.hold(b, std::slice::from_ref(condition))),
            Test::Valued | Test::Inside(_) | Test::Begins(_) | Test::Numeric | Test::Same | Test::Written(_) => true,
        })
    }

    /// Whether a composite that FHIR no longer has can go whole: nothing else of the map is in it.
    pub(super) fn removable(&self, scope: &Scope, spot: &Spot) -> bool {
        let Some(node) = spot.node else { return false };
        // An alias shares its place with other lines, which say themselves what goes.
        if matches!(scope.slots.first().map(|s| &s.at), Some(SlotAt::Alias(_))) {
            let mut leaves = self.source.tree.leaves(node);
            return scope.entries.is_empty() && leaves.any(|leaf| self.run.trace.speaks_of(leaf));
        }
        true
    }

    /// Takes a native repetition out, or says that it is no more.
    pub(super) fn remove(&mut self, scope: &Scope, spot: &Spot) -> Result<(), EditError> {
        let Some(node) = spot.node else { return Ok(()) };
        let tree = self.source.tree;
        let _ = scope;
        match tree.kind(node) {
            Kind::Segment | Kind::Document => {
                self.segments();
                for segment in self.group_of(node, spot.group) {
                    self.edit.remove(segment)?;
                    self.sequence.remove(Place::Node(segment));
                }
                Ok(())
            }
            Kind::Field => self.edit.null(Place::Node(node), &[]),
            Kind::Component | Kind::Subcomponent => self.edit.null(Place::Node(node), &[]),
            _ => self.edit.remove(node),
        }
    }

    /// The segments that go with one: its group, when it begins one that can repeat.
    pub(super) fn group_of(&self, node: NodeId, group: usize) -> Vec<NodeId> {
        if node == NodeId::ROOT {
            return self.source.parts(Base { node, group });
        }
        let Some(groups) = self.source.groups() else { return vec![node] };
        let Some(index) = self.source.segment_index(node) else { return vec![node] };
        match groups.group(group) {
            Some(of) if group != 0 && of.segments.start == index => {
                of.segments.clone().filter_map(|i| self.source.segment_at(i)).collect()
            }
            _ => vec![node],
        }
    }

    /// A scope that repeats: its repetitions are aligned, then each is walked, taken out or made.
    pub(super) fn repeated(
        &mut self,
        frame: usize,
        id: ScopeId,
        frames: &[usize],
        mine: &[Node<'r>],
        theirs: &[Node<'r>],
        new: &[Node<'r>],
    ) -> Result<(), EditError> {
        let Some(scope) = self.plan.scope(id) else { return Ok(()) };
        let old: Vec<Node<'r>> = mine.iter().chain(theirs).copied().collect();
        let own = |pair: &Pair| match pair {
            Pair::Both(was, _) | Pair::Gone(was) => *was < mine.len(),
            Pair::New(_) => true,
        };
        let pairs: Vec<Pair> = align(self.old, self.new, &old, new).into_iter().filter(own).collect();
        self.order(scope, frames, &pairs);
        let Some(outer) = self.frames.get(frame).map(|f| f.spot.clone()) else { return Ok(()) };
        let mut left = mine.len();
        let coming = pairs.iter().filter(|p| matches!(p, Pair::New(_))).count();
        for pair in &pairs {
            if let Pair::Gone(at) = pair {
                let Some(of) = frames.get(*at).and_then(|was| self.run.frames.get(*was)) else { continue };
                let spot = spot_of(of.base());
                left = left.saturating_sub(1);
                self.take_out(scope, &spot, left + coming)?;
            }
        }
        // That something identifies the same is made so.
        let (alike, certain): (Vec<Condition>, Vec<Condition>) =
            scope.when.iter().cloned().partition(|condition| matches!(condition.test, Test::Same));
        for pair in pairs {
            match pair {
                Pair::Both(was, now) => {
                    let Some(base) = frames.get(was).and_then(|f| self.run.frames.get(*f)).map(|f| f.base()) else {
                        continue;
                    };
                    let frame_was = frames.get(was).copied();
                    self.enter(id, frame, spot_of(base), frame_was, old.get(was).copied(), new.get(now).copied());
                }
                // What comes is another line's where this one does not hold.
                Pair::New(_) if !certain.is_empty() && !self.holds_now(&outer, &certain) => {}
                Pair::New(now) => {
                    let open = self.open_guards.len();
                    let spot = self.grow(&outer, scope)?;
                    self.make_true(&outer, &alike)?;
                    self.enter(id, frame, spot, None, None, new.get(now).copied());
                    self.close_guards(open)?;
                }
                Pair::Gone(_) => {}
            }
        }
        Ok(())
    }

    /// Takes one repetition out; the last one of a field leaves the format's delete behind.
    pub(super) fn take_out(&mut self, scope: &Scope, spot: &Spot, left: usize) -> Result<(), EditError> {
        let Some(node) = spot.node else { return Ok(()) };
        if matches!(self.source.tree.kind(node), Kind::Repetition) && left > 0 {
            return self.edit.remove(node);
        }
        self.remove(scope, spot)
    }

    /// A new native repetition.
    pub(super) fn grow(&mut self, outer: &Spot, scope: &'r Scope) -> Result<Spot, EditError> {
        let Some(path) = scope.native.first() else { return Ok(outer.clone()) };
        let Some((last, before)) = path.steps.split_last() else {
            // The part itself, which comes with the line around this one.
            if outer.node.is_none() {
                self.written(scope, outer)?;
            }
            return Ok(outer.clone());
        };
        let start = NativePath { from_document: path.from_document, steps: before.to_vec() };
        let holder = self.locate(outer, &start)?;
        let spot = match &last.name {
            NativeName::Segment(name) => {
                let at = self.insert_segment(&holder, *name)?;
                Spot { at, steps: Vec::new(), node: None, group: holder.group }
            }
            NativeName::Group(name) => self.open_group(holder, name, false),
            NativeName::Field(n) => {
                self.those_before(&holder, last)?;
                self.grow_field(&holder, *n)?
            }
            NativeName::Member(name) if last.select.many() => {
                let mut steps = holder.steps.clone();
                if !name.is_empty() {
                    steps.push(Step::Member(name.clone()));
                }
                let at = self.edit.insert(Anchor::Last(holder.at, &steps), Insert::Item)?;
                Spot { at, steps: Vec::new(), node: None, group: 0 }
            }
            // Other lines may have made the first.
            NativeName::Element(name) if matches!(last.select, NativeSelect::Index(1)) => {
                self.element(holder, name, &last.select)?
            }
            NativeName::Element(name) => {
                self.those_before(&holder, last)?;
                let at = self.edit.insert(Anchor::Last(holder.at, &holder.steps), Insert::Element(&name.name))?;
                self.within.insert(at, holder.at);
                self.grown.entry((holder.at, holder.steps, name.name.clone())).or_insert(at);
                Spot { at, steps: Vec::new(), node: None, group: 0 }
            }
            NativeName::Row => {
                let at = self.edit.insert(Anchor::Last(Place::Node(NodeId::ROOT), &[]), Insert::Row)?;
                Spot { at, steps: Vec::new(), node: None, group: 0 }
            }
            _ => self.locate(outer, path)?,
        };
        if let NativeSelect::Where(conditions, _) = &last.select {
            let (certain, open): (Vec<Condition>, Vec<Condition>) =
                conditions.iter().cloned().partition(|c| !choice(c) && c.any.is_none());
            self.make_true(&spot, &certain)?;
            self.open_guards.push((spot.clone(), open, self.changes.len()));
        }
        self.written(scope, &spot)?;
        self.number(outer, scope, &spot)?;
        Ok(spot)
    }

    /// Where a line takes repetitions from a place on, those before it stand there, be it empty.
    fn those_before(&mut self, holder: &Spot, last: &NativeStep) -> Result<(), EditError> {
        let NativeSelect::From(n) = &last.select else { return Ok(()) };
        let (name, steps) = match &last.name {
            NativeName::Element(name) => (name.to_string(), holder.steps.clone()),
            NativeName::Field(n) => (format!("-{n}"), holder.steps.iter().cloned().chain([Step::Field(*n)]).collect()),
            _ => return Ok(()),
        };
        let every = NativeStep { name: last.name.clone(), select: NativeSelect::All };
        let every = NativePath { from_document: false, steps: vec![every] };
        let there = self.base(holder).map_or(0, |base| self.source.select(base, &every).len());
        let key = |select: &NativeSelect| (holder.at, holder.steps.clone(), format!("{name}{select:?}"));
        let made = self.elements.contains_key(&key(&NativeSelect::Index(1)));
        if self.elements.contains_key(&key(&last.select)) {
            return Ok(());
        }
        for _ in there + usize::from(made)..usize::from(n.saturating_sub(1)) {
            let what = match &last.name {
                NativeName::Element(name) => Insert::Element(&name.name),
                _ => Insert::Repetition,
            };
            let at = self.edit.insert(Anchor::Last(holder.at, &steps), what)?;
            self.elements.insert(key(&last.select), at);
        }
        Ok(())
    }

    pub(super) fn grow_field(&mut self, holder: &Spot, number: u16) -> Result<Spot, EditError> {
        let mut steps = holder.steps.clone();
        steps.push(Step::Field(number));
        let at = self.edit.insert(Anchor::Last(holder.at, &steps), Insert::Repetition)?;
        Ok(Spot { at, steps: Vec::new(), node: None, group: holder.group })
    }
}

/// The attribute that a path ends with.
fn last_step(path: &NativePath) -> Option<Step> {
    match &path.steps.last()?.name {
        NativeName::Attribute(name) => Some(Step::Attribute(name.name.clone())),
        _ => None,
    }
}

/// Whether a condition leaves a choice of values.
fn choice(condition: &Condition) -> bool {
    matches!(&condition.test, Test::In(values) if values.len() > 1)
}
