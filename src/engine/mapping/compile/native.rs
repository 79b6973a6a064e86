//! Native paths: each step is checked against the schema, and what the path claims is noted.

use super::super::plan::{self, Claim, NativeName, NativeSelect};
use super::super::schema::Place;
use super::super::syntax::{self, Condition, NativePath, Origin, Select, StepName};
use super::{Compiler, Standing};
use crate::native::SegmentName;

/// A path that leads somewhere.
pub(super) struct Found {
    pub(super) path: plan::NativePath,
    pub(super) at: Standing,
}

impl Compiler<'_> {
    /// Compiles a path from where the innermost scope stands.
    pub(super) fn native(&mut self, path: &NativePath) -> Option<Found> {
        let from = match path.origin {
            Origin::Scope => self.stands(),
            Origin::Document => Standing { place: self.schema.document(), path: Vec::new() },
        };
        let steps = self.steps(path, &from)?;
        Some(Found {
            path: plan::NativePath { from_document: path.origin == Origin::Document, steps: steps.0 },
            at: steps.1,
        })
    }

    fn steps(&mut self, path: &NativePath, from: &Standing) -> Option<(Vec<plan::NativeStep>, Standing)> {
        let mut at = from.clone();
        let mut steps = Vec::new();
        for (i, step) in path.steps.iter().enumerate() {
            if step.name == StepName::Parent {
                at = self.around(path, &at)?;
                steps.push(plan::NativeStep { name: NativeName::Parent, select: NativeSelect::First });
                continue;
            }
            let mut name = self.name(path, &step.name, &at.place)?;
            // Inside a component, `.n` is a subcomponent.
            if let (NativeName::Component(n), Some(NativeName::Component(_) | NativeName::Subcomponent(_))) =
                (&name, at.path.last())
            {
                name = NativeName::Subcomponent(*n);
            }
            // The segment that the scope stands on, named again, is that segment.
            let own =
                i == 0 && matches!((&name, &at.place), (NativeName::Segment(name), Place::Segment(own)) if name == own);
            if own && matches!(step.select, Select::First) {
                continue;
            }
            // A column may be named without its row, and a segment from inside another: both are looked up from there.
            match self.schema.step(&at.place, &name) {
                Ok(place) => {
                    let inside = matches!(
                        (&name, &at.place),
                        (NativeName::Segment(_) | NativeName::Group(_), Place::Segment(_) | Place::Group(_))
                    );
                    if inside {
                        at.path.clear();
                    }
                    at.path.push(name.clone());
                    at.place = place;
                }
                Err((what, right)) => {
                    self.problem(path.span, what, right);
                    return None;
                }
            }
            let select = self.select(&step.select, &mut at)?;
            steps.push(plan::NativeStep { name, select });
        }
        Some((steps, at))
    }

    /// What holds a part, for a line that is not written back.
    fn around(&mut self, path: &NativePath, at: &Standing) -> Option<Standing> {
        if !self.one_way {
            self.problem(
                path.span,
                "a line that is written back looks at its own part only",
                "`=>` and a reason, or a line where that part stands",
            );
            return None;
        }
        let Some((_, names)) = at.path.split_last() else {
            self.problem(path.span, "nothing holds the document", "a path without `..`");
            return None;
        };
        let place = names.iter().try_fold(self.schema.document(), |place, name| self.schema.step(&place, name)).ok()?;
        Some(Standing { place, path: names.to_vec() })
    }

    fn name(&mut self, path: &NativePath, name: &StepName, place: &Place) -> Option<NativeName> {
        Some(match name {
            StepName::Element(written) | StepName::Attribute(written) => {
                let attribute = matches!(name, StepName::Attribute(_));
                match self.schema.xml_name(place, attribute, written) {
                    Ok(name) => name,
                    Err((what, right)) => {
                        self.problem(path.span, what, right);
                        return None;
                    }
                }
            }
            StepName::Segment(name) => match name.parse::<SegmentName>() {
                Ok(name) => NativeName::Segment(name),
                Err(error) => {
                    self.problem(path.span, format!("{name} is no segment"), error.to_string());
                    return None;
                }
            },
            StepName::Group(name) => NativeName::Group(name.as_str().into()),
            StepName::Field(n) => NativeName::Field(*n),
            StepName::Component(n) => NativeName::Component(*n),
            StepName::Subcomponent(n) => NativeName::Subcomponent(*n),
            StepName::Member(name) => NativeName::Member(name.as_str().into()),
            StepName::Parent => NativeName::Parent,
            StepName::Row => NativeName::Row,
            StepName::Column(name) => NativeName::Column(name.as_str().into()),
        })
    }

    fn select(&mut self, select: &Select, at: &mut Standing) -> Option<NativeSelect> {
        let array = match &at.place {
            Place::Json(schema) if self.schema.is_array(schema) => Some(self.schema.item(schema)),
            _ => None,
        };
        if let Some(item) = array
            && !matches!(select, Select::First)
        {
            at.place = Place::Json(std::sync::Arc::new(item));
        }
        Some(match select {
            Select::First => NativeSelect::First,
            Select::Index(n) => NativeSelect::Index(*n),
            Select::From(n) => NativeSelect::From(*n),
            Select::All => NativeSelect::All,
            Select::Where(conditions, all) => {
                // What repeats by its nature (segments, items, rows) is taken as often as the conditions hold.
                let by_nature = matches!(
                    at.place,
                    Place::Segment(_)
                        | Place::Group(_)
                        | Place::Json(_)
                        | Place::Fhir(_)
                        | Place::Row
                        | Place::Open
                        | Place::Xml { many: true, .. }
                );
                let compiled = self.conditions_at(conditions, at);
                if let Some(place) = self.schema.narrowed(&at.place, &compiled) {
                    at.place = place;
                }
                NativeSelect::Where(compiled, *all || by_nature)
            }
        })
    }

    /// Conditions on a place.
    pub(super) fn conditions_at(&mut self, conditions: &[Condition], at: &Standing) -> Vec<plan::Condition> {
        let mut compiled = Vec::new();
        for condition in conditions {
            let from = match condition.path.origin {
                Origin::Scope => at.clone(),
                Origin::Document => Standing { place: self.schema.document(), path: Vec::new() },
            };
            let Some((steps, end)) = self.steps(&condition.path, &from) else { continue };
            if let syntax::Test::In(_) | syntax::Test::Written(_) = condition.test {
                self.claim(&end, true);
            }
            let test = match &condition.test {
                syntax::Test::Inside(table) => syntax::Test::Inside(self.codes_of(table, condition.span)),
                syntax::Test::Outside(table) => syntax::Test::Outside(self.codes_of(table, condition.span)),
                other => other.clone(),
            };
            let path = plan::NativePath { from_document: condition.path.origin == Origin::Document, steps };
            let other = condition.other.as_ref().and_then(|other| {
                let from = match other.origin {
                    Origin::Scope => at.clone(),
                    Origin::Document => Standing { place: self.schema.document(), path: Vec::new() },
                };
                let (steps, _) = self.steps(other, &from)?;
                Some(plan::NativePath { from_document: other.origin == Origin::Document, steps })
            });
            compiled.push(plan::Condition::new(condition.any, path, test).against(other.as_ref()));
        }
        compiled
    }

    /// The native codes of a table.
    fn codes_of(&mut self, name: &[String], span: syntax::Span) -> Vec<String> {
        let library = self.library;
        match name.first().and_then(|name| library.tables.get(name)) {
            Some(table) => table.rows.iter().map(|row| row.native.clone()).collect(),
            None => {
                let mut known: Vec<&str> = library.tables.keys().map(String::as_str).collect();
                known.sort_unstable();
                let what = format!("there is no table {}", name.join(" "));
                self.problem(span, what, super::fhir::nearest(&name.join(" "), &known));
                Vec::new()
            }
        }
    }

    /// Conditions on where the innermost scope stands.
    pub(super) fn conditions(&mut self, conditions: &[Condition]) -> Vec<plan::Condition> {
        let at = self.stands();
        self.conditions_at(conditions, &at)
    }

    /// Notes that a place is spoken of.
    pub(super) fn claim(&mut self, at: &Standing, carried: bool) {
        self.plan.claims.push(Claim { path: at.path.clone(), carried });
    }

    /// A key from where the innermost scope stands, or from a place of its own.
    pub(super) fn key(&mut self, key: &syntax::Key, at: Option<&Standing>) -> Option<plan::Key> {
        let from = at.cloned().unwrap_or_else(|| self.stands());
        let mut alternatives = Vec::new();
        for alternative in &key.alternatives {
            let mut parts = Vec::new();
            for part in &alternative.parts {
                let from = match part.origin {
                    Origin::Scope => from.clone(),
                    Origin::Document => Standing { place: self.schema.document(), path: Vec::new() },
                };
                let (steps, end) = self.steps(part, &from)?;
                if !alternative.personal {
                    self.claim(&end, true);
                }
                parts.push(plan::NativePath { from_document: part.origin == Origin::Document, steps });
            }
            alternatives.push((alternative.personal, parts));
        }
        Some(plan::Key { alternatives })
    }
}
