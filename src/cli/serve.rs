//! The commands that dial or serve, and the process setup before a command.

pub mod dialing;
pub(crate) mod listening;
pub(crate) mod looking;
mod outgoing;
pub(crate) mod startup;
