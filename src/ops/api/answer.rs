//! How the API answers: a value as JSON, or a refusal with its status.

use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::ops::status::Refusal;

/// What was asked for.
#[derive(Debug)]
pub(super) struct Answer<T>(pub(super) T);

/// Why something was not done.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) status: StatusCode,
    pub(super) refusal: Refusal,
}

impl Refused {
    pub(super) fn new(status: StatusCode, error: impl Into<String>) -> Self {
        let (error, details) = (error.into(), Vec::new());
        Self {
            status,
            refusal: Refusal { error, details },
        }
    }

    /// The same, with the names that there are, or every mistake.
    pub(super) fn with(mut self, details: Vec<String>) -> Self {
        self.refusal.details = details;
        self
    }
}

impl<T: Serialize> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        json(StatusCode::OK, &self.0)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        json(self.status, &self.refusal)
    }
}

/// `value` as JSON.
fn json(status: StatusCode, value: &impl Serialize) -> Response {
    let Ok(mut body) = serde_json::to_vec(value) else {
        // The values are structures of text and numbers: nothing in them can fail.
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    body.push(b'\n');
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(JSON)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (status, headers, body).into_response()
}

/// Nothing is at this path.
pub(super) async fn no_such_path(uri: Uri) -> Refused {
    let error = format!("nothing is at {}: see docs/api.md", uri.path());
    Refused::new(StatusCode::NOT_FOUND, error)
}

/// This path is asked otherwise.
pub(super) async fn no_such_method(method: Method, uri: Uri) -> Refused {
    let error = format!("{} is not asked by {method}: see docs/api.md", uri.path());
    Refused::new(StatusCode::METHOD_NOT_ALLOWED, error)
}

/// The type of bodies, of requests as well.
pub(super) const JSON: &str = "application/json";
