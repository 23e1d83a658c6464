//! What a file is: its form, found out or told, and its text as JSON whatever it was written in.

use std::fmt::Write as _;
use std::io::Read as _;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{Description, ImportError, Wanted, aws, google, graphql, openapi, protobuf, tools};

/// A description longer than this, unpacked, is not read.
const LARGEST_BYTES: u64 = 256 << 20;

/// The form of a description.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `OpenAPI` 3.0 and 3.1, Swagger 2.0; JSON or YAML.
    OpenApi,
    /// Google API discovery.
    Google,
    /// A service model of AWS, as in botocore.
    Aws,
    /// A GraphQL schema in its definition language.
    GraphQl,
    /// The answer to MCP's `tools/list`.
    Mcp,
    /// An A2A agent card.
    A2a,
    /// A `FileDescriptorSet`.
    Protobuf,
}

impl Form {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::OpenApi, Self::Google, Self::Aws, Self::GraphQl, Self::Mcp, Self::A2a, Self::Protobuf];

    /// As one writes it after `--format`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OpenApi => "openapi",
            Self::Google => "google",
            Self::Aws => "aws",
            Self::GraphQl => "graphql",
            Self::Mcp => "mcp",
            Self::A2a => "a2a",
            Self::Protobuf => "protobuf",
        }
    }
}

/// Reads one description.
pub(super) fn read(file: &str, bytes: &[u8], wanted: &Wanted) -> Result<Description, ImportError> {
    let bytes = unpacked(file, bytes)?;
    let (form, value) = match wanted.form {
        Some(form @ (Form::GraphQl | Form::Protobuf)) => (form, Value::Null),
        Some(form) => (form, parse(&bytes).map_err(|why| malformed(file, form, why))?),
        None => guess(&bytes).ok_or_else(|| ImportError::Unknown(file.to_owned()))?,
    };
    let description = match form {
        Form::OpenApi => openapi::read(&value),
        Form::Google => google::read(&value),
        Form::Aws => aws::read(&value, wanted.levels.as_deref()),
        Form::Mcp => tools::mcp(&value),
        Form::A2a => tools::a2a(&value),
        Form::GraphQl => graphql::read(&String::from_utf8_lossy(&bytes)),
        Form::Protobuf => protobuf::read(&bytes),
    };
    description.map_err(|why| malformed(file, form, why))
}

fn malformed(file: &str, form: Form, why: String) -> ImportError {
    ImportError::Malformed { file: file.to_owned(), form: form.as_str(), why }
}

/// gzip (RFC 1952) is undone; everything else is as it is.
fn unpacked(file: &str, bytes: &[u8]) -> Result<Vec<u8>, ImportError> {
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Ok(bytes.to_vec());
    }
    let mut out = Vec::new();
    let mut reader = flate2::read::GzDecoder::new(bytes).take(LARGEST_BYTES);
    let done = reader.read_to_end(&mut out);
    done.map_err(|source| ImportError::Unreadable { file: file.to_owned(), source })?;
    Ok(out)
}

/// JSON, or YAML, of which JSON is nearly a part.
fn parse(bytes: &[u8]) -> Result<Value, String> {
    let json = match serde_json::from_slice(bytes) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    if bytes.trim_ascii_start().starts_with(b"{") {
        return Err(json.to_string());
    }
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    serde_saphyr::from_str(text)
        .map_err(|error| error.to_string().lines().next().unwrap_or("no YAML").to_owned())
}

fn guess(bytes: &[u8]) -> Option<(Form, Value)> {
    match parse(bytes) {
        Ok(value) if value.is_object() || value.is_array() => {
            let has = |key: &str| value.get(key).is_some();
            let form = if has("openapi") || has("swagger") {
                Form::OpenApi
            } else if has("discoveryVersion") || (has("rootUrl") && has("servicePath")) {
                Form::Google
            } else if has("metadata") && has("operations") {
                Form::Aws
            } else if has("tools") || value.pointer("/result/tools").is_some() {
                Form::Mcp
            } else if has("skills")
                && (has("url") || has("supportedInterfaces") || has("supported_interfaces"))
            {
                Form::A2a
            } else {
                return None;
            };
            Some((form, value))
        }
        _ => match std::str::from_utf8(bytes) {
            Ok(text) if ["type ", "schema", "interface "].iter().any(|word| text.contains(word)) => {
                Some((Form::GraphQl, Value::Null))
            }
            _ => protobuf::read(bytes).is_ok().then_some((Form::Protobuf, Value::Null)),
        },
    }
}

/// SHA-256 over all files, one after the other.
#[derive(Debug, Default)]
pub(super) struct Digest(Sha256);

impl Digest {
    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(super) fn hex(self) -> String {
        self.0.finalize().iter().fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

/// A text field; empty where there is none.
pub(super) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The members of an object field.
pub(super) fn members<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    value.get(key).and_then(Value::as_object).into_iter().flatten()
}

/// The items of an array field.
pub(super) fn items<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}
