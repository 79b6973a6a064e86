//! The leaves that a segment or data type can have: what a map must account for.

use std::fmt;

use super::{FieldDef, Schema, SegmentDef, Shape};

/// A place that can hold a text: a field, component or subcomponent with nothing beneath it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leaf {
    /// Where it is.
    pub path: LeafPath,
    /// Its own definition: of the field, component or subcomponent.
    pub definition: FieldDef,
    /// The data type of its field: `XPN` for `PID-5.1.1`.
    pub of: &'static str,
    /// Whether what stands here is told by another field (OBX-5 by OBX-2): [`Schema::datatype_leaves`] of that data
    /// type, put under this path, are its leaves.
    pub varies: bool,
}

/// The place of a leaf in its segment. Displays as `5.1.1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeafPath {
    /// The field's number, from 1; 0 in the leaves of a data type.
    pub field: u16,
    /// The component's number, if the field has components.
    pub component: Option<u16>,
    /// The subcomponent's number, if the component has subcomponents.
    pub subcomponent: Option<u16>,
}

impl fmt::Display for LeafPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.field > 0 {
            write!(f, "{}", self.field)?;
        }
        for (part, dotted) in [(self.component, self.field > 0), (self.subcomponent, true)] {
            if let Some(number) = part {
                write!(f, "{}{number}", if dotted { "." } else { "" })?;
            }
        }
        Ok(())
    }
}

impl Schema {
    /// Every leaf of a segment in this version, in order. Withdrawn fields and components are leaves too: messages
    /// still carry them.
    #[must_use]
    pub fn leaves(&'static self, segment: &SegmentDef) -> Vec<Leaf> {
        let mut leaves = Vec::new();
        for field in segment.fields() {
            self.field_leaves(field.number, *field, &mut leaves);
        }
        leaves
    }

    /// Every leaf of a data type in this version, in order, as components: `1`, `4.2`.
    #[must_use]
    pub fn datatype_leaves(&'static self, datatype: &'static str) -> Vec<Leaf> {
        let whole = FieldDef { number: 0, name: datatype, datatype, min: 0, max: Some(1), table: None };
        let mut leaves = Vec::new();
        self.field_leaves(0, whole, &mut leaves);
        leaves
    }

    fn field_leaves(&'static self, field: u16, definition: FieldDef, leaves: &mut Vec<Leaf>) {
        let of = definition.datatype;
        let leaf = |component, subcomponent, definition: FieldDef| Leaf {
            path: LeafPath { field, component, subcomponent },
            definition,
            of,
            varies: matches!(self.shape(definition.datatype), Shape::Varies),
        };
        let Shape::Composite(composite) = self.shape(of) else {
            leaves.push(leaf(None, None, definition));
            return;
        };
        for component in composite.components() {
            let Shape::Composite(inner) = self.shape(component.datatype) else {
                leaves.push(leaf(Some(component.number), None, *component));
                continue;
            };
            // Nothing is beneath a subcomponent: one that is composite in the tables is written as its first part.
            for subcomponent in inner.components() {
                leaves.push(leaf(Some(component.number), Some(subcomponent.number), *subcomponent));
            }
        }
    }
}
