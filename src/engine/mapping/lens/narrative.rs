//! The narrative of a CDA section and the XHTML of FHIR (CDA R2, 4.3.5; FHIR R4, 2.4): element by element.

use std::fmt::Write as _;

use super::{Fidelity, Got, Put, Uncarried};

const OPEN: &str = "<div xmlns=\"http://www.w3.org/1999/xhtml\">";
const CLOSE: &str = "</div>";

/// Elements that are one another, both ways.
const ELEMENTS: [(&str, &str); 18] = [
    ("content", "span"),
    ("paragraph", "p"),
    ("item", "li"),
    ("linkHtml", "a"),
    ("br", "br"),
    ("sub", "sub"),
    ("sup", "sup"),
    ("caption", "caption"),
    ("table", "table"),
    ("thead", "thead"),
    ("tbody", "tbody"),
    ("tfoot", "tfoot"),
    ("tr", "tr"),
    ("th", "th"),
    ("td", "td"),
    ("colgroup", "colgroup"),
    ("col", "col"),
    ("footnote", "small"),
];

/// Attributes that are one another, both ways; others of the same name on both sides stay.
const ATTRIBUTES: [(&str, &str); 3] = [("ID", "id"), ("styleCode", "class"), ("language", "lang")];
const SAME: [&str; 17] = [
    "href",
    "name",
    "title",
    "colspan",
    "rowspan",
    "align",
    "valign",
    "width",
    "border",
    "summary",
    "rules",
    "frame",
    "cellspacing",
    "cellpadding",
    "span",
    "headers",
    "scope",
];

/// Elements of XHTML that a narrative says by a style.
const STYLES: [(&str, &str); 9] = [
    ("b", "Bold"),
    ("strong", "Bold"),
    ("i", "Italics"),
    ("em", "Italics"),
    ("u", "Underline"),
    ("ins", "Underline"),
    ("tt", "Monospace"),
    ("code", "Monospace"),
    ("q", "Emphasis"),
];

/// A piece of markup.
enum Token<'t> {
    Text(&'t str),
    Cdata(&'t str),
    /// Name, attributes as written, whether it is closed at once.
    Start(&'t str, &'t str, bool),
    End,
}

/// The pieces of markup that is known to be well formed; comments and instructions are passed over.
fn tokens(markup: &str) -> Result<Vec<Token<'_>>, Uncarried> {
    let broken = || Uncarried::new("well-formed markup");
    let mut all = Vec::new();
    let mut rest = markup;
    while !rest.is_empty() {
        let Some(at) = rest.find('<') else {
            all.push(Token::Text(rest));
            break;
        };
        let (before, tag) = rest.split_at(at);
        if !before.is_empty() {
            all.push(Token::Text(before));
        }
        if let Some(after) = tag.strip_prefix("<!--") {
            rest = after.split_once("-->").ok_or_else(broken)?.1;
        } else if let Some(after) = tag.strip_prefix("<![CDATA[") {
            let (text, after) = after.split_once("]]>").ok_or_else(broken)?;
            all.push(Token::Cdata(text));
            rest = after;
        } else if let Some(after) = tag.strip_prefix("<?") {
            rest = after.split_once("?>").ok_or_else(broken)?.1;
        } else {
            let end = tag_end(tag).ok_or_else(broken)?;
            let inner = tag.get(1..end).unwrap_or_default();
            rest = tag.get(end + 1..).unwrap_or_default();
            if inner.starts_with('/') {
                all.push(Token::End);
                continue;
            }
            let (inner, empty) = inner.strip_suffix('/').map_or((inner, false), |inner| (inner, true));
            let (name, attributes) = inner.split_once(char::is_whitespace).unwrap_or((inner, ""));
            all.push(Token::Start(name.rsplit(':').next().unwrap_or(name), attributes, empty));
        }
    }
    Ok(all)
}

/// Where a tag ends, `>` in attribute values passed over.
fn tag_end(tag: &str) -> Option<usize> {
    let mut quote = None;
    tag.char_indices().find_map(|(at, c)| {
        match (quote, c) {
            (None, '>') => return Some(at),
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            _ => {}
        }
        None
    })
}

/// Attributes as name and value as written between the quotes.
fn attributes(text: &str) -> Vec<(&str, &str, char)> {
    let mut all = Vec::new();
    let mut rest = text.trim();
    while let Some((name, after)) = rest.split_once('=') {
        let after = after.trim_start();
        let Some(quote) = after.chars().next().filter(|c| matches!(c, '"' | '\'')) else { break };
        let Some((value, after)) = after.get(1..).and_then(|v| v.split_once(quote)) else { break };
        all.push((name.trim(), value, quote));
        rest = after.trim_start();
    }
    all
}

/// The markup inside a narrative as XHTML.
pub(super) fn get(markup: &str) -> Result<Option<Got<'static>>, Uncarried> {
    let mut out = OPEN.to_owned();
    let mut open: Vec<&'static str> = Vec::new();
    let mut exact = true;
    let mut says = false;
    let mut parents: Vec<&str> = Vec::new();
    for token in tokens(markup)? {
        match token {
            Token::Text(text) => {
                says |= !text.trim().is_empty();
                out.push_str(text);
            }
            Token::Cdata(text) => {
                says |= !text.trim().is_empty();
                out.push_str(&text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;"));
            }
            Token::End => {
                parents.pop();
                let name = open.pop().ok_or_else(|| Uncarried::new("well-formed markup"))?;
                let _ = write!(out, "</{name}>");
            }
            Token::Start(name, written, empty) => {
                let written = attributes(written);
                let ordered = written.iter().any(|(name, value, _)| *name == "listType" && *value == "ordered");
                let html = match name {
                    "list" if ordered => "ol",
                    "list" => "ul",
                    // Only a table has a caption in XHTML.
                    "caption" if parents.last() != Some(&"table") => {
                        exact = false;
                        if parents.last() == Some(&"list") { "li" } else { "span" }
                    }
                    _ => match ELEMENTS.iter().find(|(cda, _)| *cda == name) {
                        Some((_, html)) => html,
                        None => {
                            exact = false;
                            "span"
                        }
                    },
                };
                let _ = write!(out, "<{html}");
                for (attribute, value, quote) in written {
                    if attribute == "listType" && name == "list" {
                        continue;
                    }
                    let known = ATTRIBUTES.iter().find(|(cda, _)| *cda == attribute).map(|(_, html)| *html);
                    match known.or_else(|| SAME.iter().copied().find(|same| *same == attribute)) {
                        Some(attribute) => {
                            let _ = write!(out, " {attribute}={quote}{value}{quote}");
                        }
                        None => exact = false,
                    }
                }
                if empty {
                    out.push_str("/>");
                } else {
                    out.push('>');
                    open.push(html);
                    parents.push(name);
                }
            }
        }
    }
    if !says || !open.is_empty() {
        return Ok(None);
    }
    out.push_str(CLOSE);
    let got = Got::exact(out);
    Ok(Some(if exact { got } else { Got { fidelity: Fidelity::Approximated, ..got } }))
}

/// The XHTML of FHIR as markup of a narrative, without prefixes.
pub(super) fn put(div: &str) -> Result<Put, Uncarried> {
    let broken = || Uncarried::new("a narrative in one div");
    let inner = div.trim().strip_prefix("<div").and_then(|rest| rest.strip_suffix(CLOSE)).ok_or_else(broken)?;
    let end = tag_end(inner).ok_or_else(broken)?;
    let inner = inner.get(end + 1..).unwrap_or_default();
    let mut out = String::new();
    let mut open: Vec<&'static str> = Vec::new();
    let mut exact = true;
    for token in tokens(inner)? {
        match token {
            Token::Text(text) => out.push_str(&predefined(text)?),
            Token::Cdata(text) => out.push_str(&text.replace('&', "&amp;").replace('<', "&lt;")),
            Token::End => {
                let name = open.pop().ok_or_else(broken)?;
                let _ = write!(out, "</{name}>");
            }
            Token::Start(name, written, empty) => {
                let style = STYLES.iter().find(|(html, _)| *html == name).map(|(_, style)| *style);
                let (cda, list) = match name {
                    "ol" => ("list", Some("ordered")),
                    "ul" => ("list", Some("unordered")),
                    _ => match ELEMENTS.iter().find(|(_, html)| *html == name) {
                        Some((cda, _)) => (*cda, None),
                        None => {
                            exact = false;
                            let block =
                                matches!(name, "div" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "blockquote" | "pre");
                            (if block { "paragraph" } else { "content" }, None)
                        }
                    },
                };
                let _ = write!(out, "<{cda}");
                if list == Some("ordered") {
                    out.push_str(" listType=\"ordered\"");
                }
                if let Some(style) = style {
                    let _ = write!(out, " styleCode=\"{style}\"");
                }
                for (attribute, value, quote) in attributes(written) {
                    let known = ATTRIBUTES.iter().find(|(_, html)| *html == attribute).map(|(cda, _)| *cda);
                    match known.or_else(|| SAME.iter().copied().find(|same| *same == attribute)) {
                        Some("styleCode") if style.is_some() => exact = false,
                        Some(attribute) => {
                            let _ = write!(out, " {attribute}={quote}{value}{quote}");
                        }
                        None => exact = false,
                    }
                }
                if empty {
                    out.push_str("/>");
                } else {
                    out.push('>');
                    open.push(cda);
                }
            }
        }
    }
    let fidelity = if exact { Fidelity::Exact } else { Fidelity::Approximated };
    Ok(Put { fidelity, ..Put::exact(out) })
}

/// A text without the names for characters that XHTML has and XML has not.
fn predefined(text: &str) -> Result<String, Uncarried> {
    let text = text.replace("&nbsp;", "&#160;");
    let known = |name: &str| matches!(name, "amp" | "lt" | "gt" | "quot" | "apos") || name.starts_with('#');
    let all = text.split('&').skip(1).all(|rest| rest.split_once(';').is_some_and(|(name, _)| known(name)));
    if all { Ok(text) } else { Err(Uncarried::new("characters as themselves or by number")) }
}
