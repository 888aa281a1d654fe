//! The file as a thing on a disk: its mode, its identity, and the lock beside it.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::domain::{Instant, instant_text};

/// What tells this file, here, from every copy of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub machine_id: String,
    /// Canonical path.
    pub path: String,
    /// `device:inode`.
    pub device_inode: String,
}

impl Identity {
    /// The identity of the file at `path` as it is now.
    pub fn of(path: &Path) -> anyhow::Result<Identity> {
        let canonical =
            path.canonicalize().with_context(|| format!("find the file {}", path.display()))?;
        let stat = std::fs::metadata(&canonical)
            .with_context(|| format!("look at the file {}", path.display()))?;
        Ok(Identity {
            machine_id: machine_id(),
            path: canonical.display().to_string(),
            device_inode: format!("{}:{}", stat.dev(), stat.ino()),
        })
    }
}

/// Whether a file could not be looked at because it is surely not there.
pub fn is_gone(error: &anyhow::Error) -> bool {
    io_kind(error)
        .is_some_and(|kind| matches!(kind, ErrorKind::NotFound | ErrorKind::NotADirectory))
}

/// What the system said, wherever it stands in the chain.
pub fn io_kind(error: &anyhow::Error) -> Option<ErrorKind> {
    error.chain().find_map(|cause| cause.downcast_ref::<std::io::Error>()).map(|e| e.kind())
}

/// Whether nobody on this machine may write the file, whoever he is. Never asked of a database that
/// this process has open: closing it here would drop SQLite's own locks.
pub fn is_on_a_read_only_disk(path: &Path) -> bool {
    let opened = OpenOptions::new().write(true).open(path);
    opened.is_err_and(|error| error.kind() == ErrorKind::ReadOnlyFilesystem)
}

/// The database and the two files that SQLite keeps beside it, as they were when it was opened.
/// SQLite itself puts none of them anew while a connection of ours is open: it removes the log and
/// its index only with the last connection to the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenFiles([Option<(u64, u64)>; 3]);

/// What the files are called, by the endings of their names.
const OPEN_FILES: [(&str, &str); 3] = [
    ("", "the database file"),
    ("-wal", "the database's write-ahead log"),
    ("-shm", "the index of the database's write-ahead log"),
];

impl OpenFiles {
    /// The files as they lie at the path now. Asks the path only: opening the database a second
    /// time, and closing it, would drop SQLite's own locks.
    pub fn of(path: &Path) -> OpenFiles {
        OpenFiles(OPEN_FILES.map(|(ending, _)| {
            let stat = std::fs::metadata(beside(path, ending)).ok()?;
            Some((stat.dev(), stat.ino()))
        }))
    }

    /// The first file that is missing or another one now, in words.
    pub fn changed(&self, path: &Path) -> Option<&'static str> {
        let now = OpenFiles::of(path);
        let same = |n: usize| self.0[n].is_some() && self.0[n] == now.0[n];
        (0..OPEN_FILES.len()).find(|n| !same(*n)).map(|n| OPEN_FILES[n].1)
    }
}

/// The machine's own id; the same text for every machine that has none.
pub(super) fn machine_id() -> String {
    ["/etc/machine-id", "/var/lib/dbus/machine-id"]
        .iter()
        .find_map(|path| std::fs::read_to_string(path).ok())
        .map(|id| id.trim().to_string())
        .filter(|id| !id.is_empty())
        .unwrap_or_else(|| "no machine id".to_string())
}

/// Creates an empty file of mode 0600; `None` when there is one already.
pub fn create_private(path: &Path) -> anyhow::Result<Option<File>> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(None),
        Err(error) => Err(error).with_context(|| format!("create {}", path.display())),
    }
}

/// Opens the file with this ending beside the database, of mode 0600, as `options` say; a new one
/// belongs to whom the database belongs to.
pub fn open_beside(path: &Path, ending: &str, options: &mut OpenOptions) -> anyhow::Result<File> {
    let file = options.create(true).mode(0o600).open(beside(path, ending))?;
    give_to_owner_of(path, &file)?;
    Ok(file)
}

/// Hands a file that root has made to whoever `place` belongs to, as SQLite does with its own: a
/// person works as root beside a service that runs as another user and must read all of it.
pub fn give_to_owner_of(place: &Path, made: &File) -> anyhow::Result<()> {
    let given = || -> std::io::Result<()> {
        let (theirs, ours) = (std::fs::metadata(place)?, made.metadata()?);
        if ours.uid() != 0 || (theirs.uid(), theirs.gid()) == (ours.uid(), ours.gid()) {
            return Ok(());
        }
        match fchown(made, Some(theirs.uid()), Some(theirs.gid())) {
            // A root that may not give files away works for nobody else either.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(()),
            given => given,
        }
    };
    given().with_context(|| format!("give a new file to the owner of {}", place.display()))
}

/// The folder that holds a file.
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// What a file lies on when its locks and syncs are another machine's or program's word: `None` for a
/// disk of this machine, and where it cannot be told. SQLite's write-ahead log needs both to be true.
pub fn foreign_filesystem(path: &Path) -> Option<String> {
    let device = std::fs::metadata(path).ok()?.dev();
    let device = format!("{}:{}", libc::major(device), libc::minor(device));
    foreign_of(&std::fs::read_to_string("/proc/self/mountinfo").ok()?, &device)
}

/// `proc(5)`: the third word is the device, and the type is the first word after a lone hyphen.
fn foreign_of(mounts: &str, device: &str) -> Option<String> {
    let of_device = |line: &&str| line.split(' ').nth(2) == Some(device);
    let (_, source) = mounts.lines().find(of_device)?.split_once(" - ")?;
    let kind = source.split(' ').next()?;
    let is_foreign = ["nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "fuse", "virtiofs"]
        .contains(&kind)
        || kind.starts_with("fuse.");
    is_foreign.then(|| kind.to_string())
}

/// Whether a write-ahead log with something in it lies beside the database.
pub fn has_log(path: &Path) -> bool {
    std::fs::metadata(beside(path, "-wal")).is_ok_and(|log| 0 < log.len())
}

/// `<db>.lock` and the like: the database's path with an ending.
pub fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// The right to dial: an exclusive kernel lock on `<db>.lock`. Only the death of the holder, or
/// letting go, frees it; time never does. Never on the database file itself: closing any handle
/// of that would drop SQLite's own locks.
pub struct DialerLock {
    _file: File,
}

/// The answer to asking for the dialer's lock.
pub enum LockAnswer {
    Mine(DialerLock),
    /// Somebody else dials. The text says who, as they wrote it down themselves.
    Taken(String),
}

impl DialerLock {
    pub fn take(path: &Path, now: Instant) -> anyhow::Result<LockAnswer> {
        DialerLock::take_after(path, now, || {})
    }

    /// `opened` is called between opening the lock file and locking it: for the test of what may
    /// happen there.
    fn take_after(
        path: &Path,
        now: Instant,
        mut opened: impl FnMut(),
    ) -> anyhow::Result<LockAnswer> {
        let lock_path = beside(path, ".lock");
        loop {
            let mut file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(&lock_path)
                .with_context(|| format!("open the lock file {}", lock_path.display()))?;
            give_to_owner_of(folder_of(path), &file)?;
            opened();
            match file.try_lock() {
                Ok(()) => {}
                Err(std::fs::TryLockError::WouldBlock) => {
                    let mut holder = String::new();
                    file.read_to_string(&mut holder).context("read who holds the lock")?;
                    return Ok(LockAnswer::Taken(holder.trim().to_string()));
                }
                Err(std::fs::TryLockError::Error(error)) => {
                    return Err(error).context("lock the dialer's lock file");
                }
            }
            // Somebody may have deleted the file between our open and our lock; a lock on a
            // deleted file excludes nobody.
            let ours = file.metadata().context("look at the lock file")?;
            match std::fs::metadata(&lock_path) {
                Ok(there) if (there.dev(), there.ino()) == (ours.dev(), ours.ino()) => {
                    write_holder(&mut file, now)?;
                    return Ok(LockAnswer::Mine(DialerLock { _file: file }));
                }
                _ => continue,
            }
        }
    }
}

/// Who holds the dialer's lock, as they wrote it down themselves; `None` when nobody does. Takes no
/// lock, not even for a moment: that would turn a dialer away that starts just then.
pub fn lock_holder(path: &Path) -> Option<String> {
    let lock_path = beside(path, ".lock");
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

fn write_holder(file: &mut File, now: Instant) -> anyhow::Result<()> {
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

    #[test]
    fn a_file_system_whose_locks_and_syncs_are_somebody_elses_is_named() {
        let mounts = "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n\
                      31 27 0:44 / /srv rw shared:5 - nfs4 host.example.com:/srv rw\n\
                      32 27 0:45 / /mnt rw - fuse.sshfs host.example.com: rw\n\
                      33 27 0:46 / /fuse.d rw - tmpfs fuse rw\n";
        for (device, kind) in [
            ("254:0", None),
            ("0:44", Some("nfs4")),
            ("0:45", Some("fuse.sshfs")),
            ("0:46", None),
            ("0:4", None),
        ] {
            assert_eq!(foreign_of(mounts, device).as_deref(), kind, "{device}");
        }
        let here = foreign_filesystem(Path::new("/proc/self/stat"));
        assert_eq!(here, None, "what the kernel itself shows is nobody else's word");
    }

    #[test]
    fn a_lock_file_that_was_deleted_before_it_was_locked_is_opened_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ringonce.db");
        let lock_path = beside(&path, ".lock");
        let now = crate::domain::parse_instant("2026-03-02T08:00:00Z").unwrap();
        for replaced in [false, true] {
            let mut times = 0;
            let lock = DialerLock::take_after(&path, now, || {
                times += 1;
                if times == 1 {
                    std::fs::remove_file(&lock_path).unwrap();
                    if replaced {
                        // Made before the old one's inode is free, so it is another one.
                        File::create(&lock_path).unwrap();
                    }
                }
            });
            let LockAnswer::Mine(_lock) = lock.unwrap() else { panic!("nobody else asks") };
            assert_eq!(times, 2, "replaced {replaced}");
            // Whoever asks now finds it taken.
            let second = DialerLock::take(&path, now).unwrap();
            assert!(matches!(second, LockAnswer::Taken(_)), "replaced {replaced}");
        }
    }
}
