//! Names in a document under change: the prefixes that it has for namespaces, the declarations that a new name needs, and
//! the names of types.

use super::super::super::charset::Charset;
use super::super::super::error::EditError;
use super::super::super::path::Name;
use super::super::super::tree::{Kind, NodeId, Tree};
use super::super::schema::xsi_type;
use super::super::{XSI, text};
use super::{Sheet, Target};

impl Sheet<'_> {
    /// The name as written in the scope of a slot, and a namespace declaration that it needs.
    pub(super) fn qualify(
        &mut self,
        scope: u32,
        name: &Name,
        element: bool,
    ) -> Result<(String, Option<String>), EditError> {
        let uri = name.namespace.as_deref().unwrap_or_default();
        let local = &name.local;
        if !self.can_be_written(name) {
            return Err(EditError::Value { path: local.to_string(), reason: "a name that the document can write" });
        }
        if uri == super::super::XML {
            return Ok((format!("xml:{local}"), None));
        }
        let bindings = self.bindings(scope)?;
        if uri.is_empty() {
            let default = bindings.iter().any(|(prefix, uri)| prefix.is_empty() && !uri.is_empty());
            return Ok((local.to_string(), (element && default).then(|| "xmlns=\"\"".to_owned())));
        }
        let bound = bindings.iter().find(|(prefix, bound)| bound == uri && (element || !prefix.is_empty()));
        if let Some((prefix, _)) = bound {
            let qualified = if prefix.is_empty() { local.to_string() } else { format!("{prefix}:{local}") };
            return Ok((qualified, None));
        }
        let mut value = Vec::new();
        text::encode(uri, Some(b'"'), self.found.charset, &mut value);
        let value = String::from_utf8_lossy(&value).into_owned();
        if element {
            return Ok((local.to_string(), Some(format!("xmlns=\"{value}\""))));
        }
        let well_known = (uri == XSI).then(|| "xsi".to_owned()).into_iter();
        let free = |prefix: &String| !bindings.iter().any(|(bound, _)| bound == prefix);
        let prefix = well_known.chain((1..).map(|n| format!("ns{n}"))).find(free).unwrap_or_default();
        Ok((format!("{prefix}:{local}"), Some(format!("xmlns:{prefix}=\"{value}\""))))
    }

    /// Names have no escapes, so in a smaller character set only ASCII ones are written.
    pub(super) fn can_be_written(&self, name: &Name) -> bool {
        let all = name.local.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'));
        let starts = name.local.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_');
        let uri = name.namespace.as_deref().unwrap_or_default();
        let ascii = self.found.charset == Charset::Utf8 || (name.local.is_ascii() && uri.is_ascii());
        all && starts && ascii && text::unwritable(uri).is_none()
    }

    /// The prefixes in scope at a slot with their URIs, each once.
    pub(super) fn bindings(&mut self, scope: u32) -> Result<Vec<(String, String)>, EditError> {
        let mut bindings: Vec<(String, String)> = Vec::new();
        let mut at = Some(scope);
        while let Some(slot) = at {
            let charset = self.found.charset;
            for attribute in &self.element(slot)?.attributes {
                if let Some((prefix, uri)) = attribute.declaration(charset)
                    && !bindings.iter().any(|(known, _)| *known == prefix)
                {
                    bindings.push((prefix, uri));
                }
            }
            at = self.slot(slot)?.parent;
        }
        Ok(bindings)
    }

    /// The prefix that names of the schema's namespace have at a slot; none where they have none.
    pub(super) fn prefix_of_schema(&mut self, slot: u32) -> Result<Option<String>, EditError> {
        let Some(schema) = self.schema else { return Ok(None) };
        let wanted = schema.root.namespace.as_deref().unwrap_or_default();
        let bindings = self.bindings(slot)?;
        if wanted.is_empty() || bindings.iter().any(|(p, uri)| p.is_empty() && uri == wanted) {
            return Ok(None);
        }
        Ok(bindings.into_iter().find(|(_, uri)| uri == wanted).map(|(prefix, _)| prefix))
    }

    /// The name of a type for `xsi:type`, with the prefix that the namespace of the schema has there.
    pub(super) fn type_value(&mut self, target: &Target<'_>, value: &str) -> Result<Option<String>, EditError> {
        if self.schema.is_none() || value.contains(':') {
            return Ok(None);
        }
        let slot = match target {
            Target::NoAttribute(slot, name) if **name == xsi_type() => *slot,
            Target::Attribute(slot, index) => {
                let tree = self.tree;
                let attribute = self.element(*slot)?.attributes.get(*index);
                let named = attribute.is_some_and(|a| match (&a.new_name, a.node) {
                    (Some(name), _) => *name == xsi_type(),
                    (None, Some(node)) => !super::super::is_declaration(tree, node) && is_type(tree, node),
                    (None, None) => false,
                });
                if !named {
                    return Ok(None);
                }
                *slot
            }
            _ => return Ok(None),
        };
        Ok(self.prefix_of_schema(slot)?.map(|prefix| format!("{prefix}:{value}")))
    }
}

/// Whether an attribute says nothing but of which type its element is, or declares a namespace.
pub(super) fn is_type(tree: &Tree, attribute: NodeId) -> bool {
    super::super::is_declaration(tree, attribute)
        || tree.xml_name(&xsi_type()).is_some_and(|name| tree.is_named(attribute, Kind::Attribute, name))
}
