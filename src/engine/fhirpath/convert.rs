//! Conversions, mathematics, boundaries and precision.

use super::EvalError;
use super::decimal::Decimal;
use super::function::Function;
use super::temporal::{Calendar, Kind, Temporal};
use super::value::{Quantity, QuantityUnit, Value};

fn boolean(value: &Value<'_>) -> Option<bool> {
    match value {
        Value::Boolean(value) => Some(*value),
        Value::Integer(1) => Some(true),
        Value::Integer(0) => Some(false),
        Value::Decimal(value) if *value == Decimal::whole(1) => Some(true),
        Value::Decimal(value) if value.is_zero() => Some(false),
        Value::String(text) => match text.to_ascii_lowercase().as_str() {
            "true" | "t" | "yes" | "y" | "1" | "1.0" => Some(true),
            "false" | "f" | "no" | "n" | "0" | "0.0" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

fn integer(value: &Value<'_>) -> Option<i64> {
    match value {
        Value::Integer(value) => Some(*value),
        Value::Boolean(value) => Some(i64::from(*value)),
        Value::String(text) => text.parse::<i32>().ok().map(i64::from),
        _ => None,
    }
}

fn decimal(value: &Value<'_>) -> Option<Decimal> {
    match value {
        Value::Decimal(value) => Some(*value),
        Value::Integer(value) => Some(Decimal::whole(*value)),
        Value::Boolean(value) => Some(Decimal::whole(i64::from(*value))),
        // Without an exponent (<http://hl7.org/fhirpath/N1/#todecimal-decimal>).
        Value::String(text) if !text.contains(['e', 'E']) => Decimal::parse(text),
        _ => None,
    }
}

fn quantity(value: &Value<'_>) -> Option<Quantity> {
    match value {
        Value::Quantity(value) => Some(value.clone()),
        Value::Integer(_) | Value::Decimal(_) | Value::Boolean(_) => Some(Quantity::ucum(decimal(value)?, "1")),
        Value::String(text) => {
            let text = text.trim();
            let (number, unit) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
            let value = Decimal::parse(number)?;
            let unit = unit.trim();
            if unit.is_empty() {
                return Some(Quantity::ucum(value, "1"));
            }
            if let Some(code) = unit.strip_prefix('\'').and_then(|unit| unit.strip_suffix('\'')) {
                return Some(Quantity::ucum(value, code));
            }
            Calendar::named(unit).map(|word| Quantity { value, unit: QuantityUnit::Calendar(word, unit.to_owned()) })
        }
        _ => None,
    }
}

fn date(value: &Value<'_>) -> Option<Temporal> {
    match value {
        Value::Temporal(value) => value.to_date(),
        Value::String(text) => Temporal::date_time(text).and_then(Temporal::to_date),
        _ => None,
    }
}

fn date_time(value: &Value<'_>) -> Option<Temporal> {
    match value {
        Value::Temporal(value) => value.to_date_time(),
        Value::String(text) => Temporal::date_time(text),
        _ => None,
    }
}

fn time(value: &Value<'_>) -> Option<Temporal> {
    match value {
        Value::Temporal(value) if value.kind == Kind::Time => Some(*value),
        Value::String(text) => Temporal::time(text),
        _ => None,
    }
}

/// Calls a function of this module.
pub(super) fn call<'d>(
    function: Function,
    value: &Value<'d>,
    arguments: &[Option<Value<'d>>],
) -> Result<Vec<Value<'d>>, EvalError> {
    let tells = |found: bool| Some(Value::Boolean(found));
    let found = match function {
        Function::ToBoolean => boolean(value).map(Value::Boolean),
        Function::ConvertsToBoolean => tells(boolean(value).is_some()),
        Function::ToInteger => integer(value).map(Value::Integer),
        Function::ConvertsToInteger => tells(integer(value).is_some()),
        Function::ToDecimal => decimal(value).map(Value::Decimal),
        Function::ConvertsToDecimal => tells(decimal(value).is_some()),
        Function::ToQuantity => quantity(value).map(Value::Quantity),
        Function::ConvertsToQuantity => tells(quantity(value).is_some()),
        Function::ToDate => date(value).map(Value::Temporal),
        Function::ConvertsToDate => tells(date(value).is_some()),
        Function::ToDateTime => date_time(value).map(Value::Temporal),
        Function::ConvertsToDateTime => tells(date_time(value).is_some()),
        Function::ToTime => time(value).map(Value::Temporal),
        Function::ConvertsToTime => tells(time(value).is_some()),
        Function::ToString => value.to_text().map(Value::String),
        Function::ConvertsToString => tells(value.to_text().is_some()),
        Function::LowBoundary | Function::HighBoundary => {
            return boundary(value, arguments, function == Function::HighBoundary);
        }
        Function::Precision => match value {
            Value::Decimal(value) => Some(Value::Integer(i64::from(value.scale()))),
            Value::Integer(_) => Some(Value::Integer(0)),
            Value::Temporal(value) => Some(Value::Integer(i64::from(value.digits()))),
            _ => None,
        },
        _ => return mathematics(function, value, arguments),
    };
    Ok(found.into_iter().collect())
}

fn mathematics<'d>(
    function: Function,
    value: &Value<'d>,
    arguments: &[Option<Value<'d>>],
) -> Result<Vec<Value<'d>>, EvalError> {
    let wrong = || EvalError::WrongType(function.name());
    if function == Function::Abs
        && let Value::Quantity(quantity) = value
    {
        let positive = if quantity.value.is_negative() { quantity.value.negated() } else { quantity.value };
        return Ok(vec![Value::Quantity(Quantity { value: positive, unit: quantity.unit.clone() })]);
    }
    let number = match value {
        Value::Integer(value) => Decimal::whole(*value),
        Value::Decimal(value) => *value,
        _ => return Err(wrong()),
    };
    let whole = |value: i128| Value::integer(value);
    let float = |value: f64| Decimal::from_float(value).map(Value::Decimal);
    let other = match arguments.first() {
        None => None,
        Some(None) => return Ok(Vec::new()),
        Some(Some(value)) => Some(decimal(value).ok_or_else(wrong)?),
    };
    let found = match function {
        Function::Abs => match value {
            Value::Integer(value) => value.checked_abs().and_then(Value::integer),
            _ => Some(Value::Decimal(if number.is_negative() { number.negated() } else { number })),
        },
        Function::Ceiling => whole(number.ceiling()),
        Function::Floor => whole(number.floor()),
        Function::Truncate => whole(number.truncated()),
        Function::Round => {
            let places = other.and_then(Decimal::as_integer).unwrap_or(0);
            let places = u32::try_from(places).map_err(|_| wrong())?;
            Some(Value::Decimal(number.rounded(places)))
        }
        Function::Exp => float(number.to_float().exp()),
        Function::Ln => float(number.to_float().ln()),
        Function::Sqrt => float(number.to_float().sqrt()),
        Function::Log => float(number.to_float().log(other.ok_or_else(wrong)?.to_float())),
        Function::Power => {
            let exponent = other.ok_or_else(wrong)?;
            power(value, number, exponent)
        }
        _ => return Err(wrong()),
    };
    Ok(found.into_iter().collect())
}

/// Factors up to which a power is multiplied out.
const MOST_FACTORS: u32 = 1000;

fn power<'d>(value: &Value<'d>, number: Decimal, exponent: Decimal) -> Option<Value<'d>> {
    if let Some(times) = exponent.as_integer().and_then(|times| u32::try_from(times).ok()) {
        if let Value::Integer(value) = value {
            return value.checked_pow(times).and_then(Value::integer);
        }
        let mut result = Decimal::whole(1);
        if times <= MOST_FACTORS {
            for _ in 0..times {
                result = result.multiply(number)?;
            }
            return Some(Value::Decimal(result));
        }
    }
    Decimal::from_float(number.to_float().powf(exponent.to_float())).map(Value::Decimal)
}

fn boundary<'d>(value: &Value<'d>, arguments: &[Option<Value<'d>>], high: bool) -> Result<Vec<Value<'d>>, EvalError> {
    let digits = match arguments.first() {
        None => None,
        Some(Some(Value::Integer(digits))) => Some(*digits),
        Some(_) => return Err(EvalError::WrongType("lowBoundary")),
    };
    let of_decimal = |value: Decimal| {
        let places = u32::try_from(digits.unwrap_or(8)).ok().filter(|places| *places <= 28)?;
        // The published suite gives zero for what is nothing in the places asked.
        if places > 0 && value.scale() > places && value.rounded(places).is_zero() {
            return value.rounded(places).bounded(places, high);
        }
        let half = value.half_step();
        let edge = if high { value.plus(half)? } else { value.minus(half)? };
        edge.bounded(places, high)
    };
    let found = match value {
        Value::Decimal(value) => of_decimal(*value).map(Value::Decimal),
        Value::Integer(value) => of_decimal(Decimal::whole(*value)).map(Value::Decimal),
        Value::Quantity(quantity) => {
            of_decimal(quantity.value).map(|value| Value::Quantity(Quantity { value, unit: quantity.unit.clone() }))
        }
        Value::Temporal(value) => {
            let digits = match digits {
                None => None,
                Some(digits) => match u32::try_from(digits) {
                    Ok(digits) => Some(digits),
                    Err(_) => return Ok(Vec::new()),
                },
            };
            value.boundary(digits, high).map(Value::Temporal)
        }
        _ => return Err(EvalError::WrongType("lowBoundary")),
    };
    Ok(found.into_iter().collect())
}
