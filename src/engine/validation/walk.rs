//! The one walk over a document by the core definitions: structure, cardinality, primitives, and for every element the
//! checks that hang on it.

use std::cell::RefCell;
use std::rc::Rc;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::definitions::{Kind, Model, Symbol, TypeId};
use crate::fhir::datatypes::Primitive;
use crate::fhir::document::{Node, NodeId, Shape};
use crate::fhir::physical::Physical;
use crate::fhirpath::root_of;

use super::Validator;
use super::finding::{Detail, Finding, IssueType, Rule, Severity, without_repeats};
use super::judged::{Judged, Key};
use super::overlay::PutOff;
use super::plan::{ElementPlan, Lexical, Special, TypePlan};

/// Deeper than any document within its limits: recursion ends here whatever the limits were.
const DEEPEST: usize = 160;

/// Characters that a string may have (<http://hl7.org/fhir/R4/datatypes.html#string>).
const LONGEST_STRING: usize = 1_048_576;

/// Findings that are told of a document, with one that says that there are more. What is no error leaves room for errors.
const MOST_FINDINGS: usize = 10_000;
const MOST_OTHERS: usize = MOST_FINDINGS / 2;

/// One validation under way.
pub(super) struct Walk<'v, 'd> {
    pub(super) validator: &'v Validator,
    pub(super) model: &'v Model,
    pub(super) findings: Vec<Finding>,
    /// The resources around the current place, outermost first.
    pub(super) resources: Vec<Node<'d>>,
    /// Counts of the elements of the objects that are open.
    counts: Vec<(u32, Symbol)>,
    depth: usize,
    is_xml: bool,
    /// Whether profiles that resources claim are left out.
    core_only: bool,
    /// Displays and codes that a value set has beside what the code system at hand has.
    pub(super) displays: FxHashSet<NodeId>,
    /// Systems for which it was said that they are not at hand.
    pub(super) told_systems: FxHashSet<Box<str>>,
    /// The ids in the whole document, once a link asked for one.
    pub(super) anchors: Option<FxHashSet<Box<str>>>,
    /// The contained resources of the container that was last asked for one, by id.
    pub(super) contained: Option<(NodeId, FxHashMap<&'d str, Node<'d>>)>,
    /// The ids of elements so far, with their resource.
    ids: FxHashSet<(NodeId, &'d str)>,
    /// The nodes and profiles that are being judged: cyclic profiles end here.
    pub(super) under_way: Vec<Key>,
    /// What was judged so far, also by the walks that constraints ask for.
    pub(super) judged: Rc<RefCell<Judged>>,
    /// Whether something was found that is not told.
    is_cut: bool,
    /// How many judgements under way need not hold, since others may in their stead.
    pub(super) tentative: u32,
    /// References whose targets are judged once nothing is under way: what refers, by which rules, and the profiles.
    pub(super) put_off: Vec<PutOff<'d>>,
}

impl<'v, 'd> Walk<'v, 'd> {
    fn new(validator: &'v Validator) -> Self {
        Self {
            validator,
            model: &validator.model,
            findings: Vec::new(),
            resources: Vec::with_capacity(8),
            counts: Vec::with_capacity(128),
            depth: 0,
            is_xml: false,
            core_only: false,
            displays: FxHashSet::default(),
            told_systems: FxHashSet::default(),
            anchors: None,
            contained: None,
            ids: FxHashSet::default(),
            under_way: Vec::new(),
            judged: Rc::default(),
            tentative: 0,
            is_cut: false,
            put_off: Vec::new(),
        }
    }
}

/// Whether a node conforms to a profile, by a walk of its own; nothing when the profile is not at hand.
///
/// `under_way` is what is being judged further up: a profile whose constraint asks for itself ends there.
pub(super) fn conforms(
    validator: &Validator,
    node: Node<'_>,
    profile: &str,
    under_way: &[Key],
    judged: &Rc<RefCell<Judged>>,
) -> Option<bool> {
    let mut walk = Walk::new(validator);
    walk.under_way.extend_from_slice(under_way);
    walk.judged = Rc::clone(judged);
    walk.tentative = 1;
    let core = profile.split('|').next().and_then(|url| url.strip_prefix("http://hl7.org/fhir/StructureDefinition/"));
    if let Some(type_id) = core.and_then(|name| validator.model.type_named(name)) {
        // The core is what documents are walked by; what the node claims beyond it is not asked.
        walk.core_only = true;
        walk.is_xml = node.document().is_xml();
        if node.is_resource() {
            walk.resource(Physical::of(node), None);
        } else if let (Some(own), Some(plan)) = (node.type_id(), node.type_id().and_then(|own| validator.plans.of(own)))
        {
            walk.resources.push(root_of(node.resource()));
            if plan.kind != Kind::Primitive {
                walk.object(Physical::of(node), own, plan, None);
            }
        }
        let is_type = node.type_id().is_some_and(|own| validator.model.is_a(own, type_id));
        return Some(is_type && !walk.findings.iter().any(Finding::is_error));
    }
    walk.resources.push(root_of(node.resource()));
    walk.conforms(node, profile)
}

pub(super) fn validate(validator: &Validator, node: Node<'_>, profiles: &[&str]) -> Vec<Finding> {
    let mut walk = Walk::new(validator);
    walk.is_xml = node.document().is_xml();
    walk.judged.borrow_mut().allow(node.document().json().len());
    walk.resource(Physical::of(node), None);
    for misplaced in node.document().misplaced() {
        walk.error(
            IssueType::Structure,
            Rule::Format("xml-order"),
            misplaced.id(),
            Detail::Says("elements and attributes do not stand where and in the order in which their type has them"),
        );
    }
    if node.type_id().is_some() {
        walk.resources.push(node);
        for profile in profiles {
            walk.named_profile(node, node.id(), profile);
        }
    }
    walk.deferred();
    let mut findings = walk.findings;
    if walk.is_cut {
        findings.push(Finding {
            severity: Severity::Warning,
            issue: IssueType::TooCostly,
            rule: Rule::Format("findings"),
            at: node.id(),
            detail: Detail::Says("there is more to tell of this document than is told"),
        });
    }
    if !walk.displays.is_empty() {
        let is_named = |finding: &Finding| matches!(finding.rule, Rule::Format("display" | "code-known"));
        findings.retain(|finding| !(is_named(finding) && walk.displays.contains(&finding.at)));
    }
    findings.sort_by_key(|finding| finding.at);
    without_repeats(findings)
}

fn shape_name(shape: Shape) -> &'static str {
    match shape {
        Shape::Object => "an object",
        Shape::Array => "an array",
        Shape::String => "a string",
        Shape::Number => "a number",
        Shape::Boolean => "true or false",
        Shape::Null => "null",
    }
}

impl<'d> Walk<'_, 'd> {
    pub(super) const fn core_only(&self) -> bool {
        self.core_only
    }

    pub(super) fn push(&mut self, finding: Finding) {
        let most = if finding.is_error() { MOST_FINDINGS - 1 } else { MOST_OTHERS };
        if self.findings.len() < most {
            self.findings.push(finding);
        } else {
            self.is_cut = true;
        }
    }

    pub(super) fn error(&mut self, issue: IssueType, rule: Rule, at: NodeId, detail: Detail) {
        self.push(Finding { severity: Severity::Error, issue, rule, at, detail });
    }

    pub(super) fn warning(&mut self, issue: IssueType, rule: Rule, at: NodeId, detail: Detail) {
        self.push(Finding { severity: Severity::Warning, issue, rule, at, detail });
    }

    /// A resource: the root, one that is contained, an entry's.
    fn resource(&mut self, at: Physical<'d>, holder: Option<&ElementPlan>) {
        let Some(type_id) = at.type_id() else {
            self.untyped(at);
            return;
        };
        let Some(plan) = self.validator.plans.of(type_id) else { return };
        if plan.is_abstract {
            // An object without a type of its own in a place for any resource stays of the abstract type.
            let says = at.members().any(|member| !member.is_twin() && member.name() == "resourceType");
            let detail = if says { Detail::AbstractType } else { Detail::NoResourceType };
            self.error(IssueType::Structure, Rule::Format("resource-type"), at.id(), detail);
            return;
        }
        self.resources.push(at.object_node());
        self.object(at, type_id, plan, holder);
        self.contained(at.object_node());
        self.claimed(at.object_node());
        self.resources.pop();
    }

    /// A resource that names no type, or one that there is not.
    fn untyped(&mut self, at: Physical<'d>) {
        let says = at.members().find(|member| !member.is_twin() && member.name() == "resourceType");
        let detail = match says.map(|member| (member.shape(), member.text())) {
            Some((Shape::String, Some(_))) => Detail::UnknownType,
            _ => Detail::NoResourceType,
        };
        self.error(IssueType::Structure, Rule::Format("resource-type"), at.id(), detail);
    }

    /// The resource that is being walked.
    fn current(&self, node: Node<'d>) -> Node<'d> {
        self.resources.last().copied().unwrap_or(node)
    }

    /// The profiles that a resource says it conforms to.
    fn claimed(&mut self, node: Node<'d>) {
        if self.core_only {
            return;
        }
        if let (false, Some(type_id)) = (self.validator.globals.is_empty(), node.type_id()) {
            self.global(node, type_id);
        }
        let Some(meta) = node.child(self.validator.names.meta).next() else { return };
        for claim in meta.child(self.validator.names.profile) {
            if let Some(canonical) = claim.text() {
                self.named_profile(node, claim.id(), canonical);
            }
        }
    }

    /// The profiles that guides ask for wherever a resource of the type stands.
    fn global(&mut self, node: Node<'d>, type_id: TypeId) {
        let validator = self.validator;
        for (_, canonical) in validator.globals.iter().filter(|(of, _)| *of == type_id) {
            self.named_profile(node, node.id(), canonical);
        }
    }

    fn object(&mut self, at: Physical<'d>, type_id: TypeId, plan: &TypePlan, holder: Option<&ElementPlan>) {
        if self.depth >= DEEPEST {
            self.error(
                IssueType::TooCostly,
                Rule::Format("depth"),
                at.id(),
                Detail::Says("nested deeper than is looked at"),
            );
            return;
        }
        self.depth += 1;
        let base = self.counts.len();
        self.counts.resize(base + plan.elements.len(), (0, Symbol::UNKNOWN));
        let mut has_content = false;
        for member in at.members() {
            has_content = true;
            if member.is_resource_type() {
                continue;
            }
            if member.symbol() == self.validator.names.id && plan.kind != Kind::Resource && !member.is_twin() {
                self.element_id(at, member);
            }
            self.member(member, type_id, plan, base);
        }
        if !has_content {
            self.error(IssueType::Structure, Rule::Format("empty"), at.id(), Detail::Empty("object"));
        } else {
            for (place, element) in plan.elements.iter().enumerate() {
                let count = self.counts.get(base + place).map_or(0, |(count, _)| *count);
                self.cardinality(at.id(), element, count);
            }
            let node = at.object_node();
            match plan.special {
                Special::Reference => self.reference(node, holder),
                Special::Bundle => self.bundle(node),
                Special::Extension => self.extension(node),
                Special::Narrative => self.narrative(node),
                Special::Attachment => self.attachment(node),
                Special::Response => self.response(node),
                Special::MeasureReport => self.measure_report(node),
                Special::Structure => self.structure(node),
                Special::Map => self.structure_map(node),
                Special::SearchParameter => self.search_parameter(node),
                Special::Capability => self.capability(node),
                Special::Questionnaire => self.questionnaire(node),
                Special::CodeSystem => self.code_system(node),
                Special::ValueSet => self.value_set(node),
                Special::ConceptMap => self.concept_map(node),
                Special::Coding => self.coding(node),
                Special::Quantity => self.unit(node),
                Special::Identifier => self.identifier(node),
                Special::Observation => self.observation(node),
                Special::None => {}
            }
            self.constraints(node, self.current(node), &plan.constraints);
        }
        self.counts.truncate(base);
        self.depth -= 1;
    }

    fn cardinality(&mut self, at: NodeId, element: &ElementPlan, count: u32) {
        let name = || Box::from(self.model.element(element.id).name());
        if count < element.min {
            let detail = Detail::Missing { name: name(), min: element.min, found: count };
            self.error(IssueType::Required, Rule::Element(element.id), at, detail);
        } else if let Some(max) = element.max.filter(|max| count > *max) {
            let detail = Detail::TooMany { name: name(), max, found: count };
            self.error(IssueType::Structure, Rule::Element(element.id), at, detail);
        }
    }

    /// The ids of a resource's elements differ. A snapshot repeats those of the differential.
    fn element_id(&mut self, holder: Physical<'d>, member: Physical<'d>) {
        let Some(text) = member.text() else { return };
        let mut around = std::iter::successors(Some(holder.node()), |node| node.parent());
        let is_snapshot = around.any(|node| node.element_name() == "snapshot");
        let Some(resource) = self.resources.last() else { return };
        if !is_snapshot && !self.ids.insert((resource.id(), text)) {
            let detail = Detail::Told(format!("another element has the id {text}").into());
            self.error(IssueType::BusinessRule, Rule::Format("element-id"), holder.id(), detail);
        }
    }

    fn member(&mut self, member: Physical<'d>, of: TypeId, plan: &TypePlan, base: usize) {
        let found = member.element_id().and_then(|id| plan.element(id));
        let (Some((place, element)), Some(type_id)) = (found, member.type_id()) else {
            let child = self.model.child(of, member.symbol()).filter(|_| !member.is_twin());
            if let Some(child) = child.filter(|child| self.model.kind(child.type_id) == Kind::Resource) {
                // A resource whose type is none stands where any may.
                if let Some((place, _)) = plan.element(child.element)
                    && let Some(seen) = self.counts.get_mut(base + place)
                {
                    seen.0 = seen.0.max(1);
                }
                self.untyped(member);
                return;
            }
            let name = if member.is_twin() { format!("_{}", member.name()) } else { member.name().to_owned() };
            // The items of an unknown array are not looked at either.
            self.error(
                IssueType::Structure,
                Rule::Type(of),
                member.id(),
                Detail::UnknownElement(name.into_boxed_str()),
            );
            return;
        };
        let Some(type_plan) = self.validator.plans.of(type_id) else { return };
        let is_primitive = type_plan.kind == Kind::Primitive;
        if member.is_twin() && !is_primitive {
            let name = format!("_{}", member.name()).into_boxed_str();
            self.error(IssueType::Structure, Rule::Type(of), member.id(), Detail::UnknownElement(name));
            return;
        }
        if member.shape() == Shape::Null && element.is_array && !is_primitive {
            self.error(IssueType::Structure, Rule::Format("json-array"), member.id(), Detail::Null);
            return;
        }
        let count = self.repetitions(member, element);
        let mut two = false;
        if let Some(seen) = self.counts.get_mut(base + place) {
            two = seen.1 != Symbol::UNKNOWN && seen.1 != member.symbol();
            *seen = (seen.0.max(count), member.symbol());
        }
        if two {
            let name = Box::from(self.model.element(element.id).name());
            self.error(IssueType::Structure, Rule::Element(element.id), member.id(), Detail::TwoChoices(name));
        }
        if is_primitive {
            self.primitives(member, type_id, type_plan, element);
        } else if member.shape() == Shape::Array {
            for item in member.members() {
                self.complex(item, type_id, type_plan, element);
            }
        } else {
            self.complex(member, type_id, type_plan, element);
        }
    }

    /// The number of repetitions of a member; tells when it is an array where it must not be, or the other way round.
    fn repetitions(&mut self, member: Physical<'d>, element: &ElementPlan) -> u32 {
        let is_array = member.shape() == Shape::Array;
        let count = || u32::try_from(member.members().count()).unwrap_or(u32::MAX);
        if is_array && !element.is_array && self.is_xml {
            // XML has no arrays: what came twice is too many.
            return count();
        }
        if is_array != element.is_array && member.shape() != Shape::Null {
            let detail = if element.is_array {
                Detail::Shape { expected: "an array", found: shape_name(member.shape()) }
            } else {
                Detail::Shape { expected: "a single value", found: "an array" }
            };
            self.error(IssueType::Structure, Rule::Format("json-array"), member.id(), detail);
        }
        if !is_array {
            return 1;
        }
        let count = count();
        if count == 0 {
            self.error(IssueType::Structure, Rule::Format("empty"), member.id(), Detail::Empty("array"));
        }
        if element.is_array { count } else { count.min(1) }
    }

    fn complex(&mut self, at: Physical<'d>, type_id: TypeId, plan: &TypePlan, element: &ElementPlan) {
        match at.shape() {
            Shape::Object => {}
            Shape::Null => {
                self.error(IssueType::Structure, Rule::Format("null"), at.id(), Detail::Null);
                return;
            }
            found => {
                let detail = Detail::Shape { expected: "an object", found: shape_name(found) };
                self.error(IssueType::Structure, Rule::Format("json-type"), at.id(), detail);
                return;
            }
        }
        if plan.kind == Kind::Resource {
            // An item's own type may differ from its array's.
            self.resource(at, Some(element));
        } else {
            self.object(at, type_id, plan, Some(element));
        }
        let node = at.object_node();
        self.binding(node, type_id, element);
        self.constraints(node, self.current(node), &element.constraints);
    }

    /// A member of a primitive type: the value or values, paired with their twins.
    fn primitives(&mut self, member: Physical<'d>, type_id: TypeId, plan: &TypePlan, element: &ElementPlan) {
        if member.is_twin() && member.is_paired() {
            // Looked at with its primary.
            return;
        }
        if member.shape() != Shape::Array {
            if member.is_twin() {
                self.twin(member, type_id, plan);
                self.valueless(member);
            } else {
                let twin = member.twin().filter(|twin| twin.shape() != Shape::Array);
                self.primitive(member, twin, type_id, plan, element);
            }
            return;
        }
        if member.is_twin() {
            for item in member.members() {
                if item.shape() == Shape::Null {
                    self.error(IssueType::Structure, Rule::Format("null"), item.id(), Detail::Null);
                } else {
                    self.twin(item, type_id, plan);
                    self.valueless(item);
                }
            }
            return;
        }
        let mut twins = member.twin().filter(|twin| twin.shape() == Shape::Array).map(Physical::members);
        for item in member.members() {
            let twin = twins.as_mut().and_then(Iterator::next).filter(|twin| twin.shape() != Shape::Null);
            if item.shape() == Shape::Null {
                match twin {
                    Some(twin) => {
                        self.twin(twin, type_id, plan);
                        self.valueless(twin);
                    }
                    None => self.error(IssueType::Structure, Rule::Format("null"), item.id(), Detail::Null),
                }
            } else {
                self.primitive(item, twin, type_id, plan, element);
            }
        }
        for rest in twins.into_iter().flatten().filter(|twin| twin.shape() != Shape::Null) {
            self.twin(rest, type_id, plan);
            self.valueless(rest);
        }
    }

    /// A primitive without a value must at least have extensions.
    fn valueless(&mut self, twin: Physical<'d>) {
        if self.is_xml && twin.members().any(|member| member.name() == crate::fhir::NOTHING) {
            // It is told of the element already.
            self.no_content(twin);
            let says = Detail::Says("a primitive has a value or extensions; found neither");
            self.error(IssueType::Structure, Rule::Format("primitive"), twin.id(), says);
        } else if twin.shape() == Shape::Object
            && !twin.members().any(|member| member.symbol() == self.validator.names.extension)
        {
            if !twin.members().any(|member| member.symbol() == self.validator.names.id) {
                let says = Detail::Says("a primitive has a value or extensions; found neither");
                self.error(IssueType::Structure, Rule::Format("primitive"), twin.id(), says);
            }
            self.no_content(twin);
        }
    }

    /// ele-1: an element has a value or children.
    fn no_content(&mut self, at: Physical<'d>) {
        let says = Detail::Says("an element has a value or children");
        self.error(IssueType::Invariant, Rule::Constraint("ele-1".into()), at.id(), says);
    }

    fn twin(&mut self, twin: Physical<'d>, type_id: TypeId, plan: &TypePlan) {
        match twin.shape() {
            Shape::Object => self.object(twin, type_id, plan, None),
            found => {
                let detail = Detail::Shape { expected: "an object", found: shape_name(found) };
                self.error(IssueType::Structure, Rule::Format("json-type"), twin.id(), detail);
            }
        }
    }

    fn primitive(
        &mut self,
        at: Physical<'d>,
        twin: Option<Physical<'d>>,
        type_id: TypeId,
        plan: &TypePlan,
        element: &ElementPlan,
    ) {
        if let Some(twin) = twin {
            self.twin(twin, type_id, plan);
        }
        let expected = match (plan.lexical, at.shape()) {
            (_, Shape::Null) => {
                self.error(IssueType::Structure, Rule::Format("null"), at.id(), Detail::Null);
                return;
            }
            (Lexical::Boolean, Shape::Boolean)
            | (Lexical::Number, Shape::Number)
            | (Lexical::Text | Lexical::Xhtml, Shape::String) => None,
            (Lexical::Boolean, _) => Some("true or false"),
            (Lexical::Number, _) => Some("a number"),
            _ => Some("a string"),
        };
        if let Some(expected) = expected {
            let detail = Detail::Shape { expected, found: shape_name(at.shape()) };
            self.error(IssueType::Structure, Rule::Format("json-type"), at.id(), detail);
            return;
        }
        let text = at.text().unwrap_or("");
        if text.is_empty() {
            self.error(IssueType::Structure, Rule::Format("empty"), at.id(), Detail::Empty("string"));
            self.no_content(at);
            return;
        }
        if text.len() > LONGEST_STRING && text.chars().count() > LONGEST_STRING && plan.lexical == Lexical::Text {
            let type_name = self.model.type_name(type_id);
            if matches!(type_name, "string" | "markdown" | "code" | "id") {
                let says = Detail::Says("a string has at most 1,048,576 characters");
                self.error(IssueType::Value, Rule::Type(type_id), at.id(), says);
                return;
            }
        }
        if !plan.form.has(text) || (element.symbol == self.validator.names.id && text.contains(char::is_whitespace)) {
            let detail = Detail::Form { type_name: Box::from(self.model.type_name(type_id)) };
            // What an attachment holds and cannot be decoded is told of the attachment; a text of another length than base64
            // has is told as any other.
            let holder = at.node().parent().filter(|holder| {
                plan.form == Primitive::Base64
                    && holder.type_name() == "Attachment"
                    && super::content::base64_letters(text).is_multiple_of(4)
            });
            let place = holder.map_or_else(|| at.id(), |holder| holder.id());
            self.error(IssueType::Value, Rule::Type(type_id), place, detail);
            return;
        }
        if plan.is_canonical {
            self.canonical(at.node(), text, &element.targets);
        }
        if element.binding.is_some() || element.maximum.is_some() || !element.constraints.is_empty() {
            let node = at.with_twin(twin);
            self.binding(node, type_id, element);
            self.constraints(node, self.current(node), &element.constraints);
        }
    }
}
