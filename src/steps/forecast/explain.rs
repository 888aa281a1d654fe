//! Shows what a tick would do for one customer, and why.
//!
//! The customer's part of the database is copied into memory, and the real scan and claim run on
//! the copy. The answer therefore cannot differ from theirs. Nothing is written to the file and no
//! network request is made, so facts that only the provider knows are missing.

mod next_call;

use std::sync::Arc;

use crate::domain::calendar::zone::Zone;
use crate::domain::calendar::zone_country;
use crate::domain::call::{CallType, ItemStatus, Reason};
use crate::domain::customer::Customer;
use crate::domain::customer::columns::shown;
use crate::domain::gate::facts::{Answer, Decision, Verdict};
use crate::domain::{Instant, gate};
use crate::phones;
use crate::provider::Accepted;
use crate::steps::dial::gate_facts::{self, ItemInQuestion};
use crate::steps::dial::{self, Pass, record};
use crate::steps::forecast::preconditions;
use crate::steps::occasions::next;
use crate::steps::{Context, scan};
use crate::store::attempts::{self, Attempt};
use crate::store::file::memory_copy;
use crate::store::holidays::{self, Holiday};
use crate::store::meta::pauses;
use crate::store::queue::{Item, transitions};
use crate::store::{customers, do_not_call, views};

/// More lines than one customer's calls could use.
const LINES_ENOUGH: usize = 100;
/// At most this many past calls are listed.
const PAST_CALLS: usize = 20;

/// The effect of a tick on one customer at an instant, if nothing else happens before it.
#[derive(Clone, Debug)]
pub struct Explained {
    pub customer: Customer,
    /// `None`: the zone is unknown.
    pub zone: Option<Arc<Zone>>,
    pub at: Instant,
    /// A note for a person when the time zone is unknown, or belongs to another country than the
    /// phone.
    pub place: Option<String>,
    /// The daily rhythm for people; `None` = no daily calls.
    pub rhythm: Option<String>,
    /// Occasions that wait, are due, or end with this tick. Without one, the next one, not
    /// queued.
    pub occasions: Vec<Explanation>,
    /// When the phone rings next, as far as is known. If it rings in this tick, that is the answer.
    pub next_call_at: Option<Instant>,
    /// The newest calls first.
    pub past: Vec<Attempt>,
}

/// One occasion and its outcome.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    pub in_queue: InQueue,
    pub call_type: CallType,
    pub occasion: String,
    pub scheduled_for: Instant,
    pub expires_at: Option<Instant>,
    /// `None`: no attempt before this tick.
    pub tried: Option<Tried>,
    pub outcome: Outcome,
    /// Every rule's answer, in the order of precedence.
    pub answers: Vec<Answer>,
}

/// Whether the occasion has a queue item. An item that exists only in the copy has no id here,
/// because in the file that id is, or will be, another customer's item.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum InQueue {
    /// The item's id in the file.
    Item(i64),
    /// This tick queues the item.
    ByThisTick,
    No,
}

/// The attempts that an occasion has had.
#[derive(Clone, Debug, PartialEq)]
pub struct Tried {
    pub attempts: usize,
    /// The disposition of the last attempt, or its state if it has no disposition.
    pub last: String,
}

/// The effect of a tick on one occasion.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome {
    /// The phone rings.
    Rings,
    /// Not now. A `reason` of `None` means that the due time has not come.
    Waits { reason: Option<Reason>, until: Option<Instant> },
    /// The occasion ends without a call.
    Skipped(Reason),
    /// The occasion ends, because a phone rang for it or may have rung.
    AlreadyCalled,
    /// An attempt is under way.
    InFlight,
}

impl Explained {
    /// The explanation that matters most: an occasion that rings, else the first one.
    pub fn verdict(&self) -> Option<&Explanation> {
        let rings = |explanation: &&Explanation| explanation.outcome == Outcome::Rings;
        self.occasions.iter().find(rings).or(self.occasions.first())
    }
}

/// Explains one customer at an instant. `cx` may use a read-only store. `None`: there is no such
/// customer. `days` are the dates without calls that the next start loads; without `days`, those of
/// the last start count.
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
        Ok(rhythm) => rhythm.map(|rhythm| rhythm.describe(zone.as_deref(), at)),
        Err(why) => Some(format!("no daily calls, because ringonce cannot parse its {why}")),
    };
    let place = place(cx, &customer);
    Ok(Some(Explained { customer, zone, at, place, rhythm, occasions, next_call_at, past }))
}

/// The note for [`Explained::place`]; for a zone in another country, it says whose hours count.
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

/// The copy on which the tick runs.
struct Trial {
    cx: Context,
    at: Instant,
    doors: Vec<Answer>,
}

impl Trial {
    fn new(cx: &Context, customer: &Customer, at: Instant) -> anyhow::Result<Trial> {
        let doors = preconditions::answers(cx, customer, at)?;
        let phone_key = cx.installation.phone_key(&customer.phone);
        let copied =
            cx.store.read(|conn| memory_copy::of_customer(conn, customer, &phone_key, at))?;
        // The next start replays the do-not-call file too.
        copied.write(|tx| do_not_call::replay_one(tx, cx.store.path(), &customer.phone))?;
        let mut config = cx.config.clone();
        // The preconditions already check for a free number of ours, and the copy does not have all
        // calls.
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
        if shut.is_none_or(|(rule, _)| rule != preconditions::ARMED) {
            scan::scan(cx, at)?;
        }
        let scanned = self.items(customer_id)?;
        let asked: Vec<Decision> =
            scanned.iter().map(|item| self.ask(item)).collect::<anyhow::Result<_>>()?;
        match shut {
            Some((_, reason)) => {
                cx.store.write(|tx| transitions::mark_left(tx, reason, at))?;
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

    /// All items of the customer, by id. Items are never deleted.
    fn items(&self, customer_id: i64) -> anyhow::Result<Vec<Item>> {
        self.cx.store.read(|conn| views::items_of_customer(conn, customer_id))
    }

    /// Claims everything that is due, and treats each call as placed.
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

    /// The gate's decision at the item's due time, or now if that has passed.
    fn ask(&self, item: &Item) -> anyhow::Result<Decision> {
        let cx = &self.cx;
        let at = self.at.max(item.due_at());
        cx.store.read(|conn| {
            let customer = customers::by_id(conn, item.customer_id)?;
            let zone = customer.as_ref().and_then(|customer| cx.zones.get(&customer.timezone));
            let (customer, zone) = (customer.as_ref(), zone.as_deref());
            let pauses = pauses::pauses(conn)?;
            let facts = gate_facts::facts(
                cx,
                conn,
                &ItemInQuestion { item, customer, zone, pauses: &pauses },
                at,
            )?;
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
        // Another call of this pass may have come first. Then the rules answer differently now.
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
            // The item waits for a retry or a known end. If the item is over by then, that is the
            // answer.
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

    /// When this reason to wait ends by itself; `None`: not known.
    fn opens(&self, shut_for: Option<Reason>) -> Option<Instant> {
        self.doors.iter().find_map(|door| match door.verdict {
            Verdict::Wait { reason, until } if Some(reason) == shut_for => until,
            _ => None,
        })
    }

    /// The next occasion, not queued by any scan yet, with the gate's decision as of now.
    fn not_queued(&self, customer_id: i64) -> anyhow::Result<Option<Explanation>> {
        let Some(item) = self.next_item(customer_id)? else { return Ok(None) };
        let decision = self.ask(&item)?;
        // A due time that passed while the customer could not be queued is not the reason. The
        // standing reason is.
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

    /// The expected outcome of an item at its due time, as things stand.
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

/// Whether an item ends at the instant for which it waits, whatever it waits for. `TooLate` is only
/// the end of its wait.
fn is_final(verdict: &Verdict) -> bool {
    match verdict {
        Verdict::Skip(reason) => *reason != Reason::TooLate,
        Verdict::AlreadyCalled => true,
        Verdict::Open | Verdict::Wait { .. } => false,
    }
}

/// The reason that keeps a customer out of the queue at any time.
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
