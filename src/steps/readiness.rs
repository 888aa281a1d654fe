//! Whether this file may dial, here and now: arming, clocks, restarts, and unwritten outcomes.

pub mod armed;
pub mod clock_check;
pub mod disarm_others;
pub mod hold_words;
pub mod instance;
pub mod last_start;
pub mod quarantine;
pub mod restart;
pub mod unwritten;
