//! `silta translate`: a document through its map, either way.

use std::io::{self, Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};
use jiff::tz::TimeZone;
use silta_engine::definitions::Model;
use silta_engine::fhir::document::{self, Document};
use silta_engine::mapping::{Context, Disposition, Loss, Map, Refusals, Report, Unrecognised};
use silta_engine::native::{Charset, Limits, Syntax, Tree, hl7v2};

use super::maps::Loaded;
use super::{DONE, FAILED, USAGE};
use crate::clock::Clock;
use crate::config;
use crate::exchange::MapSettings as Settings;

/// Translates a document through its map: to FHIR, or a Bundle back to the native format.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  silta translate --to fhir referral.hl7 > referral.json\n  silta translate --to native \
                  --original referral.hl7 edited.json > changed.hl7\n  silta translate --to native --map ref-i12 \
                  bundle.json\n  silta translate --to fhir --report=json --maps my-maps/ order.csv\n\nA file of several HL7 v2 messages (one after another, in batches, in frames of MLLP) gives a Bundle a line, and such lines go back.\n\nThe map is found by \
                  the document's own type where none is named. Exit 0: translated; 1: refused, or rows of a table are, each place is named; 2: a \
                  file, a map or the command line is wrong."
)]
pub(super) struct Arguments {
    /// Where to.
    #[arg(long, value_enum)]
    to: To,
    /// The map, where the document is not to say itself which it is; needed for a new native document.
    #[arg(long, value_name = "NAME")]
    map: Option<String>,
    /// The native document that a Bundle came from: what is not changed in the Bundle stays as it is, byte for byte.
    #[arg(long, value_name = "FILE|-")]
    original: Option<PathBuf>,
    /// Folders or files of maps over those of the program.
    #[arg(long, value_name = "FILE|DIR")]
    maps: Vec<PathBuf>,
    /// A gateway's configuration, for the settings of a provider.
    #[arg(long, value_name = "FILE", requires = "provider")]
    config: Option<PathBuf>,
    /// The provider that the document is of.
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
    /// The zone of times that name none: Europe/Helsinki.
    #[arg(long, value_name = "ZONE")]
    zone: Option<String>,
    /// The character set of documents that declare none: windows-1252.
    #[arg(long, value_name = "SET")]
    charset: Option<String>,
    /// The trigger event of a new HL7 v2 message: S13.
    #[arg(long, value_name = "EVENT")]
    event: Option<String>,
    /// The version of a new HL7 v2 message: 2.8.
    #[arg(long, value_name = "VERSION")]
    version: Option<String>,
    /// Write what the format can carry, and report the rest, rather than refuse.
    #[arg(long)]
    lossy: bool,
    /// Tell on standard error where every leaf went.
    #[arg(long, value_enum, value_name = "FORM", num_args = 0..=1, require_equals = true, default_missing_value = "text")]
    report: Option<Form>,
    /// A file for what `--report` tells, instead of standard error.
    #[arg(long, value_name = "FILE", requires = "report")]
    report_file: Option<PathBuf>,
    /// XML in place of JSON: FHIR, or a new native document of a format that has both.
    #[arg(long)]
    xml: bool,
    /// FHIR JSON in one line.
    #[arg(long)]
    compact: bool,
    /// The document; - is standard input.
    #[arg(value_name = "FILE|-")]
    file: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum To {
    /// A Bundle of resources.
    Fhir,
    /// The native format.
    Native,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// A line a leaf.
    Text,
    /// One JSON object.
    Json,
}

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// A file, a map or the command line is wrong.
    #[error("{0}")]
    Usage(String),
    /// The document is refused, by each of these.
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Failure {
    fn refused(refusals: &Refusals) -> Self {
        Self::Refused(refusals.items.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    }
}

pub(super) fn run(arguments: &Arguments) -> u8 {
    let (text, code) = match translate(arguments, &Clock::system()) {
        Ok(()) => return DONE,
        Err(Failure::Io(error)) if error.kind() == io::ErrorKind::BrokenPipe => return DONE,
        Err(Failure::Refused(text)) => (text, FAILED),
        Err(error) => (error.to_string(), USAGE),
    };
    let _ = writeln!(io::stderr(), "{text}");
    code
}

fn translate(arguments: &Arguments, clock: &Clock) -> Result<(), Failure> {
    if arguments.to == To::Fhir && arguments.original.is_some() {
        return Err(Failure::Usage("--original goes with --to native".to_owned()));
    }
    let is_new = arguments.to == To::Native && arguments.original.is_none();
    if !is_new && (arguments.event.is_some() || arguments.version.is_some()) {
        return Err(Failure::Usage(
            "--event and --version are of a new message: --to native without --original".to_owned(),
        ));
    }
    let loaded = Loaded::read(&arguments.maps)?;
    let context = context(arguments, clock)?;
    match arguments.to {
        To::Fhir => to_fhir(arguments, &loaded, &context),
        To::Native => to_native(arguments, &loaded, &context),
    }
}

fn to_fhir(arguments: &Arguments, loaded: &Loaded, context: &Context) -> Result<(), Failure> {
    let natives = natives(arguments, loaded, context, &arguments.file)?;
    let many = natives.parts.len() > 1;
    if many && arguments.xml {
        return Err(Failure::Usage(format!(
            "--xml writes one Bundle, and there are {} messages in {}",
            natives.parts.len(),
            arguments.file.display()
        )));
    }
    let mut reports = Vec::new();
    let mut refused = Vec::new();
    let mut out = io::stdout().lock();
    for (number, part) in (1..).zip(natives.parts) {
        let of = |text: String| if many { format!("message {number}: {text}") } else { text };
        let translated = part.and_then(|(map, tree)| {
            let got = map.text(&tree, context).map_err(|refusals| Failure::refused(&refusals))?;
            Ok((got, tree))
        });
        let (got, tree) = match translated {
            Ok(translated) => translated,
            Err(Failure::Refused(text)) => {
                refused.push(of(text));
                continue;
            }
            Err(other) => return Err(other),
        };
        if arguments.report.is_some() {
            reports.push(got.report(&tree));
        } else {
            let unread: u32 = tree.row_faults().iter().map(|fault| fault.cells).sum();
            let errors = got.totals(&tree).errors.saturating_sub(unread);
            if errors > 0 {
                let text =
                    of(format!("{errors} values are not what they should be and stay in the original: --report"));
                writeln!(io::stderr(), "{text}")?;
            }
        }
        let text = match (arguments.xml, arguments.compact || many) {
            (true, _) => xml(got.json())?,
            (false, true) => got.json().to_owned(),
            (false, false) => pretty(got.json()),
        };
        out.write_all(text.as_bytes())?;
        if !text.ends_with('\n') {
            out.write_all(b"\n")?;
        }
        refused.extend(tree.row_faults().iter().map(ToString::to_string));
    }
    out.flush()?;
    if !reports.is_empty() {
        report(arguments, &reports)?;
    }
    if refused.is_empty() { Ok(()) } else { Err(Failure::Refused(refused.join("\n"))) }
}

fn to_native(arguments: &Arguments, loaded: &Loaded, context: &Context) -> Result<(), Failure> {
    let Some(original) = &arguments.original else {
        let wanted = bundle(&arguments.file, read(&arguments.file)?)?;
        let Some(name) = &arguments.map else {
            return Err(Failure::Usage(format!(
                "a new document needs --map, a change of one --original; there are the maps {}",
                loaded.names()
            )));
        };
        let map = loaded.named(name).map_err(Failure::Usage)?;
        let written = map.create(&wanted, context).map_err(|refusals| Failure::refused(&refusals))?;
        told(arguments, std::slice::from_ref(&written.report))?;
        let mut out = io::stdout().lock();
        out.write_all(&written.bytes)?;
        return Ok(out.flush()?);
    };
    if original == Path::new("-") && arguments.file == Path::new("-") {
        return Err(Failure::Usage("only one of the two can be standard input".to_owned()));
    }
    let natives = natives(arguments, loaded, context, original)?;
    let wanted = bundles(&arguments.file, natives.parts.len())?;
    let mut bytes = Vec::with_capacity(natives.bytes.len());
    let mut reports = Vec::new();
    let mut at = 0;
    let many = natives.parts.len() > 1;
    for (number, ((part, range), wanted)) in (1..).zip(natives.parts.into_iter().zip(natives.ranges).zip(wanted)) {
        let of = |text: String| if many { format!("message {number}: {text}") } else { text };
        let written = part
            .and_then(|(map, tree)| map.put(&wanted, &tree, context).map_err(|refusals| Failure::refused(&refusals)));
        let written = written.map_err(|failure| match failure {
            Failure::Refused(text) => Failure::Refused(of(text)),
            other => other,
        })?;
        // What is around the messages stays.
        bytes.extend_from_slice(natives.bytes.get(at..range.start).unwrap_or_default());
        bytes.extend_from_slice(&written.bytes);
        at = range.end;
        reports.push(written.report);
    }
    bytes.extend_from_slice(natives.bytes.get(at..).unwrap_or_default());
    told(arguments, &reports)?;
    let mut out = io::stdout().lock();
    out.write_all(&bytes)?;
    Ok(out.flush()?)
}

/// What became of what was to be written: the reports where they are wanted, else what was not written.
fn told(arguments: &Arguments, reports: &[Report]) -> Result<(), Failure> {
    if arguments.report.is_some() {
        return report(arguments, reports);
    }
    for lost in reports.iter().flat_map(|report| &report.lost) {
        writeln!(io::stderr(), "{}: {}", lost.path, lost.reason)?;
    }
    Ok(())
}

/// A file of native documents: one, or several HL7 v2 messages.
struct Natives {
    bytes: Vec<u8>,
    ranges: Vec<Range<usize>>,
    /// Each with its map.
    parts: Vec<Result<(Arc<Map>, Tree), Failure>>,
}

fn natives(arguments: &Arguments, loaded: &Loaded, context: &Context, file: &Path) -> Result<Natives, Failure> {
    let bytes = read(file)?;
    let wrong = |error: String| Failure::Refused(format!("{}: {error}", file.display()));
    let named = arguments.map.as_ref().map(|name| loaded.named(name).map_err(Failure::Usage)).transpose()?;
    let is_message = named.is_none_or(|map| matches!(map.syntax(context.charset), Syntax::Hl7V2(_)));
    let ranges = match hl7v2::messages(&bytes).filter(|_| is_message) {
        Some(ranges) => ranges.map_err(|error| wrong(error.to_string()))?,
        None => std::iter::once(0..bytes.len()).collect(),
    };
    if ranges.is_empty() {
        return Err(wrong("expected a message between the headers and trailers of the file".to_owned()));
    }
    // A byte order mark speaks for all messages of a file.
    let charset = if bytes.starts_with(b"\xef\xbb\xbf") { Charset::Utf8 } else { context.charset };
    let parse = |range: &Range<usize>| {
        let bytes = bytes.get(range.clone()).unwrap_or_default().to_vec();
        match named {
            Some(map) => {
                let tree = map.syntax_of(&bytes, charset).parse(bytes, &Limits::default());
                Ok((Arc::clone(map), tree.map_err(|error| wrong(error.to_string()))?))
            }
            None => {
                let found = loaded.maps.recognise(bytes, charset, &Limits::default());
                found.map_err(|error| {
                    let broken = loaded.broken();
                    // The map that was to read it may be one that cannot be used.
                    if matches!(error, Unrecognised::NoMap(_)) && !broken.is_empty() {
                        return Failure::Usage(format!("{}: {error}\n{}", file.display(), broken.join("\n")));
                    }
                    wrong(error.to_string())
                })
            }
        }
    };
    let parts = ranges.iter().map(parse).collect();
    Ok(Natives { bytes, ranges, parts })
}

/// So many Bundles: one, or one a line.
fn bundles(file: &Path, count: usize) -> Result<Vec<Arc<Document>>, Failure> {
    let bytes = read(file)?;
    if count == 1 {
        return Ok(vec![bundle(file, bytes)?]);
    }
    let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).collect();
    if lines.len() != count {
        return Err(Failure::Usage(format!(
            "{}: expected {count} Bundles, a line each, for the {count} messages of the original; there are {} lines",
            file.display(),
            lines.len()
        )));
    }
    lines.into_iter().map(|line| bundle(file, line.to_vec())).collect()
}

fn bundle(file: &Path, bytes: Vec<u8>) -> Result<Arc<Document>, Failure> {
    let is_xml = bytes.iter().find(|byte| !byte.is_ascii_whitespace() && !matches!(byte, 0xef | 0xbb | 0xbf));
    let parse = if is_xml == Some(&b'<') { Document::from_xml } else { Document::from_json };
    let wanted = parse(Model::r4(), bytes, &document::Limits::default())
        .map_err(|error| Failure::Refused(format!("{}: {error}", file.display())))?;
    if wanted.root().type_name() != "Bundle" {
        return Err(Failure::Refused(format!("{}: expected a Bundle, as --to fhir gives it", file.display())));
    }
    Ok(wanted)
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    if file == Path::new("-") {
        io::stdin().lock().read_to_end(&mut bytes)?;
    } else {
        bytes = std::fs::read(file).map_err(|error| Failure::Usage(format!("{}: {error}", file.display())))?;
    }
    Ok(bytes)
}

fn context(arguments: &Arguments, clock: &Clock) -> Result<Context, Failure> {
    let name = arguments.provider.as_deref().unwrap_or("provider");
    // What is translated here is shown whole, so that the key of the hashes in its names hides nothing.
    let secret = b"silta translate";
    let mut context = match &arguments.config {
        Some(file) => {
            let loaded = config::Loaded::read(file).map_err(|error| Failure::Usage(error.to_string()))?;
            let known = || loaded.config.providers.keys().cloned().collect::<Vec<_>>().join(", ");
            let provider = loaded.config.providers.get(name).ok_or_else(|| {
                Failure::Usage(format!("{}: no provider {name}; there are {}", file.display(), known()))
            })?;
            Settings::of(&provider.map)
                .and_then(|settings| settings.context(name, provider.mode, secret))
                .map_err(|error| Failure::Usage(format!("{}: providers.{name}.{error}", file.display())))?
        }
        None => Context::new(name, clock.now(), secret),
    };
    context.now = clock.now();
    if let Some(zone) = &arguments.zone {
        let zone = TimeZone::get(zone).map_err(|_| Failure::Usage(format!("--zone: no time zone is named {zone}")))?;
        context.zone = Some(zone);
    }
    if let Some(name) = &arguments.charset {
        context.charset = Charset::named(name)
            .ok_or_else(|| Failure::Usage(format!("--charset: no character set is named {name}")))?;
    }
    if let Some(event) = &arguments.event {
        context.envelope.event.clone_from(event);
    }
    if let Some(version) = &arguments.version {
        context.envelope.version.clone_from(version);
    }
    context.xml = arguments.xml;
    if arguments.lossy {
        context.loss = Loss::Warn;
    }
    Ok(context)
}

fn report(arguments: &Arguments, reports: &[Report]) -> Result<(), Failure> {
    let mut text = String::new();
    for report in reports {
        match arguments.report {
            Some(Form::Json) => {
                text.push_str(&serde_json::to_string(report).map_err(io::Error::other)?);
                text.push('\n');
            }
            _ => text.push_str(&in_words(report)),
        }
    }
    match &arguments.report_file {
        Some(file) => {
            std::fs::write(file, text).map_err(|error| Failure::Usage(format!("{}: {error}", file.display())))
        }
        None => Ok(io::stderr().write_all(text.as_bytes())?),
    }
}

/// A line a leaf, and the totals.
fn in_words(report: &Report) -> String {
    let mut text = String::new();
    for item in &report.items {
        let what = match item.disposition {
            Disposition::Mapped => "mapped",
            Disposition::Approximated => "approximated",
            Disposition::Residue => "kept",
            Disposition::Dropped => "left out",
            Disposition::Error => "error",
        };
        text.push_str(&format!("{:<24} {what:<12} {}", item.path, item.to.join(", ")));
        for more in [&item.reason, &item.rule].into_iter().flatten() {
            text.push_str(&format!("  ({more})"));
        }
        text.push('\n');
    }
    for lost in &report.lost {
        let rule = lost.rule.as_ref().map(|rule| format!("  ({rule})")).unwrap_or_default();
        text.push_str(&format!("{:<24} {}{rule}\n", lost.path, lost.reason));
    }
    text.push_str(&format!(
        "{}: {} leaves: {} mapped, {} approximated, {} kept in the original, {} left out, {} errors; {:.1} % conveyed, \
         {:.1} % kept\n",
        report.map,
        report.leaves,
        report.mapped,
        report.approximated,
        report.residue,
        report.dropped,
        report.errors,
        report.conveyed * 100.0,
        report.kept * 100.0
    ));
    text
}

/// A Bundle in XML.
fn xml(json: &str) -> Result<String, Failure> {
    let refused = |text: String| Failure::Refused(text);
    let limits = document::Limits { bytes: u32::MAX, ..document::Limits::DEFAULT };
    let bundle = Document::from_json(Model::r4(), json.as_bytes().to_vec(), &limits);
    bundle.map_err(|error| refused(error.to_string()))?.to_xml().map_err(|error| refused(error.to_string()))
}

/// JSON with a line a member; its texts and numbers as they are.
fn pretty(json: &str) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let mut depth = 0_usize;
    let mut quoted = false;
    let mut escaped = false;
    let mut before = '\0';
    let new_line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth));
    };
    for c in json.chars() {
        if quoted {
            out.push(c);
            quoted = escaped || c != '"';
            escaped = !escaped && c == '\\';
            before = c;
            continue;
        }
        match c {
            ' ' | '\n' | '\r' | '\t' => continue,
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                if !matches!(before, '{' | '[') {
                    new_line(&mut out, depth);
                }
            }
            _ if matches!(before, '{' | '[' | ',') => new_line(&mut out, depth),
            _ => {}
        }
        out.push(c);
        match c {
            '{' | '[' => depth += 1,
            '"' => quoted = true,
            ':' => out.push(' '),
            _ => {}
        }
        before = c;
    }
    out.push('\n');
    out
}
