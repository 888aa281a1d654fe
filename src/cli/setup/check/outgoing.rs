//! Checks of what leaves this machine: events to the application and alerts to a person.

use crate::cli::setup::check::finding::{CheckFinding, State};
use crate::config::load::LoadedConfig;
use crate::service::outgoing::alerts::Channel;
use crate::service::outgoing::events::Receiver;

/// Whether events and alerts can be sent. No address is shown, because it may hold a secret.
pub fn settings(loaded: &LoadedConfig) -> Vec<CheckFinding> {
    let mut found = Vec::new();
    match Receiver::of(loaded) {
        Ok(None) => {}
        Ok(Some(_)) => {
            let detail = "an address and a secret are set: `ringonce events test` tries them";
            found.push(CheckFinding::new("events", State::Ok, detail));
        }
        Err(why) => found.push(CheckFinding::new("events", State::Problem, why)),
    }
    match Channel::all(loaded) {
        Ok(channels) if channels.is_empty() => {
            if loaded.config.alerts.summary_at().is_some() {
                let detail = "alerts.daily_summary is set, but no message is sent: set alerts.url \
                              and alerts.kind, or the keys of [alerts.email]";
                found.push(CheckFinding::new("alerts", State::Warning, detail));
            }
        }
        Ok(channels) => {
            let (good, bad): (Vec<_>, Vec<_>) =
                channels.iter().partition(|channel| channel.check().is_ok());
            for why in bad.iter().filter_map(|channel| channel.check().err()) {
                found.push(CheckFinding::new("alerts", State::Problem, why));
            }
            if !good.is_empty() {
                let names: Vec<&str> = good.iter().map(|channel| channel.name).collect();
                let detail = format!("by {}: `ringonce alerts test` tries it", names.join(" and "));
                found.push(CheckFinding::new("alerts", State::Ok, detail));
            }
        }
        Err(why) => found.push(CheckFinding::new("alerts", State::Problem, why)),
    }
    let email = &loaded.config.alerts.email;
    if email.smtp.is_some() && loaded.smtp_password.is_none() {
        let detail = "RINGONCE_SMTP_PASSWORD is not set: the mail server is used without a login";
        found.push(CheckFinding::new("alerts", State::Warning, detail));
    }
    found
}
