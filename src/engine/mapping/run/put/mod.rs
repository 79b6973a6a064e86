//! Backward: an edited Bundle is written onto the native document that it came from.
//!
//! The plan is walked as forward, with the Bundle that the document gives now beside the one that is wanted. A line
//! whose FHIR value is the same in both writes nothing. Repetitions are aligned first, so that what is new, gone or
//! changed touches its own native repetition.

mod beside;
mod entries;
mod fhir;
mod given;
mod native;
pub(crate) mod order;
mod rival;
mod rule;
mod scope;
mod sequence;
mod whole;

use std::rc::Rc;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::fault::Fault;
use crate::fhir::document::{Document, Node, NodeId as FhirId};
use crate::native::xml::XmlSchema;
use crate::native::{Edit, Name, NodeId, Place, SegmentName, Step};

use super::super::context::Context;
use super::super::plan::{
    Condition, Const, DOCUMENT, NativePath, Plan, Rule, Scope, ScopeId, SlotAt, Stmt, StmtKind, says,
};
use super::super::syntax::Direction;
use super::super::trace::{Disposition, Lost};
use super::Refusal;
use super::fold::choose_first;
use super::get::Run;
use super::source::{Base, Source};
pub(crate) use fhir::resolve;
use sequence::Sequence;

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
    /// What stands between the tags of an element.
    Markup(String),
    Clear,
    Null,
}

/// What a backward run works on.
#[derive(Clone, Copy)]
pub(crate) struct Given<'r> {
    pub(crate) plan: &'r Plan,
    pub(crate) source: &'r Source<'r>,
    pub(crate) cx: &'r Context,
    /// The schema of an XML document.
    pub(crate) schema: Option<&'r XmlSchema>,
    /// What must be in a JSON document, be it empty.
    pub(crate) demanded: &'r dyn Fn(&[Step]) -> bool,
    /// The trigger events of the map.
    pub(crate) events: &'r [String],
    /// The forward run over the document.
    pub(crate) run: &'r Run,
    /// The Bundle that it gave.
    pub(crate) old: &'r Document,
    /// The Bundle that is wanted.
    pub(crate) new: &'r Document,
}

/// How a document comes to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Onto the document, where something changed.
    Onto,
    /// Onto it, every line.
    Forced,
    /// As a new one: what the map says by itself is written too.
    New,
}

/// What a backward run gives.
pub(crate) struct Written {
    pub(crate) bytes: Vec<u8>,
    pub(crate) lost: Vec<Lost>,
    pub(crate) refusals: Vec<Refusal>,
    /// Elements whose value was written as a stand-in, or follows another: they need not come back as they are.
    pub(crate) exempt: FxHashSet<FhirId>,
    /// Repetitions that are wanted in another order.
    pub(crate) orders: Vec<order::Order>,
    /// Whether something new is wanted before what was there.
    pub(crate) inserted: bool,
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
    /// Whether the document is new: then what the map says by itself is written too.
    creating: bool,
    /// The trigger events of the map.
    events: &'r [String],
    edit: Edit<'r>,
    frames: Vec<Frame<'r>>,
    /// Forward frames by the frame and scope they stand in.
    inner: FxHashMap<(usize, ScopeId), Vec<usize>>,
    taken: FxHashSet<FhirId>,
    /// What was taken of those who act, by where it is told: the frame of what tells of them, and the holder of the list.
    told: FxHashSet<(usize, FhirId, FhirId)>,
    /// Lines that have left their place to another, by the frame they stand in.
    given_way: FxHashSet<(usize, ScopeId)>,
    changes: Vec<(Place, Vec<Step>, Change)>,
    /// Where in that list the change of a place is.
    change_at: FxHashMap<(Place, Vec<Step>), usize>,
    /// The nodes that change, and these with all that they stand in.
    changed: FxHashSet<NodeId>,
    around_changed: FxHashSet<NodeId>,
    /// The fullUrls of the forward run by frame and slot, and the other way round.
    entry_at: FxHashMap<(usize, u16), &'r str>,
    known: FxHashMap<&'r str, (usize, u16)>,
    /// The fullUrls of a scope's entries that the wanted Bundle does not have.
    gone: FxHashMap<(ScopeId, u16), Vec<&'r str>>,
    /// The resources of a type in the wanted Bundle.
    of_type: FxHashMap<&'r str, Vec<Node<'r>>>,
    /// The resources that other lines than a scope's own lead to.
    led_to: FxHashMap<usize, Rc<FxHashSet<FhirId>>>,
    /// By the holder of a list and the scope: the resources that the list leads to.
    listed: FxHashMap<(FhirId, usize), Vec<Node<'r>>>,
    /// By the entry and link of a scope: the resources of the wanted Bundle that refer to one by it.
    referring: FxHashMap<(usize, u16, u16), FxHashMap<FhirId, Vec<Node<'r>>>>,
    /// How many repetitions a scope has in the document.
    counted: FxHashMap<(Place, usize, String), usize>,
    /// What this run makes stands in.
    within: FxHashMap<Place, Place>,
    /// Elements that this run makes since none was as a line selects it, by where they stand and the selection.
    elements: FxHashMap<(Place, Vec<Step>, String), Place>,
    made: FxHashMap<(Place, usize, SegmentName), Place>,
    /// The first repetition of an element that this run makes in a place.
    grown: FxHashMap<(Place, Vec<Step>, Name), Place>,
    /// Groups that this run opens; they are numbered on from those that are there.
    opened: Vec<native::Opened>,
    /// The segments as they stand now.
    sequence: Sequence,
    numbered: FxHashMap<(Place, usize, String), usize>,
    /// What is written into segments that come, once they are there.
    late: Vec<(Spot, NativePath, String)>,
    /// Guards of parts that are being made, of which a line inside may choose the value.
    open_guards: Vec<(Spot, Vec<Condition>, usize)>,
    /// Old and new elements of lines that fill a list by place.
    lists: FxHashMap<(usize, u16), (Vec<Node<'r>>, Vec<Node<'r>>)>,
    lost: Vec<Lost>,
    refusals: Vec<Refusal>,
    exempt: FxHashSet<FhirId>,
    orders: Vec<order::Order>,
    inserted: bool,
    /// JSON values that are written without quotes.
    bare: FxHashSet<(Place, Vec<Step>)>,
}

impl<'r> Put<'r> {
    pub(crate) fn new(given: Given<'r>, manner: Manner) -> Self {
        let Given { plan, source, cx, schema, demanded, events, run, old, new } = given;
        let mut inner: FxHashMap<(usize, ScopeId), Vec<usize>> = FxHashMap::default();
        for (index, frame) in run.frames.iter().enumerate().skip(1) {
            inner.entry((frame.parent(), frame.scope)).or_default().push(index);
        }
        let mut gone: FxHashMap<(ScopeId, u16), Vec<&str>> = FxHashMap::default();
        let made = || run.entries.iter().map(|entry| entry.full_url.as_str()).zip(&run.entry_places);
        for (url, place) in made().filter(|(url, _)| new.bundle().by_url(url).is_none()) {
            let scope = run.frames.get(place.frame).map_or(0, |frame| frame.scope);
            gone.entry((scope, place.slot)).or_default().push(url);
        }
        let mut of_type: FxHashMap<&str, Vec<Node<'r>>> = FxHashMap::default();
        let entries = new.root().children().filter(|c| c.name() == "entry");
        for resource in entries.filter_map(|e| e.first("resource")) {
            of_type.entry(resource.type_name()).or_default().push(resource);
        }
        Self {
            plan,
            source,
            cx,
            old,
            new,
            run,
            forced: manner == Manner::Forced,
            creating: manner == Manner::New,
            events,
            edit: match schema {
                Some(schema) => Edit::new(source.tree).by_schema(schema).whole(manner == Manner::New),
                None => Edit::new(source.tree).but_demanded(demanded),
            },
            frames: Vec::new(),
            inner,
            taken: FxHashSet::default(),
            told: FxHashSet::default(),
            given_way: FxHashSet::default(),
            changes: Vec::new(),
            change_at: FxHashMap::default(),
            changed: FxHashSet::default(),
            around_changed: FxHashSet::default(),
            entry_at: made().rev().map(|(url, at)| ((at.frame, at.slot), url)).collect(),
            known: made().map(|(url, at)| (url, (at.frame, at.slot))).collect(),
            gone,
            of_type,
            led_to: FxHashMap::default(),
            listed: FxHashMap::default(),
            referring: FxHashMap::default(),
            counted: FxHashMap::default(),
            made: FxHashMap::default(),
            elements: FxHashMap::default(),
            grown: FxHashMap::default(),
            within: FxHashMap::default(),
            opened: Vec::new(),
            sequence: Sequence::default(),
            numbered: FxHashMap::default(),
            late: Vec::new(),
            open_guards: Vec::new(),
            lists: FxHashMap::default(),
            lost: Vec::new(),
            refusals: Vec::new(),
            exempt: FxHashSet::default(),
            orders: Vec::new(),
            inserted: false,
            bare: FxHashSet::default(),
        }
    }

    pub(crate) fn run(mut self) -> Written {
        let root = spot_of(self.source.root());
        if self.creating
            && let Some(scope) = self.plan.scope(0)
            && let Err(error) = self.written(scope, &root)
        {
            self.refuse_edit(&error);
        }
        let frame = self.frame(0, 0, root, Some(0));
        self.body(frame);
        self.envelope();
        if self.creating {
            self.event();
            // The one of its kind is the first.
            let root = spot_of(self.source.root());
            if let Some((_, path)) = self.plan.scope(0).and_then(|scope| scope.ordinal.as_ref()) {
                self.late.push((root, path.clone(), "1".to_owned()));
            }
        }
        if let Err(error) = self.beside() {
            self.refuse_edit(&error);
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
        Written {
            bytes: finished.bytes,
            lost: self.lost,
            refusals: self.refusals,
            exempt: self.exempt,
            orders: self.orders,
            inserted: self.inserted,
        }
    }

    /// The trigger event of a new message: the first by which the map says what the resources say. One that the caller names
    /// is the caller's to answer for; what nobody says chooses none, since it would say it.
    fn event(&mut self) {
        let own = self.source.event.clone().unwrap_or_default();
        if self.cx.envelope.event == own {
            return;
        }
        let mut wanted: Vec<(&'r Scope, u16, Option<&'r str>)> = Vec::new();
        for frame in 0..self.frames.len() {
            let Some(scope) = self.scope_of(frame) else { continue };
            for one in scope.consts.iter().filter(|one| !one.events.is_empty()) {
                if wanted.iter().any(|(known, slot, _)| std::ptr::eq(*known, scope) && *slot == one.slot) {
                    continue;
                }
                let text = self.node(Side::New, frame, one.slot).and_then(Node::text);
                let above = self.above(frame, one.anchor.up);
                if text.is_none()
                    && let Some(holder) = self.node(Side::New, above, one.anchor.slot)
                {
                    self.refusals.push(Refusal {
                        path: holder.path().to_string(),
                        rule: Some(self.plan.line(one.line)),
                        expected: "what tells the event of the message, or an event that is asked for".to_owned(),
                        fault: Fault::RequiredMissing,
                    });
                    return;
                }
                wanted.push((scope, one.slot, text));
            }
        }
        let tells = |event: &str| {
            wanted.iter().all(|(scope, slot, text)| {
                let of = |c: &&Const| c.slot == *slot && (c.events.is_empty() || c.events.iter().any(|e| e == event));
                match (scope.consts.iter().rev().find(of), text) {
                    (Some(one), Some(text)) => says(&one.value, text),
                    (_, None) => true,
                    (None, Some(_)) => false,
                }
            })
        };
        if tells(&own) {
            return;
        }
        let found = self.events.iter().find(|event| tells(event)).cloned();
        if let (Some(event), Some(header)) = (found, self.source.segment_at(0)) {
            let steps = vec![Step::Field(9), Step::Component(2)];
            self.changes.push((Place::Node(header), steps, Change::Set(event)));
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
        // The frame of the document is the first.
        if up == DOCUMENT { 0 } else { (0..up).fold(frame, |frame, _| self.frames.get(frame).map_or(0, |f| f.parent)) }
    }

    fn assign(&mut self, frame: usize, side: Side, slot: u16, node: Option<Node<'r>>) {
        if let Some(frame) = self.frames.get_mut(frame) {
            let known = if side == Side::New { &mut frame.new } else { &mut frame.old };
            if let Some(known) = known.get_mut(usize::from(slot)) {
                *known = Known::Is(node);
            }
        }
    }

    fn body(&mut self, frame: usize) {
        let Some(scope) = self.scope_of(frame) else { return };
        let before = self.changes.len();
        for stmt in &scope.body {
            let version = self.source.version;
            if version != (0, 0, 0)
                && !stmt.holds(version)
                && !(stmt.holds_where_there(version) && self.had(frame, stmt))
            {
                continue;
            }
            self.statement(frame, stmt);
        }
        self.bounds(frame, scope, before);
    }

    /// Whether the forward run found something for a statement in this place.
    fn had(&self, frame: usize, stmt: &Stmt) -> bool {
        let was = self.frames.get(frame).and_then(|f| f.was);
        matches!((was, stmt.kind), (Some(was), StmtKind::Scope(id)) if self.inner.contains_key(&(was, id)))
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
            StmtKind::Whole(id) => plan.whole(id).map_or(Ok(()), |whole| self.whole(frame, whole)),
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
        let node = self.node(Side::New, frame, rule.slot);
        // What a line says under a condition may be otherwise once something changes, where nobody changes it himself.
        let text = |node: Option<Node<'r>>| node.and_then(Node::text);
        let follows = !rule.when.is_empty()
            && !self.changes.is_empty()
            && text(node) == text(self.node(Side::Old, frame, rule.slot));
        if (owner_changed || follows)
            && let Some(node) = node
        {
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
                parent.and_then(|p| choose_first(p, written.symbol, *logical, select))
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
        let mut above = std::iter::successors(Some(node), |node| self.source.tree.parent(*node));
        self.around_changed.contains(&node) || above.any(|node| self.changed.contains(&node))
    }
}

fn spot_of(base: Base) -> Spot {
    Spot { at: Place::Node(base.node), steps: Vec::new(), node: Some(base.node), group: base.group }
}
