//! From text to items: lines are nested by their indentation, each read on its own.

use std::sync::Arc;

use super::cursor::{Cursor, Line, Stop, lines};
use super::header::{self, Header};
use super::{File, FormatName, Item, Kind, Level, Problem, Statement};

/// Reads a map file. What cannot be read is in [`File::problems`]; the rest is in [`File::items`].
#[must_use]
pub fn parse(name: &str, text: &str) -> File {
    let name: Arc<str> = Arc::from(name);
    let mut file = File { name: Arc::clone(&name), items: Vec::new(), problems: Vec::new() };
    let mut group: Vec<Line> = Vec::new();
    // What an editor put before the text is no part of it.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for line in lines(text) {
        if header::opens(&line) && !group.is_empty() {
            item(&mut file, &std::mem::take(&mut group));
        }
        group.push(line);
    }
    if !group.is_empty() {
        item(&mut file, &group);
    }
    file
}

fn note(file: &mut File, stop: Stop) {
    let problem = Problem {
        file: Arc::clone(&file.name),
        span: stop.span,
        level: Level::Error,
        what: stop.what,
        right: stop.right,
    };
    file.problems.push(problem);
}

fn item(file: &mut File, lines: &[Line]) {
    let Some((first, rest)) = lines.split_first() else { return };
    let mut cursor = Cursor::new(first);
    let header = match header::header(&mut cursor, &file.name) {
        Ok(header) => header,
        Err(stop) => {
            note(file, stop);
            // The statements below are read all the same, so that their own errors are seen.
            if let Some(format) = header::format_of(first) {
                body(file, rest, format);
            }
            return;
        }
    };
    match header {
        Header::Map(mut map) => {
            let mut rest = rest;
            while let Some((line, after)) = rest.split_first() {
                let mut cursor = Cursor::new(line);
                let span = cursor.span();
                if !cursor.eat_word("answer") {
                    break;
                }
                match cursor.expect_word("the name of the map that writes the answers") {
                    Ok(name) => map.answer = Some((span, name)),
                    Err(stop) => note(file, stop),
                }
                rest = after;
            }
            map.body = body(file, rest, map.native.format());
            file.items.push(Item::Map(map));
        }
        Header::Block(mut block) => {
            block.body = body(file, rest, block.format);
            file.items.push(Item::Block(block));
        }
        Header::Table(table) => {
            file.items.push(Item::Table(table));
            body(file, rest, FormatName::Hl7v2);
        }
        Header::Segment(segment) => {
            file.items.push(Item::Segment(segment));
            body(file, rest, FormatName::Hl7v2);
        }
        Header::Alias(alias) => {
            file.items.push(Item::Alias(alias));
            body(file, rest, FormatName::Hl7v2);
        }
    }
}

/// Reads statements and nests those that stand further in than an `each` above them into it.
fn body(file: &mut File, lines: &[Line], format: FormatName) -> Vec<Statement> {
    let mut open: Vec<(u32, Statement)> = Vec::new();
    let mut done: Vec<Statement> = Vec::new();
    // How far in the lines of each level stand.
    let mut levels: Vec<u32> = Vec::new();
    for line in lines {
        if line.tab {
            let mut stop = Cursor::new(line).stop_here("a tab before the line: how far in it stands cannot be told");
            stop.right = "spaces".to_owned();
            note(file, stop);
        }
        while open.last().is_some_and(|(indent, _)| *indent >= line.indent) {
            close(&mut open, &mut done);
        }
        let mut cursor = Cursor::new(line);
        let (within, level) = (open.len(), line.indent);
        match levels.get(within).copied() {
            Some(known) if known != level && !line.tab => {
                let mut stop = cursor.stop_here("this line stands further in or out than those it goes with");
                stop.right = format!(
                    "{known} characters in, as the line above it; only an `each` has lines that stand further in"
                );
                note(file, stop);
            }
            Some(_) => {}
            None => levels.push(level),
        }
        levels.truncate(within + 1);
        match super::statement::statement(&mut cursor, format) {
            Ok(statement) => {
                let holds = matches!(statement.kind, Kind::Each(_));
                if holds {
                    open.push((line.indent, statement));
                } else if let Some((_, outer)) = open.last_mut() {
                    outer.body.push(statement);
                } else {
                    done.push(statement);
                }
            }
            Err(stop) => note(file, stop),
        }
    }
    while !open.is_empty() {
        close(&mut open, &mut done);
    }
    done
}

fn close(open: &mut Vec<(u32, Statement)>, done: &mut Vec<Statement>) {
    if let Some((_, statement)) = open.pop() {
        match open.last_mut() {
            Some((_, outer)) => outer.body.push(statement),
            None => done.push(statement),
        }
    }
}
