//! The identity that distinguishes this file, here, from every copy of it. It survives a restart of
//! the machine that changes the device numbers of the disks.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::UNIX_EPOCH;

use anyhow::Context;
use chrono::{DateTime, SecondsFormat};

/// A file as it is here now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub machine_id: String,
    /// Canonical path.
    pub path: String,
    pub file: FileId,
}

/// The place and the file that a database is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Armed {
    pub machine_id: String,
    pub path: String,
    /// [`FileId::text`], or `device:inode`, which earlier versions wrote.
    pub file: String,
}

/// The properties that identify a file besides its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileId {
    pub inode: u64,
    /// Compared only with `device:inode`: a restart may change it.
    pub device: u64,
    /// When the file was created, in nanoseconds since 1970; `None`: its file system does not
    /// record it.
    pub born: Option<i64>,
    /// The file system's own id. Stored only where `born` is unknown.
    pub file_system: u64,
}

impl Identity {
    /// The identity of the file at `path` as it is now.
    pub fn of(path: &Path) -> anyhow::Result<Identity> {
        let canonical =
            path.canonicalize().with_context(|| format!("find the file {}", path.display()))?;
        let about = std::fs::metadata(&canonical)
            .with_context(|| format!("look at the file {}", path.display()))?;
        let file = FileId {
            inode: about.ino(),
            device: about.dev(),
            born: born(&about),
            file_system: file_system(&canonical),
        };
        Ok(Identity { machine_id: machine_id(), path: canonical.display().to_string(), file })
    }

    /// The identity to store in a database to arm it here.
    pub fn armed(&self) -> Armed {
        let (machine_id, path) = (self.machine_id.clone(), self.path.clone());
        Armed { machine_id, path, file: self.file.text() }
    }
}

impl FileId {
    /// The stored form: the inode, and a second value, because another file system or a later file
    /// may have the same inode.
    pub fn text(&self) -> String {
        match self.born {
            Some(born) => format!("inode={} born={born}", self.inode),
            None => format!("inode={} fsid={:x}", self.inode, self.file_system),
        }
    }

    /// The properties by which this file is recognized, in words.
    pub fn recognized_by(&self) -> &'static str {
        match self.born {
            Some(_) => "inode and creation time",
            None => "inode and file system id, because this file system keeps no creation time",
        }
    }

    /// The difference from the armed file, in words; `None`: this is the armed file.
    pub fn differs_from(&self, armed: &str) -> Option<String> {
        let inode_differs = |armed: u64| {
            (self.inode != armed).then(|| format!("its inode is {} instead of {armed}", self.inode))
        };
        match Stored::parse(armed) {
            Stored::Born { inode, born } if self.born == Some(born) => inode_differs(inode),
            Stored::Born { born, .. } => Some(match self.born {
                Some(here) => {
                    format!("it was created at {} instead of {}", time(here), time(born))
                }
                None => format!(
                    "its file system does not say when it was created; the armed file was created \
                     at {}",
                    time(born)
                ),
            }),
            Stored::FileSystem { inode, id } if self.file_system == id => inode_differs(inode),
            Stored::FileSystem { id, .. } => {
                Some(format!("it is on file system {:x} instead of {id:x}", self.file_system))
            }
            Stored::Device { device, inode } => {
                let (device_here, inode_here) = (self.device, self.inode);
                let differs = (device_here, inode_here) != (device, inode);
                differs.then(|| {
                    format!(
                        "its device and inode are {device_here}:{inode_here} instead of \
                         {device}:{inode}"
                    )
                })
            }
            Stored::Nothing => Some("it was made as a copy".to_string()),
        }
    }
}

/// The identity that a database stores of its file.
enum Stored {
    Born {
        inode: u64,
        born: i64,
    },
    FileSystem {
        inode: u64,
        id: u64,
    },
    /// The form of an earlier version.
    Device {
        device: u64,
        inode: u64,
    },
    /// No file: the mark of a copy, or a text that a later version wrote.
    Nothing,
}

impl Stored {
    fn parse(text: &str) -> Stored {
        Stored::known(text).unwrap_or(Stored::Nothing)
    }

    fn known(text: &str) -> Option<Stored> {
        if let Some((device, inode)) = text.split_once(':') {
            return Some(Stored::Device {
                device: device.parse().ok()?,
                inode: inode.parse().ok()?,
            });
        }
        let (inode, rest) = text.strip_prefix("inode=")?.split_once(' ')?;
        let inode = inode.parse().ok()?;
        if let Some(born) = rest.strip_prefix("born=") {
            return Some(Stored::Born { inode, born: born.parse().ok()? });
        }
        let id = u64::from_str_radix(rest.strip_prefix("fsid=")?, 16).ok()?;
        Some(Stored::FileSystem { inode, id })
    }
}

/// The creation time; file systems without one answer with an error or with 1970.
fn born(about: &Metadata) -> Option<i64> {
    let since = about.created().ok()?.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_nanos()).ok().filter(|nanos| *nanos != 0)
}

/// The file system's own id; 0 where it has none.
fn file_system(path: &Path) -> u64 {
    rustix::fs::statvfs(path).map_or(0, |about| about.f_fsid)
}

fn time(nanos: i64) -> String {
    DateTime::from_timestamp_nanos(nanos).to_rfc3339_opts(SecondsFormat::Nanos, true)
}

/// The machine's own id; the same text for every machine that has none.
pub fn machine_id() -> String {
    ["/etc/machine-id", "/var/lib/dbus/machine-id"]
        .iter()
        .find_map(|path| std::fs::read_to_string(path).ok())
        .map(|id| id.trim().to_string())
        .filter(|id| !id.is_empty())
        .unwrap_or_else(|| "no machine id".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BORN: i64 = 1_772_452_800_123_456_789;

    fn file() -> FileId {
        FileId { inode: 12, device: 1792, born: Some(BORN), file_system: 0xab }
    }

    #[test]
    fn a_file_whose_device_was_renumbered_is_still_the_armed_one() {
        let renumbered = FileId { device: 1793, ..file() };
        assert_eq!(renumbered.differs_from(&file().text()), None);
        let ageless = FileId { born: None, ..file() };
        assert_eq!(ageless.text(), "inode=12 fsid=ab");
        assert_eq!(FileId { born: None, ..renumbered }.differs_from(&ageless.text()), None);
        // A newer kernel may start to report the creation time.
        assert_eq!(file().differs_from(&ageless.text()), None);
    }

    #[test]
    fn another_file_is_refused_and_what_differs_is_named() {
        let armed = file().text();
        let later = FileId { born: Some(BORN + 1), ..file() };
        for (other, words) in [
            (
                later.clone(),
                "created at 2026-03-02T12:00:00.123456790Z instead of 2026-03-02T12:00:00.123456789Z",
            ),
            (FileId { inode: 13, ..file() }, "inode is 13 instead of 12"),
            (FileId { born: None, ..file() }, "does not say when it was created"),
        ] {
            let said = other.differs_from(&armed).unwrap_or_default();
            assert!(said.contains(words), "{said}");
        }
        let ageless = FileId { born: None, ..file() };
        let elsewhere = FileId { file_system: 0xac, ..ageless.clone() };
        let said = elsewhere.differs_from(&ageless.text()).unwrap_or_default();
        assert!(said.contains("file system ac instead of ab"), "{said}");
        let sibling = FileId { inode: 13, ..ageless.clone() };
        assert!(sibling.differs_from(&ageless.text()).is_some());
    }

    #[test]
    fn the_form_of_earlier_versions_matches_the_same_device_and_inode_only() {
        assert_eq!(file().differs_from("1792:12"), None);
        let said = file().differs_from("1793:12").unwrap_or_default();
        assert!(said.contains("1792:12 instead of 1793:12"), "{said}");
        assert!(file().differs_from("1792:13").is_some());
    }

    #[test]
    fn no_file_is_the_one_that_a_copy_or_an_unknown_text_names() {
        for text in ["a copy", "", "inode=12", "inode=12 born=", "inode=12 uuid=ab", "1792"] {
            assert!(file().differs_from(text).is_some(), "{text}");
        }
    }

    #[test]
    fn a_real_file_keeps_its_identity_while_it_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        std::fs::write(&path, "").unwrap();
        let before = Identity::of(&path).unwrap();
        std::fs::write(&path, "more").unwrap();
        assert_eq!(Identity::of(&path).unwrap().file.differs_from(&before.file.text()), None);
        assert_eq!(Identity::of(&path).unwrap().armed(), before.armed());
    }
}
