//! `silta map`: maps checked, explained and described.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use silta_engine::mapping::syntax::Level;
use silta_engine::mapping::{Explanation, Fixed, Map};

use super::maps::Loaded;
use super::{DONE, FAILED, USAGE};

/// Checks, explains and describes maps between native formats and FHIR.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  silta map check my-maps/\n  silta map explain ref-i12 PID-5\n  silta map explain ref-i12 \
                  ServiceRequest.priority\n  silta map doc ref-i12 > ref-i12.md"
)]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Checks maps: what is wrong in which line, what would be right, and which leaves of the format nothing is said of.
    ///
    /// Exit 0: sound, and every leaf is spoken of; 1: not; 2: a file cannot be read.
    Check {
        /// Map files and folders with maps and schemas, over the maps of the program; none: the maps of the program.
        #[arg(value_name = "FILE|DIR")]
        input: Vec<PathBuf>,
        /// One line of JSON a map, and one a problem.
        #[arg(long)]
        json: bool,
    },
    /// Tells which lines move a place, native or FHIR, both ways.
    ///
    /// Exit 0: lines were found; 1: nothing is said of it; 2: there is no such map.
    Explain {
        /// The map's name.
        map: String,
        /// The place: PID-5, $.asiakas.hetu, row/tila, Patient.name, patient.name, or as reports write it.
        path: String,
        /// Folders or files of maps over those of the program.
        #[arg(long, value_name = "FILE|DIR")]
        maps: Vec<PathBuf>,
        /// JSON.
        #[arg(long)]
        json: bool,
    },
    /// Writes a map as tables for reviewers, in Markdown.
    Doc {
        /// The map's name.
        map: String,
        /// Folders or files of maps over those of the program.
        #[arg(long, value_name = "FILE|DIR")]
        maps: Vec<PathBuf>,
    },
    /// Lists the maps: name, and what each reads.
    List {
        /// Folders or files of maps over those of the program.
        #[arg(long, value_name = "FILE|DIR")]
        maps: Vec<PathBuf>,
    },
}

pub(super) fn run(arguments: &Arguments) -> u8 {
    let done = match &arguments.action {
        Action::Check { input, json } => check(input, *json),
        Action::Explain { map, path, maps, json } => explain(map, path, maps, *json),
        Action::Doc { map, maps } => describe(map, maps),
        Action::List { maps } => list(maps),
    };
    done.unwrap_or_else(|error| {
        // A reader that has seen enough is no failure.
        if error.kind() != io::ErrorKind::BrokenPipe {
            let _ = writeln!(io::stderr(), "{error}");
        }
        USAGE
    })
}

fn check(input: &[PathBuf], as_json: bool) -> io::Result<u8> {
    let loaded = Loaded::checked(input)?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut failed = false;
    for problem in loaded.maps.problems() {
        failed |= problem.level == Level::Error;
        if as_json {
            let line = json!({
                "file": loaded.path(&problem.file).map_or_else(|| problem.file.to_string(), |p| p.display().to_string()),
                "line": problem.span.line,
                "column": problem.span.column,
                "level": if problem.level == Level::Error { "error" } else { "warning" },
                "rule": loaded.maps.source_line(&problem.file, problem.span.line),
                "wrong": problem.what,
                "right": problem.right,
            });
            writeln!(out, "{line}")?;
        } else {
            writeln!(out, "{}", loaded.told(problem))?;
        }
    }
    let mine = |map: &&Arc<Map>| input.is_empty() || loaded.path(map.file()).is_some();
    let (mut sound, mut unclaimed) = (0_usize, 0_usize);
    for map in loaded.maps.iter().filter(mine) {
        sound += 1;
        let coverage = map.coverage();
        unclaimed += coverage.unclaimed.len();
        if as_json {
            writeln!(
                out,
                "{}",
                json!({
                    "map": map.name(), "file": map.file(), "rules": coverage.rules, "carried": coverage.carried.len(),
                    "kept": coverage.residue.len(), "unclaimed": coverage.unclaimed, "oneWay": pairs(&coverage.one_way),
                    "drops": pairs(&coverage.drops),
                })
            )?;
            continue;
        }
        writeln!(
            out,
            "{}: {} rules; of the format's places {} are carried, {} stay in the original, {} are not spoken of; {} \
             one-way rules, {} drops",
            map.name(),
            coverage.rules,
            coverage.carried.len(),
            coverage.residue.len(),
            coverage.unclaimed.len(),
            coverage.one_way.len(),
            coverage.drops.len()
        )?;
        for path in &coverage.unclaimed {
            writeln!(
                out,
                "  {path}: no line speaks of it\n    right: a rule, `{path} residue`, `{path} drop \"why\"`, or `other residue` at the end"
            )?;
        }
        for (line, reason) in &coverage.one_way {
            writeln!(out, "  one way: {line}: {reason}")?;
        }
        for (line, reason) in &coverage.drops {
            writeln!(out, "  left out: {line}: {reason}")?;
        }
    }
    if !as_json {
        let errors = loaded.maps.problems().iter().filter(|p| p.level == Level::Error).count();
        writeln!(out, "{sound} maps are sound, {errors} errors, {unclaimed} leaves that no line speaks of")?;
    }
    out.flush()?;
    Ok(if failed || unclaimed > 0 { FAILED } else { DONE })
}

fn pairs(all: &[(String, String)]) -> Vec<Value> {
    all.iter().map(|(line, reason)| json!({ "line": line, "reason": reason })).collect()
}

fn explain(map: &str, path: &str, maps: &[PathBuf], as_json: bool) -> io::Result<u8> {
    let loaded = Loaded::read(maps)?;
    let map = loaded.named(map).map_err(io::Error::other)?;
    let found = map.explain(path);
    let mut out = io::BufWriter::new(io::stdout().lock());
    for line in &found {
        if as_json {
            let does = match &line.fixed {
                None => "carries",
                Some(Fixed::Value) => "value",
                Some(Fixed::Link) => "link",
                Some(Fixed::Kept) => "residue",
                Some(Fixed::Dropped(_)) => "drop",
                Some(Fixed::Same(_)) => "same",
            };
            let json = json!({
                "line": line.line, "native": line.native, "direction": line.direction, "fhir": line.fhir,
                "element": line.element, "does": does, "rule": loaded.maps.rule(line),
            });
            writeln!(out, "{json}")?;
        } else {
            writeln!(out, "{}\n  {}\n  {}", line.line, does(line), loaded.maps.rule(line))?;
        }
    }
    out.flush()?;
    if found.is_empty() {
        writeln!(io::stderr(), "{}: nothing is said of {path}", map.name())?;
        return Ok(FAILED);
    }
    Ok(DONE)
}

fn does(line: &Explanation) -> String {
    let native = if line.native == "*" { "what no line names" } else { line.native.as_str() };
    match &line.fixed {
        None => format!("{native} {} {}", line.direction, line.fhir),
        Some(Fixed::Value) => format!("{} is given by the map", line.fhir),
        Some(Fixed::Link) => format!("{} refers to another resource of the document", line.fhir),
        Some(Fixed::Kept) => format!("{native} stays in the original"),
        Some(Fixed::Same(there)) => format!("{native} goes to {} as {there} does", line.fhir),
        Some(Fixed::Dropped(reason)) => format!("{native} is left out: {reason}"),
    }
}

fn describe(map: &str, maps: &[PathBuf]) -> io::Result<u8> {
    let loaded = Loaded::read(maps)?;
    let map = loaded.named(map).map_err(io::Error::other)?;
    let mut out = io::stdout().lock();
    out.write_all(loaded.maps.describe(map).as_bytes())?;
    out.flush()?;
    Ok(DONE)
}

fn list(maps: &[PathBuf]) -> io::Result<u8> {
    let loaded = Loaded::read(maps)?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    for map in loaded.maps.iter() {
        writeln!(out, "{}\t{}", map.name(), map.reads_what())?;
    }
    out.flush()?;
    Ok(DONE)
}
