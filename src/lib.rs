//! ringonce places scheduled phone calls through Vapi and never calls anyone twice for the same
//! occasion.

pub mod cli;
pub mod clock;
pub mod config;
pub mod demo;
pub mod domain;
pub mod http;
pub mod phones;
pub mod present;
pub mod provider;
pub mod service;
pub mod steps;
pub mod store;
pub mod vapi;
pub mod web;
pub mod zones;
