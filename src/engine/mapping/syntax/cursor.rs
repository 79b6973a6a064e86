//! Logical lines, and a reader over the characters of one.

use super::Span;

/// One statement's text: a line, and those that a `{` carries it over, without comments.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) indent: u32,
    /// Whether a tab stands before it.
    pub(super) tab: bool,
    chars: Vec<(char, Span)>,
}

/// Splits a file into logical lines.
pub(super) fn lines(text: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut open: Option<Line> = None;
    let mut depth = 0_usize;
    for (number, physical) in (1_u32..).zip(text.lines()) {
        let mut chars = Vec::new();
        let mut quoted = false;
        let mut escaped = false;
        let mut before = ' ';
        for (column, c) in (1_u32..).zip(physical.chars()) {
            if !quoted && c == '#' && before.is_whitespace() {
                break;
            }
            match c {
                '"' if !escaped => quoted = !quoted,
                '{' if !quoted => depth = depth.saturating_add(1),
                '}' if !quoted => depth = depth.saturating_sub(1),
                _ => {}
            }
            escaped = quoted && c == '\\' && !escaped;
            chars.push((c, Span { line: number, column }));
            before = c;
        }
        if chars.iter().all(|(c, _)| c.is_whitespace()) && open.is_none() {
            continue;
        }
        match &mut open {
            Some(line) => {
                line.chars.push((' ', Span { line: number, column: 1 }));
                line.chars.append(&mut chars);
            }
            None => {
                let before = chars.iter().map(|(c, _)| *c).take_while(|c| c.is_whitespace());
                let tab = before.clone().any(|c| c == '\t');
                let indent = u32::try_from(before.count()).unwrap_or(u32::MAX);
                open = Some(Line { indent, tab, chars });
            }
        }
        if depth == 0 {
            lines.extend(open.take());
        }
    }
    lines.extend(open.take());
    lines
}

/// What stopped the reading of a line: where, what is wrong, what would be right.
#[derive(Debug)]
pub(super) struct Stop {
    pub(super) span: Span,
    pub(super) what: String,
    pub(super) right: String,
}

/// A result of reading.
pub(super) type Read<T> = Result<T, Stop>;

/// A reader over one logical line.
#[derive(Debug, Clone)]
pub(super) struct Cursor<'l> {
    chars: &'l [(char, Span)],
    at: usize,
}

impl<'l> Cursor<'l> {
    pub(super) fn new(line: &'l Line) -> Self {
        let mut cursor = Self { chars: &line.chars, at: 0 };
        cursor.space();
        cursor
    }

    pub(super) fn span(&self) -> Span {
        match (self.chars.get(self.at), self.chars.last()) {
            (Some((_, span)), _) => *span,
            (None, Some((_, last))) => Span { line: last.line, column: last.column.saturating_add(1) },
            (None, None) => Span::default(),
        }
    }

    pub(super) fn stop_here(&self, what: &str) -> Stop {
        Stop { span: self.span(), what: what.to_owned(), right: String::new() }
    }

    pub(super) fn stop<T>(&self, what: impl Into<String>, right: impl Into<String>) -> Read<T> {
        Err(Stop { span: self.span(), what: what.into(), right: right.into() })
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.chars.get(self.at).map(|(c, _)| *c)
    }

    fn ahead(&self, n: usize) -> Option<char> {
        self.chars.get(self.at.saturating_add(n)).map(|(c, _)| *c)
    }

    pub(super) fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at = self.at.saturating_add(1);
        Some(c)
    }

    pub(super) fn space(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.bump();
        }
    }

    pub(super) fn done(&self) -> bool {
        self.chars.iter().skip(self.at).all(|(c, _)| c.is_whitespace())
    }

    /// Takes `text` when it stands here, and the space after it.
    pub(super) fn eat(&mut self, text: &str) -> bool {
        let here = self.eat_tight(text);
        if here {
            self.space();
        }
        here
    }

    /// Takes `text` when it stands here, and nothing after it.
    pub(super) fn eat_tight(&mut self, text: &str) -> bool {
        let length = text.chars().count();
        let here = text.chars().enumerate().all(|(i, c)| self.ahead(i) == Some(c));
        if here {
            self.at = self.at.saturating_add(length);
        }
        here
    }

    /// Whether `text` stands here.
    pub(super) fn at(&self, text: &str) -> bool {
        text.chars().enumerate().all(|(i, c)| self.ahead(i) == Some(c))
    }

    /// Takes the word `word` when exactly that word stands here.
    pub(super) fn eat_word(&mut self, word: &str) -> bool {
        let mut ahead = self.clone();
        if ahead.word().as_deref() == Some(word) {
            *self = ahead;
            self.space();
            return true;
        }
        false
    }

    /// Whether the word `word` stands here.
    pub(super) fn at_word(&self, word: &str) -> bool {
        self.clone().eat_word(word)
    }

    /// A word: letters, digits, `_`, `-`.
    pub(super) fn word(&mut self) -> Option<String> {
        let mut word = String::new();
        while let Some(c) = self.peek() {
            if c.is_alphanumeric() || c == '_' || c == '-' {
                word.push(c);
                self.bump();
            } else {
                break;
            }
        }
        (!word.is_empty()).then_some(word)
    }

    /// A name: letters, digits and `_`, beginning with a letter.
    pub(super) fn name(&mut self) -> Option<String> {
        if !self.peek().is_some_and(|c| c.is_alphabetic() || c == '_') {
            return None;
        }
        let mut name = String::new();
        while let Some(c) = self.peek() {
            if c.is_alphanumeric() || c == '_' {
                name.push(c);
                self.bump();
            } else {
                break;
            }
        }
        Some(name)
    }

    /// The word that must stand here, and the space after it.
    pub(super) fn expect_word(&mut self, what: &str) -> Read<String> {
        match self.word() {
            Some(word) => {
                self.space();
                Ok(word)
            }
            None => self.stop(format!("{what} is missing here"), format!("write {what}")),
        }
    }

    /// A number in digits.
    pub(super) fn number(&mut self) -> Option<u16> {
        let mut digits = String::new();
        while let Some(c) = self.peek().filter(char::is_ascii_digit) {
            digits.push(c);
            self.bump();
        }
        digits.parse().ok()
    }

    /// A string in quotes, with `\"`, `\\`, `\n` and `\t`.
    pub(super) fn string(&mut self) -> Read<Option<String>> {
        if !self.eat_tight("\"") {
            return Ok(None);
        }
        let mut text = String::new();
        loop {
            match self.bump() {
                Some('"') => {
                    self.space();
                    return Ok(Some(text));
                }
                Some('\\') => match self.bump() {
                    Some('n') => text.push('\n'),
                    Some('t') => text.push('\t'),
                    Some(c) => text.push(c),
                    None => return self.stop("the string does not end", "close it with \""),
                },
                Some(c) => text.push(c),
                None => return self.stop("the string does not end", "close it with \""),
            }
        }
    }

    /// The string that must stand here.
    pub(super) fn expect_string(&mut self, what: &str) -> Read<String> {
        match self.string()? {
            Some(text) => Ok(text),
            None => self.stop(format!("{what} is missing here"), format!("write {what} in quotes")),
        }
    }

    /// The mark that must stand here, and the space after it.
    pub(super) fn expect(&mut self, mark: &str, why: &str) -> Read<()> {
        if self.eat(mark) {
            return Ok(());
        }
        self.stop(format!("expected `{mark}`"), why)
    }

    /// What stands here, for a message: up to the next space.
    pub(super) fn found(&self) -> String {
        let rest: String =
            self.chars.iter().skip(self.at).map(|(c, _)| *c).take_while(|c| !c.is_whitespace()).take(40).collect();
        if rest.is_empty() { "the end of the line".to_owned() } else { format!("`{rest}`") }
    }
}
