//! Texts with placeholders, read once when the connection is made.

use serde_json::{Map, Value};

use crate::provider::web::{encode, segment};

/// What a placeholder stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Placeholder {
    Identifier,
    Id,
    Since,
    MessageId,
    Version,
}

impl Placeholder {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "identifier" => Self::Identifier,
            "id" => Self::Id,
            "since" => Self::Since,
            "message_id" => Self::MessageId,
            "version" => Self::Version,
            _ => return None,
        })
    }
}

/// The values of one request.
#[derive(Default, Clone, Copy)]
pub(super) struct Values<'a> {
    pub(super) identifier: Option<&'a str>,
    pub(super) id: Option<&'a str>,
    pub(super) since: Option<&'a str>,
    pub(super) message_id: Option<&'a str>,
    pub(super) version: Option<&'a str>,
}

impl<'a> Values<'a> {
    fn of(&self, placeholder: Placeholder) -> Option<&'a str> {
        match placeholder {
            Placeholder::Identifier => self.identifier,
            Placeholder::Id => self.id,
            Placeholder::Since => self.since,
            Placeholder::MessageId => self.message_id,
            Placeholder::Version => self.version,
        }
    }
}

/// A text with placeholders; `{{` and `}}` are braces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Value(Placeholder),
}

impl Template {
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (mut pieces, mut plain, mut chars) = (Vec::new(), String::new(), text.chars().peekable());
        while let Some(c) = chars.next() {
            match c {
                '{' if chars.next_if_eq(&'{').is_some() => plain.push('{'),
                '}' if chars.next_if_eq(&'}').is_some() => plain.push('}'),
                '}' => return Err("a `}` without its `{` (write `}}` for a brace)".to_owned()),
                '{' => {
                    let mut name = String::new();
                    loop {
                        match chars.next() {
                            Some('}') => break,
                            Some(c) => name.push(c),
                            None => return Err(format!("`{{{name}` is not closed")),
                        }
                    }
                    let placeholder = Placeholder::of(&name).ok_or_else(|| {
                        format!("`{{{name}}}` is not known: use {{identifier}}, {{id}}, {{since}}, {{message_id}} or {{version}}")
                    })?;
                    if !plain.is_empty() {
                        pieces.push(Piece::Text(std::mem::take(&mut plain)));
                    }
                    pieces.push(Piece::Value(placeholder));
                }
                c => plain.push(c),
            }
        }
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Self(pieces))
    }

    pub(super) fn has(&self, placeholder: Placeholder) -> bool {
        self.0.contains(&Piece::Value(placeholder))
    }

    /// The text with its values; none when one is missing.
    pub(super) fn text(&self, values: &Values<'_>) -> Option<String> {
        self.fill(values, |value| Some(value.to_owned()))
    }

    /// The text with its values as path segments; none when one is missing or would change the path.
    pub(super) fn path(&self, values: &Values<'_>) -> Option<String> {
        self.fill(values, segment)
    }

    /// The text with its values percent-encoded; none when one is missing.
    pub(super) fn query(&self, values: &Values<'_>) -> Option<String> {
        self.fill(values, |value| Some(value.to_owned())).map(|text| encode(&text))
    }

    fn fill(&self, values: &Values<'_>, write: impl Fn(&str) -> Option<String>) -> Option<String> {
        let mut out = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Value(placeholder) => out.push_str(&write(values.of(*placeholder)?)?),
            }
        }
        Some(out)
    }
}

/// A JSON body whose texts are templates.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Body {
    Text(Template),
    Other(Value),
    List(Vec<Body>),
    Members(Vec<(String, Body)>),
}

impl Body {
    pub(super) fn parse(value: &Value) -> Result<Self, String> {
        Ok(match value {
            Value::String(text) => Self::Text(Template::parse(text)?),
            Value::Array(items) => Self::List(items.iter().map(Self::parse).collect::<Result<_, _>>()?),
            Value::Object(members) => Self::Members(
                members
                    .iter()
                    .map(|(name, value)| Ok((name.clone(), Self::parse(value)?)))
                    .collect::<Result<_, String>>()?,
            ),
            other => Self::Other(other.clone()),
        })
    }

    /// The body with its values; what lacks one is left out.
    pub(super) fn fill(&self, values: &Values<'_>) -> Option<Value> {
        match self {
            Self::Text(template) => template.text(values).map(Value::String),
            Self::Other(value) => Some(value.clone()),
            Self::List(items) => Some(items.iter().filter_map(|item| item.fill(values)).collect()),
            Self::Members(members) => {
                let filled = members.iter().filter_map(|(name, body)| Some((name.clone(), body.fill(values)?)));
                Some(Value::Object(filled.collect::<Map<_, _>>()))
            }
        }
    }
}
