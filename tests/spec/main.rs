//! The specification of the defences. Each defence has one file, and each test fails when its guard
//! is removed. The parts under the defences follow.
//!
//! `world` is the setting of every test: a real database in a temporary folder, the fake provider
//! that counts rings, and one clock for both.

#[allow(dead_code)]
mod inner_loop;
// Reports a test that cannot run on this machine.
#[allow(dead_code)]
mod left_out;
mod listed;
mod mail_server;
mod other_user;
mod pausing;
mod people;
mod processes;
mod receiver;
mod world;

// The defences.
mod d1_one_item_and_one_live_attempt_per_occasion;
mod d2_one_dialer_per_file_and_one_worker_per_item;
mod d3_the_intent_is_durable_before_the_ring;
mod d4_the_provider_is_asked_once_per_attempt;
mod d5_doubt;
mod d5_strangers;
mod d6_the_gate_is_asked_where_the_intent_is_written;
mod d7_events;
mod guards;
mod guards_of_items;
mod guards_of_records;

// The file that may dial, and when.
mod accounts;
mod archived;
mod arming;
mod clocks;
mod cloned_machines;
mod cut_starts;
mod halting;
mod one_database;
mod restored;
mod resuming;
mod rights;
mod shut_starts;
mod unclean_starts;
mod unwritten_outcomes;
mod wrong_clock;

// Earlier defects, and what may fail around them.
mod assistants;
mod defects;
mod failures;
mod golden;
mod history;
mod interplays;
mod made_elsewhere;
mod moment;
mod new_beside;
mod nightly_import;
mod odd_cells;
mod odd_rows;
mod odd_rows_named;
mod odd_rows_written_later;
mod only_numbers;
mod same_number;
mod who_is_who;

// When a call is due, and whole runs over days.
mod edits;
mod overwritten_files;
mod recipes;
mod reports;
mod schedule_rules;
mod slow_replies;
mod stopping;
mod swapped_files;
mod taken_rights;
mod taking_over;
mod three_days;
mod two_files;
mod unended_calls;

// What the application and a person hear.
mod alerts;
mod alerts_by_mail;
mod events;
mod events_by_commands;
mod events_delivered;
mod events_of_results;
mod receivers_of_the_page;

// Copies, snapshots, erasure and the audit.
mod audit_of_gaps;
mod backups;
mod erasure_and_audit;
mod files;

// The schema and the layout.
mod architecture;
mod documents;
mod schema;

// The other tests rely on the fake provider only as far as these check it.
mod fake_faults;
mod fake_vapi;
mod fake_world;

// The parts under the service.
mod cli_config;
mod columns_of_files;
mod cron;
mod customers;
mod do_not_call;
mod forms_of_files;
mod imports;
mod intake;
mod large_bodies;
mod listener;
mod service_manager;
mod vapi_client;
mod zone_rules;
mod zones;
