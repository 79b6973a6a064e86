//! What a section shows of entries that were changed: where the narrative refers to a statement, what it shows of that one is
//! told anew, and the rest stays; else the whole narrative is told anew, from all entries. What the document refers to by an
//! ID is there before and after.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::native::{Anchor, Edit, EditError, Insert, Kind, Name, NodeId, Place, Tree};

use super::statement::{Words, escaped};

/// What stands for one thing among others in a narrative.
const UNITS: [&str; 3] = ["tr", "item", "paragraph"];
/// What can hold a line of text by itself.
const INLINE: [&str; 4] = ["content", "td", "th", "caption"];

/// A section: what it shows and what it holds.
pub(super) struct Section {
    pub(super) text: NodeId,
    pub(super) entries: Vec<NodeId>,
}

/// Sections, those within sections too.
pub(super) fn sections(tree: &Tree, top: NodeId, namespace: &str) -> Vec<Section> {
    let all = all(tree, top, namespace).into_iter();
    all.filter_map(|(_, text, entries)| Some(Section { text: text?, entries })).collect()
}

/// The sections that show nothing, with what they hold.
pub(super) fn silent(tree: &Tree, top: NodeId, namespace: &str) -> Vec<(NodeId, Vec<NodeId>)> {
    let all = all(tree, top, namespace).into_iter();
    all.filter(|(_, text, entries)| text.is_none() && !entries.is_empty())
        .map(|(at, _, entries)| (at, entries))
        .collect()
}

/// Gives a section that shows nothing a narrative of what it holds.
///
/// # Errors
/// [`EditError`] where the document has no room for it.
pub(super) fn tell(
    edit: &mut Edit<'_>,
    tree: &Tree,
    section: NodeId,
    entries: &[NodeId],
    namespace: &str,
) -> Result<(), EditError> {
    let none = FxHashMap::default();
    let words = Words { tree, shown: &none };
    let mut taken = FxHashSet::default();
    let lines = entries.iter().filter_map(|entry| words.entry(*entry));
    let items = lines.fold(String::new(), |items, line| items + "<item>" + &line.markup(true, &mut taken) + "</item>");
    if items.is_empty() {
        return Ok(());
    }
    let name = if namespace.is_empty() { Name::local("text") } else { Name::new(namespace, "text") };
    let prefix = prefix_of(tree, section);
    let text = edit.insert(Anchor::Last(Place::Node(section), &[]), Insert::Element(&name))?;
    edit.set_markup(text, &[], &prefixed(&format!("<list>{items}</list>"), &prefix))
}

/// A section, what it shows and what it holds.
type Found = (NodeId, Option<NodeId>, Vec<NodeId>);

fn all(tree: &Tree, top: NodeId, namespace: &str) -> Vec<Found> {
    let is = |node: NodeId, local: &str| {
        tree.kind(node) == Kind::Element
            && tree.namespace(node).unwrap_or_default() == namespace
            && tree.name(node).is_some_and(|name| name == local)
    };
    let mut found = Vec::new();
    let mut open = vec![top];
    while let Some(at) = open.pop() {
        let within: Vec<NodeId> = tree.children(at).collect();
        if is(at, "section") {
            let text = within.iter().copied().find(|child| is(*child, "text"));
            found.push((at, text, within.iter().copied().filter(|child| is(*child, "entry")).collect()));
        }
        let further = |child: &NodeId| ["component", "structuredBody", "section"].iter().any(|name| is(*child, name));
        open.extend(within.into_iter().filter(further));
    }
    found
}

/// The narrative of a section, in a document that was changed.
struct Shown<'t> {
    tree: &'t Tree,
    text: NodeId,
    /// Its elements and their words, by ID.
    by_id: FxHashMap<String, NodeId>,
    words: FxHashMap<String, String>,
    /// Tables of which a cell goes over several rows.
    spanned: FxHashSet<NodeId>,
}

/// How much of the document refers to an ID.
pub(super) type Uses = FxHashMap<String, usize>;

/// How often each ID is referred to below an element.
pub(super) fn uses(tree: &Tree, top: NodeId) -> Uses {
    let none = FxHashMap::default();
    let mut all = Uses::default();
    for id in (Words { tree, shown: &none }).all_references(top) {
        *all.entry(id).or_default() += 1;
    }
    all
}

/// Brings the narrative of a section in line with its entries.
///
/// # Errors
/// [`EditError`] where the document has no room for it.
pub(super) fn retell(
    edit: &mut Edit<'_>,
    tree: &Tree,
    section: &Section,
    (old, before): (&Tree, &Section),
    uses: &Uses,
) -> Result<(), EditError> {
    let shown = Shown::of(tree, section.text);
    let Some(steps) = shown.steps(section, old, before, uses) else { return shown.anew(edit, section, uses) };
    let prefix = shown.prefix();
    for step in steps {
        match step {
            Step::Tell(unit, markup) => edit.set_markup(unit, &[], &markup)?,
            Step::Remove(unit) => edit.remove(unit)?,
            Step::Add(markup) => {
                let markup = format!("<{prefix}paragraph>{}</{prefix}paragraph>", prefixed(&markup, &prefix));
                edit.insert(Anchor::Last(Place::Node(section.text), &[]), Insert::Markup(&markup))?;
            }
        }
    }
    Ok(())
}

enum Step {
    Tell(NodeId, String),
    Remove(NodeId),
    Add(String),
}

impl<'t> Shown<'t> {
    fn of(tree: &'t Tree, text: NodeId) -> Self {
        let mut shown = Self {
            tree,
            text,
            by_id: FxHashMap::default(),
            words: FxHashMap::default(),
            spanned: FxHashSet::default(),
        };
        let mut open = vec![text];
        while let Some(at) = open.pop() {
            if let Some(id) = tree.attribute(at, &Name::local("ID")).and_then(|node| tree.text(node)) {
                shown.words.insert(id.clone().into_owned(), words(tree, at));
                shown.by_id.insert(id.into_owned(), at);
            }
            if tree.attribute(at, &Name::local("rowspan")).is_some() {
                let mut above = std::iter::successors(Some(at), |at| tree.parent(*at));
                let table = above.find(|at| shown.is(*at, &["table"]));
                shown.spanned.extend(table);
            }
            open.extend(tree.children(at).filter(|child| tree.kind(*child) == Kind::Element));
        }
        shown
    }

    fn is(&self, node: NodeId, names: &[&str]) -> bool {
        self.tree.kind(node) == Kind::Element && self.tree.name(node).is_some_and(|own| names.iter().any(|n| own == *n))
    }

    /// What shows one statement: the row, item or paragraph around what bears its ID, or that itself.
    fn unit(&self, id: &str) -> Option<NodeId> {
        let own = *self.by_id.get(id)?;
        let above = std::iter::successors(Some(own), |at| self.tree.parent(*at));
        let mut within = above.take_while(|at| *at != self.text);
        let around = within.find(|at| self.is(*at, &UNITS));
        around.or_else(|| Some(own).filter(|own| self.is(*own, &INLINE)))
    }

    /// The IDs in an element, its own among them.
    fn ids(&self, within: NodeId) -> Vec<String> {
        let mut found = Vec::new();
        let mut open = vec![within];
        while let Some(at) = open.pop() {
            let id = self.tree.attribute(at, &Name::local("ID")).and_then(|node| self.tree.text(node));
            found.extend(id.map(std::borrow::Cow::into_owned));
            open.extend(self.tree.children(at).filter(|child| self.tree.kind(*child) == Kind::Element));
        }
        found
    }

    /// What is to be done where only some of what is shown changes; nothing where the narrative does not tell which part of
    /// it shows what.
    fn steps(&self, section: &Section, old: &Tree, before: &Section, uses: &Uses) -> Option<Vec<Step>> {
        let now = Words { tree: self.tree, shown: &self.words };
        let then = Words { tree: old, shown: &self.words };
        let mut kept: FxHashMap<&[u8], usize> = FxHashMap::default();
        for entry in &before.entries {
            *kept.entry(old.raw(*entry)).or_default() += 1;
        }
        let mut changed = Vec::new();
        for entry in &section.entries {
            match kept.get_mut(self.tree.raw(*entry)) {
                Some(left) if *left > 0 => *left -= 1,
                _ => changed.push(*entry),
            }
        }
        let mut gone: Vec<NodeId> = Vec::new();
        for entry in &before.entries {
            if let Some(left) = kept.get_mut(old.raw(*entry))
                && *left > 0
            {
                *left -= 1;
                gone.push(*entry);
            }
        }
        let mut were: FxHashMap<Vec<u8>, NodeId> =
            gone.iter().filter_map(|entry| Some((identity(then, *entry)?, *entry))).collect();
        let mut steps = Vec::new();
        let mut matched: FxHashSet<NodeId> = FxHashSet::default();
        let mut taken_here: FxHashSet<String> = self.by_id.keys().cloned().collect();
        let mut told: FxHashSet<NodeId> = FxHashSet::default();
        for entry in changed {
            let was = identity(now, entry).and_then(|identity| were.remove(&identity));
            matched.extend(was);
            let line = now.entry(entry)?;
            let of_old = was.and_then(|was| then.shown_by(then.statement(was)?));
            let Some(id) = now.shown_by(now.statement(entry)?).filter(|id| self.by_id.contains_key(id)).or(of_old)
            else {
                // What was there, and is shown no one knows where.
                if was.is_some() {
                    return None;
                }
                steps.push(Step::Add(line.markup(false, &mut taken_here)));
                continue;
            };
            let unit = self.unit(&id)?;
            let mut own: Uses = Uses::default();
            for id in now.all_references(entry) {
                *own.entry(id).or_default() += 1;
            }
            let inside = self.ids(unit);
            let alone =
                |id: &String| uses.get(id).copied().unwrap_or_default() == own.get(id).copied().unwrap_or_default();
            // What it refers to elsewhere may show what was, and what others refer to is theirs.
            let whole = own.keys().all(|id| !self.by_id.contains_key(id) || inside.contains(id));
            if !(whole && inside.iter().all(alone) && told.insert(unit)) {
                return None;
            }
            let holder = self.tree.attribute(unit, &Name::local("ID")).and_then(|node| self.tree.text(node));
            let bears: Vec<&str> = line.ids();
            let rest = inside.iter().filter(|id| own.contains_key(*id) && !bears.contains(&id.as_str()));
            let mut taken: FxHashSet<String> = holder.iter().map(|id| id.clone().into_owned()).collect();
            let rest: String = rest
                .filter(|id| holder.as_deref() != Some(id.as_str()))
                .map(|id| format!("<content ID=\"{}\"/>", escaped(id)))
                .collect();
            let lists = self.is(unit, &["tr", "item", "td", "th"]);
            let markup = format!("{}{rest}", line.markup(lists, &mut taken));
            steps.push(Step::Tell(unit, self.cell(unit, markup)?));
        }
        let mut fewer: FxHashMap<NodeId, usize> = FxHashMap::default();
        for entry in gone.into_iter().filter(|entry| !matched.contains(entry)) {
            let id = then.shown_by(then.statement(entry)?)?;
            let unit = self.unit(&id)?;
            let free = |id: &String| !uses.contains_key(id);
            if !self.ids(unit).iter().all(free) || !told.insert(unit) || !self.is(unit, &UNITS) {
                return None;
            }
            *fewer.entry(self.tree.parent(unit)?).or_default() += 1;
            steps.push(Step::Remove(unit));
        }
        // A list has items, a table rows.
        let left = |(holder, fewer): (&NodeId, &usize)| {
            self.tree.children(*holder).filter(|c| self.is(*c, &UNITS)).count() > *fewer
        };
        let is_emptied = !fewer.iter().all(left);
        (!is_emptied).then_some(steps)
    }

    /// What stands in a unit that tells a line: in a row one cell across all columns.
    fn cell(&self, unit: NodeId, markup: String) -> Option<String> {
        if !self.is(unit, &["tr"]) {
            return Some(markup);
        }
        let tree = self.tree;
        let mut across = 0_usize;
        for cell in tree.children(unit).filter(|child| self.is(*child, &["td", "th"])) {
            let span = tree.attribute(cell, &Name::local("colspan")).and_then(|node| tree.text(node));
            across += span.and_then(|text| text.trim().parse::<usize>().ok()).unwrap_or(1);
        }
        let table = std::iter::successors(Some(unit), |at| tree.parent(*at)).find(|at| self.is(*at, &["table"]))?;
        if self.spanned.contains(&table) {
            return None;
        }
        let span = if across > 1 { format!(" colspan=\"{across}\"") } else { String::new() };
        Some(format!("<td{span}>{markup}</td>"))
    }

    /// The whole narrative from all entries.
    fn anew(&self, edit: &mut Edit<'_>, section: &Section, uses: &Uses) -> Result<(), EditError> {
        let now = Words { tree: self.tree, shown: &self.words };
        let mut taken: FxHashSet<String> = FxHashSet::default();
        let mut items = String::new();
        let mut own: FxHashSet<String> = FxHashSet::default();
        for entry in &section.entries {
            own.extend(now.all_references(*entry));
            if let Some(line) = now.entry(*entry) {
                let within = line.markup(true, &mut taken);
                items.push_str(&format!("<item>{within}</item>"));
            }
        }
        let mut markup = if items.is_empty() {
            "<paragraph>This section has no entries.</paragraph>".to_owned()
        } else {
            format!("<list>{items}</list>")
        };
        // What something refers to by an ID is there on.
        let mut others: Vec<&String> =
            self.by_id.keys().filter(|id| uses.contains_key(*id) && !taken.contains(*id)).collect();
        others.sort_unstable();
        for id in others {
            let said = self.words.get(id).filter(|_| !own.contains(id)).map(String::as_str).unwrap_or_default();
            markup.push_str(&format!(
                "<paragraph><content ID=\"{}\">{}</content></paragraph>",
                escaped(id),
                escaped(said)
            ));
        }
        edit.set_markup(section.text, &[], &markup)
    }

    /// The prefix that the narrative's names have.
    fn prefix(&self) -> String {
        prefix_of(self.tree, self.text)
    }
}

/// Markup whose names have a prefix.
/// The prefix of an element's name, with its colon.
fn prefix_of(tree: &Tree, element: NodeId) -> String {
    let name = tree.raw(element).get(1..).unwrap_or_default();
    let end = name.iter().position(|b| b.is_ascii_whitespace() || matches!(b, b'>' | b'/')).unwrap_or_default();
    let name = std::str::from_utf8(name.get(..end).unwrap_or_default()).unwrap_or_default();
    name.split_once(':').map(|(prefix, _)| format!("{prefix}:")).unwrap_or_default()
}

fn prefixed(markup: &str, prefix: &str) -> String {
    if prefix.is_empty() {
        return markup.to_owned();
    }
    markup.replace("</", "\u{0}").replace('<', &format!("<{prefix}")).replace('\u{0}', &format!("</{prefix}"))
}

/// What tells a statement from others, before and after a change.
fn identity(words: Words<'_>, entry: NodeId) -> Option<Vec<u8>> {
    let statement = words.statement(entry)?;
    let tree = words.tree;
    let id = tree
        .children(statement)
        .find(|child| tree.kind(*child) == Kind::Element && tree.name(*child).is_some_and(|name| name == "id"));
    match id {
        Some(id) => Some(tree.raw(id).to_vec()),
        None => Some(format!("#{}", words.shown_by(statement)?).into_bytes()),
    }
}

/// The words of a part of a narrative.
fn words(tree: &Tree, at: NodeId) -> String {
    let leaves = tree.leaves(at).filter_map(|leaf| tree.leaf_node(leaf));
    let texts = leaves.filter(|node| tree.kind(*node) != Kind::Attribute).filter_map(|node| tree.text(node));
    let text = texts.fold(String::new(), |text, piece| text + " " + &piece);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
