//! What is checked on the elements of a core type, compiled from the model on first use.

use std::sync::{Arc, OnceLock};

use crate::definitions::{ElementId, Kind, Model, Strength, Symbol, TypeId};
use crate::fhir::datatypes::Primitive;
use crate::package::library::Canonical;
use crate::terminology::{Set, Terminology};

/// The plans of all types, made one by one as documents need them.
#[derive(Debug)]
pub(super) struct Plans {
    model: Arc<Model>,
    types: Vec<OnceLock<TypePlan>>,
}

/// One type.
#[derive(Debug)]
pub(super) struct TypePlan {
    pub(super) kind: Kind,
    pub(super) is_abstract: bool,
    pub(super) first: ElementId,
    pub(super) elements: Vec<ElementPlan>,
    pub(super) constraints: Vec<super::constraint::Constraint>,
    pub(super) special: Special,
    pub(super) lexical: Lexical,
    pub(super) form: Primitive,
    pub(super) is_canonical: bool,
}

/// Types with rules of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Special {
    None,
    Reference,
    Extension,
    Bundle,
    Narrative,
    Attachment,
    Response,
    MeasureReport,
    Structure,
    Map,
    SearchParameter,
    Capability,
    Questionnaire,
    CodeSystem,
    ValueSet,
    ConceptMap,
    Coding,
    Quantity,
    Identifier,
    Observation,
}

/// How JSON writes a primitive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lexical {
    None,
    Boolean,
    Number,
    Text,
    Xhtml,
}

/// One element.
#[derive(Debug)]
pub(super) struct ElementPlan {
    pub(super) id: ElementId,
    pub(super) symbol: Symbol,
    pub(super) min: u32,
    pub(super) max: Option<u32>,
    pub(super) is_array: bool,
    pub(super) binding: Option<Binding>,
    /// What none of its codes may be outside of.
    pub(super) maximum: Option<Binding>,
    pub(super) constraints: Vec<super::constraint::Constraint>,
    /// The types a reference may be to; none: any.
    pub(super) targets: Vec<TypeId>,
}

/// A value set that codes of an element are bound to, compiled on first use.
#[derive(Debug)]
pub(super) struct Binding {
    pub(super) strength: Strength,
    pub(super) url: Arc<str>,
    /// The value set itself, where the profile contains it.
    contained: Option<Arc<Canonical>>,
    set: OnceLock<Option<Arc<Set>>>,
}

impl Binding {
    pub(super) fn new(strength: Strength, url: &str) -> Self {
        Self { strength, url: Arc::from(url), contained: None, set: OnceLock::new() }
    }

    /// To a value set that the profile contains.
    pub(super) fn to_contained(strength: Strength, value_set: Canonical) -> Self {
        let url = Arc::from(value_set.url.as_str());
        Self { strength, url, contained: Some(Arc::new(value_set)), set: OnceLock::new() }
    }

    pub(super) fn set(&self, terminology: &Terminology) -> Option<&Arc<Set>> {
        let find = || match &self.contained {
            Some(value_set) => Some(terminology.compose(value_set)),
            None => terminology.value_set(&self.url),
        };
        self.set.get_or_init(find).as_ref()
    }
}

impl Plans {
    pub(super) fn new(model: &Arc<Model>) -> Self {
        let types = model.types().map(|_| OnceLock::new()).collect();
        Self { model: Arc::clone(model), types }
    }

    pub(super) fn of(&self, id: TypeId) -> Option<&TypePlan> {
        self.types.get(usize::from(id.0)).map(|held| held.get_or_init(|| TypePlan::compile(&self.model, id)))
    }
}

impl TypePlan {
    fn compile(model: &Arc<Model>, id: TypeId) -> Self {
        let name = model.type_name(id);
        let elements: Vec<ElementPlan> =
            model.elements(id).map(|element| ElementPlan::compile(model, element)).collect();
        let kind = model.kind(id);
        Self {
            kind,
            is_abstract: model.is_abstract(id),
            first: elements.first().map_or(ElementId(0), |element| element.id),
            elements,
            constraints: super::constraint::of_type(model, id),
            special: match name {
                "Reference" => Special::Reference,
                "Extension" => Special::Extension,
                "Bundle" => Special::Bundle,
                "Narrative" => Special::Narrative,
                "Attachment" => Special::Attachment,
                "QuestionnaireResponse" => Special::Response,
                "MeasureReport" => Special::MeasureReport,
                "StructureDefinition" => Special::Structure,
                "StructureMap" => Special::Map,
                "SearchParameter" => Special::SearchParameter,
                "CapabilityStatement" => Special::Capability,
                "Questionnaire" => Special::Questionnaire,
                "CodeSystem" => Special::CodeSystem,
                "ValueSet" => Special::ValueSet,
                "ConceptMap" => Special::ConceptMap,
                "Coding" => Special::Coding,
                "Quantity" | "Age" | "Count" | "Distance" | "Duration" => Special::Quantity,
                "Identifier" => Special::Identifier,
                "Observation" => Special::Observation,
                _ => Special::None,
            },
            is_canonical: name == "canonical",
            form: Primitive::of(if kind == Kind::Primitive { name } else { "" }),
            lexical: match name {
                _ if kind != Kind::Primitive => Lexical::None,
                "boolean" => Lexical::Boolean,
                "integer" | "positiveInt" | "unsignedInt" | "decimal" => Lexical::Number,
                "xhtml" => Lexical::Xhtml,
                _ => Lexical::Text,
            },
        }
    }

    pub(super) fn element(&self, id: ElementId) -> Option<(usize, &ElementPlan)> {
        let place = id.0.checked_sub(self.first.0)? as usize;
        self.elements.get(place).map(|element| (place, element))
    }
}

impl ElementPlan {
    fn compile(model: &Arc<Model>, element: crate::definitions::Element<'_>) -> Self {
        let mut targets = Vec::new();
        let mut any = false;
        for choice in element.types() {
            for target in choice.targets() {
                let name = target.rsplit('/').next().unwrap_or(target);
                match model.type_named(name) {
                    Some(id) if name != "Resource" => targets.push(id),
                    _ => any = true,
                }
            }
        }
        if any {
            targets.clear();
        }
        let binding = element
            .binding()
            .filter(|(strength, _)| matches!(strength, Strength::Required | Strength::Extensible))
            .map(|(strength, url)| Binding::new(strength, url));
        Self {
            id: element.id(),
            symbol: element.symbol(),
            min: u32::from(element.min()),
            max: element.max().map(u32::from),
            is_array: element.is_array(),
            binding,
            maximum: element.maximum().map(|url| Binding::new(Strength::Required, url)),
            constraints: super::constraint::of_element(model, element),
            targets,
        }
    }
}

/// Names that the walk asks for.
#[derive(Debug)]
pub(super) struct Names {
    pub(super) extension: Symbol,
    pub(super) reference: Symbol,
    pub(super) kind: Symbol,
    pub(super) contained: Symbol,
    pub(super) id: Symbol,
    pub(super) system: Symbol,
    pub(super) code: Symbol,
    pub(super) coding: Symbol,
    pub(super) value: Symbol,
    pub(super) meta: Symbol,
    pub(super) profile: Symbol,
    pub(super) div: Symbol,
    pub(super) url: Symbol,
    pub(super) version: Symbol,
}

impl Names {
    pub(super) fn new(model: &Model) -> Self {
        Self {
            extension: model.symbol("extension"),
            reference: model.symbol("reference"),
            kind: model.symbol("type"),
            contained: model.symbol("contained"),
            id: model.symbol("id"),
            system: model.symbol("system"),
            code: model.symbol("code"),
            coding: model.symbol("coding"),
            value: model.symbol("value"),
            meta: model.symbol("meta"),
            profile: model.symbol("profile"),
            div: model.symbol("div"),
            url: model.symbol("url"),
            version: model.symbol("version"),
        }
    }
}
