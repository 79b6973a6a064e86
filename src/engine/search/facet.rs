//! Facets: what a resource can be found by.

use std::borrow::Cow;

use crate::definitions::{Model, SearchType, Symbol};
use crate::fhir::document::{Document, Node};

use super::interval::Interval;
use super::parameter::Parameters;

/// One value of one search parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facet {
    /// The parameter's name, such as `status`.
    pub name: Cow<'static, str>,
    /// Its value.
    pub value: FacetValue,
}

/// The value of a [`Facet`], by kind of parameter (<http://hl7.org/fhir/R4/search.html#ptypes>).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FacetValue {
    /// A code, Coding or Identifier; of a reference parameter the identifier of what is referred to.
    Token {
        /// Its system; none where the element has none.
        system: Option<String>,
        /// The code or the identifier's value.
        code: String,
    },
    /// A reference or canonical as written.
    Reference(String),
    /// What a date, dateTime, instant or Period covers.
    Interval(Interval),
    /// A string or uri.
    Text(String),
}

/// Everything that a resource can be found by, by parameter.
#[must_use]
pub fn facets(document: &Document) -> Vec<Facet> {
    facets_at(document.root())
}

/// [`facets`] of a resource that is a part of a document.
#[must_use]
pub fn facets_at(root: Node<'_>) -> Vec<Facet> {
    let mut found = Vec::new();
    let is_r4 = std::ptr::eq(root.document().model().as_ref(), Model::r4().as_ref());
    let mut children: Vec<Symbol> =
        root.children().map(|child| child.element().map_or(child.symbol(), |element| element.symbol())).collect();
    children.dedup();
    for parameter in Parameters::r4().on(root.type_name()) {
        if is_r4 && !parameter.plan().may_find(&children) {
            continue;
        }
        for node in parameter.plan().find(root) {
            let add = &mut |value| found.push(Facet { name: Cow::Borrowed(parameter.code()), value });
            match parameter.kind() {
                SearchType::Token => tokens(node, add),
                SearchType::Reference => references(node, add),
                SearchType::Date => intervals(node, add),
                SearchType::String => texts(node, add),
                SearchType::Uri => {
                    node.text().map(str::to_owned).map(FacetValue::Text).into_iter().for_each(add);
                }
                SearchType::Number | SearchType::Composite | SearchType::Quantity | SearchType::Special => {}
            }
        }
    }
    found
}

fn token(system: Option<&str>, code: &str) -> FacetValue {
    FacetValue::Token { system: system.map(str::to_owned), code: code.to_owned() }
}

fn tokens(node: Node<'_>, add: &mut dyn FnMut(FacetValue)) {
    match node.type_name() {
        "CodeableConcept" => node.named("coding").for_each(|coding| tokens(coding, add)),
        "Coding" => {
            if let Some(code) = node.text_at("code") {
                add(token(node.text_at("system"), code));
            }
        }
        "Identifier" => {
            if let Some(value) = node.text_at("value") {
                add(token(node.text_at("system"), value));
            }
        }
        "ContactPoint" => {
            if let Some(value) = node.text_at("value") {
                add(token(None, value));
            }
        }
        _ => {
            if let Some(text) = node.text() {
                add(token(None, text));
            }
        }
    }
}

fn references(node: Node<'_>, add: &mut dyn FnMut(FacetValue)) {
    if let Some(text) = node.text().or_else(|| node.text_at("reference")) {
        add(FacetValue::Reference(text.to_owned()));
    }
    if let Some(identifier) = node.first("identifier") {
        tokens(identifier, add);
    }
}

fn intervals(node: Node<'_>, add: &mut dyn FnMut(FacetValue)) {
    if node.is_primitive() {
        if let Some(interval) = node.text().and_then(Interval::parse) {
            add(FacetValue::Interval(interval));
        }
        return;
    }
    match node.type_name() {
        "Period" => {
            let part = |name| node.text_at(name).and_then(Interval::parse);
            let from = part("start").map_or(Interval::ALWAYS.from, |start| start.from);
            let to = part("end").map_or(Interval::ALWAYS.to, |end| end.to);
            if from < to && node.children().next().is_some() {
                add(FacetValue::Interval(Interval { from, to }));
            }
        }
        "Timing" => {
            let whole = node.named("event").filter_map(|event| Interval::parse(event.text()?)).reduce(Interval::until);
            if let Some(whole) = whole {
                add(FacetValue::Interval(whole));
            }
            if let Some(bounds) = node.at("repeat.bounds") {
                intervals(bounds, add);
            }
        }
        _ => {}
    }
}

fn texts(node: Node<'_>, add: &mut dyn FnMut(FacetValue)) {
    if node.is_primitive() {
        node.text().map(|text| FacetValue::Text(text.to_owned())).into_iter().for_each(add);
        return;
    }
    // HumanName and Address: any of the parts (http://hl7.org/fhir/R4/search.html#string).
    for part in
        node.children().filter(|part| part.is_primitive() && !matches!(part.element_name(), "use" | "id" | "type"))
    {
        if let Some(text) = part.text() {
            add(FacetValue::Text(text.to_owned()));
        }
    }
}
