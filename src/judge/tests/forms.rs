//! Policy files have one form.

use super::ground::file;
use crate::judge::{PolicySource, format};

#[test]
fn shipped_files_are_in_their_form() {
    let shipped = PolicySource::embedded();
    let other: Vec<_> =
        format::unformatted(&shipped).into_iter().map(|(file, _)| file.name.as_str()).collect();
    assert_eq!(other, Vec::<&str>::new(), "`remit policy fmt --policies policies` formats them");
}

#[test]
fn a_file_in_its_form_stays_as_it_is_and_keeps_its_comments() {
    let loose = file(
        "p.cedar",
        "// first\n@id(\"a\") permit(principal,action,resource)when{context.approved /* no */};"
            .replace(" /* no */", "\n// inside\n")
            .as_str(),
    );
    let form = format::formatted(&loose).unwrap();
    assert!(form.contains("// first") && form.contains("// inside"), "{form}");
    let again = file("p.cedar", &form);
    assert_eq!(format::formatted(&again).unwrap(), form);
    let source = PolicySource::of_files(vec![loose], "policies").unwrap();
    assert_eq!(format::unformatted(&source).len(), 1);
    assert!(format::unformatted(&PolicySource::of_files(vec![again], "policies").unwrap()).is_empty());
}

#[test]
fn what_cannot_be_parsed_is_left_to_the_loader() {
    let broken = file("p.cedar", "permit (");
    assert!(format::formatted(&broken).unwrap_err().starts_with("p.cedar: cannot be formatted"));
    assert!(format::unformatted(&PolicySource::of_files(vec![broken], "policies").unwrap()).is_empty());
}
