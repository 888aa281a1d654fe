//! The service over HTTP: its state, pause and resume, and the description of this API.

use serde_json::json;

use crate::domain::call::CallType;
use crate::phones;
use crate::steps::operate::Scope;
use crate::steps::status;
use crate::web::acts::{self, Reason};
use crate::web::api::customers::one;
use crate::web::api::{WHO, body, reason, text};
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

/// `GET /api/status`: what `ringonce status --json` prints, and whether the service is well.
pub fn status(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let cx = asked.front.cx();
    let found = status::status(&cx.store, &cx.config, &cx.zones, asked.now)?;
    let mut told = serde_json::to_value(found)?;
    let reasons = health::reasons(&asked.front.service, asked.now);
    told["healthy"] = json!(reasons.is_empty());
    told["reasons"] = json!(reasons);
    Ok(Response::json(200, &told))
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
    // A field that is there and says nothing is no "everything": the caller meant one of them.
    let mut named: Vec<(&str, &str)> = Vec::new();
    for name in ["customer", "type", "number"] {
        if fields.contains_key(name) {
            named.push((name, text(&fields, name)?));
        }
    }
    let scope =
        match named.as_slice() {
            [] => Scope::Everything,
            [("customer", who)] => {
                let store = &asked.front.cx().store;
                Scope::Customer(Box::new(store.read(|conn| one(conn, who))?))
            }
            [("type", word)] => Scope::Type(CallType::parse(word).ok_or_else(|| {
                Problem::field("type", "type must be one of welcome, daily, extra")
            })?),
            [("number", phone)] => Scope::Number(phones::e164(phone).ok_or_else(|| {
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
