//! The part of FHIRPath in which the definitions write search parameters, compiled to steps.
//!
//! <http://hl7.org/fhir/R4/searchparameter-registry.html>

use crate::definitions::{Model, Symbol};
use crate::fhir::document::Node;

/// An expression as alternatives, each a walk from the resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    alternatives: Vec<Vec<Step>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    /// Every repetition of a child by its logical name, which has this symbol in R4.
    Child(String, Symbol),
    /// Only what is of this type: `(a as T)`, `a.as(T)`, `a.ofType(T)`.
    OfType(String),
    /// Only references to this type: `where(resolve() is T)`.
    RefersTo(String),
    /// Only what has a child of this text: `where(system = 'phone')`.
    Where(String, String),
}

impl Plan {
    /// Compiles the alternatives of an expression that begin at the type or at what every resource has. Nothing when none
    /// does, or one is written in more of FHIRPath than this.
    pub(super) fn compile(expression: &str, resource_type: &str) -> Option<Self> {
        let mut alternatives = Vec::new();
        for text in split(expression, '|') {
            let (start, steps) = walk(text.trim())?;
            if start == resource_type || matches!(start, "Resource" | "DomainResource") {
                alternatives.push(steps);
            }
        }
        (!alternatives.is_empty()).then_some(Self { alternatives })
    }

    /// The logical names from the resource, where the plan is one plain walk.
    pub(super) fn plain(&self) -> Option<Vec<&str>> {
        let [steps] = self.alternatives.as_slice() else { return None };
        steps.iter().map(|step| if let Step::Child(name, _) = step { Some(name.as_str()) } else { None }).collect()
    }

    /// Whether the plan may find anything in a resource of R4 that has children of these logical names only.
    pub(super) fn may_find(&self, children: &[Symbol]) -> bool {
        self.alternatives.iter().any(|steps| match steps.first() {
            Some(Step::Child(_, symbol)) => *symbol == Symbol::UNKNOWN || children.contains(symbol),
            _ => true,
        })
    }

    /// What the plan finds in a resource, in order.
    pub(super) fn find<'d>(&'d self, resource: Node<'d>) -> Vec<Node<'d>> {
        let mut found = Vec::new();
        let is_r4 = std::ptr::eq(resource.document().model().as_ref(), Model::r4().as_ref());
        for steps in &self.alternatives {
            let mut here = vec![resource];
            for step in steps {
                here = match step {
                    Step::Child(_, symbol) if is_r4 && *symbol != Symbol::UNKNOWN => {
                        here.iter().flat_map(|node| node.child(*symbol)).collect()
                    }
                    Step::Child(name, _) => here.iter().flat_map(|node| node.named(name)).collect(),
                    Step::OfType(name) => here.into_iter().filter(|node| node.type_name() == name).collect(),
                    Step::RefersTo(name) => here.into_iter().filter(|node| refers_to(*node, name)).collect(),
                    Step::Where(name, text) => {
                        here.into_iter().filter(|node| node.text_at(name) == Some(text.as_str())).collect()
                    }
                };
                if here.is_empty() {
                    break;
                }
            }
            found.extend(here);
        }
        found
    }
}

/// Whether a Reference is to a type, as far as it says so itself.
fn refers_to(node: Node<'_>, resource_type: &str) -> bool {
    if node.text_at("type") == Some(resource_type) {
        return true;
    }
    let Some(reference) = node.text_at("reference") else { return false };
    let reference = reference.split_once("/_history/").map_or(reference, |(before, _)| before);
    reference.rsplit_once('/').is_some_and(|(before, _)| before.rsplit('/').next() == Some(resource_type))
}

/// Splits at a character outside parentheses and quotes.
fn split(text: &str, at: char) -> Vec<&str> {
    let (mut parts, mut depth, mut quoted, mut from) = (Vec::new(), 0_u32, false, 0);
    for (place, letter) in text.char_indices() {
        match letter {
            '\'' => quoted = !quoted,
            '(' if !quoted => depth = depth.saturating_add(1),
            ')' if !quoted => depth = depth.saturating_sub(1),
            _ if letter == at && depth == 0 && !quoted => {
                parts.extend(text.get(from..place));
                from = place + at.len_utf8();
            }
            _ => {}
        }
    }
    parts.extend(text.get(from..));
    parts
}

/// The type that an alternative begins at, and its steps.
fn walk(text: &str) -> Option<(&str, Vec<Step>)> {
    if let Some(inside) = text.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
        let (path, of) = inside.rsplit_once(" as ").unwrap_or((inside, ""));
        let (start, mut steps) = walk(path.trim())?;
        if !of.is_empty() {
            steps.push(Step::OfType(name(of.trim())?.to_owned()));
        }
        return Some((start, steps));
    }
    let mut parts = split(text, '.').into_iter();
    let start = name(parts.next()?)?;
    let steps = parts.map(step).collect::<Option<_>>()?;
    Some((start, steps))
}

fn step(text: &str) -> Option<Step> {
    let Some((function, rest)) = text.split_once('(') else {
        return name(text).map(|text| Step::Child(text.to_owned(), Model::r4().symbol(text)));
    };
    let argument = rest.strip_suffix(')')?.trim();
    match function {
        "as" | "ofType" => name(argument).map(|of| Step::OfType(of.to_owned())),
        "where" => match argument.strip_prefix("resolve() is ") {
            Some(of) => name(of.trim()).map(|of| Step::RefersTo(of.to_owned())),
            None => {
                let (element, literal) = argument.split_once('=')?;
                let literal = literal.trim().strip_prefix('\'')?.strip_suffix('\'')?;
                name(element.trim()).map(|element| Step::Where(element.to_owned(), literal.to_owned()))
            }
        },
        _ => None,
    }
}

fn name(text: &str) -> Option<&str> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric())).then_some(text)
}
