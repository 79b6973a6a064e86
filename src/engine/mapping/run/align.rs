//! Which repetition of one document is which of the other.

use std::collections::BTreeSet;

use crate::fhir::document::{Document, Node};

use super::verify::equal;

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
    let mut of_new: Vec<Option<usize>> = vec![None; new.len()];
    let mut free: BTreeSet<usize> = (0..old.len()).collect();
    let take = |at: usize, found: Option<usize>, of_new: &mut Vec<Option<usize>>, free: &mut BTreeSet<usize>| {
        if let Some(found) = found
            && let Some(slot) = of_new.get_mut(at)
        {
            *slot = Some(found);
            free.remove(&found);
        }
    };
    for (at, node) in new.iter().enumerate() {
        let url = url(*node);
        let found = free.iter().copied().find(|o| url.is_some() && old.get(*o).is_some_and(|o| self::url(*o) == url));
        take(at, found, &mut of_new, &mut free);
    }
    // What is written the same first: two references to resources of one type say the same, and are not.
    for (at, node) in new.iter().enumerate() {
        if of_new.get(at).is_some_and(Option::is_some) {
            continue;
        }
        let found = free.iter().copied().find(|o| old.get(*o).is_some_and(|o| o.raw() == node.raw()));
        take(at, found, &mut of_new, &mut free);
    }
    for (at, node) in new.iter().enumerate() {
        if of_new.get(at).is_some_and(Option::is_some) {
            continue;
        }
        let found =
            free.iter().copied().find(|o| old.get(*o).is_some_and(|o| equal(new_document, old_document, *node, *o)));
        take(at, found, &mut of_new, &mut free);
    }
    loop {
        let mut best: Option<(usize, usize, usize)> = None;
        for (at, node) in new.iter().enumerate().filter(|(at, _)| of_new.get(*at) == Some(&None)) {
            for o in &free {
                let Some(other) = old.get(*o) else { continue };
                let alike = alike(*node, *other);
                if alike > 0 && best.is_none_or(|(most, _, _)| alike > most) {
                    best = Some((alike, at, *o));
                }
            }
        }
        let Some((_, at, o)) = best else { break };
        take(at, Some(o), &mut of_new, &mut free);
    }
    let left = of_new.iter().filter(|o| o.is_none()).count();
    if left == free.len() {
        for at in 0..new.len() {
            if of_new.get(at) == Some(&None) {
                let found = free.iter().next().copied();
                take(at, found, &mut of_new, &mut free);
            }
        }
    }
    let mut pairs: Vec<Pair> =
        of_new.iter().enumerate().map(|(at, o)| o.map_or(Pair::New(at), |o| Pair::Both(o, at))).collect();
    pairs.extend(free.into_iter().map(Pair::Gone));
    pairs
}

/// For each old element of a list that is filled by place, its place in the new one: the same place where the lists are
/// as long, else the elements that are the same, in their order.
pub(crate) fn in_order(
    old_document: &Document,
    new_document: &Document,
    old: &[Node<'_>],
    new: &[Node<'_>],
) -> Vec<Option<usize>> {
    if old.len() == new.len() {
        return (0..old.len()).map(Some).collect();
    }
    let mut from = 0;
    old.iter()
        .map(|one| {
            let same = |other: &Node<'_>| equal(old_document, new_document, *one, *other);
            let found = new.iter().enumerate().skip(from).find(|(_, other)| same(other));
            let at = found.map(|(at, _)| at)?;
            from = at + 1;
            Some(at)
        })
        .collect()
}

/// The fullUrl of a resource that is an entry.
fn url(node: Node<'_>) -> Option<&str> {
    if !node.is_resource() {
        return None;
    }
    node.parent()?.text_at("fullUrl")
}

/// How many primitives two nodes have in common, at the same places.
fn alike(a: Node<'_>, b: Node<'_>) -> usize {
    let mut theirs = Vec::new();
    collect(b, &mut String::new(), &mut theirs);
    let mut ours = Vec::new();
    collect(a, &mut String::new(), &mut ours);
    ours.iter().filter(|one| theirs.contains(one)).count()
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
