//! Reading the tables of one version out of `profiles/hl7/v2/*.tsv`, which are part of the program.

use rustc_hash::FxHashMap;

use super::{ComponentDef, DatatypeDef, FieldDef, SegmentDef, Structure, TableDef, Version};

const STRUCTURES: &str = include_str!("../../../../../profiles/hl7/v2/structures.tsv");
const SEGMENTS: &str = include_str!("../../../../../profiles/hl7/v2/segments.tsv");
const DATATYPES: &str = include_str!("../../../../../profiles/hl7/v2/datatypes.tsv");
const TABLES: &str = include_str!("../../../../../profiles/hl7/v2/tables.tsv");
const EVENTS: &str = include_str!("../../../../../profiles/hl7/v2/events.tsv");
const ERRATA: &str = include_str!("../../../../../profiles/hl7/v2/errata.tsv");

/// Rows of a file that hold for a version; `N` columns, `since` and `until` at `SINCE` and after it.
fn rows<const N: usize, const SINCE: usize>(
    file: &'static str,
    version: Version,
) -> impl Iterator<Item = [&'static str; N]> {
    file.lines().skip(1).filter_map(move |line| {
        let row = columns::<N>(line)?;
        let since = Version::named(row.get(SINCE)?)?;
        let until = Version::named(row.get(SINCE + 1)?)?;
        (since..=until).contains(&version).then_some(row)
    })
}

/// The columns of a line; none if there are more or fewer than `N`.
fn columns<const N: usize>(line: &'static str) -> Option<[&'static str; N]> {
    let mut row = [""; N];
    let mut parts = line.split('\t');
    for column in &mut row {
        *column = parts.next()?;
    }
    parts.next().is_none().then_some(row)
}

/// Errata of a kind: name, value.
fn errata(kind: &'static str, version: Version) -> impl Iterator<Item = (&'static str, &'static str)> {
    rows::<6, 2>(ERRATA, version).filter(move |[of, ..]| *of == kind).map(|[_, name, _, _, value, _]| (name, value))
}

/// The structures of a version, by name.
pub(super) fn structures(version: Version) -> FxHashMap<&'static str, Structure> {
    let renames: FxHashMap<(&str, &str), &'static str> =
        errata("group", version).filter_map(|(name, value)| Some((name.split_once(':')?, value))).collect();
    let corrected = errata("structure", version);
    let written = rows::<4, 1>(STRUCTURES, version).map(|[name, _, _, expression]| (name, expression));
    let mut found = FxHashMap::default();
    for (name, expression) in corrected.chain(written) {
        if found.contains_key(name) {
            continue;
        }
        let renamed = |group: &'static str| renames.get(&(name, group)).copied().unwrap_or(group);
        if let Some(structure) = Structure::parse(name, version, expression, &renamed) {
            found.insert(name, structure);
        }
    }
    found
}

/// Message and event → structure, where it is not `MESSAGE_EVENT`.
pub(super) fn events(version: Version) -> FxHashMap<(&'static str, &'static str), &'static str> {
    let mut found = FxHashMap::default();
    for [message, events, structure, _, _] in rows::<5, 3>(EVENTS, version) {
        for event in events.split(' ') {
            found.insert((message, event), structure);
        }
    }
    found
}

/// The segments of a version, by name.
pub(super) fn segments(version: Version) -> FxHashMap<&'static str, SegmentDef> {
    let mut found: FxHashMap<&'static str, SegmentDef> = FxHashMap::default();
    let corrected = errata("field", version).filter_map(|(name, value)| {
        let (segment, number) = name.split_once('-')?;
        Some((segment, number, facts(value)?))
    });
    let written = rows::<9, 2>(SEGMENTS, version).map(|[segment, number, _, _, name, datatype, min, max, table]| {
        (segment, number, [name, datatype, min, max, table])
    });
    for (segment, number, facts) in corrected.chain(written) {
        let Some(field) = field(number, facts) else {
            continue;
        };
        let segment = found.entry(segment).or_insert_with(|| SegmentDef { name: segment, version, fields: Vec::new() });
        place(&mut segment.fields, field.number, field);
    }
    found
}

/// The composite data types of a version, by name.
pub(super) fn datatypes(version: Version) -> FxHashMap<&'static str, DatatypeDef> {
    let mut found: FxHashMap<&'static str, DatatypeDef> = FxHashMap::default();
    let tables: FxHashMap<(&str, &str), &'static str> =
        errata("component-table", version).filter_map(|(name, value)| Some((name.split_once('.')?, value))).collect();
    let corrected = errata("component", version).filter_map(|(name, value)| {
        let (datatype, number) = name.split_once('.')?;
        Some((datatype, number, facts(value)?))
    });
    let written = rows::<9, 2>(DATATYPES, version)
        .map(|[datatype, number, _, _, name, kind, min, max, table]| (datatype, number, [name, kind, min, max, table]));
    for (name, number, facts) in corrected.chain(written) {
        let Some(field) = field(number, facts) else {
            continue;
        };
        let component = ComponentDef {
            number: field.number,
            name: field.name,
            datatype: field.datatype,
            min: field.min,
            max: field.max,
            table: tables.get(&(name, number)).copied().or(field.table),
        };
        let datatype = found.entry(name).or_insert_with(|| DatatypeDef { name, components: Vec::new() });
        place(&mut datatype.components, component.number, component);
    }
    found
}

/// The tables of a version that have codes, by number.
pub(super) fn tables(version: Version) -> FxHashMap<&'static str, TableDef> {
    rows::<6, 1>(TABLES, version)
        .map(|[id, _, _, title, open, codes]| {
            let codes = codes.split('|').collect();
            (id, TableDef { id, title, open: open == "open", codes })
        })
        .collect()
}

/// Name, data type, min, max, table of an erratum.
fn facts(value: &'static str) -> Option<[&'static str; 5]> {
    let mut parts = value.split('|');
    let facts = [parts.next()?, parts.next()?, parts.next()?, parts.next()?, parts.next()?];
    parts.next().is_none().then_some(facts)
}

fn field(number: &str, [name, datatype, min, max, table]: [&'static str; 5]) -> Option<FieldDef> {
    Some(FieldDef {
        number: number.parse().ok().filter(|number| *number > 0)?,
        name,
        datatype,
        min: min.parse().ok()?,
        max: if max == "*" { None } else { Some(max.parse().ok()?) },
        table: (!table.is_empty()).then_some(table),
    })
}

/// Puts a definition at its number, if none is there yet: errata come first and win.
fn place<T: Clone>(definitions: &mut Vec<Option<T>>, number: u16, definition: T) {
    let at = usize::from(number).saturating_sub(1);
    if definitions.len() <= at {
        definitions.resize(at + 1, None);
    }
    if let Some(slot @ None) = definitions.get_mut(at) {
        *slot = Some(definition);
    }
}

/// Lines of the files that cannot be read: none, and a test says so.
pub(super) fn unreadable() -> Vec<&'static str> {
    fn check<const N: usize, const SINCE: usize>(
        file: &'static str,
        sound: &dyn Fn(&[&'static str; N]) -> bool,
    ) -> Vec<&'static str> {
        let known = |row: &[&'static str; N], at: usize| row.get(at).is_some_and(|text| Version::named(text).is_some());
        file.lines()
            .skip(1)
            .filter(|line| {
                !columns::<N>(line).is_some_and(|row| known(&row, SINCE) && known(&row, SINCE + 1) && sound(&row))
            })
            .collect()
    }
    let sound_structure = |name: &'static str, expression: &'static str| {
        Structure::parse(name, Version::V2_5, expression, &|group| group).is_some()
    };
    let sound_numbers = |[_, number, _, _, name, datatype, min, max, table]: &[&'static str; 9]| {
        field(number, [name, datatype, min, max, table]).is_some()
    };
    let sound_erratum = |[kind, name, _, _, value, reason]: &[&'static str; 6]| {
        !reason.is_empty()
            && match *kind {
                "structure" => sound_structure(name, value),
                "group" => name.contains(':'),
                "field" => name.contains('-') && facts(value).is_some(),
                "component" => name.contains('.') && facts(value).is_some(),
                "component-table" => name.contains('.') && value.len() == 4,
                _ => false,
            }
    };
    [
        check::<4, 1>(STRUCTURES, &|row| sound_structure(row[0], row[3])),
        check::<9, 2>(SEGMENTS, &sound_numbers),
        check::<9, 2>(DATATYPES, &sound_numbers),
        check::<6, 1>(TABLES, &|row| !row[5].is_empty()),
        check::<5, 3>(EVENTS, &|row| !row[1].is_empty()),
        check::<6, 2>(ERRATA, &sound_erratum),
    ]
    .concat()
}
