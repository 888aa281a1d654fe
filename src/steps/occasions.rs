//! The next occasion of a customer, and edits that move the waiting item.

pub mod finish;
pub mod first_due;
pub mod missed;
pub mod next;
pub mod reschedule;
pub mod zone_rules;
