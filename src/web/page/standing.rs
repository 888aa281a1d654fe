//! How things stand with one customer, in the words of a person: "reached today", "no answer yet",
//! "paused by Ada".

use maud::Markup;

use crate::domain::Instant;
use crate::domain::calendar::zone::Zone;
use crate::domain::call::{AttemptState, Disposition};
use crate::domain::customer::{CallStatus, Customer};
use crate::steps::Context;
use crate::steps::occasions::next;
use crate::store::meta::pauses::{self, Pause};
use crate::store::views::contact::{Contact, LastCall, contact};
use crate::store::{Conn, do_not_call};
use crate::web::asked::Asked;
use crate::web::page::html::or_dash;
use crate::web::page::words::Tone;

/// What decides about the words.
pub struct Known {
    pub contact: Contact,
    pub is_listed: bool,
    pub pause: Option<Pause>,
    pub is_eligible: bool,
    /// So many failures in a row stop somebody.
    failures_that_stop: i64,
}

impl Known {
    pub fn of(cx: &Context, conn: &Conn, customer: &Customer) -> anyhow::Result<Known> {
        Ok(Known {
            contact: contact(conn, customer.id)?,
            is_listed: do_not_call::is_listed(conn, cx.store.path(), &customer.phone)?,
            pause: pauses::pause_of(conn, &pauses::of_customer(&customer.key))?,
            failures_that_stop: cx.config.customers.disable_after_failures,
            is_eligible: cx.rules.eligible_payment_status.contains(&customer.payment_status),
        })
    }
}

/// The one thing that a person wants to know first: what stops the calls, else whether somebody was
/// reached.
pub fn standing(customer: &Customer, known: &Known, zone: &Zone, now: Instant) -> (Tone, String) {
    let is_paused = known.pause.is_some() || customer.call_status == CallStatus::Paused;
    if known.contact.is_in_doubt {
        (Tone::Bad, "in doubt: the phone may have rung".to_string())
    } else if known.is_listed {
        (Tone::Bad, "never call: on the do-not-call list".to_string())
    } else if let Some(pause) = &known.pause {
        (Tone::Warn, format!("paused by {}", pause.who))
    } else if is_paused {
        (Tone::Warn, "paused".to_string())
    } else if customer.call_status == CallStatus::Disabled {
        // An import can stop somebody too.
        let has_failed = customer.consecutive_failures >= known.failures_that_stop;
        let why =
            if has_failed { "stopped after failed calls" } else { "stopped, not by failed calls" };
        (Tone::Bad, why.to_string())
    } else if !customer.phone_validated {
        (Tone::Bad, "the number is not valid".to_string())
    } else if !known.is_eligible {
        (Tone::Dim, format!("not eligible: payment is {}", customer.payment_status))
    } else {
        reached(&known.contact, zone, now)
    }
}

fn reached(contact: &Contact, zone: &Zone, now: Instant) -> (Tone, String) {
    let Some(last) = &contact.last else {
        return (Tone::Calm, "not called yet".to_string());
    };
    if matches!(last.state, AttemptState::Dialing | AttemptState::Placed) {
        return (Tone::Calm, "a call is under way".to_string());
    }
    let today = zone.date(now);
    let is_today = zone.date(last.at) == today;
    match contact.answered_at {
        Some(at) if zone.date(at) == today => (Tone::Good, "reached today".to_string()),
        _ if is_today => (Tone::Warn, not_reached_today(last).to_string()),
        Some(at) if Some(zone.date(at)) == today.pred_opt() => {
            (Tone::Good, "reached yesterday".to_string())
        }
        Some(at) => (Tone::Calm, format!("last reached {}", zone.date(at).format("%e %b %Y"))),
        None => (Tone::Warn, "not reached yet".to_string()),
    }
}

fn not_reached_today(last: &LastCall) -> &'static str {
    match last.disposition {
        Some(Disposition::Voicemail) => "voicemail today",
        Some(Disposition::NoAnswer) => "no answer today",
        Some(Disposition::Busy) => "busy today",
        Some(Disposition::BadNumber) => "the number did not work today",
        _ => "the call failed today",
    }
}

/// The daily rhythm with its next slots, or the original text if it is not understood.
pub fn rhythm(asked: &Asked<'_>, customer: &Customer) -> Markup {
    let zone = asked.front.cx().zones.get(&customer.timezone);
    let original = customer.call_schedule.as_ref().or(customer.call_time.as_ref());
    or_dash(
        next::wanted(customer)
            .map(|rhythm| rhythm.describe(zone.as_deref(), asked.now))
            .as_ref()
            .or(original),
    )
}
