//! What the journal keeps of a new customer for the audit: that their daily calls fall due from then
//! on. A file that puts the first call off, or tells of one that was made, leaves it out.

use crate::domain::Instant;
use crate::domain::customer::Customer;
use crate::steps::entry_text::Reader;
use crate::steps::next;

/// A part of a journal's text; after an import the ids follow.
pub const DUE_FROM_THEN_ON: &str = "due from then on";

/// Whether the next call of a new customer is the first that their time and zone name after `now`.
pub fn is_due_from_then_on(reader: &mut Reader<'_>, customer: &Customer, now: Instant) -> bool {
    let rhythm = next::wanted(customer).zip(reader.zone(&customer.timezone));
    let first = rhythm.and_then(|(rhythm, zone)| rhythm.next_slot(&zone, now, None, |_| true));
    first.is_some_and(|(_, at)| customer.next_call_scheduled_at == Some(at))
}

/// Rising ids of new customers, as a journal tells them: `1-3 7`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ids(Vec<(i64, i64)>);

impl Ids {
    pub fn add(&mut self, id: i64) {
        match self.0.last_mut() {
            Some((_, last)) if *last + 1 == id => *last = id,
            _ => self.0.push((id, id)),
        }
    }

    pub fn contains(&self, id: i64) -> bool {
        let at = self.0.partition_point(|(_, last)| *last < id);
        self.0.get(at).is_some_and(|(first, _)| *first <= id)
    }

    /// What stands behind a summary; empty when there is nobody.
    pub fn told(&self) -> String {
        let text = |(first, last): &(i64, i64)| match first == last {
            true => format!(" {first}"),
            false => format!(" {first}-{last}"),
        };
        match self.0.is_empty() {
            true => String::new(),
            false => {
                format!(", {DUE_FROM_THEN_ON}:{}", self.0.iter().map(text).collect::<String>())
            }
        }
    }

    /// Reads the text of an import's line. What is not understood names nobody.
    pub fn of(line: &str) -> Ids {
        let told = line.split_once(&format!("{DUE_FROM_THEN_ON}:")).map_or("", |(_, ids)| ids);
        let range = |piece: &str| {
            let (first, last) = piece.split_once('-').unwrap_or((piece, piece));
            Some((first.parse().ok()?, last.parse().ok()?))
        };
        Ids(told.split_whitespace().map_while(range).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_back_as_they_were_told() {
        for (ids, told) in [
            (&[][..], ""),
            (&[7], ", due from then on: 7"),
            (&[1, 2, 3, 5, 9, 10], ", due from then on: 1-3 5 9-10"),
        ] {
            let mut made = Ids::default();
            ids.iter().for_each(|id| made.add(*id));
            assert_eq!(made.told(), told);
            let read = Ids::of(&format!("3 new, 0 changed{told}"));
            assert_eq!(read, made);
            for id in 0..12 {
                assert_eq!(read.contains(id), ids.contains(&id), "{told}: {id}");
            }
        }
        assert_eq!(Ids::of("due from then on: 3 x 5"), Ids::of("due from then on: 3"));
    }
}
