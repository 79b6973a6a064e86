//! Writing where nothing but values changed: what is written is read again, and must be what was wanted.

use crate::fhir::compare::other_values;
use crate::fhir::document::Document;
use crate::native::{Edit, Step};

use super::context::Context;
use super::map::Map;
use super::required;
use super::run::Refusals;
use super::run::get::{Get, Run};
use super::run::put::Manner;
use super::run::source::Source;
use super::run::touch::{MOST, Touch};
use super::write::{Written, generous, unreadable};

impl Map {
    /// The document in which only values changed, each written where it came from; nothing where more is to be done than
    /// that, or where it does not say then what is wanted.
    ///
    /// # Errors
    /// [`Refusals`] where the written document lacks what its format requires.
    pub(super) fn touched(
        &self,
        wanted: &Document,
        source: &Source<'_>,
        run: &Run,
        cx: &Context,
    ) -> Result<Option<Written>, Refusals> {
        // What a Bundle of another version says of its entries is not in the draft's resources.
        if self.plan().envelope.is_some() {
            return Ok(None);
        }
        let original = source.tree;
        let Some(values) = other_values(&run.trace.draft, wanted, MOST) else { return Ok(None) };
        if values.is_empty() {
            let report = run.trace.totals(self.name(), original);
            return Ok(Some(Written { bytes: original.bytes().to_vec(), report }));
        }
        let demanded = |steps: &[Step]| self.json_schema().is_some_and(|schema| required::is_demanded(schema, steps));
        let edit = match self.xml_schema() {
            Some(schema) => Edit::new(original).by_schema(schema),
            None => Edit::new(original).but_demanded(&demanded),
        };
        let touch = Touch { plan: self.plan(), source, cx, run };
        let Some(bytes) = touch.write(&values, edit) else { return Ok(None) };
        let tree = original.syntax().parse(bytes, &generous()).map_err(|e| unreadable(&e))?;
        let read = Source::new(&tree, self.structure());
        let Ok(again) = Get::new(self.plan(), self.name(), &self.model, &read, cx).run() else { return Ok(None) };
        let (before, after) = (&run.trace.draft, &again.trace.draft);
        if !before.is_but_for(after, &values) && other_values(after, wanted, 0).is_none() {
            return Ok(None);
        }
        let mut report = again.trace.totals(self.name(), &tree);
        report.lost = self.whole(&tree, original, Manner::Onto)?;
        let got = || after.finish().map_err(|error| Refusals::of_draft(&error));
        self.edited(tree, original, got, cx, report).map(Some)
    }
}
