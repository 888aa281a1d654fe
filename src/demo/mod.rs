//! A provider on loopback, for the demo, for users who want to try their own faults, and for
//! tests. It keeps the truth about what rang, whatever it tells its client. Refuses to listen
//! anywhere but on loopback, and calls nobody.

pub mod calls;
pub mod command;
pub mod core;
pub mod fake;
pub mod faults;
pub mod journal;
pub mod mishaps;
pub mod people;
mod reads;
pub mod roulette;
pub mod show;
pub mod story;
pub mod told;
pub mod wire;
