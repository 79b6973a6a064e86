//! The maps beside the public v2-to-FHIR tables: every row of a segment, a data type, a code or a message that a map reads
//! is either mapped as the table says, or stands in `tests/golden/mapping/v2-….md` with what is done instead, and why. A
//! difference that is not there, has no reason, or is no more fails. `SILTA_BLESS=1` writes the differences that are found,
//! with the reasons that are known.

mod codes;
mod datatypes;
mod messages;
mod segments;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use silta_engine::mapping::Map;

use crate::support::data;

/// Where a table differs from the maps: a row of it, what it says, and what is done instead.
type Differences = BTreeMap<(String, String), String>;

/// The public tables: name and content.
type Tables = [(String, Vec<u8>)];

/// The public tables, where they are at hand.
fn tables() -> Option<Vec<(String, Vec<u8>)>> {
    data::archived("v2-to-fhir-mappings.tgz", ".csv")
}

/// The rows of a table of a kind (`segments`), by its name (`PID[Patient]`).
fn table(files: &Tables, kind: &str, name: &str) -> Vec<Vec<String>> {
    let wanted = format!("_ {name} - ");
    let found = files.iter().find(|(file, _)| file.contains(&format!("{kind}/")) && file.contains(&wanted));
    let (_, content) = found.unwrap_or_else(|| panic!("{name}"));
    cells(&String::from_utf8_lossy(content))
}

/// The tables of a kind of which no row is looked at.
fn untouched<'t>(files: &Tables, kind: &str, known: impl Iterator<Item = &'t str>) -> Differences {
    let known: BTreeSet<&str> = known.collect();
    let inside = format!("{kind}/");
    let named = files.iter().filter(|(file, _)| file.contains(&inside));
    let names = named.filter_map(|(file, _)| file.split_once("_ ")?.1.split_once(" - ")).map(|(name, _)| name);
    let left = names.filter(|name| !known.contains(name));
    left.map(|name| ((name.to_owned(), "every row".to_owned()), "no map fills it".to_owned())).collect()
}

/// The cells of a table, row by row; a quoted cell may hold separators, quotes and line ends.
fn cells(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut cell) = (Vec::new(), Vec::new(), String::new());
    let mut quoted = false;
    let mut chars = text.trim_start_matches('\u{feff}').chars().peekable();
    while let Some(c) = chars.next() {
        match (c, quoted) {
            ('"', true) if chars.peek() == Some(&'"') => {
                chars.next();
                cell.push('"');
            }
            ('"', _) => quoted = !quoted,
            (',', false) => row.push(std::mem::take(&mut cell)),
            ('\n', false) => {
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            ('\r', false) => {}
            (c, _) => cell.push(c),
        }
    }
    row.push(cell);
    rows.push(row);
    rows
}

/// A path without what stands between brackets.
fn bare(path: &str) -> String {
    let mut depth = 0_usize;
    let mut text = String::new();
    for c in path.chars() {
        match c {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            c if depth == 0 && !c.is_whitespace() => text.push(c),
            _ => {}
        }
    }
    text
}

/// Where a row of a table puts a field: the element, and the type of what that refers to.
fn target(attribute: &str) -> (String, Option<String>) {
    let path = bare(attribute);
    let Some((element, inside)) = path.split_once('(') else { return (path, None) };
    let kind: String = inside.chars().take_while(char::is_ascii_alphanumeric).collect();
    (element.trim_end_matches('.').to_owned(), Some(kind))
}

/// Whether one path is, or begins with, the other.
fn meets(a: &str, b: &str) -> bool {
    let begins = |a: &str, b: &str| a.strip_prefix(b).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    begins(a, b) || begins(b, a)
}

/// What a map does with each field, as the elements that it fills.
fn ours(map: &Map) -> BTreeMap<String, BTreeSet<String>> {
    let mut fields: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in map.lines().iter().filter(|line| line.fixed.is_none()) {
        for native in line.native.split(" + ") {
            let field = bare(native).split('.').next().unwrap_or_default().to_owned();
            fields.entry(field).or_default().insert(bare(&line.element));
        }
    }
    fields
}

/// The elements without what is below a composite: `Patient.extension`, `Appointment.participant`.
fn short(does: &BTreeSet<String>) -> String {
    let mut all: Vec<String> = Vec::new();
    for one in does {
        let text = one.split('.').take(2).collect::<Vec<_>>().join(".");
        if !all.contains(&text) {
            all.push(text);
        }
    }
    all.join(", ")
}

/// Holds the differences that are found to those that are told with their reasons in a file.
fn settle(file: &str, found: &Differences) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/mapping").join(file);
    let text = fs::read_to_string(&file).unwrap_or_default();
    let mut head = String::new();
    let mut known: BTreeMap<(String, String), (String, String)> = BTreeMap::new();
    let mut told = false;
    for line in text.lines() {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        match cells.as_slice() {
            [row, says, does, reason] if told => {
                known.insert(((*row).to_owned(), (*says).to_owned()), ((*does).to_owned(), (*reason).to_owned()));
            }
            _ => {
                told |= line.starts_with("|---");
                head = head + line + "\n";
            }
        }
    }
    if std::env::var_os("SILTA_BLESS").is_some() {
        let mut text = head;
        for ((row, says), does) in found {
            let reason = known.get(&(row.clone(), says.clone())).map_or("?", |(_, reason)| reason.as_str());
            text = format!("{text}| {row} | {says} | {does} | {reason} |\n");
        }
        fs::write(&file, text).unwrap();
        return;
    }
    let mut wrong = Vec::new();
    for ((row, says), does) in found {
        match known.get(&(row.clone(), says.clone())) {
            None => wrong.push(format!("{row} is {says} in the table, and {does} here: no reason is given")),
            Some((_, reason)) if reason.len() < 10 => wrong.push(format!("{row}, {says}: {reason:?} is no reason")),
            Some((was, _)) if was != does => wrong.push(format!("{row}, {says}: {does} now, {was} is told")),
            Some(_) => {}
        }
    }
    wrong
        .extend(known.keys().filter(|key| !found.contains_key(*key)).map(|(r, s)| format!("{r}, {s} differs no more")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
