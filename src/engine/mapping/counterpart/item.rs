//! A document as its elements and values, whichever way it is written: what of it its form knows.

use crate::native::{Kind, NodeId, Tree};

use super::shape::{Form, Scalar, Type};

/// An element of XML: one repetition.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) name: String,
    /// Its place among its siblings.
    pub(super) place: usize,
    /// Where it stands in the XML that it was read from.
    pub(super) node: Option<NodeId>,
    pub(super) attributes: Vec<Attribute>,
    pub(super) content: Content,
}

/// An attribute, and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Attribute {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) node: Option<NodeId>,
}

/// What stands in an element.
#[derive(Debug, Clone)]
pub(super) enum Content {
    Items(Vec<Item>),
    /// The whole element, as it is written, with its namespace.
    Markup(String),
}

impl Item {
    fn new(name: &str, place: usize, node: Option<NodeId>) -> Self {
        Self { name: name.to_owned(), place, node, attributes: Vec::new(), content: Content::Items(Vec::new()) }
    }

    pub(super) fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|attribute| attribute.name == name)
    }

    pub(super) fn items(&self) -> &[Item] {
        match &self.content {
            Content::Items(items) => items,
            Content::Markup(_) => &[],
        }
    }

    fn is_void(&self) -> bool {
        self.attributes.is_empty() && matches!(&self.content, Content::Items(items) if items.is_empty())
    }
}

impl PartialEq for Item {
    /// Where they stand says nothing.
    fn eq(&self, other: &Self) -> bool {
        let same = |a: &Attribute| other.attribute(&a.name).is_some_and(|b| a.value == b.value);
        self.name == other.name
            && self.attributes.len() == other.attributes.len()
            && self.attributes.iter().all(same)
            && match (&self.content, &other.content) {
                (Content::Items(a), Content::Items(b)) => a == b,
                (Content::Markup(a), Content::Markup(b)) => a == b,
                _ => false,
            }
    }
}

/// Reads an element. What the form does not know is left out, which is told.
pub(super) fn read<'m>(
    form: &Form<'m>,
    tree: &Tree,
    node: NodeId,
    of: &Type<'m>,
    has_strays: &mut bool,
) -> Option<Item> {
    let mut item = Item::new(&tree.name(node)?, 0, Some(node));
    if matches!(of, Type::Markup) {
        item.content = Content::Markup(standing_alone(tree, node)?);
        return Some(item);
    }
    let mut items: Vec<Item> = Vec::new();
    // Singles that are there.
    let mut taken: Vec<String> = Vec::new();
    for child in tree.children(node) {
        match tree.kind(child) {
            Kind::Attribute if tree.leaf(child).is_none() => {}
            Kind::Attribute => {
                let name = tree.name(child)?;
                let is_own = tree.namespace(child).is_none();
                let is_value = name == "value" && matches!(of, Type::Value { .. });
                let known = is_own && (is_value || form.child(of, &name).is_some_and(|known| known.is_attribute));
                match tree.text(child).filter(|_| known) {
                    Some(value) => {
                        let (name, value) = (name.into_owned(), value.into_owned());
                        item.attributes.push(Attribute { name, value, node: Some(child) });
                    }
                    // Where a schema is to be found says nothing.
                    None => *has_strays |= tree.namespace(child) != Some(crate::native::xml::XSI),
                }
            }
            Kind::Element => {
                let name = tree.name(child)?;
                let inner = if matches!(of, Type::Resource) {
                    form.resource(&name).filter(|_| items.is_empty()).map(|inner| (0, inner))
                } else {
                    let known = form.child(of, &name).filter(|known| !known.is_attribute);
                    known.filter(|k| k.is_list || !taken.iter().any(|t| *t == name)).map(|known| {
                        if !known.is_list {
                            taken.push(name.clone().into_owned());
                        }
                        (known.place, known.of)
                    })
                };
                let own = tree.namespace(child).unwrap_or_default() == form.namespace()
                    || matches!(inner, Some((_, Type::Markup)));
                let found = inner.filter(|_| own).and_then(|(place, inner)| {
                    let found = read(form, tree, child, &inner, has_strays)?;
                    let says = !matches!(inner, Type::Value { .. } | Type::Resource) || !found.is_void();
                    says.then_some(Item { place, ..found })
                });
                match found {
                    Some(found) => items.push(found),
                    None => *has_strays = true,
                }
            }
            Kind::Text => *has_strays |= tree.leaf(child).is_some(),
            _ => {}
        }
    }
    item.content = Content::Items(items);
    Some(item)
}

/// XHTML as JSON has it: without prefixes, its namespace declared.
fn standing_alone(tree: &Tree, node: NodeId) -> Option<String> {
    let declares = |attribute: NodeId| tree.leaf(attribute).is_none() && tree.qualified_name(attribute).is_some();
    let attributes = |of: NodeId| tree.children(of).take_while(|child| tree.kind(*child) == Kind::Attribute);
    let is_prefixed = tree.qualified_name(node)?.contains(':');
    if !is_prefixed && attributes(node).any(|a| declares(a) && tree.qualified_name(a).as_deref() == Some("xmlns")) {
        return Some(tree.charset().decode(tree.raw(node))?.into_owned());
    }
    let mut out = String::new();
    let mut open = vec![(node, false)];
    while let Some((here, ends)) = open.pop() {
        if tree.kind(here) != Kind::Element {
            out.push_str(&tree.charset().decode(tree.raw(here))?);
            continue;
        }
        let name = tree.name(here)?;
        if ends {
            out.push_str(&format!("</{name}>"));
            continue;
        }
        out.push_str(&format!("<{name}"));
        if here == node {
            out.push_str(&format!(" xmlns=\"{}\"", tree.namespace(node).unwrap_or_default()));
        }
        for attribute in attributes(here).filter(|attribute| !declares(*attribute)) {
            out.push(' ');
            out.push_str(&tree.charset().decode(tree.raw(attribute))?);
        }
        let inner: Vec<NodeId> = tree.children(here).filter(|child| tree.kind(*child) != Kind::Attribute).collect();
        if inner.is_empty() {
            out.push_str("/>");
            continue;
        }
        out.push('>');
        open.push((here, true));
        open.extend(inner.into_iter().rev().map(|child| (child, false)));
    }
    Some(out)
}

/// What JSON says, as an element; else the node that the form has no place for.
pub(super) fn of_json<'m>(
    form: &Form<'m>,
    tree: &Tree,
    node: NodeId,
    of: &Type<'m>,
    name: &str,
) -> Result<Item, NodeId> {
    let mut item = Item::new(name, 0, None);
    members(form, tree, node, of, &mut item)?;
    Ok(item)
}

fn members<'m>(form: &Form<'m>, tree: &Tree, node: NodeId, of: &Type<'m>, item: &mut Item) -> Result<(), NodeId> {
    if tree.kind(node) != Kind::Object {
        return Err(node);
    }
    let is_resource = matches!(of, Type::Of(of) if of.is_resource);
    let mut items: Vec<Item> = match std::mem::replace(&mut item.content, Content::Items(Vec::new())) {
        Content::Items(items) => items,
        Content::Markup(_) => Vec::new(),
    };
    for member in tree.children(node) {
        let Some(name) = tree.name(member) else { continue };
        if name == "resourceType" && is_resource {
            continue;
        }
        let (base, is_twin) = match name.strip_prefix('_') {
            Some(base) => (base, true),
            None => (name.as_ref(), false),
        };
        let child = form.child(of, base).ok_or(member)?;
        if child.is_list != (tree.kind(member) == Kind::Array) {
            return Err(member);
        }
        let values: Vec<NodeId> = if child.is_list { tree.children(member).collect() } else { vec![member] };
        if child.is_attribute && !is_twin {
            let value = tree.text(member).ok_or(member)?.into_owned();
            item.attributes.push(Attribute { name: base.to_owned(), value, node: None });
            continue;
        }
        if matches!(child.of, Type::Value { .. }) {
            // The value and what is beside it are one element.
            let from = items.iter().position(|i| i.name == base).unwrap_or(items.len());
            for (at, value) in values.into_iter().enumerate() {
                if items.get(from + at).is_none_or(|i| i.name != base) {
                    items.insert(from + at, Item::new(base, child.place, None));
                }
                let Some(one) = items.get_mut(from + at) else { return Err(value) };
                match tree.kind(value) {
                    Kind::Null => {}
                    Kind::Object if is_twin => members(form, tree, value, &child.of, one)?,
                    kind if Scalar::is(kind) && !is_twin => {
                        let text = tree.text(value).unwrap_or_default().into_owned();
                        one.attributes.push(Attribute { name: "value".to_owned(), value: text, node: None });
                    }
                    _ => return Err(value),
                }
            }
            continue;
        }
        for value in values {
            items.push(one(form, tree, value, &child.of, base, child.place)?);
        }
    }
    items.retain(|i| !i.is_void() || !matches!(form.child(of, &i.name).map(|c| c.of), Some(Type::Value { .. })));
    items.sort_by_key(|i| i.place);
    item.content = Content::Items(items);
    Ok(())
}

fn one<'m>(
    form: &Form<'m>,
    tree: &Tree,
    value: NodeId,
    of: &Type<'m>,
    name: &str,
    place: usize,
) -> Result<Item, NodeId> {
    let mut item = Item::new(name, place, None);
    match of {
        Type::Markup => {
            let text = tree.text(value).filter(|_| tree.kind(value) == Kind::String).ok_or(value)?;
            item.content = Content::Markup(text.into_owned());
        }
        Type::Resource => {
            let kind = tree.text(tree.member(value, "resourceType")).ok_or(value)?;
            let inner = form.resource(&kind).ok_or(value)?;
            item.content = Content::Items(vec![of_json(form, tree, value, &inner, &kind)?]);
        }
        _ => members(form, tree, value, of, &mut item)?,
    }
    Ok(item)
}
