//! Reads our tags and numbers from a call of the provider's list.

use crate::domain::Instant;
use crate::domain::call::CallType;
use crate::provider::ProviderCall;

/// `d-` and a UUID of 36 characters, as `Attempt::tag` makes it.
pub(crate) fn parse_tag(tag: &str) -> Option<(CallType, &str)> {
    let (letter, id) = tag.split_once('-')?;
    let call_type = CallType::ALL.iter().find(|t| letter == t.tag_letter().to_string())?;
    (id.len() == 36 && uuid::Uuid::parse_str(id).is_ok()).then_some((*call_type, id))
}

/// The number that a call carries; `None` for a number that we never assign.
pub fn number_of(call: &ProviderCall) -> Option<i64> {
    call.seq.filter(|seq| (1..1 << 53).contains(seq))
}

/// The attempt ids in a call's tags: none, or the same id in up to three places.
pub fn attempts_named(call: &ProviderCall) -> impl Iterator<Item = &str> {
    call.tags().filter_map(parse_tag).map(|(_, id)| id)
}

/// When a call was requested, by the provider's time, else by the time in our id.
pub(crate) fn begun(call: &ProviderCall, id: &str) -> Option<Instant> {
    let from_id = || {
        let (seconds, nanos) = uuid::Uuid::parse_str(id).ok()?.get_timestamp()?.to_unix();
        chrono::DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanos)
    };
    call.created_at.or_else(from_id)
}
