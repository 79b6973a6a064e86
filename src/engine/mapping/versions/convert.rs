//! From one version to another: what both name alike goes over as it is, what lines of the map speak of goes where they
//! say, and what only one version has stands in the extension that FHIR names after it.

use std::cell::RefCell;

use crate::fhir::datatypes::is_lexical;
use crate::fhir::document::NodeId as FhirId;

use super::apart::extension_url;
use super::facts::{ElementFacts, Facts, TypeFacts};
use super::lines::{Side, VersionBlocks, VersionLine};
use super::part::{Part, is_primitive};

const REFERENCE: &str = "Reference.reference";
const ABSENT: &str = "http://hl7.org/fhir/StructureDefinition/data-absent-reason";

/// A conversion, one way.
pub(crate) struct Convert<'c> {
    pub(crate) from: &'c Facts,
    pub(crate) to: &'c Facts,
    pub(crate) blocks: &'c VersionBlocks,
    /// Whether it goes into R4.
    pub(crate) inward: bool,
    /// The native types that a type of R4 with several is taken for.
    pub(crate) prefers: &'c [String],
    /// Extensions that told of a code that is no more.
    pub(crate) stale: RefCell<Vec<FhirId>>,
}

/// An object that is being made.
struct Made<'t> {
    of: &'t TypeFacts,
    parts: Vec<Part>,
}

impl Made<'_> {
    /// Whether the element can take one more.
    fn has_room(&self, element: &ElementFacts) -> bool {
        element.is_list
            || !self.parts.iter().any(|p| self.of.element(&p.name).is_some_and(|(e, _)| e.name == element.name))
    }
}

/// What of a part goes where a line says, and what is beside it.
struct Taken<'p> {
    content: &'p Part,
    element: ElementFacts,
    type_name: String,
    /// The type of what the content was taken out of, and what else is in that.
    rest: Option<(String, Vec<&'p Part>)>,
}

impl Convert<'_> {
    /// The content of a type as that of another.
    pub(crate) fn object(&self, from_type: &str, to_type: &str, parts: &[Part]) -> Vec<Part> {
        let (Some(from), Some(to)) = (self.from.of(from_type), self.to.of(to_type)) else { return Vec::new() };
        let lines = self.lines(from_type, to_type);
        let mut made = Made { of: &to, parts: Vec::new() };
        // In the order of the type, so that the same is said in the same order however it was written. What stands for
        // an element comes after the element itself, of which it is what had no room there.
        let place = |p: &Part| {
            let at = from.element(&p.name).and_then(|(e, _)| from.elements.iter().position(|o| o.name == e.name));
            (matches!(p.name.as_str(), "extension" | "modifierExtension"), at)
        };
        let mut ordered: Vec<&Part> = parts.iter().collect();
        ordered.sort_by_key(|p| place(p));
        for part in ordered {
            let Some((element, type_name)) = from.element(&part.name) else { continue };
            if !self.inward && self.goes_without_saying(part, element, &to, &lines, parts) {
                continue;
            }
            if type_name == "Extension"
                && let Some(found) = self.restored(part, &to)
                && to.element(&found.name).is_some_and(|(e, _)| made.has_room(e))
            {
                made.parts.push(found);
                continue;
            }
            let mut spoken = false;
            let mut done = false;
            for line in &lines {
                let source = self.source(line);
                if source.element != part.name && source.element != element.name {
                    continue;
                }
                spoken = true;
                if self.by_line(line, part, element, type_name, &mut made).is_some() {
                    done = true;
                    break;
                }
            }
            if done || (!spoken && self.same(part, type_name, element, &lines, &mut made).is_some()) {
                continue;
            }
            let carried = self.apart(part, element, type_name);
            if let Some(carried) = carried
                && to.element(&carried.name).is_some()
            {
                made.parts.push(carried);
            }
        }
        if self.inward {
            Self::also(&lines, parts, &mut made);
            self.complete(&from, &lines, &mut made);
        }
        made.parts
    }

    fn lines(&self, from: &str, to: &str) -> Vec<&VersionLine> {
        let (native, r4) = if self.inward { (from, to) } else { (to, from) };
        self.blocks.lines(native, r4).iter().collect()
    }

    fn source<'l>(&self, line: &'l VersionLine) -> &'l Side {
        if self.inward { &line.native } else { &line.r4 }
    }

    fn target<'l>(&self, line: &'l VersionLine) -> &'l Side {
        if self.inward { &line.r4 } else { &line.native }
    }

    /// What both versions name alike.
    fn same(
        &self,
        part: &Part,
        type_name: &str,
        element: &ElementFacts,
        lines: &[&VersionLine],
        made: &mut Made<'_>,
    ) -> Option<()> {
        let to = made.of.named(&element.name)?;
        // Another element goes there.
        if lines.iter().any(|l| self.target(l).part.is_none() && self.target(l).element == to.name) {
            return None;
        }
        if !made.has_room(to) {
            return None;
        }
        let made_of = to.clone();
        let converted = self.fitting(part, type_name, &made_of, None, element, None)?;
        made.parts.push(converted);
        Some(())
    }

    /// A part as one of an element, under that element's name.
    fn fitting(
        &self,
        part: &Part,
        type_name: &str,
        to: &ElementFacts,
        written: Option<&str>,
        from: &ElementFacts,
        line: Option<&VersionLine>,
    ) -> Option<Part> {
        let of = if to.is_choice {
            let suits = |t: &&String| match written {
                Some(written) if written != to.name => to.written(t) == written,
                _ => t.as_str() == type_name,
            };
            to.types.iter().find(suits)?
        } else {
            to.types.first()?
        };
        let converted = self.value(part, type_name, of, to, from, line)?;
        Some(Part { name: to.written(of), ..converted })
    }

    /// A value of one type as one of another; nothing where it cannot be that.
    pub(super) fn value(
        &self,
        part: &Part,
        from_type: &str,
        to_type: &str,
        to: &ElementFacts,
        from: &ElementFacts,
        line: Option<&VersionLine>,
    ) -> Option<Part> {
        if is_primitive(from_type) || is_primitive(to_type) {
            return self.primitive(part, from_type, to_type, to, from, line);
        }
        if from_type == "Resource" || to_type == "Resource" {
            let (resource, leaf) = part.resource.as_ref()?;
            let as_type = self.resource_as(resource, part)?;
            let mut parts = self.object(resource, &as_type, &part.parts);
            self.mark(resource, &as_type, &mut parts);
            return Some(Part { resource: Some((as_type, *leaf)), parts, ..Part::default() });
        }
        let backbones = from_type.contains('.') && to_type.contains('.');
        let (native, r4) = if self.inward { (from_type, to_type) } else { (to_type, from_type) };
        if from_type != to_type && !backbones && !self.blocks.relate(native, r4) {
            return None;
        }
        if to_type == "Reference" && !self.may_lead(part, to) {
            return None;
        }
        let parts = self.object(from_type, to_type, &part.parts);
        (!parts.is_empty()).then(|| Part { parts, ..Part::default() })
    }

    fn primitive(
        &self,
        part: &Part,
        from_type: &str,
        to_type: &str,
        to: &ElementFacts,
        from: &ElementFacts,
        line: Option<&VersionLine>,
    ) -> Option<Part> {
        if !is_primitive(from_type) || !is_primitive(to_type) || family(from_type) != family(to_type) {
            return None;
        }
        let codes = line.and_then(|l| l.codes.as_ref());
        let mut own: Vec<Part> = part.parts.clone();
        let mut text = part.text.clone();
        let mut approximated = false;
        // The code that the one found here stands in for, or that had no other to stand in for it; and the reference as
        // it was to a type of another name.
        let renames = from.path == REFERENCE && to.path == REFERENCE;
        let said_as = if renames { "valueString" } else { "valueCode" };
        let url = extension_url(self.to, &to.path);
        let original = own.iter().position(|p| p.name == "extension" && p.text_at("url") == Some(&url));
        let said = original.and_then(|at| own.get(at)).and_then(|p| p.text_at(said_as)).map(str::to_owned);
        let mut restored = false;
        if let (Some(at), Some(said)) = (original, said)
            && (renames || to.types.iter().any(|t| t == "code"))
        {
            let stands = match &text {
                None => !renames,
                Some(text) if renames => self.renamed(&said, !self.inward).as_ref() == Some(text),
                Some(text) => codes.is_some_and(|c| c.way(!self.inward).get(&said).is_some_and(|(is, _)| is == text)),
            };
            if stands {
                own.remove(at);
                text = Some(said);
                restored = true;
            }
        }
        // A code of the other version says nothing beside another than the one that stands in for it.
        let stale = |p: &Part| p.name == "extension" && p.text_at("url") == Some(&url);
        if !self.inward
            && let Some(at) = own.iter().position(stale)
        {
            self.stale.borrow_mut().extend(own.remove(at).node);
        }
        let mut aside = None;
        if let (Some(reference), false, true) = (&text, restored, renames) {
            if let Some(is) = self.renamed(reference, self.inward) {
                if self.renamed(&is, !self.inward).as_ref() != Some(reference) {
                    aside = Some(reference.clone());
                }
                text = Some(is);
            }
        } else if let (Some(code), false, "code") = (&text, restored, to_type) {
            match codes.and_then(|c| c.way(self.inward).get(code)) {
                Some((is, false)) => text = Some(is.clone()),
                Some((is, true)) => {
                    aside = Some(code.clone());
                    approximated = true;
                    text = Some(is.clone());
                }
                None if to.codes.is_empty() || to.codes.contains(code) => {}
                // No code there says it: it stands beside the element that has none then.
                None => {
                    aside = Some(code.clone());
                    text = None;
                }
            }
        }
        if let Some(text) = &text
            && !is_lexical(if to_type == "integer64" { "decimal" } else { to_type }, text)
        {
            return None;
        }
        let mut parts = self.object("Element", "Element", &own);
        let mut leaf = part.leaf;
        if let Some(code) = aside {
            let value = Part { leaf: part.leaf, ..Part::value(said_as, code) };
            parts.push(Part::of("extension", vec![Part::value("url", extension_url(self.from, &from.path)), value]));
            if text.is_none() {
                leaf = None;
            }
        }
        if text.is_none() && parts.is_empty() {
            return None;
        }
        Some(Part { text, parts, leaf, approximated, places: part.places.clone(), ..Part::default() })
    }

    /// What a line carries.
    fn by_line(
        &self,
        line: &VersionLine,
        part: &Part,
        element: &ElementFacts,
        type_name: &str,
        made: &mut Made<'_>,
    ) -> Option<()> {
        let (source, target) = (self.source(line), self.target(line));
        let taken = self.take(source, part, element, type_name)?;
        let (to, to_type) = match made.of.named(&target.element) {
            Some(element) => (element.clone(), element.types.first()?.clone()),
            None => made.of.element(&target.element).map(|(e, t)| (e.clone(), t.to_owned()))?,
        };
        let mut done = match &target.part {
            None => {
                if !made.has_room(&to) {
                    return None;
                }
                // What is the name of nothing everywhere is no canonical.
                let is_relative = |text: &str| !text.contains(':') && !text.starts_with('#');
                if self.inward && to_type == "canonical" && taken.content.text.as_deref().is_some_and(is_relative) {
                    return None;
                }
                let found = self.fitting(
                    taken.content,
                    &taken.type_name,
                    &to,
                    Some(&target.element),
                    &taken.element,
                    Some(line),
                );
                self.with_rest(found?, &taken)?
            }
            Some(inner) => {
                let of = self.to.of(&to_type)?;
                let within = of.named(inner).or_else(|| of.element(inner).map(|(e, _)| e))?;
                let (content, beside) = self.beside(taken.content, &of, within);
                let found =
                    self.fitting(&content, &taken.type_name, within, Some(inner), &taken.element, Some(line))?;
                let found = self.with_rest(found, &taken)?;
                let there = made.parts.iter_mut().find(|p| !to.is_list && p.name == to.written(&to_type));
                if let Some(holder) = there {
                    if holder.parts.iter().any(|p| p.name == found.name) {
                        return None;
                    }
                    let mut found = found;
                    found.by(line.line);
                    holder.parts.push(found);
                    holder.parts.extend(beside);
                    return Some(());
                }
                let mut parts = vec![found];
                parts.extend(beside);
                Part::of(to.written(&to_type), parts)
            }
        };
        done.by(line.line);
        made.parts.push(done);
        Some(())
    }

    fn take<'p>(&self, source: &Side, part: &'p Part, element: &ElementFacts, type_name: &str) -> Option<Taken<'p>> {
        let Some(inner) = &source.part else {
            let type_name = type_name.to_owned();
            return Some(Taken { content: part, element: element.clone(), type_name, rest: None });
        };
        let of = self.from.of(type_name)?;
        let meant = |p: &Part| p.name == *inner || of.element(&p.name).is_some_and(|(e, _)| e.name == *inner);
        let mut found = part.parts.iter().filter(|p| meant(p));
        let (content, None) = (found.next()?, found.next()) else { return None };
        let (element, inner_type) = of.element(&content.name)?;
        let rest = part.parts.iter().filter(|p| !meant(p)).collect();
        Some(Taken {
            content,
            element: element.clone(),
            type_name: inner_type.to_owned(),
            rest: Some((type_name.to_owned(), rest)),
        })
    }

    /// What was beside the content goes with it.
    fn with_rest(&self, mut found: Part, taken: &Taken<'_>) -> Option<Part> {
        let Some((holder, rest)) = &taken.rest else { return Some(found) };
        let of = self.from.of(holder)?;
        for part in rest {
            let Some((element, type_name)) = of.element(&part.name) else { continue };
            let url = extension_url(self.from, &format!("{holder}.{}", element.name));
            found.parts.extend(self.extension(&url, "extension", part, element, type_name));
        }
        Some(found)
    }

    /// A content without what stands in it for others of the type that it goes into, and those.
    fn beside(&self, content: &Part, of: &TypeFacts, within: &ElementFacts) -> (Part, Vec<Part>) {
        let mut left = content.clone();
        let mut found: Vec<Part> = Vec::new();
        left.parts.retain(|part| {
            if part.name != "extension" {
                return true;
            }
            let Some(other) = self.restored(part, of) else { return true };
            let fits = of.element(&other.name).is_some_and(|(e, _)| {
                e.name != within.name && (e.is_list || !found.iter().any(|f| f.name == other.name))
            });
            if fits {
                found.push(other);
            }
            !fits
        });
        (left, found)
    }

    /// Whether the element may refer to what a reference leads to, as far as the reference says that.
    fn may_lead(&self, part: &Part, to: &ElementFacts) -> bool {
        if to.targets.is_empty() {
            return true;
        }
        let literal = part.text_at("reference").unwrap_or_default();
        let mut steps = literal.split("/_history/").next().unwrap_or_default().rsplit('/');
        let (_, kind) = (steps.next(), steps.next());
        let said = part.text_at("type").or(kind).unwrap_or_default();
        let as_type = if self.inward { self.blocks.r4_of(said) } else { said };
        let is_type = self.from.has_resource(said) || self.to.has_resource(as_type);
        !is_type || to.targets.iter().any(|t| t == as_type)
    }

    /// A reference to a resource on the same server whose type has another name in the other version.
    fn renamed(&self, reference: &str, inward: bool) -> Option<String> {
        let (kind, rest) = reference.split_once('/')?;
        let is = match inward {
            true => self.blocks.r4_of(kind),
            false => self.native_of(kind)?,
        };
        (is != kind).then(|| format!("{is}/{rest}"))
    }

    /// The native type that a type of R4 is taken for where nothing says which it was.
    fn native_of<'s>(&'s self, r4: &'s str) -> Option<&'s str> {
        let mut natives = self.blocks.natives_of(r4).peekable();
        let first = natives.peek().copied();
        natives.find(|native| self.prefers.iter().any(|one| one == native)).or(first)
    }

    /// The type that a resource within another is of in the other version.
    pub(super) fn resource_as(&self, resource: &str, part: &Part) -> Option<String> {
        let name = if self.inward {
            self.blocks.r4_of(resource).to_owned()
        } else {
            let marked =
                part.parts.iter().find(|p| p.name == "extension" && p.text_at("url") == Some(&self.mark_url(false)));
            let said = marked.and_then(|p| p.text_at("valueCode"));
            let natives: Vec<&str> = self.blocks.natives_of(resource).collect();
            match said.filter(|said| natives.contains(said)).or(self.native_of(resource)) {
                Some(native) => native.to_owned(),
                None => resource.to_owned(),
            }
        };
        self.to.has_resource(&name).then_some(name)
    }

    fn mark_url(&self, inward: bool) -> String {
        extension_url(if inward { self.from } else { self.to }, "Resource.resourceType")
    }

    /// Of which of several types a resource was that are one in R4.
    pub(super) fn mark(&self, resource: &str, as_type: &str, parts: &mut Vec<Part>) {
        let url = self.mark_url(self.inward);
        if !self.inward {
            parts.retain(|p| p.name != "extension" || p.text_at("url") != Some(&url));
        } else if self.native_of(as_type).is_some_and(|first| first != resource) {
            let said = vec![Part::value("url", url), Part::value("valueCode", resource)];
            parts.push(Part::of("extension", said));
        }
    }

    /// What codes also say, where nothing else says it.
    fn also(lines: &[&VersionLine], parts: &[Part], made: &mut Made<'_>) {
        for line in lines {
            let Some(also) = &line.also else { continue };
            let code = parts.iter().find(|p| p.name == line.native.element).and_then(|p| p.text.as_deref());
            let Some((system, code)) = code.and_then(|code| also.codes.get(code)) else { continue };
            if made.parts.iter().all(|p| p.name != also.element) {
                let coding = vec![Part::value("system", system.clone()), Part::value("code", code.clone())];
                let mut said = Part::of(also.element.clone(), vec![Part::of("coding", coding)]);
                said.by(line.line);
                made.parts.push(said);
            }
        }
    }

    /// What R4 demands and the other version does not, or has as what R4 has not: its absence is said.
    fn complete(&self, from: &TypeFacts, lines: &[&VersionLine], made: &mut Made<'_>) {
        if made.parts.is_empty() || matches!(made.of.name.as_str(), "Extension" | "Element") {
            return;
        }
        let there = |to: &ElementFacts, p: &Part| made.of.element(&p.name).is_some_and(|(e, _)| e.name == to.name);
        let apart = |to: &ElementFacts| {
            let url = from.named(&to.name).map(|e| extension_url(self.from, &e.path));
            url.is_some_and(|url| made.parts.iter().any(|p| p.text_at("url") == Some(&url)))
        };
        let missing = made.of.elements.iter().filter(|to| to.is_required && !made.parts.iter().any(|p| there(to, p)));
        let absent: Vec<Part> = missing
            .filter(|to| !demanded(from, lines, to) || apart(to))
            .filter_map(|to| {
                let said = vec![Part::value("url", ABSENT), Part::value("valueCode", "unknown")];
                let of = to.types.iter().find(|t| *t == "string").or(to.types.first())?;
                Some(Part::of(to.written(of), vec![Part::of("extension", said)]))
            })
            .collect();
        made.parts.extend(absent);
    }

    /// Whether a part of R4 only says that what R4 demands is not known, or what another element says too.
    fn goes_without_saying(
        &self,
        part: &Part,
        element: &ElementFacts,
        to: &TypeFacts,
        lines: &[&VersionLine],
        all: &[Part],
    ) -> bool {
        let absent = part.text.is_none()
            && element.is_required
            && matches!(part.parts.as_slice(), [only] if only.name == "extension"
                && only.text_at("url") == Some(ABSENT) && only.text_at("valueCode") == Some("unknown"));
        if absent {
            let native = lines.iter().filter(|l| l.r4.element == element.name).map(|l| l.native.element.as_str());
            let mut names: Vec<&str> = native.collect();
            if names.is_empty() {
                names.push(&element.name);
            }
            let apart = |e: &ElementFacts| {
                let url = extension_url(self.to, &e.path);
                all.iter().any(|p| p.text_at("url") == Some(&url))
            };
            return !names.iter().any(|name| to.named(name).is_some_and(|e| e.is_required && !apart(e)));
        }
        lines.iter().any(|line| {
            let Some(also) = line.also.as_ref().filter(|also| also.element == element.name) else { return false };
            let Some(code) = all.iter().find(|p| p.name == line.r4.element) else { return false };
            let native = self.code_of(line, code);
            let Some(said) = native.and_then(|code| also.codes.get(&code).cloned()) else { return false };
            let (system, code) = said;
            let coding = [Part::value("system", system), Part::value("code", code)];
            let [only] = part.parts.as_slice() else { return false };
            let says = |wanted: &Part| {
                only.parts.iter().any(|p| p.name == wanted.name && p.text == wanted.text && p.parts.is_empty())
            };
            only.name == "coding" && only.parts.len() == coding.len() && coding.iter().all(says)
        })
    }

    /// The native code that a code of R4 is written as.
    fn code_of(&self, line: &VersionLine, part: &Part) -> Option<String> {
        let codes = line.codes.as_ref()?;
        let beside = part.parts.iter().find_map(|p| {
            p.text_at("url").filter(|u| u.starts_with(&extension_url(self.to, "")))?;
            p.text_at("valueCode").map(str::to_owned)
        });
        let text = part.text.as_ref()?;
        match beside {
            Some(code) if codes.inward.get(&code).is_some_and(|(is, _)| is == text) => Some(code),
            _ => Some(codes.outward.get(text).map_or_else(|| text.clone(), |(is, _)| is.clone())),
        }
    }
}

/// Whether the other version demands what an element of R4 is made of.
fn demanded(from: &TypeFacts, lines: &[&VersionLine], to: &ElementFacts) -> bool {
    let mut spoken = lines.iter().filter(|l| l.r4.element == to.name).peekable();
    if spoken.peek().is_some() {
        return spoken.any(|l| from.named(&l.native.element).is_some_and(|e| e.is_required));
    }
    from.named(&to.name).is_some_and(|e| e.is_required)
}

/// Primitive types whose values are written alike.
fn family(type_name: &str) -> &str {
    match type_name {
        "string" | "markdown" | "code" | "id" | "uri" | "url" | "canonical" | "oid" | "uuid" => "text",
        "integer" | "positiveInt" | "unsignedInt" | "integer64" => "integer",
        other => other,
    }
}
