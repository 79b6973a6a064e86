//! Folding an event onto what is known: a valued leaf replaces, an empty one keeps, a null one deletes, line by line.

use std::sync::Arc;

use crate::fhir::document::Document;
use crate::fhir::document::Node;
use crate::fhir::draft::{At, Draft, DraftError};

use super::super::plan::{Mark, MarkValue, Plan, ScopeId, SlotAt, SlotRef, SlotSelect};
use super::get::Frame;
use super::{FoldState, ReachStep, Said, State};

/// The resource that a state is of, and the path from there; `None` for a place inside a composite.
pub(crate) fn reach(plan: &Plan, frames: &[Frame], state: &FoldState) -> Option<((usize, u16), Vec<ReachStep>)> {
    match state.of {
        Said::Slot(slot) => reach_of_slot(plan, state.frame, slot, frames),
        Said::Scope(id) => reach_of_scope(plan, id, state.frame, frames),
    }
}

/// The resource that a slot hangs on, and the path from there; `None` for a place inside a composite.
pub(crate) fn reach_of_slot(
    plan: &Plan,
    frame: usize,
    slot: u16,
    frames: &[Frame],
) -> Option<((usize, u16), Vec<ReachStep>)> {
    let mut path = Vec::new();
    let owner = climb(plan, frames, frame, slot, &mut path)?;
    path.reverse();
    Some((owner, path))
}

/// The same for a scope's own place, the scope standing in `frame`.
pub(crate) fn reach_of_scope(
    plan: &Plan,
    id: ScopeId,
    frame: usize,
    frames: &[Frame],
) -> Option<((usize, u16), Vec<ReachStep>)> {
    let slot = plan.scope(id)?.slots.first()?;
    let mut path = Vec::new();
    let from = match &slot.at {
        SlotAt::Child { parent, written, logical, select, list } => {
            path.push(ReachStep {
                written: written.clone(),
                logical: logical.clone(),
                select: select.clone(),
                list: *list,
            });
            *parent
        }
        SlotAt::Alias(to) => *to,
        // The reference by which the scope's resource is known is what the line says of the outer one.
        SlotAt::Entry(index) => {
            let reference = plan.scope(id)?.entries.get(usize::from(*index))?.reference?;
            match &plan.scope(id)?.slots.get(usize::from(reference))?.at {
                SlotAt::Child { parent, written, logical, select, list } => {
                    path.push(ReachStep {
                        written: written.clone(),
                        logical: logical.clone(),
                        select: select.clone(),
                        list: *list,
                    });
                    *parent
                }
                SlotAt::Alias(to) => *to,
                SlotAt::Entry(_) | SlotAt::Nowhere => return None,
            }
        }
        SlotAt::Nowhere => return None,
    };
    let up = from.up.checked_sub(1)?;
    let outer = (0..up).fold(frame, |frame, _| frames.get(frame).map_or(0, |f| f.parent));
    let owner = climb(plan, frames, outer, from.slot, &mut path)?;
    path.reverse();
    Some((owner, path))
}

fn climb(plan: &Plan, frames: &[Frame], frame: usize, slot: u16, path: &mut Vec<ReachStep>) -> Option<(usize, u16)> {
    let (mut frame, mut slot) = (frame, slot);
    loop {
        let of = plan.scope(frames.get(frame)?.scope)?.slots.get(usize::from(slot))?;
        let next: SlotRef = match &of.at {
            SlotAt::Entry(_) => return Some((frame, slot)),
            SlotAt::Nowhere => return None,
            SlotAt::Alias(_) | SlotAt::Child { .. } if slot == 0 => return None,
            SlotAt::Alias(to) => *to,
            SlotAt::Child { parent, written, logical, select, list } => {
                path.push(ReachStep {
                    written: written.clone(),
                    logical: logical.clone(),
                    select: select.clone(),
                    list: *list,
                });
                *parent
            }
        };
        frame = (0..next.up).fold(frame, |frame, _| frames.get(frame).map_or(0, |f| f.parent));
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
    said: &[(Vec<ReachStep>, State)],
) -> Result<Arc<Document>, DraftError> {
    let mut draft = Draft::new(known.model(), known.root().type_name());
    let root = draft.root();
    draft.graft(root, known.root());
    let mut done: Vec<(&[ReachStep], State)> = Vec::new();
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

fn take_out(draft: &mut Draft, root: At, path: &[ReachStep]) {
    for at in find(draft, root, path) {
        draft.remove(at);
    }
}

fn find(draft: &Draft, root: At, path: &[ReachStep]) -> Vec<At> {
    let mut here = vec![root];
    for step in path {
        here = here.into_iter().flat_map(|at| below(draft, at, step)).collect();
    }
    here
}

fn below(draft: &Draft, at: At, step: &ReachStep) -> Vec<At> {
    let all: Vec<At> = draft.children(at).filter(|c| draft.name(*c) == step.written.as_ref()).collect();
    match &step.select {
        SlotSelect::First => all.into_iter().take(1).collect(),
        SlotSelect::Index(n) => all.into_iter().skip(usize::from(*n)).take(1).collect(),
        SlotSelect::From(n) => all.into_iter().skip(usize::from(*n)).collect(),
        SlotSelect::Each => all,
        SlotSelect::With(marks, _) => {
            all.into_iter().filter(|at| marks.iter().all(|mark| draft_says(draft, *at, mark))).collect()
        }
    }
}

fn put_in(draft: &mut Draft, root: At, new: Node<'_>, path: &[ReachStep]) {
    let Some((last, outer)) = path.split_last() else { return };
    let found: Vec<Node<'_>> =
        path.iter().fold(vec![new], |from, step| from.into_iter().flat_map(|node| select(node, step)).collect());
    // What would hold nothing is not made: an extension without its value is none.
    if found.is_empty() {
        return;
    }
    let mut to = root;
    for step in outer {
        let first = below(draft, to, step).first().copied();
        to = match first {
            Some(at) => at,
            None => make(draft, to, step),
        };
    }
    for node in found {
        let at = if last.list { draft.push(to, &last.written) } else { draft.child(to, &last.written) };
        draft.graft(at, node);
    }
}

fn make(draft: &mut Draft, at: At, step: &ReachStep) -> At {
    let at = if step.list { draft.push(at, &step.written) } else { draft.child(at, &step.written) };
    if let SlotSelect::With(marks, _) = &step.select {
        for mark in marks.iter().filter(|m| !m.not) {
            let mut place = at;
            for name in &mark.path {
                place = draft.child(place, name);
            }
            match &mark.value {
                MarkValue::Text(text) => draft.set(place, text),
                MarkValue::Coding { system, code, wrapped } => {
                    let coding = if *wrapped { draft.child(place, "coding") } else { place };
                    draft.set_path(coding, "system", system);
                    draft.set_path(coding, "code", code);
                }
            }
        }
    }
    at
}

/// The children of a node that a step takes.
pub(crate) fn select<'d>(node: Node<'d>, step: &ReachStep) -> Vec<Node<'d>> {
    choose(node, &step.written, &step.logical, &step.select)
}

/// The children of a node of a written name that a selection takes.
pub(crate) fn choose<'d>(node: Node<'d>, written: &str, logical: &str, select: &SlotSelect) -> Vec<Node<'d>> {
    let symbol = node.document().model().symbol(logical);
    let all = node.child(symbol).filter(|c| c.name() == written);
    match select {
        SlotSelect::First => all.take(1).collect(),
        SlotSelect::Index(n) => all.skip(usize::from(*n)).take(1).collect(),
        SlotSelect::From(n) => all.skip(usize::from(*n)).collect(),
        SlotSelect::Each => all.collect(),
        SlotSelect::With(marks, _) => all.filter(|n| marks.iter().all(|mark| node_says(*n, mark))).collect(),
    }
}

/// Whether a mark holds of a node.
pub(crate) fn node_says(node: Node<'_>, mark: &Mark) -> bool {
    let mut here = vec![node];
    for name in &mark.path {
        here = here.into_iter().flat_map(|n| n.children().filter(|c| c.name() == name.as_ref())).collect();
    }
    let says = here.into_iter().any(|n| match &mark.value {
        MarkValue::Text(text) => n.text() == Some(text),
        MarkValue::Coding { system, code, wrapped } => {
            let says = |coding: Node<'_>| {
                coding.text_at("system") == Some(system.as_str()) && coding.text_at("code") == Some(code.as_str())
            };
            if *wrapped { n.children().filter(|c| c.name() == "coding").any(says) } else { says(n) }
        }
    });
    says != mark.not
}

/// Whether a mark holds of a place in a draft.
pub(crate) fn draft_says(draft: &Draft, at: At, mark: &Mark) -> bool {
    let down = |from: Vec<At>, name: &str| -> Vec<At> {
        from.into_iter()
            .flat_map(|at| draft.children(at).filter(|c| draft.name(*c) == name).collect::<Vec<_>>())
            .collect()
    };
    let here = mark.path.iter().fold(vec![at], |here, name| down(here, name));
    let text =
        |at: At, name: &str, wanted: &str| down(vec![at], name).into_iter().any(|c| draft.text(c) == Some(wanted));
    let says = here.into_iter().any(|at| match &mark.value {
        MarkValue::Text(wanted) => draft.text(at) == Some(wanted),
        MarkValue::Coding { system, code, wrapped } => {
            let codings = if *wrapped { down(vec![at], "coding") } else { vec![at] };
            codings.into_iter().any(|c| text(c, "system", system) && text(c, "code", code))
        }
    });
    says != mark.not
}
