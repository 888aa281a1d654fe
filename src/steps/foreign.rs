//! foreign: which unknown calls of ours another dialer has placed, with a copy of this file. A file
//! that is behind the world has them too: those it takes in, and goes on.

use crate::domain::Instant;
use crate::provider::ProviderCall;
use crate::steps::adopt::{begun, number_of};
use crate::store::{Tx, doubts, meta};

/// Why an unknown call of ours is another dialer's, and not one that this file forgot: only we should
/// have dialed by then, or it has a number that we gave to another attempt, or its file was armed
/// after this one.
pub fn why(
    tx: &Tx<'_>,
    call: &ProviderCall,
    id: &str,
    dialing_since: Option<Instant>,
) -> anyhow::Result<Option<String>> {
    let begun = begun(call, id);
    let since = |since: Instant| begun.is_some_and(|at| since < at);
    let has_our_number = match number_of(call) {
        Some(seq) => doubts::seq_is_taken(tx, seq)?,
        None => false,
    };
    let ours = meta::armed_at(tx)?;
    let by_another_file = call.armed_at.is_some_and(|theirs| match theirs < ours {
        // Before it was adopted here, the file may have dialed where it was.
        true => since(ours),
        false => ours < theirs,
    });
    let is_foreign = dialing_since.is_some_and(since) || has_our_number || by_another_file;
    Ok(is_foreign.then(|| {
        format!(
            "the call {} was placed by another dialer with a copy of this database; stop one of \
             them, then run `ringonce resume --hold foreign --reason WHY` where dialing shall go on",
            call.id
        )
    }))
}
