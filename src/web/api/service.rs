//! The service over HTTP: its state, pause and resume, and the description of this API.

use serde_json::{Map, Value, json};

use crate::domain::call::CallType;
use crate::http::problem::Problem;
use crate::http::response::Response;
use crate::phones;
use crate::steps::operate::Scope;
use crate::steps::readiness::health::Cause;
use crate::steps::readiness::health::words::Told;
use crate::steps::status;
use crate::web::api::customers::one;
use crate::web::api::{body, reason, text};
use crate::web::asked::Asked;
use crate::web::health;
use crate::web::operate::{self, Lift, WhoAndWhy};

/// The description of this API, OpenAPI 3.1.
const OPENAPI: &str = include_str!("openapi.json");

/// `GET /api/openapi.json`
pub fn openapi(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let base = asked.front.base.text();
    let at_base = || OPENAPI.replacen("\"url\": \"/\"", &format!("\"url\": \"{base}\""), 1);
    let text = if base.is_empty() { OPENAPI.to_string() } else { at_base() };
    Ok(Response::new(200)
        .with_header("Content-Type", "application/json; charset=utf-8")
        .with_body(text.into_bytes()))
}

/// `GET /api/status`: the output of `ringonce status --json`, and whether the service is healthy, as
/// this process knows it.
pub fn status(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let cx = asked.front.cx();
    let found = status::status(&cx.store, (&cx.config, &cx.timetable), &cx.zones, asked.now)?;
    let mut told = serde_json::to_value(found)?;
    // This process knows more about itself than the file does.
    let causes = health::causes(&asked.front.service, asked.now);
    told["healthy"] = json!(causes.is_empty());
    told["reasons"] = json!(causes.iter().map(Cause::line).collect::<Vec<_>>());
    told["causes"] = json!(causes.iter().map(Told::from).collect::<Vec<_>>());
    Ok(Response::json(200, &told))
}

/// `POST /api/pause` with `reason`, and `customer`, `type` or `number`; without these, all calls.
pub fn pause(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let fields = body(asked, &["customer", "type", "number", "reason"])?;
    let why = reason(&fields)?;
    let scope = scope(asked, named(&fields, &["customer", "type", "number"])?)?;
    let paused = operate::pause(asked, &scope, &WhoAndWhy { who: asked.who(), why: &why })?;
    Ok(Response::json(200, &json!({ "paused": true, "changed": paused })))
}

/// `POST /api/resume` with the same fields, or with `hold`, the name of the one hold to lift.
pub fn resume(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let fields = body(asked, &["customer", "type", "number", "hold", "reason"])?;
    let why = reason(&fields)?;
    let lift = match named(&fields, &["customer", "type", "number", "hold"])? {
        Some(("hold", kind)) => Lift::Hold(kind.into()),
        named => Lift::Plain(scope(asked, named)?),
    };
    let (lifted, standing) =
        operate::resume(asked, &lift, &WhoAndWhy { who: asked.who(), why: &why })?;
    let changed = !lifted.is_nothing();
    let told = json!({ "changed": changed, "lifted": lifted, "standing": standing });
    Ok(Response::json(200, &told))
}

/// The one of these fields that is present. An empty field is an error and does not mean
/// "everything", because the caller meant one of them.
fn named<'a>(
    fields: &'a Map<String, Value>,
    names: &[&'static str],
) -> anyhow::Result<Option<(&'static str, &'a str)>> {
    let mut named = Vec::new();
    for name in names.iter().filter(|name| fields.contains_key(**name)) {
        named.push((*name, text(fields, name)?));
    }
    if let [_, (second, _), ..] = named.as_slice() {
        let detail = format!("name at most one of {}", names.join(", "));
        return Err(Problem::field(second, detail).into());
    }
    Ok(named.pop())
}

fn scope(asked: &Asked<'_>, named: Option<(&str, &str)>) -> anyhow::Result<Scope> {
    Ok(match named {
        None => Scope::Everything,
        Some(("customer", who)) => {
            let store = &asked.front.cx().store;
            Scope::Customer(Box::new(store.read(|conn| one(conn, who))?))
        }
        Some(("type", word)) => {
            Scope::Type(CallType::parse(word).ok_or_else(|| {
                Problem::field("type", "type must be one of welcome, daily, extra")
            })?)
        }
        Some(("number", phone)) => Scope::Number(phones::e164(phone).ok_or_else(|| {
            Problem::field("number", "write the number with its country: +12125550101")
        })?),
        Some(_) => return Err(Problem::new(400, "this cannot be paused").into()),
    })
}
