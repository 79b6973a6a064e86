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
                step.parse().ok().and_then(|index| items(text).ok()?.get::<usize>(index).copied())
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
