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
    let mut reader = Reader::from_str(text);
    let mut faults = Vec::new();
    let mut depth = 0_u32;
    let mut has_content = false;
    let mut is_first = true;
    loop {
        match reader.read_event() {
            Ok(Event::Start(element)) => {
                start(&element, is_first, &mut faults);
                has_content |= is_content(&element);
                is_first = false;
                depth += 1;
            }
            Ok(Event::Empty(element)) => {
                start(&element, is_first, &mut faults);
                has_content |= is_content(&element);
                is_first = false;
            }
            Ok(Event::End(_)) => depth = depth.saturating_sub(1),
            Ok(Event::Text(piece)) => {
                let is_blank = piece.chars().all(char::is_whitespace);
                has_content |= !is_blank;
                if depth == 0 && !is_blank {
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
    if depth > 0 || is_first {
        faults.push(Fault::Malformed);
    } else if !has_content {
        faults.push(Fault::Empty);
    }
    faults
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
