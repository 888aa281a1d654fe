//! Words, text and JSON that the command line and the web share.

pub mod attempt;
pub mod csv;
pub mod customer;
pub mod event;
pub mod explain;
pub mod output;
pub mod person;
pub mod queue_item;
