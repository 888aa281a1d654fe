//! `[alerts]`: where a person gets messages when something needs them.

use std::path::PathBuf;

use chrono::NaiveTime;
use serde::{Deserialize, Serialize};

use crate::config::address;
use crate::config::error::ConfigProblem;

/// The port of SMTP that is encrypted from its first byte.
const ENCRYPTED_PORT: u16 = 465;

#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Alerts {
    /// `None`: no messages over HTTP.
    pub url: Option<String>,
    pub kind: Option<AlertKind>,
    /// `HH:MM` in `schedule.timezone`; `None`: no summary.
    pub daily_summary: Option<String>,
    pub email: Email,
}

/// The form of a message over HTTP.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum AlertKind {
    Ntfy,
    Slack,
    Discord,
    Json,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Email {
    /// `HOST`, or `HOST:PORT`. `None`: no e-mail.
    pub smtp: Option<String>,
    /// The name for the login; `None`: the address of `from`.
    pub user: Option<String>,
    pub from: Option<String>,
    /// One address, or several with commas.
    pub to: Option<String>,
    /// `None`: by the port.
    pub encryption: Option<Encryption>,
    /// A PEM file with authorities that may sign the server's certificate, beside the public ones.
    pub ca_file: Option<PathBuf>,
}

/// A mail server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmtpServer {
    pub host: String,
    pub port: u16,
    pub encryption: Encryption,
}

/// How the connection to the mail server is encrypted.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Encryption {
    /// From the first byte.
    Tls,
    /// After a `STARTTLS` that the server must offer.
    StartTls,
    /// Only on loopback.
    None,
}

impl SmtpServer {
    /// Reads `HOST[:PORT]`. Unless the configuration says otherwise, port 465 is encrypted from the
    /// first byte, every other one by STARTTLS, and a server on loopback is not encrypted.
    pub fn parse(text: &str, wanted: Option<Encryption>) -> Result<SmtpServer, String> {
        let wrong = || {
            format!("{text:?} is not a mail server: write smtp.example.com:465, without a scheme")
        };
        if text.contains(['/', '@', ' ']) {
            return Err(wrong());
        }
        let url = address::outgoing(&format!("https://{text}")).map_err(|_| wrong())?;
        let is_loopback = url.is_loopback();
        let port = url.port.unwrap_or(ENCRYPTED_PORT);
        let encryption = match (wanted, port) {
            (Some(Encryption::None), _) if !is_loopback => {
                return Err(format!(
                    "{text:?} must be encrypted, because others could read along: write \"tls\" or \
                     \"starttls\" as encryption (\"none\" only on loopback)"
                ));
            }
            (Some(wanted), _) => wanted,
            (None, _) if is_loopback => Encryption::None,
            (None, ENCRYPTED_PORT) => Encryption::Tls,
            (None, _) => Encryption::StartTls,
        };
        Ok(SmtpServer { host: url.host, port, encryption })
    }
}

impl Email {
    /// The mail server; `None`: no e-mail.
    pub fn server(&self) -> Option<Result<SmtpServer, String>> {
        Some(SmtpServer::parse(self.smtp.as_deref()?, self.encryption))
    }

    /// The addresses that get a message.
    pub fn recipients(&self) -> Vec<&str> {
        let to = self.to.as_deref().unwrap_or_default();
        to.split(',').map(str::trim).filter(|address| !address.is_empty()).collect()
    }
}

impl Alerts {
    /// Whether a channel is configured, by the name that messages about it use.
    pub fn has(&self, channel: &str) -> bool {
        match channel {
            "url" => self.url.is_some(),
            "email" => self.email.smtp.is_some(),
            _ => false,
        }
    }

    /// The time of the daily summary.
    pub fn summary_at(&self) -> Option<NaiveTime> {
        NaiveTime::parse_from_str(self.daily_summary.as_deref()?, "%H:%M").ok()
    }

    /// The values that cannot be used.
    pub(super) fn problems(&self) -> Vec<ConfigProblem> {
        let mut found = Vec::new();
        let mut problem = |key: &str, what: String| {
            found.push(ConfigProblem { key: format!("alerts.{key}"), what });
        };
        if let Some(Err(what)) = self.url.as_deref().map(address::outgoing) {
            problem("url", what);
        }
        match (&self.url, self.kind) {
            (Some(_), None) => {
                let what = "is not set: write \"ntfy\", \"slack\", \"discord\" or \"json\"";
                problem("kind", what.to_string());
            }
            (None, Some(_)) => problem("url", "is not set: write the address, or drop kind".into()),
            _ => {}
        }
        if let (Some(text), None) = (&self.daily_summary, self.summary_at()) {
            problem("daily_summary", format!("{text:?} is not a time: write it as 18:00"));
        }
        let email = &self.email;
        if let Some(Err(what)) = email.server() {
            problem("email.smtp", what);
        }
        let is_used = email.smtp.is_some() || email.from.is_some() || email.to.is_some();
        let to = email.recipients();
        if is_used {
            if email.smtp.is_none() {
                problem("email.smtp", "is not set: write smtp.example.com:465".to_string());
            }
            if !email.from.as_deref().is_some_and(is_address) {
                problem("email.from", "is not an e-mail address: write ringonce@…".to_string());
            }
            if to.is_empty() || !to.iter().all(|address| is_address(address)) {
                let what = "is not an e-mail address: write one, or several with commas";
                problem("email.to", what.to_string());
            }
        }
        found
    }
}

/// Whether a text can be an e-mail address. The mail server judges the rest.
fn is_address(text: &str) -> bool {
    let plain = text.chars().all(|c| c.is_ascii_graphic() && !"<>,;\"()".contains(c));
    plain
        && text.split_once('@').is_some_and(|(name, host)| {
            !name.is_empty()
                && host.contains(|c: char| c.is_ascii_alphanumeric())
                && !host.contains('@')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alerts(text: &str) -> Alerts {
        toml::from_str(text).expect(text)
    }

    #[test]
    fn a_mail_server_is_encrypted_except_on_loopback() {
        let server =
            |text: &str| SmtpServer::parse(text, None).map(|s| (s.host, s.port, s.encryption));
        let host = "smtp.example.com".to_string();
        assert_eq!(server("smtp.example.com"), Ok((host.clone(), 465, Encryption::Tls)));
        assert_eq!(server("smtp.example.com:465"), Ok((host.clone(), 465, Encryption::Tls)));
        assert_eq!(server("smtp.example.com:587"), Ok((host, 587, Encryption::StartTls)));
        let here = ("127.0.0.1".to_string(), 2525, Encryption::None);
        assert_eq!(server("127.0.0.1:2525"), Ok(here));
        for bad in ["", "smtp://smtp.example.com", "ops@example.com", "smtp.example.com:0", "a b"] {
            assert!(server(bad).is_err(), "{bad}");
        }
        let chosen = |text: &str, wanted| SmtpServer::parse(text, wanted).map(|s| s.encryption);
        for wanted in [Encryption::Tls, Encryption::StartTls] {
            assert_eq!(chosen("smtp.example.com:2465", Some(wanted)), Ok(wanted));
            assert_eq!(chosen("127.0.0.1:2465", Some(wanted)), Ok(wanted));
        }
        let none = Some(Encryption::None);
        assert_eq!(chosen("localhost", none), Ok(Encryption::None));
        let why = chosen("smtp.example.com:25", none).expect_err("others could read along");
        assert!(why.contains("must be encrypted") && why.contains("starttls"), "{why}");
    }

    #[test]
    fn settings_that_could_not_work_are_refused_by_their_key() {
        for (text, key) in [
            ("url = \"http://ntfy.example.com/x\"\nkind = \"ntfy\"", "alerts.url"),
            ("url = \"https://ntfy.example.com/x\"", "alerts.kind"),
            ("kind = \"slack\"", "alerts.url"),
            ("daily_summary = \"6 pm\"", "alerts.daily_summary"),
            ("[email]\nsmtp = \"smtp.example.com\"\nfrom = \"a@example.com\"", "alerts.email.to"),
            ("[email]\nto = \"a@example.com\"\nfrom = \"a@example.com\"", "alerts.email.smtp"),
            (
                "[email]\nsmtp = \"x.example.com\"\nfrom = \"Ada\"\nto = \"a@b\"",
                "alerts.email.from",
            ),
        ] {
            let found = alerts(text).problems();
            assert!(found.iter().any(|problem| problem.key == key), "{text}: {found:?}");
        }
        let good = alerts(
            "url = \"https://hooks.slack.com/services/T/B/x\"\nkind = \"slack\"\n\
             daily_summary = \"18:00\"\n[email]\nsmtp = \"smtp.example.com:587\"\n\
             from = \"ringonce@example.com\"\nto = \"ada@example.com, bob@example.com\"",
        );
        assert_eq!(good.problems(), []);
        assert_eq!(good.email.recipients(), ["ada@example.com", "bob@example.com"]);
    }
}
