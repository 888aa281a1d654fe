//! Plans the coming calls from present knowledge: waiting items, owed welcome calls, and every
//! daily call. Reads only. Each call has the gate's answer for its instant.

use std::collections::HashSet;

use chrono::Duration;

use crate::domain::calendar::zone_country;
use crate::domain::call::{CallType, ItemStatus, Reason, WELCOME_OCCASION, daily_occasion};
use crate::domain::customer::Customer;
use crate::domain::gate::facts::Verdict;
use crate::domain::{Instant, gate};
use crate::steps::dial::gate_facts::{self, ItemInQuestion};
use crate::steps::occasions::next;
use crate::steps::{Context, scan};
use crate::store::customers::{self, Filter, called_flags};
use crate::store::holidays::Holiday;
use crate::store::meta::pauses;
use crate::store::quarantine;
use crate::store::queue::{self, Item};
use crate::store::{Conn, do_not_call, views};

/// Customers read at a time.
const AT_ONCE: usize = 1000;

/// One call to come.
#[derive(Clone, Debug)]
pub struct Planned {
    pub customer_id: i64,
    pub customer_name: String,
    pub timezone: String,
    /// The time of day, or the cron expression; `None` = no daily calls.
    pub rhythm: Option<String>,
    pub call_type: CallType,
    pub occasion: String,
    /// When it rings, or would ring.
    pub at: Instant,
    /// Why it will not ring then, as things stand. `None`: no known reason.
    pub against: Option<Reason>,
}

/// The calls between `now` and `until`, the soonest first. Customers who are not eligible have
/// none. `days` are the dates without calls that the next start loads.
pub fn plan(
    cx: &Context,
    now: Instant,
    until: Instant,
    days: &[Holiday],
) -> anyhow::Result<Vec<Planned>> {
    let mut planned = Vec::new();
    cx.store.read(|conn| {
        let listed = do_not_call::all(conn, cx.store.path())?;
        let listed = listed.into_iter().map(|entry| entry.phone).collect();
        let asker = Asker { cx, conn, pauses: pauses::pauses(conn)?, days, listed };
        let mut after = 0;
        loop {
            let found = customers::list(conn, &Filter::default(), AT_ONCE, after)?;
            let Some(last) = found.last() else { return Ok(()) };
            after = last.id;
            for customer in &found {
                // A row that cannot be read blocks its customer, so no call is planned.
                quarantine::readable(asker.calls_of(customer, now, until, &mut planned))?;
            }
        }
    })?;
    planned.sort_by_key(|call| (call.at, call.customer_id));
    Ok(planned)
}

struct Asker<'a> {
    cx: &'a Context,
    conn: &'a Conn,
    pauses: Vec<(String, pauses::Pause)>,
    days: &'a [Holiday],
    /// The do-not-call numbers as the next start knows them.
    listed: HashSet<String>,
}

impl Asker<'_> {
    fn calls_of(
        &self,
        customer: &Customer,
        now: Instant,
        until: Instant,
        planned: &mut Vec<Planned>,
    ) -> anyhow::Result<()> {
        let rules = &self.cx.rules;
        if !rules.eligible_payment_status.contains(&customer.payment_status)
            || !customer.phone_validated
        {
            return Ok(());
        }
        let known = planned.len();
        for item in views::items_of_customer(self.conn, customer.id)? {
            let waits = matches!(item.status, ItemStatus::Pending | ItemStatus::Retrying);
            if waits && item.due_at() < until {
                planned.push(self.call(customer, &item, now)?);
            }
        }
        let welcome =
            queue::item_of_occasion(self.conn, customer.id, CallType::Welcome, WELCOME_OCCASION)?;
        let owed = !customer.welcome_call_completed && welcome.is_none();
        if owed {
            let at = customer.created_at + rules.welcome_delay;
            if at < until {
                let item = hypothetical(customer, CallType::Welcome, WELCOME_OCCASION.into(), at);
                planned.push(self.call(customer, &item, now)?);
            }
        }
        let is_paused = self.pauses.iter().any(|(scope, _)| scope == "type:welcome");
        let begin = match next::awaits_welcome(customer, welcome.as_ref(), is_paused) {
            false => now,
            true => {
                let mut own = planned[known..].iter();
                match own.find(|call| call.call_type == CallType::Welcome) {
                    // The welcome call was made elsewhere, and the next scan ends it.
                    Some(call) if call.against == Some(Reason::AlreadyCalled) => now,
                    Some(call) => call.at + Duration::milliseconds(1),
                    None => until,
                }
            }
        };
        self.dailies(customer, (now, begin), until, planned)
    }

    /// Daily calls from the next one on and after the welcome call. Earlier dates are over.
    fn dailies(
        &self,
        customer: &Customer,
        (now, begin): (Instant, Instant),
        until: Instant,
        planned: &mut Vec<Planned>,
    ) -> anyhow::Result<()> {
        let Some((rhythm, zone)) = next::rhythm(self.cx, customer) else { return Ok(()) };
        let late = now - self.cx.rules.max_lateness;
        let from = customer.next_call_scheduled_at.map_or(now, |next| next.max(late));
        let from = if now < begin { from.max(begin) } else { from };
        for (date, at) in rhythm.slots_between(&zone, from, until) {
            let called = Some(date) <= customer.last_call_date;
            if called || !called_flags::date_is_free(self.conn, customer.id, date)? {
                continue;
            }
            let item = hypothetical(customer, CallType::Daily, daily_occasion(date), at);
            planned.push(self.call(customer, &item, now)?);
        }
        Ok(())
    }

    /// The gate's answer at the item's due time. A short wait moves the call to the end of the
    /// wait.
    fn call(&self, customer: &Customer, item: &Item, now: Instant) -> anyhow::Result<Planned> {
        let cx = self.cx;
        let due = item.due_at().max(now);
        let zone = cx.zones.get(&customer.timezone);
        let zone = zone.as_deref();
        let mut facts = gate_facts::facts(
            cx,
            self.conn,
            &ItemInQuestion { item, customer: Some(customer), zone, pauses: &self.pauses },
            due,
        )?;
        facts.do_not_call =
            do_not_call::forms(&customer.phone).iter().any(|form| self.listed.contains(form));
        facts.holiday = zone.and_then(|zone| {
            let (country, date) = (zone_country::country_of(&zone.name), zone.date(due));
            let here = |day: &&Holiday| {
                day.date == date && (day.country == "*" || Some(day.country.as_str()) == country)
            };
            self.days.iter().find(here).map(|day| day.name.clone())
        });
        let (at, against) = match gate::ask(&facts, &cx.rules).verdict {
            Verdict::Open => (due, None),
            Verdict::Wait { until: Some(until), .. }
                if facts.expires_at.is_none_or(|last| until <= last) =>
            {
                (until, None)
            }
            Verdict::Skip(Reason::TooLate) => (due, Some(scan::skip_reason(item.reason))),
            Verdict::Wait { reason, .. } | Verdict::Skip(reason) => (due, Some(reason)),
            Verdict::AlreadyCalled => (due, Some(Reason::AlreadyCalled)),
        };
        Ok(Planned {
            customer_id: customer.id,
            customer_name: customer.name.clone(),
            timezone: customer.timezone.clone(),
            rhythm: next::wanted(customer).map(|rhythm| rhythm.to_string()),
            call_type: item.call_type,
            occasion: item.occasion.clone(),
            at,
            against,
        })
    }
}

/// An item that no scan has queued yet.
pub fn hypothetical(
    customer: &Customer,
    call_type: CallType,
    occasion: String,
    scheduled_for: Instant,
) -> Item {
    Item {
        id: 0,
        customer_id: customer.id,
        call_type,
        occasion,
        scheduled_for,
        status: ItemStatus::Pending,
        attempts: 0,
        max_attempts: 1,
        reason: None,
        error_message: None,
        vapi_call_id: None,
        not_before: None,
        expires_at: None,
        created_at: scheduled_for,
        processed_at: None,
    }
}
