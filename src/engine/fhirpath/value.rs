//! Values: nodes of a document, and the values of FHIRPath's own System types.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;

use crate::definitions::Kind as TypeKind;
use crate::fhir::document::Node;

use super::decimal::Decimal;
use super::temporal::{Calendar, Temporal};
use super::unit::Unit;

/// One item of a collection.
#[derive(Debug, Clone)]
pub enum Value<'d> {
    /// An element of a document.
    Node(Node<'d>),
    /// System.Boolean
    Boolean(bool),
    /// System.Integer
    Integer(i64),
    /// System.Decimal
    Decimal(Decimal),
    /// System.String
    String(Cow<'d, str>),
    /// System.Date, System.DateTime, System.Time
    Temporal(Temporal),
    /// System.Quantity
    Quantity(Quantity),
    /// What `type()` gives.
    Type(TypeInfo),
}

/// A quantity: its value and its unit.
#[derive(Debug, Clone)]
pub struct Quantity {
    /// The value.
    pub value: Decimal,
    /// The unit.
    pub unit: QuantityUnit,
}

/// A unit of UCUM, or a word of the calendar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QuantityUnit {
    /// `'mg'`
    Ucum(String),
    /// `weeks`: the word as written.
    Calendar(Calendar, String),
}

/// The type of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeInfo {
    /// `System` or `FHIR`.
    pub namespace: &'static str,
    /// `Integer`, `Patient`.
    pub name: String,
}

impl Quantity {
    /// With a unit of UCUM.
    #[must_use]
    pub fn ucum(value: Decimal, unit: &str) -> Self {
        Self { value, unit: QuantityUnit::Ucum(unit.to_owned()) }
    }

    /// The unit's factor and dimension; words of the calendar up to weeks are their UCUM units.
    fn canonical(&self) -> Option<Unit> {
        let code = match &self.unit {
            QuantityUnit::Ucum(code) => code.as_str(),
            QuantityUnit::Calendar(Calendar::Week, _) => "wk",
            QuantityUnit::Calendar(Calendar::Day, _) => "d",
            QuantityUnit::Calendar(Calendar::Hour, _) => "h",
            QuantityUnit::Calendar(Calendar::Minute, _) => "min",
            QuantityUnit::Calendar(Calendar::Second, _) => "s",
            QuantityUnit::Calendar(Calendar::Millisecond, _) => "ms",
            QuantityUnit::Calendar(Calendar::Year | Calendar::Month, _) => return None,
        };
        Unit::parse(code)
    }

    /// How many months of the calendar it is: a year has twelve, and neither is a number of days.
    fn months(&self) -> Option<Decimal> {
        match &self.unit {
            QuantityUnit::Calendar(Calendar::Year, _) => self.value.multiply(Decimal::whole(12)),
            QuantityUnit::Calendar(Calendar::Month, _) => Some(self.value),
            _ => None,
        }
    }

    fn same_unit(&self, other: &Self) -> bool {
        match (&self.unit, &other.unit) {
            (QuantityUnit::Ucum(left), QuantityUnit::Ucum(right)) => left == right,
            (QuantityUnit::Calendar(left, _), QuantityUnit::Calendar(right, _)) => left == right,
            _ => false,
        }
    }

    /// Whether both can be expressed in one unit.
    #[must_use]
    pub fn is_comparable(&self, other: &Self) -> bool {
        self.same_unit(other)
            || (self.months().is_some() && other.months().is_some())
            || matches!((self.canonical(), other.canonical()), (Some(left), Some(right)) if left.dimension == right.dimension)
    }

    /// Whether both are known to be of things that have no measure in common, as a mass and a length.
    #[must_use]
    pub fn is_of_another_dimension(&self, other: &Self) -> bool {
        matches!((self.canonical(), other.canonical()), (Some(left), Some(right)) if left.dimension != right.dimension)
    }

    /// Nothing when the units cannot be compared.
    #[must_use]
    pub fn compare(&self, other: &Self) -> Option<Ordering> {
        if self.same_unit(other) {
            return Some(self.value.cmp(&other.value));
        }
        if let (Some(left), Some(right)) = (self.months(), other.months()) {
            return Some(left.cmp(&right));
        }
        let (left, right) = (self.canonical()?, other.canonical()?);
        if left.dimension != right.dimension {
            return None;
        }
        Some(self.value.multiply(left.factor)?.cmp(&other.value.multiply(right.factor)?))
    }

    /// Equal as far as the less precise of the two tells; years and months are those of UCUM here.
    #[must_use]
    pub fn is_equivalent(&self, other: &Self) -> Option<bool> {
        let word = |quantity: &Self| match &quantity.unit {
            QuantityUnit::Calendar(Calendar::Year, _) => Unit::parse("a"),
            QuantityUnit::Calendar(Calendar::Month, _) => Unit::parse("mo"),
            _ => quantity.canonical(),
        };
        if self.same_unit(other) {
            let places = self.value.scale().min(other.value.scale());
            return Some(self.value.rounded(places) == other.value.rounded(places));
        }
        let (left, right) = (word(self)?, word(other)?);
        if left.dimension != right.dimension {
            return Some(false);
        }
        // Both in the coarser of the two units, to the places that are given there.
        let (coarse, fine, coarse_unit, fine_unit) =
            if left.factor >= right.factor { (self, other, left, right) } else { (other, self, right, left) };
        let converted = fine.value.multiply(fine_unit.factor)?.divide(coarse_unit.factor)?;
        let places = coarse.value.scale();
        Some(converted.rounded(places) == coarse.value)
    }

    /// Sum or difference, in the finer unit of the two; nothing when they cannot be expressed in one.
    #[must_use]
    pub fn sum(&self, other: &Self, minus: bool) -> Option<Self> {
        let add = |one: Decimal, two: Decimal| if minus { one.minus(two) } else { one.plus(two) };
        if self.same_unit(other) {
            return Some(Self { value: add(self.value, other.value)?, unit: self.unit.clone() });
        }
        let (left, right) = (self.canonical()?, other.canonical()?);
        if left.dimension != right.dimension {
            return None;
        }
        let (fine, unit) = if left.factor <= right.factor { (left, &self.unit) } else { (right, &other.unit) };
        let one = self.value.multiply(left.factor)?.divide(fine.factor)?;
        let two = other.value.multiply(right.factor)?.divide(fine.factor)?;
        Some(Self { value: add(one, two)?, unit: unit.clone() })
    }

    /// So many times as much, or that part of it.
    #[must_use]
    pub fn scaled(&self, factor: Decimal, divide: bool) -> Option<Self> {
        let value = if divide { self.value.divide(factor)? } else { self.value.multiply(factor)? };
        Some(Self { value, unit: self.unit.clone() })
    }

    /// Product or quotient.
    #[must_use]
    pub fn combined(&self, other: &Self, divide: bool) -> Option<Self> {
        let (left, right) = (self.canonical()?, other.canonical()?);
        let (one, two) = (self.value.multiply(left.factor)?, other.value.multiply(right.factor)?);
        let value = if divide { one.divide(two)? } else { one.multiply(two)? };
        let dimension = left.dimension.combined(right.dimension, divide);
        Some(Self::ucum(value, &dimension.code()))
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.unit {
            QuantityUnit::Ucum(code) => write!(f, "{} '{code}'", self.value),
            QuantityUnit::Calendar(_, word) => write!(f, "{} {word}", self.value),
        }
    }
}

impl<'d> Value<'d> {
    /// An integer; nothing where it does not fit into the 32 bits that it has
    /// (<http://hl7.org/fhirpath/N1/#integer>).
    pub(super) fn integer(value: impl TryInto<i32>) -> Option<Self> {
        value.try_into().ok().map(|value| Self::Integer(i64::from(value)))
    }

    pub(super) fn text(text: impl Into<Cow<'d, str>>) -> Self {
        Self::String(text.into())
    }

    /// The System value of a primitive element or a Quantity; other elements stay themselves. Nothing for a primitive
    /// without a value.
    #[must_use]
    pub fn lifted(&self) -> Option<Self> {
        let Self::Node(node) = self else { return Some(self.clone()) };
        let Some(type_id) = node.type_id() else {
            return Some(node.text().map_or(Self::Node(*node), |text| Self::String(Cow::Borrowed(text))));
        };
        let model = node.document().model();
        if model.kind(type_id) != TypeKind::Primitive {
            return Some(quantity_of(*node).map_or(Self::Node(*node), Self::Quantity));
        }
        let text = node.text()?;
        Some(match model.type_name(type_id) {
            "boolean" => Self::Boolean(text == "true"),
            "integer" | "positiveInt" | "unsignedInt" => {
                text.parse().map_or_else(|_| Self::String(Cow::Borrowed(text)), Self::Integer)
            }
            "decimal" => Decimal::parse(text).map_or_else(|| Self::String(Cow::Borrowed(text)), Self::Decimal),
            "date" => Temporal::date(text).map_or_else(|| Self::String(Cow::Borrowed(text)), Self::Temporal),
            "dateTime" | "instant" => {
                Temporal::date_time(text).map_or_else(|| Self::String(Cow::Borrowed(text)), Self::Temporal)
            }
            "time" => Temporal::time(text).map_or_else(|| Self::String(Cow::Borrowed(text)), Self::Temporal),
            _ => Self::String(Cow::Borrowed(text)),
        })
    }

    /// The name of its type: `System.Integer`, `FHIR.Patient`.
    #[must_use]
    pub fn type_info(&self) -> TypeInfo {
        let (namespace, name) = match self {
            Self::Node(node) => ("FHIR", node.type_name()),
            Self::Boolean(_) => ("System", "Boolean"),
            Self::Integer(_) => ("System", "Integer"),
            Self::Decimal(_) => ("System", "Decimal"),
            Self::String(_) => ("System", "String"),
            Self::Temporal(value) => (
                "System",
                match value.kind {
                    super::temporal::Kind::Date => "Date",
                    super::temporal::Kind::DateTime => "DateTime",
                    super::temporal::Kind::Time => "Time",
                },
            ),
            Self::Quantity(_) => ("System", "Quantity"),
            Self::Type(_) => ("System", "TypeInfo"),
        };
        TypeInfo { namespace, name: name.to_owned() }
    }

    /// The text of a System value, as `toString()` gives it.
    #[must_use]
    pub fn to_text(&self) -> Option<Cow<'d, str>> {
        Some(match self.lifted()? {
            Self::Boolean(value) => Cow::Borrowed(if value { "true" } else { "false" }),
            Self::Integer(value) => Cow::Owned(value.to_string()),
            Self::Decimal(value) => Cow::Owned(value.to_string()),
            Self::String(text) => text,
            Self::Temporal(value) => Cow::Owned(value.to_string()),
            Self::Quantity(value) => Cow::Owned(value.to_string()),
            Self::Type(info) => Cow::Owned(format!("{}.{}", info.namespace, info.name)),
            Self::Node(_) => return None,
        })
    }
}

fn quantity_of(node: Node<'_>) -> Option<Quantity> {
    let model = node.document().model();
    let quantity = model.type_named("Quantity")?;
    if !model.is_a(node.type_id()?, quantity) {
        return None;
    }
    let value = Decimal::parse(node.text_at("value")?)?;
    if node.at("comparator").is_some() {
        return None;
    }
    let code = node.text_at("code").filter(|_| node.text_at("system") == Some("http://unitsofmeasure.org"));
    let unit = code.or_else(|| node.text_at("unit")).unwrap_or("1");
    Some(Quantity::ucum(value, unit))
}

/// Equality of two values: nothing when it cannot be told.
pub(super) fn equal(left: &Value<'_>, right: &Value<'_>) -> Option<bool> {
    if let (Value::Node(one), Value::Node(two)) = (left, right)
        && one == two
    {
        return Some(true);
    }
    let (Some(one), Some(two)) = (left.lifted(), right.lifted()) else {
        let (Value::Node(one), Value::Node(two)) = (left, right) else { return Some(false) };
        return Some(same_elements(*one, *two));
    };
    Some(match (&one, &two) {
        (Value::Boolean(left), Value::Boolean(right)) => left == right,
        (Value::Integer(left), Value::Integer(right)) => left == right,
        (Value::Integer(left), Value::Decimal(right)) => Decimal::whole(*left) == *right,
        (Value::Decimal(left), Value::Integer(right)) => *left == Decimal::whole(*right),
        (Value::Decimal(left), Value::Decimal(right)) => left == right,
        (Value::String(left), Value::String(right)) => left == right,
        (Value::Temporal(left), Value::Temporal(right)) => {
            if (left.kind == super::temporal::Kind::Time) != (right.kind == super::temporal::Kind::Time) {
                false
            } else {
                return left.compare(*right).map(Ordering::is_eq);
            }
        }
        // A string that is written like a date is compared as one.
        (Value::Temporal(left), Value::String(right)) | (Value::String(right), Value::Temporal(left)) => {
            let other = Temporal::date_time(right).or_else(|| Temporal::time(right));
            match other {
                Some(other) => return left.compare(other).map(Ordering::is_eq),
                None => false,
            }
        }
        (Value::Quantity(left), Value::Quantity(right)) => {
            if left.is_comparable(right) {
                left.compare(right)? == Ordering::Equal
            } else {
                // Where a unit is not known, neither is whether they are equal.
                let is_calendar = |one: &Quantity| matches!(one.unit, QuantityUnit::Calendar(..));
                let is_other = !is_calendar(left) && !is_calendar(right) && left.is_of_another_dimension(right);
                return is_other.then_some(false);
            }
        }
        (Value::Quantity(left), Value::Integer(right)) | (Value::Integer(right), Value::Quantity(left)) => {
            left.compare(&Quantity::ucum(Decimal::whole(*right), "1"))? == Ordering::Equal
        }
        (Value::Quantity(left), Value::Decimal(right)) | (Value::Decimal(right), Value::Quantity(left)) => {
            left.compare(&Quantity::ucum(*right, "1"))? == Ordering::Equal
        }
        (Value::Type(left), Value::Type(right)) => left == right,
        (Value::Node(left), Value::Node(right)) => same_elements(*left, *right),
        _ => false,
    })
}

/// The same elements in the same order with equal values.
fn same_elements(left: Node<'_>, right: Node<'_>) -> bool {
    if left.type_id() != right.type_id() && left.type_name() != right.type_name() {
        return false;
    }
    let (mut one, mut two) = (left.children(), right.children());
    loop {
        match (one.next(), two.next()) {
            (None, None) => return left.text() == right.text(),
            (Some(left), Some(right)) => {
                if left.name() != right.name() || equal(&Value::Node(left), &Value::Node(right)) != Some(true) {
                    return false;
                }
            }
            _ => return false,
        }
    }
}

/// Equivalence of two values: always decided.
pub(super) fn equivalent(left: &Value<'_>, right: &Value<'_>) -> bool {
    let (Some(one), Some(two)) = (left.lifted(), right.lifted()) else { return equal(left, right) == Some(true) };
    let round = |left: Decimal, right: Decimal| {
        let places = left.trimmed().scale().min(right.trimmed().scale());
        left.rounded(places) == right.rounded(places)
    };
    match (&one, &two) {
        (Value::String(left), Value::String(right)) => folded(left) == folded(right),
        (Value::Decimal(left), Value::Decimal(right)) => round(*left, *right),
        (Value::Decimal(left), Value::Integer(right)) | (Value::Integer(right), Value::Decimal(left)) => {
            round(*left, Decimal::whole(*right))
        }
        (Value::Temporal(left), Value::Temporal(right)) => left.compare(*right) == Some(Ordering::Equal),
        (Value::Quantity(left), Value::Quantity(right)) => left.is_equivalent(right).unwrap_or(false),
        (Value::Node(left), Value::Node(right)) => {
            let (one, two): (Vec<_>, Vec<_>) = (left.children().collect(), right.children().collect());
            let mut used = vec![false; two.len()];
            one.len() == two.len()
                && one.iter().all(|child| {
                    let place = two.iter().zip(&used).position(|(other, used)| {
                        !used && child.name() == other.name() && equivalent(&Value::Node(*child), &Value::Node(*other))
                    });
                    place.and_then(|place| used.get_mut(place)).map(|used| *used = true).is_some()
                })
        }
        _ => equal(left, right) == Some(true),
    }
}

/// Case and runs of white space do not count.
fn folded(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

/// Something that equal values share, for sets: nothing when only comparing tells.
pub(super) fn key(value: &Value<'_>) -> Option<String> {
    match value.lifted()? {
        Value::String(text) => Some(format!("s{text}")),
        Value::Boolean(value) => Some(format!("b{value}")),
        Value::Integer(value) => Some(format!("n{value}")),
        Value::Decimal(value) => Some(format!("n{}", value.trimmed())),
        _ => None,
    }
}
