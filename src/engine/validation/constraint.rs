//! Constraints of the core and of profiles, by key and FHIRPath.

use std::sync::Arc;

use crate::definitions::{Element, Model, TypeId};

/// A constraint on a type or an element.
#[derive(Debug)]
pub(super) struct Constraint {
    pub(super) key: Arc<str>,
    pub(super) expression: Arc<str>,
    pub(super) is_error: bool,
    pub(super) check: Check,
}

/// How a constraint is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Check {
    /// An extension has extensions or a value, not both.
    ExtensionOrValue,
}

/// Those that have a native form, by key and exact text.
fn native(key: &str, expression: &str) -> Option<Check> {
    match (key, expression) {
        ("ext-1", "extension.exists() != value.exists()") => Some(Check::ExtensionOrValue),
        _ => None,
    }
}

fn compile(constraint: crate::definitions::Constraint<'_>) -> Option<Constraint> {
    Some(Constraint {
        key: Arc::from(constraint.key),
        expression: Arc::from(constraint.expression),
        is_error: constraint.is_error,
        check: native(constraint.key, constraint.expression)?,
    })
}

/// The constraints on a type as a whole.
pub(super) fn of_type(model: &Arc<Model>, id: TypeId) -> Vec<Constraint> {
    model.type_constraints(id).filter_map(compile).collect()
}

/// The constraints that an element has beyond those of its type.
pub(super) fn of_element(model: &Arc<Model>, element: Element<'_>) -> Vec<Constraint> {
    let of_types: Vec<&str> = element
        .types()
        .flat_map(|choice| model.type_constraints(choice.type_id()).map(|constraint| constraint.key))
        .collect();
    element.constraints().filter(|constraint| !of_types.contains(&constraint.key)).filter_map(compile).collect()
}
