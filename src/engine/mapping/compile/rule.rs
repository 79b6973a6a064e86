//! Lines that carry values: a lens on leaves, a block on a composite, a repetition for each native one.

use super::super::lens::{CodeTable, Lens, Precision};
use super::super::plan::{self, LineId, Rule, ScopeId, SlotAt, SlotRef, StmtKind};
use super::super::schema::Place;
use super::super::syntax::{self, Direction, FhirPath, FhirSelect, LensCall, Otherwise, Span, Value};
use super::lens::Carrier;
use super::native::Found;
use super::{Compiler, Standing};
use crate::definitions::Kind as TypeKind;
use crate::native::hl7v2::schema::{Schema, Version as V2};
use crate::native::xml::schema::Content;

impl Compiler<'_> {
    pub(super) fn rule(&mut self, line: LineId, span: Span, rule: &syntax::Rule) {
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
        if rule.lens.as_ref().is_some_and(|call| call.name == "same") {
            return self.whole(line, span, rule, alternatives);
        }
        let Some(first) = alternatives.first().and_then(|tuple| tuple.first()) else { return };
        let place = first.at.place.clone();
        let joined = rule.lens.as_ref().is_some_and(|call| call.name == "joined");
        let says = rule.lens.as_ref().is_some_and(|call| call.name == "says");
        if says && rule.direction != Direction::Get {
            return self.problem(span, "what a line says by itself goes one way", "`=>`, with a reason");
        }
        if joined && rule.direction != Direction::Get {
            return self.problem(span, "what is joined of several places goes one way", "`=>`, with a reason");
        }
        let many = !joined && alternatives.iter().flatten().any(|one| one.path.many());
        // What follows a first one in its list is a repetition for each native one, where native repeats.
        let each = |select: &FhirSelect| match select {
            FhirSelect::Each | FhirSelect::With(_, true) => true,
            FhirSelect::From(_) => many,
            _ => false,
        };
        let split = rule.fhir.steps.iter().position(|s| each(&s.select));
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
    pub(super) fn part(
        &mut self,
        line: LineId,
        span: Span,
        rule: &syntax::Rule,
        alternatives: Vec<Vec<Found>>,
        block: &str,
        slot: SlotRef,
    ) {
        let when = self.conditions(&rule.when);
        let only = self.only(rule, span);
        let Some((native, standing)) = self.singles(span, alternatives) else { return };
        let slot = SlotRef { up: slot.up + 1, slot: slot.slot };
        self.open(line, rule.direction, standing, |compiler, id| {
            compiler.place(slot);
            compiler.fill(id, native, when, rule, span, Some(block));
            if let Some(scope) = compiler.scope_mut(id) {
                scope.only = only;
            }
        });
        self.also_scopes(line, rule, span);
    }

    /// What must hold of the scope's place where a line is written.
    fn only(&mut self, rule: &syntax::Rule, span: Span) -> Vec<plan::Mark> {
        let Some(own) = self.type_of(SlotRef { up: 0, slot: 0 }) else { return Vec::new() };
        rule.only.iter().filter_map(|one| self.mark(one, own, span)).collect()
    }

    pub(super) fn fill(
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

    pub(super) fn block(&mut self, span: Span, name: &str) {
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
        let place = self.stands().place;
        let datatypes = self.schema.type_names(&place);
        if let Some(datatype) = datatypes.first()
            && !block.from.is_empty()
            && !matches!(datatype.as_str(), "varies" | "" | "WD")
            && !datatypes.iter().any(|of| block.from.contains(of))
        {
            return self.problem(
                span,
                format!("block {name} takes {}; the native side is {datatype}", block.from.join(", ")),
                "a block for that data type",
            );
        }
        self.filled_by(span, block);
    }

    /// One path an alternative, for scopes.
    pub(super) fn singles(
        &mut self,
        span: Span,
        alternatives: Vec<Vec<Found>>,
    ) -> Option<(Vec<plan::NativePath>, Standing)> {
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
    pub(super) fn repeated(
        &mut self,
        line: LineId,
        span: Span,
        rule: &syntax::Rule,
        alternatives: Vec<Vec<Found>>,
        split: Option<usize>,
    ) {
        let when = self.conditions(&rule.when);
        let only = self.only(rule, span);
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
                scope.only = only;
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
                    let bare = syntax::Rule { when: Vec::new(), only: Vec::new(), more: None, ..rule.clone() };
                    compiler.leaf(line, span, &bare, vec![vec![found]], lens, slot);
                }
                Some(Carrier::Block(name)) if inner.is_empty() => {
                    compiler.fill(id, native, when, rule, span, Some(&name));
                }
                Some(Carrier::Block(name)) => {
                    compiler.fill(id, native, when, rule, span, None);
                    let own = plan::NativePath { from_document: false, steps: Vec::new() };
                    let found = Found { path: own, at: compiler.stands() };
                    let bare = syntax::Rule {
                        when: Vec::new(),
                        only: Vec::new(),
                        more: None,
                        also: Vec::new(),
                        ..rule.clone()
                    };
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
    pub(super) fn tuple_repeated(
        &mut self,
        line: LineId,
        span: Span,
        rule: &syntax::Rule,
        alternatives: Vec<Vec<Found>>,
    ) {
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
    pub(super) fn also_scopes(&mut self, line: LineId, rule: &syntax::Rule, span: Span) {
        for (path, lens) in &rule.also {
            let copy = syntax::Rule {
                native: rule.native.clone(),
                direction: Direction::Get,
                fhir: path.clone(),
                lens: lens.clone().or_else(|| rule.lens.clone()),
                when: rule.when.clone(),
                only: Vec::new(),
                empty: None,
                demanded: false,
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

    pub(super) fn leaf(
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
        if let Some(Place::Json(schema)) = alternatives.first().and_then(|t| t.first()).map(|f| f.at.place.clone())
            && self.schema.has_members(&schema)
        {
            return self.problem(
                span,
                "an object with members is no text",
                "go on to one of its members, or use a block",
            );
        }
        self.check_lens(line, span, rule, &lens, slot);
        for found in alternatives.iter().flatten() {
            if matches!(found.at.place, Place::Xml { of: Content::Complex(_), .. })
                && self.schema.simple(&found.at.place).is_none()
            {
                return self.problem(
                    span,
                    "this element has no text of its own",
                    "an attribute of it, or an element below",
                );
            }
        }
        let library = self.library;
        let by_table = matches!(&rule.empty, Some(Value::Context(name)) if name == "table");
        let given = rule.empty.as_ref().filter(|_| !by_table);
        let empty = match given.map(|v| plan::constant(v, |name| library.system(name))).transpose() {
            _ if by_table => self.table_of_codes(),
            Ok(empty) => empty,
            Err(what) => return self.problem(span, what, ""),
        };
        let describes_composite = matches!(lens, Lens::Coded(_))
            && matches!(alternatives.first().and_then(|t| t.first()).map(|f| &f.at.place),
                Some(Place::Typed { datatype, .. }) if self.schema.composite(datatype));
        let bare = alternatives.iter().flatten().all(|found| self.schema.is_bare(&found.at.place));
        let native = alternatives.into_iter().map(|tuple| tuple.into_iter().map(|f| f.path).collect()).collect();
        let when = self.conditions(&rule.when);
        let only = self.only(rule, span);
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
            demanded: rule.demanded && rule.direction != Direction::Put,
            otherwise: rule.otherwise.clone(),
            also,
            describes_composite,
            bare,
        });
        let id = plan::RuleId::try_from(self.plan.rules.len() - 1).unwrap_or(plan::RuleId::MAX);
        self.push(StmtKind::Rule(id));
        if !copies.is_empty() {
            let copy = syntax::Rule { also: copies, ..rule.clone() };
            self.also_scopes(line, &copy, span);
        }
    }

    /// The system of the table that the codes of the part are of, where its codes are known.
    fn table_of_codes(&self) -> Option<plan::Constant> {
        let Place::Typed { table: Some(id), .. } = self.stands().place else { return None };
        let version = V2::ALL.into_iter().rev().find(|version| Schema::version(*version).table(id).is_some())?;
        Some(plan::Constant::Table { system: format!("http://terminology.hl7.org/CodeSystem/v2-{id}"), id, version })
    }

    /// Totality of tables, and lenses that fit their FHIR type.
    pub(super) fn check_lens(&mut self, _: LineId, span: Span, rule: &syntax::Rule, lens: &Lens, slot: SlotRef) {
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
            Lens::Narrative => type_name == "xhtml",
            Lens::Time => type_name == "time",
            // A URI may be the value of an identifier.
            Lens::Instance => matches!(type_name.as_str(), "uri" | "url" | "canonical" | "string"),
            Lens::System | Lens::Uid | Lens::CodeSystem => matches!(type_name.as_str(), "uri" | "url" | "canonical"),
            // An organisation's own identifier may be a URI as a text.
            Lens::Authority => matches!(type_name.as_str(), "uri" | "url" | "canonical" | "string"),
            Lens::Data | Lens::Joined => type_name == "base64Binary",
            Lens::Display(_) => type_name == "string",
            Lens::Shown => matches!(type_name.as_str(), "string" | "markdown"),
            Lens::Text | Lens::Lines => !matches!(
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
        let bound = self.bound_codes(slot);
        let said = |value: &Value| match value {
            Value::Text(code) | Value::Coding(_, code) => Some(code.clone()),
            Value::Context(_) => None,
        };
        let otherwise =
            rule.otherwise.as_ref().and_then(|o| if let Otherwise::Value(value) = o { said(value) } else { None });
        if let Some(codes) = &bound {
            for code in rule.empty.as_ref().and_then(said).into_iter().chain(otherwise) {
                if !codes.contains(&code) {
                    let what = format!("{code} is not in the required value set");
                    self.problem(span, what, format!("one of {}", codes.join(", ")));
                }
            }
        }
        if let (Lens::Says(code), Some(codes)) = (lens, &bound)
            && !codes.contains(code)
        {
            let what = format!("{code} is not in the required value set");
            self.problem(span, what, format!("one of {}", codes.join(", ")));
        }
        let Lens::Coded(table) = lens else {
            if let (Some(codes), Lens::Text | Lens::Code, true) = (bound, lens, rule.when.is_empty())
                && rule.direction != Direction::Put
            {
                let what = format!("the element takes no text but the codes {}", codes.join(", "));
                self.problem(span, what, "a table: `coded { native = code … } else error`");
            }
            return;
        };
        if rule.direction == Direction::Get {
            if let Some(codes) = bound {
                self.foreign(span, table, &codes);
            }
            return;
        }
        let Some(codes) = bound else { return };
        let undecided: Vec<String> = codes.iter().filter(|code| !table.decides(code)).cloned().collect();
        if !undecided.is_empty() {
            self.problem(
                span,
                format!("the table does not say what becomes of the FHIR codes {}", undecided.join(", ")),
                "`native = code`, a stand-in `~code`, or `code = refuse`",
            );
        }
        self.foreign(span, table, &codes);
    }

    /// Codes of a table that the element is not bound to.
    fn foreign(&mut self, span: Span, table: &CodeTable, codes: &[String]) {
        let mut foreign: Vec<&str> = table.writable().filter(|code| !codes.iter().any(|c| c == code)).collect();
        foreign.sort_unstable();
        if !foreign.is_empty() {
            let right = format!("one of {}", codes.join(", "));
            self.problem(span, format!("{} is not in the required value set", foreign.join(", ")), right);
        }
    }

    /// The codes that the element of a slot is bound to, where they can be listed.
    fn bound_codes(&self, slot: SlotRef) -> Option<Vec<String>> {
        let SlotAt::Child { parent, written, .. } = &self.slot(slot)?.at else { return None };
        let owner = self.type_of(SlotRef { up: parent.up + slot.up, slot: parent.slot })?;
        self.required_codes(owner, &written.to_string())
    }
}
