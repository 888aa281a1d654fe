//! The health check. It is green only if a call that falls due now would be dialed, no call is in
//! doubt, backups are made, and events and alerts go out. Otherwise it gives each reason on one line.
//! A failed check is a reason too.

use std::sync::PoisonError;
use std::time::Duration;

use serde_json::json;

use crate::clock;
use crate::domain::Instant;
use crate::http::response::Response;
use crate::service::Service;
use crate::steps::readiness::health::Cause;
use crate::steps::readiness::health::evidence::causes_of;
use crate::steps::readiness::health::words::Told;
use crate::web::asked::Asked;
use crate::web::front::HealthAnswer;

/// How long an answer is reused, so that many requests cost no more than one.
const FRESH: Duration = Duration::from_secs(1);

/// `GET /healthz`.
pub fn healthz(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let causes = seen(asked);
    let status = if causes.is_empty() { 200 } else { 503 };
    let reasons: Vec<String> = causes.iter().map(Cause::line).collect();
    let wants_json =
        asked.request.header("accept").is_some_and(|types| types.contains("application/json"));
    if wants_json {
        let word = if causes.is_empty() { "ok" } else { "red" };
        let mut told = json!({ "status": word, "reasons": reasons });
        if !causes.is_empty() {
            told["causes"] = json!(causes.iter().map(Told::from).collect::<Vec<_>>());
        }
        return Ok(Response::json(status, &told));
    }
    Ok(if causes.is_empty() {
        Response::text(200, "ok")
    } else {
        Response::text(503, &reasons.join("\n"))
    })
}

fn seen(asked: &Asked<'_>) -> Vec<Cause> {
    let front = asked.front;
    // The lock is held during the check, so that concurrent requests get the same answer.
    let mut seen = front.health.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = seen.as_ref().filter(|known| clock::elapsed() < known.at + FRESH) {
        return known.causes.clone();
    }
    let causes = causes(&front.service, asked.now);
    *seen = Some(HealthAnswer { at: clock::elapsed(), causes: causes.clone() });
    causes
}

/// Why the service is not healthy; empty if it is. The text holds no phone number.
pub fn causes(service: &Service, now: Instant) -> Vec<Cause> {
    let mut of_the_process: Vec<Cause> = service.halted().into_iter().map(Cause::Halted).collect();
    if service.stopping() {
        of_the_process.push(Cause::Stopping);
    }
    let cx = &service.cx;
    causes_of(&cx.store, (&cx.config, &cx.timetable), of_the_process.clone(), now).unwrap_or_else(
        |error| {
            of_the_process.push(Cause::DatabaseUnreadable(format!("{error:#}")));
            of_the_process
        },
    )
}
