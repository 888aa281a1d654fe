//! Usage errors on one line: the wrong word and the reason, the nearest known word, and the
//! command that prints the help.

use std::error::Error as _;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, Error};

use crate::present::output::clean;

/// The line that the user reads. `None`: clap's own text is the answer (help or version); print it
/// as it is.
pub fn one_line(error: &Error, tree: &Command, words: &[String]) -> Option<String> {
    let about = |kind| texts(error.get(kind));
    let first = |kind| about(kind).into_iter().next().unwrap_or_default();
    let near =
        [ContextKind::SuggestedSubcommand, ContextKind::SuggestedArg, ContextKind::SuggestedValue];
    let wrong =
        [ContextKind::InvalidSubcommand, ContextKind::InvalidValue, ContextKind::InvalidArg];
    let wrong = wrong.into_iter().flat_map(about).next().unwrap_or_default();
    // The order of clap's suggestions does not say which one is nearest.
    let near = near.into_iter().flat_map(about);
    let near = near.min_by_key(|near| strsim::levenshtein(&wrong, near));
    let command = command_of(tree, words);
    let what = match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayVersion
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => return None,
        ErrorKind::InvalidSubcommand => {
            format!("\"{}\" is not a command", first(ContextKind::InvalidSubcommand))
        }
        ErrorKind::UnknownArgument => unknown(&first(ContextKind::InvalidArg), &command),
        ErrorKind::MissingRequiredArgument => {
            let missing = about(ContextKind::InvalidArg);
            let verb = if missing.len() == 1 { "is" } else { "are" };
            let missing = missing.join(" and ");
            let line = format!("{missing} {verb} missing: write {}", usage(error, &command));
            return Some(clean(&line));
        }
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => wrong_value(error),
        ErrorKind::ArgumentConflict => {
            let others = about(ContextKind::PriorArg).join(", ");
            format!("{} cannot go with {others}", first(ContextKind::InvalidArg))
        }
        ErrorKind::TooManyValues => format!(
            "{} takes no value, and was given \"{}\"",
            first(ContextKind::InvalidArg),
            first(ContextKind::InvalidValue)
        ),
        // The first line of clap's text is the error; the rest repeats the help.
        _ => {
            let told = error.to_string();
            told.lines().next().unwrap_or_default().trim_start_matches("error: ").to_string()
        }
    };
    let hint = near.map_or(String::new(), |near| format!("; did you mean {near}?"));
    Some(clean(&format!("{what}{hint} (see {command} --help)")))
}

fn unknown(word: &str, command: &str) -> String {
    if word.starts_with('-') {
        format!("{word} is not an option of {command}")
    } else {
        format!("\"{word}\" is one argument too many for {command}")
    }
}

fn wrong_value(error: &Error) -> String {
    let said = |kind| texts(error.get(kind)).join(", ");
    let (option, value) = (said(ContextKind::InvalidArg), said(ContextKind::InvalidValue));
    if value.is_empty() {
        return format!("{option} needs a value");
    }
    let known = said(ContextKind::ValidValue);
    let why = match error.source() {
        Some(_) if option.contains("<N>") || option.contains("<ID>") => match whole_range(error) {
            Some(range) => format!("write a whole number {range}"),
            None => "write a whole number".to_string(),
        },
        Some(why) => why.to_string(),
        None => format!("use {known}"),
    };
    format!("\"{value}\" is not valid for {option}: {why}")
}

/// The bounds that a number exceeded, as `from 40 to 1000`; `None` if it is not a number.
fn whole_range(error: &Error) -> Option<String> {
    let told = error.source()?.to_string();
    let (_, range) = told.split_once(" is not in ")?;
    let (low, high) = range.split_once("..")?;
    match high.trim_start_matches('=') {
        "" => Some(format!("from {low}")),
        high => Some(format!("from {low} to {high}")),
    }
}

/// The command's usage line without the word `Usage`.
fn usage(error: &Error, command: &str) -> String {
    let told = texts(error.get(ContextKind::Usage)).into_iter().next();
    let told = told.map(|told| told.trim_start_matches("Usage:").trim().to_string());
    told.unwrap_or_else(|| format!("see {command} --help"))
}

fn texts(value: Option<&ContextValue>) -> Vec<String> {
    match value {
        Some(ContextValue::String(text)) => vec![text.clone()],
        Some(ContextValue::Strings(texts)) => texts.clone(),
        Some(ContextValue::StyledStr(text)) => vec![text.to_string()],
        Some(ContextValue::StyledStrs(texts)) => texts.iter().map(ToString::to_string).collect(),
        _ => Vec::new(),
    }
}

/// The longest command that the words name, such as `ringonce dnc add`.
fn command_of(tree: &Command, words: &[String]) -> String {
    let (mut at, mut name) = (tree, tree.get_name().to_string());
    for word in words {
        if let Some(inner) = at.find_subcommand(word) {
            name = format!("{name} {}", inner.get_name());
            at = inner;
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use crate::cli::Cli;

    fn told(line: &str) -> Option<String> {
        let words: Vec<String> = line.split(' ').map(str::to_string).collect();
        let error = Cli::try_parse_from(["ringonce".to_string()].iter().chain(&words)).err()?;
        super::one_line(&error, &Cli::command(), &words)
    }

    #[test]
    fn wrong_command_line_is_one_line_with_the_nearest_word() {
        let see = |command: &str| format!(" (see {command} --help)");
        for (line, expected) in [
            ("runn", "\"runn\" is not a command; did you mean run?".to_string() + &see("ringonce")),
            (
                "customers lst",
                "\"lst\" is not a command; did you mean list?".to_string()
                    + &see("ringonce customers"),
            ),
            (
                "run --listn x",
                "--listn is not an option of ringonce run; did you mean --listen?".to_string()
                    + &see("ringonce run"),
            ),
            (
                "status extra",
                "\"extra\" is one argument too many for ringonce status".to_string()
                    + &see("ringonce status"),
            ),
            ("run --db", "--db <FILE> needs a value".to_string() + &see("ringonce run")),
            (
                "plan --days x",
                "\"x\" is not valid for --days <N>: write a whole number".to_string()
                    + &see("ringonce plan"),
            ),
            (
                "demo --customers 0",
                "\"0\" is not valid for --customers <N>: write a whole number from 40 to 1000"
                    .to_string()
                    + &see("ringonce demo"),
            ),
            (
                "completions tcsh",
                "\"tcsh\" is not valid for <SHELL>: use bash, elvish, fish, powershell, zsh; did \
                 you mean zsh?"
                    .to_string()
                    + &see("ringonce completions"),
            ),
            (
                "status --json=1",
                "--json takes no value, and was given \"1\"".to_string() + &see("ringonce status"),
            ),
            (
                "attempts resolve 1 --placed --not-placed --reason x",
                "--placed cannot go with --not-placed".to_string()
                    + &see("ringonce attempts resolve"),
            ),
            (
                "dnc add",
                "--reason <REASON> and <PHONE> are missing: write ringonce dnc add --reason <REASON> \
                 <PHONE>"
                    .to_string(),
            ),
        ] {
            assert_eq!(told(line), Some(expected), "{line}");
        }
    }

    #[test]
    fn help_and_version_are_not_errors() {
        for line in ["--help", "--version", "customers", "run --help"] {
            assert_eq!(told(line), None, "{line}");
        }
    }
}
