//! Decides which unknown calls of ours another dialer placed with a copy of this file. A file that
//! is older than its calls finds unknown calls too; those are loaded, and dialing continues.

use crate::domain::Instant;
use crate::provider::ProviderCall;
use crate::steps::reconcile::call_tags::{begun, number_of};
use crate::store::Tx;
use crate::store::attempts::unresolved;
use crate::store::meta::installation;

/// Why an unknown call of ours is another dialer's. Either it began when only we should have
/// dialed, or another attempt has its number, or its file was armed after this one.
pub fn why(
    tx: &Tx<'_>,
    call: &ProviderCall,
    id: &str,
    dialing_since: Option<Instant>,
) -> anyhow::Result<Option<String>> {
    let begun = begun(call, id);
    let since = |since: Instant| begun.is_some_and(|at| since < at);
    let has_our_number = match number_of(call) {
        Some(seq) => unresolved::seq_is_taken(tx, seq)?,
        None => false,
    };
    let ours = installation::armed_at(tx)?;
    let by_another_file = call.armed_at.is_some_and(|theirs| match theirs < ours {
        // Before it was adopted here, the file may have dialed at its earlier place.
        true => since(ours),
        false => ours < theirs,
    });
    let is_foreign = dialing_since.is_some_and(since) || has_our_number || by_another_file;
    Ok(is_foreign.then(|| {
        format!(
            "the call {} was placed by another dialer with a copy of this database; stop one of \
             them",
            call.id
        )
    }))
}
