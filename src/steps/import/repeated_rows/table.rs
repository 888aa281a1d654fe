//! A table of hashes with numbers that keeps the same little memory for any count of them.
//!
//! It begins in memory. Once that is full, it goes on in a temporary file without a name, which the
//! system removes with the process. The file holds hashes only, under a key of this process.

use std::fs::File;
use std::io::Result;
use std::os::unix::fs::FileExt;

use crate::steps::import::sheet::nameless_file;

/// A hash and its number. The number 0 marks a place as empty.
const SLOT_BYTES: usize = 16;
/// How many slots are read at once. They mostly contain the end of a search.
const SLOTS_READ: usize = 16;
/// The table in memory has 2^16 slots: 1 MiB.
const BITS_IN_MEMORY: u32 = 16;

pub(super) struct HashTable {
    place: Place,
    /// The table has two to the power of this many slots.
    bits: u32,
    bits_in_memory: u32,
    used: u64,
    /// The last slot that was changed. It is not written yet: the next change is often of the same.
    pending: Option<Slot>,
}

#[derive(Clone, Copy)]
struct Slot {
    at: u64,
    hash: u64,
    number: u64,
}

enum Place {
    Memory(Vec<u8>),
    File(File),
}

impl Default for HashTable {
    fn default() -> HashTable {
        HashTable::new(BITS_IN_MEMORY)
    }
}

impl HashTable {
    /// With two to the power of `bits_in_memory` slots before it goes on in a file.
    pub fn new(bits_in_memory: u32) -> HashTable {
        let memory = vec![0; SLOT_BYTES << bits_in_memory];
        let place = Place::Memory(memory);
        HashTable { place, bits: bits_in_memory, bits_in_memory, used: 0, pending: None }
    }

    /// The number of a hash.
    pub fn get(&mut self, hash: u64) -> Result<Option<u64>> {
        if let Some(slot) = self.pending.filter(|slot| slot.hash == hash) {
            return Ok(Some(slot.number));
        }
        self.write_pending()?;
        let number = self.find(hash)?.number;
        Ok((number != 0).then_some(number))
    }

    /// Replaces the number of a hash by what `change` makes of it, and returns the earlier one. The
    /// new number is not 0.
    pub fn change(
        &mut self,
        hash: u64,
        change: impl FnOnce(Option<u64>) -> u64,
    ) -> Result<Option<u64>> {
        let slot = match self.pending {
            Some(slot) if slot.hash == hash => slot,
            _ => {
                self.write_pending()?;
                if self.slots() / 4 * 3 <= self.used {
                    self.grow()?;
                }
                self.find(hash)?
            }
        };
        let before = (slot.number != 0).then_some(slot.number);
        self.used += u64::from(before.is_none());
        let number = change(before);
        if before != Some(number) {
            self.pending = Some(Slot { number, ..slot });
        }
        Ok(before)
    }

    /// The bytes of memory in which slots are kept.
    #[cfg(test)]
    pub fn memory(&self) -> usize {
        match &self.place {
            Place::Memory(bytes) => bytes.len(),
            Place::File(_) => 0,
        }
    }

    fn slots(&self) -> u64 {
        1 << self.bits
    }

    /// The slot of the hash, or the empty one where it belongs. A quarter of the slots is empty.
    fn find(&self, hash: u64) -> Result<Slot> {
        let mut at = hash >> (u64::BITS - self.bits);
        let mut bytes = [0; SLOT_BYTES * SLOTS_READ];
        loop {
            let count = usize::try_from(self.slots() - at).map_or(SLOTS_READ, |n| n.min(SLOTS_READ));
            let bytes = &mut bytes[..count * SLOT_BYTES];
            self.place.read(bytes, at)?;
            for slot in bytes.chunks_exact(SLOT_BYTES) {
                let (found, number) = decoded(slot);
                if number == 0 || found == hash {
                    return Ok(Slot { at, hash, number });
                }
                at += 1;
            }
            at %= self.slots();
        }
    }

    fn write_pending(&mut self) -> Result<()> {
        match self.pending.take() {
            Some(slot) => self.place.write(slot),
            None => Ok(()),
        }
    }

    /// Goes on in a file of twice the size. A hash goes to its share of the table, so reading the
    /// old one in order also writes the new one nearly in order.
    fn grow(&mut self) -> Result<()> {
        let bits = self.bits + 1;
        let file = nameless_file()?;
        file.set_len((SLOT_BYTES as u64) << bits)?;
        let bits_in_memory = self.bits_in_memory;
        let place = Place::File(file);
        let mut larger = HashTable { place, bits, bits_in_memory, used: self.used, pending: None };
        let mut bytes = vec![0; SLOT_BYTES << self.bits.min(self.bits_in_memory)];
        let step = (bytes.len() / SLOT_BYTES) as u64;
        for first in (0..self.slots()).step_by(bytes.len() / SLOT_BYTES) {
            debug_assert!(first + step <= self.slots());
            self.place.read(&mut bytes, first)?;
            for slot in bytes.chunks_exact(SLOT_BYTES) {
                let (hash, number) = decoded(slot);
                if number != 0 {
                    let free = larger.find(hash)?;
                    larger.place.write(Slot { number, ..free })?;
                }
            }
        }
        *self = larger;
        Ok(())
    }
}

impl Place {
    fn read(&self, bytes: &mut [u8], at: u64) -> Result<()> {
        match self {
            Place::Memory(memory) => {
                let start = at as usize * SLOT_BYTES;
                bytes.copy_from_slice(&memory[start..start + bytes.len()]);
                Ok(())
            }
            Place::File(file) => file.read_exact_at(bytes, at * SLOT_BYTES as u64),
        }
    }

    fn write(&mut self, slot: Slot) -> Result<()> {
        let mut bytes = [0; SLOT_BYTES];
        bytes[..8].copy_from_slice(&slot.hash.to_le_bytes());
        bytes[8..].copy_from_slice(&slot.number.to_le_bytes());
        match self {
            Place::Memory(memory) => {
                let start = slot.at as usize * SLOT_BYTES;
                memory[start..start + SLOT_BYTES].copy_from_slice(&bytes);
                Ok(())
            }
            Place::File(file) => file.write_all_at(&bytes, slot.at * SLOT_BYTES as u64),
        }
    }
}

fn decoded(slot: &[u8]) -> (u64, u64) {
    let word = |bytes: &[u8]| bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
    (word(&slot[..8]), word(&slot[8..]))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn a_table_that_went_on_in_a_file_answers_like_one_in_memory() {
        let (mut table, mut plain) = (HashTable::new(4), HashMap::new());
        let mut random = 7_u64;
        for step in 1..20_000_u64 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            // Many hashes repeat, and many share a slot: also the last one, from which a search
            // begins again at the first.
            let hash = match step % 3 {
                0 => random,
                1 => (random >> 52) << 52,
                _ => u64::MAX - (random >> 54),
            };
            let before = table.change(hash, |before| before.unwrap_or(0) + step).unwrap();
            assert_eq!(before, plain.get(&hash).copied(), "step {step}");
            *plain.entry(hash).or_insert(0) += step;
            let other = random.rotate_left(9) >> 52 << 52;
            assert_eq!(table.get(other).unwrap(), plain.get(&other).copied(), "step {step}");
        }
        assert_eq!(table.used, plain.len() as u64);
        assert_eq!(table.memory(), 0);
    }

    #[test]
    fn the_memory_of_a_table_does_not_grow_with_its_hashes() {
        let mut table = HashTable::default();
        let mut most = 0;
        for number in 1..200_000_u64 {
            table.change(number.wrapping_mul(0x9E37_79B9_7F4A_7C15), |_| number).unwrap();
            most = most.max(table.memory());
        }
        assert_eq!(most, SLOT_BYTES << BITS_IN_MEMORY);
        assert_eq!(table.used, 199_999);
    }
}
