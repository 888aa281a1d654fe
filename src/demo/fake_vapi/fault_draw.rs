//! Decides which faults apply to which request. Nothing is random: seed and count decide, so that
//! runs with the same requests fail in the same way.

use crate::demo::fake_vapi::faults::{Fault, FaultKind, Faults, On};

/// The faults, with the number of requests to which each could have applied.
#[derive(Debug, Default)]
pub struct Roulette {
    seed: u64,
    faults: Faults,
    /// For each fault: the number of requests so far that it could have hit.
    chances: Vec<u64>,
}

impl Roulette {
    pub fn new(seed: u64, faults: Faults) -> Roulette {
        let chances = vec![0; faults.0.len()];
        Roulette { seed, faults, chances }
    }

    /// Replaces the faults; they count from zero.
    pub fn replace(&mut self, faults: Faults) {
        *self = Roulette::new(self.seed, faults);
    }

    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// The faults that apply to this request. It counts the request, so call it once per request.
    pub fn strike(&mut self, request: On, tag: Option<&str>) -> Striking {
        let mut striking = Vec::new();
        for (index, fault) in self.faults.0.iter().enumerate() {
            let concerned = fault.kind.is_about_rows() || fault.concerns(tag);
            if !fault.kind.hits(request) || !concerned {
                continue;
            }
            self.chances[index] += 1;
            let count = self.chances[index];
            let drawn = fault.share.is_none_or(|share| {
                let salt = format!("{} {index} {count}", fault.kind.name());
                unit(hash(self.seed, &salt)) < share
            });
            if fault.every.is_none_or(|n| count.is_multiple_of(n))
                && fault.first.is_none_or(|n| count <= n)
                && drawn
            {
                striking.push(fault.clone());
            }
        }
        Striking(striking)
    }

    /// Every fault about single calls, for records that no request asked for. Counts nothing.
    pub fn about_rows(&self) -> Striking {
        Striking(self.faults.0.iter().filter(|fault| fault.kind.is_about_rows()).cloned().collect())
    }
}

/// The faults that apply to one request.
#[derive(Clone, Debug, Default)]
pub struct Striking(Vec<Fault>);

impl Striking {
    pub fn get(&self, kind: FaultKind) -> Option<&Fault> {
        self.0.iter().find(|fault| fault.kind == kind)
    }

    pub fn has(&self, kind: FaultKind) -> bool {
        self.get(kind).is_some()
    }

    /// The text forms, for the journal; `None` if no fault applies.
    pub fn text(&self) -> Option<String> {
        let all: Vec<String> = self.0.iter().map(Fault::to_string).collect();
        (!all.is_empty()).then(|| all.join(" "))
    }
}

/// A hash that depends only on its arguments (FNV-1a, then mixed).
pub fn hash(seed: u64, text: &str) -> u64 {
    let mut state = 0xcbf2_9ce4_8422_2325 ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for byte in text.bytes() {
        state = (state ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    state ^= state >> 30;
    state = state.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    state ^= state >> 27;
    state = state.wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

/// Converts a hash to a number of at least 0 and less than 1.
pub fn unit(hash: u64) -> f64 {
    (hash >> 11) as f64 / (1u64 << 53) as f64
}
