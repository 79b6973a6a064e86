//! What the store knows of the resources that a new order or a Task refers to.

use silta_engine::fhir::document::Document;

use crate::store::{IdentifierQuery, Member, ResourceKey, StoreError, View};

use super::super::known;

/// What the store knows of a new order.
pub(super) struct Around {
    pub(super) subject: Option<Member>,
    /// Referenced resources that are there, as `Type/id`.
    pub(super) members: Vec<Member>,
    pub(super) missing: Vec<(String, String)>,
    pub(super) existing: Vec<String>,
}

/// Everything a resource refers to.
pub(super) fn surroundings(
    view: &View<'_>,
    document: &Document,
    if_none_exist: Option<&IdentifierQuery>,
) -> Result<Around, StoreError> {
    let existing = match if_none_exist {
        Some(query) => view.identified(document.root().type_name(), query)?,
        None => Vec::new(),
    };
    let mut around = Around { subject: None, members: Vec::new(), missing: Vec::new(), existing };
    let mut open = vec![document.root()];
    let mut next: Vec<(String, String)> = Vec::new();
    while let Some(node) = open.pop() {
        if node.type_name() == "Reference" {
            if let Some(target) = node.text_at("reference") {
                next.push((node.path().to_string(), target.to_owned()));
            }
            continue;
        }
        open.extend(node.children().filter(|child| !child.is_primitive()));
    }
    let given = next.len();
    let mut done = 0;
    while let Some((path, target)) = next.get(done).cloned() {
        done += 1;
        if target.starts_with('#') || target.contains("://") || done > 64 {
            continue;
        }
        let Some((kind, id)) = target.split_once('/') else { continue };
        let key = ResourceKey::new(kind, id.split('/').next().unwrap_or(id));
        if around.members.iter().any(|member| member.resource.key == key) {
            continue;
        }
        match view.member(&key)?.filter(|member| !member.resource.deleted) {
            Some(member) => {
                // Roles lead on to their organisations.
                for facet in ["organization", "partof"] {
                    next.extend(known::facet_texts(&member, facet).map(|one| (path.clone(), one.to_owned())));
                }
                if kind == "Patient" && around.subject.is_none() {
                    around.subject = Some(member.clone());
                }
                around.members.push(member);
            }
            None if done <= given => around.missing.push((path, target)),
            None => {}
        }
    }
    Ok(around)
}
