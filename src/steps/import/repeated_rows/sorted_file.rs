//! Hashes with numbers in a temporary file without a name, sorted by hash.
//!
//! The system removes the file with the process. It holds hashes only, under a key of this process.

use std::fs::File;
use std::io::{BufWriter, Result, Write};
use std::os::unix::fs::FileExt;

use crate::steps::import::sheet::nameless_file;

const SLOT_BYTES: usize = 16;
/// How many slots are read at once to find one: 4 KiB.
const BLOCK_SLOTS: usize = 256;
/// How many blocks are read or written at once to merge: 64 KiB.
const BLOCKS_AT_ONCE: usize = 16;
/// The bits of the filter, as a power of two: 2 MiB. With ten million hashes it still saves half of
/// the reads.
const FILTER_BITS: u32 = 24;
/// The bits of the filter for each hash.
const BITS_EACH: u32 = 4;

/// A hash and its number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Slot {
    pub hash: u64,
    pub number: u64,
}

pub(super) struct SortedFile {
    file: File,
    slots: usize,
    /// The first hash of each block.
    firsts: Vec<u64>,
    filter: Filter,
}

impl SortedFile {
    /// The slots of a file and these newer ones, which are sorted and win.
    pub fn merged(older: Option<SortedFile>, newer: &[Slot]) -> Result<SortedFile> {
        let mut to = Writer { out: buffered(nameless_file()?), slots: 0, firsts: Vec::new() };
        let mut filter = Filter::default();
        let hashes = newer.iter().map(|slot| slot.hash);
        let mut newer = newer.iter().copied().peekable();
        if let Some(older) = older {
            filter = older.filter;
            let mut bytes = vec![0; SLOT_BYTES * BLOCK_SLOTS * BLOCKS_AT_ONCE];
            for first in (0..older.slots).step_by(BLOCK_SLOTS * BLOCKS_AT_ONCE) {
                for old in slots_of(read(&older.file, &mut bytes, (first, older.slots))?) {
                    while let Some(slot) = newer.next_if(|slot| slot.hash < old.hash) {
                        to.add(slot)?;
                    }
                    to.add(newer.next_if(|slot| slot.hash == old.hash).unwrap_or(old))?;
                }
            }
        }
        newer.try_for_each(|slot| to.add(slot))?;
        hashes.for_each(|hash| filter.add(hash));
        let Writer { out, slots, firsts } = to;
        Ok(SortedFile { file: out.into_inner()?, slots, firsts, filter })
    }

    /// The number of a hash.
    pub fn get(&self, hash: u64) -> Result<Option<u64>> {
        if !self.filter.may_have(hash) {
            return Ok(None);
        }
        let blocks = self.firsts.partition_point(|first| *first <= hash);
        let Some(block) = blocks.checked_sub(1) else { return Ok(None) };
        let mut bytes = [0; SLOT_BYTES * BLOCK_SLOTS];
        let block = read(&self.file, &mut bytes, (block * BLOCK_SLOTS, self.slots))?;
        let found = slots_of(block).find(|slot| slot.hash == hash);
        Ok(found.map(|slot| slot.number))
    }
}

fn buffered(file: File) -> BufWriter<File> {
    BufWriter::with_capacity(SLOT_BYTES * BLOCK_SLOTS * BLOCKS_AT_ONCE, file)
}

struct Writer {
    out: BufWriter<File>,
    slots: usize,
    firsts: Vec<u64>,
}

impl Writer {
    fn add(&mut self, slot: Slot) -> Result<()> {
        if self.slots.is_multiple_of(BLOCK_SLOTS) {
            self.firsts.push(slot.hash);
        }
        self.slots += 1;
        self.out.write_all(&slot.hash.to_le_bytes())?;
        self.out.write_all(&slot.number.to_le_bytes())
    }
}

/// As many slots from `first` on as fit into `bytes`, of a file with `slots` slots.
fn read<'b>(file: &File, bytes: &'b mut [u8], (first, slots): (usize, usize)) -> Result<&'b [u8]> {
    let length = bytes.len().min((slots - first) * SLOT_BYTES);
    let bytes = &mut bytes[..length];
    file.read_exact_at(bytes, (first * SLOT_BYTES) as u64)?;
    Ok(bytes)
}

fn slots_of(bytes: &[u8]) -> impl Iterator<Item = Slot> {
    let (words, _) = bytes.as_chunks::<8>();
    let (slots, _) = words.as_chunks::<2>();
    slots.iter().map(|[hash, number]| Slot {
        hash: u64::from_le_bytes(*hash),
        number: u64::from_le_bytes(*number),
    })
}

/// Tells most hashes that are not in the file without a read: each hash sets some bits.
struct Filter(Vec<u64>);

impl Default for Filter {
    fn default() -> Filter {
        Filter(vec![0; 1 << (FILTER_BITS - u64::BITS.ilog2())])
    }
}

impl Filter {
    fn add(&mut self, hash: u64) {
        for bit in bits(hash) {
            self.0[bit / 64] |= 1 << (bit % 64);
        }
    }

    fn may_have(&self, hash: u64) -> bool {
        bits(hash).all(|bit| self.0[bit / 64] >> (bit % 64) & 1 == 1)
    }
}

fn bits(hash: u64) -> impl Iterator<Item = usize> {
    let (start, step) = (hash as u32, (hash >> 32) as u32 | 1);
    let mask = (1 << FILTER_BITS) - 1;
    (0..BITS_EACH).map(move |turn| (start.wrapping_add(step.wrapping_mul(turn)) & mask) as usize)
}
