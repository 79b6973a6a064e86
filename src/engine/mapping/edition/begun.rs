//! What a clinical document demands that FHIR does not: the templates of the document, its sections and statements, numbers
//! of these, the sections that there must be, and goals, concerns and activities of a plan in the sections that are for them
//! (C-CDA R2.1). A Bundle that comes from elsewhere is given these before it is written; one that came of a document has them.

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};
use serde_json::{Value, json};

use crate::fhir::document::{Document, Node, SyntaxError};
use crate::fhir::edit::Edit;

use super::super::identity;
use super::super::run::put::resolve;
use super::super::trace::{Disposition, Lost};

/// A Bundle with what documents demand, and what it was given.
pub(in super::super) struct Stated {
    pub(in super::super) document: Arc<Document>,
    pub(in super::super) given: Vec<Lost>,
}

const TEMPLATE_ID: &str = "https://silta.example/fhir/cda/StructureDefinition/templateId";
const ID: &str = "https://silta.example/fhir/cda/StructureDefinition/id";
const CODE: &str = "https://silta.example/fhir/cda/StructureDefinition/code";
const NULL_FLAVOR: &str = "http://hl7.org/fhir/StructureDefinition/iso21090-nullFlavor";
const LOINC: &str = "http://loinc.org";
const ACT_CLASS: &str = "http://terminology.hl7.org/CodeSystem/v3-ActClass";
const ACT_CODE: &str = "http://terminology.hl7.org/CodeSystem/v3-ActCode";

const SNOMED: &str = "http://snomed.info/sct";
const CONDITION_CATEGORY: &str = "http://hl7.org/fhir/us/core/CodeSystem/condition-category";

const CARE_PLAN: &str = "2.16.840.1.113883.10.20.22.1.15";
const US_REALM: &str = "2.16.840.1.113883.10.20.22.1.1:2015-08-01";
const GOALS: &str = "2.16.840.1.113883.10.20.22.2.60";
const CONCERNS: &str = "2.16.840.1.113883.10.20.22.2.58:2015-08-01";
const INTERVENTIONS: &str = "2.16.840.1.113883.10.20.21.2.3:2015-08-01";
const TREATMENT: &str = "2.16.840.1.113883.10.20.22.2.10:2014-06-09";
const OUTCOMES: &str = "2.16.840.1.113883.10.20.22.2.61";
const REASON: &str = "1.3.6.1.4.1.19376.1.5.3.1.3.1:2014-06-09";
const PROBLEMS: &str = "2.16.840.1.113883.10.20.22.2.5.1:2015-08-01";
const ALLERGIES: &str = "2.16.840.1.113883.10.20.22.2.6.1:2015-08-01";
const MEDICATIONS: &str = "2.16.840.1.113883.10.20.22.2.1.1:2014-06-09";

/// Sections by their LOINC code: template and title.
const SECTIONS: [(&str, &str, &str); 17] = [
    ("61146-7", GOALS, "Goals"),
    ("75310-3", CONCERNS, "Health Concerns"),
    ("62387-6", INTERVENTIONS, "Interventions"),
    ("18776-5", TREATMENT, "Plan of Treatment"),
    ("11383-7", OUTCOMES, "Health Status Evaluations and Outcomes"),
    ("42349-1", REASON, "Reason for Referral"),
    ("11450-4", PROBLEMS, "Problems"),
    ("48765-2", ALLERGIES, "Allergies and Intolerances"),
    ("10160-0", MEDICATIONS, "Medications"),
    ("30954-2", "2.16.840.1.113883.10.20.22.2.3.1:2015-08-01", "Results"),
    ("8716-3", "2.16.840.1.113883.10.20.22.2.4.1:2015-08-01", "Vital Signs"),
    ("11369-6", "2.16.840.1.113883.10.20.22.2.2.1:2015-08-01", "Immunizations"),
    ("47519-4", "2.16.840.1.113883.10.20.22.2.7.1:2014-06-09", "Procedures"),
    ("29762-2", "2.16.840.1.113883.10.20.22.2.17:2015-08-01", "Social History"),
    ("47420-5", "2.16.840.1.113883.10.20.22.2.14:2014-06-09", "Functional Status"),
    ("10157-6", "2.16.840.1.113883.10.20.22.2.15:2015-08-01", "Family History"),
    ("46240-8", "2.16.840.1.113883.10.20.22.2.22.1:2015-08-01", "Encounters"),
];

/// Elements whose actor CDA tells as a role, and FHIR may name without one.
const ACTORS: [&str; 10] = [
    "author",
    "requester",
    "performer",
    "recorder",
    "source",
    "expressedBy",
    "informationSource",
    "actor",
    "member",
    "party",
];

/// What a list of a plan is for: the section that its items stand in, and the types of these.
const LISTS: [(&str, &[&str], &[&str]); 3] = [
    ("goal", &[GOALS], &["Goal"]),
    ("addresses", &[CONCERNS], &["Condition"]),
    ("activity", &[INTERVENTIONS, TREATMENT], &["ServiceRequest", "MedicationRequest", "DeviceRequest"]),
];

/// A Bundle from elsewhere as a new document of a template is written from it; none where it came of such a document.
///
/// # Errors
/// Where what is made is no FHIR, which is a mistake of this program.
pub(in super::super) fn document(
    wanted: &Arc<Document>,
    template: &str,
    provider: &str,
) -> Result<Option<Stated>, SyntaxError> {
    let Some(composition) = of_type(wanted, "Composition").next() else { return Ok(None) };
    if composition.extensions().any(|one| one.text_at("url") == Some(TEMPLATE_ID)) {
        return Ok(None);
    }
    let document = with_roles(wanted, provider)?;
    let document = with_sections(&document, template, provider)?;
    let stated = statements(&document, None)?;
    // What a new document has beside what is wanted is no loss, but another value is told.
    let given = shown_otherwise(wanted).chain(kinds(wanted)).map(|path| Lost {
        path,
        disposition: Disposition::Approximated,
        rule: None,
        reason: "written as such documents say it".to_owned(),
    });
    let given = given.collect();
    Ok(Some(Stated { document: stated.map_or(document, |stated| stated.document), given }))
}

fn of_type<'d>(document: &'d Document, name: &'static str) -> impl Iterator<Item = Node<'d>> {
    let resources = document.root().named("entry").filter_map(|entry| entry.first("resource"));
    resources.filter(move |resource| resource.type_name() == name)
}

fn url_of(resource: Node<'_>) -> &str {
    resource.parent().and_then(|entry| entry.text_at("fullUrl")).unwrap_or_default()
}

fn target<'d>(document: &'d Document, reference: Node<'d>) -> Option<Node<'d>> {
    resolve(document, reference.text_at("reference")?)
}

/// Sections, those within sections too.
fn sections(composition: Node<'_>) -> Vec<Node<'_>> {
    let mut found: Vec<Node<'_>> = composition.named("section").collect();
    let mut at = 0;
    while let Some(section) = found.get(at).copied() {
        found.extend(section.named("section"));
        at += 1;
    }
    found
}

/// What a document shows may always say more than its entries.
fn shown_otherwise(wanted: &Document) -> impl Iterator<Item = String> {
    let all = of_type(wanted, "Composition").flat_map(sections);
    let status = all.filter_map(|section| section.at("text.status"));
    status.filter(|status| status.text() != Some("additional")).map(|status| status.path().to_string())
}

/// The kinds of problems and concerns that documents have other codes for, or tell by where these stand.
fn kinds(wanted: &Document) -> impl Iterator<Item = String> {
    let all = of_type(wanted, "Condition").filter_map(|condition| condition.first("category"));
    all.filter(|category| is_of_lists(*category)).map(|category| category.path().to_string())
}

/// Whether a kind of a condition is said by a list that it stands in.
fn is_of_lists(category: Node<'_>) -> bool {
    category
        .named("coding")
        .any(|one| one.text_at("system").is_some_and(|system| system.ends_with("/condition-category")))
}

fn urn(template: &str) -> String {
    if template.contains(':') { format!("urn:hl7ii:{template}") } else { format!("urn:oid:{template}") }
}

fn template_id(template: &str) -> Value {
    json!({"url": TEMPLATE_ID, "valueUri": urn(template)})
}

/// The name of a resource as an identifier: its fullUrl where that is a UUID.
fn own_id(resource: Node<'_>) -> Value {
    let url = url_of(resource);
    let url = if url.starts_with("urn:uuid:") { url.to_owned() } else { identity::url("", "", "statement", url) };
    json!({"system": "urn:ietf:rfc:3986", "value": url})
}

/// Professionals and organisations that something names without a role have one.
fn with_roles(wanted: &Arc<Document>, provider: &str) -> Result<Arc<Document>, SyntaxError> {
    let mut edit = Edit::new(wanted);
    let mut made: FxHashSet<String> = FxHashSet::default();
    for resource in wanted.root().named("entry").filter_map(|entry| entry.first("resource")) {
        let mut open = vec![resource];
        while let Some(node) = open.pop() {
            open.extend(node.children());
            let is_role = resource.type_name() == "PractitionerRole";
            if node.type_name() != "Reference" || is_role || !ACTORS.contains(&node.name()) {
                continue;
            }
            let (Some(actor), Some(text)) = (target(wanted, node), node.first("reference")) else { continue };
            let part = match actor.type_name() {
                "Practitioner" => "practitioner",
                "Organization" => "organization",
                _ => continue,
            };
            let own = url_of(actor);
            let url = identity::url(provider, "", "role", own);
            edit.set(text, &url);
            if made.insert(url.clone()) {
                let role = json!({"resourceType": "PractitionerRole", part: {"reference": own}});
                edit.insert(wanted.root(), "entry", &json!({"fullUrl": url, "resource": role}).to_string());
            }
        }
    }
    if edit.is_empty() { Ok(Arc::clone(wanted)) } else { edit.finish() }
}

/// The template of a section: what it says, or what its code tells.
fn section_template(section: Node<'_>) -> Option<&'static str> {
    let said = section.extensions().filter(|one| one.text_at("url") == Some(TEMPLATE_ID));
    let said: Vec<&str> = said.filter_map(|one| one.text_at("valueUri")).collect();
    let mut all = SECTIONS.iter();
    if !said.is_empty() {
        let root = |template: &str| template.split(':').next().unwrap_or_default().to_owned();
        let of = |urn: &str| {
            let rest = urn.strip_prefix("urn:oid:").or_else(|| urn.strip_prefix("urn:hl7ii:")).unwrap_or(urn);
            root(rest)
        };
        return all.find(|(_, template, _)| said.iter().any(|one| of(one) == root(template))).map(|(_, t, _)| *t);
    }
    let mut codings = section.named("code").flat_map(|code| code.named("coding"));
    let code = codings.find(|coding| coding.text_at("system") == Some(LOINC))?.text_at("code")?;
    all.find(|(own, _, _)| *own == code).map(|(_, template, _)| *template)
}

/// What is put together of a document's sections.
struct Sections<'d> {
    document: &'d Document,
    edit: Edit<'d>,
    composition: Node<'d>,
    /// What sections come, by template: their entries.
    come: Vec<(&'static str, Vec<String>)>,
}

impl<'d> Sections<'d> {
    fn section(&self, templates: &[&str]) -> Option<Node<'d>> {
        let mut all = self.composition.named("section");
        all.find(|section| section_template(*section).is_some_and(|own| templates.contains(&own)))
    }

    fn comes(&mut self, template: &'static str, entry: Option<String>) {
        let at = self.come.iter().position(|(own, _)| *own == template).unwrap_or_else(|| {
            self.come.push((template, Vec::new()));
            self.come.len() - 1
        });
        if let Some((_, entries)) = self.come.get_mut(at) {
            entries.extend(entry);
        }
    }

    /// Puts entries in a section's place of those that it had.
    fn entries(&mut self, section: Node<'d>, entries: &[String]) {
        if entries.is_empty() {
            self.edit.drop_member(section, "entry");
        } else {
            self.edit.put(section, "entry", &format!("[{}]", entries.join(",")));
        }
    }

    /// The goals, concerns and activities that stand in their sections are the plan's, and have sections.
    fn lists(&mut self, plan: Node<'d>) {
        let sections: Vec<Node<'d>> = self.composition.named("section").collect();
        for (list, templates, types) in LISTS {
            let reference = |item: Node<'d>| if list == "activity" { item.first("reference") } else { Some(item) };
            let known: FxHashSet<&str> =
                plan.named(list).filter_map(|item| reference(item)?.text_at("reference")).collect();
            for section in &sections {
                if !section_template(*section).is_some_and(|own| templates.contains(&own)) {
                    continue;
                }
                let (mut kept, mut moved) = (Vec::new(), false);
                for entry in section.named("entry") {
                    let of = target(self.document, entry).map(|resource| resource.type_name());
                    if !of.is_some_and(|of| types.contains(&of)) {
                        kept.push(entry.raw().to_owned());
                        continue;
                    }
                    moved = true;
                    if !entry.text_at("reference").is_some_and(|text| known.contains(text)) {
                        let item = entry.raw().to_owned();
                        let item = if list == "activity" { format!("{{\"reference\":{item}}}") } else { item };
                        self.edit.insert(plan, list, &item);
                    }
                }
                if moved {
                    self.entries(*section, &kept);
                }
            }
            if let Some(template) = templates.first().filter(|_| !known.is_empty() && self.section(templates).is_none())
            {
                self.comes(template, None);
            }
        }
    }

    /// Problems and allergies stand in the list that is concerned with them.
    fn concerns(&mut self, provider: &str) {
        for (template, of, concern) in [
            (PROBLEMS, "Condition", "2.16.840.1.113883.10.20.22.4.3:2015-08-01"),
            (ALLERGIES, "AllergyIntolerance", "2.16.840.1.113883.10.20.22.4.30:2015-08-01"),
        ] {
            let sections: Vec<Node<'d>> =
                self.composition.named("section").filter(|one| section_template(*one) == Some(template)).collect();
            for section in sections {
                let (mut entries, mut changed) = (Vec::new(), false);
                for entry in section.named("entry") {
                    let Some(item) = target(self.document, entry).filter(|item| item.type_name() == of) else {
                        entries.push(entry.raw().to_owned());
                        continue;
                    };
                    changed = true;
                    let url = identity::url(provider, "", "concern", url_of(item));
                    let patient = item.first("subject").or_else(|| item.first("patient"));
                    let mut list = json!({
                        "resourceType": "List", "status": "current", "mode": "working",
                        "extension": [template_id(concern)],
                        "identifier": [{"system": "urn:ietf:rfc:3986", "value": url}],
                        "code": {"coding": [{"system": ACT_CLASS, "code": "CONC"}]},
                        "entry": [{"item": {"reference": url_of(item)}}],
                    });
                    if let (Some(reference), Some(list)) =
                        (patient.and_then(|patient| patient.text_at("reference")), list.as_object_mut())
                    {
                        list.insert("subject".to_owned(), json!({"reference": reference}));
                    }
                    let made = json!({"fullUrl": url, "resource": list});
                    self.edit.insert(self.document.root(), "entry", &made.to_string());
                    entries.push(json!({"reference": url}).to_string());
                }
                if changed {
                    self.entries(section, &entries);
                }
            }
        }
    }

    /// A request that no section has is what the note refers for.
    fn referrals(&mut self) {
        let mut held: FxHashSet<&str> = FxHashSet::default();
        let mut open: Vec<Node<'d>> = self.document.root().named("entry").filter_map(|e| e.first("resource")).collect();
        while let Some(node) = open.pop() {
            held.extend(node.text().filter(|_| node.name() == "reference"));
            open.extend(node.children());
        }
        let section = self.section(&[REASON]);
        let requests: Vec<&str> =
            of_type(self.document, "ServiceRequest").map(url_of).filter(|url| !held.contains(url)).collect();
        for url in requests {
            let entry = json!({"reference": url}).to_string();
            match section {
                Some(section) => self.edit.insert(section, "entry", &entry),
                None => self.comes(REASON, Some(entry)),
            }
        }
    }

    /// The sections that come. One that holds nothing says that there is no information.
    fn finish(mut self, is_care_plan: bool) -> Result<Arc<Document>, SyntaxError> {
        let demanded: &[&'static str] =
            if is_care_plan { &[CONCERNS, GOALS] } else { &[REASON, PROBLEMS, ALLERGIES, MEDICATIONS] };
        let mut empty: FxHashSet<&str> = FxHashSet::default();
        for template in demanded {
            if self.section(&[template]).is_none() && !self.come.iter().any(|(own, _)| own == template) {
                empty.insert(template);
                self.comes(template, None);
            }
        }
        for (template, entries) in std::mem::take(&mut self.come) {
            let Some((code, _, title)) = SECTIONS.iter().find(|(_, own, _)| *own == template) else { continue };
            let mut extension = vec![template_id(template)];
            let mut section = json!({"title": title, "code": {"coding": [{"system": LOINC, "code": code}]}});
            if let Some(section) = section.as_object_mut() {
                if empty.contains(template) {
                    extension.push(json!({"url": NULL_FLAVOR, "valueCode": "NI"}));
                    let div = "<div xmlns=\"http://www.w3.org/1999/xhtml\"><p>No information</p></div>";
                    section.insert("text".to_owned(), json!({"status": "additional", "div": div}));
                }
                if !entries.is_empty() {
                    let entries: Vec<Value> =
                        entries.iter().filter_map(|entry| serde_json::from_str(entry).ok()).collect();
                    section.insert("entry".to_owned(), Value::Array(entries));
                }
                section.insert("extension".to_owned(), Value::Array(extension));
            }
            self.edit.insert(self.composition, "section", &section.to_string());
        }
        self.edit.finish()
    }
}

/// The document and its sections have their templates, and the sections what they are for.
fn with_sections(document: &Arc<Document>, template: &str, provider: &str) -> Result<Arc<Document>, SyntaxError> {
    let Some(composition) = of_type(document, "Composition").next() else { return Ok(Arc::clone(document)) };
    let mut made = Sections { document, edit: Edit::new(document), composition, come: Vec::new() };
    for own in [US_REALM.to_owned(), format!("{template}:2015-08-01")] {
        made.edit.insert(composition, "extension", &template_id(&own).to_string());
    }
    if !composition.extensions().any(|one| one.text_at("url") == Some(ID)) {
        let id = json!({"url": ID, "valueIdentifier": own_id(composition)});
        made.edit.insert(composition, "extension", &id.to_string());
    }
    for section in sections(composition) {
        if let Some(status) = section.at("text.status") {
            made.edit.set(status, "additional");
        }
        let says = section.extensions().any(|one| one.text_at("url") == Some(TEMPLATE_ID));
        if let Some(template) = section_template(section).filter(|_| !says) {
            made.edit.insert(section, "extension", &template_id(template).to_string());
        }
    }
    let is_care_plan = template == CARE_PLAN;
    match of_type(document, "CarePlan").next().filter(|_| is_care_plan) {
        Some(plan) => made.lists(plan),
        None if !is_care_plan => made.referrals(),
        None => {}
    }
    made.concerns(provider);
    made.finish(is_care_plan)
}

/// Where a statement stands.
#[derive(Clone, Copy)]
enum Stands {
    /// In a list of the plan.
    Plan,
    /// In a section, by its template.
    Section(Option<&'static str>),
    /// In a list that is concerned with it.
    Concern,
    /// In a report.
    Report,
}

/// The template that a statement is of, by its type and where it stands; the display of the reference tells kinds of requests.
fn template_of(resource: Node<'_>, stands: Stands, shown: Option<&str>) -> Option<&'static str> {
    Some(match (resource.type_name(), stands) {
        ("Goal", _) => "2.16.840.1.113883.10.20.22.4.121",
        ("Condition", Stands::Concern) => "2.16.840.1.113883.10.20.22.4.4:2015-08-01",
        ("Condition", _) => "2.16.840.1.113883.10.20.22.4.132:2015-08-01",
        ("AllergyIntolerance", Stands::Concern) => "2.16.840.1.113883.10.20.22.4.7:2014-06-09",
        ("ServiceRequest", _) => match (shown, stands) {
            (Some("procedure" | "planned procedure"), _) => "2.16.840.1.113883.10.20.22.4.41:2014-06-09",
            (Some("observation" | "planned observation"), _) => "2.16.840.1.113883.10.20.22.4.44:2014-06-09",
            (Some("encounter" | "planned encounter"), _) => "2.16.840.1.113883.10.20.22.4.40:2014-06-09",
            (Some("planned act"), _) => "2.16.840.1.113883.10.20.22.4.39:2014-06-09",
            (_, Stands::Plan) => "2.16.840.1.113883.10.20.22.4.146:2015-08-01",
            (_, Stands::Section(Some(REASON))) => "2.16.840.1.113883.10.20.22.4.140",
            _ => "2.16.840.1.113883.10.20.22.4.39:2014-06-09",
        },
        ("MedicationRequest", _) => "2.16.840.1.113883.10.20.22.4.42:2014-06-09",
        ("DeviceRequest", _) => "2.16.840.1.113883.10.20.22.4.43:2014-06-09",
        ("MedicationStatement", _) => "2.16.840.1.113883.10.20.22.4.16:2014-06-09",
        ("Immunization", _) => "2.16.840.1.113883.10.20.22.4.52:2015-08-01",
        ("Procedure", _) if shown != Some("act") => "2.16.840.1.113883.10.20.22.4.14:2014-06-09",
        ("DiagnosticReport", _) => "2.16.840.1.113883.10.20.22.4.1:2015-08-01",
        ("Observation", Stands::Report) => "2.16.840.1.113883.10.20.22.4.2:2015-08-01",
        ("Observation", Stands::Section(Some(OUTCOMES))) => "2.16.840.1.113883.10.20.22.4.144",
        ("FamilyMemberHistory", _) => "2.16.840.1.113883.10.20.22.4.45:2015-08-01",
        ("Encounter", _) => "2.16.840.1.113883.10.20.22.4.49:2015-08-01",
        _ => return None,
    })
}

/// The Bundle with templates and numbers for the statements that have none; only those that were not there, where another
/// Bundle says what was.
///
/// # Errors
/// As [`document`].
pub(in super::super) fn statements(
    wanted: &Arc<Document>,
    old: Option<&Document>,
) -> Result<Option<Stated>, SyntaxError> {
    let is_new = |resource: Node<'_>| old.is_none_or(|old| old.bundle().by_url(url_of(resource)).is_none());
    let resources = || wanted.root().named("entry").filter_map(|entry| entry.first("resource"));
    if !resources().any(is_new) {
        return Ok(None);
    }
    let mut found: FxHashMap<&str, (Node<'_>, Stands, Option<&str>)> = FxHashMap::default();
    let mut held: Vec<(Node<'_>, Stands)> = Vec::new();
    for resource in resources() {
        match resource.type_name() {
            "CarePlan" => {
                held.extend(resource.named("goal").chain(resource.named("addresses")).map(|one| (one, Stands::Plan)));
                let activities = resource.named("activity").filter_map(|one| one.first("reference"));
                held.extend(activities.map(|one| (one, Stands::Plan)));
            }
            "Composition" => {
                for section in sections(resource) {
                    let stands = Stands::Section(section_template(section));
                    held.extend(section.named("entry").map(|one| (one, stands)));
                }
            }
            "List" => {
                let items = resource.named("entry").filter_map(|one| one.first("item"));
                held.extend(items.map(|one| (one, Stands::Concern)));
            }
            "DiagnosticReport" => held.extend(resource.named("result").map(|one| (one, Stands::Report))),
            _ => {}
        }
    }
    for (reference, stands) in held {
        if let Some(resource) = target(wanted, reference).filter(|resource| is_new(*resource)) {
            found.entry(url_of(resource)).or_insert((resource, stands, reference.text_at("display")));
        }
    }
    let mut edit = Edit::new(wanted);
    let mut given = Vec::new();
    let mut all: Vec<_> = found.into_values().collect();
    all.sort_unstable_by_key(|(resource, ..)| resource.id());
    for (resource, stands, shown) in all {
        let Some(template) = template_of(resource, stands, shown) else { continue };
        let mut tell = |name: &str| {
            given.push(Lost {
                path: format!("{}.{name}", resource.path()),
                disposition: Disposition::Approximated,
                rule: None,
                reason: "written with what the template of such a statement demands".to_owned(),
            });
        };
        if !resource.extensions().any(|one| one.text_at("url") == Some(TEMPLATE_ID)) {
            edit.insert(resource, "extension", &template_id(template).to_string());
            tell("extension");
        }
        if resource.first("identifier").is_none() {
            edit.insert(resource, "identifier", &own_id(resource).to_string());
            tell("identifier");
        }
        if old.is_none() && resource.type_name() == "Condition" && resource.first("category").is_none_or(is_of_lists) {
            let (system, code) = match stands {
                Stands::Concern => (SNOMED, "55607006"),
                _ => (CONDITION_CATEGORY, "health-concern"),
            };
            let kind = json!([{"coding": [{"system": system, "code": code}]}]);
            edit.put(resource, "category", &kind.to_string());
        }
        let says_code = resource.extensions().any(|one| one.text_at("url") == Some(CODE));
        if resource.type_name() == "AllergyIntolerance" && !says_code {
            let code = json!({"coding": [{"system": ACT_CODE, "code": "ASSERTION"}]});
            edit.insert(resource, "extension", &json!({"url": CODE, "valueCodeableConcept": code}).to_string());
        }
    }
    if edit.is_empty() { Ok(None) } else { Ok(Some(Stated { document: edit.finish()?, given })) }
}
