//! What need not be written: what the map gives by itself, and what is being written already.

use crate::fhir::document::Node;

use super::super::super::plan::{Constant, Scope, SlotAt, SlotRef};
use super::{Known, Put};

impl<'r> Put<'r> {
    /// Whether a concept is the one that the map gives where native says nothing: the next who reads it gives it again.
    pub(super) fn is_default(&self, frame: usize, scope: &Scope, new: Node<'r>) -> bool {
        let Some(SlotAt::Alias(SlotRef { up: 1, slot })) = scope.slots.first().map(|s| &s.at) else { return false };
        let coding = |node: Node<'r>, system: &str, code: &str| {
            node.text_at("system") == Some(system) && node.text_at("code") == Some(code) && node.children().count() == 2
        };
        let mut defaults = self.scope_of(frame).into_iter().flat_map(|outer| &outer.consts).filter(|one| one.default);
        defaults.any(|one| match &one.value {
            Constant::Coding { system, code } if one.slot == *slot => {
                coding(new, system, code)
                    || (new.children().count() == 1 && new.named("coding").any(|one| coding(one, system, code)))
            }
            _ => false,
        })
    }

    /// Whether a frame is a resource, or stands within what is written of it.
    pub(super) fn stands_within(&self, frame: usize, resource: Node<'r>) -> bool {
        let mut at = frame;
        while at != 0 {
            let Some(of) = self.frames.get(at) else { return false };
            if matches!(of.new.first(), Some(Known::Is(Some(node))) if node.id() == resource.id()) {
                return true;
            }
            at = of.parent;
        }
        false
    }
}
