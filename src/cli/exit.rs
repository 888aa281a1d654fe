//! How a command ends: five exit codes, and an error that knows its own.

use std::fmt;
use std::process::ExitCode;

use crate::config::ConfigError;
use crate::store::StoreError;

/// What scripts and systemd units may rely on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The command did what it may.
    Done = 0,
    /// It failed: the message says at what.
    Failed = 1,
    /// Wrong arguments, configuration or input; nothing was changed.
    Usage = 2,
    /// It refused, and needs a person: not armed, in doubt, held, a damaged file.
    Refused = 3,
    /// Another dialer holds the lock.
    Locked = 4,
}

/// The lines of `--help` that say the same.
pub const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  failed
  2  usage or configuration; nothing was changed
  3  refused, needs a person: not armed, in doubt, held, a damaged file
  4  another dialer holds the lock";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// An error that knows its exit code. One line: what happened, to what, what to do next.
#[derive(Debug)]
pub struct CliError {
    pub exit: Exit,
    pub message: String,
}

impl CliError {
    /// Wrong arguments, configuration or input.
    pub fn usage(message: impl Into<String>) -> CliError {
        CliError { exit: Exit::Usage, message: message.into() }
    }

    /// A person has to decide or do something first.
    pub fn refused(message: impl Into<String>) -> CliError {
        CliError { exit: Exit::Refused, message: message.into() }
    }

    /// Another process dials from this file.
    pub fn locked(message: impl Into<String>) -> CliError {
        CliError { exit: Exit::Locked, message: message.into() }
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for CliError {}

/// The exit code of any error: its own, wherever in the chain it stands, else `Failed`.
pub fn exit_of(error: &anyhow::Error) -> Exit {
    for cause in error.chain() {
        if let Some(known) = cause.downcast_ref::<CliError>() {
            return known.exit;
        }
        if cause.is::<ConfigError>() {
            return Exit::Usage;
        }
        match cause.downcast_ref() {
            // The wrong file was named, or the wrong program; starting again helps neither.
            Some(StoreError::Missing(_) | StoreError::NotOurs(_) | StoreError::Newer { .. }) => {
                return Exit::Usage;
            }
            Some(
                StoreError::Damaged { .. }
                | StoreError::HardLinks { .. }
                | StoreError::MountedAlone(_)
                | StoreError::StrayLog(_),
            ) => return Exit::Refused,
            _ => {}
        }
    }
    Exit::Failed
}

/// The whole chain on one line, without characters that a terminal obeys.
pub fn one_line(error: &anyhow::Error) -> String {
    super::output::clean(&format!("{error:#}"))
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn an_error_keeps_its_exit_code_under_any_context() {
        let refused: anyhow::Result<()> = Err(CliError::refused("not armed").into());
        let error = refused.context("tick").unwrap_err();
        assert_eq!(exit_of(&error), Exit::Refused);
        assert_eq!(one_line(&error), "tick: not armed");

        assert_eq!(exit_of(&anyhow::anyhow!("disk full")), Exit::Failed);
        assert_eq!(exit_of(&CliError::usage("x").into()), Exit::Usage);
        let missing: anyhow::Result<()> = Err(StoreError::Missing("x.db".into()).into());
        assert_eq!(exit_of(&missing.context("status").unwrap_err()), Exit::Usage);
        assert_eq!(exit_of(&StoreError::Busy("x.db".into()).into()), Exit::Failed);
        assert_eq!(exit_of(&CliError::locked("x").into()), Exit::Locked);
    }

    #[test]
    fn a_message_stays_on_one_line() {
        assert_eq!(one_line(&anyhow::anyhow!("a\nb\u{1b}[31mc\td")), "a b[31mc d");
    }

    #[test]
    fn the_help_names_every_exit_code() {
        for exit in [Exit::Done, Exit::Failed, Exit::Usage, Exit::Refused, Exit::Locked] {
            assert!(EXIT_CODES.contains(&format!("\n  {}  ", exit as u8)), "{exit:?}");
        }
    }
}
