//! `ringonce events …` and `ringonce alerts …`: messages that leave this machine.

pub mod alerts;
pub mod events;
