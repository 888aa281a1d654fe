//! Which other users may read or replace the database and the files beside it.

use std::fs::{File, OpenOptions, Permissions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::store::file::side_files::{beside, folder_of};

/// The database and every file that ringonce or SQLite keeps beside it, by the endings of their
/// names.
const PRIVATE: [&str; 7] = ["", "-wal", "-shm", ".lock", ".seq", ".do-not-call", ".erased"];
/// Readable and writable by the owner alone.
const PRIVATE_MODE: u32 = 0o600;

/// The database's files that the group or others may read or write.
pub fn open_to_others(path: &Path) -> Vec<PathBuf> {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let files = PRIVATE.iter().map(|ending| beside(&path, ending));
    files.filter(|file| std::fs::metadata(file).is_ok_and(|about| is_open(about.mode()))).collect()
}

/// Makes the database and its side files private, and reports it once. Call this only for a file
/// that is known to be a ringonce database.
pub fn tighten_and_warn(path: &Path) {
    let tightened: Vec<String> =
        tighten(path).iter().map(|file| file.display().to_string()).collect();
    if !tightened.is_empty() {
        let names = tightened.join(", ");
        log::warn!("other users could read or write {names}; the mode is 0600 now");
    }
}

/// Makes open files private and returns those that are private now. `check` reports the files whose
/// mode could not be changed.
fn tighten(path: &Path) -> Vec<PathBuf> {
    let open = open_to_others(path);
    open.into_iter().filter(|file| make_private(file).is_ok()).collect()
}

fn is_open(mode: u32) -> bool {
    mode & 0o077 != 0
}

/// Follows no link and skips a file with a second name. In a folder of another user, root would
/// otherwise change any file that this user links there. Closing an `O_PATH` descriptor does not
/// drop SQLite's locks.
fn make_private(path: &Path) -> std::io::Result<()> {
    let flags = libc::O_PATH | libc::O_NOFOLLOW;
    let file: File = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let about = file.metadata()?;
    if !about.is_file() || about.nlink() != 1 {
        return Err(std::io::Error::other("it is a link, or not a regular file"));
    }
    let itself = format!("/proc/self/fd/{}", file.as_raw_fd());
    std::fs::set_permissions(itself, Permissions::from_mode(PRIVATE_MODE))
}

/// A folder at or above the database that everybody may write to.
#[derive(Debug, PartialEq)]
pub struct OpenFolder {
    pub path: PathBuf,
    /// Others may add files, but not replace existing ones.
    pub is_sticky: bool,
}

/// The folder of the database, or one above it, in which everybody may replace files. If there is
/// none: the folder of the database, if everybody may add files to it.
pub fn open_folder(path: &Path) -> Option<OpenFolder> {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let holding = folder_of(&path).canonicalize().ok()?;
    let open = holding.ancestors().filter_map(|folder| {
        let mode = std::fs::metadata(folder).ok()?.mode();
        let is_sticky = mode & 0o1000 != 0;
        (mode & 0o002 != 0).then(|| OpenFolder { path: folder.to_path_buf(), is_sticky })
    });
    let mut open: Vec<OpenFolder> =
        open.filter(|folder| !folder.is_sticky || folder.path == holding).collect();
    open.sort_by_key(|folder| folder.is_sticky);
    open.into_iter().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(path: &Path, mode: u32) {
        std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn a_link_beside_the_database_is_never_followed_to_tighten_what_it_leads_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let victims = ["symbolic", "hard"].map(|name| folder.path().join(name));
        for file in [&path, &victims[0], &victims[1]] {
            std::fs::write(file, "").unwrap();
            set(file, 0o644);
        }
        std::os::unix::fs::symlink(&victims[0], folder.path().join("a.db.seq")).unwrap();
        std::fs::hard_link(&victims[1], folder.path().join("a.db.erased")).unwrap();
        let tightened = tighten(&path);
        assert_eq!(mode(&path), 0o600);
        assert_eq!([mode(&victims[0]), mode(&victims[1])], [0o644; 2]);
        assert_eq!(tightened, std::slice::from_ref(&path));
        assert_eq!(open_to_others(&path).len(), 2, "check reports them");
    }

    #[test]
    fn a_folder_that_everybody_may_write_to_is_found_also_above_the_database() {
        let top = tempfile::tempdir().unwrap();
        let folder = top.path().join("deep");
        std::fs::create_dir(&folder).unwrap();
        set(&folder, 0o755);
        let path = folder.join("a.db");
        assert_eq!(open_folder(&path), None);
        set(&folder, 0o1777);
        let found = open_folder(&path).unwrap();
        assert_eq!((&found.path, found.is_sticky), (&folder.canonicalize().unwrap(), true));
        set(top.path(), 0o777);
        let found = open_folder(&path).unwrap();
        assert_eq!((found.path, found.is_sticky), (top.path().canonicalize().unwrap(), false));
        set(&folder, 0o700);
        assert!(open_folder(&path).is_some(), "the folder itself can be replaced");
    }
}
