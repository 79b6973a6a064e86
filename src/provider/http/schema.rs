//! The provider's JSON Schema, and what breaks it: the place and the rule, never the value.

use jsonschema::Validator;
use jsonschema::error::ValidationErrorKind as Kind;
use serde_json::Value;

use super::extract::push_step;

/// A compiled schema. References outside of it are not fetched.
pub(crate) struct Schema(Validator);

/// Where a document breaks the schema, and which rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) path: String,
    pub(crate) expected: String,
}

impl Schema {
    /// # Errors
    /// What is wrong with the schema.
    pub(crate) fn compile(bytes: &[u8]) -> Result<Self, String> {
        let schema: Value = serde_json::from_slice(bytes).map_err(|error| format!("not JSON: {error}"))?;
        let compiled = jsonschema::options().should_validate_formats(true).offline().build(&schema);
        compiled.map(Self).map_err(|error| format!("not a JSON Schema that can be used: {error}"))
    }

    /// Checks one document that stands at `at` (a JSON path) of what was received or is to be sent.
    pub(super) fn check(&self, json: &str, at: &str) -> Result<(), Violation> {
        self.violations(json, at).and_then(|mut found| found.next().map_or(Ok(()), Err))
    }

    /// All that breaks the schema.
    ///
    /// # Errors
    /// The text is not JSON.
    pub(crate) fn violations(
        &self,
        json: &str,
        at: &str,
    ) -> Result<impl Iterator<Item = Violation> + use<>, Violation> {
        let value: Value = serde_json::from_str(json).map_err(|error| Violation {
            path: at.to_owned(),
            expected: format!("JSON (line {}, column {})", error.line(), error.column()),
        })?;
        let found: Vec<Violation> = self
            .0
            .iter_errors(&value)
            .map(|error| {
                let mut path = at.to_owned();
                for step in error.instance_path().as_str().split('/').skip(1) {
                    push_step(&mut path, &step.replace("~1", "/").replace("~0", "~"));
                }
                Violation { path, expected: expected(error.kind(), error.schema_path().as_str()) }
            })
            .collect();
        Ok(found.into_iter())
    }
}

/// The rule in words made of the schema alone.
fn expected(kind: &Kind, rule: &str) -> String {
    let what = match kind {
        Kind::Required { property } => match property.as_str() {
            Some(name) => format!("the member {name}"),
            None => "a required member".to_owned(),
        },
        Kind::Type { .. } => "another type".to_owned(),
        Kind::Enum { .. } => "one of the values of the schema".to_owned(),
        Kind::Constant { .. } => "the value of the schema".to_owned(),
        Kind::Pattern { pattern } => format!("a text of the pattern {pattern}"),
        Kind::Format { format } => format!("the format {format}"),
        Kind::MinLength { limit } => format!("at least {limit} characters"),
        Kind::MaxLength { limit } => format!("at most {limit} characters"),
        Kind::MinItems { limit } => format!("at least {limit} items"),
        Kind::MaxItems { limit } => format!("at most {limit} items"),
        Kind::Minimum { limit } => format!("at least {limit}"),
        Kind::Maximum { limit } => format!("at most {limit}"),
        Kind::AdditionalProperties { .. } | Kind::UnevaluatedProperties { .. } => "no other members".to_owned(),
        _ => "what the schema says".to_owned(),
    };
    format!("{what} (rule {rule})")
}
