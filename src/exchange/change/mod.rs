//! Changes that come through the FHIR interface: a new order, a Task's next version.

mod allowed;
mod around;

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use silta_engine::fault::Fault;
use silta_engine::fhir::document::{Document, Node};
use silta_engine::fhir::edit::Edit;

use crate::provider::Identifier;
use crate::store::{
    AuditTarget, Commit, Expect, Facet, IdentifierQuery, Member, NewAudit, NewNotice, Outcome, PersonId, Ref,
    ResourceKey, StoreError, Write,
};

use super::Exchange;
use super::compose::{self, Made, OWNER, REQUESTER, TaskChange};
use super::error::{ExchangeError, Problem};
use super::facets::facets_of;
use super::judge;
use super::known;
use super::localise::{is_test, mark_test};
use super::receive::{ATTEMPTS, is_overtaken, overtaken, write_members};
use super::routing;
use super::workflow::state::{Actor, Status};
use super::workflow::task;
use allowed::{check_task, keep_labels, put_source};
use around::{Around, surroundings};

/// The system of the numbers that the gateway gives to orders that come without one.
pub(crate) const ORDER_NUMBERS: &str = "urn:silta:order";

/// Who changes something, and under which request.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The caller's configured name.
    pub caller: String,
    /// The organisations that the caller acts for; none: it is not held to one side of a Task.
    pub organisations: Vec<Identifier>,
    /// The request's id.
    pub request: String,
    /// When it came.
    pub received: Timestamp,
    /// The caller works with made-up persons: what it makes is marked so.
    pub test: bool,
}

/// A resource as it is now.
#[derive(Debug, Clone)]
pub struct Changed {
    /// The resource.
    pub document: Arc<Document>,
    /// Its key.
    pub key: ResourceKey,
    /// Its version.
    pub version: u64,
    /// `meta.lastUpdated`.
    pub last_modified: Timestamp,
    /// Whose data.
    pub persons: Vec<PersonId>,
    /// Who is told.
    pub told: Vec<String>,
    /// It was there already (`If-None-Exist`) and nothing was done.
    pub existed: bool,
}

/// A Task as it stands, and what is decided together with it.
struct Standing {
    current: Option<Member>,
    /// All care teams of its person.
    teams: Vec<Member>,
    around: Around,
}

impl Standing {
    fn person(&self) -> Option<PersonId> {
        self.current.as_ref().and_then(|current| current.resource.person)
    }
}

impl Exchange {
    /// Takes a new ServiceRequest, and makes its Task when it is an active order.
    ///
    /// # Errors
    /// What is wrong with it; nobody, or several, to do it; the store.
    pub async fn create_order(
        &self,
        document: Arc<Document>,
        if_none_exist: Option<IdentifierQuery>,
        origin: &Origin,
    ) -> Result<Changed, ExchangeError> {
        let key = ResourceKey::new("ServiceRequest", self.new_id());
        let document = with_number(&document, &key)?;
        self.check(&document)?;
        let around = self.around(&document, if_none_exist.clone()).await?;
        match around.existing.as_slice() {
            [] => {}
            [one] => return self.existing(one).await,
            _ => return Err(ExchangeError::refused(Fault::MultipleMatches, "several orders match If-None-Exist")),
        }
        if !around.missing.is_empty() {
            return Err(ExchangeError::Refused(around.missing.iter().map(|(path, _)| dangling(path)).collect()));
        }
        let Some(subject) = &around.subject else {
            let problem = Problem::new(Fault::BusinessRule, "subject must refer to a Patient that is known here");
            return Err(ExchangeError::Refused(vec![problem.expression("ServiceRequest.subject")]));
        };
        let person = subject.resource.person;
        let now = origin.received;
        let mut edit = Edit::new(&document);
        edit.put(document.root(), "id", &compose::quoted(&key.id));
        if origin.test {
            mark_test(&mut edit, document.root());
        }
        let marked = edit.finish().map_err(|_| ExchangeError::Internal("a new order cannot be read"))?;
        let mut edit = Edit::new(&marked);
        put_source(&mut edit, marked.root(), None);
        let order = compose::stamp(edit, &marked, 1, now)?;
        let mut made = vec![Made {
            key: key.clone(),
            version: 1,
            facets: facets_of(order.root()),
            node: order.root().id(),
            document: Arc::clone(&order),
            provider: None,
            personal: true,
        }];
        let mut changes = Vec::new();
        let root = order.root();
        if root.text_at("status") == Some("active") && root.text_at("intent").is_some_and(|one| one.contains("order")) {
            let (task, change) = match self.task_of_order(&order, &key, &around, now) {
                Ok(made) => made,
                Err(error) => {
                    self.tell_operators(&error, origin).await?;
                    return Err(error);
                }
            };
            made.push(task);
            changes.push(change);
        }
        let mut commit = Commit::new();
        if let Some(identifier) = if_none_exist {
            commit.expect(Expect::NoneExist { resource_type: "ServiceRequest".to_owned(), identifier });
        }
        let change = self.write_change(commit, made, &changes, person, &key, order, 1, origin, "create");
        match change.await {
            // Another create with the same condition came first: this one finds what that one made.
            Err(ExchangeError::Store(StoreError::Exists { ids, .. })) if ids.len() == 1 => {
                self.existing(ids.first().map_or("", String::as_str)).await
            }
            made => made,
        }
    }

    /// Takes the next version of a Task, made on the version that the caller names.
    ///
    /// # Errors
    /// Another version is current; a move that is not allowed; what is wrong with the content; the store.
    pub async fn update_task(
        &self,
        id: &str,
        if_match: u64,
        document: Arc<Document>,
        origin: &Origin,
    ) -> Result<Changed, ExchangeError> {
        let key = ResourceKey::new("Task", id);
        self.check(&document)?;
        let mut turn = None;
        for _ in 0..ATTEMPTS {
            let mut read = self.standing(&key, &document).await?;
            if let (None, Some(person)) = (&turn, read.person()) {
                let taken = self.turns().take(person).await;
                if taken.waited {
                    read = self.standing(&key, &document).await?;
                }
                turn = Some(taken);
            }
            match self.update_task_as_read(&key, if_match, &document, read, origin).await {
                // The Task's own version is the caller's matter; what else changed in between is not.
                Err(ExchangeError::Store(error)) if is_overtaken(&error) && !is_of(&error, "Task") => {}
                done => return done,
            }
        }
        Err(overtaken())
    }

    /// A Task as it stands, with what its next version refers to and the care teams of its person.
    async fn standing(&self, key: &ResourceKey, document: &Arc<Document>) -> Result<Standing, ExchangeError> {
        let (wanted, given) = (key.clone(), Arc::clone(document));
        Ok(self
            .store()
            .read(move |view| {
                let current = view.member(&wanted)?;
                let teams = match current.as_ref().and_then(|current| current.resource.person) {
                    Some(person) => view.members(Some(person), &["CareTeam"])?,
                    None => Vec::new(),
                };
                Ok(Standing { current, teams, around: surroundings(view, &given, None)? })
            })
            .await?)
    }

    async fn update_task_as_read(
        &self,
        key: &ResourceKey,
        if_match: u64,
        document: &Arc<Document>,
        read: Standing,
        origin: &Origin,
    ) -> Result<Changed, ExchangeError> {
        let Standing { current, teams, around } = read;
        let Some(current) = current else {
            return Err(ExchangeError::refused(Fault::NotFound, "no Task of this id is known here"));
        };
        if current.resource.deleted {
            return Err(ExchangeError::refused(Fault::Deleted, "this Task was deleted"));
        }
        if current.resource.version != if_match {
            return Err(StoreError::Stale {
                resource_type: "Task".to_owned(),
                current: Some(current.resource.version),
            }
            .into());
        }
        if !around.missing.is_empty() {
            return Err(ExchangeError::Refused(around.missing.iter().map(|(path, _)| dangling(path)).collect()));
        }
        let before = self.stored(&current.resource.content)?;
        let (owner, requester) = compose::sides(&current);
        let actor = self.actor_of(origin, owner.as_deref(), requester.as_deref());
        check_task(&before, document, actor)?;
        let now = origin.received;
        let version = current.resource.version + 1;
        let mut edit = Edit::new(document);
        edit.put(document.root(), "lastModified", &compose::quoted(&now.to_string()));
        keep_labels(&before, document, &mut edit);
        let labelled = edit.finish().map_err(|_| ExchangeError::Internal("a changed Task cannot be read"))?;
        let mut edit = Edit::new(&labelled);
        put_source(&mut edit, labelled.root(), before.root().at("meta.source"));
        let after = compose::stamp(edit, &labelled, version, now)?;
        let change = TaskChange {
            key: key.clone(),
            version,
            status: task::status_of(after.root()),
            owner,
            requester,
            is_new: false,
        };
        let mut made = vec![Made {
            key: key.clone(),
            version,
            facets: compose::keep_private(Some(&current), facets_of(after.root())),
            node: after.root().id(),
            document: Arc::clone(&after),
            provider: None,
            personal: true,
        }];
        let mut commit = Commit::new();
        commit.expect(Expect::Version { key: key.clone(), version: Some(if_match) });
        let person = current.resource.person;
        if change.status.is_some_and(Status::is_taken) {
            made.extend(self.team_changes(&teams, &around.members, &after, now)?);
            let read: Vec<&Member> = teams.iter().collect();
            commit.expect.extend(person.map(|person| known::as_read(person, &["CareTeam"], &read)));
        }
        self.write_change(commit, made, &[change], person, key, after, version, origin, "update").await
    }

    /// The rules that every resource from outside must hold to.
    fn check(&self, document: &Arc<Document>) -> Result<(), ExchangeError> {
        let root = document.root();
        let profiles = self.settings().profiles.on(root.type_name());
        let problems = judge::problems(self.validator(), document, root.id(), &profiles);
        if problems.is_empty() { Ok(()) } else { Err(ExchangeError::Refused(problems)) }
    }

    async fn around(
        &self,
        document: &Arc<Document>,
        if_none_exist: Option<IdentifierQuery>,
    ) -> Result<Around, ExchangeError> {
        let document = Arc::clone(document);
        Ok(self.store().read(move |view| surroundings(view, &document, if_none_exist.as_ref())).await?)
    }

    async fn existing(&self, id: &str) -> Result<Changed, ExchangeError> {
        let key = ResourceKey::new("ServiceRequest", id);
        let wanted = key.clone();
        let member = self.store().read(move |view| view.member(&wanted)).await?;
        let Some(member) = member else {
            return Err(ExchangeError::Internal("a resource that was found is not there"));
        };
        Ok(Changed {
            document: self.stored(&member.resource.content)?,
            key,
            version: member.resource.version,
            last_modified: member.resource.updated,
            persons: member.resource.person.into_iter().collect(),
            told: Vec::new(),
            existed: true,
        })
    }

    fn task_of_order(
        &self,
        order: &Arc<Document>,
        key: &ResourceKey,
        around: &Around,
        now: Timestamp,
    ) -> Result<(Made, TaskChange), ExchangeError> {
        let root = order.root();
        let mut wanted: Vec<Identifier> = Vec::new();
        for performer in root.named("performer") {
            wanted.extend(self.organisations_of(performer, &around.members));
        }
        let owner = if wanted.is_empty() {
            let services = routing::services(root);
            let services: Vec<&str> = services.iter().map(String::as_str).collect();
            let patient = around.subject.as_ref().map(|subject| self.stored(&subject.resource.content)).transpose()?;
            let municipality = patient.as_ref().and_then(|patient| routing::municipality(patient.root()));
            routing::by_rules(self.registry(), municipality.as_deref(), &services)?
        } else {
            routing::by_organisation(self.registry(), &wanted)?
        };
        if let Some(partner) = self.partner(owner)
            && !partner.is_test()
            && is_test(root)
        {
            return Err(ExchangeError::refused(
                Fault::WrongProcessingMode,
                "test data never goes to a provider in production",
            ));
        }
        let requester = root
            .first("requester")
            .map(|requester| self.organisations_of(requester, &around.members))
            .and_then(|wanted| routing::by_organisation(self.registry(), &wanted).ok())
            .map(str::to_owned);
        let draft = task::for_order(root, &key.to_string(), None, now)
            .map_err(|_| ExchangeError::Internal("a Task cannot be made"))?;
        let task_key = ResourceKey::new("Task", key.id.clone());
        let mut edit = Edit::new(&draft);
        edit.put(draft.root(), "id", &compose::quoted(&task_key.id));
        if is_test(root) {
            mark_test(&mut edit, draft.root());
        }
        let marked = edit.finish().map_err(|_| ExchangeError::Internal("a Task cannot be made"))?;
        let document = compose::stamp(Edit::new(&marked), &marked, 1, now)?;
        let mut facets = facets_of(document.root());
        facets.push(Facet::text(OWNER, owner));
        facets.extend(requester.clone().map(|name| Facet::text(REQUESTER, name)));
        let change = TaskChange {
            key: task_key.clone(),
            version: 1,
            status: Some(Status::Requested),
            owner: Some(owner.to_owned()),
            requester,
            is_new: true,
        };
        let made = Made::own(task_key, 1, document, facets);
        Ok((made, change))
    }

    /// The identifiers of the organisation behind a reference to what is stored.
    fn organisations_of(&self, reference: Node<'_>, members: &[Member]) -> Vec<Identifier> {
        let mut found = Vec::new();
        if let (Some(system), Some(value)) =
            (reference.text_at("identifier.system"), reference.text_at("identifier.value"))
        {
            found.push(Identifier::organisation(system, value));
        }
        let mut next = reference.text_at("reference").map(str::to_owned);
        for _ in 0..4 {
            let Some(target) = next.take() else { break };
            let Some(member) = members.iter().find(|member| member.resource.key.to_string() == target) else { break };
            let Ok(document) = self.stored(&member.resource.content) else { break };
            let root = document.root();
            if root.type_name() == "Organization" {
                found.extend(root.named("identifier").filter_map(|one| {
                    Some(Identifier::organisation(one.text_at("system").unwrap_or(""), one.text_at("value")?))
                }));
            }
            let link = if root.type_name() == "PractitionerRole" { "organization" } else { "partOf" };
            next = root.at(link).and_then(|link| link.text_at("reference")).map(str::to_owned);
        }
        found
    }

    /// A caller that acts for an organisation is held to that organisation's side.
    fn actor_of(&self, origin: &Origin, owner: Option<&str>, requester: Option<&str>) -> Actor {
        if origin.organisations.is_empty() {
            return Actor::EITHER;
        }
        let mine = routing::by_organisation(self.registry(), &origin.organisations).ok();
        Actor { owner: mine.is_some() && mine == owner, requester: mine.is_some() && mine == requester }
    }

    /// The teams of plans that hold the order of a Task that was taken, with its owner.
    fn team_changes(
        &self,
        teams: &[Member],
        around: &[Member],
        task: &Arc<Document>,
        now: Timestamp,
    ) -> Result<Vec<Made>, ExchangeError> {
        let root = task.root();
        let (Some(focus), Some(owner)) = (root.text_at("focus.reference"), root.first("owner")) else {
            return Ok(Vec::new());
        };
        // A plan holds the orders of its activities, and those that say that they are based on it.
        let order = around.iter().find(|member| member.resource.key.to_string() == focus);
        let plans: Vec<&str> = order.map(|order| known::facet_texts(order, "based-on").collect()).unwrap_or_default();
        let mut made = Vec::new();
        for member in teams {
            let is_based = || plans.contains(&format!("CarePlan/{}", member.resource.key.id).as_str());
            if !known::facet_texts(member, compose::ORDER).any(|order| order == focus) && !is_based() {
                continue;
            }
            let before = self.stored(&member.resource.content)?;
            let (members, orders) = ([owner.raw().to_owned()], BTreeSet::from([focus.to_owned()]));
            let key = &member.resource.key;
            made.extend(compose::changed_team(key, Some(member), &before, &members, &orders, now)?);
        }
        Ok(made)
    }

    #[expect(clippy::too_many_arguments, reason = "what is written, for whom, and under which request")]
    async fn write_change(
        &self,
        mut commit: Commit,
        made: Vec<Made>,
        changes: &[TaskChange],
        person: Option<PersonId>,
        key: &ResourceKey,
        document: Arc<Document>,
        version: u64,
        origin: &Origin,
        interaction: &str,
    ) -> Result<Changed, ExchangeError> {
        let now = origin.received;
        let of = person.map(Ref::Known);
        write_members(&mut commit, made, of, None, now);
        let mine = routing::by_organisation(self.registry(), &origin.organisations).ok();
        let mut told = Vec::new();
        for change in changes {
            for (partner, news) in self.whom_to_tell(change, mine) {
                told.push(partner.name().to_owned());
                commit.write(Write::Message(news.message(partner.name(), of, None, now)));
            }
        }
        commit.write(Write::Audit(NewAudit {
            time: now,
            who: origin.caller.clone(),
            interaction: interaction.to_owned(),
            target: AuditTarget::Resource(key.clone()),
            person: of,
            providers: told.clone(),
            outcome: "success".to_owned(),
            request: origin.request.clone(),
        }));
        match self.store().commit(commit).await? {
            Outcome::Committed(_) | Outcome::Repeated(_) => {}
        }
        if let Some(person) = person {
            for provider in &told {
                self.generations().bump(provider, person);
            }
        }
        Ok(Changed {
            document,
            key: key.clone(),
            version,
            last_modified: now,
            persons: person.into_iter().collect(),
            told,
            existed: false,
        })
    }

    async fn tell_operators(&self, error: &ExchangeError, origin: &Origin) -> Result<(), ExchangeError> {
        if error.fault() != Fault::NoRecipient {
            return Ok(());
        }
        let mut commit = Commit::new();
        commit.write(Write::Notice(NewNotice {
            opened: origin.received,
            kind: "no-recipient".to_owned(),
            provider: origin.caller.clone(),
            journal: None,
            text: error.to_string(),
        }));
        self.store().commit(commit).await?;
        Ok(())
    }

    /// A new id of the gateway's own: 24 letters and digits.
    pub(crate) fn new_id(&self) -> String {
        const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
        let wide = u128::from(self.random().number()) << 64 | u128::from(self.random().number());
        (0..24)
            .filter_map(|place| usize::try_from(wide >> (place * 5) & 31).ok())
            .filter_map(|letter| LETTERS.get(letter))
            .map(|byte| char::from(*byte))
            .collect()
    }
}

/// An order is known to all its sides by a number; one that has none gets the gateway's.
fn with_number(order: &Arc<Document>, key: &ResourceKey) -> Result<Arc<Document>, ExchangeError> {
    let root = order.root();
    if root.first("identifier").is_some() {
        return Ok(Arc::clone(order));
    }
    let number = serde_json::json!({"system": ORDER_NUMBERS, "value": key.id});
    let mut edit = Edit::new(order);
    edit.insert(root, "identifier", &number.to_string());
    edit.finish().map_err(|_| ExchangeError::Internal("a new order cannot be read"))
}

/// Whether an error is about a version of a resource of this type.
fn is_of(error: &StoreError, kind: &str) -> bool {
    matches!(error, StoreError::Stale { resource_type, .. } | StoreError::VersionConflict { resource_type, .. }
        if resource_type == kind)
}

fn dangling(path: &str) -> Problem {
    Problem::new(Fault::BusinessRule, "this refers to something that is not known here").expression(path)
}
