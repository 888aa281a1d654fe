//! A text that cannot be read, in any cell of any table, stops at most one customer's calls and no
//! view.

use crate::events::WANTED;
use crate::inner_loop::sized;
use crate::world::World;

/// Texts that other programs write: bytes that are not UTF-8, and a date that does not exist.
const ODD: [&str; 2] = ["CAST(X'4164FF61' AS TEXT)", "'2026-02-30T09:00:00.000Z'"];

/// Tables whose rows protect everybody: what cannot be read there keeps everybody uncalled. They
/// have their own tests.
const SHUT: [&str; 3] = ["do_not_call", "meta", "quarantine"];

/// What another program may be without: our constraints and triggers. Each opening makes them again.
const UNGUARDED: &str = "
    PRAGMA ignore_check_constraints = 1;
    DROP TRIGGER IF EXISTS customers_instants_as_updated;
    DROP TRIGGER IF EXISTS call_queue_instants_as_updated;
    DROP TRIGGER IF EXISTS journal_refuses_update;
    DROP TRIGGER IF EXISTS journal_facts_refuse_update;";

/// Rows in the tables that a day of calls leaves empty.
const ROWS: &str = "
    INSERT INTO second_calls SELECT 'call-2', id, customer_key, created_at, 'two' FROM call_attempts
      WHERE customer_id = 1;
    INSERT INTO calls_elsewhere (vapi_call_id, told, phone_key, ending, kind, created_at, blocks,
      found_at) VALUES ('call-3', '+12125550199', 'k', '5550199', 'outbound',
      '2026-02-01T12:00:00.000Z', 0, '2026-02-01T12:00:00.000Z');
    INSERT INTO unlisted_calls SELECT id, created_at, created_at, 2 FROM call_attempts
      WHERE customer_id = 1;
    INSERT INTO webhook_events (vapi_call_id, kind, body, received_at)
      VALUES ('call-4', 'end-of-call-report', '{}', '2026-02-01T12:00:00.000Z');
    INSERT INTO call_results (attempt_id, summary, structured, source, received_at, updated_at)
      SELECT id, 'well', '{}', 'poll', created_at, created_at FROM call_attempts
      WHERE customer_id = 1 ON CONFLICT DO NOTHING;
    INSERT INTO holidays (country, date, name) VALUES ('GB', '2027-12-25', 'Christmas Day');";

/// The texts of all tables.
fn cells(world: &World) -> Vec<(String, String)> {
    let found = world.lines(
        "SELECT cells.name || ' ' || columns.name FROM pragma_table_list AS cells
         JOIN pragma_table_info(cells.name) AS columns
         WHERE cells.schema = 'main' AND cells.type = 'table' AND columns.type = 'TEXT'
           AND cells.name NOT LIKE 'sqlite_%' ORDER BY 1",
    );
    let pairs = found.iter().filter_map(|line| line.split_once(' '));
    let owned = pairs.map(|(table, column)| (table.to_string(), column.to_string()));
    owned.filter(|(table, _)| !SHUT.contains(&table.as_str())).collect()
}

/// The views that read much of a row.
const VIEWS: &str = "status;report;attempts list;check;audit --offline;queue list;journal;\
     customers list;attempts export -;plan;events list";

/// Two customers whose days pass, one for each cell.
struct Days {
    world: World,
    day: chrono::NaiveDate,
    wrong: Vec<String>,
}

impl Days {
    /// Spoils one cell on a day whose calls are in the queue, and corrects it after them.
    fn odd_cell(&mut self, (table, column): (&str, &str), odd: &str, order: &str) {
        let Days { world, day, wrong } = self;
        let what = format!("{table}.{column} = {odd} ({order})");
        *day = day.succ_opt().unwrap();
        world.tick_at(&format!("{day}T11:45:00Z"));
        world.sql(&format!(
            "{UNGUARDED} DROP TABLE IF EXISTS kept;
             CREATE TABLE kept AS SELECT rowid AS place, {column} AS cell FROM {table}
               ORDER BY rowid {order} LIMIT 1;
             UPDATE {table} SET {column} = {odd} WHERE rowid = (SELECT place FROM kept)"
        ));
        for time in ["12:00", "14:30"] {
            world.set_clock(&format!("{day}T{time}:00Z"));
            let run = world.command(&["tick"]);
            if run.code != Some(0) {
                wrong.push(format!("{what}: {run:?}"));
            }
        }
        let called = world.lines(&format!(
            "SELECT customer_id FROM call_queue WHERE occasion = '{day}' AND status = 'completed'"
        ));
        let whose = match table {
            "customers" => "id",
            "call_queue" | "call_attempts" => "customer_id",
            _ => "0",
        };
        let spoiled = world
            .lines(&format!("SELECT {whose} FROM {table} WHERE rowid = (SELECT place FROM kept)"));
        let spoiled = spoiled.first().map_or("0", String::as_str);
        if !called.iter().any(|id| *id != spoiled) {
            wrong.push(format!("{what}: nobody else was called"));
        }
        let explain = if spoiled == "2" { "explain 1" } else { "explain 2" };
        for view in VIEWS.split(';').chain([explain]) {
            let run = world.command(&view.split(' ').collect::<Vec<_>>());
            if run.code == Some(1) && run.stderr.contains("ringonce:") {
                wrong.push(format!("{what}: {view}: {}", run.stderr));
            }
        }
        world.sql(&format!(
            "{UNGUARDED} UPDATE {table} SET {column} = (SELECT cell FROM kept)
             WHERE rowid = (SELECT place FROM kept); DROP TABLE kept"
        ));
        world.tick_at(&format!("{day}T15:00:00Z"));
        let items = world.items();
        for name in ["Ada", "Bob"] {
            if !items.contains(&format!("{name} daily {day} completed")) {
                wrong.push(format!("{what}: {name} after the correction: {:?}", items.last()));
            }
        }
    }
}

#[test]
fn no_cell_of_any_table_stops_the_calls_of_others_or_a_view() {
    let world = World::with_config(&format!("{WANTED}[schedule]\nlook_ahead_minutes = 20\n"));
    world.daily("Ada");
    world.daily("Bob");
    world.tick_at("2026-02-02T12:00:00Z");
    world.sql(ROWS);
    let all = cells(&world);
    assert!(all.len() > 80, "{}", all.len());
    let mut days = Days { world, day: crate::world::date("2026-02-02"), wrong: Vec::new() };
    let (each_third, every) = (all.iter().step_by(3).collect::<Vec<_>>(), all.iter().collect());
    let orders = ["", "DESC"];
    for (place, (table, column)) in sized(each_third, every).into_iter().enumerate() {
        for order in sized(&orders[place % 2..][..1], &orders) {
            days.odd_cell((table, column), ODD[place % ODD.len()], order);
        }
    }
    assert!(days.wrong.is_empty(), "{}", days.wrong.join("\n"));
    days.world.assert_no_phone_rang_twice();
}
