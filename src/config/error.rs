//! The errors of a configuration, and the look-up of environment variables.

use std::fmt;

/// Why the configuration cannot be used: one line, ready to print.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

impl ConfigError {
    pub(crate) fn new(message: String) -> ConfigError {
        ConfigError(message)
    }
}

/// Returns the value of an environment variable; `None` when it is unset.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A value that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigProblem {
    /// `table.key`.
    pub key: String,
    /// The fault, and the text to write instead.
    pub what: String,
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.what)
    }
}
