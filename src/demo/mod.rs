//! The fake provider and the demonstration. The fake serves the demo, tests, and users who want to
//! try faults. Its journal records every ring, whatever it answered its client. It listens only on
//! loopback and calls nobody.

pub mod fake_vapi;
pub mod show;
