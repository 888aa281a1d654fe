//! `ringonce alerts test`: whether a person would be reached.

use clap::{Args, Subcommand};

use crate::cli::arguments::configuration::{Global, settings};
use crate::cli::arguments::usage;
use crate::cli::exit::{CliError, Exit};
use crate::domain::instant_text;
use crate::present::output;
use crate::service::outgoing::alerts::{Channel, PATIENCE};
use crate::service::outgoing::message::{Delivery, Message, MessageKind};

/// Test the alerts to a person
#[derive(Args)]
pub struct AlertsArgs {
    #[command(subcommand)]
    command: AlertsCommand,
}

#[derive(Subcommand)]
enum AlertsCommand {
    /// Send one message over each channel of `[alerts]` now
    Test,
}

pub fn run(global: &Global, args: &AlertsArgs) -> anyhow::Result<Exit> {
    let AlertsCommand::Test = args.command;
    let settings = settings(&global.overrides())?;
    let channels = Channel::all(&settings.loaded).map_err(CliError::usage)?;
    if channels.is_empty() {
        let why =
            "nothing is set in [alerts]: write url and kind there, or the keys of [alerts.email]";
        return Err(usage(why));
    }
    let message = Message {
        kind: MessageKind::Test,
        cause: None,
        title: "ringonce: a test".to_string(),
        text: "this is a test by `ringonce alerts test`; nothing is wrong".to_string(),
        command: None,
        at: instant_text(settings.loaded.clock.now()?),
    };
    let mut failures = Vec::new();
    for channel in &channels {
        match channel.send(&message, PATIENCE) {
            Ok(Delivery::Whole) => output::line(&format!("sent by {}", channel.name))?,
            Ok(Delivery::WithoutSome(why)) => {
                output::line(&format!("sent by {}, but not to everybody", channel.name))?;
                failures.push(format!("{}: refused for {why}", channel.name));
            }
            Err(why) => failures.push(format!("{}: {why}", channel.name)),
        }
    }
    if failures.is_empty() {
        return Ok(Exit::Done);
    }
    let why = failures.join("; ");
    Err(anyhow::anyhow!(
        "the test message was not sent by {why}; check [alerts] of the configuration"
    ))
}
