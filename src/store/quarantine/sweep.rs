//! Looks for rows that cannot be read, with the same functions that read them elsewhere, and
//! releases stored rows that can be read again.

use rusqlite::{Connection, Row, Transaction};

use crate::store::attempts::{ATTEMPT_COLUMNS, attempt_from_row};
use crate::store::customers::rows::{COLUMNS, from_row};
use crate::store::do_not_call;
use crate::store::made_elsewhere;
use crate::store::meta::{self, breaker, holds, pauses};
use crate::store::quarantine::{self, OddRow, Place, notice};
use crate::store::queue::{ITEM_COLUMNS, item_from_row};
use crate::store::webhook_events;

/// The tables that are read in parts, because they may be long.
const LONG: [Place; 4] = [Place::Customers, Place::Queue, Place::Attempts, Place::Elsewhere];
/// The key of `meta` of the position in each long table.
const POSITIONS: &str = "quarantine_positions";

/// The columns that are read of a table.
fn columns(place: Place) -> &'static str {
    match place {
        Place::Customers => COLUMNS,
        Place::Queue => ITEM_COLUMNS,
        Place::Attempts => ATTEMPT_COLUMNS,
        Place::Elsewhere => made_elsewhere::COLUMNS,
        Place::Events => webhook_events::COLUMNS,
        Place::DoNotCall | Place::Journal | Place::Meta => "rowid",
    }
}

/// Reads a row of [`columns`], and forgets its value.
fn try_to_read(place: Place, row: &Row<'_>) -> rusqlite::Result<()> {
    match place {
        Place::Customers => from_row(row).map(drop),
        Place::Queue => item_from_row(row).map(drop),
        Place::Attempts => attempt_from_row(row).map(drop),
        Place::Elsewhere => made_elsewhere::from_row(row).map(drop),
        Place::Events => webhook_events::from_row(row).map(drop),
        Place::DoNotCall | Place::Journal | Place::Meta => Ok(()),
    }
}

/// What is still to be read. Every row that this program writes can be read, so a row is read again
/// only after another connection wrote to the file.
#[derive(Debug, Default)]
pub struct Rounds {
    /// `PRAGMA data_version` of the writing connection: it changes when another connection commits.
    /// `None`: nothing was read yet.
    data_version: Option<i64>,
    /// How often the end of each long table is still to be reached.
    ends_left: [u8; 4],
}

impl Rounds {
    /// Begins again if another connection wrote. `positions`: where the next part begins. From the
    /// middle of a table, its end is reached twice before every row was read.
    pub fn begin_if_changed(&mut self, data_version: i64, positions: [i64; 4]) {
        if self.data_version != Some(data_version) {
            self.data_version = Some(data_version);
            self.ends_left = positions.map(|position| if position == 0 { 1 } else { 2 });
        }
    }

    /// Notes that a part was read. `next`: what [`next_part`] returned.
    pub fn note(&mut self, next: [i64; 4]) {
        for (left, _) in self.ends_left.iter_mut().zip(next).filter(|(_, next)| *next == 0) {
            *left = left.saturating_sub(1);
        }
    }

    /// Whether every row was read since another connection wrote.
    pub fn are_over(&self) -> bool {
        self.ends_left == [0; 4]
    }
}

/// Notices every row that cannot be read.
pub fn whole(conn: &Connection) -> anyhow::Result<()> {
    for place in LONG {
        part(conn, place, 0, i64::MAX)?;
    }
    short(conn)
}

/// Does the same with at most `at_most` rows of each long table, from `positions` on. Returns the
/// positions of the next part: 0 begins again.
pub fn next_part(conn: &Connection, positions: [i64; 4], at_most: i64) -> anyhow::Result<[i64; 4]> {
    let mut next = positions;
    for (place, position) in LONG.into_iter().zip(&mut next) {
        *position = part(conn, place, *position, at_most)?;
    }
    short(conn)?;
    Ok(next)
}

/// Reads rows of one table after `from`. Returns the last row id, or 0 at the table's end.
fn part(conn: &Connection, place: Place, from: i64, at_most: i64) -> anyhow::Result<i64> {
    // For an older file `customers` is a view, and a view has no rowid.
    let by = if place == Place::Customers { "id" } else { "rowid" };
    let sql = format!(
        "SELECT {}, {by} AS position FROM {} WHERE ?1 < {by} ORDER BY {by} LIMIT ?2",
        columns(place),
        place.table()
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let (mut last, mut seen) = (from, 0);
    let rows = statement.query([from, at_most])?;
    quarantine::listed(place, rows, |row| {
        (last, seen) = (row.get("position")?, seen + 1);
        try_to_read(place, row)
    })?;
    Ok(if seen < at_most { 0 } else { last })
}

/// The tables and keys that are read whole each time.
fn short(conn: &Connection) -> anyhow::Result<()> {
    let sql =
        format!("SELECT {} FROM webhook_events WHERE applied_at IS NULL", webhook_events::COLUMNS);
    let mut statement = conn.prepare_cached(&sql)?;
    let waiting = statement.query([])?;
    quarantine::listed(Place::Events, waiting, |row| try_to_read(Place::Events, row))?;
    do_not_call::odd_rows(conn)?.into_iter().for_each(notice);
    pauses::pauses(conn)?;
    holds::holds(conn)?;
    breaker::breaker(conn)?;
    Ok(())
}

/// Releases stored rows that can be read again or are gone: at most `at_most` are looked at.
pub fn release_corrected(tx: &Transaction<'_>, at_most: usize) -> anyhow::Result<()> {
    for row in quarantine::stored(tx, at_most)? {
        if !is_still_odd(tx, &row)? {
            quarantine::release(tx, &row)?;
            log::info!("{} can be read again", row.place_and_row());
        }
    }
    Ok(())
}

fn is_still_odd(conn: &Connection, row: &OddRow) -> anyhow::Result<bool> {
    let all = [LONG.as_slice(), &[Place::Events]].concat();
    let Some(place) = all.into_iter().find(|place| place.table() == row.place) else {
        return is_short_odd(conn, row);
    };
    let sql =
        format!("SELECT {} FROM {} WHERE {} = ?1", columns(place), place.table(), place.key());
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query([&row.row])?;
    let Some(found) = rows.next()? else { return Ok(false) };
    match try_to_read(place, found) {
        Ok(()) => Ok(false),
        Err(error) => place.odd(found, error).map(|_| true).map_err(Into::into),
    }
}

fn is_short_odd(conn: &Connection, row: &OddRow) -> anyhow::Result<bool> {
    if row.place == Place::DoNotCall.table() {
        return do_not_call::is_odd(conn, &row.row);
    }
    let Some(value) = meta::get(conn, &row.row)? else { return Ok(false) };
    Ok(!is_readable(&row.row, &value))
}

/// Whether an entry of `meta` that other code reads has its form.
fn is_readable(key: &str, value: &str) -> bool {
    match key.split_once(':') {
        None => key != "breaker" || serde_json::from_str::<breaker::Breaker>(value).is_ok(),
        Some(("pause", _)) => pauses::is_readable(key, value),
        Some(("hold", _)) => serde_json::from_str::<holds::Hold>(value).is_ok(),
        Some(_) => serde_json::from_str::<serde_json::Value>(value).is_ok(),
    }
}

/// The stored positions of [`next_part`].
pub fn positions(conn: &Connection) -> anyhow::Result<[i64; 4]> {
    let text = meta::get(conn, POSITIONS)?;
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
}

/// Stores the positions; writes only a change.
pub fn set_positions(tx: &Transaction<'_>, next: [i64; 4]) -> anyhow::Result<()> {
    if positions(tx)? == next {
        return Ok(());
    }
    meta::set(tx, POSITIONS, &serde_json::to_string(&next)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_read_once_after_another_connection_wrote() {
        let mut rounds = Rounds::default();
        rounds.begin_if_changed(1, [0; 4]);
        rounds.note([0, 0, 20, 0]);
        assert!(!rounds.are_over(), "the third table has more rows");
        rounds.note([0; 4]);
        assert!(rounds.are_over());
        rounds.begin_if_changed(1, [0; 4]);
        assert!(rounds.are_over(), "nobody else wrote");
        rounds.begin_if_changed(2, [0; 4]);
        assert!(!rounds.are_over());
    }

    #[test]
    fn a_change_in_the_middle_of_a_table_lets_its_first_part_be_read_again() {
        let mut rounds = Rounds::default();
        rounds.begin_if_changed(1, [0, 0, 20, 0]);
        rounds.note([0; 4]);
        assert!(!rounds.are_over(), "the rows before the position were not read");
        rounds.note([0; 4]);
        assert!(rounds.are_over());
    }
}
