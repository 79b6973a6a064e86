//! FHIRPath (<http://hl7.org/fhirpath/N1/>, with the functions of <http://hl7.org/fhir/R4/fhirpath.html>): compiled once,
//! evaluated over borrowed documents.
//!
//! A [`Plan`] is a flat list of steps, `Send + Sync`, checked against the model where the type it starts from is known.
//! Evaluation pushes items from step to step: `exists()`, `empty()` and boolean contexts stop at the first answer, and a
//! [`Budget`] bounds the items that are looked at. Knowledge from above (resolving, value sets, profiles) comes in by
//! [`Host`].
//!
//! ```
//! use silta_engine::definitions::Model;
//! use silta_engine::fhir::document::{Document, Limits};
//! use silta_engine::fhirpath::{Context, Plan};
//!
//! let model = Model::r4();
//! let text = br#"{"resourceType":"Patient","name":[{"family":"Virtanen","given":["Aino"]}]}"#.to_vec();
//! let document = Document::from_json(model, text, &Limits::default())?;
//! let plan = Plan::compile(model, "name.where(given = 'Aino').family", model.type_named("Patient"))?;
//! let found = plan.evaluate(&Context::of(document.root()))?;
//! assert_eq!(found[0].to_text().as_deref(), Some("Virtanen"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod arithmetic;
mod call;
mod check;
mod convert;
mod decimal;
mod evaluate;
mod function;
mod pattern;
mod string;
mod syntax;
mod temporal;
mod unit;
mod value;

use std::cell::Cell;
use std::sync::Arc;

use crate::definitions::{Model, Symbol, TypeId};
use crate::fhir::document::Node;

pub use decimal::Decimal;
pub use evaluate::compare;
pub use pattern::{Pattern, matches_fully, whole_pattern};
pub use syntax::{Span, SyntaxError, SyntaxFault};
pub use temporal::{Calendar, Kind as TemporalKind, Precision, Temporal};
pub use value::{Quantity, QuantityUnit, TypeInfo, Value};

use syntax::{Id, Op};

/// A compiled expression.
#[derive(Debug)]
pub struct Plan {
    model: Arc<Model>,
    ops: Vec<Op>,
    spans: Vec<Span>,
    /// For each step that is a name: its symbol, and the type of that name.
    names: Vec<(Symbol, Option<TypeId>)>,
    /// For each step with a pattern that is a literal: the pattern compiled.
    patterns: Vec<Option<Pattern>>,
    asks_for_time: bool,
    root: Id,
}

/// Why an evaluation has no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    /// Several items where one is needed.
    #[error("several items where one is needed")]
    Several,
    /// An operation on values it does not have.
    #[error("{0} cannot be applied to these values")]
    WrongType(&'static str),
    /// More items than the budget allows.
    #[error("the expression looks at more items than allowed")]
    Budget,
    /// Nested more deeply than allowed.
    #[error("the expression is nested more deeply than allowed")]
    Depth,
    /// A variable that is not known.
    #[error("there is no %{0}")]
    UnknownVariable(String),
    /// A type that is not known.
    #[error("there is no type {0}")]
    UnknownType(String),
    /// The expression asks for the time and none was handed in.
    #[error("the expression asks for the time, and none was handed in")]
    NoClock,
    /// Something that cannot be decided with what is at hand: a profile, a value set.
    #[error("{0}() cannot be decided with what is at hand")]
    Undecided(&'static str),
    /// A pattern that is no regular expression, or one too large.
    #[error("not a regular expression, or one too large")]
    Pattern,
    /// The collection has no order that could be relied on.
    #[error("the items have no order")]
    Unordered,
}

/// What lies above: other resources, value sets, profiles.
pub trait Host {
    /// The resource that a reference is to.
    fn resolve<'d>(&self, reference: &str, from: Node<'d>) -> Option<Node<'d>> {
        let _ = (reference, from);
        None
    }

    /// Whether a coded value is in a value set; nothing when it cannot be decided.
    fn member_of(&self, value: Node<'_>, value_set: &str) -> Option<bool> {
        let _ = (value, value_set);
        None
    }

    /// Whether a node conforms to a profile; nothing when the profile is not at hand.
    fn conforms_to(&self, node: Node<'_>, profile: &str) -> Option<bool> {
        let _ = (node, profile);
        None
    }

    /// Whether a code is or is below another of the same system; nothing when it cannot be decided.
    fn subsumes(&self, system: &str, ancestor: &str, code: &str) -> Option<bool> {
        let _ = (system, ancestor, code);
        None
    }

    /// Whether a narrative keeps to the rules of XHTML in FHIR.
    fn is_narrative(&self, div: Node<'_>) -> bool {
        let _ = div;
        true
    }
}

/// A host that knows nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Alone;

impl Host for Alone {}

/// What `trace()` tells: its name, and an item.
pub type Trace<'h> = dyn Fn(&str, &Value<'_>) + 'h;

/// What an expression is evaluated on.
pub struct Context<'d, 'h> {
    /// Where it starts.
    pub focus: Option<Node<'d>>,
    /// `%context`; the focus where not given.
    pub context: Option<Node<'d>>,
    /// `%resource`.
    pub resource: Option<Node<'d>>,
    /// `%rootResource`: the container of a contained resource.
    pub root_resource: Option<Node<'d>>,
    /// `now()`, `today()`, `timeOfDay()`.
    pub now: Option<Temporal>,
    /// Other variables.
    pub variables: &'h [(&'h str, Value<'d>)],
    /// What lies above.
    pub host: &'h dyn Host,
    /// Items that may be looked at.
    pub budget: Budget,
    /// Where `trace()` tells.
    pub trace: Option<&'h Trace<'h>>,
}

impl std::fmt::Debug for Context<'_, '_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Context({:?})", self.focus)
    }
}

impl<'d> Context<'d, '_> {
    /// On a node, alone.
    #[must_use]
    pub fn of(node: Node<'d>) -> Self {
        let resource = node.resource();
        Self {
            focus: Some(node),
            context: None,
            resource: Some(resource),
            root_resource: Some(root_of(resource)),
            now: None,
            variables: &[],
            host: &Alone,
            budget: Budget::default(),
            trace: None,
        }
    }
}

/// The resource that contains a contained resource; itself for every other.
#[must_use]
pub fn root_of(resource: Node<'_>) -> Node<'_> {
    match resource.parent() {
        Some(parent) if resource.element_name() == "contained" => root_of(parent.resource()),
        _ => resource,
    }
}

/// The longest text in bytes that an evaluation may make.
const MOST_TEXT: usize = 64 << 20;

/// How many items an evaluation may look at.
#[derive(Debug, Clone)]
pub struct Budget(Cell<u64>);

impl Default for Budget {
    fn default() -> Self {
        Self::new(20_000_000)
    }
}

impl Budget {
    /// So many items.
    #[must_use]
    pub const fn new(items: u64) -> Self {
        Self(Cell::new(items))
    }

    /// How many items are left.
    #[must_use]
    pub const fn left(&self) -> u64 {
        self.0.get()
    }

    /// For a text that is made: none longer than [`MOST_TEXT`], and long ones as much as many items.
    fn spend_text(&self, bytes: usize) -> Result<(), EvalError> {
        if bytes > MOST_TEXT {
            return Err(EvalError::Budget);
        }
        self.spend(bytes as u64 / 16)
    }

    fn spend(&self, items: u64) -> Result<(), EvalError> {
        let left = self.0.get().checked_sub(items).ok_or(EvalError::Budget)?;
        self.0.set(left);
        Ok(())
    }
}

impl Plan {
    /// Compiles an expression. With a type, names are checked against it.
    ///
    /// # Errors
    /// Where the text is no expression, or names an element or type that does not exist.
    pub fn compile(model: &Arc<Model>, text: &str, on: Option<TypeId>) -> Result<Self, SyntaxError> {
        let (ops, spans, root) = syntax::Parser::parse(text)?;
        let names = ops
            .iter()
            .map(|op| match op {
                Op::Child { of, name } => {
                    let type_id = of.is_none().then(|| model.type_named(name)).flatten();
                    (model.symbol(name), type_id)
                }
                _ => (Symbol::UNKNOWN, None),
            })
            .collect();
        let is_timed = |op: &Op| {
            use function::Function;
            matches!(op, Op::Call { function: Function::Now | Function::Today | Function::TimeOfDay, .. })
        };
        let asks_for_time = ops.iter().any(is_timed);
        let mut plan = Self { model: Arc::clone(model), ops, spans, names, patterns: Vec::new(), asks_for_time, root };
        plan.patterns = plan.compile_patterns()?;
        if let Some(on) = on {
            check::check(&plan, on, false)?;
        }
        Ok(plan)
    }

    /// Checks names and the use of collections against a type, with the rules of the strict mode: order is not relied on
    /// where there is none.
    ///
    /// # Errors
    /// The first place that breaks a rule.
    pub fn check_strictly(&self, on: TypeId) -> Result<(), SyntaxError> {
        check::check(self, on, true)
    }

    /// Evaluates to a collection.
    ///
    /// # Errors
    /// See [`EvalError`].
    pub fn evaluate<'d>(&self, context: &Context<'d, '_>) -> Result<Vec<Value<'d>>, EvalError> {
        evaluate::collection(self, context)
    }

    /// Evaluates to a boolean as constraints are: nothing for the empty collection.
    ///
    /// # Errors
    /// See [`EvalError`].
    pub fn holds(&self, context: &Context<'_, '_>) -> Result<Option<bool>, EvalError> {
        evaluate::boolean(self, context)
    }

    /// Whether it has `now()`, `today()` or `timeOfDay()`, for which [`Context::now`] is needed.
    #[must_use]
    pub const fn asks_for_time(&self) -> bool {
        self.asks_for_time
    }

    fn op(&self, id: Id) -> &Op {
        self.ops.get(id.0).unwrap_or(&Op::Empty)
    }

    fn compile_patterns(&self) -> Result<Vec<Option<Pattern>>, SyntaxError> {
        use function::Function;
        let mut patterns = Vec::with_capacity(self.ops.len());
        for (op, span) in self.ops.iter().zip(&self.spans) {
            let mut pattern = None;
            if let Op::Call { function, arguments, .. } = op
                && matches!(function, Function::Matches | Function::MatchesFull | Function::ReplaceMatches)
                && let Some(Op::Literal(Value::String(text))) = arguments.first().map(|id| self.op(*id))
            {
                let compiled = Pattern::new(text, *function == Function::MatchesFull);
                let fault = |_| SyntaxError { fault: SyntaxFault::Pattern, span: *span };
                pattern = Some(compiled.map_err(fault)?);
            }
            patterns.push(pattern);
        }
        Ok(patterns)
    }
}
