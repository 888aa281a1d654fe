//! The service over HTTP: its state, and the description of this API.

use serde_json::{Value, json};

use crate::domain::instant_text;
use crate::store::meta::{self, Mark};
use crate::store::web_views::{self, Span};
use crate::web::delivery::Response;
use crate::web::health;
use crate::web::router::Asked;

/// The description of this API, OpenAPI 3.1.
const OPENAPI: &str = include_str!("openapi.json");

/// `GET /api/openapi.json`
pub fn openapi(_: &Asked<'_>) -> anyhow::Result<Response> {
    Ok(Response::new(200)
        .with_header("Content-Type", "application/json; charset=utf-8")
        .with_body(OPENAPI.as_bytes().to_vec()))
}

/// `GET /api/status`
pub fn status(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let (cx, now) = (asked.front.cx(), asked.now);
    let zone = asked.front.zone();
    let midnight = |date: chrono::NaiveDate| zone.resolve(date.and_time(chrono::NaiveTime::MIN));
    let today = zone.date(now);
    let span = Span {
        from: midnight(today),
        to: midnight(today.succ_opt().unwrap_or(today)),
    };
    let status = cx.store.read(|conn| {
        let glance = web_views::glance(conn, span, now)?;
        let skipped: Value =
            glance.skipped.iter().map(|(word, count)| (word.clone(), json!(count))).collect();
        let mark = |mark| anyhow::Ok(meta::mark(conn, mark)?.map(instant_text));
        let pauses: Vec<Value> = meta::pauses(conn)?
            .into_iter()
            .map(|(scope, pause)| {
                json!({"scope": scope, "who": pause.who, "why": pause.why, "since": pause.since})
            })
            .collect();
        Ok(json!({
            "now": instant_text(now),
            "due": glance.due,
            "waiting": glance.waiting,
            "in_doubt": glance.in_doubt,
            "lines_in_use": glance.lines_in_use,
            "max_active_calls": cx.config.dialing.max_active_calls,
            "next_item_at": glance.next_at.map(instant_text),
            "today": {"called": glance.called, "reached": glance.reached, "skipped": skipped},
            "customers": glance.customers,
            "holds": meta::holds(conn)?,
            "breaker": meta::breaker(conn)?,
            "pauses": pauses,
            "last_tick_at": mark(Mark::LastTick)?,
            "last_scan_at": mark(Mark::LastScan)?,
            "last_reconciled_at": mark(Mark::LastReconciled)?,
        }))
    })?;
    let mut status = status;
    let reasons = health::reasons(&asked.front.service, now);
    status["healthy"] = json!(reasons.is_empty());
    status["reasons"] = json!(reasons);
    Ok(Response::json(200, &status))
}
