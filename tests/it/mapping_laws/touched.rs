//! Which native places an edit may touch, and which leaves may not outlive a value that they describe.

use std::collections::BTreeMap;

use silta_engine::fhir::document::Document;
use silta_engine::mapping::{Disposition, Report};
use silta_engine::native::hl7v2::schema::{Schema, Version};
use silta_engine::native::{Format, Tree};

use super::Case;
use super::edits::{Edited, Sort};
use super::told::without_indexes;

/// The leaves of a document: path and text; a delete has none.
fn leaves(tree: &Tree) -> Vec<(String, Option<String>)> {
    (0..tree.leaf_count())
        .map(|leaf| {
            let text = tree.leaf_node(leaf).and_then(|node| tree.text(node)).map(std::borrow::Cow::into_owned);
            (tree.leaf_path(leaf).to_string(), text)
        })
        .collect()
}

/// A path without numbers of repetitions and rows.
fn place(path: &str) -> String {
    let path = without_indexes(path);
    match path.strip_prefix("row ").and_then(|rest| rest.split_once('/')) {
        Some((_, column)) => format!("row/{column}"),
        None => path,
    }
}

fn counted(leaves: &[(String, Option<String>)]) -> BTreeMap<(String, Option<String>), usize> {
    let mut all = BTreeMap::new();
    for (path, text) in leaves {
        *all.entry((place(path), text.clone())).or_insert(0) += 1;
    }
    all
}

/// What stands or falls together with a leaf: a field's repetition, an object, a row, an element.
fn unit(format: Format, path: &str) -> &str {
    match format {
        Format::Hl7V2 => path.split_once('-').map_or(path, |(segment, field)| {
            let end = field.find('.').unwrap_or(field.len());
            &path[..segment.len() + 1 + end]
        }),
        Format::Json => path.rfind(['.', '[']).map_or(path, |at| &path[..at]),
        Format::Delimited => path.rfind('/').map_or(path, |at| &path[..at]),
        // The text of an element is to the element around it what a member is to an object.
        Format::Xml => {
            let own = path.rsplit_once('/').filter(|(_, last)| last.starts_with("text()")).map_or(path, |(own, _)| own);
            own.rfind('/').map_or(own, |at| &own[..at])
        }
    }
}

/// What goes when a repetition goes: a segment, an object or element with all in it, a row.
fn part(format: Format, path: &str) -> &str {
    match format {
        Format::Hl7V2 => path.split('-').next().unwrap_or(path),
        _ => unit(format, path),
    }
}

fn version(tree: &Tree) -> Version {
    let header = tree.segments().next().unwrap();
    let text = tree.field(header, 12).and_then(|f| tree.text(f)).unwrap_or_default().into_owned();
    Version::declared(&text).version().unwrap_or(Version::V2_5_1)
}

/// The data type of the field that a leaf is in.
fn datatype(version: Version, path: &str) -> Option<&'static str> {
    let path = without_indexes(path);
    let (segment, field) = path.split_once('-')?;
    let field = field.split('.').next()?.parse().ok()?;
    Some(Schema::version(version).segment(segment)?.field(field)?.datatype)
}

/// The leaves of the original that are no more are those of the place that was edited, and those that the report of the
/// write names. An insertion and a new order take nothing away, but where texts of one element are several native ones.
pub(crate) fn own_place(
    case: &Case<'_>,
    sort: Sort,
    edited: &Edited,
    written: &Tree,
    report: &Report,
) -> Result<(), String> {
    let format = case.tree.format();
    let before = leaves(case.tree);
    let (was, is) = (counted(&before), counted(&leaves(written)));
    // A leaf whose value is part of what was edited.
    let own = |at: usize| {
        let to = &case.report.items[at].to;
        to.iter().any(|to| edited.touches.iter().any(|place| to.starts_with(place.as_str())))
    };
    let owned: Vec<&str> = (0..before.len()).filter(|at| own(*at)).map(|at| before[at].0.as_str()).collect();
    let near = |path: &str| match sort {
        Sort::Remove => owned.iter().any(|o| path.starts_with(part(format, o))),
        _ => owned.iter().any(|o| unit(format, o) == unit(format, path)),
    };
    // A segment of which nothing is carried goes with the group that it stands in.
    let empty_segment = |path: &str| {
        let segment = part(format, path);
        format == Format::Hl7V2
            && !case.report.items.iter().any(|i| part(format, &i.path) == segment && !i.to.is_empty())
    };
    // OBX-2 is the type of what stands in OBX-5, and changes with it: a code of a table of one's own (IS) cannot be two.
    let after = leaves(written);
    let is_type_of_changed = |path: &str| {
        let segment = part(format, path);
        let values = |of: &[(String, Option<String>)]| -> Vec<Option<String>> {
            of.iter().filter(|(p, _)| p.starts_with(&format!("{segment}-5["))).map(|(_, text)| text.clone()).collect()
        };
        path.starts_with("OBX[") && path.starts_with(&format!("{segment}-2[")) && values(&before) != values(&after)
    };
    let counts = |path: &str| format == Format::Hl7V2 && datatype(version(case.tree), path) == Some("SI");
    for ((path, text), count) in &was {
        if is.get(&(path.clone(), text.clone())).copied().unwrap_or(0) >= *count || counts(path) {
            continue;
        }
        let mut places = before.iter().filter(|(p, t)| t == text && place(p) == *path).map(|(p, _)| p);
        let allowed = places.any(|p| {
            near(p)
                || is_type_of_changed(p)
                || report.lost.iter().any(|lost| p.starts_with(lost.path.as_str()))
                || (sort == Sort::Remove && empty_segment(p))
                // A null keeps a place in a list beside another, and goes with what that list held.
                || (format == Format::Json && text.is_none())
                // That nothing is known of a part goes when something comes to be known of it.
                || (format == Format::Xml && p.ends_with("/@nullFlavor") && text.as_deref() == Some("NI"))
                // What comes stands in the place of a delete.
                || (sort == Sort::Insert && text.is_none())
        });
        if !allowed {
            return Err(format!("an edit of {:?} took {path} {text:?} away", edited.touches));
        }
    }
    Ok(())
}

/// For each data type, the component that has a value and those that describe it (HL7 v2 chapter 2A).
const DESCRIBED: [(&[&str], u16, &[u16]); 6] = [
    (&["CE", "CWE", "CNE", "CF"], 1, &[2, 4, 5, 9, 10, 11]),
    (&["CX", "CK"], 1, &[2, 3]),
    (&["XCN", "CN"], 1, &[11, 12]),
    (&["XON"], 3, &[4, 5]),
    (&["XTN"], 1, &[5, 6, 7, 8, 12]),
    (&["XTN"], 12, &[1, 5, 6, 7, 8]),
];

/// No leaf that is only kept describes a value that was changed.
pub(crate) fn nothing_describes_what_is_gone(
    case: &Case<'_>,
    edited: &Edited,
    read: &Tree,
    report: &Report,
) -> Result<(), String> {
    if case.tree.format() != Format::Hl7V2 {
        return Ok(());
    }
    let (before, after) = (leaves(case.tree), leaves(read));
    let text = |all: &[(String, Option<String>)], path: &str| {
        all.iter().find(|(p, _)| p == path).and_then(|(_, text)| text.clone())
    };
    for item in case.report.items.iter().filter(|i| i.to.contains(&edited.path)) {
        let old = text(&before, &item.path);
        if old.is_none() || old == text(&after, &item.path) {
            continue;
        }
        let unit = unit(Format::Hl7V2, &item.path);
        let Some(of) = datatype(version(case.tree), &item.path) else { continue };
        let component =
            |path: &str| -> Option<u16> { path.strip_prefix(unit)?.strip_prefix('.')?.split('.').next()?.parse().ok() };
        for (types, described, by) in DESCRIBED {
            if !types.contains(&of) || component(&item.path) != Some(described) {
                continue;
            }
            for kept in report.items.iter().filter(|i| i.disposition == Disposition::Residue) {
                let describes = component(&kept.path).is_some_and(|c| by.contains(&c));
                if describes && text(&before, &kept.path) == text(&after, &kept.path) {
                    return Err(format!("{} describes what {} was", kept.path, item.path));
                }
            }
        }
    }
    Ok(())
}

/// Repetitions that one line carries stand, where they are read again, in the order that was wanted.
pub(crate) fn order(case: &Case<'_>, edited: &Edited, got: &Document) -> Result<(), String> {
    // Elsewhere a list may be filled by several lines, or by place.
    if case.tree.format() != Format::Hl7V2 {
        return Ok(());
    }
    let [one, two, ..] = edited.touches.as_slice() else { return Ok(()) };
    let lines = |place: &str| {
        let inside = |to: &&String| to.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        let items = case.report.items.iter().filter(|item| item.to.iter().any(|to| inside(&to)));
        items.filter_map(|item| Some((without_indexes(&item.path), item.rule.clone()?))).next()
    };
    let (Some(of_one), Some(of_two)) = (lines(one), lines(two)) else { return Ok(()) };
    if of_one != of_two {
        return Ok(());
    }
    let texts = |document: &Document| -> Option<Vec<String>> {
        let node = super::edits::at(document, one)?;
        let all = node.parent()?.children().filter(|other| other.name() == node.name());
        Some(all.map(|node| node.raw().to_owned()).collect())
    };
    let (Some(wanted), Some(is)) = (texts(&edited.document), texts(got)) else { return Ok(()) };
    // What refers to others is known by them, and these can have other names.
    let mut sorted = (wanted.clone(), is.clone());
    sorted.0.sort_unstable();
    sorted.1.sort_unstable();
    if sorted.0 == sorted.1 && wanted != is {
        return Err(format!("wanted in the order {wanted:#?}, written as {is:#?}"));
    }
    Ok(())
}
