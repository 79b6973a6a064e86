//! Narrative XHTML (<http://hl7.org/fhir/R4/narrative.html#xhtml>): well-formed, and only the elements and attributes that
//! carry no behaviour. One pass over the text, without a tree.

use quick_xml::Reader;
use quick_xml::escape::unescape;
use quick_xml::events::{BytesStart, Event};

/// What is wrong with a narrative.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// Not well-formed.
    Malformed,
    /// The root is not `div`, or not in the namespace of XHTML.
    Root,
    /// An element that is not allowed.
    Element(String),
    /// An attribute that is not allowed.
    Attribute(String),
    /// Nothing to read.
    Empty,
    /// An entity that XML does not define.
    Entity,
    /// A block within a paragraph.
    Block(String),
    /// A link, counted from 1, that leads nowhere or does something.
    Link(usize, Scheme),
}

/// What is wrong with the address of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    /// There is none.
    Empty,
    /// It runs when it is followed.
    Active,
    /// It is a name, not an address.
    Name,
}

/// What is looked up in the rest of the resource, and what can be found there.
#[derive(Debug, Default)]
pub(super) struct Anchors {
    /// `#x` of links and images.
    pub(super) wanted: Vec<String>,
    /// Values of `id`, and of `name` of `a`.
    pub(super) there: Vec<String>,
    /// Languages of the sections: the parts of the narrative that say theirs.
    pub(super) languages: Vec<String>,
}

const ELEMENTS: [&str; 61] = [
    "p",
    "br",
    "div",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "a",
    "span",
    "b",
    "em",
    "i",
    "strong",
    "small",
    "big",
    "tt",
    "dfn",
    "q",
    "var",
    "abbr",
    "acronym",
    "cite",
    "blockquote",
    "hr",
    "address",
    "bdo",
    "kbd",
    "sub",
    "sup",
    "ul",
    "ol",
    "li",
    "dl",
    "dt",
    "dd",
    "pre",
    "table",
    "caption",
    "colgroup",
    "col",
    "thead",
    "tr",
    "tfoot",
    "tbody",
    "th",
    "td",
    "code",
    "samp",
    "img",
    "map",
    "area",
    "ins",
    "del",
    "strike",
    "u",
    "s",
    "figure",
    "figcaption",
    "font",
];

const ATTRIBUTES: [&str; 20] = [
    "title",
    "style",
    "class",
    "id",
    "lang",
    "xml:lang",
    "dir",
    "accesskey",
    "tabindex",
    "xmlns",
    "xml:space",
    "idref",
    "name",
    "datetime",
    "cite",
    "width",
    "height",
    "align",
    "valign",
    "border",
];

fn is_attribute(element: &str, name: &str) -> bool {
    if ATTRIBUTES.contains(&name) || name.starts_with("xmlns:") || name.starts_with("data-") {
        return true;
    }
    match element {
        "a" => matches!(
            name,
            "href" | "name" | "charset" | "type" | "hreflang" | "rel" | "rev" | "shape" | "coords" | "target"
        ),
        "img" => matches!(name, "src" | "alt" | "longdesc" | "usemap" | "ismap" | "hspace" | "vspace"),
        "area" | "map" => matches!(name, "shape" | "coords" | "href" | "nohref" | "alt" | "name"),
        "table" => matches!(name, "summary" | "frame" | "rules" | "cellspacing" | "cellpadding" | "bgcolor"),
        "td" | "th" | "tr" | "col" | "colgroup" | "thead" | "tbody" | "tfoot" => matches!(
            name,
            "abbr"
                | "axis"
                | "headers"
                | "scope"
                | "rowspan"
                | "colspan"
                | "span"
                | "char"
                | "charoff"
                | "nowrap"
                | "bgcolor"
        ),
        "ol" | "ul" | "li" => matches!(name, "start" | "type" | "value" | "compact"),
        "blockquote" | "q" | "ins" | "del" => name == "cite",
        "font" => matches!(name, "color" | "size" | "face"),
        "br" => name == "clear",
        "hr" => matches!(name, "size" | "noshade"),
        _ => false,
    }
}

/// What is wrong, in the order of the text.
pub(super) fn faults(text: &str) -> Vec<Fault> {
    read(text, &mut Anchors::default())
}

const BLOCKS: [&str; 6] = ["div", "blockquote", "table", "ol", "ul", "p"];

/// What is wrong, in the order of the text; `anchors` takes what the text names.
pub(super) fn read(text: &str, anchors: &mut Anchors) -> Vec<Fault> {
    let mut reader = Reader::from_str(text);
    let mut faults = Vec::new();
    let mut has_content = false;
    let mut is_first = true;
    let mut links = 0;
    // For each open element, whether it is a paragraph or within one.
    let mut open: Vec<bool> = Vec::new();
    loop {
        match reader.read_event() {
            Ok(event @ (Event::Start(_) | Event::Empty(_))) => {
                let (element, is_open) = match &event {
                    Event::Start(element) => (element, true),
                    Event::Empty(element) => (element, false),
                    _ => continue,
                };
                start(element, is_first, &mut faults);
                link(element, &mut links, &mut faults, anchors);
                let name = element.name();
                let in_paragraph = open.last().copied().unwrap_or(false);
                if in_paragraph && BLOCKS.contains(&name.as_ref()) {
                    faults.push(Fault::Block(name.as_ref().to_owned()));
                }
                if open.len() == 1 && name.as_ref() == "div" {
                    anchors.languages.extend(attribute(element, "xml:lang"));
                }
                has_content |= is_content(element);
                is_first = false;
                if is_open {
                    open.push(in_paragraph || name.as_ref() == "p");
                }
            }
            Ok(Event::End(_)) => {
                open.pop();
            }
            Ok(Event::Text(piece)) => {
                let is_blank = piece.chars().all(char::is_whitespace);
                has_content |= !is_blank;
                if open.is_empty() && !is_blank {
                    faults.push(Fault::Malformed);
                }
            }
            Ok(Event::GeneralRef(entity)) => {
                has_content = true;
                if unescape(&format!("&{};", &*entity)).is_err() && !is_html_entity(&entity) {
                    faults.push(Fault::Entity);
                }
            }
            Ok(Event::CData(_)) => has_content = true,
            Ok(Event::Comment(_) | Event::Decl(_)) => {}
            Ok(Event::PI(_)) => {}
            Ok(Event::DocType(_)) => faults.push(Fault::Malformed),
            Ok(Event::Eof) => break,
            Err(_) => {
                faults.push(Fault::Malformed);
                return faults;
            }
        }
        if faults.len() > 100 {
            return faults;
        }
    }
    if !open.is_empty() || is_first {
        faults.push(Fault::Malformed);
    } else if !has_content {
        faults.push(Fault::Empty);
    }
    faults
}

fn attribute(element: &BytesStart<'_>, name: &str) -> Option<String> {
    let found = element.try_get_attribute(name).ok().flatten()?;
    Some(found.value.to_string())
}

/// The links and images, and what they may lead to.
fn link(element: &BytesStart<'_>, links: &mut usize, faults: &mut Vec<Fault>, anchors: &mut Anchors) {
    anchors.there.extend(attribute(element, "id"));
    let name = element.name();
    let target = match name.as_ref() {
        "a" => {
            anchors.there.extend(attribute(element, "name"));
            attribute(element, "href")
        }
        "img" => attribute(element, "src"),
        _ => None,
    };
    let Some(target) = target else { return };
    *links += 1;
    let scheme = target.split_once(':').map(|(scheme, _)| scheme.trim().to_ascii_lowercase());
    if let Some(fragment) = target.strip_prefix('#').filter(|fragment| !fragment.is_empty()) {
        anchors.wanted.push(fragment.to_owned());
    } else if target.trim().is_empty() {
        faults.push(Fault::Link(*links, Scheme::Empty));
    } else if matches!(scheme.as_deref(), Some("javascript" | "vbscript")) {
        faults.push(Fault::Link(*links, Scheme::Active));
    } else if name.as_ref() == "a" && matches!(scheme.as_deref(), Some("urn" | "cid")) {
        faults.push(Fault::Link(*links, Scheme::Name));
    }
}

fn is_content(element: &BytesStart<'_>) -> bool {
    element.name().as_ref() == "img"
}

fn start(element: &BytesStart<'_>, is_first: bool, faults: &mut Vec<Fault>) {
    let name = element.name();
    let name = name.as_ref();
    if is_first {
        let namespace = element.try_get_attribute("xmlns").ok().flatten();
        if name != "div" || namespace.is_none_or(|namespace| &*namespace.value != "http://www.w3.org/1999/xhtml") {
            faults.push(Fault::Root);
        }
    }
    if !ELEMENTS.contains(&name) {
        faults.push(Fault::Element(name.to_owned()));
    }
    for attribute in element.attributes() {
        match attribute {
            Ok(attribute) => {
                let key = attribute.key.as_ref();
                if !is_attribute(name, key) {
                    faults.push(Fault::Attribute(key.to_owned()));
                }
            }
            Err(_) => faults.push(Fault::Malformed),
        }
    }
}

/// The entities of XHTML 1.0 are names of letters; whether a name is one of them is not looked up.
fn is_html_entity(name: &str) -> bool {
    name.starts_with('#') || (2..=8).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
}
