//! Each reason in words, with the next command.

use serde::Serialize;

use crate::domain::customer::columns::shown;
use crate::domain::{instant_words, utc_words};
use crate::steps::readiness::health::{Cause, Paused};
use crate::steps::readiness::hold_words;
use crate::store::meta::breaker::Breaker;
use crate::store::views::callable::Uncallable;

/// A reason as programs read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Told {
    pub cause: &'static str,
    /// What is the matter, and the next command, in one line.
    pub text: String,
    pub next: String,
    /// A call that falls due now would not be dialed.
    pub stops_calls: bool,
}

impl From<&Cause> for Told {
    fn from(cause: &Cause) -> Told {
        Told {
            cause: cause.as_str(),
            text: cause.line(),
            next: cause.next(),
            stops_calls: cause.stops_calls(),
        }
    }
}

impl Cause {
    /// What is the matter, without the next command.
    pub fn words(&self) -> String {
        match self {
            Cause::DatabaseUnreadable(why) => format!("the database cannot be read: {why}"),
            Cause::Stopping => "the service is stopping".to_string(),
            Cause::Halted(why) | Cause::NotArmed(why) | Cause::Unwritable(why) => why.clone(),
            Cause::StartShut { why, since } => {
                format!("nothing is dialed since {}: {why}", instant_words(since))
            }
            Cause::Held(hold) => hold_words::held(hold),
            Cause::Paused(paused) => paused.words(),
            Cause::BreakerOpen(breaker) => breaker_words(breaker),
            Cause::ProviderUnreachable(unreached) => {
                let (since, why) = (instant_words(&unreached.since), &unreached.why);
                format!("requests to the provider fail since {since}: {why}")
            }
            Cause::NoFreeLine { since, in_use, lines } => {
                let since = utc_words(*since);
                format!("no line has been free since {since}: {in_use} of {lines} are in use")
            }
            Cause::NobodyEligible(nobody) => nobody_words(nobody),
            Cause::FirstTickMissing => {
                "nothing was dialed yet: the first tick has not run".to_string()
            }
            Cause::TickLate { minutes } => format!("the last tick is {minutes} minutes old"),
            Cause::ScanLate { minutes } => format!("the last scan is {minutes} minutes old"),
            Cause::CallsOverdue(calls) => calls.to_string(),
            Cause::OddRows { told, .. } => told.clone(),
            Cause::UnknownAssistant { name, customers } => unknown_assistant(name, *customers),
            Cause::UnknownNumbers(calls) => unknown_numbers(*calls),
            Cause::InDoubt(1) => {
                "1 call is in doubt: it is not known whether the phone rang".to_string()
            }
            Cause::InDoubt(calls) => {
                format!("{calls} calls are in doubt: it is not known whether the phones rang")
            }
            Cause::BackupsFail(why) | Cause::EventsUndelivered(why) | Cause::AlertsFail(why) => {
                why.clone()
            }
        }
    }

    /// The next command.
    pub fn next(&self) -> String {
        match self {
            Cause::DatabaseUnreadable(_) | Cause::Unwritable(_) => "ringonce check".to_string(),
            Cause::Stopping | Cause::FirstTickMissing | Cause::TickLate { .. } => {
                "ringonce run".to_string()
            }
            Cause::ScanLate { .. }
            | Cause::NobodyEligible(_)
            | Cause::OddRows { .. }
            | Cause::UnknownAssistant { .. } => "ringonce check".to_string(),
            Cause::NotArmed(why) if why.contains("ringonce adopt") => {
                "ringonce adopt --reason WHY".to_string()
            }
            Cause::NotArmed(_) => "ringonce check".to_string(),
            Cause::Halted(_) | Cause::StartShut { .. } | Cause::ProviderUnreachable(_) => {
                "ringonce check --online".to_string()
            }
            Cause::Held(hold) => hold_words::lifted_by(&hold.kind),
            Cause::Paused(Paused { kind: Some(kind), .. }) => {
                format!("ringonce resume --type {kind} --reason WHY")
            }
            Cause::Paused(_) | Cause::BreakerOpen(_) => "ringonce resume --reason WHY".to_string(),
            Cause::CallsOverdue(_) | Cause::NoFreeLine { .. } => {
                "ringonce attempts list --state placed".to_string()
            }
            Cause::UnknownNumbers(_) => "ringonce history list".to_string(),
            Cause::InDoubt(_) => "ringonce attempts list --state in_doubt".to_string(),
            Cause::BackupsFail(_) => "ringonce backup FILE".to_string(),
            Cause::EventsUndelivered(_) => "ringonce events list --undelivered".to_string(),
            Cause::AlertsFail(_) => "ringonce alerts test".to_string(),
        }
    }

    /// What is the matter, and the next command.
    pub fn line(&self) -> String {
        let (words, next) = (self.words(), self.next());
        if words.contains(&next) { words } else { format!("{words}; run `{next}`") }
    }
}

impl Paused {
    /// `all calls are paused since … by Eve: busy`
    pub fn words(&self) -> String {
        let Paused { kind, pause } = self;
        let what = match kind {
            Some(kind) => format!("all {kind} calls"),
            None => "all calls".to_string(),
        };
        let since = instant_words(&pause.since);
        format!("{what} are paused since {since} by {}: {}", pause.who, pause.why)
    }
}

fn breaker_words(breaker: &Breaker) -> String {
    let (since, probe) = (instant_words(&breaker.opened_at), instant_words(&breaker.probe_at));
    format!("the breaker is open since {since}, one call is tried at {probe}: {}", breaker.words())
}

/// `2 calls on the provider's account show no readable number, …`
pub fn unknown_numbers(calls: usize) -> String {
    let (what, release) = match calls {
        1 => ("1 call on the provider's account shows no readable number".to_string(), "it"),
        many => {
            let what = format!("{many} calls on the provider's account show no readable number");
            (what, "each")
        }
    };
    format!(
        "{what} and may have been anybody's welcome call, so no welcome call is made: look with \
         `ringonce history list`, and release {release} with `ringonce history ignore CALL_ID \
         --reason WHY`"
    )
}

/// `3 customers wait for the assistant "spanish": …`
fn unknown_assistant(name: &str, customers: i64) -> String {
    let who = match customers {
        1 => "1 customer waits".to_string(),
        many => format!("{many} customers wait"),
    };
    let name = shown(name);
    format!(
        "{who} for the assistant \"{name}\": add [assistants.{name}] to ringonce.toml, or give \
         them another one"
    )
}

/// `none of 5 customers may be called: 3 have the payment status "active", 2 are paused`
fn nobody_words(nobody: &Uncallable) -> String {
    let mut why: Vec<String> = nobody
        .by_status
        .iter()
        .map(|(status, count)| format!("{count} with the payment status \"{status}\""))
        .collect();
    for (count, what) in
        [(nobody.stopped, "paused or disabled"), (nobody.bad_phone, "without a valid phone number")]
    {
        if count > 0 {
            why.push(format!("{count} {what}"));
        }
    }
    let eligible = nobody.eligible.join(", ");
    format!(
        "none of {} customers may be called: {} (customers.eligible_payment_status: {eligible})",
        nobody.customers,
        why.join(", ")
    )
}
