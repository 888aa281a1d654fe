//! The acts behind the forms of the pages. Each does one thing, requires a reason, and leads back to a page
//! that shows the result.

use crate::domain::call::CallType;
use crate::domain::customer::Customer;
use crate::http::problem::Problem;
use crate::http::response::Response;
use crate::steps::operate::Scope;
use crate::steps::operate::call_now::ExtraWish;
use crate::web::api::{numbers, one_line};
use crate::web::asked::Asked;
use crate::web::operate::{self, Lift, WhoAndWhy};
use crate::web::page::layout::go_to;
use crate::web::page::linked;

/// The actor in the journal.
pub const WHO: &str = "page";

/// The reason that the form gives.
fn why(asked: &Asked<'_>) -> Result<String, Problem> {
    one_line("reason", asked.form("reason"))
}

/// `POST /do-not-call`
pub fn never_call_number(asked: &Asked<'_>) -> anyhow::Result<Response> {
    numbers::never_call(asked, asked.form("phone"), &why(asked)?, WHO)?;
    Ok(go_to("/do-not-call"))
}

/// `POST /customers/{id}/do-not-call`
pub fn never_call(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let customer = customer(asked)?;
    numbers::put_on(asked, &customer.phone, &why(asked)?, WHO)?;
    Ok(go_to(&format!("/customers/id:{}", customer.id)))
}

/// The scope that the form names.
fn scope(asked: &Asked<'_>) -> Result<Scope, Problem> {
    let unknown = || Problem::field("scope", "this cannot be paused or resumed");
    match asked.form("scope").split_once(':') {
        None if asked.form("scope") == "all" => Ok(Scope::Everything),
        Some(("type", text)) => CallType::parse(text).map(Scope::Type).ok_or_else(unknown),
        _ => Err(unknown()),
    }
}

/// `POST /pause`
pub fn pause(asked: &Asked<'_>) -> anyhow::Result<Response> {
    operate::pause(asked, &scope(asked)?, &WhoAndWhy { who: WHO, why: &why(asked)? })?;
    Ok(go_to("/"))
}

/// `POST /resume`: each button lifts only the pause or hold next to it.
pub fn resume(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let lift = match (asked.form("hold"), asked.form("scope")) {
        ("", "breaker") => Lift::Breaker,
        ("", _) => Lift::Pause(scope(asked)?),
        (hold, _) => Lift::Hold(hold.into()),
    };
    operate::resume(asked, &lift, &WhoAndWhy { who: WHO, why: &why(asked)? })?;
    Ok(go_to("/"))
}

/// The customer of the path.
fn customer(asked: &Asked<'_>) -> anyhow::Result<Customer> {
    asked.front.cx().store.read(|conn| linked(conn, asked.named()))
}

/// The same as a scope, and the page to go back to.
fn customer_scope(asked: &Asked<'_>) -> anyhow::Result<(Scope, String)> {
    let customer = customer(asked)?;
    let back = format!("/customers/id:{}", customer.id);
    Ok((Scope::Customer(Box::new(customer)), back))
}

/// `POST /customers/{id}/pause`
pub fn pause_customer(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let (scope, back) = customer_scope(asked)?;
    operate::pause(asked, &scope, &WhoAndWhy { who: WHO, why: &why(asked)? })?;
    Ok(go_to(&back))
}

/// `POST /customers/{id}/resume`
pub fn resume_customer(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let (scope, back) = customer_scope(asked)?;
    operate::resume(asked, &Lift::Pause(scope), &WhoAndWhy { who: WHO, why: &why(asked)? })?;
    Ok(go_to(&back))
}

/// `POST /calls/{id}/resolve`
pub fn resolve(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let call_id = Some(asked.form("call_id")).filter(|id| !id.is_empty());
    let word = operate::word(asked.form("outcome"), call_id)?;
    operate::resolve(asked, asked.named(), &word, &WhoAndWhy { who: WHO, why: &why(asked)? })?;
    Ok(go_to("/calls?state=in_doubt"))
}

/// `POST /calls/{id}/close`
pub fn close(asked: &Asked<'_>) -> anyhow::Result<Response> {
    operate::close(asked, asked.named(), &WhoAndWhy { who: WHO, why: &why(asked)? })?;
    Ok(go_to("/calls?state=placed"))
}

/// `POST /customers/{id}/call`: an extra call, through the gate and the running dialer.
pub fn call(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let customer = customer(asked)?;
    let why = why(asked)?;
    operate::call(asked, &customer, &ExtraWish { why: &why, at: None, key: None })?;
    Ok(go_to(&format!("/customers/id:{}", customer.id)))
}
