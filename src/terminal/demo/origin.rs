//! A small origin that plays a SaaS API on loopback, and remembers what reached it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::IntoResponse;
use tokio::net::TcpListener;

use super::story::Story;

/// It answers the story's calls, and nothing else.
pub(super) struct Origin {
    listener: Mutex<Option<TcpListener>>,
    address: SocketAddr,
    router: Router,
    seen: Seen,
}

// One line a request; guards the list alone.
type Seen = Arc<Mutex<Vec<String>>>;

impl Origin {
    /// Takes a free port.
    pub(super) async fn listen(story: &Story) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let seen = Seen::default();
        let answers: Vec<_> = story
            .steps
            .iter()
            .map(|step| (step.method.clone(), step.path.clone(), step.answer.clone()))
            .collect();
        let (answers, book) = (Arc::new(answers), Arc::clone(&seen));
        let router = Router::new().fallback(move |method: Method, uri: Uri, headers: HeaderMap| {
            let (answers, book) = (Arc::clone(&answers), Arc::clone(&book));
            async move {
                let traced = if headers.contains_key("traceparent") { ", with a traceparent" } else { "" };
                book.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{method} {uri}{traced}"));
                let found = answers.iter().find(|(m, path, _)| *m == method.as_str() && uri == path.as_str());
                match found {
                    Some((_, _, body)) => {
                        ([(header::CONTENT_TYPE, "application/json")], body.clone()).into_response()
                    }
                    None => StatusCode::NOT_FOUND.into_response(),
                }
            }
        });
        Ok(Self { listener: Mutex::new(Some(listener)), address, router, seen })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until dropped; ends only on failure.
    pub(super) async fn serve(&self) {
        let listener = self.listener.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(listener) = listener {
            let _ = axum::serve(listener, self.router.clone()).await;
        }
    }

    /// What reached it.
    pub(super) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
