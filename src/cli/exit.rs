//! The five exit codes of a command, and an error that carries its exit code.

use std::fmt;
use std::process::ExitCode;

use crate::config::error::ConfigError;
use crate::store::error::StoreError;

/// Exit codes; scripts and systemd units rely on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The command did everything that it may do.
    Done = 0,
    /// The command failed; the message says where.
    Failed = 1,
    /// Wrong arguments, configuration or input; nothing was changed.
    Usage = 2,
    /// The command refused and a person must act: not armed, in doubt, held, or a damaged file.
    Refused = 3,
    /// Another dialer holds the lock.
    Locked = 4,
}

/// The same codes, as `--help` prints them.
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

/// An error with its exit code. Its message is one line: what failed, why, and the next command.
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

    /// A state in which a person must decide or act first.
    pub fn refused(message: impl Into<String>) -> CliError {
        CliError { exit: Exit::Refused, message: message.into() }
    }

    /// A file from which another process dials.
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

/// The exit code of any error: the first one in its chain, else `Failed`.
pub fn exit_of(error: &anyhow::Error) -> Exit {
    for cause in error.chain() {
        if let Some(known) = cause.downcast_ref::<CliError>() {
            return known.exit;
        }
        if cause.is::<ConfigError>() {
            return Exit::Usage;
        }
        match cause.downcast_ref() {
            // The user named the wrong file or uses the wrong program; a restart does not help.
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

/// The whole error chain on one line, without control characters.
pub fn one_line(error: &anyhow::Error) -> String {
    crate::present::output::clean(&format!("{error:#}"))
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
