//! Our changes written onto what a provider has: member by member, so that what it added itself stays.

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::provider::Identifier;

/// Members that are the server's to say.
const THEIRS: [&str; 3] = ["resourceType", "id", "meta"];

/// The members of a JSON object, in order, each as it is written.
struct Members(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Members;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Each)
    }
}

impl Members {
    fn of(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    fn get(&self, name: &str) -> Option<&RawValue> {
        self.0.iter().find(|(held, _)| held == name).map(|(_, value)| value.as_ref())
    }

    fn put(&mut self, name: &str, value: &RawValue) {
        match self.0.iter_mut().find(|(held, _)| held == name) {
            Some((_, held)) => *held = value.to_owned(),
            None => self.0.push((name.to_owned(), value.to_owned())),
        }
    }

    fn text(&self) -> String {
        let members: Vec<String> =
            self.0.iter().map(|(name, value)| format!("{}:{}", Value::from(name.as_str()), value.get())).collect();
        format!("{{{}}}", members.join(","))
    }
}

/// Whether two texts are the same JSON, whatever the white space and the order of members.
fn same(one: &RawValue, other: &RawValue) -> bool {
    let read = |raw: &RawValue| serde_json::from_str::<Value>(raw.get()).ok();
    one.get() == other.get() || read(one) == read(other)
}

/// What a provider has, with what differs between `before` (what it was given last) and `now` written onto it. The inner
/// none: there is nothing to write. The outer none: one of the texts is no object.
pub(super) fn merged(held: &str, before: Option<&str>, now: &str, native: &str) -> Option<Option<String>> {
    let (mut next, now) = (Members::of(held)?, Members::of(now)?);
    let before = before.map_or(Some(Members(Vec::new())), Members::of)?;
    let mut differs = false;
    for (name, value) in now.0.iter().filter(|(name, _)| !THEIRS.contains(&name.as_str())) {
        let is_as_given = before.get(name).is_some_and(|given| same(given, value));
        if is_as_given || next.get(name).is_some_and(|held| same(held, value)) {
            continue;
        }
        next.put(name, value);
        // That something was noted is no news by itself.
        differs |= name != "lastModified";
    }
    for (name, _) in before.0.iter().filter(|(name, _)| !THEIRS.contains(&name.as_str())) {
        if now.get(name).is_none() && next.get(name).is_some() {
            next.0.retain(|(held, _)| held != name);
            differs = true;
        }
    }
    if !differs {
        return Some(None);
    }
    // An update says which it is (http.html#update).
    let id = RawValue::from_string(Value::from(native).to_string()).ok()?;
    next.put("id", &id);
    Some(Some(next.text()))
}

/// The status of a resource.
pub(super) fn status(text: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Status {
        status: Option<String>,
    }
    serde_json::from_str::<Status>(text).ok()?.status
}

/// The version of a resource as it says itself.
pub(super) fn version(text: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Resource {
        meta: Option<Meta>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Meta {
        version_id: Option<String>,
    }
    serde_json::from_str::<Resource>(text).ok()?.meta?.version_id
}

/// Whether a resource has a business identifier.
pub(super) fn bears(text: &[u8], identifier: &Identifier) -> bool {
    #[derive(Deserialize)]
    struct Resource {
        #[serde(default)]
        identifier: Vec<One>,
    }
    #[derive(Deserialize)]
    struct One {
        system: Option<String>,
        value: Option<String>,
    }
    serde_json::from_slice::<Resource>(text).is_ok_and(|resource| {
        resource
            .identifier
            .iter()
            .any(|one| one.system.as_ref() == Some(&identifier.system) && one.value.as_ref() == Some(&identifier.value))
    })
}

/// Whether two resources say the same, apart from what servers add.
pub(super) fn says_the_same(one: &str, other: &str) -> bool {
    let (Some(one), Some(other)) = (Members::of(one), Members::of(other)) else { return false };
    let said = |members: &Members| -> Vec<(String, Option<Value>)> {
        let mut said: Vec<_> = members
            .0
            .iter()
            .filter(|(name, _)| name != "meta")
            .map(|(name, value)| (name.clone(), serde_json::from_str(value.get()).ok()))
            .collect();
        said.sort_by(|one, other| one.0.cmp(&other.0));
        said
    };
    said(&one) == said(&other)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]
mod tests {
    use super::*;

    const HELD: &str = r#"{"resourceType":"Task","id":"7","meta":{"versionId":"2"},"status":"received","extension":[{"url":"u","valueDecimal":1.10}],"note":[{"text":"a"}]}"#;

    #[test]
    fn what_differs_from_what_was_given_is_written_and_the_rest_stays_to_the_letter() {
        let given = r#"{"resourceType":"Task","status":"requested","statusReason":{"text":"x"},"note":[{"text":"a"}]}"#;
        let now = r#"{"resourceType":"Task","status":"cancelled","note":[{"text":"a"}]}"#;
        let next = merged(HELD, Some(given), now, "7").unwrap().unwrap();
        assert_eq!(next, HELD.replace("received", "cancelled"));
        let with_reason = HELD.replace("\"note\"", "\"statusReason\":{\"text\":\"x\"},\"note\"");
        let next = merged(&with_reason, Some(given), now, "7").unwrap().unwrap();
        assert_eq!(next, HELD.replace("received", "cancelled"), "what was taken back goes");
    }

    #[test]
    fn what_was_not_changed_here_does_not_undo_what_the_provider_changed() {
        let given = r#"{"resourceType":"Task","status":"requested","priority":"routine"}"#;
        assert_eq!(merged(HELD, Some(given), given, "7"), Some(None));
        let now = r#"{"resourceType":"Task","status":"requested","priority":"urgent"}"#;
        let next = merged(HELD, Some(given), now, "7").unwrap().unwrap();
        assert!(next.contains("\"received\"") && next.contains("\"priority\":\"urgent\""), "{next}");
        assert_eq!(merged("[]", None, now, "7"), None);
    }
}
