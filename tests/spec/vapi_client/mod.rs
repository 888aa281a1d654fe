//! D4: the provider is asked once per attempt, and its reply is sorted by what it proves.
//!
//! The tests use real sockets on loopback and no mock of the HTTP library.

pub mod conformance;
pub mod little_vapi;
mod long_lists;
mod lost;
mod order;
mod pushed;
mod reading;
mod replies;
pub mod server;

use std::sync::atomic::{AtomicUsize, Ordering};

use ringonce::domain::call::CallType;
use ringonce::provider::{Accepted, PlaceError, PlaceOrder, Provider, Speaker};
use ringonce::vapi::{ApiKey, Vapi};
use serde_json::{Value, json};

/// An invented key; tests look for it wherever it must not appear.
pub const KEY: &str = "sk-loopback-0001";

/// A sample reply or the official schema.
pub fn sample(name: &str) -> String {
    let path = format!("{}/tests/data/vapi/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// An order of this type with rich variables.
pub fn order(call_type: CallType, number: u32) -> PlaceOrder {
    let id = format!("01a20433-4afb-71ff-91ff-{number:012x}");
    let variables =
        json!({"name": "Zoë {{ x }}", "streak": 3, "tags": ["a", null], "nested": {"a": 1.5}});
    let occasion = match call_type {
        CallType::Welcome => "welcome".to_string(),
        CallType::Daily => "2026-11-22".to_string(),
        CallType::Extra => format!("extra:{id}"),
    };
    PlaceOrder {
        tag: format!("{}-{id}", call_type.tag_letter()),
        phone: format!("+121255501{:02}", number % 100),
        speaker: Speaker::Assistant {
            id: "2b0f4c1e-6a55-4c0e-9d3a-0c6f5b1d7e11".to_string(),
            version: None,
        },
        phone_number_id: "7d5e8a90-33c1-4f5e-8a1b-52b7c1f0aa22".to_string(),
        variables: variables.as_object().cloned().unwrap_or_default(),
        installation_id: "0192f000-0000-7000-8000-000000000001".to_string(),
        armed_at: crate::world::at("2026-11-22T17:01:00.123Z"),
        seq: i64::from(number),
        attempt_no: 1,
        customer_key: "9f1c2f8e-0000-4000-8000-000000000001".to_string(),
        call_type,
        occasion,
    }
}

pub fn daily() -> PlaceOrder {
    order(CallType::Daily, 0x1ff)
}

pub fn client(url: &str) -> Vapi {
    Vapi::new(url, ApiKey::new(KEY), 5).unwrap()
}

/// A client that gives up after a second.
pub fn hasty(url: &str) -> Vapi {
    Vapi::new(url, ApiKey::new(KEY), 1).unwrap()
}

/// Places one order that may be sent. Checks that it was asked once, and that an error contains
/// neither key nor phone.
pub fn place(provider: &dyn Provider, order: &PlaceOrder) -> Result<Accepted, PlaceError> {
    let asked = AtomicUsize::new(0);
    let outcome = provider.place(order, &|| asked.fetch_add(1, Ordering::SeqCst) == 0);
    assert!(asked.load(Ordering::SeqCst) <= 1, "the freshness check was asked again");
    if let Err(error) = &outcome {
        let text = error.to_string();
        assert!(!text.contains(KEY) && !text.contains(&order.phone[1..]), "{text}");
        assert!(!text.contains('\n') && text.chars().count() < 260, "{text}");
    }
    outcome
}

pub fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}
