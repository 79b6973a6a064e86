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

/// What a write is judged by: what was wanted, and the document before and after.
pub(crate) struct Judged<'r> {
    pub(crate) wanted: &'r Document,
    pub(crate) before: Reading<'r>,
    pub(crate) after: Reading<'r>,
    pub(crate) plan: &'r Plan,
    pub(crate) model: &'r Model,
}

/// Where each leaf of a document went, by its path, and what it says.
type Leaves = FxHashMap<String, (Vec<String>, Option<String>)>;

impl Judged<'_> {
    /// Excuses differences that follow from what is wanted.
    pub(crate) fn excuse(&self, found: &mut [Difference]) {
        let mut leaves: Option<(Leaves, Leaves)> = None;
        if found.len() <= MOST {
            self.superseded(found, &mut leaves);
        }
        let is_added = |one: &Difference| one.kind == Kind::Added;
        if !found.iter().any(is_added) {
            return;
        }
        let run = self.after.run;
        let implied: FxHashSet<String> = run.trace.paths(self.model, &run.defaulted).into_iter().collect();
        for one in found.iter_mut().filter(|one| one.kind == Kind::Added) {
            if implied.contains(&plain(&one.path)) {
                one.kind = Kind::Excused;
            }
        }
        let missing = found.iter().any(|one| one.kind == Kind::Missing);
        if missing && found.len() <= MOST && found.iter().any(is_added) {
            self.moved(found, &mut leaves);
        }
    }

    /// The leaves before and after, looked up when they are first asked for.
    fn leaves<'l>(&self, leaves: &'l mut Option<(Leaves, Leaves)>) -> &'l (Leaves, Leaves) {
        let texts = |of: Reading<'_>| -> Leaves {
            let report = of.run.trace.report("", of.tree, self.plan, self.model);
            let leaves = (0..of.tree.leaf_count()).map(|leaf| of.tree.text(of.tree.leaf_node(leaf)));
            let of_leaf = report.items.into_iter().zip(leaves);
            of_leaf.map(|(item, text)| (item.path, (item.to, text.map(std::borrow::Cow::into_owned)))).collect()
        };
        leaves.get_or_insert_with(|| (texts(self.before), texts(self.after)))
    }

    /// Whether what is wanted at a path is what was there.
    fn is_as_it_was(&self, path: &str) -> bool {
        let both = at(self.wanted, path).zip(at(self.before.got, path));
        both.is_some_and(|(new, was)| equal(self.before.got, self.wanted, was, new))
    }

    /// What stands beside an element for a code that no table has, where the element says another thing now: it is as it
    /// was, and told of leaves that say what is wanted of the element. So is that an element is unknown which has a value now.
    fn superseded(&self, found: &mut [Difference], leaves: &mut Option<(Leaves, Leaves)>) {
        let is_beside = |path: &str| path.rsplit('.').next().is_some_and(|last| last.starts_with("extension["));
        for one in found.iter_mut().filter(|one| one.kind == Kind::Missing && is_beside(&one.path)) {
            let Some(node) = at(self.wanted, &one.path) else { continue };
            if node.text_at("url") == Some(ABSENT) {
                let holder = one.path.rsplit_once('.').and_then(|(holder, _)| at(self.wanted, holder));
                if holder.is_some_and(|holder| holder.text().is_some()) {
                    one.kind = Kind::Excused;
                }
                continue;
            }
            if !self.is_as_it_was(&one.path) {
                continue;
            }
            let (were, are) = self.leaves(leaves);
            let path = plain(&one.path);
            let mut told = were.iter().filter(|(_, (to, _))| to.iter().any(|one| is_within(one, &path))).peekable();
            let is_other = |(leaf, (_, text)): (&String, &(Vec<String>, Option<String>))| {
                are.get(leaf).is_none_or(|(_, now)| now != text)
            };
            if told.peek().is_some() && told.all(is_other) {
                one.kind = Kind::Excused;
            }
        }
    }

    /// A leaf that nobody touched, and that another line carries since something beside it changed.
    fn moved(&self, found: &mut [Difference], leaves: &mut Option<(Leaves, Leaves)>) {
        let paths: Vec<String> = found.iter().map(|one| plain(&one.path)).collect();
        // What is missing as it was is what the leaf said.
        let same: Vec<bool> =
            found.iter().map(|one| one.kind == Kind::Missing && self.is_as_it_was(&one.path)).collect();
        let (were, are) = self.leaves(leaves);
        let mut excused: FxHashSet<usize> = FxHashSet::default();
        for (leaf, (to, text)) in were {
            let Some((now, _)) = are.get(leaf).filter(|(_, now)| now == text && text.is_some()) else { continue };
            let within = |all: &[String], path: &str| all.iter().any(|one| is_within(one, path));
            let gone: Vec<usize> = (0..found.len())
                .filter(|n| {
                    same.get(*n).copied().unwrap_or(false) && paths.get(*n).is_some_and(|path| within(to, path))
                })
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
