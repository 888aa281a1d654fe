//! ringonce places scheduled phone calls through Vapi and never calls anyone twice for the same
//! occasion.

pub mod clock;
pub mod config;
pub mod demo;
pub mod domain;
pub mod provider;
pub mod web;
