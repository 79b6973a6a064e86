//! Evaluation: items are pushed from step to step, and a step may say that it has seen enough.

use std::borrow::Cow;
use std::cmp::Ordering;

use rustc_hash::FxHashSet;

use crate::definitions::{Symbol, TypeId};

use super::arithmetic::arithmetic;
use super::decimal::Decimal;
use super::function::Function;
use super::syntax::{Id, Op, Operator, TypeName};
use super::temporal::Kind;
use super::value::{Quantity, QuantityUnit, Value, equal, equivalent, key};
use super::{Context, EvalError, Plan};

/// Whether more items are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    More,
    Enough,
}

pub(super) type Sink<'s, 'd> = &'s mut dyn FnMut(Value<'d>) -> Result<Flow, EvalError>;

/// What the names of a step are looked up in.
#[derive(Clone, Copy)]
pub(super) struct Scope<'s, 'd> {
    pub(super) this: Option<&'s Value<'d>>,
    pub(super) index: i64,
    pub(super) total: Option<&'s [Value<'d>]>,
    pub(super) depth: usize,
}

const DEEPEST: usize = 400;

pub(super) struct Machine<'p, 'd> {
    pub(super) plan: &'p Plan,
    pub(super) context: &'p Context<'d, 'p>,
}

pub(super) fn collection<'d>(plan: &Plan, context: &Context<'d, '_>) -> Result<Vec<Value<'d>>, EvalError> {
    let focus = context.focus.map(Value::Node);
    let machine = Machine { plan, context };
    machine.values(plan.root, Scope { this: focus.as_ref(), index: 0, total: None, depth: 0 })
}

pub(super) fn boolean(plan: &Plan, context: &Context<'_, '_>) -> Result<Option<bool>, EvalError> {
    let focus = context.focus.map(Value::Node);
    let machine = Machine { plan, context };
    machine.boolean(plan.root, Scope { this: focus.as_ref(), index: 0, total: None, depth: 0 })
}

/// One item as a boolean: any item that is not a boolean stands for true.
fn truth(values: &[Value<'_>]) -> Result<Option<bool>, EvalError> {
    match values {
        [] => Ok(None),
        [one] => Ok(match one.lifted() {
            Some(Value::Boolean(value)) => Some(value),
            _ => Some(true),
        }),
        _ => Err(EvalError::Several),
    }
}

pub(super) fn single(mut values: Vec<Value<'_>>) -> Result<Option<Value<'_>>, EvalError> {
    if values.len() > 1 {
        return Err(EvalError::Several);
    }
    Ok(values.pop())
}

impl<'d> Machine<'_, 'd> {
    pub(super) fn values(&self, id: Id, scope: Scope<'_, 'd>) -> Result<Vec<Value<'d>>, EvalError> {
        let mut out = Vec::new();
        self.walk(id, scope, &mut |value| {
            out.push(value);
            Ok(Flow::More)
        })?;
        Ok(out)
    }

    /// At most one item, as a System value where it has one.
    pub(super) fn one(&self, id: Id, scope: Scope<'_, 'd>) -> Result<Option<Value<'d>>, EvalError> {
        Ok(single(self.values(id, scope)?)?.and_then(|value| value.lifted()))
    }

    pub(super) fn input(&self, of: Option<Id>, scope: Scope<'_, 'd>) -> Result<Vec<Value<'d>>, EvalError> {
        match of {
            Some(of) => self.values(of, scope),
            None => Ok(scope.this.cloned().into_iter().collect()),
        }
    }

    pub(super) fn each(&self, of: Option<Id>, scope: Scope<'_, 'd>, sink: Sink<'_, 'd>) -> Result<Flow, EvalError> {
        match of {
            Some(of) => self.walk(of, scope, sink),
            None => match scope.this {
                Some(this) => sink(this.clone()),
                None => Ok(Flow::More),
            },
        }
    }

    /// Whether a collection has an item.
    pub(super) fn any(&self, of: Option<Id>, scope: Scope<'_, 'd>) -> Result<bool, EvalError> {
        let mut found = false;
        self.each(of, scope, &mut |_| {
            found = true;
            Ok(Flow::Enough)
        })?;
        Ok(found)
    }

    pub(super) fn boolean(&self, id: Id, scope: Scope<'_, 'd>) -> Result<Option<bool>, EvalError> {
        match self.plan.op(id) {
            Op::Literal(Value::Boolean(value)) => Ok(Some(*value)),
            Op::Binary { operator, left, right } => match operator {
                Operator::And => {
                    let left = self.boolean(*left, scope)?;
                    if left == Some(false) {
                        return Ok(left);
                    }
                    Ok(match (left, self.boolean(*right, scope)?) {
                        (_, Some(false)) => Some(false),
                        (Some(true), Some(true)) => Some(true),
                        _ => None,
                    })
                }
                Operator::Or => {
                    let left = self.boolean(*left, scope)?;
                    if left == Some(true) {
                        return Ok(left);
                    }
                    Ok(match (left, self.boolean(*right, scope)?) {
                        (_, Some(true)) => Some(true),
                        (Some(false), Some(false)) => Some(false),
                        _ => None,
                    })
                }
                Operator::Xor => {
                    let (left, right) = (self.boolean(*left, scope)?, self.boolean(*right, scope)?);
                    Ok(left.zip(right).map(|(left, right)| left != right))
                }
                Operator::Implies => {
                    let left = self.boolean(*left, scope)?;
                    if left == Some(false) {
                        return Ok(Some(true));
                    }
                    Ok(match (left, self.boolean(*right, scope)?) {
                        (_, Some(true)) => Some(true),
                        (Some(true), right) => right,
                        _ => None,
                    })
                }
                _ => self.operation(*operator, *left, *right, scope).and_then(|values| truth(&values)),
            },
            Op::Call { of, function, arguments, .. } => match function {
                Function::Exists => Ok(Some(self.exists(*of, arguments.first().copied(), scope)?)),
                Function::Empty => Ok(Some(!self.any(*of, scope)?)),
                Function::Not => match of {
                    Some(of) => Ok(self.boolean(*of, scope)?.map(|value| !value)),
                    None => Ok(truth(&self.input(None, scope)?)?.map(|value| !value)),
                },
                _ => truth(&self.values(id, scope)?),
            },
            _ => truth(&self.values(id, scope)?),
        }
    }

    fn exists(&self, of: Option<Id>, criteria: Option<Id>, scope: Scope<'_, 'd>) -> Result<bool, EvalError> {
        let Some(criteria) = criteria else { return self.any(of, scope) };
        let mut found = false;
        let mut index = -1;
        self.each(of, scope, &mut |value| {
            index += 1;
            if self.boolean(criteria, within(scope, &value, index))? == Some(true) {
                found = true;
                return Ok(Flow::Enough);
            }
            Ok(Flow::More)
        })?;
        Ok(found)
    }

    pub(super) fn walk(&self, id: Id, scope: Scope<'_, 'd>, sink: Sink<'_, 'd>) -> Result<Flow, EvalError> {
        self.context.budget.spend(1)?;
        if scope.depth > DEEPEST {
            return Err(EvalError::Depth);
        }
        let scope = Scope { depth: scope.depth + 1, ..scope };
        match self.plan.op(id) {
            Op::Empty => Ok(Flow::More),
            Op::Literal(value) => sink(value.clone()),
            Op::This => match scope.this {
                Some(this) => sink(this.clone()),
                None => Ok(Flow::More),
            },
            Op::Index => sink(Value::Integer(scope.index)),
            Op::Total => push_all(scope.total.unwrap_or_default().iter().cloned(), sink),
            Op::Variable(name) => self.variable(name, sink),
            Op::Child { of, name } => {
                let (symbol, type_id) = self.plan.names.get(id.0).copied().unwrap_or((Symbol::UNKNOWN, None));
                self.each(*of, scope, &mut |value| self.child(&value, symbol, name, type_id, sink))
            }
            Op::At { of, index } => {
                let Some(Value::Integer(index)) = self.one(*index, scope)? else { return Ok(Flow::More) };
                let mut at = 0;
                let mut flow = Flow::More;
                self.walk(*of, scope, &mut |value| {
                    if at == index {
                        flow = sink(value)?;
                        return Ok(Flow::Enough);
                    }
                    at += 1;
                    Ok(Flow::More)
                })?;
                Ok(flow)
            }
            Op::Is { of, type_name } => {
                let Some(value) = single(self.values(*of, scope)?)? else { return Ok(Flow::More) };
                sink(Value::Boolean(self.is_type(&value, type_name)?))
            }
            Op::As { of, type_name } => {
                let Some(value) = single(self.values(*of, scope)?)? else { return Ok(Flow::More) };
                if self.is_exactly(&value, type_name)? { sink(value) } else { Ok(Flow::More) }
            }
            Op::Sign { of, negative } => {
                let Some(value) = self.one(*of, scope)? else { return Ok(Flow::More) };
                sink(match (value, negative) {
                    (value @ (Value::Integer(_) | Value::Decimal(_) | Value::Quantity(_)), false) => value,
                    (Value::Integer(value), true) => Value::Integer(-value),
                    (Value::Decimal(value), true) => Value::Decimal(value.negated()),
                    (Value::Quantity(value), true) => {
                        Value::Quantity(Quantity { value: value.value.negated(), unit: value.unit })
                    }
                    _ => return Err(EvalError::WrongType("-")),
                })
            }
            Op::Binary { operator, left, right } => match operator {
                Operator::And | Operator::Or | Operator::Xor | Operator::Implies => match self.boolean(id, scope)? {
                    Some(value) => sink(Value::Boolean(value)),
                    None => Ok(Flow::More),
                },
                _ => push_all(self.operation(*operator, *left, *right, scope)?, sink),
            },
            Op::Call { of, function, arguments, type_name } => {
                self.call(id, *of, *function, arguments, type_name.as_ref(), scope, sink)
            }
        }
    }

    pub(super) fn child(
        &self,
        value: &Value<'d>,
        symbol: Symbol,
        name: &str,
        type_id: Option<TypeId>,
        sink: Sink<'_, 'd>,
    ) -> Result<Flow, EvalError> {
        match value {
            Value::Node(node) => {
                if let (Some(wanted), Some(held)) = (type_id, node.type_id())
                    && self.plan.model.is_a(held, wanted)
                {
                    return sink(Value::Node(*node));
                }
                if symbol == Symbol::UNKNOWN {
                    return Ok(Flow::More);
                }
                for child in node.child(symbol) {
                    self.context.budget.spend(1)?;
                    if sink(Value::Node(child))? == Flow::Enough {
                        return Ok(Flow::Enough);
                    }
                }
                Ok(Flow::More)
            }
            Value::Type(info) => match name {
                "namespace" => sink(Value::text(info.namespace)),
                "name" => sink(Value::text(info.name.clone())),
                _ => Ok(Flow::More),
            },
            Value::Quantity(quantity) => match name {
                "value" => sink(Value::Decimal(quantity.value)),
                "unit" | "code" => match &quantity.unit {
                    QuantityUnit::Ucum(code) => sink(Value::text(code.clone())),
                    QuantityUnit::Calendar(_, word) => sink(Value::text(word.clone())),
                },
                _ => Ok(Flow::More),
            },
            _ => Ok(Flow::More),
        }
    }

    fn variable(&self, name: &str, sink: Sink<'_, 'd>) -> Result<Flow, EvalError> {
        let context = self.context;
        let node = match name {
            "context" => context.context.or(context.focus),
            "resource" => context.resource,
            "rootResource" => context.root_resource,
            "sct" => return sink(Value::text("http://snomed.info/sct")),
            "loinc" => return sink(Value::text("http://loinc.org")),
            "ucum" => return sink(Value::text("http://unitsofmeasure.org")),
            _ => {
                if let Some((_, value)) = context.variables.iter().find(|(held, _)| *held == name) {
                    return sink(value.clone());
                }
                if let Some(id) = name.strip_prefix("vs-") {
                    return sink(Value::text(format!("http://hl7.org/fhir/ValueSet/{id}")));
                }
                if let Some(id) = name.strip_prefix("ext-") {
                    return sink(Value::text(format!("http://hl7.org/fhir/StructureDefinition/{id}")));
                }
                return Err(EvalError::UnknownVariable(name.to_owned()));
            }
        };
        match node {
            Some(node) => sink(Value::Node(node)),
            None => Ok(Flow::More),
        }
    }

    /// Whether a value is of a type or one derived from it.
    pub(super) fn is_type(&self, value: &Value<'d>, wanted: &TypeName) -> Result<bool, EvalError> {
        self.type_test(value, wanted, true)
    }

    /// Whether a value is of a type; primitives only of exactly that.
    pub(super) fn is_exactly(&self, value: &Value<'d>, wanted: &TypeName) -> Result<bool, EvalError> {
        self.type_test(value, wanted, false)
    }

    fn type_test(&self, value: &Value<'d>, wanted: &TypeName, derived: bool) -> Result<bool, EvalError> {
        let namespace = wanted.namespace.as_deref();
        let is_system = matches!(
            wanted.name.as_str(),
            "Boolean"
                | "Integer"
                | "Decimal"
                | "String"
                | "Date"
                | "DateTime"
                | "Time"
                | "Quantity"
                | "Any"
                | "TypeInfo"
        );
        match value {
            Value::Node(node) => {
                if namespace == Some("System") {
                    return Ok(false);
                }
                let model = &self.plan.model;
                let Some(type_id) = model.type_named(&wanted.name) else {
                    return if is_system { Ok(false) } else { Err(EvalError::UnknownType(wanted.name.clone())) };
                };
                let Some(held) = node.type_id() else { return Ok(false) };
                Ok(held == type_id
                    || (model.is_a(held, type_id)
                        && (derived || model.kind(type_id) != crate::definitions::Kind::Primitive)))
            }
            _ => {
                if namespace == Some("FHIR") {
                    return Ok(false);
                }
                if !is_system && self.plan.model.type_named(&wanted.name).is_none() {
                    return Err(EvalError::UnknownType(wanted.name.clone()));
                }
                Ok(value.type_info().name == wanted.name)
            }
        }
    }

    fn operation(
        &self,
        operator: Operator,
        left: Id,
        right: Id,
        scope: Scope<'_, 'd>,
    ) -> Result<Vec<Value<'d>>, EvalError> {
        let one = |value| Ok(vec![value]);
        match operator {
            Operator::Equal | Operator::NotEqual => {
                let (left, right) = (self.values(left, scope)?, self.values(right, scope)?);
                let answer = self.equal_collections(&left, &right)?;
                Ok(answer.map(|same| Value::Boolean(same == (operator == Operator::Equal))).into_iter().collect())
            }
            Operator::Equivalent | Operator::NotEquivalent => {
                let (left, right) = (self.values(left, scope)?, self.values(right, scope)?);
                let same = self.equivalent_collections(&left, &right)?;
                one(Value::Boolean(same == (operator == Operator::Equivalent)))
            }
            Operator::Union => {
                let mut all = self.values(left, scope)?;
                all.extend(self.values(right, scope)?);
                self.distinct(all)
            }
            Operator::In | Operator::Contains => {
                let (item, list) = if operator == Operator::In { (left, right) } else { (right, left) };
                let Some(item) = single(self.values(item, scope)?)? else { return Ok(Vec::new()) };
                let mut found = false;
                self.walk(list, scope, &mut |value| {
                    self.context.budget.spend(1)?;
                    found = equal(&item, &value) == Some(true);
                    Ok(if found { Flow::Enough } else { Flow::More })
                })?;
                one(Value::Boolean(found))
            }
            Operator::Concatenate => {
                let text = |value: Option<Value<'d>>| match value {
                    None => Ok(Cow::Borrowed("")),
                    Some(value) => value.to_text().ok_or(EvalError::WrongType("&")),
                };
                let (left, right) = (text(self.one(left, scope)?)?, text(self.one(right, scope)?)?);
                self.context.budget.spend_text(left.len() + right.len())?;
                one(Value::text(left.into_owned() + &right))
            }
            Operator::Less | Operator::LessOrEqual | Operator::Greater | Operator::GreaterOrEqual => {
                let (Some(left), Some(right)) = (self.one(left, scope)?, self.one(right, scope)?) else {
                    return Ok(Vec::new());
                };
                let Some(order) = compare(&left, &right)? else { return Ok(Vec::new()) };
                one(Value::Boolean(match operator {
                    Operator::Less => order.is_lt(),
                    Operator::LessOrEqual => order.is_le(),
                    Operator::Greater => order.is_gt(),
                    _ => order.is_ge(),
                }))
            }
            Operator::And | Operator::Or | Operator::Xor | Operator::Implies => Ok(Vec::new()),
            _ => {
                let (Some(left), Some(right)) = (self.one(left, scope)?, self.one(right, scope)?) else {
                    return Ok(Vec::new());
                };
                if let (Value::String(left), Value::String(right)) = (&left, &right) {
                    self.context.budget.spend_text(left.len() + right.len())?;
                }
                Ok(arithmetic(operator, left, right)?.into_iter().collect())
            }
        }
    }

    fn equal_collections(&self, left: &[Value<'d>], right: &[Value<'d>]) -> Result<Option<bool>, EvalError> {
        if left.is_empty() || right.is_empty() {
            return Ok(None);
        }
        self.context.budget.spend(left.len() as u64)?;
        if left.len() != right.len() {
            return Ok(Some(false));
        }
        let mut answer = Some(true);
        for (one, two) in left.iter().zip(right) {
            match equal(one, two) {
                Some(true) => {}
                Some(false) => return Ok(Some(false)),
                None => answer = None,
            }
        }
        Ok(answer)
    }

    fn equivalent_collections(&self, left: &[Value<'d>], right: &[Value<'d>]) -> Result<bool, EvalError> {
        if left.len() != right.len() {
            return Ok(false);
        }
        self.context.budget.spend((left.len() as u64).saturating_mul(right.len() as u64))?;
        let mut used = vec![false; right.len()];
        Ok(left.iter().all(|one| {
            let place = right.iter().zip(&used).position(|(two, used)| !used && equivalent(one, two));
            place.and_then(|place| used.get_mut(place)).map(|used| *used = true).is_some()
        }))
    }

    pub(super) fn distinct(&self, values: Vec<Value<'d>>) -> Result<Vec<Value<'d>>, EvalError> {
        let mut seen = FxHashSet::default();
        let mut others: Vec<usize> = Vec::new();
        let mut out: Vec<Value<'d>> = Vec::new();
        for value in values {
            match key(&value) {
                Some(key) => {
                    if !seen.insert(key) {
                        continue;
                    }
                }
                None => {
                    self.context.budget.spend(others.len() as u64 + 1)?;
                    let is_there =
                        others.iter().filter_map(|place| out.get(*place)).any(|held| equal(held, &value) == Some(true));
                    if is_there {
                        continue;
                    }
                    others.push(out.len());
                }
            }
            out.push(value);
        }
        Ok(out)
    }

    pub(super) fn has(&self, list: &[Value<'d>], wanted: &Value<'d>) -> Result<bool, EvalError> {
        self.context.budget.spend(list.len() as u64)?;
        Ok(list.iter().any(|value| equal(value, wanted) == Some(true)))
    }
}

pub(super) fn within<'s, 'd>(scope: Scope<'s, 'd>, this: &'s Value<'d>, index: i64) -> Scope<'s, 'd> {
    Scope { this: Some(this), index, total: scope.total, depth: scope.depth }
}

pub(super) fn push_all<'d>(values: impl IntoIterator<Item = Value<'d>>, sink: Sink<'_, 'd>) -> Result<Flow, EvalError> {
    for value in values {
        if sink(value)? == Flow::Enough {
            return Ok(Flow::Enough);
        }
    }
    Ok(Flow::More)
}

/// The order of two System values: nothing when the precision or the units do not tell.
///
/// # Errors
/// When the values are of types that have no order between them.
pub fn compare(left: &Value<'_>, right: &Value<'_>) -> Result<Option<Ordering>, EvalError> {
    Ok(match (left, right) {
        (Value::Integer(left), Value::Integer(right)) => Some(left.cmp(right)),
        (Value::Integer(left), Value::Decimal(right)) => Some(Decimal::whole(*left).cmp(right)),
        (Value::Decimal(left), Value::Integer(right)) => Some(left.cmp(&Decimal::whole(*right))),
        (Value::Decimal(left), Value::Decimal(right)) => Some(left.cmp(right)),
        (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
        (Value::Temporal(left), Value::Temporal(right)) => {
            if (left.kind == Kind::Time) != (right.kind == Kind::Time) {
                return Err(EvalError::WrongType("<"));
            }
            left.compare(*right)
        }
        (Value::Quantity(left), Value::Quantity(right)) => left.compare(right),
        (Value::Quantity(left), Value::Integer(right)) => left.compare(&Quantity::ucum(Decimal::whole(*right), "1")),
        (Value::Quantity(left), Value::Decimal(right)) => left.compare(&Quantity::ucum(*right, "1")),
        _ => return Err(EvalError::WrongType("<")),
    })
}
