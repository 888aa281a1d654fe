//! The calls that the provider accepted: their true state, and what the provider reports.

use ringonce::domain::Instant;
use ringonce::domain::call::CallType;
use ringonce::provider::{PlaceOrder, ProviderCall, Speaker};

/// The accounts of the two keys, the first one and the one that replaces it.
const ORGS: [&str; 2] = ["org-of-the-simulation", "org-of-the-second-key"];

/// One accepted call, as it truly is.
#[derive(Clone, Debug)]
pub struct Call {
    pub id: String,
    /// The account that placed the call.
    pub account: usize,
    pub order: PlaceOrder,
    pub posted_at: Instant,
    /// When the call is created; later than the POST if acceptance was delayed.
    pub created_at: Instant,
    pub rings: bool,
    pub ended_at: Instant,
    pub reason: &'static str,
    /// The provider made two calls of one POST, and this is the second.
    pub is_double: bool,
    /// Carriers that do not come back: 1 metadata, 2 name, 4 external id.
    pub stripped: u8,
    /// `missing_until`: until then no list shows the call. `rare_until`: until then two of three
    /// lists lack it. `garbled_until`: until then its row is unreadable.
    pub missing_until: Instant,
    pub rare_until: Instant,
    pub garbled_until: Instant,
    /// The number of lists applied before the call was made, plus later ones that reach back to it.
    /// Later lists count only with `bad_replica`.
    pub lists: u64,
    /// A person made the call by hand with our assistant: its number as the provider reports it.
    pub by_hand: Option<String>,
}

impl Call {
    /// Whether the call lost all its tags, or the present key does not show it.
    pub fn cannot_be_known(&self, account: usize) -> bool {
        self.stripped == 7 || self.account != account
    }

    /// Whether a person or another database made the call, not the present database.
    pub fn is_from_elsewhere(&self, installation_id: &str) -> bool {
        self.by_hand.is_some() || self.order.installation_id != installation_id
    }

    /// The tag without the letter of the call type.
    pub fn attempt_id(&self) -> &str {
        &self.order.tag[2..]
    }
}

/// The provider's report of a call; unless `whole`, stripped carriers are missing.
pub fn tell(call: &Call, now: Instant, whole: bool) -> ProviderCall {
    let order = &call.order;
    let over = call.ended_at <= now;
    let stripped = if whole { 0 } else { call.stripped };
    let meta = stripped & 1 == 0;
    ProviderCall {
        id: call.id.clone(),
        org_id: Some(ORGS[call.account].to_string()),
        created_at: Some(call.created_at),
        status: Some(if over { "ended" } else { "in-progress" }.to_string()),
        ended_reason: over.then(|| call.reason.to_string()),
        started_at: call.rings.then_some(call.created_at),
        ended_at: over.then_some(call.ended_at),
        kind: Some("outboundPhoneCall".to_string()),
        assistant_id: match &order.speaker {
            Speaker::Assistant { id, .. } => Some(id.clone()),
            Speaker::Squad { .. } => None,
        },
        squad_id: match &order.speaker {
            Speaker::Squad { id } => Some(id.clone()),
            Speaker::Assistant { .. } => None,
        },
        customer_number: Some(call.by_hand.clone().unwrap_or_else(|| order.phone.clone())),
        name: (stripped & 2 == 0).then(|| order.tag.clone()),
        external_id: (stripped & 4 == 0).then(|| order.tag.clone()),
        attempt_tag: meta.then(|| order.tag.clone()),
        installation_id: meta.then(|| order.installation_id.clone()),
        armed_at: meta.then_some(order.armed_at),
        seq: meta.then_some(order.seq),
        attempt_no: meta.then_some(order.attempt_no),
        customer_key: meta.then(|| order.customer_key.clone()),
        call_type: meta.then_some(order.call_type),
        occasion: meta.then(|| order.occasion.clone()),
        ..ProviderCall::default()
    }
}

/// Whether this ending permits one more attempt of the occasion by the published rules: not
/// answered or busy, on a daily call.
pub fn permits_another(call: &Call) -> bool {
    call.order.call_type == CallType::Daily
        && ["customer-did-not-answer", "customer-busy"].contains(&call.reason)
}
