//! Resources of another version of FHIR backward.

use std::cell::RefCell;

use crate::fhir::document::{Node, NodeId as FhirId};
use crate::native::{EditError, Place, Step};

use super::super::super::plan::Whole;
use super::super::super::trace::{Disposition, Lost};
use super::super::super::versions::merge::{self, Json};
use super::super::super::versions::{Convert, Facts, part};
use super::super::verify::is_same_text;
use super::{Put, Side};

impl<'r> Put<'r> {
    /// A resource of another version, with all that is in it.
    pub(super) fn whole(&mut self, frame: usize, whole: &'r Whole) -> Result<(), EditError> {
        let new = self.node(Side::New, frame, whole.slot);
        let old = self.node(Side::Old, frame, whole.slot);
        let Some(new) = new else { return Ok(()) };
        if let Some(old) = old
            && !self.forced
            && is_same_text(old, new)
        {
            return Ok(());
        }
        let Some(spot) = self.frames.get(frame).map(|f| f.spot.clone()) else { return Ok(()) };
        let at = self.locate(&spot, &whole.native)?;
        let stale = RefCell::default();
        let said = old.map_or(Json::Object(Vec::new()), |old| self.as_native(whole, old, &stale));
        stale.borrow_mut().clear();
        let wanted = self.as_native(whole, new, &stale);
        for id in stale.into_inner() {
            self.exempt.insert(id);
            self.lost.push(Lost {
                path: self.new.node(id).path().to_string(),
                disposition: Disposition::Residue,
                rule: Some(self.plan.line(whole.line)),
                reason: "removed, since it described the value that was changed".to_owned(),
            });
        }
        match at.node {
            Some(node) if self.forced => {
                // Every member is written anew, where it stands.
                let Json::Object(members) = wanted else { return Ok(()) };
                for (name, value) in &members {
                    let steps = [Step::Member(name.as_str().into())];
                    self.edit.null(node, &steps)?;
                    merge::write(&mut self.edit, Place::Node(node), &steps, value)?;
                }
                Ok(())
            }
            Some(node) => merge::merge(&mut self.edit, node, &said, &wanted),
            None => {
                let own = self.scope_of(frame).and_then(|s| s.entries.first()).and_then(|e| e.url.as_ref());
                let name = new.parent().and_then(|entry| entry.text_at("fullUrl"));
                if let (Some(path), Some(name)) = (own, name) {
                    let url = self.locate(&spot, path)?;
                    merge::write(&mut self.edit, url.at, &url.steps, &Json::Text(name.to_owned()))?;
                }
                let resource = Json::Text(whole.native_type.clone());
                let mut steps = at.steps.clone();
                steps.push(Step::Member("resourceType".into()));
                merge::write(&mut self.edit, at.at, &steps, &resource)?;
                merge::write(&mut self.edit, at.at, &at.steps, &wanted)
            }
        }
    }

    fn as_native(&self, whole: &Whole, node: Node<'_>, stale: &RefCell<Vec<FhirId>>) -> Json {
        let to = whole.version.facts();
        let blocks = &self.plan.versions;
        let convert = Convert { from: Facts::r4(), to, blocks, inward: false, stale: RefCell::default() };
        let parts = convert.object(&whole.r4_type, &whole.native_type, &part::of_node(node));
        stale.borrow_mut().extend(convert.stale.into_inner());
        to.of(&whole.native_type).map_or(Json::Object(Vec::new()), |of| merge::json(to, &of, &parts))
    }
}
