//! What is known of every statement before any document is seen: what it cannot do without, and which element of a resource
//! it speaks of.

use std::num::NonZeroU8;

use super::super::plan::{
    Leaf, Level, NativeName, NativePath, NativeSelect, Plan, Rule, Said, Scope, ScopeId, SlotAt, SlotRef, Stmt,
    StmtKind,
};
use super::super::syntax::Direction;

/// Fills in what [`Stmt`] says beside what it does, for a whole plan.
pub(super) fn settle(plan: &mut Plan) {
    let found: Vec<Vec<Known>> = (0..)
        .zip(&plan.scopes)
        .map(|(id, scope)| scope.body.iter().map(|stmt| Known::of(plan, id, stmt)).collect())
        .collect();
    for (scope, found) in plan.scopes.iter_mut().zip(found) {
        for (stmt, known) in scope.body.iter_mut().zip(found) {
            stmt.level = known.level;
            stmt.needs = known.needs;
            stmt.leaf = known.leaf;
            stmt.said = known.said;
            stmt.segments = known.segments;
        }
    }
}

/// Finds out which scopes are closed, once those that share an inside have it.
pub(super) fn close(plan: &mut Plan) {
    let mut known = vec![None; plan.scopes.len()];
    for id in 0..plan.scopes.len() {
        is_closed(plan, id, &mut known);
    }
    for (scope, closed) in plan.scopes.iter_mut().zip(known) {
        scope.closed = closed.unwrap_or(false);
    }
}

struct Known {
    level: Level,
    needs: u64,
    leaf: Option<Leaf>,
    said: Option<Said>,
    segments: bool,
}

impl Known {
    fn of(plan: &Plan, scope: ScopeId, stmt: &Stmt) -> Self {
        let ((level, needs), leaf, said) = match stmt.kind {
            StmtKind::Rule(id) => match plan.rule(id) {
                Some(rule) => {
                    (of_rule(rule), leaf(rule), hangs(plan, scope, rule.slot).then_some(Said::Slot(rule.slot)))
                }
                None => (ANYWHERE, None, None),
            },
            StmtKind::Whole(id) => {
                let slot = plan.whole(id).map(|w| w.slot).filter(|slot| hangs(plan, scope, *slot));
                (ANYWHERE, None, slot.map(Said::Slot))
            }
            StmtKind::Scope(id) => (
                plan.scope(id).map_or(ANYWHERE, of_scope),
                None,
                of_own_place(plan, scope, id).unwrap_or(false).then_some(Said::Scope(id)),
            ),
        };
        let segments = matches!(stmt.kind, StmtKind::Scope(id) if plan.scope(id).is_some_and(of_segments));
        Self { level, needs, leaf, said, segments }
    }
}

const ANYWHERE: (Level, u64) = (Level::Anywhere, 0);

fn of_rule(rule: &Rule) -> (Level, u64) {
    // Where native says nothing the map may say something by itself.
    if rule.empty.is_some() || rule.demanded { ANYWHERE } else { any_of(rule.native.iter().flatten()) }
}

fn of_scope(scope: &Scope) -> (Level, u64) {
    any_of(&scope.native)
}

/// What one of these paths cannot do without.
fn any_of<'p>(paths: impl IntoIterator<Item = &'p NativePath>) -> (Level, u64) {
    let mut paths = paths.into_iter().map(of_path);
    let Some((level, first)) = paths.next() else { return ANYWHERE };
    let mut needs = first;
    for (other, bits) in paths {
        if other != level {
            return ANYWHERE;
        }
        needs |= bits;
    }
    (level, needs)
}

fn of_path(path: &NativePath) -> (Level, u64) {
    match path.steps.first().filter(|_| !path.from_document).map(|step| &step.name) {
        Some(NativeName::Field(n)) => (Level::Field, Level::bit(u32::from(*n))),
        Some(NativeName::Component(n)) => (Level::Component, Level::bit(u32::from(*n))),
        Some(NativeName::Subcomponent(n)) => (Level::Subcomponent, Level::bit(u32::from(*n))),
        Some(NativeName::Element(name) | NativeName::Attribute(name)) => {
            (Level::Name, Level::name_bit(name.name.local.as_bytes()))
        }
        Some(NativeName::Member(name)) if !name.is_empty() => (Level::Name, Level::name_bit(name.as_bytes())),
        _ => ANYWHERE,
    }
}

/// The one leaf that a rule looks at, where it is below the scope's part by its numbers alone.
fn leaf(rule: &Rule) -> Option<Leaf> {
    let [tuple] = rule.native.as_slice() else { return None };
    let [path] = tuple.as_slice() else { return None };
    if path.from_document || rule.empty.is_some() || rule.demanded || rule.direction == Direction::Put {
        return None;
    }
    let (first, rest) = path.steps.split_first()?;
    let number = match (&first.name, &first.select) {
        (NativeName::Field(n), NativeSelect::First) => *n,
        (NativeName::Component(n) | NativeName::Subcomponent(n), _) => *n,
        _ => return None,
    };
    let small = |n: u16| u8::try_from(n).ok().filter(|n| *n < 63);
    let mut leaf = Leaf { number: NonZeroU8::new(small(number)?)?, component: 0, subcomponent: 0 };
    for step in rest {
        match step.name {
            NativeName::Component(n) if leaf.component == 0 && leaf.subcomponent == 0 => leaf.component = small(n)?,
            NativeName::Subcomponent(n) if leaf.subcomponent == 0 => leaf.subcomponent = small(n)?,
            _ => return None,
        }
    }
    Some(leaf)
}

/// Whether a scope takes whole segments.
fn of_segments(scope: &Scope) -> bool {
    let first = scope.native.first().and_then(|path| path.steps.first());
    first.is_some_and(|step| matches!(step.name, NativeName::Segment(_) | NativeName::Group(_)))
}

fn of_own_place(plan: &Plan, scope: ScopeId, id: ScopeId) -> Option<bool> {
    let inner = plan.scope(id)?;
    let from = match &inner.slots.first()?.at {
        SlotAt::Child { parent: to, .. } | SlotAt::Alias(to) => *to,
        SlotAt::Entry(index) => {
            let reference = inner.entries.get(usize::from(*index))?.reference?;
            match &inner.slots.get(usize::from(reference))?.at {
                SlotAt::Child { parent: to, .. } | SlotAt::Alias(to) => *to,
                SlotAt::Entry(_) | SlotAt::Nowhere => return None,
            }
        }
        SlotAt::Nowhere => return None,
    };
    let outer = above(plan, scope, from.up.checked_sub(1)?);
    Some(hangs(plan, outer, from.slot))
}

/// Whether a place hangs on a resource, without a scope's own place between.
fn hangs(plan: &Plan, scope: ScopeId, slot: u16) -> bool {
    let (mut scope, mut slot) = (scope, slot);
    loop {
        let Some(of) = plan.scope(scope).and_then(|s| s.slots.get(usize::from(slot))) else { return false };
        let SlotRef { up, slot: next } = match &of.at {
            SlotAt::Entry(_) => return true,
            SlotAt::Nowhere => return false,
            SlotAt::Alias(_) | SlotAt::Child { .. } if slot == 0 => return false,
            SlotAt::Alias(to) | SlotAt::Child { parent: to, .. } => *to,
        };
        scope = above(plan, scope, up);
        slot = next;
    }
}

/// Whether a scope and those in it speak of nothing but what is in its own place, and both ways.
fn is_closed(plan: &Plan, id: usize, known: &mut [Option<bool>]) -> bool {
    if let Some(Some(closed)) = known.get(id) {
        return *closed;
    }
    let Some(scope) = plan.scopes.get(id) else { return false };
    // What a block that is used within itself is depends on the rest of it.
    if let Some(place) = known.get_mut(id) {
        *place = Some(true);
    }
    let own = |at: &SlotAt, up: u8| match at {
        SlotAt::Child { parent: to, .. } | SlotAt::Alias(to) => to.up == up,
        SlotAt::Entry(_) | SlotAt::Nowhere => false,
    };
    let closed = scope.entries.is_empty()
        && scope.links.is_empty()
        && scope.bound.is_empty()
        && scope.slots.iter().enumerate().all(|(at, slot)| own(&slot.at, u8::from(at == 0)))
        && scope.body.iter().all(|stmt| match stmt.kind {
            StmtKind::Rule(id) => plan.rule(id).is_some_and(|rule| rule.direction != Direction::Get),
            StmtKind::Whole(_) => false,
            StmtKind::Scope(inner) => {
                plan.scope(inner).is_some_and(|inner| inner.direction != Direction::Get)
                    && is_closed(plan, inner as usize, known)
            }
        });
    if let Some(place) = known.get_mut(id) {
        *place = Some(closed);
    }
    closed
}

fn above(plan: &Plan, scope: ScopeId, up: u8) -> ScopeId {
    (0..up).fold(scope, |id, _| plan.scope(id).and_then(|s| s.parent).unwrap_or(0))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use std::path::{Path, PathBuf};

    use jiff::Timestamp;
    use rustc_hash::FxHashMap;

    use super::{Level, Plan};
    use crate::definitions::Model;
    use crate::mapping::compile::{Library, compile};
    use crate::mapping::context::Context;
    use crate::mapping::embedded::EMBEDDED;
    use crate::mapping::library::Maps;
    use crate::mapping::run::get::Get;
    use crate::mapping::run::source::Source;
    use crate::mapping::syntax;
    use crate::native::{Limits, Syntax, Tree, hl7v2};

    /// Every message that is kept as an example.
    fn messages(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                messages(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "hl7") {
                found.push(path);
            }
        }
    }

    /// The segments of a message but its header, each changed.
    fn changed(message: &str, change: impl Fn(&str) -> String) -> String {
        let mut segments = message.split('\r');
        let header = segments.next().unwrap().to_owned();
        segments.fold(header, |text, segment| text + "\r" + &change(segment))
    }

    /// The message, and the same with other levels written out: nothing above fields, subcomponents for components, lone
    /// components and repetitions, empty first ones.
    fn variants(message: &str) -> Vec<String> {
        let fields = |segment: &str, change: &dyn Fn(&str) -> String| {
            let mut fields = segment.split('|');
            let name = fields.next().unwrap().to_owned();
            fields.fold(name, |text, field| text + "|" + &change(field))
        };
        let first = |field: &str, separator: char| field.split(separator).next().unwrap_or_default().to_owned();
        let each = |change: &dyn Fn(&str) -> String| changed(message, |segment| fields(segment, change));
        vec![
            message.to_owned(),
            each(&|field| field.replace('^', "&")),
            each(&|field| field.replace('&', "^")),
            each(&|field| first(field, '^')),
            each(&|field| first(field, '&')),
            each(&|field| first(field, '~')),
            each(&|field| if field.is_empty() { String::new() } else { format!("~{field}") }),
            each(&|field| if field.is_empty() { String::new() } else { format!("{field}~{field}") }),
            each(&|field| if field.is_empty() { String::new() } else { format!("^{field}") }),
            each(&|field| if field.is_empty() { "\"\"".to_owned() } else { field.to_owned() }),
        ]
    }

    /// All that a forward run leaves behind.
    fn outcome(plan: &Plan, name: &str, structure: Option<&str>, tree: &Tree) -> String {
        let (source, cx) = (Source::new(tree, structure), Context::new("test", Timestamp::UNIX_EPOCH, b"test"));
        let model = Model::r4();
        match Get::new(plan, name, model, &source, &cx).run() {
            Ok(run) => {
                let fold: Vec<_> = run.fold.iter().map(|one| (one.frame, one.of, one.state)).collect();
                let trace = &run.trace;
                format!(
                    "{:?}\n{:?}\n{:?}\n{:?}\n{:?}\n{fold:?}",
                    trace.draft.write(),
                    trace.records,
                    trace.reasons,
                    trace.dropped,
                    run.entries
                )
            }
            Err(refusals) => format!("{refusals:?}"),
        }
    }

    #[test]
    fn passing_over_lines_that_find_nothing_changes_nothing() {
        let maps = Maps::embedded(Model::r4());
        let mut library = Library::default();
        for (name, text) in EMBEDDED.iter().filter(|(name, _)| name.ends_with(".map")) {
            library.add(syntax::parse(name, text));
        }
        let mut files = Vec::new();
        messages(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden"), &mut files);
        assert!(!files.is_empty());
        let syntax = Syntax::Hl7V2(hl7v2::Options::default());
        // Each map as it is, and with every line looked at.
        let mut plans: FxHashMap<&str, [Plan; 2]> = FxHashMap::default();
        let mut seen = 0;
        for file in files {
            let text = String::from_utf8(std::fs::read(&file).unwrap()).unwrap();
            for (number, variant) in variants(&text.replace('\n', "\r")).into_iter().enumerate() {
                let Ok(tree) = syntax.parse(variant.into_bytes(), &Limits::default()) else { continue };
                let Ok(map) = maps.find(&tree) else { continue };
                let (name, item) = library.maps.iter().find(|(_, item)| item.name == map.name()).unwrap();
                let plans = plans.entry(item.name.as_str()).or_insert_with(|| {
                    let [settled, mut plain] = [(); 2].map(|()| compile(&library, Model::r4(), name, item).0);
                    for stmt in plain.scopes.iter_mut().flat_map(|scope| &mut std::ops::DerefMut::deref_mut(scope).body)
                    {
                        (stmt.level, stmt.leaf) = (Level::Anywhere, None);
                    }
                    [settled, plain]
                });
                let [one, other] = plans.each_ref().map(|plan| outcome(plan, map.name(), map.structure(), &tree));
                assert_eq!(one, other, "{}, variant {number}", file.display());
                seen += 1;
            }
        }
        assert!(seen > 100, "{seen} messages were read");
    }
}
