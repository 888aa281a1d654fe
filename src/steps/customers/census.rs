//! Counts the customers who can be called at all, by payment status and by call time.

use std::collections::BTreeMap;

use chrono::NaiveTime;
use serde::Serialize;

use crate::domain::calendar::schedule::Rhythm;
use crate::domain::customer::columns::shown;
use crate::domain::gate::facts::Rules;
use crate::store::Conn;
use crate::store::customers::census;
use crate::store::views::Count;

/// At most this many payment statuses are named; the rest are counted.
const NAMED: usize = 8;

/// All customers, by what decides whether and when they are called.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Census {
    pub known: i64,
    /// Those whose payment status is eligible.
    pub eligible: i64,
    /// The others by payment status, the most frequent first.
    pub not_eligible: Vec<Count>,
    /// Call times at 00:00, which is often only the default of a database.
    pub at_midnight: i64,
    /// Call times at which the calling window is never open.
    pub outside_window: i64,
    /// The configured list.
    #[serde(skip)]
    pub eligible_statuses: Vec<String>,
    /// `calling_window.strict`: the window binds the chosen times too.
    #[serde(skip)]
    pub is_strict: bool,
}

/// Counts every customer of the file.
pub fn take(conn: &Conn, rules: &Rules) -> anyhow::Result<Census> {
    let mut found = Census {
        eligible_statuses: rules.eligible_payment_status.clone(),
        is_strict: rules.strict,
        ..Census::default()
    };
    let mut excluded: BTreeMap<String, i64> = BTreeMap::new();
    for group in census::groups(conn)? {
        found.known += group.customers;
        if rules.eligible_payment_status.contains(&group.payment_status) {
            found.eligible += group.customers;
        } else {
            *excluded.entry(group.payment_status).or_default() += group.customers;
        }
        let rhythm = Rhythm::of(group.call_time.as_deref(), group.call_schedule.as_deref());
        let Some(time) = rhythm.ok().flatten().and_then(|rhythm| rhythm.time_of_day()) else {
            continue;
        };
        if time == NaiveTime::MIN {
            found.at_midnight += group.customers;
        }
        if !rules.window.ever_opens_at(time) {
            found.outside_window += group.customers;
        }
    }
    found.not_eligible = by_count(excluded);
    Ok(found)
}

/// Words with their counts, the most frequent first.
pub fn by_count(counts: impl IntoIterator<Item = (String, i64)>) -> Vec<Count> {
    let mut found: Vec<Count> =
        counts.into_iter().map(|(word, count)| Count { word, count }).collect();
    found.sort_by(|a, b| b.count.cmp(&a.count).then(a.word.cmp(&b.word)));
    found
}

impl Census {
    /// Why nobody is called, or most are not: their payment status. `None`: at least half of the
    /// customers are eligible.
    pub fn few_eligible(&self) -> Option<String> {
        if self.known == 0 || self.known <= self.eligible * 2 {
            return None;
        }
        let who = match (self.eligible, self.known) {
            (0, 1) => "the only customer is not eligible, so nobody is called".to_string(),
            (0, known) => format!("none of {known} customers is eligible, so nobody is called"),
            (eligible, known) => format!("only {eligible} of {known} customers are eligible"),
        };
        let named: Vec<String> = self
            .not_eligible
            .iter()
            .take(NAMED)
            .map(|status| format!("{} \"{}\"", status.count, shown(&status.word)))
            .collect();
        let more = if self.not_eligible.len() > NAMED { ", …" } else { "" };
        let wanted: Vec<String> =
            self.eligible_statuses.iter().map(|word| format!("\"{}\"", shown(word))).collect();
        Some(format!(
            "{who}: the payment status excludes {}{more}; eligible is {} \
             (customers.eligible_payment_status)",
            named.join(", "),
            wanted.join(", ")
        ))
    }

    /// Customers whose call time is unlikely to be meant: `3 customers have a call time outside the
    /// calling window, 2 of them 00:00`. `None`: there are none.
    pub fn odd_times(&self) -> Option<String> {
        let (outside, midnight) = (self.outside_window, self.at_midnight);
        let have =
            |n: i64| if n == 1 { "1 customer has".into() } else { format!("{n} customers have") };
        let what = match (outside, midnight) {
            (0, 0) => return None,
            (0, midnight) => format!("{} the call time 00:00", have(midnight)),
            (outside, 0) => format!("{} a call time outside the calling window", have(outside)),
            (outside, midnight) => format!(
                "{} a call time outside the calling window, {midnight} of them 00:00, which may only \
                 be a database's default",
                have(outside)
            ),
        };
        let then = match (self.is_strict, outside) {
            (true, 1..) => "calling_window.strict forbids a call then",
            _ => "is it their own choice?",
        };
        Some(format!("{what}: {then}"))
    }
}
