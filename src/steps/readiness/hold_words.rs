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

/// The end of a hold's text: what lifts it. Empty if the stored cause already names the command,
/// as earlier versions wrote it.
pub fn what_lifts(hold: &Hold) -> String {
    let command = lifted_by(&hold.kind);
    if hold.why.contains(&command) {
        return String::new();
    }
    match hold.kind {
        HoldKind::Clock => format!(
            "; it lifts automatically when the clocks agree again; if the earlier clock was wrong, \
             run `{command}`"
        ),
        HoldKind::Record => format!("; to continue without that, run `{command}`"),
        _ => format!("; when the cause is gone, run `{command}`"),
    }
}

/// One hold in words, with its cause and what ends it.
pub fn held(hold: &Hold) -> String {
    let (since, lifts) = (instant_words(&hold.since), what_lifts(hold));
    format!("held since {since} ({}): {}{lifts}", hold.kind, hold.why)
}
