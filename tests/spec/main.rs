//! The specification of the defences: one file each, and each test fails when its guard is taken
//! out. Below them the parts that they stand on.
//!
//! `world` is the setting of every test: a real database in a temporary folder, the fake provider
//! that counts rings, one clock for both.

mod people;
mod world;

mod d1_one_item_and_one_live_attempt_per_occasion;

// The fake provider is trusted only as far as these.
mod fake_faults;
mod fake_vapi;
mod fake_world;

// What the service stands on.
mod cli_config;
mod cron;
mod customers;
mod listener;
mod vapi_client;
mod zones;
