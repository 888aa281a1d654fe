//! The first page: today at a glance, what stands in the way, and the calls of today and of the
//! last two weeks.

use chrono::{Days, NaiveDate, NaiveTime, Timelike};

use crate::domain::call::Reason;
use crate::domain::zone::Zone;
use crate::steps::Context;
use crate::store::web_views::{self, AttemptFilter, Glance, Minute, Span};
use crate::store::{Conn, meta};
use crate::web::delivery::Response;
use crate::web::page::alarms::{self, Alarm};
use crate::web::page::chart::{self, Stack};
use crate::web::page::html::{away, clock, esc, form, reason_and_button};
use crate::web::page::words::{self, Tone};
use crate::web::page::{mark, page as framed, work};
use crate::web::router::Asked;

/// Days of the longer chart, today included.
const DAYS: u64 = 14;
/// Rows of the short lists.
const SHORT: usize = 8;

/// `GET /`
pub fn page(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let (cx, zone) = (asked.front.cx(), asked.front.zone());
    let today = zone.date(asked.now);
    let first = today.checked_sub_days(Days::new(DAYS - 1)).unwrap_or(today);
    let day = Span { from: midnight(&zone, today), to: midnight(&zone, next(today)) };
    let fortnight = Span { from: midnight(&zone, first), to: day.to };
    let (glance, minutes, next_daily, items, attempts, stopped) = cx.store.read(|conn| {
        let mut next_daily = None;
        for status in &cx.config.customers.eligible_payment_status {
            let at = web_views::next_daily(conn, status, asked.now)?;
            next_daily = next_daily.into_iter().chain(at).min();
        }
        Ok((
            web_views::glance(conn, day, asked.now)?,
            web_views::minutes(conn, fortnight)?,
            next_daily,
            web_views::next_items(conn, SHORT)?,
            web_views::attempts(conn, &AttemptFilter::default(), SHORT)?,
            stopped(conn)?,
        ))
    })?;
    let alarms = alarms::alarms(asked)?;
    let next_call = glance.next_at.into_iter().chain(next_daily).min();
    let in_words = match (stopped, next_call) {
        (Some(word), _) => word.to_string(),
        (None, Some(at)) if at <= asked.now => "now".to_string(),
        (None, Some(at)) => away(at, asked.now),
        (None, None) => "none planned".to_string(),
    };
    let body = format!(
        "{}{}{}<div class=\"pair\">{}{}</div>{}{}<div class=\"pair\"><section><h2>Next in the \
         queue</h2>{}<p><a href=\"/queue\">All of the queue</a></p></section><section><h2>Latest \
         calls</h2>{}<p><a href=\"/calls\">All calls</a></p></section></div>{}",
        heading(asked, &zone, today, &alarms),
        alarms::section(&alarms),
        tiles(&glance, &in_words),
        lines(cx, glance.lines_in_use),
        skipped(&glance),
        today_chart(&zone, asked, today, &minutes),
        fortnight_chart(&zone, first, &minutes),
        work::short_items(&items, &zone, asked.now),
        work::short_attempts(&attempts, &zone),
        pause_form(asked),
    );
    Ok(framed(asked, "Today", &body))
}

/// What stops every call, in one word.
fn stopped(conn: &Conn) -> anyhow::Result<Option<&'static str>> {
    if meta::pauses(conn)?.iter().any(|(scope, _)| scope == "all") {
        return Ok(Some("paused"));
    }
    let is_held = !meta::holds(conn)?.is_empty() || meta::breaker(conn)?.is_some();
    Ok(is_held.then_some("held"))
}

fn next(date: NaiveDate) -> NaiveDate {
    date.succ_opt().unwrap_or(date)
}

fn midnight(zone: &Zone, date: NaiveDate) -> crate::domain::Instant {
    zone.resolve(date.and_time(NaiveTime::MIN))
}

fn heading(asked: &Asked<'_>, zone: &Zone, today: NaiveDate, alarms: &[Alarm]) -> String {
    let worst = alarms.iter().map(|alarm| alarm.tone).find(|tone| *tone == Tone::Bad);
    let (tone, word) = match (worst, alarms.is_empty()) {
        (Some(_), _) => (Tone::Bad, "Needs a person"),
        (None, false) => (Tone::Warn, "Look here"),
        (None, true) => (Tone::Good, "All well"),
    };
    format!(
        "<div class=\"head\"><div><h1>Today</h1><p class=\"hint\">{} · as of {} {} · <a \
         href=\"/\">Refresh</a></p></div><p class=\"state {}\"><span class=\"dot\"></span>{word}\
         </p><form class=\"find\" method=\"get\" action=\"/customers\" role=\"search\"><label \
         class=\"field\"><span class=\"unseen\">Find a customer</span><input type=\"search\" \
         name=\"q\" placeholder=\"Name, e-mail, phone or id\"></label><button>Find</button></form>\
         </div>",
        today.format("%A, %e %B %Y"),
        clock(asked.now, zone),
        esc(&zone.name),
        tone.class(),
    )
}

fn tiles(glance: &Glance, next_call: &str) -> String {
    let skipped: i64 = glance.skipped.iter().map(|(_, count)| count).sum();
    let doubt_class = if 0 < glance.in_doubt { "bad" } else { "" };
    let tiles = [
        ("Due now", glance.due.to_string(), "/queue?status=pending", ""),
        ("Waiting", glance.waiting.to_string(), "/queue?status=pending", ""),
        ("Called today", glance.called.to_string(), "/calls", ""),
        ("Reached today", glance.reached.to_string(), "/calls?disposition=answered", "good"),
        ("Skipped today", skipped.to_string(), "/queue?status=skipped", ""),
        ("In doubt", glance.in_doubt.to_string(), "/calls?state=in_doubt", doubt_class),
        ("Next call", next_call.to_string(), "/queue", "wide"),
    ];
    let mut html = String::from("<ul class=\"tiles\" aria-label=\"Today at a glance\">");
    for (name, value, link, class) in tiles {
        html.push_str(&format!(
            "<li class=\"tile {class}\"><a href=\"{link}\"><span class=\"name\">{name}</span>\
             <span class=\"value\">{value}</span></a></li>"
        ));
    }
    html.push_str("</ul>");
    html
}

/// Lines in use against the cap, as one cell a line.
fn lines(cx: &Context, in_use: i64) -> String {
    let cap = i64::try_from(cx.config.dialing.max_active_calls).unwrap_or(i64::MAX);
    let shown = cap.clamp(1, 40);
    let filled = (in_use * shown + cap - 1) / cap.max(1);
    let width = 400.0 / shown as f64;
    let mut cells = String::new();
    for line in 0..shown {
        let class = if line < filled { "used" } else { "free" };
        cells.push_str(&format!(
            "<rect class=\"{class}\" x=\"{:.1}\" y=\"0\" width=\"{:.1}\" height=\"18\" rx=\"4\"/>",
            line as f64 * width,
            width - 4.0
        ));
    }
    format!(
        "<section><h2>Lines</h2><p class=\"big\">{in_use} <small>of {cap} in use</small></p><svg \
         class=\"lines\" viewBox=\"0 0 400 18\" role=\"img\" aria-label=\"{in_use} of {cap} lines \
         are in use\">{cells}</svg><p class=\"hint\">At most {} calls begin in a minute.</p>\
         </section>",
        cx.config.dialing.calls_per_minute
    )
}

fn skipped(glance: &Glance) -> String {
    let mut html = String::from("<section><h2>Skipped today, and why</h2>");
    if glance.skipped.is_empty() {
        html.push_str("<p class=\"nothing\">Nobody was skipped.</p></section>");
        return html;
    }
    html.push_str("<ul class=\"reasons\">");
    for (word, count) in &glance.skipped {
        let text = Reason::parse(word).map_or(word.as_str(), |reason| words::reason(reason));
        html.push_str(&format!(
            "<li><a href=\"/queue?status=skipped&amp;reason={}\">{}</a><b>{count}</b></li>",
            esc(word),
            esc(text)
        ));
    }
    html.push_str("</ul></section>");
    html
}

fn today_chart(zone: &Zone, asked: &Asked<'_>, today: NaiveDate, minutes: &[Minute]) -> String {
    let mut bars: Vec<(String, Stack)> =
        (0..24).map(|hour| (format!("{hour:02}:00"), Stack::default())).collect();
    for minute in minutes {
        let local = zone.local(minute.at);
        if local.date() == today
            && let Some((_, stack)) = bars.get_mut(local.hour() as usize)
        {
            chart::add(stack, minute);
        }
    }
    let now = zone.local(asked.now).hour() as usize;
    let picture = chart::chart("Calls of today by hour", &bars, 3, Some(now));
    format!("<section><h2>Calls today by hour</h2>{picture}</section>")
}

fn fortnight_chart(zone: &Zone, first: NaiveDate, minutes: &[Minute]) -> String {
    let dates: Vec<NaiveDate> = first.iter_days().take(DAYS as usize).collect();
    let mut bars: Vec<(String, Stack)> =
        dates.iter().map(|date| (date.format("%a %e").to_string(), Stack::default())).collect();
    for minute in minutes {
        let date = zone.date(minute.at);
        if let Some(index) = dates.iter().position(|known| *known == date) {
            chart::add(&mut bars[index].1, minute);
        }
    }
    let picture = chart::chart("Calls of the last 14 days", &bars, 1, bars.len().checked_sub(1));
    format!("<section><h2>Last 14 days</h2>{picture}</section>")
}

fn pause_form(asked: &Asked<'_>) -> String {
    let fields = format!(
        "<label class=\"field\" for=\"scope\"><span>What</span><select id=\"scope\" \
         name=\"scope\"><option value=\"all\">All calls</option><option value=\"type:daily\">Daily \
         calls</option><option value=\"type:welcome\">Welcome calls</option><option \
         value=\"type:extra\">Extra calls</option></select></label>{}",
        reason_and_button("pause-reason", "Pause", "danger")
    );
    format!(
        "<section><h2>Pause</h2><p class=\"hint\">Calls that are on the line go on. What falls due \
         meanwhile waits, and is skipped when its time is over.</p>{}</section>",
        form("/pause", &mark(asked), &fields)
    )
}
