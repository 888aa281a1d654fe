//! `ringonce explain`: whether and why one customer is called now, and the next call. Reads only.

use std::sync::Arc;

use clap::Args;

use crate::cli::arguments::configuration::{Global, settings};
use crate::cli::arguments::time_flag;
use crate::cli::arguments::{one, usage};
use crate::cli::exit::Exit;
use crate::cli::forecast::past;
use crate::domain::Instant;
use crate::domain::calendar::zone::Zone;
use crate::domain::call::{Reason, extra_key};
use crate::domain::customer::columns::parse_date;
use crate::domain::gate::facts::{Answer, Verdict};
use crate::present::explain;
use crate::present::output::{self, Table, Tone, clean, toned};
use crate::steps::Context;
use crate::steps::forecast::explain::{Explained, Explanation, InQueue, Outcome, Question, answer};
use crate::steps::import::holidays;
use crate::store::Store;
use crate::store::attempts::Attempt;

/// Explain why a customer is called or not, now or on a date: every rule's answer, past calls and
/// skips, the next call
#[derive(Args)]
#[command(after_help = "\
For now or later, the answer is what a tick at that time would do, if nothing else happened before
it. An earlier date or time is judged by what was true then, as the journal, the ledger and the
queue show it.

Examples:
  ringonce explain ada@example.com
  ringonce explain ada@example.com --on 2026-11-21
  ringonce explain ada@example.com --at 2026-11-22T07:00:00-05:00")]
pub struct ExplainArgs {
    /// Id, external id, e-mail or phone; id:7, external:7, … match one kind only
    customer: String,
    /// The RFC 3339 time to explain [default: now]
    #[arg(long, value_name = "TIME", conflicts_with = "on")]
    at: Option<String>,
    /// The date to explain, in the customer's time zone
    #[arg(long, value_name = "DATE")]
    on: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub fn run(global: &Global, args: &ExplainArgs) -> anyhow::Result<Exit> {
    let settings = settings(&global.overrides())?;
    let now = settings.loaded.clock.now()?;
    let at = args.at.as_ref().map_or(Ok(now), |text| time_flag("--at", text))?;
    let date = |text: &String| parse_date(text).map_err(|why| usage(format!("--on {why}")));
    let question = Question { now, at, on: args.on.as_ref().map(date).transpose()? };
    let store = Arc::new(Store::look(&settings.loaded.db)?);
    let customer = store.read(|conn| one(conn, &args.customer))?;
    let cx = Context::new(store, settings.loaded.config, Arc::new(settings.zones))?;
    let days = holidays::read(&cx.config.holidays).map_err(usage)?;
    if question.on.is_some() && cx.zones.get(&customer.timezone).is_none() {
        return Err(usage(format!(
            "--on needs the customer's time zone, which is not known; set it with `ringonce \
             customers update id:{} --timezone ZONE`",
            customer.id
        )));
    }
    let explained = answer(&cx, customer.id, &question, Some(&days))?;
    let Some(explained) = explained else {
        return Err(usage(format!("customer {} is gone", customer.id)));
    };
    if args.json {
        output::json(&explain::json(&explained))?;
    } else {
        print(&explained)?;
    }
    Ok(Exit::Done)
}

fn print(explained: &Explained) -> anyhow::Result<()> {
    let zone = explained.zone.as_deref();
    for line in person(explained) {
        output::line(&line)?;
    }
    if let Some(place) = &explained.place {
        output::line(&toned(Tone::Warn, place))?;
    }
    if let Some(day) = &explained.day {
        past::print_day(explained, day)?;
    }
    for explanation in &explained.occasions {
        output::line("")?;
        if explained.at < explained.now {
            let then = past::moment(explained.at, zone);
            output::line(&format!("as it stood at {then}:"))?;
        }
        let (what, outcome) = headline(explanation, explained);
        output::line(&what)?;
        output::line(&format!("  {outcome}"))?;
        let mut table = Table::new(&["RULE", "ANSWER", "DETAIL"]);
        for answer in &explanation.answers {
            table.row(rule(answer, explained.at, zone));
        }
        table.print()?;
    }
    output::line("")?;
    output::line(&match explained.next_call_at {
        Some(at) => format!("next call: {}", moment(at, explained.now, zone)),
        None => "next call: none is foreseen".to_string(),
    })?;
    print_past(&explained.past, explained.now, zone)?;
    past::print_said(explained, zone)?;
    past::print_skips(&explained.skips, zone)
}

/// The customer's name, state and schedule in words.
fn person(explained: &Explained) -> Vec<String> {
    let customer = &explained.customer;
    let name = if customer.name.is_empty() {
        String::new()
    } else {
        format!(", {}", clean(&customer.name))
    };
    let phone = output::phone(&customer.phone, false);
    let validated = if customer.phone_validated { "" } else { " (not validated)" };
    let there = match explained.zone.as_deref() {
        Some(zone) => format!("there it is {}", output::local_time(explained.at, zone)),
        None => "a zone that is not known".to_string(),
    };
    let welcome = if customer.welcome_call_completed {
        "welcome call made".to_string()
    } else {
        "welcome call not made yet".to_string()
    };
    let last = match customer.last_call_date {
        Some(date) => format!("last daily call on {date}"),
        None => "no daily call yet".to_string(),
    };
    let rhythm = explained.rhythm.clone().unwrap_or_else(|| "no daily calls".to_string());
    let assistant = match &customer.assistant {
        Some(name) => format!("; assistant {}", clean(name)),
        None => String::new(),
    };
    vec![
        format!("customer {}{name}, {phone}{validated}", customer.id),
        format!("{}: {there}", clean(&customer.timezone)),
        format!(
            "{rhythm}; {}, {}; {welcome}; {last}{assistant}",
            clean(&customer.payment_status),
            customer.call_status
        ),
    ]
}

/// `daily call of 2026-11-22, due Sun 2026-11-22 07:00 (item 3)` and `rings now`.
fn headline(explanation: &Explanation, explained: &Explained) -> (String, String) {
    let zone = explained.zone.as_deref();
    let occasion = match explanation.call_type.as_str() {
        "daily" => format!("daily call of {}", explanation.occasion),
        other => match extra_key(&explanation.occasion) {
            Some(key) => format!("{other} call {}", output::clean(key)),
            None => format!("{other} call"),
        },
    };
    let queued = match explanation.in_queue {
        InQueue::Item(id) => format!("item {id}"),
        InQueue::ByThisTick | InQueue::No => "not queued yet".to_string(),
    };
    let due = output::local_or_utc(explanation.scheduled_for, zone);
    let until = |reason: Option<Reason>, until: Option<Instant>| match until {
        Some(at) => {
            let words = Reason::before_instant(reason);
            let comma = if words == "until" { "" } else { "," };
            format!("{comma} {words} {}", moment(at, explained.at, zone))
        }
        None => String::new(),
    };
    let outcome = match explanation.outcome {
        Outcome::Rings if explained.at < explained.now => toned(Tone::Good, "was to ring then"),
        Outcome::Rings => toned(Tone::Good, "rings now"),
        Outcome::Waits { reason: None, until: at } => {
            toned(Tone::Good, &format!("waits{}{}", until(None, at), attempt(explanation, zone)))
        }
        Outcome::Waits { reason: Some(reason), until: at } => {
            let again = until(Some(reason), at);
            let words = format!("waits, {reason}{again}{}", attempt(explanation, zone));
            toned(Tone::Warn, &words)
        }
        Outcome::Skipped(reason) => toned(Tone::Bad, &format!("is skipped, {reason}")),
        Outcome::AlreadyCalled => toned(Tone::Dim, "is over: already called"),
        Outcome::InFlight => toned(Tone::Good, "an attempt is under way"),
    };
    (format!("{occasion}, due {due} ({queued})"), outcome)
}

/// The number of the next attempt and its time limit; empty before the first attempt.
fn attempt(explanation: &Explanation, zone: Option<&Zone>) -> String {
    let Some(tried) = &explanation.tried else { return String::new() };
    let limit = explanation.expires_at;
    let limit =
        limit.map_or(String::new(), |at| format!(", not after {}", output::local_or_utc(at, zone)));
    format!("; attempt {} of it, after {}{limit}", tried.attempts + 1, tried.last)
}

fn rule(answer: &Answer, now: Instant, zone: Option<&Zone>) -> [String; 3] {
    let (word, until) = match &answer.verdict {
        Verdict::Open => (toned(Tone::Good, "yes"), None),
        Verdict::Wait { reason, until } => (toned(Tone::Warn, &format!("wait: {reason}")), *until),
        Verdict::Skip(reason) => (toned(Tone::Bad, &format!("no: {reason}")), None),
        Verdict::AlreadyCalled => (toned(Tone::Dim, "no: already_called"), None),
    };
    let reason = match &answer.verdict {
        Verdict::Wait { reason, .. } => Some(*reason),
        _ => None,
    };
    let words = Reason::before_instant(reason);
    let until = until.map(|at| format!("{words} {}", moment(at, now, zone)));
    let detail = Some(clean(&answer.detail)).filter(|detail| !detail.is_empty());
    let detail: Vec<String> = detail.into_iter().chain(until).collect();
    [answer.rule.to_string(), word, detail.join("; ")]
}

fn print_past(past: &[Attempt], now: Instant, zone: Option<&Zone>) -> anyhow::Result<()> {
    if past.is_empty() {
        return output::line("past calls: none");
    }
    output::line("past calls:")?;
    let mut table = Table::new(&["WHEN", "TYPE", "OCCASION", "NO", "STATE", "OUTCOME"]);
    for attempt in past {
        let how = attempt.disposition.map_or("–".to_string(), |how| how.to_string());
        table.row([
            format!(
                "{} ({})",
                output::local_or_utc(attempt.created_at, zone),
                output::relative(attempt.created_at, now)
            ),
            attempt.call_type.to_string(),
            occasion(&attempt.occasion),
            attempt.attempt_no.to_string(),
            attempt.state.to_string(),
            how,
        ]);
    }
    table.print()
}

/// Shortens an occasion to 46 characters: the key of an extra call may be long.
pub fn occasion(occasion: &str) -> String {
    occasion.chars().take(46).collect()
}

fn moment(at: Instant, now: Instant, zone: Option<&Zone>) -> String {
    format!("{} ({})", output::local_or_utc(at, zone), output::relative(at, now))
}
