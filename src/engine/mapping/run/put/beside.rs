//! What a part that comes holds beside what lines write into it: what the map demands of it, and its number.

use crate::native::{EditError, Format};

use super::super::super::plan::{NativeName, NativePath, NativeSelect, Scope};
use super::{Change, Put, Spot};

impl Put<'_> {
    /// What a line demands of a part that comes.
    pub(super) fn written(&mut self, scope: &Scope, spot: &Spot) -> Result<(), EditError> {
        for written in &scope.written {
            let is_of_event = written.events.is_empty()
                || self.source.event.as_ref().is_some_and(|event| written.events.contains(event));
            if !is_of_event {
                continue;
            }
            // A segment that comes for what other lines write has it too, where none of them says another thing.
            if self.source.tree.format() == Format::Hl7V2 {
                self.late.push((spot.clone(), written.path.clone(), written.text.clone()));
                continue;
            }
            let at = self.locate(spot, &written.path)?;
            // What the selection of the part demands stands there already.
            if self.change_of(at.at, &at.steps).is_none() {
                self.change(at, Change::Set(written.text.clone()));
            }
        }
        Ok(())
    }

    /// What segments that came hold beside what lines wrote into them; of several lines the last that holds.
    pub(super) fn beside(&mut self) -> Result<(), EditError> {
        for (spot, path, text) in std::mem::take(&mut self.late).into_iter().rev() {
            let Some((first, rest)) = path.steps.split_first() else { continue };
            let at = match &first.name {
                NativeName::Segment(segment) => {
                    let key = (spot.at, if spot.is_group() { spot.group } else { 0 }, *segment);
                    let Some(at) = self.made.get(&key).copied() else { continue };
                    let segment = Spot { at, steps: Vec::new(), node: None, group: spot.group };
                    let rest = NativePath { from_document: false, steps: rest.to_vec() };
                    self.locate(&segment, &rest)?
                }
                _ => self.locate(&spot, &path)?,
            };
            if self.change_of(at.at, &at.steps).is_none() {
                self.change(at, Change::Set(text));
            }
        }
        Ok(())
    }

    /// The number of a new repetition.
    pub(super) fn number(&mut self, outer: &Spot, scope: &Scope, spot: &Spot) -> Result<(), EditError> {
        let Some((_, path)) = &scope.ordinal else { return Ok(()) };
        let Some(all) = scope.native.first().map(all_of_name) else { return Ok(()) };
        let key = (outer.at, outer.group, all.place());
        let before = match self.counted.get(&key) {
            Some(before) => *before,
            None => {
                let before = self.base(outer).map_or(0, |base| self.source.select(base, &all).len());
                self.counted.insert(key.clone(), before);
                before
            }
        };
        let grown = self.numbered.entry(key).or_insert(0);
        *grown += 1;
        let number = before + *grown;
        // What is one of several that a group can have is numbered where it comes.
        if let (true, Some(NativeName::Segment(name))) = (spot.is_group(), path.steps.first().map(|step| &step.name))
            && self.source.is_alternative(*name)
        {
            self.late.push((spot.clone(), path.clone(), number.to_string()));
            return Ok(());
        }
        let at = self.locate(spot, path)?;
        self.change(at, Change::Set(number.to_string()));
        Ok(())
    }
}

/// The path to all segments of the name that a path leads to some of: they are counted together.
fn all_of_name(path: &NativePath) -> NativePath {
    let mut all = path.clone();
    if let Some(last) = all.steps.last_mut().filter(|step| matches!(step.name, NativeName::Segment(_))) {
        last.select = NativeSelect::All;
    }
    all
}
