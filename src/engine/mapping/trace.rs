//! What became of each leaf: the trace of a translation, and the report that is read from it.

use std::ops::Range;
use std::sync::OnceLock;

use serde::Serialize;

use crate::definitions::Model;
use crate::fhir::draft::{At, Draft};
use crate::native::Tree;

use super::plan::{LineId, Plan};

/// What became of a native leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Disposition {
    /// Carried into FHIR.
    Mapped = 0,
    /// Carried as a stand-in or coarser.
    Approximated,
    /// Kept in the original only.
    Residue,
    /// Left out by a rule that says why.
    Dropped,
    /// Cannot be carried, though a rule speaks of it.
    Error,
}

/// One step of a translation: 12 bytes, of which a translation keeps many.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record {
    pub(crate) leaf: u32,
    pub(crate) node: At,
    /// The line of the map that it is by, with the disposition in the bits above.
    by: u32,
}

impl Record {
    /// How many bits number the lines of a map.
    const LINES: u32 = 28;

    pub(crate) fn new(leaf: u32, node: At, line: LineId, disposition: Disposition) -> Self {
        let line = line.min((1 << Self::LINES) - 1);
        Self { leaf, node, by: (disposition as u32) << Self::LINES | line }
    }

    /// The line of the map that it is by.
    pub(crate) const fn line(&self) -> LineId {
        self.by & ((1 << Self::LINES) - 1)
    }

    pub(crate) const fn disposition(&self) -> Disposition {
        match self.by >> Self::LINES {
            0 => Disposition::Mapped,
            1 => Disposition::Approximated,
            2 => Disposition::Residue,
            3 => Disposition::Dropped,
            _ => Disposition::Error,
        }
    }
}

/// The trace of one translation.
#[derive(Debug)]
pub(crate) struct Trace {
    pub(crate) records: Vec<Record>,
    /// Leaf to reason, for those with one.
    pub(crate) reasons: Vec<(u32, String)>,
    /// Leaves that a `drop` line leaves out, with the line.
    pub(crate) dropped: Vec<(u32, u32)>,
    pub(crate) draft: Draft,
    /// The best record of each leaf, once asked for.
    best: OnceLock<Vec<Option<Disposition>>>,
    /// How many records each leaf has, once asked for.
    often: OnceLock<Vec<u32>>,
}

/// A leaf in a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReportItem {
    /// Its path: `PRD[2]-7[1].1.1`, `$.a[0].b`, `row 3/hetu`.
    pub path: String,
    /// What became of it.
    pub disposition: Disposition,
    /// The FHIR elements it is in.
    pub to: Vec<String>,
    /// The line of the map.
    pub rule: Option<String>,
    /// Why it is not carried, or what is worth telling.
    pub reason: Option<String>,
}

/// What became of every populated leaf of a document, and what of a resource could not be written.
#[derive(Debug, Clone, PartialEq, Serialize, Default)]
pub struct Report {
    /// The map.
    pub map: String,
    /// Populated leaves.
    pub leaves: u32,
    /// Of these: carried.
    pub mapped: u32,
    /// Carried as a stand-in or coarser.
    pub approximated: u32,
    /// Kept in the original only.
    pub residue: u32,
    /// Left out with a reason.
    pub dropped: u32,
    /// Cannot be carried.
    pub errors: u32,
    /// (mapped + approximated) / leaves.
    pub conveyed: f64,
    /// (mapped + approximated + residue) / leaves.
    pub kept: f64,
    /// Each leaf, in document order.
    pub items: Vec<ReportItem>,
    /// FHIR content that the native format did not take, when writing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<Lost>,
}

/// FHIR content that was not written, or only as a stand-in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lost {
    /// The element.
    pub path: String,
    /// Approximated, residue (removed by a change elsewhere) or error (not carried).
    pub disposition: Disposition,
    /// The line of the map that speaks of it.
    pub rule: Option<String>,
    /// What would be right, or what was done.
    pub reason: String,
}

impl Report {
    /// The fraction of leaves that went over, outside the segments named (HL7 v2).
    #[must_use]
    pub fn conveyed_outside(&self, segments: &[&str]) -> f64 {
        let counted = self.items.iter().filter(|item| !segments.iter().any(|s| item.path.starts_with(s)));
        let (mut all, mut over) = (0_u32, 0_u32);
        for item in counted {
            all += 1;
            over += u32::from(matches!(item.disposition, Disposition::Mapped | Disposition::Approximated));
        }
        share(over, all)
    }
}

fn share(part: u32, all: u32) -> f64 {
    if all == 0 { 1.0 } else { f64::from(part) / f64::from(all) }
}

impl Trace {
    pub(crate) fn new(
        records: Vec<Record>,
        reasons: Vec<(u32, String)>,
        dropped: Vec<(u32, u32)>,
        draft: Draft,
    ) -> Self {
        Self { records, reasons, dropped, draft, best: OnceLock::new(), often: OnceLock::new() }
    }

    /// Tells the same of a document that says the same: of each leaf by those that it is there.
    pub(crate) fn retell(&mut self, leaves: &[Range<u32>]) {
        let of = |leaf: u32| leaves.get(leaf as usize).cloned().unwrap_or_default();
        let records = self.records.iter().flat_map(|r| of(r.leaf).map(|leaf| Record { leaf, ..*r })).collect();
        self.records = records;
        self.reasons = self.reasons.iter().flat_map(|(l, why)| of(*l).map(|leaf| (leaf, why.clone()))).collect();
        self.dropped = self.dropped.iter().flat_map(|(l, line)| of(*l).map(|leaf| (leaf, *line))).collect();
        (self.best, self.often) = (OnceLock::new(), OnceLock::new());
    }

    /// The totals, without the items.
    pub(crate) fn totals(&self, map: &str, tree: &Tree) -> Report {
        let leaves = tree.leaf_count();
        let mut best: Vec<Option<Disposition>> = vec![None; leaves as usize];
        for record in &self.records {
            if let Some(slot) = best.get_mut(record.leaf as usize) {
                *slot = Some(slot.map_or(record.disposition(), |was| was.min(record.disposition())));
            }
        }
        for (leaf, _) in &self.dropped {
            if let Some(slot) = best.get_mut(*leaf as usize) {
                slot.get_or_insert(Disposition::Dropped);
            }
        }
        // What of a table could not be read is not carried either.
        let unread = tree.row_faults().iter().fold(0_u32, |all, fault| all.saturating_add(fault.cells));
        let leaves = leaves.saturating_add(unread);
        let mut report = Report { map: map.to_owned(), leaves, errors: unread, ..Report::default() };
        for disposition in best {
            match disposition {
                Some(Disposition::Mapped) => report.mapped += 1,
                Some(Disposition::Approximated) => report.approximated += 1,
                Some(Disposition::Dropped) => report.dropped += 1,
                Some(Disposition::Error) => report.errors += 1,
                Some(Disposition::Residue) | None => report.residue += 1,
            }
        }
        report.conveyed = share(report.mapped + report.approximated, leaves);
        report.kept = share(report.mapped + report.approximated + report.residue, leaves);
        report
    }

    /// The FHIRPaths of places.
    pub(crate) fn paths(&self, model: &Model, places: &[At]) -> Vec<String> {
        if places.is_empty() {
            return Vec::new();
        }
        let paths = DraftPaths::new(&self.draft, model);
        places.iter().filter_map(|at| paths.of(*at)).collect()
    }

    /// The whole report.
    pub(crate) fn report(&self, map: &str, tree: &Tree, plan: &Plan, model: &Model) -> Report {
        let mut report = self.totals(map, tree);
        let paths = DraftPaths::new(&self.draft, model);
        let mut by_leaf: Vec<Vec<&Record>> = vec![Vec::new(); tree.leaf_count() as usize];
        for record in &self.records {
            if let Some(list) = by_leaf.get_mut(record.leaf as usize) {
                list.push(record);
            }
        }
        for (leaf, records) in (0_u32..).zip(by_leaf) {
            let dropped = self.dropped.iter().find(|(dropped, _)| *dropped == leaf);
            let best = records.iter().min_by_key(|r| r.disposition());
            let disposition = match (best, dropped) {
                (Some(record), _) => record.disposition(),
                (None, Some(_)) => Disposition::Dropped,
                (None, None) => Disposition::Residue,
            };
            let mut to = Vec::new();
            for record in &records {
                if matches!(record.disposition(), Disposition::Mapped | Disposition::Approximated)
                    && let Some(path) = paths.of(record.node)
                    && !to.contains(&path)
                {
                    to.push(path);
                }
            }
            let rule = match (best, dropped) {
                (Some(record), _) => Some(plan.line(record.line())),
                (None, Some((_, line))) => Some(plan.line(*line)),
                (None, None) => None,
            };
            let reason = self.reasons.iter().find(|(of, _)| *of == leaf).map(|(_, reason)| reason.clone());
            report.items.push(ReportItem { path: tree.leaf_path(leaf).to_string(), disposition, to, rule, reason });
        }
        for fault in tree.row_faults() {
            let unread = (1..=fault.cells).map(|cell| ReportItem {
                path: format!("row {}/#{cell}", fault.row),
                disposition: Disposition::Error,
                to: Vec::new(),
                rule: None,
                reason: Some(fault.problem.to_string()),
            });
            report.items.extend(unread);
        }
        report
    }

    /// Whether a rule gave this leaf to FHIR.
    pub(crate) fn conveys(&self, leaf: u32) -> bool {
        self.best(leaf).is_some_and(|d| d <= Disposition::Approximated)
    }

    /// Whether a line speaks of a leaf.
    pub(crate) fn speaks_of(&self, leaf: u32) -> bool {
        self.best(leaf).is_some()
    }

    /// How many lines speak of a leaf, counted for all at once when the first is asked for.
    pub(crate) fn often(&self, leaf: u32) -> u32 {
        let all = self.often.get_or_init(|| {
            let leaves = self.records.iter().map(|record| record.leaf as usize + 1).max().unwrap_or(0);
            let mut often = vec![0; leaves];
            for record in &self.records {
                if let Some(count) = often.get_mut(record.leaf as usize) {
                    *count += 1;
                }
            }
            often
        });
        all.get(leaf as usize).copied().unwrap_or(0)
    }

    /// What became of a leaf, found out of all at once when the first is asked for.
    fn best(&self, leaf: u32) -> Option<Disposition> {
        let all = self.best.get_or_init(|| {
            let leaves = self.records.iter().map(|record| record.leaf as usize + 1).max().unwrap_or(0);
            let mut best: Vec<Option<Disposition>> = vec![None; leaves];
            for record in &self.records {
                if let Some(slot) = best.get_mut(record.leaf as usize) {
                    *slot = Some(slot.map_or(record.disposition(), |was| was.min(record.disposition())));
                }
            }
            best
        });
        all.get(leaf as usize).copied().flatten()
    }
}

/// FHIRPaths of the places of a draft, found by one walk.
struct DraftPaths {
    paths: rustc_hash::FxHashMap<At, String>,
}

impl DraftPaths {
    fn new(draft: &Draft, model: &Model) -> Self {
        let mut paths = rustc_hash::FxHashMap::default();
        let mut open = vec![(draft.root(), draft.type_name(draft.root()).to_owned())];
        while let Some((at, path)) = open.pop() {
            let of = model.type_named(draft.type_name(at));
            let children: Vec<At> = draft.children(at).collect();
            let mut counted: rustc_hash::FxHashMap<&str, usize> = rustc_hash::FxHashMap::default();
            for child in &children {
                let name = draft.name(*child);
                let count = counted.entry(name).or_insert(0);
                let earlier = *count;
                *count += 1;
                let found = of.and_then(|of| model.child(of, model.symbol(name)));
                let repeats = found.is_some_and(|found| model.element(found.element).is_array());
                let here = if repeats { format!("{path}.{name}[{earlier}]") } else { format!("{path}.{name}") };
                open.push((*child, here));
            }
            paths.insert(at, path);
        }
        Self { paths }
    }

    fn of(&self, at: At) -> Option<String> {
        self.paths.get(&at).filter(|p| p.contains('.')).cloned()
    }
}
