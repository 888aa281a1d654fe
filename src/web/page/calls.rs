//! Calls: the list with its filters, and one call.

pub mod doubts;
pub mod one;
pub mod said;

use maud::html;

use crate::domain::call::{AttemptState, CallType, Disposition};
use crate::domain::customer::columns::parse_date;
use crate::domain::customer::mask_phone;
use crate::http::problem::Problem;
use crate::http::response::Response;
use crate::present::attempt;
use crate::store::views::page::{self, AttemptFilter};
use crate::web::api::calls::attempt_filter;
use crate::web::asked::Asked;
use crate::web::page::calls::doubts::{doubts, overdue};
use crate::web::page::html::{or_dash, table, time};
use crate::web::page::layout::page as framed;
use crate::web::page::lists::{
    CSV_ROWS, ROWS, attempt_state, cost, csv_file, csv_link, date_field, occasion, older, seconds,
    select, who,
};

/// The filter of the API, and the dates of the page: from the midnight before `from` to the one
/// after `to`, on the operator's clock.
fn filter(asked: &Asked<'_>) -> anyhow::Result<AttemptFilter> {
    let zone = asked.front.zone();
    let date = |name: &str| {
        let parsed = asked.query(name).map(parse_date).transpose();
        parsed.map_err(|why| Problem::field(name, format!("{name}: {why}")))
    };
    let midnight = |date: chrono::NaiveDate| zone.resolve(date.and_time(chrono::NaiveTime::MIN));
    Ok(AttemptFilter {
        from: date("from")?.map(midnight),
        to: date("to")?.and_then(|date| date.succ_opt()).map(midnight),
        ..attempt_filter(asked)?
    })
}

/// `GET /calls`
pub fn list(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let (filter, zone) = (filter(asked)?, asked.front.zone());
    let found = asked.front.cx().store.read(|conn| page::attempts(conn, &filter, ROWS))?;
    let rows = found.iter().map(|named| {
        let attempt = &named.row;
        [
            html! { a.whole href={ "/calls/" (attempt.id) } { (time(attempt.created_at, &zone)) } },
            who(&named.name, attempt.customer_id),
            occasion(attempt.call_type, &attempt.occasion),
            or_dash(attempt.phone.as_deref().map(mask_phone)),
            attempt_state(attempt),
            or_dash(attempt.duration_seconds.map(seconds)),
            or_dash(attempt.cost.map(cost)),
        ]
    });
    let header = ["When", "Who", "Occasion", "Phone", "What came of it", "Length", "Cost"];
    let body = html! {
        div.head { h1 { "Calls" } }
        form.filter method="get" {
            (date_field(asked, "from", "From"))
            (date_field(asked, "to", "To"))
            (select(asked, "state", "State", AttemptState::ALL))
            (select(asked, "disposition", "Ended as", Disposition::ALL))
            (select(asked, "type", "Kind", CallType::ALL))
            button { "Show" }
        }
        (doubts(asked, &found, &zone))
        (overdue(asked, &found, &zone))
        (table("Calls", header, rows, "No calls fit."))
        (older(asked, found.get(ROWS - 1).map(|named| named.row.seq)))
        (csv_link(asked))
    };
    Ok(framed(asked, "Calls", body))
}

/// `GET /calls.csv`
pub fn file(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let filter = filter(asked)?;
    let found = asked.front.cx().store.read(|conn| page::attempts(conn, &filter, CSV_ROWS))?;
    let rows: Vec<_> =
        found.iter().map(|named| attempt::as_json(&named.row, Some(&named.name), false)).collect();
    Ok(csv_file("calls", &attempt::COLUMNS, &rows))
}
