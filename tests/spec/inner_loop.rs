//! What keeps the tests short for a person at work. `scripts/check` sets `FULL_TESTS`, and then
//! every test has its full size and its files lie on the disk.

use std::path::Path;

use tempfile::TempDir;

pub fn is_full() -> bool {
    std::env::var_os("FULL_TESTS").is_some_and(|value| !value.is_empty())
}

/// The smaller size must still show what the test is about.
pub fn sized<T>(small: T, full: T) -> T {
    if is_full() { full } else { small }
}

/// A folder for a database. It is in memory where the machine offers that, because a world on a
/// disk waits for the disk most of its time.
pub fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let in_memory = if is_full() { None } else { tempfile::tempdir_in(memory).ok() };
    in_memory.unwrap_or_else(|| tempfile::tempdir().expect("a temporary folder"))
}
