//! Imports the calls that an old scheduler made, from the provider's records, so that a cut-over
//! repeats none of them.
//!
//! Each outbound call without this database's tags counts as made elsewhere. Importing again adds
//! only what is new. A number that several customers have is reported, because nobody can say whose
//! call it was: it counts for all of them until a person ignores it.

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;

use crate::domain::{Instant, instant_text};
use crate::provider::{Listing, ProviderCall};
use crate::steps::Context;
use crate::steps::import::report::ImportOutcome;
use crate::steps::reconcile::made_elsewhere::{end_welcomes, never_rang, read};
use crate::steps::reconcile::unknown_calls::HISTORY_IMPORTED_AT;
use crate::store::journal::Act;
use crate::store::made_elsewhere::{self, ElsewhereCall};
use crate::store::transaction::Moved;
use crate::store::{Tx, attempts, journal, meta};

/// Which of the provider's calls are the old scheduler's.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    pub since: Instant,
    /// Ids of assistants or squads; none: all of them.
    pub assistants: &'a [String],
}

/// The result of an import.
#[derive(Clone, Debug, Default, Serialize)]
pub struct HistoryReport {
    pub outcome: ImportOutcome,
    pub since: String,
    /// Calls in the provider's records.
    pub listed: u64,
    /// Of those, calls that count as made elsewhere.
    pub counted: u64,
    /// Of the counted ones, calls that were not known.
    pub new: u64,
    pub known: u64,
    /// Calls that are in the ledger, or carry this database's tags.
    pub ours: u64,
    pub inbound: u64,
    pub never_rang: u64,
    /// Calls of other assistants than the named ones.
    pub not_named: u64,
    /// The counted calls by assistant or squad.
    pub assistants: BTreeMap<String, u64>,
    /// Customers whom a counted call may have reached.
    pub customers: u64,
    /// Counted calls to numbers that no customer has.
    pub to_nobody: u64,
    /// Counted calls whose number excludes no phone.
    pub to_anybody: u64,
    pub shared: Vec<SharedNumber>,
    /// Records of the provider that cannot be read.
    pub unreadable: u64,
}

/// A counted call to a number that several customers have.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SharedNumber {
    pub call_id: String,
    pub at: String,
    pub customers: Vec<i64>,
}

impl HistoryReport {
    /// `60 calls: 28 new, 2 known, 20 of this database, 6 inbound, 4 never rang`
    pub fn summary(&self) -> String {
        let other = match self.not_named {
            0 => String::new(),
            count => format!(", {count} by other assistants"),
        };
        format!(
            "{} calls: {} new, {} known, {} of this database, {} inbound, {} never rang{other}",
            self.listed, self.new, self.known, self.ours, self.inbound, self.never_rang
        )
    }
}

/// Stores the calls of a listing in one transaction.
pub fn import(
    cx: &Context,
    listing: &Listing,
    request: &Request<'_>,
    act: Act<'_>,
) -> anyhow::Result<HistoryReport> {
    cx.store.write(|tx| {
        let mut report = HistoryReport {
            outcome: ImportOutcome::Applied,
            since: instant_text(request.since),
            unreadable: listing.unreadable.len() as u64,
            ..HistoryReport::default()
        };
        let mut counted = Vec::new();
        for call in &listing.calls {
            report.listed += 1;
            counted.extend(count(cx, tx, call, (request, act.now), &mut report)?);
        }
        name_callees(tx, &counted, &mut report)?;
        end_welcomes(cx, tx, act.now)?;
        meta::set(tx, HISTORY_IMPORTED_AT, &instant_text(act.now))?;
        let Act { who, why, now } = act;
        let summary = report.summary();
        let (new, why) = (Some(summary.as_str()), Some(why).filter(|why| !why.is_empty()));
        let subject = "history";
        let entry = journal::Entry { who, what: "import", subject, new, why, ..Default::default() };
        journal::add(tx, now, entry)?;
        Ok(report)
    })
}

/// Stores one call if it counts, and returns it.
fn count(
    cx: &Context,
    tx: &Tx<'_>,
    call: &ProviderCall,
    (request, now): (&Request<'_>, Instant),
    report: &mut HistoryReport,
) -> anyhow::Result<Option<ElsewhereCall>> {
    let has_our_tags = call.installation_id.as_ref() == Some(&cx.installation.id);
    if has_our_tags || attempts::by_call_id(tx, &call.id)?.is_some() {
        report.ours += 1;
        return Ok(None);
    }
    let Some(mut found) = read(cx, call, now).filter(|_| !never_rang(call)) else {
        report.never_rang += 1;
        return Ok(None);
    };
    if found.inbound {
        report.inbound += 1;
        return Ok(None);
    }
    let is_named = |id: &String| request.assistants.contains(id);
    if !request.assistants.is_empty() && !found.assistant.as_ref().is_some_and(is_named) {
        report.not_named += 1;
        return Ok(None);
    }
    // A person said that the old scheduler made it, whichever assistant spoke.
    found.blocks = true;
    let is_new = match made_elsewhere::insert(tx, &found)? {
        Moved::Yes => true,
        Moved::No => made_elsewhere::block(tx, &call.id)? == Moved::Yes,
    };
    report.counted += 1;
    *(if is_new { &mut report.new } else { &mut report.known }) += 1;
    let assistant = found.assistant.clone().unwrap_or_else(|| "unknown".to_string());
    *report.assistants.entry(assistant).or_default() += 1;
    Ok(Some(found))
}

/// Matches the counted calls to customers by number.
fn name_callees(
    tx: &Tx<'_>,
    counted: &[ElsewhereCall],
    report: &mut HistoryReport,
) -> anyhow::Result<()> {
    let callees = made_elsewhere::callees(tx, counted)?;
    let mut reached = HashSet::new();
    for call in counted {
        if call.may_be_anybodys() {
            report.to_anybody += 1;
            continue;
        }
        let whom = callees.get(&call.vapi_call_id).map_or(&[][..], Vec::as_slice);
        let mut customers: Vec<i64> = whom.iter().map(|callee| callee.id).collect();
        reached.extend(customers.iter().copied());
        match customers.len() {
            0 => report.to_nobody += 1,
            1 => {}
            _ => {
                customers.sort_unstable();
                let (call_id, at) = (call.vapi_call_id.clone(), instant_text(call.created_at));
                report.shared.push(SharedNumber { call_id, at, customers });
            }
        }
    }
    report.customers = reached.len() as u64;
    Ok(())
}
