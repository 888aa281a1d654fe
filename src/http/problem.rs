//! The error answers of the API: `application/problem+json`, with the wrong field.

use serde_json::json;

use crate::http::response::Response;

/// A refused request; it is also an error for use with `?`.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{detail}")]
pub struct Problem {
    pub status: u16,
    /// One line: the fault and the next step.
    pub detail: String,
    /// The wrong field of the body or the query.
    pub field: Option<String>,
    /// After how many seconds the client may try again.
    pub retry_after: Option<u64>,
    /// When the calling window opens next, for a call outside it.
    pub next_opening: Option<String>,
    /// The item that is in the way.
    pub item_id: Option<i64>,
}

impl Problem {
    pub fn new(status: u16, detail: impl Into<String>) -> Problem {
        Problem {
            status,
            detail: detail.into(),
            field: None,
            retry_after: None,
            next_opening: None,
            item_id: None,
        }
    }

    pub fn not_found(what: impl Into<String>) -> Problem {
        Problem::new(404, what)
    }

    /// A value that cannot be used.
    pub fn field(field: &str, detail: impl Into<String>) -> Problem {
        Problem { field: Some(field.to_string()), ..Problem::new(422, detail) }
    }

    /// Too many wrong tokens.
    pub fn too_many_guesses(wait: chrono::Duration) -> Problem {
        // Rounded up: a client that tries a moment too early has to wait again.
        let seconds = u64::try_from((wait.num_milliseconds() + 999) / 1000).unwrap_or(1).max(1);
        let detail = format!("too many wrong tokens; wait {seconds} seconds, then try again");
        Problem { retry_after: Some(seconds), ..Problem::new(429, detail) }
    }

    pub fn title(&self) -> &'static str {
        match self.status {
            400 => "The request cannot be read",
            401 => "Not signed in",
            403 => "Not allowed",
            404 => "Not found",
            405 => "Not this way",
            408 => "The request took too long",
            409 => "The state has changed",
            413 | 414 | 431 => "The request is too large",
            422 => "A value cannot be used",
            429 => "Too many attempts",
            503 => "Not now",
            _ => "Something went wrong",
        }
    }

    pub fn response(&self) -> Response {
        let mut body = json!({
            "type": "about:blank",
            "title": self.title(),
            "status": self.status,
            "detail": self.detail,
        });
        if let Some(field) = &self.field {
            body["field"] = json!(field);
        }
        if let Some(opens) = &self.next_opening {
            body["next_opening"] = json!(opens);
        }
        if let Some(item) = self.item_id {
            body["item_id"] = json!(item);
        }
        let response = Response::new(self.status)
            .with_header("Content-Type", "application/problem+json; charset=utf-8")
            .with_body(body.to_string().into_bytes());
        let response = self.with_wait(response);
        match self.status {
            401 => response.with_header("WWW-Authenticate", "Bearer realm=\"ringonce\""),
            _ => response,
        }
    }

    /// The answer with the time after which the client may try again.
    pub fn with_wait(&self, response: Response) -> Response {
        match self.retry_after.or((self.status == 503).then_some(2)) {
            Some(seconds) => response.with_header("Retry-After", &seconds.to_string()),
            None => response,
        }
    }
}

/// The problem behind an error. An unexpected error is logged, and the client gets only a 500.
pub fn of_error(error: anyhow::Error) -> Problem {
    match error.downcast::<Problem>() {
        Ok(problem) => problem,
        Err(error) => {
            log::error!("a request failed: {error:#}");
            Problem::new(500, "it failed; the log of ringonce says why")
        }
    }
}
