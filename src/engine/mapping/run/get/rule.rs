//! One lens forward.

use std::borrow::Cow;
use std::cmp::Ordering;

use crate::fault::Fault;
use crate::fhir::datatypes::Primitive;
use crate::fhirpath::Temporal;
use crate::native::{Kind, NodeId, Value};

use super::super::super::lens::{Fidelity, Lens, Uncarried};
use super::super::super::plan::{NativePath, Rule, RuleId, SlotAt};
use super::super::super::syntax::Value as SyntaxValue;
use super::super::super::syntax::{Direction, Otherwise};
use super::super::super::trace::{Disposition, Record};
use super::super::State;
use super::Get;

/// The longest text that FHIR has (R4, 2.24.0.1: `string`).
const LONGEST: usize = 1 << 20;

impl<'r> Get<'r> {
    /// Runs one lens forward.
    pub(super) fn rule(&mut self, frame: usize, id: RuleId, rule: &'r Rule) -> State {
        if rule.direction == Direction::Put {
            return State::Silent;
        }
        let base = self.of(frame).base();
        if !self.source.hold(base, &rule.when) {
            return State::Silent;
        }
        if matches!(rule.lens, Lens::Joined) {
            return self.joined(frame, rule);
        }
        let mut null = false;
        for (used, tuple) in rule.native.iter().enumerate() {
            let mut nodes: [Option<NodeId>; 8] = [None; 8];
            let mut texts: [Option<Cow<'r, str>>; 8] = [const { None }; 8];
            let mut valued = false;
            for ((path, node), text) in tuple.iter().zip(nodes.iter_mut()).zip(texts.iter_mut()) {
                let Some(found) = self.source.first(base, path) else { continue };
                match self.source.input(&rule.lens, found) {
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
                        self.record(node, root, rule.line, Disposition::Mapped);
                    }
                }
                continue;
            }
            if !rule.when.is_empty() {
                self.claim_conditions(base, &rule.when, rule.line);
            }
            let texts = texts.get(..tuple.len()).unwrap_or_default();
            let nodes = nodes.get(..tuple.len()).unwrap_or_default();
            let state = self.carry(frame, rule, texts, nodes);
            if state == State::Valued && rule.native.len() > 1 {
                for other in rule.native.iter().skip(used + 1) {
                    self.said_again(frame, rule, other, texts);
                }
            }
            return state;
        }
        if rule.demanded {
            let place = rule.native.first().and_then(|tuple| tuple.first()).map(NativePath::place).unwrap_or_default();
            let path = if base.node == self.source.root().node {
                place
            } else {
                let within = self.source.tree.path(base.node);
                let below = place.strip_prefix('$').unwrap_or(&place);
                let between = if below.starts_with(['-', '.', '/']) { "" } else { "/" };
                format!("{within}{between}{below}")
            };
            self.refuse(path, rule.line, "a value", Fault::RequiredMissing);
            return State::Empty;
        }
        if null {
            return State::Null;
        }
        if rule.empty.as_ref().is_some_and(|empty| empty.is_of(self.code_of(base.node).as_deref())) {
            self.defaults.push((frame, id));
        }
        State::Empty
    }

    /// The code of a coded part: its first component, or all of it.
    fn code_of(&self, node: NodeId) -> Option<Cow<'r, str>> {
        let tree = self.source.tree;
        tree.text(tree.component(node, 1).or_else(|| tree.first_leaf(node)))
    }

    /// Runs a lens over the texts of all places that a path leads to.
    fn joined(&mut self, frame: usize, rule: &'r Rule) -> State {
        let Some(path) = rule.native.first().and_then(|tuple| tuple.first()) else { return State::Silent };
        let base = self.of(frame).base();
        let nodes: Vec<NodeId> = self.source.select(base, path).into_iter().map(|one| one.node).collect();
        let texts: Vec<Cow<'r, str>> =
            nodes.iter().map(|node| self.source.input(&rule.lens, *node).into_text().unwrap_or_default()).collect();
        let (Some(first), true) = (nodes.first(), texts.iter().any(|text| !text.trim().is_empty())) else {
            return State::Empty;
        };
        let state = self.carry(frame, rule, &[Some(texts.join("\n").into())], &[Some(*first)]);
        if state == State::Valued
            && let Some(at) = self.peek(frame, rule.slot)
        {
            for node in nodes.into_iter().skip(1).flat_map(|node| self.source.repetitions(node)) {
                self.record(node, at, rule.line, Disposition::Mapped);
            }
        }
        state
    }

    /// What another alternative of a line says again in the same words is said.
    fn said_again(&mut self, frame: usize, rule: &Rule, other: &[NativePath], texts: &[Option<Cow<'r, str>>]) {
        let base = self.of(frame).base();
        let found: Vec<Option<NodeId>> = other.iter().map(|path| self.source.first(base, path)).collect();
        let text = |node: Option<NodeId>| node.and_then(|node| self.source.input(&rule.lens, node).into_text());
        if found.len() != texts.len() || !found.iter().zip(texts).all(|(node, said)| text(*node) == *said) {
            return;
        }
        let Some(at) = self.peek(frame, rule.slot) else { return };
        for node in found.into_iter().flatten() {
            self.copies.extend(self.source.tree.leaves(node));
            self.record(node, at, rule.line, Disposition::Mapped);
        }
    }

    /// Runs a lens over one leaf that is there.
    pub(super) fn leaf_rule(&mut self, frame: usize, rule: &'r Rule, leaf: NodeId) -> State {
        let value = self.source.tree.value(leaf);
        if matches!(value, Value::Empty | Value::Absent) {
            return State::Empty;
        }
        if !rule.when.is_empty() {
            let base = self.of(frame).base();
            if !self.source.hold(base, &rule.when) {
                return State::Silent;
            }
            if let Value::Text(_) = value {
                self.claim_conditions(base, &rule.when, rule.line);
            }
        }
        match value {
            Value::Text(text) => self.carry(frame, rule, &[Some(text)], &[Some(leaf)]),
            _ => {
                let root = self.draft.root();
                self.record(leaf, root, rule.line, Disposition::Mapped);
                State::Null
            }
        }
    }

    pub(super) fn carry(
        &mut self,
        frame: usize,
        rule: &'r Rule,
        texts: &[Option<Cow<'r, str>>],
        nodes: &[Option<NodeId>],
    ) -> State {
        let form = self.slot_of(frame, rule.slot).map_or(Primitive::Any, |slot| slot.form);
        let got = rule.lens.get(texts, self.cx).and_then(|got| match got {
            Some(got) if !got.texts().all(|t| lexical(form, t)) => {
                let slot_type = self.slot_type(frame, rule.slot);
                Err(Uncarried { expected: format!("a value that is a FHIR {slot_type}").into(), code: false })
            }
            got => Ok(got),
        });
        match got {
            Ok(Some(got)) if form == Primitive::Text && got.texts().any(|text| text.len() > LONGEST) => {
                let why = Uncarried { expected: "a text of at most 1 MiB".into(), code: false };
                self.uncarried(frame, rule, nodes, &why)
            }
            Ok(Some(got)) if got.texts().any(|text| !self.in_time(frame, rule.slot, text)) => {
                let why = Uncarried { expected: "a period that does not end before it starts".into(), code: false };
                self.uncarried(frame, rule, nodes, &why)
            }
            Ok(Some(got)) => {
                let mut at = self.draft.root();
                for text in got.texts() {
                    at = self.ensure(frame, rule.slot);
                    self.draft.set(at, text);
                    // Each further text is a repetition of its own.
                    if !got.more.is_empty() {
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
                        self.record(*node, root, rule.line, Disposition::Residue);
                        continue;
                    }
                    self.record(*node, at, rule.line, disposition);
                    if self.draft.symbol(at) == self.names.display {
                        self.displays.push((frame, rule.slot, self.records.len() - 1));
                    }
                    if matches!(rule.lens, Lens::Lines) {
                        let all = self.source.repetitions(*node);
                        let leaves = all.into_iter().flat_map(|one| self.source.tree.leaves(one)).skip(1);
                        self.records.extend(leaves.map(|leaf| Record::new(leaf, at, rule.line, disposition)));
                    }
                    if matches!(rule.lens, Lens::Narrative) {
                        let within =
                            self.source.tree.children(*node).filter(|c| self.source.tree.kind(*c) != Kind::Attribute);
                        let leaves = within.flat_map(|child| self.source.tree.leaves(child));
                        self.records.extend(leaves.map(|leaf| Record::new(leaf, at, rule.line, disposition)));
                    }
                    if let (Some(note), Some(leaf)) = (got.note, self.leaf(*node)) {
                        self.reasons.push((leaf, note.to_owned()));
                    }
                }
                for (slot, lens) in &rule.also {
                    if let Ok(Some(got)) = lens.get(texts, self.cx) {
                        let at = self.ensure(frame, *slot);
                        self.draft.set(at, &got.text);
                        if let Some(node) = nodes.iter().flatten().next() {
                            self.record(*node, at, rule.line, Disposition::Mapped);
                        }
                    }
                }
                State::Valued
            }
            Ok(None) => State::Empty,
            Err(uncarried) => self.uncarried(frame, rule, nodes, &uncarried),
        }
    }

    /// Whether an end of a period may stand beside the other end (per-1): nobody knows which of two that contradict each
    /// other is right, and the first that was said stays.
    fn in_time(&self, frame: usize, slot: u16, text: &str) -> bool {
        let Some(SlotAt::Child { parent, logical, .. }) = self.slot_of(frame, slot).map(|slot| &slot.at) else {
            return true;
        };
        let other = match *logical {
            symbol if symbol == self.names.start => self.names.end,
            symbol if symbol == self.names.end => self.names.start,
            _ => return true,
        };
        let above = self.above(frame, parent.up);
        if self.slot_of(above, parent.slot).is_none_or(|of| of.type_id != self.names.period) {
            return true;
        }
        let there = self.peek(above, parent.slot).and_then(|period| self.draft.existing(period, other));
        let Some(there) = there.and_then(|at| self.draft.text(at)) else { return true };
        let (start, end) = if other == self.names.start { (there, text) } else { (text, there) };
        let moments = Temporal::date_time(start).zip(Temporal::date_time(end));
        moments.and_then(|(start, end)| start.compare(end)).is_some_and(Ordering::is_le)
    }

    fn is_blank(&self, node: NodeId) -> bool {
        self.source.tree.text(node).is_none_or(|text| text.trim().is_empty())
    }

    pub(super) fn uncarried(&mut self, frame: usize, rule: &Rule, nodes: &[Option<NodeId>], why: &Uncarried) -> State {
        let root = self.draft.root();
        let disposition = match &rule.otherwise {
            Some(Otherwise::Residue) => Disposition::Residue,
            Some(Otherwise::Value(value)) => {
                let text = match value {
                    SyntaxValue::Text(text) | SyntaxValue::Coding(_, text) => text.clone(),
                    SyntaxValue::Context(_) => String::new(),
                };
                let at = self.ensure(frame, rule.slot);
                self.draft.set(at, &text);
                for node in nodes.iter().flatten() {
                    self.record(*node, at, rule.line, Disposition::Approximated);
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
            // What is padded with blanks says nothing.
            None if nodes.iter().flatten().all(|node| self.is_blank(*node)) => Disposition::Residue,
            None => Disposition::Error,
        };
        for node in nodes.iter().flatten() {
            self.record(*node, root, rule.line, disposition);
            if let Some(leaf) = self.leaf(*node) {
                self.reasons.push((leaf, format!("expected {}", why.expected)));
            }
        }
        State::Empty
    }
}

fn lexical(form: Primitive, text: &str) -> bool {
    match form {
        // The lens has seen to the rest.
        Primitive::Text | Primitive::Code => !text.is_empty(),
        form => form.has(text),
    }
}
