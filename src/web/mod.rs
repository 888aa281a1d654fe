//! Everything that answers HTTP. Built on one small listener; TLS stays with a reverse proxy.

pub mod access;
mod acts;
pub mod api;
pub mod delivery;
pub mod front;
pub mod guesses;
pub mod health;
pub mod http;
pub mod listener;
pub mod metrics;
pub mod page;
pub mod problem;
pub mod quiet;
pub mod router;
mod visit;
pub mod webhook;
