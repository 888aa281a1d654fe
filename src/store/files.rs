//! The database as a file on a disk: what lies beside it, who it belongs to, and whether it is still
//! the file that was opened.

mod identity;
mod inode_lock;
mod lock;
pub mod modes;
pub mod one_name;

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use anyhow::Context;

pub use identity::{Armed, FileId, Identity, machine_id};
pub use lock::{DialerLock, LockAnswer, LockedFiles, lock_holder};

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

/// What the system says about the file system that holds a file.
fn statfs(path: &Path) -> Option<libc::statfs> {
    let path = CString::new(path.as_os_str().as_bytes()).ok()?;
    // SAFETY: an all-zero `statfs` is a valid value; the path ends with a zero byte, and both live
    // through the call, which only writes into the struct.
    unsafe {
        let mut about: libc::statfs = std::mem::zeroed();
        (libc::statfs(path.as_ptr(), &raw mut about) == 0).then_some(about)
    }
}

/// The path as SQLite's own kind of address; every byte that could mean something is escaped.
pub fn uri(path: &Path) -> String {
    let mut text = String::from("file:");
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => {
                text.push(char::from(*byte));
            }
            byte => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
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
    fn a_path_with_any_letter_becomes_an_address_that_means_only_the_path() {
        assert_eq!(uri(Path::new("/a b/c?d#e%f.db")), "file:/a%20b/c%3Fd%23e%25f.db");
        assert_eq!(uri(Path::new("ä.db")), "file:%C3%A4.db");
    }
}
