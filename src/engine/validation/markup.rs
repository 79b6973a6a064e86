//! What XHTML of FHIR is made of: elements, their attributes, and what may stand in what
//! (<http://hl7.org/fhir/R4/narrative.html#xhtml>, which names chapters of HTML 4.0).

/// The elements that a narrative may have: none that HTML 4.0 calls deprecated, no marks of changes (its section 9.4).
pub(super) fn is_element(name: &[u8]) -> bool {
    is_inline(name)
        || matches!(
            name,
            b"br"
                | b"div"
                | b"a"
                | b"blockquote"
                | b"hr"
                | b"ul"
                | b"ol"
                | b"li"
                | b"dl"
                | b"dd"
                | b"table"
                | b"colgroup"
                | b"col"
                | b"thead"
                | b"tr"
                | b"tfoot"
                | b"tbody"
                | b"th"
                | b"td"
                | b"img"
                | b"map"
                | b"area"
        )
}

/// The attributes that HTML 4.0 has in the chapters allowed and does not call deprecated. Those of cells are taken anywhere.
pub(super) fn is_attribute(element: &[u8], name: &[u8]) -> bool {
    let everywhere = matches!(
        name,
        b"title"
            | b"style"
            | b"class"
            | b"id"
            | b"lang"
            | b"xml:lang"
            | b"dir"
            | b"accesskey"
            | b"tabindex"
            | b"xmlns"
            | b"xml:space"
            | b"width"
            | b"align"
            | b"valign"
            | b"abbr"
            | b"axis"
            | b"headers"
            | b"scope"
            | b"rowspan"
            | b"colspan"
            | b"span"
            | b"char"
            | b"charoff"
    );
    if everywhere || name.starts_with(b"xmlns:") {
        return true;
    }
    match element {
        b"a" => matches!(
            name,
            b"href" | b"name" | b"charset" | b"type" | b"hreflang" | b"rel" | b"rev" | b"shape" | b"coords"
        ),
        b"img" => matches!(name, b"src" | b"alt" | b"longdesc" | b"usemap" | b"ismap" | b"height" | b"border"),
        b"map" => name == b"name",
        b"area" => matches!(name, b"shape" | b"coords" | b"href" | b"nohref" | b"alt"),
        b"table" => {
            matches!(name, b"summary" | b"frame" | b"rules" | b"cellspacing" | b"cellpadding" | b"border")
        }
        b"td" => name == b"nowrap",
        b"blockquote" | b"q" => name == b"cite",
        _ => false,
    }
}

/// Whether a part of a table or a list stands in one.
pub(super) fn may_stand(name: &[u8], outer: &[u8]) -> bool {
    match name {
        b"td" | b"th" => matches!(outer, b"tr" | b"thead" | b"tfoot"),
        b"tr" => matches!(outer, b"table" | b"thead" | b"tbody" | b"tfoot"),
        b"li" => matches!(outer, b"ul" | b"ol"),
        b"dt" | b"dd" => outer == b"dl",
        b"caption" | b"thead" | b"tbody" | b"tfoot" => outer == b"table",
        b"colgroup" => outer == b"table",
        b"col" => matches!(outer, b"table" | b"colgroup"),
        _ => outer != b"table" && outer != b"tr",
    }
}

/// Whether an element may have this one in it, by what it is made of: lists of items, sections of rows, nothing at all.
pub(super) fn may_hold(outer: &[u8], name: &[u8]) -> bool {
    match outer {
        b"ul" | b"ol" => name == b"li",
        b"dl" => matches!(name, b"dt" | b"dd"),
        b"thead" | b"tbody" | b"tfoot" => name == b"tr",
        b"br" | b"hr" | b"img" | b"col" | b"area" => false,
        b"a" => !matches!(name, b"a" | b"div" | b"table" | b"ol" | b"ul" | b"pre"),
        _ => !(is_inline(outer) && matches!(name, b"div" | b"table" | b"ol" | b"ul" | b"pre")),
    }
}

/// Elements whose content is text and what stands within a line of it.
fn is_inline(name: &[u8]) -> bool {
    matches!(
        name,
        b"p" | b"h1"
            | b"h2"
            | b"h3"
            | b"h4"
            | b"h5"
            | b"h6"
            | b"span"
            | b"b"
            | b"em"
            | b"i"
            | b"strong"
            | b"small"
            | b"big"
            | b"tt"
            | b"dfn"
            | b"q"
            | b"var"
            | b"abbr"
            | b"acronym"
            | b"cite"
            | b"address"
            | b"bdo"
            | b"kbd"
            | b"sub"
            | b"sup"
            | b"dt"
            | b"pre"
            | b"caption"
            | b"code"
            | b"samp"
    )
}

/// Whether text may stand in an element beside its children.
pub(super) fn may_have_text(name: &[u8]) -> bool {
    !matches!(
        name,
        b"ul"
            | b"ol"
            | b"dl"
            | b"table"
            | b"thead"
            | b"tbody"
            | b"tfoot"
            | b"tr"
            | b"br"
            | b"hr"
            | b"img"
            | b"col"
            | b"area"
    )
}
