//! The search parameters of R4, each with its compiled plan.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::definitions::{Kind, Model, SearchParameter, SearchType};

use super::expression::Plan;

/// A search parameter on one type.
#[derive(Debug)]
pub struct Parameter {
    definition: SearchParameter<'static>,
    plan: Plan,
    implied: Option<&'static str>,
}

/// Every search parameter whose expression compiles and whose values can be compared.
#[derive(Debug)]
pub struct Parameters {
    by_type: BTreeMap<&'static str, Vec<Parameter>>,
}

static R4: LazyLock<Parameters> = LazyLock::new(|| Parameters::of(Model::r4()));

impl Parameter {
    /// Its name in a query.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.definition.code()
    }

    /// What sort of value it compares.
    #[must_use]
    pub fn kind(&self) -> SearchType {
        self.definition.kind()
    }

    /// The canonical URL of its definition.
    #[must_use]
    pub fn url(&self) -> &'static str {
        self.definition.url()
    }

    /// For a reference: the types that may be referred to.
    pub fn targets(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.definition.targets()
    }

    pub(super) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The code system of an element of type `code`, which does not write it.
    pub(super) fn implied_system(&self) -> Option<&'static str> {
        self.implied
    }
}

impl Parameters {
    /// Those of R4.
    #[must_use]
    pub fn r4() -> &'static Self {
        &R4
    }

    fn of(model: &'static Model) -> Self {
        let mut by_type = BTreeMap::new();
        let common: Vec<_> = model.search_parameters("Resource").collect();
        for id in model.types().filter(|id| model.kind(*id) == Kind::Resource && !model.is_abstract(*id)) {
            let name = model.type_name(id);
            let mut here: Vec<Parameter> = common
                .iter()
                .copied()
                .chain(model.search_parameters(name))
                .filter(|definition| is_comparable(definition.kind()) && !is_example(definition.url()))
                .filter_map(|definition| {
                    let plan = Plan::compile(definition.expression(), name)?;
                    let implied = implied_system(model, name, &plan);
                    Some(Parameter { definition, plan, implied })
                })
                .collect();
            here.sort_by_key(Parameter::code);
            here.dedup_by_key(|parameter| parameter.code());
            by_type.insert(name, here);
        }
        Self { by_type }
    }

    /// Those on a type, by name; none when the type is not one.
    #[must_use]
    pub fn on(&self, resource_type: &str) -> &[Parameter] {
        self.by_type.get(resource_type).map_or(&[], Vec::as_slice)
    }

    /// The one of this name on a type.
    #[must_use]
    pub fn find(&self, resource_type: &str, code: &str) -> Option<&Parameter> {
        let on = self.on(resource_type);
        on.binary_search_by(|parameter| parameter.code().cmp(code)).ok().and_then(|at| on.get(at))
    }

    /// The name of a resource type as the table has it.
    #[must_use]
    pub fn type_named(&self, name: &str) -> Option<&'static str> {
        self.by_type.get_key_value(name).map(|(name, _)| *name)
    }
}

/// The definitions show how parameters are defined by some that are not meant to be offered.
fn is_example(url: &str) -> bool {
    url.starts_with("http://hl7.org/fhir/SearchParameter/example")
}

fn is_comparable(kind: SearchType) -> bool {
    match kind {
        SearchType::Date | SearchType::String | SearchType::Token | SearchType::Reference | SearchType::Uri => true,
        SearchType::Number | SearchType::Composite | SearchType::Quantity | SearchType::Special => false,
    }
}

/// The one system of the value set that a `code` element is bound to.
fn implied_system(model: &'static Model, resource_type: &str, plan: &Plan) -> Option<&'static str> {
    let mut here = model.type_named(resource_type)?;
    let mut bound = None;
    for name in plan.plain()? {
        let element = model.element_named(here, name)?;
        let choice = element.types().next()?;
        here = choice.type_id();
        bound = (model.type_name(here) == "code").then(|| element.binding()).flatten();
    }
    let canonical = bound?.1;
    let url = canonical.split_once('|').map_or(canonical, |(url, _)| url);
    let mut systems = model.value_set(url)?.includes().filter(|include| !include.is_exclude());
    let system = systems.next()?.system();
    (systems.next().is_none() && !system.is_empty()).then_some(system)
}
