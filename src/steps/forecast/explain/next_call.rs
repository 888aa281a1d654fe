//! Predicts when the phone rings next, as far as rules and times are known.

use std::sync::Arc;

use crate::domain::Instant;
use crate::domain::calendar::zone::Zone;
use crate::domain::call::{CallType, Reason, WELCOME_OCCASION, daily_occasion};
use crate::domain::customer::Customer;
use crate::steps::forecast::explain::outcome::{Explanation, Outcome};
use crate::steps::forecast::explain::trial::Trial;
use crate::steps::forecast::plan::hypothetical;
use crate::steps::occasions::next;
use crate::store::customers;
use crate::store::meta::pauses;
use crate::store::queue::{self, Item};

/// At most this many occasions are checked before the search gives up: over a week of holidays.
const MOST_OCCASIONS: usize = 10;

impl Trial {
    /// The welcome call while it is owed, else the next daily call.
    pub(crate) fn next_item(&self, customer_id: i64) -> anyhow::Result<Option<Item>> {
        let cx = &self.cx;
        let Some(customer) = cx.store.read(|conn| customers::by_id(conn, customer_id))? else {
            return Ok(None);
        };
        let welcome = WELCOME_OCCASION;
        let known = cx
            .store
            .read(|conn| queue::item_of_occasion(conn, customer_id, CallType::Welcome, welcome))?;
        let is_paused = cx.store.read(pauses::welcome_pause)?.is_some();
        let owed = (!customer.welcome_call_completed && known.is_none()).then(|| {
            let at = customer.created_at + cx.rules.welcome_delay;
            hypothetical(&customer, CallType::Welcome, welcome.to_string(), at)
        });
        // Daily calls begin after the welcome call has ended.
        if next::awaits_welcome(&customer, known.as_ref(), is_paused) {
            return Ok(owed);
        }
        let zone = cx.zones.get(&customer.timezone);
        let (Some(at), Some(zone)) = (customer.next_call_scheduled_at, zone) else {
            return Ok(owed);
        };
        Ok(Some(self.daily(&customer, daily_occasion(zone.date(at)), at)))
    }

    /// When the phone rings next. If it rings in this tick, that is the answer.
    pub(crate) fn next_call_at(
        &self,
        customer_id: i64,
        occasions: &[Explanation],
    ) -> anyhow::Result<Option<Instant>> {
        let soonest =
            occasions.iter().filter_map(|told| rings_at(&told.outcome, told.expires_at, self.at));
        if let Some(soonest) = soonest.min() {
            return Ok(Some(soonest));
        }
        let mut next = self.next_item(customer_id)?;
        for _ in 0..MOST_OCCASIONS {
            let Some(item) = next else { return Ok(None) };
            let is_told = occasions
                .iter()
                .any(|told| (told.call_type, &told.occasion) == (item.call_type, &item.occasion));
            if !is_told {
                let outcome = self.expected(&item, &self.ask(&item)?.verdict);
                let at = rings_at(&outcome, item.expires_at, self.at);
                if at.is_some() || !passes_by_itself(&outcome) {
                    return Ok(at);
                }
            }
            next = self.item_after(&item)?;
        }
        Ok(None)
    }

    /// The daily call after one that will not ring.
    fn item_after(&self, item: &Item) -> anyhow::Result<Option<Item>> {
        let cx = &self.cx;
        cx.store.write(|tx| {
            let Some(customer) = customers::by_id(tx, item.customer_id)? else { return Ok(None) };
            let after = self.at.max(item.scheduled_for);
            let next = next::next_occasion(cx, tx, &customer, after)?;
            Ok(next.map(|(date, at)| self.daily(&customer, daily_occasion(date), at)))
        })
    }

    fn daily(&self, customer: &Customer, occasion: String, at: Instant) -> Item {
        let zone = self.cx.zones.get(&customer.timezone);
        let last = |zone: Arc<Zone>| self.cx.rules.last_permitted(CallType::Daily, at, &zone);
        let item = hypothetical(customer, CallType::Daily, occasion, at);
        Item { expires_at: zone.and_then(last), ..item }
    }
}

/// Whether a later date may be called without a person's action on this one.
fn passes_by_itself(outcome: &Outcome) -> bool {
    use Reason::{AlreadyCalled, Breaker, Cap, Held, Holiday, MinGap, NoLine, OutsideWindow};
    let reason = match outcome {
        Outcome::Waits { reason, .. } => *reason,
        _ => None,
    };
    matches!(
        reason,
        Some(AlreadyCalled | OutsideWindow | MinGap | Holiday | Cap | NoLine | Breaker | Held)
    )
}

/// When an outcome leads to a call without a person's action. Never after the occasion expires.
fn rings_at(outcome: &Outcome, expires_at: Option<Instant>, now: Instant) -> Option<Instant> {
    let at = match outcome {
        Outcome::Rings => Some(now),
        Outcome::Waits { reason: None, until } => *until,
        Outcome::Waits { until, .. } if passes_by_itself(outcome) => *until,
        _ => None,
    };
    at.filter(|at| expires_at.is_none_or(|last| *at <= last))
}
