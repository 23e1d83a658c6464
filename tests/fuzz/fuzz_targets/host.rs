//! Hosts and authorities: what is taken has one form, and that form is taken for the same.
#![no_main]
use libfuzzer_sys::fuzz_target;
use remit_fuzz::call::{Host, Origin, Target};

fuzz_target!(|text: &str| {
    if let Ok(host) = Host::parse(text) {
        assert_eq!(Host::parse(&host.to_string()), Ok(host));
    }
    let _authority = Origin::parse_authority(text, Some(443));
    if let Ok(target) = Target::parse(text) {
        assert_eq!(target.raw(), text);
    }
    if let Some(head) = remit_fuzz::head("GET", text, "/", &[]) {
        remit_fuzz::ask(&head, b"");
    }
});
