//! Commands for a new machine: the configuration file, checks, shell completions.

pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod init;
