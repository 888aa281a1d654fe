//! The list of customers as a person filters it: by how things stand, in an order, with a count.

use rusqlite::types::Value;
use rusqlite::{Connection, named_params};

use crate::domain::customer::Customer;
use crate::domain::customer::name::number_part;
use crate::domain::{Instant, instant_text, text_enum};
use crate::phones;
use crate::store::customers::rows::from_row;
use crate::store::customers::{SHOWN_STATUS, shown_columns};
use crate::store::quarantine::{self, Place};

/// A count stops here: an exact one would read every row of a large file.
pub const COUNTED_MAX: i64 = 10_000;

text_enum! {
    /// How things stand with a customer.
    pub enum Standing {
        Reached = "reached",
        NotReached = "not_reached",
        InDoubt = "in_doubt",
        Paused = "paused",
        NeverCall = "never_call",
        NotEligible = "not_eligible",
        BadNumber = "bad_number",
        Stopped = "stopped",
    }
}

text_enum! {
    /// The order of the list.
    pub enum Order {
        Added = "added",
        Newest = "newest",
        Name = "name",
        NextCall = "next_call",
    }
}

/// Which customers, and in which order.
#[derive(Clone, Debug)]
pub struct PeopleFilter {
    /// Part of the name, e-mail or external id, in any case, or the end of the phone number.
    pub text: Option<String>,
    pub standing: Option<Standing>,
    /// Reached or not reached since then; `None`: ever.
    pub since: Option<Instant>,
    pub order: Order,
    /// The payment statuses whose customers are called.
    pub eligible: Vec<String>,
    /// Every form of every number on the do-not-call list.
    pub listed: Vec<String>,
}

/// Rows of one page.
#[derive(Clone, Copy, Debug)]
pub struct Rows {
    pub limit: usize,
    pub offset: i64,
}

impl PeopleFilter {
    fn condition(&self) -> String {
        let answered = "EXISTS (SELECT 1 FROM call_attempts AS made
            WHERE made.customer_id = customers.id AND made.disposition = 'answered'
              AND :since <= made.created_at)";
        let standing = match self.standing {
            None => "TRUE".to_string(),
            Some(Standing::Reached) => answered.to_string(),
            Some(Standing::NotReached) => format!("NOT {answered}"),
            Some(Standing::InDoubt) => "id IN (SELECT customer_id FROM call_attempts
                WHERE state = 'in_doubt')"
                .to_string(),
            Some(Standing::Paused) => format!("({SHOWN_STATUS}) = 'paused'"),
            Some(Standing::NeverCall) => {
                "phone IN (SELECT value FROM json_each(:listed))".to_string()
            }
            Some(Standing::NotEligible) => {
                "payment_status NOT IN (SELECT value FROM json_each(:eligible))".to_string()
            }
            Some(Standing::BadNumber) => "phone_validated = 0".to_string(),
            Some(Standing::Stopped) => "call_status = 'disabled'".to_string(),
        };
        // Every parameter has a place, whatever the filter is.
        format!(
            "{standing} AND coalesce(:since, :listed, :eligible) IS NOT NULL
             AND (:part IS NULL OR instr(lower(name), :part)
               OR instr(lower(coalesce(email, '')), :part)
               OR instr(lower(coalesce(external_id, '')), :part) OR instr(name, :text)
               OR (substr(phone, -length(:tail)) = :tail
                 AND substr(phone, 1, length(:head)) = :head))"
        )
    }

    fn values(&self) -> anyhow::Result<[(&'static str, Value); 7]> {
        let text = self.text.as_deref().map(str::trim);
        let number = text.and_then(|text| number_part(&phones::with_plain_digits(text)));
        let (head, tail) = number.map(|number| (number.head, number.tail)).unzip();
        let or_null = |text: Option<String>| text.map_or(Value::Null, Value::Text);
        Ok([
            (":part", or_null(text.map(str::to_lowercase))),
            (":text", or_null(text.map(str::to_string))),
            (":head", or_null(head.map(|head| head.to_string()))),
            (":tail", or_null(tail.map(|tail| tail.to_string()))),
            (":since", Value::Text(self.since.map(instant_text).unwrap_or_default())),
            (":listed", Value::Text(serde_json::to_string(&self.listed)?)),
            (":eligible", Value::Text(serde_json::to_string(&self.eligible)?)),
        ])
    }
}

/// One page of the list. Omits rows that cannot be read.
pub fn people(
    conn: &Connection,
    filter: &PeopleFilter,
    rows: Rows,
) -> anyhow::Result<Vec<Customer>> {
    let order = match filter.order {
        Order::Added => "id",
        Order::Newest => "id DESC",
        Order::Name => "name COLLATE NOCASE, id",
        Order::NextCall => "next_call_scheduled_at IS NULL, next_call_scheduled_at, id",
    };
    let sql = format!(
        "SELECT {} FROM customers WHERE {} ORDER BY {order} LIMIT :limit OFFSET :offset",
        shown_columns(),
        filter.condition()
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let values = filter.values()?;
    let limit = i64::try_from(rows.limit)?;
    let mut named: Vec<(&str, &dyn rusqlite::ToSql)> =
        values.iter().map(|(name, value)| (*name, value as &dyn rusqlite::ToSql)).collect();
    named.extend(named_params! { ":limit": limit, ":offset": rows.offset });
    quarantine::listed(Place::Customers, statement.query(named.as_slice())?, from_row)
}

/// How many customers fit, at most one more than [`COUNTED_MAX`].
pub fn count(conn: &Connection, filter: &PeopleFilter) -> anyhow::Result<i64> {
    let sql = format!(
        "SELECT count(*) FROM (SELECT 1 FROM customers WHERE {} LIMIT {})",
        filter.condition(),
        COUNTED_MAX + 1
    );
    let values = filter.values()?;
    let named: Vec<(&str, &dyn rusqlite::ToSql)> =
        values.iter().map(|(name, value)| (*name, value as &dyn rusqlite::ToSql)).collect();
    Ok(conn.prepare_cached(&sql)?.query_one(named.as_slice(), |row| row.get(0))?)
}
