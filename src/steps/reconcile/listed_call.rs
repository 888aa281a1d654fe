//! Loads a call of the provider's records into the ledger, whether the file knew the call, doubted
//! it, or was too old to know it. Late facts are attached; nothing here dials.

use chrono::Duration;

use crate::domain::call::{AttemptState, CallType};
use crate::domain::disposition::disposition;
use crate::domain::hold::HoldKind;
use crate::domain::start::Asking;
use crate::domain::{Instant, instant_text};
use crate::phones;
use crate::provider::ProviderCall;
use crate::steps::do_not_call::opt_out;
use crate::steps::follow::{self, analysis};
use crate::steps::reconcile::call_tags::{begun, number_of, parse_tag};
use crate::steps::reconcile::{other_dialer, unknown_calls, whose_call};
use crate::steps::{Context, results, settle};
use crate::store::attempts::results::ResultSource;
use crate::store::attempts::unresolved::{self, KnownCall, KnownCalls};
use crate::store::attempts::{self, Attempt, history, second_calls};
use crate::store::journal::By;
use crate::store::meta::{holds, organization, sequence};
use crate::store::transaction::Moved;
use crate::store::{Tx, customers, events};

const WHO: &str = "reconcile";
/// How long the follower may try to read an ended call before the list's part of it counts.
const READ_ALONE_FOR: Duration = Duration::hours(24);

/// The result of loading one call.
#[derive(Clone, Debug, PartialEq)]
pub enum LoadedCall {
    /// The file did not know the call, and now has it.
    Adopted,
    /// A doubt was found placed.
    Settled,
    /// The call is ours and unknown, but not forgotten by this file: another dialer uses a copy of
    /// it.
    Foreign(String),
    /// A new call made elsewhere, which blocks the customers whom it may have rung.
    Elsewhere,
    /// The call adds nothing.
    Nothing,
}

/// Whether the ledger already has all facts of this call, as for most rows of a long listing.
pub fn is_old_news(
    cx: &Context,
    tx: &Tx<'_>,
    known: &KnownCalls,
    call: &ProviderCall,
) -> anyhow::Result<bool> {
    Ok(match known.of(tx, &call.id)? {
        _ if opt_out::opts_out(cx, call) => false,
        Some(KnownCall { lacks_its_end: true, .. }) => !call.is_ended(),
        Some(known) => known.state == AttemptState::Ended,
        _ => false,
    })
}

/// Loads one call of the provider's records, for a start or beside a dialer.
pub fn load(
    cx: &Context,
    tx: &Tx<'_>,
    call: &ProviderCall,
    asking: Asking,
    now: Instant,
) -> anyhow::Result<LoadedCall> {
    if let Some(known) = attempts::by_call_id(tx, &call.id)? {
        end_if_over(cx, tx, &known, call, now)?;
        return Ok(LoadedCall::Nothing);
    }
    let Some((call_type, id)) = call.tags().find_map(parse_tag) else {
        return made_elsewhere(cx, tx, call, now);
    };
    match attempts::by_id(tx, id)? {
        Some(attempt) => {
            // The opt-out counts, whatever the call proves about the attempt.
            opt_out::add_to_list(cx, tx, &attempt, call, now)?;
            attach(cx, tx, &attempt, call, now)
        }
        None if call.installation_id.as_deref() == Some(&cx.installation.id) => {
            // A call that was already noted, and not loaded, is not new evidence of another dialer.
            let is_news = !second_calls::is_noted(tx, &call.id)?;
            let foreign =
                other_dialer::why(tx, call, id, asking.dialing_since())?.filter(|_| is_news);
            let taken = add_unknown(cx, tx, call, call_type, id, now)?;
            let Some(why) = foreign else { return Ok(taken) };
            holds::hold(tx, HoldKind::Foreign, &why, now)?;
            if asking.accepts_adoption() {
                // The person stated that the other copy has stopped. Arming lifts the hold; if the
                // adoption is refused, the hold stays.
                return Ok(taken);
            }
            log::error!("dialing is held: {why}");
            Ok(LoadedCall::Foreign(why))
        }
        // The call has lost its metadata, so its owner is unknown. It counts as ours if it went to
        // a number that we call.
        None if call.installation_id.is_none() => {
            match whose_call::customer_of_number(cx, tx, call, now)? {
                Some(_) => add_unknown(cx, tx, call, call_type, id, now),
                None => made_elsewhere(cx, tx, call, now),
            }
        }
        None => made_elsewhere(cx, tx, call, now),
    }
}

fn made_elsewhere(
    cx: &Context,
    tx: &Tx<'_>,
    call: &ProviderCall,
    now: Instant,
) -> anyhow::Result<LoadedCall> {
    Ok(match unknown_calls::note(cx, tx, call, now)? {
        Moved::Yes => LoadedCall::Elsewhere,
        Moved::No => LoadedCall::Nothing,
    })
}

/// Attaches the reply of a POST whose attempt was moved by another writer.
pub fn late_reply(
    cx: &Context,
    tx: &Tx<'_>,
    attempt: &Attempt,
    call: &ProviderCall,
    now: Instant,
) -> anyhow::Result<()> {
    if attempts::by_call_id(tx, &call.id)?.is_some() {
        return Ok(());
    }
    match attempts::by_id(tx, &attempt.id)? {
        Some(attempt) => attach(cx, tx, &attempt, call, now).map(drop),
        None => Ok(()),
    }
}

/// Attaches a call with the tag of a known attempt.
fn attach(
    cx: &Context,
    tx: &Tx<'_>,
    attempt: &Attempt,
    call: &ProviderCall,
    now: Instant,
) -> anyhow::Result<LoadedCall> {
    if attempt.vapi_call_id.is_some() {
        follow::note_second_call(tx, attempt, call, now)?;
        return Ok(LoadedCall::Nothing);
    }
    // The call proves nothing about the attempt, and a person must check it.
    if !may_have_rung(cx, call, attempt) {
        let detail = format!("it has the tag of attempt {} but another number", attempt.id);
        follow::note_second_call_as(tx, attempt, call, &detail, now)?;
        return Ok(LoadedCall::Nothing);
    }
    match attempt.state {
        AttemptState::Dialing | AttemptState::InDoubt => {
            place(cx, tx, attempt, call, now)?;
            Ok(LoadedCall::Settled)
        }
        // An attempt that was given up stays ended, but an opt-out in the call counts.
        AttemptState::Placed | AttemptState::Ended => {
            if unresolved::learn_call_id(tx, &attempt.id, &call.id)? == Moved::Yes {
                reread_and_end(cx, tx, attempt, call, now)?;
            }
            Ok(LoadedCall::Settled)
        }
        AttemptState::NotPlaced => late_truth(cx, tx, attempt, call, now),
    }
}

/// Whether the call may have rung the attempt's phone. After an erasure, only the number's key is
/// left.
pub fn may_have_rung(cx: &Context, call: &ProviderCall, attempt: &Attempt) -> bool {
    let told = call.customer_number.as_deref();
    if let Some(phone) = &attempt.phone {
        return phones::may_have_rung(told, phone);
    }
    let key = phones::named(told).map(|number| cx.installation.phone_key(&number));
    attempt.phone_key.is_empty() || key.is_none_or(|key| key == attempt.phone_key)
}

fn place(
    cx: &Context,
    tx: &Tx<'_>,
    attempt: &Attempt,
    call: &ProviderCall,
    now: Instant,
) -> anyhow::Result<()> {
    if attempts::accept(tx, attempt, Some(&call.id), now, By { who: WHO, now })? == Moved::Yes {
        learn_org(tx, call)?;
        settle::complete_or_hold(cx, tx, attempt, Some(&call.id), By { who: WHO, now })?;
        reread_and_end(cx, tx, attempt, call, now)?;
    }
    Ok(())
}

/// Corrects the ledger when a doubt was resolved as not placed, but the call was placed. If another
/// attempt of the occasion may also have rung, it is reported as a second call.
fn late_truth(
    cx: &Context,
    tx: &Tx<'_>,
    attempt: &Attempt,
    call: &ProviderCall,
    now: Instant,
) -> anyhow::Result<LoadedCall> {
    let others = match attempt.customer_id {
        Some(id) => attempts::of_occasion(tx, id, attempt.call_type, &attempt.occasion)?,
        None => Vec::new(),
    };
    let rang_again =
        others.iter().any(|other| other.id != attempt.id && other.state != AttemptState::NotPlaced);
    if rang_again {
        follow::note_second_call(tx, attempt, call, now)?;
        return Ok(LoadedCall::Nothing);
    }
    if unresolved::revive(tx, attempt, &call.id, By { who: WHO, now })? == Moved::Yes {
        log::warn!("attempt {} was settled as not placed, but the provider placed it", attempt.id);
        settle::complete_or_hold(cx, tx, attempt, Some(&call.id), By { who: WHO, now })?;
        reread_and_end(cx, tx, attempt, call, now)?;
    }
    Ok(LoadedCall::Settled)
}

/// Adopts a call of this installation that the file does not know, because the file is older.
fn add_unknown(
    cx: &Context,
    tx: &Tx<'_>,
    call: &ProviderCall,
    call_type: CallType,
    id: &str,
    now: Instant,
) -> anyhow::Result<LoadedCall> {
    let (customer_id, occasion) = whose_call::whose(cx, tx, call, (call_type, id), now)?;
    let mut attempt_no = call.attempt_no.unwrap_or(1);
    if let Some(customer_id) = customer_id {
        let known = attempts::of_occasion(tx, customer_id, call_type, &occasion)?;
        if let Some(clash) = known.iter().find(|other| clashes(other, call, attempt_no)) {
            log::error!("call {} is for an occasion of attempt {} too", call.id, clash.id);
            follow::note_second_call(tx, clash, call, now)?;
            return Ok(LoadedCall::Nothing);
        }
        if known.iter().any(|other| other.attempt_no == attempt_no) {
            attempt_no = history::next_attempt_no(tx, customer_id, call_type, &occasion)?;
        }
    }
    let seq = match number_of(call) {
        Some(seq) if !unresolved::seq_is_taken(tx, seq)? => seq,
        _ => sequence::next_seq(tx)?,
    };
    sequence::raise_seq(tx, seq)?;
    let customer_key = match (&call.customer_key, customer_id) {
        (Some(key), _) => key.clone(),
        (None, Some(id)) => customers::key_of_id(tx, id)?.unwrap_or_default(),
        (None, None) => String::new(),
    };
    let attempt = Attempt {
        id: id.to_string(),
        seq,
        customer_id,
        customer_key,
        call_type,
        occasion,
        attempt_no,
        created_at: begun(call, id).unwrap_or(now),
        ..attempt_of(cx, call, whose_call::number_called(tx, call, customer_id)?, now)
    };
    let is_over = attempt.state == AttemptState::Ended;
    attempts::insert(tx, &attempt, WHO)?;
    learn_org(tx, call)?;
    settle::complete_or_hold(cx, tx, &attempt, Some(&call.id), By { who: WHO, now })?;
    opt_out::add_to_list(cx, tx, &attempt, call, now)?;
    if is_over {
        events::attempt_moved(tx, &attempt.id, (Some(attempt.state), attempt.state), now)?;
        results::keep(cx, tx, &attempt, call, ResultSource::Poll, now)?;
        analysis::expect(cx, tx, &attempt, call, now)?;
    }
    Ok(LoadedCall::Adopted)
}

/// Fills an attempt from the provider's record of its call. `number`: the number that the call
/// called, if that is known.
fn attempt_of(cx: &Context, call: &ProviderCall, number: Option<String>, now: Instant) -> Attempt {
    let is_over = call.is_ended();
    Attempt {
        // An unknown number has no key, because all unknown numbers would share it.
        phone_key: number.as_deref().map(|to| cx.installation.phone_key(to)).unwrap_or_default(),
        phone: number,
        // An ended call is not retried: its retry rule was for the earlier file.
        state: if is_over { AttemptState::Ended } else { AttemptState::Placed },
        disposition: is_over.then(|| disposition(call.ended_reason.as_deref())),
        ended_reason: call.ended_reason.clone().filter(|_| is_over),
        started_at: call.started_at,
        ended_at: call.ended_at,
        duration_seconds: call.duration_seconds(),
        cost: call.cost,
        vapi_call_id: Some(call.id.clone()),
        updated_at: now,
        next_poll_at: (!is_over).then_some(now),
        error_message: Some(format!(
            "adopted from the provider's records at {}",
            instant_text(now)
        )),
        ..Attempt::default()
    }
}

/// Whether two calls of one occasion contradict each other: the earlier attempt is not over, or
/// both have the same attempt number.
fn clashes(other: &Attempt, call: &ProviderCall, attempt_no: i64) -> bool {
    let same_number = other.attempt_no == attempt_no;
    match other.state {
        AttemptState::NotPlaced => false,
        AttemptState::Ended => same_number,
        // A later attempt was made by the lost file, after it had settled this doubt.
        AttemptState::Dialing | AttemptState::InDoubt | AttemptState::Placed => {
            same_number || !call.is_ended()
        }
    }
}

fn reread_and_end(
    cx: &Context,
    tx: &Tx<'_>,
    attempt: &Attempt,
    call: &ProviderCall,
    now: Instant,
) -> anyhow::Result<()> {
    match attempts::by_id(tx, &attempt.id)? {
        Some(attempt) => end_if_over(cx, tx, &attempt, call, now),
        None => Ok(()),
    }
}

fn end_if_over(
    cx: &Context,
    tx: &Tx<'_>,
    attempt: &Attempt,
    call: &ProviderCall,
    now: Instant,
) -> anyhow::Result<()> {
    match attempt.state {
        // The list leaves out what was said, so the follower reads the call itself. If it cannot for
        // a day, the list's own words end the call.
        AttemptState::Placed
            if is_wanted_whole(cx, call) && now - attempt.created_at < READ_ALONE_FOR =>
        {
            opt_out::add_to_list(cx, tx, attempt, call, now)?;
            attempts::poll_again(tx, &attempt.id, call.status.as_deref(), now)
        }
        AttemptState::Placed | AttemptState::Ended if call.is_ended() => {
            follow::end(cx, tx, attempt, call, now)?;
            Ok(())
        }
        // A tool is called before the end, and the provider's analysis comes after it.
        _ => opt_out::add_to_list(cx, tx, attempt, call, now),
    }
}

/// Whether the list lacks a part that is kept: a long one, or the transcript if it is stored.
fn is_wanted_whole(cx: &Context, call: &ProviderCall) -> bool {
    call.left_out || (call.is_ended() && results::keeps_transcripts(cx))
}

fn learn_org(tx: &Tx<'_>, call: &ProviderCall) -> anyhow::Result<()> {
    match (&call.org_id, organization::org_id(tx)?) {
        (Some(org_id), None) => organization::set_org_id(tx, org_id),
        _ => Ok(()),
    }
}
