//! The gate's rule about calls that another database, another program or a person made on the
//! provider's account.

use crate::domain::gate::{Answer, Decision, Facts, Verdict};
use crate::domain::{Instant, utc_words};

const RULE: &str = "not called elsewhere";

/// A call that this ledger did not make, and that blocks the occasion.
#[derive(Clone, Debug, PartialEq)]
pub struct MadeElsewhere {
    /// The provider's id.
    pub call_id: String,
    pub created_at: Instant,
}

impl MadeElsewhere {
    /// For a person, with the command that releases the occasion.
    pub fn detail(&self) -> String {
        let MadeElsewhere { call_id, created_at } = self;
        let at = utc_words(*created_at);
        format!(
            "the call {call_id} of {at} was made elsewhere; if it does not count, run `ringonce \
             history ignore {call_id} --reason WHY`"
        )
    }
}

pub(super) fn answer(facts: &Facts<'_>) -> Answer {
    let (verdict, detail) = match &facts.elsewhere {
        Some(made) => (Verdict::AlreadyCalled, made.detail()),
        None => (Verdict::Open, String::new()),
    };
    Answer { rule: RULE, verdict, detail }
}

/// The call that alone ends the occasion: the ledger and the flags do not say that it was called.
pub fn alone_ends<'a>(facts: &'a Facts<'_>, decision: &Decision) -> Option<&'a MadeElsewhere> {
    let first = decision.answers.iter().find(|answer| answer.verdict == Verdict::AlreadyCalled)?;
    facts.elsewhere.as_ref().filter(|_| first.rule == RULE)
}
