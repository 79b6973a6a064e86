//! Codings, identifiers and observations: rules that hang on their values rather than on their place.

use crate::fhir::document::Node;
use crate::terminology::{Known, is_display};

use super::finding::{Detail, Finding, IssueType, Rule, Severity};
use super::walk::Walk;

const LOINC: &str = "http://loinc.org";

/// The codes that make an Observation a vital sign, by the profile that it must then conform to
/// (<http://hl7.org/fhir/R4/observation-vitalsigns.html>).
const VITAL_SIGNS: [(&str, &[&str]); 10] = [
    ("vitalspanel", &["85353-1"]),
    ("resprate", &["9279-1"]),
    ("heartrate", &["8867-4"]),
    ("oxygensat", &["2708-6"]),
    ("bodytemp", &["8310-5"]),
    ("bodyheight", &["8302-2"]),
    ("headcircum", &["9843-4"]),
    ("bodyweight", &["29463-7"]),
    ("bmi", &["39156-5"]),
    ("bp", &["85354-9"]),
];

/// Whether a code system is published apart from FHIR and grows, as HL7's own terminology: what is at hand is a state of it.
pub(super) fn is_growing(system: &str) -> bool {
    system.starts_with("http://terminology.hl7.org/")
}

fn is_named_set(system: &str) -> bool {
    system.split('/').any(|step| step == "ValueSet")
}

impl<'d> Walk<'_, 'd> {
    /// A coding whose system is at hand and whole has a code of it, and one of its displays.
    pub(super) fn coding(&mut self, node: Node<'d>) {
        let names = &self.validator.names;
        let first = |name| node.child(name).next();
        let (Some(system), Some(code)) = (first(names.system).and_then(Node::text), first(names.code)) else { return };
        let Some(text) = code.text() else { return };
        if !system.contains(':') {
            let says = Detail::Says("the system of a coding is an absolute URI");
            self.error(IssueType::CodeInvalid, Rule::Format("coding-system"), node.id(), says);
            return;
        }
        let version = first(names.version).and_then(Node::text);
        match self.validator.terminology.code_of(system, version, text) {
            // Hardly a system is looked up among the value sets: those are called so.
            Known::NoSystem if is_named_set(system) && self.validator.terminology.is_value_set(system) => {
                let says = Detail::Told(format!("{system} is a value set, not a code system").into());
                self.error(IssueType::CodeInvalid, Rule::Format("coding-system"), node.id(), says);
            }
            Known::NoSystem => {}
            Known::NoCode => self.unknown_code(code, system, text),
            Known::Code { display } => {
                let Some(said) = node.first("display") else { return };
                let language = node.resource().text_at("language").unwrap_or("en");
                if display.is_empty() || !language.starts_with("en") {
                    return;
                }
                if let Some(text) = said.text()
                    && !is_display(text, &display)
                    && !self.validator.terminology.has_designation(system, code.text().unwrap_or(""), text)
                {
                    self.error(
                        IssueType::Value,
                        Rule::Format("display"),
                        said.id(),
                        Detail::Told(
                            format!("the display of {system}#{} is \"{display}\"", code.text().unwrap_or("")).into(),
                        ),
                    );
                }
            }
        }
    }

    /// The unit of a quantity is a code of its system, where that is at hand and whole, as UCUM is by its grammar.
    pub(super) fn unit(&mut self, node: Node<'d>) {
        let names = &self.validator.names;
        let Some(code) = node.child(names.code).next() else { return };
        let system = node.child(names.system).next().and_then(Node::text);
        if let (Some(system), Some(text)) = (system, code.text())
            && self.validator.terminology.code(system, text) == Known::NoCode
        {
            self.unknown_code(code, system, text);
        }
    }

    fn unknown_code(&mut self, code: Node<'d>, system: &str, text: &str) {
        // Units that UCUM does not have are everywhere, in HL7's own examples, too: who reads them knows what is meant.
        let is_usual = is_growing(system) || system == "http://unitsofmeasure.org";
        self.push(Finding {
            severity: if is_usual { Severity::Warning } else { Severity::Error },
            issue: IssueType::CodeInvalid,
            rule: Rule::Format("code-known"),
            at: code.id(),
            detail: Detail::Told(format!("the code system {system} has no code {text}").into()),
        });
    }

    /// An identifier that says it is a URI is one.
    pub(super) fn identifier(&mut self, node: Node<'d>) {
        let Some(system) = node.child(self.validator.names.system).next().and_then(Node::text) else { return };
        if !system.contains(':') {
            let says = Detail::Says("the system of an identifier is an absolute URI");
            self.error(IssueType::Value, Rule::Format("identifier-system"), node.id(), says);
        }
        if system != "urn:ietf:rfc:3986" {
            return;
        }
        let Some(value) = node.text_at("value") else { return };
        let is_absolute = value.split_once(':').is_some_and(|(scheme, rest)| {
            !rest.is_empty()
                && scheme.starts_with(|first: char| first.is_ascii_alphabetic())
                && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        });
        if !is_absolute {
            let says = Detail::Says("an identifier of the system urn:ietf:rfc:3986 has an absolute URI as its value");
            self.error(IssueType::Value, Rule::Format("identifier-uri"), node.id(), says);
        }
    }

    /// A vital sign conforms to its profile whether it claims it or not.
    pub(super) fn observation(&mut self, node: Node<'d>) {
        let is_coded = |codes: &[&str]| {
            node.named("code").flat_map(|code| code.named("coding")).any(|coding| {
                coding.text_at("system") == Some(LOINC)
                    && coding.text_at("code").is_some_and(|code| codes.contains(&code))
            })
        };
        if self.core_only() {
            return;
        }
        if let Some((name, _)) = VITAL_SIGNS.iter().find(|(_, codes)| is_coded(codes)) {
            self.named_profile(node, node.id(), &format!("http://hl7.org/fhir/StructureDefinition/{name}"));
        }
    }

    /// The size that an attachment states is that of its data.
    pub(super) fn attachment(&mut self, node: Node<'d>) {
        let (Some(data), Some(size)) = (node.text_at("data"), node.text_at("size")) else { return };
        if size.parse() != Ok(super::content::decoded_size(data)) {
            self.error(
                IssueType::Value,
                Rule::Format("attachment-size"),
                node.id(),
                Detail::Says("the size stated is not that of the data"),
            );
        }
    }
}
