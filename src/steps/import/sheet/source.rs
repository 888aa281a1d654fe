//! The bytes of a file that is read several times: a regular file, a pipe, or a gzip archive.

use std::fs::{File, OpenOptions};
use std::hash::{DefaultHasher, Hasher};
use std::io::{Read, Result, Seek};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

/// The first bytes of a gzip archive.
const GZIP: [u8; 2] = [0x1F, 0x8B];

/// Where the bytes are.
pub enum Origin {
    Path(PathBuf),
    /// The bytes of a pipe, in a file without a name: it ends with this process.
    Kept(File),
}

impl Origin {
    pub fn of(path: &Path) -> Result<Origin> {
        if path.as_os_str() == "-" {
            return keep(&mut std::io::stdin().lock()).map(Origin::Kept);
        }
        let mut file = File::open(path)?;
        let about = file.metadata()?;
        if about.is_dir() {
            return Err(std::io::Error::other("is a folder: name a file in it"));
        }
        if about.is_file() {
            return Ok(Origin::Path(path.to_path_buf()));
        }
        keep(&mut file).map(Origin::Kept)
    }

    pub fn open(&self) -> Result<File> {
        match self {
            Origin::Path(path) => File::open(path),
            Origin::Kept(file) => {
                let mut file = file.try_clone()?;
                file.rewind()?;
                Ok(file)
            }
        }
    }

    pub fn bytes(&self) -> Result<u64> {
        Ok(match self {
            Origin::Path(path) => std::fs::metadata(path)?.len(),
            Origin::Kept(file) => file.metadata()?.len(),
        })
    }
}

/// Copies a pipe, because an import reads its rows twice. Only this process can open the copy.
fn keep(from: &mut dyn Read) -> Result<File> {
    let mut file = nameless_file()?;
    std::io::copy(from, &mut file)?;
    Ok(file)
}

/// A temporary file without a name: only this process can open it, and it ends with it.
pub fn nameless_file() -> Result<File> {
    let path = std::env::temp_dir().join(format!("ringonce-{}", uuid::Uuid::new_v4()));
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

/// The bytes of the table, decompressed.
pub enum Source {
    Plain(Counted),
    Gzip(Box<MultiGzDecoder<Counted>>),
}

impl Source {
    pub fn new(mut file: File) -> Result<Source> {
        let mut first = Vec::with_capacity(GZIP.len());
        file.by_ref().take(GZIP.len() as u64).read_to_end(&mut first)?;
        file.rewind()?;
        let counted = Counted { file, hasher: DefaultHasher::new(), taken: 0 };
        Ok(match first == GZIP {
            true => Source::Gzip(Box::new(MultiGzDecoder::new(counted))),
            false => Source::Plain(counted),
        })
    }

    pub fn is_compressed(&self) -> bool {
        matches!(self, Source::Gzip(_))
    }

    /// The stored bytes that were read, and their digest.
    pub fn so_far(&self) -> (u64, u64) {
        let counted = match self {
            Source::Plain(counted) => counted,
            Source::Gzip(decoder) => decoder.get_ref(),
        };
        (counted.taken, counted.hasher.finish())
    }
}

impl Read for Source {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        match self {
            Source::Plain(counted) => counted.read(into),
            Source::Gzip(decoder) => decoder.read(into),
        }
    }
}

/// The stored bytes, counted and digested.
pub struct Counted {
    file: File,
    hasher: DefaultHasher,
    taken: u64,
}

impl Read for Counted {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        let read = self.file.read(into)?;
        self.hasher.write(&into[..read]);
        self.taken += read as u64;
        Ok(read)
    }
}
