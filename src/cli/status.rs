//! `ringonce status`: whether it dials, what waits for what, and what a person should do. Reads
//! only; works on any copy.

use std::time::Duration;

use clap::Args;

use super::exit::Exit;
use super::output::{self, Tone, clean, toned};
use super::{Global, settings};
use crate::clock;
use crate::domain::{Instant, instant_words, parse_instant};
use crate::steps::status::{Paused, Status, status};
use crate::store::Store;
use crate::store::views::{self, Count};

/// How often `--watch` looks again.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// Doubts that are listed; the rest is counted.
const DOUBTS_SHOWN: usize = 10;

/// Armed or not, holds, due, waiting, in doubt, lines in use, today, the last tick
#[derive(Args)]
pub struct StatusArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Show it again every two seconds, until Ctrl-C
    #[arg(long)]
    watch: bool,
}

pub fn run(global: &Global, args: &StatusArgs) -> anyhow::Result<Exit> {
    let settings = settings(&global.overrides())?;
    let store = Store::look(&settings.loaded.db)?;
    loop {
        let now = settings.loaded.clock.now()?;
        let found = status(&store, &settings.loaded.config, &settings.zones, now)?;
        if args.watch && !args.json {
            // Clears the window and puts the cursor into its corner.
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

/// What a pause stops, in words.
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

/// The status in lines: what is wrong first.
fn lines(found: &Status, file: &str, now: Instant) -> Vec<String> {
    let mut lines = Vec::new();
    let mut add = |name: &str, text: String| lines.push(format!("{name:<12} {text}"));
    add(
        "database",
        format!(
            "{}, {} + {} log",
            clean(file),
            bytes(found.database_bytes),
            bytes(found.wal_bytes)
        ),
    );
    add(
        "armed",
        match &found.not_armed_because {
            None => toned(Tone::Good, "yes, here"),
            Some(why) => toned(Tone::Bad, why),
        },
    );
    if let (Some(why), Some(since)) = (&found.not_dialing_because, &found.not_dialing_since) {
        let what = format!("since {}: {why}", instant_words(since));
        add("not dialing", toned(Tone::Bad, &what));
    }
    for hold in &found.holds {
        let what = format!("{} ({}): {}", hold.kind, ago(&hold.since, now), hold.why);
        add("held", toned(Tone::Bad, &what));
    }
    for pause in &found.pauses {
        let since = ago(&pause.since, now);
        let what = format!("{} by {} ({since}): {}", paused(pause), pause.who, pause.why);
        add("paused", toned(Tone::Warn, &what));
    }
    if let Some(breaker) = &found.breaker {
        let (why, opened) = (&breaker.breaker.why, ago(&breaker.breaker.opened_at, now));
        let (tone, stands) = match breaker.half_open {
            true => (Tone::Warn, "half open, the next call is the probe".to_string()),
            false => {
                let probe = ago(&breaker.breaker.probe_at, now);
                (Tone::Bad, format!("open, one call is tried {probe}"))
            }
        };
        add("breaker", toned(tone, &format!("{stands} (opened {opened}): {why}")));
    }
    let lines_used = format!("{} of {} in use", found.lines_in_use, found.max_active_calls);
    add("lines", lines_used);
    if let Some(numbers) = found.only_numbers {
        let noun = if numbers == 1 { "number" } else { "numbers" };
        let what = format!("nobody but {numbers} {noun} (dialing.only_numbers)");
        add("dials", toned(Tone::Warn, &what));
    }
    if let Some(overdue) = &found.overdue_call {
        let what = format!("a call has run for {} min; it holds its line", overdue.minutes);
        add("alarm", toned(Tone::Bad, &what));
    }
    let zoneless = found.zoneless.as_ref().map(|zoneless| zoneless.to_string());
    for what in zoneless.into_iter().chain(views::long_log(found.wal_bytes)) {
        add("alarm", toned(Tone::Bad, &what));
    }
    add("due now", found.due.to_string());
    add("waiting", counted(&found.waiting));
    add(
        "next call",
        found.next_call_at.as_deref().map_or("none queued".into(), |at| when(at, now)),
    );
    let tick = match &found.last_tick_at {
        None => "never".to_string(),
        Some(at) if found.tick_is_late => {
            toned(Tone::Bad, &format!("{}, which is too long ago", when(at, now)))
        }
        Some(at) => when(at, now),
    };
    add("last tick", tick);
    match (&found.backup_trouble, &found.last_backup_at) {
        (Some(why), _) => add("last backup", toned(Tone::Bad, why)),
        (None, Some(at)) => add("last backup", when(at, now)),
        (None, None) => {}
    }
    let today = &found.today;
    let reached = format!("{} called, {} reached", today.called, today.reached);
    add("today", format!("{reached}, {} failed", today.failed));
    if !today.dispositions.is_empty() {
        add("  ended", counted(&today.dispositions));
    }
    if !today.skipped.is_empty() {
        add("  skipped", counted(&today.skipped));
    }
    match found.in_doubt.len() {
        0 => add("in doubt", "none".to_string()),
        n => add("in doubt", toned(Tone::Bad, &format!("{n}: nobody knows whether a phone rang"))),
    }
    for doubt in found.in_doubt.iter().take(DOUBTS_SHOWN) {
        let who = doubt.customer_id.map_or("a stranger".into(), |id| format!("customer {id}"));
        let (call, since) = (doubt.call_type, ago(&doubt.since, now));
        lines.push(format!("  {who}, {call} {}, {since}:", clean(&doubt.occasion)));
        lines.push(format!("    {}", doubt.resolve));
    }
    let more = found.in_doubt.len().saturating_sub(DOUBTS_SHOWN);
    if 0 < more {
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
