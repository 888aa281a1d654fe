//! The gate's rule about calls that another database, another program or a person made on the
//! provider's account.

use crate::domain::gate::facts::{Answer, Decision, Facts, MadeElsewhere, Verdict};

const RULE: &str = "not called elsewhere";

pub(crate) fn answer(facts: &Facts<'_>) -> Answer {
    let (verdict, detail) = match &facts.elsewhere {
        Some(made) => (Verdict::AlreadyCalled, made.detail()),
        None => (Verdict::Open, String::new()),
    };
    Answer { rule: RULE, verdict, detail }
}

/// The call made elsewhere, when it alone ends the occasion: no attempt and no flag ends it.
pub fn alone_ends<'a>(facts: &'a Facts<'_>, decision: &Decision) -> Option<&'a MadeElsewhere> {
    let first = decision.answers.iter().find(|answer| answer.verdict == Verdict::AlreadyCalled)?;
    facts.elsewhere.as_ref().filter(|_| first.rule == RULE)
}
