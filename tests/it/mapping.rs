//! The correspondence language, from outside.

use std::sync::Arc;

use jiff::Timestamp;
use silta_engine::definitions::Model;
use silta_engine::mapping::{Context, Maps};
use silta_engine::native::{Limits, Syntax, Tree};

fn maps() -> Maps {
    Maps::embedded(Model::r4())
}

fn context() -> Context {
    Context::new("hospital", Timestamp::from_second(1_763_000_000).unwrap(), b"secret")
}

fn v2(text: &str) -> Tree {
    Syntax::Hl7V2(Default::default()).parse(text.replace('\n', "\r").into_bytes(), &Limits::default()).unwrap()
}

#[test]
fn every_map_of_the_tree_compiles() {
    let maps = maps();
    let problems: Vec<String> = maps.problems().iter().map(ToString::to_string).collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn try_ref() {
    let Ok(data) = std::env::var("TRY") else { return };
    let maps = maps();
    for p in maps.problems() {
        println!("{p}");
    }
    let tree = v2(&std::fs::read_to_string(data).unwrap());
    let map = maps.find(&tree).unwrap();
    let got = map.get(&tree, &context()).unwrap();
    println!("{}", got.document().json());
    let report = got.report(&tree);
    for item in &report.items {
        println!(
            "{} {:?} {} {} {}",
            item.path,
            item.disposition,
            item.to.join(" "),
            item.rule.clone().unwrap_or_default(),
            item.reason.clone().unwrap_or_default()
        );
    }
    println!(
        "{} mapped {} approx {} residue {} err {} conveyed {} outside {}",
        report.leaves,
        report.mapped,
        report.approximated,
        report.residue,
        report.errors,
        report.conveyed,
        report.conveyed_outside(&["MSH", "SFT", "AUT", "IN1", "IN2", "IN3", "GT1", "ACC"])
    );
    let _ = Arc::clone(map);
}
