//! MeasureReports against their Measures (<http://hl7.org/fhir/R4/measurereport.html#notes>).

use serde_json::Value as Json;

use crate::fhir::document::Node;
use crate::fhirpath::Decimal;

use super::facets::{list, text};
use super::finding::{Detail, IssueType, Rule};
use super::walk::Walk;

const NOT_REPORTED: (&str, &str) = ("http://terminology.hl7.org/CodeSystem/measure-population", "measure-observation");

/// Codings of a concept of a definition: system and code.
fn codings(of: &Json) -> impl Iterator<Item = (&str, &str)> {
    list(of.get("code").unwrap_or(&Json::Null), "coding")
        .iter()
        .map(|coding| (text(coding, "system"), text(coding, "code")))
}

/// Whether the code of a part of a report is that of a part of the measure: one coding in common, or the same text where
/// neither has codings.
fn is_same(reported: Node<'_>, defined: &Json) -> bool {
    let held: Vec<(&str, &str)> = reported
        .named("coding")
        .map(|coding| (coding.text_at("system").unwrap_or(""), coding.text_at("code").unwrap_or("")))
        .collect();
    let has_coding = codings(defined).any(|coding| held.contains(&coding));
    let said = defined.get("code").map_or("", |code| text(code, "text"));
    has_coding
        || (held.is_empty()
            && codings(defined).next().is_none()
            && !said.is_empty()
            && reported.text_at("text") == Some(said))
}

impl<'d> Walk<'_, 'd> {
    /// Judges a report by its measure, where that is at hand.
    pub(super) fn measure_report(&mut self, report: Node<'d>) {
        let Some(canonical) = report.first("measure") else { return };
        let Some(reference) = canonical.text() else { return };
        let contained = reference
            .strip_prefix('#')
            .and_then(|id| report.named("contained").find(|one| one.text_at("id") == Some(id)))
            .and_then(|one| serde_json::from_str::<Json>(one.raw()).ok());
        let held = self.validator.library.find("Measure", reference).cloned();
        let Some(measure) = contained.as_ref().or(held.as_ref().map(|held| &held.content)) else {
            let detail =
                Detail::Told(format!("the measure {reference} is not at hand, so groups were not checked").into());
            self.warning(IssueType::NotFound, Rule::Format("measure"), canonical.id(), detail);
            return;
        };
        let scoring = list(measure.get("scoring").unwrap_or(&Json::Null), "coding")
            .first()
            .map_or("", |coding| text(coding, "code"));
        let kind = report.text_at("type").unwrap_or("");
        let groups: Vec<Node<'d>> = report.named("group").collect();
        let defined = list(measure, "group");
        if let ([group], [only]) = (groups.as_slice(), defined) {
            // The only group may be told without a code.
            if let Some(code) = group.first("code").filter(|_| codings(only).next().is_some())
                && !is_same(code, only)
            {
                self.unmatched(*group, "the code is not that of the group of the measure");
            }
            self.group(*group, only, scoring, kind);
            return;
        }
        let matched = self.matched(report, &groups, defined, kind == "data-collection", "group");
        for (group, definition) in matched {
            self.group(group, definition, scoring, kind);
        }
    }

    fn unmatched(&mut self, at: Node<'d>, says: impl Into<Box<str>>) {
        self.error(IssueType::BusinessRule, Rule::Format("measure"), at.id(), Detail::Told(says.into()));
    }

    /// Parts of a report with the parts of the measure that they report, by code. Tells what has no match on either side.
    fn matched<'m>(
        &mut self,
        holder: Node<'d>,
        parts: &[Node<'d>],
        defined: &'m [Json],
        may_lack: bool,
        what: &str,
    ) -> Vec<(Node<'d>, &'m Json)> {
        let mut found: Vec<(Node<'d>, usize)> = Vec::new();
        for part in parts {
            let Some(code) = part.first("code") else {
                self.unmatched(
                    *part,
                    format!("the {what} has no code, so it cannot be told which of the measure it is"),
                );
                continue;
            };
            match defined.iter().position(|one| is_same(code, one)) {
                None => self.unmatched(*part, format!("the measure has no {what} with this code")),
                Some(place) if found.iter().any(|(_, held)| *held == place) => {
                    self.unmatched(*part, format!("another {what} has the same code"));
                }
                Some(place) => found.push((*part, place)),
            }
        }
        for (place, one) in defined.iter().enumerate() {
            let may_lack = may_lack || (what == "population" && codings(one).any(|coding| coding == NOT_REPORTED));
            if !may_lack && !found.iter().any(|(_, held)| *held == place) {
                self.unmatched(holder, format!("{what} {} of the measure is not reported", place + 1));
            }
        }
        found.into_iter().filter_map(|(part, place)| Some((part, defined.get(place)?))).collect()
    }

    fn group(&mut self, group: Node<'d>, definition: &Json, scoring: &str, kind: &str) {
        let populations: Vec<Node<'d>> = group.named("population").collect();
        for (population, _) in self.matched(group, &populations, list(definition, "population"), false, "population") {
            let results = population.named("subjectResults").count();
            if kind == "subject-list" {
                let counted = population.text_at("count").and_then(|count| count.parse::<usize>().ok());
                if counted.is_some_and(|count| count != results) {
                    self.unmatched(population, "the count is not the number of the results listed");
                }
            } else if results > 0 {
                self.unmatched(population, "only a report of the type subject-list has results by subject");
            }
        }
        self.score(group, scoring, kind);
        let stratifiers: Vec<Node<'d>> = group.named("stratifier").collect();
        self.matched(group, &stratifiers, list(definition, "stratifier"), false, "stratifier");
    }

    fn score(&mut self, group: Node<'d>, scoring: &str, kind: &str) {
        let score = group.first("measureScore");
        if kind == "data-collection" || scoring == "cohort" {
            if let Some(score) = score {
                self.unmatched(score, "this kind of measure or report has no score");
            }
            return;
        }
        if !matches!(scoring, "proportion" | "ratio" | "continuous-variable") {
            return;
        }
        let Some(score) = score else {
            let says = Detail::Told(format!("a measure that is a {scoring} has a score").into());
            self.error(IssueType::Required, Rule::Format("measure"), group.id(), says);
            return;
        };
        if scoring == "proportion" {
            for name in ["unit", "system", "code"] {
                if let Some(node) = score.first(name) {
                    self.unmatched(node, "a proportion has no unit");
                }
            }
        }
        let Some(value) = score.first("value") else {
            self.error(IssueType::Required, Rule::Format("measure"), score.id(), Detail::Says("the score has a value"));
            return;
        };
        if scoring == "proportion" {
            let (least, most) = (Decimal::parse("0"), Decimal::parse("1"));
            let found = value.text().and_then(Decimal::parse);
            if found.is_some() && (found < least || found > most) {
                self.unmatched(value, "a proportion is from 0 to 1");
            }
        }
    }
}
