//! Delimited tables.

use silta_engine::native::delimited::Dialect;
use silta_engine::native::{Charset, Limits, Problem, RowProblem, Step, Syntax, Tree, Value};

use super::leaves;

fn syntax() -> Syntax {
    Syntax::Delimited(Dialect { separator: ';', charset: Charset::Windows1252, ..Dialect::default() })
}

fn read(text: impl AsRef<[u8]>) -> Tree {
    super::read(&syntax(), text)
}

#[test]
fn every_cell_that_is_not_empty_is_a_leaf() {
    let tree =
        read(b"hetu;nimi;;\"muu;sarake\"\r\n010190-900X;\xC4ij\xE4 \x80;x;\r\n\r\n;\"a \"\"b\"\"\r\n;c\";\"\";1\r\n");
    let expected = [
        ("row 2/hetu", "010190-900X"),
        ("row 2/nimi", "Äijä €"),
        ("row 2/#3", "x"),
        ("row 4/nimi", "a \"b\"\r\n;c"),
        ("row 4/muu;sarake", "1"),
    ];
    assert_eq!(leaves(&tree), expected.map(|(path, text)| (path.to_owned(), text.to_owned())));
    assert_eq!(tree.rows().count(), 2);
    let row = tree.rows().next().unwrap();
    assert_eq!(tree.value(tree.cell(row, "muu;sarake")), Value::Empty);
    assert_eq!(tree.value(tree.cell(row, "ei ole")), Value::Absent);
    assert_eq!(tree.text(tree.find(row, &[Step::Cell("nimi".into())])).as_deref(), Some("Äijä €"));
}

#[test]
fn a_row_that_cannot_be_read_does_not_stop_the_others() {
    let text = b"a;b\n1;2\n3\n4;5;6\n\"x\"y;2\n7;\x81\n8;9\n\"open;1\n10;11\n";
    let tree = read(text);
    let faults: Vec<_> = tree.row_faults().iter().map(|fault| (fault.location(), fault.problem)).collect();
    assert_eq!(
        faults,
        [
            ("row 3".to_owned(), RowProblem::TooFewCells { found: 1, expected: 2 }),
            ("row 4".to_owned(), RowProblem::TooManyCells { found: 3, expected: 2 }),
            ("row 5/a".to_owned(), RowProblem::TextAfterQuote),
            ("row 6/b".to_owned(), RowProblem::NotInCharset(Charset::Windows1252)),
            ("row 8/a".to_owned(), RowProblem::UnclosedQuote),
        ]
    );
    assert_eq!(&text[tree.row_faults()[1].span.clone()], b"4;5;6");
    let first: Vec<_> = tree.rows().map(|row| tree.text(tree.cell(row, "a")).unwrap().into_owned()).collect();
    assert_eq!(first, ["1", "8", "10"]);
}

#[test]
fn a_header_that_cannot_be_read_stops_all() {
    let refused = |text: &str| syntax().parse(text.into(), &Limits::default()).unwrap_err().problem;
    assert_eq!(refused("a;b;a\n1;2;3\n"), Problem::DuplicateColumn);
    assert_eq!(refused("\"a;b\n"), Problem::UnclosedQuote);
    assert_eq!(refused("\r\n\r\n"), Problem::Expected("a header row"));
}

#[test]
fn columns_may_be_named_by_the_dialect() {
    let dialect = Dialect { header: false, columns: vec!["x".into(), "y".into()], ..Dialect::default() };
    let tree = super::read(&Syntax::Delimited(dialect), "1,2\n3,4");
    assert_eq!(super::paths(&tree), ["row 1/x", "row 1/y", "row 2/x", "row 2/y"]);
}
