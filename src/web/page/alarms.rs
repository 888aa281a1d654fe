//! What stands in the way of calls, in plain words, each with what resolves it.

use crate::domain::Instant;
use crate::domain::call::AttemptState;
use crate::domain::parse_instant;
use crate::steps::{backup, guard};
use crate::store::meta::{self, Breaker, Mark};
use crate::store::{attempts, views, web_views};
use crate::web::page::html::{esc, form, length, reason_and_button};
use crate::web::page::mark;
use crate::web::page::words::Tone;
use crate::web::router::Asked;

/// One thing that a person should know.
pub struct Alarm {
    pub tone: Tone,
    pub what: String,
    /// Ready HTML: what to do, and the form that does it.
    pub help: String,
}

impl Alarm {
    fn new(tone: Tone, what: impl Into<String>, help: impl Into<String>) -> Alarm {
        Alarm { tone, what: what.into(), help: help.into() }
    }
}

/// Everything that stands in the way now; the worst first.
pub fn alarms(asked: &Asked<'_>) -> anyhow::Result<Vec<Alarm>> {
    let (front, cx) = (asked.front, asked.front.cx());
    let mut found = Vec::new();
    if let Some(why) = front.service.halted() {
        let help = "<p>Due calls wait. ringonce tries again by itself.</p>";
        found.push(Alarm::new(Tone::Bad, format!("Nothing is dialed: {why}"), help));
    }
    let shut = guard::not_armed(cx)?.or_else(|| guard::swapped(&cx.store));
    if let Some(why) = shut {
        let help = "<p>Stop ringonce, look at the file, then start it again.</p>";
        found.push(Alarm::new(Tone::Bad, format!("This file may not dial: {why}"), help));
    }
    let (holds, breaker, pauses, second) = cx.store.read(|conn| {
        let second = web_views::second_calls(conn)?;
        Ok((meta::holds(conn)?, meta::breaker(conn)?, meta::pauses(conn)?, second))
    })?;
    for hold in holds {
        let what = format!("Dialing is held since {}: {}", shown(&hold.since), hold.why);
        let help = match hold.kind.as_str() {
            "clock" => "<p>It goes on by itself when the clocks agree again: set this machine's \
                        clock.</p>"
                .to_string(),
            kind => resume_form(asked, ("hold", kind), &format!("resume-{kind}")),
        };
        found.push(Alarm::new(Tone::Bad, what, help));
    }
    found.extend(breaker.map(|breaker| of_breaker(asked, &breaker)));
    if 0 < second {
        let help = "<p>Run <code>ringonce audit</code>: it names the calls.</p>";
        let what = format!("{second} calls rang beside the one that was meant");
        found.push(Alarm::new(Tone::Bad, what, help));
    }
    found.extend(of_calls(asked)?);
    found.extend(pauses.iter().filter_map(|(scope, pause)| {
        let of = match scope.split_once(':') {
            None => "All calls are paused".to_string(),
            Some(("type", call_type)) => format!("All {call_type} calls are paused"),
            Some(_) => return None,
        };
        let what = format!("{of} since {} by {}: {}", shown(&pause.since), pause.who, pause.why);
        let id = format!("resume-{}", scope.replace(':', "-"));
        Some(Alarm::new(Tone::Warn, what, resume_form(asked, ("scope", scope), &id)))
    }));
    Ok(found)
}

/// Calls wait for the probe; or the probe waits for a call.
fn of_breaker(asked: &Asked<'_>, breaker: &Breaker) -> Alarm {
    let since = shown(&breaker.opened_at);
    let (tone, what, next) = match breaker.is_half_open(asked.now) {
        true => (
            Tone::Warn,
            format!("The next call is a probe. Calls were refused at {since}: {}", breaker.why),
            "It is made alone; when it goes well, the others follow.".to_string(),
        ),
        false => (
            Tone::Bad,
            format!("The provider refuses calls since {since}: {}", breaker.why),
            format!(
                "Due calls wait and none is lost to this. One call is tried at {}.",
                esc(&shown(&breaker.probe_at))
            ),
        ),
    };
    let form = resume_form(asked, ("scope", "breaker"), "resume-breaker");
    Alarm::new(tone, what, format!("<p>{next} Or, when the cause is gone:</p>{form}"))
}

/// Doubts, calls that never end, a silent dialer.
fn of_calls(asked: &Asked<'_>) -> anyhow::Result<Vec<Alarm>> {
    let cx = asked.front.cx();
    let (doubts, placed, last_tick, no_backup, zoneless) = cx.store.read(|conn| {
        let no_backup = backup::trouble(conn, &cx.config, &cx.zones, asked.now)?;
        let doubts = attempts::in_state(conn, AttemptState::InDoubt)?.len();
        let placed = attempts::in_state(conn, AttemptState::Placed)?;
        let (last_tick, zoneless) = (meta::mark(conn, Mark::LastTick)?, meta::zoneless(conn)?);
        Ok((doubts, placed, last_tick, no_backup, zoneless))
    })?;
    let mut found = Vec::new();
    if 0 < doubts {
        let calls = if doubts == 1 { "1 call is" } else { &format!("{doubts} calls are") };
        let help = "<p>The phone may have rung, and the answer was lost. The provider is asked; \
                    what it cannot tell, <a href=\"/calls?state=in_doubt\">a person settles</a>.</p>";
        found.push(Alarm::new(Tone::Bad, format!("{calls} in doubt"), help));
    }
    let too_long = chrono::Duration::minutes(cx.config.follow.alarm_minutes);
    let old = placed.iter().filter(|call| too_long < asked.now - call.created_at).count();
    if 0 < old {
        let help = "<p>Each still holds its line. <a href=\"/calls?state=placed\">See them</a>, \
                    and look at the provider's page.</p>";
        let what = format!("{old} calls have not ended for {}", length(too_long));
        found.push(Alarm::new(Tone::Warn, what, help));
    }
    if let Some(at) = last_tick.filter(|at| chrono::Duration::minutes(30) < asked.now - *at) {
        let what = format!("The dialer was last at work {} ago", length(asked.now - at));
        found.push(Alarm::new(Tone::Bad, what, "<p>Look at the log of ringonce.</p>"));
    }
    if let Some(zoneless) = zoneless {
        let help = "<p>Name a zone of the form Area/City: <code>ringonce customers update \
                    CUSTOMER --timezone ZONE</code>.</p>";
        found.push(Alarm::new(Tone::Warn, zoneless.to_string(), help));
    }
    let (_, wal_bytes) = views::sizes(&cx.store);
    if let Some(why) = views::long_log(wal_bytes) {
        let help = "<p>Calls go on. <code>fuser ringonce.db</code> names who has it open.</p>";
        found.push(Alarm::new(Tone::Warn, why, help));
    }
    if let Some(why) = no_backup {
        let help = "<p>Calls go on. It is tried again every ten minutes; look at the folder.</p>";
        found.push(Alarm::new(Tone::Warn, format!("Backups: {why}"), help));
    }
    Ok(found)
}

/// The instant of a text as people read it.
fn shown(text: &str) -> String {
    let at: Option<Instant> = parse_instant(text);
    at.map_or_else(|| text.to_string(), |at| at.format("%a %e %b %H:%M UTC").to_string())
}

/// `what`: the field that names what is lifted, and its value.
fn resume_form(asked: &Asked<'_>, what: (&str, &str), id: &str) -> String {
    let fields = format!(
        "<input type=\"hidden\" name=\"{}\" value=\"{}\">{}",
        what.0,
        esc(what.1),
        reason_and_button(&esc(id), "Resume", "main")
    );
    form("/resume", &mark(asked), &fields)
}

/// The alarms as a section; empty when there are none.
pub fn section(alarms: &[Alarm]) -> String {
    if alarms.is_empty() {
        return String::new();
    }
    let mut html = String::from("<section class=\"alarms\" aria-label=\"Alarms\">");
    for alarm in alarms {
        html.push_str(&format!(
            "<div class=\"alarm {}\"><h2>{}</h2>{}</div>",
            alarm.tone.class(),
            esc(&alarm.what),
            alarm.help
        ));
    }
    html.push_str("</section>");
    html
}
