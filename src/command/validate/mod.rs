//! `silta validate`: documents judged by the core definitions and profiles, native ones by the rules of their format.

mod asked;
mod native;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};
use silta_engine::definitions::Model;
use silta_engine::fhir::document::{Document, Limits};
use silta_engine::fhir::slips::without_slips;
use silta_engine::package::library::Library;
use silta_engine::validation::{Options, Validator, issue, outcome, slip_issues, syntax_outcome};

use super::{DONE, FAILED, USAGE, moment, package};
use crate::clock::Clock;

/// Judges FHIR documents, JSON or XML, by the core definitions and profiles, and native documents by their own rules.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  silta validate --package hl7.fhir.fi.base.tgz patient.json\n\nA folder is searched for .json, .xml, \
                        .ndjson, .hl7 and .csv files; - is standard input. HL7 v2 messages are judged by the tables of their \
                        version, C-CDA documents for being well-formed, JSON without a resourceType by --schema, tables by \
                        --columns.\nExit 0: no errors; 1: errors; 2: a file cannot be read."
)]
pub(super) struct Arguments {
    /// A package to judge by: a .tgz, a folder, or one definition as JSON or XML.
    #[arg(long, value_name = "P")]
    package: Vec<PathBuf>,
    /// A profile that every document must conform to: a canonical, with or without |version, or a file that defines one.
    #[arg(long, value_name = "URL|FILE")]
    profile: Vec<String>,
    /// One line of JSON a document.
    #[arg(long)]
    json: bool,
    /// Rules of best practice as well.
    #[arg(long)]
    best_practice: bool,
    /// Exit 1 for warnings too.
    #[arg(long)]
    warnings_as_errors: bool,
    /// A folder of profiles that adds to those of the program.
    #[arg(long, value_name = "DIR")]
    profiles: Option<PathBuf>,
    /// The JSON Schema that JSON documents without a resourceType must hold to.
    #[arg(long, value_name = "FILE")]
    schema: Option<PathBuf>,
    /// The columns that a table (.csv) must have, separated by commas.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    columns: Vec<String>,
    /// What stands between the cells of a table; without it, what its first line has most of.
    #[arg(long, value_name = "CHARACTER")]
    separator: Option<char>,
    /// The character set of tables, and of HL7 v2 messages that name none: utf-8, windows-1252, iso-8859-1 …
    #[arg(long, value_name = "NAME")]
    charset: Option<String>,
    /// Files and folders; - is standard input.
    #[arg(required = true, value_name = "FILE|DIR|-")]
    input: Vec<PathBuf>,
}

/// One text to judge: its file, its line in NDJSON.
struct Input {
    file: String,
    line: Option<usize>,
    content: Vec<u8>,
}

pub(super) fn run(arguments: &Arguments) -> u8 {
    match judge(arguments, &Clock::system()) {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            USAGE
        }
    }
}

fn judge(arguments: &Arguments, clock: &Clock) -> io::Result<u8> {
    let mut packages = package::Packages::over(Library::built_in());
    for path in arguments.profiles.iter().chain(&arguments.package) {
        packages.load(path)?;
    }
    let canonicals = asked::canonicals(&arguments.profile, &mut packages)?;
    let library = packages.done(&mut io::stderr())?;
    let profiles = asked::meant(canonicals, &library, &arguments.package, &mut io::stderr())?;
    let validator = Validator::new(library)
        .with_options(Options { best_practice: arguments.best_practice })
        .with_clock(|| moment(&Clock::system()));
    let rules = native::Rules::of(arguments)?;
    let profiles: Vec<&str> = profiles.iter().map(String::as_str).collect();
    let (mut files, mut seen) = (Vec::new(), BTreeSet::new());
    for path in &arguments.input {
        collect(path, &mut seen, &mut files)?;
    }
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut failed = false;
    for file in files {
        for input in read(&file)? {
            let started = clock.instant();
            let (issues, is_sound) = match native::judge(&rules, &file, &input.content) {
                Some(native) => native,
                None => one(&validator, &profiles, input.content, is_xml_file(&file)),
            };
            let micros = clock.instant().since(started).as_micros();
            let worst = |severity: &str| {
                issues
                    .get("issue")
                    .and_then(Value::as_array)
                    .into_iter()
                    .flatten()
                    .any(|issue| issue["severity"] == *severity)
            };
            failed |= worst("fatal") || worst("error") || (arguments.warnings_as_errors && worst("warning"));
            if arguments.json {
                let mut line = json!({"file": input.file, "outcome": issues, "micros": micros});
                if let (Some(number), Some(line)) = (input.line, line.as_object_mut()) {
                    line.insert("line".to_owned(), number.into());
                }
                writeln!(out, "{line}")?;
            } else {
                print(&mut out, &input.file, input.line, &issues, is_sound)?;
            }
            // What was found is told at once.
            out.flush()?;
        }
    }
    out.flush()?;
    Ok(if failed { FAILED } else { DONE })
}

/// The outcome of one text, and whether nothing was found.
fn one(validator: &Validator, profiles: &[&str], content: Vec<u8>, is_xml_file: bool) -> (Value, bool) {
    let is_blank = |byte: &&u8| byte.is_ascii_whitespace() || matches!(byte, 0xef | 0xbb | 0xbf);
    let first = content.iter().find(|byte| !is_blank(byte));
    let is_xml = first.map_or(is_xml_file, |first| *first == b'<');
    let read = if is_xml { Document::from_xml } else { Document::from_json };
    let kept = (!is_xml).then(|| content.clone());
    match read(Model::r4(), content, &Limits::default()) {
        Ok(document) => {
            let findings = validator.validate(&document, profiles);
            (outcome(&document, &findings), findings.is_empty())
        }
        Err(error) => {
            if let Some(judged) = kept.and_then(|text| without(validator, profiles, &text)) {
                return (judged, false);
            }
            let mut outcome = syntax_outcome(&error);
            if let Some(issue) = outcome.pointer_mut("/issue/0").filter(|_| is_xml) {
                // A text that cannot be read has no paths; the reference validator says so of XML in this way.
                issue["expression"] = json!(["(xml)"]);
            }
            (outcome, false)
        }
    }
}

/// The outcome of a JSON text that has slips of the hand only: those, and what is wrong without them.
fn without(validator: &Validator, profiles: &[&str], text: &[u8]) -> Option<Value> {
    let (text, slips) = without_slips(text)?;
    let document = Document::from_json(Model::r4(), text, &Limits::default()).ok()?;
    let mut issues = slip_issues(&document, &slips);
    let findings = validator.validate(&document, profiles);
    issues.extend(findings.iter().map(|finding| issue(&document, finding)));
    Some(json!({"resourceType": "OperationOutcome", "issue": issues}))
}

fn print(out: &mut impl Write, file: &str, line: Option<usize>, outcome: &Value, is_sound: bool) -> io::Result<()> {
    let name = line.map_or_else(|| file.to_owned(), |line| format!("{file} line {line}"));
    if is_sound {
        return writeln!(out, "{name}: nothing wrong was found");
    }
    let mut errors = 0;
    for issue in outcome.get("issue").and_then(Value::as_array).into_iter().flatten() {
        let text = |path: &str| issue.pointer(path).and_then(Value::as_str).unwrap_or("");
        errors += usize::from(matches!(text("/severity"), "error" | "fatal"));
        let place = [text("/diagnostics"), text("/expression/0")];
        let [position, path] = place.map(|place| if place.is_empty() { String::new() } else { format!("{place}: ") });
        writeln!(
            out,
            "{name}:{position}{}: {path}{} [{}]",
            text("/severity"),
            text("/details/text"),
            text("/details/coding/0/code")
        )?;
    }
    writeln!(out, "{name}: {errors} errors")
}

fn is_xml_file(path: &Path) -> bool {
    path.extension() == Some(OsStr::new("xml"))
}

fn is_document(path: &Path) -> bool {
    matches!(path.extension().and_then(OsStr::to_str), Some("json" | "xml" | "ndjson" | "hl7" | "csv"))
}

/// The documents at a path and below it; a folder that links lead to again is read once.
fn collect(path: &Path, seen: &mut BTreeSet<PathBuf>, files: &mut Vec<PathBuf>) -> io::Result<()> {
    if path != Path::new("-") && std::fs::metadata(path).map_err(|error| named(path, &error))?.is_dir() {
        if !seen.insert(path.canonicalize().map_err(|error| named(path, &error))?) {
            return Ok(());
        }
        let mut inside = Vec::new();
        for entry in std::fs::read_dir(path)? {
            inside.push(entry?.path());
        }
        inside.sort();
        for entry in inside {
            if entry.is_dir() || is_document(&entry) {
                collect(&entry, seen, files)?;
            }
        }
    } else {
        files.push(path.to_owned());
    }
    Ok(())
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

fn read(path: &Path) -> io::Result<Vec<Input>> {
    let mut content = Vec::new();
    if path == Path::new("-") {
        io::stdin().lock().read_to_end(&mut content)?;
    } else {
        content = std::fs::read(path).map_err(|error| named(path, &error))?;
    }
    let file = path.display().to_string();
    if path.extension() != Some(OsStr::new("ndjson")) {
        return Ok(vec![Input { file, line: None, content }]);
    }
    Ok(content
        .split(|byte| *byte == b'\n')
        .enumerate()
        .filter(|(_, line)| !line.iter().all(u8::is_ascii_whitespace))
        .map(|(number, line)| Input { file: file.clone(), line: Some(number + 1), content: line.to_vec() })
        .collect())
}
