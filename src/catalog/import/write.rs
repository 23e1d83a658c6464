//! The three files of a service, written.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::{ImportError, Imported};
use crate::catalog::manifest::{About, FORMAT};
use crate::catalog::table::Table;

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The folder of the service.
    pub folder: PathBuf,
    /// `overrides.toml` was there and has been left alone.
    pub kept_overrides: bool,
}

/// What cannot be loaded is not written.
pub(super) fn check(imported: &Imported) -> Result<(), ImportError> {
    let service = service(imported);
    let about = About::parse(&service)
        .map_err(|fault| ImportError::Unsound(format!("{}; {}", fault.why, fault.remedy)))?;
    let Err((_, fault)) = Table::parse(&about, &operations(imported), "") else { return Ok(()) };
    Err(ImportError::Unsound(format!("line {}: {}; {}", fault.line, fault.why, fault.remedy)))
}

pub(super) fn write(imported: &Imported, out: &Path) -> Result<Written, ImportError> {
    let folder = out.join(&imported.about.name);
    let put = |name: &str, text: String| {
        let file = folder.join(name);
        let unwritable = |source| ImportError::Unwritable { file: file.display().to_string(), source };
        std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&file, text)).map_err(unwritable)
    };
    put("service.toml", service(imported))?;
    put("operations.tsv", operations(imported))?;
    let kept_overrides = folder.join("overrides.toml").exists();
    if !kept_overrides {
        put("overrides.toml", OVERRIDES.to_owned())?;
    }
    Ok(Written { folder, kept_overrides })
}

const OVERRIDES: &str = "# Classes judged by hand, with the reason. An import keeps this file.\n#\n# [[override]]\n# operation = \"\"\n# class = \"act\"\n# reason = \"\"\n";

fn service(imported: &Imported) -> String {
    // Our own types always serialise.
    toml::to_string(&imported.about).unwrap_or_default()
}

fn operations(imported: &Imported) -> String {
    let mut text =
        format!("#remit-operations {FORMAT}\n# method\ttemplate\toperation\tclass\tresource\twhy\n");
    for line in &imported.lines {
        let resource = line.resource.as_deref().unwrap_or("-");
        let (class, why) = (line.class.as_str(), line.why.replace(['\t', '\n', '\r'], " "));
        let _ = writeln!(text, "{}\t{}\t{}\t{class}\t{resource}\t{why}", line.verb, line.template, line.name);
    }
    text
}
