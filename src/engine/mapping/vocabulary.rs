//! What native leaves hold, as far as the lenses on them say: for generators of documents, and for reviewers.

use std::collections::BTreeMap;

use crate::fhir::datatypes::Primitive;

use super::check::{each_occurrence, joined, native_of, steps};
use super::lens::{Lens, Precision, Space};
use super::map::Map;
use super::plan::{Condition, NativePath, NativeSelect, ScopeId, StmtKind};
use super::syntax::{Direction, Otherwise, Test};

/// What a native leaf holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holds {
    /// Any text.
    Text,
    /// A code without white space at its ends.
    Code,
    /// One of these.
    OneOf(Vec<String>),
    /// A date or time: in HL7 v2 a DTM, else ISO 8601. To the day only; with seconds.
    Moment {
        /// Only a date.
        day: bool,
        /// Always a time with seconds.
        instant: bool,
    },
    /// A date or time in a pattern of `d M yyyy H mm ss`.
    Pattern(String),
    /// A number; whole or not.
    Number {
        /// Without a fraction.
        whole: bool,
    },
    /// An object identifier as `1.2.246.10`.
    Oid,
    /// A text that follows this prefix in FHIR.
    After(String),
    /// Base64.
    Data,
    /// A Finnish personal identity code.
    Hetu,
    /// So many digits.
    Digits(u8),
    /// A part that is there once: several refuse the document.
    Single,
}

impl Map {
    /// What the leaves hold that lenses carry, by path: `PID-5.1.1`, `$.asiakas.hetu`, `row/tila`. Selections are left
    /// out, so that one path may stand for several places.
    #[must_use]
    pub fn vocabulary(&self) -> BTreeMap<String, Holds> {
        let mut all = BTreeMap::new();
        each_occurrence(self.plan(), &mut |way| {
            self.words(way, &mut all);
            true
        });
        all
    }

    fn words(&self, way: &[ScopeId], all: &mut BTreeMap<String, Holds>) {
        let plan = self.plan();
        let Some((own, outer)) = way.split_last() else { return };
        let Some(scope) = plan.scope(*own) else { return };
        let outer = if outer.is_empty() { way } else { outer };
        for path in &scope.native {
            self.selections(outer, path, all);
            if matches!(scope.more, Some(Otherwise::Error)) {
                add(all, self.path(outer, path), Holds::Single);
            }
        }
        self.conditions(outer, "", &scope.when, all);
        for stmt in &scope.body {
            let StmtKind::Rule(rule) = stmt.kind else { continue };
            let Some(rule) = plan.rule(rule) else { continue };
            self.conditions(way, "", &rule.when, all);
            // What a line says whatever the leaf holds tells nothing of the leaf.
            let any = rule.direction == Direction::Get
                && matches!((&rule.lens, &rule.otherwise), (Lens::Coded(_), Some(Otherwise::Value(_))));
            for tuple in &rule.native {
                for (at, path) in tuple.iter().enumerate() {
                    self.selections(way, path, all);
                    if any {
                        continue;
                    }
                    let form = scope.slots.get(usize::from(rule.slot)).map(|s| s.form);
                    let data = form == Some(Primitive::Base64) && matches!(rule.lens, Lens::Text);
                    if let Some(holds) = if data { Some(Holds::Data) } else { held(&rule.lens, at) } {
                        add(all, self.path(way, path), holds);
                    }
                }
            }
        }
    }

    fn path(&self, way: &[ScopeId], path: &NativePath) -> String {
        let own = steps(&path.steps);
        if path.from_document { own } else { joined(&native_of(self.plan(), way), &own) }
    }

    fn selections(&self, way: &[ScopeId], path: &NativePath, all: &mut BTreeMap<String, Holds>) {
        for (at, step) in path.steps.iter().enumerate() {
            if let NativeSelect::Where(conditions, _) = &step.select {
                let upto = NativePath {
                    from_document: path.from_document,
                    steps: path.steps.iter().take(at + 1).cloned().collect(),
                };
                let base = self.path(way, &upto);
                self.conditions(way, &base, conditions, all);
            }
        }
    }

    fn conditions(&self, way: &[ScopeId], base: &str, conditions: &[Condition], all: &mut BTreeMap<String, Holds>) {
        for condition in conditions {
            let one;
            let values = match &condition.test {
                Test::In(values) | Test::NotIn(values) => values,
                Test::Written(text) => {
                    one = vec![text.clone()];
                    &one
                }
                _ => continue,
            };
            let own = steps(&condition.path.steps);
            let path = if condition.path.from_document {
                own
            } else if base.is_empty() {
                joined(&native_of(self.plan(), way), &own)
            } else {
                joined(base, &own)
            };
            add(all, path, Holds::OneOf(values.clone()));
        }
    }
}

fn add(all: &mut BTreeMap<String, Holds>, path: String, holds: Holds) {
    match (all.get_mut(&path), holds) {
        (Some(Holds::OneOf(known)), Holds::OneOf(more)) => known.extend(more),
        // A list of codes says more than a lens that takes any.
        (Some(Holds::OneOf(_)), _) => {}
        (_, holds) => {
            all.insert(path, holds);
        }
    }
}

fn held(lens: &Lens, at: usize) -> Option<Holds> {
    let words = |all: &[&str]| Holds::OneOf(all.iter().map(|w| (*w).to_owned()).collect());
    let moment = |precision: Precision| Holds::Moment {
        day: precision == Precision::Day,
        instant: precision == Precision::Instant,
    };
    Some(match lens {
        Lens::Text
        | Lens::Shown
        | Lens::Words(_)
        | Lens::Phone
        | Lens::Narrative
        | Lens::Lines
        | Lens::Joined
        | Lens::Says(_) => Holds::Text,
        Lens::Time => words(&["09", "0915", "181530", "070809.25"]),
        Lens::Code => Holds::Code,
        Lens::Number(whole) => Holds::Number { whole: *whole },
        Lens::Boolean(yes, no) => Holds::OneOf(vec![yes.clone(), no.clone()]),
        Lens::Prefix(prefix) if prefix == "urn:oid:" => Holds::Oid,
        Lens::Prefix(prefix) => Holds::After(prefix.clone()),
        Lens::Identified(_, Space::Oid) if at == 0 => Holds::Oid,
        Lens::Identified(_, Space::Uri) if at == 0 => {
            words(&["urn:oid:1.2.208.999999.1", "https://example.org/numbers"])
        }
        Lens::Identified(..) => Holds::Code,
        Lens::Coded(table) => Holds::OneOf(table.readable().map(str::to_owned).collect()),
        Lens::System => words(&["LN", "SCT", "I10", "HL70005", "1.2.246.537.6.1", "http://example.org/codes"]),
        Lens::Authority => match at {
            1 => Holds::Oid,
            2 => words(&["ISO"]),
            _ => return None,
        },
        Lens::Dtm(precision) | Lens::Iso(precision) => moment(*precision),
        Lens::Date(pattern, _) => Holds::Pattern(pattern.text().to_owned()),
        Lens::DateTime(date, time, _) => Holds::Pattern(if at == 0 { date.text() } else { time.text() }.to_owned()),
        Lens::Mime => words(if at == 0 { &["application", "text"] } else { &["pdf", "plain"] }),
        Lens::Data if at == 0 => Holds::Data,
        Lens::Data => words(&["Base64"]),
        Lens::Hetu => Holds::Hetu,
        Lens::Digits(count) => Holds::Digits(*count),
        Lens::Scheme(scheme) => Holds::OneOf(vec![format!("{scheme}040123"), format!("{scheme}a@example.org")]),
        Lens::Uid => Holds::Oid,
        Lens::CodeSystem => {
            words(&["2.16.840.1.113883.6.1", "2.16.840.1.113883.6.96", "2.16.840.1.113883.12.443", "1.2.246.537.6.1"])
        }
        Lens::Instance if at == 0 => Holds::Oid,
        Lens::Instance => words(&["2015-08-01", "2022-06-01"]),
        Lens::Display(_) if at == 0 => Holds::Text,
        Lens::Display(_) => return None,
    })
}
