//! In which values a document differs from a draft that is otherwise the same.

use crate::definitions::{Kind, Symbol};

use super::document::Document;
use super::draft::{At, Draft};
use super::emit;
use super::json::Shape;
use super::node::Node;

/// The values that are other in a document than in a draft: where, and what the document has there. Nothing where it is
/// more than values that differs, or more than so many. References are the same that lead to the same entry of a Bundle.
pub(crate) fn other_values<'d>(draft: &Draft, document: &'d Document, most: usize) -> Option<Vec<(At, &'d str)>> {
    let mut compare = Compare {
        draft,
        document,
        said: emit::said(draft),
        reference: draft.model.symbol("reference"),
        open: Vec::new(),
        found: Vec::new(),
        most,
    };
    compare.same(draft.root(), document.root()).then_some(compare.found)
}

struct Compare<'c, 'd> {
    draft: &'c Draft,
    document: &'d Document,
    /// Which parts say something.
    said: Vec<bool>,
    reference: Symbol,
    /// The children of the nodes that are open which no part has been found for yet.
    open: Vec<Option<Node<'d>>>,
    found: Vec<(At, &'d str)>,
    most: usize,
}

impl<'d> Compare<'_, 'd> {
    /// Whether a part and a node are the same but for values.
    fn same(&mut self, at: At, node: Node<'d>) -> bool {
        let Some(part) = self.draft.part(at) else { return false };
        match (self.draft.text_of(part), node.text()) {
            (None, None) => {}
            (Some(ours), Some(theirs)) => {
                if ours != theirs && !(part.symbol == self.reference && self.leads_to(theirs, ours)) {
                    self.found.push((at, theirs));
                    if self.found.len() > self.most {
                        return false;
                    }
                }
            }
            _ => return false,
        }
        let kind = self.draft.type_of(at).map(|of| self.draft.model.kind(of));
        if kind == Some(Kind::Resource) && self.draft.type_of(at) != node.type_id()
            || (kind == Some(Kind::Primitive)) == (node.shape() == Some(Shape::Object))
        {
            return false;
        }
        self.children(at, node)
    }

    fn children(&mut self, at: At, node: Node<'d>) -> bool {
        let from = self.open.len();
        self.open.extend(node.children().map(Some));
        let end = self.open.len();
        // Mostly the next is the one.
        let (mut next, mut left) = (from, end - from);
        let draft = self.draft;
        let mut is_same = true;
        for (child, part) in draft.held(at) {
            if !self.said.get(child.0 as usize).copied().unwrap_or(false) {
                continue;
            }
            let is = |one: &Option<Node<'d>>| one.is_some_and(|one| one.symbol() == part.symbol);
            let place = if next < end && self.open.get(next).is_some_and(is) {
                Some(next)
            } else {
                self.open.get(from..end).and_then(|open| open.iter().position(is)).map(|at| from + at)
            };
            let other = place.and_then(|place| self.open.get_mut(place)?.take());
            let Some(other) = other.filter(|_| part.symbol != Symbol::UNKNOWN) else {
                is_same = false;
                break;
            };
            next = place.map_or(end, |place| place + 1);
            left -= 1;
            if !self.same(child, other) {
                is_same = false;
                break;
            }
        }
        self.open.truncate(from);
        is_same && left == 0
    }

    /// Whether a reference of the document leads to the entry of this name.
    fn leads_to(&self, reference: &str, url: &str) -> bool {
        let found = self.document.bundle().by_reference(reference);
        let entry = found.and_then(|id| self.document.node(id).parent());
        entry.is_some_and(|entry| entry.text_at("fullUrl") == Some(url))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::other_values;
    use crate::definitions::Model;
    use crate::fhir::document::{Document, Limits};
    use crate::fhir::draft::Draft;

    fn read(json: &str) -> std::sync::Arc<Document> {
        Document::from_json(Model::r4(), json.as_bytes().to_vec(), &Limits::default()).unwrap()
    }

    fn differ(one: &str, other: &str) -> Option<Vec<String>> {
        let one = read(one);
        let mut draft = Draft::new(Model::r4(), one.root().type_name());
        let root = draft.root();
        draft.graft(root, one.root());
        let other = read(other);
        let found = other_values(&draft, &other, 2)?;
        Some(found.into_iter().map(|(at, text)| format!("{}: {text}", draft.name(at))).collect())
    }

    const PATIENT: &str = r#"{"resourceType":"Patient","id":"a","active":true,"name":[{"family":"A","given":["B","C"]}],"birthDate":"1947","_birthDate":{"extension":[{"url":"u","valueString":"w"}]}}"#;

    #[test]
    fn what_is_the_same_differs_in_nothing() {
        assert_eq!(differ(PATIENT, PATIENT), Some(Vec::new()));
        let otherwise = r#"{ "birthDate": "1947", "_birthDate": {"extension":[{"valueString":"w","url":"u"}]}, "resourceType" : "Patient",
            "id":"a","name":[{"given":["B","C"],"family":"A"}],"active":true}"#;
        assert_eq!(differ(PATIENT, otherwise), Some(Vec::new()));
    }

    #[test]
    fn other_values_are_told_by_their_places() {
        let other = PATIENT.replace("\"C\"", "\"D\"").replace("true", "false");
        assert_eq!(differ(PATIENT, &other), Some(vec!["active: false".to_owned(), "given: D".to_owned()]));
        assert_eq!(differ(PATIENT, &PATIENT.replace("\"w\"", "\"x\"")), Some(vec!["valueString: x".to_owned()]));
    }

    #[test]
    fn what_differs_in_more_than_values_is_not_taken_apart() {
        for (from, to) in [
            ("\"C\"", "\"C\",\"D\""),
            ("\"B\",", ""),
            ("\"active\":true,", ""),
            ("\"birthDate\":\"1947\",", ""),
            ("\"id\":\"a\",", ""),
            (",\"_birthDate\":{\"extension\":[{\"url\":\"u\",\"valueString\":\"w\"}]}", ""),
            ("valueString", "valueCode"),
            ("\"active\":true", "\"active\":true,\"gender\":\"male\""),
            ("\"resourceType\":\"Patient\"", "\"resourceType\":\"Person\""),
            ("\"family\":\"A\"", "\"family\":\"A\",\"unheardOf\":\"x\""),
        ] {
            let other = PATIENT.replacen(from, to, 1);
            assert_ne!(other, PATIENT);
            assert_eq!(differ(PATIENT, &other), None, "{other}");
        }
        let all = PATIENT.replace("\"A\"", "\"X\"").replace("\"B\"", "\"Y\"").replace("\"C\"", "\"Z\"");
        assert_eq!(differ(PATIENT, &all), None);
    }

    #[test]
    fn references_are_the_same_that_lead_to_the_same_entry() {
        let bundle = r#"{"resourceType":"Bundle","type":"collection","entry":[{"fullUrl":"urn:uuid:1","resource":{"resourceType":"Patient","id":"p"}},{"resource":{"resourceType":"Basic","code":{"text":"x"},"subject":{"reference":"urn:uuid:1"}}}]}"#;
        assert_eq!(
            differ(bundle, &bundle.replace("reference\":\"urn:uuid:1", "reference\":\"Patient/p")),
            Some(Vec::new())
        );
        let other = differ(bundle, &bundle.replace("reference\":\"urn:uuid:1", "reference\":\"Patient/q"));
        assert_eq!(other, Some(vec!["reference: Patient/q".to_owned()]));
    }
}
