//! Statements: rules become leaves or scopes, `each` becomes a scope, blocks are compiled in place.

use std::sync::Arc;

use super::super::plan::{
    self, Bound, Const, DOCUMENT, Entry, Fate, Level, LineId, Link, ScopeId, SlotAt, SlotRef, Stmt, StmtKind,
};
use super::super::schema::Place;
use super::super::syntax::{
    self, Direction, Each, FhirPath, FhirSelect, FhirStep, FormatName, Kind, NativePath, Span, Statement,
};
use super::super::versions::Place as Whose;
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
        let one_way = matches!(&statement.kind, Kind::Rule(rule) if rule.direction == Direction::Get);
        let outer = std::mem::replace(&mut self.one_way, one_way);
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
            Kind::Event { codes, says, default } => {
                for one in says {
                    self.constant(line, &one.path, &one.value, codes, *default);
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
            Kind::Edition => self.plan.edition = Some(line),
            Kind::Verb(path) => {
                if let Some(found) = self.native(path) {
                    self.claim(&found.at, true);
                    let here = self.here();
                    if let Some(scope) = self.scope_mut(here) {
                        scope.verb = Some((line, found.path));
                    }
                }
            }
            Kind::Written(path, text, events) => {
                if let Some(found) = self.native(path) {
                    self.claim(&found.at, true);
                    let here = self.here();
                    if let Some(scope) = self.scope_mut(here) {
                        scope.written.push(plan::WrittenLine {
                            path: found.path,
                            text: text.clone(),
                            events: events.clone(),
                        });
                    }
                }
            }
        }
        self.one_way = outer;
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

    pub(super) fn mark_of_body(&self) -> usize {
        self.plan.scope(self.here()).map_or(0, |scope| scope.body.len())
    }

    pub(super) fn push(&mut self, kind: StmtKind) {
        let here = self.here();
        if let Some(scope) = self.scope_mut(here) {
            scope.body.push(Stmt {
                kind,
                needs: 0,
                level: Level::Anywhere,
                leaf: None,
                said: None,
                segments: false,
                since: None,
                before: None,
            });
        }
    }

    fn declare(&mut self, span: Span, entry: &syntax::Entry) {
        let key = entry.key.as_ref().and_then(|key| self.key(key, None));
        let here = self.here();
        let slot = self.entry_in(here, span, &entry.name, &entry.resource, key, None);
        if slot.is_some()
            && let Some(declared) = self.scope_mut(here).and_then(|scope| scope.entries.last_mut())
        {
            declared.outer = entry.outer;
        }
    }

    /// A new entry in a scope; gives its slot.
    pub(super) fn entry_in(
        &mut self,
        scope: ScopeId,
        span: Span,
        name: &str,
        resource: &str,
        key: Option<plan::Key>,
        reference: Option<u16>,
    ) -> Option<u16> {
        if self.plan.scope(scope).is_some_and(|s| s.entries.iter().any(|entry| entry.name.as_ref() == name)) {
            self.problem(span, format!("there is an entry {name} here already"), "a name of its own: `name = Type`");
        }
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
            scope.entries.push(Entry {
                line,
                name: name.into(),
                resource: resource.into(),
                key,
                url: None,
                slot,
                reference,
                outer: false,
            });
        }
        Some(slot)
    }

    /// The slot that must be there for something fixed to be set: the entry, or the scope's own place.
    pub(super) fn anchor(&mut self, path: &FhirPath) -> Option<SlotRef> {
        self.start(path)
    }

    pub(super) fn constant(
        &mut self,
        line: LineId,
        path: &FhirPath,
        value: &syntax::Value,
        events: &[String],
        default: bool,
    ) {
        let Some(anchor) = self.anchor(path) else { return };
        let Some(slot) = self.slot_of(path) else { return };
        let library = self.library;
        let given = value;
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
        self.known_system(path.span, given);
        self.known_code(path, slot, &value);
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

    /// A code that is written is one of those that the element is bound to.
    fn known_code(&mut self, path: &FhirPath, slot: SlotRef, value: &plan::Constant) {
        let (plan::Constant::Text(code), Some(SlotAt::Child { parent, written, .. })) =
            (value, self.slot(slot).map(|s| &s.at))
        else {
            return;
        };
        let (parent, written) = (SlotRef { up: parent.up + slot.up, slot: parent.slot }, written.to_string());
        let Some(owner) = self.type_of(parent) else { return };
        let Some(codes) = self.required_codes(owner, &written) else { return };
        if !codes.contains(code) {
            let what = format!("{code} is not in the required value set");
            self.problem(path.span, what, format!("one of {}", codes.join(", ")));
        }
    }

    /// A system is told by an alias or its URI.
    pub(super) fn known_system(&mut self, span: Span, value: &syntax::Value) {
        let syntax::Value::Coding(name, _) = value else { return };
        if self.library.system(name).contains(':') {
            return;
        }
        let mut known: Vec<&str> = self.library.aliases.keys().map(String::as_str).collect();
        known.sort_unstable();
        let near = super::fhir::nearest(name, &known);
        let right =
            if near.starts_with('`') { near } else { format!("`alias {name} = \"uri\"`, or the URI in quotes") };
        self.problem(span, format!("{name} names no system"), right);
    }

    fn link(&mut self, line: LineId, path: &FhirPath, span: Span, name: &str) {
        let Some(anchor) = self.anchor(path) else { return };
        let Some(slot) = self.slot_of(path) else { return };
        // What stands for the document's own entries is the same however far in a line is.
        let outermost = self.open.len().saturating_sub(1);
        let far = |to: SlotRef| {
            let document = self.format == FormatName::Xml && outermost > 0 && usize::from(to.up) == outermost;
            if document { SlotRef { up: DOCUMENT, ..to } } else { to }
        };
        let mut named = self.entries(name).into_iter().map(far).collect::<Vec<_>>().into_iter();
        let Some(to) = named.next() else {
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
        let target = self.type_of(to).map(|t| self.model.type_name(t).to_owned()).unwrap_or_default();
        let takes = self.targets(slot);
        if !takes.is_empty() && !takes.iter().any(|one| *one == target || one == "Resource") {
            return self.problem(
                path.span,
                format!("{path} does not refer to a {target}"),
                format!("an entry that is one of {}", takes.join(", ")),
            );
        }
        // The link is made in the innermost scope, which sees both ends.
        let here = self.here();
        let local = self.localize(slot);
        if let Some(scope) = self.scope_mut(here) {
            scope.links.push(Link { line, anchor, slot: local, to, outer: named.collect() });
        }
    }

    /// The types of resources that the reference of a slot may refer to; none where any may be.
    fn targets(&self, slot: SlotRef) -> Vec<String> {
        let Some(SlotAt::Child { parent, written, .. }) = self.slot(slot).map(|slot| &slot.at) else {
            return Vec::new();
        };
        let owner = self.type_of(SlotRef { up: parent.up.saturating_add(slot.up), slot: parent.slot });
        let found = owner.and_then(|owner| self.model.child(owner, written.symbol));
        let named = |url: &str| url.strip_prefix("http://hl7.org/fhir/StructureDefinition/").map(str::to_owned);
        let Some(found) = found else { return Vec::new() };
        let types = self.model.element(found.element).types().filter(|choice| choice.type_id() == found.type_id);
        types.flat_map(|choice| choice.targets()).filter_map(named).collect()
    }

    /// A slot of the innermost scope that stands for one above.
    pub(super) fn localize(&mut self, at: SlotRef) -> u16 {
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
    pub(super) fn within(&mut self, span: Span, block: &syntax::BlockItem, compile: impl FnOnce(&mut Self)) {
        let line = self.line(span);
        let from = self.from.replace(line);
        self.unused(span, block, compile);
        self.from = from;
    }

    /// The same, without anyone who uses it.
    pub(super) fn unused(&mut self, span: Span, block: &syntax::BlockItem, compile: impl FnOnce(&mut Self)) {
        if self.depth >= 16 {
            return self.problem(span, format!("block {} uses itself", block.name), "blocks that end");
        }
        let file = std::mem::replace(&mut self.file, Arc::clone(&block.file));
        self.depth += 1;
        compile(self);
        self.depth -= 1;
        self.file = file;
    }

    /// Opens a scope, fills it, closes it and puts it into the one it stands in.
    pub(super) fn open(
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
        let when = self.conditions(&each.when);
        let key = each.key.as_ref().and_then(|key| self.key(key, Some(&found.at)));
        // A segment or row that is claimed by a scope is claimed by the lines in it.
        let by_nature =
            matches!(found.at.place, Place::Segment(_) | Place::Group(_) | Place::Row | Place::Xml { many: true, .. });
        let repeats = found.path.many() || by_nature;
        let Found { mut path, at } = found;
        if let (Place::Segment(_) | Place::Group(_) | Place::Xml { many: true, .. }, Some(last)) =
            (&at.place, path.steps.last_mut())
            && matches!(last.select, plan::NativeSelect::First)
        {
            last.select = plan::NativeSelect::All;
        }
        let last = each.fhir.as_ref().and_then(|path| path.steps.last());
        let follows = last.is_some_and(|step| matches!(step.select, FhirSelect::From(_)));
        // The resources of a Bundle keep their names.
        let url = matches!(&at.place, Place::Fhir(of) if of == "Bundle.entry").then(|| {
            let mut url = at.clone();
            let name = plan::NativeName::Member("fullUrl".into());
            url.path.push(name.clone());
            self.claim(&url, true);
            self.claim_own(Whose::Entry, &at);
            let steps = vec![plan::NativeStep { name, select: plan::NativeSelect::First }];
            plan::NativePath { from_document: false, steps }
        });
        self.open(line, Direction::Both, at, |compiler, id| {
            if !compiler.place_each(each, key.as_ref()) {
                return;
            }
            if let Some(entry) = compiler.scope_mut(id).and_then(|s| s.entries.first_mut()) {
                entry.url = url;
            }
            compiler.takes_all(each, id);
            if let Some(scope) = compiler.scope_mut(id) {
                scope.native = vec![path];
                scope.when = when;
                scope.key = key;
                scope.more.clone_from(&each.more);
                scope.repeats = repeats;
                scope.each = scope.grows() || (repeats && follows);
            }
            compiler.listed(id, each);
            let library = compiler.library;
            if let Some((span, name)) = &each.block {
                match library.blocks.get(name) {
                    Some(block) if body.is_empty() && block.to.is_some() => compiler.filled_by(*span, block),
                    _ => compiler.inline(*span, name),
                }
            }
            compiler.body(body);
        });
    }

    /// Where every native repetition is taken, FHIR takes every one, or it is said what becomes of the others.
    fn takes_all(&mut self, each: &Each, id: ScopeId) {
        let every = each.native.steps.last().is_some_and(|step| matches!(step.select, syntax::Select::All));
        let Some(fhir) = each.fhir.as_ref().filter(|fhir| every && !fhir.steps.is_empty()) else { return };
        let grows = self.plan.scope(id).is_some_and(plan::Scope::grows);
        if !grows && each.more.is_none() {
            self.problem(
                fhir.span,
                format!("native repeats here and {fhir} does not"),
                "`[]` on the FHIR list, or `more => residue`",
            );
        }
    }

    /// A group comes with what is in it: it has no leaf of its own by which one could be told from none.
    fn listed(&mut self, id: ScopeId, each: &Each) {
        let group = matches!(self.stands().place, Place::Group(_));
        let single = self.plan.scope(id).is_some_and(|scope| {
            !scope.each && !matches!(scope.slots.first().map(|slot| &slot.at), None | Some(SlotAt::Nowhere))
        });
        if group && single {
            self.problem(each.native.span, "a group is paired with the repetitions of a list", "`[]` on a FHIR list");
        }
    }

    /// Gives the innermost (new) scope its own FHIR place.
    pub(super) fn place_each(&mut self, each: &Each, key: Option<&plan::Key>) -> bool {
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
    pub(super) fn place(&mut self, target: SlotRef) -> Option<()> {
        let here = self.here();
        let type_id = self.type_of(target);
        if target.up > 0 {
            self.push_slot(here, SlotAt::Alias(target), type_id);
        }
        Some(())
    }

    /// Resolves a scope's FHIR path: all but a repeating last step in the outer scope.
    pub(super) fn outer_slot(&mut self, path: &FhirPath) -> Option<SlotRef> {
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
    pub(super) fn resolve_outer(&mut self, path: &FhirPath) -> Option<(SlotRef, Option<FhirStep>)> {
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
}
