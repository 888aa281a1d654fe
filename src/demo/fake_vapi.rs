//! A fake provider on loopback that calls nobody and can simulate every known failure.

pub mod answers;
pub mod calls;
pub mod core;
pub mod fault_draw;
pub mod faults;
pub mod journal;
pub mod pushed;
pub(crate) mod reads;
mod recordings;
pub(crate) mod said;
pub mod server;
pub mod webhooks;
pub mod wire;
