//! The page on maps says what is so: its lenses are run, its examples compile.

use jiff::Timestamp;
use silta_engine::definitions::Model;
use silta_engine::mapping::{Context, Map, Maps, Refusals, Translation};
use silta_engine::native::{Limits, Tree};

const PAGE: &str = include_str!("../../docs/maps.md");

/// The first fenced block of a kind.
fn fenced(kind: &str) -> String {
    let open = format!("```{kind}\n");
    let after = PAGE.split_once(&open).unwrap_or_else(|| panic!("no {kind} on the page")).1;
    after.split_once("```").unwrap().0.to_owned()
}

fn lenses() -> Maps {
    Maps::with(Model::r4(), &[("lenses.map".to_owned(), fenced("map"))])
}

fn context() -> Context {
    Context::new("acme", Timestamp::UNIX_EPOCH, b"key")
}

fn translated(table: &str) -> (std::sync::Arc<Map>, Tree, Result<Translation, Refusals>) {
    let maps = lenses();
    let map = std::sync::Arc::clone(maps.named("lens-examples").unwrap());
    let tree = map.syntax(context().charset).parse(table.as_bytes().to_vec(), &Limits::default()).unwrap();
    let got = map.get(&tree, &context());
    (map, tree, got)
}

/// What an element says, by a path as `Patient.name[0].given[1]`.
fn said(got: &Translation, path: &str) -> Option<String> {
    let (kind, rest) = path.split_once('.').unwrap();
    let found = (0..got.entries().len()).filter_map(|at| got.resource(at)).find(|node| node.type_name() == kind)?;
    let mut here = found;
    for part in rest.split('.') {
        let (name, at) = part.split_once('[').unwrap_or((part, "0]"));
        let at: usize = at.trim_end_matches(']').parse().unwrap();
        here = here.children().filter(|child| child.name() == name).nth(at)?;
    }
    here.text().map(str::to_owned)
}

#[test]
fn every_lens_of_the_page_does_what_the_page_says() {
    let maps = lenses();
    assert_eq!(maps.problems(), []);
    let (map, tree, got) = translated(&fenced("csv"));
    let got = got.unwrap();
    let rows = PAGE.split_once("| element | value |").unwrap().1;
    let rows = rows.lines().skip(2).take_while(|line| line.starts_with('|'));
    let mut seen = 0;
    for row in rows {
        let (path, value) = row.trim_matches('|').split_once(" | ").unwrap();
        let value = value.trim().replace("\\|", "|");
        assert_eq!(said(&got, path.trim()).as_deref(), Some(value.as_str()), "{path}");
        seen += 1;
    }
    assert!(seen > 10, "{seen} rows");
    let written = map.put_through(got.document(), &tree, &context()).unwrap();
    assert_eq!(written.bytes, tree.bytes());
}

#[test]
fn what_is_demanded_and_is_not_there_refuses_the_document_with_its_place() {
    let text = fenced("map").replace("name <=> .name[0].family text", "name <=> .name[0].family text empty => error");
    let maps = Maps::with(Model::r4(), &[("lenses.map".to_owned(), text)]);
    assert_eq!(maps.problems(), []);
    let map = maps.named("lens-examples").unwrap();
    let parse = |text: &str| map.syntax(context().charset).parse(text.as_bytes().to_vec(), &Limits::default()).unwrap();
    assert!(map.get(&parse(&fenced("csv")), &context()).is_ok());
    let without = parse(&fenced("csv").replace(";Koivu;", ";;"));
    let refusals = map.get(&without, &context()).unwrap_err();
    let one = refusals.items.first().unwrap();
    assert_eq!((one.path.as_str(), one.expected.as_str()), ("row 2/name", "a value"), "{refusals}");
    assert!(one.rule.as_ref().is_some_and(|rule| rule.starts_with("lenses.map:")));
}

#[test]
fn a_text_that_is_longer_than_fhir_has_is_told_and_makes_no_resource_invalid() {
    let long = fenced("csv").replace(";Koivu;", &format!(";{};", "x".repeat((1 << 20) + 1)));
    let (_, tree, got) = translated(&long);
    let got = got.unwrap();
    assert_eq!(said(&got, "Patient.name[0].family"), None);
    let report = got.report(&tree);
    let item = report.items.iter().find(|item| item.path.ends_with("/name")).unwrap();
    assert!(item.reason.as_ref().is_some_and(|reason| reason.contains("1 MiB")), "{item:?}");
}

#[test]
fn a_table_that_lacks_a_column_is_told_which() {
    let maps = Maps::embedded(Model::r4());
    let table = "tilausnro;tilausnro_avaruus;palvelu;hetu\n1;2;3;4\n";
    let charset = context().charset;
    let error = maps.recognise(table.as_bytes().to_vec(), charset, &Limits::default()).err().unwrap().to_string();
    assert!(error.contains("for fi-kotihoito-tilaus it lacks the columns tila"), "{error}");
}
