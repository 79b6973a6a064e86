//! What holds of every document, tried on generated ones.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::Index;
use silta_engine::native::delimited::{Align, Dialect, FixedColumn};
use silta_engine::native::hl7v2::Options;
use silta_engine::native::{
    Anchor, Charset, Edit, EditError, Insert, Kind, Limits, NodeId, Place, Scalar, Step, Syntax, Tree, laws,
};

fn syntaxes() -> Vec<Syntax> {
    vec![
        Syntax::Hl7V2(Options::default()),
        Syntax::Hl7V2(Options { charset: Charset::Iso8859_1 }),
        Syntax::Json,
        Syntax::Xml,
        Syntax::Delimited(Dialect { separator: ';', charset: Charset::Windows1252, ..Dialect::default() }),
        fixed(),
        Syntax::Delimited(Dialect { header: false, quote: None, charset: Charset::Iso8859_15, ..Dialect::default() }),
    ]
}

fn fixed() -> Syntax {
    let column = |name: &str, width, align, pad| FixedColumn { name: name.to_owned(), width, align, pad };
    let fixed =
        vec![column("a", 3, Align::Left, ' '), column("n", 4, Align::Right, '0'), column("b", 5, Align::Right, ' ')];
    Syntax::Delimited(Dialect { header: false, fixed, ..Dialect::default() })
}

fn holds(syntax: &Syntax, bytes: &[u8]) -> Option<Tree> {
    laws::check(syntax, bytes, &Limits::default()).unwrap_or_else(|(law, at)| {
        panic!("broken at {at}: {law}\n{}", String::from_utf8_lossy(bytes));
    })
}

fn tokens(tokens: &'static [&'static str], most: usize) -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(tokens), 0..most).prop_map(|all| all.concat())
}

/// Bodies of segments: every way of putting separators, escapes and nulls together.
const FIELDS: &[&str] = &[
    "|",
    "|",
    "|",
    "^",
    "^",
    "~",
    "&",
    "\\F\\",
    "\\E\\",
    "\\.br\\",
    "\\H\\",
    "\\XC3A4\\",
    "\\XFF\\",
    "\\",
    "a",
    "b1",
    "ä",
    "\"\"",
    "|\"\"|",
    "#",
    " ",
    "\u{241b}",
    "\u{241b}H\u{241b}",
];

fn message() -> impl Strategy<Value = String> {
    let encoding = prop::sample::select(&["^~\\&", "^~\\&#", "^~\\", "^~", "^"][..]);
    let end = prop::sample::select(&["\r", "\n", "\r\n", "\r\r"][..]);
    let name = prop::sample::select(&["PID", "OBX", "OBX", "ZA1"][..]);
    let segments = prop::collection::vec((name, tokens(FIELDS, 14), end), 0..6);
    (prop::bool::ANY, encoding, tokens(FIELDS, 8), segments).prop_map(|(bom, encoding, header, segments)| {
        let mut text = format!("{}MSH|{encoding}|||{header}\r", if bom { "\u{feff}" } else { "" });
        for (name, body, end) in segments {
            text.push_str(name);
            if !body.is_empty() {
                text.push('|');
            }
            text.push_str(&body);
            text.push_str(end);
        }
        text
    })
}

fn white() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&["", "", " ", "\n  ", "\r\n\t"][..])
}

fn json() -> impl Strategy<Value = String> {
    let scalar = prop::sample::select(
        &[
            "null",
            "true",
            "false",
            "1.10",
            "-0",
            "1e9",
            "\"\"",
            "\"a\"",
            "\"ä\\n\\u00e4\\ud83d\\ude00\"",
            "\"\\\\\\\"\"",
        ][..],
    );
    let name = prop::sample::select(&["\"a\"", "\"b\"", "\"c d\"", "\"\\u0065\"", "\"ä\"", "\"\"", "\"'\""][..]);
    let value = scalar.prop_map(str::to_owned).prop_recursive(4, 24, 5, move |inner| {
        let entries = (prop::collection::vec((name.clone(), inner.clone(), white(), white()), 0..5), white());
        let items = (prop::collection::vec((inner, white(), white()), 0..4), white());
        prop_oneof![
            entries.prop_map(|(entries, tail)| {
                let mut seen = Vec::new();
                let mut parts = Vec::new();
                for (name, value, one, two) in entries {
                    if !seen.contains(&name) {
                        seen.push(name);
                        parts.push(format!("{one}{name}{two}:{two}{value}{one}"));
                    }
                }
                format!("{{{}{tail}}}", parts.join(","))
            }),
            items.prop_map(|(items, tail)| {
                let parts: Vec<_> = items.into_iter().map(|(value, one, two)| format!("{one}{value}{two}")).collect();
                format!("[{}{tail}]", parts.join(","))
            }),
        ]
    });
    (white(), value, white()).prop_map(|(before, value, after)| format!("{before}{value}{after}"))
}

fn xml() -> impl Strategy<Value = String> {
    let text = prop::sample::select(
        &["", "x", " ", "\n  ", "a &amp; b", "<![CDATA[<c>]]>", "<!--n-->", "&#228;", "<?p i?>"][..],
    );
    let attributes = prop::sample::select(
        &["", " a='1'", " a=\"&lt;\" p:a = '2'", "\n b=\"\"", " xmlns:p=\"urn:q\" p:c='x\ny'", " xmlns='urn:e'"][..],
    );
    let name = prop::sample::select(&["a", "b", "p:a", "c-d"][..]);
    let leaf = (name.clone(), attributes.clone(), text.clone())
        .prop_map(|(name, attributes, text)| format!("<{name}{attributes}>{text}</{name} >"));
    let element = leaf.prop_recursive(4, 24, 5, move |inner| {
        let children = prop::collection::vec((text.clone(), inner), 0..5);
        (name.clone(), attributes.clone(), children, text.clone()).prop_map(|(name, attributes, children, last)| {
            if children.is_empty() {
                return format!("<{name}{attributes} />");
            }
            let content: String = children.into_iter().map(|(text, child)| text.to_owned() + &child).collect();
            format!("<{name}{attributes}>{content}{last}</{name}>")
        })
    });
    element.prop_map(|element| format!("<?xml version='1.0'?>\n<r xmlns:p='urn:p'>\n  {element}\n</r>\n<!-- end -->"))
}

const CELLS: &[&[u8]] = &[b"", b"x", b"\"\"", b"\"a;b\"", b"\"q\"\"q\"", b"\"l\r\nm\"", b"\xE4", b"5\" pipe", b" "];
const ENDS: &[&[u8]] = &[b"\r\n", b"\n", b"\r", b"\r\n\r\n"];

fn table() -> impl Strategy<Value = Vec<u8>> {
    let cell = prop::sample::select(CELLS);
    let end = prop::sample::select(ENDS);
    let row = (prop::collection::vec(cell, 3), end);
    (prop::collection::vec(row, 0..6), prop::bool::ANY).prop_map(|(rows, ended)| {
        let mut text = b"id;n\xE4me;\"x;y\"\r\n".to_vec();
        for (cells, end) in rows {
            text.extend(cells.join(&b';'));
            text.extend(end);
        }
        if !ended {
            while matches!(text.last(), Some(b'\r' | b'\n')) {
                text.pop();
            }
        }
        text
    })
}

/// Texts to set: what has to be escaped somewhere.
fn text() -> impl Strategy<Value = String> {
    tokens(
        &[
            "a", "B", "|", "^", "~", "&", "\\", "\"", "\"\"", "#", "\n", "\r", ";", "<", "]]>", "ä", " ", "'",
            "\u{241b}", "H",
        ],
        6,
    )
}

type Leaves = BTreeMap<String, String>;

/// The leaves by path; a null and an empty text are told apart.
fn leaves(tree: &Tree) -> Leaves {
    (0..tree.leaf_count())
        .map(|leaf| {
            let node = tree.leaf_node(leaf).unwrap();
            (tree.leaf_path(leaf).to_string(), format!("{:?}", tree.value(node)))
        })
        .collect()
}

fn read(like: &Tree, bytes: Vec<u8>) -> Tree {
    let shown = String::from_utf8_lossy(&bytes).into_owned();
    like.syntax().parse(bytes, &Limits::default()).unwrap_or_else(|error| panic!("{error}\n{shown}"))
}

/// Sets any one leaf: it reads as set, the others as before, and no byte outside it has changed.
fn one_leaf_is_set(tree: &Tree, which: Index, value: &str) {
    if tree.leaf_count() == 0 {
        return;
    }
    let leaf = u32::try_from(which.index(tree.leaf_count() as usize)).unwrap();
    let node = tree.leaf_node(leaf).unwrap();
    let mut edit = Edit::new(tree);
    match edit.set(node, &[], value) {
        Ok(()) => {}
        Err(
            EditError::Fixed { .. }
            | EditError::NoSeparator { .. }
            | EditError::Character { .. }
            | EditError::TooLong { .. }
            | EditError::Value { .. },
        ) => {
            assert!(edit.is_untouched());
            assert_eq!(edit.finish().bytes, tree.bytes());
            return;
        }
        Err(error) => panic!("{error}"),
    }
    let bytes = edit.finish().bytes;
    let span = tree.span(node);
    assert!(bytes.starts_with(&tree.bytes()[..span.start]) && bytes.ends_with(&tree.bytes()[span.end..]));
    let path = tree.leaf_path(leaf).to_string();
    let again = read(tree, bytes);
    if value.is_empty() && tree.kind(node) == Kind::Cell {
        assert_eq!(again.leaf_count(), tree.leaf_count() - 1);
        return;
    }
    if tree.kind(node) == Kind::Text && value.trim().is_empty() {
        // A text of white space is no leaf, and one that is gone shifts the numbers of those after it.
        assert_eq!(again.leaf_count(), tree.leaf_count() - 1);
        return;
    }
    let (mut before, mut after) = (leaves(tree), leaves(&again));
    assert_eq!(again.text(again.locate(&path)).unwrap_or_default(), value, "{path}");
    before.remove(&path);
    after.remove(&path);
    assert_eq!(before, after);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for syntax in syntaxes() {
            holds(&syntax, &bytes);
        }
    }

    #[test]
    fn no_cut_or_changed_document_makes_a_reader_panic(
        message in message(), json in json(), xml in xml(), table in table(), at in any::<Index>(), byte in any::<u8>(), cut in any::<bool>(),
    ) {
        for mut bytes in [message.into_bytes(), json.into_bytes(), xml.into_bytes(), table] {
            let at = at.index(bytes.len());
            if cut {
                bytes.truncate(at);
            } else {
                bytes[at] = byte;
            }
            for syntax in syntaxes() {
                holds(&syntax, &bytes);
            }
        }
    }

    #[test]
    fn a_message_keeps_its_laws(text in message(), which in any::<Index>(), value in text()) {
        let tree = holds(&Syntax::Hl7V2(Options::default()), text.as_bytes()).expect("a generated message is one");
        one_leaf_is_set(&tree, which, &value);
    }

    #[test]
    fn a_json_document_keeps_its_laws(text in json(), which in any::<Index>(), value in text()) {
        let tree = holds(&Syntax::Json, text.as_bytes()).expect("a generated document is one");
        one_leaf_is_set(&tree, which, &value);
    }

    #[test]
    fn an_xml_document_keeps_its_laws(text in xml(), which in any::<Index>(), value in text()) {
        let Some(tree) = holds(&Syntax::Xml, text.as_bytes()) else {
            // The generator can give one element two attributes of one expanded name.
            return Err(TestCaseError::reject("not well-formed"));
        };
        one_leaf_is_set(&tree, which, &value);
    }

    #[test]
    fn a_table_keeps_its_laws(bytes in table(), which in any::<Index>(), value in text()) {
        let syntax = Syntax::Delimited(Dialect { separator: ';', charset: Charset::Windows1252, ..Dialect::default() });
        let tree = holds(&syntax, &bytes).expect("a generated table is one");
        prop_assert!(tree.row_faults().is_empty());
        one_leaf_is_set(&tree, which, &value);
    }

    #[test]
    fn a_fixed_width_table_keeps_its_laws(
        rows in prop::collection::vec(tokens(&["a", "0", "1", " ", "  ", "ä", "x"], 14), 0..6), which in any::<Index>(), value in text(),
    ) {
        let tree = holds(&fixed(), rows.join("\r\n").as_bytes()).expect("lines are rows or faults");
        one_leaf_is_set(&tree, which, &value);
    }

    /// Any address of a message can be set, existing or not; then it reads so, and everything else as before.
    #[test]
    fn any_address_of_a_message_is_set(
        text in message(), segment in any::<Index>(), field in 3_u16..9, repetition in 1_u16..4, component in 1_u16..4,
        subcomponent in 1_u16..4, value in text(), null in prop::bool::weighted(0.1),
    ) {
        let tree = holds(&Syntax::Hl7V2(Options::default()), text.as_bytes()).unwrap();
        let segment = tree.segments().nth(segment.index(tree.segments().count())).unwrap();
        let steps =
            [Step::Field(field), Step::Repetition(repetition), Step::Component(component), Step::Subcomponent(subcomponent)];
        let mut edit = Edit::new(&tree);
        let done = if null { edit.null(segment, &steps) } else { edit.set(segment, &steps, &value) };
        if let Err(error) = done {
            prop_assert!(matches!(error, EditError::NoSeparator { .. }), "{error}");
            prop_assert_eq!(edit.finish().bytes, tree.bytes());
            return Ok(());
        }
        let again = read(&tree, edit.finish().bytes);
        let path = format!("{}-{field}[{repetition}].{component}.{subcomponent}", tree.path(segment));
        let (mut before, mut after) = (leaves(&tree), leaves(&again));
        let expected = match (null, value.is_empty()) {
            (true, _) => Some("Null".to_owned()),
            (false, true) => None,
            (false, false) => Some(format!("Text({value:?})")),
        };
        prop_assert_eq!(after.remove(&path), expected, "{}", &path);
        before.remove(&path);
        // A value inside what said "delete" replaces the "delete".
        for first in [format!("{}-{field}[{repetition}].1.1", tree.path(segment)), format!("{}-{field}[{repetition}].{component}.1", tree.path(segment))] {
            if before.get(&first).is_some_and(|value| value == "Null") && !after.contains_key(&first) {
                before.remove(&first);
            }
        }
        prop_assert_eq!(before, after);
    }

    /// Several changes in one edit give what the same changes give in edits of their own.
    #[test]
    fn edits_of_a_message_compose(
        text in message(),
        changes in prop::collection::vec((any::<Index>(), 3_u16..7, 1_u16..3, 1_u16..3, text()), 1..6),
    ) {
        let tree = holds(&Syntax::Hl7V2(Options::default()), text.as_bytes()).unwrap();
        let count = tree.segments().count();
        let mut together = Edit::new(&tree);
        let mut apart = tree.clone();
        for (segment, field, repetition, component, value) in &changes {
            let steps = [Step::Field(*field), Step::Repetition(*repetition), Step::Component(*component)];
            let segment = segment.index(count);
            let one = together.set(tree.segments().nth(segment).unwrap(), &steps, value);
            let mut edit = Edit::new(&apart);
            let other = edit.set(apart.segments().nth(segment).unwrap(), &steps, value);
            prop_assert_eq!(one.is_ok(), other.is_ok());
            let bytes = edit.finish().bytes;
            apart = read(&tree, bytes);
        }
        prop_assert_eq!(together.finish().bytes, apart.into_bytes());
    }

    /// What is inserted and removed again leaves no trace; what is inserted and set is there, and the rest as before.
    #[test]
    fn segments_and_repetitions_come_and_go(text in message(), which in any::<Index>(), after in any::<bool>(), value in "[a-z]{1,3}") {
        let tree = holds(&Syntax::Hl7V2(Options::default()), text.as_bytes()).unwrap();
        let segments: Vec<_> = tree.segments().collect();
        let segment = segments[which.index(segments.len())];
        let anchor = if after || segment == segments[0] { Anchor::After(segment.into()) } else { Anchor::Before(segment.into()) };
        let name = Insert::Segment("ZZZ".parse().unwrap());
        come_and_go(&tree, anchor, name, &[Step::Field(2)], &value);
        for field in tree.children(segment).filter(|field| tree.number(*field) > Some(2)) {
            for repetition in tree.repetitions(field) {
                if tree.raw(repetition).is_empty() || tree.raw(field) == b"\"\"" {
                    continue;
                }
                let anchor = if after { Anchor::After(repetition.into()) } else { Anchor::Before(repetition.into()) };
                if tree.separators().unwrap().repetition.is_none() {
                    prop_assert!(Edit::new(&tree).insert(anchor, Insert::Repetition).is_err());
                    continue;
                }
                come_and_go(&tree, anchor, Insert::Repetition, &[Step::Component(2)], &value);
            }
        }
    }

    #[test]
    fn items_come_and_go(text in json(), after in any::<bool>(), value in "[a-z]{1,3}") {
        let tree = holds(&Syntax::Json, text.as_bytes()).unwrap();
        for node in nodes(&tree) {
            let is_item = tree.parent(node).is_some_and(|parent| tree.kind(parent) == Kind::Array);
            let anchor = match tree.kind(node) {
                Kind::Array => Anchor::Last(node.into(), &[]),
                _ if !is_item => continue,
                _ if after => Anchor::After(node.into()),
                _ => Anchor::Before(node.into()),
            };
            let alone = tree.kind(node) == Kind::Array && !tree.has_children(node);
            come_and_go_as(&tree, anchor, Insert::Item, &[Step::Member("m".into())], &value, !alone);
        }
    }

    #[test]
    fn elements_come_and_go(text in xml(), after in any::<bool>(), value in "[a-z]{1,3}") {
        let Some(tree) = holds(&Syntax::Xml, text.as_bytes()) else { return Err(TestCaseError::reject("not well-formed")) };
        let name = silta_engine::native::Name::new("urn:new", "n");
        for node in nodes(&tree) {
            let inside = tree.parent(node).is_some_and(|parent| tree.kind(parent) == Kind::Element);
            if tree.kind(node) != Kind::Element {
                continue;
            }
            let anchor = match (inside, after) {
                (false, _) => Anchor::Last(node.into(), &[]),
                (true, true) => Anchor::After(node.into()),
                (true, false) => Anchor::Before(node.into()),
            };
            come_and_go_as(&tree, anchor, Insert::Element(&name), &[], &value, true);
        }
    }

    #[test]
    fn rows_come_and_go(bytes in table(), after in any::<bool>(), value in "[a-z]{1,3}") {
        let syntax = Syntax::Delimited(Dialect { separator: ';', charset: Charset::Windows1252, ..Dialect::default() });
        let tree = holds(&syntax, &bytes).unwrap();
        come_and_go(&tree, Anchor::Last(NodeId::ROOT.into(), &[]), Insert::Row, &[Step::Cell("id".into())], &value);
        for row in tree.rows() {
            let anchor = if after { Anchor::After(row.into()) } else { Anchor::Before(row.into()) };
            come_and_go(&tree, anchor, Insert::Row, &[Step::Cell("näme".into())], &value);
        }
    }
}

fn nodes(tree: &Tree) -> Vec<NodeId> {
    let mut all = vec![NodeId::ROOT];
    let mut at = 0;
    while at < all.len() {
        all.extend(tree.children(all[at]));
        at += 1;
    }
    all
}

fn come_and_go(tree: &Tree, anchor: Anchor<'_>, what: Insert<'_>, steps: &[Step], value: &str) {
    come_and_go_as(tree, anchor, what, steps, value, true);
}

fn come_and_go_as(tree: &Tree, anchor: Anchor<'_>, what: Insert<'_>, steps: &[Step], value: &str, traceless: bool) {
    let mut edit = Edit::new(tree);
    let place = edit.insert(anchor, what).unwrap();
    edit.set(place, steps, value).unwrap();
    edit.remove(place).unwrap();
    assert_eq!(edit.set(place, steps, value), Err(EditError::Gone));
    let bytes = edit.finish().bytes;
    if traceless && !ends_open(tree, anchor) {
        assert_eq!(String::from_utf8_lossy(&bytes), String::from_utf8_lossy(tree.bytes()));
    }
    let mut edit = Edit::new(tree);
    let place = edit.insert(anchor, what).unwrap();
    edit.set(place, steps, Scalar::Text(value)).unwrap();
    let again = read(tree, edit.finish().bytes);
    let mut expected: Vec<String> = leaves(tree).into_values().collect();
    expected.push(format!("Text({value:?})"));
    let mut found: Vec<String> = leaves(&again).into_values().filter(|value| value != "Text(\"urn:new\")").collect();
    expected.sort();
    found.sort();
    assert_eq!(expected, found);
    let _: Place = place;
}

/// An empty element that is written `<a/>` is opened by what comes into it.
fn ends_open(tree: &Tree, anchor: Anchor<'_>) -> bool {
    matches!(anchor, Anchor::Last(Place::Node(node), _) if tree.kind(node) == Kind::Element && !tree.has_children(node))
}
