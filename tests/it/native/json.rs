//! JSON.

use silta_engine::native::{Kind, Limits, NodeId, Problem, Step, Syntax, SyntaxError, Tree, Value};

use super::leaves;

fn read(text: &str) -> Tree {
    super::read(&Syntax::Json, text)
}

fn refused(text: impl AsRef<[u8]>) -> SyntaxError {
    Syntax::Json.parse(text.as_ref().to_vec(), &Limits::default()).unwrap_err()
}

const CASE: &str = r#" {"asia": {"tunnus": "A-1", "määrä": 1.10},
  "palvelut": [{"id": 1}, {"id": 2, "ohje": null}, "x\ny\u00e4\ud83d\ude00"],
  "a b": true, "it's": "", "\u0061": [], "none": {}} "#;

#[test]
fn every_scalar_is_a_leaf_with_its_path() {
    let expected = [
        ("$.asia.tunnus", "A-1"),
        ("$.asia.määrä", "1.10"),
        ("$.palvelut[0].id", "1"),
        ("$.palvelut[1].id", "2"),
        ("$.palvelut[1].ohje", "-"),
        ("$.palvelut[2]", "x\nyä😀"),
        ("$['a b']", "true"),
        (r"$['it\'s']", "-"),
    ];
    assert_eq!(leaves(&read(CASE)), expected.map(|(path, text)| (path.to_owned(), text.to_owned())));
}

#[test]
fn members_and_items_are_found_by_steps() {
    let tree = read(CASE);
    let services = tree.member(NodeId::ROOT, "palvelut").unwrap();
    assert_eq!(tree.items(services).count(), 3);
    assert_eq!(tree.each(services, &Step::Item(0)).count(), 3);
    let id = [Step::Member("palvelut".into()), Step::Item(1), Step::Member("id".into())];
    let id = tree.find(tree.root(), &id).unwrap();
    assert_eq!((tree.kind(id), tree.raw(id)), (Kind::Number, &b"2"[..]));
    assert_eq!(tree.value(tree.locate("$.palvelut[1].ohje")), Value::Null);
    assert_eq!(tree.value(tree.locate("$['it\\'s']")), Value::Empty);
    assert_eq!(tree.value(tree.locate("$.asia.muu")), Value::Absent);
    assert_eq!(tree.member(tree.root(), "a").map(|a| tree.kind(a)), Some(Kind::Array), "an escaped name is its text");
    assert_eq!(tree.member(tree.root(), "asia\": {\"tunnus"), None, "a name is a name, not what follows it");
    assert_eq!(tree.position(id).to_string(), "line 2, column 34");
}

#[test]
fn what_is_not_strict_json_is_refused_with_its_place() {
    let offset = |text: &str| refused(text).position.offset;
    assert_eq!(refused(r#"{"a":1,"b":2,"a":3}"#).problem, Problem::DuplicateName);
    assert_eq!(offset(r#"{"a":1,"b":2,"a":3}"#), 13);
    assert_eq!(refused(r#"{"a":1,"\u0061":3}"#).problem, Problem::DuplicateName);
    let wide: String = (0..40).map(|n| format!("\"k{n}\":0,")).collect();
    assert_eq!(refused(format!("{{{wide}\"k7\":1}}")).problem, Problem::DuplicateName);
    assert_eq!(refused(r#"["\ud800"]"#).problem, Problem::LoneSurrogate);
    assert_eq!(refused(r#"["\udc00\ud800"]"#).problem, Problem::LoneSurrogate);
    assert_eq!(refused("1 2").problem, Problem::TrailingContent);
    assert_eq!(refused("{}x").position.offset, 2);
    let depth = Limits::default().depth;
    assert!(Syntax::Json.parse("[".repeat(depth).into_bytes(), &Limits::default()).is_err());
    assert_eq!(refused("[".repeat(10_000)).problem, Problem::TooDeep { limit: depth });
    assert!(matches!(refused(b"\"\xE4\"").problem, Problem::NotInCharset(_)));
    for text in [
        "",
        "[1,]",
        "{,}",
        "{\"a\"}",
        "[01]",
        "[1.]",
        "[-]",
        "[1e]",
        "NaN",
        "[\"\n\"]",
        "[\"\\x\"]",
        "'a'",
        "[1 2]",
        "{\"a\":1 \"b\":2}",
        "[}",
        "{]",
        "tru",
    ] {
        assert!(matches!(refused(text).problem, Problem::Expected(_)), "{text}");
    }
}

#[test]
fn numbers_are_their_text() {
    for number in ["1.10", "123456789012345678", "1e999999", "-0", "0.000", "1E+2"] {
        let tree = read(number);
        assert_eq!(tree.text(NodeId::ROOT).as_deref(), Some(number));
    }
}
