//! The functions of FHIRPath, called on what their input pushes.

use std::borrow::Cow;
use std::cmp::Ordering;

use rustc_hash::FxHashSet;

use crate::fhir::document::Node;

use super::evaluate::{Flow, Machine, Scope, Sink, compare, push_all, single, within};
use super::function::Function;
use super::syntax::{Id, Op, TypeName};
use super::temporal::Temporal;
use super::value::Value;
use super::{EvalError, convert, string};

impl<'d> Machine<'_, 'd> {
    fn text_argument(
        &self,
        arguments: &[Id],
        place: usize,
        scope: Scope<'_, 'd>,
    ) -> Result<Option<Cow<'d, str>>, EvalError> {
        let Some(id) = arguments.get(place) else { return Ok(None) };
        match self.one(*id, scope)? {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(EvalError::WrongType("a function of strings")),
        }
    }

    fn integer_argument(&self, arguments: &[Id], place: usize, scope: Scope<'_, 'd>) -> Result<Option<i64>, EvalError> {
        let Some(id) = arguments.get(place) else { return Ok(None) };
        match self.one(*id, scope)? {
            None => Ok(None),
            Some(Value::Integer(value)) => Ok(Some(value)),
            Some(_) => Err(EvalError::WrongType("a function of integers")),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one call")]
    pub(super) fn call(
        &self,
        id: Id,
        of: Option<Id>,
        function: Function,
        arguments: &[Id],
        type_name: Option<&TypeName>,
        scope: Scope<'_, 'd>,
        sink: Sink<'_, 'd>,
    ) -> Result<Flow, EvalError> {
        let argument = arguments.first().copied().unwrap_or(Id(usize::MAX));
        match function {
            Function::Exists | Function::Empty | Function::Not => match self.boolean(id, scope)? {
                Some(value) => sink(Value::Boolean(value)),
                None => Ok(Flow::More),
            },
            Function::All => {
                let mut holds = true;
                let mut index = -1;
                self.each(of, scope, &mut |value| {
                    index += 1;
                    holds = self.boolean(argument, within(scope, &value, index))? == Some(true);
                    Ok(if holds { Flow::More } else { Flow::Enough })
                })?;
                sink(Value::Boolean(holds))
            }
            Function::AllTrue | Function::AnyTrue | Function::AllFalse | Function::AnyFalse => {
                let wanted = matches!(function, Function::AllTrue | Function::AnyTrue);
                let all = matches!(function, Function::AllTrue | Function::AllFalse);
                let mut answer = all;
                for value in self.input(of, scope)? {
                    let Some(Value::Boolean(value)) = value.lifted() else {
                        return Err(EvalError::WrongType(function.name()));
                    };
                    if all {
                        answer &= value == wanted;
                    } else {
                        answer |= value == wanted;
                    }
                }
                sink(Value::Boolean(answer))
            }
            Function::Count => {
                let mut count = 0;
                self.each(of, scope, &mut |_| {
                    count += 1;
                    Ok(Flow::More)
                })?;
                sink(Value::Integer(count))
            }
            Function::Where => {
                let mut index = -1;
                self.each(of, scope, &mut |value| {
                    index += 1;
                    if self.boolean(argument, within(scope, &value, index))? == Some(true) {
                        return sink(value);
                    }
                    Ok(Flow::More)
                })
            }
            Function::Select => {
                let mut index = -1;
                self.each(of, scope, &mut |value| {
                    index += 1;
                    self.walk(argument, within(scope, &value, index), sink)
                })
            }
            Function::Repeat => self.repeat(of, argument, scope, sink),
            Function::OfType | Function::As => {
                let Some(type_name) = type_name else { return Ok(Flow::More) };
                if function == Function::As {
                    // One item by the specification; R4's own dom-3 relies on several, of primitives.
                    let values = self.input(of, scope)?;
                    let primitives =
                        values.iter().all(|value| !matches!(value, Value::Node(node) if !node.is_primitive()));
                    let is_of_primitive = type_name.name.starts_with(|first: char| first.is_ascii_lowercase());
                    if values.len() > 1 && !primitives && !is_of_primitive {
                        return Err(EvalError::Several);
                    }
                    for value in values {
                        if self.is_exactly(&value, type_name)? && sink(value)? == Flow::Enough {
                            return Ok(Flow::Enough);
                        }
                    }
                    return Ok(Flow::More);
                }
                self.each(of, scope, &mut |value| {
                    if self.is_exactly(&value, type_name)? { sink(value) } else { Ok(Flow::More) }
                })
            }
            Function::Is => {
                let (Some(type_name), Some(value)) = (type_name, single(self.input(of, scope)?)?) else {
                    return Ok(Flow::More);
                };
                sink(Value::Boolean(self.is_type(&value, type_name)?))
            }
            Function::First => {
                let mut flow = Flow::More;
                self.each(of, scope, &mut |value| {
                    flow = sink(value)?;
                    Ok(Flow::Enough)
                })?;
                Ok(flow)
            }
            Function::Single => match single(self.input(of, scope)?)? {
                Some(value) => sink(value),
                None => Ok(Flow::More),
            },
            Function::Last => match self.input(of, scope)?.pop() {
                Some(value) => sink(value),
                None => Ok(Flow::More),
            },
            Function::Tail | Function::Skip => {
                let count = match function {
                    Function::Tail => 1,
                    _ => self.integer_argument(arguments, 0, scope)?.unwrap_or(0).max(0),
                };
                let mut at = 0;
                self.each(of, scope, &mut |value| {
                    at += 1;
                    if at > count { sink(value) } else { Ok(Flow::More) }
                })
            }
            Function::Take => {
                let count = self.integer_argument(arguments, 0, scope)?.unwrap_or(0);
                let mut at = 0;
                if count <= 0 {
                    return Ok(Flow::More);
                }
                let mut flow = Flow::More;
                self.each(of, scope, &mut |value| {
                    at += 1;
                    flow = sink(value)?;
                    Ok(if at >= count { Flow::Enough } else { flow })
                })?;
                Ok(flow)
            }
            Function::Distinct => push_all(self.distinct(self.input(of, scope)?)?, sink),
            Function::IsDistinct => {
                let all = self.input(of, scope)?;
                let count = all.len();
                sink(Value::Boolean(self.distinct(all)?.len() == count))
            }
            Function::SubsetOf | Function::SupersetOf => {
                let (one, two) = (self.input(of, scope)?, self.values(argument, scope)?);
                let (small, large) = if function == Function::SubsetOf { (one, two) } else { (two, one) };
                for value in &small {
                    if !self.has(&large, value)? {
                        return sink(Value::Boolean(false));
                    }
                }
                sink(Value::Boolean(true))
            }
            Function::Intersect | Function::Exclude => {
                let (one, two) = (self.input(of, scope)?, self.values(argument, scope)?);
                let keep = function == Function::Intersect;
                let mut out = Vec::new();
                for value in one {
                    if self.has(&two, &value)? == keep {
                        out.push(value);
                    }
                }
                push_all(if keep { self.distinct(out)? } else { out }, sink)
            }
            Function::Union | Function::Combine => {
                let mut all = self.input(of, scope)?;
                all.extend(self.values(argument, scope)?);
                push_all(if function == Function::Union { self.distinct(all)? } else { all }, sink)
            }
            Function::Iif => {
                let input = if of.is_some() { single(self.input(of, scope)?)? } else { scope.this.cloned() };
                let scope = Scope { this: input.as_ref(), ..scope };
                let criterion = self.values(argument, scope)?;
                let holds = match criterion.as_slice() {
                    [] => false,
                    [one] => match one.lifted() {
                        Some(Value::Boolean(value)) => value,
                        _ => return Err(EvalError::WrongType("iif")),
                    },
                    _ => return Err(EvalError::Several),
                };
                match arguments.get(if holds { 1 } else { 2 }) {
                    Some(branch) => self.walk(*branch, scope, sink),
                    None => Ok(Flow::More),
                }
            }
            Function::Aggregate => {
                let mut total = match arguments.get(1) {
                    Some(start) => self.values(*start, scope)?,
                    None => Vec::new(),
                };
                for (index, value) in self.input(of, scope)?.into_iter().enumerate() {
                    let index = i64::try_from(index).unwrap_or(0);
                    let inner = Scope { this: Some(&value), index, total: Some(&total), depth: scope.depth };
                    total = self.values(argument, inner)?;
                }
                push_all(total, sink)
            }
            Function::Sort => push_all(self.sorted(of, arguments, scope)?, sink),
            Function::Children => self.each(of, scope, &mut |value| match value {
                Value::Node(node) => push_all(node.children().map(Value::Node), sink),
                _ => Ok(Flow::More),
            }),
            Function::Descendants => self.each(of, scope, &mut |value| match value {
                Value::Node(node) => self.descend(node, sink),
                _ => Ok(Flow::More),
            }),
            Function::Trace => {
                let name = self.text_argument(arguments, 0, scope)?.unwrap_or_default();
                self.each(of, scope, &mut |value| {
                    if let Some(trace) = self.context.trace {
                        match arguments.get(1) {
                            Some(projection) => {
                                for one in self.values(*projection, within(scope, &value, 0))? {
                                    trace(&name, &one);
                                }
                            }
                            None => trace(&name, &value),
                        }
                    }
                    sink(value)
                })
            }
            Function::Now | Function::Today | Function::TimeOfDay => {
                let now = self.context.now.ok_or(EvalError::NoClock)?;
                let value = match function {
                    Function::Now => Some(now),
                    Function::Today => now.to_date(),
                    _ => now
                        .to_string()
                        .split_once('T')
                        .and_then(|(_, time)| Temporal::time(time.split(['Z', '+', '-']).next().unwrap_or(time))),
                };
                push_all(value.map(Value::Temporal), sink)
            }
            Function::Type => self.each(of, scope, &mut |value| sink(Value::Type(value.type_info()))),
            Function::Extension => {
                let Some(url) = self.text_argument(arguments, 0, scope)? else { return Ok(Flow::More) };
                self.each(of, scope, &mut |value| match value {
                    Value::Node(node) => {
                        let found = node.extensions().filter(|one| one.text_at("url") == Some(&url));
                        push_all(found.map(Value::Node), sink)
                    }
                    _ => Ok(Flow::More),
                })
            }
            Function::HasValue => {
                let values = self.input(of, scope)?;
                let has = matches!(values.as_slice(), [Value::Node(node)] if node.text().is_some())
                    || matches!(values.as_slice(), [value] if !matches!(value, Value::Node(_)));
                sink(Value::Boolean(has))
            }
            Function::Value => {
                let value = single(self.input(of, scope)?)?.and_then(|value| value.lifted());
                push_all(value.filter(|value| !matches!(value, Value::Node(_))), sink)
            }
            Function::Resolve => self.each(of, scope, &mut |value| {
                let Value::Node(node) = value else { return Ok(Flow::More) };
                let reference = node.text().or_else(|| node.text_at("reference"));
                match reference.and_then(|reference| self.context.host.resolve(reference, node)) {
                    Some(found) => sink(Value::Node(found)),
                    None => Ok(Flow::More),
                }
            }),
            Function::MemberOf | Function::ConformsTo => {
                let Some(canonical) = self.text_argument(arguments, 0, scope)? else { return Ok(Flow::More) };
                let Some(Value::Node(node)) = single(self.input(of, scope)?)? else { return Ok(Flow::More) };
                let answer = if function == Function::MemberOf {
                    self.context.host.member_of(node, &canonical)
                } else {
                    self.conforms(node, &canonical)
                };
                sink(Value::Boolean(answer.ok_or(EvalError::Undecided(function.name()))?))
            }
            Function::Subsumes | Function::SubsumedBy => {
                let (one, two) = (single(self.input(of, scope)?)?, single(self.values(argument, scope)?)?);
                let (Some(Value::Node(one)), Some(Value::Node(two))) = (one, two) else { return Ok(Flow::More) };
                let (ancestor, code) = if function == Function::Subsumes { (one, two) } else { (two, one) };
                let pair = |node: Node<'d>| node.text_at("system").zip(node.text_at("code"));
                let (Some((system, ancestor)), Some((other, code))) = (pair(ancestor), pair(code)) else {
                    return Ok(Flow::More);
                };
                if system != other {
                    return sink(Value::Boolean(false));
                }
                let answer = self.context.host.subsumes(system, ancestor, code);
                sink(Value::Boolean(answer.ok_or(EvalError::Undecided(function.name()))?))
            }
            Function::HtmlChecks => {
                let holds = match single(self.input(of, scope)?)? {
                    Some(Value::Node(node)) => self.context.host.is_narrative(node),
                    _ => true,
                };
                sink(Value::Boolean(holds))
            }
            Function::ElementDefinition | Function::Slice | Function::CheckModifiers => {
                Err(EvalError::Undecided(function.name()))
            }
            Function::Comparable => {
                let (one, two) = (single(self.input(of, scope)?)?, self.one(argument, scope)?);
                match (one.and_then(|one| one.lifted()), two) {
                    (Some(Value::Quantity(one)), Some(Value::Quantity(two))) => {
                        sink(Value::Boolean(one.is_comparable(&two)))
                    }
                    _ => Ok(Flow::More),
                }
            }
            Function::Join => {
                let separator = self.text_argument(arguments, 0, scope)?.unwrap_or_default();
                let mut texts = Vec::new();
                for value in self.input(of, scope)? {
                    texts.push(value.to_text().ok_or(EvalError::WrongType("join"))?);
                }
                if texts.is_empty() {
                    return Ok(Flow::More);
                }
                let length: usize = texts.iter().map(|text| text.len() + separator.len()).sum();
                self.context.budget.spend_text(length)?;
                sink(Value::text(texts.join(&*separator)))
            }
            _ => {
                let Some(value) = single(self.input(of, scope)?)? else { return Ok(Flow::More) };
                let Some(value) = value.lifted() else { return Ok(Flow::More) };
                let mut lifted = Vec::new();
                for argument in arguments {
                    lifted.push(self.one(*argument, scope)?);
                }
                let pattern = self.plan.patterns.get(id.0).and_then(Option::as_ref);
                self.context.budget.spend_text(string::most_bytes(function, &value, &lifted))?;
                let found = match string::call(function, &value, &lifted, pattern)? {
                    Some(found) => found,
                    None => convert::call(function, &value, &lifted)?,
                };
                push_all(found, sink)
            }
        }
    }

    /// By the host; where that does not know, a type of the core by the model.
    fn conforms(&self, node: Node<'d>, canonical: &str) -> Option<bool> {
        self.context.host.conforms_to(node, canonical).or_else(|| {
            let name = canonical.strip_prefix("http://hl7.org/fhir/StructureDefinition/")?;
            let wanted = self.plan.model.type_named(name)?;
            Some(node.type_id().is_some_and(|held| self.plan.model.is_a(held, wanted)))
        })
    }

    fn descend(&self, node: Node<'d>, sink: Sink<'_, 'd>) -> Result<Flow, EvalError> {
        for child in node.children() {
            self.context.budget.spend(1)?;
            if sink(Value::Node(child))? == Flow::Enough || self.descend(child, sink)? == Flow::Enough {
                return Ok(Flow::Enough);
            }
        }
        Ok(Flow::More)
    }

    fn repeat(
        &self,
        of: Option<Id>,
        projection: Id,
        scope: Scope<'_, 'd>,
        sink: Sink<'_, 'd>,
    ) -> Result<Flow, EvalError> {
        let mut open = self.input(of, scope)?;
        let mut seen: Vec<Value<'d>> = Vec::new();
        let mut nodes = FxHashSet::default();
        let mut primitives = FxHashSet::default();
        while !open.is_empty() {
            let mut next = Vec::new();
            for (index, value) in open.iter().enumerate() {
                let index = i64::try_from(index).unwrap_or(0);
                for found in self.values(projection, within(scope, value, index))? {
                    let is_new = match &found {
                        // Primitives that are equal are one item; of other nodes each is met once.
                        Value::Node(node) => match node.text().filter(|_| node.is_primitive()) {
                            Some(text) => primitives.insert((node.type_name(), text)),
                            None => nodes.insert(node.id()),
                        },
                        _ => !self.has(&seen, &found)?,
                    };
                    if !is_new {
                        continue;
                    }
                    if !matches!(found, Value::Node(_)) {
                        seen.push(found.clone());
                    }
                    if sink(found.clone())? == Flow::Enough {
                        return Ok(Flow::Enough);
                    }
                    next.push(found);
                }
            }
            open = next;
        }
        Ok(Flow::More)
    }

    fn sorted(&self, of: Option<Id>, keys: &[Id], scope: Scope<'_, 'd>) -> Result<Vec<Value<'d>>, EvalError> {
        let mut rows = Vec::new();
        for value in self.input(of, scope)? {
            let mut row = Vec::new();
            for key in keys {
                // A minus before a key turns its order, for strings too.
                let (key, down) = match self.plan.op(*key) {
                    Op::Sign { of, negative: true } => (*of, true),
                    _ => (*key, false),
                };
                row.push((self.one(key, within(scope, &value, 0))?, down));
            }
            if keys.is_empty() {
                row.push((value.lifted(), false));
            }
            rows.push((row, value));
        }
        self.context.budget.spend(rows.len() as u64)?;
        let mut fault = None;
        rows.sort_by(|(one, _), (two, _)| {
            for ((left, down), (right, _)) in one.iter().zip(two) {
                let order = match (left, right) {
                    // What has no key comes first, in either order.
                    (None, None) => continue,
                    (None, Some(_)) => return Ordering::Less,
                    (Some(_), None) => return Ordering::Greater,
                    (Some(left), Some(right)) => match compare(left, right) {
                        Ok(order) => order.unwrap_or(Ordering::Equal),
                        Err(error) => {
                            fault = Some(error);
                            Ordering::Equal
                        }
                    },
                };
                if order.is_ne() {
                    return if *down { order.reverse() } else { order };
                }
            }
            Ordering::Equal
        });
        match fault {
            Some(fault) => Err(fault),
            None => Ok(rows.into_iter().map(|(_, value)| value).collect()),
        }
    }
}
