//! Limits how many requests read or write the database at once.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::clock;

/// How long a request waits for a turn before it gets a 503 answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// A counting semaphore with a timeout; `free` is the number of free places.
pub(crate) struct Slots {
    pub(crate) free: Mutex<usize>,
    pub(crate) left: Condvar,
}

/// One request's turn; ends when it is dropped.
pub struct Turn<'a> {
    pub(crate) slots: &'a Slots,
}

impl Slots {
    pub(crate) fn new(places: usize) -> Slots {
        Slots { free: Mutex::new(places), left: Condvar::new() }
    }

    pub(crate) fn enter(&self) -> Option<Turn<'_>> {
        let until = clock::elapsed() + PATIENCE;
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        while *free == 0 {
            let left = until.saturating_sub(clock::elapsed());
            if left.is_zero() {
                return None;
            }
            free = self.left.wait_timeout(free, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        *free -= 1;
        Some(Turn { slots: self })
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.slots.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.slots.left.notify_one();
    }
}
