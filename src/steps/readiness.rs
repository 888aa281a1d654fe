//! Whether this file may dial, here and now: arming, clocks, restarts, unwritten
//! outcomes, and the one list of reasons why a due call would not be dialed.

pub mod armed;
pub mod clock_check;
pub mod disarm_others;
pub mod health;
pub mod hold_words;
pub mod instance;
pub mod last_start;
pub mod quarantine;
pub mod reach;
pub mod restart;
pub mod unwritten;
