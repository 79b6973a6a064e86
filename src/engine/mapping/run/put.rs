//! Backward: an edited Bundle is written onto the native document that it came from.
//!
//! The plan is walked as forward, with the Bundle that the document gives now beside the one that is wanted. A line
//! whose FHIR value is the same in both writes nothing. Repetitions are aligned first, so that what is new, gone or
//! changed touches its own native repetition.

use std::borrow::Cow;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::fault::Fault;
use crate::fhir::document::{Document, Node, NodeId as FhirId};
use crate::native::{Anchor, Edit, EditError, Format, Insert, NodeId, Place, Scalar, Step, Value};

use super::super::context::{Context, Loss};
use super::super::lens::{Fidelity, Out, Uncarried};
use super::super::plan::{
    Condition, Entry, Link, NativeName, NativePath, NativeSelect, Plan, Rule, Scope, ScopeId, SlotAt, SlotRef,
    SlotSelect, Stmt, StmtKind,
};
use super::super::syntax::{Direction, Test};
use super::super::trace::{Disposition, Lost};
use super::Refusal;
use super::align::{Pair, align};
use super::fold::{choose, node_says};
use super::get::Run;
use super::source::{Base, Source};

/// A native place: a node that is there, or one that this run makes, and steps below it that may not be there yet.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Spot {
    at: Place,
    steps: Vec<Step>,
    /// The node, when it is there.
    node: Option<NodeId>,
    group: usize,
}

/// One occurrence of a scope in both Bundles and the native document.
struct Frame<'d> {
    scope: ScopeId,
    parent: usize,
    spot: Spot,
    /// The forward run's frame.
    was: Option<usize>,
    new: Vec<Known<'d>>,
    old: Vec<Known<'d>>,
}

#[derive(Clone, Copy)]
enum Known<'d> {
    Unasked,
    Asked,
    Is(Option<Node<'d>>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    New,
    Old,
}

enum Change {
    Set(String),
    Clear,
    Null,
}

/// What a backward run gives.
pub(crate) struct Written {
    pub(crate) bytes: Vec<u8>,
    pub(crate) lost: Vec<Lost>,
    pub(crate) refusals: Vec<Refusal>,
    /// Elements whose value was written as a stand-in, or follows another: they need not come back as they are.
    pub(crate) exempt: FxHashSet<FhirId>,
}

/// A backward run.
pub(crate) struct Put<'r> {
    plan: &'r Plan,
    source: &'r Source<'r>,
    cx: &'r Context,
    old: &'r Document,
    new: &'r Document,
    run: &'r Run,
    /// Whether every line writes, also where nothing changed.
    forced: bool,
    edit: Edit<'r>,
    frames: Vec<Frame<'r>>,
    /// Forward frames by the frame and scope they stand in.
    inner: FxHashMap<(usize, ScopeId), Vec<usize>>,
    taken: FxHashSet<FhirId>,
    changes: Vec<(Place, Vec<Step>, Change)>,
    made: FxHashMap<(Place, String), Place>,
    grown: FxHashMap<(Place, Vec<Step>), usize>,
    numbered: FxHashMap<(Place, u32), usize>,
    lost: Vec<Lost>,
    refusals: Vec<Refusal>,
    exempt: FxHashSet<FhirId>,
}

impl<'r> Put<'r> {
    pub(crate) fn new(
        plan: &'r Plan,
        source: &'r Source<'r>,
        cx: &'r Context,
        old: &'r Arc<Document>,
        run: &'r Run,
        new: &'r Arc<Document>,
        forced: bool,
    ) -> Self {
        let mut inner: FxHashMap<(usize, ScopeId), Vec<usize>> = FxHashMap::default();
        for (index, frame) in run.frames.iter().enumerate().skip(1) {
            inner.entry((frame.parent, frame.scope)).or_default().push(index);
        }
        Self {
            plan,
            source,
            cx,
            old,
            new,
            run,
            forced,
            edit: Edit::new(source.tree),
            frames: Vec::new(),
            inner,
            taken: FxHashSet::default(),
            changes: Vec::new(),
            made: FxHashMap::default(),
            grown: FxHashMap::default(),
            numbered: FxHashMap::default(),
            lost: Vec::new(),
            refusals: Vec::new(),
            exempt: FxHashSet::default(),
        }
    }

    pub(crate) fn run(mut self, creating: bool) -> Written {
        let root = Spot { at: Place::Node(NodeId::ROOT), steps: Vec::new(), node: Some(NodeId::ROOT), group: 0 };
        let frame = self.frame(0, 0, root, Some(0));
        self.body(frame);
        if creating {
            self.event(frame);
        }
        self.apply();
        let finished = self.edit.finish();
        for one in finished.transliterations {
            self.lost.push(Lost {
                path: one.path,
                disposition: Disposition::Approximated,
                rule: None,
                reason: format!("a character that the set lacks was written as {:?}", one.stand_in),
            });
        }
        Written { bytes: finished.bytes, lost: self.lost, refusals: self.refusals, exempt: self.exempt }
    }

    /// The trigger event of a new message, where the resources say which it is.
    fn event(&mut self, frame: usize) {
        let Some(scope) = self.scope_of(frame) else { return };
        let mut wanted: Option<&'r str> = None;
        for one in scope.consts.iter().filter(|one| !one.events.is_empty()) {
            let Some(text) = self.node(Side::New, frame, one.slot).and_then(Node::text) else { continue };
            if super::super::plan::says(&one.value, text) {
                let own = self.source.event.as_deref();
                if one.events.iter().any(|e| Some(e.as_str()) == own) {
                    return;
                }
                wanted = wanted.or_else(|| one.events.first().map(String::as_str));
            }
        }
        if let (Some(event), Some(header)) = (wanted, self.source.segment_at(0)) {
            let steps = vec![Step::Field(9), Step::Component(2)];
            self.changes.push((Place::Node(header), steps, Change::Set(event.to_owned())));
        }
    }

    fn frame(&mut self, scope: ScopeId, parent: usize, spot: Spot, was: Option<usize>) -> usize {
        let count = self.plan.scope(scope).map_or(0, |s| s.slots.len());
        self.frames.push(Frame {
            scope,
            parent,
            spot,
            was,
            new: vec![Known::Unasked; count],
            old: vec![Known::Unasked; count],
        });
        self.frames.len() - 1
    }

    fn scope_of(&self, frame: usize) -> Option<&'r Scope> {
        self.plan.scope(self.frames.get(frame)?.scope)
    }

    fn above(&self, frame: usize, up: u8) -> usize {
        (0..up).fold(frame, |frame, _| self.frames.get(frame).map_or(0, |f| f.parent))
    }

    fn assign(&mut self, frame: usize, side: Side, slot: u16, node: Option<Node<'r>>) {
        if let Some(frame) = self.frames.get_mut(frame) {
            let known = if side == Side::New { &mut frame.new } else { &mut frame.old };
            if let Some(known) = known.get_mut(usize::from(slot)) {
                *known = Known::Is(node);
            }
        }
    }

    // ---- FHIR places ----

    /// The node that a slot stands for in one of the Bundles.
    fn node(&mut self, side: Side, frame: usize, slot: u16) -> Option<Node<'r>> {
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
            SlotAt::Child { parent, written, logical, select, .. } => {
                let above = self.above(frame, parent.up);
                let parent = self.node(side, above, parent.slot);
                parent.and_then(|p| choose(p, written, logical, select).into_iter().next())
            }
            SlotAt::Entry(index) => {
                scope.entries.get(usize::from(*index)).and_then(|e| self.entry(side, frame, scope, e))
            }
        };
        self.assign(frame, side, slot, node);
        node
    }

    fn mark_asked(&mut self, frame: usize, side: Side, slot: u16) {
        if let Some(frame) = self.frames.get_mut(frame) {
            let known = if side == Side::New { &mut frame.new } else { &mut frame.old };
            if let Some(known) = known.get_mut(usize::from(slot)) {
                *known = Known::Asked;
            }
        }
    }

    fn document(&self, side: Side) -> &'r Document {
        if side == Side::New { self.new } else { self.old }
    }

    /// The resource that a reference leads to in its Bundle.
    fn target(&self, side: Side, reference: Node<'r>) -> Option<Node<'r>> {
        resolve(self.document(side), reference.text_at("reference")?)
    }

    /// The fullUrl that the forward run gave an entry of a frame.
    fn url_of(&self, was: usize, slot: u16) -> Option<&'r str> {
        let entry = self.run.entries.iter().find(|e| e.frame == was && e.slot == slot)?;
        Some(entry.full_url.as_str())
    }

    fn entry(&mut self, side: Side, frame: usize, scope: &'r Scope, entry: &'r Entry) -> Option<Node<'r>> {
        let was = self.frames.get(frame)?.was;
        let url = was.and_then(|was| self.url_of(was, entry.slot));
        let by_url =
            url.and_then(|url| resolve(self.document(side), url)).filter(|n| n.type_name() == entry.resource.as_ref());
        if side == Side::Old {
            return by_url;
        }
        let node = by_url
            .or_else(|| self.by_links(frame, scope, entry))
            .or_else(|| if frame == 0 { self.by_type(scope, entry) } else { None })?;
        self.taken.insert(node.id());
        Some(node)
    }

    /// An entry that another refers to, or that refers to another.
    fn by_links(&mut self, frame: usize, scope: &'r Scope, entry: &'r Entry) -> Option<Node<'r>> {
        for link in &scope.links {
            if link.to == (SlotRef { up: 0, slot: entry.slot })
                && let Some(reference) = self.node(Side::New, frame, link.slot)
                && let Some(node) = self.target(Side::New, reference)
                && node.type_name() == entry.resource.as_ref()
            {
                return Some(node);
            }
        }
        for link in &scope.links {
            if link.anchor == (SlotRef { up: 0, slot: entry.slot })
                && link.to != link.anchor
                && let Some(node) = self.referrer(frame, scope, entry, link)
            {
                return Some(node);
            }
        }
        None
    }

    /// A free entry of the type whose link leads to what it should.
    fn referrer(&mut self, frame: usize, scope: &'r Scope, entry: &'r Entry, link: &'r Link) -> Option<Node<'r>> {
        let above = self.above(frame, link.to.up);
        let target = self.node(Side::New, above, link.to.slot)?;
        let mut path = Vec::new();
        let mut slot = link.slot;
        while slot != entry.slot {
            match &scope.slots.get(usize::from(slot))?.at {
                SlotAt::Child { parent, written, logical, select, .. } if parent.up == 0 => {
                    path.push((written, logical, select));
                    slot = parent.slot;
                }
                SlotAt::Alias(to) if to.up == 0 => slot = to.slot,
                _ => return None,
            }
        }
        path.reverse();
        let free: Vec<Node<'r>> = self.resources(entry.resource.as_ref());
        free.into_iter().find(|candidate| {
            let mut here = vec![*candidate];
            for (written, logical, select) in &path {
                here = here.into_iter().flat_map(|n| choose(n, written, logical, select)).collect();
            }
            here.into_iter().any(|r| self.target(Side::New, r).is_some_and(|n| n.id() == target.id()))
        })
    }

    /// The resources of a type that are not spoken for.
    fn resources(&self, resource: &str) -> Vec<Node<'r>> {
        let entries = self.new.root().children().filter(|c| c.name() == "entry");
        entries
            .filter_map(|e| e.first("resource"))
            .filter(|r| r.type_name() == resource && !self.taken.contains(&r.id()))
            .collect()
    }

    fn by_type(&mut self, scope: &'r Scope, entry: &'r Entry) -> Option<Node<'r>> {
        let of_known: Vec<&str> = self.run.entries.iter().map(|e| e.full_url.as_str()).collect();
        let _ = scope;
        self.resources(entry.resource.as_ref()).into_iter().find(|node| {
            let url = node.parent().and_then(|e| e.text_at("fullUrl")).unwrap_or_default();
            !of_known.contains(&url)
        })
    }

    // ---- Native places ----

    fn base(&self, spot: &Spot) -> Option<Base> {
        spot.node.map(|node| Base { node, group: spot.group })
    }

    fn first(&self, spot: &Spot, path: &NativePath) -> Option<NodeId> {
        let base = if path.from_document { Some(self.source.root()) } else { self.base(spot) };
        // A part that is made by this run has nothing of the old document below it.
        self.source.first(base?, path)
    }

    /// The place of a path below a spot, made as far as segments and repetitions go.
    fn locate(&mut self, spot: &Spot, path: &NativePath) -> Result<Spot, EditError> {
        let mut here = if path.from_document {
            Spot { at: Place::Node(NodeId::ROOT), steps: Vec::new(), node: Some(NodeId::ROOT), group: 0 }
        } else {
            spot.clone()
        };
        for step in &path.steps {
            here = self.down(here, &step.name, &step.select)?;
        }
        Ok(here)
    }

    fn down(&mut self, from: Spot, name: &NativeName, select: &NativeSelect) -> Result<Spot, EditError> {
        let tree = self.source.tree;
        match name {
            NativeName::Segment(segment) => {
                let path = NativePath {
                    from_document: false,
                    steps: vec![super::super::plan::NativeStep { name: name.clone(), select: select.clone() }],
                };
                if let Some(base) = self.base(&from)
                    && let Some(found) = self.source.select(base, &path).into_iter().next()
                {
                    return Ok(Spot {
                        at: Place::Node(found.node),
                        steps: Vec::new(),
                        node: Some(found.node),
                        group: found.group,
                    });
                }
                let key = (from.at, segment.to_string());
                if let Some(at) = self.made.get(&key) {
                    return Ok(Spot { at: *at, steps: Vec::new(), node: None, group: from.group });
                }
                let at = self.insert_segment(&from, *segment)?;
                self.made.insert(key, at);
                Ok(Spot { at, steps: Vec::new(), node: None, group: from.group })
            }
            NativeName::Field(n) => self.field(from, *n, select),
            NativeName::Component(n) => {
                let there = from.node.and_then(|node| tree.component(node, *n));
                Ok(below(from, Step::Component(*n), there))
            }
            NativeName::Subcomponent(n) => {
                let there = from.node.and_then(|node| tree.subcomponent(node, *n));
                Ok(below(from, Step::Subcomponent(*n), there))
            }
            NativeName::Member(name) if name.is_empty() => Ok(from),
            NativeName::Member(name) => {
                let there = from.node.and_then(|node| tree.member(node, name));
                Ok(below(from, Step::Member(name.clone()), there))
            }
            NativeName::Column(name) => {
                let there = from.node.and_then(|node| tree.cell(node, name));
                Ok(below(from, Step::Cell(name.clone()), there))
            }
            NativeName::Attribute(name) => Ok(below(from, Step::Attribute(crate::native::Name::local(name)), None)),
            NativeName::Row => Ok(from),
        }
    }

    fn field(&mut self, from: Spot, number: u16, select: &NativeSelect) -> Result<Spot, EditError> {
        let tree = self.source.tree;
        let field = from.node.and_then(|node| tree.field(node, number));
        let path = NativePath {
            from_document: false,
            steps: vec![super::super::plan::NativeStep { name: NativeName::Field(number), select: select.clone() }],
        };
        let found = self.base(&from).and_then(|base| self.source.select(base, &path).into_iter().next());
        if let Some(found) = found {
            return Ok(Spot {
                at: Place::Node(found.node),
                steps: Vec::new(),
                node: Some(found.node),
                group: from.group,
            });
        }
        let mut steps = from.steps.clone();
        match select {
            NativeSelect::Index(n) if *n > 1 => {
                steps.push(Step::Field(number));
                steps.push(Step::Repetition(*n));
                Ok(Spot { at: from.at, steps, node: None, group: from.group })
            }
            NativeSelect::Where(conditions, _) if field.is_some() => {
                let at = self.edit.insert(Anchor::Last(from.at, &[Step::Field(number)]), Insert::Repetition)?;
                let spot = Spot { at, steps: Vec::new(), node: None, group: from.group };
                self.make_true(&spot, conditions)?;
                Ok(spot)
            }
            NativeSelect::Where(conditions, _) => {
                steps.push(Step::Field(number));
                let spot = Spot { at: from.at, steps, node: None, group: from.group };
                self.make_true(&spot, conditions)?;
                Ok(spot)
            }
            _ => {
                steps.push(Step::Field(number));
                Ok(Spot { at: from.at, steps, node: None, group: from.group })
            }
        }
    }

    /// A new segment where the structure has its place.
    fn insert_segment(&mut self, from: &Spot, name: crate::native::SegmentName) -> Result<Place, EditError> {
        let made_here = matches!(from.at, Place::New(_));
        if made_here {
            // Inside a group that this run has begun: after what it has made there so far.
            let last = self.made.iter().filter(|((at, _), _)| *at == from.at).map(|(_, place)| *place).last();
            return self.edit.insert(Anchor::After(last.unwrap_or(from.at)), Insert::Segment(name));
        }
        let after = self.source.groups().and_then(|groups| groups.insertion_point(from.group, name.as_str()).ok());
        let index = after.and_then(|insertion| insertion.after).and_then(|index| self.source.segment_at(index));
        let anchor_node = index.or_else(|| {
            // Not in the structure: after the last segment of the group.
            let groups = self.source.groups()?;
            let end = groups.group(from.group)?.segments.end;
            self.source.segment_at(end.checked_sub(1)?)
        });
        let Some(node) = anchor_node else {
            return self.edit.insert(Anchor::Last(Place::Node(NodeId::ROOT), &[]), Insert::Segment(name));
        };
        // What this run has put after the same segment comes first.
        let key = (Place::Node(node), "last inserted".to_owned());
        let anchor = self.made.get(&key).copied().unwrap_or(Place::Node(node));
        let place = self.edit.insert(Anchor::After(anchor), Insert::Segment(name))?;
        self.made.insert(key, place);
        Ok(place)
    }

    /// Writes what makes conditions hold where they do not.
    fn make_true(&mut self, spot: &Spot, conditions: &[Condition]) -> Result<(), EditError> {
        for condition in conditions {
            let Test::In(values) = &condition.test else { continue };
            let holds = self.base(spot).is_some_and(|base| self.source.hold(base, std::slice::from_ref(condition)));
            if holds {
                continue;
            }
            if let Some(value) = values.first() {
                let at = self.locate(spot, &condition.path)?;
                self.change(at, Change::Set(value.clone()));
            }
        }
        Ok(())
    }

    fn change(&mut self, spot: Spot, change: Change) {
        let same = self.changes.iter_mut().find(|(at, steps, _)| *at == spot.at && *steps == spot.steps);
        match same {
            // A value from one line outweighs another line's having none.
            Some((_, _, known)) => {
                if matches!(change, Change::Set(_)) || !matches!(known, Change::Set(_)) {
                    *known = change;
                }
            }
            None => self.changes.push((spot.at, spot.steps, change)),
        }
    }

    /// Makes the changes: what goes first, then what comes.
    fn apply(&mut self) {
        let changes = std::mem::take(&mut self.changes);
        let json = self.source.tree.format() == Format::Json;
        let (sets, others): (Vec<_>, Vec<_>) = changes.into_iter().partition(|(_, _, c)| matches!(c, Change::Set(_)));
        for (at, steps, change) in others.into_iter().chain(sets) {
            let result = match change {
                Change::Set(text) if json => self.edit.set(at, &steps, Scalar::AsBefore(&text)),
                Change::Set(text) => self.edit.set(at, &steps, Scalar::Text(&text)),
                Change::Clear => self.edit.clear(at, &steps),
                Change::Null => self.edit.null(at, &steps),
            };
            if let Err(error) = result {
                self.refuse_edit(&error);
            }
        }
    }

    fn refuse_edit(&mut self, error: &EditError) {
        // A part that went with what held it is gone as it should be.
        if matches!(error, EditError::Gone) {
            return;
        }
        self.refusals.push(Refusal {
            path: error.location().unwrap_or_default().to_owned(),
            rule: None,
            expected: error.to_string(),
            fault: error.fault(),
        });
    }

    // ---- Walking ----

    fn body(&mut self, frame: usize) {
        let Some(scope) = self.scope_of(frame) else { return };
        let before = self.changes.len();
        for stmt in &scope.body {
            if self.source.version != (0, 0, 0) && !stmt.holds(self.source.version) {
                continue;
            }
            self.statement(frame, stmt);
        }
        self.bounds(frame, scope, before);
    }

    fn statement(&mut self, frame: usize, stmt: &Stmt) {
        let plan = self.plan;
        let result = match stmt.kind {
            StmtKind::Rule(id) => match plan.rule(id) {
                Some(rule) if rule.direction != Direction::Get => self.rule(frame, rule),
                Some(rule) => {
                    self.follow(frame, rule);
                    Ok(())
                }
                None => Ok(()),
            },
            StmtKind::Scope(id) => match plan.scope(id) {
                Some(scope) if scope.direction != Direction::Get => self.scope(frame, id, scope),
                Some(scope) => {
                    self.follow_scope(frame, id, scope);
                    Ok(())
                }
                None => Ok(()),
            },
        };
        if let Err(error) = result {
            self.refuse_edit(&error);
        }
    }

    /// A copy follows the line that owns the leaf; where that changed, the copy need not be as it was.
    fn follow(&mut self, frame: usize, rule: &Rule) {
        let owner_changed = self.owner_changed(frame, rule.native.first().and_then(|t| t.first()));
        if owner_changed && let Some(node) = self.node(Side::New, frame, rule.slot) {
            self.exempt.insert(node.id());
        }
    }

    fn follow_scope(&mut self, frame: usize, _: ScopeId, scope: &'r Scope) {
        if !self.owner_changed(frame, scope.native.first()) {
            return;
        }
        let at = scope.slots.first().map(|s| &s.at);
        let node = match at {
            Some(SlotAt::Alias(to)) if to.up > 0 => {
                let above = self.above(frame, to.up - 1);
                self.node(Side::New, above, to.slot)
            }
            Some(SlotAt::Child { parent, written, logical, select, .. }) if parent.up > 0 => {
                let above = self.above(frame, parent.up - 1);
                let parent = self.node(Side::New, above, parent.slot);
                parent.and_then(|p| choose(p, written, logical, select).into_iter().next())
            }
            _ => None,
        };
        if let Some(node) = node {
            self.exempt.insert(node.id());
        }
    }

    fn owner_changed(&mut self, frame: usize, path: Option<&NativePath>) -> bool {
        let Some(path) = path else { return false };
        let Some(spot) = self.frames.get(frame).map(|f| f.spot.clone()) else { return false };
        let Some(node) = self.first(&spot, path) else { return !self.changes.is_empty() };
        let tree = self.source.tree;
        self.changes.iter().any(|(at, _, _)| match at {
            Place::Node(changed) => tree.is_within(*changed, node) || tree.is_within(node, *changed),
            Place::New(_) => false,
        })
    }

    // ---- Rules ----

    fn rule(&mut self, frame: usize, rule: &'r Rule) -> Result<(), EditError> {
        let new = self.values(Side::New, frame, rule);
        let old = self.values(Side::Old, frame, rule);
        let texts = |nodes: &[Node<'r>]| -> Vec<&'r str> { nodes.iter().filter_map(|n| n.text()).collect() };
        let (new_texts, old_texts) = (texts(&new), texts(&old));
        if !self.forced && same(&new_texts, &old_texts) {
            return Ok(());
        }
        if new_texts.is_empty() && old_texts.is_empty() {
            return Ok(());
        }
        let Some(spot) = self.frames.get(frame).map(|f| f.spot.clone()) else { return Ok(()) };
        let tuple = self.alternative(&spot, rule);
        let Some(tuple) = rule.native.get(tuple) else { return Ok(()) };
        let held: Vec<Option<Cow<'r, str>>> = tuple
            .iter()
            .map(|path| self.first(&spot, path).and_then(|node| self.source.tree.value(node).into_text()))
            .collect();
        if new_texts.is_empty() {
            let when = self.base(&spot).is_none_or(|base| self.source.hold(base, &rule.when));
            if when {
                for (path, text) in tuple.iter().zip(&held) {
                    if text.is_some() {
                        let at = self.locate(&spot, path)?;
                        let change = self.absence();
                        self.change(at, change);
                    }
                }
            }
            return Ok(());
        }
        // What the map says by itself where native says nothing is not written.
        if held.iter().all(Option::is_none)
            && let (Some(constant), [only]) = (&rule.empty, new_texts.as_slice())
            && super::super::plan::says(constant, only)
            && self.frames.get(frame).is_some_and(|f| f.was.is_some())
        {
            return Ok(());
        }
        let put = match rule.lens.put(&new_texts, &held, self.cx) {
            Ok(put) => put,
            Err(why) => {
                let node = new.first().copied();
                self.uncarried(node, rule, &why);
                return Ok(());
            }
        };
        if self.base(&spot).is_none_or(|base| !self.source.hold(base, &rule.when)) {
            self.make_true(&spot, &rule.when)?;
        }
        let mut wrote = false;
        for (path, out) in tuple.iter().zip(put.outs) {
            match out {
                Out::Keep => {}
                Out::Set(text) => {
                    let at = self.locate(&spot, path)?;
                    wrote = true;
                    if rule.describes_composite {
                        self.undescribe(&at);
                    }
                    self.change(at, Change::Set(text));
                }
                Out::Clear => {
                    if self.first(&spot, path).is_some() {
                        let at = self.locate(&spot, path)?;
                        self.change(at, Change::Clear);
                    }
                }
            }
        }
        if put.fidelity == Fidelity::Approximated
            && let Some(node) = new.first()
        {
            self.exempt.insert(node.id());
            self.lost.push(Lost {
                path: node.path().to_string(),
                disposition: Disposition::Approximated,
                rule: Some(self.plan.line(rule.line)),
                reason: "written as the nearest that the native format has".to_owned(),
            });
        }
        if wrote {
            for (slot, _) in &rule.also {
                if let Some(node) = self.node(Side::New, frame, *slot) {
                    self.exempt.insert(node.id());
                }
            }
        }
        Ok(())
    }

    /// How the format says that something is no more.
    fn absence(&self) -> Change {
        match self.source.tree.format() {
            Format::Hl7V2 => Change::Null,
            _ => Change::Clear,
        }
    }

    fn values(&mut self, side: Side, frame: usize, rule: &Rule) -> Vec<Node<'r>> {
        if !rule.only.is_empty() {
            let own = self.node(side, frame, 0);
            if own.is_none_or(|own| !rule.only.iter().all(|mark| node_says(own, mark))) {
                return Vec::new();
            }
        }
        let of = self.scope_of(frame).and_then(|s| s.slots.get(usize::from(rule.slot)));
        if let Some(SlotAt::Child { parent, written, logical, select: select @ SlotSelect::From(_), .. }) =
            of.map(|s| &s.at)
        {
            let above = self.above(frame, parent.up);
            let parent = self.node(side, above, parent.slot);
            return parent.map(|p| choose(p, written, logical, select)).unwrap_or_default();
        }
        self.node(side, frame, rule.slot).into_iter().collect()
    }

    /// The alternative that the document used, else the first.
    fn alternative(&self, spot: &Spot, rule: &Rule) -> usize {
        let valued = |tuple: &Vec<NativePath>| {
            tuple
                .iter()
                .any(|path| self.first(spot, path).is_some_and(|n| matches!(self.source.tree.value(n), Value::Text(_))))
        };
        rule.native.iter().position(valued).unwrap_or(0)
    }

    /// The other parts of a composite said the old value in other words.
    fn undescribe(&mut self, at: &Spot) {
        let Some(node) = at.node else { return };
        let tree = self.source.tree;
        let own = tree.leaves(node).next();
        for leaf in tree.leaves(node) {
            if Some(leaf) == own {
                continue;
            }
            if let Some(part) = tree.leaf_node(leaf) {
                let spot = Spot { at: Place::Node(part), steps: Vec::new(), node: Some(part), group: at.group };
                self.change(spot, Change::Clear);
            }
        }
    }

    /// Leaves that describe one that changed go with its old value.
    fn bounds(&mut self, frame: usize, scope: &'r Scope, before: usize) {
        if scope.bound.is_empty() {
            return;
        }
        let Some(spot) = self.frames.get(frame).map(|f| f.spot.clone()) else { return };
        for bound in &scope.bound {
            let Some(described) = self.first(&spot, &bound.to) else { continue };
            let tree = self.source.tree;
            let changed = self.changes.iter().skip(before).any(|(at, _, _)| match at {
                Place::Node(node) => tree.is_within(described, *node) || tree.is_within(*node, described),
                Place::New(_) => false,
            });
            if !changed {
                continue;
            }
            for path in &bound.what {
                if let Some(node) = self.first(&spot, path) {
                    let gone = Spot { at: Place::Node(node), steps: Vec::new(), node: Some(node), group: spot.group };
                    self.lost.push(Lost {
                        path: tree.path(node).to_string(),
                        disposition: Disposition::Residue,
                        rule: Some(self.plan.line(scope.line)),
                        reason: "removed, since it described the value that was changed".to_owned(),
                    });
                    self.change(gone, Change::Clear);
                }
            }
        }
    }

    fn uncarried(&mut self, node: Option<Node<'r>>, rule: &Rule, why: &Uncarried) {
        let path = node.map(|n| n.path().to_string()).unwrap_or_default();
        let line = Some(self.plan.line(rule.line));
        match self.cx.loss {
            Loss::Refuse => {
                let fault = if why.code { Fault::CodeNotInValueSet } else { Fault::BadValue };
                self.refusals.push(Refusal { path, rule: line, expected: why.expected.to_string(), fault });
            }
            Loss::Warn => {
                if let Some(node) = node {
                    self.exempt.insert(node.id());
                }
                let reason = format!("not carried: expected {}", why.expected);
                self.lost.push(Lost { path, disposition: Disposition::Error, rule: line, reason });
            }
        }
    }

    // ---- Scopes ----

    fn scope(&mut self, frame: usize, id: ScopeId, scope: &'r Scope) -> Result<(), EditError> {
        let was = self.frames.get(frame).and_then(|f| f.was);
        let olds: Vec<usize> = was.and_then(|was| self.inner.get(&(was, id)).cloned()).unwrap_or_default();
        if matches!(scope.slots.first().map(|s| &s.at), Some(SlotAt::Nowhere)) {
            // Without a FHIR place of its own, a scope is where native has it.
            for old in olds {
                if let Some(of) = self.run.frames.get(old) {
                    let inner = self.frame(id, frame, spot_of(of.base), Some(old));
                    self.body(inner);
                }
            }
            return Ok(());
        }
        let new = self.places(Side::New, frame, scope, &[]);
        let made: Vec<usize> = olds
            .iter()
            .copied()
            .filter(|old| self.run.frames.get(*old).is_some_and(|f| self.run.made(f, 0).is_some()))
            .collect();
        let old = self.places(Side::Old, frame, scope, &made);
        if scope.each {
            return self.repeated(frame, id, scope, &made, &old, &new);
        }
        self.single(frame, id, scope, olds.first().copied(), old.first().copied(), new.first().copied())
    }

    /// The FHIR places of a scope in one of the Bundles.
    fn places(&mut self, side: Side, frame: usize, scope: &'r Scope, made: &[usize]) -> Vec<Node<'r>> {
        let Some(slot) = scope.slots.first() else { return Vec::new() };
        match &slot.at {
            SlotAt::Child { parent, written, logical, select, .. } => {
                let above = self.above(frame, parent.up.saturating_sub(1));
                let parent = self.node(side, above, parent.slot);
                parent.map(|p| choose(p, written, logical, select)).unwrap_or_default()
            }
            SlotAt::Alias(to) => {
                let above = self.above(frame, to.up.saturating_sub(1));
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

    /// The resources in the wanted Bundle that a scope's entry could be.
    fn entries(&mut self, frame: usize, scope: &'r Scope, entry: &'r Entry) -> Vec<Node<'r>> {
        let Some(reference) = entry.reference else {
            return self.free_entries(scope, entry);
        };
        let references: Vec<Node<'r>> = match scope.slots.get(usize::from(reference)).map(|s| &s.at) {
            Some(SlotAt::Child { parent, written, logical, select, .. }) => {
                let above = self.above(frame, parent.up.saturating_sub(1));
                let parent = self.node(Side::New, above, parent.slot);
                parent.map(|p| choose(p, written, logical, select)).unwrap_or_default()
            }
            Some(SlotAt::Alias(to)) => {
                let above = self.above(frame, to.up.saturating_sub(1));
                self.node(Side::New, above, to.slot).into_iter().collect()
            }
            _ => Vec::new(),
        };
        let targets = references.into_iter().filter_map(|r| self.target(Side::New, r));
        targets.filter(|n| n.type_name() == entry.resource.as_ref()).collect()
    }

    /// Resources that nothing refers to by this map: those of the forward run, and new ones of the type.
    fn free_entries(&mut self, scope: &'r Scope, entry: &'r Entry) -> Vec<Node<'r>> {
        let id = self.plan.scopes.iter().position(|s| std::ptr::eq(s, scope));
        let own: Vec<&str> = self
            .run
            .entries
            .iter()
            .filter(|e| {
                self.run.frames.get(e.frame).is_some_and(|f| Some(f.scope as usize) == id) && e.slot == entry.slot
            })
            .map(|e| e.full_url.as_str())
            .collect();
        let known: FxHashSet<&str> = self.run.entries.iter().map(|e| e.full_url.as_str()).collect();
        self.resources(entry.resource.as_ref())
            .into_iter()
            .filter(|node| {
                let url = node.parent().and_then(|e| e.text_at("fullUrl")).unwrap_or_default();
                (own.contains(&url) || !known.contains(url)) && self.consts_hold(scope, entry, *node)
            })
            .collect()
    }

    /// Whether a resource has the fixed values that a scope gives its entry.
    fn consts_hold(&self, scope: &'r Scope, entry: &'r Entry, node: Node<'r>) -> bool {
        scope.consts.iter().filter(|c| c.anchor == (SlotRef { up: 0, slot: entry.slot })).all(|one| {
            let Some(SlotAt::Child { parent, written, logical, select, .. }) =
                scope.slots.get(usize::from(one.slot)).map(|s| &s.at)
            else {
                return true;
            };
            if *parent != one.anchor {
                return true;
            }
            match &one.value {
                super::super::plan::Constant::Text(text) => {
                    choose(node, written, logical, select).first().is_none_or(|n| n.text() == Some(text))
                }
                _ => true,
            }
        })
    }

    fn enter(
        &mut self,
        id: ScopeId,
        frame: usize,
        spot: Spot,
        was: Option<usize>,
        old: Option<Node<'r>>,
        new: Option<Node<'r>>,
    ) {
        let inner = self.frame(id, frame, spot, was);
        self.assign(inner, Side::Old, 0, old);
        self.assign(inner, Side::New, 0, new);
        if let Some(new) = new.filter(|n| n.is_resource()) {
            self.taken.insert(new.id());
        }
        self.body(inner);
    }

    /// A scope that is there once or not.
    fn single(
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
            let spot = spot_of(of.base);
            if new.is_none() && self.removable(scope, &spot) {
                return self.remove(scope, &spot);
            }
            self.enter(id, frame, spot, was, old, new);
            return Ok(());
        }
        if new.is_none() {
            return Ok(());
        }
        if !scope.when.is_empty() && self.base(&outer).is_none_or(|base| !self.source.hold(base, &scope.when)) {
            // Several lines may fill the same element from differently typed leaves: the first that can, does.
            if !self.may_become(&outer, scope) {
                return Ok(());
            }
            self.make_true(&outer, &scope.when)?;
        }
        let Some(path) = scope.native.first() else { return Ok(()) };
        let spot = self.locate(&outer, path)?;
        self.written(scope, &spot)?;
        self.enter(id, frame, spot, None, old, new);
        Ok(())
    }

    /// Whether nothing that stands there speaks against making a scope's conditions hold.
    fn may_become(&self, outer: &Spot, scope: &Scope) -> bool {
        scope.when.iter().all(|condition| match &condition.test {
            Test::In(_) => self.first(outer, &condition.path).is_none() || outer.node.is_some(),
            Test::Absent | Test::NotIn(_) => {
                self.base(outer).is_none_or(|b| self.source.hold(b, std::slice::from_ref(condition)))
            }
            Test::Valued => true,
        })
    }

    /// Whether a composite that FHIR no longer has can go whole: nothing else of the map is in it.
    fn removable(&self, scope: &Scope, spot: &Spot) -> bool {
        let Some(node) = spot.node else { return false };
        // An alias shares its place with other lines, which say themselves what goes.
        if matches!(scope.slots.first().map(|s| &s.at), Some(SlotAt::Alias(_))) {
            let carried = self.run.trace.records.iter().filter(|r| self.source.tree.leaves(node).contains(&r.leaf));
            return carried.clone().count() > 0 && scope.entries.is_empty();
        }
        true
    }

    /// Takes a native repetition out, or says that it is no more.
    fn remove(&mut self, scope: &Scope, spot: &Spot) -> Result<(), EditError> {
        let Some(node) = spot.node else { return Ok(()) };
        let tree = self.source.tree;
        let _ = scope;
        match tree.kind(node) {
            crate::native::Kind::Segment => {
                for segment in self.group_of(node, spot.group) {
                    self.edit.remove(segment)?;
                }
                Ok(())
            }
            crate::native::Kind::Field => self.edit.null(Place::Node(node), &[]),
            crate::native::Kind::Component | crate::native::Kind::Subcomponent => {
                self.edit.null(Place::Node(node), &[])
            }
            _ => self.edit.remove(node),
        }
    }

    /// The segments that go with one: its group, when it begins one that can repeat.
    fn group_of(&self, node: NodeId, group: usize) -> Vec<NodeId> {
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
    fn repeated(
        &mut self,
        frame: usize,
        id: ScopeId,
        scope: &'r Scope,
        frames: &[usize],
        old: &[Node<'r>],
        new: &[Node<'r>],
    ) -> Result<(), EditError> {
        let pairs = align(self.old, self.new, old, new);
        let Some(outer) = self.frames.get(frame).map(|f| f.spot.clone()) else { return Ok(()) };
        let mut left = old.len();
        for pair in &pairs {
            if let Pair::Gone(at) = pair {
                let Some(of) = frames.get(*at).and_then(|was| self.run.frames.get(*was)) else { continue };
                let spot = spot_of(of.base);
                left = left.saturating_sub(1);
                self.take_out(scope, &spot, left + pairs.iter().filter(|p| matches!(p, Pair::New(_))).count())?;
            }
        }
        for pair in pairs {
            match pair {
                Pair::Both(was, now) => {
                    let Some(base) = frames.get(was).and_then(|f| self.run.frames.get(*f)).map(|f| f.base) else {
                        continue;
                    };
                    let frame_was = frames.get(was).copied();
                    self.enter(id, frame, spot_of(base), frame_was, old.get(was).copied(), new.get(now).copied());
                }
                Pair::New(now) => {
                    let spot = self.grow(&outer, scope)?;
                    self.enter(id, frame, spot, None, None, new.get(now).copied());
                }
                Pair::Gone(_) => {}
            }
        }
        Ok(())
    }

    /// Takes one repetition out; the last one of a field leaves the format's delete behind.
    fn take_out(&mut self, scope: &Scope, spot: &Spot, left: usize) -> Result<(), EditError> {
        let Some(node) = spot.node else { return Ok(()) };
        if matches!(self.source.tree.kind(node), crate::native::Kind::Repetition) && left > 0 {
            return self.edit.remove(node);
        }
        self.remove(scope, spot)
    }

    /// A new native repetition.
    fn grow(&mut self, outer: &Spot, scope: &'r Scope) -> Result<Spot, EditError> {
        let Some(path) = scope.native.first() else { return Ok(outer.clone()) };
        let Some((last, before)) = path.steps.split_last() else { return Ok(outer.clone()) };
        let start = NativePath { from_document: path.from_document, steps: before.to_vec() };
        let holder = self.locate(outer, &start)?;
        let spot = match &last.name {
            NativeName::Segment(name) => {
                let at = self.insert_segment(&holder, *name)?;
                Spot { at, steps: Vec::new(), node: None, group: holder.group }
            }
            NativeName::Field(n) => self.grow_field(&holder, *n)?,
            NativeName::Member(name) => {
                let mut steps = holder.steps.clone();
                if !name.is_empty() {
                    steps.push(Step::Member(name.clone()));
                }
                let at = self.edit.insert(Anchor::Last(holder.at, &steps), Insert::Item)?;
                Spot { at, steps: Vec::new(), node: None, group: 0 }
            }
            NativeName::Row => {
                let at = self.edit.insert(Anchor::Last(Place::Node(NodeId::ROOT), &[]), Insert::Row)?;
                Spot { at, steps: Vec::new(), node: None, group: 0 }
            }
            _ => self.locate(outer, path)?,
        };
        if let NativeSelect::Where(conditions, _) = &last.select {
            self.make_true(&spot, conditions)?;
        }
        self.written(scope, &spot)?;
        self.number(outer, scope, &spot)?;
        Ok(spot)
    }

    fn grow_field(&mut self, holder: &Spot, number: u16) -> Result<Spot, EditError> {
        let tree = self.source.tree;
        let field = holder.node.and_then(|node| tree.field(node, number));
        let valued = field.is_some_and(|f| !matches!(tree.value(f), Value::Null) || tree.has_children(f));
        let mut steps = holder.steps.clone();
        steps.push(Step::Field(number));
        let key = (holder.at, steps.clone());
        let grown = self.grown.entry(key).or_insert(0);
        *grown += 1;
        if *grown == 1 && !valued {
            return Ok(Spot { at: holder.at, steps, node: None, group: holder.group });
        }
        let at = self.edit.insert(Anchor::Last(holder.at, &steps), Insert::Repetition)?;
        Ok(Spot { at, steps: Vec::new(), node: None, group: holder.group })
    }

    fn written(&mut self, scope: &Scope, spot: &Spot) -> Result<(), EditError> {
        for (path, text) in &scope.written {
            let at = self.locate(spot, path)?;
            self.change(at, Change::Set(text.clone()));
        }
        Ok(())
    }

    /// The number of a new repetition.
    fn number(&mut self, outer: &Spot, scope: &Scope, spot: &Spot) -> Result<(), EditError> {
        let Some((_, path)) = &scope.ordinal else { return Ok(()) };
        let before = self
            .base(outer)
            .map_or(0, |base| scope.native.first().map_or(0, |path| self.source.select(base, path).len()));
        let grown = self.numbered.entry((outer.at, scope.line)).or_insert(0);
        *grown += 1;
        let number = before + *grown;
        let at = self.locate(spot, path)?;
        self.change(at, Change::Set(number.to_string()));
        Ok(())
    }
}

fn spot_of(base: Base) -> Spot {
    Spot { at: Place::Node(base.node), steps: Vec::new(), node: Some(base.node), group: base.group }
}

/// One step below a spot; a level that is not written out is its parent, and is remembered as a step.
fn below(from: Spot, step: Step, there: Option<NodeId>) -> Spot {
    match there {
        Some(node) if from.node != Some(node) => {
            Spot { at: Place::Node(node), steps: Vec::new(), node: Some(node), group: from.group }
        }
        there => {
            let mut steps = from.steps;
            steps.push(step);
            Spot { at: from.at, steps, node: there, group: from.group }
        }
    }
}

fn same(new: &[&str], old: &[&str]) -> bool {
    new.len() == old.len() && new.iter().zip(old).all(|(a, b)| a == b || super::super::lens::same_moment(a, b))
}

/// The resource that a reference text leads to in a Bundle: by fullUrl, or by `Type/id`.
pub(crate) fn resolve<'d>(document: &'d Document, reference: &str) -> Option<Node<'d>> {
    let index = document.bundle();
    let id = index.by_url(reference).or_else(|| index.by_id(reference)).or_else(|| {
        let mut parts = reference.rsplit('/');
        let id = parts.next()?;
        let kind = parts.next()?;
        index.by_id(&format!("{kind}/{id}"))
    })?;
    Some(document.node(id))
}
