//! The acts behind the forms of the pages. Each does one thing, requires a reason, and leads back to a page
//! that shows the result.

pub mod customer;

use crate::domain::call::CallType;
use crate::http::problem::Problem;
use crate::http::response::Response;
use crate::steps::operate::{Resolved, Scope};
use crate::web::api::{numbers, one_line};
use crate::web::asked::Asked;
use crate::web::operate::{self, Lift, WhoAndWhy};
use crate::web::page::done::Done;

/// The reason that the form gives.
pub fn why(asked: &Asked<'_>) -> Result<String, Problem> {
    one_line("reason", asked.form("reason"))
}

/// `POST /do-not-call`
pub fn never_call_number(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let is_new = numbers::never_call(asked, asked.form("phone"), &why(asked)?, asked.who())?;
    Ok(if is_new { Done::Listed } else { Done::WasListed }.go_to("/do-not-call"))
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
    let by = WhoAndWhy { who: asked.who(), why: &why(asked)? };
    let is_new = operate::pause(asked, &scope(asked)?, &by)?;
    let done = if is_new { Done::Paused } else { Done::WasPaused };
    Ok(done.with("/", &[("scope", asked.form("scope"))]))
}

/// `POST /resume`: each button lifts only the pause or hold next to it.
pub fn resume(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let lift = match (asked.form("hold"), asked.form("scope")) {
        ("", "breaker") => Lift::Breaker,
        ("", _) => Lift::Pause(scope(asked)?),
        (hold, _) => Lift::Hold(hold.into()),
    };
    let by = WhoAndWhy { who: asked.who(), why: &why(asked)? };
    let (resumed, _) = operate::resume(asked, &lift, &by)?;
    Ok(match (resumed.is_nothing(), lift) {
        (true, _) => Done::WasNotPaused.go_to("/"),
        (false, Lift::Pause(_)) => Done::Resumed.with("/", &[("scope", asked.form("scope"))]),
        (false, _) => Done::Lifted.go_to("/"),
    })
}

/// `POST /calls/{id}/resolve`
pub fn resolve(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let call_id = Some(asked.form("call_id")).filter(|id| !id.is_empty());
    let word = operate::word(asked.form("outcome"), call_id)?;
    let by = WhoAndWhy { who: asked.who(), why: &why(asked)? };
    let done = match operate::resolve(asked, asked.named(), &word, &by)? {
        Resolved::Placed => Done::SettledRang,
        Resolved::Retrying => Done::SettledRetry,
        Resolved::Closed => Done::SettledOver,
    };
    Ok(done.go_to("/calls?state=in_doubt"))
}

/// `POST /calls/{id}/close`
pub fn close(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let by = WhoAndWhy { who: asked.who(), why: &why(asked)? };
    operate::close(asked, asked.named(), &by)?;
    Ok(Done::Closed.go_to("/calls?state=placed"))
}

/// `POST /queue/{id}/cancel`: leads back to the customer if the form stood on their page.
pub fn cancel(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let unknown = || Problem::not_found(format!("there is no item {}", asked.named()));
    let id = asked.named().parse().map_err(|_| unknown())?;
    let by = WhoAndWhy { who: asked.who(), why: &why(asked)? };
    let item = operate::cancel(asked, id, &by)?;
    Ok(match asked.form("back") {
        "" => Done::Cancelled.go_to("/queue"),
        _ => Done::Cancelled.go_to(&format!("/customers/id:{}", item.customer_id)),
    })
}

/// `POST /doubts/settle`: settles each doubt that the form names, by the same act as one alone. A
/// doubt that somebody settled in the meantime stays as it is.
pub fn settle_all(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let by = WhoAndWhy { who: asked.who(), why: &why(asked)? };
    let word = operate::word(asked.form("outcome"), None)?;
    for id in asked.every("id") {
        let settled = operate::resolve(asked, id, &word, &by);
        match settled.map_err(|error| error.downcast::<Problem>()) {
            Ok(_) | Err(Ok(Problem { status: 409, .. })) => {}
            Err(Ok(problem)) => return Err(problem.into()),
            Err(Err(error)) => return Err(error),
        }
    }
    Ok(Done::SettledAll.go_to("/calls?state=in_doubt"))
}
