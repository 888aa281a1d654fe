//! Configuration: flags win over the environment, the environment over `ringonce.toml`. Secrets
//! never come from the file.

pub mod address;
pub mod alerts;
pub mod assistants;
pub mod backup;
pub mod base_path;
pub mod error;
pub mod events;
pub mod file;
pub mod load;
pub mod only_numbers;
pub mod results;
pub mod retry;
pub mod secret;
pub mod settings;
pub mod timetable;
pub mod validate;
pub mod webhook;
