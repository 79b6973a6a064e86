//! Changes: what is addressed changes, in the document's own way of writing.

use silta_engine::fault::Fault;
use silta_engine::native::delimited::{Dialect, LineEnd};
use silta_engine::native::hl7v2::{Options, Separators};
use silta_engine::native::{
    Anchor, Charset, Edit, EditError, Insert, Limits, Name, NodeId, Place, Scalar, Step, Syntax, Tree, delimited,
    hl7v2, json, xml,
};

use Step::{Cell, Component, Field, Item, Repetition, Subcomponent};

fn message(text: impl AsRef<[u8]>) -> Tree {
    super::read(&Syntax::Hl7V2(Options::default()), text)
}

fn segment(tree: &Tree, name: &str) -> NodeId {
    tree.segments_named(name.parse().unwrap()).next().unwrap()
}

fn member(name: &str) -> Step {
    Step::Member(name.into())
}

fn changed(tree: &Tree, change: impl FnOnce(&mut Edit<'_>)) -> String {
    let mut edit = Edit::new(tree);
    change(&mut edit);
    String::from_utf8(edit.finish().bytes).unwrap()
}

#[test]
fn missing_fields_and_components_are_made_with_the_messages_separators() {
    let tree = message("MSH$%*!@$a\nPID$1$$x%y$\"\"\n");
    let pid = segment(&tree, "PID");
    let text = changed(&tree, |edit| {
        edit.set(pid, &[Field(2), Repetition(2), Component(2), Subcomponent(3)], "a$%*!@b\nc").unwrap();
        edit.set(pid, &[Field(3), Component(4)], "z").unwrap();
        edit.set(pid, &[Field(3)], "w").unwrap();
        edit.set(pid, &[Field(4), Component(2)], "new").unwrap();
        edit.set(pid, &[Field(6)], "\"\"").unwrap();
        edit.null(pid, &[Field(8)]).unwrap();
    });
    assert_eq!(text, "MSH$%*!@$a\nPID$1$*%@@a!F!!S!!R!!E!!T!b!.br!c$w%y%%z$%new$$!X2222!$$\"\"\n");
}

#[test]
fn clearing_and_nulling_take_the_whole_of_what_is_addressed() {
    let tree = message("MSH|^~\\&|a\rPID|1|a^b&c~d|e\r");
    let pid = segment(&tree, "PID");
    let one = |change: &dyn Fn(&mut Edit<'_>) -> Result<(), EditError>| {
        changed(&tree, |edit| change(edit).unwrap()).split('\r').nth(1).unwrap().to_owned()
    };
    assert_eq!(one(&|edit| edit.clear(pid, &[Field(2)])), "PID|1||e");
    assert_eq!(one(&|edit| edit.clear(pid, &[Field(2), Repetition(1)])), "PID|1|~d|e");
    assert_eq!(one(&|edit| edit.clear(pid, &[Field(2), Component(2)])), "PID|1|a^~d|e");
    assert_eq!(one(&|edit| edit.clear(pid, &[Field(2), Component(2), Subcomponent(1)])), "PID|1|a^&c~d|e");
    assert_eq!(one(&|edit| edit.clear(pid, &[Field(9), Component(2)])), "PID|1|a^b&c~d|e");
    assert_eq!(one(&|edit| edit.null(pid, &[Field(2)])), "PID|1|\"\"|e");
    assert_eq!(one(&|edit| edit.null(pid, &[Field(2), Component(2)])), "PID|1|a^\"\"~d|e");
    assert_eq!(one(&|edit| edit.set(pid, &[Field(2)], "")), "PID|1|^b&c~d|e");
    let second = tree.repetition(tree.field(pid, 2).unwrap(), 2).unwrap();
    assert_eq!(one(&|edit| edit.remove(second)), "PID|1|a^b&c|e");
    assert_eq!(one(&|edit| edit.remove(tree.field(pid, 3).unwrap())), "PID|1|a^b&c~d|");
}

#[test]
fn places_stay_the_same_while_repetitions_come_and_go() {
    let tree = message("MSH|^~\\&|a\rPID|1|a~b~c|lone\r");
    let pid = segment(&tree, "PID");
    let field = tree.field(pid, 2).unwrap();
    let [a, b, c] = [1, 2, 3].map(|n| tree.repetition(field, n).unwrap());
    let text = changed(&tree, |edit| {
        let new = edit.insert(Anchor::Before(a.into()), Insert::Repetition).unwrap();
        edit.remove(b).unwrap();
        edit.set(c, &[Component(2)], "C").unwrap();
        edit.set(new, &[Component(1)], "N").unwrap();
        edit.set(new, &[Component(1), Subcomponent(2)], "n").unwrap();
        let last = edit.insert(Anchor::Last(pid.into(), &[Field(2)]), Insert::Repetition).unwrap();
        edit.set(last, &[], "L").unwrap();
        assert_eq!(edit.set(b, &[], "x"), Err(EditError::Gone));
        let lone = tree.field(pid, 3).unwrap();
        let other = edit.insert(Anchor::Before(lone.into()), Insert::Repetition).unwrap();
        edit.set(lone, &[], "LONE").unwrap();
        edit.set(other, &[], "other").unwrap();
        let first = edit.insert(Anchor::Last(pid.into(), &[Field(5)]), Insert::Repetition).unwrap();
        edit.set(first, &[], "first").unwrap();
    });
    assert_eq!(text, "MSH|^~\\&|a\rPID|1|N&n~a~c^C~L|other~LONE||first\r");
}

#[test]
fn segments_are_inserted_and_removed_with_their_line_ends() {
    let tree = message("\u{feff}MSH|^~\\&|a\r\n\r\nPID|1\r\nPV1|2");
    let (pid, pv1) = (segment(&tree, "PID"), segment(&tree, "PV1"));
    let nte = Insert::Segment("NTE".parse().unwrap());
    let text = changed(&tree, |edit| {
        let new = edit.insert(Anchor::After(pid.into()), nte).unwrap();
        edit.set(new, &[Field(3)], "note").unwrap();
        let next = edit.insert(Anchor::After(new), nte).unwrap();
        edit.set(next, &[Field(1)], "2").unwrap();
        let last =
            edit.insert(Anchor::Last(NodeId::ROOT.into(), &[]), Insert::Segment("ZZZ".parse().unwrap())).unwrap();
        edit.set(last, &[Field(1)], "z").unwrap();
        edit.remove(pv1).unwrap();
    });
    assert_eq!(text, "\u{feff}MSH|^~\\&|a\r\n\r\nPID|1\r\nNTE|||note\r\nNTE|2\r\nZZZ|z\r\n");
    let text = changed(&tree, |edit| {
        edit.insert(Anchor::After(pv1.into()), nte).unwrap();
    });
    assert!(text.ends_with("PV1|2\r\nNTE\r\n"), "{text:?}");
    let mut edit = Edit::new(&tree);
    let msh = tree.segments().next().unwrap();
    assert!(matches!(edit.remove(msh), Err(EditError::Fixed { .. })));
    assert!(matches!(edit.insert(Anchor::Before(msh.into()), nte), Err(EditError::Fixed { .. })));
    assert!(matches!(edit.set(msh, &[Field(2)], "^~\\&"), Err(EditError::Fixed { .. })));
    assert!(edit.is_untouched());
}

#[test]
fn a_character_that_the_set_lacks_is_refused_or_reported_never_lost() {
    let tree = message("MSH|^~\\&|a|||||||||||||||8859/1\rPID|1\r");
    let pid = segment(&tree, "PID");
    let mut edit = Edit::new(&tree);
    let error = edit.set(pid, &[Field(5), Component(2)], "Máret Ŋiŋá Đ").unwrap_err();
    assert_eq!(error.fault(), Fault::BadValue);
    assert_eq!(error.to_string(), "PID[1]-5.2: a character of Latin Extended-A that ISO-8859-1 does not have");
    assert_eq!(edit.finish().bytes, tree.bytes());
    let mut edit = Edit::new(&tree).transliterating(true);
    edit.set(pid, &[Field(5)], "Čáhppes—ŧ").unwrap();
    edit.set(pid, &[Field(6)], "漢").unwrap_err();
    let finished = edit.finish();
    assert_eq!(finished.bytes, b"MSH|^~\\&|a|||||||||||||||8859/1\rPID|1||||C\xE1hppes-t\r");
    let reported: Vec<_> = finished.transliterations.iter().map(|t| (t.path.as_str(), t.stand_in)).collect();
    assert_eq!(reported, [("PID[1]-5", "C"), ("PID[1]-5", "-"), ("PID[1]-5", "t")]);
    let msh = tree.segments().next().unwrap();
    let mut edit = Edit::new(&tree);
    assert!(matches!(edit.set(msh, &[Field(18)], "UNICODE UTF-8"), Err(EditError::Fixed { .. })));
    assert!(matches!(edit.clear(msh, &[Field(18)]), Err(EditError::Fixed { .. })));
    edit.set(msh, &[Field(18)], "ISO IR100").unwrap();
}

#[test]
fn a_message_is_made_from_nothing() {
    let tree = hl7v2::create(Separators::default(), "2.5.1", Charset::Utf8, true).unwrap();
    let msh = tree.segments().next().unwrap();
    let text = changed(&tree, |edit| {
        edit.set(msh, &[Field(3)], "Silta").unwrap();
        for (n, part) in (1..).zip(["RRI", "I12", "RRI_I12"]) {
            edit.set(msh, &[Field(9), Component(n)], part).unwrap();
        }
        let msa = edit.insert(Anchor::Last(NodeId::ROOT.into(), &[]), Insert::Segment("MSA".parse().unwrap())).unwrap();
        edit.set(msa, &[Field(1)], "AA").unwrap();
        edit.set(msa, &[Field(2)], "7").unwrap();
    });
    assert_eq!(text, "MSH|^~\\&|Silta||||||RRI^I12^RRI_I12|||2.5.1||||||UNICODE UTF-8\rMSA|AA|7\r");
}

#[test]
fn new_json_entries_take_the_white_space_of_the_document() {
    let text = "{\n  \"a\": {\"x\": 1},\n  \"list\": [\n    {\"id\": 1},\n    {\"id\": 2}\n  ],\n  \"z\": null\n}\n";
    let tree = super::read(&Syntax::Json, text);
    let root = tree.root();
    let list = tree.member(root, "list").unwrap();
    let out = changed(&tree, |edit| {
        edit.set(root, &[member("a"), member("x")], Scalar::AsBefore("2.50")).unwrap();
        edit.set(root, &[member("a"), member("y")], "t\"\n").unwrap();
        edit.set(root, &[member("new"), member("deep")], Scalar::Boolean(true)).unwrap();
        edit.set(root, &[member("z"), Item(0)], Scalar::Number("1e3")).unwrap();
        let first = tree.item(list, 0).unwrap();
        let item = edit.insert(Anchor::After(first.into()), Insert::Item).unwrap();
        edit.set(item, &[member("id")], Scalar::Number("3")).unwrap();
        edit.remove(first).unwrap();
    });
    let expected = "{\n  \"a\": {\"x\": 2.50, \"y\": \"t\\\"\\n\"},\n  \"list\": [\n    {\n      \"id\": 3\n    },\n    {\"id\": 2}\n  ],\n  \"z\": [\n    1e3\n  ],\n  \"new\": {\n    \"deep\": true\n  }\n}\n";
    assert_eq!(out, expected);
    serde_json::from_str::<serde_json::Value>(&out).unwrap();
}

#[test]
fn json_changes_compose_and_say_what_cannot_be() {
    let tree = super::read(&Syntax::Json, r#"{"a":[1,2,3],"s":"x","n":1}"#);
    let root = tree.root();
    let a = tree.member(root, "a").unwrap();
    let [one, two] = [0, 1].map(|n| tree.item(a, n).unwrap());
    let out = changed(&tree, |edit| {
        edit.remove(one).unwrap();
        edit.set(two, &[], Scalar::AsBefore("20")).unwrap();
        edit.null(root, &[member("n")]).unwrap();
        edit.clear(root, &[member("s")]).unwrap();
        edit.clear(root, &[member("missing"), member("deep")]).unwrap();
        edit.set(root, &[member("a"), Item(2)], "four").unwrap();
        let last = edit.insert(Anchor::Last(root.into(), &[member("list")]), Insert::Item).unwrap();
        edit.set(last, &[member("k")], "v").unwrap();
        assert_eq!(edit.set(one, &[], "x"), Err(EditError::Gone));
    });
    assert_eq!(out, r#"{"a":[20,3,"four"],"n":null,"list":[{"k":"v"}]}"#);
    let mut edit = Edit::new(&tree);
    let refused =
        |result: Result<(), EditError>| assert!(matches!(result, Err(EditError::NoSuchStep { .. })), "{result:?}");
    refused(edit.set(root, &[member("s"), member("deep")], "x"));
    refused(edit.set(root, &[member("a"), Item(7)], "x"));
    refused(edit.set(root, &[member("fresh"), Item(1)], "x"));
    refused(edit.set(root, &[Field(1)], "x"));
    assert!(matches!(edit.set(root, &[member("n")], Scalar::Number("01")), Err(EditError::Value { .. })));
    assert!(matches!(edit.remove(root), Err(EditError::Fixed { .. })));
    assert_eq!(edit.finish().bytes, tree.bytes());
    // What stood in a replaced object is gone.
    let mut edit = Edit::new(&tree);
    edit.null(root, &[member("a")]).unwrap();
    assert_eq!(edit.set(two, &[], "x"), Err(EditError::Gone));
    let made = json::create();
    assert_eq!(
        changed(&made, |edit| edit.set(made.root(), &[member("a"), member("b")], "c").unwrap()),
        r#"{"a":{"b":"c"}}"#
    );
}

#[test]
fn cells_are_set_in_the_tables_dialect() {
    let dialect = Dialect { separator: ';', charset: Charset::Windows1252, ..Dialect::default() };
    let tree = super::read(&Syntax::Delimited(dialect.clone()), b"id;nimi;huom\n1;\"A\";x\n2;B\n3;C;y");
    let rows: Vec<_> = tree.rows().collect();
    let mut edit = Edit::new(&tree);
    edit.set(rows[0], &[Cell("nimi".into())], "Äijä").unwrap();
    edit.set(rows[0], &[Cell("huom".into())], "a;\"b\"\nc").unwrap();
    let row = edit.insert(Anchor::Last(NodeId::ROOT.into(), &[]), Insert::Row).unwrap();
    edit.set(row, &[Cell("id".into())], "4").unwrap();
    edit.set(row, &[Step::Column(3)], "€").unwrap();
    edit.clear(rows[1], &[Cell("nimi".into())]).unwrap();
    assert!(matches!(edit.null(rows[0], &[Cell("id".into())]), Err(EditError::NoNull { .. })));
    assert!(matches!(edit.set(rows[0], &[Cell("ei".into())], "x"), Err(EditError::NoSuchStep { .. })));
    let error = edit.set(rows[0], &[Cell("id".into())], "ŋ").unwrap_err();
    assert_eq!(error.to_string(), "row 2/id: a character of Latin Extended-A that windows-1252 does not have");
    assert!(matches!(edit.set(tree.row(1).unwrap(), &[Cell("id".into())], "x"), Err(EditError::Fixed { .. })));
    assert_eq!(edit.finish().bytes, b"id;nimi;huom\n1;\"\xC4ij\xE4\";\"a;\"\"b\"\"\nc\"\n2;B\n3;;y\n4;;\x80\n");
    let made = delimited::create(&Dialect { line_end: LineEnd::Lf, ..dialect }, &["hetu", "a;b"]).unwrap();
    let row = |edit: &mut Edit<'_>| edit.insert(Anchor::Last(NodeId::ROOT.into(), &[]), Insert::Row).unwrap();
    let text = changed(&made, |edit| {
        let row = row(edit);
        edit.set(row, &[Cell("a;b".into())], "x").unwrap();
    });
    assert_eq!(text, "hetu;\"a;b\"\n;x\n");
}

const REQUEST: &str = "<r:request xmlns:r=\"urn:r\" xmlns=\"urn:d\">\n  <patient id='1'><name>Aho</name></patient>\n  <item/>\n</r:request>";

#[test]
fn elements_and_attributes_are_made_in_their_namespaces() {
    let tree = super::read(&Syntax::Xml, REQUEST);
    let top = tree.document_element().unwrap();
    let element = |name: &str| Step::Element(Name::new("urn:d", name), 1);
    let attribute = |name: &str| Step::Attribute(Name::local(name));
    let patient = tree.find(top, &[element("patient")]).unwrap();
    let text = changed(&tree, |edit| {
        edit.set(patient, &[attribute("id")], "a'b&\"").unwrap();
        edit.set(patient, &[element("name")], "Ääkkö <1>").unwrap();
        edit.set(patient, &[element("birth"), attribute("time")], "2026").unwrap();
        edit.set(top, &[Step::Element(Name::new("urn:r", "note"), 1)], "n").unwrap();
        edit.set(top, &[Step::Element(Name::new("urn:x", "other"), 1), Step::Attribute(Name::new("urn:y", "k"))], "v")
            .unwrap();
        edit.null(top, &[element("item")]).unwrap();
        let second =
            edit.insert(Anchor::After(patient.into()), Insert::Element(&Name::new("urn:d", "patient"))).unwrap();
        edit.set(second, &[attribute("id")], "2").unwrap();
    });
    let expected = "<r:request xmlns:r=\"urn:r\" xmlns=\"urn:d\">\n  <patient id='a&apos;b&amp;\"'><name>Ääkkö &lt;1&gt;</name><birth time=\"2026\"/></patient>\n  \
        <patient id=\"2\"/>\n  <item xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:nil=\"true\"/>\n  <r:note>n</r:note>\n  \
        <other xmlns=\"urn:x\" xmlns:ns1=\"urn:y\" ns1:k=\"v\"/>\n</r:request>";
    assert_eq!(text, expected);
    super::read(&Syntax::Xml, &text);
}

#[test]
fn elements_are_removed_with_their_lines() {
    let tree = super::read(&Syntax::Xml, REQUEST);
    let top = tree.document_element().unwrap();
    let element = |name: &str| Step::Element(Name::new("urn:d", name), 1);
    let patient = tree.find(top, &[element("patient")]).unwrap();
    let text = changed(&tree, |edit| {
        edit.remove(patient).unwrap();
        assert_eq!(edit.set(patient, &[element("name")], "x"), Err(EditError::Gone));
    });
    assert_eq!(text, "<r:request xmlns:r=\"urn:r\" xmlns=\"urn:d\">\n  <item/>\n</r:request>");
    let mut edit = Edit::new(&tree);
    assert!(matches!(edit.remove(top), Err(EditError::Fixed { .. })));
    assert!(matches!(edit.set(patient, &[element("name")], "\u{1}"), Err(EditError::Value { .. })));
    assert!(matches!(edit.null(patient, &[Step::Attribute(Name::local("id"))]), Err(EditError::NoNull { .. })));
    assert_eq!(edit.finish().bytes, tree.bytes());
    let text = changed(&tree, |edit| edit.set(top, &[element("patient")], "x").unwrap());
    assert!(text.contains("<patient id='1'>x<name>Aho</name></patient>"), "words beside elements: {text}");
    let latin = super::read(&Syntax::Xml, "<?xml version='1.0' encoding='ISO-8859-1'?><a/>");
    let text = changed(&latin, |edit| edit.set(latin.document_element().unwrap(), &[], "ŋ").unwrap());
    assert!(text.ends_with("<a>&#331;</a>"), "what the set lacks is a character reference: {text}");
    let made = xml::create(&Name::new("urn:d", "doc"), &[]).unwrap();
    let top = Step::Element(Name::new("urn:d", "doc"), 1);
    let text = changed(&made, |edit| edit.set(NodeId::ROOT, &[top, element("a")], "1").unwrap());
    assert_eq!(text, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<doc xmlns=\"urn:d\"><a>1</a></doc>\n");
}

#[test]
fn sample_messages_are_kept_byte_for_byte() {
    let Some(samples) = crate::support::data::hl7v2_samples() else { return };
    for (name, bytes) in samples {
        let tree = silta_engine::native::laws::check(&Syntax::Hl7V2(Options::default()), &bytes, &Limits::default())
            .unwrap_or_else(|(law, at)| panic!("{name}: {law} ({at})"))
            .unwrap_or_else(|| panic!("{name} is read"));
        let mut edit = Edit::new(&tree);
        for segment in tree.segments().skip(1) {
            // A change and its undoing, in each segment.
            let place: Place = segment.into();
            let first = tree.text(tree.field(segment, 1)).map(|text| text.into_owned()).unwrap_or_default();
            edit.set(place, &[Field(1)], "changed").unwrap();
            edit.set(place, &[Field(1)], &first).unwrap();
        }
        assert_eq!(edit.finish().bytes, bytes, "{name}");
    }
}
