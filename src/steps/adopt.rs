//! adopt: what the provider's records tell of a call becomes part of the ledger, whether the file
//! knew the call, doubted it, or was behind the world. Late truth attaches; it never dials.

use crate::domain::call::{AttemptState, CallType};
use crate::domain::disposition::disposition;
use crate::domain::{Instant, instant_text};
use crate::phones;
use crate::provider::ProviderCall;
use crate::steps::{Context, analysis, elsewhere, follow, foreign, opt_out, settle, whose};
use crate::store::attempts::{self, Attempt};
use crate::store::doubts::KnownCalls;
use crate::store::queue::Moved;
use crate::store::{Tx, doubts, facts, meta, second};

const WHO: &str = "reconcile";

/// What taking in one call came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Taken {
    /// The file did not know it; now it does.
    Adopted,
    /// A doubt was found placed.
    Settled,
    /// Unknown and ours, but not from a lost past of this file: another dialer uses a copy of it.
    Foreign(String),
    /// Made elsewhere, not known before, and it blocks whom it may have rung.
    Elsewhere,
    /// Nothing new.
    Nothing,
}

/// Whether the ledger holds all that this call can tell: most rows of a long listing.
pub fn is_old_news(
    cx: &Context,
    tx: &Tx<'_>,
    known: &KnownCalls,
    call: &ProviderCall,
) -> anyhow::Result<bool> {
    Ok(match known.of(tx, &call.id)? {
        _ if opt_out::is_asked(cx, call) => false,
        Some((AttemptState::Ended, _)) => true,
        Some((AttemptState::Placed, _)) => !call.is_ended(),
        _ => false,
    })
}

/// Takes in one call of the provider's records. `dialing_since`: this process dials since then and
/// knows all calls of its own; `None` where it does not dial.
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
    let Some((call_type, id)) = call.tags().find_map(parse_tag) else {
        return made_elsewhere(cx, tx, call, now);
    };
    match attempts::by_id(tx, id)? {
        Some(attempt) => {
            // Whatever else the call proves of the attempt.
            opt_out::honour(cx, tx, &attempt, call, now)?;
            attach(cx, tx, &attempt, call, now)
        }
        None if call.installation_id.as_deref() == Some(&cx.installation.id) => {
            // Noted before, and still not ours to take in: no news of another dialer.
            let is_news = !second::is_noted(tx, &call.id)?;
            let foreign = foreign::why(tx, call, id, dialing_since)?.filter(|_| is_news);
            let taken = adopt_unknown(cx, tx, call, call_type, id, now)?;
            let Some(why) = foreign else { return Ok(taken) };
            log::error!("dialing holds: {why}");
            meta::hold(tx, "foreign", &why, now)?;
            Ok(Taken::Foreign(why))
        }
        // The metadata are gone, and with them whose call it is: it counts as ours when it went
        // to a number that we call.
        None if call.installation_id.is_none() => {
            match whose::customer_of_number(cx, tx, call, now)? {
                Some(_) => adopt_unknown(cx, tx, call, call_type, id, now),
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
) -> anyhow::Result<Taken> {
    Ok(match elsewhere::note(cx, tx, call, now)? {
        Moved::Yes => Taken::Elsewhere,
        Moved::No => Taken::Nothing,
    })
}

/// The reply of a POST whose attempt somebody else has moved meanwhile.
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

/// `d-` and a UUID of 36 characters, as [`attempts::tag`] makes it.
fn parse_tag(tag: &str) -> Option<(CallType, &str)> {
    let (letter, id) = tag.split_once('-')?;
    let call_type = CallType::ALL.iter().find(|t| letter == t.tag_letter().to_string())?;
    (id.len() == 36 && uuid::Uuid::parse_str(id).is_ok()).then_some((*call_type, id))
}

/// The number that a call says it has; `None` for one that we never give.
pub fn number_of(call: &ProviderCall) -> Option<i64> {
    call.seq.filter(|seq| (1..1 << 53).contains(seq))
}

/// The ids of the attempts whose tags a call carries: none, or the same one by up to three carriers.
pub fn attempts_named(call: &ProviderCall) -> impl Iterator<Item = &str> {
    call.tags().filter_map(parse_tag).map(|(_, id)| id)
}

/// When a call was asked for: as the provider says, else by the time in our own id.
pub(super) fn begun(call: &ProviderCall, id: &str) -> Option<Instant> {
    let from_id = || {
        let (seconds, nanos) = uuid::Uuid::parse_str(id).ok()?.get_timestamp()?.to_unix();
        chrono::DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanos)
    };
    call.created_at.or_else(from_id)
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
    // It proves nothing about the attempt, and a person has to look at it.
    if !may_have_rung(cx, call, attempt) {
        let detail = format!("it has the tag of attempt {} but another number", attempt.id);
        follow::note_second_call_as(tx, attempt, call, &detail, now)?;
        return Ok(Taken::Nothing);
    }
    match attempt.state {
        AttemptState::Dialing | AttemptState::InDoubt => {
            place(cx, tx, attempt, call, now)?;
            Ok(Taken::Settled)
        }
        // An end that was given up stays so; what was said in the call counts.
        AttemptState::Placed | AttemptState::Ended => {
            if doubts::learn_call_id(tx, &attempt.id, &call.id)? == Moved::Yes {
                reread_and_end(cx, tx, attempt, call, now)?;
            }
            Ok(Taken::Settled)
        }
        AttemptState::NotPlaced => late_truth(cx, tx, attempt, call, now),
    }
}

/// Whether the call may have rung the phone of the attempt. After an erasure only the key of the
/// number is left.
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
    if attempts::accept(tx, attempt, Some(&call.id), now, WHO, now)? == Moved::Yes {
        learn_org(tx, call)?;
        settle::complete_or_hold(cx, tx, attempt, Some(&call.id), WHO, now)?;
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
    if doubts::revive(tx, attempt, &call.id, WHO, now)? == Moved::Yes {
        log::warn!("attempt {} was taken for not placed, but the provider placed it", attempt.id);
        settle::complete_or_hold(cx, tx, attempt, Some(&call.id), WHO, now)?;
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
    let (customer_id, occasion) = whose::whose(cx, tx, call, (call_type, id), now)?;
    let mut attempt_no = call.attempt_no.unwrap_or(1);
    if let Some(customer_id) = customer_id {
        let known = attempts::of_occasion(tx, customer_id, call_type, &occasion)?;
        if let Some(clash) = known.iter().find(|other| clashes(other, call, attempt_no)) {
            log::error!("call {} is for an occasion of attempt {} too", call.id, clash.id);
            follow::note_second_call(tx, clash, call, now)?;
            return Ok(Taken::Nothing);
        }
        if known.iter().any(|other| other.attempt_no == attempt_no) {
            attempt_no = facts::next_attempt_no(tx, customer_id, call_type, &occasion)?;
        }
    }
    let seq = match number_of(call) {
        Some(seq) if !doubts::seq_is_taken(tx, seq)? => seq,
        _ => meta::next_seq(tx)?,
    };
    meta::raise_seq(tx, seq)?;
    let number = whose::number_called(tx, call, customer_id)?;
    let is_over = call.is_ended();
    let attempt = Attempt {
        id: id.to_string(),
        seq,
        customer_id,
        customer_key: call.customer_key.clone().unwrap_or_default(),
        call_type,
        occasion,
        attempt_no,
        // Of an unknown number there is no key: all of them would share one.
        phone_key: number.as_deref().map(|to| cx.installation.phone_key(to)).unwrap_or_default(),
        phone: number,
        // What is over is over: its retry rule was for the file that was there.
        state: if is_over { AttemptState::Ended } else { AttemptState::Placed },
        disposition: is_over.then(|| disposition(call.ended_reason.as_deref())),
        ended_reason: call.ended_reason.clone().filter(|_| is_over),
        started_at: call.started_at,
        ended_at: call.ended_at,
        duration_seconds: call
            .started_at
            .zip(call.ended_at)
            .map(|(started, ended)| (ended - started).num_milliseconds() as f64 / 1000.0),
        cost: call.cost,
        vapi_call_id: Some(call.id.clone()),
        created_at: begun(call, id).unwrap_or(now),
        updated_at: now,
        next_poll_at: (!is_over).then_some(now),
        error_message: Some(format!(
            "adopted from the provider's records at {}",
            instant_text(now)
        )),
        ..Attempt::default()
    };
    attempts::insert(tx, &attempt, WHO)?;
    learn_org(tx, call)?;
    settle::complete_or_hold(cx, tx, &attempt, Some(&call.id), WHO, now)?;
    opt_out::honour(cx, tx, &attempt, call, now)?;
    if is_over {
        analysis::expect(cx, tx, &attempt, call, now)?;
    }
    Ok(Taken::Adopted)
}

/// Whether two calls of one occasion cannot both be right: the earlier attempt is not over, or it
/// rang as the same attempt.
fn clashes(other: &Attempt, call: &ProviderCall, attempt_no: i64) -> bool {
    let same_number = other.attempt_no == attempt_no;
    match other.state {
        AttemptState::NotPlaced => false,
        AttemptState::Ended => same_number,
        // A later attempt was made by the file that is lost, after it had settled this doubt.
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
        AttemptState::Placed if call.is_ended() => {
            follow::end(cx, tx, attempt, call, now)?;
            Ok(())
        }
        // A tool is called before the end, and the provider's analysis comes after it.
        _ => opt_out::honour(cx, tx, attempt, call, now),
    }
}

fn learn_org(tx: &Tx<'_>, call: &ProviderCall) -> anyhow::Result<()> {
    match (&call.org_id, meta::org_id(tx)?) {
        (Some(org_id), None) => meta::set_org_id(tx, org_id),
        _ => Ok(()),
    }
}
