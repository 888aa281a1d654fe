//! The alarms of the page: each cause that keeps calls from being made, and how to resolve it.

use chrono::Duration;
use maud::{Markup, html};

use crate::domain::call::AttemptState;
use crate::domain::hold::HoldKind;
use crate::domain::parse_instant;
use crate::present::output::duration;
use crate::steps::backup;
use crate::steps::readiness::armed;
use crate::store::attempts;
use crate::store::meta::breaker::{self, Breaker};
use crate::store::meta::marks::{self, Mark};
use crate::store::meta::{holds, pauses, scan_inputs};
use crate::store::views::{self, page};
use crate::web::asked::Asked;
use crate::web::page::html::{form, reason_and_button};
use crate::web::page::words::Tone;

/// Minutes without a tick after which the dialer counts as silent.
const SILENT_MINUTES: i64 = 30;

/// One thing that a person should know.
pub struct Alarm {
    pub tone: Tone,
    pub what: String,
    /// The instruction, and the form that carries it out.
    pub help: Markup,
}

impl Alarm {
    fn new(tone: Tone, what: impl Into<String>, help: Markup) -> Alarm {
        Alarm { tone, what: what.into(), help }
    }
}

/// Every alarm of now: first what stops all calls, then doubts and warnings, then pauses.
pub fn alarms(asked: &Asked<'_>) -> anyhow::Result<Vec<Alarm>> {
    let (front, cx) = (asked.front, asked.front.cx());
    let mut found = Vec::new();
    if let Some(why) = front.service.halted() {
        let help = html! { p { "Due calls wait. ringonce tries again by itself." } };
        found.push(Alarm::new(Tone::Bad, format!("Nothing is dialed: {why}"), help));
    }
    if let Some(why) = armed::not_armed(cx)?.or_else(|| armed::swapped(&cx.store)) {
        let help = html! { p { "Stop ringonce, look at the file, then start it again." } };
        found.push(Alarm::new(Tone::Bad, format!("This file may not dial: {why}"), help));
    }
    let (holds, breaker, pauses, second) = cx.store.read(|conn| {
        let second = page::second_calls(conn)?;
        Ok((holds::holds(conn)?, breaker::breaker(conn)?, pauses::pauses(conn)?, second))
    })?;
    for hold in holds {
        let what = format!("Dialing is held since {}: {}", shown(&hold.since), hold.why);
        let help = html! {
            @if hold.kind == HoldKind::Clock {
                p { "It continues automatically when the clocks agree again: set this machine's clock." }
            } @else {
                (resume_form(asked, "hold", hold.kind.as_str(), &format!("resume-{}", hold.kind)))
            }
        };
        found.push(Alarm::new(Tone::Bad, what, help));
    }
    found.extend(breaker.map(|breaker| of_breaker(asked, &breaker)));
    if second > 0 {
        let help = html! { p { "Run " code { "ringonce audit" } ": it names the calls." } };
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
        Some(Alarm::new(Tone::Warn, what, resume_form(asked, "scope", scope, &id)))
    }));
    Ok(found)
}

/// The breaker is half open when the next call is its probe. Before that, all calls wait.
fn of_breaker(asked: &Asked<'_>, breaker: &Breaker) -> Alarm {
    let since = shown(&breaker.opened_at);
    let is_half_open = breaker.is_half_open(asked.now);
    let (tone, what) = if is_half_open {
        let what = format!("The next call is a probe. Calls were refused at {since}");
        (Tone::Warn, what)
    } else {
        (Tone::Bad, format!("The provider refuses calls since {since}"))
    };
    let help = html! {
        p {
            @if is_half_open { "It is made alone; when it goes well, the others follow." }
            @else {
                "Due calls wait and none is lost to this. One call is tried at "
                (shown(&breaker.probe_at)) "."
            }
            " Or, when the cause is gone:"
        }
        (resume_form(asked, "scope", "breaker", "resume-breaker"))
    };
    Alarm::new(tone, format!("{what}: {}", breaker.words()), help)
}

/// Doubts, calls that do not end, a silent dialer, unknown zones, a long WAL, missing backups.
fn of_calls(asked: &Asked<'_>) -> anyhow::Result<Vec<Alarm>> {
    let cx = asked.front.cx();
    let (doubts, placed, last_tick, no_backup, zoneless) = cx.store.read(|conn| {
        let no_backup = backup::trouble(conn, &cx.timetable, asked.now)?;
        let doubts = attempts::in_state(conn, AttemptState::InDoubt)?.len();
        let placed = attempts::in_state(conn, AttemptState::Placed)?;
        let (last_tick, zoneless) =
            (marks::mark(conn, Mark::LastTick)?, scan_inputs::zoneless(conn)?);
        Ok((doubts, placed, last_tick, no_backup, zoneless))
    })?;
    let mut found = Vec::new();
    if doubts > 0 {
        let calls = if doubts == 1 { "1 call is" } else { &format!("{doubts} calls are") };
        let help = html! { p {
            "The phone may have rung, and the answer was lost. The provider is asked; what it \
             cannot tell, " a href="/calls?state=in_doubt" { "a person settles" } "."
        } };
        found.push(Alarm::new(Tone::Bad, format!("{calls} in doubt"), help));
    }
    let too_long = Duration::minutes(cx.config.follow.alarm_minutes);
    let old = placed.iter().filter(|call| asked.now - call.created_at > too_long).count();
    if old > 0 {
        let help = html! { p {
            "Each still holds its line. " a href="/calls?state=placed" { "See them" }
            ", and look at the provider's page."
        } };
        let what = format!("{old} calls have not ended for {}", duration(too_long));
        found.push(Alarm::new(Tone::Warn, what, help));
    }
    let silent = last_tick.map(|at| asked.now - at);
    if let Some(silent) = silent.filter(|silent| *silent > Duration::minutes(SILENT_MINUTES)) {
        let what = format!("The dialer was last at work {} ago", duration(silent));
        found.push(Alarm::new(Tone::Bad, what, html! { p { "Look at the log of ringonce." } }));
    }
    if let Some(zoneless) = zoneless {
        let help = html! { p {
            "Name a zone of the form Area/City: "
            code { "ringonce customers update CUSTOMER --timezone ZONE" } "."
        } };
        found.push(Alarm::new(Tone::Warn, zoneless.to_string(), help));
    }
    let (_, wal_bytes) = views::sizes(&cx.store);
    if let Some(why) = views::long_log(wal_bytes) {
        let help = html! { p {
            "Calls go on. " code { "fuser ringonce.db" } " names who has it open."
        } };
        found.push(Alarm::new(Tone::Warn, why, help));
    }
    if let Some(why) = no_backup {
        let help = html! { p {
            "Calls go on. It is tried again every ten minutes; look at the folder."
        } };
        found.push(Alarm::new(Tone::Warn, format!("Backups: {why}"), help));
    }
    Ok(found)
}

/// The instant of a text as people read it.
fn shown(text: &str) -> String {
    let at = parse_instant(text);
    at.map_or_else(|| text.to_string(), |at| at.format("%a %e %b %H:%M UTC").to_string())
}

/// The form that lifts one pause, hold or breaker, which `field` and `value` name.
fn resume_form(asked: &Asked<'_>, field: &str, value: &str, id: &str) -> Markup {
    let fields = html! {
        input type="hidden" name=(field) value=(value);
        (reason_and_button(id, "Resume", "main"))
    };
    form(asked, "/resume", fields)
}

/// The alarms as a section; empty when there are none.
pub fn section(alarms: &[Alarm]) -> Markup {
    html! {
        @if !alarms.is_empty() {
            section.alarms aria-label="Alarms" {
                @for alarm in alarms {
                    div.alarm.(alarm.tone) { h2 { (alarm.what) } (alarm.help) }
                }
            }
        }
    }
}
