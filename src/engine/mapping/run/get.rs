//! Forward: a native document becomes a Bundle, and a trace of how.

use std::borrow::Cow;
use std::sync::Arc;

use rustc_hash::FxHashSet;

use crate::definitions::Model;
use crate::fault::Fault;
use crate::fhir::datatypes::is_lexical;
use crate::fhir::draft::{At, Draft};
use crate::native::{NodeId, Value};

use super::super::context::Context;
use super::super::identity;
use super::super::lens::{Fidelity, Uncarried};
use super::super::plan::{
    Condition, Const, Constant, Key, Mark, MarkValue, NativePath, NativeSelect, Plan, Rule, RuleId, Scope, ScopeId,
    Slot, SlotAt, SlotSelect, Stmt, StmtKind,
};
use super::super::syntax::{Direction, Otherwise, Test};
use super::super::trace::{By, Disposition, Record, Trace};
use super::source::{Base, Source};
use super::{Entry, FoldState, Refusal, Refusals, State, Verb};

/// One occurrence of a scope.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame {
    pub(crate) scope: ScopeId,
    pub(crate) parent: usize,
    pub(crate) base: Base,
    /// Where its slots begin.
    slots: usize,
}

/// Everything a forward run leaves behind.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) frames: Vec<Frame>,
    slots: Vec<Option<At>>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) trace: Trace,
    pub(crate) fold: Vec<FoldState>,
}

impl Run {
    /// The places of a frame's own slot, if made.
    pub(crate) fn made(&self, frame: &Frame, slot: usize) -> Option<At> {
        self.slots.get(frame.slots + slot).copied().flatten()
    }
}

/// What a resource is known by in its provider's world.
struct KeyText {
    text: String,
    personal: bool,
    /// The leaves that it is made of.
    parts: Vec<NodeId>,
}

impl Run {
    /// Where in its list the element of a slot stands.
    pub(crate) fn place_in_list(&self, plan: &Plan, frame: usize, slot: u16) -> Option<usize> {
        let of = self.frames.get(frame)?;
        let at = self.made(of, usize::from(slot))?;
        let SlotAt::Child { parent, written, .. } = &plan.scope(of.scope)?.slots.get(usize::from(slot))?.at else {
            return None;
        };
        let above = (0..parent.up).fold(frame, |frame, _| self.frames.get(frame).map_or(0, |f| f.parent));
        let holder = self.place(plan, above, parent.slot)?;
        let draft = &self.trace.draft;
        draft.children(holder).filter(|c| draft.name(*c) == written.as_ref()).position(|c| c == at)
    }

    /// The place of a slot; aliases are looked through.
    fn place(&self, plan: &Plan, frame: usize, slot: u16) -> Option<At> {
        let of = self.frames.get(frame)?;
        if let Some(at) = self.made(of, usize::from(slot)) {
            return Some(at);
        }
        match &plan.scope(of.scope)?.slots.get(usize::from(slot))?.at {
            SlotAt::Alias(to) => {
                let above = (0..to.up).fold(frame, |frame, _| self.frames.get(frame).map_or(0, |f| f.parent));
                self.place(plan, above, to.slot)
            }
            _ => None,
        }
    }
}

/// A forward run.
pub(crate) struct Get<'r> {
    plan: &'r Plan,
    map: &'r str,
    model: &'r Arc<Model>,
    source: &'r Source<'r>,
    cx: &'r Context,
    draft: Draft,
    frames: Vec<Frame>,
    slots: Vec<Option<At>>,
    records: Vec<Record>,
    reasons: Vec<(u32, String)>,
    entries: Vec<Entry>,
    urls: FxHashSet<String>,
    ordinals: u32,
    document_key: Option<String>,
    defaults: Vec<(usize, RuleId)>,
    fold: Vec<FoldState>,
    refusals: Vec<Refusal>,
}

impl<'r> Get<'r> {
    pub(crate) fn new(
        plan: &'r Plan,
        map: &'r str,
        model: &'r Arc<Model>,
        source: &'r Source<'r>,
        cx: &'r Context,
    ) -> Self {
        Self {
            plan,
            map,
            model,
            source,
            cx,
            draft: Draft::new(model, "Bundle"),
            frames: Vec::new(),
            slots: Vec::new(),
            records: Vec::with_capacity(source.tree.leaf_count() as usize),
            reasons: Vec::new(),
            entries: Vec::new(),
            urls: FxHashSet::default(),
            ordinals: 0,
            document_key: None,
            defaults: Vec::new(),
            fold: Vec::new(),
            refusals: Vec::new(),
        }
    }

    /// Runs the whole plan.
    pub(crate) fn run(mut self) -> Result<Run, Refusals> {
        let root = self.draft.root();
        self.draft.set_path(root, "type", "collection");
        let frame = self.frame(0, 0, self.source.root());
        self.document_key = Some(self.whole_key());
        if let Some(scope) = self.plan.scope(0) {
            // What tells the document's type has said what it had to say.
            self.claim_conditions(self.source.root(), &scope.when, scope.line);
            if let Some(kind) = self.source.segment_at(0).and_then(|header| self.source.tree.field(header, 9)) {
                let root = self.draft.root();
                for n in 1..=2 {
                    if let Some(part) = self.source.tree.component(kind, n) {
                        self.record(part, root, By::Line(scope.line), Disposition::Mapped);
                    }
                }
            }
        }
        self.scope(frame);
        self.apply_defaults();
        self.fixed();
        self.links();
        self.verbs();
        if !self.refusals.is_empty() {
            return Err(Refusals { items: self.refusals });
        }
        let dropped = self.fates();
        let trace = Trace { records: self.records, reasons: self.reasons, dropped, draft: self.draft };
        Ok(Run { frames: self.frames, slots: self.slots, entries: self.entries, trace, fold: self.fold })
    }

    fn frame(&mut self, scope: ScopeId, parent: usize, base: Base) -> usize {
        let count = self.plan.scope(scope).map_or(0, |s| s.slots.len());
        let slots = self.slots.len();
        self.slots.resize(slots + count, None);
        self.frames.push(Frame { scope, parent, base, slots });
        self.frames.len() - 1
    }

    fn of(&self, frame: usize) -> Frame {
        self.frames.get(frame).copied().unwrap_or(Frame { scope: 0, parent: 0, base: self.source.root(), slots: 0 })
    }

    fn above(&self, frame: usize, up: u8) -> usize {
        (0..up).fold(frame, |frame, _| self.of(frame).parent)
    }

    /// Runs a scope's statements for one occurrence.
    fn scope(&mut self, frame: usize) {
        let plan = self.plan;
        let Some(scope) = plan.scope(self.of(frame).scope) else { return };
        for stmt in &scope.body {
            if !stmt.holds(self.source.version) && self.source.version != (0, 0, 0) {
                continue;
            }
            self.statement(frame, stmt);
        }
    }

    fn statement(&mut self, frame: usize, stmt: &Stmt) {
        let plan = self.plan;
        let state = match stmt.kind {
            StmtKind::Rule(id) => {
                let Some(rule) = plan.rule(id) else { return };
                self.rule(frame, id, rule)
            }
            StmtKind::Scope(id) => {
                let Some(scope) = plan.scope(id) else { return };
                self.repeat(frame, id, scope)
            }
        };
        self.remember(frame, stmt, state);
    }

    /// Notes what a line said of a resource, for folding it onto what is known.
    fn remember(&mut self, frame: usize, stmt: &Stmt, state: State) {
        // Only lines whose place hangs on a resource itself count; those of composites are in their scope's line.
        let reach = match stmt.kind {
            StmtKind::Scope(id) => super::fold::reach_of_scope(self.plan, id, frame, &self.frames),
            StmtKind::Rule(id) => {
                let Some(rule) = self.plan.rule(id) else { return };
                super::fold::reach_of_slot(self.plan, frame, rule.slot, &self.frames)
            }
        };
        if let Some((owner, path)) = reach {
            self.fold.push(FoldState { owner, path, state });
        }
    }

    /// Runs a scope for each of its native repetitions.
    fn repeat(&mut self, frame: usize, id: ScopeId, scope: &'r Scope) -> State {
        if scope.direction == Direction::Put {
            return State::Silent;
        }
        let base = self.of(frame).base;
        if !self.source.hold(base, &scope.when) {
            return State::Silent;
        }
        let mut state = State::Empty;
        for path in &scope.native {
            let mut places = self.source.select(base, path);
            if places.is_empty() {
                continue;
            }
            if !scope.each && scope.repeats && places.len() > 1 && !Self::nowhere(scope) {
                self.more(scope, &places);
                places.truncate(1);
            }
            let mut null = false;
            for (number, place) in (1_usize..).zip(places) {
                if self.all_null(place.node) {
                    null = true;
                    self.claim_all(place.node, By::Line(scope.line), Disposition::Mapped);
                    continue;
                }
                if !self.has_value(place.node) {
                    continue;
                }
                state = State::Valued;
                if self.referred(frame, scope) {
                    self.more(scope, &[place, place]);
                    continue;
                }
                let inner = self.frame(id, frame, place);
                self.guard(place, path, scope.line);
                self.ordinal_leaf(place, scope, number);
                let before = self.records.len();
                self.scope(inner);
                // What a part of the document says of others, it says as a resource of its own.
                let carried = self.records.iter().skip(before).any(|r| r.disposition <= Disposition::Approximated);
                if carried && matches!(scope.slots.first().map(|s| &s.at), Some(SlotAt::Entry(_))) {
                    self.ensure(inner, 0);
                }
            }
            if state == State::Valued {
                break;
            }
            if null {
                state = State::Null;
                break;
            }
        }
        state
    }

    /// A leaf that counts repetitions is carried by their order, where it counts right.
    fn ordinal_leaf(&mut self, place: Base, scope: &Scope, number: usize) {
        let Some((line, path)) = &scope.ordinal else { return };
        let Some(node) = self.source.first(place, path) else { return };
        let right = self.source.tree.text(node).is_some_and(|t| t.trim().parse() == Ok(number));
        let root = self.draft.root();
        let disposition = if right { Disposition::Mapped } else { Disposition::Residue };
        self.record(node, root, By::Line(*line), disposition);
    }

    /// Whether the one element that would refer to a scope's resource refers to another already.
    fn referred(&self, frame: usize, scope: &Scope) -> bool {
        let Some(SlotAt::Entry(index)) = scope.slots.first().map(|s| &s.at) else { return false };
        let reference = scope.entries.get(usize::from(*index)).and_then(|e| e.reference);
        let at = reference.and_then(|slot| scope.slots.get(usize::from(slot))).map(|s| &s.at);
        let place = match at {
            Some(SlotAt::Alias(to)) if to.up > 0 => self.peek(self.above(frame, to.up - 1), to.slot),
            _ => None,
        };
        place.is_some_and(|at| self.draft.existing_child(at, "reference").is_some())
    }

    /// Whether a scope has no FHIR place of its own.
    fn nowhere(scope: &Scope) -> bool {
        matches!(scope.slots.first().map(|s| &s.at), Some(SlotAt::Nowhere))
    }

    fn more(&mut self, scope: &Scope, places: &[Base]) {
        for place in places.iter().skip(1) {
            match &scope.more {
                Some(Otherwise::Error) => {
                    let path = self.source.tree.path(place.node).to_string();
                    self.refuse(path, scope.line, "one repetition, which is all that FHIR takes here", Fault::BadValue);
                }
                _ => self.claim_all(place.node, By::Line(scope.line), Disposition::Residue),
            }
        }
    }

    fn refuse(&mut self, path: String, line: u32, expected: impl Into<String>, fault: Fault) {
        let rule = Some(self.plan.line(line));
        self.refusals.push(Refusal { path, rule, expected: expected.into(), fault });
    }

    fn all_null(&self, node: NodeId) -> bool {
        let tree = self.source.tree;
        let mut leaves = tree.leaves(node).peekable();
        leaves.peek().is_some() && leaves.all(|leaf| matches!(tree.value(tree.leaf_node(leaf)), Value::Null))
    }

    fn has_value(&self, node: NodeId) -> bool {
        let tree = self.source.tree;
        tree.leaves(node).any(|leaf| matches!(tree.value(tree.leaf_node(leaf)), Value::Text(_) | Value::Null))
    }

    fn claim_all(&mut self, node: NodeId, by: By, disposition: Disposition) {
        let root = self.draft.root();
        for leaf in self.source.tree.leaves(node) {
            self.records.push(Record { leaf, node: root, by, disposition });
        }
    }

    /// The leaf that a node's value is.
    fn leaf(&self, node: NodeId) -> Option<u32> {
        let tree = self.source.tree;
        tree.leaf(node).or_else(|| tree.leaves(node).next())
    }

    fn record(&mut self, node: NodeId, at: At, by: By, disposition: Disposition) {
        if let Some(leaf) = self.leaf(node) {
            self.records.push(Record { leaf, node: at, by, disposition });
        }
    }

    /// The leaves by which a selection was made have said what they had to say.
    fn guard(&mut self, place: Base, path: &NativePath, line: u32) {
        for step in &path.steps {
            if let NativeSelect::Where(conditions, _) = &step.select {
                self.claim_conditions(place, conditions, line);
            }
        }
    }

    fn claim_conditions(&mut self, place: Base, conditions: &[Condition], line: u32) {
        let root = self.draft.root();
        for condition in conditions {
            let Test::In(values) = &condition.test else { continue };
            for found in self.source.select_any(place, condition) {
                let says = self.source.tree.text(found.node).is_some_and(|t| values.iter().any(|v| *v == t));
                if says {
                    self.record(found.node, root, By::Line(line), Disposition::Mapped);
                }
            }
        }
    }

    /// Runs one lens forward.
    fn rule(&mut self, frame: usize, id: RuleId, rule: &'r Rule) -> State {
        if rule.direction == Direction::Put {
            return State::Silent;
        }
        let base = self.of(frame).base;
        if !self.source.hold(base, &rule.when) {
            return State::Silent;
        }
        let mut null = false;
        for tuple in &rule.native {
            let mut nodes: [Option<NodeId>; 8] = [None; 8];
            let mut texts: [Option<Cow<'r, str>>; 8] = [const { None }; 8];
            let mut valued = false;
            for ((path, node), text) in tuple.iter().zip(nodes.iter_mut()).zip(texts.iter_mut()) {
                let Some(found) = self.source.first(base, path) else { continue };
                match self.source.tree.value(found) {
                    Value::Text(value) => {
                        *node = Some(found);
                        *text = Some(value);
                        valued = true;
                    }
                    Value::Null => {
                        null = true;
                        *node = Some(found);
                    }
                    Value::Empty | Value::Absent => {}
                }
            }
            if !valued {
                if null {
                    for node in nodes.into_iter().flatten() {
                        let root = self.draft.root();
                        self.record(node, root, By::Rule(id), Disposition::Mapped);
                    }
                }
                continue;
            }
            if !rule.when.is_empty() {
                self.claim_conditions(base, &rule.when, rule.line);
            }
            let texts = texts.get(..tuple.len()).unwrap_or_default();
            let nodes = nodes.get(..tuple.len()).unwrap_or_default();
            return self.carry(frame, id, rule, texts, nodes);
        }
        if null {
            return State::Null;
        }
        if rule.empty.is_some() {
            self.defaults.push((frame, id));
        }
        State::Empty
    }

    fn carry(
        &mut self,
        frame: usize,
        id: RuleId,
        rule: &'r Rule,
        texts: &[Option<Cow<'r, str>>],
        nodes: &[Option<NodeId>],
    ) -> State {
        let slot_type = self.slot_type(frame, rule.slot);
        let got = rule.lens.get(texts, self.cx).and_then(|got| match got {
            Some(got) if !got.texts.iter().all(|t| lexical(slot_type, t)) => {
                Err(Uncarried { expected: format!("a value that is a FHIR {slot_type}").into(), code: false })
            }
            got => Ok(got),
        });
        match got {
            Ok(Some(got)) => {
                let mut at = self.draft.root();
                for text in &got.texts {
                    at = self.ensure(frame, rule.slot);
                    self.draft.set(at, text);
                    // Each further text is a repetition of its own.
                    if got.texts.len() > 1 {
                        self.forget(frame, rule.slot);
                    }
                }
                let disposition = match got.fidelity {
                    Fidelity::Exact => Disposition::Mapped,
                    Fidelity::Approximated => Disposition::Approximated,
                };
                for (input, node) in nodes.iter().enumerate() {
                    let Some(node) = node else { continue };
                    if got.idle & (1 << input) != 0 {
                        let root = self.draft.root();
                        self.record(*node, root, By::Rule(id), Disposition::Residue);
                        continue;
                    }
                    self.record(*node, at, By::Rule(id), disposition);
                    if let (Some(note), Some(leaf)) = (got.note, self.leaf(*node)) {
                        self.reasons.push((leaf, note.to_owned()));
                    }
                }
                for (slot, lens) in &rule.also {
                    if let Ok(Some(got)) = lens.get(texts, self.cx)
                        && let Some(text) = got.texts.first()
                    {
                        let at = self.ensure(frame, *slot);
                        self.draft.set(at, text);
                        if let Some(node) = nodes.iter().flatten().next() {
                            self.record(*node, at, By::Rule(id), Disposition::Mapped);
                        }
                    }
                }
                State::Valued
            }
            Ok(None) => State::Empty,
            Err(uncarried) => self.uncarried(frame, id, rule, nodes, &uncarried),
        }
    }

    fn uncarried(&mut self, frame: usize, id: RuleId, rule: &Rule, nodes: &[Option<NodeId>], why: &Uncarried) -> State {
        let root = self.draft.root();
        let disposition = match &rule.otherwise {
            Some(Otherwise::Residue) => Disposition::Residue,
            Some(Otherwise::Value(value)) => {
                let text = match value {
                    super::super::syntax::Value::Text(text) | super::super::syntax::Value::Coding(_, text) => {
                        text.clone()
                    }
                    super::super::syntax::Value::Context(_) => String::new(),
                };
                let at = self.ensure(frame, rule.slot);
                self.draft.set(at, &text);
                for node in nodes.iter().flatten() {
                    self.record(*node, at, By::Rule(id), Disposition::Approximated);
                }
                return State::Valued;
            }
            Some(Otherwise::Error) => {
                let path = nodes.iter().flatten().next().and_then(|n| self.leaf(*n));
                let path = path.map(|leaf| self.source.tree.leaf_path(leaf).to_string()).unwrap_or_default();
                let fault = if why.code { Fault::CodeNotInValueSet } else { Fault::BadValue };
                self.refuse(path, rule.line, why.expected.clone(), fault);
                Disposition::Error
            }
            None => Disposition::Error,
        };
        for node in nodes.iter().flatten() {
            self.record(*node, root, By::Rule(id), disposition);
            if let Some(leaf) = self.leaf(*node) {
                self.reasons.push((leaf, format!("expected {}", why.expected)));
            }
        }
        State::Empty
    }

    fn slot_of(&self, frame: usize, slot: u16) -> Option<&'r Slot> {
        self.plan.scope(self.of(frame).scope)?.slots.get(usize::from(slot))
    }

    fn slot_type(&self, frame: usize, slot: u16) -> &'r str {
        self.slot_of(frame, slot).map_or("", |slot| self.model.type_name(slot.type_id))
    }

    fn known(&self, frame: usize, slot: u16) -> Option<At> {
        self.slots.get(self.of(frame).slots + usize::from(slot)).copied().flatten()
    }

    fn forget(&mut self, frame: usize, slot: u16) {
        let index = self.of(frame).slots + usize::from(slot);
        if let Some(slot) = self.slots.get_mut(index) {
            *slot = None;
        }
    }

    /// The place of a slot where it is made already; aliases are looked through.
    fn peek(&self, frame: usize, slot: u16) -> Option<At> {
        if let Some(at) = self.known(frame, slot) {
            return Some(at);
        }
        match &self.slot_of(frame, slot)?.at {
            SlotAt::Alias(to) => self.peek(self.above(frame, to.up), to.slot),
            _ => None,
        }
    }

    /// The place of a slot, made when it is not there.
    fn ensure(&mut self, frame: usize, slot: u16) -> At {
        if let Some(at) = self.known(frame, slot) {
            return at;
        }
        let Some(of) = self.slot_of(frame, slot) else { return self.draft.root() };
        let at = match &of.at {
            SlotAt::Alias(to) => self.ensure(self.above(frame, to.up), to.slot),
            SlotAt::Nowhere => self.draft.root(),
            SlotAt::Entry(index) => return self.entry(frame, *index, slot),
            SlotAt::Child { parent, written, select, list, .. } => {
                let parent = self.ensure(self.above(frame, parent.up), parent.slot);
                self.below(parent, written, select, *list)
            }
        };
        self.remember_slot(frame, slot, at);
        at
    }

    fn remember_slot(&mut self, frame: usize, slot: u16, at: At) {
        let index = self.of(frame).slots + usize::from(slot);
        if let Some(slot) = self.slots.get_mut(index) {
            *slot = Some(at);
        }
    }

    fn below(&mut self, parent: At, written: &str, select: &SlotSelect, list: bool) -> At {
        match select {
            SlotSelect::First => self.draft.child(parent, written),
            SlotSelect::Each | SlotSelect::From(_) => self.draft.push(parent, written),
            SlotSelect::Index(n) => {
                let nth = self.draft.children(parent).filter(|c| self.draft.name(*c) == written).nth(usize::from(*n));
                nth.unwrap_or_else(|| self.draft.push(parent, written))
            }
            SlotSelect::With(marks, each) => {
                let there = self
                    .draft
                    .children(parent)
                    .filter(|c| self.draft.name(*c) == written)
                    .find(|at| marks.iter().all(|mark| super::fold::draft_says(&self.draft, *at, mark)));
                let at = match there.filter(|_| !each) {
                    Some(at) => return at,
                    None if list => self.draft.push(parent, written),
                    None => self.draft.child(parent, written),
                };
                for mark in marks.iter().filter(|m| !m.not) {
                    self.set_mark(at, mark);
                }
                at
            }
        }
    }

    fn set_mark(&mut self, at: At, mark: &Mark) {
        let mut at = at;
        for name in &mark.path {
            at = self.draft.child(at, name);
        }
        match &mark.value {
            MarkValue::Text(text) => self.draft.set(at, text),
            MarkValue::Coding { system, code, wrapped } => {
                let coding = if *wrapped { self.draft.child(at, "coding") } else { at };
                self.draft.set_path(coding, "system", system);
                self.draft.set_path(coding, "code", code);
            }
        }
    }

    /// Makes a resource of the Bundle.
    fn entry(&mut self, frame: usize, index: u16, slot: u16) -> At {
        let plan = self.plan;
        let of = self.of(frame);
        let Some(scope) = plan.scope(of.scope) else { return self.draft.root() };
        let Some(entry) = scope.entries.get(usize::from(index)) else { return self.draft.root() };
        let key = entry.key.as_ref().and_then(|key| self.key(of.base, key));
        let found_key = key.is_some();
        let (key, personal, parts) = match key {
            Some(key) => (key.text, key.personal, key.parts),
            None => {
                self.ordinals += 1;
                let document = self.document_key.clone().unwrap_or_default();
                (format!("{document}/{}/{}", entry.name, self.ordinal(of.scope, index)), false, Vec::new())
            }
        };
        let shown = if personal { identity::keyed(&self.cx.secret, &key) } else { key };
        let mut url = identity::url(&self.cx.provider, self.map, &entry.name, &shown);
        let mut copy = 1_u32;
        while !self.urls.insert(url.clone()) {
            copy += 1;
            url = identity::url(&self.cx.provider, self.map, &entry.name, &format!("{shown}#{copy}"));
        }
        let root = self.draft.root();
        let place = self.draft.push(root, "entry");
        let name = self.draft.child(place, "fullUrl");
        self.draft.set(name, &url);
        // What a resource is known by is in its name; of a personal key the name keeps nothing.
        for part in parts.into_iter().filter(|_| !personal) {
            self.record(part, name, By::Line(entry.line), Disposition::Mapped);
        }
        let at = self.draft.resource_in(place, "resource", &entry.resource);
        self.remember_slot(frame, slot, at);
        self.entries.push(Entry {
            name: entry.name.to_string(),
            resource: entry.resource.to_string(),
            full_url: url.clone(),
            native_id: shown.clone(),
            declared_key: entry.key.is_some(),
            found_key,
            personal,
            verb: Verb::Put,
            frame,
            slot,
            at,
        });
        if let Some(reference) = entry.reference {
            let reference = self.ensure(frame, reference);
            self.draft.set_path(reference, "reference", &url);
        }
        at
    }

    fn ordinal(&self, scope: ScopeId, index: u16) -> usize {
        let slot = self.plan.scope(scope).and_then(|s| s.entries.get(usize::from(index))).map(|e| e.slot);
        self.entries.iter().filter(|e| self.of(e.frame).scope == scope && Some(e.slot) == slot).count() + 1
    }

    /// The key of a part of the document.
    fn key(&self, base: Base, key: &Key) -> Option<KeyText> {
        key.alternatives.iter().find_map(|(personal, parts)| {
            let mut texts = Vec::new();
            let mut nodes = Vec::new();
            for path in parts {
                let node = self.source.first(base, path)?;
                let tree = self.source.tree;
                let before = texts.len();
                for leaf in tree.leaves(node) {
                    let part = tree.leaf_node(leaf);
                    texts.extend(tree.text(part).map(Cow::into_owned));
                    nodes.extend(part);
                }
                if texts.len() == before {
                    return None;
                }
            }
            Some(KeyText { text: texts.join("-"), personal: *personal, parts: nodes })
        })
    }

    /// A key for what has none of its own: that of the document's first entry, else its content.
    fn whole_key(&self) -> String {
        let entries = self.plan.scope(0).map(|s| s.entries.as_slice()).unwrap_or_default();
        let root = self.source.root();
        let keyed = entries.iter().find_map(|e| self.key(root, e.key.as_ref()?));
        match keyed {
            Some(key) if key.personal => identity::keyed(&self.cx.secret, &key.text),
            Some(key) => key.text,
            None => identity::digest(self.source.tree.bytes()),
        }
    }

    /// What the map says stands where native says nothing.
    fn apply_defaults(&mut self) {
        for (frame, id) in std::mem::take(&mut self.defaults) {
            let Some(rule) = self.plan.rule(id) else { continue };
            let Some(value) = &rule.empty else { continue };
            if self.anchored(frame, rule.slot) && self.peek(frame, rule.slot).is_none() {
                let text = match value {
                    Constant::Text(text) => text.clone(),
                    Constant::Coding { code, .. } => code.clone(),
                    Constant::Provider => self.cx.provider.clone(),
                    Constant::Now => self.cx.now.to_string(),
                };
                let at = self.ensure(frame, rule.slot);
                self.draft.set(at, &text);
            }
        }
    }

    /// Whether the resource (or the scope's own place) that a slot is below is made.
    fn anchored(&self, frame: usize, slot: u16) -> bool {
        let (mut frame, mut slot) = (frame, slot);
        loop {
            let Some(of) = self.slot_of(frame, slot) else { return false };
            match &of.at {
                SlotAt::Entry(_) => return self.known(frame, slot).is_some(),
                SlotAt::Nowhere => return false,
                SlotAt::Alias(to) => {
                    frame = self.above(frame, to.up);
                    slot = to.slot;
                }
                SlotAt::Child { parent, .. } => {
                    if slot == 0 && self.known(frame, slot).is_none() {
                        return false;
                    }
                    frame = self.above(frame, parent.up);
                    slot = parent.slot;
                }
            }
        }
    }

    fn event_of(&self) -> &str {
        self.source.event.as_deref().unwrap_or_default()
    }

    /// Fixed values, in what is there.
    fn fixed(&mut self) {
        let plan = self.plan;
        let frames = self.frames.len();
        // What stands where nothing else does comes last.
        for (default, frame) in [false, true].into_iter().flat_map(|d| (0..frames).map(move |f| (d, f))) {
            let Some(scope) = plan.scope(self.of(frame).scope) else { continue };
            for one in scope.consts.iter().filter(|one| one.default == default) {
                if default && self.stands(frame, one.slot) {
                    continue;
                }
                let event = one.events.is_empty() || one.events.iter().any(|e| e == self.event_of());
                if event && self.peek(self.above(frame, one.anchor.up), one.anchor.slot).is_some() {
                    self.set_const(frame, one);
                }
            }
        }
    }

    /// Whether the element of a slot is there, whichever line made it.
    fn stands(&self, frame: usize, slot: u16) -> bool {
        let Some(SlotAt::Child { parent, written, .. }) = self.slot_of(frame, slot).map(|s| &s.at) else {
            return self.peek(frame, slot).is_some();
        };
        let Some(holder) = self.peek(self.above(frame, parent.up), parent.slot) else { return false };
        self.draft.children(holder).any(|child| self.draft.name(child) == written.as_ref())
    }

    fn set_const(&mut self, frame: usize, one: &Const) {
        let at = self.ensure(frame, one.slot);
        match &one.value {
            Constant::Text(text) => self.draft.set(at, text),
            Constant::Coding { system, code } => match self.slot_type(frame, one.slot) {
                "CodeableConcept" => {
                    let coding = self.draft.child(at, "coding");
                    self.draft.set_path(coding, "system", system);
                    self.draft.set_path(coding, "code", code);
                }
                "Coding" => {
                    self.draft.set_path(at, "system", system);
                    self.draft.set_path(at, "code", code);
                }
                _ => self.draft.set(at, code),
            },
            Constant::Provider => self.draft.set(at, &self.cx.provider),
            Constant::Now => self.draft.set(at, &self.cx.now.to_string()),
        }
        let reach = super::fold::reach_of_slot(self.plan, frame, one.slot, &self.frames);
        if let Some((owner, path)) = reach {
            let state = match (one.default, one.events.is_empty()) {
                (true, _) => State::Empty,
                (false, true) => State::Fixed,
                (false, false) => State::Valued,
            };
            self.fold.push(FoldState { owner, path, state });
        }
    }

    fn links(&mut self) {
        let plan = self.plan;
        for frame in 0..self.frames.len() {
            let Some(scope) = plan.scope(self.of(frame).scope) else { continue };
            for link in &scope.links {
                let anchored = self.peek(self.above(frame, link.anchor.up), link.anchor.slot).is_some();
                let Some(target) = self.peek(self.above(frame, link.to.up), link.to.slot).filter(|_| anchored) else {
                    continue;
                };
                let Some(url) = self.entries.iter().find(|e| e.at == target).map(|e| e.full_url.clone()) else {
                    continue;
                };
                let at = self.ensure(frame, link.slot);
                self.draft.set_path(at, "reference", &url);
                if let Some((owner, path)) = super::fold::reach_of_slot(self.plan, frame, link.slot, &self.frames) {
                    self.fold.push(FoldState { owner, path, state: State::Valued });
                }
            }
        }
    }

    /// What action codes say is done to the resources of their scope.
    fn verbs(&mut self) {
        let plan = self.plan;
        for frame in 0..self.frames.len() {
            let Some((line, path)) = plan.scope(self.of(frame).scope).and_then(|s| s.verb.as_ref()) else { continue };
            let Some(node) = self.source.first(self.of(frame).base, path) else { continue };
            let verb = self.source.tree.text(node).as_deref().and_then(Verb::of);
            let root = self.draft.root();
            let Some(verb) = verb else {
                self.record(node, root, By::Line(*line), Disposition::Residue);
                continue;
            };
            self.record(node, root, By::Line(*line), Disposition::Mapped);
            for entry in self.entries.iter_mut().filter(|e| e.frame == frame) {
                entry.verb = verb;
            }
        }
    }

    /// The leaves that lines leave out with a reason.
    fn fates(&mut self) -> Vec<(u32, u32)> {
        let mut spoken = vec![false; self.source.tree.leaf_count() as usize];
        for record in &self.records {
            if let Some(slot) = spoken.get_mut(record.leaf as usize) {
                *slot = true;
            }
        }
        let mut dropped = Vec::new();
        for fate in &self.plan.fates {
            let Some(reason) = &fate.drop else { continue };
            for frame in 0..self.frames.len() {
                if self.of(frame).scope != fate.scope {
                    continue;
                }
                let base = self.of(frame).base;
                let mut places: Vec<NodeId> = Vec::new();
                for path in &fate.paths {
                    places.extend(self.source.select(base, path).into_iter().map(|b| b.node));
                }
                if fate.paths.is_empty() {
                    places.push(base.node);
                }
                for leaf in places.into_iter().flat_map(|node| self.source.tree.leaves(node)) {
                    if let Some(slot) = spoken.get_mut(leaf as usize).filter(|s| !**s) {
                        *slot = true;
                        dropped.push((leaf, fate.line));
                        self.reasons.push((leaf, reason.clone()));
                    }
                }
            }
        }
        dropped
    }
}

fn lexical(type_name: &str, text: &str) -> bool {
    match type_name {
        "string" | "markdown" | "code" => !text.is_empty(),
        other => is_lexical(other, text),
    }
}
