//! Writes a commented `ringonce.toml` with every default. Refuses to overwrite one.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;

use crate::cli::arguments::configuration::{Global, environment};
use crate::cli::exit::{CliError, Exit};
use crate::config::load::DEFAULT_FILE;
use crate::present::output;

/// Write a commented ringonce.toml with every default; never overwrites one
#[derive(Args)]
#[command(after_help = "\
Examples:
  ringonce init
  ringonce init --phone-number-id ID --assistant-id ID
  ringonce --config /etc/ringonce/ringonce.toml init")]
pub struct InitArgs {
    /// The provider's id of the number that calls
    #[arg(long, value_name = "ID")]
    phone_number_id: Option<String>,
    /// The provider's id of the assistant that speaks
    #[arg(long, value_name = "ID")]
    assistant_id: Option<String>,
}

const TEMPLATE: &str = include_str!("init.toml");

pub fn run(global: &Global, args: &InitArgs) -> anyhow::Result<Exit> {
    let path = global
        .config
        .clone()
        .or_else(|| environment("RINGONCE_CONFIG").filter(|path| !path.is_empty()).map(Into::into))
        .unwrap_or_else(|| PathBuf::from(DEFAULT_FILE));
    let ids = [
        ("phone_number_id", args.phone_number_id.as_deref()),
        ("assistant_id", args.assistant_id.as_deref()),
    ];
    write_new(&path, &filled(TEMPLATE, &ids))?;

    output::line(&format!("wrote {}", path.display()))?;
    let missing: Vec<&str> =
        ids.iter().filter(|(_, id)| id.is_none()).map(|(name, _)| *name).collect();
    let mut steps = Vec::new();
    if !missing.is_empty() {
        steps.push(format!("fill in {}", missing.join(" and ")));
    }
    if environment("VAPI_API_KEY").or_else(|| environment("VAPI_API_KEY_FILE")).is_none() {
        steps.push("set VAPI_API_KEY".to_string());
    }
    let place = match global.config {
        Some(_) => format!(" --config {}", path.display()),
        None => String::new(),
    };
    steps.push(format!("type: ringonce{place} check"));
    output::line(&format!("next: {}", steps.join(", then ")))?;
    Ok(Exit::Done)
}

/// The template with the lines of the given ids uncommented.
fn filled(template: &str, ids: &[(&str, Option<&str>)]) -> String {
    let mut text = String::with_capacity(template.len());
    for line in template.lines() {
        let given = ids.iter().find_map(|(name, id)| {
            let switched_off = line.strip_prefix(&format!("# {name} = \"\""))?;
            let quoted = toml::Value::String((*id)?.to_string());
            Some(format!("{name} = {quoted}{switched_off}"))
        });
        text.push_str(given.as_deref().unwrap_or(line));
        text.push('\n');
    }
    text
}

/// Writes a new file. Only its owner may read it, because of the umask set at start.
fn write_new(path: &Path, text: &str) -> anyhow::Result<()> {
    let mut file = match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let place = path.display();
            let message = format!("{place} exists and is left as it is: type ringonce check");
            return Err(CliError::usage(message).into());
        }
        Err(error) => return Err(error).with_context(|| format!("create {}", path.display())),
    };
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    if written.is_err() {
        // The next try would keep a partial file, so remove it. The write error is reported anyway.
        let _ = std::fs::remove_file(path);
    }
    written.with_context(|| format!("write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::file::{known_keys, parse};
    use crate::config::settings::Config;
    use crate::config::validate::validate;

    #[test]
    fn the_written_file_holds_exactly_the_defaults() {
        let config = parse("init.toml", TEMPLATE).unwrap().config;
        assert_eq!(config, Config::default());
        assert_eq!(validate(&config, &|_| true), []);
    }

    #[test]
    fn the_written_file_names_every_key() {
        // The template has retry rules only for the default dispositions; a comment names all.
        for key in known_keys().iter().filter(|key| !key.starts_with("retry.")) {
            let name = key.rsplit('.').next().unwrap();
            let is_there = TEMPLATE.lines().any(|line| {
                let line = line.trim_start_matches("# ");
                line.starts_with(&format!("{name} = "))
                    || line.starts_with(&format!("[{key}]"))
                    || line.contains(&format!("{name} = ["))
                    || line.starts_with(&format!("[{key}."))
            });
            assert!(is_there, "{key}");
        }
    }

    #[test]
    fn every_line_that_is_switched_off_is_valid_when_switched_on() {
        let mut text = String::new();
        for line in TEMPLATE.lines() {
            let switched_on = line
                .strip_prefix("# ")
                .filter(|rest| rest.contains(" = ") || rest.starts_with('['))
                .filter(|rest| !rest.contains("VAPI_API_KEY"));
            // Preset and days follow other keys, so a commented table header is allowed as well.
            text.push_str(switched_on.unwrap_or(line));
            text.push('\n');
        }
        let config = parse("init.toml", &text).unwrap().config;
        assert_eq!(validate(&config, &|_| true), []);
        assert_eq!(config.calling_window.days.len(), 2);
    }

    #[test]
    fn given_ids_are_switched_on_and_quoted() {
        let text = filled(TEMPLATE, &[("phone_number_id", Some("n-1")), ("assistant_id", None)]);
        let config = parse("init.toml", &text).unwrap().config;
        assert_eq!(config.vapi.phone_number_id.as_deref(), Some("n-1"));
        assert_eq!(config.vapi.assistant_id, None);

        let odd = "quote \" back \\ slash";
        let text = filled(TEMPLATE, &[("assistant_id", Some(odd))]);
        assert_eq!(parse("f", &text).unwrap().config.vapi.assistant_id.as_deref(), Some(odd));
    }
}
