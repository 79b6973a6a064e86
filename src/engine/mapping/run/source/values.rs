//! What places say: conditions on them, and what a lens reads there.

use std::borrow::Cow;

use crate::native::{Kind, Name, NodeId, Value};

use super::super::super::lens::{Lens, is_number};
use super::super::super::plan::Condition;
use super::super::super::syntax::Test;
use super::{Base, Source, XSI_TYPE};

/// Elements of a narrative that begin a line.
const APART: [&str; 8] = ["paragraph", "item", "list", "table", "tr", "caption", "br", "footnote"];

impl<'t> Source<'t> {
    /// Whether all conditions hold.
    pub(crate) fn hold(&self, base: Base, conditions: &[Condition]) -> bool {
        conditions.iter().all(|condition| self.holds(base, condition))
    }

    fn holds(&self, base: Base, condition: &Condition) -> bool {
        if matches!(condition.test, Test::Written(_)) {
            return true;
        }
        let start = if condition.path.from_document { self.root() } else { base };
        let others = condition.other.as_ref().map(|path| {
            let start = if path.from_document { self.root() } else { base };
            self.select(start, path)
        });
        let others = others.unwrap_or_default();
        let mut any = false;
        let mut check = |found: Base| {
            let value = self.value(found.node);
            let here = match (&condition.test, &value) {
                (Test::In(values), Value::Text(text)) => values.iter().any(|v| v == text),
                (Test::NotIn(values), Value::Text(text)) => values.iter().any(|v| v == text),
                (Test::Begins(all) | Test::NotBegins(all), Value::Text(text)) => {
                    all.iter().any(|begins| text.get(..begins.len()).is_some_and(|t| t.eq_ignore_ascii_case(begins)))
                }
                (Test::Inside(codes) | Test::Outside(codes), Value::Text(text)) => {
                    codes.iter().any(|code| code.eq_ignore_ascii_case(text.trim()))
                }
                (Test::Same | Test::NotSame, _) => {
                    others.iter().any(|other| self.identify_alike(found.node, other.node))
                }
                (Test::After | Test::NotAfter, Value::Text(text)) => {
                    let texts = others.iter().filter_map(|other| self.tree.text(other.node));
                    texts.into_iter().any(|other| is_later(text, &other))
                }
                (Test::Numeric | Test::NotNumeric, Value::Text(text)) => is_number(text),
                (Test::Valued | Test::Absent, Value::Text(_)) => true,
                // A composite, object or array is there when something in it is.
                (Test::Valued | Test::Absent, _) => {
                    let leaves = self.tree.leaves(found.node);
                    leaves.clone().any(|leaf| matches!(self.tree.value(self.tree.leaf_node(leaf)), Value::Text(_)))
                }
                _ => false,
            };
            any |= here;
            !any && (condition.any.is_some() || condition.path.many())
        };
        self.walk(start, &condition.looks().steps, &mut check);
        match condition.test {
            Test::In(_)
            | Test::Valued
            | Test::Inside(_)
            | Test::Begins(_)
            | Test::Numeric
            | Test::Same
            | Test::After
            | Test::Written(_) => any,
            Test::Absent
            | Test::NotIn(_)
            | Test::NotBegins(_)
            | Test::NotNumeric
            | Test::Outside(_)
            | Test::NotSame
            | Test::NotAfter => !any,
        }
    }

    /// Whether two parts identify the same: by root and extension, where they have a root, else by all that they hold.
    fn identify_alike(&self, one: NodeId, other: NodeId) -> bool {
        let told = |node: NodeId, name: &str| {
            let attribute = self.tree.attribute(node, &Name::local(name));
            attribute.and_then(|attribute| self.tree.text(attribute)).filter(|text| !text.is_empty())
        };
        match (told(one, "root"), told(other, "root")) {
            (Some(a), Some(b)) => a == b && told(one, "extension") == told(other, "extension"),
            (None, None) => {
                let texts = |node: NodeId| {
                    let leaves = self.tree.leaves(node).filter_map(|leaf| self.tree.leaf_node(leaf));
                    leaves.filter_map(|leaf| self.tree.text(leaf)).collect::<Vec<_>>()
                };
                let own = texts(one);
                !own.is_empty() && own == texts(other)
            }
            _ => false,
        }
    }

    /// A value as conditions compare it: a type that `xsi:type` names without its prefix.
    pub(crate) fn value(&self, node: NodeId) -> Value<'t> {
        let value = self.tree.value(node);
        let names_type = self.tree.kind(node) == Kind::Attribute
            && self.tree.xml_name(&XSI_TYPE).is_some_and(|name| self.tree.is_named(node, Kind::Attribute, name));
        match value {
            Value::Text(text) if names_type => match text.rsplit_once(':') {
                Some((_, local)) => Value::Text(Cow::Owned(local.to_owned())),
                None => Value::Text(text),
            },
            value => value,
        }
    }

    /// What a lens reads of a node: its value, or the markup in it.
    pub(crate) fn input(&self, lens: &Lens, node: NodeId) -> Value<'t> {
        match lens {
            Lens::Lines | Lens::Joined => self.lines(node),
            Lens::Narrative => match self.tree.markup(node) {
                Some(text) if !text.trim().is_empty() => Value::Text(text),
                _ => Value::Empty,
            },
            Lens::Shown => match self.shown(node) {
                text if text.is_empty() => Value::Empty,
                text => Value::Text(Cow::Owned(text)),
            },
            _ => self.tree.value(node),
        }
    }

    /// What is shown of an element: its words, a line for each part that stands for itself.
    fn shown(&self, node: NodeId) -> String {
        let mut lines = vec![String::new()];
        let mut open = vec![(node, false)];
        while let Some((at, ends)) = open.pop() {
            if self.tree.kind(at) == Kind::Text {
                if let (Some(line), Some(text)) = (lines.last_mut(), self.tree.text(at)) {
                    line.push_str(&text);
                }
                continue;
            }
            if self.tree.name(at).is_some_and(|name| APART.iter().any(|apart| name == *apart)) {
                lines.push(String::new());
            } else if self.tree.name(at).is_some_and(|name| name == "td" || name == "th")
                && let Some(line) = lines.last_mut()
            {
                line.push(' ');
            }
            if ends {
                continue;
            }
            open.push((at, true));
            let children: Vec<NodeId> =
                self.tree.children(at).filter(|c| self.tree.kind(*c) != Kind::Attribute).collect();
            open.extend(children.into_iter().rev().map(|child| (child, false)));
        }
        let words = lines.iter().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        words.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
    }

    /// The repetitions of the field that a node is one of.
    pub(crate) fn repetitions(&self, node: NodeId) -> Vec<NodeId> {
        let field = self.tree.parent(node).filter(|_| self.tree.kind(node) == Kind::Repetition);
        field.map_or_else(|| vec![node], |field| self.tree.repetitions(field).collect())
    }

    /// The repetitions of a text, a line each. What separates parts elsewhere is a character of the text here.
    fn lines(&self, node: NodeId) -> Value<'t> {
        let all = self.repetitions(node);
        let (Some(separators), true) = (self.tree.separators(), all.len() > 1 || self.tree.children(node).count() > 0)
        else {
            return self.tree.value(node);
        };
        let sub = separators.subcomponent.map(|byte| char::from(byte).to_string()).unwrap_or_default();
        let part = |node: Option<NodeId>| node.and_then(|node| self.tree.text(node)).unwrap_or_default();
        let line = |one: NodeId| {
            let last =
                |of: NodeId| self.tree.children(of).filter_map(|child| self.tree.number(child)).max().unwrap_or(1);
            let component = |n: u32| {
                let Some(node) = u16::try_from(n).ok().and_then(|n| self.tree.component(one, n)) else {
                    return String::new();
                };
                let texts =
                    (1..=last(node)).map(|n| part(u16::try_from(n).ok().and_then(|n| self.tree.subcomponent(node, n))));
                texts.collect::<Vec<_>>().join(&sub)
            };
            let texts = (1..=last(one)).map(component);
            texts.collect::<Vec<_>>().join(&char::from(separators.component).to_string())
        };
        let text = all.iter().map(|one| line(*one)).collect::<Vec<_>>().join("\n");
        if text.trim().is_empty() { self.tree.value(node) } else { Value::Text(Cow::Owned(text)) }
    }

    /// The places that a condition looks at.
    pub(crate) fn select_any(&self, base: Base, condition: &Condition) -> Vec<Base> {
        self.select(base, condition.looks())
    }
}

/// Whether a point in time of HL7 is later than another, as far as both are told: their digits, zones aside.
fn is_later(one: &str, other: &str) -> bool {
    let digits = |text: &str| -> String { text.trim().chars().take_while(char::is_ascii_digit).collect() };
    let (one, other) = (digits(one), digits(other));
    let shared = one.len().min(other.len());
    matches!((one.get(..shared), other.get(..shared)), (Some(a), Some(b)) if shared >= 4 && a > b)
}
