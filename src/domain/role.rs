//! What the holder of a token may do on the page and over the API.

use crate::domain::text_enum;

text_enum! {
    /// Each role may do what the ones before it may.
    pub enum Role {
        /// Looks; whole numbers and transcripts stay hidden.
        Viewer = "viewer",
        /// Acts for customers: edits, pauses, calls, settles doubts.
        Support = "support",
        /// Also lifts holds, closes the breaker and resumes all calls.
        Operator = "operator",
    }
}
