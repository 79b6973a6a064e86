//! What is offered, by type.

use silta_engine::definitions::SearchType;
use silta_engine::search::Parameters;

use crate::access::interaction::{Action, ResourceType};
use crate::gateway::service::{Offer, Offers, SearchParameter};

/// Types that can be searched.
const SEARCHED: [&str; 7] = ["CarePlan", "CareTeam", "Goal", "Patient", "Provenance", "ServiceRequest", "Task"];

/// Types that are read, since references lead to them.
const READ: [&str; 18] = [
    "AllergyIntolerance",
    "Appointment",
    "Binary",
    "CareTeam",
    "Communication",
    "Condition",
    "DiagnosticReport",
    "DocumentReference",
    "Encounter",
    "EpisodeOfCare",
    "HealthcareService",
    "Location",
    "Observation",
    "Organization",
    "Practitioner",
    "PractitionerRole",
    "Procedure",
    "RelatedPerson",
];

/// Parameters that shape an answer rather than choose (<http://hl7.org/fhir/R4/search.html#return>).
const SHAPING: [(&str, &str); 5] =
    [("_count", "number"), ("_elements", "token"), ("_sort", "string"), ("_summary", "token"), ("_total", "token")];

/// What is offered.
pub(super) fn offers() -> Offers {
    let mut offers = Offers::default();
    for name in READ {
        if let Some(kind) = ResourceType::named(name) {
            offers.types.entry(kind).or_default().actions = vec![Action::Read, Action::VersionRead];
        }
    }
    for name in SEARCHED {
        let Some(kind) = ResourceType::named(name) else { continue };
        offers.types.insert(kind, searched(name));
    }
    offers.everywhere.push((super::validate::NAME.to_owned(), super::validate::DEFINITION.to_owned()));
    offers
}

fn searched(name: &'static str) -> Offer {
    let mut offer = Offer { actions: vec![Action::Read, Action::VersionRead, Action::Search], ..Offer::default() };
    for parameter in Parameters::r4().on(name) {
        let kind = match parameter.kind() {
            SearchType::Date => "date",
            SearchType::String => "string",
            SearchType::Token => "token",
            SearchType::Reference => "reference",
            SearchType::Uri => "uri",
            SearchType::Number | SearchType::Composite | SearchType::Quantity | SearchType::Special => continue,
        };
        offer.parameters.push(SearchParameter { name: parameter.code(), kind, definition: Some(parameter.url()) });
        if parameter.kind() == SearchType::Reference {
            offer.includes.push(format!("{name}:{}", parameter.code()));
        }
    }
    offer.parameters.extend(SHAPING.map(|(name, kind)| SearchParameter { name, kind, definition: None }));
    for source in SEARCHED {
        for parameter in Parameters::r4().on(source) {
            if parameter.targets().any(|target| target == name) {
                offer.reverse_includes.push(format!("{source}:{}", parameter.code()));
            }
        }
    }
    match name {
        "ServiceRequest" => {
            offer.actions.push(Action::Create);
            offer.conditional_create = true;
        }
        "Task" => {
            offer.actions.push(Action::Update);
            offer.version_aware = true;
        }
        _ => {}
    }
    offer
}
