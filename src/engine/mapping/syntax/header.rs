//! The lines that open an item: `map`, `block`, `table`, `alias`, `segment`.

use std::sync::Arc;

use super::Span;
use super::cursor::{Cursor, Line, Read};
use super::{
    AliasItem, BlockItem, FhirVersion, FormatName, MapItem, NativeType, SegmentItem, TableItem, Version, paths,
    statement,
};

/// What a header line opens.
pub(super) enum Header {
    Map(MapItem),
    Block(BlockItem),
    Table(TableItem),
    Alias(AliasItem),
    Segment(SegmentItem),
}

/// Whether a line opens an item.
pub(super) fn opens(line: &Line) -> bool {
    let mut cursor = Cursor::new(line);
    line.indent == 0 && ["map", "block", "table", "alias", "segment"].iter().any(|word| cursor.eat_word(word))
}

/// Reads a header line.
pub(super) fn header(cursor: &mut Cursor<'_>, file: &Arc<str>) -> Read<Header> {
    let span = cursor.span();
    if cursor.eat_word("map") {
        let name = cursor.expect_word("the map's name")?;
        let native = native_type(cursor)?;
        cursor.expect("<=>", "a map relates a native type to FHIR: `<=> fhir R4 Bundle`")?;
        for word in ["fhir", "R4", "Bundle"] {
            if !cursor.eat_word(word) {
                return cursor.stop(format!("found {}", cursor.found()), "the FHIR side is `fhir R4 Bundle`");
            }
        }
        end(cursor)?;
        return Ok(Header::Map(MapItem { span, name, native, answer: None, body: Vec::new() }));
    }
    if cursor.eat_word("block") {
        let name = cursor.expect_word("the block's name")?;
        if cursor.eat_word("fhir") {
            let version = fhir_version(cursor)?;
            let from = vec![type_path(cursor, "the type of that version")?];
            cursor.expect("<=>", "a block relates a type of the version to one of R4: `<=> CarePlan.activity`")?;
            let to = Some(type_path(cursor, "the type of R4")?);
            end(cursor)?;
            let (file, format) = (Arc::clone(file), FormatName::Json);
            return Ok(Header::Block(BlockItem {
                span,
                name,
                file,
                format,
                from,
                to,
                version: Some(version),
                body: Vec::new(),
            }));
        }
        let format = match format(cursor) {
            Some(format) => format,
            None => FormatName::Hl7v2,
        };
        let mut from = Vec::new();
        while !cursor.at("<=>") && !cursor.done() {
            from.push(cursor.expect_word("a segment or datatype")?);
            cursor.eat("|");
        }
        let to = if cursor.eat("<=>") { Some(cursor.expect_word("the FHIR type")?) } else { None };
        end(cursor)?;
        return Ok(Header::Block(BlockItem {
            span,
            name,
            file: Arc::clone(file),
            format,
            from,
            to,
            version: None,
            body: Vec::new(),
        }));
    }
    if cursor.eat_word("table") {
        let name = cursor.expect_word("the table's name")?;
        let table = statement::table(cursor)?;
        end(cursor)?;
        return Ok(Header::Table(TableItem { span, name, table }));
    }
    if cursor.eat_word("alias") {
        let name = cursor.expect_word("the short name")?;
        cursor.expect("=", "`alias name = \"uri\"`")?;
        let uri = cursor.expect_string("the URI")?;
        end(cursor)?;
        return Ok(Header::Alias(AliasItem { span, name, uri }));
    }
    if cursor.eat_word("segment") {
        return segment(cursor, span).map(Header::Segment);
    }
    cursor.stop(
        format!("found {}", cursor.found()),
        "a file consists of `map`, `block`, `table`, `alias` and `segment` items, each beginning at the left margin",
    )
}

/// `segment ZPI { 1 ST  2 CX* }`, `segment TQ1 in ORM_O01`.
fn segment(cursor: &mut Cursor<'_>, span: Span) -> Read<SegmentItem> {
    let name = cursor.expect_word("the segment's name")?;
    let is_name = name.len() == 3 && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    if !is_name {
        return cursor
            .stop(format!("{name} is no name of a segment"), "three capital letters or digits: `segment ZPI { … }`");
    }
    let mut fields: Vec<(u16, String, bool)> = Vec::new();
    if cursor.eat("{") {
        if !name.starts_with('Z') {
            return cursor.stop(
                format!("the fields of {name} are those of HL7"),
                "a name that begins with Z, or `segment NAME in STRUCTURE`",
            );
        }
        while !cursor.eat("}") {
            let Some(number) = cursor.number().filter(|number| *number > 0) else {
                return cursor
                    .stop(format!("found {}", cursor.found()), "the number of a field and its data type: `1 ST`");
            };
            cursor.space();
            let datatype = cursor.expect_word("the data type of the field")?;
            let repeats = cursor.eat("*");
            if fields.iter().any(|(known, ..)| *known == number) {
                return cursor.stop(format!("field {number} is there already"), "each field once");
            }
            if crate::mapping::schema::datatype(&datatype).is_none() {
                return cursor
                    .stop(format!("{datatype} is no data type of HL7 v2"), "a data type such as ST, CWE or CX");
            }
            fields.push((number, datatype, repeats));
        }
    } else if name.starts_with('Z') {
        return cursor.stop("the fields of the segment are missing", "`segment ZPI { 1 ST  2 CX* }`");
    }
    let mut structures = Vec::new();
    if cursor.eat_word("in") {
        while !cursor.done() {
            structures.push(cursor.expect_word("a message structure")?);
        }
    } else if !name.starts_with('Z') {
        return cursor.stop("the structures are missing", "`segment TQ1 in ORM_O01`");
    }
    end(cursor)?;
    Ok(SegmentItem { span, name, fields, structures })
}

/// The format that a header names, though it could not be read.
pub(super) fn format_of(line: &Line) -> Option<FormatName> {
    let mut cursor = Cursor::new(line);
    while !cursor.done() {
        if let Some(format) = format(&mut cursor) {
            return Some(format);
        }
        if cursor.word().is_none() {
            cursor.bump();
        }
        cursor.space();
    }
    None
}

/// Says what stands where a line should end.
pub(super) fn end(cursor: &Cursor<'_>) -> Read<()> {
    if cursor.done() {
        Ok(())
    } else {
        cursor.stop(format!("found {}", cursor.found()), "the statement ends before it")
    }
}

fn format(cursor: &mut Cursor<'_>) -> Option<FormatName> {
    [
        ("hl7v2", FormatName::Hl7v2),
        ("json", FormatName::Json),
        ("delimited", FormatName::Delimited),
        ("xml", FormatName::Xml),
    ]
    .into_iter()
    .find_map(|(word, format)| cursor.eat_word(word).then_some(format))
}

/// A version of FHIR as `5.0`.
fn fhir_version(cursor: &mut Cursor<'_>) -> Read<FhirVersion> {
    let found = FhirVersion::ALL.into_iter().find(|v| cursor.eat(v.text()));
    found.map_or_else(|| cursor.stop(format!("found {}", cursor.found()), "a version of FHIR: `3.0` or `5.0`"), Ok)
}

/// A type or a part of one, as `CarePlan.activity`.
fn type_path(cursor: &mut Cursor<'_>, what: &str) -> Read<String> {
    let mut path = cursor.word().unwrap_or_default();
    while !path.is_empty() && cursor.eat_tight(".") {
        path.push('.');
        path.push_str(&cursor.word().unwrap_or_default());
    }
    cursor.space();
    if path.is_empty() { cursor.stop(format!("{what} is missing here"), format!("write {what}")) } else { Ok(path) }
}

fn native_type(cursor: &mut Cursor<'_>) -> Read<NativeType> {
    if cursor.eat_word("fhir") {
        let version = fhir_version(cursor)?;
        let resource = cursor.expect_word("the resource type")?;
        return Ok(NativeType::Fhir { version, resource });
    }
    match format(cursor) {
        Some(FormatName::Hl7v2) => hl7v2(cursor),
        Some(FormatName::Json) => {
            if !cursor.eat_word("schema") {
                return cursor.stop("the JSON Schema is not named", "`json schema \"file.schema.json\"`");
            }
            let schema = cursor.expect_string("the schema's file")?;
            let when = if cursor.eat_word("when") { paths::conditions(cursor, FormatName::Json)? } else { Vec::new() };
            Ok(NativeType::Json { schema, when })
        }
        Some(FormatName::Delimited) => delimited(cursor),
        Some(FormatName::Xml) => {
            if !cursor.eat_word("schema") {
                return cursor.stop("the schema is not named", "`xml schema \"file.xmlschema\"`");
            }
            let schema = cursor.expect_string("the schema's file")?;
            let when = if cursor.eat_word("when") { paths::conditions(cursor, FormatName::Xml)? } else { Vec::new() };
            Ok(NativeType::Xml { schema, when })
        }
        None => cursor.stop(
            format!("found {}", cursor.found()),
            "the native side is one of `hl7v2`, `json`, `fhir`, `delimited`, `xml`",
        ),
    }
}

fn hl7v2(cursor: &mut Cursor<'_>) -> Read<NativeType> {
    let structure = cursor.expect_word("the message structure")?;
    let message = structure.split('_').next().unwrap_or_default().to_owned();
    let first = version(cursor)?;
    cursor.expect("..", "versions are a range: `2.3..2.8`")?;
    let last = version(cursor)?;
    cursor.space();
    let mut events = Vec::new();
    if cursor.eat_word("events") {
        while !cursor.at("<=>") && !cursor.done() {
            events.push(cursor.expect_word("a trigger event")?);
        }
    }
    cursor.space();
    Ok(NativeType::Hl7v2 { structure, message, versions: (first, last), events })
}

/// A version as `2.5.1`.
pub(super) fn version(cursor: &mut Cursor<'_>) -> Read<Version> {
    let mut parts = [0_u8; 3];
    for (i, part) in parts.iter_mut().enumerate() {
        if i > 0 && (cursor.at("..") || !cursor.eat_tight(".")) {
            break;
        }
        match cursor.number().and_then(|n| u8::try_from(n).ok()) {
            Some(n) => *part = n,
            None => return cursor.stop(format!("found {}", cursor.found()), "a version as `2.5.1`"),
        }
    }
    let [a, b, c] = parts;
    Ok((a, b, c))
}

fn delimited(cursor: &mut Cursor<'_>) -> Read<NativeType> {
    let mut separator = ';';
    let mut columns = Vec::new();
    let mut required = Vec::new();
    loop {
        if cursor.eat_word("sep") {
            separator = cursor.expect_string("the separator")?.chars().next().unwrap_or(';');
        } else if cursor.eat_word("columns") {
            columns = names(cursor)?;
        } else if cursor.eat_word("required") {
            required = names(cursor)?;
        } else {
            return Ok(NativeType::Delimited { separator, columns, required });
        }
    }
}

fn names(cursor: &mut Cursor<'_>) -> Read<Vec<String>> {
    cursor.expect("{", "column names stand between braces")?;
    let mut names = Vec::new();
    while !cursor.eat("}") {
        match cursor.string()? {
            Some(name) => names.push(name),
            None => names.push(cursor.expect_word("a column name")?),
        }
    }
    Ok(names)
}
