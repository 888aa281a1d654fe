//! Whether this database is older than the one that dialed here last. The number file beside the
//! database shows that; the provider's list may not show the calls since then yet.

use std::collections::BTreeSet;

use crate::domain::start::Missed;
use crate::provider::ProviderCall;
use crate::steps::Context;
use crate::steps::reconcile::call_tags;
use crate::steps::reconcile::listing::ListAnswer;
use crate::store::file::last_seq;
use crate::store::{Conn, attempts};

/// The numbers that were assigned to calls here and that this database does not know.
pub fn missed(cx: &Context, conn: &Conn) -> anyhow::Result<Option<Missed>> {
    last_seq::beyond(conn, cx.store.path(), &cx.installation.id)
}

/// How many calls of a listing may be ours and are not in the ledger. Unreadable rows count.
pub fn unknown_calls(cx: &Context, answer: &ListAnswer) -> anyhow::Result<i64> {
    let ours = |call: &&ProviderCall| {
        call.installation_id.as_ref().is_none_or(|id| *id == cx.installation.id)
    };
    let calls = answer.listing.calls.iter().filter(ours);
    let named: BTreeSet<&str> =
        calls.filter_map(|call| call_tags::attempts_named(call).next()).collect();
    cx.store.read(|conn| {
        let mut unknown = answer.unread.len() as i64;
        for id in named {
            unknown += i64::from(attempts::by_id(conn, id)?.is_none());
        }
        Ok(unknown)
    })
}
