//! `ringonce status`: whether the database dials, what waits and why, and what a person should
//! do. It only reads and works on any copy.

use std::time::Duration;

use clap::Args;

use crate::cli::arguments::configuration::{Global, settings};
use crate::cli::exit::Exit;
use crate::clock;
use crate::config::timetable::Timetable;
use crate::domain::event::Undelivered;
use crate::domain::{Instant, parse_instant};
use crate::present::output::{self, Tone, clean, toned};
use crate::steps::reconcile::unlisted;
use crate::steps::status::{Paused, Status, status};
use crate::store::Store;
use crate::store::views::{self, Count};

/// How often `--watch` refreshes.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// At most this many doubts are listed; the rest are counted.
const DOUBTS_SHOWN: usize = 10;

/// Show the right to dial, holds, waiting calls, doubts, lines in use, today and the last tick
#[derive(Args)]
pub struct StatusArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Refresh every two seconds, until Ctrl-C
    #[arg(long)]
    watch: bool,
}

pub fn run(global: &Global, args: &StatusArgs) -> anyhow::Result<Exit> {
    let settings = settings(&global.overrides())?;
    let timetable = Timetable::of(&settings.loaded.config, &settings.zones)?;
    let store = Store::look(&settings.loaded.db)?;
    loop {
        let now = settings.loaded.clock.now()?;
        let found = status(&store, (&settings.loaded.config, &timetable), &settings.zones, now)?;
        if args.watch && !args.json {
            // Clears the window and moves the cursor to the top left.
            output::bytes(b"\x1b[2J\x1b[H")?;
        }
        if args.json {
            output::json(&found)?;
        } else {
            let file = settings.loaded.db.display().to_string();
            lines(&found, &file, now).iter().try_for_each(|line| output::line(line))?;
        }
        if !args.watch {
            return Ok(Exit::Done);
        }
        clock::pause(LOOK_AGAIN);
    }
}

/// The scope of a pause in words.
fn paused(pause: &Paused) -> String {
    match (pause.customer_id, pause.scope.split_once(':')) {
        (Some(id), _) => {
            let name = pause.customer_name.as_deref().unwrap_or_default();
            format!("customer {id} {name}").trim_end().to_string()
        }
        (None, Some(("type", call_type))) => format!("{call_type} calls"),
        (None, Some(("number", _))) => "one number".to_string(),
        (None, Some(_)) => "a customer who is gone".to_string(),
        (None, None) => "all calls".to_string(),
    }
}

/// The command that ends a pause.
fn ends_pause(pause: &Paused) -> String {
    let option = match (pause.customer_id, pause.scope.split_once(':')) {
        (Some(id), _) => format!("--customer id:{id} "),
        (None, Some(("type", call_type))) => format!("--type {call_type} "),
        (None, Some(("number", _))) => "--number PHONE ".to_string(),
        (None, _) => String::new(),
    };
    format!("ringonce resume {option}--reason WHY")
}

/// One line: a name, and what is to say about it.
type Line = (&'static str, String);

/// The status in lines, problems first.
fn lines(found: &Status, file: &str, now: Instant) -> Vec<String> {
    let sizes = (bytes(found.database_bytes), bytes(found.wal_bytes));
    let mut all: Vec<Line> =
        vec![("database", format!("{}, {} + {} log", clean(file), sizes.0, sizes.1))];
    all.extend(stops(found, now));
    all.extend(capacity(found));
    all.extend(coming(found, now));
    all.extend(of_today(found));
    let named = |(name, text): Line| format!("{name:<12} {text}");
    let mut lines: Vec<String> = all.into_iter().map(named).collect();
    lines.extend(doubts(found, now));
    lines
}

/// The names of the lines that show a reason. Others have lines of their own.
fn line_of(cause: &str) -> Option<&'static str> {
    Some(match cause {
        "not_armed" | "paused" | "breaker_open" | "in_doubt" | "backups_fail"
        | "events_undelivered" => return None,
        "start_shut" | "halted" => "not dialing",
        "held" => "held",
        "provider_unreachable" => "provider",
        "no_free_line" => "no line",
        "nobody_eligible" => "nobody",
        "odd_rows" | "calls_overdue" | "unknown_assistant" | "unknown_numbers" | "alerts_fail" => {
            "alarm"
        }
        "first_tick_missing" | "tick_late" | "scan_late" => "late",
        _ => "problem",
    })
}

/// Whether a call that falls due now would be dialed.
fn health(found: &Status) -> Line {
    let stops = found.causes.iter().any(|cause| cause.stops_calls);
    let what = match (found.healthy, stops) {
        (true, _) => toned(Tone::Good, "ok: a call that falls due now is dialed"),
        (false, true) => toned(Tone::Bad, "red: a call that falls due now is not dialed"),
        (false, false) => toned(Tone::Bad, "red: due calls are dialed, but a person is needed"),
    };
    ("health", what)
}

/// Whether this file may dial, and everything that stops it.
fn stops(found: &Status, now: Instant) -> Vec<Line> {
    let armed = match &found.not_armed_because {
        None => toned(Tone::Good, "yes, here"),
        Some(why) => toned(Tone::Bad, why),
    };
    let mut lines = vec![health(found), ("armed", armed)];
    lines.extend(
        found
            .causes
            .iter()
            .filter_map(|cause| Some((line_of(cause.cause)?, toned(Tone::Bad, &cause.text)))),
    );
    for pause in &found.pauses {
        let since = ago(&pause.since, now);
        let (what, ends) = (paused(pause), ends_pause(pause));
        let what = format!("{what} by {} ({since}): {}; run `{ends}`", pause.who, pause.why);
        lines.push(("paused", toned(Tone::Warn, &what)));
    }
    let listed = found.pauses.iter().filter(|pause| pause.customer_id.is_some()).count();
    let others = found.paused_customers - i64::try_from(listed).unwrap_or(i64::MAX);
    if others > 0 {
        let what = format!(
            "{} customers in all; run `ringonce customers list --status paused`",
            found.paused_customers
        );
        lines.push(("paused", toned(Tone::Warn, &what)));
    }
    if let Some(breaker) = &found.breaker {
        let (why, opened) = (breaker.breaker.words(), ago(&breaker.breaker.opened_at, now));
        let (tone, stands) = if breaker.half_open {
            (Tone::Warn, "half open, the next call is the probe".to_string())
        } else {
            let probe = ago(&breaker.breaker.probe_at, now);
            (Tone::Bad, format!("open, one call is tried {probe}"))
        };
        let what =
            format!("{stands} (opened {opened}): {why}; `ringonce resume --reason WHY` closes it");
        lines.push(("breaker", toned(tone, &what)));
    }
    lines
}

/// Lines in use, limits and alarms.
fn capacity(found: &Status) -> Vec<Line> {
    let in_use = format!("{} of {} in use", found.lines_in_use, found.max_active_calls);
    let mut lines = vec![("lines", in_use)];
    if let Some(numbers) = found.only_numbers {
        let noun = if numbers == 1 { "number" } else { "numbers" };
        let what = format!("only {numbers} {noun} (dialing.only_numbers)");
        lines.push(("dials", toned(Tone::Warn, &what)));
    }
    let zoneless = found.zoneless.as_ref().map(|zoneless| zoneless.to_string());
    let unlisted = found.unlisted_calls.as_ref().map(unlisted::words);
    let alarms = unlisted.into_iter().chain(zoneless).chain(views::long_log(found.wal_bytes));
    lines.extend(alarms.map(|what| ("alarm", toned(Tone::Bad, &what))));
    let customers = found.customers.few_eligible().into_iter().chain(found.customers.odd_times());
    lines.extend(customers.map(|what| ("customers", toned(Tone::Warn, &clean(&what)))));
    lines
}

/// The calls to come, and when the program last worked.
fn coming(found: &Status, now: Instant) -> Vec<Line> {
    let next = found.next_call_at.as_deref().map_or("none planned".into(), |at| when(at, now));
    let next = match (found.next_call_waits, &found.next_call_at) {
        (None, _) => next,
        (Some(word), None) => toned(Tone::Bad, word),
        (Some(word), Some(_)) => format!("{}; due {next}", toned(Tone::Bad, word)),
    };
    let tick = match &found.last_tick_at {
        None => "never".to_string(),
        Some(at) if found.tick_is_late => {
            toned(Tone::Bad, &format!("{}, which is too long ago", when(at, now)))
        }
        Some(at) => when(at, now),
    };
    let mut lines = vec![
        ("due now", found.due.to_string()),
        ("waiting", counted(&found.waiting)),
        ("next call", next),
        ("last tick", tick),
    ];
    let backup = match (&found.backup_trouble, &found.last_backup_at) {
        (Some(why), _) => Some(toned(Tone::Bad, why)),
        (None, Some(at)) => Some(when(at, now)),
        (None, None) => None,
    };
    lines.extend(backup.map(|backup| ("last backup", backup)));
    lines.extend(found.events.as_ref().map(|events| ("events", event_words(events, now))));
    lines
}

/// `all delivered`, or what the application does not have.
fn event_words(events: &Undelivered, now: Instant) -> String {
    if let Some(why) = events.trouble(now) {
        return toned(Tone::Bad, &why);
    }
    match (events.waiting, events.given_up) {
        (0, 0) => "all delivered".to_string(),
        (waiting, given_up) => format!("{waiting} waiting, {given_up} given up"),
    }
}

fn of_today(found: &Status) -> Vec<Line> {
    let today = &found.today;
    let reached = format!("{} called, {} reached", today.called, today.reached);
    let mut lines = vec![("today", format!("{reached}, {} failed", today.failed))];
    if !today.dispositions.is_empty() {
        lines.push(("  ended", counted(&today.dispositions)));
    }
    if !today.skipped.is_empty() {
        lines.push(("  skipped", counted(&today.skipped)));
    }
    let in_doubt = match found.in_doubt.len() {
        0 => "none".to_string(),
        n => toned(Tone::Bad, &format!("{n}: not known whether a phone rang")),
    };
    lines.push(("in doubt", in_doubt));
    lines
}

/// The first doubts, each with the command that settles it.
fn doubts(found: &Status, now: Instant) -> Vec<String> {
    let mut lines = Vec::new();
    for doubt in found.in_doubt.iter().take(DOUBTS_SHOWN) {
        let who = doubt.customer_id.map_or("a stranger".into(), |id| format!("customer {id}"));
        let (call, since) = (doubt.call_type, ago(&doubt.since, now));
        lines.push(format!("  {who}, {call} {}, {since}:", clean(&doubt.occasion)));
        lines.push(format!("    {}", doubt.resolve));
    }
    let more = found.in_doubt.len().saturating_sub(DOUBTS_SHOWN);
    if more > 0 {
        lines.push(format!("  … and {more} more: ringonce attempts list --state in_doubt"));
    }
    lines
}

/// `3 no_answer, 1 busy`
pub fn counted(counts: &[Count]) -> String {
    if counts.is_empty() {
        return "nothing".to_string();
    }
    let words: Vec<String> =
        counts.iter().map(|count| format!("{} {}", count.count, clean(&count.word))).collect();
    words.join(", ")
}

fn ago(at: &str, now: Instant) -> String {
    parse_instant(at).map_or_else(|| clean(at), |at| output::relative(at, now))
}

/// `in 12 min (2026-11-22T17:01:00Z)`
fn when(at: &str, now: Instant) -> String {
    match parse_instant(at) {
        Some(instant) => {
            format!("{} ({})", output::relative(instant, now), instant.format("%F %H:%M:%SZ"))
        }
        None => clean(at),
    }
}

fn bytes(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{} KiB", bytes / 1024),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}
