//! What a caller asks, read within bounds.

use jiff::Timestamp;

use crate::definitions::SearchType;
use crate::fault::Fault;

use super::parameter::{Parameter, Parameters};
use super::sort::Sort;
use super::value::{self, Value};

/// A search on one type (<http://hl7.org/fhir/R4/search.html>).
#[derive(Debug, Clone)]
pub struct Query {
    /// The type searched for.
    pub resource_type: &'static str,
    /// What must all hold.
    pub criteria: Vec<Criterion>,
    /// `_include` and `_revinclude`.
    pub includes: Vec<Include>,
    /// `_sort`, the first rule first.
    pub sort: Vec<Sort>,
    /// `_count`; 0 asks for the number alone.
    pub count: Option<u32>,
    /// `_total`.
    pub total: Total,
    /// `_summary`.
    pub summary: Summary,
    /// `_elements`.
    pub elements: Vec<String>,
    /// What was asked and is left out.
    pub ignored: Vec<Ignored>,
}

/// One parameter with what it is compared with.
#[derive(Debug, Clone)]
pub struct Criterion {
    /// The parameter.
    pub parameter: &'static Parameter,
    /// How.
    pub test: Test,
    /// The criterion on what is referred to, where the parameter is the beginning of a chain.
    pub chain: Option<Chain>,
    pub(super) modifier: Modifier,
}

/// A chain of one: `patient.identifier` (<http://hl7.org/fhir/R4/search.html#chaining>).
#[derive(Debug, Clone)]
pub struct Chain {
    /// The type that is referred to.
    pub target: &'static str,
    /// What must hold there.
    pub criterion: Box<Criterion>,
}

/// What must hold of a parameter's values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Test {
    /// There is none (`true`), or one (`false`): `:missing`.
    Missing(bool),
    /// One of them is one of these.
    Any(Vec<Value>),
    /// None of them is one of these: `:not`.
    NoneOf(Vec<Value>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Modifier {
    None,
    Exact,
    Contains,
}

/// What is to be given beside what matches (<http://hl7.org/fhir/R4/search.html#include>).
#[derive(Debug, Clone)]
pub struct Include {
    /// The type that refers.
    pub source: &'static str,
    /// By which parameter.
    pub parameter: &'static Parameter,
    /// Only to this type.
    pub target: Option<&'static str>,
    /// Whether it applies to what was included, too.
    pub iterate: bool,
    /// `_revinclude`: from what is referred to, to what refers.
    pub reverse: bool,
}

/// `_total` (<http://hl7.org/fhir/R4/search.html#total>).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Total {
    /// Not asked.
    #[default]
    Unstated,
    /// `none`.
    None,
    /// `estimate` or `accurate`.
    Wanted,
}

/// `_summary` (<http://hl7.org/fhir/R4/search.html#summary>).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Summary {
    /// The whole resource.
    #[default]
    False,
    /// The elements marked as summary.
    True,
    /// Narrative and what must be there.
    Text,
    /// All but the narrative.
    Data,
    /// The number alone.
    Count,
}

/// A parameter that is left out of the search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ignored {
    /// Its name as sent, cut where it is long.
    pub name: String,
    /// Why.
    pub why: &'static str,
}

/// What a query may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Alternatives of one parameter.
    pub alternatives: usize,
    /// Alternatives of all parameters.
    pub values: usize,
    /// Parameters.
    pub parameters: usize,
    /// `_include` and `_revinclude` together.
    pub includes: usize,
    /// Rules of `_sort`.
    pub sorts: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { alternatives: 500, values: 2000, parameters: 100, includes: 20, sorts: 5 }
    }
}

/// Why a query is refused. A parameter's name is its name in the definitions, or a cut of what was sent; never a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SearchError {
    /// A value is not what the parameter takes.
    #[error("{parameter}: expected {expected}")]
    Value {
        /// The parameter.
        parameter: String,
        /// What it takes.
        expected: &'static str,
    },
    /// More than the bounds allow.
    #[error("{parameter}: at most {limit} are taken")]
    TooMany {
        /// The parameter, or what there is too much of.
        parameter: String,
        /// How many may be.
        limit: usize,
    },
    /// A chain of more than one reference.
    #[error("{parameter}: a chain of one reference is supported, such as patient.identifier")]
    Chain {
        /// The parameter.
        parameter: String,
    },
    /// A modifier that is not supported; leaving it out would ask something else.
    #[error("{parameter}: this modifier is not supported here")]
    Modifier {
        /// The parameter.
        parameter: String,
    },
    /// A parameter that is not supported, where the caller wants to be told.
    #[error("{parameter}: {why}")]
    Unsupported {
        /// The parameter.
        parameter: String,
        /// Why.
        why: &'static str,
    },
}

impl SearchError {
    /// Which answer it is.
    #[must_use]
    pub const fn fault(&self) -> Fault {
        match self {
            Self::Value { .. }
            | Self::TooMany { .. }
            | Self::Chain { .. }
            | Self::Modifier { .. }
            | Self::Unsupported { .. } => Fault::BadValue,
        }
    }

    /// The parameter it is about.
    #[must_use]
    pub fn location(&self) -> &str {
        match self {
            Self::Value { parameter, .. }
            | Self::TooMany { parameter, .. }
            | Self::Chain { parameter }
            | Self::Modifier { parameter }
            | Self::Unsupported { parameter, .. } => parameter,
        }
    }
}

impl Query {
    /// Reads the parameters of a search on a type. `base` is the interface's own base URL, by which absolute references
    /// to resources here are known; `now` is for dates that are compared approximately. A parameter that is not supported
    /// is an error where `strict`, else it is [`Query::ignored`].
    ///
    /// # Errors
    /// What cannot be read, is over the bounds, or is not supported where that must not be left out.
    pub fn parse(
        resource_type: &'static str,
        parameters: &[(String, String)],
        base: &str,
        now: Timestamp,
        strict: bool,
        bounds: &Bounds,
    ) -> Result<Self, SearchError> {
        let mut query = Self {
            resource_type,
            criteria: Vec::new(),
            includes: Vec::new(),
            sort: Vec::new(),
            count: None,
            total: Total::Unstated,
            summary: Summary::False,
            elements: Vec::new(),
            ignored: Vec::new(),
        };
        if parameters.len() > bounds.parameters {
            return Err(SearchError::TooMany { parameter: "parameters".to_owned(), limit: bounds.parameters });
        }
        let reader = Reader { base, now, bounds };
        let mut values = 0_usize;
        for (name, text) in parameters {
            match query.result_parameter(name, text, &reader)? {
                Read::Taken => {}
                Read::NotOfResults => match reader.criterion(resource_type, name, text)? {
                    Ok(criterion) => {
                        values = values.saturating_add(criterion.size());
                        query.criteria.push(criterion);
                    }
                    Err(why) => query.ignored.push(Ignored { name: cut(name), why }),
                },
                Read::Unsupported(why) => query.ignored.push(Ignored { name: cut(name), why }),
            }
            if values > bounds.values {
                return Err(SearchError::TooMany { parameter: "values".to_owned(), limit: bounds.values });
            }
        }
        match query.ignored.first() {
            Some(first) if strict => Err(SearchError::Unsupported { parameter: first.name.clone(), why: first.why }),
            _ => Ok(query),
        }
    }

    /// Takes the parameters that shape the answer.
    fn result_parameter(&mut self, name: &str, text: &str, reader: &Reader<'_>) -> Result<Read, SearchError> {
        let (plain, modifier) = name.split_once(':').map_or((name, None), |(name, modifier)| (name, Some(modifier)));
        let bad = |expected| SearchError::Value { parameter: cut(name), expected };
        if modifier.is_some() && !matches!(plain, "_include" | "_revinclude") {
            let shapes = matches!(plain, "_count" | "_sort" | "_total" | "_summary" | "_elements");
            return if shapes { Err(SearchError::Modifier { parameter: cut(name) }) } else { Ok(Read::NotOfResults) };
        }
        match plain {
            "_count" => {
                let count: u32 = text.parse().map_err(|_| bad("a whole number from 0 to 2147483647"))?;
                self.count =
                    Some(i32::try_from(count).map(|_| count).map_err(|_| bad("a whole number from 0 to 2147483647"))?);
            }
            "_total" => {
                self.total = match text {
                    "none" => Total::None,
                    "estimate" | "accurate" => Total::Wanted,
                    _ => return Err(bad("none, estimate or accurate")),
                };
            }
            "_summary" => {
                self.summary = match text {
                    "true" => Summary::True,
                    "false" => Summary::False,
                    "text" => Summary::Text,
                    "data" => Summary::Data,
                    "count" => Summary::Count,
                    _ => return Err(bad("true, false, text, data or count")),
                };
            }
            "_elements" => {
                let names: Vec<&str> = text.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
                if names.len() > reader.bounds.alternatives {
                    return Err(SearchError::TooMany { parameter: cut(name), limit: reader.bounds.alternatives });
                }
                // `CarePlan.title` and `title` are the same.
                let plain = names.iter().map(|name| name.split_once('.').map_or(*name, |(_, element)| element));
                self.elements.extend(plain.map(str::to_owned));
            }
            "_sort" => {
                for rule in text.split(',').map(str::trim).filter(|rule| !rule.is_empty()) {
                    let (code, descending) = rule.strip_prefix('-').map_or((rule, false), |code| (code, true));
                    let Some(parameter) = Parameters::r4().find(self.resource_type, code) else {
                        self.ignored.push(Ignored { name: cut(name), why: "this cannot be sorted by" });
                        continue;
                    };
                    self.sort.push(Sort { parameter, descending });
                    if self.sort.len() > reader.bounds.sorts {
                        return Err(SearchError::TooMany { parameter: cut(name), limit: reader.bounds.sorts });
                    }
                }
            }
            "_include" | "_revinclude" => {
                let iterate = match modifier {
                    None => false,
                    // `recurse` was its name before R4.
                    Some("iterate" | "recurse") => true,
                    Some(_) => return Err(SearchError::Modifier { parameter: cut(name) }),
                };
                if self.includes.len() >= reader.bounds.includes {
                    return Err(SearchError::TooMany { parameter: cut(name), limit: reader.bounds.includes });
                }
                let include = include(text, plain == "_revinclude", iterate)
                    .ok_or_else(|| bad("Type:parameter or Type:parameter:Target, a reference parameter of the type"))?;
                self.includes.push(include);
            }
            "_has" | "_contained" | "_containedType" | "_filter" | "_query" | "_text" | "_content" | "_list"
            | "_type" => {
                return Ok(Read::Unsupported("not supported here"));
            }
            _ => return Ok(Read::NotOfResults),
        }
        Ok(Read::Taken)
    }
}

enum Read {
    Taken,
    NotOfResults,
    Unsupported(&'static str),
}

fn include(text: &str, reverse: bool, iterate: bool) -> Option<Include> {
    let mut parts = text.split(':');
    let (source, code, target) = (parts.next()?, parts.next()?, parts.next());
    if parts.next().is_some() {
        return None;
    }
    let source = Parameters::r4().type_named(source)?;
    let parameter = Parameters::r4().find(source, code)?;
    if parameter.kind() != SearchType::Reference {
        return None;
    }
    let target = match target {
        None => None,
        Some(name) => Some(parameter.targets().find(|target| *target == name)?),
    };
    Some(Include { source, parameter, target, iterate, reverse })
}

/// What values are read by.
struct Reader<'a> {
    base: &'a str,
    now: Timestamp,
    bounds: &'a Bounds,
}

impl Reader<'_> {
    /// Reads one criterion; inside, why it is not supported and may be left out.
    fn criterion(
        &self,
        resource_type: &'static str,
        name: &str,
        text: &str,
    ) -> Result<Result<Criterion, &'static str>, SearchError> {
        if let Some((head, rest)) = name.split_once('.') {
            if rest.contains('.') {
                return Err(SearchError::Chain { parameter: cut(name) });
            }
            return self.chain(resource_type, (head, rest), text);
        }
        let (code, modifier) = name.split_once(':').map_or((name, None), |(code, modifier)| (code, Some(modifier)));
        let Some(parameter) = Parameters::r4().find(resource_type, code) else {
            return Ok(Err("no search parameter of this type here"));
        };
        let unsupported = || SearchError::Modifier { parameter: cut(name) };
        let (mut negated, mut kind, mut how, mut only) = (false, parameter.kind(), Modifier::None, None);
        match (modifier, parameter.kind()) {
            (None, _) => {}
            (Some("missing"), _) => {
                let missing =
                    text.parse().map_err(|_| SearchError::Value { parameter: cut(name), expected: "true or false" })?;
                return Ok(Ok(Criterion { parameter, test: Test::Missing(missing), chain: None, modifier: how }));
            }
            (Some("not"), SearchType::Token) => negated = true,
            (Some("exact"), SearchType::String) => how = Modifier::Exact,
            (Some("contains"), SearchType::String) => how = Modifier::Contains,
            (Some("identifier"), SearchType::Reference) => kind = SearchType::Token,
            (Some(target), SearchType::Reference) => {
                only = Some(parameter.targets().find(|name| *name == target).ok_or_else(unsupported)?);
            }
            (Some(_), _) => return Err(unsupported()),
        }
        let mut values = self.values(name, kind, text)?;
        for value in &mut values {
            if let (Some(target), Value::Reference(value::ReferenceValue::Here { resource_type, .. })) = (only, value) {
                *resource_type = Some(target);
            }
        }
        let test = if negated { Test::NoneOf(values) } else { Test::Any(values) };
        Ok(Ok(Criterion { parameter, test, chain: None, modifier: how }))
    }

    fn chain(
        &self,
        resource_type: &'static str,
        (head, rest): (&str, &str),
        text: &str,
    ) -> Result<Result<Criterion, &'static str>, SearchError> {
        let (code, target) = head.split_once(':').map_or((head, None), |(code, target)| (code, Some(target)));
        let reference =
            Parameters::r4().find(resource_type, code).filter(|found| found.kind() == SearchType::Reference);
        let Some(parameter) = reference else { return Ok(Err("no reference parameter of this type here")) };
        let rest_code = rest.split_once(':').map_or(rest, |(code, _)| code);
        let has = |name: &&'static str| Parameters::r4().find(name, rest_code).is_some();
        let target = match target {
            Some(wanted) => parameter.targets().find(|name| *name == wanted),
            // A chain on a person is meant where a parameter may refer to many types.
            None => parameter.targets().filter(has).find(|name| *name == "Patient").or_else(|| {
                let mut targets = parameter.targets().filter(has);
                let first = targets.next();
                if targets.next().is_some() { None } else { first }
            }),
        };
        let Some(target) = target else {
            return Ok(Err("say the type that is meant, as in subject:Patient.identifier"));
        };
        Ok(self.criterion(target, rest, text)?.map(|criterion| Criterion {
            parameter,
            test: Test::Missing(false),
            chain: Some(Chain { target, criterion: Box::new(criterion) }),
            modifier: Modifier::None,
        }))
    }

    fn values(&self, name: &str, kind: SearchType, text: &str) -> Result<Vec<Value>, SearchError> {
        let limit = self.bounds.alternatives;
        // Counted before anything is made of them.
        if text.bytes().filter(|byte| *byte == b',').take(limit.saturating_add(1)).count() >= limit {
            return Err(SearchError::TooMany { parameter: cut(name), limit });
        }
        value::split_escaped(text, ',')
            .into_iter()
            .map(|one| value::value(kind, one, self.base, self.now))
            .collect::<Result<_, _>>()
            .map_err(|expected| SearchError::Value { parameter: cut(name), expected })
    }
}

impl Criterion {
    /// How many alternatives it has.
    fn size(&self) -> usize {
        match (&self.chain, &self.test) {
            (Some(chain), _) => chain.criterion.size(),
            (None, Test::Missing(_)) => 1,
            (None, Test::Any(values) | Test::NoneOf(values)) => values.len(),
        }
    }
}

/// A name as sent, short enough to be told: only what a parameter's name may be made of.
fn cut(name: &str) -> String {
    name.chars()
        .take(64)
        .map(|letter| if letter.is_ascii_alphanumeric() || "_-:.".contains(letter) { letter } else { '?' })
        .collect()
}
