//! Documents that are not FHIR, by the rules of their own format.

use std::ffi::OsStr;
use std::io;
use std::path::Path;

use serde_json::{Value, json};
use silta_engine::fault::Fault;
use silta_engine::native::charset::Charset;
use silta_engine::native::delimited::Dialect;
use silta_engine::native::hl7v2::acknowledgement::Severity;
use silta_engine::native::{Limits, Syntax, SyntaxError, Tree, hl7v2};
use silta_engine::native_rules;
use silta_engine::validation::RULE_SYSTEM;

use super::Arguments;
use crate::provider::http::schema::Schema;

/// What native documents are judged by, beyond what their format says.
pub(super) struct Rules {
    schema: Option<Schema>,
    columns: Vec<String>,
    separator: Option<char>,
    charset: Charset,
}

impl Rules {
    pub(super) fn of(arguments: &Arguments) -> io::Result<Self> {
        let schema = match &arguments.schema {
            Some(path) => {
                let told = |error: &dyn std::fmt::Display| io::Error::other(format!("{}: {error}", path.display()));
                let bytes = std::fs::read(path).map_err(|error| told(&error))?;
                Some(Schema::compile(&bytes).map_err(|error| told(&error))?)
            }
            None => None,
        };
        let charset = match &arguments.charset {
            Some(name) => {
                Charset::named(name).ok_or_else(|| io::Error::other(format!("--charset: {name} is not known")))?
            }
            None => Charset::default(),
        };
        Ok(Self { schema, columns: arguments.columns.clone(), separator: arguments.separator, charset })
    }
}

/// The outcome of a native document, and whether nothing was found; nothing when it is to be read as FHIR.
pub(super) fn judge(rules: &Rules, file: &Path, content: &[u8]) -> Option<(Value, bool)> {
    let start = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content).trim_ascii_start();
    let is_table = file.extension() == Some(OsStr::new("csv"));
    let issues = if let Some(issues) = messages(rules, content) {
        issues
    } else if is_table {
        table(rules, content)
    } else if start.starts_with(b"<") {
        clinical_document(content)?
    } else if let Some(schema) = rules.schema.as_ref().filter(|_| !is_fhir(start)) {
        by_schema(schema, content)
    } else {
        return None;
    };
    let is_sound = issues.is_empty();
    let issues = if is_sound {
        vec![json!({
            "severity": "information",
            "code": "informational",
            "details": {"text": "nothing wrong was found"},
        })]
    } else {
        issues
    };
    Some((json!({"resourceType": "OperationOutcome", "issue": issues}), is_sound))
}

fn issue(severity: &str, fault: Fault, rule: &str, text: &str, place: &str) -> Value {
    json!({
        "severity": severity,
        "code": fault.issue_code(),
        "details": {"coding": [{"system": RULE_SYSTEM, "code": rule}], "text": text},
        "diagnostics": place,
    })
}

fn unreadable(error: &SyntaxError) -> Vec<Value> {
    let place = match error.segment {
        Some(_) => error.location(),
        None => format!("{}:{}", error.position.line, error.position.column),
    };
    vec![issue("fatal", error.fault(), "syntax", &error.problem.to_string(), &place)]
}

/// HL7 v2: by the structure, segments, types and tables of the message's version; each message of a file.
fn messages(rules: &Rules, content: &[u8]) -> Option<Vec<Value>> {
    let ranges = match hl7v2::messages(content)? {
        Ok(ranges) => ranges,
        Err(error) => return Some(unreadable(&error)),
    };
    // A byte order mark speaks for all messages of a file.
    let charset = if content.starts_with(b"\xef\xbb\xbf") { Charset::Utf8 } else { rules.charset };
    let many = ranges.len() > 1;
    let mut all = Vec::new();
    for (number, range) in (1_usize..).zip(ranges) {
        let mut issues = message(charset, content.get(range).unwrap_or_default());
        for issue in issues.iter_mut().filter(|_| many) {
            let place = format!("message {number}: {}", issue["diagnostics"].as_str().unwrap_or_default());
            issue["diagnostics"] = place.into();
        }
        all.append(&mut issues);
    }
    Some(all)
}

fn message(charset: Charset, content: &[u8]) -> Vec<Value> {
    let syntax = Syntax::Hl7V2(hl7v2::Options { charset });
    let tree = match syntax.parse(content.to_vec(), &Limits::default()) {
        Ok(tree) => tree,
        Err(error) => return unreadable(&error),
    };
    let report = native_rules::hl7v2::check(&tree, &native_rules::Config::by_the_standard());
    report
        .findings
        .iter()
        .map(|finding| {
            let severity = match finding.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
                Severity::Information => "information",
            };
            let rule = format!("hl7v2-{:?}", finding.rule).to_ascii_lowercase();
            issue(severity, finding.rule.fault(), &rule, &format!("expected {}", finding.expected), &finding.path)
        })
        .collect()
}

/// C-CDA: by the elements, data types and order of CDA R2, and the sections that a document's template requires. Nothing when the document is FHIR's XML, or not XML that can be told from it.
fn clinical_document(content: &[u8]) -> Option<Vec<Value>> {
    let parsed = Syntax::Xml.parse(content.to_vec(), &Limits::default());
    match parsed {
        Ok(tree) => is_clinical(&tree).then(|| {
            let found = native_rules::xml::clinical_document(&tree);
            let told = |finding: &native_rules::xml::XmlFinding| {
                let place = format!("{}:{} {}", finding.position.line, finding.position.column, finding.path);
                let text = format!("expected {}", finding.expected);
                issue("error", finding.rule.fault(), finding.rule.name(), &text, &place)
            };
            found.iter().map(told).collect()
        }),
        // Its beginning tells what it was meant to be.
        Err(error) => {
            let head = content.get(..content.len().min(4096)).unwrap_or_default();
            let is_meant = memchr::memmem::find(head, b"urn:hl7-org:v3").is_some()
                || memchr::memmem::find(head, b"<ClinicalDocument").is_some();
            is_meant.then(|| unreadable(&error))
        }
    }
}

fn is_clinical(tree: &Tree) -> bool {
    tree.document_element().is_some_and(|root| {
        tree.namespace(root) == Some("urn:hl7-org:v3") || tree.name(root).is_some_and(|name| name == "ClinicalDocument")
    })
}

/// Whether a JSON text is a FHIR resource: its outermost object says its type.
fn is_fhir(text: &[u8]) -> bool {
    serde_json::from_slice::<Value>(text).is_ok_and(|value| value.get("resourceType").is_some_and(Value::is_string))
}

fn by_schema(schema: &Schema, content: &[u8]) -> Vec<Value> {
    let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
    let text = match std::str::from_utf8(content) {
        Ok(text) => text,
        Err(error) => {
            let place = format!("byte {}", error.valid_up_to());
            return vec![issue("fatal", Fault::CannotParse, "syntax", "the text is not UTF-8", &place)];
        }
    };
    let told = |path: &str, expected: &str| {
        issue("error", Fault::BadValue, "json-schema", &format!("expected {expected}"), path)
    };
    match schema.violations(text, "$") {
        Ok(found) => found.map(|one| told(&one.path, &one.expected)).collect(),
        Err(one) => {
            vec![issue("fatal", Fault::CannotParse, "syntax", &format!("expected {}", one.expected), &one.path)]
        }
    }
}

/// A table: its rows can be read, and it has the columns that it must have.
fn table(rules: &Rules, content: &[u8]) -> Vec<Value> {
    let dialect = Dialect {
        separator: rules.separator.unwrap_or_else(|| separator(content)),
        charset: rules.charset,
        ..Dialect::default()
    };
    let tree = match Syntax::Delimited(dialect).parse(content.to_vec(), &Limits::default()) {
        Ok(tree) => tree,
        Err(error) => return unreadable(&error),
    };
    let mut issues = Vec::new();
    if !rules.columns.is_empty() {
        let held: Vec<&str> = tree.columns().collect();
        for name in rules.columns.iter().filter(|name| !held.contains(&name.as_str())) {
            issues.push(issue(
                "error",
                Fault::RequiredMissing,
                "columns",
                &format!("the column {name} is missing"),
                "row 1",
            ));
        }
        for name in held.iter().filter(|name| !rules.columns.iter().any(|column| column == *name)) {
            issues.push(issue(
                "error",
                Fault::BadValue,
                "columns",
                &format!("a column {name} was not expected"),
                "row 1",
            ));
        }
    }
    issues.extend(
        tree.row_faults()
            .iter()
            .map(|fault| issue("error", fault.fault(), "row", &fault.problem.to_string(), &fault.location())),
    );
    issues
}

/// What the first line has most of.
fn separator(content: &[u8]) -> char {
    let line = content.split(|byte| matches!(byte, b'\n' | b'\r')).next().unwrap_or_default();
    let count = |separator: &u8| line.iter().filter(|byte| *byte == separator).count();
    let found = [b',', b';', b'\t', b'|'].into_iter().rev().max_by_key(count).unwrap_or(b',');
    char::from(found)
}
