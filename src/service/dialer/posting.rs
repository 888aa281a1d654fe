//! The POSTs of one pass: each on its own thread, whose reply always reaches the dialer.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender};
use std::thread::Scope;
use std::time::Duration;

use crate::clock::{self, Reading};
use crate::provider::{Accepted, PlaceError, Refusal};
use crate::service::Service;
use crate::steps::dial;
use crate::steps::dial::intent::Intent;
use crate::steps::dial::record::PostReply;
use crate::steps::readiness::armed;
use crate::steps::readiness::clock_check;
use crate::store::file::last_seq;

pub(super) type Answered = (Intent, PostReply);

/// The POSTs of one pass.
pub(super) struct Posting<'scope, 'env> {
    pub(super) scope: &'scope Scope<'scope, 'env>,
    pub(super) sender: Sender<Answered>,
    pub(super) receiver: Receiver<Answered>,
    pub(super) in_flight: usize,
    pub(super) started: Duration,
}

/// Writes the highest `seq` beside the database before the first byte of a POST. Otherwise an
/// older database at this path would pass for the newest.
pub(super) fn note_numbers(service: &Service, intents: &[Intent]) -> anyhow::Result<()> {
    let Some(attempt) = intents.iter().map(|intent| &intent.attempt).max_by_key(|made| made.seq)
    else {
        return Ok(());
    };
    let (store, id) = (&service.cx.store, &service.cx.installation.id);
    last_seq::note(store.path(), id, last_seq::Given { seq: attempt.seq, at: attempt.created_at })
}

/// Starts the thread of one POST. Without a thread no byte leaves, so the call was not placed: the
/// machine failed before a phone could ring.
pub(super) fn hand_over<'scope, 's: 'scope>(
    service: &'s Service,
    intent: Intent,
    committed: Reading,
    post: &Posting<'scope, '_>,
) {
    let (sender, unsent) = (post.sender.clone(), intent.clone());
    let started = std::thread::Builder::new()
        .name("place".to_string())
        .spawn_scoped(post.scope, move || post_one(service, intent, &committed, &sender));
    if let Err(error) = started {
        let detail = format!("no thread could be started for the call: {error}; no byte was sent");
        log::error!("attempt {}: {detail}; raise the limit of threads", unsent.attempt.id);
        let reply = Err(PlaceError::NotPlaced { refusal: Refusal::NeverSent, detail });
        // The pass still holds the receiver.
        let _ = post.sender.send((unsent, reply));
    }
}

/// Sends one POST on its own thread. The reply always reaches the dialer, which holds the receiver
/// until every thread of the pass has ended. A panic becomes a reply in doubt.
fn post_one(service: &Service, intent: Intent, committed: &Reading, sender: &Sender<Answered>) {
    let read_clock = || service.clock.read().ok();
    // An intent in a swapped file is void, because the file at the path does not have it.
    let ready = || armed::swapped(&service.cx.store).map_or_else(read_clock, |_| None);
    let place = || dial::place(service.provider.as_ref(), &intent, committed, &ready);
    let reply = catch_unwind(AssertUnwindSafe(place)).unwrap_or_else(|_| {
        let detail = "the thread that placed the call panicked".to_string();
        Err(PlaceError::InDoubt { detail, stop_dialing: true })
    });
    if let (Ok(Accepted { date: Some(date), .. }), Some(reading)) = (&reply, read_clock())
        && let Err(error) =
            clock_check::heard_date(&service.cx, &reading, *date, clock::machine_now())
    {
        log::error!("the provider's clock disagrees, but the hold cannot be written: {error:#}");
    }
    if sender.send((intent, reply)).is_err() {
        log::error!("a reply came after its pass had ended; the next start asks the provider");
    }
}
