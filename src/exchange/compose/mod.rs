//! From a translated document and what is known to what is to be written: one commit.
//!
//! Pure: everything that is looked up is in [`Known`], everything that is decided is in the returned [`Composed`].

mod teams;
mod visits;

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use silta_engine::fhir::document::{Document, Limits, Node, NodeId};
use silta_engine::fhir::edit::Edit;
use silta_engine::validation::Validator;

use crate::provider::registry::{Registry, Validation};
use crate::store::{Facet, Member, NativeId, ResourceKey};

use super::error::{ExchangeError, Problem};
use super::facets::facets_of;
use super::known::{self, IMPERSONAL, Known};
use super::localise::{self, Bases, Placed, Provenance};
use super::partner::{Partner, alias_system};
use super::routing::{self, NoRoute};
use super::translated::Translated;
use super::workflow::state::{self, Actor, Status};
use super::workflow::task;

pub(crate) use teams::changed_team;

/// The facet that says which provider does the work of a Task, and which asked for it.
pub(crate) const OWNER: &str = "silta-owner";
pub(crate) const REQUESTER: &str = "silta-requester";
/// The facet of a care team that names an order of its plan.
pub(crate) const ORDER: &str = "silta-order";

/// A resource to be written.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) key: ResourceKey,
    pub(crate) version: u64,
    pub(crate) document: Arc<Document>,
    /// The resource within the document.
    pub(crate) node: NodeId,
    pub(crate) facets: Vec<Facet>,
    /// The owner; none for the gateway's own.
    pub(crate) provider: Option<String>,
    pub(crate) personal: bool,
}

impl Made {
    /// A resource that is a document of its own, and the gateway's.
    pub(crate) fn own(key: ResourceKey, version: u64, document: Arc<Document>, facets: Vec<Facet>) -> Self {
        Self { key, version, facets, node: document.root().id(), document, provider: None, personal: true }
    }

    /// Another version of a resource, whosesoever it is.
    pub(crate) fn another(member: &Member, version: u64, document: Arc<Document>, facets: Vec<Facet>) -> Self {
        Self {
            provider: member.resource.provider.clone(),
            personal: member.resource.person.is_some(),
            ..Self::own(member.resource.key.clone(), version, document, facets)
        }
    }

    pub(crate) fn node(&self) -> Node<'_> {
        self.document.node(self.node)
    }
}

/// A new version of a Task, for those who are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TaskChange {
    pub(crate) key: ResourceKey,
    pub(crate) version: u64,
    pub(crate) status: Option<Status>,
    pub(crate) owner: Option<String>,
    pub(crate) requester: Option<String>,
    /// The Task is new.
    pub(crate) is_new: bool,
}

/// What is to be written, apart from the journal and the audit.
#[derive(Debug, Default)]
pub(crate) struct Composed {
    pub(crate) made: Vec<Made>,
    pub(crate) deleted: Vec<(ResourceKey, u64)>,
    pub(crate) links: Vec<NativeId>,
    pub(crate) tasks: Vec<TaskChange>,
    /// What the operators are told: kind and text.
    pub(crate) notices: Vec<(&'static str, String)>,
}

/// What composing needs to know besides the document.
pub(crate) struct Composer<'c> {
    pub(crate) partner: &'c Partner,
    pub(crate) registry: &'c Registry,
    pub(crate) validator: &'c Validator,
    pub(crate) now: Timestamp,
    /// What references may begin with.
    pub(crate) bases: Bases,
    /// Where a referral goes when its document names no recipient but its envelope does (MSH-6): a provider's name.
    pub(crate) envelope_recipient: Option<&'c str>,
}

impl Composer<'_> {
    /// Decides everything about one document.
    ///
    /// # Errors
    /// What is wrong with it, or with what it asks for.
    pub(crate) fn compose(&self, translated: &Translated, known: &Known) -> Result<Composed, ExchangeError> {
        let mut composed = Composed { links: known.links.clone(), ..Composed::default() };
        let updated = self.now.to_string();
        let provenance = Provenance { source: self.partner.source(), test: self.partner.is_test() };
        let placed: Vec<Placed> = translated
            .entries
            .iter()
            .zip(&known.keys)
            .filter(|(entry, _)| !entry.deleted)
            .map(|(entry, key)| Placed {
                node: entry.node,
                key: key.clone(),
                version: Some(next_version(known.members.get(key))),
                updated: Some(updated.clone()),
            })
            .collect();
        let bundle = localise::localise(&translated.bundle, &placed, &known.resolved, &self.bases, &provenance)
            .map_err(|_| ExchangeError::Internal("a rewritten Bundle cannot be read"))?;
        self.validate(&bundle, &mut composed)?;
        let keeps_all = !self.partner.is_live() || translated.entries.iter().any(|entry| entry.resource_type == "Task");
        for (resource, (entry, key)) in resources(&bundle).zip(translated.entries.iter().zip(&known.keys)) {
            let member = known.members.get(key);
            if entry.deleted {
                if let Some(member) = member.filter(|member| !member.resource.deleted) {
                    composed.deleted.push((key.clone(), member.resource.version + 1));
                }
                continue;
            }
            if entry.resource_type == "Task" {
                continue;
            }
            let foreign = member.is_some_and(|member| {
                !member.resource.deleted && member.resource.provider.as_deref() != Some(self.partner.name())
            });
            if foreign {
                self.adopt(member, resource, &entry.native, &mut composed)?;
            } else if keeps_all && member.is_none_or(|member| !same_content(member, resource)) {
                composed.made.push(Made {
                    key: key.clone(),
                    version: next_version(member),
                    facets: keep_private(member, facets_of(resource)),
                    document: Arc::clone(&bundle),
                    node: resource.id(),
                    provider: Some(self.partner.name().to_owned()),
                    personal: !IMPERSONAL.contains(&entry.resource_type.as_str()),
                });
            }
        }
        self.tasks(&bundle, translated, known, &mut composed)?;
        self.visits(&bundle, known, &mut composed)?;
        self.teams(&bundle, known, &mut composed)?;
        self.validate_tasks(&mut composed)?;
        Ok(composed)
    }

    fn validate(&self, bundle: &Arc<Document>, composed: &mut Composed) -> Result<(), ExchangeError> {
        let mut problems = Vec::new();
        for resource in resources(bundle) {
            // A Task is judged as the gateway keeps it.
            let is_task = resource.type_name() == "Task";
            let profiles = if is_task { Vec::new() } else { self.partner.profiles_on(resource.type_name()) };
            problems.extend(super::judge::problems(self.validator, bundle, resource.id(), &profiles));
        }
        self.judge(problems, composed)
    }

    /// Tasks as they are to be kept, by their profiles.
    fn validate_tasks(&self, composed: &mut Composed) -> Result<(), ExchangeError> {
        let profiles = self.partner.profiles_on("Task");
        if profiles.is_empty() {
            return Ok(());
        }
        let tasks = composed.made.iter().filter(|made| made.key.resource_type == "Task");
        let problems = tasks
            .flat_map(|made| super::judge::problems(self.validator, &made.document, made.node, &profiles))
            .collect();
        self.judge(problems, composed)
    }

    /// What becomes of a document that breaks rules: refused, or taken and an operator told.
    fn judge(&self, problems: Vec<Problem>, composed: &mut Composed) -> Result<(), ExchangeError> {
        if problems.is_empty() {
            return Ok(());
        }
        match self.partner.connection.validation {
            Validation::Reject => Err(ExchangeError::Refused(problems)),
            Validation::Warn => {
                let rules: Vec<String> = problems
                    .iter()
                    .take(5)
                    .map(|problem| problem.expression.clone().unwrap_or_else(|| problem.text.clone()))
                    .collect();
                composed.notices.push(("profile", format!("{} rules broken, at {}", problems.len(), rules.join(", "))));
                Ok(())
            }
        }
    }

    /// Another's resource in this provider's document: what the provider calls it is added, nothing else.
    fn adopt(
        &self,
        member: Option<&Member>,
        resource: Node<'_>,
        native: &str,
        composed: &mut Composed,
    ) -> Result<(), ExchangeError> {
        let Some(member) = member else { return Ok(()) };
        let document = parse(&member.resource.content, resource.document())?;
        let root = document.root();
        let held: Vec<&str> = root.named("identifier").map(Node::raw).collect();
        let mut edit = Edit::new(&document);
        for identifier in resource.named("identifier") {
            let is_new = root.named("identifier").all(|one| {
                one.text_at("value") != identifier.text_at("value")
                    || one.text_at("system") != identifier.text_at("system")
            });
            if is_new && !held.contains(&identifier.raw()) {
                edit.insert(root, "identifier", identifier.raw());
            }
        }
        let alias = alias_facet(self.partner.name(), native);
        let knows_alias = native.is_empty() || member.facets.contains(&alias);
        if edit.is_empty() && knows_alias {
            return Ok(());
        }
        let version = next_version(Some(member));
        let document = stamp(edit, &document, version, self.now)?;
        let mut facets = keep_private(Some(member), facets_of(document.root()));
        if !knows_alias {
            facets.push(alias);
        }
        composed.made.push(Made::another(member, version, document, facets));
        Ok(())
    }

    /// Tasks that the document speaks of, and Tasks of orders that came without one.
    fn tasks(
        &self,
        bundle: &Arc<Document>,
        translated: &Translated,
        known: &Known,
        composed: &mut Composed,
    ) -> Result<(), ExchangeError> {
        let mut with_task: Vec<String> = Vec::new();
        for (resource, (entry, key)) in resources(bundle).zip(translated.entries.iter().zip(&known.keys)) {
            if entry.resource_type != "Task" || entry.deleted {
                continue;
            }
            let focus = resource.text_at("focus.reference").map(str::to_owned);
            with_task.extend(focus.clone());
            let current = focus.as_deref().and_then(|focus| task_of(known, focus)).or_else(|| known.members.get(key));
            match current {
                Some(current) => self.revise(current, resource, &entry.native, composed)?,
                None => self.begin(bundle, resource, key, &entry.native, composed)?,
            }
        }
        for (resource, key) in resources(bundle).zip(&known.keys) {
            let reference = key.to_string();
            let is_order = resource.type_name() == "ServiceRequest"
                && resource.text_at("status") == Some("active")
                && resource.text_at("intent").is_some_and(|intent| intent.contains("order"));
            let is_mine = known
                .members
                .get(key)
                .is_none_or(|member| member.resource.provider.as_deref() == Some(self.partner.name()));
            if !is_order || !is_mine || with_task.contains(&reference) || task_of(known, &reference).is_some() {
                continue;
            }
            let made = task::for_order(resource, &reference, None, self.now)
                .map_err(|_| ExchangeError::Internal("a Task cannot be made"))?;
            let task_key = ResourceKey::new("Task", key.id.clone());
            self.begin(bundle, made.root(), &task_key, "", composed)?;
        }
        Ok(())
    }

    /// A new Task.
    fn begin(
        &self,
        bundle: &Arc<Document>,
        task: Node<'_>,
        key: &ResourceKey,
        native: &str,
        composed: &mut Composed,
    ) -> Result<(), ExchangeError> {
        let status = task::status_of(task).unwrap_or(Status::Requested);
        let owner = self.recipient(bundle, task)?;
        let requester = task
            .first("requester")
            .map(|reference| routing::organisations(bundle, reference))
            .and_then(|wanted| routing::by_organisation(self.registry, &wanted).ok().map(str::to_owned))
            .unwrap_or_else(|| self.partner.name().to_owned());
        let actor = self.actor(Some(&owner), Some(&requester));
        if state::begin(status).is_err() {
            // A provider may tell of a referral only when it is under way: the way there must be a legal one.
            task::allowed(Status::Requested, status, actor, task.first("statusReason").is_some())?;
        }
        let document = task_document(task)?;
        let root = document.root();
        let mut edit = Edit::new(&document);
        edit.put(root, "id", &quoted(&key.id));
        for name in ["authoredOn", "lastModified"] {
            if root.first(name).is_none() {
                edit.put(root, name, &quoted(&self.now.to_string()));
            }
        }
        self.sides_of_order(&mut edit, bundle, root, &owner, &requester);
        if self.partner.is_test() {
            localise::mark_test(&mut edit, root);
        }
        let marked = edit.finish().map_err(|_| ExchangeError::Internal("a Task cannot be made"))?;
        let document = stamp(Edit::new(&marked), &marked, 1, self.now)?;
        let mut facets = facets_of(document.root());
        facets.push(Facet::text(OWNER, owner.clone()));
        facets.push(Facet::text(REQUESTER, requester.clone()));
        if !native.is_empty() {
            facets.push(alias_facet(self.partner.name(), native));
        }
        composed.tasks.push(TaskChange {
            key: key.clone(),
            version: 1,
            status: Some(status),
            owner: Some(owner),
            requester: Some(requester),
            is_new: true,
        });
        composed.made.push(Made::own(key.clone(), 1, document, facets));
        Ok(())
    }

    /// Whom the Task does not name is taken from its order; who was found by other means is named by its organisation.
    fn sides_of_order<'d>(&self, edit: &mut Edit<'d>, bundle: &Document, task: Node<'d>, owner: &str, requester: &str) {
        let order = task
            .text_at("focus.reference")
            .and_then(|focus| bundle.bundle().by_id(focus).or_else(|| by_reference(bundle, focus)))
            .map(|id| bundle.node(id));
        for (of_task, of_order, provider) in [("owner", "performer", owner), ("requester", "requester", requester)] {
            if task.first(of_task).is_some() {
                continue;
            }
            if let Some(side) = order.and_then(|order| order.first(of_order)) {
                edit.put(task, of_task, side.raw());
            } else if let Some(known) =
                self.registry.find(provider).and_then(|connection| connection.organisations.first().cloned())
            {
                let reference = serde_json::json!({
                    "type": "Organization",
                    "identifier": {"system": known.system, "value": known.value},
                });
                edit.put(task, of_task, &reference.to_string());
            }
        }
    }

    /// A Task that is there, and what this provider says of it.
    fn revise(
        &self,
        current: &Member,
        said: Node<'_>,
        native: &str,
        composed: &mut Composed,
    ) -> Result<(), ExchangeError> {
        let (owner, requester) = sides(current);
        let actor = self.actor(owner.as_deref(), requester.as_deref());
        let document = parse(&current.resource.content, said.document())?;
        let revised = task::revise(&document, said, actor, self.now)?;
        self.keep_task(current, &document, &revised, native, composed)
    }

    /// Writes a new version of a Task if there is anything new in it.
    fn keep_task(
        &self,
        current: &Member,
        before: &Arc<Document>,
        after: &Arc<Document>,
        native: &str,
        composed: &mut Composed,
    ) -> Result<(), ExchangeError> {
        let alias = alias_facet(self.partner.name(), native);
        let knows_alias = native.is_empty() || current.facets.contains(&alias);
        let unchanged = Arc::ptr_eq(before, after);
        if unchanged && knows_alias {
            return Ok(());
        }
        let version = next_version(Some(current));
        let document = stamp(Edit::new(after), after, version, self.now)?;
        let mut facets = keep_private(Some(current), facets_of(document.root()));
        if !knows_alias {
            facets.push(alias);
        }
        if !unchanged {
            let (owner, requester) = sides(current);
            composed.tasks.push(TaskChange {
                key: current.resource.key.clone(),
                version,
                status: task::status_of(document.root()),
                owner,
                requester,
                is_new: false,
            });
        }
        composed.made.push(Made::own(current.resource.key.clone(), version, document, facets));
        Ok(())
    }

    /// On which side of a Task this provider stands. One that stands on neither says nothing that counts.
    fn actor(&self, owner: Option<&str>, requester: Option<&str>) -> Actor {
        let me = Some(self.partner.name());
        Actor { owner: owner == me, requester: requester == me }
    }

    /// Who is to do the work: the owner, else the order's performer, by organisation; else by municipality and service;
    /// else whom the envelope names.
    fn recipient(&self, bundle: &Document, task: Node<'_>) -> Result<String, ExchangeError> {
        let order =
            task.text_at("focus.reference").and_then(|focus| bundle.bundle().by_id(focus)).map(|id| bundle.node(id));
        let mut wanted = Vec::new();
        if let Some(owner) = task.first("owner") {
            wanted.extend(routing::organisations(bundle, owner));
        }
        for performer in order.iter().flat_map(|order| order.named("performer")) {
            wanted.extend(routing::organisations(bundle, performer));
        }
        match routing::by_organisation(self.registry, &wanted) {
            Ok(provider) => return Ok(provider.to_owned()),
            Err(NoRoute::Several(several)) => return Err(NoRoute::Several(several).into()),
            // A recipient who is named and not connected is not replaced by another.
            Err(NoRoute::Nobody) if !wanted.is_empty() => return Err(NoRoute::Nobody.into()),
            Err(NoRoute::Nobody) => {}
        }
        if let Some(provider) = self.envelope_recipient {
            return Ok(provider.to_owned());
        }
        let services = order.map(routing::services).unwrap_or_default();
        let services: Vec<&str> = services.iter().map(String::as_str).collect();
        let municipality =
            resources(bundle).find(|resource| resource.type_name() == "Patient").and_then(routing::municipality);
        Ok(routing::by_rules(self.registry, municipality.as_deref(), &services)?.to_owned())
    }
}

/// The resource of this `Type/id` in a Bundle whose entries may have no ids yet.
fn by_reference(bundle: &Document, reference: &str) -> Option<NodeId> {
    resources(bundle)
        .find(|one| one.text_at("id").is_some_and(|id| reference == format!("{}/{id}", one.type_name())))
        .map(|one| one.id())
}

/// The resources of a Bundle's entries, in order.
pub(crate) fn resources(bundle: &Document) -> impl Iterator<Item = Node<'_>> {
    bundle.root().named("entry").filter_map(|entry| entry.first("resource"))
}

/// The Task of an order: the one that is not over, else the last.
pub(crate) fn task_of<'k>(known: &'k Known, order: &str) -> Option<&'k Member> {
    let mut found = None;
    for task in &known.tasks {
        if known::facet_texts(task, "focus").any(|focus| focus == order) {
            let is_over = known::facet_texts(task, "status").next().and_then(Status::of).is_some_and(Status::is_final);
            if !is_over {
                return Some(task);
            }
            found = Some(task);
        }
    }
    found
}

/// The providers of a Task's owner and requester.
pub(crate) fn sides(task: &Member) -> (Option<String>, Option<String>) {
    let side = |name| known::facet_texts(task, name).next().map(str::to_owned);
    (side(OWNER), side(REQUESTER))
}

pub(crate) fn alias_facet(provider: &str, native: &str) -> Facet {
    Facet::token("identifier", Some(&alias_system(provider)), native)
}

/// Facets that are not made from the content go on with it.
pub(crate) fn keep_private(member: Option<&Member>, mut facets: Vec<Facet>) -> Vec<Facet> {
    for facet in member.iter().flat_map(|member| &member.facets) {
        let is_private = facet.name.starts_with("silta-")
            || matches!(&facet.value, crate::store::FacetValue::Token { system: Some(system), .. }
                if facet.name == "identifier" && system.starts_with("urn:silta:native:"));
        if is_private && !facets.contains(facet) {
            facets.push(facet.clone());
        }
    }
    facets
}

pub(crate) fn next_version(member: Option<&Member>) -> u64 {
    member.map_or(1, |member| member.resource.version + 1)
}

/// A stored resource as a document.
pub(crate) fn parse(content: &Bytes, like: &Document) -> Result<Arc<Document>, ExchangeError> {
    Document::from_json(like.model(), content.to_vec(), &Limits::default())
        .map_err(|_| ExchangeError::Internal("a stored resource cannot be read"))
}

/// Finishes an edit of a resource with its version and time.
pub(crate) fn stamp<'d>(
    mut edit: Edit<'d>,
    document: &'d Arc<Document>,
    version: u64,
    now: Timestamp,
) -> Result<Arc<Document>, ExchangeError> {
    let root = document.root();
    let (version, updated) = (quoted(&version.to_string()), quoted(&now.to_string()));
    match root.first("meta") {
        Some(meta) => {
            edit.put(meta, "versionId", &version);
            edit.put(meta, "lastUpdated", &updated);
        }
        None => edit.put(root, "meta", &format!("{{\"versionId\":{version},\"lastUpdated\":{updated}}}")),
    }
    edit.finish().map_err(|_| ExchangeError::Internal("a changed resource cannot be read"))
}

pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn task_document(task: Node<'_>) -> Result<Arc<Document>, ExchangeError> {
    let limits = Limits::default();
    Document::from_json(task.document().model(), task.raw().as_bytes().to_vec(), &limits)
        .map_err(|_| ExchangeError::Internal("a Task cannot be read"))
}

/// Whether a resource says what is stored, apart from its meta.
fn same_content(member: &Member, resource: Node<'_>) -> bool {
    if member.resource.deleted {
        return false;
    }
    let Ok(stored) = parse(&member.resource.content, resource.document()) else { return false };
    let parts = |node: Node<'_>| -> Vec<(String, String, String)> {
        node.children()
            .filter(|child| child.name() != "meta")
            .map(|child| (child.name().to_owned(), child.raw().to_owned(), child.raw_twin().unwrap_or("").to_owned()))
            .collect()
    };
    parts(stored.root()) == parts(resource)
}

impl From<task::ReviseError> for ExchangeError {
    fn from(error: task::ReviseError) -> Self {
        match error {
            task::ReviseError::Move(illegal) => Self::Move(illegal),
            task::ReviseError::Syntax(_) => Self::Internal("a changed Task cannot be read"),
        }
    }
}
