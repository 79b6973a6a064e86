//! Finding a part of an answer by JSON pointer (RFC 6901) without changing a byte of it.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::Deserialize;
use serde_json::value::RawValue;

/// A JSON pointer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Pointer(Vec<String>);

impl Pointer {
    /// # Errors
    /// When it is neither empty nor begins with `/`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let steps = text.strip_prefix('/').ok_or("a JSON pointer is empty or begins with `/`")?;
        Ok(Self(steps.split('/').map(|step| step.replace("~1", "/").replace("~0", "~")).collect()))
    }

    /// The part of `json` that it points to; none when it is not there.
    ///
    /// # Errors
    /// When `json` is not JSON.
    pub(super) fn of<'a>(&self, json: &'a str) -> Result<Option<&'a str>, serde_json::Error> {
        let mut here: &RawValue = serde_json::from_str(json)?;
        for step in &self.0 {
            let text = here.get();
            let inner = if text.starts_with('{') {
                Members::of(text)?.remove(step.as_str())
            } else if text.starts_with('[') {
                index(step).and_then(|index| items(text).ok()?.get(index).copied())
            } else {
                None
            };
            let Some(inner) = inner else { return Ok(None) };
            here = inner;
        }
        Ok(Some(here.get()))
    }

    /// The text, number or boolean that it points to.
    pub(super) fn scalar(&self, json: &str) -> Option<String> {
        let raw = self.of(json).ok()??;
        match raw.bytes().next()? {
            b'"' => serde_json::from_str(raw).ok(),
            b'{' | b'[' | b'n' => None,
            _ => Some(raw.to_owned()),
        }
    }

    /// As a JSON path: `$.a[0].b`.
    pub(super) fn path(&self) -> String {
        self.0.iter().fold("$".to_owned(), |mut path, step| {
            push_step(&mut path, step);
            path
        })
    }
}

/// An array index as the standard writes it: digits, without leading zeros.
fn index(step: &str) -> Option<usize> {
    let digits = step.bytes().all(|b| b.is_ascii_digit()) && (step == "0" || !step.starts_with('0'));
    digits.then(|| step.parse().ok()).flatten()
}

/// Adds a member or an index to a JSON path.
pub(super) fn push_step(path: &mut String, step: &str) {
    if !step.is_empty() && step.bytes().all(|b| b.is_ascii_digit()) {
        path.push_str(&format!("[{step}]"));
    } else {
        path.push('.');
        path.push_str(step);
    }
}

/// The elements of an array, as they stand.
pub(super) fn items(json: &str) -> Result<Vec<&RawValue>, serde_json::Error> {
    serde_json::from_str(json)
}

struct Members;

impl Members {
    fn of(json: &str) -> Result<HashMap<Key<'_>, &RawValue>, serde_json::Error> {
        serde_json::from_str(json)
    }
}

#[derive(Deserialize, PartialEq, Eq, Hash)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl std::borrow::Borrow<str> for Key<'_> {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed, and says so by panicking")]

    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i32>().prop_map(|n| json!(n)),
            "[a-c/~\\\\\"ä]{0,3}".prop_map(|t| json!(t))
        ];
        leaf.prop_recursive(4, 40, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
                prop::collection::hash_map("[a-c/~\"ä]{0,2}", inner, 0..4).prop_map(|m| m.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_pointer_finds_what_the_standard_says(json in any_json(), pointer in "(/([a-c0-2ä\"]|~0|~1){0,2}){0,4}") {
            let text = json.to_string();
            let found = Pointer::parse(&pointer).unwrap().of(&text).unwrap().map(|raw| serde_json::from_str(raw).unwrap());
            prop_assert_eq!(found.as_ref(), json.pointer(&pointer));
        }
    }

    #[test]
    fn what_is_found_is_untouched() {
        let text = r#"{ "a" : [ 0, { "b" : 1.10 , "b\u0063" : 1e400 } ] }"#;
        let at = |pointer: &str| Pointer::parse(pointer).unwrap().of(text).unwrap();
        assert_eq!(at("/a/1/b"), Some("1.10"));
        assert_eq!(at("/a/1"), Some(r#"{ "b" : 1.10 , "b\u0063" : 1e400 }"#));
        assert_eq!(at("/a/1/bc"), Some("1e400"));
        assert_eq!((at("/a/01"), at("/a/+1"), at("/a/-"), at("/a/7")), (None, None, None, None));
        assert!(Pointer::parse("a").is_err());
    }
}
