//! `remit policy fmt`: policy files in their one form.

use std::path::Path;
use std::process::ExitCode;

use super::failure::Failure;
use super::screen;
use crate::judge::{PolicySource, format};

/// Writes the files that have another form than theirs, and says which.
pub(super) fn write(directory: Option<&Path>, source: &PolicySource) -> Result<ExitCode, Failure> {
    let Some(directory) = directory else {
        return Err(Failure::usage("the policies in the binary are not yours to format")
            .remedy("name a folder with --policies, or in policies.dir of the configuration"));
    };
    for (file, text) in format::unformatted(source) {
        let path = directory.join(&file.name);
        std::fs::write(&path, text).map_err(|error| {
            Failure::found_wanting(format!("`{}` cannot be written: {error}", path.display()))
        })?;
        screen::tell(&format!("formatted {}", file.name));
    }
    Ok(ExitCode::SUCCESS)
}

/// Says which files have another form than theirs: exit 0 if none has.
pub(super) fn look(source: &PolicySource) -> ExitCode {
    let other = format::unformatted(source);
    for (file, _) in &other {
        screen::tell(&format!("{}: not formatted; `remit policy fmt` does it", file.name));
    }
    ExitCode::from(u8::from(!other.is_empty()))
}
