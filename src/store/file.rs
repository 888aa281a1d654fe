//! The database as a file on a disk: connections, identity, lock, side files, copies.

pub mod archive;
pub mod backup;
pub(crate) mod connections;
pub mod identity;
pub mod last_seq;
pub mod lock;
pub mod lost_database;
pub mod memory_copy;
pub mod modes;
pub mod one_name;
pub(crate) mod overwrite_watch;
pub(crate) mod readers;
pub mod restore;
pub mod rights;
pub mod side_files;
pub mod snapshot;
pub mod verify;
