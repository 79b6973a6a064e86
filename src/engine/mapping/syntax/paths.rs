//! Native and FHIR paths, conditions and literals.

use super::cursor::{Cursor, Read};
use super::{
    Condition, Discriminator, FhirPath, FhirSelect, FhirStep, FormatName, NativePath, NativeStep, Origin, Select,
    StepName, Test, Value,
};

/// Reads a native path of the format.
pub(super) fn native(cursor: &mut Cursor<'_>, format: FormatName) -> Read<NativePath> {
    let path = match format {
        FormatName::Hl7v2 => hl7v2(cursor),
        FormatName::Json => json(cursor),
        FormatName::Delimited => delimited(cursor),
        FormatName::Xml => xml(cursor),
    }?;
    cursor.space();
    Ok(path)
}

/// Whether a native path could begin here.
pub(super) fn native_begins(cursor: &Cursor<'_>, format: FormatName) -> bool {
    match format {
        FormatName::Hl7v2 => cursor.peek().is_some_and(|c| c.is_ascii_uppercase() || c == '.'),
        FormatName::Json => cursor.at("$"),
        FormatName::Delimited => cursor.peek().is_some_and(|c| c.is_alphabetic() || matches!(c, '"' | '_' | '.')),
        FormatName::Xml => cursor.peek().is_some_and(|c| c.is_alphabetic() || matches!(c, '/' | '.' | '@')),
    }
}

fn hl7v2(cursor: &mut Cursor<'_>) -> Read<NativePath> {
    const SHAPE: &str =
        "a path as `PID-3[1].4`, `PID-5*`, `PV1`, `VISIT.PV1` (in a group), or `.1.2` inside a datatype block";
    let span = cursor.span();
    let mut steps = Vec::new();
    while cursor.peek().is_some_and(|c| c.is_ascii_uppercase()) {
        let mut name = String::new();
        while let Some(c) = cursor.peek().filter(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || *c == '_') {
            name.push(c);
            cursor.bump();
        }
        let select = select(cursor, FormatName::Hl7v2)?;
        let segment = name.len() == 3;
        steps.push(NativeStep { name: if segment { StepName::Segment(name) } else { StepName::Group(name) }, select });
        if !segment && cursor.eat_tight(".") {
            continue;
        }
        if !cursor.eat_tight("-") {
            return Ok(NativePath { span, origin: Origin::Scope, steps });
        }
        let Some(field) = cursor.number() else { return cursor.stop(format!("found {}", cursor.found()), SHAPE) };
        let select = self::select(cursor, FormatName::Hl7v2)?;
        steps.push(NativeStep { name: StepName::Field(field), select });
        break;
    }
    let mut below = false;
    while cursor.at(".") {
        cursor.eat_tight(".");
        let Some(number) = cursor.number() else {
            if steps.is_empty() {
                // `.` alone: the part itself.
                break;
            }
            return cursor.stop(format!("found {}", cursor.found()), SHAPE);
        };
        let name = if below { StepName::Subcomponent(number) } else { StepName::Component(number) };
        steps.push(NativeStep { name, select: Select::First });
        if below {
            break;
        }
        below = true;
    }
    if steps.is_empty() && span == cursor.span() {
        return cursor.stop(format!("found {}", cursor.found()), SHAPE);
    }
    Ok(NativePath { span, origin: Origin::Scope, steps })
}

fn json(cursor: &mut Cursor<'_>) -> Read<NativePath> {
    const SHAPE: &str = "a path as `$.asiakas.sukunimi` or `$.palvelut[]`; `$$` starts at the document";
    let span = cursor.span();
    if !cursor.eat_tight("$") {
        return cursor.stop(format!("found {}", cursor.found()), SHAPE);
    }
    let origin = if cursor.eat_tight("$") { Origin::Document } else { Origin::Scope };
    let mut steps = Vec::new();
    loop {
        if cursor.eat_tight(".") {
            let quoted = cursor.peek() == Some('"');
            let name = if quoted { cursor.string()? } else { cursor.name() };
            let Some(name) = name else { return cursor.stop(format!("found {}", cursor.found()), SHAPE) };
            let select = select(cursor, FormatName::Json)?;
            steps.push(NativeStep { name: StepName::Member(name), select });
        } else if steps.is_empty() && cursor.at("[") {
            // The document (or part) is itself an array.
            let select = select(cursor, FormatName::Json)?;
            steps.push(NativeStep { name: StepName::Member(String::new()), select });
        } else {
            return Ok(NativePath { span, origin, steps });
        }
    }
}

fn delimited(cursor: &mut Cursor<'_>) -> Read<NativePath> {
    let span = cursor.span();
    let mut steps = Vec::new();
    if cursor.eat_tight("row[") {
        // `row[…]` repeats; the mark is put back for the common reader.
        let conditions = conditions_until(cursor, FormatName::Delimited)?;
        steps.push(NativeStep { name: StepName::Row, select: Select::Where(conditions, true) });
        return Ok(NativePath { span, origin: Origin::Scope, steps });
    }
    if cursor.eat_tight(".") {
        // The cell itself, in a block on it.
        return Ok(NativePath { span, origin: Origin::Scope, steps });
    }
    let name = match cursor.string()? {
        Some(name) => Some(name),
        None => cursor.name(),
    };
    match name {
        Some(name) if name == "row" => steps.push(NativeStep { name: StepName::Row, select: Select::All }),
        Some(name) => steps.push(NativeStep { name: StepName::Column(name), select: Select::First }),
        None => return cursor.stop(format!("found {}", cursor.found()), "a column's name"),
    }
    Ok(NativePath { span, origin: Origin::Scope, steps })
}

fn xml(cursor: &mut Cursor<'_>) -> Read<NativePath> {
    const SHAPE: &str = "a path as `/patient/id/@root`, `./name`, or `@code`";
    let span = cursor.span();
    // Paths from the document start at its element, which is not named.
    let origin = if cursor.at("/") { Origin::Document } else { Origin::Scope };
    let mut steps = Vec::new();
    while cursor.eat_tight("..") {
        steps.push(NativeStep { name: StepName::Parent, select: Select::First });
        cursor.eat_tight("/");
    }
    if steps.is_empty() && cursor.eat_tight(".") && !cursor.at("/") {
        return Ok(NativePath { span, origin, steps });
    }
    loop {
        cursor.eat_tight("/");
        let attribute = cursor.eat_tight("@");
        let Some(name) = xml_name(cursor) else {
            if steps.is_empty() {
                return cursor.stop(format!("found {}", cursor.found()), SHAPE);
            }
            return Ok(NativePath { span, origin, steps });
        };
        let select = select(cursor, FormatName::Xml)?;
        steps.push(NativeStep {
            name: if attribute { StepName::Attribute(name) } else { StepName::Element(name) },
            select,
        });
        if !cursor.at("/") {
            return Ok(NativePath { span, origin, steps });
        }
    }
}

/// A name of XML, a prefix before it.
fn xml_name(cursor: &mut Cursor<'_>) -> Option<String> {
    let mut name = cursor.name()?;
    loop {
        let mut ahead = cursor.clone();
        let Some(joint) = ["-", ".", ":"].into_iter().find(|c| ahead.eat_tight(c)) else { return Some(name) };
        if joint == ":" && name.contains(':') {
            return Some(name);
        }
        let Some(rest) = ahead.word() else { return Some(name) };
        name.push_str(joint);
        name.push_str(&rest);
        *cursor = ahead;
    }
}

/// `*`, `[]`, `[2]`, `[2+]`, `[.5 = "x"]`, `[.5 = "x"]*`, or nothing.
fn select(cursor: &mut Cursor<'_>, format: FormatName) -> Read<Select> {
    if cursor.eat_tight("*") || cursor.eat_tight("[]") {
        return Ok(Select::All);
    }
    if !cursor.at("[") {
        return Ok(Select::First);
    }
    let mut ahead = cursor.clone();
    ahead.eat_tight("[");
    if let Some(index) = ahead.number() {
        let from = ahead.eat_tight("+");
        if ahead.eat_tight("]") {
            *cursor = ahead;
            return Ok(if from { Select::From(index) } else { Select::Index(index) });
        }
    }
    cursor.eat_tight("[");
    let conditions = conditions_until(cursor, format)?;
    // Segments, array items and XML elements that are selected by a condition repeat where the scope says so.
    Ok(Select::Where(conditions, cursor.eat_tight("*")))
}

fn conditions_until(cursor: &mut Cursor<'_>, format: FormatName) -> Read<Vec<Condition>> {
    cursor.space();
    let conditions = conditions(cursor, format)?;
    if !cursor.eat_tight("]") {
        return cursor.stop(format!("found {}", cursor.found()), "a selection ends with `]`");
    }
    Ok(conditions)
}

/// Reads `a = "x" & any b = "y" | "z" & !c`.
pub(super) fn conditions(cursor: &mut Cursor<'_>, format: FormatName) -> Read<Vec<Condition>> {
    let mut all = Vec::new();
    loop {
        all.push(condition(cursor, format)?);
        if !cursor.eat("&") {
            return Ok(all);
        }
    }
}

fn condition(cursor: &mut Cursor<'_>, format: FormatName) -> Read<Condition> {
    let span = cursor.span();
    if cursor.eat("!") {
        let path = native(cursor, format)?;
        return Ok(Condition { span, any: false, path, test: Test::Absent, other: None });
    }
    let mut ahead = cursor.clone();
    if ahead.eat_word("new") && native_begins(&ahead, format) {
        let path = native(&mut ahead, format)?;
        ahead.expect("=", "`new code/@code = \"x\"`")?;
        let text = ahead.expect_string("the text")?;
        *cursor = ahead;
        return Ok(Condition { span, any: false, path, test: Test::Written(text), other: None });
    }
    let any = cursor.eat_word("any");
    let path = native(cursor, format)?;
    let test = if cursor.eat("!=") {
        Test::NotIn(values(cursor)?)
    } else if cursor.at("=") && !cursor.at("=>") {
        cursor.eat("=");
        Test::In(values(cursor)?)
    } else if cursor.eat_word("begins") {
        Test::Begins(values(cursor)?)
    } else if cursor.eat("!begins") {
        Test::NotBegins(values(cursor)?)
    } else if cursor.eat_word("numeric") {
        Test::Numeric
    } else if cursor.eat("!numeric") {
        Test::NotNumeric
    } else if cursor.eat_word("in") {
        Test::Inside(vec![cursor.expect_word("the name of a table")?])
    } else if cursor.eat_word("outside") {
        Test::Outside(vec![cursor.expect_word("the name of a table")?])
    } else if cursor.eat_word("same") {
        Test::Same
    } else if cursor.eat("!same") {
        Test::NotSame
    } else if cursor.eat_word("after") {
        Test::After
    } else if cursor.eat("!after") {
        Test::NotAfter
    } else {
        Test::Valued
    };
    let compares = matches!(test, Test::Same | Test::NotSame | Test::After | Test::NotAfter);
    let other = if compares { Some(native(cursor, format)?) } else { None };
    Ok(Condition { span, any, path, test, other })
}

fn values(cursor: &mut Cursor<'_>) -> Read<Vec<String>> {
    let mut values = vec![cursor.expect_string("a value")?];
    while cursor.eat("|") {
        values.push(cursor.expect_string("a value")?);
    }
    Ok(values)
}

/// Reads a FHIR path: `referral.identifier[PLAC].value`, `.telecom[]`, `.`.
pub(super) fn fhir(cursor: &mut Cursor<'_>) -> Read<FhirPath> {
    let span = cursor.span();
    let entry = cursor.name();
    let mut steps = Vec::new();
    let mut dot = false;
    while cursor.eat_tight(".") {
        dot = true;
        let Some(element) = cursor.name() else {
            if entry.is_none() && steps.is_empty() {
                break;
            }
            return cursor.stop(format!("found {}", cursor.found()), "an element's name follows the dot");
        };
        let select = fhir_select(cursor)?;
        steps.push(FhirStep { element, select });
    }
    if entry.is_none() && !dot {
        return cursor.stop(
            format!("found {}", cursor.found()),
            "a FHIR path as `referral.status`, or `.status` from where the scope stands",
        );
    }
    cursor.space();
    Ok(FhirPath { span, entry, steps })
}

fn fhir_select(cursor: &mut Cursor<'_>) -> Read<FhirSelect> {
    if cursor.eat_tight("[]") {
        return Ok(FhirSelect::Each);
    }
    let mut ahead = cursor.clone();
    if !ahead.eat_tight("[") {
        return Ok(FhirSelect::First);
    }
    if let Some(index) = ahead.number() {
        let from = ahead.eat_tight("+");
        if ahead.eat_tight("]") {
            *cursor = ahead;
            return Ok(if from { FhirSelect::From(index) } else { FhirSelect::Index(index) });
        }
    }
    cursor.eat("[");
    let mut all = vec![discriminator(cursor)?];
    while cursor.eat(",") {
        all.push(discriminator(cursor)?);
    }
    if !cursor.eat_tight("]") {
        return cursor.stop(format!("found {}", cursor.found()), "a discriminator ends with `]`");
    }
    Ok(FhirSelect::With(all, cursor.eat_tight("[]")))
}

/// Reads `.system = email, .use = home`.
pub(super) fn discriminators(cursor: &mut Cursor<'_>) -> Read<Vec<Discriminator>> {
    let mut all = Vec::new();
    loop {
        if !cursor.at("!=") && cursor.eat_tight("!") {
            all.push(absent(cursor)?);
            if !cursor.eat(",") {
                return Ok(all);
            }
            continue;
        }
        cursor.eat_tight(".");
        all.push(discriminator(cursor)?);
        if !cursor.eat(",") {
            return Ok(all);
        }
    }
}

/// `!.code`: where there is no such element.
fn absent(cursor: &mut Cursor<'_>) -> Read<Discriminator> {
    cursor.eat_tight(".");
    let mut path = Vec::new();
    while let Some(name) = cursor.name() {
        path.push(name);
        if !cursor.eat_tight(".") {
            break;
        }
    }
    cursor.space();
    if path.is_empty() {
        return cursor.stop(format!("found {}", cursor.found()), "an element: `where !.code`");
    }
    Ok(Discriminator { path, value: Value::Context(ANY.to_owned()), not: true })
}

/// Any value of an element.
pub(crate) const ANY: &str = "any";

fn discriminator(cursor: &mut Cursor<'_>) -> Read<Discriminator> {
    let mut ahead = cursor.clone();
    let mut path = Vec::new();
    while let Some(name) = ahead.name() {
        path.push(name);
        if !ahead.eat_tight(".") {
            break;
        }
    }
    ahead.space();
    let not = ahead.at("!=");
    if !path.is_empty() && (ahead.eat("!=") || ahead.eat("=")) {
        *cursor = ahead;
        let value = value(cursor)?;
        return Ok(Discriminator { path, value, not });
    }
    let value = value(cursor)?;
    Ok(Discriminator { path: Vec::new(), value, not: false })
}

/// Reads a literal: `"text"`, `system#code`, `@provider`, or a bare word.
pub(super) fn value(cursor: &mut Cursor<'_>) -> Read<Value> {
    if let Some(text) = cursor.string()? {
        return Ok(Value::Text(text));
    }
    if cursor.eat_tight("@") {
        return Ok(Value::Context(cursor.expect_word("what of the context")?));
    }
    let mut word = String::new();
    while let Some(c) = cursor.peek() {
        let colon = c == ':' && !word.is_empty();
        if c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/') || colon {
            word.push(c);
            cursor.bump();
        } else {
            break;
        }
    }
    if word.is_empty() {
        return cursor.stop(format!("found {}", cursor.found()), "a value: \"text\", a code, or system#code");
    }
    if cursor.eat_tight("#") {
        let code = match cursor.string()? {
            Some(code) => Some(code),
            None => cursor.word(),
        };
        let Some(code) = code else { return cursor.stop("the code after `#` is missing", "`system#code`") };
        cursor.space();
        return Ok(Value::Coding(word, code));
    }
    cursor.space();
    Ok(Value::Text(word))
}
