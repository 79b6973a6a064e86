//! A clinical document is not changed in place: what says something else is a new document that replaces it (CDA R2, 4.2.3):
//! another id, the same set, the next version, a `relatedDocument` that names the one before, and no one's signature. What a
//! section shows of entries that have changed, and was not changed with them, is not shown on.

use crate::native::xml::XmlSchema;
use crate::native::{Anchor, Edit, EditError, Insert, Kind, Name, NodeId, Place, Step, Tree};

use super::context::Context;
use super::identity;

/// A changed document as the next version, and the places of the one before that are others in it.
pub(super) struct Edition {
    pub(super) bytes: Vec<u8>,
    pub(super) touched: Vec<String>,
}

struct Maker<'t> {
    tree: &'t Tree,
    edit: Edit<'t>,
    namespace: Box<str>,
    top: NodeId,
    touched: Vec<String>,
}

/// Makes a changed document the next version of the original.
///
/// # Errors
/// [`EditError`] where the document has no room for it.
pub(super) fn next(
    changed: &Tree,
    original: &Tree,
    schema: &XmlSchema,
    cx: &Context,
) -> Result<Option<Edition>, EditError> {
    let Some(top) = changed.document_element() else { return Ok(None) };
    let namespace = schema.root.namespace.clone().unwrap_or_default();
    let edit = Edit::new(changed).by_schema(schema);
    let mut maker = Maker { tree: changed, edit, namespace, top, touched: Vec::new() };
    maker.outdated(original, cx)?;
    maker.number(original, cx)?;
    Ok(Some(Edition { bytes: maker.edit.finish().bytes, touched: maker.touched }))
}

impl Maker<'_> {
    fn name(&self, local: &str) -> Name {
        if self.namespace.is_empty() { Name::local(local) } else { Name::new(&self.namespace, local) }
    }

    fn element(&self, parent: NodeId, local: &str) -> Option<NodeId> {
        let name = self.name(local);
        self.tree.elements(parent, &name).next()
    }

    fn text(&self, element: Option<NodeId>, attribute: &str) -> Option<String> {
        let node = self.tree.attribute(element?, &Name::local(attribute))?;
        self.tree.text(node).map(std::borrow::Cow::into_owned)
    }

    fn set(&mut self, at: Place, way: &[&str], attribute: &str, text: &str) -> Result<(), EditError> {
        let mut steps: Vec<Step> = way.iter().map(|local| Step::Element(self.name(local), 1)).collect();
        steps.push(Step::Attribute(Name::local(attribute)));
        self.edit.set(at, &steps, text)
    }

    /// Writes an identifier, without what it had beside root and extension.
    fn identify(&mut self, at: Place, way: &[&str], id: &(Option<String>, Option<String>)) -> Result<(), EditError> {
        let (root, extension) = id;
        for (attribute, text) in [("root", root), ("extension", extension)] {
            if let Some(text) = text {
                self.set(at, way, attribute, text)?;
            }
        }
        Ok(())
    }

    /// Sections, those within sections too: what they show, as written, and what their entries say.
    fn sections<'a>(tree: &'a Tree, top: NodeId, namespace: &str) -> Vec<(NodeId, &'a [u8], Vec<u8>)> {
        let is = |node: NodeId, local: &str| {
            tree.kind(node) == Kind::Element
                && tree.namespace(node).unwrap_or_default() == namespace
                && tree.name(node).is_some_and(|name| name == local)
        };
        let mut found = Vec::new();
        let mut open = vec![top];
        while let Some(at) = open.pop() {
            let within: Vec<NodeId> = tree.children(at).collect();
            if is(at, "section")
                && let Some(text) = within.iter().copied().find(|child| is(*child, "text"))
            {
                let entries = within.iter().filter(|child| is(**child, "entry")).map(|entry| tree.raw(*entry));
                found.push((text, tree.raw(text), entries.collect::<Vec<_>>().concat()));
            }
            let further =
                |child: &NodeId| ["component", "structuredBody", "section"].iter().any(|name| is(*child, name));
            open.extend(within.into_iter().filter(further));
        }
        found
    }

    fn outdated(&mut self, original: &Tree, cx: &Context) -> Result<(), EditError> {
        let Some(old_top) = original.document_element() else { return Ok(()) };
        let before = Self::sections(original, old_top, &self.namespace);
        for (text, shown, entries) in Self::sections(self.tree, self.top, &self.namespace) {
            let mut same = before.iter().filter(|(_, old, _)| *old == shown).peekable();
            if same.peek().is_none() || same.any(|(_, _, old)| *old == entries) {
                continue;
            }
            let day = cx.now.to_zoned(cx.zone()).strftime("%Y-%m-%d").to_string();
            let told = format!(
                "<paragraph>The entries of this section were changed on {day}; what they say now is in them.</paragraph>"
            );
            self.touched.push(self.tree.path(text).to_string());
            self.edit.set_markup(text, &[], &told)?;
        }
        Ok(())
    }

    fn number(&mut self, original: &Tree, cx: &Context) -> Result<(), EditError> {
        let top = Place::Node(self.top);
        let found = |maker: &Self, local: &str| maker.element(maker.top, local);
        let of = |maker: &Self, local: &str| {
            let element = found(maker, local);
            (maker.text(element, "root"), maker.text(element, "extension"))
        };
        let (old_id, set) = (of(self, "id"), of(self, "setId"));
        let version = self.text(found(self, "versionNumber"), "value").and_then(|v| v.trim().parse::<u64>().ok());
        let version = version.unwrap_or(1);
        // The same change of the same document is the same new document.
        let (root, extension) = (old_id.0.as_deref().unwrap_or_default(), old_id.1.as_deref().unwrap_or_default());
        let seed = identity::digest(&[original.bytes(), self.tree.bytes()].concat());
        let url = identity::url(&cx.provider, "edition", &format!("{root}^{extension}"), &seed);
        let uuid = url.strip_prefix("urn:uuid:").unwrap_or(&url).to_owned();
        for gone in ["authenticator", "legalAuthenticator"] {
            let name = self.name(gone);
            for node in self.tree.elements(self.top, &name).collect::<Vec<_>>() {
                self.touched.push(self.tree.path(node).to_string());
                self.edit.remove(node)?;
            }
        }
        // What the document replaced before is the one before's to say.
        let related = self.name("relatedDocument");
        for node in self.tree.elements(self.top, &related).collect::<Vec<_>>() {
            if self.text(Some(node), "typeCode").as_deref() == Some("RPLC") {
                self.touched.push(self.tree.path(node).to_string());
                self.edit.remove(node)?;
            }
        }
        for local in ["id", "versionNumber", "effectiveTime"] {
            if let Some(node) = found(self, local) {
                self.touched.push(self.tree.path(node).to_string());
            }
        }
        self.edit.clear(top, &[Step::Element(self.name("id"), 1), Step::Attribute(Name::local("extension"))])?;
        self.set(top, &["id"], "root", &uuid)?;
        let now = cx.now.to_zoned(cx.zone()).strftime("%Y%m%d%H%M%S%z").to_string();
        self.set(top, &["effectiveTime"], "value", &now)?;
        let set = if set.0.is_some() { set } else { old_id.clone() };
        if found(self, "setId").is_none() {
            self.identify(top, &["setId"], &set)?;
        }
        self.set(top, &["versionNumber"], "value", &version.saturating_add(1).to_string())?;
        let made = self.edit.insert(Anchor::Last(top, &[]), Insert::Element(&related))?;
        self.edit.set(made, &[Step::Attribute(Name::local("typeCode"))], "RPLC")?;
        self.identify(made, &["parentDocument", "id"], &old_id)?;
        self.identify(made, &["parentDocument", "setId"], &set)?;
        self.set(made, &["parentDocument", "versionNumber"], "value", &version.to_string())
    }
}
