//! The answer for one local date: what became of its call, and why.

use crate::domain::call::{AttemptState, ItemStatus, Reason, daily_occasion};
use crate::domain::gate::facts::Verdict;
use crate::steps::forecast::explain::Explained;
use crate::steps::forecast::explain::outcome::{Outcome, Said};
use crate::steps::forecast::past::Day;
use crate::store::attempts::Attempt;

impl Explained {
    /// The answer for the date that a person asked about; `None`: the question is about an instant.
    pub fn on_a_date(&self) -> Option<Said> {
        self.day.as_ref().filter(|_| self.is_about_a_date).map(|day| self.of_the_day(day))
    }

    /// What became of the date's daily call; without one, of its other calls. A call that is still to
    /// come is judged as of now.
    pub fn of_the_day(&self, day: &Day) -> Said {
        let said = |verdict, reason, detail| Said { verdict, reason, detail };
        let known = day.daily().or(day.items.first());
        let is_open = known.is_none_or(|past| past.item.status.is_active());
        if self.now <= self.at && is_open {
            return self.to_come(day);
        }
        if let Some(past) = known {
            let item = &past.item;
            let is_of_it = |call: &&Attempt| {
                (call.call_type, &call.occasion) == (item.call_type, &item.occasion)
                    && matches!(call.state, AttemptState::Placed | AttemptState::Ended)
            };
            let verdict = match item.status {
                _ if day.calls.iter().any(|call| is_of_it(&call)) => "called",
                ItemStatus::Completed if item.reason == Some(Reason::AlreadyCalled) => {
                    "already_called"
                }
                ItemStatus::Completed => "called",
                ItemStatus::Skipped => "skipped",
                ItemStatus::Failed => "failed",
                ItemStatus::Processing => "in_flight",
                ItemStatus::Pending | ItemStatus::Retrying => "waits",
            };
            let reason = item.reason.filter(|_| verdict != "called");
            let detail = past.detail().or_else(|| self.rule_of(&item.occasion, reason?));
            return said(verdict, reason, detail);
        }
        let occasion = daily_occasion(day.date);
        let then = self.occasions.iter().find(|told| told.occasion == occasion);
        match then.map(|told| &told.outcome) {
            Some(Outcome::Waits { reason: Some(reason), .. } | Outcome::Skipped(reason)) => {
                said("not_called", Some(*reason), self.rule_of(&occasion, *reason))
            }
            Some(Outcome::AlreadyCalled) => {
                said("already_called", Some(Reason::AlreadyCalled), None)
            }
            Some(_) => said("no_record", None, None),
            None => said("nothing_due", None, None),
        }
    }

    fn to_come(&self, day: &Day) -> Said {
        let occasion = daily_occasion(day.date);
        let Some(told) = self.occasions.iter().find(|told| told.occasion == occasion) else {
            return Said { verdict: "nothing_due", reason: None, detail: None };
        };
        let (verdict, reason) = match &told.outcome {
            Outcome::Rings => ("rings", None),
            Outcome::Waits { reason, .. } => ("waits", *reason),
            Outcome::Skipped(reason) => ("skipped", Some(*reason)),
            Outcome::AlreadyCalled => ("already_called", Some(Reason::AlreadyCalled)),
            Outcome::InFlight => ("in_flight", None),
        };
        let detail = reason.and_then(|reason| self.rule_of(&occasion, reason));
        Said { verdict, reason, detail }
    }

    /// The detail of the rule that answered with this reason.
    fn rule_of(&self, occasion: &str, reason: Reason) -> Option<String> {
        let answers = &self.occasions.iter().find(|told| told.occasion == occasion)?.answers;
        let answer = answers.iter().find(|answer| match answer.verdict {
            Verdict::Wait { reason: other, .. } | Verdict::Skip(other) => other == reason,
            Verdict::AlreadyCalled => reason == Reason::AlreadyCalled,
            Verdict::Open => false,
        })?;
        Some(answer.detail.clone()).filter(|detail| !detail.is_empty())
    }
}
