//! Descriptions to import, in any of the forms, and the files of an operator's own service.
#![no_main]
use libfuzzer_sys::fuzz_target;
use remit_fuzz::catalog::import::{Wanted, import};
use remit_fuzz::catalog::{Catalog, Provenance};

fuzz_target!(|data: &[u8]| {
    thread_local! {
        static DIR: std::path::PathBuf = {
            let dir = std::env::temp_dir().join(format!("remit-fuzz-{}", std::process::id()));
            std::fs::create_dir_all(dir.join("svc")).expect("a folder");
            dir
        };
    }
    DIR.with(|dir| {
        let file = dir.join("description.json");
        std::fs::write(&file, data).expect("a file");
        let provenance = Provenance {
            source: String::new(),
            version: "1".into(),
            date: "2026-11-25".into(),
            licence: String::new(),
            digest: None,
        };
        let wanted = Wanted {
            service: "svc".into(),
            title: String::new(),
            hosts: vec!["svc.test".into()],
            more_hosts: Vec::new(),
            label_hosts: Vec::new(),
            endpoints: Vec::new(),
            form: None,
            levels: None,
            provenance,
        };
        let _imported = import(&[file], &wanted, &mut |_, _, _| {});
        // The three files of a service, parted by a line with a NUL.
        let mut files = data.split(|byte| *byte == 0);
        for name in ["service.toml", "operations.tsv", "overrides.toml", "facts.toml"] {
            std::fs::write(dir.join("svc").join(name), files.next().unwrap_or_default()).expect("a file");
        }
        std::fs::write(dir.join("labels.toml"), files.next().unwrap_or_default()).expect("a file");
        let _catalog = Catalog::load(std::slice::from_ref(dir));
    });
});
