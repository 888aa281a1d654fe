//! The boundary to the provider: a trait that places calls, with errors sorted by what they prove.

use std::collections::BTreeSet;

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;

use crate::domain::Instant;
use crate::domain::call::CallType;

/// Upper bounds of the histogram of request durations, in seconds.
const SECONDS: [f64; 10] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 60.0];

/// Durations of requests in this process, by `method` and `outcome`. Clones share one count.
pub type Seconds = Family<[(&'static str, &'static str); 2], Histogram, fn() -> Histogram>;

/// Durations without any request.
pub fn no_seconds() -> Seconds {
    Family::new_with_constructor(|| Histogram::new(SECONDS))
}

/// The assistant or the squad that speaks in a call.
#[derive(Clone, Debug, PartialEq)]
pub enum Speaker {
    Assistant {
        id: String,
        /// `None`: its latest version.
        version: Option<String>,
    },
    /// Several assistants that hand the call over to each other.
    Squad { id: String },
}

/// The content of one `POST /call`. Built from a committed intent, never before.
#[derive(Clone, Debug)]
pub struct PlaceOrder {
    /// `w-`, `d-` or `x-` and the attempt's id: at most 40 characters, the same in all three tags.
    pub tag: String,
    /// E.164.
    pub phone: String,
    pub speaker: Speaker,
    pub phone_number_id: String,
    /// Template values for the assistant; a JSON object.
    pub variables: serde_json::Map<String, serde_json::Value>,
    pub installation_id: String,
    /// When the database file that dials was armed.
    pub armed_at: Instant,
    pub seq: i64,
    pub attempt_no: i64,
    pub customer_key: String,
    pub call_type: CallType,
    pub occasion: String,
}

/// A call as the provider reports it. Everything except the id may be missing.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct ProviderCall {
    pub id: String,
    pub org_id: Option<String>,
    /// `outboundPhoneCall`, `inboundPhoneCall`, `webCall`, …
    pub kind: Option<String>,
    /// The assistant that speaks. `None` for one that is not stored at the provider.
    pub assistant_id: Option<String>,
    pub squad_id: Option<String>,
    pub created_at: Option<Instant>,
    /// The provider's own word (`queued`, `ringing`, …); only `ended` means that the call is over.
    pub status: Option<String>,
    pub ended_reason: Option<String>,
    pub started_at: Option<Instant>,
    pub ended_at: Option<Instant>,
    /// US dollars.
    pub cost: Option<f64>,
    pub transcript: Option<String>,
    pub summary: Option<String>,
    /// The provider's evaluation of success (`analysis.successEvaluation`), as text.
    pub success_evaluation: Option<String>,
    /// Structured results of the assistant's analysis (`analysis.structuredData`), verbatim.
    pub structured_data: Option<serde_json::Value>,
    /// Structured outputs (`artifact.structuredOutputs`), verbatim: by id, each with its name and
    /// its result.
    pub structured_outputs: Option<serde_json::Value>,
    /// Names of the assistant's tools that were called; `None` without any messages.
    pub tool_names: Option<Vec<String>>,
    pub customer_number: Option<String>,
    /// The three carriers of our tag. A match on any one proves that the call is ours.
    pub name: Option<String>,
    pub external_id: Option<String>,
    pub attempt_tag: Option<String>,
    /// The rest of our metadata, if it came back.
    pub installation_id: Option<String>,
    pub armed_at: Option<Instant>,
    pub seq: Option<i64>,
    pub attempt_no: Option<i64>,
    pub customer_key: Option<String>,
    pub call_type: Option<CallType>,
    pub occasion: Option<String>,
    /// A list left out a long part of what was said, apart from the transcript, which it never has.
    pub left_out: bool,
}

impl ProviderCall {
    /// Whether any of the three carriers holds this tag.
    pub fn carries(&self, tag: &str) -> bool {
        self.tags().any(|t| t == tag)
    }

    /// The tags that came back, in the order metadata, name, external id.
    pub fn tags(&self) -> impl Iterator<Item = &str> {
        [&self.attempt_tag, &self.name, &self.external_id].into_iter().filter_map(|t| t.as_deref())
    }

    /// Whether the provider reports that the call is over.
    pub fn is_ended(&self) -> bool {
        self.status.as_deref() == Some("ended")
    }

    /// How long the call lasted; `None` while either instant is unknown.
    pub fn duration_seconds(&self) -> Option<f64> {
        let (started, ended) = self.started_at.zip(self.ended_at)?;
        Some((ended - started).num_milliseconds() as f64 / 1000.0)
    }
}

/// A 2xx answer to the POST. The call is placed, whatever the body holds.
#[derive(Clone, Debug, Default)]
pub struct Accepted {
    /// `None` when the body could not be read. The call is placed all the same, and its tag will
    /// find the id.
    pub call: Option<ProviderCall>,
    /// The provider's `Date` header, used as a second clock.
    pub date: Option<Instant>,
}

/// Why a POST was not accepted, sorted by what that proves.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PlaceError {
    /// No phone rang and none will: the request was not sent, or the provider refused it.
    #[error("not placed: {detail}")]
    NotPlaced {
        refusal: Refusal,
        /// One line for a person; holds no phone number and no key.
        detail: String,
    },
    /// The outcome is unknown. Treat the call as if the phone had rung.
    #[error("in doubt: {detail}")]
    InDoubt {
        detail: String,
        /// True for a 3xx: the configuration is wrong for every call, so dialing stops too.
        stop_dialing: bool,
    },
}

/// The scope of a proven refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No byte of the request left this machine (DNS, refused connection, TLS handshake).
    NeverSent,
    /// The freshness check failed just before the first byte; no byte left.
    Stale,
    /// The provider refused this customer's number.
    Number,
    /// The provider would refuse every call (401, 402, 403, 404).
    Everybody,
    /// Our own number has reached its daily limit. It makes no calls until the UTC day is over.
    OurNumber,
    /// Too many requests; the occasion is not consumed.
    RateLimited { retry_after_secs: Option<u64> },
    /// A 400 or 422 in the provider's own JSON shape that names none of the causes above.
    Request,
}

impl PlaceError {
    /// Its label in the metrics.
    pub fn outcome(&self) -> &'static str {
        match self {
            PlaceError::InDoubt { .. } => "in_doubt",
            PlaceError::NotPlaced { refusal: Refusal::NeverSent | Refusal::Stale, .. } => {
                "not_sent"
            }
            PlaceError::NotPlaced { .. } => "refused",
        }
    }
}

/// Why the provider's records could not be read. Proves nothing about any call.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ReadError {
    /// 404 for one id. Just after a 201 it means "not yet".
    #[error("the provider does not know this call")]
    NotFound,
    /// 401 or 403: the key is wrong.
    #[error("the provider refuses the key: {0}; set the right VAPI_API_KEY")]
    Unauthorized(String),
    #[error("the provider's records cannot be read: {0}")]
    Unavailable(String),
}

impl ReadError {
    /// Its label in the metrics.
    pub fn outcome(&self) -> &'static str {
        match self {
            ReadError::NotFound => "not_found",
            ReadError::Unauthorized(_) => "refused",
            ReadError::Unavailable(_) => "unavailable",
        }
    }
}

/// One call read back.
#[derive(Clone, Debug)]
pub struct Fetched {
    pub call: ProviderCall,
    pub date: Option<Instant>,
}

/// Every call in a window, from all pages, without repeats.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// Oldest first.
    pub calls: Vec<ProviderCall>,
    /// A mark of each row without a readable id, and of each instant with more calls than the
    /// provider's largest page. With any mark the listing is not evidence of absence.
    pub unreadable: BTreeSet<String>,
    /// The provider's `Date` header of the last page.
    pub date: Option<Instant>,
    /// A part was read by an earlier start. It shows calls, but a missing call proves nothing.
    pub is_resumed: bool,
}

/// Keeps an interrupted listing, so that the next start goes on where it was.
pub struct ListKeeper<'k> {
    /// The kept progress and calls; `None`: nothing is kept.
    pub kept: &'k dyn Fn() -> Option<(String, Vec<ProviderCall>)>,
    /// Keeps more calls, and the progress of now.
    pub keep: &'k dyn Fn(&[&ProviderCall], &str),
    /// Forgets it: the listing is complete.
    pub forget: &'k dyn Fn(),
}

/// Each listing begins anew.
pub const KEEPS_NOTHING: ListKeeper<'static> =
    ListKeeper { kept: &|| None, keep: &|_, _| {}, forget: &|| {} };

/// Places calls and reports their results. Vapi and the fake provider pass the same tests.
pub trait Provider: Send + Sync {
    /// Sends exactly one request, never repeated. `may_send` is asked just before the first byte of
    /// the request is sent; `false` gives `Refusal::Stale` and nothing is sent.
    fn place(
        &self,
        order: &PlaceOrder,
        may_send: &(dyn Fn() -> bool + Sync),
    ) -> Result<Accepted, PlaceError>;

    /// One call by the provider's id.
    fn get(&self, call_id: &str) -> Result<Fetched, ReadError>;

    /// Every call created at or after `since`, filtered by time only, from all pages. An error when
    /// any page could not be read, because a partial list proves nothing.
    fn list(&self, since: Instant) -> Result<Listing, ReadError>;

    /// The same, going on with an earlier listing that was interrupted.
    fn list_on(&self, since: Instant, _keeper: &ListKeeper<'_>) -> Result<Listing, ReadError> {
        self.list(since)
    }

    /// A URL of the call's recording, which the provider lets expire soon.
    fn recording(&self, _call_id: &str) -> Result<String, ReadError> {
        Err(ReadError::NotFound)
    }

    /// The durations of its requests; `None` when they are not measured.
    fn seconds(&self) -> Option<Seconds> {
        None
    }
}
