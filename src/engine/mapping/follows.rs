//! What a written document says otherwise than was wanted without being wrong: what its place says by itself, and what one
//! leaf, left as it was, says by another line now.

use std::collections::VecDeque;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::definitions::Model;
use crate::fhir::document::{Document, Node, NodeId};
use crate::native::Tree;

use super::plan::Plan;
use super::run::ABSENT;
use super::run::get::Run;
use super::run::put::resolve;
use super::run::verify::{Difference, Kind, equal};

/// How many differences are looked at one by one: more do not come of one leaf.
const MOST: usize = 64;

/// One reading of a document: the run, what it gave, and the native document.
#[derive(Clone, Copy)]
pub(crate) struct Reading<'r> {
    pub(crate) run: &'r Run,
    pub(crate) got: &'r Document,
    pub(crate) tree: &'r Tree,
}

/// Excuses differences that follow from what is wanted.
pub(crate) fn excuse(
    found: &mut [Difference],
    wanted: &Document,
    before: Reading<'_>,
    after: Reading<'_>,
    plan: &Plan,
    model: &Model,
) {
    if found.len() <= MOST {
        superseded(found, wanted, before, after, plan, model);
    }
    let is_added = |one: &Difference| one.kind == Kind::Added;
    if !found.iter().any(is_added) {
        return;
    }
    let implied: FxHashSet<String> = after.run.trace.paths(model, &after.run.defaulted).into_iter().collect();
    for one in found.iter_mut().filter(|one| one.kind == Kind::Added) {
        if implied.contains(&plain(&one.path)) {
            one.kind = Kind::Excused;
        }
    }
    let missing = found.iter().any(|one| one.kind == Kind::Missing);
    if missing && found.len() <= MOST && found.iter().any(is_added) {
        moved(found, wanted, before, after, plan, model);
    }
}

/// What stands beside an element for a code that no table has, where the element says another thing now: it is as it was,
/// and told of leaves that say what is wanted of the element. So is that an element is unknown which has a value now.
fn superseded(
    found: &mut [Difference],
    wanted: &Document,
    before: Reading<'_>,
    after: Reading<'_>,
    plan: &Plan,
    model: &Model,
) {
    let is_beside = |path: &str| path.rsplit('.').next().is_some_and(|last| last.starts_with("extension["));
    let mut leaves: Option<Vec<(Vec<String>, bool)>> = None;
    for one in found.iter_mut().filter(|one| one.kind == Kind::Missing && is_beside(&one.path)) {
        let Some(node) = at(wanted, &one.path) else { continue };
        if node.text_at("url") == Some(ABSENT) {
            let holder = one.path.rsplit_once('.').and_then(|(holder, _)| at(wanted, holder));
            if holder.is_some_and(|holder| holder.text().is_some()) {
                one.kind = Kind::Excused;
            }
            continue;
        }
        if at(before.got, &one.path).is_none_or(|was| !equal(before.got, wanted, was, node)) {
            continue;
        }
        let leaves = leaves.get_or_insert_with(|| changed(before, after, plan, model));
        let path = plain(&one.path);
        let mut told = leaves.iter().filter(|(to, _)| to.iter().any(|one| is_within(one, &path))).peekable();
        if told.peek().is_some() && told.all(|(_, changed)| *changed) {
            one.kind = Kind::Excused;
        }
    }
}

/// Where the leaves of a document went, and whether each says another thing now.
fn changed(before: Reading<'_>, after: Reading<'_>, plan: &Plan, model: &Model) -> Vec<(Vec<String>, bool)> {
    let now: FxHashMap<String, u32> =
        (0..after.tree.leaf_count()).map(|leaf| (after.tree.leaf_path(leaf).to_string(), leaf)).collect();
    let text = |tree: &Tree, leaf: u32| tree.text(tree.leaf_node(leaf)).map(std::borrow::Cow::into_owned);
    let report = before.run.trace.report("", before.tree, plan, model);
    let items = (0..before.tree.leaf_count()).zip(report.items);
    let is_other =
        |leaf: u32, path: &str| now.get(path).is_none_or(|other| text(after.tree, *other) != text(before.tree, leaf));
    items.filter(|(_, item)| !item.to.is_empty()).map(|(leaf, item)| (item.to, is_other(leaf, &item.path))).collect()
}

/// A leaf that nobody touched, and that another line carries since something beside it changed.
fn moved(
    found: &mut [Difference],
    wanted: &Document,
    before: Reading<'_>,
    after: Reading<'_>,
    plan: &Plan,
    model: &Model,
) {
    let texts = |of: Reading<'_>| -> FxHashMap<String, (Vec<String>, Option<String>)> {
        let report = of.run.trace.report("", of.tree, plan, model);
        let leaves = (0..of.tree.leaf_count()).map(|leaf| of.tree.text(of.tree.leaf_node(leaf)));
        let of_leaf = report.items.into_iter().zip(leaves);
        of_leaf.map(|(item, text)| (item.path, (item.to, text.map(std::borrow::Cow::into_owned)))).collect()
    };
    let (were, are) = (texts(before), texts(after));
    let paths: Vec<String> = found.iter().map(|one| plain(&one.path)).collect();
    // What is missing as it was is what the leaf said.
    let same: Vec<bool> = found
        .iter()
        .map(|one| {
            one.kind == Kind::Missing
                && at(wanted, &one.path)
                    .zip(at(before.got, &one.path))
                    .is_some_and(|(new, was)| equal(before.got, wanted, was, new))
        })
        .collect();
    let mut excused: FxHashSet<usize> = FxHashSet::default();
    for (leaf, (to, text)) in &were {
        let Some((now, _)) = are.get(leaf).filter(|(_, now)| now == text && text.is_some()) else { continue };
        let within = |all: &[String], path: &str| all.iter().any(|one| is_within(one, path));
        let gone: Vec<usize> = (0..found.len())
            .filter(|n| same.get(*n).copied().unwrap_or(false) && paths.get(*n).is_some_and(|path| within(to, path)))
            .collect();
        let come: Vec<usize> = (0..found.len())
            .filter(|n| {
                found.get(*n).is_some_and(|one| one.kind == Kind::Added)
                    && paths.get(*n).is_some_and(|path| within(now, path))
            })
            .collect();
        if !gone.is_empty() && !come.is_empty() {
            excused.extend(gone.into_iter().chain(come));
        }
    }
    for (n, one) in found.iter_mut().enumerate() {
        if excused.contains(&n) {
            one.kind = Kind::Excused;
        }
    }
}

/// Whether a path is another, or leads on from it.
fn is_within(path: &str, of: &str) -> bool {
    path.strip_prefix(of).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// The node of a path.
fn at<'d>(document: &'d Document, path: &str) -> Option<Node<'d>> {
    let mut open = VecDeque::from([document.root()]);
    while let Some(node) = open.pop_front() {
        let here = node.path().to_string();
        if here == path {
            return Some(node);
        }
        if is_within(path, &here) {
            open.extend(node.children());
        }
    }
    None
}

/// A path with the elements that have a choice of types as they are written: `value.ofType(Quantity)` is `valueQuantity`.
fn plain(path: &str) -> String {
    let mut parts = path.split(".ofType(");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (of, rest) = part.split_once(')').unwrap_or((part, ""));
        let mut letters = of.chars();
        plain.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        plain.push_str(letters.as_str());
        plain.push_str(rest);
    }
    plain
}

/// Excuses resources that the document gave and that nothing refers to any more but others of them: what referred to them was
/// taken out of the Bundle, and they go with it.
pub(super) fn orphans(found: &mut [Difference], wanted: &Document, old: &Document) {
    let entry_of =
        |path: &str| -> Option<usize> { path.strip_prefix("Bundle.entry[")?.strip_suffix("].resource")?.parse().ok() };
    let mut missing: FxHashMap<usize, usize> = FxHashMap::default();
    for (at, one) in found.iter().enumerate().filter(|(_, one)| one.kind == Kind::Missing) {
        if let Some(entry) = entry_of(&one.path) {
            missing.insert(entry, at);
        }
    }
    if missing.is_empty() {
        return;
    }
    let entries: Vec<Node<'_>> = wanted.root().named("entry").collect();
    let resource = |at: usize| entries.get(at).and_then(|entry| entry.first("resource"));
    let places: FxHashMap<NodeId, usize> = missing.keys().filter_map(|at| Some((resource(*at)?.id(), *at))).collect();
    // What something that came back refers to is not excused, nor all that this refers to.
    let mut needed: FxHashSet<usize> = FxHashSet::default();
    let mut open: Vec<usize> = (0..entries.len()).filter(|at| !missing.contains_key(at)).collect();
    while let Some(at) = open.pop() {
        let mut nodes: Vec<Node<'_>> = resource(at).into_iter().collect();
        while let Some(node) = nodes.pop() {
            if node.name() == "reference"
                && let Some(to) = node.text().and_then(|text| resolve(wanted, text))
                && let Some(to) = places.get(&to.id())
                && needed.insert(*to)
            {
                open.push(*to);
            }
            nodes.extend(node.children());
        }
    }
    for (entry, at) in missing.into_iter().filter(|(entry, _)| !needed.contains(entry)) {
        let url = entries.get(entry).and_then(|entry| entry.text_at("fullUrl"));
        let was = url.and_then(|url| resolve(old, url));
        if let (Some(new), Some(was)) = (resource(entry), was)
            && equal(old, wanted, was, new)
            && let Some(one) = found.get_mut(at)
        {
            one.kind = Kind::Excused;
        }
    }
}
