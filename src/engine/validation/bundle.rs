//! Bundles (<http://hl7.org/fhir/R4/bundle.html>): their links, the addresses of their entries, and what documents, messages
//! and answers to searches must hold together.

use std::collections::hash_map::Entry;

use rustc_hash::{FxBuildHasher, FxHashMap, FxHashSet};

use crate::definitions::{Kind, Model};
use crate::fhir::document::{Node, NodeId};

use super::finding::{Detail, IssueType, Rule};
use super::reference::literal;
use super::walk::Walk;

/// Where the entries of one Bundle are: several may have the same address.
struct Entries<'d> {
    entries: Vec<Node<'d>>,
    by_url: FxHashMap<&'d str, Places>,
    by_id: FxHashMap<(&'d str, &'d str), Places>,
}

/// The places of some entries: mostly there is one.
#[derive(Debug, Clone, Default)]
struct Places {
    first: Option<u32>,
    #[expect(clippy::box_collection, reason = "most have none, and there are as many as entries")]
    more: Option<Box<Vec<u32>>>,
}

impl Places {
    fn push(&mut self, place: usize) {
        let place = u32::try_from(place).unwrap_or(u32::MAX);
        if self.first.is_none() {
            self.first = Some(place);
        } else {
            self.more.get_or_insert_default().push(place);
        }
    }

    fn iter(&self) -> impl Iterator<Item = usize> {
        let more = self.more.iter().flat_map(|more| more.iter());
        self.first.iter().chain(more).map(|place| *place as usize)
    }

    fn count(&self) -> usize {
        self.iter().count()
    }
}

/// Which entries hang together.
struct Groups {
    /// Another of its group, nearer to the one that stands for all; itself for that one.
    towards: Vec<usize>,
}

impl Groups {
    fn new(count: usize) -> Self {
        Self { towards: (0..count).collect() }
    }

    /// The entry that stands for the group of an entry.
    fn of(&mut self, mut place: usize) -> usize {
        while let Some(next) = self.towards.get(place).copied().filter(|next| *next != place) {
            let beyond = self.towards.get(next).copied().unwrap_or(next);
            if let Some(towards) = self.towards.get_mut(place) {
                *towards = beyond;
            }
            place = next;
        }
        place
    }

    fn join(&mut self, one: usize, two: usize) {
        let (one, two) = (self.of(one), self.of(two));
        // The first entries of a Bundle are what the others hang on.
        if let Some(towards) = self.towards.get_mut(one.max(two)) {
            *towards = one.min(two);
        }
    }
}

impl<'d> Entries<'d> {
    fn of(bundle: Node<'d>) -> Self {
        let entries: Vec<Node<'d>> = bundle.named("entry").collect();
        let mut by_url = FxHashMap::<_, Places>::with_capacity_and_hasher(entries.len(), FxBuildHasher);
        let mut by_id = FxHashMap::<_, Places>::with_capacity_and_hasher(entries.len(), FxBuildHasher);
        for (place, entry) in entries.iter().enumerate() {
            let Some(resource) = entry.first("resource") else { continue };
            if let Some(url) = entry.text_at("fullUrl") {
                by_url.entry(url).or_default().push(place);
            }
            if let Some(id) = resource.text_at("id") {
                by_id.entry((resource.type_name(), id)).or_default().push(place);
            }
        }
        Self { entries, by_url, by_id }
    }

    fn version(&self, place: usize) -> Option<&'d str> {
        self.entries.get(place)?.first("resource")?.text_at("meta.versionId")
    }

    /// The entries that a reference of an entry may mean (<http://hl7.org/fhir/R4/bundle.html#references>).
    fn find(&self, reference: &str, from: usize) -> Places {
        let plain = reference.split('#').next().unwrap_or(reference);
        let (plain, version) =
            plain.split_once("/_history/").map_or((plain, None), |(before, version)| (before, Some(version)));
        let is_absolute = plain.contains("://") || plain.starts_with("urn:");
        let held = match (is_absolute, self.base(from)) {
            (true, _) => self.by_url.get(plain),
            (false, Some(base)) => self.by_url.get(format!("{base}{plain}").as_str()),
            // Without an address of its own, an entry has nothing that a relative reference could be relative to.
            (false, None) => None,
        };
        let places = held.cloned().unwrap_or_default();
        let Some(version) = version else { return places };
        let mut of_version = Places::default();
        places.iter().filter(|place| self.version(*place) == Some(version)).for_each(|place| of_version.push(place));
        of_version
    }
}

impl<'d> Entries<'d> {
    /// What the relative references of an entry are relative to: its fullUrl without the resource's type and id.
    fn base(&self, place: usize) -> Option<&'d str> {
        let entry = self.entries.get(place)?;
        let resource = entry.first("resource")?;
        let (url, id) = (entry.text_at("fullUrl")?, resource.text_at("id")?);
        url.strip_suffix(id)?.strip_suffix('/')?.strip_suffix(resource.type_name()).filter(|base| base.ends_with('/'))
    }

    /// Whether an entry has the type and id of a relative reference, whatever its fullUrl.
    fn has_apparent(&self, reference: &str) -> bool {
        let plain = reference.split('#').next().unwrap_or(reference);
        literal(plain)
            .filter(|found| !found.is_absolute)
            .and_then(|found| Some((found.type_name, found.relative.rsplit('/').next()?)))
            .is_some_and(|key| self.by_id.contains_key(&key))
    }
}

impl<'d> Walk<'_, 'd> {
    /// What holds for a Bundle beyond its definition.
    pub(super) fn bundle(&mut self, bundle: Node<'d>) {
        let kind = bundle.text_at("type").unwrap_or("");
        let entries = Entries::of(bundle);
        self.links(bundle, kind, &entries);
        self.full_urls(kind, &entries);
        match kind {
            "document" | "message" => self.first(bundle, kind, &entries),
            "searchset" => self.search_set(bundle, &entries),
            _ => {}
        }
    }

    fn links(&mut self, bundle: Node<'d>, kind: &str, entries: &Entries<'d>) {
        let mut relations: Vec<&str> = Vec::new();
        let is_paged = matches!(kind, "searchset" | "history");
        for link in bundle.named("link") {
            let Some(node) = link.first("relation") else { continue };
            let Some(relation) = node.text() else { continue };
            let is_page = matches!(relation, "first" | "previous" | "prev" | "next" | "last");
            if is_page && !is_paged {
                let detail = Detail::Told(format!("a Bundle of the type {kind} has no pages").into());
                self.error(IssueType::Structure, Rule::Format("link-relation"), node.id(), detail);
            } else if (is_page || relation == "self") && relations.contains(&relation) {
                let at = if is_paged { link } else { node };
                let detail = Detail::Says("a Bundle has one link of this relation");
                self.error(IssueType::Structure, Rule::Format("link-relation"), at.id(), detail);
            }
            relations.push(relation);
            if kind == "document"
                && relation == "stylesheet"
                && let Some(url) = link.first("url")
                && let Some(text) = url.text().filter(|text| !text.contains(':'))
                && text.split_once('/').is_none_or(|key| !entries.by_id.contains_key(&key))
            {
                let detail = Detail::Says("the stylesheet is not in this Bundle");
                self.error(IssueType::Structure, Rule::Format("stylesheet"), url.id(), detail);
            }
        }
    }

    fn full_urls(&mut self, kind: &str, entries: &Entries<'d>) {
        let is_optional = matches!(kind, "transaction" | "transaction-response" | "batch" | "batch-response");
        for entry in &entries.entries {
            let says = match (entry.text_at("fullUrl"), entry.first("resource")) {
                (None, _) if is_optional => continue,
                (None, _) if entry.first("fullUrl").is_none() => Detail::Says("the entry has no fullUrl"),
                (None, _) => continue,
                (Some(url), _) if !url.contains(':') => Detail::Says("a fullUrl is absolute, or urn:uuid: or urn:oid:"),
                (Some(url), Some(resource)) => match (rest(self.model, url), resource.text_at("id")) {
                    (None, _) => continue,
                    (Some(_), None) => {
                        Detail::Says("the fullUrl is that of a resource on a server, and the resource has no id")
                    }
                    (Some((type_name, held)), Some(id)) if held == id && type_name == resource.type_name() => continue,
                    _ => Detail::Says("the fullUrl ends with another type or id than the resource has"),
                },
                (Some(_), None) => continue,
            };
            self.error(IssueType::Value, Rule::Format("full-url"), entry.id(), says);
        }
        for entry in &entries.entries {
            let (Some(url), Some(resource)) = (entry.text_at("fullUrl"), entry.first("resource")) else { continue };
            let is_v2_or_v3 =
                ["http://hl7.org/fhir/v2/", "http://hl7.org/fhir/v3/"].iter().any(|start| url.starts_with(start));
            let is_address =
                || rest(self.model, url).is_some_and(|(_, id)| resource.text_at("id").is_none_or(|held| held == id));
            if resource.text_at("url") == Some(url) && !is_v2_or_v3 && !is_address() {
                let says = Detail::Says("the fullUrl is the canonical of the resource, which is not its address");
                self.error(IssueType::Value, Rule::Format("full-url"), entry.id(), says);
            }
        }
    }

    /// A document begins with its Composition, a message with its header; what those refer to is in the Bundle, and all
    /// that is in the Bundle hangs together with them.
    fn first(&mut self, bundle: Node<'d>, kind: &str, entries: &Entries<'d>) {
        let is_document = kind == "document";
        let Some(first) = entries.entries.first() else {
            let says = Detail::Says("a document or message has a first entry that says what it is");
            self.error(IssueType::Structure, Rule::Format("first-entry"), bundle.id(), says);
            return;
        };
        let Some(resource) = first.first("resource") else {
            let says = Detail::Says("the first entry of a document or message has a resource");
            self.error(IssueType::Structure, Rule::Format("first-entry"), first.id(), says);
            return;
        };
        match (is_document, resource.type_name()) {
            (true, "Composition") => {
                self.within_bundle(resource, &["subject", "author", "encounter", "custodian"], entries);
                for attester in resource.named("attester") {
                    self.within_bundle(attester, &["party"], entries);
                }
                for event in resource.named("event") {
                    self.within_bundle(event, &["detail"], entries);
                }
                let mut sections: Vec<Node<'d>> = resource.named("section").collect();
                while let Some(section) = sections.pop() {
                    self.within_bundle(section, &["author", "focus", "entry"], entries);
                    sections.extend(section.named("section"));
                }
            }
            (false, "MessageHeader") => self.within_bundle(resource, &["focus"], entries),
            _ => {
                let expected = if is_document { "Composition" } else { "MessageHeader" };
                let detail = Detail::Told(format!("the first entry of a {kind} is a {expected}").into());
                self.error(IssueType::Structure, Rule::Format("first-entry"), resource.id(), detail);
            }
        }
        self.connected(bundle, is_document, entries);
    }

    /// References that must be to entries of the Bundle, each to one.
    fn within_bundle(&mut self, holder: Node<'d>, names: &[&'static str], entries: &Entries<'d>) {
        for node in names.iter().flat_map(|name| holder.named(name)) {
            let Some(reference) = node.text_at("reference").filter(|reference| !reference.starts_with('#')) else {
                continue;
            };
            let detail = match entries.find(reference, 0).count() {
                0 => Detail::Dangling { within: "Bundle.entry" },
                1 => continue,
                _ => Detail::Says("the reference may mean several entries of the Bundle"),
            };
            self.error(IssueType::Structure, Rule::Format("bundle-reference"), node.id(), detail);
        }
    }

    /// Every entry is referred to, or refers to another that is, from the first on.
    fn connected(&mut self, bundle: Node<'d>, is_document: bool, entries: &Entries<'d>) {
        let count = entries.entries.len();
        let mut told: Vec<Detail> = Vec::new();
        // The ids within the entries that a reference into one asked for.
        let mut ids = FxHashMap::default();
        let mut groups = Groups::new(count);
        // References that were told already, at their place.
        let refused: FxHashSet<NodeId> = self
            .findings
            .iter()
            .filter(|finding| finding.rule == Rule::Format("bundle-reference"))
            .map(|finding| finding.at)
            .collect();
        for (place, entry) in entries.entries.iter().enumerate() {
            let mut open: Vec<Node<'d>> = entry.first("resource").into_iter().collect();
            let mut seen: FxHashSet<&str> = FxHashSet::default();
            while let Some(node) = open.pop() {
                let name = node.element_name();
                let is_reference = match node.type_name() {
                    "url" | "uri" => name != "system" && !(name == "url" && node.parent().is_some_and(is_extension)),
                    _ => name == "reference",
                };
                if is_reference && let Some(text) = node.text().filter(|text| !text.starts_with('#')) {
                    let found = entries.find(text, place);
                    found.iter().for_each(|found| groups.join(place, found));
                    if seen.insert(text) {
                        told.extend(misled(node, text, &found, entries, &refused, &mut ids));
                    }
                }
                // A Bundle within has entries of its own.
                if node.type_name() != "Bundle" {
                    open.extend(node.children());
                }
            }
        }
        for detail in told {
            self.error(IssueType::Value, Rule::Format("bundle-reference"), bundle.id(), detail);
        }
        for link in bundle.named("link").filter(|link| link.text_at("relation") == Some("stylesheet")) {
            let key = link.text_at("url").and_then(|url| url.split_once('/'));
            let sheets = key.and_then(|key| entries.by_id.get(&key)).into_iter().flat_map(Places::iter);
            sheets.for_each(|sheet| groups.join(0, sheet));
        }
        for (place, entry) in entries.entries.iter().enumerate() {
            if groups.of(place) == groups.of(0) || entry.first("resource").is_none() {
                continue;
            }
            let rule = Rule::Format("bundle-connected");
            let detail = Detail::Says("the entry neither is referred to nor refers to what the Bundle is about");
            if is_document {
                self.error(IssueType::Structure, rule, entry.id(), detail);
            } else {
                self.warning(IssueType::Structure, rule, entry.id(), detail);
            }
        }
    }

    /// The answer to a search: matches and what they include have ids, and matches are of the types asked for.
    fn search_set(&mut self, bundle: Node<'d>, entries: &Entries<'d>) {
        let asked = bundle
            .named("link")
            .find(|link| link.text_at("relation") == Some("self"))
            .and_then(|link| link.text_at("url"))
            .map(|url| types_asked(self.model, url))
            .unwrap_or_default();
        let rule = || Rule::Format("search-entry");
        for entry in &entries.entries {
            let Some(resource) = entry.first("resource") else {
                let says = Detail::Says("an entry of the answer to a search has a resource");
                self.error(IssueType::Structure, rule(), entry.id(), says);
                continue;
            };
            let mode = entry.text_at("search.mode");
            if matches!(mode, Some("match" | "include")) && resource.first("id").is_none() {
                let says = Detail::Says("a resource that was found has an id");
                self.error(IssueType::Required, rule(), resource.id(), says);
            }
            let is_wrong = match mode {
                Some("match") => !asked.is_empty() && !asked.contains(&resource.type_name()),
                Some("outcome") => resource.type_name() != "OperationOutcome",
                _ => false,
            };
            if is_wrong {
                let detail = Detail::Told(format!("{} was not asked for", resource.type_name()).into());
                self.error(IssueType::Value, rule(), resource.id(), detail);
            }
        }
    }
}

/// What is wrong with a reference of an entry as one within the Bundle. It is told of the Bundle: the fault may be the
/// target's as well as the reference's.
fn misled(
    node: Node<'_>,
    text: &str,
    found: &Places,
    entries: &Entries<'_>,
    refused: &FxHashSet<NodeId>,
    held: &mut FxHashMap<usize, FxHashMap<Box<str>, usize>>,
) -> Option<Detail> {
    let holder = node.parent().filter(|parent| parent.type_name() == "Reference").unwrap_or(node);
    if refused.contains(&holder.id()) {
        return None;
    }
    let place = holder.path();
    match (found.iter().next(), found.count()) {
        (None, _) if !text.contains(':') && entries.has_apparent(text) => {
            Some(Detail::Told(format!("{place}: an entry has this type and id, and its fullUrl is another").into()))
        }
        (Some(one), 1) => {
            let (_, fragment) = text.split_once('#')?;
            let ids = match held.entry(one) {
                Entry::Occupied(ids) => ids.into_mut(),
                Entry::Vacant(free) => free.insert(super::text::ids(entries.entries.get(one)?.first("resource")?)),
            };
            let count = ids.get(fragment).copied().unwrap_or_default();
            let is_link = node.parent().is_some_and(is_narrative_link);
            match count {
                0 if is_link => Some(Detail::Told(format!("{place}: the entry has nothing with this id").into())),
                0 | 1 => None,
                many => Some(Detail::Told(format!("{place}: the entry has {many} parts with this id").into())),
            }
        }
        (None, _) => None,
        _ => Some(Detail::Told(format!("{place}: the reference may mean several entries").into())),
    }
}

/// The extension that leads from data to the words of the narrative that say the same.
fn is_narrative_link(node: Node<'_>) -> bool {
    is_extension(node) && node.text_at("url") == Some("http://hl7.org/fhir/StructureDefinition/narrativeLink")
}

fn is_extension(node: Node<'_>) -> bool {
    node.type_name() == "Extension"
}

/// Type and id of the address of a resource on a server.
fn rest<'u>(model: &Model, url: &'u str) -> Option<(&'u str, &'u str)> {
    let found = literal(url).filter(|found| found.is_absolute && found.type_name != "Resource")?;
    model.type_named(found.type_name).filter(|id| model.kind(*id) == Kind::Resource)?;
    Some((found.type_name, found.relative.rsplit('/').next()?))
}

/// The types that a search asks for: of its path, or of `_type`.
fn types_asked<'u>(model: &Model, url: &'u str) -> Vec<&'u str> {
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let last = path.rsplit('/').next().unwrap_or("");
    if model.type_named(last).is_some_and(|id| model.kind(id) == Kind::Resource) {
        return vec![last];
    }
    query.split('&').filter_map(|part| part.strip_prefix("_type=")).flat_map(|types| types.split(',')).collect()
}
