//! What a Bundle itself says, and each entry of its resource.

use crate::native::{NodeId, Tree};

use super::facts::Facts;
use super::part::{self, Part};
use super::{Convert, Place};

/// What of a Bundle its lines carry, or the resources themselves are.
const OWN: [(&str, &[&str]); 2] = [("Bundle", &["entry"]), ("Bundle.entry", &["fullUrl", "resource"])];

/// Whether an element says something of the Bundle or the entry that it stands in.
pub(crate) fn is_own(of: &str, name: &str) -> bool {
    let name = name.strip_prefix('_').unwrap_or(name);
    OWN.iter().any(|(known, others)| *known == of && !others.contains(&name))
}

/// What a Bundle or an entry of another version says for itself.
pub(crate) fn read(tree: &Tree, node: NodeId, facts: &Facts, place: Place) -> Vec<Part> {
    let Some(of) = facts.of(place.type_name()) else { return Vec::new() };
    part::read_those(tree, node, facts, &of, &|name| is_own(place.type_name(), name))
}

/// That as the other version has it: what belongs to a Bundle of its type.
pub(crate) fn converted(convert: &Convert<'_>, parts: &[Part], place: Place, bundle_type: Option<&str>) -> Vec<Part> {
    let mut made = convert.object(place.type_name(), place.type_name(), parts);
    if convert.inward {
        let of = bundle_type.or_else(|| made.iter().find(|p| p.name == "type")?.text.as_deref()).map(str::to_owned);
        made.retain(|part| belongs(of.as_deref().unwrap_or_default(), &part.name));
    }
    made
}

/// Whether a Bundle of a type may have an element, or its entries may (bdl-1 to bdl-4).
fn belongs(bundle_type: &str, name: &str) -> bool {
    match name {
        "total" => matches!(bundle_type, "searchset" | "history"),
        "search" => bundle_type == "searchset",
        "request" => matches!(bundle_type, "batch" | "transaction" | "history"),
        "response" => matches!(bundle_type, "batch-response" | "transaction-response" | "history"),
        _ => true,
    }
}
