//! `silta fhirpath`: an expression evaluated on a document.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use silta_engine::definitions::Model;
use silta_engine::fhir::document::{Document, Limits};
use silta_engine::fhirpath::{Context, Plan, Value};
use silta_engine::validation::Validator;

use super::{DONE, FAILED, USAGE, moment};
use crate::clock::Clock;

/// Evaluates a FHIRPath expression on a document: one line an item.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  silta fhirpath \"activity.detail.where(status = 'in-progress').code\" careplan.json"
)]
pub(super) struct Arguments {
    /// The expression.
    #[arg(value_name = "EXPR", allow_hyphen_values = true)]
    expression: String,
    /// A document, JSON or XML; - is standard input.
    #[arg(value_name = "FILE|-")]
    file: PathBuf,
}

pub(super) fn run(arguments: &Arguments) -> u8 {
    let mut errors = io::stderr();
    let document = match read(&arguments.file) {
        Ok(document) => document,
        Err(error) => {
            let _ = writeln!(errors, "{}: {error}", arguments.file.display());
            return USAGE;
        }
    };
    let plan = match Plan::compile(Model::r4(), &arguments.expression, document.root().type_id()) {
        Ok(plan) => plan,
        Err(error) => {
            let _ = writeln!(errors, "{error}");
            return USAGE;
        }
    };
    let trace = |name: &str, value: &Value<'_>| {
        let _ = writeln!(io::stderr(), "{name}: {}", shown(value));
    };
    let mut context = Context::of(document.root());
    context.now = moment(&Clock::system());
    context.trace = Some(&trace);
    let validator = Validator::built_in();
    let knowledge = validator.knowledge();
    context.host = &knowledge;
    match plan.evaluate(&context) {
        Ok(found) => {
            let mut out = io::stdout().lock();
            for value in found {
                if writeln!(out, "{}", shown(&value)).is_err() {
                    return FAILED;
                }
            }
            DONE
        }
        Err(error) => {
            let _ = writeln!(errors, "{error}");
            FAILED
        }
    }
}

fn shown(value: &Value<'_>) -> String {
    match (value, value.to_text()) {
        (_, Some(text)) => text.into_owned(),
        (Value::Node(node), None) => node.raw().to_owned(),
        _ => String::new(),
    }
}

fn read(path: &Path) -> Result<std::sync::Arc<Document>, String> {
    let mut content = Vec::new();
    if path == Path::new("-") {
        io::stdin().lock().read_to_end(&mut content).map_err(|error| error.to_string())?;
    } else {
        content = std::fs::read(path).map_err(|error| error.to_string())?;
    }
    let is_xml = content.iter().find(|byte| !byte.is_ascii_whitespace() && !matches!(byte, 0xef | 0xbb | 0xbf));
    let read = if is_xml == Some(&b'<') { Document::from_xml } else { Document::from_json };
    read(Model::r4(), content, &Limits::default()).map_err(|error| error.to_string())
}
