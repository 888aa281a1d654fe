//! Outgoing messages: events to the application and alerts to a person, each in its own thread
//! beside the dialer. Never to the provider.

pub mod alerts;
pub mod email;
pub mod events;
pub mod message;
pub mod post;
pub mod signing;
