//! What is fuzzed: each target is a plain function over bytes that must end, within its limits and without a panic. The tests
//! replay them over `fuzz/corpus`; `tests/run --long` lets cargo-fuzz look for more.

use std::sync::LazyLock;

use silta_engine::definitions::Model;
use silta_engine::fhir::document::{Document, Limits};
use silta_engine::fhirpath::{Budget, Context, Plan};
use silta_engine::mapping::syntax;
use silta_engine::native::{self, Syntax, delimited, hl7v2};
use silta_engine::native_rules;
use silta_engine::package::archive;
use silta_engine::package::library::Library;
use silta_engine::package::snapshot::Generator;
use silta_engine::validation::{Validator, outcome};

/// Takes any bytes.
pub(crate) type Target = fn(&[u8]);

/// A target by its name, which is that of its folder under `fuzz/corpus`.
pub(crate) const TARGETS: [(&str, Target); 6] =
    [("json", json), ("xml", xml), ("fhirpath", fhirpath), ("package", package), ("native", native), ("map", map)];

static VALIDATOR: LazyLock<Validator> = LazyLock::new(Validator::built_in);

fn judged(document: &Document) {
    let findings = VALIDATOR.validate(document, &[]);
    let _ = outcome(document, &findings);
}

/// FHIR's JSON: read, judged, written as XML and read again.
pub(crate) fn json(bytes: &[u8]) {
    let limits = Limits::default();
    let Ok(document) = Document::from_json(Model::r4(), bytes.to_vec(), &limits) else { return };
    judged(&document);
    if let Ok(text) = document.to_xml() {
        let _ = Document::from_xml(Model::r4(), text.into_bytes(), &limits);
    }
}

/// FHIR's XML: read, judged; what it means as JSON can be read.
pub(crate) fn xml(bytes: &[u8]) {
    let limits = Limits::default();
    let Ok(document) = Document::from_xml(Model::r4(), bytes.to_vec(), &limits) else { return };
    judged(&document);
    let text = document.json().as_bytes().to_vec();
    assert!(Document::from_json(Model::r4(), text, &limits).is_ok(), "what XML means is JSON");
}

static SUBJECT: &str = r#"{"resourceType":"Patient","id":"p","name":[{"given":["Aino","Maria"],"family":"Virtanen"}],
    "birthDate":"1950-01-01","active":true,"multipleBirthInteger":2,"contact":[{"name":{"text":"x"}}]}"#;

/// A FHIRPath expression: compiled, evaluated within a budget.
pub(crate) fn fhirpath(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(plan) = Plan::compile(Model::r4(), text, None) else { return };
    let Ok(document) = Document::from_json(Model::r4(), SUBJECT.as_bytes().to_vec(), &Limits::default()) else {
        return;
    };
    let context = Context { budget: Budget::new(100_000), ..Context::of(document.root()) };
    let _ = plan.evaluate(&context);
}

/// A package, or a definition: its profiles in full, and as rules.
pub(crate) fn package(bytes: &[u8]) {
    let mut library = Library::empty();
    let small = archive::Limits { bytes: 1 << 22, entries: 100 };
    match archive::read_tgz(bytes, small) {
        Ok(files) => drop(library.add_package(&files)),
        Err(_) => drop(library.add_file(bytes)),
    }
    let profiles: Vec<String> = library.all("StructureDefinition").into_keys().map(str::to_owned).collect();
    let mut generator = Generator::new(Model::r4(), &library);
    for profile in &profiles {
        let _ = generator.snapshot(profile);
    }
    let validator = Validator::new(library);
    let Ok(document) = Document::from_json(Model::r4(), SUBJECT.as_bytes().to_vec(), &Limits::default()) else {
        return;
    };
    for profile in &profiles {
        let _ = validator.validate(&document, &[profile]);
    }
}

/// A native document in each format; what was read is written as it was.
pub(crate) fn native(bytes: &[u8]) {
    let syntaxes = [
        Syntax::Hl7V2(hl7v2::Options::default()),
        Syntax::Xml,
        Syntax::Json,
        Syntax::Delimited(delimited::Dialect::default()),
    ];
    for syntax in syntaxes {
        let Ok(tree) = syntax.parse(bytes.to_vec(), &native::Limits::default()) else { continue };
        let _ = native_rules::hl7v2::check(&tree, &native_rules::Config::default());
        let _ = tree.row_faults();
    }
}

/// A map file: read, with all its mistakes told.
pub(crate) fn map(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _ = syntax::parse("fuzzed.map", text);
}
