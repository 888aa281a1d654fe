//! Numbers that are never called, because a person, a file or the customer said so.

pub mod file;
pub mod list;
pub mod opt_out;
