//! The real client, with a function that changes each list.

use ringonce::domain::Instant;
use ringonce::provider::{Accepted, Fetched, Listing, PlaceError, PlaceOrder, Provider, ReadError};
use ringonce::vapi::Vapi;

/// Changes a list of the provider before anything else reads it.
pub type Through = Box<dyn Fn(Listing) -> Listing + Send + Sync>;

pub struct Listed(pub Vapi, pub Through);

impl Provider for Listed {
    fn place(
        &self,
        order: &PlaceOrder,
        may_send: &(dyn Fn() -> bool + Sync),
    ) -> Result<Accepted, PlaceError> {
        self.0.place(order, may_send)
    }

    fn get(&self, call_id: &str) -> Result<Fetched, ReadError> {
        self.0.get(call_id)
    }

    fn list(&self, since: Instant) -> Result<Listing, ReadError> {
        self.0.list(since).map(&self.1)
    }
}
