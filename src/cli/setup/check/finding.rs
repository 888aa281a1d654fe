//! One line of `check`: its state, its subject and its detail.

use serde::Serialize;

/// The state of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    Ok,
    /// Allowed, but the user should know.
    Warning,
    /// Commands refuse to start or to dial.
    Problem,
}

/// One item with its state and detail.
#[derive(Debug, Serialize)]
pub(crate) struct CheckFinding {
    pub(crate) item: &'static str,
    pub(crate) state: State,
    pub(crate) detail: String,
}

impl CheckFinding {
    pub(crate) fn new(item: &'static str, state: State, detail: impl Into<String>) -> CheckFinding {
        CheckFinding { item, state, detail: detail.into() }
    }
}
