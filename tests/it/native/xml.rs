//! XML.

use silta_engine::native::{Charset, Kind, Limits, Name, NodeId, Problem, Step, Syntax, SyntaxError, Tree, Value};

use super::leaves;

fn read(text: impl AsRef<[u8]>) -> Tree {
    super::read(&Syntax::Xml, text)
}

fn refused(text: impl AsRef<[u8]>) -> SyntaxError {
    Syntax::Xml.parse(text.as_ref().to_vec(), &Limits::default()).unwrap_err()
}

const REQUEST: &str = r#"<?xml version="1.0"?>
<!-- a request -->
<r:request xmlns:r="urn:r" xmlns="urn:d" version='1 &amp; 2'>
  <patient id="&#xE4;"><name>Aho &lt;E&gt;<![CDATA[ & <b>]]></name><name> </name></patient>
  <r:item/><r:item r:code="x" code="y">z<!-- c -->w</r:item>
  <none xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:nil="true"/>
</r:request>
"#;

#[test]
fn attributes_and_texts_are_leaves() {
    let expected = [
        ("/r:request[1]/@version", "1 & 2"),
        ("/r:request[1]/patient[1]/@id", "ä"),
        ("/r:request[1]/patient[1]/name[1]/text()[1]", "Aho <E> & <b>"),
        ("/r:request[1]/r:item[2]/@r:code", "x"),
        ("/r:request[1]/r:item[2]/@code", "y"),
        ("/r:request[1]/r:item[2]/text()[1]", "z"),
        ("/r:request[1]/r:item[2]/text()[2]", "w"),
        ("/r:request[1]/none[1]/@xsi:nil", "true"),
    ];
    assert_eq!(leaves(&read(REQUEST)), expected.map(|(path, text)| (path.to_owned(), text.to_owned())));
}

#[test]
fn names_are_matched_by_namespace() {
    let tree = read(REQUEST);
    let top = tree.document_element().unwrap();
    assert_eq!((tree.name(top).as_deref(), tree.namespace(top)), (Some("request"), Some("urn:r")));
    let item = Name::new("urn:r", "item");
    assert_eq!(tree.elements(top, &item).count(), 2);
    assert_eq!(tree.elements(top, &Name::new("urn:d", "item")).count(), 0);
    assert_eq!(tree.each(top, &Step::Element(item.clone(), 1)).count(), 2);
    let code = |name: Name| tree.text(tree.find(top, &[Step::Element(item.clone(), 2), Step::Attribute(name)]));
    assert_eq!(code(Name::new("urn:r", "code")).as_deref(), Some("x"));
    assert_eq!(code(Name::local("code")).as_deref(), Some("y"));
    let step = |name: &str, n| Step::Element(Name::new("urn:d", name), n);
    assert_eq!(tree.text(tree.find(top, &[step("patient", 1), step("name", 1)])).as_deref(), Some("Aho <E> & <b>"));
    assert_eq!(tree.value(tree.find(top, &[step("patient", 1), step("name", 2)])), Value::Empty);
    assert_eq!(tree.value(tree.find(top, &[step("none", 1)])), Value::Null);
    assert_eq!(tree.value(tree.find(top, &[step("gone", 1)])), Value::Absent);
    assert_eq!(tree.kind(NodeId::ROOT), Kind::Document);
}

#[test]
fn declared_character_sets_are_read() {
    let tree = read(b"<?xml version='1.0' encoding='windows-1252'?><a>\x80 \xE4</a>");
    assert_eq!((tree.charset(), tree.text(tree.document_element()).as_deref()), (Charset::Windows1252, Some("€ ä")));
    assert_eq!(refused(b"<?xml version='1.0' encoding='EBCDIC'?><a/>").problem, Problem::UnknownCharset);
    assert_eq!(refused(b"\xFF\xFE<\0a\0/\0>\0").problem, Problem::WideCharset);
    assert!(matches!(refused(b"<a>\xE4</a>").problem, Problem::NotInCharset(Charset::Utf8)));
}

#[test]
fn what_is_not_well_formed_or_not_safe_is_refused() {
    assert_eq!(
        refused("<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>").problem,
        Problem::DocumentType
    );
    assert_eq!(refused("<a>&x;</a>").problem, Problem::Entity);
    assert_eq!(refused("<a>&#0;</a>").problem, Problem::Entity);
    assert_eq!(refused("<a b='1' b='2'/>").problem, Problem::DuplicateAttribute);
    assert_eq!(refused("<a xmlns:x='u' xmlns:y='u' x:b='1' y:b='2'/>").problem, Problem::DuplicateAttribute);
    assert_eq!(refused("<x:a/>").problem, Problem::UnboundPrefix);
    assert_eq!(refused("<a><b></a></b>").problem, Problem::MismatchedTag);
    assert_eq!(refused("<a/><b/>").problem, Problem::TrailingContent);
    assert_eq!(refused("<a>\u{1}</a>").problem, Problem::Character);
    assert_eq!(refused("<a>".repeat(10_000)).problem, Problem::TooDeep { limit: 64 });
    assert_eq!(refused("<a>\n <b c=d/></a>").location(), "line 2, column 7");
    for text in [
        "",
        "a",
        "<a",
        "<a b",
        "<a b='",
        "<a>",
        "<1/>",
        "<a b='<'/>",
        "<a b='1'c='2'/>",
        "<a>]]></a>",
        "<!-- -- --><a/>",
        "<a><![CDATA[</a>",
        "<a:b:c xmlns:a='u'/>",
        "<a><?xml ?></a>",
    ] {
        assert!(matches!(refused(text).problem, Problem::Expected(_)), "{text}: {}", refused(text));
    }
}

#[test]
fn many_attributes_and_siblings_take_linear_time() {
    let attributes: String = (0..100_000).map(|n| format!(" a{n}=''")).collect();
    assert_eq!(read(format!("<a{attributes}/>")).leaf_count(), 100_000);
    let siblings = "<b>1</b>".repeat(100_000);
    let tree = read(format!("<a>{siblings}</a>"));
    assert_eq!(tree.leaf_path(99_999).to_string(), "/a[1]/b[100000]/text()[1]");
}
