//! What is written is read again, and compared with what was wanted: PutGet is checked on every write.

use std::collections::VecDeque;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::definitions::Symbol;
use crate::fhir::document::{Document, Node, NodeId};

use super::super::lens::same_moment;
use super::super::versions::envelope::is_own;
use super::ABSENT;
use super::align::gist;
use super::modifier;
use super::put::resolve;

/// How many candidates of the same likeness are compared one by one.
const CLOSE: usize = 32;

/// A place where two Bundles differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) path: String,
    pub(crate) kind: Kind,
    /// Whether it changes what the rest of the resource means.
    pub(crate) turns: bool,
}

/// How they differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Wanted, and not there.
    Missing,
    /// There, and not wanted.
    Added,
    /// Another value.
    Other,
    /// Another value, as the line that wrote it says: a stand-in, or what follows from another element.
    Excused,
    /// A value, where it was wanted that there is none known.
    Known,
    /// The same items of a list in another order.
    Order,
    /// Someone who acts, told once more where the document speaks of that one again.
    Again,
}

impl Kind {
    /// Whether it is a difference that a write may have.
    pub(crate) fn is_harmless(self) -> bool {
        matches!(self, Self::Excused | Self::Again)
    }
}

/// A comparison of a wanted Bundle with one that was read.
struct Compare<'d, 'x> {
    wanted: &'d Document,
    got: &'d Document,
    exempt: &'x FxHashSet<NodeId>,
    /// Resources of the wanted Bundle and what they are in the other.
    pairs: FxHashMap<NodeId, NodeId>,
    paired: FxHashSet<NodeId>,
    /// Pairs that are still to be compared.
    open: Vec<(NodeId, NodeId)>,
    found: Vec<Difference>,
}

/// Where a read Bundle differs from a wanted one, apart from ids, metadata and narrative, and from what is exempt.
/// `keyed` are the fullUrls that name a resource by a key of its own: the others may change with the order of the
/// document. `of_bundles` compares what the Bundle and its entries say for themselves, too.
pub(crate) fn differences(
    wanted: &Document,
    got: &Document,
    keyed: &FxHashSet<&str>,
    exempt: &FxHashSet<NodeId>,
    of_bundles: bool,
) -> Vec<Difference> {
    // What is written the same says the same.
    if wanted.json() == got.json() {
        return Vec::new();
    }
    let mut compare = Compare {
        wanted,
        got,
        exempt,
        pairs: FxHashMap::default(),
        paired: FxHashSet::default(),
        open: Vec::new(),
        found: Vec::new(),
    };
    let (ours, theirs) = (resources(wanted), resources(got));
    let by_url = |node: Node<'_>| {
        let url = node.parent().and_then(|e| e.text_at("fullUrl")).filter(|url| keyed.contains(url));
        let same = url.and_then(|url| got.bundle().by_url(url));
        same.filter(|o| got.node(*o).type_name() == node.type_name())
    };
    // A key that is not carried whole can become another's: of the same name are first those that say the same.
    for id in &ours {
        let node = wanted.node(*id);
        if let Some(other) = by_url(node).filter(|o| equal(wanted, got, node, got.node(*o))) {
            compare.pair(*id, other);
        }
    }
    compare.work();
    let mut free: Option<Free<'_>> = None;
    for id in &ours {
        if compare.pairs.contains_key(id) {
            continue;
        }
        // Nothing leads to it: the one that says the same, else the next of its type.
        let node = wanted.node(*id);
        let free = free.get_or_insert_with(|| Free::of(got, &theirs));
        // What says the same of another, as the work on another order does, is that other's.
        let alike =
            free.alike(node, &compare.paired, |o| equal(wanted, got, node, got.node(o)) && compare.agree(node, o));
        let named = by_url(node).filter(|o| !compare.paired.contains(o));
        let next = || free.next(node, &compare.paired, |o| compare.agree(node, o));
        match alike.or(named).or_else(next) {
            Some(other) => {
                compare.pair(*id, other);
                compare.work();
            }
            None if exempt.contains(id) => {}
            None => compare.note(node, Kind::Missing),
        }
    }
    for id in theirs {
        if !compare.paired.contains(&id) {
            compare.note(got.node(id), if compare.is_told_again(id) { Kind::Again } else { Kind::Added });
        }
    }
    if of_bundles {
        compare.envelopes();
    }
    compare.found
}

/// Resources that may still be another's pair.
struct Free<'d> {
    /// By type and by what they say.
    saying: FxHashMap<(&'d str, u64), VecDeque<NodeId>>,
    /// By type, in order.
    of_type: FxHashMap<&'d str, VecDeque<NodeId>>,
}

impl<'d> Free<'d> {
    fn of(document: &'d Document, all: &[NodeId]) -> Self {
        let (mut saying, mut of_type) =
            (FxHashMap::<_, VecDeque<NodeId>>::default(), FxHashMap::<_, VecDeque<NodeId>>::default());
        for id in all {
            let node = document.node(*id);
            saying.entry((node.type_name(), gist(node))).or_default().push_back(*id);
            of_type.entry(node.type_name()).or_default().push_back(*id);
        }
        Self { saying, of_type }
    }

    /// The first that says the same.
    fn alike(&mut self, node: Node<'d>, paired: &FxHashSet<NodeId>, same: impl Fn(NodeId) -> bool) -> Option<NodeId> {
        let all = self.saying.get_mut(&(node.type_name(), gist(node)))?;
        while all.front().is_some_and(|first| paired.contains(first)) {
            all.pop_front();
        }
        all.iter().copied().take(CLOSE).find(|o| !paired.contains(o) && same(*o))
    }

    /// The first of a type that is fit, else the first.
    fn next(&mut self, node: Node<'d>, paired: &FxHashSet<NodeId>, fit: impl Fn(NodeId) -> bool) -> Option<NodeId> {
        let all = self.of_type.get_mut(node.type_name())?;
        while all.front().is_some_and(|first| paired.contains(first)) {
            all.pop_front();
        }
        let mut near = all.iter().copied().take(CLOSE).filter(|o| !paired.contains(o));
        near.find(|o| fit(*o)).or_else(|| all.front().copied())
    }
}

fn resources(document: &Document) -> Vec<NodeId> {
    let entries = document.root().children().filter(|c| c.name() == "entry");
    entries.filter_map(|e| Some(e.first("resource")?.id())).collect()
}

impl<'d> Compare<'d, '_> {
    fn pair(&mut self, a: NodeId, b: NodeId) {
        self.pairs.insert(a, b);
        self.paired.insert(b);
        self.open.push((a, b));
    }

    /// Whether a resource of someone who acts is one that a document tells wherever it speaks of that one.
    fn is_told_again(&self, id: NodeId) -> bool {
        let node = self.got.node(id);
        is_agent(node) && self.paired.iter().any(|other| alike(self.got, self.got.node(*other), node, STEPS))
    }

    /// Compares the pairs, and those that their references lead to.
    fn work(&mut self) {
        while let Some((a, b)) = self.open.pop() {
            self.nodes(self.wanted.node(a), self.got.node(b));
        }
    }

    /// Whether two resources refer to the same ones, of those that are known to be the same.
    fn agree(&self, node: Node<'d>, other: NodeId) -> bool {
        let ours = led_to(self.wanted, node).into_iter().filter_map(|to| self.pairs.get(&to.id()).copied());
        let theirs = led_to(self.got, self.got.node(other)).into_iter().map(|to| to.id());
        let meant: FxHashSet<NodeId> = ours.collect();
        let theirs: FxHashSet<NodeId> = theirs.filter(|id| self.paired.contains(id)).collect();
        meant == theirs
    }

    /// Compares what the Bundles and their entries say for themselves.
    fn envelopes(&mut self) {
        let mut pairs: Vec<(NodeId, NodeId)> = self.pairs.iter().map(|(a, b)| (*a, *b)).collect();
        pairs.sort_unstable();
        let entries = pairs
            .into_iter()
            .filter_map(|(a, b)| Some((self.wanted.node(a).parent()?, self.got.node(b).parent()?, "Bundle.entry")));
        let mut open = vec![(self.wanted.root(), self.got.root(), "Bundle")];
        open.extend(entries);
        for (a, b, of) in open {
            for Both { ours, theirs, .. } in both(a, b) {
                if ours.first().or(theirs.first()).is_some_and(|c| is_own(of, c.name())) {
                    self.lists(&ours, &theirs);
                }
            }
        }
        self.work();
    }

    /// Two references in the same place lead to the same resource, unless it is known otherwise.
    fn follow(&mut self, a: Node<'d>, b: Node<'d>) {
        let ours = a.text().and_then(|text| resolve(self.wanted, text));
        let theirs = b.text().and_then(|text| resolve(self.got, text));
        if let (Some(x), Some(y)) = (ours, theirs)
            && x.type_name() == y.type_name()
            && !self.pairs.contains_key(&x.id())
            && !self.paired.contains(&y.id())
        {
            self.pair(x.id(), y.id());
        }
    }

    fn note(&mut self, node: Node<'_>, kind: Kind) {
        let turns = matches!(kind, Kind::Missing | Kind::Other) && modifier::turns(node, kind);
        self.found.push(Difference { path: node.path().to_string(), kind, turns });
    }

    fn nodes(&mut self, a: Node<'d>, b: Node<'d>) {
        if self.exempt.contains(&a.id()) {
            self.excuse(a, b);
            return;
        }
        if is_reference(a) {
            self.follow(a, b);
        }
        if let Some(same) = self.references(a, b) {
            if !same {
                self.note(a, Kind::Other);
            }
            return;
        }
        if is_absent(a) && !is_absent(b) {
            self.note(a, Kind::Known);
            return;
        }
        if a.text() != b.text() && !primitives(a, b) {
            self.note(a, Kind::Other);
            return;
        }
        for Both { ours, theirs, .. } in both(a, b) {
            self.lists(&ours, &theirs);
        }
    }

    /// References are the same when they lead to the same resource, or to ones that are not known yet and say the same.
    fn references(&self, a: Node<'d>, b: Node<'d>) -> Option<bool> {
        if !is_reference(a) {
            return None;
        }
        let (Some(ours), Some(theirs)) = (a.text(), b.text()) else { return None };
        Some(match (resolve(self.wanted, ours), resolve(self.got, theirs)) {
            (Some(x), Some(y)) => match self.pairs.get(&x.id()) {
                Some(other) => *other == y.id() || alike(self.got, self.got.node(*other), y, STEPS),
                None => !self.paired.contains(&y.id()) && equal(self.wanted, self.got, x, y),
            },
            (None, None) => ours == theirs,
            _ => false,
        })
    }

    fn lists(&mut self, ours: &[Node<'d>], theirs: &[Node<'d>]) {
        // The order of a list is not carried where several lines fill it: what is the same is taken out first.
        let mut used = vec![false; theirs.len()];
        let mut first = 0;
        let mut saying: Option<FxHashMap<u64, VecDeque<usize>>> = None;
        let mut open = Vec::new();
        let mut order = Vec::new();
        for (at, a) in ours.iter().enumerate() {
            let is = |o: usize, used: &[bool]| {
                used.get(o) == Some(&false) && theirs.get(o).is_some_and(|b| self.same(*a, *b))
            };
            while used.get(first) == Some(&true) {
                first += 1;
            }
            let found = if is(at, &used) {
                Some(at)
            } else if theirs.len() <= CLOSE || self.exempt.contains(&a.id()) {
                (first..theirs.len()).find(|o| is(*o, &used))
            } else {
                let saying = saying.get_or_insert_with(|| {
                    let mut saying: FxHashMap<u64, VecDeque<usize>> = FxHashMap::default();
                    for (o, b) in theirs.iter().enumerate() {
                        saying.entry(gist(*b)).or_default().push_back(o);
                    }
                    saying
                });
                saying.get_mut(&gist(*a)).and_then(|all| {
                    while all.front().is_some_and(|o| used.get(*o) == Some(&true)) {
                        all.pop_front();
                    }
                    all.iter().copied().take(CLOSE).find(|o| is(*o, &used))
                })
            };
            if !self.exempt.contains(&a.id()) {
                order.extend(found);
            }
            match found.and_then(|o| Some((used.get_mut(o)?, *theirs.get(o)?))) {
                Some((used, b)) => {
                    *used = true;
                    self.excuse(*a, b);
                }
                None => open.push(*a),
            }
        }
        // Extensions are known by their names.
        if !order.is_sorted()
            && let Some(first) = ours.first().filter(|a| !matches!(a.name(), "extension" | "modifierExtension"))
            && let Some(holder) = first.parent()
        {
            let path = format!("{}.{}", holder.path(), first.name());
            self.found.push(Difference { path, kind: Kind::Order, turns: false });
        }
        let mut left = theirs.iter().zip(used).filter(|(_, used)| !used).map(|(b, _)| *b);
        for a in open {
            match left.next() {
                Some(b) => self.nodes(a, b),
                None if self.exempt_within(a) => self.note(a, Kind::Excused),
                None => self.note(a, Kind::Missing),
            }
        }
        // That something is not known is no content.
        for b in left.filter(|b| !is_absent(*b)) {
            self.note(b, Kind::Added);
        }
    }

    /// Notes what differs between two nodes that are taken as the same.
    fn excuse(&mut self, a: Node<'d>, b: Node<'d>) {
        if is_same_text(a, b) && !refers(a) {
            return;
        }
        if is_reference(a) {
            self.follow(a, b);
        } else if a.text() != b.text() && !primitives(a, b) {
            self.note(a, Kind::Excused);
        }
        for Both { ours, theirs, .. } in both(a, b) {
            for (at, one) in ours.iter().enumerate() {
                match theirs.get(at) {
                    Some(other) => self.excuse(*one, *other),
                    None => self.note(*one, Kind::Excused),
                }
            }
            for other in theirs.into_iter().skip(ours.len()) {
                self.note(other, Kind::Excused);
            }
        }
    }

    /// Whether all that a node says is exempt.
    fn exempt_within(&self, node: Node<'d>) -> bool {
        if self.exempt.contains(&node.id()) {
            return true;
        }
        // An extension says nothing by its name alone.
        let mut children = node.children().filter(|c| node.type_name() != "Extension" || c.name() != "url").peekable();
        children.peek().is_some() && children.all(|c| self.exempt_within(c))
    }

    fn same(&self, a: Node<'d>, b: Node<'d>) -> bool {
        if self.exempt.contains(&a.id()) {
            return true;
        }
        if is_same_text(a, b) && !refers(a) {
            return true;
        }
        if let Some(same) = self.references(a, b) {
            return same;
        }
        if a.text() != b.text() && !primitives(a, b) {
            return false;
        }
        both(a, b).iter().all(|Both { ours, theirs, .. }| {
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(a, b)| self.same(*a, *b))
        })
    }
}

/// How far those who act refer to each other: a role to a person and an organisation, and that to another.
const STEPS: usize = 4;

/// Whether a resource is of someone who acts: a document tells of these wherever it speaks of them.
pub(crate) fn is_agent(node: Node<'_>) -> bool {
    matches!(node.type_name(), "PractitionerRole" | "Practitioner" | "Organization")
}

/// Whether two resources of one Bundle tell of the same one who acts, in the same words.
fn alike(of: &Document, a: Node<'_>, b: Node<'_>, steps: usize) -> bool {
    if a.id() == b.id() {
        return true;
    }
    if steps == 0 || !is_agent(a) || a.type_name() != b.type_name() {
        return false;
    }
    // What a place says of someone's part in something stands in extensions of the role.
    let says = |node: Node<'_>| node.type_name() == "PractitionerRole";
    let same = both(a, b)
        .iter()
        .filter(|both| !says(a) || both.ours.iter().chain(&both.theirs).all(|c| c.name() != "extension"))
        .all(|Both { ours, theirs, .. }| {
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(one, other)| equal(of, of, *one, *other))
        });
    if !same {
        return false;
    }
    let (ours, theirs) = (led_to(of, a), led_to(of, b));
    ours.len() == theirs.len() && ours.iter().zip(&theirs).all(|(a, b)| alike(of, *a, *b, steps - 1))
}

/// The resources that one refers to, in order.
fn led_to<'d>(of: &'d Document, resource: Node<'d>) -> Vec<Node<'d>> {
    let mut found = Vec::new();
    let mut open = vec![resource];
    while let Some(node) = open.pop() {
        if is_reference(node) {
            found.extend(node.text().and_then(|text| resolve(of, text)));
        }
        open.extend(node.children().filter(|child| child.name() != "extension"));
    }
    found
}

/// Whether a node says nothing but why it has no value.
fn is_absent(node: Node<'_>) -> bool {
    let mut children = node.children();
    let only = children.next().filter(|child| children.next().is_none() && child.name() == "extension");
    node.text().is_none() && only.is_some_and(|one| one.text_at("url") == Some(ABSENT))
}

/// Whether a node is the text of a reference.
fn is_reference(node: Node<'_>) -> bool {
    node.name() == "reference" && node.parent().is_some_and(|p| p.type_name() == "Reference")
}

/// Whether two nodes are written the same.
pub(crate) fn is_same_text(a: Node<'_>, b: Node<'_>) -> bool {
    a.raw() == b.raw() && a.raw_twin() == b.raw_twin()
}

/// Whether there may be a reference in a node: what that leads to is another matter than what it says.
fn refers(node: Node<'_>) -> bool {
    let has = |text: &str| memchr::memmem::find(text.as_bytes(), b"\"reference\"").is_some();
    is_reference(node) || has(node.raw()) || node.raw_twin().is_some_and(has)
}

/// The children of one name of two nodes.
struct Both<'d> {
    name: (Symbol, &'d str),
    ours: Vec<Node<'d>>,
    theirs: Vec<Node<'d>>,
}

/// The children of two nodes that count, by their names.
fn both<'d>(a: Node<'d>, b: Node<'d>) -> Vec<Both<'d>> {
    let mut all: Vec<Both<'d>> = Vec::new();
    let mut put = |node: Node<'d>, own: bool| {
        // A name that the model does not know is known by its text.
        let symbol = node.symbol();
        let name = (symbol, if symbol == Symbol::UNKNOWN { node.name() } else { "" });
        let at = all.iter().rposition(|both| both.name == name).unwrap_or_else(|| {
            all.push(Both { name, ours: Vec::new(), theirs: Vec::new() });
            all.len() - 1
        });
        if let Some(both) = all.get_mut(at) {
            if own { both.ours.push(node) } else { both.theirs.push(node) }
        }
    };
    a.children().filter(|c| counts(a, *c)).for_each(|c| put(c, true));
    b.children().filter(|c| counts(a, *c)).for_each(|c| put(c, false));
    all
}

fn primitives(a: Node<'_>, b: Node<'_>) -> bool {
    match (a.text(), b.text()) {
        (Some(x), Some(y)) => matches!(a.type_name(), "dateTime" | "instant") && same_moment(x, y),
        _ => false,
    }
}

/// Whether two nodes say the same, references compared by the type they lead to.
pub(crate) fn equal(of_a: &Document, of_b: &Document, a: Node<'_>, b: Node<'_>) -> bool {
    if is_same_text(a, b) {
        return true;
    }
    if a.text() != b.text() && !primitives(a, b) {
        let reference = a.name() == "reference";
        let both = a.text().and_then(|x| resolve(of_a, x)).zip(b.text().and_then(|y| resolve(of_b, y)));
        if !reference || both.is_none_or(|(x, y)| x.type_name() != y.type_name()) {
            return false;
        }
    }
    both(a, b).into_iter().all(|Both { ours, theirs, .. }| {
        if ours.len() != theirs.len() {
            return false;
        }
        let mut used = vec![false; theirs.len()];
        let mut first = 0;
        ours.iter().all(|child| {
            while used.get(first) == Some(&true) {
                first += 1;
            }
            let free = |o: &usize| used.get(*o) == Some(&false);
            let same =
                |o: &usize| theirs.get(*o).is_some_and(|c| c.name() == child.name() && equal(of_a, of_b, *child, *c));
            let found = (first..theirs.len()).filter(free).find(same);
            found.and_then(|o| used.get_mut(o)).map(|used| *used = true).is_some()
        })
    })
}

/// Whether a child is content: what a resource is called by is not.
pub(crate) fn counts(of: Node<'_>, child: Node<'_>) -> bool {
    !matches!(child.name(), "id" | "meta" | "text") || !of.is_resource()
}
