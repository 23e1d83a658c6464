//! SQL over HTTP: what a statement does decides what the call that runs it does.
//!
//! A statement is judged by its tokens: the keyword that it begins with, and whether a query has a change inside. That is less
//! than a grammar of each dialect and fails on the safe side: what is not known to read is an act. Dialects differ in
//! quotes and comments, so a text is read in each, and the strongest reading counts.

use sqlparser::dialect::{BigQueryDialect, Dialect, GenericDialect, MySqlDialect, PostgreSqlDialect};
use sqlparser::tokenizer::{Token, Tokenizer, Whitespace};

use crate::call::{Class, Operation};

use super::aws;
use super::json::Json;
use super::reading::Reading;

/// A longer text is not read.
const TEXT_BYTES: usize = 128 << 10;
/// How many texts of one request are read.
const TEXTS: usize = 100;

/// What the statements of a request do.
#[derive(Debug)]
struct Found {
    class: Class,
    /// It is SQL beyond doubt, not a search text that begins like it.
    sure: bool,
    /// It stands where a job for a query has it.
    as_job: bool,
    /// Only to be checked, not to be run.
    dry: bool,
}

/// Takes the statements of a request into account.
pub(super) fn apply(reading: &Reading<'_>, operations: &mut Vec<Operation>) {
    let found = look(reading);
    let trouble = reading.request.content.trouble;
    if found.is_none() && trouble.is_none() {
        return;
    }
    let known = |operation: &Operation| operation.id.0.split_once(':').map(|(_, name)| name.to_owned());
    let mut names: Vec<String> = aws::actions(reading);
    let exact = operations.iter().find(|operation| operation.how == crate::call::Recognition::Exact);
    names.extend(exact.and_then(known));
    if exact.is_none() {
        names.extend(reading.path.last().map(|last| last.rsplit(':').next().unwrap_or_default().to_owned()));
    }
    let runs = names.iter().any(|name| runs(name));
    if runs && let Some(why) = trouble {
        operations.push(reading.unknown(Class::Delegate, why.0));
        return;
    }
    let Some(found) = found else { return };
    let job = found.as_job && reading.last() == "jobs";
    let class = if found.dry && (runs || job) { Class::Read } else { found.class };
    let because = format!("a SQL statement that is {}", if found.dry { "only checked" } else { says(class) });
    if (runs || job) && operations.iter().all(|operation| operation.class < Class::Delegate) {
        for operation in operations.iter_mut().filter(|operation| operation.class != class) {
            *operation = reading.inferred(class, &because);
        }
    } else if found.sure && operations.iter().all(|operation| operation.class < class) {
        operations.push(reading.inferred(class, &because));
    }
}

fn says(class: Class) -> &'static str {
    match class {
        Class::Read => "a query",
        Class::Act => "a change, or nothing that is known",
        Class::Delegate => "a change of rights",
    }
}

/// Whether an operation of this name runs a statement that its request has: `ExecuteStatement`, `jobs.query`.
fn runs(name: &str) -> bool {
    let name: String = name
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '.')
        .collect::<String>()
        .to_ascii_lowercase();
    let about = ["sql", "statement", "query", "queries", "transaction", "dml"];
    let other = [
        "create",
        "update",
        "delete",
        "save",
        "put",
        "cancel",
        "stop",
        "list",
        "describe",
        "get",
        "named",
        "prepared",
        "translate",
        "commit",
        "begin",
        "rollback",
        "insert",
    ];
    let runs = ["execute", "run", "start", "submit"].iter().any(|verb| name.contains(verb));
    let ends = ["query", "queries", "sql", "statement", "statements"].iter().any(|noun| name.ends_with(noun));
    about.iter().any(|noun| name.contains(noun))
        && (runs || ends)
        && !other.iter().any(|verb| name.contains(verb))
}

/// The statements that a request has.
fn look(reading: &Reading<'_>) -> Option<Found> {
    let content = reading.request.content;
    let mut texts: Vec<String> = Vec::new();
    let (mut as_job, mut dry) = (false, false);
    for object in content.objects() {
        fields(object, &mut texts, 0);
        for job in object.fields("configuration") {
            let queries: Vec<&str> = job.fields("query").flat_map(|query| query.texts("query")).collect();
            as_job |= !queries.is_empty() && !["load", "copy", "extract"].iter().any(|kind| job.has(kind));
            texts.extend(queries.into_iter().map(str::to_owned));
            dry |= is_dry(job);
        }
        dry |= is_dry(object);
    }
    if content.json.is_empty() {
        let form = content.form();
        for name in ["query", "sql", "statement", "q"] {
            texts.extend(form.all(name).chain(reading.request.query.all(name)));
        }
        let bare = matches!(content.media.as_str(), "" | "text/plain" | "application/sql" | "text/sql");
        let text = content.text.as_ref().filter(|text| bare && form.0.is_none() && begins(text));
        texts.extend(text.cloned());
    }
    texts.retain(|text| begins(text));
    texts.truncate(TEXTS);
    let read: Vec<(Class, bool)> = texts.iter().map(|text| class(text)).collect();
    let class = read.iter().map(|(class, _)| *class).max()?;
    let sure = read.iter().any(|(one, sure)| *one == class && *sure);
    Some(Found { class, sure, as_job, dry })
}

/// All that is said must be `true`.
fn is_dry(object: &Json) -> bool {
    let said: Vec<&Json> = object.fields("dryRun").collect();
    !said.is_empty() && said.iter().all(|value| **value == Json::Bool(true))
}

fn fields(object: &Json, texts: &mut Vec<String>, depth: usize) {
    const NAMES: [&str; 8] = [
        "sql",
        "sqls",
        "statement",
        "statements",
        "transactStatements",
        "queryString",
        "sqlStatement",
        "query",
    ];
    for value in NAMES.iter().flat_map(|name| object.fields(name)).flat_map(Json::each) {
        if let Some(text) = value.text() {
            texts.push(text.to_owned());
        } else if depth < 2 {
            fields(value, texts, depth + 1);
        }
    }
}

/// Whether a text begins with a word that begins a statement, comments left out.
fn begins(text: &str) -> bool {
    const WORDS: [&str; 42] = [
        "ALTER", "ANALYZE", "BEGIN", "CALL", "COMMENT", "COMMIT", "COPY", "CREATE", "DECLARE", "DELETE",
        "DENY", "DESC", "DESCRIBE", "DO", "DROP", "EXEC", "EXECUTE", "EXPLAIN", "EXPORT", "FROM", "GRANT",
        "IF", "INSERT", "LOAD", "LOCK", "MERGE", "MSCK", "OPTIMIZE", "REFRESH", "RENAME", "REPLACE",
        "REVOKE", "SELECT", "SET", "SHOW", "TABLE", "TRUNCATE", "UNLOAD", "UPDATE", "VACUUM", "VALUES",
        "WITH",
    ];
    let mut rest = text;
    loop {
        rest =
            rest.trim_start_matches(|c: char| c.is_whitespace() || c == '(' || c == ';' || c == '\u{feff}');
        if let Some(comment) = rest.strip_prefix("/*") {
            rest = comment.find("*/").and_then(|at| comment.get(at + 2..)).unwrap_or_default();
        } else if rest.starts_with("--") || rest.starts_with('#') {
            rest = rest.find('\n').and_then(|at| rest.get(at..)).unwrap_or_default();
        } else {
            break;
        }
    }
    let end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
    let word = rest.get(..end).unwrap_or_default().to_ascii_uppercase();
    WORDS.binary_search(&word.as_str()).is_ok()
}

/// What the statements of a text do, and whether it is SQL beyond doubt.
pub(super) fn class(text: &str) -> (Class, bool) {
    if text.len() > TEXT_BYTES {
        return (Class::Delegate, true);
    }
    let dialects: [&dyn Dialect; 4] =
        [&BigQueryDialect {}, &PostgreSqlDialect {}, &MySqlDialect {}, &GenericDialect {}];
    let read = dialects.map(|dialect| in_dialect(dialect, text));
    read.into_iter()
        .fold((Class::Read, false), |(class, sure), (next, next_sure)| (class.max(next), sure || next_sure))
}

fn in_dialect(dialect: &dyn Dialect, text: &str) -> (Class, bool) {
    let Ok(tokens) = Tokenizer::new(dialect, text).tokenize() else { return (Class::Act, false) };
    // MySQL runs what stands in such a comment.
    let hidden = |token: &Token| matches!(token, Token::Whitespace(Whitespace::MultiLineComment(text)) if text.starts_with(['!', 'M']));
    let floor = if tokens.iter().any(hidden) { Class::Delegate } else { Class::Read };
    let tokens: Vec<Token> =
        tokens.into_iter().filter(|token| !matches!(token, Token::Whitespace(_) | Token::EOF)).collect();
    let statements = tokens.split(|token| *token == Token::SemiColon).filter(|tokens| !tokens.is_empty());
    let read: Vec<(Class, bool)> = statements.map(statement).collect();
    let class = read.iter().map(|(class, _)| *class).max().unwrap_or(Class::Act);
    (class.max(floor), read.iter().any(|(_, sure)| *sure))
}

/// A keyword or a bare identifier, in upper case.
fn word(token: &Token) -> Option<String> {
    match token {
        Token::Word(word) if word.quote_style.is_none() => Some(word.value.to_ascii_uppercase()),
        _ => None,
    }
}

fn statement(tokens: &[Token]) -> (Class, bool) {
    let start = tokens.iter().position(|token| *token != Token::LParen).unwrap_or(0);
    let tokens = tokens.get(start..).unwrap_or_default();
    let words: Vec<String> = tokens.iter().map(|token| word(token).unwrap_or_default()).collect();
    let at = |n: usize| words.get(n).map_or("", String::as_str);
    let has = |wanted: &str| words.iter().any(|word| word == wanted);
    let rest = |n: usize| tokens.get(n..).unwrap_or_default();
    match at(0) {
        "SELECT" | "WITH" | "VALUES" | "TABLE" | "FROM" => {
            (query(tokens, &words), has("SELECT") && words.len() > 1)
        }
        "EXPLAIN" if has("ANALYZE") || has("ANALYSE") => {
            let inner = words.iter().position(|word| STRONG.contains(&word.as_str()));
            inner.map_or((query(tokens, &words), false), |at| statement(rest(at)))
        }
        "SHOW" | "DESCRIBE" | "DESC" | "DECLARE" | "EXPLAIN" | "" => (Class::Read, false),
        "BEGIN" if at(1).is_empty() || matches!(at(1), "TRANSACTION" | "WORK" | "TRAN") => {
            (Class::Read, false)
        }
        "BEGIN" => statement(rest(1)),
        "END" if words.len() == 1 => (Class::Read, false),
        "GRANT" | "DENY" => (Class::Delegate, has("TO")),
        // What they run is in a text or in a procedure.
        "EXECUTE" | "EXEC" | "DO" => (Class::Delegate, false),
        "CREATE" | "ALTER" => {
            let subjects = [
                "USER",
                "ROLE",
                "LOGIN",
                "GROUP",
                "POLICY",
                "CREDENTIAL",
                "PRIVILEGES",
                "SHARE",
                "OWNER",
                "GRANT",
            ];
            let near = words.iter().take(8).any(|word| subjects.contains(&word.as_str()));
            // `CREATE ROW ACCESS POLICY .. GRANT TO (..)`.
            let grants = words.windows(2).any(|pair| matches!(pair, [a, b] if a == "GRANT" && b == "TO"));
            (if near || grants { Class::Delegate } else { Class::Act }, words.len() > 2)
        }
        "DELETE" => (Class::Act, at(1) == "FROM"),
        "UPDATE" => (Class::Act, has("SET")),
        "INSERT" | "MERGE" => (Class::Act, has("INTO") || has("USING")),
        "DROP" | "TRUNCATE" | "REVOKE" | "COPY" | "UNLOAD" | "EXPORT" => (Class::Act, words.len() > 2),
        _ => (Class::Act, false),
    }
}

/// Keywords that begin a change.
const STRONG: [&str; 9] =
    ["INSERT", "UPDATE", "DELETE", "MERGE", "CREATE", "DROP", "ALTER", "TRUNCATE", "GRANT"];

/// Functions that change something from within a query.
const EFFECTS: [&str; 18] = [
    "DBLINK",
    "DBLINK_EXEC",
    "LO_CREATE",
    "LO_EXPORT",
    "LO_IMPORT",
    "LO_UNLINK",
    "NEXTVAL",
    "PG_ADVISORY_LOCK",
    "PG_CANCEL_BACKEND",
    "PG_NOTIFY",
    "PG_RELOAD_CONF",
    "PG_TERMINATE_BACKEND",
    "QUERY_TO_XML",
    "SETVAL",
    "SET_CONFIG",
    "SYS_EVAL",
    "SYS_EXEC",
    "XP_CMDSHELL",
];

/// A query, unless a part of it changes something.
fn query(tokens: &[Token], words: &[String]) -> Class {
    for (at, name) in words.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| tokens.get(at));
        let after = tokens.get(at + 1);
        let opens = matches!(before, Some(Token::LParen | Token::RParen));
        let is_word = matches!(after, Some(Token::Word(_)));
        if name == "INTO" || (STRONG.contains(&name.as_str()) && opens && is_word) {
            return Class::Act;
        }
        if after == Some(&Token::LParen) && EFFECTS.binary_search(&name.as_str()).is_ok() {
            return Class::Act;
        }
    }
    Class::Read
}
