//! XML read as the tree that JSON is read into.

use crate::catalog::json::Json;
use crate::catalog::xml::read;

#[test]
fn elements_are_fields_and_texts_are_whole() {
    let read = read(
        "<?xml version=\"1.0\"?>\n<a xmlns=\"urn:x\"><b> 1<!-- - -->&#50;<![CDATA[<3]]></b><n:b xmlns:n=\"urn:y\"/></a>\n",
    );
    let read = read.unwrap();
    let a = read.named("a")[0];
    assert_eq!(a.named("b"), [&Json::Text(" 12<3".into()), &Json::Text(String::new())]);
}

#[test]
fn what_clients_would_read_otherwise_is_not_read() {
    let nested = |depth: usize| format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
    let (deep, deeper) = (nested(33), nested(90_000));
    let wide = format!("<a>{}</a>", "<b/>".repeat(100_001));
    let declared = "<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>";
    for wrong in ["", "<a>", "<a></b>", "<a/><a/>", "{}", declared, &deep, &deeper, &wide] {
        assert_eq!(read(wrong), None, "{}", wrong.get(..20).unwrap_or(wrong));
    }
}
