//! What the forms of the pages do. Each does one thing, wants a reason, and leads back to a page
//! that shows what came of it.

use crate::web::api::numbers::{entry, put};
use crate::web::api::one_line;
use crate::web::delivery::Response;
use crate::web::page::go_to;
use crate::web::problem::Problem;
use crate::web::router::Asked;

/// Who acts, in the journal.
pub const WHO: &str = "page";

/// The reason that the form gives.
fn why(asked: &Asked<'_>) -> Result<String, Problem> {
    one_line("reason", asked.form("reason"))
}

/// `POST /do-not-call`
pub fn never_call_number(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let entry = entry(asked, asked.form("phone"), why(asked)?, WHO)?;
    put(asked, &entry, true)?;
    Ok(go_to("/do-not-call"))
}

/// `POST /customers/{id}/do-not-call`
pub fn never_call(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let store = &asked.front.cx().store;
    let customer = store.read(|conn| crate::web::api::customers::one(conn, asked.place()))?;
    let entry = entry(asked, &customer.phone, why(asked)?, WHO)?;
    put(asked, &entry, true)?;
    Ok(go_to(&format!("/customers/id:{}", customer.id)))
}
