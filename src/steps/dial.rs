//! Claims queue items and places their calls. Each phase is a function, so that a test can stop the
//! process between two phases. This is the only file that calls `Provider::place`, and only with a
//! committed intent.

pub mod caller_id;
pub mod gate_facts;
pub mod intent;
pub mod moment;
pub mod record;

use std::collections::BTreeMap;

use chrono::Duration;

use crate::clock::Reading;
use crate::domain::calendar::zone::Zone;
use crate::domain::call::{AttemptState, CallType, ItemStatus, Reason};
use crate::domain::customer::Customer;
use crate::domain::gate::facts::Verdict;
use crate::domain::gate::made_elsewhere::alone_ends;
use crate::domain::{Instant, gate};
use crate::provider::{PlaceOrder, Provider};
use crate::steps::dial::gate_facts::ItemInQuestion;
use crate::steps::dial::intent::Intent;
use crate::steps::dial::moment::Moment;
use crate::steps::dial::record::PostReply;
use crate::steps::occasions::finish;
use crate::steps::readiness::armed;
use crate::steps::readiness::quarantine;
use crate::steps::reconcile::made_elsewhere;
use crate::steps::{Context, settle};
use crate::store::attempts::{self, Attempt, history};
use crate::store::journal::By;
use crate::store::meta::{installation, pauses, sequence};
use crate::store::quarantine as odd_rows;
use crate::store::queue::transitions::{self, Change, WAITING};
use crate::store::queue::{self, Cursor, Item};
use crate::store::transaction::Moved;
use crate::store::{Tx, customers};

const WHO: &str = "dial";
/// An intent older than this is not sent, because the facts may have changed.
pub const FRESH_FOR: Duration = Duration::seconds(5);
/// A time daemon may set the clock back by this much, so it does not count as wrong.
const STEP_BACK: Duration = Duration::seconds(2);
/// At most this many items are checked in one transaction, so that a long queue does not block
/// other writers.
const LOOK_AT: usize = 200;
/// An item this near to its expiry goes before every other.
const LAST_CHANCE: Duration = Duration::minutes(15);

/// One pass over the due items: each is checked once.
#[derive(Clone, Debug, Default)]
pub struct Pass {
    /// `None`: the items that expire soon.
    cursors: BTreeMap<Option<CallType>, Cursor>,
    /// `None`: every due item. Otherwise only this one.
    only: Option<i64>,
}

impl Pass {
    /// A pass over one item: a call that a person requested.
    pub fn over(item_id: i64) -> Pass {
        Pass { only: Some(item_id), ..Pass::default() }
    }
}

/// The result of a claim.
#[derive(Clone, Debug, Default)]
pub struct Claimed {
    /// Committed intents, to be placed within [`FRESH_FOR`].
    pub intents: Vec<Intent>,
    /// Items that ended as skipped.
    pub skipped: usize,
    /// Items that had already been called.
    pub completed: usize,
    /// Whether every due item of this pass was checked.
    pub exhausted: bool,
}

/// Claims up to `lines` due items by priority, and asks the gate again in the transaction that
/// writes the intents (L3). `new_id` makes the ids: UUIDv7 of `now`.
///
/// Checks no item if the file was disarmed before the transaction began.
pub fn claim(
    cx: &Context,
    pass: &mut Pass,
    lines: usize,
    now: Instant,
    new_id: &mut dyn FnMut() -> String,
) -> anyhow::Result<Claimed> {
    let mut tried = pass.clone();
    let claimed = cx.store.write(|tx| {
        let mut claimed = Claimed::default();
        // This was checked before, but the transaction may have waited for the database lock.
        if armed::not_armed_in(tx, cx.store.path(), &cx.machine)?.is_some() {
            return Ok(claimed);
        }
        cx.store.check_not_set_back(tx)?;
        quarantine::release_corrected(tx)?;
        let pauses = pauses::pauses(tx)?;
        let mut looked_at = 0;
        for class in priority(cx) {
            let cursor = tried.cursors.entry(class).or_default();
            loop {
                if lines <= claimed.intents.len() || LOOK_AT <= looked_at {
                    return Ok(claimed);
                }
                let limit = (lines - claimed.intents.len()).clamp(1, LOOK_AT);
                let items = match class {
                    None => queue::last_chance(tx, now, now + LAST_CHANCE, cursor, limit)?,
                    Some(call_type) => queue::due(tx, call_type, now, cursor, limit)?,
                };
                if items.is_empty() {
                    break;
                }
                looked_at += items.len();
                for item in items {
                    if pass.only.is_some_and(|only| only != item.id) {
                        continue;
                    }
                    let taken = odd_rows::share(tx, Some(item.customer_id), |tx| {
                        take(cx, tx, &item, &pauses, now, new_id)
                    });
                    match taken? {
                        Some(ItemOutcome::Intent(intent)) => claimed.intents.push(intent),
                        Some(ItemOutcome::Skipped) => claimed.skipped += 1,
                        Some(ItemOutcome::Completed) => claimed.completed += 1,
                        Some(ItemOutcome::Waits) => {}
                        None => {
                            wait_for_a_person(cx, tx, &item, now)?;
                        }
                    }
                }
            }
        }
        claimed.exhausted = true;
        Ok(claimed)
    })?;
    claimed.intents.iter().for_each(|intent| cx.store.has_given(intent.attempt.seq));
    *pass = tried;
    Ok(claimed)
}

/// The order of claims. Items that expire soon come first, so that other calls cannot starve them.
/// Then come the types in the configured order; types not named there come last.
fn priority(cx: &Context) -> Vec<Option<CallType>> {
    let named = &cx.config.dialing.priority;
    let place = |call_type: &CallType| {
        named.iter().position(|name| name == call_type.as_str()).unwrap_or(named.len())
    };
    let mut order = CallType::ALL.to_vec();
    order.sort_by_key(place);
    std::iter::once(None).chain(order.into_iter().map(Some)).collect()
}

/// How a claim left one item.
// One exists at a time, so the unused bytes of the small variants do not matter.
#[allow(clippy::large_enum_variant)]
enum ItemOutcome {
    Intent(Intent),
    Skipped,
    /// It had been called before.
    Completed,
    /// It waits, or another process moved it first.
    Waits,
}

/// L3 for one item: applies the gate's verdict in this transaction.
fn take(
    cx: &Context,
    tx: &Tx<'_>,
    item: &Item,
    pauses: &[(String, pauses::Pause)],
    now: Instant,
    new_id: &mut dyn FnMut() -> String,
) -> anyhow::Result<ItemOutcome> {
    let customer = customers::by_id(tx, item.customer_id)?;
    let zone = customer.as_ref().and_then(|customer| cx.zones.get(&customer.timezone));
    let facts = gate_facts::facts(
        cx,
        tx,
        &ItemInQuestion { item, customer: customer.as_ref(), zone: zone.as_deref(), pauses },
        now,
    )?;
    let decision = gate::ask(&facts, &cx.rules);
    let last_call = facts.to_customer.last;
    if let Some(made) = alone_ends(&facts, &decision) {
        let moved = made_elsewhere::end(cx, tx, item, made, By { who: WHO, now })?;
        return Ok(if moved == Moved::Yes { ItemOutcome::Completed } else { ItemOutcome::Waits });
    }
    match decision.verdict {
        Verdict::Open => {
            let customer = customer.expect("the gate never opens without a customer");
            let due = Due { item, customer: &customer, zone: zone.as_deref(), last_call };
            match write_intent(cx, tx, &due, now, new_id)? {
                Some(intent) => return Ok(ItemOutcome::Intent(intent)),
                None => transitions::park(tx, item, Reason::NoLine, item.not_before, now)?,
            }
        }
        Verdict::Wait { reason, until } => {
            let recheck = (!cx.recheck_after.is_zero()).then(|| now + cx.recheck_after);
            transitions::park(tx, item, reason, until.or(recheck).or(item.not_before), now)?;
        }
        Verdict::Skip(reason) => {
            let reason = if reason == Reason::TooLate { late_reason(item) } else { reason };
            // `skipped` means never dialed. An item whose retry is no longer allowed was called
            // before.
            let was_placed = facts.was_placed();
            let change = if was_placed {
                Change::to(ItemStatus::Completed)
            } else {
                Change::because(ItemStatus::Skipped, reason)
            };
            let by = By { who: WHO, now };
            if finish::item(cx, tx, item, &WAITING, &change, by)? == Moved::Yes {
                return Ok(if was_placed { ItemOutcome::Completed } else { ItemOutcome::Skipped });
            }
        }
        Verdict::AlreadyCalled => {
            let change = Change::because(ItemStatus::Completed, Reason::AlreadyCalled);
            let by = By { who: WHO, now };
            if finish::item(cx, tx, item, &WAITING, &change, by)? == Moved::Yes {
                return Ok(ItemOutcome::Completed);
            }
        }
    }
    Ok(ItemOutcome::Waits)
}

/// Keeps an item waiting whose customer's rows cannot be read. The item itself may refuse the change.
fn wait_for_a_person(cx: &Context, tx: &Tx<'_>, item: &Item, now: Instant) -> anyhow::Result<()> {
    let recheck = (!cx.recheck_after.is_zero()).then(|| now + cx.recheck_after);
    let until = recheck.or(item.not_before);
    odd_rows::share(tx, Some(item.customer_id), |tx| {
        transitions::park(tx, item, Reason::Held, until, now)
    })?;
    Ok(())
}

fn late_reason(item: &Item) -> Reason {
    crate::steps::scan::skip_reason(item.reason)
}

/// An item that the gate has opened.
struct Due<'a> {
    item: &'a Item,
    customer: &'a Customer,
    zone: Option<&'a Zone>,
    /// The customer's latest call that may have rung.
    last_call: Option<Instant>,
}

/// Writes the intent and moves the item to `processing` together. `None`: no number of ours may
/// call now, or the item no longer waits.
///
/// A phone may ring after this commit, so this is the last point at which to refuse.
fn write_intent(
    cx: &Context,
    tx: &Tx<'_>,
    due: &Due<'_>,
    now: Instant,
    new_id: &mut dyn FnMut() -> String,
) -> anyhow::Result<Option<Intent>> {
    let Due { item, customer, zone, last_call } = *due;
    let Some(phone_number_id) = caller_id::choose(cx, tx, customer, now)? else { return Ok(None) };
    let speaker = caller_id::speaker(cx, customer, item.call_type)?;
    let change = Change { attempts: 1, ..Change::to(ItemStatus::Processing) };
    if transitions::item(tx, item, &WAITING, &change, By { who: WHO, now })? == Moved::No {
        return Ok(None);
    }
    let attempt = Attempt {
        id: new_id(),
        seq: sequence::next_seq(tx)?,
        queue_id: Some(item.id),
        customer_id: Some(customer.id),
        customer_key: customer.key.clone(),
        call_type: item.call_type,
        occasion: item.occasion.clone(),
        attempt_no: history::next_attempt_no(tx, customer.id, item.call_type, &item.occasion)?,
        phone: Some(customer.phone.clone()),
        phone_key: cx.installation.phone_key(&customer.phone),
        state: AttemptState::Dialing,
        phone_number_id: Some(phone_number_id.clone()),
        created_at: now,
        updated_at: now,
        ..Attempt::default()
    };
    attempts::insert(tx, &attempt, WHO)?;
    let (call_type, attempt_no) = (item.call_type, attempt.attempt_no);
    let moment = Moment { customer, zone, call_type, attempt_no, last_call, now };
    let order = PlaceOrder {
        tag: attempt.tag(),
        phone: customer.phone.clone(),
        speaker,
        phone_number_id,
        variables: moment::variables(cx, tx, &moment)?,
        installation_id: cx.installation.id.clone(),
        armed_at: installation::armed_at(tx)?,
        seq: attempt.seq,
        attempt_no: attempt.attempt_no,
        customer_key: customer.key.clone(),
        call_type: item.call_type,
        occasion: item.occasion.clone(),
    };
    Ok(Some(Intent { attempt, order, due_at: item.due_at() }))
}

/// Handles intents whose commit failed. They may be on disk or not, but no POST was sent. Those on
/// disk become not placed, and their items keep waiting.
pub fn disown(cx: &Context, ids: &[String], now: Instant) -> anyhow::Result<()> {
    cx.store.write(|tx| {
        for id in ids {
            let Some(attempt) = attempts::by_id(tx, id)? else { continue };
            let why = "the commit of the intent failed; no byte was sent";
            let dialing = AttemptState::Dialing;
            if attempts::refuse(tx, &attempt, dialing, why, By { who: WHO, now })? == Moved::Yes {
                settle::give_back(tx, &attempt, None, By { who: WHO, now })?;
            }
        }
        Ok(())
    })
}

/// Places one committed intent with one POST. Just before the first byte, `read_clock` shows
/// whether the intent is still fresh, because the process may have been stopped since the commit.
///
/// Never called twice for one intent, and never with a transaction open.
pub fn place(
    provider: &dyn Provider,
    intent: &Intent,
    committed: &Reading,
    read_clock: &(dyn Fn() -> Option<Reading> + Sync),
) -> PostReply {
    provider
        .place(&intent.order, &|| read_clock().is_some_and(|reading| is_fresh(committed, &reading)))
}

/// Whether the intent is still fresh by both clocks.
pub fn is_fresh(committed: &Reading, now: &Reading) -> bool {
    let wall = now.now - committed.now;
    let monotonic = Duration::milliseconds(now.monotonic_ms - committed.monotonic_ms);
    now.boot_id == committed.boot_id
        && -STEP_BACK <= wall
        && wall <= FRESH_FOR
        && monotonic <= FRESH_FOR
}

/// A UUIDv7 whose time is `now`.
pub fn new_id(now: Instant) -> String {
    let seconds = u64::try_from(now.timestamp()).unwrap_or(0);
    let stamp = uuid::Timestamp::from_unix(uuid::NoContext, seconds, now.timestamp_subsec_nanos());
    uuid::Uuid::new_v7(stamp).to_string()
}
