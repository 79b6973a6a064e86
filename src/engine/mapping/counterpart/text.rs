//! Elements and values as JSON text, with what each leaf of it was read from.

use crate::native::NodeId;
use crate::native::json::{encode, is_number};

use super::item::{Content, Item};
use super::shape::{Form, Scalar, Type};

struct Writer<'f, 'm> {
    form: &'f Form<'m>,
    out: Vec<u8>,
    origins: Vec<Option<NodeId>>,
}

/// A document as JSON, and of each leaf where it stands in the XML.
pub(super) fn json<'m>(form: &Form<'m>, item: &Item, of: &Type<'m>) -> (String, Vec<Option<NodeId>>) {
    let mut writer = Writer { form, out: Vec::new(), origins: Vec::new() };
    writer.object(item, of);
    (String::from_utf8_lossy(&writer.out).into_owned(), writer.origins)
}

impl<'m> Writer<'_, 'm> {
    fn name(&mut self, name: &str, first: &mut bool) {
        if !std::mem::take(first) {
            self.out.push(b',');
        }
        encode(name, &mut self.out);
        self.out.push(b':');
    }

    fn scalar(&mut self, text: &str, kind: Scalar, origin: Option<NodeId>) {
        match kind {
            Scalar::Boolean if matches!(text, "true" | "false") => self.out.extend_from_slice(text.as_bytes()),
            Scalar::Number if is_number(text) => self.out.extend_from_slice(text.as_bytes()),
            // What is no value of its type is still what stands there.
            _ => encode(text, &mut self.out),
        }
        self.origins.push(origin);
    }

    fn null(&mut self) {
        self.out.extend_from_slice(b"null");
        self.origins.push(None);
    }

    /// A list of several, or the one.
    fn listed<'i>(&mut self, is_list: bool, items: &[&'i Item], mut each: impl FnMut(&mut Self, &'i Item)) {
        if is_list {
            self.out.push(b'[');
        }
        for (at, item) in items.iter().enumerate() {
            if at > 0 {
                self.out.push(b',');
            }
            each(self, item);
        }
        if is_list {
            self.out.push(b']');
        }
    }

    fn object(&mut self, item: &Item, of: &Type<'m>) {
        self.out.push(b'{');
        let mut first = true;
        if matches!(of, Type::Of(of) if of.is_resource) {
            self.name("resourceType", &mut first);
            self.scalar(&item.name, Scalar::Text, None);
        }
        for attribute in item.attributes.iter().filter(|a| a.name != "value" || !matches!(of, Type::Value { .. })) {
            self.name(&attribute.name, &mut first);
            self.scalar(&attribute.value, Scalar::Text, attribute.node);
        }
        // Repetitions together, where the first of them stands.
        let items = item.items();
        let mut order: Vec<&str> = Vec::new();
        let mut groups: rustc_hash::FxHashMap<&str, Vec<&Item>> = rustc_hash::FxHashMap::default();
        for inner in items {
            groups
                .entry(&inner.name)
                .or_insert_with(|| {
                    order.push(&inner.name);
                    Vec::new()
                })
                .push(inner);
        }
        for name in order {
            let (Some(child), Some(group)) = (self.form.child(of, name), groups.get(name)) else { continue };
            self.member(name, child.is_list, &child.of, group, &mut first);
        }
        self.out.push(b'}');
    }

    fn member(&mut self, name: &str, is_list: bool, of: &Type<'m>, group: &[&Item], first: &mut bool) {
        match of {
            Type::Value { kind, .. } => {
                if group.iter().any(|i| i.attribute("value").is_some()) {
                    self.name(name, first);
                    self.listed(is_list, group, |writer, item| match item.attribute("value") {
                        Some(value) => writer.scalar(&value.value, *kind, value.node),
                        None => writer.null(),
                    });
                }
                let extended = |item: &Item| !item.items().is_empty() || item.attribute("id").is_some();
                if group.iter().any(|i| extended(i)) {
                    self.name(&format!("_{name}"), first);
                    self.listed(
                        is_list,
                        group,
                        |writer, item| {
                            if extended(item) { writer.object(item, of) } else { writer.null() }
                        },
                    );
                }
            }
            Type::Markup => {
                self.name(name, first);
                self.listed(is_list, group, |writer, item| {
                    let text = if let Content::Markup(text) = &item.content { text } else { "" };
                    writer.scalar(text, Scalar::Text, item.node);
                });
            }
            Type::Resource => {
                self.name(name, first);
                let form = self.form;
                self.listed(is_list, group, |writer, item| {
                    let inner = item.items().first().and_then(|i| Some((i, form.resource(&i.name)?)));
                    match inner {
                        Some((inner, of)) => writer.object(inner, &of),
                        None => writer.null(),
                    }
                });
            }
            _ => {
                self.name(name, first);
                self.listed(is_list, group, |writer, item| writer.object(item, of));
            }
        }
    }
}
