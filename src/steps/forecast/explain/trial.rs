//! The real scan and claim on a copy in memory, for one customer at one instant.

use std::sync::Arc;

use crate::domain::call::{ItemStatus, Reason};
use crate::domain::customer::Customer;
use crate::domain::gate::facts::{Answer, Decision, Verdict};
use crate::domain::{Instant, gate};
use crate::provider::Accepted;
use crate::steps::customers::same_phone_words;
use crate::steps::dial::gate_facts::{self, ItemInQuestion};
use crate::steps::dial::{self, Pass, record};
use crate::steps::forecast::explain::outcome::{Explanation, InQueue, Outcome, Tried};
use crate::steps::forecast::stops::{Stop, StopKind};
use crate::steps::forecast::{past, preconditions};
use crate::steps::{Context, scan};
use crate::store::attempts::{self, Attempt};
use crate::store::file::memory_copy;
use crate::store::meta::pauses;
use crate::store::queue::{Item, transitions};
use crate::store::{Store, customers, do_not_call, views};

/// More lines than one customer's calls could use.
const LINES_ENOUGH: usize = 100;

/// The copy on which the tick runs.
pub(super) struct Trial {
    pub(super) cx: Context,
    pub(super) at: Instant,
    doors: Vec<Answer>,
    /// Everything that stopped the customer's calls at any time.
    stops: Vec<Stop>,
}

impl Trial {
    /// On the file as it is.
    pub(super) fn new(
        cx: &Context,
        customer: &Customer,
        stops: Vec<Stop>,
        at: Instant,
    ) -> anyhow::Result<Trial> {
        let doors = preconditions::answers(cx, customer, at)?;
        let phone_key = cx.installation.phone_key(&customer.phone);
        let copied =
            cx.store.read(|conn| memory_copy::of_customer(conn, customer, &phone_key, at))?;
        // The next start replays the do-not-call file too.
        copied.write(|tx| do_not_call::replay_one(tx, cx.store.path(), &customer.phone))?;
        Trial::over(cx, copied, (doors, stops), at)
    }

    /// On the file as it was at an earlier instant.
    pub(super) fn then(
        cx: &Context,
        customer: &Customer,
        stops: Vec<Stop>,
        at: Instant,
    ) -> anyhow::Result<Trial> {
        let doors = preconditions::answers_then(cx, &stops, at)?;
        let copied = past::copy_then(cx, customer, &stops, at)?;
        Trial::over(cx, copied, (doors, stops), at)
    }

    fn over(
        cx: &Context,
        copied: Store,
        (doors, stops): (Vec<Answer>, Vec<Stop>),
        at: Instant,
    ) -> anyhow::Result<Trial> {
        let mut config = cx.config.clone();
        // The preconditions already check for a free number of ours, and the copy does not have all
        // calls.
        config.vapi.daily_calls_per_number = None;
        config.vapi.phone_number_ids = Vec::new();
        config.vapi.phone_number_id.get_or_insert_with(String::new);
        config.vapi.assistant_id.get_or_insert_with(String::new);
        let cx = Context::new(Arc::new(copied), config, cx.zones.clone())?;
        Ok(Trial { cx, at, doors, stops })
    }

    /// Adds conditions that a tick would not check, because it tries all the same.
    pub(super) fn add_doors(&mut self, doors: Vec<Answer>) {
        self.doors.extend(doors);
    }

    pub(super) fn run(&self, customer_id: i64) -> anyhow::Result<Vec<Explanation>> {
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
    pub(super) fn ask(&self, item: &Item) -> anyhow::Result<Decision> {
        let cx = &self.cx;
        let at = self.at.max(item.due_at());
        let decision = cx.store.read(|conn| {
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
        })?;
        self.detailed(item, decision)
    }

    /// Adds to the rules that only answer no who stopped the calls and why, or whose number it is.
    fn detailed(&self, item: &Item, mut decision: Decision) -> anyhow::Result<Decision> {
        for answer in &mut decision.answers {
            let kind = match answer.verdict {
                Verdict::Skip(Reason::DoNotCall) => StopKind::DoNotCall,
                Verdict::Wait { reason: Reason::Paused | Reason::NotEligible, .. } => {
                    StopKind::CallStatus
                }
                Verdict::Skip(Reason::SamePhone) => {
                    answer.detail = self.others_with_the_number(item)?;
                    continue;
                }
                _ => continue,
            };
            let stands = |stop: &&Stop| stop.kind == kind && stop.stood_at(self.at);
            let Some(stop) = self.stops.iter().find(stands) else { continue };
            let is_own = answer.verdict != Verdict::Skip(Reason::DoNotCall);
            if is_own && !stop.explains(reason_of(&answer.verdict)) {
                continue;
            }
            // A pause by its scope and an ineligible payment status have their own details.
            let is_told = answer.detail.contains(" since ") || answer.detail.contains("payment");
            if !is_told {
                answer.detail = stop.words();
            }
        }
        Ok(decision)
    }

    fn others_with_the_number(&self, item: &Item) -> anyhow::Result<String> {
        let others = self.cx.store.read(|conn| {
            let Some(customer) = customers::by_id(conn, item.customer_id)? else {
                return Ok(Vec::new());
            };
            customers::with_same_phone(conn, &customer)
        })?;
        Ok(same_phone_words(&others).unwrap_or_default())
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
    pub(super) fn expected(&self, item: &Item, verdict: &Verdict) -> Outcome {
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

fn reason_of(verdict: &Verdict) -> Reason {
    match verdict {
        Verdict::Wait { reason, .. } | Verdict::Skip(reason) => *reason,
        Verdict::Open | Verdict::AlreadyCalled => Reason::AlreadyCalled,
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
