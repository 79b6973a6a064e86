//! Arithmetic: `+`, `-`, `*`, `/`, `div` and `mod` on numbers, texts, times and quantities.

use super::EvalError;
use super::decimal::Decimal;
use super::syntax::Operator;
use super::temporal::Calendar;
use super::value::{Quantity, QuantityUnit, Value};

/// The result of an operator; nothing where it has none, as for division by zero.
pub(super) fn arithmetic<'d>(
    operator: Operator,
    left: Value<'d>,
    right: Value<'d>,
) -> Result<Option<Value<'d>>, EvalError> {
    const WRONG: EvalError = EvalError::WrongType("this operator");
    Ok(match (left, right) {
        (Value::Integer(left), Value::Integer(right)) => match operator {
            Operator::Plus => left.checked_add(right).and_then(Value::integer),
            Operator::Minus => left.checked_sub(right).and_then(Value::integer),
            Operator::Times => left.checked_mul(right).and_then(Value::integer),
            Operator::Divide => Decimal::whole(left).divide(Decimal::whole(right)).map(Value::Decimal),
            Operator::Div => left.checked_div(right).and_then(Value::integer),
            Operator::Mod => left.checked_rem(right).map(Value::Integer),
            _ => return Err(WRONG),
        },
        (Value::String(left), Value::String(right)) if operator == Operator::Plus => {
            Some(Value::text(left.into_owned() + &right))
        }
        (Value::Temporal(point), Value::Quantity(amount)) if matches!(operator, Operator::Plus | Operator::Minus) => {
            let unit = match &amount.unit {
                QuantityUnit::Calendar(unit, _) => Some(*unit),
                QuantityUnit::Ucum(code) => Calendar::of_ucum(code),
            };
            let value = if operator == Operator::Plus { amount.value } else { amount.value.negated() };
            point.plus(value, unit.ok_or(WRONG)?).map(Value::Temporal)
        }
        (Value::Quantity(left), Value::Quantity(right)) => match operator {
            Operator::Times | Operator::Divide => {
                left.combined(&right, operator == Operator::Divide).map(Value::Quantity)
            }
            Operator::Plus | Operator::Minus => left.sum(&right, operator == Operator::Minus).map(Value::Quantity),
            _ => None,
        },
        // A number beside a quantity is one of the unit 1; it scales what it multiplies or divides.
        (Value::Quantity(amount), other) => {
            let factor = number(&other).ok_or(WRONG)?;
            match operator {
                Operator::Times | Operator::Divide => {
                    amount.scaled(factor, operator == Operator::Divide).map(Value::Quantity)
                }
                _ => return arithmetic(operator, Value::Quantity(amount), plain(factor)),
            }
        }
        (other, Value::Quantity(amount)) => {
            let factor = number(&other).ok_or(WRONG)?;
            match operator {
                Operator::Times => amount.scaled(factor, false).map(Value::Quantity),
                _ => return arithmetic(operator, plain(factor), Value::Quantity(amount)),
            }
        }
        (left, right) => {
            let (Some(one), Some(two)) = (number(&left), number(&right)) else { return Err(WRONG) };
            match operator {
                Operator::Plus => one.plus(two).map(Value::Decimal),
                Operator::Minus => one.minus(two).map(Value::Decimal),
                Operator::Times => one.multiply(two).map(Value::Decimal),
                Operator::Divide => one.divide(two).map(Value::Decimal),
                Operator::Div => one.quotient(two).and_then(Value::integer),
                Operator::Mod => one.remainder(two).map(Value::Decimal),
                _ => return Err(WRONG),
            }
        }
    })
}

fn number(value: &Value<'_>) -> Option<Decimal> {
    match value {
        Value::Integer(value) => Some(Decimal::whole(*value)),
        Value::Decimal(value) => Some(*value),
        _ => None,
    }
}

fn plain<'d>(value: Decimal) -> Value<'d> {
    Value::Quantity(Quantity::ucum(value, "1"))
}
