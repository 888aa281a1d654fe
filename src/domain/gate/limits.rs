//! The gate's rules on the number of calls and the gaps between them, per number and per customer.

use crate::domain::call::{CallType, Reason};
use crate::domain::gate::facts::{Answer, Facts, Rules, open, wait};

pub(crate) fn daily_gap(facts: &Facts<'_>, rules: &Rules) -> Answer {
    let rule = "gap between daily calls";
    let Some(last) = facts.last_other_daily else { return open(rule) };
    let until = last + rules.min_gap_daily;
    if facts.call_type != CallType::Daily || until <= facts.now {
        return open(rule);
    }
    let detail = "another date's call was too recent".to_string();
    wait(rule, Reason::MinGap, Some(until), detail)
}

pub(crate) fn any_gap(facts: &Facts<'_>, rules: &Rules) -> Answer {
    let rule = "gap between calls";
    let whose = [("number", facts.to_number.last), ("customer", facts.to_customer.last)];
    let latest = whose.into_iter().max_by_key(|(who, last)| (*last, *who == "number"));
    let Some((who, Some(last))) = latest else { return open(rule) };
    let until = last + rules.min_gap_any;
    if until <= facts.now {
        return open(rule);
    }
    wait(rule, Reason::MinGap, Some(until), format!("this {who} was called too recently"))
}

pub(crate) fn caps(facts: &Facts<'_>, rules: &Rules) -> Answer {
    let rule = "caps";
    let spans = [(rules.calls_per_day, 1), (rules.calls_per_period, rules.period.num_days())];
    let full = [("number", facts.to_number), ("customer", facts.to_customer)]
        .into_iter()
        .flat_map(|(who, made)| [(who, made.in_day, spans[0]), (who, made.in_period, spans[1])])
        .filter(|(_, (count, _), (cap, _))| cap.is_some_and(|cap| cap <= *count))
        // Wait for the full cap that opens latest.
        .max_by_key(|(who, (_, until), _)| (*until, *who == "number"));
    let today = facts.zone.map_or(facts.now.date_naive(), |zone| zone.date(facts.now));
    if let Some((who, (count, until), (_, days))) = full {
        let calls = if count == 1 { "call" } else { "calls" };
        let span = if days == 1 { format!("on {today}") } else { format!("in {days} days") };
        return wait(rule, Reason::Cap, until, format!("{count} {calls} to this {who} {span}"));
    }
    if facts.call_type == CallType::Extra && rules.extra_calls_per_day <= facts.extra_in_day {
        let detail = format!("{} extra calls on {today}", facts.extra_in_day);
        return wait(rule, Reason::Cap, None, detail);
    }
    open(rule)
}
