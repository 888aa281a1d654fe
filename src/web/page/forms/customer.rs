//! The acts behind the forms of a customer's page. Each requires a reason, and leads back to the
//! page with what was done.

use crate::domain::Instant;
use crate::domain::customer::Customer;
use crate::http::problem::Problem;
use crate::http::response::Response;
use crate::steps::operate::Scope;
use crate::steps::operate::call_now::ExtraWish;
use crate::web::api::{numbers, person};
use crate::web::asked::Asked;
use crate::web::operate::{self, Lift, WhoAndWhy};
use crate::web::page::customer::edit::local_instant;
use crate::web::page::done::Done;
use crate::web::page::forms::why;
use crate::web::page::linked;

/// The customer of the path, and their page.
fn customer(asked: &Asked<'_>) -> anyhow::Result<(Customer, String)> {
    let customer = asked.front.cx().store.read(|conn| linked(conn, asked.named()))?;
    let back = format!("/customers/id:{}", customer.id);
    Ok((customer, back))
}

/// `POST /customers/{id}/pause`
pub fn pause(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let (customer, back) = customer(asked)?;
    let scope = Scope::Customer(Box::new(customer));
    let reason = why(asked)?;
    let is_new = operate::pause(asked, &scope, &WhoAndWhy { who: asked.who(), why: &reason })?;
    Ok(if is_new { Done::Paused } else { Done::WasPaused }.go_to(&back))
}

/// `POST /customers/{id}/resume`
pub fn resume(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let (customer, back) = customer(asked)?;
    let lift = Lift::Pause(Scope::Customer(Box::new(customer)));
    let reason = why(asked)?;
    let by = WhoAndWhy { who: asked.who(), why: &reason };
    let (resumed, _) = operate::resume(asked, &lift, &by)?;
    let done = if resumed.is_nothing() { Done::WasNotPaused } else { Done::Resumed };
    Ok(done.go_to(&back))
}

/// `POST /customers/{id}/do-not-call`
pub fn never_call(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let (customer, back) = customer(asked)?;
    let is_new = numbers::put_on(asked, &customer.phone, &why(asked)?, asked.who())?;
    Ok(if is_new { Done::Listed } else { Done::WasListed }.go_to(&back))
}

/// `POST /customers/{id}/allow`: takes the number off the do-not-call list.
pub fn allow(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let (customer, back) = customer(asked)?;
    numbers::take_off(asked, &customer.phone, &why(asked)?, asked.who())?;
    Ok(Done::Unlisted.go_to(&back))
}

/// `POST /customers/{id}/call`: an extra call, now or at `at`, through the gate and the running
/// dialer.
pub fn call(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let (customer, back) = customer(asked)?;
    let why = why(asked)?;
    let at = at(asked, &customer)?;
    let queued =
        operate::call(asked, &customer, &ExtraWish { who: asked.who(), why: &why, at, key: None })?;
    Ok(Done::Queued.with(&back, &[("item", &queued.item.id.to_string())]))
}

/// The instant that the form asks for, on the customer's clock; `None`: now.
fn at(asked: &Asked<'_>, customer: &Customer) -> Result<Option<Instant>, Problem> {
    let text = asked.form("at");
    if text.is_empty() {
        return Ok(None);
    }
    let zone = asked.front.cx().zones.get(&customer.timezone);
    let at = zone.and_then(|zone| local_instant(text, &zone));
    let wrong = || Problem::field("at", "at is not a time: write 2026-11-22T17:01");
    at.map(Some).ok_or_else(wrong)
}

/// `POST /customers/{id}/erase`
pub fn erase(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let reason = why(asked)?;
    if asked.form("confirm") != "yes" {
        let detail = "nothing was erased: tick the box that says so";
        return Err(Problem::field("confirm", detail).into());
    }
    operate::erase(
        asked,
        |tx| linked(tx, asked.named()),
        &WhoAndWhy { who: asked.who(), why: &reason },
    )?;
    Ok(Done::Erased.go_to("/customers"))
}

/// `POST /customers/{id}/export`: everything that is stored about the person, as a file.
pub fn export(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let (customer, _) = customer(asked)?;
    let name = format!("attachment; filename=\"customer-{}.json\"", customer.id);
    Ok(person::exported(asked, &customer)?.with_header("Content-Disposition", &name))
}
