//! QuestionnaireResponses against their Questionnaires (<http://hl7.org/fhir/R4/questionnaireresponse.html#notes>).

use std::cmp::Ordering;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use serde_json::Value as Json;

use crate::fhir::document::{Node, NodeId};
use crate::fhirpath::{Context, Decimal, Quantity, Value};
use crate::package::library::Canonical;
use crate::terminology::{Membership, Set};

use super::content;
use super::finding::{Detail, IssueType, Rule};
use super::invariant::Above;
use super::walk::Walk;

const CORE: &str = "http://hl7.org/fhir/StructureDefinition/";
const SDC: &str = "http://hl7.org/fhir/uv/sdc/StructureDefinition/";
/// The condition of an item as the Finnish personal health record has it: FHIRPath on the response.
const KANTA: &str = "http://phr.kanta.fi/StructureDefinition/fiphr-ext-questionnaire-enablewhen";

fn text<'q>(value: &'q Json, key: &str) -> &'q str {
    value.get(key).and_then(Json::as_str).unwrap_or("")
}

fn list<'q>(value: &'q Json, key: &str) -> &'q [Json] {
    value.get(key).and_then(Json::as_array).map_or(&[], Vec::as_slice)
}

fn is_true(value: &Json, key: &str) -> bool {
    value.get(key).and_then(Json::as_bool) == Some(true)
}

/// The value of an extension, with the name it is written by.
fn extension<'q>(of: &'q Json, url: &str) -> Option<(&'q str, &'q Json)> {
    let found = list(of, "extension").iter().find(|one| text(one, "url") == url)?;
    found.as_object()?.iter().find(|(name, _)| name.starts_with("value")).map(|(name, value)| (name.as_str(), value))
}

/// The values of all extensions of a name of FHIR.
fn extensions<'q>(of: &'q Json, name: &'q str) -> impl Iterator<Item = &'q Json> {
    list(of, "extension")
        .iter()
        .filter(move |one| text(one, "url").strip_prefix(CORE) == Some(name))
        .filter_map(|one| one.as_object()?.iter().find(|(key, _)| key.starts_with("value")).map(|(_, value)| value))
}

/// The written value of a choice: `valueCoding`, `answerBoolean`.
fn chosen<'q>(of: &'q Json, start: &str) -> Option<(&'q str, &'q Json)> {
    of.as_object()?
        .iter()
        .find(|(name, _)| name.strip_prefix(start).is_some_and(|rest| rest.starts_with(char::is_uppercase)))
        .map(|(name, value)| (name.as_str(), value))
}

/// What is the same for all items of one response.
struct Form<'d> {
    response: Node<'d>,
    /// The items of the response by linkId, in its order.
    asked: FxHashMap<&'d str, Vec<Asked<'d>>>,
    /// Whether all that is required must be there.
    is_finished: bool,
    /// The value sets that the questionnaire contains, by `#id`.
    value_sets: FxHashMap<String, Arc<Set>>,
}

/// An item of a response, with the values of its answers.
struct Asked<'d> {
    item: Node<'d>,
    values: Vec<Node<'d>>,
}

impl<'d> Form<'d> {
    /// The answers to a question that a condition means: of several items those of the nearest, which stands in the same
    /// group where that has one, before the place sooner than behind it.
    fn answers(&self, question: &str, place: Place<'d>) -> &[Node<'d>] {
        let asked = self.asked.get(question).map(Vec::as_slice).unwrap_or_default();
        let behind = asked.partition_point(|one| one.item.id() < place.at);
        let (before, after) = (behind.checked_sub(1).and_then(|at| asked.get(at)), asked.get(behind));
        let found = match (before, after) {
            (Some(before), Some(after)) => {
                // How far out the innermost part is that holds both.
                let own = |one: &Asked<'d>| {
                    within(place.within).position(|outer| within(one.item).any(|above| above == outer))
                };
                if own(after) < own(before) { Some(after) } else { Some(before) }
            }
            (before, after) => before.or(after),
        };
        found.map(|one| one.values.as_slice()).unwrap_or_default()
    }
}

/// Where an item is, or would be.
#[derive(Clone, Copy)]
struct Place<'d> {
    within: Node<'d>,
    at: NodeId,
}

/// A node and all that it stands in.
fn within(node: Node<'_>) -> impl Iterator<Item = NodeId> {
    std::iter::successors(Some(node), |node| node.parent()).map(Node::id)
}

fn link(item: Node<'_>) -> &str {
    item.text_at("linkId").unwrap_or("")
}

fn collect<'d>(holder: Node<'d>, asked: &mut FxHashMap<&'d str, Vec<Asked<'d>>>) {
    for item in holder.named("item") {
        let values = item.named("answer").filter_map(|answer| answer.first("value")).collect();
        asked.entry(link(item)).or_default().push(Asked { item, values });
        for answer in item.named("answer") {
            collect(answer, asked);
        }
        collect(item, asked);
    }
}

impl<'d> Walk<'_, 'd> {
    /// Judges a response by its questionnaire, where that is at hand.
    pub(super) fn response(&mut self, response: Node<'d>) {
        let Some(canonical) = response.first("questionnaire") else { return };
        let Some(reference) = canonical.text() else { return };
        let contained = reference
            .strip_prefix('#')
            .and_then(|id| response.named("contained").find(|one| one.text_at("id") == Some(id)))
            .and_then(|one| serde_json::from_str::<Json>(one.raw()).ok());
        let held = self.validator.library.find("Questionnaire", reference).cloned();
        let Some(questionnaire) = contained.as_ref().or(held.as_ref().map(|held| &held.content)) else {
            let detail = Detail::Told(
                format!("the questionnaire {reference} is not at hand, so answers were not checked").into(),
            );
            self.warning(IssueType::NotFound, Rule::Format("questionnaire"), canonical.id(), detail);
            return;
        };
        let mut asked = FxHashMap::default();
        collect(response, &mut asked);
        for items in asked.values_mut() {
            items.sort_unstable_by_key(|one| one.item.id());
        }
        let is_finished = matches!(response.text_at("status"), Some("completed" | "amended"));
        let value_sets = list(questionnaire, "contained")
            .iter()
            .filter(|one| text(one, "resourceType") == "ValueSet")
            .map(|one| {
                let url = format!("#{}", text(one, "id"));
                let found = Canonical { url: url.clone(), version: String::new(), content: one.clone() };
                (url, self.validator.terminology.compose(&found))
            })
            .collect();
        let form = Form { response, asked, is_finished, value_sets };
        self.items(response, response, list(questionnaire, "item"), &form);
    }

    fn broken(&mut self, at: Node<'d>, says: impl Into<Box<str>>) {
        self.error(IssueType::Structure, Rule::Format("questionnaire"), at.id(), Detail::Told(says.into()));
    }

    /// The items of a response, an item or an answer; what is wrong with them as a whole is told at `holder`, the response or
    /// the item.
    fn items(&mut self, within: Node<'d>, holder: Node<'d>, questions: &[Json], form: &Form<'d>) {
        let mut places: FxHashMap<&str, usize> = FxHashMap::default();
        for (place, question) in questions.iter().enumerate() {
            places.entry(text(question, "linkId")).or_insert(place);
        }
        let mut given: Vec<Vec<Node<'d>>> = vec![Vec::new(); questions.len()];
        let mut latest = 0;
        for item in within.named("item") {
            let Some(place) = places.get(link(item)).copied() else {
                self.broken(holder, format!("the questionnaire has no item {} here", link(item)));
                continue;
            };
            if place < latest {
                self.broken(holder, "the items do not stand in the order of the questionnaire");
            }
            let said = questions.get(place).map_or("", |question| text(question, "text"));
            if item.text_at("text").is_some_and(|own| own != said) {
                self.broken(item, "the text is not that of the item of the questionnaire");
            }
            latest = latest.max(place);
            if let Some(own) = given.get_mut(place) {
                own.push(item);
            }
        }
        for (question, own) in questions.iter().zip(&given) {
            let at = own.first().map_or(within.id(), |item| item.id());
            self.question(holder, Place { within, at }, question, own, form);
        }
    }

    /// Whether an item is to be answered, by its conditions or by an expression on the response.
    fn is_enabled(&self, question: &Json, place: Place<'d>, form: &Form<'d>) -> bool {
        let sdc = extension(question, &format!("{SDC}sdc-questionnaire-enableWhenExpression"))
            .filter(|(_, value)| text(value, "language") == "text/fhirpath")
            .map(|(_, value)| text(value, "expression"));
        let expression = sdc.or_else(|| extension(question, KANTA).and_then(|(_, value)| value.as_str()));
        if let Some(expression) = expression.filter(|expression| !expression.is_empty()) {
            let host = Above { validator: self.validator, under_way: &self.under_way, judged: &self.judged };
            let plan = self.validator.compiled.plan(&self.validator.model, &Arc::from(expression));
            // What cannot be decided keeps nobody from answering.
            return plan.is_none_or(|plan| {
                let context = Context { now: self.validator.now(&plan), host: &host, ..Context::of(form.response) };
                plan.holds(&context).map_or(true, |held| held == Some(true))
            });
        }
        let conditions = list(question, "enableWhen");
        if conditions.is_empty() {
            return true;
        }
        let mut answers = conditions.iter().map(|condition| holds(condition, place, form));
        if text(question, "enableBehavior") == "all" { answers.all(|one| one) } else { answers.any(|one| one) }
    }

    fn question(&mut self, holder: Node<'d>, place: Place<'d>, question: &Json, items: &[Node<'d>], form: &Form<'d>) {
        if !self.is_enabled(question, place, form) {
            for item in items {
                if item.first("answer").is_some() || item.first("item").is_some() {
                    self.broken(*item, "the item is answered though it is not enabled");
                }
            }
            return;
        }
        let required = is_true(question, "required") && form.is_finished;
        let kind = text(question, "type");
        if items.is_empty() {
            if required && kind != "display" {
                self.error(
                    IssueType::Required,
                    Rule::Format("questionnaire"),
                    holder.id(),
                    Detail::Told(format!("the item {} is required", text(question, "linkId")).into()),
                );
            }
            return;
        }
        if kind == "group" {
            if items.len() > 1 && !is_true(question, "repeats") {
                self.broken(holder, "the group does not repeat");
            }
            for item in items {
                if item.first("answer").is_some() {
                    self.broken(*item, "a group has no answers");
                }
                if item.first("item").is_none() && required {
                    self.broken(*item, "the group is required and has no items");
                }
                self.items(*item, *item, list(question, "item"), form);
            }
            return;
        }
        if items.len() > 1 && !is_true(question, "repeats") {
            self.broken(holder, "the question does not repeat: expected one item");
        }
        for item in items {
            self.answered(*item, question, kind, required, form);
        }
    }

    fn answered(&mut self, item: Node<'d>, question: &Json, kind: &str, required: bool, form: &Form<'d>) {
        let answers: Vec<Node<'d>> = item.named("answer").collect();
        if kind == "display" || kind == "question" {
            if !answers.is_empty() {
                self.broken(item, format!("an item of type {kind} has no answers"));
            }
        } else {
            if answers.is_empty() && required {
                self.error(
                    IssueType::Required,
                    Rule::Format("questionnaire"),
                    item.id(),
                    Detail::Says("the item is required and has no answer"),
                );
            }
            if answers.len() > 1 && !is_true(question, "repeats") {
                self.broken(item, "the question does not repeat: expected one answer");
            }
            let bound = |name: &str| {
                extension(question, &format!("{CORE}{name}"))
                    .and_then(|(_, value)| value.as_u64())
                    .and_then(|count| usize::try_from(count).ok())
            };
            if let Some(most) = bound("questionnaire-maxOccurs").filter(|most| answers.len() > *most) {
                self.broken(item, format!("found {} answers, expected at most {most}", answers.len()));
            }
            if let Some(least) = bound("questionnaire-minOccurs").filter(|least| answers.len() < *least) {
                self.broken(item, format!("found {} answers, expected at least {least}", answers.len()));
            }
            for answer in &answers {
                self.answer(*answer, question, kind, answers.len(), form);
            }
        }
        let inner = list(question, "item");
        for answer in &answers {
            self.items(*answer, item, inner, form);
        }
        // Items of a question stand within its answers; without an answer, within the item.
        if !answers.is_empty() && item.first("item").is_some() {
            self.broken(item, "what is asked within a question stands within its answers");
        }
        if answers.is_empty() && item.first("item").is_some() {
            self.items(item, item, inner, form);
        }
    }

    fn answer(&mut self, answer: Node<'d>, question: &Json, kind: &str, count: usize, form: &Form<'d>) {
        let Some(value) = answer.first("value") else { return };
        let options = list(question, "answerOption");
        let expected: Vec<String> = match kind {
            "boolean" | "decimal" | "integer" | "date" | "dateTime" | "time" | "string" => vec![kind.to_owned()],
            "text" => vec!["string".to_owned()],
            "url" => vec!["uri".to_owned()],
            "attachment" => vec!["Attachment".to_owned()],
            "reference" => vec!["Reference".to_owned()],
            "quantity" => vec!["Quantity".to_owned()],
            "choice" | "open-choice" => {
                let mut types: Vec<String> = options
                    .iter()
                    .filter_map(|option| chosen(option, "value"))
                    .map(|(name, _)| type_of(name).to_owned())
                    .collect();
                types.push("Coding".to_owned());
                if kind == "open-choice" {
                    types.push("string".to_owned());
                }
                types.sort_unstable();
                types.dedup();
                types
            }
            _ => return,
        };
        if !expected.iter().any(|one| one == value.type_name()) {
            // Of a list of options it is the answer that is none of them, where its type is one that an option could have.
            let is_of_options =
                !options.is_empty() && matches!(value.type_name(), "string" | "integer" | "date" | "time");
            let at = if is_of_options { answer } else { value };
            self.broken(at, format!("found {}, expected {}", value.type_name(), expected.join(" or ")));
            return;
        }
        self.options(answer, value, kind, options, count);
        self.answer_set(answer, value, question, kind, form);
        self.bounds(value, question);
        match value.type_name() {
            "Quantity" => self.units(value, question),
            "Attachment" => self.media(answer, value, question),
            _ => {}
        }
    }

    /// The unit of a quantity is one of those that the item offers.
    fn units(&mut self, value: Node<'d>, question: &Json) {
        let (system, code) = (value.text_at("system"), value.text_at("code"));
        let offered: Vec<&Json> = extensions(question, "questionnaire-unitOption").collect();
        let is_offered = |unit: &&Json| {
            unit.get("code").and_then(Json::as_str) == code && unit.get("system").and_then(Json::as_str) == system
        };
        if !offered.is_empty() && !offered.iter().any(is_offered) {
            self.broken(value, "the unit is not one of those that the item offers");
        }
        let set = extension(question, &format!("{CORE}questionnaire-unitValueSet"))
            .and_then(|(_, set)| set.as_str())
            .and_then(|set| self.validator.terminology.value_set(set));
        // A unit without a code is none of them.
        if let Some(set) = set
            && code.is_none_or(|code| set.contains(Some(system.unwrap_or("")), code) == Membership::Out)
        {
            self.broken(value, format!("the unit is not in the value set {}", set.url()));
        }
    }

    /// An attachment is of one of the media types that the item takes.
    fn media(&mut self, answer: Node<'d>, value: Node<'d>, question: &Json) {
        let allowed: Vec<&str> = extensions(question, "mimeType").filter_map(Json::as_str).collect();
        let said = value.text_at("contentType");
        if !allowed.is_empty() && said.is_none_or(|said| !allowed.contains(&said)) {
            self.broken(answer, format!("expected an attachment of the media type {}", allowed.join(" or ")));
        }
    }

    fn options(&mut self, answer: Node<'d>, value: Node<'d>, kind: &str, options: &[Json], count: usize) {
        let is_free = kind == "open-choice" && value.type_name() == "string";
        if !options.is_empty() && !is_free {
            let found = options.iter().find(|option| {
                chosen(option, "value")
                    .is_some_and(|(name, expected)| type_of(name) == value.type_name() && same(value, expected))
            });
            match found {
                None => {
                    // Of a choice it is the answer that is none of the options, of another item its value.
                    let at = if kind.ends_with("choice") { answer } else { value };
                    self.broken(at, "the answer is not one of the options");
                }
                Some(option) => {
                    let exclusive = extension(option, &format!("{CORE}questionnaire-optionExclusive"));
                    if count > 1 && exclusive.is_some_and(|(_, value)| value == true) {
                        self.broken(answer, "the option excludes all others, and there are others");
                    }
                }
            }
        }
    }

    /// An answer from a value set, which may be one that the questionnaire contains.
    fn answer_set(&mut self, answer: Node<'d>, value: Node<'d>, question: &Json, kind: &str, form: &Form<'d>) {
        let is_free = kind == "open-choice" && value.type_name() == "string";
        let value_set = text(question, "answerValueSet");
        if !value_set.is_empty() && !is_free {
            let set = match form.value_sets.get(value_set) {
                Some(held) => Some(Arc::clone(held)),
                None => self.validator.terminology.value_set(value_set),
            };
            let answer_of = |system: Option<&str>, code: Option<&str>| {
                set.as_ref().zip(code).map_or(Membership::Unknown, |(set, code)| set.contains(system, code))
            };
            if value.type_name() == "Coding" {
                // A coding without a system is of none, and one without a code is no answer from it.
                match answer_of(Some(value.text_at("system").unwrap_or("")), value.text_at("code")) {
                    Membership::In => {}
                    _ if value.first("code").is_none() && set.is_some() => {
                        self.broken(answer, format!("the answer has no code, expected one from {value_set}"));
                    }
                    Membership::Out => self.broken(answer, format!("the answer is not in the value set {value_set}")),
                    Membership::Unknown => self.warning(
                        IssueType::NotSupported,
                        Rule::ValueSet(Arc::from(value_set)),
                        answer.id(),
                        Detail::Undecided { value_set: Arc::from(value_set) },
                    ),
                }
            } else if value.type_name() == "string" && answer_of(None, value.text()) == Membership::Out {
                self.broken(value, format!("the answer is not in the value set {value_set}"));
            }
        }
    }

    fn bounds(&mut self, value: Node<'d>, question: &Json) {
        let said = value.text().unwrap_or("");
        let characters = said.chars().count() as u64;
        if let Some(most) = question.get("maxLength").and_then(Json::as_u64).filter(|most| characters > *most) {
            self.broken(value, format!("expected at most {most} characters"));
        }
        let core = |name: &str| extension(question, &format!("{CORE}{name}"));
        if let Some((_, least)) = core("minLength")
            && least.as_u64().is_some_and(|least| value.text().is_some() && characters < least)
        {
            self.broken(value, format!("expected at least {least} characters"));
        }
        if let Some((_, places)) = core("maxDecimalPlaces")
            && let Some(found) = Decimal::parse(said)
            && places.as_u64().is_some_and(|places| u64::from(found.scale()) > places)
        {
            self.broken(value, format!("expected at most {places} places after the point"));
        }
        if let Some((_, Json::String(pattern))) = core("regex")
            && value.text().is_some()
            && crate::fhirpath::matches_fully(said, pattern) == Some(false)
        {
            self.broken(value, "the answer does not match the pattern of the item");
        }
        for (name, wrong, says) in [("minValue", Ordering::Less, "least"), ("maxValue", Ordering::Greater, "greatest")]
        {
            if let Some((written, bound)) = core(name) {
                let key = format!("{name}{}", written.strip_prefix("value").unwrap_or(written));
                if content::against(value, &key, bound) == Some(wrong) {
                    self.broken(value, format!("the answer is beyond the {says} value {bound}"));
                }
            }
        }
        for (name, wrong, says) in
            [("minQuantity", Ordering::Less, "least"), ("maxQuantity", Ordering::Greater, "greatest")]
        {
            let found = extension(question, &format!("{SDC}sdc-questionnaire-{name}"))
                .or_else(|| extension(question, &format!("{CORE}questionnaire-{name}")));
            if let Some((_, bound)) = found
                && value.type_name() == "Quantity"
            {
                match against_quantity(value, bound) {
                    None => self.broken(value, format!("the unit cannot be compared with that of the {says} quantity")),
                    Some(order) if order == wrong => {
                        self.broken(value, format!("the quantity is beyond the {says} one"))
                    }
                    Some(_) => {}
                }
            }
        }
    }
}

/// Compared in units of UCUM; nothing without them.
fn against_quantity(value: Node<'_>, bound: &Json) -> Option<Ordering> {
    let code = bound.get("code").and_then(Json::as_str)?;
    let bound = Quantity::ucum(Decimal::parse(&bound.get("value")?.to_string())?, code);
    value.text_at("code")?;
    match Value::Node(value).lifted()? {
        Value::Quantity(found) => found.compare(&bound),
        _ => None,
    }
}

/// `valueCoding` is of type Coding, `valueDate` of date.
fn type_of(written: &str) -> &str {
    match written.strip_prefix("value").unwrap_or(written) {
        "Date" => "date",
        "Time" => "time",
        "Integer" => "integer",
        "String" => "string",
        "Boolean" => "boolean",
        "Decimal" => "decimal",
        "DateTime" => "dateTime",
        other => other,
    }
}

/// Codings are the same by system and code; other values by all they have.
fn same(value: Node<'_>, expected: &Json) -> bool {
    if value.type_name() == "Coding" {
        let system = expected.get("system").and_then(Json::as_str);
        let code = expected.get("code").and_then(Json::as_str);
        return value.text_at("code") == code && value.text_at("system") == system;
    }
    content::has(value, expected, false)
}

fn holds<'d>(condition: &Json, place: Place<'d>, form: &Form<'d>) -> bool {
    let found = form.answers(text(condition, "question"), place);
    let Some((written, expected)) = chosen(condition, "answer") else { return true };
    let operator = text(condition, "operator");
    if operator == "exists" {
        return found.is_empty() != (expected == true);
    }
    let key = format!("minValue{}", written.strip_prefix("answer").unwrap_or(written));
    found.iter().any(|value| {
        let order = || content::against(*value, &key, expected);
        match operator {
            "=" => same(*value, expected),
            "!=" => !same(*value, expected),
            ">" => order() == Some(Ordering::Greater),
            "<" => order() == Some(Ordering::Less),
            ">=" => matches!(order(), Some(Ordering::Greater | Ordering::Equal)),
            "<=" => matches!(order(), Some(Ordering::Less | Ordering::Equal)),
            _ => false,
        }
    })
}
