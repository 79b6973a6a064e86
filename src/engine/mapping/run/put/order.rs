//! The order of repetitions: where a list of the wanted Bundle has the repetitions of one line in another order, the
//! native ones change places.

use std::ops::Range;

use crate::native::NodeId;

use super::super::super::plan::{Scope, SlotAt};
use super::super::align::Pair;
use super::super::source::Base;
use super::Put;

/// A repetition as bytes of its document, and where in these its number is, if it has one.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    bytes: Range<usize>,
    number: Option<Range<usize>>,
}

/// Repetitions of one line: where they stand, and which of them is to stand there.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    places: Vec<Part>,
    wanted: Vec<usize>,
}

impl<'r> Put<'r> {
    /// Notes where repetitions are wanted in another order than they stand in.
    pub(super) fn order(&mut self, scope: &Scope, frames: &[usize], pairs: &[Pair]) {
        // The order of a Bundle's entries says nothing.
        let ordered = match scope.slots.first().map(|slot| &slot.at) {
            Some(SlotAt::Child { list, .. }) => *list,
            Some(SlotAt::Entry(index)) => {
                scope.entries.get(usize::from(*index)).is_some_and(|entry| entry.reference.is_some())
            }
            _ => false,
        };
        if !ordered {
            return;
        }
        let both = |pair: &Pair| match pair {
            Pair::Both(was, _) => Some(*was),
            Pair::New(_) | Pair::Gone(_) => None,
        };
        // A new one is written behind those that are there, be it wanted before them.
        let mut standing = pairs.iter().skip_while(|pair| matches!(pair, Pair::Both(..)));
        self.inserted |= standing.any(|pair| matches!(pair, Pair::Both(..)));
        let wanted: Vec<usize> = pairs.iter().filter_map(both).collect();
        if wanted.is_sorted() {
            return;
        }
        let mut standing = wanted.clone();
        standing.sort_unstable();
        let base = |at: &usize| frames.get(*at).and_then(|frame| self.run.frames.get(*frame)).map(|frame| frame.base());
        let part = |at: &usize| Some(self.part(base(at)?, scope));
        let Some(places) = standing.iter().map(part).collect::<Option<Vec<Part>>>() else { return };
        let apart = places.windows(2).all(|two| matches!(two, [a, b] if a.bytes.end <= b.bytes.start));
        let place = |at: &usize| standing.binary_search(at).ok();
        if let Some(wanted) = wanted.iter().map(place).collect::<Option<Vec<usize>>>().filter(|_| apart) {
            self.orders.push(Order { places, wanted });
        }
    }

    fn part(&self, base: Base, scope: &Scope) -> Part {
        let tree = self.source.tree;
        let nodes = if base.node == NodeId::ROOT || base.group != 0 {
            self.group_of(base.node, base.group)
        } else {
            vec![base.node]
        };
        let span = |node: Option<&NodeId>| node.map_or(0..0, |node| tree.span(*node));
        let (first, last) = (span(nodes.first()), span(nodes.last()));
        let number = scope.ordinal.as_ref().and_then(|(_, path)| self.source.first(base, path));
        Part { bytes: first.start..last.end, number: number.map(|node| tree.span(node)) }
    }
}

/// A document with its repetitions in the wanted order. What counts them stays where it stands.
pub(crate) fn apply(bytes: &[u8], orders: &[Order]) -> Vec<u8> {
    let mut moves: Vec<(&Part, &Part)> = orders
        .iter()
        .flat_map(|order| {
            let wanted = order.wanted.iter().filter_map(|at| order.places.get(*at));
            order.places.iter().zip(wanted)
        })
        .collect();
    moves.sort_by_key(|(place, _)| (place.bytes.start, std::cmp::Reverse(place.bytes.end)));
    let mut out = Vec::with_capacity(bytes.len());
    write(bytes, 0..bytes.len(), &moves, None, &mut out);
    out
}

/// Writes a range, with another number in the place of its own.
fn write(
    bytes: &[u8],
    range: Range<usize>,
    moves: &[(&Part, &Part)],
    number: Option<(Range<usize>, &[u8])>,
    out: &mut Vec<u8>,
) {
    let text = |range: Range<usize>| bytes.get(range).unwrap_or_default();
    let plain = |from: usize, to: usize, out: &mut Vec<u8>| match &number {
        Some((at, instead)) if from <= at.start && at.end <= to => {
            out.extend_from_slice(text(from..at.start));
            out.extend_from_slice(instead);
            out.extend_from_slice(text(at.end..to));
        }
        _ => out.extend_from_slice(text(from..to)),
    };
    let mut at = range.start;
    let first = moves.partition_point(|(place, _)| place.bytes.start < range.start);
    for (place, source) in moves.iter().skip(first) {
        if place.bytes.start >= range.end {
            break;
        }
        // The range itself is not in itself, and what is in one that was written is written.
        if place.bytes.start < at || place.bytes == range || place.bytes.end > range.end {
            continue;
        }
        plain(at, place.bytes.start, out);
        let number = match (&place.number, &source.number) {
            (Some(here), Some(there)) => Some((there.clone(), text(here.clone()))),
            _ => None,
        };
        write(bytes, source.bytes.clone(), moves, number, out);
        at = place.bytes.end;
    }
    plain(at, range.end, out);
}
