//! What a statement of a clinical document says, in words, for the narrative that its receivers show.

use std::fmt::Write as _;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::native::xml::XSI;
use crate::native::{Kind, Name, NodeId, Tree};

/// The elements that are statements, by what holds them.
const STATEMENTS: [&str; 8] = [
    "act",
    "encounter",
    "observation",
    "observationMedia",
    "organizer",
    "procedure",
    "substanceAdministration",
    "supply",
];

/// What statements of a mood are (HL7 v3, ActMood).
const MOODS: [(&str, &str); 7] = [
    ("INT", "Planned: "),
    ("RQO", "Requested: "),
    ("PRP", "Proposed: "),
    ("PRMS", "Promised: "),
    ("APT", "Appointment: "),
    ("ARQ", "Appointment requested: "),
    ("GOL", "Goal: "),
];

/// Why something is not there (HL7 v3, NullFlavor).
const UNKNOWN: [(&str, &str); 9] = [
    ("UNK", "unknown"),
    ("NASK", "not asked"),
    ("ASKU", "asked, but not known"),
    ("NAV", "not known yet"),
    ("NA", "not applicable"),
    ("MSK", "withheld"),
    ("OTH", "other"),
    ("NINF", "-∞"),
    ("PINF", "+∞"),
];

/// What code systems are called.
const SYSTEMS: [(&str, &str); 6] = [
    ("2.16.840.1.113883.6.1", "LOINC"),
    ("2.16.840.1.113883.6.96", "SNOMED CT"),
    ("2.16.840.1.113883.6.88", "RxNorm"),
    ("2.16.840.1.113883.6.90", "ICD-10-CM"),
    ("2.16.840.1.113883.6.12", "CPT"),
    ("2.16.840.1.113883.12.292", "CVX"),
];

/// How deep statements within statements are told.
const DEPTH: usize = 64;

/// What a statement says: the words by which it is called, what is said of it, and what stands within.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// The IDs by which the document refers to the statement's words, and to what it is called.
    ids: Vec<String>,
    name_ids: Vec<String>,
    name: String,
    rest: String,
    within: Vec<Line>,
}

/// A document whose statements are told.
#[derive(Clone, Copy)]
pub(super) struct Words<'t> {
    pub(super) tree: &'t Tree,
    /// What the narrative shows, by ID.
    pub(super) shown: &'t FxHashMap<String, String>,
}

impl Line {
    /// The IDs that it bears.
    pub(super) fn ids(&self) -> Vec<&str> {
        let mut all: Vec<&str> = self.ids.iter().chain(&self.name_ids).map(String::as_str).collect();
        all.extend(self.within.iter().flat_map(Self::ids));
        all
    }

    /// Its markup, in which no ID stands that stands elsewhere already. What stands within is a list, or in line.
    pub(super) fn markup(&self, lists: bool, taken: &mut FxHashSet<String>) -> String {
        let mut free = |ids: &[String]| -> Vec<String> {
            let mut own = Vec::new();
            for id in ids {
                if taken.insert(id.clone()) {
                    own.push(id.clone());
                }
            }
            own
        };
        let (ids, name_ids) = (free(&self.ids), free(&self.name_ids));
        let name = wrapped(&name_ids, escaped(&self.name));
        let bare = self.name.is_empty() || self.name.ends_with(": ");
        let rest = if bare { self.rest.trim_start_matches(": ") } else { &self.rest };
        let mut out = wrapped(&ids, name + &escaped(rest));
        let within: Vec<String> = self.within.iter().map(|line| line.markup(lists, taken)).collect();
        if within.is_empty() {
            return out;
        }
        if lists {
            let items = within.iter().fold(String::new(), |items, item| items + "<item>" + item + "</item>");
            let _ = write!(out, "<list>{items}</list>");
        } else {
            let _ = write!(out, " ({})", within.join("; "));
        }
        out
    }
}

fn wrapped(ids: &[String], text: String) -> String {
    ids.iter().rev().fold(text, |inner, id| format!("<content ID=\"{}\">{inner}</content>", escaped(id)))
}

/// A text as it stands in XML.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}

impl<'t> Words<'t> {
    fn elements(self, at: NodeId, name: &'static str) -> impl Iterator<Item = NodeId> + 't {
        let tree = self.tree;
        tree.children(at)
            .filter(move |child| tree.kind(*child) == Kind::Element && tree.name(*child).is_some_and(|own| own == name))
    }

    fn first(self, at: NodeId, way: &[&'static str]) -> Option<NodeId> {
        way.iter().try_fold(at, |at, name| self.elements(at, name).next())
    }

    fn attribute(self, at: NodeId, name: &str) -> Option<String> {
        let node = self.tree.attribute(at, &Name::local(name))?;
        let text = self.tree.text(node)?;
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    /// The statements that an element holds.
    fn statements(self, at: NodeId) -> impl Iterator<Item = NodeId> + 't {
        let tree = self.tree;
        tree.children(at).filter(move |child| {
            tree.kind(*child) == Kind::Element
                && tree.name(*child).is_some_and(|own| STATEMENTS.iter().any(|name| own == *name))
        })
    }

    /// The statement of an entry.
    pub(super) fn statement(self, entry: NodeId) -> Option<NodeId> {
        self.statements(entry).next()
    }

    /// The ID of what the narrative shows of a statement.
    pub(super) fn shown_by(self, statement: NodeId) -> Option<String> {
        let reference = self.first(statement, &["text", "reference"])?;
        Some(self.attribute(reference, "value")?.strip_prefix('#')?.to_owned())
    }

    /// What an entry says.
    pub(super) fn entry(self, entry: NodeId) -> Option<Line> {
        self.statement(entry).map(|statement| self.line(statement, 0))
    }

    fn line(self, statement: NodeId, depth: usize) -> Line {
        let mut line = Line::default();
        let code = self.first(statement, &["code"]);
        let product = ["consumable", "product"].iter().find_map(|held| {
            let product = self.first(statement, &[held, "manufacturedProduct"])?;
            self.first(product, &["manufacturedMaterial"]).or_else(|| self.first(product, &["manufacturedLabeledDrug"]))
        });
        let named = product.and_then(|material| {
            let coded = self.first(material, &["code"]).and_then(|code| self.concept(code));
            coded.or_else(|| self.own_text(self.first(material, &["name"])?))
        });
        // What is only asserted is called by its value.
        let code_says = code.filter(|code| self.attribute(*code, "code").is_none_or(|code| code != "ASSERTION"));
        line.name = named.or_else(|| self.concept(code_says?)).unwrap_or_default();
        let mut references = self.references(statement);
        if let Some(id) =
            code.and_then(|code| self.first(code, &["originalText", "reference"])).and_then(|r| self.id(r))
        {
            references.retain(|own| *own != id);
            line.name_ids.push(id);
        }
        line.ids = references;
        line.rest = self.said(statement, !line.name.is_empty());
        if let Some(before) = self.turned(statement) {
            line.name = format!("{before}{}", line.name);
        }
        if depth < DEPTH {
            let holders = self.elements(statement, "entryRelationship").chain(self.elements(statement, "component"));
            let inner = holders.flat_map(|holder| self.statements(holder)).map(|inner| self.line(inner, depth + 1));
            line.within = inner.filter(Line::says_anything).collect();
        }
        line
    }

    /// What turns the meaning of a statement round, or says that it is yet to be.
    fn turned(self, statement: NodeId) -> Option<String> {
        let mood = self.attribute(statement, "moodCode").unwrap_or_default();
        let mood = MOODS.iter().find(|(code, _)| *code == mood).map_or("", |(_, words)| *words);
        let not = self.attribute(statement, "negationInd").is_some_and(|text| matches!(text.as_str(), "true" | "1"));
        let not = if not { "Not: " } else { "" };
        Some(format!("{mood}{not}")).filter(|text| !text.is_empty())
    }

    fn said(self, statement: NodeId, named: bool) -> String {
        let all = |name: &'static str, of: &dyn Fn(NodeId) -> Option<String>| -> Vec<String> {
            self.elements(statement, name).filter_map(of).collect()
        };
        let concept = |node: NodeId| self.concept(node);
        let value = |node: NodeId| self.value(node);
        let mut parts: Vec<String> = Vec::new();
        let mut values = all("value", &value);
        let negated = self.first(statement, &["valueNegationInd"]).and_then(|node| self.attribute(node, "value"));
        if negated.as_deref() == Some("true") {
            values.iter_mut().for_each(|value| value.insert_str(0, "not "));
        }
        values.extend(all("interpretationCode", &concept).into_iter().map(|text| format!("({text})")));
        let played: Vec<String> = self
            .elements(statement, "participant")
            .filter_map(|participant| self.first(participant, &["participantRole", "playingEntity"]))
            .filter_map(|entity| {
                let coded = self.first(entity, &["code"]).and_then(|code| self.concept(code));
                coded.or_else(|| self.own_text(self.first(entity, &["name"])?))
            })
            .collect();
        if !values.is_empty() {
            parts.push(values.join(" "));
        }
        parts.extend(played);
        parts.extend(self.first(statement, &["text"]).and_then(|text| self.own_text(text)));
        for (name, words) in [("targetSiteCode", "site "), ("routeCode", "route "), ("approachSiteCode", "site ")] {
            parts.extend(all(name, &concept).into_iter().map(|text| format!("{words}{text}")));
        }
        for (name, words) in [
            ("doseQuantity", "dose "),
            ("rateQuantity", "rate "),
            ("maxDoseQuantity", "at most "),
            ("quantity", "quantity "),
            ("repeatNumber", "number "),
        ] {
            parts.extend(all(name, &value).into_iter().map(|text| format!("{words}{text}")));
        }
        let needed = self.elements(statement, "precondition").filter_map(|one| self.first(one, &["criterion"]));
        parts.extend(needed.filter_map(|criterion| {
            let said = self.first(criterion, &["value"]).and_then(|node| self.value(node));
            let said = said.or_else(|| self.concept(self.first(criterion, &["code"])?));
            said.or_else(|| self.own_text(self.first(criterion, &["text"])?)).map(|text| format!("when needed: {text}"))
        }));
        parts.extend(all("effectiveTime", &value));
        parts.extend(all("priorityCode", &concept).into_iter().map(|text| format!("priority {text}")));
        let status = self.first(statement, &["statusCode"]).and_then(|node| self.attribute(node, "code"));
        // A state by itself is the state of nothing.
        if named || !parts.is_empty() {
            parts.extend(status.map(|status| format!("status {status}")));
        }
        parts.iter().enumerate().fold(String::new(), |mut text, (n, part)| {
            text.push_str(if n == 0 { ": " } else { "; " });
            text.push_str(part);
            text
        })
    }

    /// The words of a code.
    fn concept(self, node: NodeId) -> Option<String> {
        let original = || {
            let original = self.first(node, &["originalText"])?;
            let shown = self.first(original, &["reference"]).and_then(|r| self.shown.get(&self.id(r)?).cloned());
            self.own_text(original).or(shown)
        };
        let translated = || self.elements(node, "translation").find_map(|one| self.attribute(one, "displayName"));
        let coded = || {
            let code = self.attribute(node, "code")?;
            let system = self.attribute(node, "codeSystem");
            let known = system.as_ref().and_then(|oid| SYSTEMS.iter().find(|(known, _)| known == oid));
            let named = self.attribute(node, "codeSystemName").or(known.map(|(_, name)| (*name).to_owned()));
            let system = named.or(system);
            Some(system.map_or_else(|| code.clone(), |system| format!("{code} ({system})")))
        };
        let words = self.attribute(node, "displayName").or_else(original).or_else(translated).or_else(coded);
        let words = words.or_else(|| self.unknown(node))?;
        let narrowed: Vec<String> =
            self.elements(node, "qualifier").filter_map(|one| self.concept(self.first(one, &["value"])?)).collect();
        Some(if narrowed.is_empty() { words } else { format!("{words}, {}", narrowed.join(", ")) })
    }

    fn unknown(self, node: NodeId) -> Option<String> {
        let why = self.attribute(node, "nullFlavor")?;
        UNKNOWN.iter().find(|(code, _)| *code == why).map(|(_, words)| (*words).to_owned())
    }

    /// The words of a value of any type.
    fn value(self, node: NodeId) -> Option<String> {
        if let Some(value) = self.attribute(node, "value") {
            let unit = self.attribute(node, "unit").or_else(|| self.attribute(node, "currency"));
            let unit = unit.filter(|unit| unit != "1");
            let is_time = self.tree.name(node).is_some_and(|name| name == "effectiveTime") || self.is_time(node);
            let value = if is_time { moment(&value) } else { value };
            return Some(unit.map_or_else(|| value.clone(), |unit| format!("{value} {unit}")));
        }
        if let Some(period) = self.first(node, &["period"]) {
            return self.value(period).map(|text| format!("every {text}"));
        }
        if let Some(event) = self.first(node, &["event"]) {
            return self.concept(event).map(|text| format!("at {text}"));
        }
        if let Some(numerator) = self.first(node, &["numerator"]) {
            let below = self.first(node, &["denominator"]).and_then(|node| self.value(node));
            let above = self.value(numerator)?;
            return Some(below.map_or_else(|| above.clone(), |below| format!("{above} / {below}")));
        }
        let end = |name: &'static str| {
            let end = self.first(node, &[name])?;
            let outside = self.attribute(end, "inclusive").is_some_and(|text| text == "false");
            let is_time = self.tree.name(node).is_some_and(|name| name == "effectiveTime") || self.is_time(node);
            let text = self.value(end).map(|text| if is_time { moment(&text) } else { text });
            text.or_else(|| self.unknown(end)).map(|text| (text, outside))
        };
        match (end("low"), end("high"), end("center")) {
            (Some((low, _)), Some((high, _)), _) => return Some(format!("{low} – {high}")),
            (Some((low, false)), None, _) => return Some(format!("from {low}")),
            (Some((low, true)), None, _) => return Some(format!("more than {low}")),
            (None, Some((high, false)), _) => return Some(format!("up to {high}")),
            (None, Some((high, true)), _) => return Some(format!("less than {high}")),
            (None, None, Some((center, _))) => return Some(center),
            (None, None, None) => {}
        }
        self.own_text(node).or_else(|| self.concept(node))
    }

    fn is_time(self, node: NodeId) -> bool {
        let named = self.tree.attribute(node, &Name::new(XSI, "type")).and_then(|node| self.tree.text(node));
        named.is_some_and(|name| name.trim().ends_with("TS"))
    }

    /// The characters between the tags of an element, those of elements in it aside.
    fn own_text(self, node: NodeId) -> Option<String> {
        let tree = self.tree;
        if self.attribute(node, "representation").is_some_and(|how| how == "B64") {
            return None;
        }
        let pieces = tree.children(node).filter(|child| tree.kind(*child) == Kind::Text);
        let text: String = pieces.filter_map(|piece| tree.text(piece)).collect();
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        Some(text).filter(|text| !text.is_empty())
    }

    fn id(self, reference: NodeId) -> Option<String> {
        Some(self.attribute(reference, "value")?.strip_prefix('#')?.to_owned())
    }

    /// The IDs that a statement refers to, statements within it aside.
    fn references(self, statement: NodeId) -> Vec<String> {
        let mut found = Vec::new();
        let mut open = vec![statement];
        while let Some(at) = open.pop() {
            for child in self.tree.children(at).filter(|child| self.tree.kind(*child) == Kind::Element) {
                let Some(name) = self.tree.name(child) else { continue };
                if STATEMENTS.iter().any(|statement| name == *statement) {
                    continue;
                }
                if name == "reference"
                    && let Some(id) = self.id(child)
                    && !found.contains(&id)
                {
                    found.push(id);
                }
                open.push(child);
            }
        }
        found
    }

    /// The IDs that anything in an element refers to.
    pub(super) fn all_references(self, within: NodeId) -> Vec<String> {
        let mut found = Vec::new();
        let mut open = vec![within];
        while let Some(at) = open.pop() {
            for child in self.tree.children(at).filter(|child| self.tree.kind(*child) == Kind::Element) {
                if self.tree.name(child).is_some_and(|name| name == "reference") {
                    found.extend(self.id(child));
                }
                open.push(child);
            }
        }
        found
    }
}

impl Line {
    fn says_anything(&self) -> bool {
        !(self.name.is_empty() && self.rest.is_empty() && self.ids().is_empty() && self.within.is_empty())
    }
}

/// A point in time as people read it: `20240310` as `2024-03-10`.
fn moment(text: &str) -> String {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let Some((whole, rest)) = text.split_at_checked(digits) else { return text.to_owned() };
    if !matches!(whole.len(), 4 | 6 | 8 | 10 | 12 | 14) {
        return text.to_owned();
    }
    let mut out = String::new();
    for (from, sign) in [(0, ""), (4, "-"), (6, "-"), (8, " "), (10, ":"), (12, ":")] {
        let to = if from == 0 { 4 } else { from + 2 };
        let Some(part) = whole.get(from..to) else { break };
        out.push_str(sign);
        out.push_str(part);
    }
    if whole.len() == 10 {
        out.push_str(":00");
    }
    // Parts of a second are for machines.
    let zone = rest.find(['+', '-']).and_then(|at| rest.get(at..)).filter(|_| whole.len() > 8);
    out + zone.unwrap_or_default()
}
