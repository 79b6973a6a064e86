//! The places of an XML document type that can hold a text. Types may contain themselves: on one way down each is entered
//! once, and at most three of those that contain each other.

use std::sync::Arc;

use crate::native::xml::XmlSchema;
use crate::native::xml::schema::{Content, MemberKind, TypeIndex};

use super::plan::NativeName;

/// How many types that contain each other one way down may enter.
const WITHIN: usize = 3;
/// More places than any document type is looked at for.
const MOST: usize = 400_000;

struct Walk<'s> {
    schema: &'s XmlSchema,
    /// For each type, which types it can contain.
    reach: Vec<Vec<bool>>,
    path: Vec<NativeName>,
    way: Vec<TypeIndex>,
}

/// Adds the leaves of a document type.
pub(super) fn of(schema: &XmlSchema, leaves: &mut Vec<Vec<NativeName>>) {
    let count = schema.types().count();
    let reach = (0..count).map(|from| reached(schema, from, count)).collect();
    let mut walk = Walk { schema, reach, path: Vec::new(), way: Vec::new() };
    walk.enter(schema.root_type(), leaves);
}

fn reached(schema: &XmlSchema, from: usize, count: usize) -> Vec<bool> {
    let mut seen = vec![false; count];
    let mut open = vec![from];
    while let Some(at) = open.pop() {
        let of = TypeIndex::try_from(at).ok().and_then(|at| schema.of(at));
        for member in of.into_iter().flat_map(|t| &t.members) {
            let Content::Complex(next) = member.of else { continue };
            let next = next as usize;
            if let Some(seen) = seen.get_mut(next).filter(|seen| !**seen) {
                *seen = true;
                open.push(next);
            }
        }
    }
    seen
}

impl Walk<'_> {
    fn reaches(&self, from: TypeIndex, to: TypeIndex) -> bool {
        self.reach.get(from as usize).and_then(|r| r.get(to as usize)).copied().unwrap_or(false)
    }

    fn enter(&mut self, index: TypeIndex, leaves: &mut Vec<Vec<NativeName>>) {
        let kin = |other: &TypeIndex| self.reaches(*other, index) && self.reaches(index, *other);
        if self.way.contains(&index) || self.way.iter().filter(|t| kin(t)).count() >= WITHIN || leaves.len() > MOST {
            return;
        }
        let Some(of) = self.schema.of(index) else { return };
        self.way.push(index);
        for member in &of.members {
            let name = Arc::new(member.name.clone());
            match member.kind {
                MemberKind::Text => leaves.push(self.path.clone()),
                MemberKind::Attribute => {
                    let mut leaf = self.path.clone();
                    leaf.push(NativeName::Attribute(name));
                    leaves.push(leaf);
                }
                MemberKind::Element => {
                    self.path.push(NativeName::Element(name));
                    match member.of {
                        Content::Simple(_) => leaves.push(self.path.clone()),
                        Content::Complex(inner) => self.enter(inner, leaves),
                    }
                    self.path.pop();
                }
            }
        }
        self.way.pop();
    }
}
