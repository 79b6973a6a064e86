//! Native documents: reading without loss, addresses, changes that touch only what they address.

mod delimited;
mod edits;
mod hl7v2;
mod json;
mod laws;
mod xml;

use silta_engine::native::{Limits, Syntax, Tree};

fn read(syntax: &Syntax, text: impl AsRef<[u8]>) -> Tree {
    syntax.parse(text.as_ref().to_vec(), &Limits::default()).unwrap()
}

/// All leaves: path and text (`-` for a null).
fn leaves(tree: &Tree) -> Vec<(String, String)> {
    (0..tree.leaf_count())
        .map(|leaf| {
            let node = tree.leaf_node(leaf).unwrap();
            assert_eq!(tree.leaf(node), Some(leaf));
            let path = tree.leaf_path(leaf).to_string();
            assert_eq!(tree.locate(&path), Some(node), "{path} finds its leaf again");
            (path, tree.text(node).map_or("-".to_owned(), |text| text.into_owned()))
        })
        .collect()
}

fn paths(tree: &Tree) -> Vec<String> {
    leaves(tree).into_iter().map(|(path, _)| path).collect()
}
