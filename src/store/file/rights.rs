//! Which of the database's files a user may not write, and the room on its disk.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, accessat};

use crate::store::file::side_files::{beside, folder_of};

/// The files that a dialing process writes, by the endings of their names. A missing one is created.
const WRITTEN: [&str; 7] = ["", "-wal", "-shm", ".lock", ".seq", ".do-not-call", ".erased"];

/// A file or folder that a user may not write.
#[derive(Clone, Debug, PartialEq)]
pub struct Denied {
    pub path: PathBuf,
    /// Who may not write it.
    pub user: String,
    owner: String,
    mode: u32,
}

impl std::fmt::Display for Denied {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Denied { path, user, owner, mode } = self;
        let path = path.display();
        write!(f, "the user {user} may not write {path} (owner {owner}, mode {mode:o})")?;
        if owner == user {
            write!(f, "; run `chmod u+w {path}`")
        } else {
            write!(f, "; run `chown {user} {path}` as root")
        }
    }
}

/// What the user that dials may not write: the database, the files beside it and the folder. That
/// user is the one of this process. For root it is the owner of the database, or of its folder,
/// because a service of another user must be able to write every file.
pub fn denied(path: &Path) -> Vec<Denied> {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let ours = ours();
    denied_to(&path, if ours.0 == 0 { owner(&path).unwrap_or(ours) } else { ours })
}

/// The user and group of this process.
fn ours() -> (u32, u32) {
    (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
}

/// The owner of the database, else of its folder, who is not root.
fn owner(path: &Path) -> Option<(u32, u32)> {
    let owned = [path, folder_of(path)].into_iter().filter_map(|file| std::fs::metadata(file).ok());
    owned.map(|about| (about.uid(), about.gid())).find(|(user, _)| *user != 0)
}

fn denied_to(path: &Path, (user, group): (u32, u32)) -> Vec<Denied> {
    let me = ours().0;
    let folder = folder_of(path).to_path_buf();
    let files = WRITTEN.iter().map(|ending| beside(path, ending));
    let all = files.chain([folder]);
    all.filter_map(|file| {
        let about = std::fs::metadata(&file).ok()?;
        let may = if user == me {
            accessat(CWD, &file, wanted(&about), AtFlags::EACCESS).is_ok()
        } else {
            may_by_mode(&about, user, group)
        };
        (!may).then(|| Denied {
            user: name_of(user),
            owner: name_of(about.uid()),
            mode: about.mode() & 0o7777,
            path: file,
        })
    })
    .collect()
}

/// Less free space than this cannot hold the calls of a minute.
pub const NO_ROOM_BYTES: u64 = 1 << 20;

/// Why the user that dials cannot write the database now, in one line. `None`: it can, or there is
/// no file. That user owns the database; the one who asks may be somebody else.
pub fn unwritable(path: &Path) -> Option<String> {
    let path = path.canonicalize().ok()?;
    let dialer = owner(&path).unwrap_or_else(ours);
    if let Some(denied) = denied_to(&path, dialer).first() {
        return Some(denied.to_string());
    }
    let free = free_bytes(&path).filter(|free| *free < NO_ROOM_BYTES)?;
    Some(no_room(&path, free))
}

/// `the disk of /var/lib/ringonce has 12 KiB left; …`
pub fn no_room(path: &Path, free: u64) -> String {
    let folder = folder_of(path).display();
    format!(
        "the disk of {folder} has {} KiB left; when it is full, nothing is dialed: make room there",
        free / 1024
    )
}

fn wanted(about: &Metadata) -> Access {
    if about.is_dir() { Access::WRITE_OK | Access::EXEC_OK } else { Access::WRITE_OK }
}

fn may_by_mode(about: &Metadata, user: u32, group: u32) -> bool {
    let needed = if about.is_dir() { 0o3 } else { 0o2 };
    let shift = match about {
        _ if user == 0 => return true,
        about if about.uid() == user => 6,
        about if about.gid() == group => 3,
        _ => 0,
    };
    about.mode() >> shift & needed == needed
}

/// The name of a user in the password file, else the number.
fn name_of(user: u32) -> String {
    let names = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let is_theirs = |line: &&str| line.split(':').nth(2) == Some(user.to_string().as_str());
    let name = names.lines().find(is_theirs).and_then(|line| line.split(':').next());
    name.map_or_else(|| user.to_string(), str::to_string)
}

/// The free bytes on the disk of the database, as far as this user may use them. `None`: unknown.
pub fn free_bytes(path: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(folder_of(path)).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_mode_of_a_file_decides_for_owner_group_and_others() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        std::fs::write(&file, "").unwrap();
        let mut ours = (0, 0);
        let mut may = |mode, user: u32, group: u32| {
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
            let about = std::fs::metadata(&file).unwrap();
            ours = (about.uid(), about.gid());
            may_by_mode(&about, ours.0 + user, ours.1 + group)
        };
        assert!(may(0o020, 1, 0) && !may(0o600, 1, 0));
        assert!(may(0o002, 1, 1) && !may(0o660, 1, 1));
        assert!(may(0o002, 0, 0) || ours.0 != 0, "root may always");
    }
}
