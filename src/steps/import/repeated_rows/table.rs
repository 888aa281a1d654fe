//! A table of hashes with numbers. Its memory stays the same for any count of them.
//!
//! The latest hashes are in memory. Once these are many, they go into a sorted file, and the memory
//! is used again.

use std::io::Result;

use crate::steps::import::repeated_rows::sorted_file::{Slot, SortedFile};

/// The slots in memory, as a power of two: 4 MiB. Fewer make a long import write its file more often.
const BITS: u32 = 18;

pub(super) struct HashTable {
    bits: u32,
    /// A slot with the number 0 is empty.
    slots: Vec<Slot>,
    used: usize,
    older: Option<SortedFile>,
}

impl Default for HashTable {
    fn default() -> HashTable {
        HashTable::new(BITS)
    }
}

impl HashTable {
    /// With two to the power of `bits` slots in memory.
    pub fn new(bits: u32) -> HashTable {
        HashTable { bits, slots: vec![Slot::default(); 1 << bits], used: 0, older: None }
    }

    /// The number of a hash.
    pub fn get(&self, hash: u64) -> Result<Option<u64>> {
        let number = self.slots[self.slot_of(hash)].number;
        match &self.older {
            _ if number != 0 => Ok(Some(number)),
            Some(older) => older.get(hash),
            None => Ok(None),
        }
    }

    /// Replaces the number of a hash by what `change` makes of it, and returns the earlier one. The
    /// new number is not 0.
    pub fn change(
        &mut self,
        hash: u64,
        change: impl FnOnce(Option<u64>) -> u64,
    ) -> Result<Option<u64>> {
        let before = self.get(hash)?;
        if self.slots.len() / 4 * 3 <= self.used {
            self.move_to_file()?;
        }
        let at = self.slot_of(hash);
        self.used += usize::from(self.slots[at].number == 0);
        self.slots[at] = Slot { hash, number: change(before) };
        Ok(before)
    }

    /// The slot of the hash, or the empty one where it belongs. A quarter of the slots is empty.
    fn slot_of(&self, hash: u64) -> usize {
        let mut at = (hash >> (u64::BITS - self.bits)) as usize;
        while self.slots[at].number != 0 && self.slots[at].hash != hash {
            at = (at + 1) % self.slots.len();
        }
        at
    }

    fn move_to_file(&mut self) -> Result<()> {
        let slots = self.slots.len();
        self.slots.retain(|slot| slot.number != 0);
        self.slots.sort_unstable();
        self.older = Some(SortedFile::merged(self.older.take(), &self.slots)?);
        self.slots.clear();
        self.slots.resize(slots, Slot::default());
        self.used = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn a_table_that_went_on_in_a_file_answers_like_one_in_memory() {
        let (mut table, mut plain) = (HashTable::new(9), HashMap::new());
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
        for (hash, number) in &plain {
            assert_eq!(table.get(*hash).unwrap(), Some(*number));
        }
        assert!(table.older.is_some());
    }

    #[test]
    fn the_memory_of_a_table_does_not_grow_with_its_hashes() {
        let mut table = HashTable::new(12);
        let mut most = 0;
        for number in 1..200_000_u64 {
            table.change(number.wrapping_mul(0x9E37_79B9_7F4A_7C15), |_| number).unwrap();
            most = most.max(table.slots.capacity());
        }
        assert_eq!(most, 1 << 12);
    }
}
