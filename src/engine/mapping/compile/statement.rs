//! Statements: rules become leaves or scopes, `each` becomes a scope, blocks are compiled in place.

use std::sync::Arc;

use super::super::lens::{Lens, Precision};
use super::super::plan::{
    self, Bound, Const, Entry, Fate, LineId, Link, Rule, ScopeId, SlotAt, SlotRef, Stmt, StmtKind,
};
use super::super::schema::Place;
use super::super::syntax::{
    self, Direction, Each, FhirPath, FhirSelect, FhirStep, Kind, LensCall, NativePath, Otherwise, Span, Statement,
};
use super::lens::Carrier;
use super::native::Found;
use super::{Compiler, Standing};
use crate::definitions::Kind as TypeKind;

impl Compiler<'_> {
    /// Compiles statements into the innermost scope. Entries come first: any line may speak of them.
    pub(super) fn body(&mut self, statements: &[Statement]) {
        for statement in statements {
            if let Kind::Entry(entry) = &statement.kind {
                self.declare(statement.span, entry);
            }
        }
        for statement in statements {
            self.statement(statement);
        }
    }

    fn statement(&mut self, statement: &Statement) {
        let line = self.line(statement.span);
        let mark = self.mark_of_body();
        match &statement.kind {
            Kind::Entry(_) => {}
            Kind::Const(all) => {
                for one in all {
                    self.constant(line, &one.path, &one.value, &[], false);
                }
            }
            Kind::Default(all) => {
                for one in all {
                    self.constant(line, &one.path, &one.value, &[], true);
                }
            }
            Kind::Event(codes, all) => {
                for one in all {
                    self.constant(line, &one.path, &one.value, codes, false);
                }
            }
            Kind::Link(all) => {
                for (path, span, name) in all {
                    self.link(line, path, *span, name);
                }
            }
            Kind::Rule(rule) => self.rule(line, statement.span, rule),
            Kind::Each(each) => self.each(line, each, &statement.body),
            Kind::Use(span, name) => self.inline(*span, name),
            Kind::Residue(paths) => self.fate(line, paths, None),
            Kind::Drop(paths, reason) => self.fate(line, paths, Some(reason)),
            Kind::Bound(what, to) => self.bound(what, to),
            Kind::Ordinal(path) => {
                if let Some(found) = self.native(path) {
                    self.claim(&found.at, true);
                    let here = self.here();
                    if let Some(scope) = self.scope_mut(here) {
                        scope.ordinal = Some((line, found.path));
                    }
                }
            }
            Kind::Verb(path) => {
                if let Some(found) = self.native(path) {
                    self.claim(&found.at, true);
                    let here = self.here();
                    if let Some(scope) = self.scope_mut(here) {
                        scope.verb = Some((line, found.path));
                    }
                }
            }
            Kind::Written(path, text) => {
                if let Some(found) = self.native(path) {
                    let here = self.here();
                    if let Some(scope) = self.scope_mut(here) {
                        scope.written.push((found.path, text.clone()));
                    }
                }
            }
        }
        let here = self.here();
        if let Some(scope) = self.scope_mut(here) {
            for stmt in scope.body.iter_mut().skip(mark) {
                stmt.since = stmt.since.max(statement.since);
                stmt.before = match (stmt.before, statement.before) {
                    (Some(a), Some(b)) => Some(a.min(b)),
                    (a, b) => a.or(b),
                };
            }
        }
    }

    fn mark_of_body(&self) -> usize {
        self.plan.scope(self.here()).map_or(0, |scope| scope.body.len())
    }

    fn push(&mut self, kind: StmtKind) {
        let here = self.here();
        if let Some(scope) = self.scope_mut(here) {
            scope.body.push(Stmt { since: None, before: None, kind });
        }
    }

    fn declare(&mut self, span: Span, entry: &syntax::Entry) {
        let key = entry.key.as_ref().and_then(|key| self.key(key, None));
        let here = self.here();
        self.entry_in(here, span, &entry.name, &entry.resource, key, None);
    }

    /// A new entry in a scope; gives its slot.
    fn entry_in(
        &mut self,
        scope: ScopeId,
        span: Span,
        name: &str,
        resource: &str,
        key: Option<plan::Key>,
        reference: Option<u16>,
    ) -> Option<u16> {
        let type_id = self.model.type_named(resource).filter(|t| self.model.kind(*t) == TypeKind::Resource);
        if type_id.is_none() || type_id.is_some_and(|t| self.model.is_abstract(t)) {
            self.problem(span, format!("{resource} is no resource type of FHIR R4"), "`entry name: ServiceRequest`");
            return None;
        }
        let index = self.plan.scope(scope).map_or(0, |s| s.entries.len());
        let index = u16::try_from(index).unwrap_or(u16::MAX);
        let slot = self.push_slot(scope, SlotAt::Entry(index), type_id);
        let line = self.line(span);
        if let Some(scope) = self.scope_mut(scope) {
            scope.entries.push(Entry { line, name: name.into(), resource: resource.into(), key, slot, reference });
        }
        Some(slot)
    }

    /// The slot that must be there for something fixed to be set: the entry, or the scope's own place.
    fn anchor(&mut self, path: &FhirPath) -> Option<SlotRef> {
        self.start(path)
    }

    fn constant(&mut self, line: LineId, path: &FhirPath, value: &syntax::Value, events: &[String], default: bool) {
        let Some(anchor) = self.anchor(path) else { return };
        let Some(slot) = self.slot_of(path) else { return };
        let library = self.library;
        let value = match plan::constant(value, |name| library.system(name)) {
            Ok(value) => value,
            Err(what) => return self.problem(path.span, what, ""),
        };
        let Some(type_id) = self.type_of(slot) else { return };
        let type_name = self.model.type_name(type_id).to_owned();
        let fits = match &value {
            plan::Constant::Coding { .. } => matches!(type_name.as_str(), "CodeableConcept" | "Coding" | "code"),
            _ => self.model.kind(type_id) == TypeKind::Primitive,
        };
        if !fits {
            return self.problem(
                path.span,
                format!("this constant is no {type_name}"),
                "a text or code for a primitive, system#code for a concept",
            );
        }
        if let plan::Constant::Text(text) = &value
            && !crate::fhir::datatypes::is_lexical(&type_name, text)
        {
            return self.problem(path.span, format!("{text:?} is no {type_name}"), "a value of the element's type");
        }
        let scope = self.above(slot.up);
        let anchor = SlotRef { up: anchor.up.saturating_sub(slot.up), slot: anchor.slot };
        let slot = slot.slot;
        if let Some(scope) = self.scope_mut(scope) {
            scope.consts.push(Const { line, anchor, slot, value, events: events.to_vec(), default });
        }
    }

    fn link(&mut self, line: LineId, path: &FhirPath, span: Span, name: &str) {
        let Some(anchor) = self.anchor(path) else { return };
        let Some(slot) = self.slot_of(path) else { return };
        let Some(to) = self.entry(name) else {
            return self.problem(span, format!("there is no entry {name}"), format!("one of {}", self.entry_names()));
        };
        let type_name = self.type_of(slot).map(|t| self.model.type_name(t).to_owned()).unwrap_or_default();
        if type_name != "Reference" {
            return self.problem(
                path.span,
                format!("a link fills a Reference; {path} is a {type_name}"),
                "a reference element",
            );
        }
        // The link is made in the innermost scope, which sees both ends.
        let here = self.here();
        let local = self.localize(slot);
        if let Some(scope) = self.scope_mut(here) {
            scope.links.push(Link { line, anchor, slot: local, to });
        }
    }

    /// A slot of the innermost scope that stands for one above.
    fn localize(&mut self, at: SlotRef) -> u16 {
        if at.up == 0 {
            return at.slot;
        }
        let type_id = self.type_of(at);
        self.push_slot(self.here(), SlotAt::Alias(at), type_id)
    }

    fn fate(&mut self, line: LineId, paths: &[NativePath], drop: Option<&String>) {
        let scope = self.here();
        let mut compiled = Vec::new();
        for path in paths {
            if let Some(found) = self.native(path) {
                self.claim(&found.at, false);
                compiled.push(found.path);
            }
        }
        self.plan.fates.push(Fate { line, paths: compiled, scope, drop: drop.cloned() });
    }

    fn bound(&mut self, what: &[NativePath], to: &NativePath) {
        let what: Vec<plan::NativePath> =
            what.iter().filter_map(|path| self.native(path)).map(|found| found.path).collect();
        if let Some(to) = self.native(to) {
            let here = self.here();
            if let Some(scope) = self.scope_mut(here) {
                scope.bound.push(Bound { what, to: to.path });
            }
        }
    }

    /// `use block`: its statements, in this very scope.
    fn inline(&mut self, span: Span, name: &str) {
        let library = self.library;
        let Some(block) = library.blocks.get(name) else {
            let mut known: Vec<&str> = library.blocks.keys().map(String::as_str).collect();
            known.sort_unstable();
            return self.problem(span, format!("there is no block {name}"), super::fhir::nearest(name, &known));
        };
        let place = self.stands().place;
        if let Place::Segment(segment) = place
            && !block.from.is_empty()
            && !block.from.iter().any(|f| f == segment.as_str())
        {
            self.problem(span, format!("block {name} is for {}", block.from.join(", ")), "a scope on that segment");
        }
        self.within(span, block, |compiler| compiler.body(&block.body));
    }

    /// Compiles something of a block: problems are in its file, and its lines remember who uses them.
    fn within(&mut self, span: Span, block: &syntax::BlockItem, compile: impl FnOnce(&mut Self)) {
        if self.depth >= 16 {
            return self.problem(span, format!("block {} uses itself", block.name), "blocks that end");
        }
        let line = self.line(span);
        let file = std::mem::replace(&mut self.file, Arc::clone(&block.file));
        let from = self.from.replace(line);
        self.depth += 1;
        compile(self);
        self.depth -= 1;
        self.from = from;
        self.file = file;
    }

    /// Opens a scope, fills it, closes it and puts it into the one it stands in.
    fn open(
        &mut self,
        line: LineId,
        direction: Direction,
        standing: Standing,
        fill: impl FnOnce(&mut Self, ScopeId),
    ) -> ScopeId {
        let id = self.scope(line, direction);
        self.open.push(id);
        self.standing.push(standing);
        fill(self, id);
        self.standing.pop();
        self.open.pop();
        self.push(StmtKind::Scope(id));
        id
    }

    fn each(&mut self, line: LineId, each: &Each, body: &[Statement]) {
        let Some(found) = self.native(&each.native) else { return };
        let key = each.key.as_ref().and_then(|key| self.key(key, Some(&found.at)));
        // A segment or row that is claimed by a scope is claimed by the lines in it.
        let repeats = found.path.many() || matches!(found.at.place, Place::Segment(_) | Place::Row);
        let Found { mut path, at } = found;
        if let (Place::Segment(_), Some(last)) = (&at.place, path.steps.last_mut())
            && matches!(last.select, plan::NativeSelect::First)
        {
            last.select = plan::NativeSelect::All;
        }
        self.open(line, Direction::Both, at, |compiler, id| {
            if !compiler.place_each(each, key.as_ref()) {
                return;
            }
            if let Some(scope) = compiler.scope_mut(id) {
                scope.native = vec![path];
                scope.key = key;
                scope.more.clone_from(&each.more);
                scope.repeats = repeats;
                scope.each = scope.grows();
            }
            if let Some((span, name)) = &each.block {
                compiler.inline(*span, name);
            }
            compiler.body(body);
        });
    }

    /// Gives the innermost (new) scope its own FHIR place.
    fn place_each(&mut self, each: &Each, key: Option<&plan::Key>) -> bool {
        let here = self.here();
        let Some(fhir) = &each.fhir else {
            self.push_slot(here, SlotAt::Nowhere, None);
            return true;
        };
        let Some((span, resource)) = &each.resource else {
            let Some(target) = self.outer_slot(fhir) else { return false };
            return self.place(target).is_some();
        };
        // Slot 0 is the entry; the reference to it comes after.
        let own_name = fhir.entry.clone().filter(|_| fhir.steps.is_empty());
        let name = each.name.clone().or(own_name).unwrap_or_else(|| resource.to_lowercase());
        if self.entry_in(here, *span, &name, resource, key.cloned(), None).is_none() {
            return false;
        }
        // A name that is no entry yet, without an element: the resource is referred to by none, only by its own links.
        let free = fhir.steps.is_empty() && fhir.entry.as_ref().is_some_and(|n| *n == name);
        if free {
            return true;
        }
        let Some(target) = self.outer_slot(fhir) else { return false };
        let type_name = self.type_of(target).map(|t| self.model.type_name(t).to_owned()).unwrap_or_default();
        if type_name != "Reference" {
            let what = format!("{fhir} is a {type_name}, not a Reference");
            self.problem(fhir.span, what, "leave `: Type` out, or name a reference element");
            return false;
        }
        let reference = self.localize(target);
        if let Some(entry) = self.scope_mut(here).and_then(|s| s.entries.first_mut()) {
            entry.reference = Some(reference);
        }
        true
    }

    /// Makes slot 0 of the innermost scope: the slot itself where it is the scope's own, else another name for it.
    fn place(&mut self, target: SlotRef) -> Option<()> {
        let here = self.here();
        let type_id = self.type_of(target);
        if target.up > 0 {
            self.push_slot(here, SlotAt::Alias(target), type_id);
        }
        Some(())
    }

    /// Resolves a scope's FHIR path: all but a repeating last step in the outer scope.
    fn outer_slot(&mut self, path: &FhirPath) -> Option<SlotRef> {
        let own = self.open.pop();
        let result = self.resolve_outer(path);
        self.open.extend(own);
        let (parent, last) = result?;
        let Some(last) = last else {
            return Some(SlotRef { up: parent.up + 1, slot: parent.slot });
        };
        let parent = SlotRef { up: parent.up + 1, slot: parent.slot };
        self.step(parent, &last, path.span)
    }

    /// The slot of a path in the innermost scope, up to a step that is new each time.
    fn resolve_outer(&mut self, path: &FhirPath) -> Option<(SlotRef, Option<FhirStep>)> {
        let mut at = self.start(path)?;
        let mut steps = path.steps.iter();
        for step in steps.by_ref() {
            if matches!(step.select, FhirSelect::Each | FhirSelect::With(_, true)) {
                if steps.next().is_some() {
                    self.problem(
                        path.span,
                        "what follows a repetition belongs into the lines below",
                        "end the path with `[]`",
                    );
                    return None;
                }
                return Some((at, Some(step.clone())));
            }
            at = self.step(at, step, path.span)?;
        }
        Some((at, None))
    }

    fn rule(&mut self, line: LineId, span: Span, rule: &syntax::Rule) {
        if rule.direction != Direction::Both {
            match &rule.reason {
                Some(reason) => self.plan.one_way.push((line, reason.clone())),
                None => self.problem(span, "a one-way rule without a reason", "say why: `reason \"…\"`"),
            }
        }
        let mut alternatives: Vec<Vec<Found>> = Vec::new();
        for tuple in &rule.native {
            let mut found = Vec::new();
            for path in tuple {
                match self.native(path) {
                    Some(one) => found.push(one),
                    None => return,
                }
            }
            for one in &found {
                self.claim(&one.at, true);
            }
            alternatives.push(found);
        }
        let Some(first) = alternatives.first().and_then(|tuple| tuple.first()) else { return };
        let place = first.at.place.clone();
        let many = alternatives.iter().flatten().any(|one| one.path.many());
        let split =
            rule.fhir.steps.iter().position(|s| matches!(s.select, FhirSelect::Each | FhirSelect::With(_, true)));
        if let (Some(_), false) = (split, many) {
            return self.repeated(line, span, rule, alternatives, split);
        }
        if many {
            return self.repeated(line, span, rule, alternatives, split);
        }
        let Some(slot) = self.slot_of(&rule.fhir) else { return };
        let Some(type_id) = self.type_of(slot) else { return };
        match self.carrier(rule.lens.as_ref(), &place, type_id, span) {
            Some(Carrier::Lens(lens)) => self.leaf(line, span, rule, alternatives, lens, slot),
            Some(Carrier::Block(name)) => self.part(line, span, rule, alternatives, &name, slot),
            None => {}
        }
    }

    /// A rule on a composite: a scope whose lines are the block's.
    fn part(
        &mut self,
        line: LineId,
        span: Span,
        rule: &syntax::Rule,
        alternatives: Vec<Vec<Found>>,
        block: &str,
        slot: SlotRef,
    ) {
        let when = self.conditions(&rule.when);
        let Some((native, standing)) = self.singles(span, alternatives) else { return };
        let slot = SlotRef { up: slot.up + 1, slot: slot.slot };
        self.open(line, rule.direction, standing, |compiler, id| {
            compiler.place(slot);
            compiler.fill(id, native, when, rule, span, Some(block));
        });
        self.also_scopes(line, rule, span);
    }

    fn fill(
        &mut self,
        id: ScopeId,
        native: Vec<plan::NativePath>,
        when: Vec<plan::Condition>,
        rule: &syntax::Rule,
        span: Span,
        block: Option<&str>,
    ) {
        if let Some(scope) = self.scope_mut(id) {
            scope.native = native;
            scope.when = when;
            scope.more.clone_from(&rule.more);
        }
        if let Some(block) = block {
            let call = rule.lens.as_ref().map_or(span, |l| l.span);
            self.block(call, block);
        }
    }

    fn block(&mut self, span: Span, name: &str) {
        let library = self.library;
        let Some(block) = library.blocks.get(name) else { return };
        let type_name =
            self.type_of(SlotRef { up: 0, slot: 0 }).map(|t| self.model.type_name(t).to_owned()).unwrap_or_default();
        if let Some(to) = &block.to
            && *to != type_name
        {
            return self.problem(
                span,
                format!("block {name} fills a {to}; the FHIR side is a {type_name}"),
                format!("a block for {type_name}"),
            );
        }
        if let Place::Typed { datatype, .. } = self.stands().place
            && !block.from.is_empty()
            && !matches!(datatype, "varies" | "" | "WD")
            && !block.from.iter().any(|f| f == datatype)
        {
            return self.problem(
                span,
                format!("block {name} takes {}; the native side is {datatype}", block.from.join(", ")),
                "a block for that data type",
            );
        }
        self.within(span, block, |compiler| compiler.body(&block.body));
    }

    /// One path an alternative, for scopes.
    fn singles(&mut self, span: Span, alternatives: Vec<Vec<Found>>) -> Option<(Vec<plan::NativePath>, Standing)> {
        let mut paths = Vec::new();
        let mut standing = None;
        for tuple in alternatives {
            let mut tuple = tuple.into_iter();
            let (Some(found), None) = (tuple.next(), tuple.next()) else {
                self.problem(span, "a block takes one native part", "leave out `+`, or use a lens that takes several");
                return None;
            };
            standing = standing.or(Some(found.at));
            paths.push(found.path);
        }
        Some((paths, standing?))
    }

    /// A rule that repeats: a scope of one line.
    fn repeated(
        &mut self,
        line: LineId,
        span: Span,
        rule: &syntax::Rule,
        alternatives: Vec<Vec<Found>>,
        split: Option<usize>,
    ) {
        let when = self.conditions(&rule.when);
        let many = alternatives.iter().flatten().any(|one| one.path.many());
        if alternatives.first().is_some_and(|tuple| tuple.len() > 1) {
            return self.tuple_repeated(line, span, rule, alternatives);
        }
        let Some((native, standing)) = self.singles(span, alternatives) else { return };
        let (outer, inner) = match split {
            Some(at) => {
                let (outer, inner) = rule.fhir.steps.split_at(at + 1);
                (outer.to_vec(), inner.to_vec())
            }
            None => (rule.fhir.steps.clone(), Vec::new()),
        };
        if split.is_none() && rule.more.is_none() {
            self.problem(
                rule.fhir.span,
                format!("native repeats here and {} does not", rule.fhir),
                "`[]` on the FHIR list, or `more => residue`",
            );
        }
        let outer = FhirPath { span: rule.fhir.span, entry: rule.fhir.entry.clone(), steps: outer };
        let place = standing.place.clone();
        self.open(line, rule.direction, standing, |compiler, id| {
            let Some(target) = compiler.outer_slot(&outer) else { return };
            compiler.place(target);
            if let Some(scope) = compiler.scope_mut(id) {
                scope.repeats = many;
                scope.each = split.is_some();
            }
            let mut slot = SlotRef { up: 0, slot: 0 };
            for step in &inner {
                let Some(next) = compiler.step(slot, step, rule.fhir.span) else { return };
                slot = next;
            }
            let Some(type_id) = compiler.type_of(slot) else { return };
            match compiler.carrier(rule.lens.as_ref(), &place, type_id, span) {
                Some(Carrier::Lens(lens)) => {
                    compiler.fill(id, native, when, rule, span, None);
                    let own = plan::NativePath { from_document: false, steps: Vec::new() };
                    let found = Found { path: own, at: compiler.stands() };
                    let bare = syntax::Rule { when: Vec::new(), more: None, ..rule.clone() };
                    compiler.leaf(line, span, &bare, vec![vec![found]], lens, slot);
                }
                Some(Carrier::Block(name)) if inner.is_empty() => {
                    compiler.fill(id, native, when, rule, span, Some(&name));
                }
                Some(Carrier::Block(name)) => {
                    compiler.fill(id, native, when, rule, span, None);
                    let own = plan::NativePath { from_document: false, steps: Vec::new() };
                    let found = Found { path: own, at: compiler.stands() };
                    let bare = syntax::Rule { when: Vec::new(), more: None, also: Vec::new(), ..rule.clone() };
                    compiler.part(line, span, &bare, vec![vec![found]], &name, slot);
                }
                None => {}
            }
        });
        if !rule.also.is_empty() && rule.lens.as_ref().is_some_and(|l| self.library.blocks.contains_key(&l.name)) {
            self.also_scopes(line, rule, span);
        }
    }

    /// Several leaves taken together into one repetition of a list: there at most once.
    fn tuple_repeated(&mut self, line: LineId, span: Span, rule: &syntax::Rule, alternatives: Vec<Vec<Found>>) {
        if alternatives.iter().flatten().any(|one| one.path.many()) {
            return self.problem(span, "several leaves taken together cannot repeat", "one `each` around the line");
        }
        let Some(slot) = self.slot_of(&rule.fhir) else { return };
        let Some(type_id) = self.type_of(slot) else { return };
        let place = alternatives.first().and_then(|t| t.first()).map_or(Place::Open, |f| f.at.place.clone());
        if let Some(Carrier::Lens(lens)) = self.carrier(rule.lens.as_ref(), &place, type_id, span) {
            self.leaf(line, span, rule, alternatives, lens, slot);
        }
    }

    /// `also` with blocks: one-way scopes of their own.
    fn also_scopes(&mut self, line: LineId, rule: &syntax::Rule, span: Span) {
        for (path, lens) in &rule.also {
            let copy = syntax::Rule {
                native: rule.native.clone(),
                direction: Direction::Get,
                fhir: path.clone(),
                lens: lens.clone().or_else(|| rule.lens.clone()),
                when: rule.when.clone(),
                only: Vec::new(),
                empty: None,
                otherwise: Some(Otherwise::Residue),
                more: Some(Otherwise::Residue),
                also: Vec::new(),
                reason: Some("a copy; the line's own target writes back".to_owned()),
            };
            let counted = self.plan.one_way.len();
            self.rule(line, span, &copy);
            self.plan.one_way.truncate(counted);
        }
    }

    fn leaf(
        &mut self,
        line: LineId,
        span: Span,
        rule: &syntax::Rule,
        alternatives: Vec<Vec<Found>>,
        lens: Lens,
        slot: SlotRef,
    ) {
        let (least, most) = lens.inputs();
        for tuple in &alternatives {
            if tuple.len() < least || tuple.len() > most {
                let wanted = if least == most { format!("{least}") } else { format!("{least} to {most}") };
                return self.problem(
                    span,
                    format!("the lens takes {wanted} native leaves, not {}", tuple.len()),
                    "join leaves with `+`",
                );
            }
        }
        let Some(type_id) = self.type_of(slot) else { return };
        if self.model.kind(type_id) != TypeKind::Primitive {
            let name = self.model.type_name(type_id).to_owned();
            return self.problem(
                rule.fhir.span,
                format!("the FHIR side is a {name}, not a primitive"),
                "an element below it",
            );
        }
        self.check_lens(line, span, rule, &lens, slot);
        let library = self.library;
        let empty = match rule.empty.as_ref().map(|v| plan::constant(v, |name| library.system(name))).transpose() {
            Ok(empty) => empty,
            Err(what) => return self.problem(span, what, ""),
        };
        let describes_composite = matches!(lens, Lens::Coded(_))
            && matches!(alternatives.first().and_then(|t| t.first()).map(|f| &f.at.place),
                Some(Place::Typed { datatype, .. }) if self.schema.composite(datatype));
        let native = alternatives.into_iter().map(|tuple| tuple.into_iter().map(|f| f.path).collect()).collect();
        let when = self.conditions(&rule.when);
        let mut only = Vec::new();
        if let Some(own) = self.type_of(SlotRef { up: 0, slot: 0 }) {
            for one in &rule.only {
                only.extend(self.mark(one, own, span));
            }
        }
        let mut also = Vec::new();
        let mut copies: Vec<(FhirPath, Option<LensCall>)> = Vec::new();
        for (path, call) in &rule.also {
            let Some(slot) = self.slot_of(path) else { continue };
            let Some(type_id) = self.type_of(slot) else { continue };
            if self.model.kind(type_id) != TypeKind::Primitive {
                copies.push((path.clone(), call.clone()));
                continue;
            }
            let carrier = match call {
                Some(_) => self.carrier(call.as_ref(), &Place::Open, type_id, span),
                None => Some(Carrier::Lens(lens.clone())),
            };
            if let Some(Carrier::Lens(lens)) = carrier {
                also.push((self.localize(slot), lens));
            }
        }
        let slot = self.localize(slot);
        self.plan.rules.push(Rule {
            line,
            native,
            lens,
            slot,
            direction: rule.direction,
            when,
            only,
            empty,
            otherwise: rule.otherwise.clone(),
            also,
            describes_composite,
        });
        let id = plan::RuleId::try_from(self.plan.rules.len() - 1).unwrap_or(plan::RuleId::MAX);
        self.push(StmtKind::Rule(id));
        if !copies.is_empty() {
            let copy = syntax::Rule { also: copies, ..rule.clone() };
            self.also_scopes(line, &copy, span);
        }
    }

    /// Totality of tables, and lenses that fit their FHIR type.
    fn check_lens(&mut self, _: LineId, span: Span, rule: &syntax::Rule, lens: &Lens, slot: SlotRef) {
        let Some(type_id) = self.type_of(slot) else { return };
        let type_name = self.model.type_name(type_id).to_owned();
        let fits = match lens {
            Lens::Dtm(precision)
            | Lens::Iso(precision)
            | Lens::Date(_, precision)
            | Lens::DateTime(_, _, precision) => {
                matches!(type_name.as_str(), "date" | "dateTime" | "instant")
                    && (*precision == Precision::Day) == (type_name == "date")
            }
            Lens::Boolean(..) => type_name == "boolean",
            Lens::Number(true) => matches!(type_name.as_str(), "integer" | "positiveInt" | "unsignedInt" | "decimal"),
            Lens::Number(false) => type_name == "decimal",
            Lens::System => matches!(type_name.as_str(), "uri" | "url" | "canonical"),
            // An organisation's own identifier may be a URI as a text.
            Lens::Authority => matches!(type_name.as_str(), "uri" | "url" | "canonical" | "string"),
            Lens::Data => type_name == "base64Binary",
            Lens::Text => !matches!(
                type_name.as_str(),
                "date"
                    | "dateTime"
                    | "instant"
                    | "boolean"
                    | "decimal"
                    | "integer"
                    | "positiveInt"
                    | "unsignedInt"
                    | "time"
            ),
            _ => true,
        };
        if !fits {
            self.problem(
                span,
                format!("the lens does not fill a {type_name}"),
                "a lens for the element's type (leave it out to take the usual one)",
            );
        }
        let Lens::Coded(table) = lens else { return };
        if rule.direction == Direction::Get {
            return;
        }
        let parent = self.slot(slot).and_then(|s| match &s.at {
            SlotAt::Child { parent, written, .. } => {
                Some((SlotRef { up: parent.up + slot.up, slot: parent.slot }, written.to_string()))
            }
            _ => None,
        });
        let Some((parent, written)) = parent else { return };
        let Some(owner) = self.type_of(parent) else { return };
        let Some(codes) = self.required_codes(owner, &written) else { return };
        let undecided: Vec<String> = codes.iter().filter(|code| !table.decides(code)).cloned().collect();
        if !undecided.is_empty() {
            self.problem(
                span,
                format!("the table does not say what becomes of the FHIR codes {}", undecided.join(", ")),
                "`native = code`, a stand-in `~code`, or `code = refuse`",
            );
        }
        let mut foreign: Vec<&str> = table.writable().filter(|code| !codes.iter().any(|c| c == code)).collect();
        foreign.sort_unstable();
        if !foreign.is_empty() {
            let right = format!("one of {}", codes.join(", "));
            self.problem(span, format!("{} is not in the required value set", foreign.join(", ")), right);
        }
    }
}
