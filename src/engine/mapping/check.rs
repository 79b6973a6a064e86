//! What a map says of itself: coverage of the native schema, one-way rules, drops, and which line moves what.

use std::fmt::Write as _;
use std::sync::Arc;

use super::map::Map;
use super::plan::{Copies, Entry, Inside, LineId, NativeName, Plan, ScopeId, SlotAt, SlotSelect, StmtKind};
use super::schema::NativeSchema;
use super::syntax::Direction;
use super::versions;
use rustc_hash::{FxHashMap, FxHashSet};

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

/// A line of a map that says what becomes of something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// `file:line`; of a block, after the line that uses it.
    pub line: String,
    /// The file that it stands in itself, and its line there, from 1.
    pub place: (String, u32),
    /// The native side; empty where the map says something by itself, `*` for all that no other line names.
    pub native: String,
    /// `<=>`, `=>` or `<=`.
    pub direction: &'static str,
    /// The FHIR side, by the name of the entry: `referral.priority`.
    pub fhir: String,
    /// The FHIR side, by the type of the resource: `ServiceRequest.priority`.
    pub element: String,
    /// Where it does not carry a native value over: what it does.
    pub fixed: Option<Fixed>,
}

/// What a line does that carries nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fixed {
    /// It writes a value that the map gives.
    Value,
    /// It writes a reference from one entry to another.
    Link,
    /// It keeps the native place in the original only.
    Kept,
    /// It leaves the native place out, for this reason.
    Dropped(String),
    /// It carries what the lines of the same block carry at another native place, where they are told.
    Same(String),
}

impl Map {
    /// Coverage, one-way rules and drops.
    #[must_use]
    pub fn coverage(&self) -> Coverage {
        let plan = self.plan();
        let drops = plan.fates.iter().filter_map(|f| Some((plan.line(f.line), f.drop.clone()?)));
        let rest = plan.fates.iter().any(|f| f.paths.is_empty() && f.scope == 0);
        let mut coverage = Coverage {
            rules: plan.rules.len() + plan.wholes.len() + plan.versions.count(),
            one_way: plan.one_way.iter().map(|(line, reason)| (plan.line(*line), reason.clone())).collect(),
            drops: drops.collect(),
            carried: Vec::new(),
            residue: Vec::new(),
            unclaimed: Vec::new(),
        };
        let claims = Claims::of(plan);
        for leaf in self.native_schema().leaves() {
            let name = path_text(&leaf);
            match claims.on(&leaf) {
                Some(true) => coverage.carried.push(name),
                None if !rest => coverage.unclaimed.push(name),
                _ => coverage.residue.push(name),
            }
        }
        coverage
    }

    /// The lines that say what becomes of a native or FHIR place, in the order of the map. A path is taken by its
    /// beginning: `PID-5` finds what becomes of all its components, `patient.name` (or `Patient.name`) of all below it;
    /// paths as reports write them (`PID[1]-5[1].1.1`, `row 3/hetu`) are taken too.
    #[must_use]
    pub fn explain(&self, path: &str) -> Vec<Explanation> {
        let bare = self.without_root(plain(path));
        let speaks_of = |line: &Explanation| {
            line.native.split(" + ").any(|native| speaks(&plain(native), &bare))
                || speaks(&plain(&line.fhir), &bare)
                || speaks(&plain(&line.element), &bare)
        };
        let plan = self.plan();
        let mut found: Vec<Explanation> = Vec::new();
        let mut said: FxHashSet<(String, String, String)> = FxHashSet::default();
        let mut been: FxHashSet<(*const Inside, String, String)> = FxHashSet::default();
        each_occurrence(plan, &mut |way| {
            let place = standing(plan, way);
            // On the way there, or below it, each use of a block counts; elsewhere it is looked into once for a FHIR place.
            let native = plain(&place.native);
            let near = bare.starts_with(&native) || native.starts_with(&bare);
            let key = (place.inside, if near { native } else { String::new() }, plain(&place.element));
            if !been.insert(key) {
                return false;
            }
            let mut lines = Vec::new();
            lines_of(plan, way, &mut lines);
            for line in lines.into_iter().filter(&speaks_of) {
                if said.insert((line.line.clone(), line.native.clone(), line.fhir.clone())) {
                    found.push(line);
                }
            }
            true
        });
        let fates = fates(plan);
        found.extend(fates.iter().filter(|line| speaks_of(line)).cloned());
        if found.is_empty() && !plan.wholes.is_empty() {
            found = self.nearest(&bare);
        }
        if !found.is_empty() || !self.native_schema().leaves().iter().any(|leaf| speaks(&path_text(leaf), &bare)) {
            return found;
        }
        // No line names it: what is said of all others holds.
        fates.into_iter().filter(|line| line.native == "*").collect()
    }

    /// What is said of the nearest place around one: what goes over as it is goes over with all that is in it.
    fn nearest(&self, bare: &str) -> Vec<Explanation> {
        let all = self.lines();
        let mut around = bare;
        while let Some((outer, _)) = around.rsplit_once('.') {
            around = outer;
            let is_it = |line: &&Explanation| plain(&line.native) == around || plain(&line.element) == around;
            let found: Vec<Explanation> = all.iter().filter(is_it).cloned().collect();
            if !found.is_empty() {
                return found;
            }
        }
        Vec::new()
    }

    /// Reports name the document element and texts of elements, and people leave out where all begins; maps do neither.
    fn without_root(&self, path: String) -> String {
        if let NativeSchema::Delimited(columns) = self.native_schema()
            && columns.contains(&path)
        {
            return format!("row/{path}");
        }
        // XML of a map that reads JSON.
        if self.form().is_some()
            && let Some((_, below)) = path.strip_prefix('/').and_then(|p| p.split_once('/'))
        {
            return format!("$.{}", below.strip_suffix("/@value").unwrap_or(below).replace('/', "."));
        }
        let Some(schema) = self.xml_schema() else { return path };
        let path = path.strip_suffix("/text()").unwrap_or(&path);
        let rest = path
            .strip_prefix('/')
            .and_then(|p| p.split_once('/'))
            .filter(|(top, _)| top.rsplit(':').next().unwrap_or(top) == &*schema.root.local);
        match rest {
            Some((_, rest)) => format!("/{rest}"),
            None if path.contains('/') && !path.starts_with('/') => format!("/{path}"),
            None => path.to_owned(),
        }
    }

    /// Every line that says what becomes of something. What a block says is told where it is used first, and of other
    /// uses that it is the same.
    #[must_use]
    pub fn lines(&self) -> Vec<Explanation> {
        let plan = self.plan();
        let mut all = Vec::new();
        let mut first: FxHashMap<*const Inside, String> = FxHashMap::default();
        each_occurrence(plan, &mut |way| {
            let place = standing(plan, way);
            if let Some(there) = first.get(&place.inside) {
                let line = way.last().and_then(|id| plan.scope(*id)).map_or(0, |scope| scope.line);
                all.push(one(plan, line, place.native, Some((way, 0)), Some(Fixed::Same(there.clone()))));
                return false;
            }
            first.insert(place.inside, place.native);
            lines_of(plan, way, &mut all);
            true
        });
        all.extend(fates(plan));
        all
    }
}

/// What stays and what is left out.
fn fates(plan: &Plan) -> Vec<Explanation> {
    let of = |fate: &super::plan::Fate| {
        let fixed = fate.drop.clone().map_or(Fixed::Kept, Fixed::Dropped);
        let outer = native_of(plan, &way_of(plan, fate.scope));
        let mut natives: Vec<String> = fate.paths.iter().map(|p| joined(&outer, &steps(&p.steps))).collect();
        if natives.is_empty() {
            natives.push("*".to_owned());
        }
        let line = fate.line;
        natives.into_iter().map(move |native| one(plan, line, native, None, Some(fixed.clone()))).collect::<Vec<_>>()
    };
    plan.fates.iter().flat_map(of).collect()
}

/// Where an occurrence of a scope stands, natively and in its resource, and what is in it.
struct Standing {
    inside: *const Inside,
    native: String,
    element: String,
}

fn standing(plan: &Plan, way: &[ScopeId]) -> Standing {
    let scope = way.last().and_then(|id| plan.scope(*id));
    Standing {
        inside: scope.map_or(std::ptr::null(), |scope| Arc::as_ptr(&scope.inside)),
        native: native_of(plan, way),
        element: fhir_of(plan, way, 0, |entry| &entry.resource),
    }
}

/// What the lines of one occurrence of a scope say: `way` is it, after those that it stands in.
fn lines_of(plan: &Plan, way: &[ScopeId], all: &mut Vec<Explanation>) {
    let Some(scope) = way.last().and_then(|id| plan.scope(*id)) else { return };
    for stmt in &scope.body {
        if let StmtKind::Rule(rule) = stmt.kind
            && let Some(rule) = plan.rule(rule)
        {
            for tuple in &rule.native {
                let native: Vec<String> =
                    tuple.iter().map(|p| joined(&native_of(plan, way), &steps(&p.steps))).collect();
                let line = one(plan, rule.line, native.join(" + "), Some((way, rule.slot)), None);
                all.push(Explanation { direction: sign(rule.direction), ..line });
            }
            for (slot, _) in &rule.also {
                let native = rule.native.first().and_then(|t| t.first());
                let native = native.map(|p| joined(&native_of(plan, way), &steps(&p.steps)));
                let line = one(plan, rule.line, native.unwrap_or_default(), Some((way, *slot)), None);
                all.push(Explanation { direction: "=>", ..line });
            }
        }
    }
    for stmt in &scope.body {
        if let StmtKind::Whole(whole) = stmt.kind
            && let Some(whole) = plan.whole(whole)
        {
            let native = joined(&native_of(plan, way), &steps(&whole.native.steps));
            let native = if native.is_empty() { "$".to_owned() } else { native };
            let mut open = vec![(whole.native_type.clone(), whole.r4_type.clone(), String::new(), String::new())];
            while let Some((from, to, below, element)) = open.pop() {
                for (name, path, line, inner) in versions::elements(plan, whole, &from, &to) {
                    let line = one(plan, line, format!("{native}{below}.{name}"), Some((way, whole.slot)), None);
                    let fhir = format!("{}{element}.{path}", line.fhir);
                    let typed = format!("{}{element}.{path}", line.element);
                    all.push(Explanation { direction: "<=>", fhir, element: typed, ..line });
                    if let Some((from, to)) = inner {
                        open.push((from, to, format!("{below}.{name}"), format!("{element}.{path}")));
                    }
                }
            }
        }
    }
    for fixed in &scope.consts {
        all.push(one(plan, fixed.line, String::new(), Some((way, fixed.slot)), Some(Fixed::Value)));
    }
    for link in &scope.links {
        all.push(one(plan, link.line, String::new(), Some((way, link.slot)), Some(Fixed::Link)));
    }
}

/// Visits every scope wherever a block puts it, with those that it stands in; what is in it where the visitor says so.
pub(crate) fn each_occurrence(plan: &Plan, visit: &mut dyn FnMut(&[ScopeId]) -> bool) {
    fn below(plan: &Plan, way: &mut Vec<ScopeId>, visit: &mut dyn FnMut(&[ScopeId]) -> bool) {
        if !visit(way) {
            return;
        }
        for stmt in way.last().and_then(|id| plan.scope(*id)).into_iter().flat_map(|scope| &scope.body) {
            let StmtKind::Scope(inner) = stmt.kind else { continue };
            // A block that is used within itself says the same again.
            let inside = plan.scope(inner).map(|scope| Arc::as_ptr(&scope.inside));
            let again = way.iter().filter_map(|id| plan.scope(*id)).any(|of| Some(Arc::as_ptr(&of.inside)) == inside);
            if !again {
                way.push(inner);
                below(plan, way, visit);
                way.pop();
            }
        }
    }
    below(plan, &mut vec![0], visit);
}

/// Where a scope stands where it was compiled first.
fn way_of(plan: &Plan, scope: ScopeId) -> Vec<ScopeId> {
    let mut way: Vec<ScopeId> =
        std::iter::successors(Some(scope), |id| plan.scope(*id).and_then(|scope| scope.parent)).collect();
    way.reverse();
    way
}

fn one(
    plan: &Plan,
    line: LineId,
    native: String,
    place: Option<(&[ScopeId], u16)>,
    fixed: Option<Fixed>,
) -> Explanation {
    let here = plan.lines.get(line as usize);
    Explanation {
        line: plan.line(line),
        place: here.map(|l| (l.file.to_string(), l.span.line)).unwrap_or_default(),
        native,
        direction: "",
        fhir: place.map(|(way, slot)| fhir_of(plan, way, slot, |e| &e.name)).unwrap_or_default(),
        element: place.map(|(way, slot)| fhir_of(plan, way, slot, |e| &e.resource)).unwrap_or_default(),
        fixed,
    }
}

/// Whether a line of one path says something of another: one begins with the other, a first part being the whole.
fn speaks(line: &str, asked: &str) -> bool {
    let below = line.strip_prefix(asked).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '-', '/', '@']));
    let firsts = asked.strip_prefix(line).is_some_and(|rest| rest.replace(".1", "").is_empty());
    !line.is_empty() && !asked.is_empty() && (below || firsts)
}

/// A path without what stands between brackets, and without numbers of rows.
fn plain(path: &str) -> String {
    let path = strip_indexes(path);
    match path.strip_prefix("row ").and_then(|rest| rest.split_once('/')) {
        Some((_, column)) => format!("row/{column}"),
        None => path,
    }
}

fn sign(direction: Direction) -> &'static str {
    match direction {
        Direction::Both => "<=>",
        Direction::Get => "=>",
        Direction::Put => "<=",
    }
}

/// What is spoken of, and whether a rule carries it.
#[derive(Default)]
struct Claims {
    /// By the path that is named.
    named: FxHashMap<Vec<NativeName>, bool>,
    /// By every beginning of one.
    above: FxHashMap<Vec<NativeName>, bool>,
}

impl Claims {
    fn of(plan: &Plan) -> Self {
        let mut claims = Self::default();
        for claim in plan.claims.iter().filter(|c| !c.path.is_empty()) {
            claims.take(claim.path.clone(), claim.carried);
        }
        // What a block claims it claims wherever it is used.
        let mut open: Vec<(&Copies, Vec<NativeName>)> = plan.copies.iter().map(|c| (c, c.to.clone())).collect();
        let mut done: FxHashSet<(usize, usize, Vec<NativeName>)> = FxHashSet::default();
        while let Some((copy, to)) = open.pop() {
            if !done.insert((copy.claims.start, copy.claims.end, to.clone())) {
                continue;
            }
            let moved = |path: &[NativeName]| -> Vec<NativeName> {
                to.iter().chain(path.get(copy.from..).unwrap_or_default()).cloned().collect()
            };
            for claim in plan.claims.get(copy.claims.clone()).unwrap_or_default() {
                claims.take(moved(&claim.path), claim.carried);
            }
            let inner = plan.copies.get(copy.copies.clone()).unwrap_or_default();
            open.extend(inner.iter().map(|inner| (inner, moved(&inner.to))));
        }
        claims
    }

    fn take(&mut self, path: Vec<NativeName>, carried: bool) {
        // Beginnings of a beginning that is known are known.
        for end in (1..=path.len()).rev() {
            let beginning = path.get(..end).unwrap_or_default();
            match self.above.get_mut(beginning) {
                Some(known) if *known || !carried => break,
                Some(known) => *known = true,
                None => {
                    self.above.insert(beginning.to_vec(), carried);
                }
            }
        }
        *self.named.entry(path).or_default() |= carried;
    }

    /// Whether a claim speaks of a leaf, one path beginning with the other, and a rule carries it.
    fn on(&self, leaf: &[NativeName]) -> Option<bool> {
        let upto = (1..=leaf.len()).filter_map(|end| self.named.get(leaf.get(..end)?));
        upto.chain(self.above.get(leaf)).copied().reduce(|a, b| a || b)
    }
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
        NativeName::Group(name) => {
            text.clear();
            write!(text, "{name}")
        }
        NativeName::Field(n) => write!(text, "-{n}"),
        NativeName::Component(n) | NativeName::Subcomponent(n) => write!(text, ".{n}"),
        NativeName::Member(name) if text.is_empty() => write!(text, "$.{name}"),
        NativeName::Member(name) => write!(text, ".{name}"),
        NativeName::Element(name) => write!(text, "/{name}"),
        NativeName::Attribute(name) => write!(text, "/@{name}"),
        NativeName::Parent => write!(text, "/.."),
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

/// The native path of a scope, which is the last of those on the way to it.
pub(crate) fn native_of(plan: &Plan, way: &[ScopeId]) -> String {
    way.iter().filter_map(|id| plan.scope(*id)).fold(String::new(), |outer, of| {
        let own = of.native.first().map(|p| steps(&p.steps)).unwrap_or_default();
        joined(&outer, &own)
    })
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

fn fhir_of(plan: &Plan, way: &[ScopeId], slot: u16, name: fn(&Entry) -> &str) -> String {
    let Some(of) = way.last().and_then(|id| plan.scope(*id)) else { return String::new() };
    let outer = |up: u8| way.get(..way.len().saturating_sub(usize::from(up)).max(1)).unwrap_or_default();
    match of.slots.get(usize::from(slot)).map(|s| &s.at) {
        Some(SlotAt::Alias(to)) => fhir_of(plan, outer(to.up), to.slot, name),
        Some(SlotAt::Entry(index)) => {
            of.entries.get(usize::from(*index)).map(|e| name(e).to_owned()).unwrap_or_default()
        }
        Some(SlotAt::Child { parent, written, select, .. }) => {
            let mut text = fhir_of(plan, outer(parent.up), parent.slot, name);
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
