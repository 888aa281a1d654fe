//! A fake provider on loopback that calls nobody and can simulate every known failure.

pub mod answers;
pub mod calls;
pub mod core;
pub mod fault_draw;
pub mod faults;
pub mod journal;
pub(crate) mod reads;
pub mod server;
pub mod wire;
