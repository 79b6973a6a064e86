//! What holds of every document that can be read, as a function over bytes: for property tests and fuzzing.

use super::{Edit, EditError, Limits, NodeId, Scalar, Syntax, Tree, Value};

/// Leaves of one document that are written again; more would make the check quadratic.
const REWRITTEN: u32 = 32;

/// Reads the bytes and checks what must hold of the tree.
///
/// Leaves are numbered densely in document order and are found again by their paths; children lie within their parents;
/// an edit without changes gives the same bytes; a leaf that is set to its own value keeps every byte outside it, and
/// reads as before.
///
/// Gives the tree, or nothing where the bytes are no document.
///
/// # Errors
/// The law that does not hold, and the number of the leaf or node.
pub fn check(syntax: &Syntax, bytes: &[u8], limits: &Limits) -> Result<Option<Tree>, (&'static str, usize)> {
    let Ok(tree) = syntax.parse(bytes.to_vec(), limits) else { return Ok(None) };
    if tree.bytes() != bytes || Edit::new(&tree).finish().bytes != bytes {
        return Err(("an untouched document is the same bytes", 0));
    }
    nesting(&tree)?;
    let mut before = None;
    for leaf in 0..tree.leaf_count() {
        let at = leaf as usize;
        let Some(node) = tree.leaf_node(leaf) else { return Err(("every leaf number has a node", at)) };
        if tree.leaf(node) != Some(leaf) || Some(node) <= before || tree.leaves(node) != (leaf..leaf + 1) {
            return Err(("leaves are numbered in document order", at));
        }
        before = Some(node);
        if tree.value(node) == Value::Absent {
            return Err(("a leaf is there", at));
        }
        if leaf >= REWRITTEN {
            continue;
        }
        if tree.locate(&tree.leaf_path(leaf).to_string()) != Some(node) {
            return Err(("the path of a leaf finds it", at));
        }
        rewrite(&tree, node, limits).map_err(|law| (law, at))?;
    }
    Ok(Some(tree))
}

fn nesting(tree: &Tree) -> Result<(), (&'static str, usize)> {
    let mut all = vec![NodeId::ROOT];
    while let Some(node) = all.pop() {
        let span = tree.span(node);
        let mut from = span.start;
        for child in tree.children(node) {
            let inner = tree.span(child);
            if inner.start < from || inner.end > span.end || tree.parent(child) != Some(node) {
                return Err(("children lie in their parents, in order", child.index()));
            }
            from = inner.end;
            all.push(child);
        }
    }
    Ok(())
}

fn rewrite(tree: &Tree, node: NodeId, limits: &Limits) -> Result<(), &'static str> {
    let Some(text) = tree.text(node) else { return Ok(()) };
    let mut edit = Edit::new(tree);
    match edit.set(node, &[], Scalar::AsBefore(&text)) {
        Ok(()) => {}
        Err(EditError::Fixed { .. } | EditError::NoSeparator { .. }) => return Ok(()),
        Err(_) => return Err("a leaf can be set to its own value"),
    }
    let bytes = edit.finish().bytes;
    let span = tree.span(node);
    let old = tree.bytes();
    let (Some(before), Some(after)) = (old.get(..span.start), old.get(span.end..)) else {
        return Err("a leaf lies in the document");
    };
    if !bytes.starts_with(before) || !bytes.ends_with(after) || bytes.len() < before.len() + after.len() {
        return Err("setting a leaf touches nothing outside it");
    }
    let Ok(again) = tree.syntax().parse(bytes, &Limits { bytes: usize::MAX, ..*limits }) else {
        return Err("a changed document can be read");
    };
    let same = tree.leaf(node).and_then(|leaf| again.leaf_node(leaf)).and_then(|node| again.text(node));
    if same.as_deref() != Some(&*text) || again.leaf_count() != tree.leaf_count() {
        return Err("a set value is read back");
    }
    Ok(())
}
