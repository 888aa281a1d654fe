//! The fake's append-only journal of requests, accepted calls and rings, one JSON object per line.
//! A line is handed to the operating system before the client gets an answer. After a failed write
//! the fake refuses all calls.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::demo::fake_vapi::calls::{FakeCall, Order};
use crate::domain::{Instant, instant_text};

/// The kind of a line. Each POST gives exactly one line, `post` or `reject`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A POST that was accepted, whatever the answer was.
    Post,
    /// A POST that was not accepted: nothing will ring.
    Reject,
    /// A call whose acceptance was delayed was created.
    Accept,
    /// A phone rings at `at`. The line is written at acceptance, so `at` may be in the future.
    Ring,
    /// A call was cancelled in the queue; its `ring` line is void.
    Cancel,
    /// A call's record was deleted; its rings still count.
    Delete,
    List,
    Get,
}

/// One line of the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FakeEntry {
    /// The time by the fake's clock.
    #[serde(serialize_with = "fixed_width")]
    pub at: Instant,
    pub event: Event,
    /// Whether this line records an accepted call.
    pub accepted: bool,
    /// Whether this line records a ring.
    pub rang: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
    /// The tag without its letter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt_no: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub occasion: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call_id: Option<String>,
    /// The faults that struck, in their text form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// The HTTP status of a refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The client's port: equal ports mean one connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_port: Option<u16>,
    /// The calls of an accepted POST; a restarted fake continues from them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<FakeCall>,
}

impl FakeEntry {
    pub fn new(at: Instant, event: Event) -> FakeEntry {
        let accepted = matches!(event, Event::Post | Event::Accept | Event::Ring);
        FakeEntry {
            at,
            event,
            accepted,
            rang: event == Event::Ring,
            tag: None,
            number: None,
            attempt_id: None,
            attempt_no: None,
            customer_key: None,
            call_type: None,
            occasion: None,
            call_id: None,
            fault: None,
            status: None,
            client_port: None,
            calls: Vec::new(),
        }
    }

    /// Adds the order's tag, number and metadata.
    pub fn about(mut self, order: &Order) -> FakeEntry {
        let meta = |name: &str| order.meta(name).map(str::to_string);
        self.tag = order.tag().map(str::to_string);
        self.attempt_id = order.tag().and_then(|tag| tag.get(2..)).map(str::to_string);
        self.number = Some(order.number.clone());
        self.attempt_no = Some(order.attempt_no());
        self.customer_key = meta("customerKey");
        self.call_type = meta("callType");
        self.occasion = meta("occasion");
        self
    }

    pub fn about_call(mut self, call: &FakeCall) -> FakeEntry {
        self = self.about(&call.order);
        self.call_id = Some(call.id.clone());
        self
    }
}

/// The journal in memory, and in a file if there is one.
#[derive(Debug, Default)]
pub struct Journal {
    entries: Vec<FakeEntry>,
    file: Option<File>,
    broken: bool,
    /// Reads (`list`, `get`) are not recorded, for runs with millions of reads.
    pub without_reads: bool,
}

impl Journal {
    /// Opens or creates the file and loads its entries. A partial last line is cut off: the fake
    /// was killed while writing it, so its request never got an answer.
    pub fn open(path: &Path) -> io::Result<Journal> {
        use std::os::unix::fs::OpenOptionsExt;
        let mut file =
            OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
        let mut text = String::new();
        // A pipe or a device accepts lines too, but has nothing to load.
        if file.metadata()?.is_file() {
            file.read_to_string(&mut text)?;
        }
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        if whole < text.len() {
            file.set_len(whole as u64)?;
            file.seek(SeekFrom::End(0))?;
        }
        let mut entries = Vec::new();
        for (index, line) in text[..whole].lines().enumerate() {
            entries.push(serde_json::from_str(line).map_err(|error| {
                let what = format!("line {} of {}: {error}", index + 1, path.display());
                io::Error::new(io::ErrorKind::InvalidData, what)
            })?);
        }
        Ok(Journal { entries, file: Some(file), broken: false, without_reads: false })
    }

    pub fn entries(&self) -> &[FakeEntry] {
        &self.entries
    }

    /// Whether a write has failed; then the fake must not accept calls.
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// Appends one line. `false`: the line is not in the file, so the event must not take effect.
    #[must_use]
    pub fn add(&mut self, entry: FakeEntry) -> bool {
        if self.without_reads && matches!(entry.event, Event::List | Event::Get) {
            return true;
        }
        if let Some(file) = &mut self.file {
            let mut line = serde_json::to_vec(&entry).unwrap_or_default();
            line.push(b'\n');
            if let Err(error) = file.write_all(&line).and_then(|()| file.flush()) {
                log::error!("the journal cannot be written ({error}); nothing is accepted now");
                self.broken = true;
                return false;
            }
        }
        self.entries.push(entry);
        true
    }
}

/// One ring, past or planned.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ring {
    #[serde(serialize_with = "fixed_width")]
    pub at: Instant,
    #[serde(serialize_with = "fixed_width")]
    pub accepted_at: Instant,
    pub call_id: String,
    pub number: String,
    pub tag: Option<String>,
    pub customer_key: Option<String>,
    pub call_type: Option<String>,
    pub occasion: Option<String>,
    pub attempt_no: i64,
    #[serde(serialize_with = "fixed_width")]
    pub ended_at: Instant,
    pub ended_reason: String,
}

/// The one text form of an instant, so that lines can be sorted and compared as text.
fn fixed_width<S: serde::Serializer>(at: &Instant, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_str(&instant_text(*at))
}

impl Ring {
    /// One entry for each time that the call rings.
    pub fn all_of(call: &FakeCall) -> Vec<Ring> {
        if call.cancelled_at.is_some() {
            return Vec::new();
        }
        let meta = |name: &str| call.order.meta(name).map(str::to_string);
        let ring = Ring {
            at: call.ring_at,
            accepted_at: call.created_at,
            call_id: call.id.clone(),
            number: call.order.number.clone(),
            tag: call.order.tag().map(str::to_string),
            customer_key: meta("customerKey"),
            call_type: meta("callType"),
            occasion: meta("occasion"),
            attempt_no: call.order.attempt_no(),
            ended_at: call.ended_at,
            ended_reason: call.ended_reason.clone(),
        };
        vec![ring; call.rings as usize]
    }

    /// The key of an occasion, which may ring once: customer, type and occasion. Without metadata
    /// it is the tag alone.
    fn occasion_key(&self) -> (String, String, String) {
        match (&self.customer_key, &self.call_type, &self.occasion) {
            (Some(key), Some(kind), Some(occasion)) => {
                (key.clone(), kind.clone(), occasion.clone())
            }
            _ => (self.number.clone(), String::new(), self.tag.clone().unwrap_or_default()),
        }
    }
}

/// The duplicate rings. Rings are grouped by (customer key, call type, occasion) in the order of
/// acceptance. Each ring after the first is a duplicate, unless both conditions hold:
/// - its attempt number is higher than that of the ring before it;
/// - the call of that ring had ended, before this call was accepted, with one of the `retryable`
///   ended reasons (nobody answered, busy).
///
/// Calls that never rang are ignored, so an attempt after such a call is never a duplicate.
pub fn duplicates<'a>(rings: &'a [Ring], retryable: &[&str]) -> Vec<&'a Ring> {
    let mut by_occasion: BTreeMap<(String, String, String), Vec<&Ring>> = BTreeMap::new();
    for ring in rings {
        by_occasion.entry(ring.occasion_key()).or_default().push(ring);
    }
    let mut found = Vec::new();
    for group in by_occasion.values_mut() {
        group.sort_by_key(|ring| (ring.accepted_at, ring.attempt_no));
        for pair in group.windows(2) {
            let (before, this) = (pair[0], pair[1]);
            let permitted = before.attempt_no < this.attempt_no
                && before.ended_at <= this.accepted_at
                && retryable.contains(&before.ended_reason.as_str());
            if !permitted {
                found.push(this);
            }
        }
    }
    found
}
