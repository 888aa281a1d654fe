//! The dialer's lock consists of two locks. One is an exclusive kernel lock on `<db>.lock`, a file
//! that names the holder. The other is on the database's inode and counts under every name. Both
//! end when the holder releases them or its process ends. They never expire.

pub(crate) mod inode;

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use anyhow::Context;

use crate::domain::{Instant, instant_text};
use crate::store::error::of_side_file;
use crate::store::file::lock::inode::{InodeLock, Key, key_of};
use crate::store::file::side_files::{beside, folder_of, give_to_owner_of};

/// The ending of the lock file's name.
pub const LOCK_FILE: &str = ".lock";

/// Both locks, held. The inode's lock is released first, so a process that gets the lock file finds
/// the inode free.
pub struct DialerLock {
    inode: InodeLock,
    lock_file: LockFile,
}

struct LockFile {
    file: File,
    key: Key,
}

/// The answer to asking for the dialer's lock.
pub enum LockAnswer {
    Mine(DialerLock),
    /// Another process dials. The text names it, as far as it is known.
    Taken(String),
}

/// The two files that are locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockedFiles {
    lock_file: Key,
    database: Key,
}

impl DialerLock {
    pub fn take(path: &Path, now: Instant) -> anyhow::Result<LockAnswer> {
        DialerLock::take_after(path, now, || {})
    }

    /// Calls `opened` between opening and locking the lock file, so that a test can interfere
    /// there.
    fn take_after(path: &Path, now: Instant, opened: impl FnMut()) -> anyhow::Result<LockAnswer> {
        let lock_file = match LockFile::take(path, opened)? {
            Ok(lock_file) => lock_file,
            Err(holder) => return Ok(LockAnswer::Taken(holder)),
        };
        let Some(inode) = InodeLock::take(path)? else {
            return Ok(LockAnswer::Taken(under_another_name(path)?));
        };
        write_holder(&lock_file.file, now)?;
        Ok(LockAnswer::Mine(DialerLock { inode, lock_file }))
    }

    /// The locked files, to be compared later with the files at the path.
    pub fn files(&self) -> LockedFiles {
        LockedFiles { lock_file: self.lock_file.key, database: self.inode.key }
    }
}

impl LockFile {
    /// Locks the file, or returns the holder's own text.
    fn take(path: &Path, mut opened: impl FnMut()) -> anyhow::Result<Result<LockFile, String>> {
        let lock_path = beside(path, LOCK_FILE);
        loop {
            let mut file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(&lock_path)
                .with_context(|| format!("open the lock file {}", lock_path.display()))
                .map_err(|error| of_side_file(error, path))?;
            give_to_owner_of(folder_of(path), &file)?;
            opened();
            match file.try_lock() {
                Ok(()) => {}
                Err(std::fs::TryLockError::WouldBlock) => {
                    let mut holder = String::new();
                    file.read_to_string(&mut holder).context("read who holds the lock")?;
                    return Ok(Err(holder.trim().to_string()));
                }
                Err(std::fs::TryLockError::Error(error)) => {
                    return Err(error).context("lock the dialer's lock file");
                }
            }
            // Another process may have deleted the file between our open and our lock. A lock on a
            // deleted file excludes nobody.
            let ours = file.metadata().context("look at the lock file")?;
            match std::fs::metadata(&lock_path) {
                Ok(there) if (there.dev(), there.ino()) == (ours.dev(), ours.ino()) => {}
                _ => continue,
            }
            return Ok(Ok(LockFile { key: key_of(&ours), file }));
        }
    }
}

/// The dialer's locks of a place, held while the database there is exchanged. There may be none
/// yet.
pub struct PlaceLock {
    _inode: Option<InodeLock>,
    _lock_file: LockFile,
}

impl PlaceLock {
    /// Takes the locks, or returns who dials from the place.
    pub fn take(path: &Path, now: Instant) -> anyhow::Result<Result<PlaceLock, String>> {
        let lock_file = match LockFile::take(path, || {})? {
            Ok(lock_file) => lock_file,
            Err(holder) => return Ok(Err(holder)),
        };
        let inode = match path.try_exists()? {
            false => None,
            true => match InodeLock::take(path)? {
                Some(inode) => Some(inode),
                None => return Ok(Err(under_another_name(path)?)),
            },
        };
        write_holder(&lock_file.file, now)?;
        Ok(Ok(PlaceLock { _inode: inode, _lock_file: lock_file }))
    }
}

impl Drop for LockFile {
    /// Releases the lock at once. Closing alone waits for the last copy of the descriptor, and a
    /// child process that is just starting has a copy for a moment.
    fn drop(&mut self) {
        // Closing the file also releases the lock.
        let _ = self.file.unlock();
    }
}

impl LockedFiles {
    /// The first locked file that is no longer the file at the path, in words.
    pub fn changed(&self, path: &Path) -> Option<&'static str> {
        let differs = |ending: &str, locked: Key| {
            !std::fs::metadata(beside(path, ending)).is_ok_and(|about| key_of(&about) == locked)
        };
        if differs("", self.database) {
            return Some("the database file");
        }
        differs(LOCK_FILE, self.lock_file).then_some("the dialer's lock file")
    }
}

/// The holder of the inode's lock, and the action that a person must take.
fn under_another_name(path: &Path) -> anyhow::Result<String> {
    let about = std::fs::metadata(path).context("look at the database")?;
    let holder = inode::named_holder(key_of(&about));
    Ok(format!("{holder}; stop it, then give the database one name for every process"))
}

/// The holder of the dialer's lock; `None` if it is free. Takes no lock, not even for a moment: a
/// dialer that starts at that moment would be refused.
pub fn lock_holder(path: &Path) -> Option<String> {
    holder_of_lock_file(path).or_else(|| inode::holder(path))
}

/// The holder's own text in the lock file.
fn holder_of_lock_file(path: &Path) -> Option<String> {
    let lock_path = beside(path, LOCK_FILE);
    let stat = std::fs::metadata(&lock_path).ok()?;
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    let inode = format!(":{}", stat.ino());
    let is_held = locks.lines().any(|line| {
        let mut words = line.split_whitespace();
        words.any(|word| word == "FLOCK") && words.any(|word| word.ends_with(&inode))
    });
    let holder = std::fs::read_to_string(&lock_path).unwrap_or_default();
    is_held.then(|| holder.trim().to_string())
}

fn write_holder(mut file: &File, now: Instant) -> anyhow::Result<()> {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let text =
        format!("pid {} on {}, since {}\n", std::process::id(), host.trim(), instant_text(now));
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| file.write_all(text.as_bytes()))
        .context("write who holds the lock")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::parse_instant;
    use crate::store::Store;

    fn now() -> Instant {
        parse_instant("2026-03-02T08:00:00Z").unwrap()
    }

    fn mine(answer: LockAnswer) -> DialerLock {
        match answer {
            LockAnswer::Mine(lock) => lock,
            LockAnswer::Taken(holder) => panic!("held by {holder}"),
        }
    }

    #[test]
    fn a_lock_file_that_was_deleted_before_it_was_locked_is_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ringonce.db");
        File::create(&path).unwrap();
        let lock_path = beside(&path, ".lock");
        for replaced in [false, true] {
            let mut times = 0;
            let lock = DialerLock::take_after(&path, now(), || {
                times += 1;
                if times == 1 {
                    std::fs::remove_file(&lock_path).unwrap();
                    if replaced {
                        // Created before the old inode is free, so its inode is a different one.
                        File::create(&lock_path).unwrap();
                    }
                }
            });
            let _lock = mine(lock.unwrap());
            assert_eq!(times, 2, "replaced {replaced}");
            // A second caller finds the lock taken.
            let second = DialerLock::take(&path, now()).unwrap();
            assert!(matches!(second, LockAnswer::Taken(_)), "replaced {replaced}");
        }
    }

    #[test]
    fn a_lock_counts_under_every_name_of_the_file_and_can_be_taken_again_after_it_was_released() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("ringonce.db"), folder.path().join("link.db"));
        File::create(&path).unwrap();
        std::fs::hard_link(&path, &link).unwrap();
        for _ in 0..3 {
            let lock = mine(DialerLock::take(&path, now()).unwrap());
            let LockAnswer::Taken(holder) = DialerLock::take(&link, now()).unwrap() else {
                panic!("a second dialer under another name");
            };
            let me = format!("pid {}, which opened the same file as ", std::process::id());
            assert!(holder.starts_with(&me) && holder.contains("ringonce.db"), "{holder}");
            assert!(lock_holder(&link).is_some_and(|holder| holder.starts_with(&me)));
            drop(lock);
            assert_eq!((lock_holder(&link), lock_holder(&path)), (None, None));
            drop(mine(DialerLock::take(&link, now()).unwrap()));
        }
    }

    #[test]
    fn taking_and_releasing_the_lock_leaves_the_locks_of_sqlite_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ringonce.db");
        let store = Store::open(&path, now()).unwrap();
        let inode = format!(":{}", std::fs::metadata(&path).unwrap().ino());
        let locks_of_sqlite = || {
            let locks = std::fs::read_to_string("/proc/locks").unwrap();
            locks.lines().filter(|line| line.contains("POSIX") && line.contains(&inode)).count()
        };
        let before = locks_of_sqlite();
        assert!(before > 0, "the test is blind");
        for _ in 0..2 {
            let lock = mine(DialerLock::take(&path, now()).unwrap());
            assert_eq!(locks_of_sqlite(), before);
            drop(lock);
            assert_eq!(locks_of_sqlite(), before);
        }
        drop(store);
    }
}
