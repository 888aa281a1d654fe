//! The alarms of the page: each cause that keeps calls from being made, and how to resolve it.

use chrono::Duration;
use maud::{Markup, html};

use crate::domain::hold::HoldKind;
use crate::domain::parse_instant;
use crate::domain::role::Role;
use crate::present::output::duration;
use crate::steps::readiness::health::{self as reasons, Cause, Paused};
use crate::steps::reconcile::unlisted;
use crate::store::meta::breaker::{self, Breaker};
use crate::store::meta::pauses::Pause;
use crate::store::meta::{pauses, scan_inputs};
use crate::store::views::{self, page};
use crate::web::asked::Asked;
use crate::web::page::html::{capital, form, reason_and_button};
use crate::web::page::words::Tone;

/// One thing that a person should know.
pub struct Alarm {
    pub tone: Tone,
    pub what: String,
    /// The instruction, and the form that carries it out.
    pub help: Markup,
    /// A page with a form must not refresh itself.
    pub has_form: bool,
}

impl Alarm {
    fn new(tone: Tone, what: impl Into<String>, help: Markup) -> Alarm {
        Alarm { tone, what: what.into(), help, has_form: false }
    }
}

/// Every alarm of now: the reasons of a red health check first, then what is only worth knowing.
pub fn alarms(asked: &Asked<'_>, causes: &[Cause]) -> anyhow::Result<Vec<Alarm>> {
    let mut found: Vec<Alarm> = causes.iter().map(|cause| of_cause(asked, cause)).collect();
    found.extend(others(asked)?);
    Ok(found)
}

/// A reason, with the form that ends it, or else its next command.
fn of_cause(asked: &Asked<'_>, cause: &Cause) -> Alarm {
    let words = capital(&cause.words());
    match cause {
        Cause::Held(hold) => {
            let has_form = hold.kind != HoldKind::Clock;
            let what = format!("Dialing is held since {}: {}", shown(&hold.since), hold.why);
            let help = html! {
                @if hold.kind == HoldKind::Clock {
                    p { "It continues automatically when the clocks agree again: set this machine's clock." }
                } @else {
                    (resume_form(asked, "hold", hold.kind.as_str(), &format!("resume-{}", hold.kind)))
                }
            };
            Alarm { has_form, ..Alarm::new(Tone::Bad, what, help) }
        }
        Cause::Paused(paused) => of_pause(asked, &scope_of(paused), &words),
        Cause::BreakerOpen(breaker) => of_breaker(asked, breaker),
        Cause::Halted(why) => {
            let help = html! { p { "Due calls wait. ringonce tries again by itself." } };
            Alarm::new(Tone::Bad, format!("Nothing is dialed: {why}"), help)
        }
        Cause::NotArmed(why) => {
            let help = html! { p { "Stop ringonce, look at the file, then start it again." } };
            Alarm::new(Tone::Bad, format!("This file may not dial: {why}"), help)
        }
        Cause::InDoubt(_) => {
            let help = html! { p {
                "The phone may have rung, and the answer was lost. The provider is asked; what it \
                 cannot tell, " a href="/calls?state=in_doubt" { "a person settles" } "."
            } };
            Alarm::new(Tone::Bad, words, help)
        }
        Cause::NoFreeLine { .. } => {
            let help = html! { p {
                "Due calls wait. " a href="/calls?state=placed" { "See the calls on the lines" } "."
            } };
            Alarm::new(Tone::Bad, words, help)
        }
        Cause::BackupsFail(why) => {
            let help = html! { p {
                "Calls go on. It is tried again every ten minutes; look at the folder."
            } };
            Alarm::new(Tone::Warn, format!("Backups: {why}"), help)
        }
        Cause::CallsOverdue(overdue) => {
            let help = html! { p {
                "Look at the provider's page, then " a href="/calls?state=placed" { "close them here" }
                ". " (overdue.lines) " of " (overdue.calls) " still hold a line, each until "
                (overdue.line_minutes) " min after it was sent."
            } };
            let noun = if overdue.calls == 1 { "call has" } else { "calls have" };
            let too_long = duration(Duration::minutes(overdue.alarm_minutes));
            let what = format!("{} {noun} not ended for {too_long}", overdue.calls);
            Alarm::new(Tone::Bad, what, help)
        }
        Cause::EventsUndelivered(_) | Cause::AlertsFail(_) => {
            let help = html! { p { "Calls go on. Next: " code { (cause.next()) } "." } };
            Alarm::new(Tone::Warn, words, help)
        }
        Cause::OddRows { stops_all: false, .. } => {
            Alarm::new(Tone::Bad, words, html! { p { "All others are called." } })
        }
        _ => Alarm::new(Tone::Bad, words, html! { p { "Next: " code { (cause.next()) } "." } }),
    }
}

/// The scope as the form sends it.
fn scope_of(paused: &Paused) -> String {
    paused.kind.as_ref().map_or("all".to_string(), |kind| format!("type:{kind}"))
}

fn of_pause(asked: &Asked<'_>, scope: &str, what: &str) -> Alarm {
    let id = format!("resume-{}", scope.replace(':', "-"));
    let help = resume_form(asked, "scope", scope, &id);
    Alarm { has_form: true, ..Alarm::new(Tone::Warn, what, help) }
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
    Alarm { has_form: true, ..Alarm::new(tone, format!("{what}: {}", breaker.words()), help) }
}

/// What stops no due call: a half-open breaker, second calls, calls that no list shows, the pause of
/// one kind of call, unknown zones, a long WAL.
fn others(asked: &Asked<'_>) -> anyhow::Result<Vec<Alarm>> {
    let cx = asked.front.cx();
    let (second, unlisted, zoneless, pauses, breaker) = cx.store.read(|conn| {
        let (second, zoneless) = (page::second_calls(conn)?, scan_inputs::zoneless(conn)?);
        let unlisted = unlisted::reported(conn, asked.now)?;
        Ok((second, unlisted, zoneless, pauses::pauses(conn)?, breaker::breaker(conn)?))
    })?;
    let mut found = Vec::new();
    let half_open = breaker.filter(|breaker| breaker.is_half_open(asked.now));
    found.extend(half_open.map(|breaker| of_breaker(asked, &breaker)));
    if second > 0 {
        let help = html! { p { "Run " code { "ringonce audit" } ": it names the calls." } };
        let what = format!("{second} calls rang beside the one that was meant");
        found.push(Alarm::new(Tone::Bad, what, help));
    }
    if let Some(unlisted) = unlisted {
        let help = html! { p { "Run " code { "ringonce audit" } ": it names the customers." } };
        found.push(Alarm::new(Tone::Warn, unlisted::words(&unlisted), help));
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
    found.extend(partial_pauses(asked, &pauses));
    Ok(found)
}

/// Pauses of kinds of calls, unless they are among the reasons of a red health check already.
fn partial_pauses(asked: &Asked<'_>, pauses: &[(String, Pause)]) -> Vec<Alarm> {
    let told = reasons::paused(pauses);
    let mut found = Vec::new();
    for paused in reasons::paused_kinds(pauses) {
        if !told.contains(&Cause::Paused(paused.clone())) {
            found.push(of_pause(asked, &scope_of(&paused), &capital(&paused.words())));
        }
    }
    found
}

/// The instant of a text as people read it.
fn shown(text: &str) -> String {
    let at = parse_instant(text);
    at.map_or_else(|| text.to_string(), |at| at.format("%a %e %b %H:%M UTC").to_string())
}

/// The form that lifts one pause, hold or breaker, which `field` and `value` name.
fn resume_form(asked: &Asked<'_>, field: &str, value: &str, id: &str) -> Markup {
    if asked.role() < Role::Operator {
        return html! { p { "Somebody with the role operator lifts this." } };
    }
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
