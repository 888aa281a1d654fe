//! Reads the text of `ringonce.toml`. Refuses unknown keys and wrong types with the line, the
//! column and the nearest known key. An error never repeats the value of an unknown key, because
//! it may be a secret.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::Value;
use toml::de::{DeTable, DeValue};

use crate::config::assistants::NamedAssistant;
use crate::config::error::ConfigError;
use crate::config::settings::Config;

/// The values of the file and their lines.
#[derive(Debug)]
pub struct Parsed {
    pub config: Config,
    /// Dotted key to its line, counted from 1.
    pub lines: BTreeMap<String, usize>,
}

/// Reads the text of the file `name`; a key that is not in the text keeps its default.
pub fn parse(name: &str, text: &str) -> Result<Parsed, ConfigError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let at = |offset: usize| {
        let (line, column) = position(text, offset);
        format!("{name}:{line}:{column}")
    };
    let table = DeTable::parse(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        ConfigError::new(format!("{}: {}", at(start), plain(error.message())))
    })?;

    let known = known_keys();
    let mut walk = Walk { known: &known, spans: Vec::new(), unknown: Vec::new() };
    walk.table("", table.get_ref());
    if !walk.unknown.is_empty() {
        let problems: Vec<String> = walk
            .unknown
            .iter()
            .map(|(key, start)| format!("{}: {}", at(*start), unknown_key(key, &known)))
            .collect();
        return Err(ConfigError::new(problems.join("; ")));
    }

    let wrong_type = |error: toml::de::Error| {
        let start = error.span().map_or(0, |span| span.start);
        let key = walk.key_at(start).map(|key| format!("{key}: ")).unwrap_or_default();
        ConfigError::new(format!("{}: {key}{}", at(start), plain(error.message())))
    };
    // Read the text twice: first for type errors with their places, then over the defaults.
    toml::from_str::<Config>(text).map_err(wrong_type)?;
    let config = over_defaults(text.parse().map_err(wrong_type)?).map_err(wrong_type)?;
    let lines =
        walk.spans.iter().map(|(key, span)| (key.clone(), position(text, span.start).0)).collect();
    Ok(Parsed { config, lines })
}

/// The defaults with the file's values over them, key by key: a rule keeps the keys that the file
/// does not set.
fn over_defaults(file: toml::Table) -> Result<Config, toml::de::Error> {
    fn lay_over(base: &mut toml::Table, file: toml::Table) {
        for (key, value) in file {
            match (base.get_mut(&key), value) {
                (Some(toml::Value::Table(base)), toml::Value::Table(file)) => lay_over(base, file),
                (_, value) => {
                    base.insert(key, value);
                }
            }
        }
    }
    let mut merged = toml::Table::try_from(Config::default()).expect("plain data becomes TOML");
    lay_over(&mut merged, file);
    merged.try_into()
}

/// Every key of the configuration as `table.key`, including the tables themselves.
pub fn known_keys() -> Vec<String> {
    fn add(path: &str, value: &Value, keys: &mut Vec<String>) {
        let Value::Object(children) = value else { return };
        for (name, child) in children {
            let key = join(path, name);
            keys.push(key.clone());
            add(&key, child, keys);
        }
    }
    let mut default = serde_json::to_value(Config::default()).expect("plain data becomes JSON");
    let assistant = NamedAssistant::default();
    default["assistants"][ANY] = serde_json::to_value(assistant).expect("plain data becomes JSON");
    let mut keys = Vec::new();
    add("", &default, &mut keys);
    keys
}

/// Tables whose keys are free.
const OPEN_TABLES: &[&str] = &["calling_window.days", ASSISTANTS];
/// The table of named assistants. Each of its tables has the same keys.
const ASSISTANTS: &str = "assistants";
/// Stands for any name in the list of known keys.
const ANY: &str = "NAME";

/// `assistants.spanish` as `assistants.NAME`; every other table as it is.
fn known_table(path: &str) -> String {
    match path.split_once('.') {
        Some((ASSISTANTS, _)) => join(ASSISTANTS, ANY),
        _ => path.to_string(),
    }
}

struct Walk<'a> {
    known: &'a [String],
    /// Each key and its place: from the key's first byte to the value's end.
    spans: Vec<(String, Range<usize>)>,
    unknown: Vec<(String, usize)>,
}

impl Walk<'_> {
    fn table(&mut self, path: &str, table: &DeTable<'_>) {
        for (name, value) in table.iter() {
            let key = join(path, name.get_ref());
            let start = name.span().start;
            let known = join(&known_table(path), name.get_ref());
            if !OPEN_TABLES.contains(&path) && !self.known.contains(&known) {
                self.unknown.push((key, start));
                continue;
            }
            self.spans.push((key.clone(), start..value.span().end.max(name.span().end)));
            if let DeValue::Table(children) = value.get_ref() {
                self.table(&key, children);
            }
        }
    }

    /// The innermost key around a byte.
    fn key_at(&self, offset: usize) -> Option<&str> {
        self.spans
            .iter()
            .filter(|(_, span)| span.contains(&offset))
            .min_by_key(|(_, span)| span.len())
            .map(|(key, _)| key.as_str())
    }
}

fn unknown_key(key: &str, known: &[String]) -> String {
    let (table, name) = key.rsplit_once('.').unwrap_or(("", key));
    if let Some(variable) = secret_variable(table, name) {
        return format!(
            "secrets never come from this file: remove {key} and set {variable} in the environment"
        );
    }
    match nearest_key(&known_table(table), name, known) {
        Some(nearest) => format!("unknown key {key}: did you mean {nearest}?"),
        None => format!("unknown key {key}: `ringonce init` writes a file with every key"),
    }
}

fn secret_variable(table: &str, name: &str) -> Option<&'static str> {
    let name = name.to_lowercase();
    match name.as_str() {
        _ if name.contains("secret") && table == "events" => Some("RINGONCE_EVENTS_SECRET"),
        _ if name.contains("secret") => Some("VAPI_WEBHOOK_SECRET"),
        _ if name.contains("password") => Some("RINGONCE_SMTP_PASSWORD"),
        _ if name.contains("api_token") => Some("RINGONCE_API_TOKEN"),
        _ if name.contains("key") || name.contains("token") => Some("VAPI_API_KEY"),
        _ => None,
    }
}

/// A similar name in the same table, else the same or a similar name in another table.
fn nearest_key<'a>(table: &str, name: &str, known: &'a [String]) -> Option<&'a str> {
    let typing_errors = |candidate: &str| strsim::damerau_levenshtein(name, candidate);
    let split = |key: &'a String| match key.rsplit_once('.') {
        Some((table, name)) => (table, name),
        None => ("", key.as_str()),
    };
    known
        .iter()
        .map(|key| {
            let (other_table, other_name) = split(key);
            let elsewhere = usize::from(other_table != table);
            (typing_errors(other_name), elsewhere, key)
        })
        .filter(|(errors, _, _)| *errors <= (name.chars().count() / 3).max(1))
        .min_by_key(|(errors, elsewhere, _)| (errors + elsewhere, *elsewhere))
        .map(|(_, _, key)| key.as_str())
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_string() } else { format!("{path}.{name}") }
}

/// Line and column of a byte, both counted from 1.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(offset)];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// The parser's message on one line, without the words of Rust.
fn plain(message: &str) -> String {
    const WORDS: &[(&str, &str)] = &[
        ("expected usize", "expected a whole number"),
        ("expected u64", "expected a whole number"),
        ("expected u32", "expected a whole number"),
        ("expected i64", "expected a whole number"),
        ("expected f64", "expected a number"),
        ("expected a boolean", "expected true or false"),
        ("expected a sequence", "expected a list"),
        ("expected a map", "expected a table"),
    ];
    let mut message = message.split_whitespace().collect::<Vec<_>>().join(" ");
    for (theirs, ours) in WORDS {
        message = message.replace(theirs, ours);
    }
    match message.find("expected struct ") {
        Some(start) => format!("{}expected a table", &message[..start]),
        None => message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let error = parse("ringonce.toml", text).expect_err(text).to_string();
        assert_eq!(error, expected, "for {text:?}");
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_place_and_the_nearest_key() {
        check(
            "[dialing]\nworkrs = 4\n",
            "ringonce.toml:2:1: unknown key dialing.workrs: did you mean dialing.workers?",
        );
        check(
            "[dialling]\nworkers = 4\n",
            "ringonce.toml:1:2: unknown key dialling: did you mean dialing?",
        );
        check(
            "workers = 4\n",
            "ringonce.toml:1:1: unknown key workers: did you mean dialing.workers?",
        );
        check(
            "[retry.no_answer]\ndaily = { after_minute = 5 }\n",
            "ringonce.toml:2:11: unknown key retry.no_answer.daily.after_minute: \
             did you mean retry.no_answer.daily.after_minutes?",
        );
        check(
            "[assistants.spanish]\nassistent_id = 'a'\n",
            "ringonce.toml:2:1: unknown key assistants.spanish.assistent_id: did you mean \
             assistants.NAME.assistant_id?",
        );
        check(
            "[assistant.spanish]\nassistant_id = 'a'\n",
            "ringonce.toml:1:2: unknown key assistant: did you mean assistants?",
        );
        check(
            "[web]\n  colour = 1\n",
            "ringonce.toml:2:3: unknown key web.colour: `ringonce init` writes a file with every \
             key",
        );
    }

    #[test]
    fn every_unknown_key_is_named_at_once() {
        let error = parse("f", "[web]\nlisten_on = 1\n[vapi]\nbase = 2\n").unwrap_err().to_string();
        assert!(error.contains("f:2:1") && error.contains("f:4:1"), "{error}");
    }

    #[test]
    fn a_secret_in_the_file_is_refused_without_repeating_it() {
        let error = parse("f", "[vapi]\napi_key = \"canary-1\"\n").unwrap_err().to_string();
        assert_eq!(
            error,
            "f:2:1: secrets never come from this file: remove vapi.api_key and set \
             VAPI_API_KEY in the environment"
        );
    }

    #[test]
    fn a_wrong_type_is_refused_with_its_place_and_key() {
        check(
            "[dialing]\nworkers = \"four\"\n",
            "ringonce.toml:2:11: dialing.workers: invalid type: string \"four\", expected a whole \
             number",
        );
        check(
            "[dialing]\nworkers = -1\n",
            "ringonce.toml:2:11: dialing.workers: invalid value: integer `-1`, expected a whole \
             number",
        );
        check("vapi = 1\n", "ringonce.toml:1:8: vapi: invalid type: integer `1`, expected a table");
        check(
            "[reconcile]\nin_doubt = \"forget\"\n",
            "ringonce.toml:2:12: reconcile.in_doubt: unknown variant `forget`, expected `hold` or \
             `redial`",
        );
    }

    #[test]
    fn broken_syntax_is_refused_on_one_line_with_its_place() {
        let error = parse("f", "[vapi]\nbase_url = \"unclosed\n").unwrap_err().to_string();
        assert!(error.starts_with("f:2:") && !error.contains('\n'), "{error}");
    }

    #[test]
    fn a_rule_of_which_the_file_changes_one_key_keeps_the_others() {
        let text = "[retry.no_answer]\nwelcome = { times = 0 }\ndaily = { times = 2 }\n";
        let retry = parse("f", text).unwrap().config.retry;
        assert_eq!(retry.no_answer.daily.after_minutes, 120);
        assert_eq!(retry.no_answer.daily.until.as_deref(), Some("20:00"));
        assert_eq!(retry.no_answer.daily.times, 2);
        assert_eq!(retry.busy, Config::default().retry.busy);
        assert_eq!(parse("f", "").unwrap().config, Config::default());
    }

    #[test]
    fn a_byte_order_mark_and_windows_line_ends_do_not_matter() {
        let parsed = parse("f", "\u{feff}[dialing]\r\nworkers = 2\r\n").unwrap();
        assert_eq!(parsed.config.dialing.workers, 2);
        assert_eq!(parsed.lines["dialing.workers"], 2);
    }

    #[test]
    fn weekdays_are_free_keys_whose_values_are_checked_later() {
        let parsed = parse("f", "[calling_window.days]\nsunday = \"closed\"\n").unwrap();
        assert_eq!(parsed.config.calling_window.days["sunday"], "closed");
    }

    #[test]
    fn names_of_assistants_are_free() {
        let text = "[assistants.spanish]\nassistant_id = 'a'\n[assistants.\"old squad\"]\n\
                    squad_id = 's'\n";
        let parsed = parse("f", text).unwrap();
        let names: Vec<&String> = parsed.config.assistants.keys().collect();
        assert_eq!(names, ["old squad", "spanish"]);
        assert_eq!(parsed.lines["assistants.spanish.assistant_id"], 2);
        let error = parse("f", "[assistants]\nspanish = 'a'\n").unwrap_err().to_string();
        assert!(error.contains("assistants.spanish") && error.contains("a table"), "{error}");
    }

    #[test]
    fn keys_without_a_default_are_known_too() {
        let keys = known_keys();
        for key in ["vapi.assistant_id", "retry.busy.daily.until", "web.listen"] {
            assert!(keys.iter().any(|known| known == key), "{key}");
        }
    }
}
