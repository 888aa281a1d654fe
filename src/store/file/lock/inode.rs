//! A lock on the database's own inode: one database under two names still has one dialer.
//!
//! The lock belongs to an open file description (`F_OFD_SETLK`), not to the process. So neither
//! SQLite nor a child process can release it by closing a descriptor. The danger is the reverse:
//! when this process closes any descriptor of the database, the kernel drops the locks that SQLite
//! holds on it. So this module opens the descriptor once per process and inode. It keeps the
//! descriptor open until the process ends, also after the lock was released. It closes only the
//! descriptor of a file that no longer has a name.

use std::fs::{File, Metadata, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard};

use anyhow::Context;

/// The one locked byte, far behind the 512 bytes that SQLite locks from 2^30 on.
const LOCKED_BYTE: i64 = 1 << 62;

/// Device and inode.
pub(crate) type Key = (u64, u64);

struct HeldLock {
    file: File,
    key: Key,
    is_held: bool,
}

/// Every database that this process holds or has held the lock of.
static KEPT: Mutex<Vec<HeldLock>> = Mutex::new(Vec::new());

/// The held lock. Dropping it releases the lock; so does the end of the process.
pub(crate) struct InodeLock {
    pub key: Key,
}

impl InodeLock {
    /// Locks the file at the path; `None`: another holder has locked it.
    pub fn take(path: &Path) -> anyhow::Result<Option<InodeLock>> {
        let key = key_of(&std::fs::metadata(path).with_context(|| cannot(path))?);
        let mut kept = kept();
        kept.retain(|kept| kept.is_held || kept.has_a_name());
        let at = match kept.iter().position(|kept| kept.key == key) {
            Some(at) => at,
            None => {
                let file = OpenOptions::new().read(true).write(true).open(path);
                let file = file.with_context(|| cannot(path))?;
                // Another file may have appeared at the path since its metadata was read, even one
                // that is already in `KEPT`.
                let key = key_of(&file.metadata().with_context(|| cannot(path))?);
                kept.push(HeldLock { file, key, is_held: false });
                kept.iter().position(|kept| kept.key == key).expect("it was just added")
            }
        };
        let kept = &mut kept[at];
        if kept.is_held || !set(&kept.file, libc::F_WRLCK).with_context(|| cannot(path))? {
            return Ok(None);
        }
        kept.is_held = true;
        Ok(Some(InodeLock { key: kept.key }))
    }
}

impl Drop for InodeLock {
    fn drop(&mut self) {
        let mut kept = kept();
        if let Some(kept) = kept.iter_mut().find(|kept| kept.key == self.key) {
            kept.is_held = false;
            if let Err(error) = set(&kept.file, libc::F_UNLCK) {
                log::error!("the lock of the database could not be released: {error}");
            }
        }
    }
}

impl HeldLock {
    fn has_a_name(&self) -> bool {
        self.file.metadata().is_ok_and(|about| about.nlink() > 0)
    }
}

pub(crate) fn key_of(about: &Metadata) -> Key {
    (about.dev(), about.ino())
}

fn cannot(path: &Path) -> String {
    format!("lock the database {} for one dialer", path.display())
}

fn kept() -> MutexGuard<'static, Vec<HeldLock>> {
    KEPT.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Sets or releases the lock; `false`: another holder has it.
fn set(file: &File, kind: libc::c_int) -> std::io::Result<bool> {
    // SAFETY: an all-zero `flock` is a valid value, and the kernel requires `l_pid` to be zero. The
    // struct and the descriptor outlive the call.
    let failed = unsafe {
        let mut wanted: libc::flock = std::mem::zeroed();
        wanted.l_type = kind as libc::c_short;
        wanted.l_whence = libc::SEEK_SET as libc::c_short;
        wanted.l_start = LOCKED_BYTE;
        wanted.l_len = 1;
        libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const wanted)
    };
    if failed == 0 {
        return Ok(true);
    }
    let error = std::io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EAGAIN | libc::EACCES) => Ok(false),
        _ => Err(error),
    }
}

/// The holder of the lock on the database's inode, in words; `None`: it is free. Takes no lock and
/// opens nothing.
pub(crate) fn holder(path: &Path) -> Option<String> {
    let about = std::fs::metadata(path).ok()?;
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    locks.lines().any(|line| is_ours(line, about.ino())).then(|| named_holder(key_of(&about)))
}

/// The holder of the inode's lock, as far as this process can see other processes.
pub(crate) fn named_holder(key: Key) -> String {
    let seen = std::fs::read_dir("/proc").into_iter().flatten().flatten().find_map(|process| {
        let pid: u32 = process.file_name().to_str()?.parse().ok()?;
        let name = name_in(pid, key)?;
        Some(format!("pid {pid}, which opened the same file as {name}"))
    });
    seen.unwrap_or_else(|| {
        "a process that cannot be seen from here (of another user or container), which opened the \
         same file by another name"
            .to_string()
    })
}

/// The name by which a process opened the file that it has locked.
fn name_in(pid: u32, key: Key) -> Option<String> {
    let opened = std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?.flatten();
    opened.into_iter().find_map(|entry| {
        let about = std::fs::metadata(entry.path()).ok().filter(|about| key_of(about) == key)?;
        let number = entry.file_name();
        let told = format!("/proc/{pid}/fdinfo/{}", number.to_str()?);
        let locks = std::fs::read_to_string(told).ok()?;
        locks.lines().find(|line| is_ours(line, about.ino()))?;
        Some(std::fs::read_link(entry.path()).ok()?.display().to_string())
    })
}

/// Whether a line of `/proc/locks` or of `fdinfo` is the lock of a dialer on this inode:
/// `1: OFDLCK ADVISORY WRITE -1 fe:00:1234 START END`.
fn is_ours(line: &str, inode: u64) -> bool {
    let (inode, byte) = (format!(":{inode}"), LOCKED_BYTE.to_string());
    let mut words = line.split_whitespace();
    words.any(|word| word == "OFDLCK")
        && words.any(|word| word.ends_with(&inode))
        && words.next() == Some(&byte)
}
