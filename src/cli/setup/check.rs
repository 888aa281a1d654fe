//! `ringonce check`: reports problems before anything is started. It changes and creates nothing,
//! and uses the network only with `--online`.

mod assistants;
pub mod finding;
pub(crate) mod inside;
pub(crate) mod online;
mod outgoing;

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::Path;

use chrono::Datelike;
use clap::Args;

use crate::cli::arguments::configuration::{Global, environment, zones};
use crate::cli::exit::{CliError, Exit};
use crate::cli::setup::check::finding::{CheckFinding, State};
use crate::clock::Clock;
use crate::config::address::BaseUrl;
use crate::config::load::LoadedConfig;
use crate::config::settings::Config;
use crate::config::webhook::Webhook;
use crate::domain::{Instant, instant_text};
use crate::present::output::{self, Table, Tone, clean, toned};
use crate::steps::import::holidays;
use crate::store::file::{lost_database, modes, one_name, rights};
use crate::vapi::webhook::signature::Believer;
use crate::zones::Zones;

/// Check configuration, key, clock, zones, files and customers; changes nothing
#[derive(Args)]
#[command(after_help = "Exits 0 when nothing is a problem, 2 when something is.")]
pub struct CheckArgs {
    /// Also ask the provider: check the key, the provider's clock, and whether the assistants say
    /// that they are AI voices
    #[arg(long)]
    online: bool,

    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

pub fn run(global: &Global, args: &CheckArgs) -> anyhow::Result<Exit> {
    let loaded = crate::config::load::load(&global.overrides(), &environment)?;
    let zones = zones();
    let mut findings = findings(&loaded, &zones);
    if args.online {
        findings.extend(online::ask(&loaded));
    }
    if args.json {
        output::json(&findings)?;
    } else {
        print(&findings)?;
    }
    match findings.iter().filter(|finding| finding.state == State::Problem).count() {
        0 => Ok(Exit::Done),
        1 => Err(CliError::usage("1 problem: see the list above").into()),
        n => Err(CliError::usage(format!("{n} problems: see the list above")).into()),
    }
}

fn print(findings: &[CheckFinding]) -> anyhow::Result<()> {
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

fn findings(loaded: &LoadedConfig, zones: &Zones) -> Vec<CheckFinding> {
    let mut found = configuration(loaded, zones);
    found.extend(assistants(loaded));
    found.extend(secrets(loaded));
    found.extend(outgoing::settings(loaded));
    found.extend(clock_and_zones(&loaded.clock, zones));
    found.extend(holiday_files(loaded));
    found.push(database(&loaded.db));
    found.extend(rights_and_room(&loaded.db));
    found.extend(others(&loaded.db));
    if let Some(why) = one_name::refusal(&loaded.db) {
        found.push(CheckFinding::new("file name", State::Problem, why.to_string()));
    }
    let readable =
        found.iter().all(|finding| finding.item != "database" || finding.state == State::Ok);
    if readable && fs::metadata(&loaded.db).is_ok_and(|file| file.len() > 0) {
        let inside = inside::findings(loaded, zones);
        if inside.iter().any(|finding| finding.item == "clock") {
            found.retain(|finding| finding.item != "clock");
        }
        found.extend(inside);
    }
    found
}

/// The assistants that are configured for each type of call.
fn assistants(loaded: &LoadedConfig) -> Vec<CheckFinding> {
    let vapi = &loaded.config.vapi;
    let named = [
        ("assistant_id", &vapi.assistant_id),
        ("welcome_assistant_id", &vapi.welcome_assistant_id),
        ("daily_assistant_id", &vapi.daily_assistant_id),
    ];
    let mut set: Vec<String> =
        named.iter().filter_map(|(key, id)| id.as_ref().map(|id| format!("{key} {id}"))).collect();
    for (name, assistant) in &loaded.config.assistants {
        let id = assistant.assistant_id.as_ref().or(assistant.squad_id.as_ref());
        set.extend(id.map(|id| format!("{name} {id}")));
    }
    // `missing_for_dialing` reports it if no assistant is set.
    if set.is_empty() {
        return Vec::new();
    }
    vec![CheckFinding::new("assistant", State::Ok, set.join(", "))]
}

fn configuration(loaded: &LoadedConfig, zones: &Zones) -> Vec<CheckFinding> {
    let file = match &loaded.config_path {
        Some(path) => path.display().to_string(),
        None => "no file, defaults apply: `ringonce init` writes one".to_string(),
    };
    let mut found = vec![CheckFinding::new("configuration", State::Ok, file)];
    for problem in loaded.problems(&|name| zones.get_schedule_zone(name).is_some()) {
        found.push(CheckFinding::new("configuration", State::Problem, loaded.describe(&problem)));
    }
    for problem in loaded.missing_for_dialing() {
        found.push(CheckFinding::new("dialing", State::Problem, loaded.describe(&problem)));
    }
    for warning in &loaded.warnings {
        found.push(CheckFinding::new("configuration", State::Warning, warning));
    }
    if let Ok(url) = BaseUrl::parse(&loaded.config.vapi.base_url) {
        let place = if url.is_loopback() { " (on loopback: no real phone rings)" } else { "" };
        let detail = format!("{}{place}", loaded.config.vapi.base_url);
        found.push(CheckFinding::new("provider", State::Ok, detail));
    }
    found
}

/// Reports only whether each secret is set, never a secret or its length.
fn secrets(loaded: &LoadedConfig) -> Vec<CheckFinding> {
    let mut found = Vec::new();
    if loaded.api_key.is_some() {
        found.push(CheckFinding::new("API key", State::Ok, "is set"));
    }
    match loaded.webhook_secret.clone().map(|s| Believer::new(&loaded.config.webhook, s)) {
        Some(Ok(_)) => found.push(CheckFinding::new("webhook secret", State::Ok, "is set")),
        Some(Err(why)) => found.push(CheckFinding::new("webhook secret", State::Problem, why)),
        None => found.extend(needs_webhooks(&loaded.config).map(|key| {
            let told = format!(
                "VAPI_WEBHOOK_SECRET is not set, so every webhook is refused, but {key} is set"
            );
            CheckFinding::new("webhook secret", State::Warning, told)
        })),
    }
    if let Some(why) = loaded.short_token() {
        found.push(CheckFinding::new("API token", State::Problem, why));
        return found;
    }
    match (&loaded.api_token, &loaded.config.web.listen) {
        (Some(_), _) => found.push(CheckFinding::new("API token", State::Ok, "is set")),
        (None, Some(_)) => found.push(CheckFinding::new(
            "API token",
            State::Warning,
            "RINGONCE_API_TOKEN is not set: nobody can open the page or the API",
        )),
        (None, None) => {}
    }
    found
}

/// The key that shows that webhooks are expected. Without them, calls are followed by polling.
fn needs_webhooks(config: &Config) -> Option<&'static str> {
    let is_default = config.webhook == Webhook::default();
    let by_tool = config.do_not_call.tool_name.is_some().then_some("do_not_call.tool_name");
    (!is_default).then_some("[webhook]").or(by_tool).filter(|_| config.web.listen.is_some())
}

fn clock_and_zones(clock: &Clock, zones: &Zones) -> Vec<CheckFinding> {
    let now = match clock.now() {
        Ok(now) => now,
        Err(error) => {
            return vec![CheckFinding::new("clock", State::Problem, format!("{error:#}"))];
        }
    };
    let clock = match clock {
        Clock::System => CheckFinding::new("clock", State::Ok, instant_text(now)),
        Clock::File(path) => CheckFinding::new(
            "clock",
            State::Warning,
            format!("the test clock {} says {}", path.display(), instant_text(now)),
        ),
    };
    vec![clock, zone_data(zones.version(), zones.source(), now)]
}

/// Time zone rules change several times a year; old data would call people at the wrong hour.
fn zone_data(version: &str, source: &str, now: Instant) -> CheckFinding {
    let detail = format!("IANA {version} ({source} copy)");
    // A release name has only a year, so assume July of that year.
    let release_year = version.get(..4).and_then(|year| year.parse::<i32>().ok());
    let months = release_year.map(|year| (now.year() - year) * 12 + now.month() as i32 - 7);
    match months {
        Some(..=12) => CheckFinding::new("time zones", State::Ok, detail),
        Some(_) => CheckFinding::new(
            "time zones",
            State::Warning,
            format!("{detail} may be older than a year: update the system's tzdata or ringonce"),
        ),
        None => CheckFinding::new(
            "time zones",
            State::Warning,
            format!("{detail} has no known release: update the system's tzdata"),
        ),
    }
}

fn holiday_files(loaded: &LoadedConfig) -> Vec<CheckFinding> {
    let files = &loaded.config.holidays.files;
    files
        .iter()
        .map(|path| match holidays::read_file(Path::new(path)) {
            Ok(days) => {
                let detail = format!("{path}: {} dates without calls", days.len());
                CheckFinding::new("holidays", State::Ok, detail)
            }
            Err(why) => CheckFinding::new("holidays", State::Problem, format!("{path}: {why}")),
        })
        .collect()
}

/// Less free space than this lasts for a day of a small installation.
const LITTLE_ROOM: u64 = 64 << 20;

/// Reports files that the dialing user may not write, and a disk without room.
fn rights_and_room(path: &Path) -> Vec<CheckFinding> {
    let denied = rights::denied(path).into_iter();
    let mut found: Vec<CheckFinding> = denied
        .map(|denied| CheckFinding::new("file rights", State::Problem, denied.to_string()))
        .collect();
    match rights::free_bytes(path) {
        Some(free) if free < LITTLE_ROOM => {
            let is_full = free < rights::NO_ROOM_BYTES;
            let state = if is_full { State::Problem } else { State::Warning };
            found.push(CheckFinding::new("disk", state, rights::no_room(path, free)));
        }
        _ => {}
    }
    found
}

/// Warns if other users may read or replace the database, its side files or its folder.
fn others(path: &Path) -> Vec<CheckFinding> {
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
        found.push(CheckFinding::new("file mode", State::Warning, detail));
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
        found.push(CheckFinding::new("folder mode", State::Warning, detail));
    }
    found
}

/// The first bytes of every SQLite file.
const SQLITE_MAGIC: &[u8] = b"SQLite format 3\0";

/// Checks the file without opening it as a database, because that could write beside it.
fn database(path: &Path) -> CheckFinding {
    let place = path.display();
    let problem = |what: String| CheckFinding::new("database", State::Problem, what);
    let mut head = Vec::new();
    let read = File::open(path)
        .and_then(|file| file.take(SQLITE_MAGIC.len() as u64).read_to_end(&mut head));
    match read {
        Ok(_) if head.is_empty() || head == SQLITE_MAGIC => {
            let size = fs::metadata(path).map_or(0, |meta| meta.len());
            CheckFinding::new(
                "database",
                State::Ok,
                format!("{place}, {} KiB", size.div_ceil(1024)),
            )
        }
        Ok(_) => problem(format!("{place} is not an SQLite database: name another with --db")),
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

/// Reports a missing database: it is either new or lost.
fn missing_database(path: &Path) -> CheckFinding {
    if let Err(why) = lost_database::refuse_a_stray_log(path) {
        return CheckFinding::new("database", State::Problem, why.to_string());
    }
    let (place, left) = (path.display(), lost_database::left(path));
    if left.is_empty() {
        let detail = format!("{place} does not exist yet: the first import creates it");
        return CheckFinding::new("database", State::Ok, detail);
    }
    let detail = format!(
        "{place} does not exist, but an earlier one left {} here: put it back, or import into a new \
         one with --new --reason WHY",
        left.join(", ")
    );
    CheckFinding::new("database", State::Warning, detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::parse_instant;

    #[test]
    fn zone_data_older_than_a_year_gives_a_warning() {
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
    fn a_file_that_is_not_a_database_is_a_problem_and_a_missing_one_is_not() {
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
