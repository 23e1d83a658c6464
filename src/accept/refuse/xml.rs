//! Errors in XML: SOAP faults and `WebDAV` errors.

use std::borrow::Cow;

use http::StatusCode;

use super::{Form, Reply, Said};
use crate::call::SoapVersion;

/// The namespace of what is remit's own.
const OURS: &str = "urn:remit:refusal";

/// As the content of an element.
pub(super) fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(['<', '>', '&']) && !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            // XML 1.0 has no way to say most of them.
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

impl Form for SoapVersion {
    /// SOAP 1.1 §6.2 has every fault come with a 500; SOAP 1.2 part 2 §7.5.2.2 a 400 where the sender is at fault.
    fn say(&self, said: &Said<'_>) -> Reply {
        let (message, ours) = (said.message(), !said.status().is_server_error());
        let message = escape(&message);
        let detail = format!(
            "<r:refusal xmlns:r=\"{OURS}\"><r:code>{}</r:code><r:call>{}</r:call></r:refusal>",
            said.code(),
            said.call_text()
        );
        let (namespace, media, at_fault, fault) = match self {
            Self::V1_1 => {
                let code = if ours { "Client" } else { "Server" };
                let fault = format!(
                    "<faultcode>s:{code}</faultcode><faultstring>{message}</faultstring><detail>{detail}</detail>"
                );
                let at_fault = StatusCode::INTERNAL_SERVER_ERROR;
                ("http://schemas.xmlsoap.org/soap/envelope/", "text/xml; charset=utf-8", at_fault, fault)
            }
            Self::V1_2 => {
                let code = if ours { "Sender" } else { "Receiver" };
                let fault = format!(
                    "<s:Code><s:Value>s:{code}</s:Value></s:Code><s:Reason><s:Text xml:lang=\"en\">{message}</s:Text></s:Reason><s:Detail>{detail}</s:Detail>"
                );
                let at_fault = if ours { StatusCode::BAD_REQUEST } else { StatusCode::INTERNAL_SERVER_ERROR };
                let media = "application/soap+xml; charset=utf-8";
                ("http://www.w3.org/2003/05/soap-envelope", media, at_fault, fault)
            }
        };
        let status = if said.is_challenge() { said.status() } else { at_fault };
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<s:Envelope xmlns:s=\"{namespace}\"><s:Body><s:Fault>{fault}</s:Fault></s:Body></s:Envelope>"
        );
        Reply::new(status, media, body)
    }
}

/// RFC 4918 §16.
pub(super) struct WebDav;

impl Form for WebDav {
    fn say(&self, said: &Said<'_>) -> Reply {
        let message = said.message();
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<D:error xmlns:D=\"DAV:\"><r:refusal xmlns:r=\"{OURS}\"><r:code>{}</r:code><r:message>{}</r:message></r:refusal></D:error>",
            said.code(),
            escape(&message)
        );
        Reply::new(said.status(), "application/xml; charset=utf-8", body)
    }
}
