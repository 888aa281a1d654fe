//! What happens next to one customer, as a story: the same answer as `explain`, in sentences.

use crate::domain::gate::{Answer, Verdict};
use crate::domain::zone::Zone;
use crate::steps::explain::{Explained, Explanation, Outcome, explain};
use crate::web::page::html::{away, badge, esc, time};
use crate::web::page::words::{self, Tone};
use crate::web::page::work;
use crate::web::router::Asked;

/// The story of a customer.
pub fn story(asked: &Asked<'_>, customer_id: i64) -> anyhow::Result<String> {
    let Some(explained) = explain(asked.front.cx(), customer_id, asked.now, None)? else {
        return Ok("<p class=\"nothing\">The customer is gone.</p>".to_string());
    };
    let fallback = asked.front.zone();
    let zone = explained.zone.as_ref().unwrap_or(&fallback);
    let mut html = next_call(&explained, zone);
    for explanation in &explained.occasions {
        html.push_str(&occasion(explanation, zone, asked.now));
    }
    Ok(html)
}

fn next_call(explained: &Explained, zone: &Zone) -> String {
    let rhythm = explained.rhythm.as_ref().map_or("no daily calls".to_string(), |told| esc(told));
    let next = match explained.next_call_at {
        Some(at) => format!(
            "The phone rings <b>{}</b>, {}.",
            if at <= explained.at { "now".to_string() } else { away(at, explained.at) },
            time(at, zone)
        ),
        None => "No call is coming.".to_string(),
    };
    let place = explained.place.as_ref();
    let place = place.map_or(String::new(), |told| format!("<p>Beware: {}.</p>", esc(told)));
    format!("<p class=\"lead\">{next} <span class=\"dim\">Rhythm: {rhythm}.</span></p>{place}")
}

fn occasion(told: &Explanation, zone: &Zone, now: crate::domain::Instant) -> String {
    let (tone, word, sentence) = match told.outcome {
        Outcome::Rings => (Tone::Good, "rings", "The phone rings.".to_string()),
        Outcome::Waits { reason: None, until } => {
            let at = until.unwrap_or(told.scheduled_for);
            let sentence = match &told.tried {
                None => format!("Its instant comes {}.", away(at, now)),
                Some(tried) => format!(
                    "Attempt {} of it comes {}, {}, because the last one ended as {}.",
                    tried.attempts + 1,
                    away(at, now),
                    time(at, zone),
                    esc(&tried.last.replace('_', " "))
                ),
            };
            (Tone::Calm, "waits", sentence)
        }
        Outcome::Waits { reason: Some(reason), until } => {
            let again = until.map_or("until something changes".to_string(), |until| {
                format!("and is looked at again {}", time(until, zone))
            });
            (Tone::Warn, "waits", format!("It waits: {}; {again}.", esc(words::reason(reason))))
        }
        Outcome::Skipped(reason) => (
            Tone::Dim,
            "skipped",
            format!("It ends without a call: {}.", esc(words::reason(reason))),
        ),
        Outcome::AlreadyCalled => {
            (Tone::Good, "called", "A phone rang for it, or may have: never again.".to_string())
        }
        Outcome::InFlight => (Tone::Calm, "under way", "A call of it is under way.".to_string()),
    };
    let rules: Vec<String> = told.answers.iter().map(|answer| rule(answer, zone)).collect();
    let open = if told.outcome == Outcome::Rings { "" } else { " open" };
    format!(
        "<article class=\"story\"><h3>{} · due {} {}</h3><p>{sentence}</p><details{open}>\
         <summary>Every rule and its answer</summary><ul class=\"rules\">{}</ul></details>\
         </article>",
        work::occasion(told.call_type, &told.occasion),
        time(told.scheduled_for, zone),
        badge(tone, word),
        rules.concat()
    )
}

fn rule(answer: &Answer, zone: &Zone) -> String {
    let (class, sign, what) = match &answer.verdict {
        Verdict::Open => ("good", "yes", String::new()),
        Verdict::Wait { reason, until } => {
            let until =
                until.map_or(String::new(), |until| format!(", until {}", time(until, zone)));
            ("warn", "not now", format!("{}{until}", esc(words::reason(*reason))))
        }
        Verdict::Skip(reason) => ("bad", "no", esc(words::reason(*reason))),
        Verdict::AlreadyCalled => {
            ("good", "called", "a phone rang for it, or may have".to_string())
        }
    };
    let detail = match answer.detail.is_empty() {
        true => String::new(),
        false => format!(" <span class=\"why\">{}</span>", esc(&answer.detail)),
    };
    format!(
        "<li class=\"{class}\"><span class=\"sign\">{sign}</span> <b>{}</b> {what}{detail}</li>",
        esc(answer.rule)
    )
}
