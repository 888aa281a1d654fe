//! Imports files as customers, queue items and holidays, each file completely or not at all.

pub mod column_map;
pub mod consequences;
pub mod customers;
pub mod field_values;
pub mod file;
pub mod header;
pub mod history;
pub mod holidays;
pub(crate) mod missing;
pub mod next_call;
pub mod options;
pub mod queue;
pub mod queue_rows;
pub mod repeated_rows;
pub mod report;
pub mod row_plan;
pub mod sheet;
