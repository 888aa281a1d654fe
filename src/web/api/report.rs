//! The report over HTTP: the figures of `ringonce report`.

use chrono::{Days, NaiveDate};
use serde_json::json;

use crate::http::problem::Problem;
use crate::http::response::Response;
use crate::steps::results::report::{self, LONGEST, Report, ReportBy, ReportOf};
use crate::web::api::{only, said, word};
use crate::web::asked::Asked;

/// The days of a report without `from`.
const USUAL_DAYS: u64 = 29;

/// `GET /api/report`
pub fn report(asked: &Asked<'_>) -> anyhow::Result<Response> {
    Ok(Response::json(200, &json!(made(asked)?)))
}

/// The report that the query requests.
pub fn made(asked: &Asked<'_>) -> anyhow::Result<Report> {
    only(asked, &["from", "to", "by"])?;
    let words: Vec<&str> = ReportBy::ALL.iter().map(|by| by.as_str()).collect();
    let by = word(asked, "by", ReportBy::parse, &words)?.unwrap_or(ReportBy::Day);
    let home = asked.front.zone();
    let today = home.date(asked.now);
    let from = date(asked, "from")?;
    let to = date(asked, "to")?.unwrap_or_else(|| from.map_or(today, |from| from.max(today)));
    let from = from.unwrap_or_else(|| to.checked_sub_days(Days::new(USUAL_DAYS)).unwrap_or(to));
    if to < from {
        return Err(Problem::field("to", "to is before from: exchange them").into());
    }
    if LONGEST < (to - from).num_days() {
        let detail = format!("from and to are too far apart: at most {LONGEST} days");
        return Err(Problem::field("from", detail).into());
    }
    let cx = asked.front.cx();
    let wanted = ReportOf { from, to, by };
    cx.store.read(|conn| report::report(conn, &cx.zones, &home, wanted, asked.now))
}

fn date(asked: &Asked<'_>, name: &str) -> Result<Option<NaiveDate>, Problem> {
    let Some(text) = said(asked, name)? else { return Ok(None) };
    let read = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
    let read = read.filter(|date| date.to_string() == text);
    read.map(Some)
        .ok_or_else(|| Problem::field(name, format!("{name} must be a date such as 2026-11-22")))
}
