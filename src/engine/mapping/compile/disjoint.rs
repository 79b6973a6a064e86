//! Lines that fill one FHIR list must be told apart by what they write into it: else a repetition could not be brought
//! back to the line that it came from.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::super::plan::{
    Condition, LineId, Mark, NativeName, NativeSelect, Plan, Scope, ScopeId, SlotAt, SlotRef, SlotSelect, StmtKind,
};
use super::super::syntax::{Direction, Test, Version};

/// One line's use of a list.
struct Use {
    select: SlotSelect,
    /// The type of the resource that the repetition refers to.
    resource: Option<Arc<str>>,
    since: Option<Version>,
    before: Option<Version>,
    line: LineId,
    /// Whether the line takes only what others have no place for: what comes anew is the others' where they are.
    beside: bool,
    scope: ScopeId,
}

/// Two lines that cannot be told apart, and the list.
pub(super) struct Overlap {
    pub(super) first: LineId,
    pub(super) second: LineId,
    pub(super) list: Box<str>,
}

/// Finds the lists that two lines fill alike.
pub(super) fn overlaps(plan: &Plan) -> Vec<Overlap> {
    let mut lists: FxHashMap<String, (Box<str>, Vec<Use>)> = FxHashMap::default();
    walk(plan, 0, None, None, false, &mut lists);
    let mut found = Vec::new();
    for (list, uses) in lists.into_values() {
        for (at, a) in uses.iter().enumerate() {
            for b in uses.iter().skip(at + 1) {
                if meet(a, b) && !apart(a, b) && !excluded(plan, a, b) {
                    found.push(Overlap { first: a.line, second: b.line, list: list.clone() });
                }
            }
        }
    }
    found.sort_by_key(|o| (o.first, o.second));
    found
}

fn walk(
    plan: &Plan,
    id: ScopeId,
    since: Option<Version>,
    before: Option<Version>,
    within: bool,
    lists: &mut FxHashMap<String, (Box<str>, Vec<Use>)>,
) {
    let Some(scope) = plan.scope(id) else { return };
    for stmt in &scope.body {
        let since = since.max(stmt.since);
        let before = match (before, stmt.before) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        match stmt.kind {
            StmtKind::Rule(rule) => {
                let Some(rule) = plan.rule(rule).filter(|r| r.direction != Direction::Get) else { continue };
                // A scope's own repetition is noted by the scope's line.
                if rule.slot == 0 && scope.slots.first().is_some_and(|s| s.at.fresh()) {
                    continue;
                }
                note(plan, id, rule.slot, None, (since, before, rule.line, within), lists);
            }
            StmtKind::Whole(_) => {}
            StmtKind::Scope(inner) => {
                let Some(of) = plan.scope(inner).filter(|s| s.direction != Direction::Get) else { continue };
                let (line, beside) = (of.line, within || is_beside(of));
                match of.slots.first().map(|s| &s.at) {
                    Some(SlotAt::Entry(index)) => {
                        if let Some(entry) = of.entries.get(usize::from(*index))
                            && let Some(reference) = entry.reference
                        {
                            let resource = Some(entry.resource.clone());
                            note(plan, inner, reference, resource, (since, before, line, beside), lists);
                        }
                    }
                    // The place that the outer line made already.
                    Some(SlotAt::Alias(SlotRef { up: 1, slot: 0 })) => {}
                    Some(_) => note(plan, inner, 0, None, (since, before, line, beside), lists),
                    None => {}
                }
                walk(plan, inner, since, before, beside, lists);
            }
        }
    }
}

/// Notes every list on the way from a slot up to where its scope stands.
fn note(
    plan: &Plan,
    scope: ScopeId,
    slot: u16,
    resource: Option<Arc<str>>,
    (since, before, line, beside): (Option<Version>, Option<Version>, LineId, bool),
    lists: &mut FxHashMap<String, (Box<str>, Vec<Use>)>,
) {
    let of_scope = scope;
    let (mut scope, mut slot, mut resource) = (scope, slot, resource);
    let mut own = true;
    loop {
        let Some(of) = plan.scope(scope).and_then(|s| s.slots.get(usize::from(slot))) else { return };
        match &of.at {
            SlotAt::Alias(to) => (scope, slot) = outer(plan, scope, *to),
            // A scope's own repetition is noted by the scope's line.
            at if !own && at.fresh() => return,
            SlotAt::Child { parent, written, select, list, .. } => {
                let (above, above_slot) = outer(plan, scope, *parent);
                let resource = resource.take().filter(|_| own);
                own = false;
                if *list {
                    let key = format!("{}.{written}", key(plan, above, above_slot));
                    let (_, uses) = lists.entry(key).or_insert_with(|| (written.text.clone(), Vec::new()));
                    // The same place spoken of by several lines is one use of it.
                    let shared = uses.iter().any(|u| u.select == *select && !of.at.fresh() && u.resource == resource);
                    if !shared {
                        uses.push(Use {
                            select: select.clone(),
                            resource,
                            since,
                            before,
                            line,
                            beside,
                            scope: of_scope,
                        });
                    }
                }
                (scope, slot) = (above, above_slot);
            }
            SlotAt::Entry(_) | SlotAt::Nowhere => return,
        }
    }
}

pub(super) fn outer(plan: &Plan, scope: ScopeId, to: SlotRef) -> (ScopeId, u16) {
    let mut id = scope;
    for _ in 0..to.up {
        id = plan.scope(id).and_then(|s| s.parent).unwrap_or(0);
    }
    (id, to.slot)
}

/// A name for a place: the same for all slots that stand for it.
pub(super) fn key(plan: &Plan, scope: ScopeId, slot: u16) -> String {
    let Some(of) = plan.scope(scope).and_then(|s| s.slots.get(usize::from(slot))) else { return String::new() };
    match &of.at {
        SlotAt::Alias(to) => {
            let (scope, slot) = outer(plan, scope, *to);
            key(plan, scope, slot)
        }
        SlotAt::Child { parent, written, select, .. } if !of.at.fresh() => {
            let (above, above_slot) = outer(plan, scope, *parent);
            format!("{}.{written}[{select:?}]", key(plan, above, above_slot))
        }
        _ => format!("{scope}:{slot}"),
    }
}

/// Whether two uses can be in force together.
fn meet(a: &Use, b: &Use) -> bool {
    let ends_before = |one: &Use, other: &Use| match (one.before, other.since) {
        (Some(before), Some(since)) => before <= since,
        _ => false,
    };
    !ends_before(a, b) && !ends_before(b, a)
}

/// Whether a scope holds only where a segment is not there.
fn is_beside(scope: &Scope) -> bool {
    let absent = |one: &Condition| {
        matches!(one.test, Test::Absent)
            && matches!(one.path.steps.as_slice(), [only] if matches!(only.name, NativeName::Segment(_)))
    };
    let select = scope.native.iter().filter_map(|path| path.steps.last()).map(|step| &step.select);
    let mut conditions = select.filter_map(|select| match select {
        NativeSelect::Where(conditions, _) => Some(conditions),
        _ => None,
    });
    conditions.any(|all| all.iter().any(absent)) || scope.when.iter().any(absent)
}

/// Whether what is filled by one can be told from what is filled by the other.
fn apart(a: &Use, b: &Use) -> bool {
    if a.beside || b.beside {
        return true;
    }
    if let (Some(x), Some(y)) = (&a.resource, &b.resource)
        && x != y
    {
        return true;
    }
    match (&a.select, &b.select) {
        (SlotSelect::With(x, _), SlotSelect::With(y, _)) => x.iter().any(|m| y.iter().any(|n| contradict(m, n))),
        (SlotSelect::Index(x), SlotSelect::Index(y)) => x != y,
        (SlotSelect::Index(x), SlotSelect::From(y)) | (SlotSelect::From(y), SlotSelect::Index(x)) => x < y,
        (SlotSelect::First, SlotSelect::First | SlotSelect::Index(0)) | (SlotSelect::Index(0), SlotSelect::First) => {
            true
        }
        _ => false,
    }
}

/// Whether of two repeated parts of one part only one can be there, by what their lines demand of it.
fn excluded(plan: &Plan, a: &Use, b: &Use) -> bool {
    let (Some(x), Some(y)) = (plan.scope(a.scope), plan.scope(b.scope)) else { return false };
    let looks = |one: &Condition| format!("{:?}", one.looks());
    let against = |one: &Condition, other: &Condition| match (&one.test, &other.test) {
        (Test::In(values), Test::NotIn(others)) => values.iter().all(|value| others.contains(value)),
        (Test::Valued, Test::Absent) | (Test::Same, Test::NotSame) | (Test::After, Test::NotAfter) => true,
        _ => false,
    };
    let contradicts = |one: &Condition, other: &Condition| {
        (against(one, other) || against(other, one))
            && one.any.is_some() == other.any.is_some()
            && looks(one) == looks(other)
    };
    a.scope != b.scope
        && x.parent == y.parent
        && x.when.iter().any(|one| y.when.iter().any(|other| contradicts(one, other)))
}

fn contradict(a: &Mark, b: &Mark) -> bool {
    if a.path != b.path {
        return false;
    }
    match (a.not, b.not) {
        (false, false) => a.value != b.value && single(a),
        (true, false) | (false, true) => a.value == b.value,
        (true, true) => false,
    }
}

/// Whether a repetition has one value at the mark's path at most; a list could have both.
fn single(mark: &Mark) -> bool {
    !mark.path.iter().any(|name| name.text.as_ref() == "coding")
}
