//! The HTTP side: pages, API, webhook, health and metrics. A reverse proxy must provide TLS.

pub mod access;
pub mod api;
pub mod asked;
pub mod base_path;
pub mod caller;
pub mod front;
pub mod health;
pub mod metrics;
pub(crate) mod operate;
pub mod page;
pub mod router;
pub mod serve;
pub mod webhook;
