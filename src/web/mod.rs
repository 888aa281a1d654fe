//! Everything that answers HTTP. Built on one small listener; TLS stays with a reverse proxy.

pub mod delivery;
pub mod http;
pub mod listener;
mod visit;
