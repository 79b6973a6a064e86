//! Regular expressions, bounded in size and in time.

use regex::RegexBuilder;

use super::EvalError;

/// Bytes that a compiled expression may take.
const LARGEST: usize = 1 << 20;

/// Steps back that an expression that looks around or refers back may take on one text.
const MOST_STEPS: usize = 50_000;

/// A compiled regular expression.
#[derive(Debug, Clone)]
pub struct Pattern(Kind);

#[derive(Debug, Clone)]
enum Kind {
    /// Matched in time linear in the text.
    Regular(regex::Regex),
    /// Looks around or refers back, which needs steps back.
    Backtracking(Box<fancy_regex::Regex>),
}

impl Pattern {
    /// The pattern of `matches()`: found anywhere; with `full`, the whole text.
    pub(super) fn new(text: &str, full: bool) -> Result<Self, EvalError> {
        let anchored = if full { format!("^(?:{text})$") } else { text.to_owned() };
        let build = |text: &str| {
            RegexBuilder::new(text).dot_matches_new_line(true).size_limit(LARGEST).dfa_size_limit(LARGEST).build()
        };
        // `\/` and the like are escapes that the regular expressions of other languages allow.
        if let Ok(regular) = build(&anchored).or_else(|_| build(&unneeded_escapes(&anchored))) {
            return Ok(Self(Kind::Regular(regular)));
        }
        let build = |text: &str| {
            fancy_regex::RegexBuilder::new(text)
                .dot_matches_new_line(true)
                .backtrack_limit(MOST_STEPS)
                .delegate_size_limit(LARGEST)
                .delegate_dfa_size_limit(LARGEST)
                .build()
        };
        let found = build(&anchored).or_else(|_| build(&unneeded_escapes(&anchored)));
        found.map(|found| Self(Kind::Backtracking(Box::new(found)))).map_err(|_| EvalError::Pattern)
    }

    /// Whether a text matches.
    ///
    /// # Errors
    /// [`EvalError::Pattern`]: it takes too many steps to tell.
    pub fn is_match(&self, text: &str) -> Result<bool, EvalError> {
        match &self.0 {
            Kind::Regular(pattern) => Ok(pattern.is_match(text)),
            Kind::Backtracking(pattern) => pattern.is_match(text).map_err(|_| EvalError::Pattern),
        }
    }

    /// A text with something else for each match; `$1` and `${name}` stand for what the groups matched.
    pub(super) fn replaced(&self, text: &str, with: &str) -> Result<String, EvalError> {
        match &self.0 {
            Kind::Regular(pattern) => Ok(pattern.replace_all(text, with).into_owned()),
            Kind::Backtracking(pattern) => {
                let replaced = pattern.try_replacen(text, 0, with).map_err(|_| EvalError::Pattern)?;
                Ok(replaced.into_owned())
            }
        }
    }
}

/// A regular expression compiled, for whole texts; nothing when it is none, or is too large.
#[must_use]
pub fn whole_pattern(expression: &str) -> Option<Pattern> {
    Pattern::new(expression, true).ok()
}

/// Whether a whole text matches a pattern; nothing when that is no regular expression, or it takes too long to tell.
#[must_use]
pub fn matches_fully(text: &str, expression: &str) -> Option<bool> {
    whole_pattern(expression)?.is_match(text).ok()
}

fn unneeded_escapes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            out.push(letter);
            continue;
        }
        match letters.next() {
            Some(next @ ('/' | '\'' | '"' | '@' | ',' | ':' | ';' | '!' | '%' | '=' | '<' | '>' | '`')) => {
                out.push(next)
            }
            Some(next) => {
                out.push('\\');
                out.push(next);
            }
            None => out.push('\\'),
        }
    }
    out
}
