//! FHIR paths: each step is checked against the model and becomes a slot, made once for each scope.

use super::super::plan::{ElementName, Mark, MarkValue, ScopeId, SlotAt, SlotRef, SlotSelect};
use super::super::syntax::{ANY, Discriminator, FhirPath, FhirSelect, FhirStep, Span, Value};
use super::Compiler;
use crate::definitions::{Kind, Symbol, TypeId};

/// One step below a type.
struct Below {
    written: ElementName,
    logical: Symbol,
    type_id: TypeId,
    list: bool,
}

impl Compiler<'_> {
    /// Where a path starts: an entry, or the scope's own place.
    pub(super) fn start(&mut self, path: &FhirPath) -> Option<SlotRef> {
        let Some(name) = &path.entry else {
            let own = SlotRef { up: 0, slot: 0 };
            if matches!(self.slot(own).map(|s| &s.at), Some(SlotAt::Nowhere)) {
                self.problem(
                    path.span,
                    "the scope has no FHIR place of its own",
                    format!("begin the path with an entry ({})", self.entry_names()),
                );
                return None;
            }
            return Some(own);
        };
        let found = self.entry(name);
        if found.is_none() {
            self.problem(path.span, format!("there is no entry {name}"), format!("one of {}", self.entry_names()));
        }
        found
    }

    /// The slot at the end of a path, in the innermost scope or one above it.
    pub(super) fn slot_of(&mut self, path: &FhirPath) -> Option<SlotRef> {
        let mut at = self.start(path)?;
        for step in &path.steps {
            at = self.step(at, step, path.span)?;
        }
        Some(at)
    }

    /// The slot of a whole path but its last step, and that step resolved.
    pub(super) fn step(&mut self, from: SlotRef, step: &FhirStep, span: Span) -> Option<SlotRef> {
        let below = self.below(from, &step.element, span)?;
        let select = self.select_of(&step.select, &below, span)?;
        // A place that is new each time belongs to the innermost scope, others to the scope of what they are in.
        let own = matches!(select, SlotSelect::Each | SlotSelect::With(_, true));
        let up = if own { 0 } else { from.up };
        let parent = SlotRef { up: from.up.saturating_sub(up), slot: from.slot };
        let scope = self.above(up);
        if let Some(slot) = self.known(scope, parent, &below.written.text, &select) {
            return Some(SlotRef { up, slot });
        }
        let at = SlotAt::Child { parent, written: below.written, logical: below.logical, select, list: below.list };
        let slot = self.push_slot(scope, at, Some(below.type_id));
        Some(SlotRef { up, slot })
    }

    fn known(&self, scope: ScopeId, wanted: SlotRef, name: &str, wanted_select: &SlotSelect) -> Option<u16> {
        if matches!(wanted_select, SlotSelect::Each | SlotSelect::With(_, true)) {
            return None;
        }
        let slots = &self.plan.scope(scope)?.slots;
        let at = slots.iter().position(|slot| {
            matches!(&slot.at, SlotAt::Child { parent, written, select, .. }
                if *parent == wanted && written.text.as_ref() == name && select == wanted_select)
        })?;
        u16::try_from(at).ok()
    }

    fn below(&mut self, from: SlotRef, element: &str, span: Span) -> Option<Below> {
        let of = self.type_of(from)?;
        let symbol = self.model.symbol(element);
        if let Some(found) = self.model.child(of, symbol) {
            let definition = self.model.element(found.element);
            return Some(Below {
                written: ElementName { text: element.into(), symbol },
                logical: definition.symbol(),
                type_id: found.type_id,
                list: definition.is_array(),
            });
        }
        let type_name = self.model.type_name(of).to_owned();
        if let Some(definition) = self.model.element_named(of, element).filter(|d| d.is_choice()) {
            let names: Vec<String> = definition.types().map(|t| self.model.name(t.symbol()).to_owned()).collect();
            self.problem(
                span,
                format!("{type_name}.{element} is a choice of types"),
                format!("one of {}", names.join(", ")),
            );
            return None;
        }
        let names: Vec<&str> = self.model.elements(of).map(|e| e.name()).collect();
        let near = nearest(element, &names);
        self.problem(span, format!("{type_name} has no element {element}"), near);
        None
    }

    fn select_of(&mut self, select: &FhirSelect, below: &Below, span: Span) -> Option<SlotSelect> {
        let repeated =
            matches!(select, FhirSelect::Each | FhirSelect::Index(_) | FhirSelect::From(_) | FhirSelect::With(_, true));
        if repeated && !below.list {
            self.problem(
                span,
                format!("{} does not repeat", below.written),
                "leave the brackets out; where native repeats and FHIR does not, say `more => residue`",
            );
            return None;
        }
        Some(match select {
            FhirSelect::First => SlotSelect::First,
            FhirSelect::Each => SlotSelect::Each,
            FhirSelect::Index(n) => SlotSelect::Index(*n),
            FhirSelect::From(n) => SlotSelect::From(*n),
            FhirSelect::With(all, each) => {
                let mut marks = Vec::new();
                for one in all {
                    marks.push(self.mark(one, below.type_id, span)?);
                }
                SlotSelect::With(marks, *each)
            }
        })
    }

    pub(super) fn mark(&mut self, one: &Discriminator, of: TypeId, span: Span) -> Option<Mark> {
        let type_name = self.model.type_name(of).to_owned();
        let path: Vec<String> =
            if one.path.is_empty() { self.implied(&type_name, &one.value, span)? } else { one.path.clone() };
        let value = if one.path.is_empty()
            && type_name == "Identifier"
            && path.len() == 1
            && path.first().is_some_and(|p| p == "type")
        {
            // `[PLAC]` is the identifier type.
            match &one.value {
                Value::Text(code) => Value::Coding("v2-0203".to_owned(), code.clone()),
                other => other.clone(),
            }
        } else {
            one.value.clone()
        };
        let mut at = of;
        let mut names: Vec<ElementName> = Vec::new();
        for name in &path {
            let symbol = self.model.symbol(name);
            let Some(found) = self.model.child(at, symbol) else {
                let names: Vec<&str> = self.model.elements(at).map(|e| e.name()).collect();
                self.problem(
                    span,
                    format!("{} has no element {name}", self.model.type_name(at)),
                    nearest(name, &names),
                );
                return None;
            };
            at = found.type_id;
            names.push(ElementName { text: name.as_str().into(), symbol });
        }
        // What a reference leads to, told by the reference itself.
        if let ([only], "Reference") = (path.as_slice(), type_name.as_str())
            && *only == "reference"
            && let Value::Text(text) = &value
            && self.model.type_named(text).is_some_and(|of| self.model.kind(of) == Kind::Resource)
        {
            return Some(Mark { path: Vec::new(), value: MarkValue::Resource(text.clone()), not: one.not });
        }
        let value = match value {
            Value::Text(text) if self.model.type_name(at) == "Reference" => {
                let is_resource = self.model.type_named(&text).is_some_and(|of| self.model.kind(of) == Kind::Resource);
                if !is_resource {
                    self.problem(
                        span,
                        format!("{text} is no type of resource"),
                        "the type that the reference leads to",
                    );
                    return None;
                }
                MarkValue::Resource(text)
            }
            Value::Text(text) => {
                let uri = matches!(self.model.type_name(at), "uri" | "canonical" | "url");
                MarkValue::Text(if uri { self.library.system(&text) } else { text })
            }
            Value::Coding(system, code) => {
                let system = self.library.system(&system);
                match self.model.type_name(at) {
                    "CodeableConcept" => MarkValue::Coding { system, code, wrapped: true },
                    "Coding" => MarkValue::Coding { system, code, wrapped: false },
                    _ if self.model.kind(at) == Kind::Primitive => MarkValue::Text(code),
                    other => {
                        self.problem(
                            span,
                            format!("a coding cannot tell a {other}"),
                            "name the element that holds the code",
                        );
                        return None;
                    }
                }
            }
            Value::Context(any) if any == ANY && one.not => MarkValue::Any,
            Value::Context(_) => {
                self.problem(span, "the context cannot tell repetitions apart", "a fixed value");
                return None;
            }
        };
        Some(Mark { path: names, value, not: one.not })
    }

    /// What a bare word means as a discriminator.
    fn implied(&mut self, type_name: &str, value: &Value, span: Span) -> Option<Vec<String>> {
        let is_uri =
            matches!(value, Value::Text(text) if text.contains(':') || self.library.aliases.contains_key(text));
        let path: &[&str] = match (type_name, value) {
            ("Identifier", Value::Text(_)) if is_uri => &["system"],
            ("Identifier", _) => &["type"],
            ("CodeableConcept", Value::Coding(..)) => &[],
            ("CodeableConcept", _) => &["coding", "system"],
            ("Coding", Value::Text(_)) => &["system"],
            ("ContactPoint", _) => &["system"],
            ("Extension", _) => &["url"],
            ("HumanName" | "Address", _) => &["use"],
            (_, Value::Coding(..)) => &["type"],
            _ => {
                self.problem(
                    span,
                    format!("a bare word does not tell one {type_name} from another"),
                    "`element[path = value]`",
                );
                return None;
            }
        };
        Some(path.iter().map(|p| (*p).to_owned()).collect())
    }
}

/// `Did you mean` for a misspelt name.
pub(super) fn nearest(name: &str, known: &[&str]) -> String {
    let best = known.iter().map(|k| (distance(name, k), *k)).min();
    match best {
        Some((distance, known)) if distance <= name.len().div_ceil(3) => format!("`{known}`, perhaps"),
        _ if known.len() <= 12 => format!("one of {}", known.join(", ")),
        _ => {
            let mut near: Vec<(usize, &str)> = known.iter().map(|k| (distance(name, k), *k)).collect();
            near.sort_unstable();
            let near: Vec<&str> = near.into_iter().take(6).map(|(_, k)| k).collect();
            format!("one of {}, … ({} in all)", near.join(", "), known.len())
        }
    }
}

/// How many letters differ (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut next = vec![i + 1];
        for ((cb, up), upper_left) in b.iter().zip(row.iter().skip(1)).zip(row.iter()) {
            let left = next.last().copied().unwrap_or(usize::MAX);
            let change = upper_left + usize::from(ca != *cb);
            next.push(change.min(up + 1).min(left + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or(usize::MAX)
}
