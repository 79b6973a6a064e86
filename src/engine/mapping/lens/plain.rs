//! Texts, codes, numbers and truth values.

use super::{Got, Put, Uncarried};

/// A FHIR string: something beside white space, no control characters but tab, LF and CR.
pub(super) fn text(text: &str) -> Result<Got<'_>, Uncarried> {
    let control = |c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r');
    // Most text is ASCII, which is looked at by its bytes.
    let plain = text.bytes().all(|b| (b' '..0x7f).contains(&b)) && text.bytes().any(|b| b != b' ');
    if !plain && let Some(read) = without_layout(text) {
        // How it is to be laid out is no part of what it says, and is kept in the original.
        self::text(&read)?;
        return Ok(Got::approximated(read));
    }
    if !plain && (text.chars().all(char::is_whitespace) || text.chars().any(control)) {
        return Err(Uncarried::new("text with something beside white space, without control characters"));
    }
    Ok(Got::exact(text))
}

/// The text without the formatting commands of HL7 v2 (2.7.1, 2.7.6), which stand between [`ESCAPE`]s; where a command
/// ends a line, a new line. None if there are none.
fn without_layout(text: &str) -> Option<String> {
    let mut rest = text.split_once(ESCAPE)?;
    let mut out = String::with_capacity(text.len());
    let mut any = false;
    loop {
        let (before, from) = rest;
        out.push_str(before);
        let command = from.split_once(ESCAPE).and_then(|(body, after)| Some((layout(body)?, after)));
        let after = match command {
            Some((layout, after)) => {
                any = true;
                match layout {
                    Layout::Nothing => {}
                    Layout::Spaces(count) => out.extend(std::iter::repeat_n(' ', count)),
                    Layout::Lines(_) if out.is_empty() => {}
                    Layout::Lines(count) => {
                        let there = usize::from(out.ends_with('\n'));
                        out.extend(std::iter::repeat_n('\n', count.saturating_sub(there)));
                    }
                }
                after
            }
            None => {
                out.push(ESCAPE);
                from
            }
        };
        match after.split_once(ESCAPE) {
            Some(next) => rest = next,
            None => {
                out.push_str(after);
                return any.then_some(out);
            }
        }
    }
}

/// Stands for the escape character of HL7 v2 around what has no text.
const ESCAPE: char = '\u{241B}';

/// What a formatting command leaves in a text.
enum Layout {
    Nothing,
    Spaces(usize),
    Lines(usize),
}

/// The meaning of a formatting command: highlighting, wrapping and indents have none for a text.
fn layout(body: &str) -> Option<Layout> {
    let count = |digits: &str| -> Option<usize> {
        let digits = digits.strip_prefix('+').unwrap_or(digits);
        if digits.is_empty() { Some(1) } else { digits.parse().ok().map(|count: usize| count.min(80)) }
    };
    let signed = |digits: &str| digits.trim_start_matches(['+', '-']).bytes().all(|b| b.is_ascii_digit());
    match body {
        "H" | "N" | ".fi" | ".nf" => Some(Layout::Nothing),
        ".ce" => Some(Layout::Lines(1)),
        _ => match body.split_at_checked(3)? {
            (".sp", digits) => count(digits).map(Layout::Lines),
            (".sk", digits) => count(digits).map(Layout::Spaces),
            (".in" | ".ti", digits) if signed(digits) => Some(Layout::Nothing),
            _ => None,
        },
    }
}

/// A FHIR code: no white space at the ends, single spaces inside.
pub(super) fn code(text: &str) -> Result<Got<'_>, Uncarried> {
    let spaced = text.split(' ').any(str::is_empty) || text.chars().any(|c| c.is_whitespace() && c != ' ');
    if text.is_empty() || spaced || text.chars().any(char::is_control) {
        return Err(Uncarried::new("a code without white space at its ends"));
    }
    Ok(Got::exact(text))
}

/// A number that is a name: so many digits, zeros before it counting.
pub(super) fn digits(text: &str, count: u8) -> Result<Got<'_>, Uncarried> {
    if text.len() != usize::from(count) || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Uncarried::new(format!("{count} digits")));
    }
    Ok(Got::exact(text))
}

/// Whether a text is a decimal number.
pub(crate) fn is_number(text: &str) -> bool {
    number(text, false).is_ok()
}

/// A decimal as HL7 v2 and JSON write it, brought to FHIR's form: no plus sign, no leading zeros, digits on both sides.
pub(super) fn number(text: &str, whole: bool) -> Result<Got<'static>, Uncarried> {
    let wrong = || Uncarried::new(if whole { "a whole number" } else { "a decimal number" });
    let trimmed = text.trim();
    let (sign, digits) = match trimmed.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", trimmed.strip_prefix('+').unwrap_or(trimmed)),
    };
    let (digits, exponent) = match digits.find(['e', 'E']) {
        Some(at) => digits.split_at_checked(at).ok_or_else(wrong)?,
        None => (digits, ""),
    };
    let (before, after) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |s: &str| s.chars().all(|c| c.is_ascii_digit());
    let exponent_digits = exponent.trim_start_matches(['e', 'E']).trim_start_matches(['+', '-']);
    if (before.is_empty() && after.is_empty())
        || !all_digits(before)
        || !all_digits(after)
        || (!exponent.is_empty() && (exponent_digits.is_empty() || !all_digits(exponent_digits)))
        || (whole && (!exponent.is_empty() || after.chars().any(|c| c != '0')))
    {
        return Err(wrong());
    }
    let before = before.trim_start_matches('0');
    let before = if before.is_empty() { "0" } else { before };
    if whole {
        let sign = if before == "0" { "" } else { sign };
        return Ok(Got::exact(format!("{sign}{before}")));
    }
    let point = if after.is_empty() { "" } else { "." };
    Ok(Got::exact(format!("{sign}{before}{point}{after}{exponent}")))
}

pub(super) fn put_number(value: &str, whole: bool) -> Result<Put, Uncarried> {
    number(value, whole).map(|plain| Put::exact(plain.text))
}

pub(super) fn boolean(text: &str, yes: &str, no: &str) -> Result<Got<'static>, Uncarried> {
    let text = text.trim();
    if text == yes {
        Ok(Got::exact("true"))
    } else if text == no {
        Ok(Got::exact("false"))
    } else {
        Err(Uncarried { expected: format!("{yes} or {no}").into(), code: true })
    }
}

pub(super) fn put_boolean(value: &str, yes: &str, no: &str) -> Result<Put, Uncarried> {
    match value {
        "true" => Ok(Put::exact(yes)),
        "false" => Ok(Put::exact(no)),
        _ => Err(Uncarried::new("true or false")),
    }
}

/// Words between separators, a repetition each. Doubled separators are not kept.
pub(super) fn words(all: &str, separator: char) -> Result<Got<'static>, Uncarried> {
    let mut words = all.split(separator).filter(|w| !w.is_empty()).map(str::to_owned);
    let Some(first) = words.next() else { return Err(Uncarried::new("at least one word")) };
    let got = Got { more: words.collect(), ..Got::exact(first) };
    for word in got.texts() {
        text(word)?;
    }
    Ok(got)
}

pub(super) fn put_words(values: &[&str], separator: char) -> Result<Put, Uncarried> {
    if values.iter().any(|v| v.is_empty() || v.contains(separator)) {
        return Err(Uncarried::new(format!("words without {separator:?}")));
    }
    Ok(Put::exact(values.join(&separator.to_string())))
}
