//! Constraints of the core and of profiles, by key and FHIRPath.
//!
//! An expression is compiled once, on first use, and shared by every element that has it. Those that hang on everything
//! have a native form, chosen by key *and* exact text.

use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use rustc_hash::FxHashMap;
use serde_json::Value;

use crate::definitions::{Element, Model, TypeId};
use crate::fhirpath::Plan;

/// A constraint on a type or an element.
#[derive(Debug)]
pub(super) struct Constraint {
    pub(super) key: Arc<str>,
    pub(super) expression: Arc<str>,
    /// What it says in words, where its definition does.
    pub(super) human: Option<Arc<str>>,
    pub(super) is_error: bool,
    pub(super) best_practice: bool,
    pub(super) check: Check,
    plan: OnceLock<Option<Arc<Plan>>>,
}

/// How a constraint is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Check {
    /// By its expression.
    Expression,
    /// An extension has extensions or a value, not both.
    ExtensionOrValue,
    /// Contained resources contain none.
    NoNested,
    /// Contained resources are referred to.
    ContainedUsed,
    /// Contained resources have no version and no time of update.
    ContainedUnversioned,
    /// Contained resources have no security labels.
    ContainedUnlabelled,
    /// The resource has a narrative.
    HasNarrative,
}

/// Expressions compiled so far.
#[derive(Debug, Default)]
pub(super) struct Compiled {
    plans: RwLock<FxHashMap<Arc<str>, Option<Arc<Plan>>>>,
}

impl Compiled {
    /// The plan of an expression; nothing when it is none.
    pub(super) fn plan(&self, model: &Arc<Model>, expression: &Arc<str>) -> Option<Arc<Plan>> {
        if let Some(held) = self.plans.read().unwrap_or_else(PoisonError::into_inner).get(expression) {
            return held.clone();
        }
        let made = Plan::compile(model, expression, None).ok().map(Arc::new);
        let mut plans = self.plans.write().unwrap_or_else(PoisonError::into_inner);
        plans.entry(Arc::clone(expression)).or_insert(made).clone()
    }
}

/// Those that hold by other rules of the walk: ele-1 by the shapes of JSON, ref-1 by the rules of references, txt-1 and
/// txt-2 by those of narratives.
const ELSEWHERE: [(&str, &str); 5] = [
    ("ele-1", "hasValue() or (children().count() > id.count())"),
    ("ele-1", "hasValue() or (children().count() > id.count()) or $this is Parameters"),
    (
        "ref-1",
        "reference.startsWith('#').not() or (reference.substring(1).trace('url') in %rootResource.contained.id.trace('ids'))",
    ),
    ("txt-1", "htmlChecks()"),
    ("txt-2", "htmlChecks()"),
];

fn native(key: &str, expression: &str) -> Option<Check> {
    Some(match (key, expression) {
        ("ext-1", "extension.exists() != value.exists()") => Check::ExtensionOrValue,
        ("dom-2", "contained.contained.empty()") => Check::NoNested,
        ("dom-3", text) if text.starts_with("contained.where((('#'+id in (%resource.descendants().reference") => {
            Check::ContainedUsed
        }
        ("dom-4", "contained.meta.versionId.empty() and contained.meta.lastUpdated.empty()") => {
            Check::ContainedUnversioned
        }
        ("dom-5", "contained.meta.security.empty()") => Check::ContainedUnlabelled,
        ("dom-6", "text.`div`.exists()") => Check::HasNarrative,
        _ => return None,
    })
}

/// Faults of published expressions: key, text, text that says what is meant, reason.
const ERRATA: [(&str, &str, &str, &str); 5] = [
    (
        "que-7",
        "operator = 'exists' implies (answer is Boolean)",
        "operator = 'exists' implies (answer is boolean)",
        "the answer is an element, so its type is FHIR.boolean, which is not System.Boolean",
    ),
    (
        "que-12",
        "enableWhen.count() > 2 implies enableBehavior.exists()",
        "enableWhen.count() > 1 implies enableBehavior.exists()",
        "it speaks of more than one",
    ),
    (
        "bdl-8",
        "fullUrl.contains('/_history/').not()",
        "fullUrl.empty() or fullUrl.contains('/_history/').not()",
        "a fullUrl may be absent",
    ),
    (
        "ras-2",
        "probability is decimal implies (probability as decimal) <= 100",
        "probability.empty() or (probability is decimal implies (probability as decimal) <= 100)",
        "a probability may be absent",
    ),
    (
        "vs-1",
        "($this as dateTime).toString().length() >= 8",
        "$this is dateTime implies $this.toString().length() >= 8",
        "it speaks of a dateTime; the other type is Period",
    ),
];

impl Constraint {
    pub(super) fn new(key: &str, expression: &str, is_error: bool, human: Option<&str>) -> Option<Self> {
        if ELSEWHERE.contains(&(key, expression)) {
            return None;
        }
        let erratum = ERRATA.iter().find(|(of, text, ..)| *of == key && *text == expression);
        let expression = erratum.map_or(expression, |(_, _, meant, _)| meant);
        let check = native(key, expression).unwrap_or(Check::Expression);
        Some(Self {
            key: Arc::from(key),
            expression: Arc::from(expression),
            human: human.map(Arc::from),
            is_error,
            best_practice: check == Check::HasNarrative,
            check,
            plan: OnceLock::new(),
        })
    }

    pub(super) fn plan(&self, model: &Arc<Model>, compiled: &Compiled) -> Option<&Arc<Plan>> {
        self.plan.get_or_init(|| compiled.plan(model, &self.expression)).as_ref()
    }
}

fn of_core(constraint: crate::definitions::Constraint<'_>) -> Option<Constraint> {
    Constraint::new(constraint.key, constraint.expression, constraint.is_error, None)
}

/// The constraints on a type as a whole.
pub(super) fn of_type(model: &Arc<Model>, id: TypeId) -> Vec<Constraint> {
    model.type_constraints(id).filter_map(of_core).collect()
}

/// The constraints that an element has beyond those of its type: its own, and those of the profiles of its type
/// (`SimpleQuantity`).
pub(super) fn of_element(model: &Arc<Model>, element: Element<'_>) -> Vec<Constraint> {
    let of_types: Vec<&str> = element
        .types()
        .flat_map(|choice| model.type_constraints(choice.type_id()).map(|constraint| constraint.key))
        .collect();
    let own = element.constraints().filter(|constraint| !of_types.contains(&constraint.key)).filter_map(of_core);
    let mut all: Vec<Constraint> = own.collect();
    for profile in element.types().flat_map(|choice| choice.profiles().collect::<Vec<_>>()) {
        for constraint in of_profile(model, profile) {
            if !of_types.contains(&&*constraint.key) && all.iter().all(|held| held.key != constraint.key) {
                all.push(constraint);
            }
        }
    }
    all
}

/// The constraints that a profile of the core has as a whole.
fn of_profile(model: &Model, canonical: &str) -> Vec<Constraint> {
    let facts = model.structure(canonical).and_then(|facts| serde_json::from_str::<Value>(facts).ok());
    let text = |of: &Value, key: &str| of.get(key).and_then(Value::as_str).unwrap_or("").to_owned();
    let elements = facts.as_ref().and_then(|facts| facts.pointer("/differential/element")).and_then(Value::as_array);
    let root = elements.and_then(|elements| elements.iter().find(|element| !text(element, "path").contains('.')));
    let constraints = root.and_then(|root| root.get("constraint")).and_then(Value::as_array);
    constraints
        .into_iter()
        .flatten()
        .filter_map(|one| {
            let is_error = text(one, "severity") != "warning";
            Constraint::new(&text(one, "key"), &text(one, "expression"), is_error, None)
        })
        .collect()
}
