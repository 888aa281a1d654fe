//! The journal of one customer, under all of the customer's keys. Entries name a customer by id, by
//! key and by the key of the number, so that they hold no personal data.

use crate::domain::customer::Customer;
use crate::phones;
use crate::steps::Context;
use crate::store::customers::Found;
use crate::store::customers::search::find;
use crate::store::journal::{self, JournalLine};
use crate::store::{Conn, do_not_call};

/// The prefix of a subject that is a customer's id.
const SUBJECT: &str = "customer:";

/// The newest lines about everything that a text names: a subject as the journal writes it, or a
/// customer's id, external id, e-mail or phone. The phone of an erased customer still counts.
pub fn lines(
    cx: &Context,
    conn: &Conn,
    text: &str,
    limit: i64,
) -> anyhow::Result<Vec<JournalLine>> {
    let text = text.trim();
    let (mut subjects, mut ids) = (vec![text.to_string()], Vec::new());
    let named = text.strip_prefix(SUBJECT).map_or(text.to_string(), |id| format!("id:{id}"));
    let people = match find(conn, &named)? {
        Found::Nobody => Vec::new(),
        Found::One(customer) => vec![*customer],
        Found::Several(customers) => customers,
    };
    for customer in &people {
        subjects.extend(subjects_of(cx, conn, customer)?);
        ids.push(customer.id);
    }
    for number in phones::readings(text) {
        let phone_key = cx.installation.phone_key(&number);
        for id in journal::known_by_number(conn, &phone_key)? {
            subjects.push(format!("{SUBJECT}{id}"));
            ids.push(id);
        }
        subjects.push(format!("number:{phone_key}"));
    }
    subjects.sort();
    subjects.dedup();
    ids.sort();
    ids.dedup();
    journal::newest_about(conn, &subjects, &ids, limit)
}

/// Every subject under which the journal names a customer.
pub fn subjects_of(cx: &Context, conn: &Conn, customer: &Customer) -> anyhow::Result<Vec<String>> {
    let mut keys: Vec<String> = do_not_call::forms(&customer.phone)
        .iter()
        .map(|form| cx.installation.phone_key(form))
        .collect();
    keys.extend(journal::numbers_of(conn, customer.id)?);
    keys.sort();
    keys.dedup();
    let mut subjects =
        vec![format!("{SUBJECT}{}", customer.id), format!("customer:{}", customer.key)];
    subjects.extend(keys.into_iter().map(|key| format!("number:{key}")));
    Ok(subjects)
}
