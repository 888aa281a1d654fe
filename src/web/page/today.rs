//! The first page: what needs a person, today at a glance, the next and the latest calls, and one
//! chart. It refreshes itself while no form stands on it, so that nothing typed is ever lost.

use chrono::{Days, NaiveDate, NaiveTime, Timelike};
use maud::{Markup, display, html};

use crate::domain::calendar::zone::Zone;
use crate::domain::call::Reason;
use crate::domain::{Instant, instant_text};
use crate::http::response::Response;
use crate::present::output::relative;
use crate::steps::Context;
use crate::steps::readiness::health::standstill;
use crate::steps::status::figures::{self, Figures};
use crate::store::views::Count;
use crate::store::views::page::{self, AttemptFilter, Minute, Span};
use crate::web::asked::Asked;
use crate::web::health;
use crate::web::page::alarms::{self, Alarm};
use crate::web::page::chart::{self, Stack, unit};
use crate::web::page::html::{form, reason_and_button, section};
use crate::web::page::layout::page as framed;
use crate::web::page::lists;
use crate::web::page::words::{self, Tone};

/// Days of the longer chart, today included.
const DAYS: u64 = 14;
/// Rows of the short lists.
const SHORT: usize = 8;
/// The page loads itself again after this many seconds, without what the last act said.
const REFRESH: [&str; 2] = ["60; url=/", "60; url=/?chart=days"];

/// `GET /`
pub fn page(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let (cx, zone) = (asked.front.cx(), asked.front.zone());
    let today = zone.date(asked.now);
    let first = today.checked_sub_days(Days::new(DAYS - 1)).unwrap_or(today);
    let fortnight = Span { from: midnight(&zone, first), to: midnight(&zone, next(today)) };
    let (figures, minutes, items, attempts) = cx.store.read(|conn| {
        Ok((
            figures::figures(conn, (&cx.config, &cx.timetable), (&cx.rules, &cx.zones), asked.now)?,
            page::minutes(conn, fortnight)?,
            page::next_items(conn, SHORT)?,
            page::attempts(conn, &AttemptFilter::default(), SHORT)?,
        ))
    })?;
    let causes = health::causes(&asked.front.service, asked.now);
    let alarms = alarms::alarms(asked, &causes)?;
    let is_of_days = asked.query("chart") == Some("days");
    let is_pausing = asked.query("act") == Some("pause");
    let has_forms = is_pausing || alarms.iter().any(|alarm| alarm.has_form);
    let refreshes = !has_forms && asked.query("refresh") != Some("off");
    let next_call = match (standstill(&causes), figures.next_call_at) {
        (Some(word), _) => word.to_string(),
        (None, Some(at)) if at <= asked.now => "now".to_string(),
        (None, Some(at)) => relative(at, asked.now),
        (None, None) => "none planned".to_string(),
    };
    let body = html! {
        (heading(asked, &zone, today, (&alarms, refreshes)))
        (alarms::section(&alarms))
        @if is_pausing { (pause_form(asked)) }
        (tiles(&figures, &next_call))
        div.pair {
            (section("Next in the queue", html! {
                (lists::short_items(&items, &zone, asked.now))
                p { a href="/queue" { "All of the queue" } }
            }))
            (section("Latest calls", html! {
                (lists::short_attempts(&attempts, &zone))
                p { a href="/calls" { "All calls" } }
            }))
        }
        (charts(asked, &zone, first, &minutes))
        div.pair { (lines(cx, &figures)) (skipped(&figures)) }
        @if !is_pausing && asked.front.read_only.is_none() { p { a.button.danger href="/?act=pause" { "Pause calls…" } } }
    };
    let answer = framed(asked, "Today", body);
    Ok(if refreshes {
        answer.with_header("Refresh", REFRESH[usize::from(is_of_days)])
    } else {
        answer
    })
}

fn next(date: NaiveDate) -> NaiveDate {
    date.succ_opt().unwrap_or(date)
}

fn midnight(zone: &Zone, date: NaiveDate) -> Instant {
    zone.resolve(date.and_time(NaiveTime::MIN))
}

fn heading(
    asked: &Asked<'_>,
    zone: &Zone,
    today: NaiveDate,
    (alarms, refreshes): (&[Alarm], bool),
) -> Markup {
    let (tone, word) = match alarms.iter().any(|alarm| alarm.tone == Tone::Bad) {
        true => (Tone::Bad, "Needs a person"),
        false if !alarms.is_empty() => (Tone::Warn, "Look here"),
        false => (Tone::Good, "All well"),
    };
    html! {
        div.head {
            div {
                h1 { "Today" }
                p.hint {
                    (display(today.format("%A, %e %B %Y"))) " · last refreshed "
                    time datetime=(instant_text(asked.now)) {
                        (display(zone.local(asked.now).format("%H:%M:%S"))) " " (zone.name)
                    }
                    @if refreshes {
                        ", every minute · " a href="/" { "Refresh" }
                        " · " a href="/?refresh=off" { "Stop refreshing" }
                    } @else if asked.query("refresh") == Some("off") {
                        " · " a href="/" { "Refresh every minute" }
                    } @else { ", not by itself while a form is open · " a href="/" { "Refresh" } }
                }
            }
            p.state.(tone) { span.dot {} (word) }
            a.button href="/customers?find=1" { "Find a customer" }
        }
    }
}

fn tiles(figures: &Figures, next_call: &str) -> Markup {
    let today = &figures.today;
    let class = |is_bad: bool| if is_bad { "bad" } else { "" };
    let in_doubt = figures.in_doubt;
    let tiles = [
        ("Waiting", figures.waiting().to_string(), "/queue?status=pending", ""),
        ("Due now", figures.due.to_string(), "/queue?status=pending", ""),
        ("Called today", today.called.to_string(), "/calls", ""),
        ("Reached today", today.reached.to_string(), "/calls?disposition=answered", "good"),
        ("Failed today", today.failed.to_string(), "/queue?status=failed", class(today.failed > 0)),
        ("Skipped today", figures.skipped().to_string(), "/queue?status=skipped", ""),
        ("In doubt", in_doubt.to_string(), "/calls?state=in_doubt", class(in_doubt > 0)),
        ("Next call", next_call.to_string(), "/queue", "words"),
    ];
    html! {
        ul.tiles aria-label="Today at a glance" {
            @for (name, value, link, class) in tiles {
                li.tile.(class) { a href=(link) { span.name { (name) } span.value { (value) } } }
            }
        }
    }
}

/// Lines in use and the cap. The picture has one cell for each line, at most 40.
fn lines(cx: &Context, figures: &Figures) -> Markup {
    let in_use = i64::try_from(figures.lines_in_use).unwrap_or(i64::MAX);
    let pace = i64::try_from(cx.config.dialing.calls_per_minute).unwrap_or(i64::MAX);
    let cap = i64::try_from(cx.config.dialing.max_active_calls).unwrap_or(i64::MAX);
    let shown = cap.clamp(1, 40);
    let filled = (in_use * shown + cap - 1) / cap.max(1);
    let width = 400.0 / shown as f64;
    let label = format!("{in_use} of {cap} lines are in use");
    let content = html! {
        p.big { (in_use) " " small { "of " (cap) " in use" } }
        svg.lines viewBox="0 0 400 18" role="img" aria-label=(label) {
            @for line in 0..shown {
                @let class = if line < filled { "used" } else { "free" };
                rect.(class) x=(unit(line as f64 * width)) y="0" width=(unit(width - 4.0))
                    height="18" rx="4" {}
            }
        }
        @if pace < figures.due {
            p.hint { (figures.due) " calls are due. At most " (pace) " calls begin in a minute." }
        }
    };
    section("Lines", content)
}

fn skipped(figures: &Figures) -> Markup {
    let text = |word: &str| {
        let known = Reason::parse(word).map(words::reason);
        known.map_or_else(|| word.to_string(), str::to_string)
    };
    let content = html! {
        @if figures.today.skipped.is_empty() { p.nothing { "Nobody was skipped." } }
        @else {
            ul.reasons {
                @for Count { word, count } in &figures.today.skipped {
                    li {
                        a href={ "/queue?status=skipped&reason=" (word) } { (text(word)) }
                        b { (count) }
                    }
                }
            }
        }
    };
    section("Skipped today, and why", content)
}

/// The chart of today's hours, or that of the last days.
fn charts(asked: &Asked<'_>, zone: &Zone, first: NaiveDate, minutes: &[Minute]) -> Markup {
    let is_of_days = asked.query("chart") == Some("days");
    let (title, bars, every, now) = if is_of_days {
        let (bars, now) = days(zone, first, minutes);
        ("Calls of the last 14 days", bars, 1, now)
    } else {
        let (bars, now) = hours(zone, asked, minutes);
        ("Calls of today by hour", bars, 3, Some(now))
    };
    let is_empty = bars.iter().all(|(_, stack)| stack.iter().all(|calls| *calls == 0));
    let content = html! {
        p.switch {
            a href="/" aria-current=[(!is_of_days).then_some("true")] { "Today" }
            a href="/?chart=days" aria-current=[is_of_days.then_some("true")] { "14 days" }
        }
        @if !is_empty { (chart::chart(title, &bars, every, now)) }
        @else if is_of_days { p.nothing { "No calls in the last 14 days." } }
        @else { p.nothing { "No calls yet today." } }
    };
    section(title, content)
}

type Bars = Vec<(String, Stack)>;

fn hours(zone: &Zone, asked: &Asked<'_>, minutes: &[Minute]) -> (Bars, usize) {
    let mut bars: Bars = (0..24).map(|hour| (format!("{hour:02}:00"), Stack::default())).collect();
    let today = zone.date(asked.now);
    for minute in minutes {
        let local = zone.local(minute.at);
        if local.date() == today
            && let Some((_, stack)) = bars.get_mut(local.hour() as usize)
        {
            chart::add(stack, minute);
        }
    }
    (bars, zone.local(asked.now).hour() as usize)
}

fn days(zone: &Zone, first: NaiveDate, minutes: &[Minute]) -> (Bars, Option<usize>) {
    let dates: Vec<NaiveDate> = first.iter_days().take(DAYS as usize).collect();
    let mut bars: Bars =
        dates.iter().map(|date| (date.format("%a %e").to_string(), Stack::default())).collect();
    for minute in minutes {
        let date = zone.date(minute.at);
        if let Some(index) = dates.iter().position(|known| *known == date) {
            chart::add(&mut bars[index].1, minute);
        }
    }
    let today = bars.len().checked_sub(1);
    (bars, today)
}

fn pause_form(asked: &Asked<'_>) -> Markup {
    let scopes = [
        ("all", "All calls"),
        ("type:daily", "Daily calls"),
        ("type:welcome", "Welcome calls"),
        ("type:extra", "Extra calls"),
    ];
    let fields = html! {
        label.field for="scope" {
            span { "What" }
            select #scope name="scope" {
                @for (scope, words) in scopes { option value=(scope) { (words) } }
            }
        }
        (reason_and_button("pause-reason", "Pause", "danger"))
    };
    let content = html! {
        p.hint {
            "Calls that are on the line go on. What falls due meanwhile waits, and is skipped \
             when its time is over."
        }
        (form(asked, "/pause", fields))
    };
    section("Pause", content)
}
