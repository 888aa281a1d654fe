//! dial: claim → place. Each phase is a function, so that a test kills the process by not
//! calling the next one. The only file that calls `Provider::place`, and only with a committed
//! intent.

use std::collections::BTreeMap;

use chrono::Duration;

use crate::clock::Reading;
use crate::domain::Instant;
use crate::domain::call::{AttemptState, CallType, ItemStatus, Reason};
use crate::domain::customer::Customer;
use crate::domain::elsewhere::alone_ends;
use crate::domain::gate::{self, Verdict};
use crate::provider::{PlaceOrder, Provider};
use crate::steps::record::Reply;
use crate::steps::{Context, elsewhere, gather, guard, next, numbers, settle};
use crate::store::attempts::{self, Attempt};
use crate::store::meta;
use crate::store::moves::{self, Change, WAITING};
use crate::store::queue::{self, Cursor, Item, Moved};
use crate::store::{Tx, customers, facts};

const WHO: &str = "dial";
/// An intent older than this is not sent: the world may have moved on.
pub const FRESH_FOR: Duration = Duration::seconds(5);
/// A clock may be set back so far by its daemon without being wrong.
const STEP_BACK: Duration = Duration::seconds(2);
/// Items looked at before the transaction is given back, so that a long queue never keeps
/// others from writing.
const LOOK_AT: usize = 200;
/// An item this near to its last permitted instant goes before every other.
const LAST_CHANCE: Duration = Duration::minutes(15);

/// A committed intent: from here on a phone may ring.
#[derive(Clone, Debug)]
pub struct Intent {
    pub attempt: Attempt,
    pub order: PlaceOrder,
    /// When its item fell due; the rest until now it waited for a line or for pace.
    pub due_at: Instant,
}

/// One pass over the due items: each is looked at once.
#[derive(Clone, Debug, Default)]
pub struct Pass {
    /// `None`: the items whose last permitted instant is near.
    cursors: BTreeMap<Option<CallType>, Cursor>,
    /// `None`: every due item. Else this one alone.
    only: Option<i64>,
}

impl Pass {
    /// A pass over one item: a call that a person asked for.
    pub fn over(item_id: i64) -> Pass {
        Pass { only: Some(item_id), ..Pass::default() }
    }
}

/// What a claim came to.
#[derive(Clone, Debug, Default)]
pub struct Claimed {
    /// Durable intents, to be placed within [`FRESH_FOR`].
    pub intents: Vec<Intent>,
    /// Items that ended as skipped.
    pub skipped: usize,
    /// Items that were found already called.
    pub completed: usize,
    /// Whether every due item of this pass has been looked at.
    pub exhausted: bool,
}

/// Claims up to `lines` due items in the order of priority, asking the gate once more in the
/// transaction that writes the intents (L3). `new_id` makes the ids: UUIDv7 of `now`.
///
/// Nothing is looked at in a file that lost the right to dial before the transaction began.
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
        // Asked before, but the database's lock may be waited for.
        if guard::not_armed_in(tx, cx.store.path(), &cx.machine)?.is_some() {
            return Ok(claimed);
        }
        cx.store.check_not_set_back(tx)?;
        let pauses = meta::pauses(tx)?;
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
                    take(cx, tx, &item, &pauses, now, new_id, &mut claimed)?;
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

/// What is claimed first: items that are nearly too late, so that no stream of other calls can
/// starve them, then the types in the configured order; those that are not named come last.
fn priority(cx: &Context) -> Vec<Option<CallType>> {
    let named = &cx.config.dialing.priority;
    let place = |call_type: &CallType| {
        named.iter().position(|name| name == call_type.as_str()).unwrap_or(named.len())
    };
    let mut order = CallType::ALL.to_vec();
    order.sort_by_key(place);
    std::iter::once(None).chain(order.into_iter().map(Some)).collect()
}

/// L3 for one item: what the gate says is done, in this transaction.
fn take(
    cx: &Context,
    tx: &Tx<'_>,
    item: &Item,
    pauses: &[(String, meta::Pause)],
    now: Instant,
    new_id: &mut dyn FnMut() -> String,
    claimed: &mut Claimed,
) -> anyhow::Result<()> {
    let customer = customers::by_id(tx, item.customer_id)?;
    let zone = customer.as_ref().and_then(|customer| cx.zones.get(&customer.timezone));
    let facts = gather::facts(cx, tx, item, customer.as_ref(), zone.as_deref(), pauses, now)?;
    let decision = gate::ask(&facts, &cx.rules);
    if let Some(made) = alone_ends(&facts, &decision) {
        let moved = elsewhere::end(cx, tx, item, made, WHO, now)?;
        claimed.completed += usize::from(moved == Moved::Yes);
        return Ok(());
    }
    match decision.verdict {
        Verdict::Open => {
            let customer = customer.expect("the gate never opens without a customer");
            match write_intent(cx, tx, item, &customer, now, new_id)? {
                Some(intent) => claimed.intents.push(intent),
                None => moves::park(tx, item, Reason::NoLine, item.not_before, now)?,
            }
        }
        Verdict::Wait { reason, until } => {
            let recheck = (!cx.recheck_after.is_zero()).then(|| now + cx.recheck_after);
            moves::park(tx, item, reason, until.or(recheck).or(item.not_before), now)?;
        }
        Verdict::Skip(reason) => {
            let reason = if reason == Reason::TooLate { late_reason(item) } else { reason };
            // Skipped means never dialed: a retry that is no longer allowed was called before.
            let was_placed = facts.was_placed();
            let change = match was_placed {
                true => Change::to(ItemStatus::Completed),
                false => Change::because(ItemStatus::Skipped, reason),
            };
            if moves::item(tx, item, &WAITING, &change, WHO, now)? == Moved::Yes {
                claimed.skipped += usize::from(!was_placed);
                claimed.completed += usize::from(was_placed);
                next::advance(cx, tx, item.call_type, item.customer_id, now)?;
            }
        }
        Verdict::AlreadyCalled => {
            let change = Change::because(ItemStatus::Completed, Reason::AlreadyCalled);
            if moves::item(tx, item, &WAITING, &change, WHO, now)? == Moved::Yes {
                claimed.completed += 1;
                next::advance(cx, tx, item.call_type, item.customer_id, now)?;
            }
        }
    }
    Ok(())
}

fn late_reason(item: &Item) -> Reason {
    crate::steps::scan::skip_reason(item.reason)
}

/// Writes the intent and moves the item to `processing`, together. `None`: no number of ours may
/// call now.
///
/// After this commits a phone may ring, so this is the last moment to say no.
fn write_intent(
    cx: &Context,
    tx: &Tx<'_>,
    item: &Item,
    customer: &Customer,
    now: Instant,
    new_id: &mut dyn FnMut() -> String,
) -> anyhow::Result<Option<Intent>> {
    let Some(phone_number_id) = numbers::choose(cx, tx, customer, now)? else { return Ok(None) };
    let assistant_id = numbers::assistant(cx, item.call_type)?;
    let change = Change { attempts: 1, ..Change::to(ItemStatus::Processing) };
    if moves::item(tx, item, &WAITING, &change, WHO, now)? == Moved::No {
        return Ok(None);
    }
    let attempt = Attempt {
        id: new_id(),
        seq: meta::next_seq(tx)?,
        queue_id: Some(item.id),
        customer_id: Some(customer.id),
        customer_key: customer.key.clone(),
        call_type: item.call_type,
        occasion: item.occasion.clone(),
        attempt_no: facts::next_attempt_no(tx, customer.id, item.call_type, &item.occasion)?,
        phone: Some(customer.phone.clone()),
        phone_key: cx.installation.phone_key(&customer.phone),
        state: AttemptState::Dialing,
        phone_number_id: Some(phone_number_id.clone()),
        created_at: now,
        updated_at: now,
        ..Attempt::default()
    };
    attempts::insert(tx, &attempt, WHO)?;
    let order = PlaceOrder {
        tag: attempt.tag(),
        phone: customer.phone.clone(),
        assistant_id,
        phone_number_id,
        variables: variables(customer),
        installation_id: cx.installation.id.clone(),
        armed_at: meta::armed_at(tx)?,
        seq: attempt.seq,
        attempt_no: attempt.attempt_no,
        customer_key: customer.key.clone(),
        call_type: item.call_type,
        occasion: item.occasion.clone(),
    };
    Ok(Some(Intent { attempt, order, due_at: item.due_at() }))
}

/// What the assistant gets: the customer's own variables, and the name where they hold none.
fn variables(customer: &Customer) -> serde_json::Map<String, serde_json::Value> {
    let mut variables = customer.variables.clone();
    if !customer.name.is_empty() {
        variables.entry("name").or_insert_with(|| customer.name.clone().into());
    }
    variables
}

/// The commit of these intents failed, so they may be on the disk or not; nothing was posted for
/// them. Those that are there are proven not placed, and their items wait on.
pub fn disown(cx: &Context, ids: &[String], now: Instant) -> anyhow::Result<()> {
    cx.store.write(|tx| {
        for id in ids {
            let Some(attempt) = attempts::by_id(tx, id)? else { continue };
            let why = "the commit of the intent failed; no byte was sent";
            let dialing = AttemptState::Dialing;
            if attempts::refuse(tx, &attempt, dialing, why, WHO, now)? == Moved::Yes {
                settle::give_back(tx, &attempt, None, WHO, now)?;
            }
        }
        Ok(())
    })
}

/// Places one committed intent: one POST, asked just before the first byte whether the intent is
/// still fresh. `read_clock` is asked there, because the process may have been stopped since.
///
/// Never called twice for one intent, and never with a transaction open.
pub fn place(
    provider: &dyn Provider,
    intent: &Intent,
    committed: &Reading,
    read_clock: &(dyn Fn() -> Option<Reading> + Sync),
) -> Reply {
    provider
        .place(&intent.order, &|| read_clock().is_some_and(|reading| is_fresh(committed, &reading)))
}

/// Whether so little time passed since the commit, on both clocks, that the intent still holds.
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
