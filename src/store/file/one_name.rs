//! Whether a database has only one name. SQLite keeps the WAL beside the name that was opened. Two
//! names of one file therefore mean two WALs, and two dialers that do not see each other's calls.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::store::error::StoreError;
use crate::store::file::side_files::folder_of;

/// Why the database at `path` must not be opened for writing; `None`: it may be opened.
pub fn refusal(path: &Path) -> Option<StoreError> {
    let path = path.canonicalize().ok()?;
    let about = std::fs::metadata(&path).ok()?;
    if about.nlink() > 1 {
        return Some(StoreError::HardLinks { names: about.nlink(), path });
    }
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let is_alone = is_mount_point(&mounts, &path) || is_on_another_device(&path, about.dev());
    is_alone.then_some(StoreError::MountedAlone(path))
}

/// The number of other names of the file, as the file system counts them.
pub fn other_names(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |about| about.nlink().saturating_sub(1))
}

/// `proc(5)`: the fifth word is the mount point. A blank, tab, newline or backslash in it is
/// written as three octal digits.
fn is_mount_point(mounts: &str, path: &Path) -> bool {
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(4));
    points.into_iter().any(|point| unescaped(point) == path.as_os_str().as_bytes())
}

fn unescaped(word: &str) -> Vec<u8> {
    let mut parts = word.split('\\');
    let mut text = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        match part.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                text.push(byte);
                text.extend_from_slice(&part.as_bytes()[3..]);
            }
            None => text.extend_from_slice(part.as_bytes()),
        }
    }
    text
}

/// Detects a file that was mounted alone where the mounts cannot be read: its device may differ
/// from its folder's. On an overlay, files have other devices than folders, so an overlay does not
/// count.
fn is_on_another_device(path: &Path, device: u64) -> bool {
    let folder = folder_of(path);
    std::fs::metadata(folder).is_ok_and(|about| about.dev() != device)
        && !(is_overlay(path) && is_overlay(folder))
}

fn is_overlay(path: &Path) -> bool {
    rustix::fs::statfs(path).is_ok_and(|about| about.f_type == libc::OVERLAYFS_SUPER_MAGIC)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_point_is_found_whatever_its_name_holds() {
        let mounts = "27 1 254:0 / / rw - ext4 /dev/vda rw\n\
                      31 27 254:0 /a.db /srv/my\\040calls/ringonce.db rw - ext4 /dev/vda rw\n\
                      32 27 254:0 /b.db /srv/back\\134slash.db rw - ext4 /dev/vda rw\n\
                      33 27 0:44 / /srv rw shared:5 - nfs4 host.example.com:/srv rw\n";
        for (path, is_one) in [
            ("/srv/my calls/ringonce.db", true),
            ("/srv/back\\slash.db", true),
            ("/srv", true),
            ("/srv/my calls", false),
            ("/srv/ringonce.db", false),
        ] {
            assert_eq!(is_mount_point(mounts, Path::new(path)), is_one, "{path}");
        }
    }

    #[test]
    fn a_file_with_one_name_is_not_refused_and_one_with_two_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        std::fs::write(&path, "").unwrap();
        assert!(refusal(&path).is_none());
        let link = folder.path().join("link.db");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(refusal(&link).is_none(), "a symbolic link leads to the one name");
        std::fs::remove_file(&link).unwrap();
        std::fs::hard_link(&path, &link).unwrap();
        for name in [&path, &link] {
            let refused = refusal(name).expect("two names").to_string();
            assert!(refused.contains("2 names"), "{refused}");
        }
        // The kernel's own files are on the same device as their folder.
        assert!(!is_on_another_device(Path::new("/proc/self/stat"), {
            std::fs::metadata("/proc/self/stat").unwrap().dev()
        }));
        assert!(is_on_another_device(&path, u64::MAX));
    }
}
