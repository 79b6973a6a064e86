//! Delimited tables.

use silta_engine::native::delimited::{Align, Dialect, FixedColumn};
use silta_engine::native::{Charset, Edit, EditError, Limits, Problem, RowProblem, Step, Syntax, Tree, Value};

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

#[test]
fn a_table_may_have_columns_of_fixed_width() {
    let column = |name: &str, width, align, pad| FixedColumn { name: name.to_owned(), width, align, pad };
    let fixed = vec![
        column("koodi", 4, Align::Left, ' '),
        column("määrä", 5, Align::Right, '0'),
        column("nimi", 6, Align::Left, ' '),
    ];
    let dialect = Dialect { header: false, charset: Charset::Iso8859_1, fixed, ..Dialect::default() };
    let text = b"AB  00042Aho\n    00000    \xC4 \nX\nY   00001too long a name\n";
    let tree = super::read(&Syntax::Delimited(dialect), text);
    let expected = [
        ("row 1/koodi", "AB"),
        ("row 1/määrä", "42"),
        ("row 1/nimi", "Aho"),
        ("row 2/määrä", "0"),
        ("row 2/nimi", "    Ä"),
        ("row 3/koodi", "X"),
    ];
    assert_eq!(leaves(&tree), expected.map(|(path, text)| (path.to_owned(), text.to_owned())));
    let fault = &tree.row_faults()[0];
    assert_eq!((fault.row, fault.problem), (4, RowProblem::TooLong { found: 24, expected: 15 }));
    let rows: Vec<_> = tree.rows().collect();
    let cell = |name: &str| [Step::Cell(name.into())];
    let mut edit = Edit::new(&tree);
    edit.set(rows[0], &cell("koodi"), "\u{c4}").unwrap();
    edit.clear(rows[1], &cell("määrä")).unwrap();
    edit.set(rows[2], &cell("määrä"), "7").unwrap();
    assert_eq!(
        edit.set(rows[0], &cell("koodi"), "ABCDE").unwrap_err().to_string(),
        "row 1/koodi: more than 4 characters"
    );
    assert!(matches!(edit.set(rows[0], &cell("määrä"), "07"), Err(EditError::Value { .. })));
    assert_eq!(edit.finish().bytes, b"\xC4   00042Aho\n             \xC4 \nX   00007\nY   00001too long a name\n");
}
