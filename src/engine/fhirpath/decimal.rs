//! Decimals as FHIRPath has them: exact, and knowing their scale (`1.10` has two places).

use std::cmp::Ordering;
use std::fmt;

/// A decimal: `mantissa` × 10^-`scale`. Up to 38 digits.
#[derive(Debug, Clone, Copy)]
pub struct Decimal {
    mantissa: i128,
    scale: u32,
}

/// Places kept by a division.
const DIVISION: u32 = 18;

fn power(exponent: u32) -> Option<i128> {
    10_i128.checked_pow(exponent)
}

impl Decimal {
    /// A whole number.
    #[must_use]
    pub const fn whole(value: i64) -> Self {
        Self { mantissa: value as i128, scale: 0 }
    }

    pub(super) const fn of(mantissa: i128, scale: u32) -> Self {
        Self { mantissa, scale }
    }

    /// Reads a decimal of FHIR: with sign, fraction and exponent.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (text, exponent) = match text.split_once(['e', 'E']) {
            Some((text, exponent)) => (text, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if whole.is_empty() || (digits.contains('.') && fraction.is_empty()) {
            return None;
        }
        let mut mantissa = 0_i128;
        for digit in whole.bytes().chain(fraction.bytes()) {
            if !digit.is_ascii_digit() {
                return None;
            }
            mantissa = mantissa.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
        }
        if negative {
            mantissa = -mantissa;
        }
        let scale = i32::try_from(fraction.len()).ok()?.checked_sub(exponent)?;
        if scale >= 0 {
            (scale <= 38).then_some(Self { mantissa, scale: scale.unsigned_abs() })
        } else {
            Some(Self { mantissa: mantissa.checked_mul(power(scale.unsigned_abs())?)?, scale: 0 })
        }
    }

    fn rescaled(self, scale: u32) -> Option<i128> {
        self.mantissa.checked_mul(power(scale.checked_sub(self.scale)?)?)
    }

    fn aligned(self, other: Self) -> Option<(i128, i128, u32)> {
        let scale = self.scale.max(other.scale);
        Some((self.rescaled(scale)?, other.rescaled(scale)?, scale))
    }

    /// Without the zeros at its end.
    #[must_use]
    pub fn trimmed(mut self) -> Self {
        while self.scale > 0 && self.mantissa % 10 == 0 {
            self.mantissa /= 10;
            self.scale -= 1;
        }
        self
    }

    /// The number of places after the point.
    #[must_use]
    pub fn scale(self) -> u32 {
        self.scale
    }

    /// The number of its digits that are given.
    #[must_use]
    pub fn digits(self) -> u32 {
        let digits = self.mantissa.unsigned_abs().checked_ilog10().map_or(1, |log| log + 1);
        digits.max(self.scale)
    }

    /// Whether it is below zero.
    #[must_use]
    pub fn is_negative(self) -> bool {
        self.mantissa < 0
    }

    /// Whether it is zero.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self.mantissa == 0
    }

    /// Sum; nothing on overflow.
    #[must_use]
    pub fn plus(self, other: Self) -> Option<Self> {
        let (left, right, scale) = self.aligned(other)?;
        Some(Self { mantissa: left.checked_add(right)?, scale })
    }

    /// Difference; nothing on overflow.
    #[must_use]
    pub fn minus(self, other: Self) -> Option<Self> {
        self.plus(other.negated())
    }

    /// Product; nothing on overflow.
    #[must_use]
    pub fn multiply(self, other: Self) -> Option<Self> {
        let (left, right) = (self.trimmed(), other.trimmed());
        Some(Self { mantissa: left.mantissa.checked_mul(right.mantissa)?, scale: left.scale + right.scale })
    }

    /// Quotient to 18 places; nothing on a division by zero or overflow.
    #[must_use]
    pub fn divide(self, other: Self) -> Option<Self> {
        if other.mantissa == 0 {
            return None;
        }
        let (left, right) = (self.trimmed(), other.trimmed());
        let mut shift = DIVISION + right.scale;
        loop {
            if let Some(numerator) = power(shift).and_then(|power| left.mantissa.checked_mul(power)) {
                let scale = left.scale + shift - right.scale;
                return Some(Self { mantissa: numerator / right.mantissa, scale }.trimmed());
            }
            shift = shift.checked_sub(1).filter(|shift| *shift >= right.scale)?;
        }
    }

    /// Whole quotient, towards zero.
    #[must_use]
    pub fn quotient(self, other: Self) -> Option<i128> {
        let (left, right, _) = self.aligned(other)?;
        left.checked_div(right)
    }

    /// Remainder of the whole quotient.
    #[must_use]
    pub fn remainder(self, other: Self) -> Option<Self> {
        let (left, right, scale) = self.aligned(other)?;
        Some(Self { mantissa: left.checked_rem(right)?, scale })
    }

    /// With the other sign.
    #[must_use]
    pub fn negated(self) -> Self {
        Self { mantissa: -self.mantissa, scale: self.scale }
    }

    /// Towards zero.
    #[must_use]
    pub fn truncated(self) -> i128 {
        power(self.scale).map_or(0, |power| self.mantissa / power)
    }

    /// Downwards.
    #[must_use]
    pub fn floor(self) -> i128 {
        power(self.scale).map_or(0, |power| self.mantissa.div_euclid(power))
    }

    /// Upwards.
    #[must_use]
    pub fn ceiling(self) -> i128 {
        -self.negated().floor()
    }

    /// Rounded half away from zero to a number of places.
    #[must_use]
    pub fn rounded(self, places: u32) -> Self {
        if self.scale <= places {
            return self;
        }
        let Some(unit) = power(self.scale - places) else { return Self { mantissa: 0, scale: places } };
        let half = unit / 2;
        let shifted = if self.mantissa < 0 { self.mantissa - half } else { self.mantissa + half };
        Self { mantissa: shifted / unit, scale: places }
    }

    /// Cut to a number of places, downwards or upwards.
    pub(super) fn bounded(self, places: u32, up: bool) -> Option<Self> {
        if self.scale <= places {
            return Some(Self { mantissa: self.rescaled(places)?, scale: places });
        }
        let unit = power(self.scale - places)?;
        let down = self.mantissa.div_euclid(unit);
        let is_exact = self.mantissa % unit == 0;
        Some(Self { mantissa: if up && !is_exact { down + 1 } else { down }, scale: places })
    }

    /// Half a unit of its last place.
    pub(super) fn half_step(self) -> Self {
        Self { mantissa: 5, scale: self.scale + 1 }
    }

    /// As a float, for functions that are not exact anyway.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "for square roots, logarithms and powers, which are not exact")]
    pub fn to_float(self) -> f64 {
        self.to_string().parse().unwrap_or(self.mantissa as f64)
    }

    /// From a float; nothing when it is no number.
    #[must_use]
    pub fn from_float(value: f64) -> Option<Self> {
        if !value.is_finite() {
            return None;
        }
        Self::parse(&format!("{value:.15}")).map(Self::trimmed)
    }

    /// As a whole number, if it is one.
    #[must_use]
    pub fn as_integer(self) -> Option<i64> {
        let trimmed = self.trimmed();
        (trimmed.scale == 0).then(|| i64::try_from(trimmed.mantissa).ok()).flatten()
    }
}

impl PartialEq for Decimal {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Decimal {}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        match self.aligned(*other) {
            Some((left, right, _)) => left.cmp(&right),
            None => self.to_float().total_cmp(&other.to_float()),
        }
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.scale == 0 {
            return write!(f, "{}", self.mantissa);
        }
        let digits = format!("{:0width$}", self.mantissa.unsigned_abs(), width = self.scale as usize + 1);
        let (whole, fraction) = digits.split_at(digits.len() - self.scale as usize);
        write!(f, "{}{whole}.{fraction}", if self.mantissa < 0 { "-" } else { "" })
    }
}
