//! The latest edits of the page, so that each can be taken back. They are kept in memory alone: an
//! address of the page must not hold what a person was called before.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use crate::domain::customer::Customer;

/// Older edits are forgotten.
const KEPT: usize = 50;

/// A customer before and after an edit.
#[derive(Clone, Debug)]
pub struct SavedEdit {
    pub before: Customer,
    pub after: Customer,
}

#[derive(Debug, Default)]
pub struct SavedEdits(Mutex<VecDeque<(String, SavedEdit)>>);

impl SavedEdits {
    /// Returns the word by which the page names the edit.
    pub fn keep(&self, edit: SavedEdit) -> String {
        let word = uuid::Uuid::new_v4().simple().to_string();
        let mut edits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        edits.push_back((word.clone(), edit));
        while edits.len() > KEPT {
            edits.pop_front();
        }
        word
    }

    /// The edit of this customer that a word names; `None`: forgotten, or never made.
    pub fn find(&self, word: &str, customer_id: i64) -> Option<SavedEdit> {
        let edits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = edits.iter().find(|(known, _)| known == word).map(|(_, edit)| edit);
        found.filter(|edit| edit.after.id == customer_id).cloned()
    }
}
