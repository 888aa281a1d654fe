//! The health check. It is green only if nothing stops due calls; otherwise it gives each reason
//! on one line. A failed check is a reason too.

use std::sync::PoisonError;
use std::time::Duration;

use serde_json::json;

use crate::clock;
use crate::domain::call::AttemptState;
use crate::domain::{Instant, instant_words};
use crate::http::response::Response;
use crate::service::Service;
use crate::steps::readiness::{armed, hold_words};
use crate::steps::{Context, backup};
use crate::store::attempts;
use crate::store::meta::breaker;
use crate::store::meta::marks::{self, Mark};
use crate::web::asked::Asked;
use crate::web::front::HealthAnswer;

/// How long an answer is reused, so that many requests cost no more than one.
const FRESH: Duration = Duration::from_secs(1);

/// `GET /healthz`.
pub fn healthz(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let reasons = seen(asked);
    let status = if reasons.is_empty() { 200 } else { 503 };
    let wants_json =
        asked.request.header("accept").is_some_and(|types| types.contains("application/json"));
    if wants_json {
        let word = if reasons.is_empty() { "ok" } else { "red" };
        return Ok(Response::json(status, &json!({ "status": word, "reasons": reasons })));
    }
    Ok(if reasons.is_empty() {
        Response::text(200, "ok")
    } else {
        Response::text(503, &reasons.join("\n"))
    })
}

fn seen(asked: &Asked<'_>) -> Vec<String> {
    let front = asked.front;
    // The lock is held during the check, so that concurrent requests get the same answer.
    let mut seen = front.health.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = seen.as_ref().filter(|known| clock::elapsed() < known.at + FRESH) {
        return known.reasons.clone();
    }
    let reasons = reasons(&front.service, asked.now);
    *seen = Some(HealthAnswer { at: clock::elapsed(), reasons: reasons.clone() });
    reasons
}

/// Why the service is not healthy; empty if it is. The text holds no phone number.
pub fn reasons(service: &Service, now: Instant) -> Vec<String> {
    let mut reasons: Vec<String> = service.halted().into_iter().collect();
    if service.stopping() {
        reasons.push("the service is stopping".to_string());
    }
    match from_the_file(service, now) {
        Ok(found) => reasons.extend(found),
        Err(error) => reasons.push(format!("the database cannot be read: {error:#}")),
    }
    reasons.dedup();
    reasons
}

fn from_the_file(service: &Service, now: Instant) -> anyhow::Result<Vec<String>> {
    let cx = &service.cx;
    let mut reasons: Vec<String> = armed::not_armed(cx)?.into_iter().collect();
    reasons.extend(armed::swapped(&cx.store));
    reasons.extend(hold_words::holds(cx)?);
    let (breaker, last_tick, doubts, no_backup) = cx.store.read(|conn| {
        let doubts = attempts::in_state(conn, AttemptState::InDoubt)?.len();
        let no_backup = backup::trouble(conn, &cx.timetable, now)?;
        Ok((breaker::breaker(conn)?, marks::mark(conn, Mark::LastTick)?, doubts, no_backup))
    })?;
    reasons.extend(no_backup);
    // A half-open breaker allows the next call.
    if let Some(breaker) = breaker.filter(|breaker| !breaker.is_half_open(now)) {
        let since = instant_words(&breaker.opened_at);
        reasons.push(format!("the breaker is open since {since}: {}", breaker.words()));
    }
    match last_tick {
        None => reasons.push("nothing was dialed yet: the first tick has not run".to_string()),
        Some(at) if longest_silence(cx, now) < now - at => {
            let silence = (now - at).num_minutes();
            reasons.push(format!("the last tick is {silence} minutes old"));
        }
        Some(_) => {}
    }
    match doubts {
        0 => {}
        1 => reasons.push("1 call is in doubt: see `ringonce attempts list`".to_string()),
        many => reasons.push(format!("{many} calls are in doubt: see `ringonce attempts list`")),
    }
    Ok(reasons)
}

/// Two scan periods: an older last tick means that the dialer is silent.
fn longest_silence(cx: &Context, now: Instant) -> chrono::Duration {
    cx.timetable.scan_period(now).unwrap_or_else(|| chrono::Duration::minutes(15)) * 2
}
