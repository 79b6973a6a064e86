//! The fixed-width records of the compiled tables: one place says how each is laid out, for writing and for reading.

use super::format::{u16_at, u32_at};

/// No string, no type, no element.
pub(crate) const NONE: u32 = u32::MAX;
/// No type in a 16-bit place.
pub(crate) const NO_TYPE: u16 = u16::MAX;
/// `max` = `*`.
pub(crate) const UNBOUNDED: u16 = u16::MAX;

macro_rules! record {
    ($(#[$doc:meta])* $name:ident { $($field:ident : $kind:ident),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default)]
        pub(crate) struct $name { $(pub(crate) $field: $kind),* }
        impl $name {
            pub(crate) const SIZE: usize = 0 $(+ size_of::<$kind>())*;
            pub(crate) fn write(&self, out: &mut Vec<u8>) { $(out.extend_from_slice(&self.$field.to_le_bytes());)* }
            pub(crate) fn read(section: &[u8], index: usize) -> Option<Self> {
                #[allow(unused_assignments, reason = "the offset after the last field is not read")]
                {
                    let mut at = index.checked_mul(Self::SIZE)?;
                    $(let $field = record!(@read $kind, section, at); at += size_of::<$kind>();)*
                    Some(Self { $($field),* })
                }
            }
        }
    };
    (@read u32, $section:ident, $at:ident) => { u32_at($section, $at)? };
    (@read u16, $section:ident, $at:ident) => { u16_at($section, $at)? };
}

record!(
    /// One type: a primitive, a datatype, a resource, or the anonymous type of an element with children.
    TypeRecord {
        name: u32,
        url: u32,
        base: u16,
        kind: u16,
        first_element: u32,
        elements: u32,
        first_constraint: u32,
        constraints: u32,
    }
);
record!(
    /// One element, in the order of its type.
    ElementRecord {
        path: u32,
        symbol: u16,
        owner: u16,
        min: u16,
        max: u16,
        flags: u16,
        types: u16,
        first_type: u32,
        binding: u32,
        maximum: u32,
        strength: u16,
        constraints: u16,
        first_constraint: u32,
    }
);
record!(
    /// One type an element may have, with the name it is then written by.
    ChoiceRecord {
        type_id: u16,
        symbol: u16,
        first_target: u32,
        targets: u32,
        profiles: u32,
    }
);
record!(
    /// One constraint; `severity` 0 error, 1 warning.
    ConstraintRecord { key: u32, expression: u32, severity: u32 }
);
record!(
    /// One code system; `content` 0 complete, 1 fragment, 2 example, 3 not present, 4 supplement; bit 8 case-sensitive.
    CodeSystemRecord { url: u32, version: u32, content: u32, value_set: u32, first: u32, concepts: u32 }
);
record!(
    /// One concept; `parent` is the place of its parent within the system, or none.
    ConceptRecord { code: u32, display: u32, parent: u32 }
);
record!(
    /// One value set.
    ValueSetRecord { url: u32, version: u32, first: u32, includes: u32 }
);
record!(
    /// One include (`exclude` 1: an exclude).
    IncludeRecord {
        system: u32,
        version: u32,
        exclude: u32,
        first_concept: u32,
        concepts: u32,
        first_filter: u32,
        filters: u32,
        first_value_set: u32,
        value_sets: u32,
    }
);
record!(
    /// One listed concept of an include.
    ListedRecord { code: u32, display: u32 }
);
record!(
    /// One filter of an include.
    FilterRecord { property: u32, operation: u32, value: u32 }
);
record!(
    /// One search parameter on one base type; `kind` in the order of [`super::SearchType`].
    SearchRecord { base: u32, code: u32, url: u32, expression: u32, kind: u32, first_target: u32, targets: u32 }
);

record!(
    /// One profile or extension: where its JSON lies.
    StructureRecord { url: u32, offset: u32, length: u32 }
);

/// Bits of [`ElementRecord::flags`].
pub(crate) mod flag {
    /// `value[x]`.
    pub(crate) const CHOICE: u16 = 1;
    /// The base allows repetitions: JSON has an array.
    pub(crate) const ARRAY: u16 = 2;
    /// isModifier.
    pub(crate) const MODIFIER: u16 = 4;
    /// isSummary.
    pub(crate) const SUMMARY: u16 = 8;
    /// An attribute in XML.
    pub(crate) const ATTRIBUTE: u16 = 16;
}
