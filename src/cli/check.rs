//! Says whether everything is in place before anything is started. Changes nothing, creates
//! nothing, and asks nobody over the network unless it is told to.

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::Path;

use chrono::Datelike;
use clap::Args;
use serde::Serialize;

use super::exit::{CliError, Exit};
use super::output::{self, Table, Tone, clean, toned};
use super::{Global, check_inside, check_online, environment};
use crate::clock::Clock;
use crate::config::{self, BaseUrl, Loaded};
use crate::domain::{Instant, instant_text};
use crate::steps::holidays;
use crate::store::files::{modes, one_name};
use crate::store::traces;
use crate::vapi::webhook::Believer;
use crate::zones::Zones;

/// Checks configuration, key, clock, zones, files and customers; changes nothing.
#[derive(Args)]
#[command(after_help = "Exits 0 when nothing is a problem, 2 when something is.")]
pub struct CheckArgs {
    /// Ask the provider whether it takes the key, what its clock says, and whether the assistants
    /// say that they are AI voices
    #[arg(long)]
    online: bool,

    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

/// How an item stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    Ok,
    /// Allowed, but worth a word.
    Warning,
    /// Commands refuse to start, or to dial.
    Problem,
}

/// One item and what was found.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    pub(super) item: &'static str,
    pub(super) state: State,
    pub(super) detail: String,
}

impl Finding {
    pub(super) fn new(item: &'static str, state: State, detail: impl Into<String>) -> Finding {
        Finding { item, state, detail: detail.into() }
    }
}

pub fn run(global: &Global, args: &CheckArgs) -> anyhow::Result<Exit> {
    let loaded = config::load(&global.overrides(), &environment)?;
    let zones = Zones::load();
    let mut findings = findings(&loaded, &zones);
    if args.online {
        findings.extend(check_online::ask(&loaded));
    }
    if args.json {
        output::json(&findings)?;
    } else {
        print(&findings)?;
    }
    match findings.iter().filter(|finding| finding.state == State::Problem).count() {
        0 => Ok(Exit::Done),
        1 => Err(CliError::usage("1 problem: it is on the list").into()),
        n => Err(CliError::usage(format!("{n} problems: they are on the list")).into()),
    }
}

fn print(findings: &[Finding]) -> anyhow::Result<()> {
    let mut table = Table::new(&["STATE", "ITEM", "DETAIL"]);
    for finding in findings {
        let state = match finding.state {
            State::Ok => toned(Tone::Good, "OK"),
            State::Warning => toned(Tone::Warn, "warning"),
            State::Problem => toned(Tone::Bad, "problem"),
        };
        table.row([state, finding.item.to_string(), clean(&finding.detail)]);
    }
    table.print()
}

fn findings(loaded: &Loaded, zones: &Zones) -> Vec<Finding> {
    let mut found = configuration(loaded, zones);
    found.extend(assistants(loaded));
    found.extend(secrets(loaded));
    found.extend(clock_and_zones(&loaded.clock, zones));
    found.extend(holiday_files(loaded));
    found.push(database(&loaded.db));
    found.extend(others(&loaded.db));
    if let Some(why) = one_name::refusal(&loaded.db) {
        found.push(Finding::new("file name", State::Problem, why.to_string()));
    }
    let readable =
        found.iter().all(|finding| finding.item != "database" || finding.state == State::Ok);
    if readable && fs::metadata(&loaded.db).is_ok_and(|file| 0 < file.len()) {
        let inside = check_inside::findings(loaded, zones);
        if inside.iter().any(|finding| finding.item == "clock") {
            found.retain(|finding| finding.item != "clock");
        }
        found.extend(inside);
    }
    found
}

/// Which assistant speaks in which call.
fn assistants(loaded: &Loaded) -> Vec<Finding> {
    let vapi = &loaded.config.vapi;
    let named = [
        ("assistant_id", &vapi.assistant_id),
        ("welcome_assistant_id", &vapi.welcome_assistant_id),
        ("daily_assistant_id", &vapi.daily_assistant_id),
    ];
    let set: Vec<String> =
        named.iter().filter_map(|(key, id)| id.as_ref().map(|id| format!("{key} {id}"))).collect();
    // None at all is told among what is missing for dialing.
    if set.is_empty() {
        return Vec::new();
    }
    vec![Finding::new("assistant", State::Ok, set.join(", "))]
}

fn configuration(loaded: &Loaded, zones: &Zones) -> Vec<Finding> {
    let file = match &loaded.config_path {
        Some(path) => path.display().to_string(),
        None => "no file, defaults apply: `ringonce init` writes one".to_string(),
    };
    let mut found = vec![Finding::new("configuration", State::Ok, file)];
    for problem in loaded.problems(&|name| zones.get_schedule_zone(name).is_some()) {
        found.push(Finding::new("configuration", State::Problem, loaded.describe(&problem)));
    }
    for problem in loaded.missing_for_dialing() {
        found.push(Finding::new("dialing", State::Problem, loaded.describe(&problem)));
    }
    for warning in &loaded.warnings {
        found.push(Finding::new("configuration", State::Warning, warning));
    }
    if let Ok(url) = BaseUrl::parse(&loaded.config.vapi.base_url) {
        let place = if url.is_loopback() { " (on loopback: no real phone rings)" } else { "" };
        let detail = format!("{}{place}", loaded.config.vapi.base_url);
        found.push(Finding::new("provider", State::Ok, detail));
    }
    found
}

/// Only whether they are there: a secret is never shown, nor its length.
fn secrets(loaded: &Loaded) -> Vec<Finding> {
    let mut found = Vec::new();
    if loaded.api_key.is_some() {
        found.push(Finding::new("API key", State::Ok, "is set"));
    }
    match loaded.webhook_secret.clone().map(|s| Believer::new(&loaded.config.webhook, s)) {
        Some(Ok(_)) => found.push(Finding::new("webhook secret", State::Ok, "is set")),
        Some(Err(why)) => found.push(Finding::new("webhook secret", State::Problem, why)),
        None => {}
    }
    if let Some(why) = loaded.short_token() {
        found.push(Finding::new("API token", State::Problem, why));
        return found;
    }
    match (&loaded.api_token, &loaded.config.web.listen) {
        (Some(_), _) => found.push(Finding::new("API token", State::Ok, "is set")),
        (None, Some(_)) => found.push(Finding::new(
            "API token",
            State::Warning,
            "RINGONCE_API_TOKEN is not set: nobody can open the page or the API",
        )),
        (None, None) => {}
    }
    found
}

fn clock_and_zones(clock: &Clock, zones: &Zones) -> Vec<Finding> {
    let now = match clock.now() {
        Ok(now) => now,
        Err(error) => {
            return vec![Finding::new("clock", State::Problem, format!("{error:#}"))];
        }
    };
    let clock = match clock {
        Clock::System => Finding::new("clock", State::Ok, instant_text(now)),
        Clock::File(path) => Finding::new(
            "clock",
            State::Warning,
            format!("the test clock {} says {}", path.display(), instant_text(now)),
        ),
    };
    vec![clock, zone_data(zones.version(), zones.source(), now)]
}

/// Rules of time zones change several times a year; old data rings people at the wrong hour.
fn zone_data(version: &str, source: &str, now: Instant) -> Finding {
    let detail = format!("IANA {version} ({source} copy)");
    // A release is named after its year; its month is taken as the middle of it.
    let release_year = version.get(..4).and_then(|year| year.parse::<i32>().ok());
    let months = release_year.map(|year| (now.year() - year) * 12 + now.month() as i32 - 7);
    match months {
        Some(..=12) => Finding::new("time zones", State::Ok, detail),
        Some(_) => Finding::new(
            "time zones",
            State::Warning,
            format!("{detail} may be older than a year: update the system's tzdata or ringonce"),
        ),
        None => Finding::new(
            "time zones",
            State::Warning,
            format!("{detail} has no known release: update the system's tzdata"),
        ),
    }
}

fn holiday_files(loaded: &Loaded) -> Vec<Finding> {
    let files = &loaded.config.holidays.files;
    files
        .iter()
        .map(|path| match holidays::read_file(Path::new(path)) {
            Ok(days) => {
                let detail = format!("{path}: {} dates without calls", days.len());
                Finding::new("holidays", State::Ok, detail)
            }
            Err(why) => Finding::new("holidays", State::Problem, format!("{path}: {why}")),
        })
        .collect()
}

/// What other users may do to the database, its side files and its folder.
fn others(path: &Path) -> Vec<Finding> {
    let mut found = Vec::new();
    let open = modes::open_to_others(path);
    if !open.is_empty() {
        let names: Vec<String> = open.iter().map(|file| file.display().to_string()).collect();
        let detail = format!(
            "other users may read or write {}; run `chmod 600 {}` as their owner, or any command \
             that writes",
            names.join(", "),
            names.join(" ")
        );
        found.push(Finding::new("file mode", State::Warning, detail));
    }
    if let Some(folder) = modes::open_folder(path) {
        let place = folder.path.display();
        let detail = if folder.is_sticky {
            format!(
                "everybody may write to the folder {place}, so others can create the files beside \
                 the database; move it to a folder of its own"
            )
        } else {
            format!(
                "everybody may write to the folder {place}, so others can replace the database; \
                 run `chmod o-w {place}`"
            )
        };
        found.push(Finding::new("folder mode", State::Warning, detail));
    }
    found
}

/// First bytes of every SQLite file.
const SQLITE_MAGIC: &[u8] = b"SQLite format 3\0";

/// The file from outside, without opening it as a database: that could write beside it.
fn database(path: &Path) -> Finding {
    let place = path.display();
    let problem = |what: String| Finding::new("database", State::Problem, what);
    let mut head = Vec::new();
    let read = File::open(path)
        .and_then(|file| file.take(SQLITE_MAGIC.len() as u64).read_to_end(&mut head));
    match read {
        Ok(_) if head.is_empty() || head == SQLITE_MAGIC => {
            let size = fs::metadata(path).map_or(0, |meta| meta.len());
            Finding::new("database", State::Ok, format!("{place}, {} KiB", size.div_ceil(1024)))
        }
        Ok(_) => problem(format!("{place} is no SQLite database: name another with --db")),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            match folder {
                Some(folder) if !folder.is_dir() => {
                    problem(format!("{place}: the folder {} does not exist", folder.display()))
                }
                _ => missing_database(path),
            }
        }
        Err(error) => problem(format!("read {place}: {error}")),
    }
}

/// A database that is not there: none was, or one is lost.
fn missing_database(path: &Path) -> Finding {
    if let Err(why) = traces::refuse_a_stray_log(path) {
        return Finding::new("database", State::Problem, why.to_string());
    }
    let (place, left) = (path.display(), traces::left(path));
    if left.is_empty() {
        let detail = format!("{place} does not exist yet: the first import creates it");
        return Finding::new("database", State::Ok, detail);
    }
    let detail = format!(
        "{place} does not exist, but an earlier one left {} here: put it back, or import into a new \
         one with --new --reason WHY",
        left.join(", ")
    );
    Finding::new("database", State::Warning, detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::parse_instant;

    #[test]
    fn zone_data_older_than_a_year_deserves_a_word() {
        let now = parse_instant("2026-11-22T12:00:00Z").unwrap();
        for (version, expected) in [
            ("2026f", State::Ok),
            ("2025b", State::Warning),
            ("2024a", State::Warning),
            ("", State::Warning),
        ] {
            assert_eq!(zone_data(version, "bundled", now).state, expected, "{version}");
        }
    }

    #[test]
    fn a_file_that_is_no_database_is_a_problem_and_a_missing_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        assert_eq!(database(&path).state, State::Ok);
        assert!(!path.exists());
        fs::write(&path, "").unwrap();
        assert_eq!(database(&path).state, State::Ok);
        fs::write(&path, "a letter to a friend").unwrap();
        assert_eq!(database(&path).state, State::Problem);
        fs::write(&path, b"SQLite format 3\0rest").unwrap();
        assert_eq!(database(&path).state, State::Ok);
        assert_eq!(database(folder.path()).state, State::Problem);
        assert_eq!(database(&folder.path().join("none/x.db")).state, State::Problem);
    }
}
