//! adopt: what the provider's records tell of a call becomes part of the ledger, whether the file
//! knew the call, doubted it, or was behind the world. Late truth attaches; it never dials.

use crate::domain::call::{AttemptState, CallType};
use crate::domain::disposition::disposition;
use crate::domain::{Instant, instant_text};
use crate::provider::ProviderCall;
use crate::steps::{Context, follow, opt_out, settle};
use crate::store::attempts::{self, Attempt};
use crate::store::queue::Moved;
use crate::store::{Tx, meta};

const WHO: &str = "reconcile";

/// What taking in one call came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Taken {
    /// The file did not know it; now it does.
    Adopted,
    /// A doubt was found placed.
    Settled,
    /// Unknown, ours, and younger than our own dialing: another dialer uses a copy of this file.
    Foreign(String),
    /// Nothing new, or not ours.
    Nothing,
}

/// Takes in one call of the provider's records.
pub fn take_in(
    cx: &Context,
    tx: &Tx<'_>,
    call: &ProviderCall,
    dialing_since: Option<Instant>,
    now: Instant,
) -> anyhow::Result<Taken> {
    if let Some(known) = attempts::by_call_id(tx, &call.id)? {
        end_if_over(cx, tx, &known, call, now)?;
        return Ok(Taken::Nothing);
    }
    let Some((call_type, id)) = call.tags().find_map(parse_tag) else { return Ok(Taken::Nothing) };
    match attempts::by_id(tx, id)? {
        Some(attempt) => attach(cx, tx, &attempt, call, now),
        None if call.installation_id.as_deref() == Some(&cx.installation.id) => {
            let began = call.created_at.unwrap_or(now);
            if dialing_since.is_some_and(|since| since < began) {
                let what = format!("the call {} was placed by another dialer", call.id);
                adopt_unknown(cx, tx, call, call_type, id, now)?;
                return Ok(Taken::Foreign(what));
            }
            adopt_unknown(cx, tx, call, call_type, id, now)
        }
        None => Ok(Taken::Nothing),
    }
}

/// `d-` and a UUID of 36 characters, as [`attempts::tag`] makes it.
fn parse_tag(tag: &str) -> Option<(CallType, &str)> {
    let (letter, id) = tag.split_once('-')?;
    let call_type = CallType::ALL.iter().find(|t| letter == t.tag_letter().to_string())?;
    (id.len() == 36 && uuid::Uuid::parse_str(id).is_ok()).then_some((*call_type, id))
}

/// A call that carries the tag of an attempt that the file knows.
fn attach(
    cx: &Context,
    tx: &Tx<'_>,
    attempt: &Attempt,
    call: &ProviderCall,
    now: Instant,
) -> anyhow::Result<Taken> {
    if attempt.vapi_call_id.is_some() {
        follow::note_second_call(tx, attempt, call, now)?;
        return Ok(Taken::Nothing);
    }
    warn_of_other_phone(attempt, call);
    match attempt.state {
        AttemptState::Dialing | AttemptState::InDoubt => {
            place(cx, tx, attempt, call, now)?;
            Ok(Taken::Settled)
        }
        AttemptState::Placed => {
            if attempts::learn_call_id(tx, &attempt.id, &call.id)? == Moved::Yes {
                reread_and_end(cx, tx, attempt, call, now)?;
            }
            Ok(Taken::Settled)
        }
        AttemptState::NotPlaced => late_truth(cx, tx, attempt, call, now),
        AttemptState::Ended => Ok(Taken::Nothing),
    }
}

fn place(
    cx: &Context,
    tx: &Tx<'_>,
    attempt: &Attempt,
    call: &ProviderCall,
    now: Instant,
) -> anyhow::Result<()> {
    if attempts::accept(tx, attempt, Some(&call.id), now, WHO, now)? == Moved::Yes {
        learn_org(tx, call)?;
        settle::complete_placed(cx, tx, attempt, Some(&call.id), WHO, now)?;
        reread_and_end(cx, tx, attempt, call, now)?;
    }
    Ok(())
}

/// Somebody resolved a doubt as not placed, and it was: the ledger is put right. When another
/// attempt of the occasion is under way or over, a phone rang twice, and that is said.
fn late_truth(
    cx: &Context,
    tx: &Tx<'_>,
    attempt: &Attempt,
    call: &ProviderCall,
    now: Instant,
) -> anyhow::Result<Taken> {
    let others = match attempt.customer_id {
        Some(id) => attempts::of_occasion(tx, id, attempt.call_type, &attempt.occasion)?,
        None => Vec::new(),
    };
    let rang_again =
        others.iter().any(|other| other.id != attempt.id && other.state != AttemptState::NotPlaced);
    if rang_again {
        follow::note_second_call(tx, attempt, call, now)?;
        return Ok(Taken::Nothing);
    }
    if attempts::revive(tx, attempt, &call.id, WHO, now)? == Moved::Yes {
        log::warn!("attempt {} was taken for not placed, but the provider placed it", attempt.id);
        settle::complete_placed(cx, tx, attempt, Some(&call.id), WHO, now)?;
        reread_and_end(cx, tx, attempt, call, now)?;
    }
    Ok(Taken::Settled)
}

/// A call of this installation that the file does not know: it is behind the world.
fn adopt_unknown(
    cx: &Context,
    tx: &Tx<'_>,
    call: &ProviderCall,
    call_type: CallType,
    id: &str,
    now: Instant,
) -> anyhow::Result<Taken> {
    let key = call.customer_key.clone().unwrap_or_default();
    let occasion = call.occasion.clone().unwrap_or_default();
    let customer_id = settle::customer_of_key(tx, &key)?;
    let attempt_no = call.attempt_no.unwrap_or(1);
    if let Some(customer_id) = customer_id {
        let known = attempts::of_occasion(tx, customer_id, call_type, &occasion)?;
        let clash = known.iter().find(|other| {
            other.attempt_no == attempt_no || (other.state.is_live() && !call.is_ended())
        });
        if let Some(clash) = clash {
            if clash.state == AttemptState::InDoubt {
                log::warn!(
                    "attempt {} in doubt shares its occasion with call {}",
                    clash.id,
                    call.id
                );
            }
            follow::note_second_call(tx, clash, call, now)?;
            return Ok(Taken::Nothing);
        }
    }
    let number = call.customer_number.clone();
    let seq = match call.seq {
        Some(seq) if !attempts::seq_is_taken(tx, seq)? => seq,
        _ => meta::next_seq(tx)?,
    };
    meta::raise_seq(tx, seq)?;
    let attempt = Attempt {
        id: id.to_string(),
        seq,
        customer_id,
        customer_key: key,
        call_type,
        occasion,
        attempt_no,
        phone_key: cx.installation.phone_key(number.as_deref().unwrap_or_default()),
        phone: number,
        state: AttemptState::Placed,
        vapi_call_id: Some(call.id.clone()),
        created_at: call.created_at.unwrap_or(now),
        updated_at: now,
        next_poll_at: Some(now),
        error_message: Some(format!(
            "adopted from the provider's records at {}",
            instant_text(now)
        )),
        ..Attempt::default()
    };
    attempts::insert(tx, &attempt, WHO)?;
    learn_org(tx, call)?;
    settle::complete_placed(cx, tx, &attempt, Some(&call.id), WHO, now)?;
    end_adopted(cx, tx, &attempt, call, now)?;
    Ok(Taken::Adopted)
}

/// An adopted call that is over ends in the ledger; its retry rule is for the file that was there.
fn end_adopted(
    cx: &Context,
    tx: &Tx<'_>,
    attempt: &Attempt,
    call: &ProviderCall,
    now: Instant,
) -> anyhow::Result<()> {
    if call.is_ended() {
        let how = disposition(call.ended_reason.as_deref());
        let keep_words = cx.config.follow.store_transcripts;
        if attempts::end(tx, attempt, call, how, keep_words, WHO, now)? == Moved::No {
            anyhow::bail!("the adopted attempt {} could not be ended", attempt.id);
        }
        opt_out::honour(cx, tx, attempt, call, now)?;
    }
    Ok(())
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
        AttemptState::Placed if call.is_ended() => {
            follow::end(cx, tx, attempt, call, now)?;
            Ok(())
        }
        // The provider's analysis comes after the end, and may hold an opt-out.
        AttemptState::Ended => opt_out::honour(cx, tx, attempt, call, now),
        _ => Ok(()),
    }
}

fn learn_org(tx: &Tx<'_>, call: &ProviderCall) -> anyhow::Result<()> {
    match (&call.org_id, meta::org_id(tx)?) {
        (Some(org_id), None) => meta::set_org_id(tx, org_id),
        _ => Ok(()),
    }
}

fn warn_of_other_phone(attempt: &Attempt, call: &ProviderCall) {
    if let (Some(ours), Some(theirs)) = (&attempt.phone, &call.customer_number)
        && ours != theirs
    {
        log::error!(
            "call {} carries the tag of attempt {} but another number",
            call.id,
            attempt.id
        );
    }
}
