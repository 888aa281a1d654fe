//! The files beside the database, their owner, and whether the database is still the file that was
//! opened.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use anyhow::Context;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use rustix::fs::{major, minor};

/// Slashes stay, because they separate the folders of the path.
const ESCAPED_IN_A_URI: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_');

/// Whether no user of this machine may write the file. Never call this for a database that this
/// process has open: closing the file here would drop SQLite's own locks.
pub fn is_on_a_read_only_disk(path: &Path) -> bool {
    let opened = OpenOptions::new().write(true).open(path);
    opened.is_err_and(|error| error.kind() == ErrorKind::ReadOnlyFilesystem)
}

/// The database and the two files that SQLite keeps beside it, as they were when it was opened.
/// While a connection of ours is open, SQLite does not replace any of them. It removes the WAL and
/// its index only with the last connection to the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenFiles([Option<(u64, u64)>; 3]);

/// The words for these files, by the endings of their names.
const OPEN_FILES: [(&str, &str); 3] = [
    ("", "the database file"),
    ("-wal", "the database's write-ahead log"),
    ("-shm", "the index of the database's write-ahead log"),
];

impl OpenFiles {
    /// The files that lie at the path now. Reads only metadata: opening the database a second time,
    /// and closing it, would drop SQLite's own locks.
    pub fn of(path: &Path) -> OpenFiles {
        OpenFiles(OPEN_FILES.map(|(ending, _)| {
            let stat = std::fs::metadata(beside(path, ending)).ok()?;
            Some((stat.dev(), stat.ino()))
        }))
    }

    /// The first file that is missing or replaced now, in words.
    pub fn changed(&self, path: &Path) -> Option<&'static str> {
        let now = OpenFiles::of(path);
        let same = |n: usize| self.0[n].is_some() && self.0[n] == now.0[n];
        (0..OPEN_FILES.len()).find(|n| !same(*n)).map(|n| OPEN_FILES[n].1)
    }
}

/// Creates an empty file of mode 0600; `None` if one exists already.
pub fn create_private(path: &Path) -> anyhow::Result<Option<File>> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(None),
        Err(error) => Err(error).with_context(|| format!("create {}", path.display())),
    }
}

/// Opens the file with this ending beside the database, with `options` and mode 0600. A new file
/// gets the owner of the database.
pub fn open_beside(path: &Path, ending: &str, options: &mut OpenOptions) -> anyhow::Result<File> {
    let file = options.create(true).mode(0o600).open(beside(path, ending))?;
    give_to_owner_of(path, &file)?;
    Ok(file)
}

/// Gives a file that root has made to the owner of `place`, as SQLite does with its own files. A
/// person may work as root beside a service of another user, and the service must read all files.
pub fn give_to_owner_of(place: &Path, made: &File) -> anyhow::Result<()> {
    let given = || -> std::io::Result<()> {
        let (theirs, ours) = (std::fs::metadata(place)?, made.metadata()?);
        if ours.uid() != 0 || (theirs.uid(), theirs.gid()) == (ours.uid(), ours.gid()) {
            return Ok(());
        }
        match fchown(made, Some(theirs.uid()), Some(theirs.gid())) {
            // A root user that may not change owners runs no service for another user either.
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

/// The network or user-space file system of a file, whose locks and syncs depend on another machine
/// or program. `None`: a disk of this machine, or unknown. SQLite's WAL needs reliable locks and
/// syncs.
pub fn foreign_filesystem(path: &Path) -> Option<String> {
    let device = std::fs::metadata(path).ok()?.dev();
    let device = format!("{}:{}", major(device), minor(device));
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

/// The path as a `file:` URI for SQLite, with every special byte escaped.
pub fn uri(path: &Path) -> String {
    format!("file:{}", percent_encode(path.as_os_str().as_bytes(), ESCAPED_IN_A_URI))
}

/// Whether a WAL that is not empty lies beside the database.
pub fn has_log(path: &Path) -> bool {
    std::fs::metadata(beside(path, "-wal")).is_ok_and(|log| log.len() > 0)
}

/// The database's path with an ending, for example `<db>.lock`.
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
