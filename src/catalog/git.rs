//! Git over HTTP and its large files: fetches read, pushes act.
//!
//! gitprotocol-http; Git LFS batch API. Only places that the catalog leaves open, or whose body decides.

use crate::call::Class;

use super::reading::{Reading, Told};

pub(super) fn read(reading: &Reading<'_>) -> Told {
    let place = &reading.place;
    match &*reading.path {
        [.., info, lfs, objects, batch]
            if info == "info" && lfs == "lfs" && objects == "objects" && batch == "batch" =>
        {
            large_files(reading)
        }
        [.., last] if !place.is_exact() && last == "git-upload-pack" && reading.verb == "POST" => {
            Told::Instead(vec![reading.inferred(Class::Read, "git fetch")])
        }
        [.., last] if !place.is_exact() && last == "git-receive-pack" => {
            Told::Also(vec![reading.inferred(Class::Act, "git push")])
        }
        _ => Told::Nothing,
    }
}

/// A batch that downloads changes nothing.
fn large_files(reading: &Reading<'_>) -> Told {
    let said = reading.request.content.said("operation");
    let clear = reading.request.content.trouble.is_none() && !said.is_empty();
    if reading.verb == "POST" && clear && said.iter().all(|operation| operation == "download") {
        return Told::Instead(vec![reading.inferred(Class::Read, "git LFS download")]);
    }
    Told::Nothing
}
