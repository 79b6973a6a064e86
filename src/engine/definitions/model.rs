//! Types and elements of one FHIR version, looked up by small numbers.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use rustc_hash::FxHashMap;

use super::format::{Container, FormatError, Section, u32_at};
use super::names::NameTable;
use super::tables::{ChoiceRecord, ConstraintRecord, ElementRecord, NO_TYPE, NONE, TypeRecord, UNBOUNDED, flag};

/// An element name as written (`valueQuantity`, `status`). [`Symbol::UNKNOWN`] stands for every name the model lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Symbol(pub(crate) u16);

impl Symbol {
    /// A name that no type of the model has.
    pub const UNKNOWN: Self = Self(0);
}

/// A type of the model: `CarePlan`, `string`, or the anonymous type of an element with children (`CarePlan.activity`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TypeId(pub(crate) u16);

/// An element of a type; elements of one type are numbered in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ElementId(pub(crate) u32);

/// What sort of type it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A value with a lexical form.
    Primitive,
    /// A datatype with elements.
    Complex,
    /// A resource.
    Resource,
    /// The type of an element that has its children in place.
    Nested,
}

/// How strictly a value set binds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strength {
    /// A code outside is an error.
    Required,
    /// A code outside is allowed where none inside fits.
    Extensible,
    /// Recommended.
    Preferred,
    /// An illustration.
    Example,
}

/// One version of FHIR: its types, elements, names and terminology. Immutable and shared.
pub struct Model {
    pub(super) bytes: Cow<'static, [u8]>,
    pub(super) strings: Vec<u32>,
    /// The text of every string, one after the other.
    text: Cow<'static, str>,
    types: Vec<TypeRecord>,
    elements: Vec<ElementRecord>,
    choices: Vec<ChoiceRecord>,
    symbols: Vec<Box<str>>,
    by_name: NameTable,
    children: ChildTable,
    /// The required elements of each type.
    required: Vec<Box<[ElementId]>>,
    names: FxHashMap<Box<str>, TypeId>,
    /// How JSON writes the values of each type.
    json: Vec<JsonForm>,
    /// The name that says which resource an object is.
    pub(crate) resource_type: Symbol,
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Model({}, {} types)", self.fhir_version(), self.types.len())
    }
}

/// What an element name means below a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resolved {
    /// The element.
    pub element: ElementId,
    /// The type of its value under this name.
    pub type_id: TypeId,
}

/// Open addressing from (type, symbol) to (element, type).
struct ChildTable {
    slots: Vec<(u32, u32, u16)>,
    mask: usize,
}

fn child_key(of: TypeId, symbol: Symbol) -> u32 {
    u32::from(of.0) << 16 | u32::from(symbol.0)
}

fn child_hash(key: u32) -> usize {
    (key.wrapping_mul(0x9E37_79B1) >> 12) as usize
}

/// How JSON writes a primitive (R4, JSON representation).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JsonForm {
    String,
    Boolean,
    Number,
}

impl JsonForm {
    fn of(type_name: &str) -> Self {
        match type_name {
            "boolean" => Self::Boolean,
            "integer" | "decimal" | "positiveInt" | "unsignedInt" => Self::Number,
            _ => Self::String,
        }
    }
}

static R4: LazyLock<Arc<Model>> = LazyLock::new(|| {
    let bytes: &'static [u8] = include_bytes!(concat!(env!("OUT_DIR"), "/core.bin"));
    // The build script has checked the header and a test reads every record: only a program built without its core
    // (to make that core) comes here with nothing.
    Arc::new(Model::from_bytes(Cow::Borrowed(bytes)).unwrap_or_else(|_| Model::empty()))
});

impl Model {
    /// FHIR R4 4.0.1, compiled into the program.
    #[must_use]
    pub fn r4() -> &'static Arc<Self> {
        &R4
    }

    /// Reads compiled definitions.
    ///
    /// # Errors
    /// When the bytes are of another format or damaged.
    pub fn from_bytes(bytes: impl Into<Cow<'static, [u8]>>) -> Result<Self, FormatError> {
        let bytes: Cow<'static, [u8]> = bytes.into();
        let container = Container::open(&bytes)?;
        let section = container.section(Section::Strings)?;
        let count = u32_at(section, 0).ok_or(FormatError::Damaged)? as usize;
        let mut strings = Vec::with_capacity(count + 1);
        for index in 0..=count {
            strings.push(u32_at(section, 4 + index * 4).ok_or(FormatError::Damaged)?);
        }
        let base = section.as_ptr().addr() - bytes.as_ptr().addr();
        let range = base + 4 + (count + 1) * 4..base + section.len();
        // Read as text once, so that names need not be checked each time they are looked at.
        let text = match &bytes {
            Cow::Borrowed(bytes) => std::str::from_utf8(bytes.get(range).unwrap_or_default()).map(Cow::Borrowed),
            Cow::Owned(bytes) => {
                std::str::from_utf8(bytes.get(range).unwrap_or_default()).map(|text| Cow::Owned(text.to_owned()))
            }
        };
        let text = text.map_err(|_| FormatError::Damaged)?;
        let types = read_all(container.section(Section::Types)?, TypeRecord::SIZE, TypeRecord::read)?;
        let elements = read_all(container.section(Section::Elements)?, ElementRecord::SIZE, ElementRecord::read)?;
        let choices = read_all(container.section(Section::ElementTypes)?, ChoiceRecord::SIZE, ChoiceRecord::read)?;
        let symbols = read_all(container.section(Section::Symbols)?, 4, |bytes, index| u32_at(bytes, index * 4))?;
        let mut model = Self {
            bytes,
            strings,
            text,
            types,
            elements,
            choices,
            symbols: Vec::new(),
            by_name: NameTable::default(),
            children: ChildTable { slots: Vec::new(), mask: 0 },
            required: Vec::new(),
            names: FxHashMap::default(),
            json: Vec::new(),
            resource_type: Symbol::UNKNOWN,
        };
        model.symbols = symbols.into_iter().map(|string| Box::from(model.string(string))).collect();
        model.index()?;
        Ok(model)
    }

    fn empty() -> Self {
        Self {
            bytes: Cow::Borrowed(&[]),
            strings: vec![0],
            text: Cow::Borrowed(""),
            types: Vec::new(),
            elements: Vec::new(),
            choices: Vec::new(),
            symbols: Vec::new(),
            by_name: NameTable::default(),
            children: ChildTable { slots: vec![(NONE, NONE, NO_TYPE)], mask: 0 },
            required: Vec::new(),
            names: FxHashMap::default(),
            json: Vec::new(),
            resource_type: Symbol::UNKNOWN,
        }
    }

    fn index(&mut self) -> Result<(), FormatError> {
        self.by_name = NameTable::of(&self.symbols).ok_or(FormatError::Damaged)?;

        let size = (self.choices.len() * 2).next_power_of_two().max(16);
        let mut slots = vec![(NONE, NONE, NO_TYPE); size];
        for (index, element) in self.elements.iter().enumerate() {
            let first = element.first_type as usize;
            for choice in self.choices.get(first..first + usize::from(element.types)).ok_or(FormatError::Damaged)? {
                let key = child_key(TypeId(element.owner), Symbol(choice.symbol));
                let mut at = child_hash(key) & (size - 1);
                while slots.get(at).is_some_and(|held| held.0 != NONE && held.0 != key) {
                    at = (at + 1) & (size - 1);
                }
                if let Some(slot) = slots.get_mut(at) {
                    *slot = (key, super::format::count(index), choice.type_id);
                }
            }
        }
        self.children = ChildTable { slots, mask: size - 1 };
        let needed = |id: &ElementId| self.elements.get(id.0 as usize).is_some_and(|element| element.min > 0);
        let of_type = self.types.iter().map(|record| record.first_element..record.first_element + record.elements);
        self.required = of_type.map(|elements| elements.map(ElementId).filter(needed).collect()).collect();
        self.names = self
            .types
            .iter()
            .zip(0_u16..)
            .map(|(record, id)| (Box::from(self.string(record.name)), TypeId(id)))
            .collect();
        self.json = self.types.iter().map(|record| JsonForm::of(self.string(record.name))).collect();
        self.resource_type = self.symbol("resourceType");
        Ok(())
    }

    /// A string of the table; empty for none.
    pub(super) fn string(&self, id: u32) -> &str {
        let index = id as usize;
        let (Some(start), Some(end)) = (self.strings.get(index), self.strings.get(index.wrapping_add(1))) else {
            return "";
        };
        self.text.get(*start as usize..*end as usize).unwrap_or("")
    }

    pub(super) fn section(&self, section: Section) -> &[u8] {
        Container::open(&self.bytes).and_then(|container| container.section(section)).unwrap_or_default()
    }

    /// The SHA-256 of the package the model was compiled from.
    #[must_use]
    pub fn source_digest(&self) -> &[u8] {
        Container::open(&self.bytes).map(|container| container.digest()).unwrap_or_default()
    }

    /// `4.0.1`.
    #[must_use]
    pub fn fhir_version(&self) -> &str {
        u32_at(self.section(Section::Facts), 0).map_or("", |string| self.string(string))
    }

    /// The symbol of an element name as written; [`Symbol::UNKNOWN`] when no type has it.
    #[must_use]
    pub fn symbol(&self, name: &str) -> Symbol {
        self.symbol_of(name.as_bytes())
    }

    pub(crate) fn symbol_of(&self, name: &[u8]) -> Symbol {
        Symbol(self.by_name.find(name, &self.symbols))
    }

    /// The name of a symbol; empty for [`Symbol::UNKNOWN`].
    #[must_use]
    pub fn name(&self, symbol: Symbol) -> &str {
        let Some(index) = usize::from(symbol.0).checked_sub(1) else { return "" };
        self.symbols.get(index).map_or("", |name| name)
    }

    /// The type of this name: `CarePlan`, `string`, `CarePlan.activity`.
    #[must_use]
    pub fn type_named(&self, name: &str) -> Option<TypeId> {
        self.names.get(name).copied()
    }

    /// The name of a type.
    #[must_use]
    pub fn type_name(&self, id: TypeId) -> &str {
        self.types.get(usize::from(id.0)).map_or("", |record| self.string(record.name))
    }

    /// The canonical of a type's definition; empty for nested ones.
    #[must_use]
    pub fn type_url(&self, id: TypeId) -> &str {
        self.types.get(usize::from(id.0)).map_or("", |record| self.string(record.url))
    }

    /// How JSON writes its values.
    pub(crate) fn json_form(&self, id: TypeId) -> JsonForm {
        self.json.get(usize::from(id.0)).copied().unwrap_or(JsonForm::String)
    }

    /// Whether JSON writes an element as an array.
    pub(crate) fn is_array(&self, id: ElementId) -> bool {
        self.elements.get(id.0 as usize).is_some_and(|record| record.flags & flag::ARRAY != 0)
    }

    /// What sort of type it is.
    #[must_use]
    pub fn kind(&self, id: TypeId) -> Kind {
        match self.types.get(usize::from(id.0)).map_or(3, |record| record.kind & 3) {
            0 => Kind::Primitive,
            1 => Kind::Complex,
            2 => Kind::Resource,
            _ => Kind::Nested,
        }
    }

    /// Whether no instance has exactly this type.
    #[must_use]
    pub fn is_abstract(&self, id: TypeId) -> bool {
        self.types.get(usize::from(id.0)).is_some_and(|record| record.kind & 4 != 0)
    }

    /// The type it specialises.
    #[must_use]
    pub fn base(&self, id: TypeId) -> Option<TypeId> {
        self.types.get(usize::from(id.0)).map(|record| record.base).filter(|base| *base != NO_TYPE).map(TypeId)
    }

    /// Whether `id` is `ancestor` or specialises it.
    #[must_use]
    pub fn is_a(&self, id: TypeId, ancestor: TypeId) -> bool {
        let mut at = Some(id);
        while let Some(current) = at {
            if current == ancestor {
                return true;
            }
            at = self.base(current);
        }
        false
    }

    /// All types, nested ones too.
    pub fn types(&self) -> impl Iterator<Item = TypeId> {
        (0..self.types.len()).filter_map(|index| u16::try_from(index).ok()).map(TypeId)
    }

    /// What a name means below a type: `valueQuantity` gives the element `value[x]` and the type Quantity.
    #[must_use]
    pub fn child(&self, of: TypeId, name: Symbol) -> Option<Resolved> {
        let key = child_key(of, name);
        let mut at = child_hash(key) & self.children.mask;
        loop {
            let (held, element, type_id) = self.children.slots.get(at).copied()?;
            if held == key {
                return Some(Resolved { element: ElementId(element), type_id: TypeId(type_id) });
            }
            if held == NONE {
                return None;
            }
            at = (at + 1) & self.children.mask;
        }
    }

    /// What a logical name means below a type: `value` gives `value[x]` with each of its types.
    #[must_use]
    pub fn element_named(&self, of: TypeId, name: &str) -> Option<Element<'_>> {
        self.elements(of).find(|element| element.name() == name)
    }

    /// An element.
    #[must_use]
    pub fn element(&self, id: ElementId) -> Element<'_> {
        Element { model: self, id, record: self.elements.get(id.0 as usize).copied().unwrap_or_default() }
    }

    /// The elements of a type, in its order, inherited ones included.
    pub fn elements(&self, of: TypeId) -> impl Iterator<Item = Element<'_>> {
        let (first, count) =
            self.types.get(usize::from(of.0)).map_or((0, 0), |record| (record.first_element, record.elements));
        (first..first + count).map(|id| self.element(ElementId(id)))
    }

    /// The elements of a type that must be there, in its order, inherited ones included.
    pub fn required(&self, of: TypeId) -> impl Iterator<Item = Element<'_>> {
        self.required.get(usize::from(of.0)).into_iter().flatten().map(|id| self.element(*id))
    }

    /// The constraints on a type as a whole.
    pub fn type_constraints(&self, of: TypeId) -> impl Iterator<Item = Constraint<'_>> {
        let (first, count) =
            self.types.get(usize::from(of.0)).map_or((0, 0), |record| (record.first_constraint, record.constraints));
        self.constraints(first, count)
    }

    fn constraints(&self, first: u32, count: u32) -> impl Iterator<Item = Constraint<'_>> {
        let uses = self.section(Section::ConstraintUses);
        let table = self.section(Section::Constraints);
        (first..first.saturating_add(count)).filter_map(move |at| {
            let index = u32_at(uses, at as usize * 4)?;
            let record = ConstraintRecord::read(table, index as usize)?;
            Some(Constraint {
                key: self.string(record.key),
                expression: self.string(record.expression),
                is_error: record.severity == 0,
            })
        })
    }

    fn canonicals(&self, first: u32, count: u32) -> impl Iterator<Item = &str> {
        self.listed_in(Section::Canonicals, first, count)
    }

    /// A run of strings in a section that is a list of them.
    pub(super) fn listed_in(&self, section: Section, first: u32, count: u32) -> impl Iterator<Item = &str> {
        let list = self.section(section);
        (first..first.saturating_add(count))
            .filter_map(move |at| u32_at(list, at as usize * 4))
            .map(|string| self.string(string))
    }
}

fn read_all<T>(section: &[u8], size: usize, read: impl Fn(&[u8], usize) -> Option<T>) -> Result<Vec<T>, FormatError> {
    (0..section.len() / size).map(|index| read(section, index).ok_or(FormatError::Damaged)).collect()
}

/// A constraint of the specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Constraint<'m> {
    /// `dom-3`.
    pub key: &'m str,
    /// Its FHIRPath.
    pub expression: &'m str,
    /// Severity error, otherwise warning.
    pub is_error: bool,
}

/// A type that an element may have.
#[derive(Debug, Clone, Copy)]
pub struct TypeChoice<'m> {
    model: &'m Model,
    record: ChoiceRecord,
}

impl<'m> TypeChoice<'m> {
    /// The type.
    #[must_use]
    pub fn type_id(&self) -> TypeId {
        TypeId(self.record.type_id)
    }

    /// The name the element is written by when it has this type.
    #[must_use]
    pub fn symbol(&self) -> Symbol {
        Symbol(self.record.symbol)
    }

    /// For references: the profiles one of which the target must conform to. None: any.
    pub fn targets(&self) -> impl Iterator<Item = &'m str> + use<'m> {
        self.model.canonicals(self.record.first_target, self.record.targets)
    }

    /// The profiles one of which the value must conform to.
    pub fn profiles(&self) -> impl Iterator<Item = &'m str> + use<'m> {
        self.model.canonicals(self.record.first_target + self.record.targets, self.record.profiles)
    }
}

/// An element of a type.
#[derive(Debug, Clone, Copy)]
pub struct Element<'m> {
    model: &'m Model,
    id: ElementId,
    record: ElementRecord,
}

impl<'m> Element<'m> {
    pub(super) fn model(&self) -> &'m Model {
        self.model
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> ElementId {
        self.id
    }

    /// `Observation.value[x]`.
    #[must_use]
    pub fn path(&self) -> &'m str {
        self.model.string(self.record.path)
    }

    /// Its logical name, without `[x]`.
    #[must_use]
    pub fn name(&self) -> &'m str {
        self.model.name(Symbol(self.record.symbol))
    }

    /// The symbol of its logical name.
    #[must_use]
    pub fn symbol(&self) -> Symbol {
        Symbol(self.record.symbol)
    }

    /// The type that has it.
    #[must_use]
    pub fn owner(&self) -> TypeId {
        TypeId(self.record.owner)
    }

    /// Its place among the elements of its type.
    #[must_use]
    pub fn order(&self) -> u32 {
        let first = self.model.types.get(usize::from(self.record.owner)).map_or(0, |owner| owner.first_element);
        self.id.0.saturating_sub(first)
    }

    /// Least number of repetitions.
    #[must_use]
    pub fn min(&self) -> u16 {
        self.record.min
    }

    /// Greatest number of repetitions; none: no limit.
    #[must_use]
    pub fn max(&self) -> Option<u16> {
        (self.record.max != UNBOUNDED).then_some(self.record.max)
    }

    /// Whether JSON writes it as an array.
    #[must_use]
    pub fn is_array(&self) -> bool {
        self.record.flags & flag::ARRAY != 0
    }

    /// Whether it is a choice of types (`value[x]`).
    #[must_use]
    pub fn is_choice(&self) -> bool {
        self.record.flags & flag::CHOICE != 0
    }

    /// Whether it changes the meaning of what holds it.
    #[must_use]
    pub fn is_modifier(&self) -> bool {
        self.record.flags & flag::MODIFIER != 0
    }

    /// Whether it is part of a summary.
    #[must_use]
    pub fn is_summary(&self) -> bool {
        self.record.flags & flag::SUMMARY != 0
    }

    /// Whether XML writes it as an attribute.
    #[must_use]
    pub fn is_attribute(&self) -> bool {
        self.record.flags & flag::ATTRIBUTE != 0
    }

    /// The types it may have.
    pub fn types(&self) -> impl Iterator<Item = TypeChoice<'m>> + use<'m> {
        let model = self.model;
        let first = self.record.first_type as usize;
        model
            .choices
            .get(first..first + usize::from(self.record.types))
            .unwrap_or_default()
            .iter()
            .map(move |record| TypeChoice { model, record: *record })
    }

    /// The value set its codes are bound to.
    #[must_use]
    pub fn binding(&self) -> Option<(Strength, &'m str)> {
        let strength = match self.record.strength {
            1 => Strength::Required,
            2 => Strength::Extensible,
            3 => Strength::Preferred,
            4 => Strength::Example,
            _ => return None,
        };
        Some((strength, self.model.string(self.record.binding)))
    }

    /// The value set that none of its codes may be outside of, however weakly it is bound to another.
    #[must_use]
    pub fn maximum(&self) -> Option<&'m str> {
        (self.record.maximum != NONE).then(|| self.model.string(self.record.maximum))
    }

    /// The constraints on it.
    pub fn constraints(&self) -> impl Iterator<Item = Constraint<'m>> + use<'m> {
        self.model.constraints(self.record.first_constraint, u32::from(self.record.constraints))
    }
}
