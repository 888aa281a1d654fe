//! Rows with a number that other rows or known customers also have: the number is called once.

use crate::domain::customer::Customer;
use crate::domain::gate::facts::Rules;
use crate::steps::import::consequences::outcome::{CallsOfNumber, SamePhone, who};
use crate::steps::import::consequences::{Row, gets_daily, gets_welcome};
use crate::steps::import::repeated_rows::SeenRows;
use crate::steps::import::report::ImportReport;
use crate::steps::import::row_plan::Plan;
use crate::store::Conn;
use crate::store::customers::{by_id, with_same_phone};

/// Counts a row whose number a known customer or an earlier row also has. `conn` is `None` while the
/// customer table is empty.
pub(crate) fn count(
    report: &mut ImportReport,
    conn: Option<&Conn>,
    seen: &mut SeenRows,
    (line, plan): (u64, &Plan),
    rules: Option<&Rules>,
) -> anyhow::Result<Option<SamePhone>> {
    let after = plan.after();
    let customers = match conn {
        Some(conn) => with_same_phone(conn, after)?,
        None => Vec::new(),
    };
    let mut by_known = Vec::new();
    let mut takes = CallsOfNumber::default();
    if let Some(rules) = rules {
        takes = calls_taken_by(rules, after);
        for id in &customers {
            let other = conn.map(|conn| by_id(conn, *id)).transpose()?.flatten();
            by_known.extend(other.map(|other| (*id, calls_taken_by(rules, &other))));
        }
    }
    let earlier = seen.same_phone(after, line, takes)?;
    if earlier.is_none() && customers.is_empty() {
        return Ok(None);
    }
    let taken = earlier.map(|(_, taken)| taken).unwrap_or_default();
    let first_line = earlier.map(|(line, _)| line);
    let same = SamePhone { line, who: who(after), customers, first_line, taken, by_known };
    report.add_same_phone(&same);
    Ok(Some(same))
}

/// A row that is judged when the whole file is read. A known customer with its number may have a row
/// further down, which says more than the database.
pub(crate) struct Undecided {
    known: Option<Customer>,
    after: Customer,
    has_created_at: bool,
    is_listed: bool,
    same: SamePhone,
}

impl Undecided {
    /// `None`: no known customer takes a call of the row's number.
    pub(crate) fn of(row: &Row<'_>) -> Option<Undecided> {
        let same = row.same_phone?;
        let is_taken = |(_, taken): &(i64, CallsOfNumber)| *taken != CallsOfNumber::default();
        same.by_known.iter().any(is_taken).then(|| Undecided {
            known: row.known.cloned(),
            after: row.after.clone(),
            has_created_at: row.has_created_at,
            is_listed: row.is_listed,
            same: same.clone(),
        })
    }

    /// Gives the row to `take`, with the calls that known customers without a row take.
    pub(crate) fn decide(
        mut self,
        seen: &mut SeenRows,
        take: impl FnOnce(&Row<'_>),
    ) -> anyhow::Result<()> {
        for (id, taken) in &self.same.by_known {
            if !seen.has_customer(*id)? {
                self.same.taken = self.same.taken.or(*taken);
            }
        }
        take(&Row {
            known: self.known.as_ref(),
            after: &self.after,
            has_created_at: self.has_created_at,
            line: self.same.line,
            who: &|| self.same.who.clone(),
            same_phone: Some(&self.same),
            is_listed: self.is_listed,
        });
        Ok(())
    }
}

/// The calls of its number that this row leaves to no other row.
fn calls_taken_by(rules: &Rules, customer: &Customer) -> CallsOfNumber {
    CallsOfNumber {
        welcome: gets_welcome(rules, customer) || customer.welcome_call_completed,
        daily: gets_daily(rules, customer),
    }
}
