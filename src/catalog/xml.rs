//! XML as the tree that JSON is read into: each element is a field, whose value is its text or the elements in it. For answers alone;
//! what is asked in XML is read by `soap.rs` and `webdav.rs`.
//!
//! Attributes, namespaces and comments are left out. A document type is an error: what it declares would be read otherwise by each
//! client.

use roxmltree::{Document, Node, ParsingOptions};

use super::json::{Json, Name};

/// More elements than this are not read.
const NODES: u32 = 100_000;
/// Elements in one another, at most.
const DEPTH: usize = 32;

/// None: it is not XML, or more of it than is read.
pub(super) fn read(text: &str) -> Option<Json> {
    let options = ParsingOptions { allow_dtd: false, nodes_limit: NODES, ..ParsingOptions::default() };
    let document = Document::parse_with_options(text, options).ok()?;
    let root = document.root_element();
    Some(Json::Fields(vec![(Name::of(root.tag_name().name()), value(root, DEPTH)?)]))
}

fn value(element: Node<'_, '_>, depth: usize) -> Option<Json> {
    let depth = depth.checked_sub(1)?;
    let field = |child: Node<'_, '_>| Some((Name::of(child.tag_name().name()), value(child, depth)?));
    let fields: Option<Vec<_>> = element.children().filter(Node::is_element).map(field).collect();
    let fields = fields?;
    if !fields.is_empty() {
        return Some(Json::Fields(fields));
    }
    let text = element.children().filter(Node::is_text).filter_map(|node| node.text()).collect();
    Some(Json::Text(text))
}
