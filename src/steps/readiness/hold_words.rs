//! Holds in words, and the command that lifts each.

use crate::domain::hold::HoldKind;
use crate::domain::instant_words;
use crate::steps::Context;
use crate::store::meta::holds::{self, Hold};

/// Every hold in words; empty when nothing holds.
pub fn holds(cx: &Context) -> anyhow::Result<Vec<String>> {
    let holds = cx.store.read(holds::holds)?;
    Ok(holds.into_iter().map(|hold| held(&hold)).collect())
}

/// The command that lifts a hold of this kind.
pub fn lifted_by(kind: &HoldKind) -> String {
    format!("ringonce resume --hold {kind} --reason WHY")
}

/// The event that ends a hold.
pub fn what_lifts(kind: &HoldKind) -> String {
    match kind {
        HoldKind::Clock => "it lifts automatically when the clocks agree again".to_string(),
        HoldKind::Record => format!("to continue without that, run `{}`", lifted_by(kind)),
        kind => format!("when the cause is gone, run `{}`", lifted_by(kind)),
    }
}

/// One hold in words, with its cause and what ends it.
pub fn held(hold: &Hold) -> String {
    let (since, lifts) = (instant_words(&hold.since), what_lifts(&hold.kind));
    format!("held since {since} ({}): {}; {lifts}", hold.kind, hold.why)
}
