//! The real client, but for what it makes of a list.

use ringonce::domain::Instant;
use ringonce::provider::{Accepted, Fetched, Listing, PlaceError, PlaceOrder, Provider, ReadError};
use ringonce::vapi::Vapi;

/// The list that the provider gave goes through this before anybody sees it.
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
