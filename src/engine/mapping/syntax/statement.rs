//! The statements of a map or block: one line each.

use super::cursor::{Cursor, Read, Stop};
use super::header::{end, version};
use super::{
    Assignment, Direction, Each, Entry, FormatName, Key, KeyAlternative, Kind, LensCall, Otherwise, Row, Rule, Span,
    Statement, Table, Value, paths,
};

/// Reads one statement.
pub(super) fn statement(cursor: &mut Cursor<'_>, format: FormatName) -> Read<Statement> {
    let span = cursor.span();
    let mut since = None;
    let mut before = None;
    loop {
        if cursor.eat_word("since") {
            since = Some(version(cursor)?);
        } else if cursor.eat_word("before") {
            before = Some(version(cursor)?);
        } else {
            break;
        }
        cursor.expect(":", "a version is followed by a colon: `since 2.8: RF1-14 …`")?;
    }
    let kind = kind(cursor, format)?;
    end(cursor)?;
    Ok(Statement { span, since, before, kind, body: Vec::new() })
}

fn kind(cursor: &mut Cursor<'_>, format: FormatName) -> Read<Kind> {
    if cursor.eat_word("entry") {
        return entry(cursor, format).map(Kind::Entry);
    }
    if cursor.eat_word("const") {
        return assignments(cursor).map(Kind::Const);
    }
    if cursor.eat_word("default") {
        if cursor.eat_word("event") {
            return event(cursor, true);
        }
        return assignments(cursor).map(Kind::Default);
    }
    if cursor.eat_word("link") {
        return links(cursor);
    }
    if cursor.eat_word("event") {
        return event(cursor, false);
    }
    if cursor.eat_word("each") {
        return each(cursor, format);
    }
    if cursor.eat_word("use") {
        let span = cursor.span();
        return Ok(Kind::Use(span, cursor.expect_word("the block's name")?));
    }
    if cursor.eat_word("bound") {
        let mut what = Vec::new();
        while !cursor.eat_word("to") {
            what.push(paths::native(cursor, format)?);
        }
        return Ok(Kind::Bound(what, paths::native(cursor, format)?));
    }
    if cursor.eat_word("ordinal") {
        return paths::native(cursor, format).map(Kind::Ordinal);
    }
    if cursor.eat_word("edition") {
        if !cursor.eat_word("cda") {
            return cursor.stop(format!("found {}", cursor.found()), "`edition cda`, as CDA R2 makes versions");
        }
        return Ok(Kind::Edition);
    }
    if cursor.eat_word("verb") {
        return paths::native(cursor, format).map(Kind::Verb);
    }
    if cursor.eat_word("written") {
        let path = paths::native(cursor, format)?;
        cursor.expect("=", "`written .3 = \"text\"`")?;
        let text = cursor.expect_string("the text")?;
        let mut events = Vec::new();
        if cursor.eat_word("event") {
            events.push(cursor.expect_word("a trigger event")?);
            while let Some(event) = cursor.word() {
                events.push(event);
                cursor.space();
            }
        }
        return Ok(Kind::Written(path, text, events));
    }
    if cursor.eat_word("other") {
        return fate(cursor, Vec::new());
    }
    rule(cursor, format)
}

fn event(cursor: &mut Cursor<'_>, default: bool) -> Read<Kind> {
    let mut codes = Vec::new();
    while !cursor.at("<=>") {
        codes.push(cursor.expect_word("a trigger event")?);
    }
    cursor.expect("<=>", "`event I12 I13 <=> referral.status = \"active\"`")?;
    Ok(Kind::Event { codes, says: assignments(cursor)?, default })
}

fn fate(cursor: &mut Cursor<'_>, what: Vec<super::NativePath>) -> Read<Kind> {
    if cursor.eat_word("residue") {
        return Ok(Kind::Residue(what));
    }
    if cursor.eat_word("drop") {
        return Ok(Kind::Drop(what, cursor.expect_string("the reason for dropping it")?));
    }
    cursor.stop(format!("found {}", cursor.found()), "`residue`, or `drop \"reason\"`")
}

fn entry(cursor: &mut Cursor<'_>, format: FormatName) -> Read<Entry> {
    let Some(name) = cursor.name() else {
        return cursor.stop(format!("found {}", cursor.found()), "the entry's name: `entry referral: ServiceRequest`");
    };
    cursor.space();
    cursor.expect(":", "the resource type follows the name: `entry referral: ServiceRequest`")?;
    let resource = cursor.expect_word("the resource type")?;
    let outer = cursor.eat_word("else");
    if outer && !cursor.eat_word("outer") {
        return cursor.stop(format!("found {}", cursor.found()), "`else outer`: the entry of this name further out");
    }
    let key = if cursor.eat_word("key") { Some(key(cursor, format)?) } else { None };
    Ok(Entry { name, resource, outer, key })
}

fn key(cursor: &mut Cursor<'_>, format: FormatName) -> Read<Key> {
    let span = cursor.span();
    let mut alternatives = Vec::new();
    loop {
        let personal = cursor.eat_word("personal");
        let mut parts = vec![paths::native(cursor, format)?];
        while cursor.eat("+") {
            parts.push(paths::native(cursor, format)?);
        }
        alternatives.push(KeyAlternative { personal, parts });
        if !cursor.eat_word("else") {
            return Ok(Key { span, alternatives });
        }
    }
}

fn assignments(cursor: &mut Cursor<'_>) -> Read<Vec<Assignment>> {
    let mut all = Vec::new();
    loop {
        let path = paths::fhir(cursor)?;
        cursor.expect("=", "`path = value`")?;
        all.push(Assignment { path, value: paths::value(cursor)? });
        if cursor.done() {
            return Ok(all);
        }
    }
}

fn links(cursor: &mut Cursor<'_>) -> Read<Kind> {
    let mut all = Vec::new();
    loop {
        let path = paths::fhir(cursor)?;
        cursor.expect("=", "`link referral.subject = patient`")?;
        let span = cursor.span();
        let Some(entry) = cursor.name() else {
            return cursor.stop(format!("found {}", cursor.found()), "the name of an entry");
        };
        cursor.space();
        all.push((path, span, entry));
        if cursor.done() {
            return Ok(Kind::Link(all));
        }
    }
}

fn direction(cursor: &mut Cursor<'_>) -> Option<Direction> {
    if cursor.eat("<=>") {
        Some(Direction::Both)
    } else if cursor.eat("=>") {
        Some(Direction::Get)
    } else if cursor.eat("<=") {
        Some(Direction::Put)
    } else {
        None
    }
}

fn each(cursor: &mut Cursor<'_>, format: FormatName) -> Read<Kind> {
    let native = paths::native(cursor, format)?;
    let mut each =
        Each { native, key: None, when: Vec::new(), fhir: None, resource: None, name: None, block: None, more: None };
    if cursor.eat_word("key") {
        each.key = Some(key(cursor, format)?);
    }
    if cursor.eat_word("when") {
        each.when = paths::conditions(cursor, format)?;
    }
    if cursor.eat("<=>") {
        each.fhir = Some(paths::fhir(cursor)?);
        if cursor.eat(":") {
            let span = cursor.span();
            let word = cursor.expect_word("the resource type")?;
            if cursor.eat("=") {
                each.name = Some(word);
                let span = cursor.span();
                each.resource = Some((span, cursor.expect_word("the resource type")?));
            } else {
                each.resource = Some((span, word));
            }
        }
    }
    loop {
        let span = cursor.span();
        if cursor.eat_word("use") {
            each.block = Some((span, cursor.expect_word("the block's name")?));
        } else if cursor.eat_word("more") {
            each.more = Some(otherwise(cursor)?);
        } else {
            return Ok(Kind::Each(Box::new(each)));
        }
    }
}

fn otherwise(cursor: &mut Cursor<'_>) -> Read<Otherwise> {
    cursor.eat("=>");
    if cursor.eat_word("residue") {
        Ok(Otherwise::Residue)
    } else if cursor.eat_word("error") {
        Ok(Otherwise::Error)
    } else {
        Ok(Otherwise::Value(paths::value(cursor)?))
    }
}

/// `A | B + C <=> path lens …`, `A B residue`, `A drop "reason"`.
fn rule(cursor: &mut Cursor<'_>, format: FormatName) -> Read<Kind> {
    if !paths::native_begins(cursor, format) {
        return cursor.stop(
            format!("found {}", cursor.found()),
            "a statement: `entry`, `const`, `default`, `link`, `event`, `each`, `use`, `bound`, `verb`, `ordinal`, `written`, `other`, or a native path",
        );
    }
    let first = paths::native(cursor, format)?;
    let mut native = vec![vec![first]];
    let direction = loop {
        if let Some(direction) = direction(cursor) {
            break direction;
        }
        if cursor.eat("|") {
            native.push(vec![paths::native(cursor, format)?]);
        } else if cursor.eat("+") {
            let path = paths::native(cursor, format)?;
            if let Some(last) = native.last_mut() {
                last.push(path);
            }
        } else if cursor.at_word("residue") || cursor.at_word("drop") {
            return fate(cursor, native.into_iter().flatten().collect());
        } else if paths::native_begins(cursor, format) {
            native.push(vec![paths::native(cursor, format)?]);
        } else {
            return cursor.stop(
                format!("found {}", cursor.found()),
                "`<=>`, `=>` or `<=` and a FHIR path, or `residue`, or `drop \"reason\"`",
            );
        }
    };
    let fhir = paths::fhir(cursor)?;
    let mut rule = Rule {
        native,
        direction,
        fhir,
        lens: None,
        when: Vec::new(),
        only: Vec::new(),
        empty: None,
        demanded: false,
        otherwise: None,
        more: None,
        also: Vec::new(),
        reason: None,
    };
    modifiers(cursor, format, &mut rule)?;
    Ok(Kind::Rule(Box::new(rule)))
}

fn modifiers(cursor: &mut Cursor<'_>, format: FormatName, rule: &mut Rule) -> Read<()> {
    while !cursor.done() {
        let span = cursor.span();
        if cursor.eat_word("when") {
            rule.when = paths::conditions(cursor, format)?;
        } else if cursor.eat_word("where") {
            rule.only = paths::discriminators(cursor)?;
        } else if cursor.eat_word("empty") {
            cursor.expect("=>", "`empty => value`, or `empty => error`")?;
            if cursor.eat_word("error") {
                rule.demanded = true;
            } else {
                rule.empty = Some(paths::value(cursor)?);
            }
        } else if cursor.eat_word("else") {
            rule.otherwise = Some(otherwise(cursor)?);
        } else if cursor.eat_word("more") {
            rule.more = Some(otherwise(cursor)?);
        } else if cursor.eat_word("reason") {
            rule.reason = Some(cursor.expect_string("the reason")?);
        } else if cursor.eat_word("also") {
            let path = paths::fhir(cursor)?;
            let lens = if next_is_lens(cursor) { Some(lens(cursor)?) } else { None };
            rule.also.push((path, lens));
        } else if rule.lens.is_none() && rule.also.is_empty() && next_is_lens(cursor) {
            rule.lens = Some(lens(cursor)?);
        } else {
            return Err(Stop {
                span,
                what: format!("found {}", cursor.found()),
                right: "after the path: a lens, then `when`, `where`, `empty`, `else`, `more`, `also`, `reason`"
                    .to_owned(),
            });
        }
    }
    Ok(())
}

const WORDS: [&str; 7] = ["when", "where", "empty", "else", "more", "reason", "also"];

fn next_is_lens(cursor: &Cursor<'_>) -> bool {
    let mut ahead = cursor.clone();
    ahead.word().is_some_and(|word| !WORDS.contains(&word.as_str()))
}

fn lens(cursor: &mut Cursor<'_>) -> Read<LensCall> {
    let span = cursor.span();
    let name = cursor.expect_word("the lens")?;
    let mut call = LensCall { span, name, arguments: Vec::new(), table: None };
    loop {
        if cursor.at("{") {
            call.table = Some(table(cursor)?);
        } else if let Some(text) = cursor.string()? {
            call.arguments.push(text);
        } else if next_is_lens(cursor) {
            call.arguments.push(cursor.expect_word("an argument")?);
        } else {
            return Ok(call);
        }
    }
}

/// `{ P = requested ~received   E ~ cancelled   draft = refuse }`
pub(super) fn table(cursor: &mut Cursor<'_>) -> Read<Table> {
    let begins = cursor.span();
    cursor.expect("{", "a table stands between braces")?;
    let mut table = Table::default();
    loop {
        if cursor.eat("}") {
            return Ok(table);
        }
        let span = cursor.span();
        let first = code(cursor).map_err(|stop| open_still(stop, begins))?;
        let mut left = vec![first];
        let exact = loop {
            if cursor.eat("=") {
                break true;
            }
            if cursor.eat("~") {
                break false;
            }
            if cursor.at("}") || cursor.done() {
                return cursor.stop("a row without `=` or `~`", "`native = fhir ~fhir`, or `fhir fhir = refuse`");
            }
            left.push(code(cursor).map_err(|stop| open_still(stop, begins))?);
        };
        if cursor.eat_word("refuse") {
            table.refused.append(&mut left);
            continue;
        }
        let [native] = left.as_slice() else {
            return Err(Stop {
                span,
                what: "several native codes in one row".to_owned(),
                right: "one row a native code; only `refuse` takes several".to_owned(),
            });
        };
        let mut row = Row { span, native: native.clone(), fhir: vec![(code(cursor)?, !exact)] };
        while cursor.at("~") && !cursor.at("~ ") {
            cursor.eat_tight("~");
            row.fhir.push((code(cursor)?, true));
        }
        table.rows.push(row);
    }
}

/// What stands in a later line than a table begins in, and is no code, is more likely another statement.
fn open_still(stop: Stop, begins: Span) -> Stop {
    if stop.span.line == begins.line {
        return stop;
    }
    Stop {
        span: begins,
        what: format!("the table that begins here does not end before line {}: {}", stop.span.line, stop.what),
        right: "`}` after its last row".to_owned(),
    }
}

fn code(cursor: &mut Cursor<'_>) -> Read<String> {
    if let Some(text) = cursor.string()? {
        return Ok(text);
    }
    match paths::value(cursor)? {
        Value::Text(text) => Ok(text),
        Value::Coding(system, code) => Ok(format!("{system}#{code}")),
        Value::Context(_) => cursor.stop("the context is no code", "a code"),
    }
}
