//! The part of the audit that counts calls. An occasion has one call, unless the retry rule for the
//! earlier call's end permits another. The provider has no call that the file does not know.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::Duration;

use crate::domain::call::{CallType, Disposition};
use crate::domain::gate::facts::Rules;
use crate::domain::{Instant, instant_text};
use crate::provider::{Listing, Provider, ProviderCall, ReadError};
use crate::steps::Context;
use crate::steps::audit::made_elsewhere;
use crate::steps::audit::made_elsewhere::attempt_named;
use crate::steps::audit::report::{AuditFinding, AuditReport, Cause, Lacks};
use crate::steps::import::queue;
use crate::steps::reconcile::account;
use crate::store::Conn;
use crate::store::attempts::second_calls::{self, SecondCall};
use crate::store::views::audit::{self as data, AuditAttempt};

/// Dispositions without a person, after which a retry rule may have permitted another call.
const MISSED: [&str; 3] = ["no_answer", "busy", "voicemail"];

/// A call this old must be in the provider's list.
const LISTED_BY_THEN: Duration = Duration::hours(2);
/// How much of the oldest records is not judged: the provider may delete them while we read.
const KEPT_AT_LEAST: Duration = Duration::days(1);
/// How long a call that no listing shows is reported without the provider's list.
const UNLISTED_FOR: Duration = Duration::days(31);
/// At most this many unlisted calls are fetched by id in one audit.
const ASKED_AT_MOST: usize = 100;

/// Every call of an occasion after the first that no rule permits. `calls` are those of one
/// customer, or of erased customers, in ledger order. `retries` counts the journaled retries by
/// item, because the rule at that time may have permitted more than today's.
pub fn beyond_the_first(
    rules: &Rules,
    retries: &HashMap<i64, usize>,
    calls: &[AuditAttempt],
) -> Vec<AuditFinding> {
    let mut by_occasion: BTreeMap<(&str, &str, &str), Vec<&AuditAttempt>> = BTreeMap::new();
    for call in calls.iter().filter(|call| may_have_rung(call)) {
        let key = (call.customer_key.as_str(), call.call_type.as_str(), call.occasion.as_str());
        by_occasion.entry(key).or_default().push(call);
    }
    let mut found = Vec::new();
    for calls in by_occasion.values() {
        for (endings, pair) in (1..).zip(calls.windows(2)) {
            let (before, this) = (pair[0], pair[1]);
            let ending = before.disposition.as_deref().unwrap_or_default();
            let known = CallType::parse(&before.call_type).zip(Disposition::parse(ending));
            let times =
                known.map_or(0, |(call_type, ending)| rules.retry_rule(ending, call_type).times);
            let told = before.queue_id.and_then(|item| retries.get(&item)).copied();
            let told = told.filter(|_| MISSED.contains(&ending)).unwrap_or(0);
            if endings <= times.max(told) {
                continue;
            }
            let how = if ending.is_empty() { &before.state } else { ending };
            found.push(about(
                this,
                Cause::SecondCall,
                format!(
                    "attempt {} ({}) followed attempt {}, which was {how}",
                    this.attempt_no, this.id, before.attempt_no
                ),
            ));
        }
    }
    found
}

fn may_have_rung(call: &AuditAttempt) -> bool {
    call.state != "not_placed" && call.disposition.as_deref() != Some("never_dialed")
}

fn about(call: &AuditAttempt, cause: Cause, what: String) -> AuditFinding {
    AuditFinding {
        customer: call.customer_id,
        call_type: call.call_type.clone(),
        occasion: call.occasion.clone(),
        attempt: Some(call.id.clone()),
        cause,
        what,
    }
}

/// A second provider call for one attempt, seen while the service ran.
pub fn second_call(conn: &Conn, second: &SecondCall) -> anyhow::Result<AuditFinding> {
    let what = format!("{} (call {})", second.detail, second.vapi_call_id);
    Ok(match data::dialing_of_call(conn, &second.vapi_call_id, &second.attempt_id)? {
        Some(call) => about(&call, Cause::SecondCall, what),
        None => AuditFinding {
            customer: None,
            call_type: "unknown".to_string(),
            occasion: "unknown".to_string(),
            attempt: None,
            cause: Cause::SecondCall,
            what,
        },
    })
}

/// Calls to two customers with one number for the same occasion.
pub fn at_one_number(conn: &Conn) -> anyhow::Result<Vec<AuditFinding>> {
    let found = data::dialings_of_a_number_before(conn, queue::WHO)?;
    let what = "their number was called before for the same occasion of another customer";
    Ok(found.iter().map(|call| about(call, Cause::SecondCall, what.to_string())).collect())
}

/// Compares the file with the provider's list from an instant until now. An inner `Err` means that
/// the list could not be read, which proves nothing.
pub fn compare(
    cx: &Context,
    provider: &dyn Provider,
    (since, now): (Instant, Instant),
    report: &mut AuditReport,
) -> anyhow::Result<Result<(), String>> {
    let listing = match provider.list(since) {
        Ok(listing) => listing,
        Err(error) => return Ok(Err(error.to_string())),
    };
    report.provider_calls = Some(listing.calls.len());
    cx.store.read(|conn| {
        compare_listing(conn, &cx.installation.id, &listing, report)?;
        made_elsewhere::listed(cx, conn, &listing, now, report)
    })?;
    let listed: BTreeSet<&str> = listing.calls.iter().map(|call| call.id.as_str()).collect();
    let tagged: BTreeSet<&str> = listing.calls.iter().map(attempt_named).collect();
    let (ours, missing) = cx.store.read(|conn| {
        let from = account::since(conn)?.map_or(since, |at| at.max(since)) + KEPT_AT_LEAST;
        let made = data::dialings_between(conn, from, now, queue::WHO)?;
        let is_listed = |call: &AuditAttempt| {
            tagged.contains(call.id.as_str())
                || call.vapi_call_id.as_deref().is_some_and(|id| listed.contains(id))
        };
        Ok(made.into_iter().partition::<Vec<_>, _>(is_listed))
    })?;
    ours.iter().for_each(|call| forget_stored(report, call));
    // A list without any known call is another account's. Records may begin later than configured.
    let oldest = ours.iter().map(|call| call.created_at).min();
    let accused = |call: &AuditAttempt| {
        oldest.is_some_and(|oldest| oldest <= call.created_at)
            && call.created_at < now - LISTED_BY_THEN
    };
    let mut lacks = Lacks { calls: missing.len(), ..Lacks::default() };
    for (asked, call) in missing.iter().enumerate() {
        let answer = match &call.vapi_call_id {
            Some(id) if asked < ASKED_AT_MOST => Some(provider.get(id).map(drop)),
            Some(_) => None,
            // Without an id, only the tag could show the call.
            None => Some(Err(ReadError::NotFound)),
        };
        let finding = unknown_there(call, answer.as_ref());
        match answer {
            Some(Ok(())) => {
                forget_stored(report, call);
                lacks.known_by_id += 1;
            }
            Some(Err(ReadError::NotFound)) if accused(call) => {
                forget_stored(report, call);
                report.gaps.push(finding.clone());
            }
            Some(Err(ReadError::NotFound)) => lacks.unknown += 1,
            // Another error proves nothing either way.
            Some(Err(_)) | None => {}
        }
        lacks.named.push(finding);
    }
    report.list_lacks = (lacks.calls > 0).then_some(lacks);
    Ok(Ok(()))
}

/// Drops the stored finding about a call, which this list judges anew.
fn forget_stored(report: &mut AuditReport, call: &AuditAttempt) {
    report.gaps.retain(|gap| {
        gap.cause != Cause::UnknownThere || gap.attempt.as_deref() != Some(call.id.as_str())
    });
}

/// A placed call that the list lacks, with the provider's answer about its id.
fn unknown_there(call: &AuditAttempt, answer: Option<&Result<(), ReadError>>) -> AuditFinding {
    let placed = match &call.vapi_call_id {
        Some(id) => format!("attempt {} was placed as call {id}", call.id),
        None => format!("attempt {} was placed, and the reply named no call", call.id),
    };
    let what = match (answer, &call.vapi_call_id) {
        (Some(Ok(())), _) => {
            format!("{placed}, and the provider's list lacks it, but it is known by its id")
        }
        (Some(Err(ReadError::NotFound)), Some(_)) => format!(
            "{placed}, and the provider has no record of it: it was deleted there, or never made"
        ),
        (Some(Err(ReadError::NotFound)), None) => format!(
            "{placed}; no call in the provider's list has its tag: it was deleted there, or never \
             made"
        ),
        _ => format!("{placed}, and the provider's list lacks it"),
    };
    about(call, Cause::UnknownThere, what)
}

/// Placed calls that complete listings lacked while the service ran. Reconciling stored only which
/// listings lacked which call.
pub fn unlisted(conn: &Conn, now: Instant, report: &mut AuditReport) -> anyhow::Result<()> {
    for (call, seen) in data::unlisted(conn, now - UNLISTED_FOR)? {
        if seen.listings < 2 || seen.last_missed_at < call.created_at + LISTED_BY_THEN {
            continue;
        }
        let what = format!(
            "attempt {} was placed, and {} complete lists of the provider lack its call, the last \
             at {}: it was deleted there, or never made",
            call.id,
            seen.listings,
            instant_text(seen.last_missed_at)
        );
        report.gaps.push(about(&call, Cause::UnknownThere, what));
    }
    Ok(())
}

fn compare_listing(
    conn: &Conn,
    installation_id: &str,
    listing: &Listing,
    report: &mut AuditReport,
) -> anyhow::Result<()> {
    let told: BTreeSet<String> =
        second_calls::all(conn)?.into_iter().map(|second| second.vapi_call_id).collect();
    for call in listing.calls.iter().filter(|call| !told.contains(&call.id)) {
        match data::dialing_of_call(conn, &call.id, attempt_named(call))? {
            Some(known) => {
                if let Some(what) = contradiction(&known, call) {
                    match known.vapi_call_id {
                        Some(_) => report.duplicates.push(about(&known, Cause::SecondCall, what)),
                        None => report.gaps.push(about(&known, Cause::UnknownHere, what)),
                    }
                }
            }
            None if call.installation_id.as_deref() == Some(installation_id) => {
                report.gaps.push(unknown(conn, call)?);
            }
            None => {}
        }
    }
    Ok(())
}

fn contradiction(known: &AuditAttempt, call: &ProviderCall) -> Option<String> {
    match &known.vapi_call_id {
        Some(id) if *id == call.id => None,
        Some(id) => {
            Some(format!("attempt {} has two provider calls: {id} and {}", known.id, call.id))
        }
        // The attempt is in doubt, or placed without an id. The next reconciling finds the call.
        None if known.state != "not_placed" => None,
        None => Some(format!("attempt {} is not placed, but has call {}", known.id, call.id)),
    }
}

/// A call of this installation that the file does not know.
fn unknown(conn: &Conn, call: &ProviderCall) -> anyhow::Result<AuditFinding> {
    let customer = match call.customer_key.as_deref() {
        Some(key) => crate::store::customers::id_of_key(conn, key)?,
        None => None,
    };
    Ok(AuditFinding {
        customer,
        call_type: call.call_type.map_or("unknown", |call_type| call_type.as_str()).to_string(),
        occasion: call.occasion.clone().unwrap_or_else(|| "unknown".to_string()),
        attempt: None,
        cause: Cause::UnknownHere,
        what: format!(
            "the provider's call {} is not in the file; run `ringonce reconcile`",
            call.id
        ),
    })
}
