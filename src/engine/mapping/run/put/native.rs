//! Native places: found, or made as far as the structure needs.

use std::borrow::Cow;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::native::hl7v2::schema::{Group, GroupTree, NoPlace, group_by};
use crate::native::json::text::is_number;
use crate::native::xml::QName;
use crate::native::{Anchor, EditError, Format, Insert, Name, NodeId, Place, Scalar, SegmentName, Step};

use super::super::super::plan::{Condition, NativeName, NativePath, NativeSelect, NativeStep};
use super::super::super::syntax::Test;
use super::super::Refusal;
use super::super::source::{Base, order_control};
use super::sequence::{Sequence, Window};
use super::{Change, Put, Spot, spot_of};

impl<'r> Put<'r> {
    pub(super) fn base(&self, spot: &Spot) -> Option<Base> {
        spot.node.map(|node| Base { node, group: spot.group })
    }

    pub(super) fn first(&self, spot: &Spot, path: &NativePath) -> Option<NodeId> {
        let base = if path.from_document { Some(self.source.root()) } else { self.base(spot) };
        // A part that is made by this run has nothing of the old document below it.
        self.source.first(base?, path)
    }

    /// The place of a path below a spot, made as far as segments and repetitions go.
    pub(super) fn locate(&mut self, spot: &Spot, path: &NativePath) -> Result<Spot, EditError> {
        let mut here = if path.from_document { spot_of(self.source.root()) } else { spot.clone() };
        for step in &path.steps {
            here = self.down(here, &step.name, &step.select)?;
        }
        Ok(here)
    }

    pub(super) fn down(&mut self, from: Spot, name: &NativeName, select: &NativeSelect) -> Result<Spot, EditError> {
        let tree = self.source.tree;
        match name {
            // The header is there, wherever a line speaks of it.
            NativeName::Segment(segment) if segment.as_str() == "MSH" && self.source.segment_at(0).is_some() => {
                let node = self.source.segment_at(0);
                Ok(Spot { at: Place::Node(node.unwrap_or(NodeId::ROOT)), steps: Vec::new(), node, group: 0 })
            }
            NativeName::Segment(segment) => {
                let path = NativePath {
                    from_document: false,
                    steps: vec![NativeStep { name: name.clone(), select: select.clone() }],
                };
                if let Some(base) = self.base(&from)
                    && let Some(found) = self.source.first_base(base, &path)
                {
                    return Ok(Spot {
                        at: Place::Node(found.node),
                        steps: Vec::new(),
                        node: Some(found.node),
                        group: found.group,
                    });
                }
                let key = (from.at, if from.is_group() { from.group } else { 0 }, *segment);
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
            NativeName::Element(name) => self.element(from, name, select),
            NativeName::Attribute(name) => {
                let there = from.node.and_then(|node| tree.attribute(node, &name.name));
                Ok(below(from, Step::Attribute(name.name.clone()), there))
            }
            NativeName::Row | NativeName::Parent => Ok(from),
            NativeName::Group(name) => Ok(self.group(from, name, select)),
        }
    }

    /// The element of a name that a line selects. One that is not there is made when something is set below it, or now
    /// where others of the name stand there that are not as the line selects them.
    pub(super) fn element(&mut self, from: Spot, name: &Arc<QName>, select: &NativeSelect) -> Result<Spot, EditError> {
        let step = NativeStep { name: NativeName::Element(Arc::clone(name)), select: select.clone() };
        let shown = format!("{:?}", step.select);
        let path = NativePath { from_document: false, steps: vec![step] };
        if let Some(found) = self.base(&from).and_then(|base| self.source.first_base(base, &path)) {
            return Ok(spot_of(found));
        }
        let mut steps = from.steps.clone();
        match select {
            NativeSelect::Where(conditions, _) => {
                let key = (from.at, from.steps.clone(), format!("{name}{shown}"));
                if let Some(at) = self.elements.get(&key) {
                    return Ok(Spot { at: *at, steps: Vec::new(), node: None, group: 0 });
                }
                let at = self.edit.insert(Anchor::Last(from.at, &from.steps), Insert::Element(&name.name))?;
                self.elements.insert(key, at);
                self.within.insert(at, from.at);
                let spot = Spot { at, steps: Vec::new(), node: None, group: 0 };
                self.make_true(&spot, conditions)?;
                Ok(spot)
            }
            // Made now, so that others of its name come after it.
            NativeSelect::Index(1) => {
                let key = (from.at, from.steps.clone(), format!("{name}{shown}"));
                let at = match self.elements.get(&key) {
                    Some(at) => *at,
                    None => self.edit.insert(Anchor::Last(from.at, &from.steps), Insert::Element(&name.name))?,
                };
                self.elements.insert(key, at);
                self.within.insert(at, from.at);
                Ok(Spot { at, steps: Vec::new(), node: None, group: 0 })
            }
            NativeSelect::Index(n) | NativeSelect::From(n) => {
                steps.push(Step::Element(name.name.clone(), u32::from(*n)));
                Ok(Spot { at: from.at, steps, node: None, group: 0 })
            }
            NativeSelect::First | NativeSelect::All => {
                steps.push(Step::Element(name.name.clone(), 1));
                Ok(Spot { at: from.at, steps, node: None, group: 0 })
            }
        }
    }

    pub(super) fn field(&mut self, from: Spot, number: u16, select: &NativeSelect) -> Result<Spot, EditError> {
        let tree = self.source.tree;
        let field = from.node.and_then(|node| tree.field(node, number));
        let path = NativePath {
            from_document: false,
            steps: vec![NativeStep { name: NativeName::Field(number), select: select.clone() }],
        };
        let found = self.base(&from).and_then(|base| self.source.first_base(base, &path));
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
            NativeSelect::Index(n) | NativeSelect::From(n) if *n > 1 => {
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
    pub(super) fn insert_segment(&mut self, from: &Spot, name: SegmentName) -> Result<Place, EditError> {
        if self.source.groups().is_none() {
            return self.edit.insert(Anchor::Last(Place::Node(NodeId::ROOT), &[]), Insert::Segment(name));
        }
        self.segments();
        let opening = self.opening(from).map(|opened| (opened.within.clone(), opened.name.clone(), opened.on_the_way));
        let asked = match &opening {
            Some((within, group, false)) => (within.at, within.group_only(), Some(group.clone()), None),
            _ => (from.at, from.group_only(), None, Some(name)),
        };
        let center = if opening.is_none() { self.stands_for(from) } else { None };
        let behind = self
            .sequence
            .behind_the_last(&asked)
            .or_else(|| self.point(&self.sequence.around(center?), from, name))
            .or_else(|| self.point(&self.sequence.all(), from, name));
        let Some((behind, anchor)) = behind.and_then(|behind| Some((behind, self.sequence.place(behind)?))) else {
            return self.edit.insert(Anchor::Last(Place::Node(NodeId::ROOT), &[]), Insert::Segment(name));
        };
        let place = self.edit.insert(Anchor::After(anchor), Insert::Segment(name))?;
        let owner = self.stands_for(from);
        let index = self.sequence.insert(behind, place, name, owner);
        self.sequence.note(asked, index);
        if let Some(opened) = self.opened_mut(from) {
            opened.first.get_or_insert(place);
        }
        Ok(place)
    }

    /// The segments as they stand now.
    pub(super) fn segments(&mut self) -> &mut Sequence {
        if self.sequence.is_empty() {
            self.sequence = Sequence::new(self.source.sequence());
        }
        &mut self.sequence
    }

    /// The segment by which a spot is known among the segments.
    fn stands_for(&self, spot: &Spot) -> Option<usize> {
        if !spot.is_group() {
            return self.sequence.index(spot.at);
        }
        if let Some(opened) = self.opened(spot) {
            return opened.first.map_or_else(|| self.stands_for(&opened.within), |first| self.sequence.index(first));
        }
        let was = self.source.groups()?.group(spot.group)?;
        was.segments.clone().find_map(|index| self.sequence.index(Place::Node(self.source.segment_at(index)?)))
    }

    /// The segment behind which a new one goes, as far as a part of the segments tells.
    fn point(&self, window: &Window, from: &Spot, name: SegmentName) -> Option<usize> {
        let structure = self.source.groups().map(GroupTree::structure)?;
        let tree = self.source.tree;
        let names: Vec<SegmentName> = window.items.iter().filter_map(|at| self.sequence.name(*at)).collect();
        let texts: Vec<&str> = names.iter().map(SegmentName::as_str).collect();
        let groups = group_by(structure, &texts, &|at| match self.sequence.place(*window.items.get(at)?)? {
            Place::Node(node) => order_control(tree, &[node], 0),
            Place::New(_) => None,
        });
        let places: FxHashMap<usize, usize> = window.items.iter().enumerate().map(|(at, item)| (*item, at)).collect();
        let position = |place: Place| places.get(&self.sequence.index(place)?).copied();
        let within = self.within(&groups, &position, from);
        let opening = self.opening(from).filter(|_| within.is_none()).and_then(|opened| {
            groups.insertion_of_group(self.within(&groups, &position, &opened.within)?, &opened.name)
        });
        let whole = window.context == 0 && window.to_end;
        if within.is_none() && !whole {
            return None;
        }
        let within = within.unwrap_or(0);
        // A segment that only another group of the structure takes stands at the end of the one it is asked for in.
        let point = groups.insertion_point(within, name.as_str()).or_else(|error| match error {
            NoPlace::NotInStructure => groups.insertion_point_without(within, name.as_str()),
            error => Err(error),
        });
        let behind = match (opening, point) {
            (Some(behind), _) => Some(behind),
            (None, Ok(insertion)) => insertion.after,
            (None, Err(_)) => match inside(&groups, within, name.as_str()) {
                Some(behind) => Some(behind),
                None => groups.group(within).and_then(|g| g.segments.end.checked_sub(1)),
            },
        }?;
        let (found, next) = (*window.items.get(behind)?, window.items.get(behind + 1));
        // What stands at an edge may be told by what is beyond it.
        let right = match next {
            Some(next) => behind >= window.context || self.sequence.is_before(found, *next),
            None => window.to_end,
        };
        (whole || right).then_some(found)
    }

    /// Whether conditions hold of a place; of one that this run makes, by what it has written there so far.
    pub(super) fn holds_now(&self, spot: &Spot, conditions: &[Condition]) -> bool {
        let base = self.base(spot);
        // A new document has what this run has written so far.
        if let Some(base) = base.filter(|_| !self.creating) {
            return self.source.hold(base, conditions);
        }
        let stands =
            |condition: &Condition| base.is_some_and(|base| self.source.hold(base, std::slice::from_ref(condition)));
        conditions.iter().all(|condition| {
            let (values, wanted) = match &condition.test {
                Test::In(_) if stands(condition) => return true,
                Test::NotIn(_) if base.is_some() && !stands(condition) => return false,
                Test::In(values) => (values, true),
                Test::NotIn(values) => (values, false),
                _ => return base.is_none() || stands(condition),
            };
            let last = condition.path.steps.last().and_then(|step| match &step.name {
                NativeName::Attribute(name) => Some(Step::Attribute(name.name.clone())),
                _ => None,
            });
            let written = self.changes.iter().any(|(at, steps, change)| {
                matches!(change, Change::Set(text) if values.contains(text))
                    && (last.is_none() || steps.last() == last.as_ref())
                    && self.stands_in(*at, spot.at)
            });
            written == wanted
        })
    }

    fn stands_in(&self, at: Place, holder: Place) -> bool {
        std::iter::successors(Some(at), |at| self.within.get(at).copied()).any(|at| at == holder)
    }

    /// A group on the way to a segment: the first that is there, else one that comes with the segment.
    fn group(&mut self, from: Spot, name: &str, select: &NativeSelect) -> Spot {
        let step = NativeStep { name: NativeName::Group(name.into()), select: select.clone() };
        let path = NativePath { from_document: false, steps: vec![step] };
        if let Some(found) = self.base(&from).and_then(|base| self.source.first_base(base, &path)) {
            return super::spot_of(found);
        }
        let there = self.source.groups().map_or(0, |groups| groups.groups().len());
        let same = |opened: &Opened| opened.on_the_way && opened.within == from && opened.name.as_ref() == name;
        let opened = self.opened.iter().position(same);
        match opened {
            Some(number) => {
                Spot { at: Place::Node(NodeId::ROOT), steps: Vec::new(), node: None, group: there + number }
            }
            None => self.open_group(from, name, true),
        }
    }

    /// A new group, which begins with the first segment that is put into it. One that is on the way to a segment may have
    /// come meanwhile.
    pub(super) fn open_group(&mut self, within: Spot, name: &str, on_the_way: bool) -> Spot {
        let number = self.source.groups().map_or(0, |groups| groups.groups().len()) + self.opened.len();
        self.opened.push(Opened { within, name: name.into(), first: None, on_the_way });
        Spot { at: Place::Node(NodeId::ROOT), steps: Vec::new(), node: None, group: number }
    }

    fn opened_mut(&mut self, spot: &Spot) -> Option<&mut Opened> {
        let there = self.source.groups().map_or(0, |groups| groups.groups().len());
        let number = spot.group.checked_sub(there).filter(|_| spot.is_group())?;
        self.opened.get_mut(number)
    }

    fn opened(&self, spot: &Spot) -> Option<&Opened> {
        let there = self.source.groups().map_or(0, |groups| groups.groups().len());
        let number = spot.group.checked_sub(there).filter(|_| spot.is_group())?;
        self.opened.get(number)
    }

    /// A new group that nothing is in yet.
    fn opening(&self, spot: &Spot) -> Option<&Opened> {
        self.opened(spot).filter(|opened| opened.first.is_none())
    }

    /// The group that a spot is, or is in, as segments are grouped.
    fn within(&self, groups: &GroupTree<'_>, position: &dyn Fn(Place) -> Option<usize>, spot: &Spot) -> Option<usize> {
        if !spot.is_group() {
            let own = position(spot.at);
            return Some(own.and_then(|index| groups.places().get(index)).map_or(0, |place| place.group));
        }
        if let Some(opened) = self.opened(spot) {
            let Some(first) = opened.first else {
                let within = self.within(groups, position, &opened.within).filter(|_| opened.on_the_way)?;
                let inside = |id: usize| {
                    std::iter::successors(Some(id), |id| groups.group(*id).and_then(|of| of.parent))
                        .any(|id| id == within)
                };
                return groups.named(&opened.name).map(|(id, _)| id).find(|id| inside(*id));
            };
            return groups.around(position(first)?, &opened.name);
        }
        let were = self.source.groups()?;
        let was = were.group(spot.group)?;
        let name = were.structure().node(was.node)?.name;
        let mut left = was.segments.clone().filter_map(|index| position(Place::Node(self.source.segment_at(index)?)));
        groups.around(left.next()?, name)
    }

    /// Writes what makes conditions hold where they do not.
    pub(super) fn make_true(&mut self, spot: &Spot, conditions: &[Condition]) -> Result<(), EditError> {
        let tree = self.source.tree;
        for condition in conditions {
            if let Test::Written(text) = &condition.test {
                if self.first(spot, &condition.path).is_none() {
                    let at = self.locate(spot, &condition.path)?;
                    self.change(at, Change::Set(text.clone()));
                }
                continue;
            }
            if matches!(condition.test, Test::Same) {
                self.identify_alike(spot, condition)?;
                continue;
            }
            let Test::In(values) = &condition.test else { continue };
            let holds = self.base(spot).is_some_and(|base| self.source.hold(base, std::slice::from_ref(condition)));
            if holds {
                continue;
            }
            if let Some(value) = values.first() {
                let at = self.locate(spot, &condition.path)?;
                let is_so =
                    at.node.and_then(|node| tree.text(node)).is_some_and(|text| values.iter().any(|v| *v == text));
                if !is_so {
                    self.change(at, Change::Set(value.clone()));
                }
            }
        }
        Ok(())
    }

    /// Writes the identifier of another place, where a condition wants the same.
    fn identify_alike(&mut self, spot: &Spot, condition: &Condition) -> Result<(), EditError> {
        let Some(other) = condition.other.as_ref() else { return Ok(()) };
        if self.base(spot).is_some_and(|base| self.source.hold(base, std::slice::from_ref(condition))) {
            return Ok(());
        }
        let tree = self.source.tree;
        let there = self.first(spot, other);
        let mut told: Vec<(Name, String)> = Vec::new();
        for name in ["root", "extension"].map(Name::local) {
            let text = match there {
                Some(node) => tree.attribute(node, &name).and_then(|node| tree.text(node)).map(Cow::into_owned),
                None => self.comes_at(other, &name),
            };
            told.extend(text.map(|text| (name, text)));
        }
        for (name, text) in told {
            let mut at = self.locate(spot, &condition.path)?;
            at.steps.push(Step::Attribute(name));
            at.node = None;
            self.change(at, Change::Set(text));
        }
        Ok(())
    }

    /// What this run writes as an attribute of the first part that comes at a path from the document.
    fn comes_at(&self, path: &NativePath, name: &Name) -> Option<String> {
        let (mut at, mut steps) = (Place::Node(self.source.root().node), Vec::new());
        for step in &path.steps {
            let NativeName::Element(element) = &step.name else { return None };
            let key = (at, steps, element.name.clone());
            (at, steps) = match self.grown.get(&key) {
                Some(grown) => (*grown, Vec::new()),
                None => {
                    let (at, mut steps, name) = key;
                    steps.push(Step::Element(name, 1));
                    (at, steps)
                }
            };
        }
        steps.push(Step::Attribute(name.clone()));
        match self.change_of(at, &steps) {
            Some(Change::Set(text)) => Some(text.clone()),
            _ => None,
        }
    }

    pub(super) fn change(&mut self, spot: Spot, change: Change) {
        if let Place::Node(node) = spot.at
            && self.changed.insert(node)
        {
            let above = std::iter::successors(Some(node), |node| self.source.tree.parent(*node));
            for node in above {
                if !self.around_changed.insert(node) {
                    break;
                }
            }
        }
        let key = (spot.at, spot.steps);
        match self.change_at.get(&key).and_then(|at| self.changes.get_mut(*at)) {
            // A value from one line outweighs another line's having none.
            Some((_, _, known)) => {
                if matches!(change, Change::Set(_)) || !matches!(known, Change::Set(_)) {
                    *known = change;
                }
            }
            None => {
                self.changes.push((key.0, key.1.clone(), change));
                self.change_at.insert(key, self.changes.len() - 1);
            }
        }
    }

    /// What this run has set at a place so far.
    pub(super) fn change_of(&self, at: Place, steps: &[Step]) -> Option<&Change> {
        let at = self.change_at.get(&(at, steps.to_vec()))?;
        self.changes.get(*at).map(|(_, _, change)| change)
    }

    /// Makes the changes: what goes first, then what comes.
    pub(super) fn apply(&mut self) {
        let changes = std::mem::take(&mut self.changes);
        let json = self.source.tree.format() == Format::Json;
        let (sets, others): (Vec<_>, Vec<_>) =
            changes.into_iter().partition(|(_, _, c)| matches!(c, Change::Set(_) | Change::Markup(_)));
        for (at, steps, change) in others.into_iter().chain(sets) {
            let result = match change {
                Change::Set(text) if json => {
                    let is_bare = self.bare.contains(&(at, steps.clone()));
                    let value = match text.as_str() {
                        "true" if is_bare => Scalar::Boolean(true),
                        "false" if is_bare => Scalar::Boolean(false),
                        number if is_bare && is_number(number) => Scalar::Number(number),
                        text => Scalar::AsBefore(text),
                    };
                    self.edit.set(at, &steps, value)
                }
                Change::Set(text) => self.edit.set(at, &steps, Scalar::Text(&text)),
                Change::Markup(text) => self.edit.set_markup(at, &steps, &text),
                Change::Clear => self.edit.clear(at, &steps),
                Change::Null => self.edit.null(at, &steps),
            };
            if let Err(error) = result {
                self.refuse_edit(&error);
            }
        }
    }

    pub(super) fn refuse_edit(&mut self, error: &EditError) {
        // A part that went with what held it is gone as it should be.
        if matches!(error, EditError::Gone) {
            return;
        }
        let (path, told) = (error.location().unwrap_or_default().to_owned(), error.to_string());
        // The place is told once.
        let expected = match told.strip_prefix(&path) {
            Some(rest) if !path.is_empty() => rest.trim_start_matches([':', ' ']).to_owned(),
            _ => told,
        };
        self.refusals.push(Refusal { path, rule: None, expected, fault: error.fault() });
    }
}

/// A group that a run opens.
pub(super) struct Opened {
    /// Where it is to stand.
    within: Spot,
    name: Box<str>,
    /// Its first segment, once there is one.
    first: Option<Place>,
    /// Whether it is only on the way to a segment, which any group of the name will do for.
    on_the_way: bool,
}

impl Spot {
    /// The number of the group, where it is one.
    fn group_only(&self) -> usize {
        if self.is_group() { self.group } else { 0 }
    }

    /// Whether it is a group rather than a part of one.
    pub(super) fn is_group(&self) -> bool {
        self.group != 0 && self.at == Place::Node(NodeId::ROOT)
    }
}

/// Where a segment that a group has no place for goes in the groups that stand in it: the outermost, the first of them.
fn inside(groups: &GroupTree<'_>, within: usize, name: &str) -> Option<usize> {
    let mut open = vec![within];
    while !open.is_empty() {
        let below = |(id, group): (usize, &Group)| group.parent.is_some_and(|p| open.contains(&p)).then_some(id);
        let next: Vec<usize> = groups.groups().iter().enumerate().filter_map(below).collect();
        if let Some(after) = next.iter().find_map(|id| groups.insertion_point(*id, name).ok()?.after) {
            return Some(after);
        }
        open = next;
    }
    None
}

/// One step below a spot; a level that is not written out is its parent, and is remembered as a step.
pub(super) fn below(from: Spot, step: Step, there: Option<NodeId>) -> Spot {
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
