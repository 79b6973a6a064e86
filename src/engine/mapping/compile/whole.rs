//! What a map must say as a whole: every element that a resource must have has a line that fills it, and no element that
//! is there once has two.

use std::collections::BTreeSet;

use rustc_hash::FxHashMap;

use super::super::plan::{LineId, Plan, ScopeId, SlotAt, SlotRef, StmtKind};
use super::super::syntax::{Direction, Version};
use super::Compiler;
use super::disjoint;
use crate::definitions::{Symbol, TypeId};

impl Compiler<'_> {
    /// Elements that a resource must have and that no line fills.
    pub(super) fn required(&mut self) {
        let filled = filled(&self.plan);
        let mut wanting: Vec<(LineId, String, String)> = Vec::new();
        for (id, scope) in (0..).zip(&self.plan.scopes) {
            for entry in &scope.entries {
                let Some(type_id) = scope.slots.get(usize::from(entry.slot)).map(|slot| slot.type_id) else { continue };
                let there = filled.get(&(id, entry.slot));
                let names = self.without(type_id, there);
                if !names.is_empty() {
                    wanting.push((entry.line, entry.name.to_string(), names.join(", ")));
                }
            }
        }
        for (line, entry, names) in wanting {
            let Some(line) = self.plan.lines.get(line as usize).cloned() else { continue };
            self.file = line.file;
            let what = format!("no line fills what {entry} must have: {names}");
            self.problem(
                line.span,
                what,
                "a rule, a `const`, a `link`, or `default entry.element.extension[absent].valueCode = \"unknown\"`",
            );
        }
    }

    fn without(&self, type_id: TypeId, there: Option<&BTreeSet<Symbol>>) -> Vec<String> {
        let model = self.model;
        let must = model.elements(type_id).filter(|element| element.min() > 0);
        let wanting = must.filter(|element| there.is_none_or(|there| !there.contains(&element.symbol())));
        wanting.map(|element| element.name().to_owned()).collect()
    }

    /// Lines that fill one element that is there once, both of them always.
    pub(super) fn twice(&mut self) {
        let mut found: Vec<(LineId, LineId)> = Vec::new();
        for (id, scope) in (0..).zip(&self.plan.scopes) {
            if scope.direction == Direction::Get {
                continue;
            }
            // What lines of a block fill, its user may fill elsewhere: only lines that always run together are looked at.
            let mut known: FxHashMap<String, (LineId, Option<Version>, Option<Version>)> = FxHashMap::default();
            for stmt in &scope.body {
                let StmtKind::Rule(rule) = stmt.kind else { continue };
                let Some(rule) = self.plan.rule(rule) else { continue };
                let always = rule.when.is_empty() && rule.only.is_empty() && rule.direction == Direction::Both;
                if !always || rule.slot == 0 {
                    continue;
                }
                let key = disjoint::key(&self.plan, id, rule.slot);
                match known.get(&key) {
                    Some((first, since, before)) => {
                        let apart = |since: Option<Version>, before: Option<Version>| {
                            since.zip(before).is_some_and(|(since, before)| before <= since)
                        };
                        if !apart(stmt.since, *before) && !apart(*since, stmt.before) && rule.line != *first {
                            found.push((*first, rule.line));
                        }
                    }
                    None => {
                        known.insert(key, (rule.line, stmt.since, stmt.before));
                    }
                }
            }
        }
        for (first, second) in found {
            let Some(line) = self.plan.lines.get(second as usize).cloned() else { continue };
            self.file = line.file;
            let first = self.plan.line(first);
            self.problem(
                line.span,
                format!("this line and {first} fill the same element"),
                "one line with alternatives (`A | B <=> …`), or `when` on each",
            );
        }
    }
}

/// The elements below each entry that a line speaks of, by the scope and slot of the entry.
fn filled(plan: &Plan) -> FxHashMap<(ScopeId, u16), BTreeSet<Symbol>> {
    let mut by_scope: Vec<Vec<((ScopeId, u16), Symbol)>> = (0..)
        .zip(&plan.scopes)
        .map(|(id, scope)| {
            let children = scope.slots.iter().filter_map(|slot| match &slot.at {
                SlotAt::Child { parent, logical, .. } => Some((home(plan, id, *parent), *logical)),
                _ => None,
            });
            children.collect()
        })
        .collect();
    // What a block fills it fills wherever it is used.
    for share in &plan.shares {
        let own = |scope| home(plan, scope, SlotRef { up: 0, slot: 0 });
        let (of, to) = (own(share.owner), own(share.user));
        let within = by_scope.get(share.owner as usize..share.end as usize).unwrap_or_default();
        let all: Vec<_> = within.iter().flatten().filter(|(at, _)| *at == of).map(|(_, name)| (to, *name)).collect();
        if let Some(user) = by_scope.get_mut(share.user as usize) {
            user.extend(all);
        }
    }
    let mut all: FxHashMap<(ScopeId, u16), BTreeSet<Symbol>> = FxHashMap::default();
    for (at, name) in by_scope.into_iter().flatten() {
        all.entry(at).or_default().insert(name);
    }
    all
}

/// The slot that one stands for, whatever names it has further in.
fn home(plan: &Plan, scope: ScopeId, at: SlotRef) -> (ScopeId, u16) {
    let (mut scope, mut slot) = disjoint::outer(plan, scope, at);
    while let Some(SlotAt::Alias(to)) = plan.scope(scope).and_then(|s| s.slots.get(usize::from(slot))).map(|s| &s.at) {
        (scope, slot) = disjoint::outer(plan, scope, *to);
    }
    (scope, slot)
}
