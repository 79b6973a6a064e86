//! Resources of other versions of FHIR: what blocks say of their types, and lines that carry one whole.

use rustc_hash::FxHashMap;

use super::super::plan::{LineId, NativeName, StmtKind, Whole};
use super::super::schema::{NativeSchema, Place};
use super::super::syntax::{self, BlockItem, FhirSelect, FhirVersion, Kind, LensCall, Select, Span, StepName, Table};
use super::super::versions::lines::{Also, Codes, Side, VersionBlock, VersionLine};
use super::super::versions::{Facts, Place as Whose, TypeFacts, envelope};
use super::native::Found;
use super::{Compiler, Standing};

impl Compiler<'_> {
    /// Compiles all blocks on a version.
    pub(super) fn versions(&mut self, version: FhirVersion, span: Span) {
        let library = self.library;
        let mut blocks: Vec<&BlockItem> = library.blocks.values().filter(|b| b.version == Some(version)).collect();
        blocks.sort_unstable_by_key(|b| (std::sync::Arc::clone(&b.file), b.span.line));
        for block in blocks {
            let (Some(native), Some(r4)) = (block.from.first(), block.to.as_ref()) else { continue };
            self.within(span, block, |compiler| {
                let lines = compiler.version_lines(version.facts(), native, r4, block);
                compiler.plan.versions.blocks.push(VersionBlock { native: native.clone(), r4: r4.clone(), lines });
            });
        }
    }

    fn version_lines(&mut self, facts: &Facts, native: &str, r4: &str, block: &BlockItem) -> Vec<VersionLine> {
        let mut types = [None, None];
        for ((slot, facts), name) in types.iter_mut().zip([facts, Facts::r4()]).zip([native, r4]) {
            *slot = facts.of(name);
            if slot.is_none() {
                let what = format!("{name} is no type of FHIR {}", facts.version);
                self.problem(block.span, what, "a data type, a resource type, or a part of one as `CarePlan.activity`");
            }
        }
        let [Some(from), Some(to)] = types else { return Vec::new() };
        let mut lines = Vec::new();
        for statement in &block.body {
            let Kind::Rule(rule) = &statement.kind else {
                self.problem(statement.span, "this is no line of a version block", "`$.native <=> .element`");
                continue;
            };
            let line = self.line(statement.span);
            lines.extend(self.version_line(line, statement.span, rule, [(facts, &from), (Facts::r4(), &to)]));
        }
        lines
    }

    fn version_line(
        &mut self,
        line: LineId,
        span: Span,
        rule: &syntax::Rule,
        [from, to]: [(&Facts, &TypeFacts); 2],
    ) -> Option<VersionLine> {
        let path = rule.native.first().and_then(|tuple| tuple.first())?;
        let mut native = Vec::new();
        for step in &path.steps {
            match (&step.name, &step.select) {
                (StepName::Member(name), Select::First) => native.push(name.clone()),
                _ => native.push(String::new()),
            }
        }
        let mut r4 = Vec::new();
        for step in &rule.fhir.steps {
            r4.push(if matches!(step.select, FhirSelect::First) { step.element.clone() } else { String::new() });
        }
        let native = self.side(span, from, &native)?;
        let r4 = self.side(span, to, &r4)?;
        let codes = match &rule.lens {
            None => None,
            Some(call) if call.name == "coded" => Some(self.version_codes(call, span)?),
            Some(call) => {
                self.problem(
                    call.span,
                    format!("there is no lens {} between versions", call.name),
                    "`coded { … }`, or none",
                );
                return None;
            }
        };
        let mut also = None;
        for (path, call) in &rule.also {
            let element = path.steps.first().map(|s| s.element.clone()).unwrap_or_default();
            let table = call.as_ref().and_then(|call| self.rows(call));
            let (Some(table), Some(_)) = (table, to.1.named(&element)) else {
                self.problem(
                    span,
                    "`also` takes an element and a table of its concepts",
                    "`also .element coded { a = system#code }`",
                );
                return None;
            };
            let mut codes = FxHashMap::default();
            for row in &table.rows {
                let (system, code) = row.fhir.first().and_then(|(text, _)| text.split_once('#'))?;
                codes.insert(row.native.clone(), (self.library.system(system), code.to_owned()));
            }
            also = Some(Also { element, codes });
        }
        Some(VersionLine { line, native, r4, codes, also })
    }

    fn side(&mut self, span: Span, (facts, of): (&Facts, &TypeFacts), names: &[String]) -> Option<Side> {
        let (element, part) = match names {
            [element] => (element, None),
            [element, part] => (element, Some(part)),
            _ => {
                self.problem(span, "a side is an element, or an element and a part of it", "`$.reason.concept`");
                return None;
            }
        };
        let found = of.named(element).and_then(|e| e.types.first().cloned());
        let found = found.or_else(|| of.element(element).map(|(_, t)| t.to_owned()));
        let Some(type_name) = found else {
            let what = format!("{} of FHIR {} has no element {element}", of.name, facts.version);
            let known: Vec<&str> = of.elements.iter().map(|e| e.name.as_str()).collect();
            self.problem(span, what, format!("one of {}", known.join(", ")));
            return None;
        };
        if let Some(part) = part {
            let inner = facts.of(&type_name);
            if inner.as_ref().is_none_or(|t| t.named(part).is_none() && t.element(part).is_none()) {
                self.problem(
                    span,
                    format!("{type_name} of FHIR {} has no element {part}", facts.version),
                    "one of its elements",
                );
                return None;
            }
        }
        Some(Side { element: element.clone(), part: part.cloned() })
    }

    fn rows(&self, call: &LensCall) -> Option<Table> {
        let named = call.arguments.first().and_then(|name| self.library.tables.get(name));
        call.table.clone().or_else(|| named.cloned())
    }

    fn version_codes(&mut self, call: &LensCall, span: Span) -> Option<Codes> {
        let Some(table) = self.rows(call) else {
            self.problem(span, "`coded` needs a table", "rows between braces, or the name of a `table` item");
            return None;
        };
        let mut codes = Codes::default();
        for row in &table.rows {
            for (at, (code, stands_in)) in row.fhir.iter().enumerate() {
                if at == 0 {
                    codes.inward.entry(row.native.clone()).or_insert_with(|| (code.clone(), *stands_in));
                    if *stands_in {
                        continue;
                    }
                }
                codes.outward.entry(code.clone()).or_insert_with(|| (row.native.clone(), *stands_in));
            }
        }
        Some(codes)
    }

    /// What a Bundle or an entry of it says for itself goes over with it.
    pub(super) fn claim_own(&mut self, whose: Whose, at: &Standing) {
        let Some((version, _)) = self.plan.envelope else { return };
        let Some(of) = version.facts().of(whose.type_name()) else { return };
        for element in of.elements.iter().filter(|e| envelope::is_own(whose.type_name(), &e.name)) {
            let mut own = at.clone();
            own.path.push(NativeName::Member(element.name.as_str().into()));
            self.claim(&own, true);
        }
    }

    /// A line that carries a resource with all that is in it.
    pub(super) fn whole(&mut self, line: LineId, span: Span, rule: &syntax::Rule, alternatives: Vec<Vec<Found>>) {
        let NativeSchema::Fhir { version, .. } = &self.schema else {
            return self.problem(
                span,
                "`same` carries resources of another version of FHIR",
                "a map `fhir 5.0 Patient`",
            );
        };
        let version = *version;
        let Some(found) = alternatives.into_iter().flatten().next() else { return };
        let Some(slot) = self.slot_of(&rule.fhir) else { return };
        let r4_type = self.type_of(slot).map(|t| self.model.type_name(t).to_owned()).unwrap_or_default();
        let stated = rule.lens.as_ref().and_then(|call| call.arguments.first().cloned());
        let native_type = match (&found.at.place, stated) {
            (_, Some(stated)) => stated,
            (Place::Fhir(name), None) if name != "Resource" => name.clone(),
            _ => r4_type.clone(),
        };
        if !version.facts().has_resource(&native_type) {
            let what = format!("{native_type} is no resource type of FHIR {}", version.text());
            return self.problem(span, what, "`same TYPE`");
        }
        if native_type != r4_type && !self.plan.versions.relate(&native_type, &r4_type) {
            let what = format!("no block relates {native_type} of FHIR {} to {r4_type}", version.text());
            return self.problem(
                span,
                what,
                format!("`block NAME fhir {} {native_type} <=> {r4_type}`", version.text()),
            );
        }
        let names: Vec<String> = version
            .facts()
            .of(&native_type)
            .iter()
            .flat_map(|t| &t.elements)
            .flat_map(|e| e.types.iter().map(|t| e.written(t)))
            .chain(["resourceType".to_owned()])
            .collect();
        for name in names {
            let mut at = found.at.clone();
            at.path.push(NativeName::Member(name.into()));
            self.claim(&at, true);
        }
        let slot = self.localize(slot);
        self.plan.wholes.push(Whole { line, native: found.path, slot, version, native_type, r4_type });
        let id = u32::try_from(self.plan.wholes.len() - 1).unwrap_or(u32::MAX);
        self.push(StmtKind::Whole(id));
    }
}
