//! The tables of HL7 v2, 2.1 to 2.8.2: message structures, segments, data types, codes, and which event has which
//! structure. Facts only, from `profiles/hl7/v2` (see SOURCE.md there), read on first use, one version at a time.
//!
//! ```
//! use silta_engine::native::hl7v2::schema::{Schema, Version};
//! let schema = Schema::version(Version::V2_5_1);
//! let field = schema.segment("RF1").and_then(|segment| segment.field(6));
//! assert!(field.is_some_and(|field| field.datatype == "EI" && field.required()));
//! let structure = Schema::structure_for(Version::V2_5_1, "REF", "I13");
//! assert_eq!(structure.map(|structure| structure.name()), Some("REF_I12"));
//! ```

mod grouping;
mod leaves;
mod load;
mod search;
mod structure;
mod version;

use std::sync::OnceLock;

use rustc_hash::FxHashMap;

pub use grouping::{Child, Group, GroupId, GroupTree, Insertion, Missing, NoPlace, Place, group, group_by};
pub use leaves::{Leaf, LeafPath};
pub use structure::{NodeIndex, NodeKind, Structure, StructureNode};
pub use version::{Declared, Version};

/// The tables of one version.
#[derive(Debug)]
pub struct Schema {
    version: Version,
    structures: OnceLock<FxHashMap<&'static str, Structure>>,
    events: OnceLock<FxHashMap<(&'static str, &'static str), &'static str>>,
    segments: OnceLock<FxHashMap<&'static str, SegmentDef>>,
    datatypes: OnceLock<FxHashMap<&'static str, DatatypeDef>>,
    tables: OnceLock<FxHashMap<&'static str, TableDef>>,
}

/// A segment as a version defines it.
#[derive(Debug, Clone)]
pub struct SegmentDef {
    /// `PRD`.
    pub name: &'static str,
    /// The version whose definition this is.
    pub version: Version,
    fields: Vec<Option<FieldDef>>,
}

/// A field of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldDef {
    /// Its number, from 1.
    pub number: u16,
    /// `ORIGINATING_REFERRAL_IDENTIFIER`.
    pub name: &'static str,
    /// `EI`; `varies` where another field tells (OBX-5); empty if withdrawn.
    pub datatype: &'static str,
    /// How many repetitions there must be.
    pub min: u16,
    /// How many there may be; none is without limit, 0 is withdrawn.
    pub max: Option<u16>,
    /// The table of its codes, `0281`.
    pub table: Option<&'static str>,
}

/// A component of a composite data type, in the same terms.
pub type ComponentDef = FieldDef;

/// A composite data type.
#[derive(Debug, Clone)]
pub struct DatatypeDef {
    /// `XPN`.
    pub name: &'static str,
    components: Vec<Option<ComponentDef>>,
}

/// The codes of a table.
#[derive(Debug, Clone)]
pub struct TableDef {
    /// `0281`.
    pub id: &'static str,
    /// `Referral Type`.
    pub title: &'static str,
    /// Whether the published table has more than its codes: ranges or patterns.
    pub open: bool,
    codes: Vec<&'static str>,
}

/// What a data type is made of.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    /// One text.
    Primitive(Primitive),
    /// Components.
    Composite(&'static DatatypeDef),
    /// Told by another field (OBX-5 by OBX-2), or free (CM in 2.1): any components.
    Varies,
    /// Withdrawn: nothing is to be sent, anything may have been.
    Withdrawn,
}

/// The data types that have no components (chapter 2A).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Primitive {
    /// ST, TX, SNM, TN and whatever else is plain text.
    Text,
    /// FT: text with formatting escapes.
    FormattedText,
    /// ID: a code of an HL7 table.
    TableCode,
    /// IS: a code of a table that the site defines.
    SiteCode,
    /// NM.
    Number,
    /// SI: a count from 0.
    Sequence,
    /// DT: `YYYY[MM[DD]]`.
    Date,
    /// TM: `HH[MM[SS[.S[S[S[S]]]]]][+/-ZZZZ]`.
    Time,
    /// DTM, and the first component of TS: `YYYY[MM[DD[HH[MM[SS[.S…]]]]]][+/-ZZZZ]`.
    DateTime,
}

/// MSH-9.3 names another structure than the event has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StructureMismatch {
    /// The structure of the event.
    pub expected: &'static str,
}

#[expect(
    clippy::indexing_slicing,
    reason = "both arrays have one element for each version; an error here fails the build"
)]
static SCHEMAS: [Schema; Version::ALL.len()] = {
    let mut schemas = [const { Schema::unread(Version::V2_1) }; Version::ALL.len()];
    let mut at = 0;
    while at < schemas.len() {
        schemas[at].version = Version::ALL[at];
        at += 1;
    }
    schemas
};

impl Schema {
    const fn unread(version: Version) -> Self {
        Self {
            version,
            structures: OnceLock::new(),
            events: OnceLock::new(),
            segments: OnceLock::new(),
            datatypes: OnceLock::new(),
            tables: OnceLock::new(),
        }
    }

    /// The tables of a version.
    #[must_use]
    #[expect(clippy::indexing_slicing, reason = "there is one schema for each version, in the order of the enum")]
    pub fn version(version: Version) -> &'static Self {
        &SCHEMAS[version as usize]
    }

    /// The version whose tables these are.
    #[must_use]
    pub const fn of(&self) -> Version {
        self.version
    }

    /// The structure of this name in this version.
    #[must_use]
    pub fn structure(&'static self, name: &str) -> Option<&'static Structure> {
        self.structures().get(name)
    }

    /// All structures of this version, in no order.
    pub fn all_structures(&'static self) -> impl Iterator<Item = &'static Structure> {
        self.structures().values()
    }

    /// The name of the structure of a message and event (MSH-9.1 and MSH-9.2, table 0354) in this version.
    ///
    /// Without an event (as 2.1 allows) it is the message's only structure, if it has only one.
    #[must_use]
    pub fn structure_name(&'static self, message: &str, event: &str) -> Option<&'static str> {
        let events = self.events.get_or_init(|| load::events(self.version));
        if let Some(name) = events.get(&(message, event)).or_else(|| events.get(&(message, "*"))) {
            return Some(name);
        }
        if event.is_empty() {
            let of_message = |name: &&'static str| name.split_once('_').is_some_and(|(of, _)| of == message);
            let mut candidates = self.structures().keys().copied().filter(of_message);
            let only = candidates.next()?;
            return candidates.next().is_none().then_some(only);
        }
        let own = format!("{message}_{event}");
        self.structures().get_key_value(own.as_str()).map(|(name, _)| *name)
    }

    /// The structure of a message and event, as a message of this version is read.
    ///
    /// Where the version does not have it, the nearest older version that does, then the nearest newer one: messages
    /// that were withdrawn (ORM^O01 after 2.6) and ones sent before their time are common.
    /// [`Structure::version`] says where it comes from.
    #[must_use]
    pub fn structure_for(version: Version, message: &str, event: &str) -> Option<&'static Structure> {
        nearest(version).find_map(|schema| schema.structure(schema.structure_name(message, event)?))
    }

    /// Whether MSH-9.3 agrees with MSH-9.1 and MSH-9.2. An empty MSH-9.3 and an event that is not known agree with
    /// anything. Many real messages carry a wrong one: it is a warning, and the event decides.
    #[must_use]
    pub fn structure_mismatch(version: Version, message: &str, event: &str, msh9_3: &str) -> Option<StructureMismatch> {
        let expected = Self::structure_for(version, message, event)?.name();
        (!msh9_3.is_empty() && msh9_3 != expected).then_some(StructureMismatch { expected })
    }

    /// The segment of this name in this version.
    #[must_use]
    pub fn segment(&'static self, name: &str) -> Option<&'static SegmentDef> {
        self.segments().get(name)
    }

    /// The segment of this name, from the nearest older version that has it, then the nearest newer one, where this
    /// one does not: see [`Schema::structure_for`].
    #[must_use]
    pub fn segment_or_nearest(&'static self, name: &str) -> Option<&'static SegmentDef> {
        nearest(self.version).find_map(|schema| schema.segment(name))
    }

    /// All segments of this version, in no order.
    pub fn all_segments(&'static self) -> impl Iterator<Item = &'static SegmentDef> {
        self.segments().values()
    }

    /// The composite data type of this name in this version; none for a primitive one.
    #[must_use]
    pub fn datatype(&'static self, name: &str) -> Option<&'static DatatypeDef> {
        self.datatypes.get_or_init(|| load::datatypes(self.version)).get(name)
    }

    /// What a data type is made of in this version. A name that is not known is plain text.
    #[must_use]
    pub fn shape(&'static self, datatype: &str) -> Shape {
        Shape::Primitive(match datatype {
            "" => return Shape::Withdrawn,
            "varies" | "CM" => return Shape::Varies,
            "ST" | "TX" => Primitive::Text,
            "FT" => Primitive::FormattedText,
            "ID" => Primitive::TableCode,
            "IS" => Primitive::SiteCode,
            "NM" => Primitive::Number,
            "SI" => Primitive::Sequence,
            "DT" => Primitive::Date,
            "TM" => Primitive::Time,
            "DTM" => Primitive::DateTime,
            _ => match self.datatype(datatype) {
                Some(composite) => return Shape::Composite(composite),
                None => Primitive::Text,
            },
        })
    }

    /// The table of this number in this version, if its codes are known (none before 2.3.1).
    #[must_use]
    pub fn table(&'static self, id: &str) -> Option<&'static TableDef> {
        self.tables.get_or_init(|| load::tables(self.version)).get(id)
    }

    /// Lines of the tables that cannot be read. There are none.
    #[must_use]
    pub fn unreadable_lines() -> Vec<&'static str> {
        load::unreadable()
    }

    fn structures(&'static self) -> &'static FxHashMap<&'static str, Structure> {
        self.structures.get_or_init(|| load::structures(self.version))
    }

    fn segments(&'static self) -> &'static FxHashMap<&'static str, SegmentDef> {
        self.segments.get_or_init(|| load::segments(self.version))
    }
}

/// The schemas from the nearest to the farthest: the version itself, the older ones back, then the newer ones on.
fn nearest(version: Version) -> impl Iterator<Item = &'static Schema> {
    let (older, newer) = SCHEMAS.split_at_checked(version as usize + 1).unwrap_or((&SCHEMAS, &[]));
    older.iter().rev().chain(newer)
}

impl SegmentDef {
    /// The field of this number, if this version has it.
    #[must_use]
    pub fn field(&self, number: u16) -> Option<&FieldDef> {
        self.fields.get(usize::from(number).checked_sub(1)?)?.as_ref()
    }

    /// The fields that this version has, in order; the withdrawn ones among them.
    pub fn fields(&self) -> impl Iterator<Item = &FieldDef> {
        self.fields.iter().flatten()
    }

    /// The number of its last field.
    #[must_use]
    pub fn last(&self) -> u16 {
        u16::try_from(self.fields.len()).unwrap_or(u16::MAX)
    }
}

impl DatatypeDef {
    /// The component of this number, if this version has it.
    #[must_use]
    pub fn component(&self, number: u16) -> Option<&ComponentDef> {
        self.components.get(usize::from(number).checked_sub(1)?)?.as_ref()
    }

    /// The components that this version has, in order; the withdrawn ones among them.
    pub fn components(&self) -> impl Iterator<Item = &ComponentDef> {
        self.components.iter().flatten()
    }
}

impl FieldDef {
    /// Whether there must be a value.
    #[must_use]
    pub const fn required(&self) -> bool {
        self.min > 0
    }

    /// Whether there may be more than one.
    #[must_use]
    pub fn repeats(&self) -> bool {
        self.max.is_none_or(|max| max > 1)
    }

    /// Whether nothing is to be sent in it any more.
    #[must_use]
    pub fn withdrawn(&self) -> bool {
        self.max == Some(0)
    }
}

impl TableDef {
    /// Whether the table has this code.
    #[must_use]
    pub fn holds(&self, code: &str) -> bool {
        self.codes.binary_search(&code).is_ok()
    }

    /// Its codes, sorted.
    #[must_use]
    pub fn codes(&self) -> &[&'static str] {
        &self.codes
    }
}
