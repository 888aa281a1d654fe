//! The assistant's variables: the customer's own, and what the moment of this attempt adds to them.
//! They change what is said, never who is called or when.

use serde_json::{Map, Value};

use crate::domain::Instant;
use crate::domain::calendar::zone::Zone;
use crate::domain::call::CallType;
use crate::domain::customer::Customer;
use crate::steps::Context;
use crate::store::Conn;
use crate::store::attempts::results;

/// The names that ringonce fills. A customer's own variable of the same name wins.
pub const NAMES: [&str; 10] = [
    "name",
    "local_date",
    "local_time",
    "weekday",
    "timezone",
    "call_type",
    "attempt_no",
    "calls_made",
    "days_since_last_call",
    LAST_SUMMARY,
];

/// Only with `vapi.send_last_summary`.
pub const LAST_SUMMARY: &str = "last_summary";
/// The most characters of it: a few sentences, not a transcript.
const LONGEST_SUMMARY: usize = 4_000;

/// One attempt at the instant of its intent.
pub struct Moment<'a> {
    pub customer: &'a Customer,
    /// `None`: not known, and then the gate does not open.
    pub zone: Option<&'a Zone>,
    pub call_type: CallType,
    pub attempt_no: i64,
    /// The latest earlier call of the ledger that may have rung.
    pub last_call: Option<Instant>,
    pub now: Instant,
}

/// The variables of one attempt. What is not known is left out.
pub fn variables(
    cx: &Context,
    conn: &Conn,
    moment: &Moment<'_>,
) -> anyhow::Result<Map<String, Value>> {
    let customer = moment.customer;
    let mut variables = customer.variables.clone();
    let mut add = |name: &str, value: Value| {
        variables.entry(name).or_insert(value);
    };
    if !customer.name.is_empty() {
        add("name", customer.name.clone().into());
    }
    if let Some(zone) = moment.zone {
        let there = zone.local(moment.now);
        add("local_date", there.format("%Y-%m-%d").to_string().into());
        add("local_time", there.format("%H:%M").to_string().into());
        add("weekday", there.format("%A").to_string().into());
        if let Some(days) = days_since_last_call(moment, zone) {
            add("days_since_last_call", days.into());
        }
    }
    add("timezone", customer.timezone.clone().into());
    add("call_type", moment.call_type.as_str().into());
    add("attempt_no", moment.attempt_no.into());
    add("calls_made", customer.total_calls_made.into());
    if cx.config.vapi.send_last_summary
        && let Some(summary) = results::last_summary(conn, customer.id)?
    {
        add(LAST_SUMMARY, shortened(&summary).into());
    }
    Ok(variables)
}

/// Local dates since the last call, by the ledger or by an import; 0 = today.
fn days_since_last_call(moment: &Moment<'_>, zone: &Zone) -> Option<i64> {
    let in_ledger = moment.last_call.map(|at| zone.date(at));
    let last = in_ledger.max(moment.customer.last_call_date)?;
    Some((zone.date(moment.now) - last).num_days().max(0))
}

fn shortened(summary: &str) -> String {
    if summary.chars().count() <= LONGEST_SUMMARY {
        return summary.to_string();
    }
    let mut cut: String = summary.chars().take(LONGEST_SUMMARY - 1).collect();
    cut.push('…');
    cut
}
