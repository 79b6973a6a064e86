//! One lens backward, and the leaves that go with the value it changes.

use std::borrow::Cow;

use crate::fault::Fault;
use crate::fhir::document::{Node, NodeId as FhirId};
use crate::native::{EditError, Format, Kind, NodeId, Place, Step, Value};

use super::super::super::context::Loss;
use super::super::super::lens::{Fidelity, Lens, Out, Put as WrittenLens, Uncarried, same_moment};
use super::super::super::plan::{
    Condition, Constant, Mark, NativeName, NativePath, NativeSelect, Rule, Scope, SlotAt, StmtKind, says,
};
use super::super::super::syntax::{Direction, Test};
use super::super::super::trace::{Disposition, Lost};
use super::super::Refusal;
use super::super::fold::node_says;
use super::{Change, Put, Side, Spot};

impl<'r> Put<'r> {
    pub(super) fn rule(&mut self, frame: usize, rule: &'r Rule) -> Result<(), EditError> {
        let table = self.by_table(frame, rule);
        let told = self.told_elsewhere(frame, rule);
        let is_news =
            table == Some(false) || told.is_some_and(|(_, is_new)| is_new) || self.is_told_here(frame, rule.direction);
        // Most lines speak of one element, which is not there, or says what it said.
        if !self.forced && !is_news && self.is_one(frame, rule.slot) {
            let new = self.value(Side::New, frame, rule).and_then(Node::text);
            if new == self.value(Side::Old, frame, rule).and_then(Node::text) {
                return Ok(());
            }
        }
        let new = self.values(Side::New, frame, rule);
        let old = self.values(Side::Old, frame, rule);
        let texts = |nodes: &[Node<'r>]| -> Vec<&'r str> { nodes.iter().filter_map(|n| n.text()).collect() };
        let (new_texts, old_texts) = (texts(&new), texts(&old));
        if !self.forced && !is_news && same(&new_texts, &old_texts) {
            return Ok(());
        }
        if new_texts.is_empty() && old_texts.is_empty() {
            return Ok(());
        }
        let Some(spot) = self.frames.get(frame).map(|f| f.spot.clone()) else { return Ok(()) };
        let applies = self.base(&spot).is_none_or(|base| self.source.hold(base, &rule.when));
        // A value that another line gave is that line's to change.
        if !applies && !old_texts.is_empty() {
            return Ok(());
        }
        if !(applies && self.base(&spot).is_some()) && self.spoken_for(&spot, &rule.when)? {
            return Ok(());
        }
        if !applies && self.fits_another(frame, rule, &spot)? {
            return Ok(());
        }
        let used = self.alternative(&spot, rule, &new_texts);
        let Some(tuple) = rule.native.get(used) else { return Ok(()) };
        let held: Vec<Option<Cow<'r, str>>> = tuple
            .iter()
            .map(|path| self.first(&spot, path).and_then(|node| self.source.input(&rule.lens, node).into_text()))
            .collect();
        if new_texts.is_empty() {
            if applies {
                for (path, text) in tuple.iter().zip(&held).take(rule.lens.owned()) {
                    if text.is_some() {
                        let at = self.locate(&spot, path)?;
                        let change = self.absence();
                        self.change(at, change);
                        self.no_further_lines(rule, &spot, path)?;
                    }
                }
                for node in self.again(&spot, rule, used, &held).into_iter().flatten().flatten() {
                    let change = self.absence();
                    self.change(spot_at(node, &spot), change);
                }
                self.free_copies(frame, rule);
            }
            return Ok(());
        }
        // What the map says by itself where native says nothing is not written.
        if held.iter().all(Option::is_none)
            && (table == Some(true) || (!self.creating && self.said_without(frame, rule, &new_texts)))
        {
            return Ok(());
        }
        let put = match rule.lens.put(&new_texts, &held, self.cx) {
            Ok(put) => put,
            // What stands there without the line, or where native says nothing, need not be said by it.
            Err(_) if self.forced && same(&new_texts, &old_texts) => return Ok(()),
            Err(_) if held.iter().all(Option::is_none) && self.said_without(frame, rule, &new_texts) => return Ok(()),
            Err(why) => {
                let node = new.first().copied();
                self.uncarried(node, rule, &why);
                return Ok(());
            }
        };
        let mut put = put;
        match told {
            Some((code, _)) => put = WrittenLens { outs: vec![Out::Set(code.to_owned())], fidelity: Fidelity::Exact },
            // Better nothing than a stand-in, where nothing is read as what is wanted.
            None if put.fidelity == Fidelity::Approximated && self.empty_says(rule, &new_texts) => {
                put = WrittenLens { outs: put.outs.iter().map(|_| Out::Clear).collect(), fidelity: Fidelity::Exact };
            }
            None => {}
        }
        self.make_true(&spot, &rule.when)?;
        let mut wrote = false;
        for again in self.again(&spot, rule, used, &held) {
            for (node, out) in again.into_iter().zip(&put.outs) {
                match (node, out) {
                    (Some(node), Out::Set(text)) => self.change(spot_at(node, &spot), Change::Set(text.clone())),
                    (Some(node), Out::Clear) => self.change(spot_at(node, &spot), Change::Clear),
                    _ => {}
                }
            }
        }
        for (path, out) in tuple.iter().zip(put.outs) {
            match out {
                Out::Keep => {}
                Out::Set(text) => {
                    let at = self.locate(&spot, path)?;
                    wrote = true;
                    if rule.describes_composite || matches!(rule.lens, Lens::Lines) {
                        self.undescribe(&at);
                    }
                    if matches!(rule.lens, Lens::Lines)
                        && let Some(node) = at.node
                    {
                        self.lines(&spot, path, node, &text)?;
                        continue;
                    }
                    let markup = matches!(rule.lens, Lens::Narrative);
                    if rule.bare {
                        self.bare.insert((at.at, at.steps.clone()));
                    }
                    self.change(at, if markup { Change::Markup(text) } else { Change::Set(text) });
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
            self.free_copies(frame, rule);
        }
        Ok(())
    }

    /// Whether a line would make another of what stands there, and another line for its element takes that as it is.
    fn fits_another(&mut self, frame: usize, rule: &'r Rule, spot: &Spot) -> Result<bool, EditError> {
        if !self.overturns(spot, &rule.when)? {
            return Ok(false);
        }
        let lines = self.scope_of(frame).map(|scope| scope.body.as_slice()).unwrap_or_default();
        for stmt in lines {
            if let StmtKind::Rule(other) = &stmt.kind
                && let Some(other) = self.plan.rule(*other)
                && other.slot == rule.slot
                && other.direction != Direction::Get
                && !self.overturns(spot, &other.when)?
                && self.may(Side::New, frame, other)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether something that stands there, or is written by now, is other than conditions want.
    fn overturns(&mut self, spot: &Spot, conditions: &[Condition]) -> Result<bool, EditError> {
        for condition in conditions {
            let (values, wanted) = match &condition.test {
                Test::In(values) => (values, true),
                Test::NotIn(values) => (values, false),
                _ => continue,
            };
            let Some(node) = self.first(spot, &condition.path) else { continue };
            let at = self.locate(spot, &condition.path)?;
            let says = match self.change_of(at.at, &at.steps) {
                Some(Change::Set(text)) => Some(values.contains(text)),
                Some(_) => None,
                None => self.source.tree.text(node).map(|text| values.iter().any(|value| *value == text)),
            };
            if says.is_some_and(|says| says != wanted) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a line that is only written stands in a part that comes: it tells there what the Bundle says elsewhere.
    pub(super) fn is_told_here(&self, frame: usize, direction: Direction) -> bool {
        direction == Direction::Put && self.frames.get(frame).is_some_and(|frame| frame.was.is_none())
    }

    /// The leaves of other alternatives that say the same as those that were read: they follow them.
    fn again(&self, spot: &Spot, rule: &Rule, used: usize, held: &[Option<Cow<'r, str>>]) -> Vec<Vec<Option<NodeId>>> {
        if rule.native.len() < 2 || held.iter().all(Option::is_none) {
            return Vec::new();
        }
        let others = rule.native.iter().enumerate().filter(|(at, tuple)| *at != used && tuple.len() == held.len());
        let nodes = others.map(|(_, tuple)| tuple.iter().map(|path| self.first(spot, path)).collect::<Vec<_>>());
        let text = |node: Option<NodeId>| node.and_then(|node| self.source.input(&rule.lens, node).into_text());
        nodes
            .filter(|all| all.iter().zip(held).all(|(node, held)| text(*node) == *held))
            .filter(|all| {
                all.iter().flatten().all(|node| self.source.tree.leaves(*node).all(|leaf| self.is_copy(leaf)))
            })
            .collect()
    }

    /// Whether a leaf is carried for nothing else than that it says again what another alternative of its line says.
    fn is_copy(&self, leaf: u32) -> bool {
        self.run.copies.contains(&leaf) && self.run.trace.often(leaf) < 2
    }

    /// A text of several repetitions is written a line each.
    fn lines(&mut self, spot: &Spot, path: &NativePath, first: NodeId, text: &str) -> Result<(), EditError> {
        let there = self.source.repetitions(first);
        if there.len() < 2 {
            self.change(spot_at(first, spot), Change::Set(text.to_owned()));
            return Ok(());
        }
        let mut lines = text.split('\n');
        for one in there {
            let at = spot_at(one, spot);
            match lines.next() {
                Some(line) => {
                    self.undescribe(&at);
                    let change = if line.is_empty() { Change::Clear } else { Change::Set(line.to_owned()) };
                    self.change(at, change);
                }
                None => self.edit.remove(one)?,
            }
        }
        let Some((NativeName::Field(number), before)) = path.steps.split_last().map(|(last, b)| (&last.name, b)) else {
            return Ok(());
        };
        let holder = NativePath { from_document: path.from_document, steps: before.to_vec() };
        for line in lines {
            let holder = self.locate(spot, &holder)?;
            let at = self.grow_field(&holder, *number)?;
            self.change(at, Change::Set(line.to_owned()));
        }
        Ok(())
    }

    /// The further lines of a text that goes.
    fn no_further_lines(&mut self, rule: &Rule, spot: &Spot, path: &NativePath) -> Result<(), EditError> {
        if !matches!(rule.lens, Lens::Lines) {
            return Ok(());
        }
        let Some(first) = self.first(spot, path) else { return Ok(()) };
        self.undescribe(&spot_at(first, spot));
        for one in self.source.repetitions(first).into_iter().skip(1) {
            self.edit.remove(one)?;
        }
        Ok(())
    }

    /// Whether the map says a value by itself where native has none.
    fn said_without(&self, frame: usize, rule: &Rule, texts: &[&str]) -> bool {
        let [only] = texts else { return false };
        let defaults = self.scope_of(frame).map(|s| s.consts.as_slice()).unwrap_or_default();
        let by_default = defaults.iter().any(|c| c.default && c.slot == rule.slot && says(&c.value, only));
        by_default || self.empty_says(rule, texts)
    }

    /// Whether a line reads what is wanted where native has nothing.
    fn empty_says(&self, rule: &Rule, texts: &[&str]) -> bool {
        let [only] = texts else { return false };
        let by_code = matches!(rule.empty, Some(Constant::Table { .. }));
        !by_code && rule.empty.as_ref().is_some_and(|constant| says(constant, only))
    }

    /// Of a line that gives the system of a field's table: whether the wanted system is told by the code alone. `None` where
    /// another system is wanted, or native names one.
    fn by_table(&mut self, frame: usize, rule: &Rule) -> Option<bool> {
        let empty = rule.empty.as_ref().filter(|empty| matches!(empty, Constant::Table { .. }))?;
        let spot = self.frames.get(frame).map(|f| f.spot.clone())?;
        let path = rule.native.first().and_then(|tuple| tuple.first())?;
        if self.first(&spot, path).is_some_and(|node| self.source.tree.text(node).is_some()) {
            return None;
        }
        let wanted = self.value(Side::New, frame, rule)?;
        if !wanted.text().is_some_and(|system| says(empty, system)) {
            return None;
        }
        Some(empty.is_of(wanted.parent().and_then(|coding| coding.text_at("code"))))
    }

    /// The native code itself, where the wanted Bundle has it in an element beside the one that it becomes, and it becomes that;
    /// and whether it is another than there was.
    fn told_elsewhere(&mut self, frame: usize, rule: &Rule) -> Option<(&'r str, bool)> {
        if !matches!(rule.lens, Lens::Coded(_)) {
            return None;
        }
        for (slot, _) in rule.also.iter().filter(|(_, lens)| matches!(lens, Lens::Code)) {
            let Some(code) = self.node(Side::New, frame, *slot).and_then(Node::text) else { continue };
            let wanted = self.value(Side::New, frame, rule).and_then(Node::text)?;
            let native = [Some(Cow::Borrowed(code))];
            if matches!(rule.lens.get(&native, self.cx), Ok(Some(got)) if got.texts().eq([wanted])) {
                let was = self.node(Side::Old, frame, *slot).and_then(Node::text);
                return Some((code, was != Some(code)));
            }
        }
        None
    }

    /// Copies of a leaf that changes follow it, whatever the wanted Bundle has there.
    pub(super) fn free_copies(&mut self, frame: usize, rule: &Rule) {
        for (slot, _) in &rule.also {
            if let Some(node) = self.node(Side::New, frame, *slot) {
                self.exempt.insert(node.id());
            }
        }
    }

    /// How the format says that something is no more.
    pub(super) fn absence(&self) -> Change {
        match self.source.tree.format() {
            Format::Hl7V2 => Change::Null,
            _ => Change::Clear,
        }
    }

    pub(super) fn values(&mut self, side: Side, frame: usize, rule: &Rule) -> Vec<Node<'r>> {
        if self.may(side, frame, rule) { self.nodes(side, frame, rule.slot) } else { Vec::new() }
    }

    /// [`values`](Self::values) of a line that speaks of one element.
    fn value(&mut self, side: Side, frame: usize, rule: &Rule) -> Option<Node<'r>> {
        if self.may(side, frame, rule) { self.node(side, frame, rule.slot) } else { None }
    }

    /// Whether what must hold of the scope's place holds.
    fn may(&mut self, side: Side, frame: usize, rule: &Rule) -> bool {
        self.holds(side, frame, &rule.only)
    }

    /// Whether a scope's place says all this.
    pub(super) fn holds(&mut self, side: Side, frame: usize, only: &[Mark]) -> bool {
        only.is_empty() || self.node(side, frame, 0).is_some_and(|own| only.iter().all(|mark| node_says(own, mark)))
    }

    /// The alternative that the document used, else one that another line has written the same to, else the first.
    pub(super) fn alternative(&mut self, spot: &Spot, rule: &Rule, texts: &[&str]) -> usize {
        let valued = |tuple: &Vec<NativePath>| {
            tuple
                .iter()
                .any(|path| self.first(spot, path).is_some_and(|n| matches!(self.source.tree.value(n), Value::Text(_))))
        };
        if let Some(used) = rule.native.iter().position(valued) {
            return used;
        }
        let mut written = None;
        if let ([_, _, ..], [wanted]) = (rule.native.as_slice(), texts) {
            for (at, tuple) in rule.native.iter().enumerate() {
                if let [path] = tuple.as_slice()
                    && within_part(path)
                    && let Ok(place) = self.locate(spot, path)
                    && matches!(self.change_of(place.at, &place.steps), Some(Change::Set(text)) if text == wanted)
                {
                    written = Some(at);
                }
            }
        }
        written.unwrap_or(0)
    }

    /// The other parts of a composite said the old value in other words.
    pub(super) fn undescribe(&mut self, at: &Spot) {
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
    pub(super) fn bounds(&mut self, frame: usize, scope: &'r Scope, before: usize) {
        if scope.bound.is_empty() {
            return;
        }
        let Some(spot) = self.frames.get(frame).map(|f| f.spot.clone()) else { return };
        for bound in &scope.bound {
            let tree = self.source.tree;
            let altered = match self.first(&spot, &bound.to) {
                Some(described) => self.changes.iter().skip(before).any(|(at, steps, change)| match at {
                    Place::Node(node) => {
                        let about = tree.is_within(described, *node) || tree.is_within(*node, described);
                        about && self.alters(*node, steps, change)
                    }
                    Place::New(_) => false,
                }),
                None => self.comes(&spot, &bound.to, before),
            };
            if !altered {
                continue;
            }
            for path in &bound.what {
                if self.follows(&spot, path, &bound.to, before) {
                    continue;
                }
                // What is in the wanted Bundle as well is what its own line says, unless it stands aside and as it was.
                let aside = self.aside(frame, scope, path);
                let carried = |leaf: u32| self.run.trace.conveys(leaf) && !self.is_copy(leaf);
                let kept = |node: &NodeId| aside.is_some() || !tree.leaves(*node).any(carried);
                if let Some(node) = self.first(&spot, path).filter(kept) {
                    self.exempt.extend(aside);
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

    /// Lets a part that says again what the described one says say what that says now.
    fn follows(&mut self, spot: &Spot, path: &NativePath, to: &NativePath, before: usize) -> bool {
        let tree = self.source.tree;
        let (Some(copy), Some(described)) = (self.first(spot, path), self.first(spot, to)) else { return false };
        if tree.leaves(copy).is_empty() || !tree.leaves(copy).all(|leaf| self.is_copy(leaf)) {
            return false;
        }
        let mut same = Vec::new();
        for (at, steps, change) in self.changes.iter().skip(before) {
            let Place::Node(node) = at else { continue };
            if !tree.is_within(*node, described) {
                continue;
            }
            let mut way = Vec::new();
            let mut here = Some(*node);
            while let Some(node) = here.filter(|node| *node != described) {
                let number = tree.number(node).and_then(|number| u16::try_from(number).ok()).unwrap_or(1);
                match tree.kind(node) {
                    Kind::Component => way.push(Step::Component(number)),
                    Kind::Subcomponent => way.push(Step::Subcomponent(number)),
                    _ => {}
                }
                here = tree.parent(node);
            }
            way.reverse();
            way.extend(steps.iter().cloned());
            let change = match change {
                Change::Set(text) => Change::Set(text.clone()),
                Change::Null => Change::Null,
                Change::Clear | Change::Markup(_) => Change::Clear,
            };
            same.push((way, change));
        }
        for (steps, change) in same {
            self.change(Spot { at: Place::Node(copy), steps, node: Some(copy), group: spot.group }, change);
        }
        true
    }

    /// The element of an extension that a leaf alone is carried by, where it is wanted as it was: it says how the element
    /// beside it was called, which is another now.
    fn aside(&mut self, frame: usize, scope: &'r Scope, path: &NativePath) -> Option<FhirId> {
        let rules = scope.body.iter().filter_map(|stmt| match stmt.kind {
            StmtKind::Rule(id) => self.plan.rule(id),
            StmtKind::Scope(_) | StmtKind::Whole(_) => None,
        });
        let place = path.place();
        let alone = |rule: &&Rule| matches!(rule.native.as_slice(), [tuple] if matches!(tuple.as_slice(), [one] if one.place() == place));
        let slot = rules.filter(alone).map(|rule| rule.slot).next()?;
        let mut at = slot;
        while let Some(SlotAt::Child { parent, written, .. }) = scope.slots.get(usize::from(at)).map(|slot| &slot.at) {
            if &*written.text == "extension" {
                let (old, new) = (self.node(Side::Old, frame, slot)?, self.node(Side::New, frame, slot)?);
                return (old.text() == new.text()).then(|| new.id());
            }
            if parent.up != 0 {
                return None;
            }
            at = parent.slot;
        }
        None
    }

    /// Whether a change leaves another text than there was.
    fn alters(&self, node: NodeId, steps: &[Step], change: &Change) -> bool {
        // The first part of a level that is not written out is the level itself.
        let itself = |step: &Step| matches!(step, Step::Repetition(1) | Step::Component(1) | Step::Subcomponent(1));
        match change {
            Change::Set(text) if steps.iter().all(itself) => self.source.tree.text(node).as_deref() != Some(text),
            _ => true,
        }
    }

    /// Whether a part of a spot that is there gets a value that it did not have.
    fn comes(&mut self, spot: &Spot, path: &NativePath, before: usize) -> bool {
        let plain = path.steps.iter().all(|step| match (&step.name, &step.select) {
            (NativeName::Segment(_) | NativeName::Row, _) => false,
            (_, select) => matches!(select, NativeSelect::First),
        });
        if !plain || path.from_document {
            return false;
        }
        let Ok(place) = self.locate(spot, path) else { return false };
        let mut since = self.changes.iter().skip(before);
        since.any(|(at, steps, change)| *at == place.at && *steps == place.steps && matches!(change, Change::Set(_)))
    }

    pub(super) fn uncarried(&mut self, node: Option<Node<'r>>, rule: &Rule, why: &Uncarried) {
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
}

/// Whether a path goes on within a part, without segments or repetitions that would be made on the way.
fn within_part(path: &NativePath) -> bool {
    !path.from_document
        && path.steps.iter().all(|step| {
            matches!(step.name, NativeName::Component(_) | NativeName::Subcomponent(_))
                || matches!((&step.name, &step.select), (NativeName::Field(_), NativeSelect::First))
        })
}

/// A node as a spot of the group that another stands in.
fn spot_at(node: NodeId, like: &Spot) -> Spot {
    Spot { at: Place::Node(node), steps: Vec::new(), node: Some(node), group: like.group }
}

pub(super) fn same(new: &[&str], old: &[&str]) -> bool {
    new.len() == old.len() && new.iter().zip(old).all(|(a, b)| a == b || same_moment(a, b))
}
