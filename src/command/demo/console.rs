//! What the reader sees: quiet, in two columns where native text and FHIR stand side by side.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use super::text::cut;

const WIDTH: usize = 112;
/// Where the right column begins.
const MIDDLE: usize = 58;

/// The terminal, or whatever standard output is.
pub(super) struct Console {
    colour: bool,
}

/// How a text stands out on a terminal.
#[derive(Clone, Copy)]
enum Ink {
    Bold,
    Dim,
    Green,
    Red,
    Cyan,
}

impl Ink {
    const fn code(self) -> &'static str {
        match self {
            Self::Bold => "1",
            Self::Dim => "2",
            Self::Green => "32",
            Self::Red => "1;31",
            Self::Cyan => "36",
        }
    }
}

impl Console {
    pub(super) fn standard() -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { colour: std::io::stdout().is_terminal() && !plain }
    }

    fn ink(&self, ink: Ink, text: &str) -> String {
        if self.colour { format!("\x1b[{}m{text}\x1b[0m", ink.code()) } else { text.to_owned() }
    }

    /// Nobody may be reading, which is no reason to fail.
    pub(super) fn line(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        let _ = writeln!(out, "{}", text.trim_end());
        let _ = out.flush();
    }

    pub(super) fn title(&self, text: &str) {
        self.line(&self.ink(Ink::Bold, text));
    }

    pub(super) fn dim(&self, text: &str) {
        self.line(&self.ink(Ink::Dim, text));
    }

    /// The beginning of a step.
    pub(super) fn step(&self, number: usize, title: &str, format: &str) {
        let head = format!("{number}  {title}");
        let gap = WIDTH.saturating_sub(head.chars().count() + format.chars().count()).max(2);
        self.line("");
        self.line(&format!("{}{}{}", self.ink(Ink::Bold, &head), " ".repeat(gap), self.ink(Ink::Dim, format)));
    }

    /// Something moved: from whom, to whom, in which form.
    pub(super) fn moved(&self, from: &str, to: &str, form: &str, what: &str) {
        self.line("");
        let way = format!("{from} → {to}");
        let line =
            format!("   {}  {}  {}", self.ink(Ink::Cyan, &format!("{way:<26}")), self.ink(Ink::Bold, form), what);
        self.line(&line);
    }

    /// Native text on the left, the FHIR that came of it (or that it came of) on the right.
    pub(super) fn beside(&self, pairs: &[(String, String)]) {
        for (native, fhir) in pairs {
            let left = cut(native, MIDDLE - 8);
            let gap = " ".repeat(MIDDLE.saturating_sub(6 + left.chars().count()));
            let right = cut(fhir, WIDTH - MIDDLE);
            self.line(&format!("      {left}{gap}{}", self.ink(Ink::Dim, &right)));
        }
    }

    /// Something that was checked and held.
    pub(super) fn held(&self, text: &str) {
        self.line(&format!("   {} {text}", self.ink(Ink::Green, "✓")));
    }

    pub(super) fn ok(&self, number: usize, took: Duration) {
        self.line("");
        let line = format!("step {number} ok {} ms", took.as_millis());
        self.line(&self.ink(Ink::Green, &line));
    }

    pub(super) fn failed(&self, number: usize, reason: &str) {
        let reason: String = reason.split_whitespace().collect::<Vec<_>>().join(" ");
        self.line("");
        self.line(&self.ink(Ink::Red, &format!("step {number} FAILED {reason}")));
    }
}
