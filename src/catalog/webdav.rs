//! The verbs of `WebDAV` and its relatives: RFC 4918, 3253 (versioning), 3744 (access control), 4791 (calendars), 5323
//! (search), 5842 (bindings). `MERGE` is that of `OData` too.

use crate::call::Class;

/// What a verb does; `None` for verbs of nobody.
pub(super) fn class(verb: &str) -> Option<(Class, &'static str)> {
    match verb {
        "PROPFIND" | "REPORT" | "SEARCH" => Some((Class::Read, "a WebDAV verb that reads")),
        "ACL" => Some((Class::Delegate, "a WebDAV verb that sets access rights")),
        "PROPPATCH" | "MKCOL" | "COPY" | "MOVE" | "LOCK" | "UNLOCK" | "VERSION-CONTROL" | "CHECKOUT"
        | "CHECKIN" | "UNCHECKOUT" | "MKWORKSPACE" | "UPDATE" | "LABEL" | "MERGE" | "BASELINE-CONTROL"
        | "MKACTIVITY" | "ORDERPATCH" | "MKCALENDAR" | "BIND" | "UNBIND" | "REBIND" | "MKREDIRECTREF"
        | "UPDATEREDIRECTREF" => Some((Class::Act, "a WebDAV verb that changes something")),
        _ => None,
    }
}
