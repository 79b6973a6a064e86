//! Names and the use of collections, checked against the type that an expression starts from.

use crate::definitions::{Kind, Model, TypeId};

use super::Plan;
use super::function::Function;
use super::syntax::{Id, Op, Operator, Span, SyntaxError, SyntaxFault, TypeName};
use super::value::Value;

/// What is known of a collection before there is a document.
#[derive(Debug, Clone, PartialEq)]
enum Known {
    /// Nothing.
    Any,
    /// Values of System types.
    System(&'static str),
    /// Elements of one of these types.
    Types(Vec<TypeId>),
}

#[derive(Debug, Clone)]
struct Shape {
    known: Known,
    /// Whether there can be several items.
    many: bool,
    ordered: bool,
}

struct Checker<'p> {
    plan: &'p Plan,
    model: &'p Model,
    root: TypeId,
    strict: bool,
}

pub(super) fn check(plan: &Plan, on: TypeId, strict: bool) -> Result<(), SyntaxError> {
    let checker = Checker { plan, model: &plan.model, root: on, strict };
    let focus = Shape { known: Known::Types(vec![on]), many: false, ordered: true };
    checker.shape(plan.root, &focus).map(|_| ())
}

fn any() -> Shape {
    Shape { known: Known::Any, many: true, ordered: true }
}

fn system(name: &'static str) -> Shape {
    Shape { known: Known::System(name), many: false, ordered: true }
}

impl Checker<'_> {
    fn fail<T>(&self, id: Id, fault: SyntaxFault) -> Result<T, SyntaxError> {
        let span = self.plan.spans.get(id.0).copied().unwrap_or(Span { start: 0, end: 0 });
        Err(SyntaxError { fault, span })
    }

    fn shape(&self, id: Id, focus: &Shape) -> Result<Shape, SyntaxError> {
        Ok(match self.plan.op(id) {
            Op::Empty | Op::Index | Op::Total => any(),
            Op::Variable(name) if name == "context" => {
                Shape { known: Known::Types(vec![self.root]), many: false, ordered: true }
            }
            Op::Variable(_) => any(),
            Op::Literal(value) => match value {
                Value::Boolean(_) => system("Boolean"),
                Value::Integer(_) => system("Integer"),
                Value::Decimal(_) => system("Decimal"),
                Value::String(_) => system("String"),
                Value::Temporal(_) => system("Temporal"),
                Value::Quantity(_) => system("Quantity"),
                _ => any(),
            },
            Op::This => focus.clone(),
            Op::Child { of, name } => {
                let input = match of {
                    Some(of) => self.shape(*of, focus)?,
                    None => focus.clone(),
                };
                self.child(id, &input, name, of.is_none())?
            }
            Op::At { of, index } => {
                let input = self.shape(*of, focus)?;
                self.shape(*index, focus)?;
                Shape { many: false, ..input }
            }
            Op::Is { of, type_name } => {
                self.shape(*of, focus)?;
                self.type_of(id, type_name)?;
                system("Boolean")
            }
            Op::As { of, type_name } => {
                let input = self.shape(*of, focus)?;
                Shape { known: self.type_of(id, type_name)?, ..input }
            }
            Op::Sign { of, .. } => self.shape(*of, focus)?,
            Op::Binary { operator, left, right } => self.binary(id, *operator, *left, *right, focus)?,
            Op::Call { of, function, arguments, type_name } => {
                let input = match of {
                    Some(of) => self.shape(*of, focus)?,
                    None => focus.clone(),
                };
                self.call(id, &input, *function, arguments, type_name.as_ref(), focus)?
            }
        })
    }

    fn child(&self, id: Id, input: &Shape, name: &str, from_focus: bool) -> Result<Shape, SyntaxError> {
        let Known::Types(types) = &input.known else { return Ok(any()) };
        if from_focus && let Some(wanted) = self.model.type_named(name) {
            if types.iter().any(|held| self.model.is_a(*held, wanted) || self.model.is_a(wanted, *held)) {
                return Ok(Shape { known: Known::Types(vec![wanted]), ..input.clone() });
            }
            if name.starts_with(|first: char| first.is_ascii_uppercase()) {
                return self.fail(id, SyntaxFault::UnknownElement(name.to_owned()));
            }
        }
        let mut found = Vec::new();
        let mut many = input.many;
        let mut is_open = false;
        for held in types {
            if self.model.kind(*held) == Kind::Resource && self.model.is_abstract(*held) {
                is_open = true;
            }
            if let Some(element) = self.model.element_named(*held, name) {
                many |= element.is_array();
                found.extend(element.types().map(|choice| choice.type_id()));
            }
        }
        if is_open {
            return Ok(any());
        }
        if found.is_empty() {
            return self.fail(id, SyntaxFault::UnknownElement(name.to_owned()));
        }
        found.sort_unstable();
        found.dedup();
        Ok(Shape { known: Known::Types(found), many, ordered: input.ordered })
    }

    fn type_of(&self, id: Id, wanted: &TypeName) -> Result<Known, SyntaxError> {
        if wanted.namespace.as_deref() != Some("System")
            && let Some(type_id) = self.model.type_named(&wanted.name)
        {
            return Ok(Known::Types(vec![type_id]));
        }
        match wanted.name.as_str() {
            "Boolean" | "Integer" | "Decimal" | "String" | "Date" | "DateTime" | "Time" | "Quantity" | "Any" => {
                Ok(Known::Any)
            }
            // System.Patient is a type that nothing has, not a mistake in the name.
            name if self.model.type_named(name).is_some() => Ok(Known::Any),
            _ => self.fail(id, SyntaxFault::UnknownType(wanted.name.clone())),
        }
    }

    fn binary(&self, id: Id, operator: Operator, left: Id, right: Id, focus: &Shape) -> Result<Shape, SyntaxError> {
        let (one, two) = (self.shape(left, focus)?, self.shape(right, focus)?);
        Ok(match operator {
            Operator::Union => {
                let known = match (one.known, two.known) {
                    (Known::Types(mut one), Known::Types(two)) => {
                        one.extend(two);
                        one.sort_unstable();
                        one.dedup();
                        Known::Types(one)
                    }
                    (one, two) if one == two => one,
                    _ => Known::Any,
                };
                Shape { known, many: true, ordered: one.ordered && two.ordered }
            }
            Operator::Plus | Operator::Minus => {
                if one.known == Known::System("Temporal")
                    && matches!(two.known, Known::System(name) if name != "Quantity")
                {
                    return self.fail(id, SyntaxFault::WrongType("+".to_owned()));
                }
                Shape { known: one.known, many: false, ordered: true }
            }
            Operator::Times | Operator::Divide | Operator::Div | Operator::Mod => any(),
            Operator::Concatenate => system("String"),
            _ => system("Boolean"),
        })
    }

    fn call(
        &self,
        id: Id,
        input: &Shape,
        function: Function,
        arguments: &[Id],
        type_name: Option<&TypeName>,
        focus: &Shape,
    ) -> Result<Shape, SyntaxError> {
        let item = Shape { many: false, ..input.clone() };
        let wrong = || SyntaxFault::WrongType(function.name().to_owned());
        if self.strict && !input.ordered {
            let needs_order =
                matches!(function, Function::First | Function::Last | Function::Tail | Function::Skip | Function::Take);
            if needs_order {
                return self.fail(id, wrong());
            }
        }
        match function {
            Function::Where | Function::Exists | Function::All => {
                for argument in arguments {
                    self.shape(*argument, &item)?;
                }
                Ok(if function == Function::Where { input.clone() } else { system("Boolean") })
            }
            Function::Select => {
                let mut found = any();
                for argument in arguments {
                    found = self.shape(*argument, &item)?;
                }
                Ok(Shape { many: true, ..found })
            }
            Function::Repeat | Function::Aggregate => Ok(any()),
            Function::Sort => {
                for argument in arguments {
                    self.shape(*argument, &item)?;
                }
                Ok(Shape { ordered: true, ..input.clone() })
            }
            Function::First | Function::Last | Function::Single => Ok(item),
            Function::Tail | Function::Skip | Function::Take | Function::Distinct | Function::Trace => {
                Ok(input.clone())
            }
            Function::OfType | Function::As => {
                let known = match type_name {
                    Some(type_name) => self.type_of(id, type_name)?,
                    None => Known::Any,
                };
                Ok(Shape { known, ..input.clone() })
            }
            Function::Is => {
                if let Some(type_name) = type_name {
                    self.type_of(id, type_name)?;
                }
                Ok(system("Boolean"))
            }
            Function::Iif => {
                let Some(criterion) = arguments.first() else { return Ok(any()) };
                let criterion = self.shape(*criterion, input)?;
                let is_boolean = match criterion.known {
                    Known::System(name) => name == "Boolean",
                    _ => true,
                };
                if !is_boolean {
                    return self.fail(id, wrong());
                }
                Ok(any())
            }
            Function::StartsWith | Function::EndsWith | Function::Contains => {
                if let Known::Types(types) = &input.known
                    && types.iter().all(|held| self.model.kind(*held) != Kind::Primitive)
                {
                    return self.fail(id, wrong());
                }
                for argument in arguments {
                    self.shape(*argument, focus)?;
                }
                Ok(system("Boolean"))
            }
            Function::Extension => {
                let known = self.model.type_named("Extension").map_or(Known::Any, |held| Known::Types(vec![held]));
                Ok(Shape { known, many: true, ordered: true })
            }
            Function::Children | Function::Descendants => Ok(Shape { known: Known::Any, many: true, ordered: false }),
            Function::Empty
            | Function::Not
            | Function::AllTrue
            | Function::AnyTrue
            | Function::AllFalse
            | Function::AnyFalse
            | Function::IsDistinct
            | Function::HasValue => Ok(system("Boolean")),
            Function::Count => Ok(system("Integer")),
            _ => Ok(any()),
        }
    }
}
