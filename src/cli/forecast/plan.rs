//! `ringonce plan` and `ringonce simulate`: the coming calls. Both only read and use no network.

use std::sync::Arc;

use chrono::{Duration, NaiveTime};
use clap::Args;
use serde_json::json;

use crate::cli::arguments::configuration::{Global, Settings, settings};
use crate::cli::arguments::{time_flag, usage};
use crate::cli::exit::Exit;
use crate::cli::status::counted;
use crate::config::timetable::Timetable;
use crate::domain::call::CallType;
use crate::domain::customer::columns::{parse_date, shown};
use crate::domain::{Instant, instant_text};
use crate::present::output::{self, Table, Tone, clean, toned};
use crate::steps::Context;
use crate::steps::customers::census;
use crate::steps::forecast::plan::{Planned, plan};
use crate::steps::forecast::simulate::{Assumed, Simulated, simulate};
use crate::steps::import::holidays;
use crate::store::file::memory_copy;
use crate::store::{Store, do_not_call};

/// The longest bar of a chart, in columns.
const BAR: usize = 40;
/// The longest plan or simulation, in days.
const DAYS_MAX: i64 = 366;

/// List the coming calls, as far as they are known now
#[derive(Args)]
#[command(after_help = "\
Times are the customers' own; --json names their zones. Retries are not foreseen: see `simulate`.")]
pub struct PlanArgs {
    /// Number of days from now
    #[arg(long, default_value_t = 1, value_name = "N")]
    days: i64,
    /// Show at most N calls
    #[arg(long, default_value_t = 200, value_name = "N")]
    limit: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Simulate the coming days on a copy in memory: calls per hour, skips, and limits reached
#[derive(Args)]
#[command(after_help = "\
Example: what a slower pace would do to the coming week
  ringonce simulate --from 2026-11-23 --days 7 --calls-per-minute 5")]
pub struct SimulateArgs {
    /// Start at this date (midnight in schedule.timezone) or time [default: now]
    #[arg(long, value_name = "DATE")]
    from: Option<String>,
    /// Number of days
    #[arg(long, default_value_t = 1, value_name = "N")]
    days: i64,
    /// Use N instead of dialing.calls_per_minute
    #[arg(long, value_name = "N")]
    calls_per_minute: Option<usize>,
    /// Use N instead of dialing.max_active_calls
    #[arg(long, value_name = "N")]
    max_active_calls: Option<usize>,
    /// Length of an answered call
    #[arg(long, default_value_t = 90, value_name = "SECONDS")]
    call_seconds: i64,
    /// Share of calls that nobody answers, 0 to 1
    #[arg(long, default_value_t = 0.0, value_name = "SHARE")]
    no_answer_share: f64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn days(days: i64) -> anyhow::Result<Duration> {
    match days {
        1..=DAYS_MAX => Ok(Duration::days(days)),
        _ => Err(usage(format!("--days {days}: give 1 to {DAYS_MAX}"))),
    }
}

pub fn plan_command(global: &Global, args: &PlanArgs) -> anyhow::Result<Exit> {
    let span = days(args.days)?;
    let settings = settings(&global.overrides())?;
    let now = settings.loaded.clock.now()?;
    let store = Arc::new(Store::look(&settings.loaded.db)?);
    let cx = Context::new(store, settings.loaded.config, Arc::new(settings.zones))?;
    let holidays = holidays::read(&cx.config.holidays).map_err(usage)?;
    let planned = plan(&cx, now, now + span, &holidays)?;
    let shown = &planned[..planned.len().min(args.limit)];
    if args.json {
        output::json(&shown.iter().map(|call| as_json(&cx, call)).collect::<Vec<_>>())?;
        return Ok(Exit::Done);
    }
    let few = cx.store.read(|conn| census::take(conn, &cx.rules))?.few_eligible();
    let warning = few.map(|why| toned(Tone::Warn, &format!("warning: {}", clean(&why))));
    if planned.is_empty() {
        output::line("no calls to come")?;
        return warning.map_or(Ok(()), |line| output::line(&line)).map(|()| Exit::Done);
    }
    let mut table = Table::new(&["WHEN", "LOCAL TIME", "CUSTOMER", "CALL", "NOTE"]);
    for call in shown {
        table.row(cells(&cx, call, now));
    }
    table.print()?;
    let against = planned.iter().filter(|call| call.against.is_some()).count();
    let rings = planned.len() - against;
    let more = planned.len() - shown.len();
    let cut = if more == 0 { String::new() } else { format!("; {more} not shown: --limit N") };
    let calls = if rings == 1 { "call" } else { "calls" };
    output::line(&format!("{rings} {calls}, {against} that will not ring{cut}"))?;
    warning.map_or(Ok(()), |line| output::line(&line)).map(|()| Exit::Done)
}

fn cells(cx: &Context, call: &Planned, now: Instant) -> [String; 5] {
    let local = output::local_or_utc(call.at, cx.zones.get(&call.timezone).as_deref());
    let name = if call.customer_name.is_empty() {
        call.customer_id.to_string()
    } else {
        format!("{} {}", call.customer_id, clean(&shown(&call.customer_name)))
    };
    let note = match call.against {
        Some(reason) => toned(Tone::Warn, reason.as_str()),
        None => String::new(),
    };
    let what = match (&call.rhythm, call.call_type) {
        (Some(rhythm), CallType::Daily) => format!("daily, {rhythm}"),
        (_, other) => other.to_string(),
    };
    [output::relative(call.at, now), local, name, what, note]
}

fn as_json(cx: &Context, call: &Planned) -> serde_json::Value {
    let zone = cx.zones.get(&call.timezone);
    json!({
        "at": instant_text(call.at),
        "local_time": zone.map(|zone| output::local_rfc3339(call.at, &zone)),
        "timezone": call.timezone,
        "customer_id": call.customer_id,
        "customer_name": call.customer_name,
        "rhythm": call.rhythm,
        "call_type": call.call_type.as_str(),
        "occasion": call.occasion,
        "against": call.against.map(|reason| reason.as_str()),
    })
}

pub fn simulate_command(global: &Global, args: &SimulateArgs) -> anyhow::Result<Exit> {
    let span = days(args.days)?;
    if !(0.0..=1.0).contains(&args.no_answer_share) {
        return Err(usage("--no-answer-share: give 0 to 1"));
    }
    if !(1..=7200).contains(&args.call_seconds) {
        return Err(usage("--call-seconds: give 1 to 7200"));
    }
    let settings = settings(&global.overrides())?;
    let now = settings.loaded.clock.now()?;
    let from = match &args.from {
        Some(text) => start(&settings, text)?,
        None => now,
    };
    if now + Duration::days(DAYS_MAX) < from {
        return Err(usage(format!("--from is more than {DAYS_MAX} days away")));
    }
    // A start up to one day ago is allowed for today's midnight. The file has no earlier state.
    if from + Duration::days(1) <= now {
        let from = shown(args.from.as_deref().unwrap_or_default()).into_owned();
        return Err(usage(format!(
            "--from {from} is in the past: a simulation starts from the file as it is now"
        )));
    }
    for (flag, value) in [
        ("--calls-per-minute", args.calls_per_minute),
        ("--max-active-calls", args.max_active_calls),
    ] {
        if value == Some(0) {
            return Err(usage(format!("{flag} 0: nobody would be called; give 1 or more")));
        }
    }
    let cx = copied(settings, args)?;
    let assumed = Assumed {
        from,
        until: from + span,
        call_length: Duration::seconds(args.call_seconds),
        ring_length: Duration::seconds(30),
        no_answer_share: args.no_answer_share,
    };
    let simulated = simulate(&cx, &assumed, now)?;
    if args.json {
        output::json(&simulated)?;
    } else {
        chart(&simulated).iter().try_for_each(|line| output::line(line))?;
    }
    Ok(Exit::Done)
}

/// Parses `--from`: midnight of a date in the schedule's zone, or an instant.
fn start(settings: &Settings, text: &str) -> anyhow::Result<Instant> {
    match parse_date(text).ok().filter(|_| text.len() <= 10) {
        Some(date) => {
            let timetable = Timetable::of(&settings.loaded.config, &settings.zones)?;
            Ok(timetable.zone().resolve(date.and_time(NaiveTime::MIN)))
        }
        None => time_flag("--from", text),
    }
}

/// Copies the database into memory, with the limits from the flags and the dates without calls.
fn copied(settings: Settings, args: &SimulateArgs) -> anyhow::Result<Context> {
    let looked = Store::look(&settings.loaded.db)?;
    let store = Arc::new(memory_copy::whole(&looked)?);
    let mut config = settings.loaded.config;
    if let Some(calls) = args.calls_per_minute {
        config.dialing.calls_per_minute = calls;
    }
    if let Some(calls) = args.max_active_calls {
        config.dialing.max_active_calls = calls;
    }
    if config.vapi.phone_number_ids.is_empty() {
        config.vapi.phone_number_id.get_or_insert_with(String::new);
    }
    config.vapi.assistant_id.get_or_insert_with(String::new);
    let days = holidays::read(&config.holidays).map_err(usage)?;
    store.write(|tx| {
        do_not_call::replay(tx, &settings.loaded.db)?;
        holidays::apply(tx, &days)
    })?;
    let mut cx = Context::new(store, config, Arc::new(settings.zones))?;
    // Items that wait without a known end are checked again every 15 minutes, as by a scan.
    cx.recheck_after = Duration::minutes(15);
    Ok(cx)
}

/// A bar for each hour, then the totals.
fn chart(simulated: &Simulated) -> Vec<String> {
    let most = simulated.by_hour.iter().map(|hour| hour.calls).max().unwrap_or(0).max(1);
    let mut lines = Vec::new();
    let mut day = "";
    for hour in &simulated.by_hour {
        let (date, time) = (&hour.at[..10], &hour.at[11..16]);
        if date != day {
            lines.push(format!("{date} (UTC)"));
            day = date;
        }
        let length = (hour.calls * BAR).div_ceil(most);
        let bound = match (hour.lines_bound, hour.pace_bound) {
            (true, true) => "  lines and pace full",
            (true, false) => "  lines full",
            (false, true) => "  pace full",
            (false, false) => "",
        };
        let bar =
            toned(if bound.is_empty() { Tone::Good } else { Tone::Warn }, &"█".repeat(length));
        lines.push(format!("  {time} {:>6}  {bar}{bound}", hour.calls));
    }
    lines.push(format!(
        "{} calls ({} retries); at most {} of {} lines, {} calls a minute allowed",
        simulated.calls,
        simulated.retries,
        simulated.most_lines,
        simulated.max_active_calls,
        simulated.calls_per_minute
    ));
    if simulated.delayed > 0 {
        let longest = output::duration(Duration::seconds(simulated.longest_delay_seconds));
        lines.push(format!("{} began late, at most {longest}", simulated.delayed));
    }
    lines.push(format!("ended: {}", counted(&simulated.dispositions)));
    lines.push(format!("skipped: {}", counted(&simulated.skipped)));
    lines
}
