//! One person's data: all of it as JSON, and its erasure.

use serde_json::json;

use crate::domain::customer::Customer;
use crate::http::response::Response;
use crate::present::person;
use crate::steps::customers::find;
use crate::store::Tx;
use crate::web::api::customers::{as_problem, one};
use crate::web::api::{body, only, reason};
use crate::web::asked::Asked;
use crate::web::operate::{self, WhoAndWhy};

/// `GET /api/customers/{id}/export`: everything that is stored about one person. The journal
/// records it.
pub fn export(asked: &Asked<'_>) -> anyhow::Result<Response> {
    only(asked, &[])?;
    let customer = asked.front.cx().store.read(|conn| one(conn, asked.named()))?;
    exported(asked, &customer)
}

/// The export of a customer who is known already.
pub fn exported(asked: &Asked<'_>, customer: &Customer) -> anyhow::Result<Response> {
    let cx = asked.front.cx();
    let told = cx.store.read(|conn| person::as_json(conn, cx.store.path(), customer))?;
    asked.note_reveal(&format!("customer:{}", customer.id), Some("export"))?;
    Ok(Response::json(200, &told))
}

/// `DELETE /api/customers/{id}` with `reason`: erases the person, and keeps that they were called.
pub fn erase(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let fields = body(asked, &["reason"])?;
    let why = reason(&fields)?;
    let find = |tx: &Tx<'_>| find::one_for_good(tx, asked.named()).map_err(as_problem);
    let by = WhoAndWhy { who: asked.who(), why: &why };
    let (report, emptied) = operate::erase(asked, find, &by)?;
    let mut told = json!(report);
    told["wal_emptied"] = json!(emptied);
    Ok(Response::json(200, &told))
}
