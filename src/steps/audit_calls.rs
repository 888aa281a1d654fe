//! The part of the audit that counts calls: no occasion with two, unless the rule of how the
//! earlier one ended permits it, and nothing at the provider that the file does not know.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::Duration;
use serde::Serialize;

use crate::domain::Instant;
use crate::domain::call::{CallType, Disposition};
use crate::domain::gate::Rules;
use crate::provider::{Listing, Provider, ProviderCall, ReadError};
use crate::steps::audit::{Finding, Report};
use crate::steps::{Context, account, audit_elsewhere, queue_import};
use crate::store::Conn;
use crate::store::audit::{self as data, Dialing};
use crate::store::second::{self, SecondCall};

/// Endings without a person, after which a rule may well have permitted another call.
const MISSED: [&str; 3] = ["no_answer", "busy", "voicemail"];

/// By then a call is in the provider's list.
const LISTED_BY_THEN: Duration = Duration::hours(2);
/// The oldest records may go while they are read.
const KEPT_AT_LEAST: Duration = Duration::days(1);
/// Calls without a record that are asked for in one audit.
const ASKED_AT_MOST: usize = 100;

/// Every call of an occasion after the first that no rule permits. `calls` are one customer's, or
/// those of customers that are gone, in the order of the ledger. `retries` are those that the
/// journal tells of, by item: the rule of that time may have permitted more than today's.
pub fn beyond_the_first(
    rules: &Rules,
    retries: &HashMap<i64, usize>,
    calls: &[Dialing],
) -> Vec<Finding> {
    let mut by_occasion: BTreeMap<(&str, &str, &str), Vec<&Dialing>> = BTreeMap::new();
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
                format!(
                    "attempt {} ({}) followed attempt {}, which was {how}",
                    this.attempt_no, this.id, before.attempt_no
                ),
            ));
        }
    }
    found
}

fn may_have_rung(call: &Dialing) -> bool {
    call.state != "not_placed" && call.disposition.as_deref() != Some("never_dialed")
}

fn about(call: &Dialing, what: String) -> Finding {
    Finding {
        customer: call.customer_id,
        call_type: call.call_type.clone(),
        occasion: call.occasion.clone(),
        what,
    }
}

/// A second provider call for one attempt, which was seen while running.
pub fn second_call(conn: &Conn, second: &SecondCall) -> anyhow::Result<Finding> {
    let what = format!("{} (call {})", second.detail, second.vapi_call_id);
    Ok(match data::dialing_of_call(conn, &second.vapi_call_id, &second.attempt_id)? {
        Some(call) => about(&call, what),
        None => Finding {
            customer: None,
            call_type: "unknown".to_string(),
            occasion: "unknown".to_string(),
            what,
        },
    })
}

/// Calls of one occasion to two people at one number.
pub fn at_one_number(conn: &Conn) -> anyhow::Result<Vec<Finding>> {
    let found = data::dialings_of_a_number_before(conn, queue_import::WHO)?;
    let what = "their number was called before for the same occasion of another customer";
    Ok(found.iter().map(|call| about(call, what.to_string())).collect())
}

/// Compares the file with the provider's list since an instant until now. `Err` in the answer: the list
/// could not be read, and proves nothing either way.
pub fn compare(
    cx: &Context,
    provider: &dyn Provider,
    (since, now): (Instant, Instant),
    report: &mut Report,
) -> anyhow::Result<Result<(), String>> {
    let listing = match provider.list(since) {
        Ok(listing) => listing,
        Err(error) => return Ok(Err(error.to_string())),
    };
    report.provider_calls = Some(listing.calls.len());
    cx.store.read(|conn| {
        compare_listing(conn, &cx.installation.id, &listing, report)?;
        audit_elsewhere::listed(cx, conn, &listing, now, report)
    })?;
    let listed: BTreeSet<&str> = listing.calls.iter().map(|call| call.id.as_str()).collect();
    let (ours, missing) = cx.store.read(|conn| {
        let from = account::since(conn)?.map_or(since, |at| at.max(since)) + KEPT_AT_LEAST;
        let made = data::dialings_between(conn, from, now, queue_import::WHO)?;
        let is_listed =
            |call: &Dialing| call.vapi_call_id.as_deref().is_some_and(|id| listed.contains(id));
        Ok(made.into_iter().partition::<Vec<_>, _>(is_listed))
    })?;
    // A list without any known call is another account's. Records may begin later than is configured.
    let oldest = ours.iter().map(|call| call.created_at).min();
    let accused = |call: &Dialing| {
        oldest.is_some_and(|oldest| oldest <= call.created_at)
            && call.created_at < now - LISTED_BY_THEN
    };
    let mut lacks = Lacks { calls: missing.len(), ..Lacks::default() };
    for call in missing.iter().take(ASKED_AT_MOST) {
        let Some(id) = &call.vapi_call_id else { continue };
        match provider.get(id) {
            Ok(_) => lacks.known_by_id += 1,
            Err(ReadError::NotFound) if accused(call) => report.gaps.push(unknown_there(call, id)),
            Err(ReadError::NotFound) => lacks.unknown += 1,
            // An answer that says neither yes nor no proves nothing.
            Err(_) => {}
        }
    }
    report.list_lacks = (0 < lacks.calls).then_some(lacks);
    Ok(Ok(()))
}

/// Calls of the ledger that the provider's list does not show. They are asked for one by one: a list
/// may have holes.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Lacks {
    pub calls: usize,
    /// The provider answers for them by their id.
    pub known_by_id: usize,
    /// Not known by their id either, but no gap: from before all that the list shows, or too young.
    pub unknown: usize,
}

impl Lacks {
    /// One line.
    pub fn told(&self) -> String {
        let mut told = format!("the list lacks {} calls of the ledger", self.calls);
        if 0 < self.known_by_id {
            let known = self.known_by_id;
            told += &format!("; {known} of them are known by id, so the list is no evidence");
        }
        if 0 < self.unknown {
            let unknown = self.unknown;
            told += &format!(
                "; {unknown} are not known by id either, but are too young to be missed, or the key \
                 is another account's, or its records begin later: look again in two hours"
            );
        }
        told
    }
}

fn unknown_there(call: &Dialing, id: &str) -> Finding {
    let what = format!(
        "attempt {} was placed as call {id}, and the provider has no record of it: it was deleted \
         there, or never made",
        call.id
    );
    about(call, what)
}

/// The id of the attempt whose tag a call carries; empty when it carries none.
pub fn attempt_named(call: &ProviderCall) -> &str {
    call.tags().find_map(|tag| tag.get(2..)).unwrap_or_default()
}

fn compare_listing(
    conn: &Conn,
    installation_id: &str,
    listing: &Listing,
    report: &mut Report,
) -> anyhow::Result<()> {
    let told: BTreeSet<String> =
        second::all(conn)?.into_iter().map(|second| second.vapi_call_id).collect();
    for call in listing.calls.iter().filter(|call| !told.contains(&call.id)) {
        match data::dialing_of_call(conn, &call.id, attempt_named(call))? {
            Some(known) => {
                if let Some(what) = contradiction(&known, call) {
                    let finding = about(&known, what);
                    match known.vapi_call_id {
                        Some(_) => report.duplicates.push(finding),
                        None => report.gaps.push(finding),
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

fn contradiction(known: &Dialing, call: &ProviderCall) -> Option<String> {
    match &known.vapi_call_id {
        Some(id) if *id == call.id => None,
        Some(id) => {
            Some(format!("attempt {} has two provider calls: {id} and {}", known.id, call.id))
        }
        // In doubt, or placed without an id: the next reconciling finds it.
        None if known.state != "not_placed" => None,
        None => Some(format!("attempt {} is not placed, but call {} is it", known.id, call.id)),
    }
}

/// A call of this installation that the file never heard of.
fn unknown(conn: &Conn, call: &ProviderCall) -> anyhow::Result<Finding> {
    let customer = match call.customer_key.as_deref() {
        Some(key) => crate::store::customers::id_of_key(conn, key)?,
        None => None,
    };
    Ok(Finding {
        customer,
        call_type: call.call_type.map_or("unknown", |call_type| call_type.as_str()).to_string(),
        occasion: call.occasion.clone().unwrap_or_else(|| "unknown".to_string()),
        what: format!(
            "the provider's call {} is not in the file; run `ringonce reconcile`",
            call.id
        ),
    })
}
