//! How an act confirms itself: the page after a form says what was done, and offers to undo it.

use maud::{Markup, html};

use crate::domain::role::Role;
use crate::http::response::Response;
use crate::web::asked::Asked;
use crate::web::page::html::{form, in_url};

/// An act, as the address of the next page names it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Done {
    Paused,
    WasPaused,
    Resumed,
    WasNotPaused,
    Listed,
    WasListed,
    Unlisted,
    Edited,
    Unchanged,
    TakenBack,
    Queued,
    Erased,
    Cancelled,
    SettledRang,
    SettledRetry,
    SettledOver,
    Closed,
    Lifted,
    SettledAll,
}

/// Each act with its word in the address and its sentence.
const SAID: [(Done, &str, &str); 19] = [
    (Done::Paused, "paused", "Paused: no call begins until somebody resumes."),
    (Done::WasPaused, "was-paused", "This was paused already; the first reason stays."),
    (Done::Resumed, "resumed", "Resumed: calls are made again."),
    (Done::WasNotPaused, "was-not-paused", "This was not paused, so nothing changed."),
    (Done::Listed, "listed", "On the do-not-call list: this number is never called."),
    (Done::WasListed, "was-listed", "This number was on the do-not-call list already."),
    (Done::Unlisted, "unlisted", "Taken off the do-not-call list: the number may be called."),
    (Done::Edited, "edited", "The change is saved."),
    (Done::Unchanged, "unchanged", "Nothing was different, so nothing was changed."),
    (Done::TakenBack, "taken-back", "The change is taken back."),
    (
        Done::Queued,
        "queued",
        "The extra call is in the queue. The dialer makes it when its time \
     has come, if every rule allows it then.",
    ),
    (
        Done::Erased,
        "erased",
        "The customer is erased. The ledger keeps only that a number was called.",
    ),
    (Done::Cancelled, "cancelled", "The call is cancelled. The next one stays."),
    (Done::SettledRang, "rang", "Settled: the phone rang. This call is not made again."),
    (Done::SettledRetry, "retry", "Settled: it never rang. The call is tried again."),
    (Done::SettledOver, "over", "Settled: it never rang, and its time is over."),
    (Done::Closed, "closed", "Closed. The line is free, and no other call is made."),
    (Done::SettledAll, "settled", "Settled. What is still in doubt is shown below."),
    (Done::Lifted, "lifted", "Lifted. What still stops calls is shown below."),
];

/// The reason that the journal gets for an act that is taken back at once.
const TAKEN_BACK: &str = "taken back at once on the page";

impl Done {
    /// The redirect to the page that shows the result.
    pub fn go_to(self, path: &str) -> Response {
        self.with(path, &[])
    }

    /// The same with what its undo needs.
    pub fn with(self, path: &str, more: &[(&str, &str)]) -> Response {
        let word = SAID.iter().find(|(done, ..)| *done == self).map_or("", |(_, word, _)| word);
        let more: String =
            more.iter().map(|(name, value)| format!("&{name}={}", in_url(value))).collect();
        let sign = if path.contains('?') { '&' } else { '?' };
        Response::new(303).with_header("Location", &format!("{path}{sign}done={word}{more}"))
    }
}

/// What was done, on the page after it; nothing when the page was opened without an act.
pub fn message(asked: &Asked<'_>) -> Markup {
    let word = asked.query("done").unwrap_or_default();
    let Some((done, _, sentence)) = SAID.iter().find(|(_, known, _)| *known == word) else {
        return Markup::default();
    };
    html! {
        div.done role="status" {
            p { (sentence) }
            (undo(asked, *done))
        }
    }
}

fn undo(asked: &Asked<'_>, done: Done) -> Markup {
    let path = &asked.request.path;
    let scope = asked.query("scope").unwrap_or("all");
    let item = asked.query("item").filter(|id| id.chars().all(|c| c.is_ascii_digit()));
    let of_customer = path.starts_with("/customers/");
    let (action, fields) = match (done, of_customer) {
        (Done::Paused, true) => (format!("{path}/resume"), Markup::default()),
        (Done::Resumed, true) => (format!("{path}/pause"), Markup::default()),
        (Done::Listed, true) => (format!("{path}/allow"), Markup::default()),
        (Done::Unlisted, true) => (format!("{path}/do-not-call"), Markup::default()),
        (Done::Edited, true) => match asked.query("edit") {
            Some(word) => {
                let edit = html! { input type="hidden" name="edit" value=(word); };
                (format!("{path}/undo"), edit)
            }
            None => return Markup::default(),
        },
        // Only an operator resumes what concerns everybody.
        (Done::Paused, false) if asked.role() < Role::Operator => return Markup::default(),
        (Done::Paused, false) => ("/resume".to_string(), scope_field(scope)),
        (Done::Resumed, false) => ("/pause".to_string(), scope_field(scope)),
        (Done::Queued, _) => match item {
            Some(item) => {
                let back = html! { input type="hidden" name="back" value=(path); };
                (format!("/queue/{item}/cancel"), back)
            }
            None => return Markup::default(),
        },
        _ => return Markup::default(),
    };
    let fields = html! {
        input type="hidden" name="reason" value=(TAKEN_BACK);
        (fields)
        button.quiet { "Undo" }
    };
    form(asked, &action, fields)
}

fn scope_field(scope: &str) -> Markup {
    html! { input type="hidden" name="scope" value=(scope); }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_act_has_its_own_word_and_a_whole_sentence() {
        for (index, (_, word, sentence)) in SAID.iter().enumerate() {
            assert!(SAID[index + 1..].iter().all(|(_, other, _)| other != word), "{word}");
            assert!(sentence.ends_with('.'), "{sentence}");
        }
    }

    #[test]
    fn a_redirect_keeps_the_query_of_its_page() {
        let answer = Done::Queued.with("/calls?state=in_doubt", &[("item", "7")]);
        let to = answer.headers.iter().find(|(name, _)| name == "Location");
        let expected = "/calls?state=in_doubt&done=queued&item=7";
        assert_eq!(to.map(|(_, to)| to.as_str()), Some(expected));
    }
}
