//! Units of UCUM as far as they are converted: time, mass, length, and what is made of them.

use super::decimal::Decimal;

/// The powers of metre, gram and second of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Dimension {
    metre: i8,
    gram: i8,
    second: i8,
}

/// A unit: how many of its base units it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unit {
    pub(super) factor: Decimal,
    pub(super) dimension: Dimension,
}

const PREFIXES: [(&str, u32, bool); 8] = [
    ("k", 3, true),
    ("M", 6, true),
    ("h", 2, true),
    ("d", 1, false),
    ("c", 2, false),
    ("m", 3, false),
    ("u", 6, false),
    ("n", 9, false),
];

const METRE: Dimension = Dimension { metre: 1, gram: 0, second: 0 };
const GRAM: Dimension = Dimension { metre: 0, gram: 1, second: 0 };
const SECOND: Dimension = Dimension { metre: 0, gram: 0, second: 1 };
const LITRE: Dimension = Dimension { metre: 3, gram: 0, second: 0 };

fn metric(atom: &str) -> Option<Unit> {
    let (factor, dimension) = match atom {
        "m" => (Decimal::whole(1), METRE),
        "g" => (Decimal::whole(1), GRAM),
        "s" => (Decimal::whole(1), SECOND),
        "l" | "L" => (Decimal::of(1, 3), LITRE),
        "t" => (Decimal::whole(1_000_000), GRAM),
        _ => return None,
    };
    Some(Unit { factor, dimension })
}

fn plain(atom: &str) -> Option<Unit> {
    let (factor, dimension) = match atom {
        "1" => (Decimal::whole(1), Dimension::default()),
        "%" => (Decimal::of(1, 2), Dimension::default()),
        "min" => (Decimal::whole(60), SECOND),
        "h" => (Decimal::whole(3600), SECOND),
        "d" => (Decimal::whole(86_400), SECOND),
        "wk" => (Decimal::whole(604_800), SECOND),
        "mo" => (Decimal::whole(2_629_800), SECOND),
        "a" => (Decimal::whole(31_557_600), SECOND),
        "[in_i]" => (Decimal::of(254, 4), METRE),
        "[ft_i]" => (Decimal::of(3048, 4), METRE),
        "[yd_i]" => (Decimal::of(9144, 4), METRE),
        "[mi_i]" => (Decimal::of(1_609_344, 3), METRE),
        "[lb_av]" => (Decimal::of(45_359_237, 5), GRAM),
        "[oz_av]" => (Decimal::of(28_349_523_125, 9), GRAM),
        "[gr]" => (Decimal::of(6_479_891, 8), GRAM),
        _ => return None,
    };
    Some(Unit { factor, dimension })
}

fn atom(text: &str) -> Option<Unit> {
    if let Some(unit) = metric(text).or_else(|| plain(text)) {
        return Some(unit);
    }
    PREFIXES.iter().find_map(|(prefix, power, up)| {
        let unit = metric(text.strip_prefix(prefix)?)?;
        let scale = if *up { Decimal::whole(10_i64.checked_pow(*power)?) } else { Decimal::of(1, *power) };
        Some(Unit { factor: unit.factor.multiply(scale)?, ..unit })
    })
}

impl Unit {
    /// Reads a unit; nothing when it has atoms that are not converted here.
    pub(super) fn parse(code: &str) -> Option<Self> {
        let mut unit = Self { factor: Decimal::whole(1), dimension: Dimension::default() };
        if code.is_empty() {
            return None;
        }
        let mut divide = false;
        let mut rest = code;
        loop {
            let end = rest.find(['.', '/']).filter(|_| !rest.starts_with('[')).unwrap_or_else(|| {
                let after = rest.find(']').unwrap_or(0);
                rest.get(after..).and_then(|tail| tail.find(['.', '/'])).map_or(rest.len(), |at| after + at)
            });
            let term = rest.get(..end)?;
            unit = unit.times(term, divide)?;
            match rest.get(end..)?.chars().next() {
                None => return Some(unit),
                Some(mark) => divide = mark == '/',
            }
            rest = rest.get(end + 1..)?;
        }
    }

    fn times(self, term: &str, divide: bool) -> Option<Self> {
        let digits = term.bytes().rev().take_while(u8::is_ascii_digit).count();
        let (name, exponent) = if digits > 0 && digits < term.len() {
            let (name, exponent) = term.split_at_checked(term.len() - digits)?;
            match name.strip_suffix('-') {
                Some(name) => (name, -exponent.parse::<i8>().ok()?),
                None => (name, exponent.parse::<i8>().ok()?),
            }
        } else {
            (term, 1)
        };
        let unit = atom(name)?;
        let exponent = if divide { -exponent } else { exponent };
        let mut factor = self.factor;
        for _ in 0..exponent.unsigned_abs() {
            factor = if exponent > 0 { factor.multiply(unit.factor)? } else { factor.divide(unit.factor)? };
        }
        let dimension = Dimension {
            metre: self.dimension.metre.checked_add(unit.dimension.metre.checked_mul(exponent)?)?,
            gram: self.dimension.gram.checked_add(unit.dimension.gram.checked_mul(exponent)?)?,
            second: self.dimension.second.checked_add(unit.dimension.second.checked_mul(exponent)?)?,
        };
        Some(Self { factor, dimension })
    }
}

impl Dimension {
    pub(super) fn combined(self, other: Self, divide: bool) -> Self {
        let sign = if divide { -1 } else { 1 };
        Self {
            metre: self.metre + sign * other.metre,
            gram: self.gram + sign * other.gram,
            second: self.second + sign * other.second,
        }
    }

    /// The code of the base unit: `m2`, `g.m-1`, `1`.
    pub(super) fn code(self) -> String {
        let mut parts = Vec::new();
        for (name, power) in [("g", self.gram), ("m", self.metre), ("s", self.second)] {
            match power {
                0 => {}
                1 => parts.push(name.to_owned()),
                _ => parts.push(format!("{name}{power}")),
            }
        }
        if parts.is_empty() { "1".to_owned() } else { parts.join(".") }
    }
}
