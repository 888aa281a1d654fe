//! The service over HTTP: its state, pause and resume, and the description of this API.

use serde_json::{Value, json};

use crate::domain::call::CallType;
use crate::domain::instant_text;
use crate::phones;
use crate::steps::operate::Scope;
use crate::store::meta::{self, Mark};
use crate::store::web_views::{self, Span};
use crate::web::acts::{self, Reason};
use crate::web::api::customers::one;
use crate::web::api::{WHO, body, optional_text, reason};
use crate::web::delivery::Response;
use crate::web::health;
use crate::web::problem::Problem;
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

/// `POST /api/pause` with `reason`, and `customer`, `type` or `number`; of everything without.
pub fn pause(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let (scope, why) = scope(asked)?;
    let paused = acts::pause(asked, &scope, &Reason { who: WHO, why: &why })?;
    Ok(Response::json(200, &json!({ "paused": true, "changed": paused })))
}

/// `POST /api/resume`, with the same fields.
pub fn resume(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let (scope, why) = scope(asked)?;
    let resumed = acts::resume(asked, &scope, &Reason { who: WHO, why: &why })?;
    Ok(Response::json(200, &json!({ "changed": !resumed.is_nothing(), "lifted": resumed })))
}

fn scope(asked: &Asked<'_>) -> anyhow::Result<(Scope, String)> {
    let fields = body(asked, &["customer", "type", "number", "reason"])?;
    let why = reason(&fields)?;
    let given = [
        ("customer", optional_text(&fields, "customer")?),
        ("type", optional_text(&fields, "type")?),
        ("number", optional_text(&fields, "number")?),
    ];
    let named: Vec<(&str, &str)> =
        given.iter().filter_map(|(name, value)| value.map(|value| (*name, value))).collect();
    let scope = match named.as_slice() {
        [] => Scope::Everything,
        [("customer", who)] => {
            let store = &asked.front.cx().store;
            Scope::Customer(Box::new(store.read(|conn| one(conn, who))?))
        }
        [("type", text)] => Scope::Type(CallType::parse(text).ok_or_else(|| {
            Problem::field("type", "type must be one of welcome, daily, extra")
        })?),
        [("number", text)] => Scope::Number(phones::e164(text).ok_or_else(|| {
            Problem::field("number", "write the number with its country: +12125550101")
        })?),
        [_, (second, _), ..] => {
            let detail = "name at most one of customer, type and number";
            return Err(Problem::field(second, detail).into());
        }
        [_] => return Err(Problem::new(400, "this cannot be paused").into()),
    };
    Ok((scope, why))
}
