//! Functions of strings.

use std::borrow::Cow;
use std::fmt::Write;

use super::EvalError;
use super::function::Function;
use super::pattern::Pattern;
use super::value::Value;

type Found<'d> = Vec<Value<'d>>;

fn one(value: Value<'_>) -> Found<'_> {
    vec![value]
}

/// The most bytes that a function of strings can make of these arguments.
pub(super) fn most_bytes(function: Function, value: &Value<'_>, arguments: &[Option<Value<'_>>]) -> usize {
    let Value::String(text) = value else { return 0 };
    let argument = |place: usize| match arguments.get(place) {
        Some(Some(Value::String(text))) => &**text,
        _ => "",
    };
    match function {
        Function::Replace => {
            let (from, with) = (argument(0), argument(1));
            let times = if from.is_empty() { text.chars().count() + 1 } else { text.matches(from).count() };
            times.saturating_mul(with.len()).saturating_add(text.len())
        }
        // Every `$` in what comes instead may stand for all that is found.
        Function::ReplaceMatches => {
            let with = argument(1);
            let groups = with.matches('$').count().saturating_mul(text.len());
            (text.len() + 1).saturating_mul(with.len().max(1)).saturating_add(groups)
        }
        // Each part is a value of its own.
        Function::ToChars | Function::Split => text.len().saturating_mul(16),
        Function::Encode | Function::Escape => text.len().saturating_mul(6),
        _ => text.len(),
    }
}

/// Calls a function of strings; nothing when it is not one.
pub(super) fn call<'d>(
    function: Function,
    value: &Value<'d>,
    arguments: &[Option<Value<'d>>],
    compiled: Option<&Pattern>,
) -> Result<Option<Found<'d>>, EvalError> {
    let is_ours = matches!(
        function,
        Function::IndexOf
            | Function::Substring
            | Function::StartsWith
            | Function::EndsWith
            | Function::Contains
            | Function::Upper
            | Function::Lower
            | Function::Replace
            | Function::Matches
            | Function::MatchesFull
            | Function::ReplaceMatches
            | Function::Length
            | Function::ToChars
            | Function::Trim
            | Function::Split
            | Function::Encode
            | Function::Decode
            | Function::Escape
            | Function::Unescape
    );
    if !is_ours {
        return Ok(None);
    }
    let Value::String(text) = value else { return Err(EvalError::WrongType(function.name())) };
    let text_at = |place: usize| match arguments.get(place).and_then(Option::as_ref) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(EvalError::WrongType(function.name())),
    };
    // A missing argument makes the result empty, but for the optional second of substring.
    if function != Function::Substring && arguments.iter().any(Option::is_none) {
        return Ok(Some(Vec::new()));
    }
    let empty = Cow::Borrowed("");
    let first = || Ok::<_, EvalError>(text_at(0)?.unwrap_or(&empty));
    Ok(Some(match function {
        Function::StartsWith => one(Value::Boolean(text.starts_with(&**first()?))),
        Function::EndsWith => one(Value::Boolean(text.ends_with(&**first()?))),
        Function::Contains => one(Value::Boolean(text.contains(&**first()?))),
        Function::Upper => one(Value::text(text.to_uppercase())),
        Function::Lower => one(Value::text(text.to_lowercase())),
        Function::Length => one(Value::Integer(count(text))),
        Function::Trim => one(Value::text(text.trim().to_owned())),
        Function::ToChars => text.chars().map(|letter| Value::text(letter.to_string())).collect(),
        Function::IndexOf => {
            one(Value::Integer(text.find(&**first()?).map_or(-1, |at| text.get(..at).map_or(0, count))))
        }
        Function::Split => {
            let separator = first()?;
            if separator.is_empty() {
                text.chars().map(|letter| Value::text(letter.to_string())).collect()
            } else {
                text.split(&**separator).map(|part| Value::text(part.to_owned())).collect()
            }
        }
        Function::Substring => substring(text, arguments)?,
        Function::Replace => {
            let with = text_at(1)?.unwrap_or(&empty);
            one(Value::text(text.replace(&**first()?, with)))
        }
        Function::Matches | Function::MatchesFull | Function::ReplaceMatches => {
            let made;
            let pattern = match compiled {
                Some(compiled) => compiled,
                None => {
                    made = Pattern::new(first()?, function == Function::MatchesFull)?;
                    &made
                }
            };
            if function == Function::ReplaceMatches {
                let with = text_at(1)?.unwrap_or(&empty);
                if first()?.is_empty() {
                    one(Value::String(text.clone()))
                } else {
                    one(Value::text(pattern.replaced(text, with)?))
                }
            } else {
                one(Value::Boolean(pattern.is_match(text)?))
            }
        }
        Function::Encode => encoded(text, first()?).map(Value::text).into_iter().collect(),
        Function::Decode => decoded(text, first()?).map(Value::text).into_iter().collect(),
        Function::Escape => escaped(text, first()?).map(Value::text).into_iter().collect(),
        _ => unescaped(text, first()?).map(Value::text).into_iter().collect(),
    }))
}

fn count(text: &str) -> i64 {
    i64::try_from(text.chars().count()).unwrap_or(i64::MAX)
}

fn substring<'d>(text: &str, arguments: &[Option<Value<'d>>]) -> Result<Found<'d>, EvalError> {
    let integer = |place: usize| match arguments.get(place) {
        None | Some(None) => Ok(None),
        Some(Some(Value::Integer(value))) => Ok(Some(*value)),
        Some(Some(_)) => Err(EvalError::WrongType("substring")),
    };
    let Some(start) = integer(0)? else { return Ok(Vec::new()) };
    let Ok(start) = usize::try_from(start) else { return Ok(Vec::new()) };
    if start >= text.chars().count() {
        return Ok(Vec::new());
    }
    let length = integer(1)?.map_or(usize::MAX, |length| usize::try_from(length).unwrap_or(0));
    Ok(one(Value::text(text.chars().skip(start).take(length).collect::<String>())))
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn encoded(text: &str, format: &str) -> Option<String> {
    match format {
        "hex" => Some(text.bytes().fold(String::new(), |mut out, byte| {
            // Writing to a string does not fail.
            let _ = write!(out, "{byte:02x}");
            out
        })),
        "base64" | "urlbase64" => {
            let mut out = String::new();
            for chunk in text.as_bytes().chunks(3) {
                let mut group = [0_u8; 3];
                group.iter_mut().zip(chunk).for_each(|(to, from)| *to = *from);
                let [a, b, c] = group.map(u32::from);
                let bits = a << 16 | b << 8 | c;
                for place in 0..4 {
                    if place > chunk.len() {
                        out.push('=');
                        continue;
                    }
                    let index = (bits >> (18 - 6 * place)) & 63;
                    let letter = BASE64.get(index as usize).copied().map_or('A', char::from);
                    out.push(match letter {
                        '+' if format == "urlbase64" => '-',
                        '/' if format == "urlbase64" => '_',
                        letter => letter,
                    });
                }
            }
            Some(out)
        }
        _ => None,
    }
}

fn decoded(text: &str, format: &str) -> Option<String> {
    let bytes = match format {
        "hex" => {
            let digits: Option<Vec<u8>> =
                text.chars().map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
            let digits = digits.filter(|digits| digits.len().is_multiple_of(2))?;
            digits.chunks(2).map(|pair| pair.iter().fold(0, |value, digit| value * 16 + digit)).collect()
        }
        "base64" | "urlbase64" => {
            let mut out = Vec::new();
            let (mut bits, mut held) = (0_u32, 0);
            for byte in text.trim_end_matches('=').bytes() {
                let byte = match byte {
                    b'-' if format == "urlbase64" => b'+',
                    b'_' if format == "urlbase64" => b'/',
                    byte => byte,
                };
                let value = u32::try_from(BASE64.iter().position(|letter| *letter == byte)?).ok()?;
                bits = bits << 6 | value;
                held += 6;
                if held >= 8 {
                    held -= 8;
                    out.push(u8::try_from(bits >> held & 0xff).ok()?);
                }
            }
            out
        }
        _ => return None,
    };
    String::from_utf8(bytes).ok()
}

fn escaped(text: &str, format: &str) -> Option<String> {
    match format {
        "html" => Some(text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")),
        "json" => {
            let quoted = serde_json::to_string(text).ok()?;
            quoted.strip_prefix('"')?.strip_suffix('"').map(str::to_owned)
        }
        _ => None,
    }
}

fn unescaped(text: &str, format: &str) -> Option<String> {
    match format {
        "html" => Some(
            text.replace("&quot;", "\"")
                .replace("&lt;", "<")
                .replace("&gt;", ">")
                .replace("&#39;", "'")
                .replace("&amp;", "&"),
        ),
        // Quotes that are not escaped stand for themselves.
        "json" => serde_json::from_str(&format!("\"{text}\""))
            .or_else(|_| serde_json::from_str(&format!("\"{}\"", text.replace('"', "\\\""))))
            .ok(),
        _ => None,
    }
}
