//! Our own HTTP server: it parses requests, holds connections and sends responses.

pub(crate) mod connection;
pub mod connections;
pub mod listener;
pub mod log_limiter;
pub mod problem;
pub mod request;
pub mod response;
