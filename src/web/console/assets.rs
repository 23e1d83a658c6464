//! The files that pages ask for, kept in the binary. `assets/LICENSES` says whose they are.

use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};

use super::super::Problem;

/// Name, media type, content.
const ALL: [(&str, &str, &str); 6] = [
    ("console.css", "text/css; charset=utf-8", include_str!("assets/console.css")),
    ("console.js", "text/javascript; charset=utf-8", include_str!("assets/console.js")),
    ("htmx.min.js", "text/javascript; charset=utf-8", include_str!("assets/htmx.min.js")),
    ("icon.svg", "image/svg+xml", include_str!("assets/icon.svg")),
    ("LICENSES", "text/plain; charset=utf-8", include_str!("assets/LICENSES")),
    ("sse.min.js", "text/javascript; charset=utf-8", include_str!("assets/sse.min.js")),
];

/// `GET /console/assets/{name}`.
pub(super) async fn serve(Path(name): Path<String>) -> Response {
    let Some((_, kind, text)) = ALL.into_iter().find(|(known, ..)| *known == name) else {
        return Problem::new(StatusCode::NOT_FOUND, "not_found", "the console has no such file")
            .into_response();
    };
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(kind)),
        (CACHE_CONTROL, HeaderValue::from_static("private, max-age=3600")),
    ];
    (headers, text).into_response()
}

#[cfg(test)]
pub(super) const fn all() -> [(&'static str, &'static str, &'static str); 6] {
    ALL
}
