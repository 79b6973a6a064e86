//! Resources of another version of FHIR backward.

use std::cell::RefCell;

use crate::fhir::document::{Node, NodeId as FhirId};
use crate::native::{EditError, Place as Where, Step};

use super::super::super::plan::Whole;
use super::super::super::trace::{Disposition, Lost};
use super::super::super::versions::merge::{self, Json};
use super::super::super::versions::{Convert, Facts, Place, envelope, part};
use super::super::verify::is_same_text;
use super::{Put, Side, Spot, spot_of};

impl<'r> Put<'r> {
    /// What a Bundle of another version says for itself.
    pub(super) fn envelope(&mut self) {
        let (old, new) = (self.old.root(), self.new.root());
        let spot = spot_of(self.source.root());
        if let Err(error) = self.around(Place::Bundle, &spot, Some(old), Some(new)) {
            self.refuse_edit(&error);
        }
    }

    fn around(
        &mut self,
        place: Place,
        spot: &Spot,
        old: Option<Node<'r>>,
        new: Option<Node<'r>>,
    ) -> Result<(), EditError> {
        let Some((version, line)) = self.plan.envelope else { return Ok(()) };
        let to = version.facts();
        let Some(of) = to.of(place.type_name()) else { return Ok(()) };
        let convert = Convert {
            from: Facts::r4(),
            to,
            blocks: &self.plan.versions,
            inward: false,
            prefers: &[],
            stale: RefCell::default(),
        };
        let said = |node: Option<Node<'_>>| {
            let mut parts = node.map(part::of_node).unwrap_or_default();
            parts.retain(|p| envelope::is_own(place.type_name(), &p.name));
            merge::json(to, &of, &envelope::converted(&convert, &parts, place, None))
        };
        let was = said(old);
        convert.stale.borrow_mut().clear();
        let wanted = said(new);
        self.tell_stale(convert.stale.into_inner(), line);
        match spot.node {
            Some(node) => merge::merge(&mut self.edit, node, &was, &wanted),
            None => merge::write(&mut self.edit, spot.at, &spot.steps, &wanted),
        }
    }

    fn tell_stale(&mut self, stale: Vec<FhirId>, line: u32) {
        for id in stale {
            self.exempt.insert(id);
            self.lost.push(Lost {
                path: self.new.node(id).path().to_string(),
                disposition: Disposition::Residue,
                rule: Some(self.plan.line(line)),
                reason: "removed, since it described the value that was changed".to_owned(),
            });
        }
    }

    /// A resource of another version, with all that is in it, and what its entry of a Bundle says of it.
    pub(super) fn whole(&mut self, frame: usize, whole: &'r Whole) -> Result<(), EditError> {
        self.resource(frame, whole)?;
        if self.plan.envelope.is_none() {
            return Ok(());
        }
        let new = self.node(Side::New, frame, whole.slot).and_then(|n| n.parent());
        let old = self.node(Side::Old, frame, whole.slot).and_then(|n| n.parent());
        match (self.frames.get(frame).map(|f| f.spot.clone()), new) {
            (Some(spot), Some(new)) => self.around(Place::Entry, &spot, old, Some(new)),
            _ => Ok(()),
        }
    }

    fn resource(&mut self, frame: usize, whole: &'r Whole) -> Result<(), EditError> {
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
        self.tell_stale(stale.into_inner(), whole.line);
        match at.node {
            Some(node) if self.forced => {
                // Every member is written anew, where it stands.
                let Json::Object(members) = wanted else { return Ok(()) };
                for (name, value) in &members {
                    let steps = [Step::Member(name.as_str().into())];
                    self.edit.null(node, &steps)?;
                    merge::write(&mut self.edit, Where::Node(node), &steps, value)?;
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
        let convert = Convert { from: Facts::r4(), to, blocks, inward: false, prefers: &[], stale: RefCell::default() };
        let parts = convert.object(&whole.r4_type, &whole.native_type, &part::of_node(node));
        stale.borrow_mut().extend(convert.stale.into_inner());
        to.of(&whole.native_type).map_or(Json::Object(Vec::new()), |of| merge::json(to, &of, &parts))
    }
}
