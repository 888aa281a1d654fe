//! `ringonce audit`: independent code proves that each due occasion was called or ended once.

use std::collections::HashSet;
use std::sync::Arc;

use chrono::Duration;
use clap::Args;

use crate::cli::arguments::configuration::{Global, Settings, settings};
use crate::cli::exit::Exit;
use crate::config::load::LoadedConfig;
use crate::domain::{Instant, instant_words};
use crate::present::output::{self, Tone, toned};
use crate::steps::Context;
use crate::steps::audit::audit;
use crate::steps::audit::calls::compare;
use crate::steps::audit::report::{AuditFinding, AuditReport, Cause, ElsewhereFinding, Lacks};
use crate::steps::customers::census;
use crate::store::Store;
use crate::vapi::{ApiKey, Vapi};

/// At most this many calls made elsewhere are printed; `history list` shows all.
const NAMED_AT_MOST: usize = 20;

/// Recompute the due occasions and compare them with the calls and with the provider's list
#[derive(Args)]
#[command(after_help = "\
Exits 1 if an occasion was called twice, or fell due and has no end, for example because no
scheduler runs. A call made elsewhere on the date of one of our calls counts as a second call.
Without a key, or with --offline, only the file is audited.

Example, in a crontab:
  0 6 * * *  ringonce audit")]
pub struct AuditArgs {
    /// Print everything as JSON
    #[arg(long)]
    json: bool,
    /// Do not ask the provider
    #[arg(long)]
    offline: bool,
}

pub fn run(global: &Global, args: &AuditArgs) -> anyhow::Result<Exit> {
    let Settings { loaded, zones } = settings(&global.overrides())?;
    let now = loaded.clock.now()?;
    let store = Arc::new(Store::look(&loaded.db)?);
    let cx = Context::new(store, loaded.config.clone(), Arc::new(zones))?;
    let mut report = audit(&cx, now)?;
    let unread = if args.offline {
        Some("--offline".to_string())
    } else {
        ask_provider(&cx, &loaded, now, &mut report)?
    };
    if args.json {
        output::json(&report)?;
    } else {
        print(&report, unread.as_deref())?;
        // Nobody is due then, so an audit without findings proves nothing about these customers.
        if let Some(why) = cx.store.read(|conn| census::take(conn, &cx.rules))?.few_eligible() {
            output::line(&toned(Tone::Warn, &format!("warning: {}", output::clean(&why))))?;
        }
    }
    if let (true, Some(why)) = (args.json && !args.offline, &unread) {
        log::warn!("the provider's list was not compared: {why}");
    }
    Ok(if report.is_clean() { Exit::Done } else { Exit::Failed })
}

/// Compares with the provider's list; returns the reason if that was not possible.
fn ask_provider(
    cx: &Context,
    loaded: &LoadedConfig,
    now: Instant,
    report: &mut AuditReport,
) -> anyhow::Result<Option<String>> {
    let Some(key) = &loaded.api_key else {
        return Ok(Some("no VAPI_API_KEY".to_string()));
    };
    let vapi = &loaded.config.vapi;
    let provider = Vapi::new(&vapi.base_url, ApiKey::new(key.expose()), vapi.timeout_secs)?;
    let since = now - Duration::days(cx.config.reconcile.retention_days);
    Ok(compare(cx, &provider, (since, now), report)?.err())
}

fn print(report: &AuditReport, unread: Option<&str>) -> anyhow::Result<()> {
    let size = report.looked_at;
    output::line(&format!(
        "audited {} customers, {} queue items, {} attempts: {} occasions due and ended ({} \
         called), {} wait for the next scan",
        size.customers,
        size.queue_items,
        size.attempts,
        report.ended,
        report.called,
        report.wait_for_scan
    ))?;
    match (report.provider_calls, unread) {
        (Some(calls), _) => {
            output::line(&format!("compared with {calls} calls of the provider"))?;
            if let Some(lacks) = &report.list_lacks {
                output::line(&toned(Tone::Warn, &lacks.told()))?;
                tell_unlisted(lacks, &report.gaps)?;
            }
        }
        (None, why) => {
            let why = why.unwrap_or_default();
            output::line(&format!("not compared with the provider's list: {why}"))?;
        }
    }
    tell_elsewhere(&report.elsewhere)?;
    for finding in &report.duplicates {
        tell(Tone::Bad, "duplicate", finding, "")?;
    }
    tell_gaps(&report.gaps)?;
    let tone = if report.is_clean() { Tone::Good } else { Tone::Bad };
    let verdict = format!("{} duplicates, {} gaps", report.duplicates.len(), report.gaps.len());
    output::line(&toned(tone, &verdict))
}

/// Prints calls made elsewhere, newest first; `history list` shows them all.
fn tell_elsewhere(calls: &[ElsewhereFinding]) -> anyhow::Result<()> {
    for call in calls.iter().take(NAMED_AT_MOST) {
        let whom = match (call.anybody, call.customers.as_slice()) {
            (true, _) => "a number that excludes no customer".to_string(),
            (false, [one]) => format!("customer {one}"),
            (false, several) => format!("one of {} customers", several.len()),
        };
        let ignored = if call.ignored { " (ignored)" } else { "" };
        let (id, at) = (output::clean(&call.call_id), instant_words(&call.at));
        let what = toned(Tone::Warn, "made elsewhere");
        output::line(&format!("{what}: call {id} of {at} to {whom}{ignored}"))?;
    }
    match calls.len().saturating_sub(NAMED_AT_MOST) {
        0 => Ok(()),
        more => output::line(&format!("… and {more} more: `ringonce history list` shows them")),
    }
}

/// Prints the calls that the list lacks and that are not gaps, which are printed anyway.
fn tell_unlisted(lacks: &Lacks, gaps: &[AuditFinding]) -> anyhow::Result<()> {
    let others: Vec<&AuditFinding> =
        lacks.named.iter().filter(|finding| !gaps.contains(finding)).collect();
    for finding in others.iter().take(NAMED_AT_MOST) {
        tell(Tone::Warn, "not listed", finding, "")?;
    }
    match others.len().saturating_sub(NAMED_AT_MOST) {
        0 => Ok(()),
        more => output::line(&format!("… and {more} more: `ringonce audit --json` names them")),
    }
}

/// Prints the gaps of one cause as one line: the first in words, the count, and the others by name.
fn tell_gaps(gaps: &[AuditFinding]) -> anyhow::Result<()> {
    let mut told = HashSet::new();
    // Each row that cannot be read has a fault of its own.
    let (unreadable, gaps): (Vec<&AuditFinding>, Vec<&AuditFinding>) =
        gaps.iter().partition(|gap| gap.cause == Cause::Unreadable);
    for gap in unreadable.iter().take(NAMED_AT_MOST) {
        tell(Tone::Bad, "gap", gap, "")?;
    }
    if unreadable.len() > NAMED_AT_MOST {
        let more = unreadable.len() - NAMED_AT_MOST;
        output::line(&format!("… and {more} more rows: `ringonce audit --json` names them"))?;
    }
    for gap in gaps.iter().filter(|gap| told.insert(gap.cause)) {
        let alike: Vec<&&AuditFinding> =
            gaps.iter().filter(|other| other.cause == gap.cause).collect();
        let mut others: Vec<String> = alike[1..]
            .iter()
            .take(NAMED_AT_MOST)
            .map(|other| format!("gap {}", whose(other)))
            .collect();
        match alike.len().saturating_sub(NAMED_AT_MOST + 1) {
            0 => {}
            more => others.push(format!("and {more} more: `ringonce audit --json` names them")),
        }
        let others = match alike.len() {
            1 => String::new(),
            count => format!(" ({count} gaps of this cause; {})", others.join("; ")),
        };
        tell(Tone::Warn, "gap", gap, &others)?;
    }
    Ok(())
}

/// The customer and the occasion of a finding.
fn whose(finding: &AuditFinding) -> String {
    let customer = match finding.customer {
        Some(id) => format!("customer {id}"),
        None => "a customer that is gone".to_string(),
    };
    format!("{customer}, {} {}", finding.call_type, output::clean(&finding.occasion))
}

/// Prints one finding, and `others` behind it.
fn tell(tone: Tone, kind: &str, finding: &AuditFinding, others: &str) -> anyhow::Result<()> {
    let (kind, what) = (toned(tone, kind), output::clean(&finding.what));
    // A row that cannot be read is no occasion.
    if finding.call_type.is_empty() {
        return output::line(&format!("{kind}: {what}{others}"));
    }
    output::line(&format!("{kind} {}: {what}{others}", whose(finding)))
}
