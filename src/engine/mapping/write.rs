//! Writing: `put` onto a kept original, `create` onto nothing, `answer` to a message.
//!
//! Whatever is written is read again and compared with what was wanted, so that a result holds PutGet or names the
//! paths that do not.

use std::sync::Arc;

use crate::fault::Fault;
use crate::fhir::document::Document;
use crate::native::{EditError, Format, Step, Syntax, SyntaxError, Tree};

use rustc_hash::FxHashSet;

use super::context::{Context, Loss};
use super::counterpart;
use super::edition::begun::Stated;
use super::edition::{self, Edition};
use super::follows::{self, Judged, Reading};
use super::map::Map;
use super::plan::LineId;
use super::required;
use super::run::get::{Get, Run};
use super::run::put::{Given, Manner, Put, order};
use super::run::source::Source;
use super::run::verify::{Difference, Kind, differences};
use super::run::{Refusal, Refusals};
use super::syntax::{NativeType, Test};
use super::trace::{Disposition, Lost, Report};

/// A native document that was written.
#[derive(Debug, Clone)]
pub struct Written {
    /// Its bytes, in its character set.
    pub bytes: Vec<u8>,
    /// What became of its leaves on reading it again (totals only), and what of the Bundle is not in it.
    pub report: Report,
}

/// Which ways to write are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ways {
    /// The short one, where it leads to the end.
    All,
    /// The one that asks every line.
    Long,
}

impl Map {
    /// Writes a Bundle onto the document that it came from. Only lines whose FHIR value differs from what the
    /// document says write anything; an unchanged Bundle gives the same bytes.
    ///
    /// Entries are known by their fullUrls as [`Map::get`] gives them; references may be to fullUrls or `Type/id`.
    ///
    /// # Errors
    /// [`Refusals`], naming each path that the format cannot carry, where the context says that loss refuses.
    pub fn put(&self, wanted: &Arc<Document>, original: &Tree, cx: &Context) -> Result<Written, Refusals> {
        self.write(wanted, original, cx, Manner::Onto, Ways::All)
    }

    /// [`Map::put`] by the long way, which asks every line of the map, also where the short one would do: what they give is
    /// the same.
    ///
    /// # Errors
    /// As [`Map::put`].
    pub fn put_through(&self, wanted: &Arc<Document>, original: &Tree, cx: &Context) -> Result<Written, Refusals> {
        self.write(wanted, original, cx, Manner::Onto, Ways::Long)
    }

    /// Writes every line, also where nothing changed: the document in canonical form.
    ///
    /// # Errors
    /// As [`Map::put`].
    pub fn rewrite(&self, wanted: &Arc<Document>, original: &Tree, cx: &Context) -> Result<Written, Refusals> {
        self.write(wanted, original, cx, Manner::Forced, Ways::Long)
    }

    /// Writes a Bundle as a new document. The header of a message is the context's envelope.
    ///
    /// # Errors
    /// As [`Map::put`].
    pub fn create(&self, wanted: &Arc<Document>, cx: &Context) -> Result<Written, Refusals> {
        let start = self.start(cx, None)?;
        let written = self.write(wanted, &start, cx, Manner::New, Ways::Long)?;
        let Some(form) = self.form().filter(|_| cx.xml) else { return Ok(written) };
        let json = start.syntax().parse(written.bytes, &generous()).map_err(|e| unreadable(&e))?;
        self.formed(counterpart::document(&form, &json)?, written.report.lost, &json, cx)
    }

    /// Writes a Bundle as the answer to a message: the applications swapped, MSA-2 the message's control id, its
    /// event, version, separators and character set.
    ///
    /// # Errors
    /// [`Refusals`]; of fault `UnknownType` when the map names no map for its answers.
    pub fn answer(&self, wanted: &Arc<Document>, request: &Tree, cx: &Context) -> Result<Written, Refusals> {
        let cx = &*cx.of(request);
        let Some(map) = self.answer_map() else {
            return Err(Refusals::one(self.name(), "a map that has answers", Fault::UnknownType));
        };
        let start = map.start(cx, Some(request))?;
        map.write(wanted, &start, cx, Manner::New, Ways::Long)
    }

    /// What was written in XML, read again: it says what its counterpart in JSON says.
    fn formed(&self, bytes: Vec<u8>, lost: Vec<Lost>, wanted: &Tree, cx: &Context) -> Result<Written, Refusals> {
        let tree = Syntax::Xml.parse(bytes, &generous()).map_err(|e| unreadable(&e))?;
        let Some(read) = self.counterpart(&tree) else { return Err(self.not_its_own()) };
        if let Some(path) = read.differs(wanted) {
            return Err(Refusals::one(path, "what the format can say in XML", Fault::BusinessRule));
        }
        let source = Source::new(read.json(), self.structure());
        let mut run = Get::new(self.plan(), self.name(), &self.model, &source, cx).run()?;
        run.trace.retell(&read.leaves());
        let mut report = run.trace.totals(self.name(), &tree);
        report.lost = lost.into_iter().map(|lost| Lost { path: read.place(&lost.path), ..lost }).collect();
        Ok(Written { bytes: tree.into_bytes(), report })
    }

    fn write(
        &self,
        wanted: &Arc<Document>,
        original: &Tree,
        cx: &Context,
        manner: Manner,
        ways: Ways,
    ) -> Result<Written, Refusals> {
        if original.format() != Format::Xml || self.form().is_none() {
            return self.write_own(wanted, original, cx, manner, ways);
        }
        let Some(read) = self.counterpart(original) else { return Err(self.not_its_own()) };
        let written = self.write_own(wanted, read.json(), cx, manner, ways).map_err(|r| read.located(r))?;
        let changed = read.json().syntax().parse(written.bytes, &generous()).map_err(|e| unreadable(&e))?;
        self.formed(read.write(&changed)?, written.report.lost, &changed, cx)
    }

    fn write_own(
        &self,
        wanted: &Arc<Document>,
        original: &Tree,
        cx: &Context,
        manner: Manner,
        ways: Ways,
    ) -> Result<Written, Refusals> {
        let cx = &*cx.of(original);
        let wanted = &self.along(wanted)?;
        let source = Source::new(original, self.structure());
        let reading = Get::new(self.plan(), self.name(), &self.model, &source, cx);
        let run = if manner == Manner::New { reading.of_begun() } else { reading }.run()?;
        if ways == Ways::All
            && let Some(written) = self.touched(wanted, &source, &run, cx)?
        {
            return Ok(written);
        }
        let fault = |error: crate::fhir::draft::DraftError| Refusals::of_draft(&error);
        let old = run.trace.draft.finish().map_err(fault)?;
        let stated = self.stated(wanted, &old, cx, manner)?;
        let wanted = stated.as_ref().map_or(wanted, |stated| &stated.document);
        let demanded = |steps: &[Step]| self.json_schema().is_some_and(|schema| required::is_demanded(schema, steps));
        let given = self.given(&source, cx, &run, (&old, wanted), &demanded);
        let written = Put::new(given, manner).run();
        if !written.refusals.is_empty() {
            return Err(Refusals { items: written.refusals });
        }
        let mut tree = original.syntax().parse(written.bytes, &generous()).map_err(|e| unreadable(&e))?;
        if manner == Manner::New
            && self.plan().edition.is_some()
            && let Some(schema) = self.xml_schema()
        {
            let shown = edition::shown(&tree, schema).map_err(|e| unwritable(&e))?;
            tree = original.syntax().parse(shown, &generous()).map_err(|e| unreadable(&e))?;
        }
        let lacking = self.whole(&tree, original, manner)?;
        // What was not changed says what it said.
        let (again, got) = if tree.bytes() == original.bytes() {
            (None, Arc::clone(&old))
        } else {
            let read = Source::new(&tree, self.structure());
            let again = Get::new(self.plan(), self.name(), &self.model, &read, cx).run()?;
            let got = again.trace.draft.finish().map_err(fault)?;
            (Some(again), got)
        };
        let again = again.as_ref().unwrap_or(&run);
        let mut report = again.trace.totals(self.name(), &tree);
        report.lost = written.lost;
        report.lost.extend(lacking);
        report.lost.extend(stated.iter().flat_map(|stated| stated.given.iter().cloned()));
        let entries = run.entries.iter().chain(&again.entries);
        let keyed = entries.filter(|e| e.has_key).map(|e| e.full_url.as_str()).collect();
        let mut found = differences(wanted, &got, &keyed, &written.exempt, self.plan().envelope.is_some());
        let before = Reading { run: &run, got: &old, tree: original };
        let after = Reading { run: again, got: &got, tree: &tree };
        Judged { wanted, before, after, plan: self.plan(), model: &self.model }.excuse(&mut found);
        follows::orphans(&mut found, wanted, &old);
        let (mut orders, found): (Vec<_>, Vec<_>) = found.into_iter().partition(|one| one.kind == Kind::Order);
        let is_other = found.iter().any(|one| !one.kind.is_harmless());
        self.judge(found, cx, manner, &mut report)?;
        if manner == Manner::Onto
            && (written.inserted || !written.orders.is_empty())
            && !is_other
            && let Some((ordered, left)) = self.in_order(wanted, &tree, &written.exempt, cx)?
        {
            (tree, orders) = (ordered, left);
        }
        report.lost.extend(orders.into_iter().map(|one| Lost {
            path: one.path,
            disposition: Disposition::Approximated,
            rule: None,
            reason: "in the order that the document has them in: its items stand in several of its places".to_owned(),
        }));
        if manner == Manner::Onto && tree.bytes() != original.bytes() {
            return self.edited(tree, original, || Ok(got), cx, report);
        }
        Ok(Written { bytes: tree.into_bytes(), report })
    }

    /// A document that changed, as a new one where its format wants that. `got` is what it says.
    pub(super) fn edited(
        &self,
        tree: Tree,
        original: &Tree,
        got: impl FnOnce() -> Result<Arc<Document>, Refusals>,
        cx: &Context,
        report: Report,
    ) -> Result<Written, Refusals> {
        if let (Some(line), Some(schema)) = (self.plan().edition, self.xml_schema())
            && let Some(edition) = edition::next(&tree, original, schema, cx).map_err(|e| unwritable(&e))?
        {
            return self.published(edition, line, &*got()?, original, cx, report);
        }
        Ok(Written { bytes: tree.into_bytes(), report })
    }

    /// What is written has what the sender's schema requires, but for what the original lacked already; what a new
    /// document lacks is told.
    pub(super) fn whole(&self, written: &Tree, original: &Tree, manner: Manner) -> Result<Vec<Lost>, Refusals> {
        if let Some(schema) = self.xml_schema() {
            return required::sound(schema, written, original, manner);
        }
        let expected = "what the schema of the format requires, which nothing in the Bundle gives";
        let mut lacking: Vec<String> = required::missing(self.native_schema(), written).into_iter().collect();
        lacking.sort_unstable();
        if manner == Manner::New {
            let lost = |path| Lost {
                path,
                disposition: Disposition::Error,
                rule: None,
                reason: format!("not there: expected {expected}"),
            };
            return Ok(lacking.into_iter().map(lost).collect());
        }
        if !lacking.is_empty() {
            let before = required::missing(self.native_schema(), original);
            lacking.retain(|path| !before.contains(path));
        }
        let refused = |path| Refusal { path, rule: None, expected: expected.to_owned(), fault: Fault::RequiredMissing };
        let items: Vec<Refusal> = lacking.into_iter().map(refused).collect();
        if items.is_empty() { Ok(Vec::new()) } else { Err(Refusals { items }) }
    }

    /// What a backward run is given: the document, its forward run, and what that gave beside what is wanted.
    fn given<'r>(
        &'r self,
        source: &'r Source<'r>,
        cx: &'r Context,
        run: &'r Run,
        (old, new): (&'r Document, &'r Document),
        demanded: &'r dyn Fn(&[Step]) -> bool,
    ) -> Given<'r> {
        let schema = self.xml_schema().map(|schema| &**schema);
        Given { plan: self.plan(), source, cx, schema, demanded, events: self.events(), run, old, new }
    }

    /// A document that says what is wanted, with its repetitions in the wanted order; nothing where that says other things.
    fn in_order(
        &self,
        wanted: &Arc<Document>,
        written: &Tree,
        exempt: &FxHashSet<crate::fhir::document::NodeId>,
        cx: &Context,
    ) -> Result<Option<(Tree, Vec<Difference>)>, Refusals> {
        let fault = |error: crate::fhir::draft::DraftError| Refusals::of_draft(&error);
        let source = Source::new(written, self.structure());
        let run = Get::new(self.plan(), self.name(), &self.model, &source, cx).run()?;
        let old = run.trace.draft.finish().map_err(fault)?;
        let demanded = |steps: &[Step]| self.json_schema().is_some_and(|schema| required::is_demanded(schema, steps));
        let given = self.given(&source, cx, &run, (&old, wanted), &demanded);
        let again = Put::new(given, Manner::Onto).run();
        if again.bytes != written.bytes() || again.orders.is_empty() {
            return Ok(None);
        }
        let bytes = order::apply(written.bytes(), &again.orders);
        let tree = written.syntax().parse(bytes, &generous()).map_err(|e| unreadable(&e))?;
        let read = Source::new(&tree, self.structure());
        let Ok(last) = Get::new(self.plan(), self.name(), &self.model, &read, cx).run() else { return Ok(None) };
        let got = last.trace.draft.finish().map_err(fault)?;
        let entries = run.entries.iter().chain(&last.entries);
        let keyed = entries.filter(|e| e.has_key).map(|e| e.full_url.as_str()).collect();
        let mut left = differences(wanted, &got, &keyed, exempt, self.plan().envelope.is_some());
        let before = Reading { run: &run, got: &old, tree: written };
        let after = Reading { run: &last, got: &got, tree: &tree };
        Judged { wanted, before, after, plan: self.plan(), model: &self.model }.excuse(&mut left);
        let (orders, others): (Vec<_>, Vec<_>) = left.into_iter().partition(|one| one.kind == Kind::Order);
        Ok(others.iter().all(|one| one.kind.is_harmless()).then_some((tree, orders)))
    }

    /// A Bundle with what documents of this kind demand of what is new in it, where it lacks that.
    fn stated(
        &self,
        wanted: &Arc<Document>,
        old: &Document,
        cx: &Context,
        manner: Manner,
    ) -> Result<Option<Stated>, Refusals> {
        if self.plan().edition.is_none() || manner == Manner::Forced {
            return Ok(None);
        }
        let conditions = self.plan().scope(0).map(|scope| scope.when.as_slice()).unwrap_or_default();
        let template = conditions.iter().find_map(|condition| match &condition.test {
            Test::In(values) => values.first().map(String::as_str),
            _ => None,
        });
        let unread = |error: crate::fhir::document::SyntaxError| Refusals::one("", error.to_string(), error.fault());
        match template {
            Some(template) if manner == Manner::New => edition::begun::document(wanted, template, &cx.provider),
            _ => edition::begun::statements(wanted, Some(old)),
        }
        .map_err(unread)
    }

    /// A changed document that is a new one, with what is therefore other in it than was wanted.
    fn published(
        &self,
        edition: Edition,
        line: LineId,
        before: &Document,
        original: &Tree,
        cx: &Context,
        report: Report,
    ) -> Result<Written, Refusals> {
        let tree = original.syntax().parse(edition.bytes, &generous()).map_err(|e| unreadable(&e))?;
        let source = Source::new(&tree, self.structure());
        let run = Get::new(self.plan(), self.name(), &self.model, &source, cx).run()?;
        let fault = |error: crate::fhir::draft::DraftError| Refusals::of_draft(&error);
        let got = run.trace.draft.finish().map_err(fault)?;
        let keyed = run.entries.iter().filter(|e| e.has_key).map(|e| e.full_url.as_str()).collect();
        let others = differences(before, &got, &keyed, &FxHashSet::default(), false).into_iter();
        // That the order is another is what was wanted.
        let others = others.filter(|one| one.kind != Kind::Order).map(|one| one.path);
        let mut totals = run.trace.totals(self.name(), &tree);
        totals.lost = report.lost;
        totals.lost.extend(edition.touched.into_iter().chain(others).map(|path| Lost {
            path,
            disposition: Disposition::Approximated,
            rule: Some(self.plan().line(line)),
            reason: "a changed document is a new version that replaces the one before, without signatures".to_owned(),
        }));
        Ok(Written { bytes: tree.into_bytes(), report: totals })
    }

    fn events(&self) -> &[String] {
        match self.native() {
            NativeType::Hl7v2 { events, .. } => events,
            _ => &[],
        }
    }

    /// What differs is refused or told, as the context says.
    fn judge(&self, found: Vec<Difference>, cx: &Context, manner: Manner, report: &mut Report) -> Result<(), Refusals> {
        let mut refusals = Vec::new();
        let mut told: FxHashSet<String> = report.lost.iter().map(|lost| lost.path.clone()).collect();
        for one in found {
            let expected = match one.kind {
                Kind::Missing if one.path.ends_with("].resource") => {
                    "a resource that something which is written refers to (what nothing refers to any more is taken out with it)"
                }
                Kind::Missing => "content that the native format carries",
                // A new document says what the map says by itself.
                Kind::Added | Kind::Known | Kind::Again if manner == Manner::New => continue,
                Kind::Other | Kind::Known => "a value that the native format carries",
                Kind::Excused | Kind::Again => {
                    let reason = match one.kind {
                        Kind::Again => "told once more: the document tells of it wherever it speaks of it",
                        _ => "written as a stand-in, or follows from another element",
                    };
                    let begins = one.path.match_indices(['.', '[']).filter_map(|(at, _)| one.path.get(..at));
                    if !begins.chain([one.path.as_str()]).any(|path| told.contains(path)) {
                        told.insert(one.path.clone());
                        report.lost.push(Lost {
                            path: one.path,
                            disposition: Disposition::Approximated,
                            rule: None,
                            reason: reason.to_owned(),
                        });
                    }
                    continue;
                }
                Kind::Added => "content that can be taken out of the native document",
                // The order is told once it is settled.
                Kind::Order => continue,
            };
            // What turns the meaning round is not left out, whoever allows loss.
            match cx.loss {
                Loss::Warn if one.turns => refusals.push(Refusal {
                    path: one.path,
                    rule: None,
                    expected: format!("{expected}: it changes what the rest means, and may not be left out"),
                    fault: Fault::BusinessRule,
                }),
                Loss::Refuse => refusals.push(Refusal {
                    path: one.path,
                    rule: None,
                    expected: expected.to_owned(),
                    fault: Fault::BusinessRule,
                }),
                Loss::Warn => report.lost.push(Lost {
                    path: one.path,
                    disposition: Disposition::Error,
                    rule: None,
                    reason: format!("not carried: expected {expected}"),
                }),
            }
        }
        if refusals.is_empty() { Ok(()) } else { Err(Refusals { items: refusals }) }
    }
}

/// What this program writes itself is not measured again.
pub(super) fn generous() -> crate::native::Limits {
    crate::native::Limits { bytes: u32::MAX as usize - 1, depth: 256, nodes: u32::MAX as usize - 1 }
}

pub(super) fn unreadable(error: &SyntaxError) -> Refusals {
    Refusals::one(error.location(), error.to_string(), Fault::Internal)
}

pub(super) fn unwritable(error: &EditError) -> Refusals {
    Refusals::one(error.location().unwrap_or_default(), error.to_string(), error.fault())
}
