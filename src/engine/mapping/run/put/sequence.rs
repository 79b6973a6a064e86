//! The segments of a message as they stand while a run puts new ones among them. What is asked for each new segment costs
//! no more than its surroundings.

use rustc_hash::FxHashMap;

use crate::native::{Place, SegmentName};

/// A segment among the others.
#[derive(Debug)]
struct Item {
    place: Place,
    name: SegmentName,
    before: Option<usize>,
    after: Option<usize>,
    /// The segment that it was put there for, if this run made it.
    owner: Option<usize>,
    made: bool,
    /// The last segment of each name before it, in order, as they stood when it came.
    context: Vec<usize>,
}

/// What a segment was asked for: the part or group that it was asked for in, the group that it begins there, its name.
pub(super) type Asked = (Place, usize, Option<Box<str>>, Option<SegmentName>);

/// The segments in order.
#[derive(Debug, Default)]
pub(super) struct Sequence {
    items: Vec<Item>,
    first: Option<usize>,
    at: FxHashMap<Place, usize>,
    /// Of the segments of the document, those of each name.
    by_name: FxHashMap<SegmentName, Vec<usize>>,
    /// The last that was put somewhere for the same reason.
    grown: FxHashMap<Asked, usize>,
}

/// A part of a sequence, with what comes before it as far as it matters for how it is grouped.
pub(super) struct Window {
    /// The segments.
    pub(super) items: Vec<usize>,
    /// How many of them are not the part itself.
    pub(super) context: usize,
    /// Whether the part goes on to the end.
    pub(super) to_end: bool,
}

/// How far around a segment its surroundings go.
const BEFORE: usize = 16;
const AFTER: usize = 48;

impl Sequence {
    pub(super) fn new(segments: Vec<(Place, SegmentName)>) -> Self {
        let mut all = Self { first: (!segments.is_empty()).then_some(0), ..Self::default() };
        let count = segments.len();
        for (index, (place, name)) in segments.into_iter().enumerate() {
            let after = Some(index + 1).filter(|next| *next < count);
            let context = Vec::new();
            let before = index.checked_sub(1);
            all.items.push(Item { place, name, before, after, owner: None, made: false, context });
            all.at.insert(place, index);
            all.by_name.entry(name).or_default().push(index);
        }
        all
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The number of a segment, which stays.
    pub(super) fn index(&self, place: Place) -> Option<usize> {
        self.at.get(&place).copied()
    }

    pub(super) fn place(&self, index: usize) -> Option<Place> {
        self.items.get(index).map(|item| item.place)
    }

    pub(super) fn name(&self, index: usize) -> Option<SegmentName> {
        self.items.get(index).map(|item| item.name)
    }

    /// Takes a segment out.
    pub(super) fn remove(&mut self, place: Place) {
        let Some((before, after)) =
            self.at.remove(&place).and_then(|at| self.items.get(at)).map(|i| (i.before, i.after))
        else {
            return;
        };
        match before {
            Some(before) => {
                if let Some(item) = self.items.get_mut(before) {
                    item.after = after;
                }
            }
            None => self.first = after,
        }
        if let Some(item) = after.and_then(|after| self.items.get_mut(after)) {
            item.before = before;
        }
    }

    /// Puts a new segment behind another, for the sake of a third.
    pub(super) fn insert(&mut self, behind: usize, place: Place, name: SegmentName, owner: Option<usize>) -> usize {
        let mut context = self.context(behind);
        if let Some(own) = self.name(behind) {
            context.retain(|at| self.name(*at) != Some(own));
            context.push(behind);
        }
        let after = self.items.get(behind).and_then(|item| item.after);
        let index = self.items.len();
        self.items.push(Item { place, name, before: Some(behind), after, owner, made: true, context });
        self.at.insert(place, index);
        if let Some(item) = self.items.get_mut(behind) {
            item.after = Some(index);
        }
        if let Some(item) = after.and_then(|after| self.items.get_mut(after)) {
            item.before = Some(index);
        }
        index
    }

    /// Notes what was put somewhere, so that the next for the same reason comes behind it.
    pub(super) fn note(&mut self, asked: Asked, index: usize) {
        self.grown.insert(asked, index);
    }

    /// The segment behind which the next comes that is asked for the same reason as one before: that one, with what was put
    /// there for its sake.
    pub(super) fn behind_the_last(&self, asked: &Asked) -> Option<usize> {
        let last = *self.grown.get(asked)?;
        self.at.get(&self.items.get(last)?.place)?;
        let mut end = last;
        while let Some(next) = self.items.get(end).and_then(|item| item.after).filter(|next| self.is_for(*next, last)) {
            end = next;
        }
        Some(end)
    }

    /// Whether a segment was made for the sake of another.
    fn is_for(&self, index: usize, other: usize) -> bool {
        let owner = |at: &usize| self.items.get(*at).filter(|item| item.made).and_then(|item| item.owner);
        std::iter::successors(owner(&index), owner).any(|at| at == other)
    }

    /// The last segment of each name before one, in order.
    fn context(&self, index: usize) -> Vec<usize> {
        match self.items.get(index) {
            Some(item) if item.made => item.context.clone(),
            _ => {
                let before = |all: &Vec<usize>| all.get(all.partition_point(|at| *at < index).checked_sub(1)?).copied();
                let mut context: Vec<usize> = self.by_name.values().filter_map(before).collect();
                context.retain(|at| self.items.get(*at).is_some_and(|item| self.at.contains_key(&item.place)));
                context.sort_unstable();
                context
            }
        }
    }

    /// The surroundings of a segment.
    pub(super) fn around(&self, index: usize) -> Window {
        let before = |at: &usize| self.items.get(*at).and_then(|item| item.before);
        let after = |at: &usize| self.items.get(*at).and_then(|item| item.after);
        let start = std::iter::successors(Some(index), before).take(BEFORE + 1).last().unwrap_or(index);
        let mut items: Vec<usize> = if before(&start).is_some() { self.context(start) } else { Vec::new() };
        let context = items.len();
        let own = std::iter::successors(Some(start), after).take_while(|at| *at != index);
        items.extend(own);
        items.extend(std::iter::successors(Some(index), after).take(AFTER + 1));
        let to_end = items.last().and_then(after).is_none();
        Window { items, context, to_end }
    }

    /// The whole.
    pub(super) fn all(&self) -> Window {
        let after = |at: &usize| self.items.get(*at).and_then(|item| item.after);
        Window { items: std::iter::successors(self.first, after).collect(), context: 0, to_end: true }
    }

    /// Whether one segment stands right before another.
    pub(super) fn is_before(&self, one: usize, other: usize) -> bool {
        self.items.get(other).and_then(|item| item.before) == Some(one)
    }
}
