//! What the forms of the pages do. Each does one thing, wants a reason, and leads back to a page
//! that shows what came of it.

use crate::domain::call::CallType;
use crate::steps::operate::Scope;
use crate::web::acts::{self, Lift, Reason};
use crate::web::api::{numbers, one_line};
use crate::web::delivery::Response;
use crate::web::page::{go_to, linked};
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
    numbers::never_call(asked, asked.form("phone"), &why(asked)?, WHO)?;
    Ok(go_to("/do-not-call"))
}

/// `POST /customers/{id}/do-not-call`
pub fn never_call(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let store = &asked.front.cx().store;
    let customer = store.read(|conn| linked(conn, asked.named()))?;
    numbers::put_on(asked, &customer.phone, &why(asked)?, WHO)?;
    Ok(go_to(&format!("/customers/id:{}", customer.id)))
}

/// What `scope` of the form names.
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
    acts::pause(asked, &scope(asked)?, &Reason { who: WHO, why: &why(asked)? })?;
    Ok(go_to("/"))
}

/// `POST /resume`: each button lifts the one thing that it stands beside.
pub fn resume(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let lift = match (asked.form("hold"), asked.form("scope")) {
        ("", "breaker") => Lift::Breaker,
        ("", _) => Lift::Pause(scope(asked)?),
        (hold, _) => Lift::Hold(hold.to_string()),
    };
    acts::resume(asked, &lift, &Reason { who: WHO, why: &why(asked)? })?;
    Ok(go_to("/"))
}

/// The customer of the path, and the page to go back to.
fn customer(asked: &Asked<'_>) -> anyhow::Result<(Scope, String)> {
    let customer = asked.front.cx().store.read(|conn| linked(conn, asked.named()))?;
    let back = format!("/customers/id:{}", customer.id);
    Ok((Scope::Customer(Box::new(customer)), back))
}

/// `POST /customers/{id}/pause`
pub fn pause_customer(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let (scope, back) = customer(asked)?;
    acts::pause(asked, &scope, &Reason { who: WHO, why: &why(asked)? })?;
    Ok(go_to(&back))
}

/// `POST /customers/{id}/resume`
pub fn resume_customer(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let (scope, back) = customer(asked)?;
    acts::resume(asked, &Lift::Pause(scope), &Reason { who: WHO, why: &why(asked)? })?;
    Ok(go_to(&back))
}

/// `POST /calls/{id}/resolve`
pub fn resolve(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let call_id = Some(asked.form("call_id")).filter(|id| !id.is_empty());
    let word = acts::word(asked.form("outcome"), call_id)?;
    acts::resolve(asked, asked.named(), &word, &Reason { who: WHO, why: &why(asked)? })?;
    Ok(go_to("/calls?state=in_doubt"))
}

/// `POST /customers/{id}/call`: an extra call, by the gate and the running dialer.
pub fn call(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let customer = asked.front.cx().store.read(|conn| linked(conn, asked.named()))?;
    acts::call(asked, &customer, &why(asked)?)?;
    Ok(go_to(&format!("/customers/id:{}", customer.id)))
}
