//! The past in `ringonce explain`: what happened on a date, and the occasions without a call.

use serde_json::Value;

use crate::domain::Instant;
use crate::domain::calendar::zone::Zone;
use crate::domain::call::CallType;
use crate::present::attempt;
use crate::present::output::{self, Table, Tone, clean, toned};
use crate::steps::forecast::explain::{Explained, Said};
use crate::steps::forecast::past::{Day, PastItem};

/// Prints what became of the date's call and why, then everything that stopped calls on the date.
pub fn print_day(explained: &Explained, day: &Day) -> anyhow::Result<()> {
    let zone = explained.zone.as_deref();
    let said = explained.of_the_day(day);
    output::line("")?;
    output::line(&format!("on {}: {}", day.date.format("%a %Y-%m-%d"), answer(&said)))?;
    if let Some(detail) = said.detail.as_deref().filter(|detail| !detail.is_empty()) {
        output::line(&format!("  {}", clean(detail)))?;
    }
    for past in &day.items {
        let item = &past.item;
        let call = match item.call_type {
            CallType::Daily => format!("daily call of {}", item.occasion),
            other => format!("{other} call"),
        };
        let ended = match item.processed_at {
            Some(at) => format!(", ended {}", moment(at, zone)),
            None => String::new(),
        };
        let due = moment(item.scheduled_for, zone);
        output::line(&format!("  {call}, due {due}{ended} (item {}): {}", item.id, result(past)))?;
    }
    for call in &day.calls {
        let how = call.disposition.map_or(call.state.to_string(), |how| how.to_string());
        let at = moment(call.created_at, zone);
        output::line(&format!("  attempt {} at {at}: {how}", call.attempt_no))?;
    }
    let told = said.detail.unwrap_or_default();
    for stop in day.stops.iter().filter(|stop| !told.contains(&stop.words())) {
        output::line(&format!("  also: {}", clean(&stop.words())))?;
    }
    Ok(())
}

/// The answer in words; a word for programs is in the JSON.
fn answer(said: &Said) -> String {
    let why = said.reason.map_or(String::new(), |reason| format!(", {reason}"));
    match said.verdict {
        "called" => toned(Tone::Good, "called"),
        "rings" => toned(Tone::Good, "rings"),
        "already_called" => toned(Tone::Dim, "already called"),
        "skipped" | "not_called" => toned(Tone::Bad, &format!("not called{why}")),
        "failed" => toned(Tone::Bad, &format!("failed{why}")),
        "in_flight" => toned(Tone::Good, "an attempt is under way"),
        "waits" => toned(Tone::Warn, &format!("waits{why}")),
        "no_record" => toned(Tone::Bad, "not called, and no result is recorded"),
        _ => toned(Tone::Dim, "no call was due"),
    }
}

fn result(past: &PastItem) -> String {
    let reason = past.item.reason.map_or(String::new(), |reason| format!(", {reason}"));
    format!("{}{reason}", past.item.status)
}

/// Prints the occasions that ended without a call, each with what stopped it.
pub fn print_skips(skips: &[PastItem], zone: Option<&Zone>) -> anyhow::Result<()> {
    if skips.is_empty() {
        return Ok(());
    }
    output::line("past occasions without a call:")?;
    let mut table = Table::new(&["DUE", "TYPE", "OCCASION", "RESULT", "WHY"]);
    for past in skips {
        let item = &past.item;
        table.row([
            output::local_or_utc(item.scheduled_for, zone),
            item.call_type.to_string(),
            item.occasion.chars().take(14).collect(),
            result(past),
            past.detail().map_or("–".to_string(), |detail| clean(&detail)),
        ]);
    }
    table.print()
}

/// A time on the customer's clock.
pub fn moment(at: Instant, zone: Option<&Zone>) -> String {
    output::local_or_utc(at, zone)
}

/// What was said in the past calls: the summary and the structured values.
pub fn print_said(explained: &Explained, zone: Option<&Zone>) -> anyhow::Result<()> {
    for call in &explained.past {
        let Some(result) = explained.said.get(&call.id) else { continue };
        let summary = result.summary.as_deref().unwrap_or("no summary");
        output::line(&format!("said {}: {}", moment(call.created_at, zone), clean(summary)))?;
        let value = |(name, value): (&String, &Value)| {
            format!("{}: {}", clean(name), clean(&attempt::value_text(value)))
        };
        let values: Vec<String> = result.structured.iter().map(value).collect();
        if !values.is_empty() {
            output::line(&format!("  {}", values.join(" · ")))?;
        }
    }
    Ok(())
}
