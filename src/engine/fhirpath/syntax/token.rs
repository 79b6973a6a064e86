//! The tokens of FHIRPath: names, literals, symbols; white space and comments are passed over.

use super::super::temporal::Temporal;
use super::{Span, SyntaxError, SyntaxFault};

/// What an expression is made of.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Name(String),
    Quoted(String),
    String(String),
    Number(String),
    Temporal(Temporal),
    Variable(String),
    Special(&'static str),
    Symbol(&'static str),
    End,
}

/// Longer ones first.
pub(super) const SYMBOLS: [&str; 22] =
    ["!=", "!~", "<=", ">=", "(", ")", "[", "]", "{", "}", ".", ",", "+", "-", "*", "/", "&", "|", "=", "~", "<", ">"];

/// Reads tokens from a text.
pub(super) struct Lexer<'t> {
    text: &'t str,
    at: usize,
}

pub(super) fn error<T>(fault: SyntaxFault, start: usize, end: usize) -> Result<T, SyntaxError> {
    Err(SyntaxError { fault, span: Span { start, end } })
}

impl<'t> Lexer<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, at: 0 }
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn space(&mut self) -> Result<(), SyntaxError> {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start();
            self.at += rest.len() - trimmed.len();
            if let Some(comment) = trimmed.strip_prefix("//") {
                self.at += 2 + comment.find('\n').unwrap_or(comment.len());
            } else if let Some(comment) = trimmed.strip_prefix("/*") {
                let Some(end) = comment.find("*/") else {
                    return error(SyntaxFault::Unclosed, self.at, self.text.len());
                };
                self.at += end + 4;
            } else {
                return Ok(());
            }
        }
    }

    fn word(&mut self) -> &'t str {
        let rest = self.rest();
        let end = rest.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').unwrap_or(rest.len());
        self.at += end;
        rest.get(..end).unwrap_or("")
    }

    /// The next token, and where it stands.
    pub(super) fn next(&mut self) -> Result<(Token, Span), SyntaxError> {
        self.space()?;
        let start = self.at;
        let token = self.token()?;
        Ok((token, Span { start, end: self.at }))
    }

    fn token(&mut self) -> Result<Token, SyntaxError> {
        let start = self.at;
        let rest = self.rest();
        let Some(first) = rest.chars().next() else { return Ok(Token::End) };
        match first {
            'a'..='z' | 'A'..='Z' | '_' => Ok(Token::Name(self.word().to_owned())),
            '0'..='9' => Ok(Token::Number(self.number())),
            '\'' => Ok(Token::String(self.quoted('\'')?)),
            '`' => Ok(Token::Quoted(self.quoted('`')?)),
            '"' => Ok(Token::Quoted(self.quoted('"')?)),
            '@' => self.temporal(),
            '%' => {
                self.at += 1;
                match self.rest().chars().next() {
                    Some('`') => Ok(Token::Variable(self.quoted('`')?)),
                    Some('\'') => Ok(Token::Variable(self.quoted('\'')?)),
                    Some('"') => Ok(Token::Variable(self.quoted('"')?)),
                    _ => {
                        let word = self.word();
                        if word.is_empty() {
                            return error(SyntaxFault::Expected("a name after %"), start, self.at);
                        }
                        Ok(Token::Variable(word.to_owned()))
                    }
                }
            }
            '$' => {
                self.at += 1;
                match self.word() {
                    "this" => Ok(Token::Special("this")),
                    "index" => Ok(Token::Special("index")),
                    "total" => Ok(Token::Special("total")),
                    _ => error(SyntaxFault::Expected("$this, $index or $total"), start, self.at),
                }
            }
            _ => {
                for symbol in SYMBOLS {
                    if rest.starts_with(symbol) {
                        self.at += symbol.len();
                        return Ok(Token::Symbol(symbol));
                    }
                }
                error(SyntaxFault::Character, start, start + first.len_utf8())
            }
        }
    }

    fn digits(&mut self) {
        while self.rest().starts_with(|digit: char| digit.is_ascii_digit()) {
            self.at += 1;
        }
    }

    fn number(&mut self) -> String {
        let start = self.at;
        self.digits();
        if self.rest().strip_prefix('.').is_some_and(|rest| rest.starts_with(|digit: char| digit.is_ascii_digit())) {
            self.at += 1;
            self.digits();
        }
        self.text.get(start..self.at).unwrap_or("").to_owned()
    }

    fn temporal(&mut self) -> Result<Token, SyntaxError> {
        let start = self.at;
        self.at += 1;
        let from = self.at;
        let bytes = self.text.as_bytes();
        let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
        let is_time = bytes.get(from) == Some(&b'T');
        if !is_time {
            while digit(self.at) || (bytes.get(self.at) == Some(&b'-') && digit(self.at + 1)) {
                self.at += 1;
            }
        }
        let date_end = self.at;
        let mut has_t = false;
        if bytes.get(self.at) == Some(&b'T') {
            has_t = true;
            self.at += 1;
            while digit(self.at) || (matches!(bytes.get(self.at), Some(b':' | b'.')) && digit(self.at + 1)) {
                self.at += 1;
            }
            if !is_time {
                if bytes.get(self.at) == Some(&b'Z') {
                    self.at += 1;
                } else if matches!(bytes.get(self.at), Some(b'+' | b'-'))
                    && digit(self.at + 1)
                    && digit(self.at + 2)
                    && bytes.get(self.at + 3) == Some(&b':')
                {
                    self.at = (self.at + 6).min(bytes.len());
                }
            }
        }
        let text = self.text.get(from..self.at).unwrap_or("");
        let value = if is_time {
            Temporal::time(text)
        } else if has_t {
            let date = self.text.get(from..date_end).unwrap_or("");
            if self.at == date_end + 1 {
                Temporal::date(date).and_then(Temporal::to_date_time)
            } else {
                Temporal::date_time(text)
            }
        } else {
            Temporal::date(text)
        };
        value.map_or_else(|| error(SyntaxFault::Literal, start, self.at), |value| Ok(Token::Temporal(value)))
    }

    fn quoted(&mut self, mark: char) -> Result<String, SyntaxError> {
        let start = self.at;
        let mut out = String::new();
        let mut letters = self.rest().char_indices().skip(1);
        while let Some((at, letter)) = letters.next() {
            if letter == mark {
                self.at = start + at + 1;
                return Ok(out);
            }
            if letter != '\\' {
                out.push(letter);
                continue;
            }
            match letters.next() {
                Some((_, 'n')) => out.push('\n'),
                Some((_, 'r')) => out.push('\r'),
                Some((_, 't')) => out.push('\t'),
                Some((_, 'f')) => out.push('\u{c}'),
                Some((at, 'u')) => {
                    let hex = self.rest().get(at + 1..at + 5);
                    let code = hex.and_then(|hex| u32::from_str_radix(hex, 16).ok()).and_then(char::from_u32);
                    let Some(code) = code else { return error(SyntaxFault::Literal, start + at, start + at + 1) };
                    out.push(code);
                    letters.nth(3);
                }
                Some((_, other)) if "\\/'`\"".contains(other) => out.push(other),
                // Published expressions escape more than the grammar lists: `'\\['` means what a reader expects.
                Some((_, other)) => {
                    out.push('\\');
                    out.push(other);
                }
                None => break,
            }
        }
        error(SyntaxFault::Unclosed, start, self.text.len())
    }
}
