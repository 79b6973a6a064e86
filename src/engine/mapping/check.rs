//! What a map says of itself: coverage of the native schema, one-way rules, drops, and which line moves what.

use std::fmt::Write as _;

use super::map::Map;
use super::plan::{LineId, NativeName, Plan, ScopeId, SlotAt, SlotSelect, StmtKind};
use super::syntax::Direction;

/// What the checker found out about a sound map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coverage {
    /// Lines that carry something, both ways.
    pub rules: usize,
    /// One-way lines: the line, and why.
    pub one_way: Vec<(String, String)>,
    /// What is left out: the line, and why.
    pub drops: Vec<(String, String)>,
    /// Leaves of the native schema that a rule carries.
    pub carried: Vec<String>,
    /// Leaves that are kept in the original only.
    pub residue: Vec<String>,
    /// Leaves that no line speaks of, and no `other residue` either.
    pub unclaimed: Vec<String>,
}

/// A line of a map that moves something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// `file:line`; of a block, after the line that uses it.
    pub line: String,
    /// The native side.
    pub native: String,
    /// `<=>`, `=>` or `<=`.
    pub direction: &'static str,
    /// The FHIR side.
    pub fhir: String,
}

impl Map {
    /// Coverage, one-way rules and drops.
    #[must_use]
    pub fn coverage(&self) -> Coverage {
        let plan = &self.plan;
        let drops = plan.fates.iter().filter_map(|f| Some((plan.line(f.line), f.drop.clone()?)));
        let rest = plan.fates.iter().any(|f| f.paths.is_empty() && f.scope == 0);
        let mut coverage = Coverage {
            rules: plan.rules.len(),
            one_way: plan.one_way.iter().map(|(line, reason)| (plan.line(*line), reason.clone())).collect(),
            drops: drops.collect(),
            carried: Vec::new(),
            residue: Vec::new(),
            unclaimed: Vec::new(),
        };
        for leaf in self.native_schema.leaves() {
            let claims = || plan.claims.iter().filter(|c| within(&c.path, &leaf));
            let name = path_text(&leaf);
            if claims().any(|c| c.carried) {
                coverage.carried.push(name);
            } else if rest || claims().next().is_some() {
                coverage.residue.push(name);
            } else {
                coverage.unclaimed.push(name);
            }
        }
        coverage
    }

    /// The lines that move a native or FHIR place, in the order of the map. A path is taken by its beginning: `PID-5`
    /// finds what becomes of all its components, `patient.name` of all below it.
    #[must_use]
    pub fn explain(&self, path: &str) -> Vec<Explanation> {
        let bare: String = strip_indexes(path);
        let begins = |text: &str| {
            text == bare || text.strip_prefix(bare.as_str()).is_some_and(|rest| rest.starts_with(['.', '-', '[']))
        };
        self.lines()
            .into_iter()
            .filter(|e| e.native.split(" + ").any(begins) || begins(&strip_indexes(&e.fhir)))
            .collect()
    }

    /// Every line that moves something.
    #[must_use]
    pub fn lines(&self) -> Vec<Explanation> {
        let plan = &self.plan;
        let mut all = Vec::new();
        for (id, scope) in (0_u32..).zip(&plan.scopes) {
            for stmt in &scope.body {
                if let StmtKind::Rule(rule) = stmt.kind
                    && let Some(rule) = plan.rule(rule)
                {
                    let tuple = rule.native.first().into_iter().flatten();
                    let native: Vec<String> = tuple.map(|p| joined(&native_of(plan, id), &steps(&p.steps))).collect();
                    all.push(Explanation {
                        line: plan.line(rule.line),
                        native: native.join(" + "),
                        direction: sign(rule.direction),
                        fhir: fhir_of(plan, id, rule.slot),
                    });
                }
            }
            for one in &scope.consts {
                all.push(fixed(plan, id, one.line, one.slot, "a fixed value"));
            }
            for link in &scope.links {
                all.push(fixed(plan, id, link.line, link.slot, "a link"));
            }
        }
        all
    }

    /// The map as a table for reviewers, in Markdown.
    #[must_use]
    pub fn document(&self) -> String {
        let mut text = format!("# {}\n\n| native | | FHIR | line |\n|---|---|---|---|\n", self.name());
        for line in self.lines() {
            let cell = |s: &str| s.replace('|', "\\|");
            // Writing to a String does not fail.
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} |",
                cell(&line.native),
                line.direction,
                cell(&line.fhir),
                line.line
            );
        }
        text
    }
}

fn fixed(plan: &Plan, scope: ScopeId, line: LineId, slot: u16, what: &str) -> Explanation {
    Explanation { line: plan.line(line), native: what.to_owned(), direction: "=", fhir: fhir_of(plan, scope, slot) }
}

fn sign(direction: Direction) -> &'static str {
    match direction {
        Direction::Both => "<=>",
        Direction::Get => "=>",
        Direction::Put => "<=",
    }
}

/// Whether a claim speaks of a leaf: one path begins with the other.
fn within(claim: &[NativeName], leaf: &[NativeName]) -> bool {
    claim.iter().zip(leaf).all(|(a, b)| a == b) && !claim.is_empty()
}

fn path_text(path: &[NativeName]) -> String {
    let mut text = String::new();
    for name in path {
        push_name(&mut text, name);
    }
    text
}

fn push_name(text: &mut String, name: &NativeName) {
    // Writing to a String does not fail.
    let _ = match name {
        NativeName::Segment(name) => {
            text.clear();
            write!(text, "{name}")
        }
        NativeName::Field(n) => write!(text, "-{n}"),
        NativeName::Component(n) | NativeName::Subcomponent(n) => write!(text, ".{n}"),
        NativeName::Member(name) if text.is_empty() => write!(text, "$.{name}"),
        NativeName::Member(name) => write!(text, ".{name}"),
        NativeName::Attribute(name) => write!(text, "@{name}"),
        NativeName::Row => write!(text, "row"),
        NativeName::Column(name) => write!(text, "/{name}"),
    };
}

pub(crate) fn steps(steps: &[super::plan::NativeStep]) -> String {
    let mut text = String::new();
    for step in steps {
        push_name(&mut text, &step.name);
    }
    text
}

pub(crate) fn native_of(plan: &Plan, scope: ScopeId) -> String {
    let Some(of) = plan.scope(scope) else { return String::new() };
    let outer = of.parent.map(|parent| native_of(plan, parent)).unwrap_or_default();
    let own = of.native.first().map(|p| steps(&p.steps)).unwrap_or_default();
    joined(&outer, &own)
}

/// A path below another, as it is written: a segment inside another's group by its own name.
pub(crate) fn joined(outer: &str, own: &str) -> String {
    if own.starts_with(|c: char| c.is_ascii_uppercase()) {
        return own.to_owned();
    }
    // A field of the segment that the scope stands on.
    let outer = if own.starts_with('-') { outer.split('-').next().unwrap_or(outer) } else { outer };
    let own = if outer.is_empty() { own } else { own.strip_prefix('$').unwrap_or(own) };
    format!("{outer}{own}")
}

fn fhir_of(plan: &Plan, scope: ScopeId, slot: u16) -> String {
    let Some(of) = plan.scope(scope) else { return String::new() };
    let outer = |up: u8| {
        let mut id = scope;
        for _ in 0..up {
            id = plan.scope(id).and_then(|s| s.parent).unwrap_or(0);
        }
        id
    };
    match of.slots.get(usize::from(slot)).map(|s| &s.at) {
        Some(SlotAt::Alias(to)) => fhir_of(plan, outer(to.up), to.slot),
        Some(SlotAt::Entry(index)) => {
            of.entries.get(usize::from(*index)).map(|e| e.name.to_string()).unwrap_or_default()
        }
        Some(SlotAt::Child { parent, written, select, .. }) => {
            let mut text = fhir_of(plan, outer(parent.up), parent.slot);
            let _ = write!(text, ".{written}");
            let _ = match select {
                SlotSelect::First => Ok(()),
                SlotSelect::Each => write!(text, "[]"),
                SlotSelect::Index(n) => write!(text, "[{n}]"),
                SlotSelect::From(n) => write!(text, "[{n}+]"),
                SlotSelect::With(..) => write!(text, "[…]"),
            };
            text
        }
        Some(SlotAt::Nowhere) | None => String::new(),
    }
}

/// A path without what stands between brackets.
fn strip_indexes(path: &str) -> String {
    let mut depth = 0_usize;
    path.chars()
        .filter(|c| {
            match c {
                '[' => depth += 1,
                ']' => {
                    depth = depth.saturating_sub(1);
                    return false;
                }
                _ => {}
            }
            depth == 0
        })
        .collect()
}
