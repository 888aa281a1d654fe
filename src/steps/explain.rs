//! explain: what a tick would do for one customer, and why.
//!
//! The customer's part of the database is copied into memory, and the real scan and claim run on
//! the copy: the answer is theirs, not a second opinion. Nothing is written to the file, and
//! nobody is asked over the network, so what only the provider knows is not in the answer.

mod next_call;

use std::sync::Arc;

use crate::domain::Instant;
use crate::domain::call::{CallType, ItemStatus, Reason};
use crate::domain::customer::Customer;
use crate::domain::fields::shown;
use crate::domain::gate::{self, Answer, Decision, Verdict};
use crate::domain::zone::Zone;
use crate::domain::zone_country;
use crate::phones;
use crate::provider::Accepted;
use crate::steps::dial::{self, Pass};
use crate::steps::{Context, doors, gather, next, record, scan};
use crate::store::attempts::Attempt;
use crate::store::holidays::{self, Holiday};
use crate::store::queue::Item;
use crate::store::{attempts, copy, customers, do_not_call, meta, moves, views};

/// More lines than one customer's calls could take.
const LINES_ENOUGH: usize = 100;
/// Past calls that are told.
const PAST_CALLS: usize = 20;

/// What a tick at an instant does for one customer, if nothing else happens before it.
#[derive(Clone, Debug)]
pub struct Explained {
    pub customer: Customer,
    /// `None`: the zone is not known.
    pub zone: Option<Arc<Zone>>,
    pub at: Instant,
    /// What a person should know when the time zone is unknown, or of another country than the
    /// phone.
    pub place: Option<String>,
    /// The daily rhythm in words; `None` = no daily calls.
    pub rhythm: Option<String>,
    /// Occasions that wait, are due, or end with this tick; else the next one, not yet queued.
    pub occasions: Vec<Explanation>,
    /// When the phone rings next, as far as is known; this tick counts when it rings now.
    pub next_call_at: Option<Instant>,
    /// The newest calls first.
    pub past: Vec<Attempt>,
}

/// One occasion and what becomes of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    pub in_queue: InQueue,
    pub call_type: CallType,
    pub occasion: String,
    pub scheduled_for: Instant,
    pub expires_at: Option<Instant>,
    /// `None`: it has had no attempt before this tick.
    pub tried: Option<Tried>,
    pub outcome: Outcome,
    /// Every rule's answer, in the order in which they count.
    pub answers: Vec<Answer>,
}

/// Whether the occasion has a queue item. An item that only the copy has is not told by its id:
/// in the file that id is or becomes the id of another customer's item.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum InQueue {
    /// The item's id in the file.
    Item(i64),
    /// This tick queues it.
    ByThisTick,
    No,
}

/// The attempts that an occasion has had.
#[derive(Clone, Debug, PartialEq)]
pub struct Tried {
    pub attempts: usize,
    /// What became of the last one: its disposition, or its state where it has none.
    pub last: String,
}

/// What a tick does about one occasion.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome {
    /// The phone rings.
    Rings,
    /// Not now. `None` as the reason: its instant has not come.
    Waits { reason: Option<Reason>, until: Option<Instant> },
    /// It ends without a call.
    Skipped(Reason),
    /// It ends, because a phone rang for it or may have.
    AlreadyCalled,
    /// An attempt is under way.
    InFlight,
}

impl Explained {
    /// What becomes of the customer: a call before everything else.
    pub fn verdict(&self) -> Option<&Explanation> {
        let rings = |explanation: &&Explanation| explanation.outcome == Outcome::Rings;
        self.occasions.iter().find(rings).or(self.occasions.first())
    }
}

/// Explains one customer at an instant. `cx` may be over a store that is only looked at.
/// `None`: there is no such customer. `days` are the dates without calls that the next start
/// reads; without them those of the last start count.
pub fn explain(
    cx: &Context,
    customer_id: i64,
    at: Instant,
    days: Option<&[Holiday]>,
) -> anyhow::Result<Option<Explained>> {
    let Some(customer) = cx.store.read(|conn| customers::by_id(conn, customer_id))? else {
        return Ok(None);
    };
    let trial = Trial::new(cx, &customer, at)?;
    if let Some(days) = days {
        trial.cx.store.write(|tx| holidays::replace(tx, days))?;
    }
    let occasions = trial.run(customer_id)?;
    let past = cx.store.read(|conn| views::calls_of_customer(conn, customer_id, PAST_CALLS))?;
    let zone = cx.zones.get(&customer.timezone);
    let next_call_at = trial.next_call_at(customer_id, &occasions)?;
    let rhythm = match next::reading(&customer) {
        Ok(rhythm) => rhythm.map(|rhythm| rhythm.describe()),
        Err(why) => Some(format!("no daily calls, because nobody understands its {why}")),
    };
    let place = place(cx, &customer);
    Ok(Some(Explained { customer, zone, at, place, rhythm, occasions, next_call_at, past }))
}

/// Whether the time zone is unknown; or in another country than the phone, and whose hours count.
fn place(cx: &Context, customer: &Customer) -> Option<String> {
    if cx.zones.get(&customer.timezone).is_none() {
        let near = cx.zones.suggest(&customer.timezone, 1).pop();
        let hint = near.map_or(String::new(), |near| format!(", such as {near}"));
        return Some(format!(
            "the time zone {:?} is not known, so nobody is called until `ringonce customers update \
             id:{} --timezone ZONE` names one{hint}",
            shown(&customer.timezone),
            customer.id
        ));
    }
    let phone = phones::country_of(&customer.phone)?;
    let zone = zone_country::country_of(&customer.timezone).filter(|zone| *zone != phone)?;
    let counts =
        if cx.rules.strict { "the windows of both count" } else { "the zone's window counts" };
    Some(format!("the phone is of {phone}, the time zone of {zone}; {counts}"))
}

/// The copy on which the tick is tried.
struct Trial {
    cx: Context,
    at: Instant,
    doors: Vec<Answer>,
}

impl Trial {
    fn new(cx: &Context, customer: &Customer, at: Instant) -> anyhow::Result<Trial> {
        let doors = doors::answers(cx, customer, at)?;
        let phone_key = cx.installation.phone_key(&customer.phone);
        let copied = cx.store.read(|conn| copy::of_customer(conn, customer, &phone_key, at))?;
        // The next start reads it, too.
        copied.write(|tx| do_not_call::replay_one(tx, cx.store.path(), &customer.phone))?;
        let mut config = cx.config.clone();
        // Whether a number of ours is free is one of the doors: the copy does not know all calls.
        config.vapi.daily_calls_per_number = None;
        config.vapi.phone_number_ids = Vec::new();
        config.vapi.phone_number_id.get_or_insert_with(String::new);
        config.vapi.assistant_id.get_or_insert_with(String::new);
        let cx = Context::new(Arc::new(copied), config, cx.zones.clone())?;
        Ok(Trial { cx, at, doors })
    }

    fn run(&self, customer_id: i64) -> anyhow::Result<Vec<Explanation>> {
        let (cx, at) = (&self.cx, self.at);
        let before = self.items(customer_id)?;
        let shut = self.doors.iter().find_map(|door| match door.verdict {
            Verdict::Wait { reason, .. } => Some((door.rule, reason)),
            _ => None,
        });
        if shut.is_none_or(|(rule, _)| rule != doors::ARMED) {
            scan::scan(cx, at)?;
        }
        let scanned = self.items(customer_id)?;
        let asked: Vec<Decision> =
            scanned.iter().map(|item| self.ask(item)).collect::<anyhow::Result<_>>()?;
        match shut {
            Some((_, reason)) => {
                cx.store.write(|tx| moves::mark_left(tx, reason, at))?;
            }
            None => self.claim()?,
        }
        let mut explained = Vec::new();
        for (item, answers) in self.items(customer_id)?.into_iter().zip(asked) {
            let was_open = before.iter().any(|b| b.id == item.id && b.status.is_active());
            let is_new = !before.iter().any(|b| b.id == item.id);
            if was_open || is_new {
                let in_queue = if is_new { InQueue::ByThisTick } else { InQueue::Item(item.id) };
                explained.push(self.explanation(item, in_queue, answers)?);
            }
        }
        if explained.is_empty() {
            explained.extend(self.not_queued(customer_id)?);
        }
        Ok(explained)
    }

    /// All items of the customer, by id: none is ever taken away.
    fn items(&self, customer_id: i64) -> anyhow::Result<Vec<Item>> {
        self.cx.store.read(|conn| views::items_of_customer(conn, customer_id))
    }

    /// Claims everything that is due, and takes each call as placed.
    fn claim(&self) -> anyhow::Result<()> {
        let mut pass = Pass::default();
        let mut new_id = || uuid::Uuid::new_v4().to_string();
        let mut intents = Vec::new();
        loop {
            let claimed = dial::claim(&self.cx, &mut pass, LINES_ENOUGH, self.at, &mut new_id)?;
            intents.extend(claimed.intents);
            if claimed.exhausted {
                break;
            }
        }
        for intent in intents {
            record::record(&self.cx, &intent, &Ok(Accepted::default()), self.at)?;
        }
        Ok(())
    }

    /// What the gate says: now, or at the item's instant where that is still to come.
    fn ask(&self, item: &Item) -> anyhow::Result<Decision> {
        let cx = &self.cx;
        let at = self.at.max(item.due_at());
        cx.store.read(|conn| {
            let customer = customers::by_id(conn, item.customer_id)?;
            let zone = customer.as_ref().and_then(|customer| cx.zones.get(&customer.timezone));
            let (customer, zone) = (customer.as_ref(), zone.as_deref());
            let pauses = meta::pauses(conn)?;
            let facts = gather::facts(cx, conn, item, customer, zone, &pauses, at)?;
            Ok(gate::ask(&facts, &cx.rules))
        })
    }

    fn explanation(
        &self,
        item: Item,
        in_queue: InQueue,
        asked: Decision,
    ) -> anyhow::Result<Explanation> {
        let made = self.cx.store.read(|conn| {
            attempts::of_occasion(conn, item.customer_id, item.call_type, &item.occasion)
        })?;
        let (now, before): (Vec<Attempt>, Vec<Attempt>) =
            made.into_iter().partition(|attempt| attempt.created_at == self.at);
        let outcome = self.outcome(&item, !now.is_empty(), &asked.verdict);
        // Another call of this very pass may have come first: then the rules answer otherwise now.
        let is_late = asked.verdict == Verdict::Open && outcome != Outcome::Rings;
        let mut answers = if is_late { self.ask(&item)?.answers } else { asked.answers };
        answers.extend(self.doors.iter().cloned());
        Ok(Explanation {
            in_queue,
            call_type: item.call_type,
            occasion: item.occasion,
            scheduled_for: item.scheduled_for,
            expires_at: item.expires_at,
            tried: before.last().map(|last| Tried {
                attempts: before.len(),
                last: last.disposition.map_or(last.state.to_string(), |how| how.to_string()),
            }),
            outcome,
            answers,
        })
    }

    fn outcome(&self, item: &Item, rang: bool, verdict: &Verdict) -> Outcome {
        match (item.status, item.reason) {
            (ItemStatus::Processing, _) if !rang => Outcome::InFlight,
            (ItemStatus::Processing | ItemStatus::Completed, _) if rang => Outcome::Rings,
            (ItemStatus::Skipped | ItemStatus::Failed, reason) => {
                Outcome::Skipped(reason.unwrap_or(Reason::TooLate))
            }
            (ItemStatus::Pending | ItemStatus::Retrying, None) if self.at < item.scheduled_for => {
                self.expected(item, verdict)
            }
            // A retry, or a wait with an end; what is final by then is no wait for it.
            (ItemStatus::Pending | ItemStatus::Retrying, _)
                if self.at < item.due_at() && is_final(verdict) =>
            {
                self.expected(item, verdict)
            }
            (ItemStatus::Pending | ItemStatus::Retrying, reason) => {
                let again = item.not_before.filter(|until| self.at < *until);
                Outcome::Waits { reason, until: again.or(self.opens(reason)) }
            }
            _ => Outcome::AlreadyCalled,
        }
    }

    /// When the door opens by itself that is shut for this reason; `None`: not known.
    fn opens(&self, shut_for: Option<Reason>) -> Option<Instant> {
        self.doors.iter().find_map(|door| match door.verdict {
            Verdict::Wait { reason, until } if Some(reason) == shut_for => until,
            _ => None,
        })
    }

    /// The next occasion, which no scan has queued yet: what the gate would say of it now.
    fn not_queued(&self, customer_id: i64) -> anyhow::Result<Option<Explanation>> {
        let Some(item) = self.next_item(customer_id)? else { return Ok(None) };
        let decision = self.ask(&item)?;
        // An instant that passed while nobody could queue it is not why nobody is called.
        let standing = standing(&decision.answers);
        let outcome = match (decision.verdict, standing) {
            (Verdict::Skip(Reason::TooLate), Some(reason)) => {
                Outcome::Waits { reason: Some(reason), until: None }
            }
            (verdict, _) => self.expected(&item, &verdict),
        };
        let mut answers = decision.answers;
        answers.extend(self.doors.iter().cloned());
        Ok(Some(Explanation {
            in_queue: InQueue::No,
            call_type: item.call_type,
            occasion: item.occasion,
            scheduled_for: item.scheduled_for,
            expires_at: item.expires_at,
            tried: None,
            outcome,
            answers,
        }))
    }

    /// What is to be expected of an item at its instant, as things stand.
    fn expected(&self, item: &Item, verdict: &Verdict) -> Outcome {
        let due = Some(item.due_at()).filter(|due| self.at < *due);
        match *verdict {
            Verdict::Open => Outcome::Waits { reason: None, until: due },
            Verdict::Wait { reason, until } => Outcome::Waits { reason: Some(reason), until },
            Verdict::Skip(reason) => Outcome::Waits { reason: Some(reason), until: None },
            Verdict::AlreadyCalled => {
                Outcome::Waits { reason: Some(Reason::AlreadyCalled), until: None }
            }
        }
    }
}

/// Whether an item is over at the instant for which it waits, whatever it waits for. Being too late
/// then is no more than the end of its wait.
fn is_final(verdict: &Verdict) -> bool {
    match verdict {
        Verdict::Skip(reason) => *reason != Reason::TooLate,
        Verdict::AlreadyCalled => true,
        Verdict::Open | Verdict::Wait { .. } => false,
    }
}

/// What keeps a customer out of the queue, whatever the time is.
fn standing(answers: &[Answer]) -> Option<Reason> {
    use Reason::{InvalidPhone, NoConsent, NotEligible, Paused};
    answers.iter().find_map(|answer| match answer.verdict {
        Verdict::Wait {
            reason: reason @ (NotEligible | InvalidPhone | Paused | NoConsent),
            ..
        } => Some(reason),
        _ => None,
    })
}
