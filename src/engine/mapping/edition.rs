//! A clinical document is not changed in place: what says something else is a new document that replaces it (CDA R2, 4.2.3):
//! another id, the same set, the next version, a `relatedDocument` that names the one before, and no one's signature. What a
//! section shows of entries that have changed, and was not changed with them, is told anew.

pub(super) mod begun;
mod narrative;
mod statement;

use rustc_hash::FxHashMap;

use crate::native::xml::XmlSchema;
use crate::native::{Anchor, Edit, EditError, Insert, Name, NodeId, Place, Step, Tree};

use super::context::Context;
use super::identity;
use narrative::Section;

/// A changed document as the next version, and the places of the one before that are others in it.
pub(super) struct Edition {
    pub(super) bytes: Vec<u8>,
    pub(super) touched: Vec<String>,
}

/// A section as it was: itself, what its entries say, and its place.
type Before<'s> = (&'s Section, Vec<u8>, Option<String>);

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
    maker.outdated(original)?;
    maker.number(original, cx)?;
    Ok(Some(Edition { bytes: maker.edit.finish().bytes, touched: maker.touched }))
}

/// A new document whose sections show what their entries say, where they show nothing.
///
/// # Errors
/// [`EditError`] where the document has no room for it.
pub(super) fn shown(tree: &Tree, schema: &XmlSchema) -> Result<Vec<u8>, EditError> {
    let Some(top) = tree.document_element() else { return Ok(tree.bytes().to_vec()) };
    let namespace = schema.root.namespace.clone().unwrap_or_default();
    let mut edit = Edit::new(tree).by_schema(schema);
    for (section, entries) in narrative::silent(tree, top, &namespace) {
        narrative::tell(&mut edit, tree, section, &entries, &namespace)?;
    }
    Ok(edit.finish().bytes)
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

    fn outdated(&mut self, original: &Tree) -> Result<(), EditError> {
        let Some(old_top) = original.document_element() else { return Ok(()) };
        let before = narrative::sections(original, old_top, &self.namespace);
        let said = |tree: &Tree, section: &Section| -> Vec<u8> {
            section.entries.iter().map(|entry| tree.raw(*entry)).collect::<Vec<_>>().concat()
        };
        let holder = |tree: &Tree, of: &Section| tree.parent(of.text).map(|at| tree.path(at).to_string());
        let mut shown: FxHashMap<&[u8], Vec<Before<'_>>> = FxHashMap::default();
        for section in &before {
            let one = (section, said(original, section), holder(original, section));
            shown.entry(original.raw(section.text)).or_default().push(one);
        }
        let mut uses = None;
        for section in narrative::sections(self.tree, self.top, &self.namespace) {
            // What was changed itself is what is to be shown.
            let Some(same) = shown.get(self.tree.raw(section.text)) else { continue };
            let now = said(self.tree, &section);
            if same.iter().any(|(_, said, _)| *said == now) {
                continue;
            }
            let place = holder(self.tree, &section);
            let at_place = same.iter().find(|(_, _, at)| *at == place).or(same.first());
            let Some((old, _, _)) = at_place else { continue };
            let uses = uses.get_or_insert_with(|| narrative::uses(self.tree, self.top));
            self.touched.push(self.tree.path(section.text).to_string());
            narrative::retell(&mut self.edit, self.tree, &section, (original, old), uses)?;
        }
        // Where nothing was silent before, a section that came shows what it holds.
        if narrative::silent(original, old_top, &self.namespace).is_empty() {
            for (section, entries) in narrative::silent(self.tree, self.top, &self.namespace) {
                self.touched.push(self.tree.path(section).to_string());
                narrative::tell(&mut self.edit, self.tree, section, &entries, &self.namespace)?;
            }
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
