//! Forward: a native document becomes a Bundle, and a trace of how.

mod absent;
mod claims;
mod envelope;
mod fixed;
mod place;
mod rule;
mod whole;
mod words;

use std::sync::{Arc, OnceLock};

use rustc_hash::{FxHashMap, FxHashSet};

use crate::definitions::{Model, Symbol, TypeId};
use crate::fault::Fault;
use crate::fhir::draft::{At, Draft, make_room};
use crate::native::NodeId;

use super::super::context::Context;
use super::super::plan::{DOCUMENT, Link, Plan, RuleId, Said, Scope, ScopeId, SlotAt, Stmt, StmtKind};
use super::super::syntax::{Direction, Otherwise, Version};
use super::super::trace::{Disposition, Record, Trace};
use super::source::{Base, Present, Source};
use super::{EntryInfo, EntryPlace, FoldState, Refusal, Refusals, State};

/// One occurrence of a scope: 20 bytes, of which a translation keeps many.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame {
    pub(crate) scope: ScopeId,
    parent: u32,
    node: NodeId,
    group: u32,
    /// Where its slots begin.
    slots: u32,
}

impl Frame {
    fn new(scope: ScopeId, parent: usize, base: Base, slots: usize) -> Self {
        // A tree has fewer nodes than this.
        let short = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Self { scope, parent: short(parent), node: base.node, group: short(base.group), slots: short(slots) }
    }

    pub(crate) const fn parent(&self) -> usize {
        self.parent as usize
    }

    pub(crate) const fn base(&self) -> Base {
        Base { node: self.node, group: self.group as usize }
    }

    const fn slots(&self) -> usize {
        self.slots as usize
    }
}

/// Everything a forward run leaves behind.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) frames: Vec<Frame>,
    /// Where slots are made; [`At::NOWHERE`] where they are not.
    slots: Vec<At>,
    pub(crate) entries: Vec<EntryInfo>,
    pub(crate) entry_places: Vec<EntryPlace>,
    pub(crate) trace: Trace,
    /// What lines said of resources, but for those that found nothing.
    pub(crate) fold: Vec<FoldState>,
    version: Version,
    /// Where each element stands in its list, once asked for.
    in_lists: OnceLock<FxHashMap<At, usize>>,
    /// Leaves that say again what another alternative of their line says.
    pub(crate) copies: FxHashSet<u32>,
    /// What lines say by themselves where native says nothing.
    pub(crate) defaulted: Vec<At>,
}

impl Run {
    /// The places of a frame's own slot, if made.
    pub(crate) fn made(&self, frame: &Frame, slot: usize) -> Option<At> {
        self.slots.get(frame.slots() + slot).copied().filter(|at| *at != At::NOWHERE)
    }
}

impl Run {
    /// The slots that are made at a place, with their frames.
    pub(crate) fn slots_at(&self, at: At) -> impl Iterator<Item = (usize, u16)> + '_ {
        let places = self.slots.iter().enumerate().filter(move |(_, one)| **one == at);
        places.filter_map(|(place, _)| {
            let frame = self.frames.partition_point(|frame| frame.slots() <= place).checked_sub(1)?;
            let slot = place - self.frames.get(frame)?.slots();
            Some((frame, u16::try_from(slot).ok()?))
        })
    }

    /// Gives back the room that is not needed: it is kept as it is.
    pub(crate) fn trim(&mut self) {
        self.trace.draft.trim();
        self.frames.shrink_to_fit();
        self.slots.shrink_to_fit();
        self.fold.shrink_to_fit();
        self.entries.shrink_to_fit();
        self.entry_places.shrink_to_fit();
    }

    /// What lines said of resources: those that found something as they came, then those that found nothing.
    pub(crate) fn said(&self, plan: &Plan) -> Vec<FoldState> {
        let mut all = self.fold.clone();
        let said: FxHashSet<(usize, Said)> = all.iter().map(|one| (one.frame, one.of)).collect();
        for (frame, scope) in self.frames.iter().enumerate().filter_map(|(at, of)| Some((at, plan.scope(of.scope)?))) {
            let holds = |stmt: &&Stmt| self.version == (0, 0, 0) || stmt.holds(self.version);
            let others = scope.body.iter().filter(holds).filter_map(|stmt| stmt.said);
            let others = others.filter(|of| !said.contains(&(frame, *of)));
            all.extend(others.map(|of| FoldState { frame, of, state: State::Empty }));
        }
        all
    }

    /// Where in its list the element of a slot stands.
    pub(crate) fn place_in_list(&self, plan: &Plan, frame: usize, slot: u16) -> Option<usize> {
        let of = self.frames.get(frame)?;
        let at = self.made(of, usize::from(slot))?;
        let mut frame = frame;
        let mut at_slot = &plan.scope(of.scope)?.slots.get(usize::from(slot))?.at;
        while let SlotAt::Alias(to) = at_slot {
            frame = (0..to.up).fold(frame, |frame, _| self.frames.get(frame).map_or(0, Frame::parent));
            at_slot = &plan.scope(self.frames.get(frame)?.scope)?.slots.get(usize::from(to.slot))?.at;
        }
        let SlotAt::Child { parent, written, .. } = at_slot else { return None };
        let above = (0..parent.up).fold(frame, |frame, _| self.frames.get(frame).map_or(0, Frame::parent));
        self.place(plan, above, parent.slot)?;
        let draft = &self.trace.draft;
        let places = self.in_lists.get_or_init(|| draft.places_in_lists());
        places.get(&at).copied().filter(|_| draft.symbol(at) == written.symbol)
    }

    /// The place of a slot; aliases are looked through.
    fn place(&self, plan: &Plan, frame: usize, slot: u16) -> Option<At> {
        let of = self.frames.get(frame)?;
        if let Some(at) = self.made(of, usize::from(slot)) {
            return Some(at);
        }
        match &plan.scope(of.scope)?.slots.get(usize::from(slot))?.at {
            SlotAt::Alias(to) => {
                let above = (0..to.up).fold(frame, |frame, _| self.frames.get(frame).map_or(0, Frame::parent));
                self.place(plan, above, to.slot)
            }
            _ => None,
        }
    }
}

/// The numbers of names and types that every run needs.
#[derive(Debug, Clone, Copy)]
struct Names {
    /// No type where the model has none of this name.
    attachment: TypeId,
    organization: TypeId,
    period: TypeId,
    display: Symbol,
    end: Symbol,
    entry: Symbol,
    full_url: Symbol,
    reference: Symbol,
    resource: Symbol,
    start: Symbol,
}

impl Names {
    fn of(model: &Model) -> Self {
        let named = |name: &str| model.type_named(name).unwrap_or(TypeId(u16::MAX));
        Self {
            attachment: named("Attachment"),
            organization: named("Organization"),
            period: named("Period"),
            display: model.symbol("display"),
            end: model.symbol("end"),
            entry: model.symbol("entry"),
            full_url: model.symbol("fullUrl"),
            reference: model.symbol("reference"),
            resource: model.symbol("resource"),
            start: model.symbol("start"),
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
    slots: Vec<At>,
    records: Vec<Record>,
    reasons: Vec<(u32, String)>,
    entries: Vec<EntryInfo>,
    entry_places: Vec<EntryPlace>,
    /// Where the entry of a fullUrl is, by the name's hash: the first, where several have the same.
    urls: FxHashMap<u64, usize>,
    /// How often an entry of a name came with the same key.
    keyed: FxHashMap<(String, String), u32>,
    /// Leaves that say again what another alternative of their line says.
    copies: FxHashSet<u32>,
    /// Displays of codings: where they are, and by which record.
    displays: Vec<(usize, u16, usize)>,
    names: Names,
    /// How many resources each entry of a scope has made.
    ordinals: FxHashMap<(ScopeId, u16), usize>,
    document_key: Option<String>,
    defaults: Vec<(usize, RuleId)>,
    defaulted: Vec<At>,
    fold: Vec<FoldState>,
    refusals: Vec<Refusal>,
    places: Vec<Base>,
    /// Whether the message is one that is only begun.
    begun: bool,
    /// Whether what is said is to be folded onto what is known.
    folds: bool,
}

impl<'r> Get<'r> {
    pub(crate) fn new(
        plan: &'r Plan,
        map: &'r str,
        model: &'r Arc<Model>,
        source: &'r Source<'r>,
        cx: &'r Context,
    ) -> Self {
        let mut draft = Draft::new(model, "Bundle");
        let leaves = source.tree.leaf_count() as usize;
        // About what referrals and orders come to: growing takes the room twice.
        draft.reserve(leaves * 7 / 4, source.tree.bytes().len() * 9 / 4);
        Self {
            plan,
            map,
            model,
            source,
            cx,
            draft,
            frames: Vec::with_capacity(leaves / 3),
            slots: Vec::with_capacity(leaves * 11 / 2),
            records: Vec::with_capacity(leaves),
            reasons: Vec::new(),
            entries: Vec::new(),
            entry_places: Vec::new(),
            urls: FxHashMap::default(),
            keyed: FxHashMap::default(),
            copies: FxHashSet::default(),
            displays: Vec::new(),
            names: Names::of(model),
            ordinals: FxHashMap::default(),
            document_key: None,
            defaults: Vec::new(),
            defaulted: Vec::new(),
            fold: Vec::new(),
            refusals: Vec::new(),
            places: Vec::new(),
            begun: false,
            folds: false,
        }
    }

    /// Of a document that is folded onto what is known.
    pub(crate) fn of_news(self) -> Self {
        Self { folds: true, ..self }
    }

    /// Of a message that is only begun, and need not have what its structure demands.
    pub(crate) fn of_begun(self) -> Self {
        Self { begun: true, ..self }
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
                        self.record(part, root, scope.line, Disposition::Mapped);
                    }
                }
            }
        }
        if let Some(leaf) = self.whole_document() {
            let (node, line) = (self.draft.root(), self.plan.scope(0).map_or(0, |s| s.line));
            self.records.push(Record::new(leaf, node, line, Disposition::Mapped));
        }
        if let Some(scope) = self.plan.scope(0) {
            self.implied(self.source.root(), scope);
            self.ordinal_leaf(self.source.root(), scope, 1);
        }
        self.strangers();
        self.scope(frame);
        self.apply_defaults();
        self.fixed();
        self.links();
        self.own_words();
        self.verbs();
        self.absences();
        self.envelope();
        if !self.refusals.is_empty() {
            return Err(Refusals { items: self.refusals });
        }
        let dropped = self.fates();
        let trace = Trace::new(self.records, self.reasons, dropped, self.draft);
        Ok(Run {
            frames: self.frames,
            slots: self.slots,
            entries: self.entries,
            entry_places: self.entry_places,
            trace,
            fold: self.fold,
            version: self.source.version,
            copies: self.copies,
            defaulted: self.defaulted,
            in_lists: OnceLock::new(),
        })
    }

    /// A patient for whom the structure has no place refuses the message: what follows would be read as another's. So does
    /// one who is not there, where the structure speaks of nothing else: what is said would be of nobody.
    fn strangers(&mut self) {
        if !self.begun && self.source.lacks_patient() {
            let line = self.plan.scope(0).map_or(0, |scope| scope.line);
            self.refuse(
                "PID[1]".to_owned(),
                line,
                "the patient that a message of this type speaks of",
                Fault::RequiredMissing,
            );
        }
        for node in self.source.strangers() {
            let path = self.source.tree.path(node).to_string();
            let line = self.plan.scope(0).map_or(0, |scope| scope.line);
            self.refuse(path, line, "no patient beside the one that a message of this type speaks of", Fault::BadValue);
        }
    }

    /// Notes what was said of a resource, for folding it onto what is known.
    fn said(&mut self, frame: usize, of: Said, state: State) {
        if self.folds {
            self.fold.push(FoldState { frame, of, state });
        }
    }

    fn frame(&mut self, scope: ScopeId, parent: usize, base: Base) -> usize {
        let count = self.plan.scope(scope).map_or(0, |s| s.slots.len());
        let slots = self.slots.len();
        make_room(&mut self.slots, count);
        make_room(&mut self.frames, 1);
        self.slots.resize(slots + count, At::NOWHERE);
        self.frames.push(Frame::new(scope, parent, base, slots));
        self.frames.len() - 1
    }

    fn of(&self, frame: usize) -> Frame {
        self.frames.get(frame).copied().unwrap_or_else(|| Frame::new(0, 0, self.source.root(), 0))
    }

    fn above(&self, frame: usize, up: u8) -> usize {
        // The frame of the document is the first.
        if up == DOCUMENT { 0 } else { (0..up).fold(frame, |frame, _| self.of(frame).parent()) }
    }

    /// Runs a scope's statements for one occurrence.
    fn scope(&mut self, frame: usize) {
        let plan = self.plan;
        let of = self.of(frame);
        let Some(scope) = plan.scope(of.scope) else { return };
        let present = self.source.present(of.base().node);
        let version = self.source.version;
        for stmt in &scope.body {
            if !present.has(stmt)
                || (version != (0, 0, 0)
                    && !stmt.holds(version)
                    && !(stmt.holds_where_there(version) && self.is_early(of.base(), stmt)))
            {
                continue;
            }
            let state = self.statement(frame, &present, stmt);
            // What a line said of a resource is noted, for folding it onto what is known; those that found nothing are
            // all others.
            if let Some(of) = stmt.said
                && state > State::Empty
            {
                self.said(frame, of, state);
            }
        }
    }

    /// Whether what a statement takes is nothing that the message's own version has in its place.
    fn is_early(&self, base: Base, stmt: &Stmt) -> bool {
        let StmtKind::Scope(id) = stmt.kind else { return false };
        let paths = self.plan.scope(id).map(|scope| scope.native.as_slice()).unwrap_or_default();
        let mut places = paths.iter().flat_map(|path| self.source.select(base, path));
        places.all(|place| !self.source.expects(place.node))
    }

    fn statement(&mut self, frame: usize, present: &Present, stmt: &Stmt) -> State {
        let plan = self.plan;
        match stmt.kind {
            StmtKind::Rule(id) => {
                let leaf = stmt.leaf.map(|leaf| self.source.leaf(present, stmt.level, leaf));
                if let Some(None) = leaf {
                    return State::Empty;
                }
                let Some(rule) = plan.rule(id) else { return State::Silent };
                match leaf.flatten() {
                    Some(leaf) => self.leaf_rule(frame, rule, leaf),
                    None => self.rule(frame, id, rule),
                }
            }
            StmtKind::Whole(id) => match plan.whole(id) {
                Some(whole) => self.whole(frame, whole),
                None => State::Silent,
            },
            StmtKind::Scope(id) => match plan.scope(id) {
                Some(scope) => self.repeat(frame, id, scope),
                None => State::Silent,
            },
        }
    }

    /// Runs a scope for each of its native repetitions.
    fn repeat(&mut self, frame: usize, id: ScopeId, scope: &'r Scope) -> State {
        if scope.direction == Direction::Put {
            return State::Silent;
        }
        let base = self.of(frame).base();
        if !self.source.hold(base, &scope.when) {
            return State::Silent;
        }
        let mut state = State::Empty;
        for path in &scope.native {
            // The places of all scopes that are open stand in one list, those of this one at its end.
            let from = self.places.len();
            self.source.select_into(base, path, &mut self.places);
            if self.places.len() == from {
                continue;
            }
            if !scope.each && scope.repeats && self.places.len() > from + 1 && !Self::nowhere(scope) {
                let more = self.places.split_off(from + 1);
                self.more(scope, &more);
            }
            let mut null = false;
            let end = self.places.len();
            for (number, at) in (1_usize..).zip(from..end) {
                let Some(place) = self.places.get(at).copied() else { break };
                match self.says(place.node) {
                    State::Null => {
                        null = true;
                        self.claim_all(place.node, scope.line, Disposition::Mapped);
                        continue;
                    }
                    State::Valued => {}
                    _ => continue,
                }
                state = State::Valued;
                self.claim_conditions(base, &scope.when, scope.line);
                if self.referred(frame, scope) {
                    self.more(scope, &[place]);
                    continue;
                }
                let inner = self.frame(id, frame, place);
                self.guard(place, path, scope.line);
                self.ordinal_leaf(place, scope, number);
                self.implied(place, scope);
                let before = self.records.len();
                self.scope(inner);
                // What a part of the document says of others, it says as a resource of its own.
                let carried = self.records.iter().skip(before).any(|r| r.disposition() <= Disposition::Approximated);
                if carried && (is_resource(scope) || self.refers_to_own(inner, scope)) {
                    self.ensure(inner, 0);
                }
            }
            if state == State::Valued && scope.native.len() > 1 {
                self.repeated_elsewhere(base, scope, from);
            }
            self.places.truncate(from);
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

    /// Whether a repetition refers to a resource of its own that there is: then it is there for that.
    fn refers_to_own(&self, inner: usize, scope: &Scope) -> bool {
        let own = |link: &&Link| link.anchor.up == 0 && link.anchor.slot == 0 && link.to.up == 0;
        scope.links.iter().filter(own).any(|link| self.peek(inner, link.to.slot).is_some())
    }

    /// What stands in another alternative as it stands in the one that was read is said.
    fn repeated_elsewhere(&mut self, base: Base, scope: &Scope, from: usize) {
        let tree = self.source.tree;
        let read: Vec<&[u8]> = self.places.iter().skip(from).map(|place| tree.raw(place.node)).collect();
        for path in &scope.native {
            let there = self.source.select(base, path);
            let own = there.iter().any(|place| self.places.iter().skip(from).any(|one| one.node == place.node));
            if own || there.len() != read.len() || !there.iter().zip(&read).all(|(one, raw)| tree.raw(one.node) == *raw)
            {
                continue;
            }
            for place in there {
                self.copies.extend(tree.leaves(place.node));
                self.claim_all(place.node, scope.line, Disposition::Mapped);
            }
        }
    }

    /// A leaf that counts repetitions is carried by their order, where it counts right.
    fn ordinal_leaf(&mut self, place: Base, scope: &Scope, number: usize) {
        let Some((line, path)) = &scope.ordinal else { return };
        let Some(node) = self.source.first(place, path) else { return };
        // A scope that takes only some of the segments has them by what they are among all of their name.
        let right = self
            .source
            .tree
            .text(node)
            .and_then(|text| text.trim().parse::<usize>().ok())
            .is_some_and(|said| said == number || self.source.number_in_group(place.node) == Some(said));
        let root = self.draft.root();
        let disposition = if right { Disposition::Mapped } else { Disposition::Residue };
        self.record(node, root, *line, disposition);
    }

    /// What a part that is made holds beside the lines says nothing more than the part itself, where it is so.
    fn implied(&mut self, place: Base, scope: &Scope) {
        for written in &scope.written {
            if let Some(node) = self.source.first(place, &written.path)
                && self.source.value(node).text() == Some(&written.text)
            {
                let root = self.draft.root();
                self.record(node, root, scope.line, Disposition::Mapped);
            }
        }
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

    /// What becomes of repetitions beyond the one that FHIR takes.
    fn more(&mut self, scope: &Scope, places: &[Base]) {
        for place in places {
            match &scope.more {
                Some(Otherwise::Error) => {
                    let path = self.source.tree.path(place.node).to_string();
                    self.refuse(path, scope.line, "one repetition, which is all that FHIR takes here", Fault::BadValue);
                }
                _ => self.claim_all(place.node, scope.line, Disposition::Residue),
            }
        }
    }

    fn refuse(&mut self, path: String, line: u32, expected: impl Into<String>, fault: Fault) {
        let rule = Some(self.plan.line(line));
        self.refusals.push(Refusal { path, rule, expected: expected.into(), fault });
    }
}

/// Whether a scope stands for a resource.
fn is_resource(scope: &Scope) -> bool {
    matches!(scope.slots.first().map(|s| &s.at), Some(SlotAt::Entry(_)))
}
