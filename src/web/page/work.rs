//! Lists: the queue, the calls with their doubts, the do-not-call list, the journal.

use crate::cli::output;
use crate::domain::call::{AttemptState, CallType, Disposition, ItemStatus, Reason};
use crate::domain::customer::mask_phone;
use crate::domain::zone::Zone;
use crate::domain::{Instant, parse_instant};
use crate::store::attempts::Attempt;
use crate::store::queue::Item;
use crate::store::web_views::{self, Named};
use crate::store::{do_not_call, journal};
use crate::web::api::calls::{attempt_filter, item_filter};
use crate::web::delivery::Response;
use crate::web::page::html::{badge, esc, form, in_url, reason_and_button, select, table, time};
use crate::web::page::{mark, page, words};
use crate::web::router::Asked;

/// Rows of one page.
const ROWS: usize = 100;

/// Who an item or an attempt is for, as a link.
fn who(name: &str, customer_id: Option<i64>) -> String {
    match customer_id {
        Some(id) if name.is_empty() => format!("<a href=\"/customers/id:{id}\">customer {id}</a>"),
        Some(id) => format!("<a href=\"/customers/id:{id}\">{}</a>", esc(name)),
        None => "<span class=\"dim\">unknown here</span>".to_string(),
    }
}

/// The word for a kind of call and its occasion.
pub fn occasion(call_type: CallType, occasion: &str) -> String {
    match call_type {
        CallType::Daily => format!("<span class=\"whole\">daily, {}</span>", esc(occasion)),
        CallType::Welcome => "welcome".to_string(),
        CallType::Extra => "extra".to_string(),
    }
}

/// When an item is looked at next; for one that was due before, when it fell due first.
pub fn due(item: &Item, zone: &Zone) -> String {
    let at = if item.status.is_active() { item.due_at() } else { item.scheduled_for };
    if at == item.scheduled_for {
        return time(at, zone);
    }
    let first = time(item.scheduled_for, zone);
    format!("{} <span class=\"why\">first due {first}</span>", time(at, zone))
}

/// Where an item stands, why, and when it is looked at again; what is told of it beside.
pub fn item_state(item: &Item, now: Instant) -> String {
    let (tone, word) = words::item(item.status);
    let mut why: Vec<String> = Vec::new();
    why.extend(item.reason.map(|reason| words::reason(reason).to_string()));
    let waits = matches!(item.status, ItemStatus::Pending | ItemStatus::Retrying);
    match (waits, now < item.due_at()) {
        (true, true) => why.push(output::relative(item.due_at(), now)),
        (true, false) if item.reason.is_none() => why.push("due now".to_string()),
        _ => {}
    }
    why.extend(item.error_message.clone());
    match why.is_empty() {
        true => badge(tone, word),
        false => {
            format!("{} <span class=\"why\">{}</span>", badge(tone, word), esc(&why.join("; ")))
        }
    }
}

/// What an attempt came to, with the provider's word behind it.
pub fn attempt_state(attempt: &Attempt) -> String {
    let (tone, word) = words::attempt(attempt.state, attempt.disposition);
    match attempt.ended_reason.as_ref().or(attempt.error_message.as_ref()) {
        Some(why) => format!("{} <span class=\"why\">{}</span>", badge(tone, word), esc(why)),
        None => badge(tone, word),
    }
}

/// A few items for the first page.
pub fn short_items(items: &[Named<Item>], zone: &Zone, now: Instant) -> String {
    let rows: Vec<Vec<String>> = items
        .iter()
        .map(|named| {
            let item = &named.row;
            let at = if item.status.is_active() { item.due_at() } else { item.scheduled_for };
            vec![who(&named.name, Some(item.customer_id)), time(at, zone), item_state(item, now)]
        })
        .collect();
    table("Next in the queue", &["Who", "When", "State"], &rows, "Nobody waits.")
}

/// A few calls for the first page.
pub fn short_attempts(attempts: &[Named<Attempt>], zone: &Zone) -> String {
    let rows: Vec<Vec<String>> = attempts
        .iter()
        .map(|named| {
            let attempt = &named.row;
            let name = who(&named.name, attempt.customer_id);
            vec![name, time(attempt.created_at, zone), attempt_state(attempt)]
        })
        .collect();
    table("Latest calls", &["Who", "When", "What came of it"], &rows, "No calls yet.")
}

/// `GET /queue`
pub fn queue(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let (filter, zone) = (item_filter(asked)?, asked.front.zone());
    let found = asked.front.cx().store.read(|conn| web_views::items(conn, &filter, ROWS))?;
    let rows: Vec<Vec<String>> = found
        .iter()
        .map(|named| {
            let item = &named.row;
            vec![
                item.id.to_string(),
                who(&named.name, Some(item.customer_id)),
                occasion(item.call_type, &item.occasion),
                due(item, &zone),
                item_state(item, asked.now),
                format!("{} of {}", item.attempts, item.max_attempts),
            ]
        })
        .collect();
    let header = ["Item", "Who", "Occasion", "Due", "State", "Attempts"];
    let body = format!(
        "<div class=\"head\"><h1>Queue</h1></div><form class=\"filter\" method=\"get\">{}{}{}\
         <button>Show</button></form>{}{}",
        select_of("status", "State", ItemStatus::ALL, asked),
        select_of("type", "Kind", CallType::ALL, asked),
        select_of("reason", "Reason", Reason::ALL, asked),
        table("Queue", &header, &rows, "Nothing in the queue fits."),
        older(asked, "/queue", found.last().filter(|_| found.len() == ROWS).map(|n| n.row.id)),
    );
    Ok(page(asked, "Queue", &body))
}

/// A choice out of one of our closed lists, as the query has it.
fn select_of<T: std::fmt::Display>(
    name: &str,
    label: &str,
    all: &[T],
    asked: &Asked<'_>,
) -> String {
    let words: Vec<String> = all.iter().map(T::to_string).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    select(name, label, "all", &words, asked.query(name))
}

/// The link to the rows before these, with the same filter.
fn older(asked: &Asked<'_>, path: &str, before: Option<i64>) -> String {
    let Some(before) = before else { return String::new() };
    let mut query: Vec<String> = asked
        .request
        .query
        .iter()
        .filter(|(name, value)| name != "before" && !value.is_empty())
        .map(|(name, value)| format!("{}={}", in_url(name), in_url(value)))
        .collect();
    query.push(format!("before={before}"));
    format!("<p><a href=\"{path}?{}\">Older ones</a></p>", esc(&query.join("&")))
}

/// `GET /calls`
pub fn calls(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let (filter, zone) = (attempt_filter(asked)?, asked.front.zone());
    let found = asked.front.cx().store.read(|conn| web_views::attempts(conn, &filter, ROWS))?;
    let rows: Vec<Vec<String>> = found
        .iter()
        .map(|named| {
            let attempt = &named.row;
            vec![
                time(attempt.created_at, &zone),
                who(&named.name, attempt.customer_id),
                occasion(attempt.call_type, &attempt.occasion),
                attempt.phone.as_deref().map_or("–".to_string(), |phone| esc(&mask_phone(phone))),
                attempt_state(attempt),
                seconds(attempt.duration_seconds),
                attempt.cost.map_or("–".to_string(), |cost| format!("${cost:.3}")),
            ]
        })
        .collect();
    let header = ["When", "Who", "Occasion", "Phone", "What came of it", "Length", "Cost"];
    let body = format!(
        "<div class=\"head\"><h1>Calls</h1></div><form class=\"filter\" method=\"get\">{}{}{}\
         <button>Show</button></form>{}{}{}",
        select_of("state", "State", AttemptState::ALL, asked),
        select_of("disposition", "Ended as", Disposition::ALL, asked),
        select_of("type", "Kind", CallType::ALL, asked),
        doubts(asked, &found, &zone),
        table("Calls", &header, &rows, "No calls fit."),
        older(asked, "/calls", found.last().filter(|_| found.len() == ROWS).map(|n| n.row.seq)),
    );
    Ok(page(asked, "Calls", &body))
}

/// `1 min 20 s`
pub fn seconds(length: Option<f64>) -> String {
    // Rounded first, else 119.7 seconds were 1 min 60 s.
    match length.map(f64::round) {
        None => "–".to_string(),
        Some(length) if length < 60.0 => format!("{length:.0} s"),
        Some(length) => format!("{:.0} min {:.0} s", (length / 60.0).floor(), length % 60.0),
    }
}

/// Each doubt among the shown calls, with the form that settles it.
fn doubts(asked: &Asked<'_>, found: &[Named<Attempt>], zone: &Zone) -> String {
    let mut html = String::new();
    for named in found.iter().filter(|named| named.row.state == AttemptState::InDoubt) {
        html.push_str(&doubt(asked, named, zone));
    }
    html
}

/// One doubt: what is known, and how a person settles it.
pub fn doubt(asked: &Asked<'_>, named: &Named<Attempt>, zone: &Zone) -> String {
    let attempt = &named.row;
    let id = esc(&attempt.id);
    let fields = format!(
        "<fieldset><legend>What happened?</legend><label><input type=\"radio\" name=\"outcome\" \
         value=\"placed\" required> The phone rang</label><label><input type=\"radio\" \
         name=\"outcome\" value=\"not_placed\"> It never rang</label></fieldset><label \
         class=\"field\" for=\"call-{id}\"><span>Provider's call id, if it is known</span><input \
         id=\"call-{id}\" name=\"call_id\" autocomplete=\"off\" maxlength=\"100\"></label>{}",
        reason_and_button(&format!("why-{id}"), "Settle", "main")
    );
    format!(
        "<section class=\"alarm bad\"><h2>In doubt: {}, {}</h2><p>The call was sent {} and the \
         answer was lost: {}. Absent from {} complete listings so far. Search the provider's page \
         for <code>{}</code>; “it never rang” lets the call be made again.</p>{}</section>",
        who(&named.name, attempt.customer_id),
        occasion(attempt.call_type, &attempt.occasion),
        time(attempt.created_at, zone),
        esc(attempt.error_message.as_deref().unwrap_or("nothing is known")),
        attempt.clean_reads,
        esc(&attempt.tag()),
        form(&format!("/calls/{id}/resolve"), &mark(asked), &fields)
    )
}

/// `GET /do-not-call`
pub fn numbers(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let zone = asked.front.zone();
    let store = &asked.front.cx().store;
    let found = store.read(|conn| do_not_call::all(conn, store.path()))?;
    let rows: Vec<Vec<String>> = found
        .iter()
        .rev()
        .take(1000)
        .map(|entry| {
            vec![
                esc(&mask_phone(&entry.phone)),
                esc(&entry.reason),
                esc(&entry.source),
                time(entry.created_at, &zone),
            ]
        })
        .collect();
    let phone = "<label class=\"field\" for=\"phone\"><span>Phone</span><input id=\"phone\" \
                 name=\"phone\" type=\"tel\" required autocomplete=\"off\" \
                 placeholder=\"+1 212 555 0101\"></label>";
    let add = format!("{phone}{}", reason_and_button("why", "Never call it", "danger"));
    let body = format!(
        "<div class=\"head\"><h1>Do not call</h1></div><p class=\"hint\">{}. None of them \
         is called, whoever they belong to; the list outlives a restored backup. A number that its \
         country renumbered is listed once and protected in its old and new forms. To take one off: \
         <code>ringonce dnc remove PHONE --reason WHY</code>.</p>{}{}",
        if found.len() == 1 { "1 number".to_string() } else { format!("{} numbers", found.len()) },
        form("/do-not-call", &mark(asked), &add),
        table("Do not call", &["Phone", "Reason", "Added by", "When"], &rows, "The list is empty."),
    );
    Ok(page(asked, "Do not call", &body))
}

/// `GET /journal`
pub fn journal(asked: &Asked<'_>) -> anyhow::Result<Response> {
    let zone = asked.front.zone();
    let subject = asked.query("subject");
    let lines = asked.front.cx().store.read(|conn| journal::newest(conn, subject, 200))?;
    let body = format!(
        "<div class=\"head\"><h1>Journal</h1></div><p class=\"hint\">Who did what to what, and \
         why; the newest first. Nothing here can be changed.</p><form class=\"filter\" \
         method=\"get\"><label class=\"field\"><span>Subject</span><input name=\"subject\" \
         value=\"{}\" placeholder=\"customer:1\"></label><button>Show</button></form>{}",
        esc(subject.unwrap_or_default()),
        journal_table(&lines, &zone)
    );
    Ok(page(asked, "Journal", &body))
}

/// Lines of the journal.
pub fn journal_table(lines: &[journal::Line], zone: &Zone) -> String {
    let text = |value: &Option<String>| match value.as_deref() {
        None => "–".to_string(),
        Some(text) => parse_instant(text).map_or_else(|| esc(text), |at| time(at, zone)),
    };
    let rows: Vec<Vec<String>> = lines
        .iter()
        .map(|line| {
            let at = parse_instant(&line.at);
            let subject = format!(
                "<a href=\"/journal?subject={}\">{}</a>",
                in_url(&line.subject),
                esc(&line.subject)
            );
            vec![
                at.map_or_else(|| esc(&line.at), |at| time(at, zone)),
                esc(&line.who),
                esc(&line.what),
                subject,
                format!("{} → {}", text(&line.old), text(&line.new)),
                text(&line.why),
            ]
        })
        .collect();
    let header = ["When", "Who", "What", "Subject", "Change", "Why"];
    table("Journal", &header, &rows, "The journal is empty.")
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn no_length_has_sixty_seconds_beside_its_minutes() {
        for (length, expected) in [
            (None, "–"),
            (Some(59.4), "59 s"),
            (Some(59.7), "1 min 0 s"),
            (Some(119.7), "2 min 0 s"),
            (Some(80.2), "1 min 20 s"),
        ] {
            assert_eq!(seconds(length), expected, "{length:?}");
        }
    }
}
