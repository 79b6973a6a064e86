//! Folding an event onto what is known: a valued leaf replaces, an empty one keeps, a null one deletes, line by line.

use std::sync::Arc;

use crate::fhir::document::Document;
use crate::fhir::document::Node;
use crate::fhir::draft::{At, Draft, DraftError};

use crate::definitions::Symbol;

use super::super::plan::{ElementName, Mark, MarkValue, Plan, Said, ScopeId, SlotAt, SlotRef, SlotSelect};
use super::get::Frame;
use super::put::resolve;
use super::{ABSENT, FoldState, ReachStep, State};

/// The resource that a state is of, and the path from there; `None` for a place inside a composite.
pub(crate) fn reach<'p>(
    plan: &'p Plan,
    frames: &[Frame],
    state: &FoldState,
) -> Option<((usize, u16), Vec<ReachStep<'p>>)> {
    match state.of {
        Said::Slot(slot) => reach_of_slot(plan, state.frame, slot, frames),
        Said::Scope(id) => reach_of_scope(plan, id, state.frame, frames),
    }
}

/// The resource that a slot hangs on, and the path from there; `None` for a place inside a composite.
pub(crate) fn reach_of_slot<'p>(
    plan: &'p Plan,
    frame: usize,
    slot: u16,
    frames: &[Frame],
) -> Option<((usize, u16), Vec<ReachStep<'p>>)> {
    let mut path = Vec::new();
    let owner = climb(plan, frames, frame, slot, &mut path)?;
    path.reverse();
    Some((owner, path))
}

/// The same for a scope's own place, the scope standing in `frame`.
pub(crate) fn reach_of_scope<'p>(
    plan: &'p Plan,
    id: ScopeId,
    frame: usize,
    frames: &[Frame],
) -> Option<((usize, u16), Vec<ReachStep<'p>>)> {
    let slot = plan.scope(id)?.slots.first()?;
    let mut path = Vec::new();
    let from = match &slot.at {
        SlotAt::Child { parent, written, logical, select, list } => {
            path.push(ReachStep { written: written.symbol, logical: *logical, select, list: *list });
            *parent
        }
        SlotAt::Alias(to) => *to,
        // The reference by which the scope's resource is known is what the line says of the outer one.
        SlotAt::Entry(index) => {
            let reference = plan.scope(id)?.entries.get(usize::from(*index))?.reference?;
            match &plan.scope(id)?.slots.get(usize::from(reference))?.at {
                SlotAt::Child { parent, written, logical, select, list } => {
                    path.push(ReachStep { written: written.symbol, logical: *logical, select, list: *list });
                    *parent
                }
                SlotAt::Alias(to) => *to,
                SlotAt::Entry(_) | SlotAt::Nowhere => return None,
            }
        }
        SlotAt::Nowhere => return None,
    };
    let up = from.up.checked_sub(1)?;
    let outer = (0..up).fold(frame, |frame, _| frames.get(frame).map_or(0, Frame::parent));
    let owner = climb(plan, frames, outer, from.slot, &mut path)?;
    path.reverse();
    Some((owner, path))
}

fn climb<'p>(
    plan: &'p Plan,
    frames: &[Frame],
    frame: usize,
    slot: u16,
    path: &mut Vec<ReachStep<'p>>,
) -> Option<(usize, u16)> {
    let (mut frame, mut slot) = (frame, slot);
    loop {
        let of = plan.scope(frames.get(frame)?.scope)?.slots.get(usize::from(slot))?;
        let next: SlotRef = match &of.at {
            SlotAt::Entry(_) => return Some((frame, slot)),
            SlotAt::Nowhere => return None,
            SlotAt::Alias(_) | SlotAt::Child { .. } if slot == 0 => return None,
            SlotAt::Alias(to) => *to,
            SlotAt::Child { parent, written, logical, select, list } => {
                path.push(ReachStep { written: written.symbol, logical: *logical, select, list: *list });
                *parent
            }
        };
        frame = (0..next.up).fold(frame, |frame, _| frames.get(frame).map_or(0, Frame::parent));
        slot = next.slot;
    }
}

/// Folds a resource onto a known one.
///
/// # Errors
/// When the result is no document, which a known resource of the same type never makes.
pub(crate) fn fold(
    new: Node<'_>,
    known: &Arc<Document>,
    said: &[(Vec<ReachStep<'_>>, State)],
) -> Result<Arc<Document>, DraftError> {
    let mut draft = Draft::new(known.model(), known.root().type_name());
    let root = draft.root();
    draft.graft(root, known.root());
    let mut done: Vec<(&[ReachStep<'_>], State)> = Vec::new();
    for (path, state) in said {
        match done.iter_mut().find(|(other, _)| *other == path.as_slice()) {
            Some((_, strongest)) => *strongest = (*strongest).max(*state),
            None => done.push((path, *state)),
        }
    }
    for (path, state) in done {
        match state {
            State::Valued | State::Fixed => {
                take_out(&mut draft, root, path);
                put_in(&mut draft, root, new, path);
            }
            State::Null => take_out(&mut draft, root, path),
            State::Empty | State::Silent => {
                if find(&draft, root, path).is_empty() {
                    put_in(&mut draft, root, new, path);
                }
            }
        }
    }
    draft.finish()
}

fn take_out(draft: &mut Draft, root: At, path: &[ReachStep<'_>]) {
    for at in find(draft, root, path) {
        draft.remove(at);
    }
}

fn find(draft: &Draft, root: At, path: &[ReachStep<'_>]) -> Vec<At> {
    let mut here = vec![root];
    for step in path {
        here = here.into_iter().flat_map(|at| below(draft, at, step)).collect();
    }
    here
}

fn below(draft: &Draft, at: At, step: &ReachStep<'_>) -> Vec<At> {
    let all: Vec<At> = draft.children(at).filter(|c| draft.symbol(*c) == step.written).collect();
    match step.select {
        SlotSelect::First => all.into_iter().take(1).collect(),
        SlotSelect::Index(n) => all.into_iter().skip(usize::from(*n)).take(1).collect(),
        SlotSelect::From(n) => all.into_iter().skip(usize::from(*n)).collect(),
        SlotSelect::Each => all,
        SlotSelect::With(marks, _) => {
            all.into_iter().filter(|at| marks.iter().all(|mark| draft_says(draft, *at, mark))).collect()
        }
    }
}

fn put_in(draft: &mut Draft, root: At, new: Node<'_>, path: &[ReachStep<'_>]) {
    let Some((last, outer)) = path.split_last() else { return };
    let found: Vec<Node<'_>> =
        path.iter().fold(vec![new], |from, step| from.into_iter().flat_map(|node| select(node, step)).collect());
    // What would hold nothing is not made: an extension without its value is none.
    if found.is_empty() {
        return;
    }
    let mut to = root;
    let mut says = vec![new];
    for step in outer {
        let first = below(draft, to, step).first().copied();
        to = match first {
            Some(at) => at,
            None => make(draft, to, step),
        };
        says = says.into_iter().flat_map(|node| select(node, step)).collect();
        // What has a value now is not absent any more.
        if !says.iter().any(|node| node.named("extension").any(|one| one.text_at("url") == Some(ABSENT))) {
            present(draft, to);
        }
    }
    for node in found {
        let at = if last.list { draft.push_of(to, last.written) } else { draft.child_of(to, last.written) };
        draft.graft(at, node);
    }
}

/// Takes out the reason why an element has no value.
fn present(draft: &mut Draft, at: At) {
    let url = |one: &At| draft.existing_child(*one, "url").and_then(|url| draft.text(url)) == Some(ABSENT);
    let reason = draft.children(at).filter(|child| draft.name(*child) == "extension").find(url);
    if let Some(reason) = reason {
        draft.remove(reason);
    }
}

fn make(draft: &mut Draft, at: At, step: &ReachStep<'_>) -> At {
    let at = if step.list { draft.push_of(at, step.written) } else { draft.child_of(at, step.written) };
    if let SlotSelect::With(marks, _) = step.select {
        for mark in marks.iter().filter(|m| !m.not) {
            let mut place = at;
            for name in &mark.path {
                place = draft.child_of(place, name.symbol);
            }
            match &mark.value {
                MarkValue::Any => {}
                MarkValue::Text(text) => draft.set(place, text),
                MarkValue::Coding { system, code, wrapped } => {
                    let coding = if *wrapped { draft.child(place, "coding") } else { place };
                    draft.set_path(coding, "system", system);
                    draft.set_path(coding, "code", code);
                }
                MarkValue::Resource(_) => {}
            }
        }
    }
    at
}

/// The children of a node that a step takes.
pub(crate) fn select<'d>(node: Node<'d>, step: &ReachStep<'_>) -> Vec<Node<'d>> {
    choose(node, step.written, step.logical, step.select)
}

/// The children of a node of a written name that a selection takes.
pub(crate) fn choose<'d>(node: Node<'d>, written: Symbol, logical: Symbol, select: &SlotSelect) -> Vec<Node<'d>> {
    let all = node.child(logical).filter(|c| c.symbol() == written);
    match select {
        SlotSelect::First => all.take(1).collect(),
        SlotSelect::Index(n) => all.skip(usize::from(*n)).take(1).collect(),
        SlotSelect::From(n) => all.skip(usize::from(*n)).collect(),
        SlotSelect::Each => all.collect(),
        SlotSelect::With(marks, _) => all.filter(|n| marks.iter().all(|mark| node_says(*n, mark))).collect(),
    }
}

/// The first of the children that [`choose`] gives.
pub(crate) fn choose_first<'d>(
    node: Node<'d>,
    written: Symbol,
    logical: Symbol,
    select: &SlotSelect,
) -> Option<Node<'d>> {
    let mut all = node.child(logical).filter(|c| c.symbol() == written);
    match select {
        SlotSelect::First | SlotSelect::Each => all.next(),
        SlotSelect::Index(n) | SlotSelect::From(n) => all.nth(usize::from(*n)),
        SlotSelect::With(marks, _) => all.find(|n| marks.iter().all(|mark| node_says(*n, mark))),
    }
}

/// Whether a mark holds of a node.
pub(crate) fn node_says(node: Node<'_>, mark: &Mark) -> bool {
    says_below(node, &mark.path, &mark.value) != mark.not
}

fn says_below(node: Node<'_>, path: &[ElementName], value: &MarkValue) -> bool {
    if let Some((name, rest)) = path.split_first() {
        return node.children().any(|c| c.symbol() == name.symbol && says_below(c, rest, value));
    }
    match value {
        MarkValue::Any => true,
        MarkValue::Text(text) => node.text() == Some(text),
        MarkValue::Coding { system, code, wrapped } => {
            let says = |coding: Node<'_>| {
                coding.text_at("system") == Some(system.as_str()) && coding.text_at("code") == Some(code.as_str())
            };
            if *wrapped { node.children().filter(|c| c.name() == "coding").any(says) } else { says(node) }
        }
        MarkValue::Resource(name) => node.text_at("reference").is_some_and(|reference| {
            let target = resolve(node.document(), reference);
            target.map_or_else(|| names_type(reference, name), |target| target.type_name() == name)
        }),
    }
}

/// Whether a reference says by itself (`Type/id`) that it leads to a resource of a type.
fn names_type(reference: &str, name: &str) -> bool {
    let mut parts = reference.split("/_history/").next().unwrap_or_default().rsplit('/').skip(1);
    parts.next() == Some(name)
}

/// Whether a mark holds of a place in a draft.
pub(crate) fn draft_says(draft: &Draft, at: At, mark: &Mark) -> bool {
    draft_says_below(draft, at, &mark.path, &mark.value) != mark.not
}

fn draft_says_below(draft: &Draft, at: At, path: &[ElementName], value: &MarkValue) -> bool {
    if let Some((name, rest)) = path.split_first() {
        let mut all = draft.children(at).filter(|c| draft.symbol(*c) == name.symbol);
        return all.any(|c| draft_says_below(draft, c, rest, value));
    }
    match value {
        MarkValue::Any => true,
        MarkValue::Text(wanted) => draft.text(at) == Some(wanted),
        MarkValue::Coding { system, code, wrapped } => {
            let named = |at: At, name: &'static str| draft.children(at).filter(move |c| draft.name(*c) == name);
            let text =
                |at: At, name: &'static str, wanted: &str| named(at, name).any(|c| draft.text(c) == Some(wanted));
            let says = |coding: At| text(coding, "system", system) && text(coding, "code", code);
            if *wrapped { named(at, "coding").any(says) } else { says(at) }
        }
        MarkValue::Resource(name) => {
            let reference = draft.existing_child(at, "reference").and_then(|at| draft.text(at));
            reference.is_some_and(|reference| {
                let mut entries = draft.children(draft.root()).filter(|entry| draft.name(*entry) == "entry");
                let child = |entry: At, name: &str| draft.existing_child(entry, name);
                let target =
                    entries.find(|entry| child(*entry, "fullUrl").and_then(|url| draft.text(url)) == Some(reference));
                let resource = target.and_then(|entry| child(entry, "resource"));
                resource.map_or_else(|| names_type(reference, name), |resource| draft.type_name(resource) == name)
            })
        }
    }
}
