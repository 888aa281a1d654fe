//! Messages to a person, and their forms over HTTP.

use std::time::Duration;

use serde_json::json;

use crate::config::alerts::AlertKind;
use crate::service::outgoing::post;

/// The longest text of a Discord message, in characters, less some room for its title.
const LONGEST_TEXT: usize = 1800;

/// Why a person gets a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    Problem,
    Reminder,
    Resolved,
    Summary,
    Test,
}

impl MessageKind {
    fn as_str(self) -> &'static str {
        match self {
            MessageKind::Problem => "problem",
            MessageKind::Reminder => "reminder",
            MessageKind::Resolved => "resolved",
            MessageKind::Summary => "summary",
            MessageKind::Test => "test",
        }
    }
}

/// How a message went out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    Whole,
    /// Some recipients were refused: who, and why, in one line.
    WithoutSome(String),
}

/// A message. Its texts hold no phone number, name or key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub kind: MessageKind,
    /// The cause's key; `None`: the message is about no cause.
    pub cause: Option<String>,
    pub title: String,
    pub text: String,
    /// The next command.
    pub command: Option<String>,
    /// RFC 3339.
    pub at: String,
}

impl Message {
    /// The text with the next command below it.
    pub fn whole_text(&self) -> String {
        let text: String = self.text.chars().take(LONGEST_TEXT).collect();
        match &self.command {
            Some(command) => format!("{text}\nNext: {command}"),
            None => text,
        }
    }
}

/// Sends a message over HTTP in the form that its receiver expects.
pub fn post(
    url: &str,
    kind: AlertKind,
    message: &Message,
    patience: Duration,
) -> Result<(), String> {
    let (title, text) = (&message.title, message.whole_text());
    let (headers, body) = match kind {
        AlertKind::Ntfy => {
            let priority = if message.kind == MessageKind::Problem { "high" } else { "default" };
            let headers = vec![
                ("title", plain(title)),
                ("priority", priority.to_string()),
                ("content-type", "text/plain; charset=utf-8".to_string()),
            ];
            (headers, text)
        }
        AlertKind::Slack => {
            let text = format!("*{}*\n{}", escaped(title), escaped(&text));
            (as_json(), json!({ "text": text }).to_string())
        }
        AlertKind::Discord => {
            let content = format!("**{title}**\n{text}");
            let body = json!({ "content": content, "allowed_mentions": { "parse": [] } });
            (as_json(), body.to_string())
        }
        AlertKind::Json => {
            let body = json!({
                "kind": message.kind.as_str(),
                "cause": message.cause,
                "title": title,
                "text": message.text,
                "command": message.command,
                "at": message.at,
            });
            (as_json(), body.to_string())
        }
    };
    post::post(url, &headers, body.as_bytes(), patience)
}

/// A header holds ASCII only.
fn plain(title: &str) -> String {
    title.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').collect()
}

fn as_json() -> Vec<(&'static str, String)> {
    vec![("content-type", "application/json".to_string())]
}

/// Slack reads `&`, `<` and `>` as its own signs.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
