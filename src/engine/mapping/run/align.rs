//! Which repetition of one document is which of the other.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::hash::{Hash, Hasher};

use rustc_hash::{FxHashMap, FxHasher};

use crate::fhir::document::{Document, Node};

use super::verify::{counts, equal};

/// A repetition in both, only in the new, or only in the old; by its place in the lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pair {
    /// Old and new.
    Both(usize, usize),
    /// New.
    New(usize),
    /// Old.
    Gone(usize),
}

/// Aligns repetitions: the same resource first, then the same content, then the most alike; what is left over by its
/// place when as many are left on both sides. In the order of the new list, what is gone last.
pub(crate) fn align(old_document: &Document, new_document: &Document, old: &[Node<'_>], new: &[Node<'_>]) -> Vec<Pair> {
    let mut pairing = Pairing { of_new: vec![None; new.len()], taken: vec![false; old.len()] };
    pairing.by(old, new, url, |_, _| true);
    // What is written the same first: two references to resources of one type say the same, and are not.
    pairing.by(old, new, |node| Some(node.raw()), |_, _| true);
    // So do those that are laid out otherwise.
    pairing.by(old, new, |node| Some(hash(node, true)), |one, other| equal(new_document, old_document, one, other));
    pairing.by(old, new, |node| Some(gist(node)), |one, other| equal(new_document, old_document, one, other));
    pairing.most_alike(old, new);
    pairing.by_place();
    pairing.finish()
}

/// Which old repetition each new one is.
struct Pairing {
    of_new: Vec<Option<usize>>,
    taken: Vec<bool>,
}

impl Pairing {
    fn take(&mut self, new: usize, old: usize) {
        if let (Some(of), Some(taken)) = (self.of_new.get_mut(new), self.taken.get_mut(old)) {
            (*of, *taken) = (Some(old), true);
        }
    }

    /// The places on the old side that are free.
    fn free(&self) -> impl Iterator<Item = usize> {
        self.taken.iter().enumerate().filter(|(_, taken)| !**taken).map(|(at, _)| at)
    }

    /// The places on the new side that have none.
    fn without(&self) -> Vec<usize> {
        self.of_new.iter().enumerate().filter(|(_, of)| of.is_none()).map(|(at, _)| at).collect()
    }

    /// Pairs those of one key that are the same, each with the first of the old ones.
    fn by<'d, K: Hash + Eq>(
        &mut self,
        old: &[Node<'d>],
        new: &[Node<'d>],
        key: impl Fn(Node<'d>) -> Option<K>,
        same: impl Fn(Node<'d>, Node<'d>) -> bool,
    ) {
        let without = self.without();
        if without.is_empty() {
            return;
        }
        let mut there: FxHashMap<K, VecDeque<(usize, Node<'d>)>> = FxHashMap::default();
        for at in self.free() {
            if let Some((key, node)) = old.get(at).and_then(|node| Some((key(*node)?, *node))) {
                there.entry(key).or_default().push_back((at, node));
            }
        }
        if there.is_empty() {
            return;
        }
        for at in without {
            let Some(node) = new.get(at).copied() else { continue };
            let Some(candidates) = key(node).and_then(|key| there.get_mut(&key)) else { continue };
            if let Some(found) = candidates.iter().take(COMMON).position(|(_, other)| same(node, *other))
                && let Some((found, _)) = candidates.remove(found)
            {
                self.take(at, found);
            }
        }
    }

    /// Pairs the rest by how much they have in common, the most first. Of many, what more than [`COMMON`] of them have
    /// tells none from another, and is not looked at.
    fn most_alike(&mut self, old: &[Node<'_>], new: &[Node<'_>]) {
        let without = self.without();
        if without.is_empty() {
            return;
        }
        let mut having: FxHashMap<(String, &str), Vec<usize>> = FxHashMap::default();
        for at in self.free() {
            for part in old.get(at).map(|node| parts(*node)).unwrap_or_default() {
                let of = having.entry(part).or_default();
                if of.len() <= COMMON && of.last() != Some(&at) {
                    of.push(at);
                }
            }
        }
        if having.is_empty() {
            return;
        }
        let mut alike: Vec<(Reverse<usize>, usize, usize)> = Vec::new();
        for at in without {
            let mut counts: FxHashMap<usize, usize> = FxHashMap::default();
            for part in new.get(at).map(|node| parts(*node)).unwrap_or_default() {
                for of in having.get(&part).filter(|of| of.len() <= COMMON).into_iter().flatten() {
                    *counts.entry(*of).or_default() += 1;
                }
            }
            alike.extend(counts.into_iter().map(|(of, count)| (Reverse(count), at, of)));
        }
        alike.sort_unstable();
        for (_, at, of) in alike {
            if self.of_new.get(at) == Some(&None) && self.taken.get(of) == Some(&false) {
                self.take(at, of);
            }
        }
    }

    /// Pairs the rest in their order, where as many are left on both sides.
    fn by_place(&mut self) {
        let (new, old) = (self.without(), self.free().collect::<Vec<_>>());
        if new.len() == old.len() {
            for (at, of) in new.into_iter().zip(old) {
                self.take(at, of);
            }
        }
    }

    fn finish(self) -> Vec<Pair> {
        let gone: Vec<Pair> = self.free().map(Pair::Gone).collect();
        let of = |(at, of): (usize, Option<usize>)| of.map_or(Pair::New(at), |of| Pair::Both(of, at));
        self.of_new.into_iter().enumerate().map(of).chain(gone).collect()
    }
}

/// How many of a list may have a part by which they are told from others.
const COMMON: usize = 64;

/// What is alike in nodes that [`equal`] takes for the same: the texts in them in any order, but for those that can
/// say the same in other words.
pub(crate) fn gist(node: Node<'_>) -> u64 {
    hash(node, false)
}

/// The same, or with what the references in it are to.
fn hash(node: Node<'_>, with_references: bool) -> u64 {
    let mut sum = 0_u64;
    for child in node.children().filter(|child| counts(node, *child)) {
        let mut hash = FxHasher::default();
        child.name().hash(&mut hash);
        self::hash(child, with_references).hash(&mut hash);
        sum = sum.wrapping_add(hash.finish());
    }
    let varies = (node.name() == "reference" && !with_references) || matches!(node.type_name(), "dateTime" | "instant");
    if let Some(text) = node.text().filter(|_| !varies) {
        let mut hash = FxHasher::default();
        text.hash(&mut hash);
        sum = sum.wrapping_add(hash.finish());
    }
    sum
}

/// For each old element of a list that is filled by place, its place in the new one: the same place where the lists are
/// as long, and where something new comes before one that stays; else the elements that are the same, in their order.
pub(crate) fn in_order(
    old_document: &Document,
    new_document: &Document,
    old: &[Node<'_>],
    new: &[Node<'_>],
) -> Vec<Option<usize>> {
    if old.len() == new.len() {
        return (0..old.len()).map(Some).collect();
    }
    let mut places: FxHashMap<u64, Vec<usize>> = FxHashMap::default();
    for (at, other) in new.iter().enumerate() {
        places.entry(gist(*other)).or_default().push(at);
    }
    let mut from = 0;
    let found: Vec<Option<usize>> = old
        .iter()
        .map(|one| {
            let all = places.get(&gist(*one))?;
            let left = all.get(all.partition_point(|at| *at < from)..).unwrap_or_default();
            let same = |at: &usize| new.get(*at).is_some_and(|o| equal(old_document, new_document, *one, *o));
            let at = left.iter().take(COMMON).copied().find(same)?;
            from = at + 1;
            Some(at)
        })
        .collect();
    // What is new before one that stays has its place: all behind it move on.
    let mut at = 0;
    if found.iter().flatten().all(|place| *place == std::mem::replace(&mut at, place + 1)) {
        return found;
    }
    (0..old.len()).map(|at| (at < new.len()).then_some(at)).collect()
}

/// The fullUrl of a resource that is an entry.
fn url(node: Node<'_>) -> Option<&str> {
    if !node.is_resource() {
        return None;
    }
    node.parent()?.text_at("fullUrl")
}

/// The primitives in a node, each with its path.
fn parts<'d>(node: Node<'d>) -> Vec<(String, &'d str)> {
    let mut all = Vec::new();
    collect(node, &mut String::new(), &mut all);
    all
}

fn collect<'d>(node: Node<'d>, path: &mut String, all: &mut Vec<(String, &'d str)>) {
    if let Some(text) = node.text() {
        all.push((path.clone(), text));
    }
    // A repetition of many parts is known by its first ones.
    if all.len() > 64 {
        return;
    }
    for child in node.children() {
        let length = path.len();
        path.push('.');
        path.push_str(child.name());
        collect(child, path, all);
        path.truncate(length);
    }
}
