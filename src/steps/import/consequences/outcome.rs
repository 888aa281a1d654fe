//! What one row of a file leads to, for a table of rows.

use std::fmt;

use chrono::NaiveTime;
use serde::Serialize;

use crate::domain::Instant;
use crate::domain::customer::columns::shown;
use crate::domain::customer::{CallStatus, Customer, mask_phone};
use crate::domain::gate::facts::Rules;

/// The calls of one customer, or why there are none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    pub welcome: Option<Instant>,
    /// The time of day of the daily calls. `Some(None)`: a schedule without one time.
    pub daily: Option<Option<NaiveTime>>,
    pub not_called: Option<&'static str>,
}

/// Customers of one group, by what happens to them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    pub customers: u64,
    pub welcome: u64,
    pub daily: u64,
    pub not_called: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, outcome: &Outcome) {
        self.customers += 1;
        self.welcome += u64::from(outcome.welcome.is_some());
        self.daily += u64::from(outcome.daily.is_some());
        self.not_called += u64::from(outcome.not_called.is_some());
    }
}

/// Why nobody calls this customer, in the words of a table.
pub(crate) fn why_not(rules: &Rules, customer: &Customer) -> &'static str {
    if !rules.eligible_payment_status.contains(&customer.payment_status) {
        return "payment status";
    }
    if !customer.phone_validated {
        return "phone cannot be dialed";
    }
    match customer.call_status {
        CallStatus::Paused => "paused",
        CallStatus::Disabled => "disabled",
        _ => "no call time",
    }
}

/// The calls that a number gets only once for all its rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallsOfNumber {
    pub welcome: bool,
    pub daily: bool,
}

impl CallsOfNumber {
    pub(crate) fn or(self, other: CallsOfNumber) -> CallsOfNumber {
        CallsOfNumber { welcome: self.welcome || other.welcome, daily: self.daily || other.daily }
    }
}

/// A row whose number another customer also has, unless both mark it as shared.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SamePhone {
    pub line: u64,
    /// Name, external id or e-mail, whichever exists.
    pub who: String,
    /// Known customers with the number.
    pub customers: Vec<i64>,
    /// The first line of the file with the number.
    pub first_line: Option<u64>,
    /// The calls that earlier lines get, or had.
    #[serde(skip)]
    pub taken: CallsOfNumber,
    /// The same of each known customer, as the database knows them.
    #[serde(skip)]
    pub by_known: Vec<(i64, CallsOfNumber)>,
}

pub(crate) fn who(customer: &Customer) -> String {
    let words = [Some(&customer.name), customer.external_id.as_ref(), customer.email.as_ref()];
    match words.into_iter().flatten().find(|word| !word.is_empty()) {
        Some(word) => shown(word).into_owned(),
        None => mask_phone(&customer.phone),
    }
}

/// One row of a file with what it leads to.
#[derive(Clone, Debug)]
pub struct RowOutcome {
    pub line: u64,
    pub who: String,
    /// `new`, `changed` or `unchanged`.
    pub change: &'static str,
    pub payment_status: String,
    pub country: Option<String>,
    pub timezone: String,
    pub outcome: Outcome,
    /// Known customers, and an earlier line, with the same number.
    pub same_phone: Option<(Vec<i64>, Option<u64>)>,
}

/// Takes each row that is not bad.
#[derive(Clone, Copy)]
pub struct RowSink<'a>(pub &'a dyn Fn(RowOutcome));

impl fmt::Debug for RowSink<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RowSink")
    }
}
