//! Customers from files. Importing a file again, in any shape, changes nothing. One bad row refuses
//! the whole file, and nothing that happened is undone.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::NaiveDate;
use ringonce::config::settings::Config;
use ringonce::domain::customer::{CallStatus, Customer};
use ringonce::domain::{Instant, parse_instant};
use ringonce::steps::Context;
use ringonce::steps::customers::{pause, resume};
use ringonce::steps::import::customers::{Options, check};
use ringonce::steps::import::file::Unusable;
use ringonce::steps::import::report::{ImportOutcome, ImportReport};
use ringonce::store::customers::search::find;
use ringonce::store::customers::{self, Filter, Found};
use ringonce::store::journal::Act;
use ringonce::store::{Store, journal};
use ringonce::zones::Zones;

/// A real database and files beside it.
struct World {
    folder: tempfile::TempDir,
    store: Store,
    zones: Zones,
    now: Instant,
}

impl World {
    fn new() -> World {
        let folder = tempfile::tempdir().unwrap();
        let now = at("2026-11-22T12:00:00Z");
        let store = Store::open(&folder.path().join("ringonce.db"), now).unwrap();
        World { folder, store, zones: Zones::bundled_only(), now }
    }

    fn file(&self, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join("customers.csv");
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn try_import(&self, path: &Path, options: Options<'_>) -> anyhow::Result<ImportReport> {
        let (store, zones, now) = (&self.store, &self.zones, self.now);
        let checked = check(store, zones, path, options, now, &mut |_| {})?;
        if checked.may_apply() {
            checked.apply(store, zones, now, &mut |_| {})
        } else {
            Ok(checked.into_report())
        }
    }

    fn import(&self, bytes: impl AsRef<[u8]>) -> ImportReport {
        self.try_import(&self.file(bytes), Options::default()).unwrap()
    }

    fn customers(&self) -> Vec<Customer> {
        self.store.read(|conn| customers::list(conn, &Filter::default(), 1000, 0)).unwrap()
    }

    fn customer(&self, who: &str) -> Customer {
        match self.store.read(|conn| find(conn, who)).unwrap() {
            Found::One(customer) => *customer,
            found => panic!("{who}: {found:?}"),
        }
    }

    /// Everything that an import could write.
    fn dump(&self) -> (Vec<Customer>, usize) {
        let lines = self.store.read(|conn| journal::newest(conn, None, 1000)).unwrap();
        (self.customers(), lines.len())
    }
}

fn at(text: &str) -> Instant {
    parse_instant(text).unwrap()
}

fn counts(report: &ImportReport) -> (u64, u64, u64, u64) {
    (report.new, report.changed, report.unchanged, report.bad)
}

const THREE: &str = "\
external_id,name,email,phone,timezone,call_time,payment_status,plan
a1,Ada,ada@example.com,+12125550101,America/New_York,07:00,Paid,gold
,Ben,ben@example.com,+12125550102,Pacific (PT),7:30 pm,Paid,
,Cleo,,+442079460103,London (GMT),early,,basic
";

#[test]
fn a_file_is_taken_over_with_every_field_understood() {
    let world = World::new();
    assert_eq!(world.import(THREE).summary(), "3 new, 0 changed, 0 unchanged, 0 bad");
    let ada = world.customer("a1");
    assert_eq!((ada.phone.as_str(), ada.phone_validated), ("+12125550101", true));
    assert_eq!(ada.next_call_scheduled_at, Some(at("2026-11-23T12:00:00Z")), "07:00 is not now");
    assert_eq!(ada.created_at, world.now);
    assert_eq!(ada.variables["plan"], "gold");
    let ben = world.customer("BEN@example.com");
    assert_eq!(
        (ben.timezone.as_str(), ben.call_time.as_deref()),
        ("America/Los_Angeles", Some("19:30"))
    );
    assert_eq!(ben.next_call_scheduled_at, Some(at("2026-11-23T03:30:00Z")));
    let cleo = world.customer("+44 20 7946 0103");
    assert_eq!((cleo.payment_status.as_str(), cleo.call_status), ("Pending", CallStatus::Pending));
    assert_eq!((cleo.email, cleo.call_time.as_deref()), (None, Some("07:00")));
}

#[test]
fn the_same_customers_in_any_shape_of_file_change_nothing() {
    let world = World::new();
    world.import(THREE);
    let (before, _) = world.dump();
    let reordered = "\u{feff}plan;timezone;Phone;NAME;payment_status;call_time;email;external_id\r\n\
        ;America/Los_Angeles;001 212 555 0102;Ben;Paid;19:30;Ben@Example.com;\r\n\
        basic;Europe/London;+44 (0)20 7946 0103;Cleo;;07:00;;\r\n\
        \"gold\";Eastern (ET);\"+1 (212) 555-0101\";Ada;Paid;7am;ada@example.com;a1\r\n";
    for file in
        [THREE.to_string(), reordered.replace("001 212", "+1 212"), THREE.replace(',', "\t")]
    {
        assert_eq!(counts(&world.import(&file)), (0, 0, 3, 0), "{file}");
        assert_eq!(world.customers(), before);
    }
}

#[test]
fn a_dry_run_counts_and_writes_nothing() {
    let world = World::new();
    world.import(THREE);
    let before = world.dump();
    let file = world.file(
        THREE.replace("07:00", "08:00")
            + ",Dan,,+12125550104,Asia/Tokyo,,,\n"
            + ",Eve,,n/a,Asia/Tokyo,,,\n",
    );
    let options = Options { dry_run: true, ..Options::default() };
    let report = world.try_import(&file, options).unwrap();
    assert_eq!(report.summary(), "1 new, 1 changed, 2 unchanged, 1 bad");
    assert_eq!(report.outcome, ImportOutcome::DryRun);
    assert_eq!(report.changed_samples[0].fields, ["call_time", "next_call_scheduled_at"]);
    assert_eq!(world.dump(), before);
}

#[test]
fn every_kind_of_bad_row_is_named_and_refuses_the_whole_file() {
    let header = "external_id,email,phone,timezone,call_time,phone_validated,last_call_date,\
                  created_at,call_status,call_schedule\n";
    let good = "ok,,+12125550101,Europe/London,,,,,,\n";
    for (row, column, part) in [
        ("x,,1.41556E+10,Europe/London,,,,,,", "phone", "spreadsheet"),
        ("x,,,Europe/London,,,,,,", "phone", "empty"),
        ("x,,call me,Europe/London,,,,,,", "phone", "letters"),
        ("x,,2125550102,Europe/London,,,,,,", "phone", "country"),
        ("x,,+12125550102,,,,,,,", "timezone", "empty"),
        ("x,,+12125550102,Eastern Time,,,,,,", "timezone", "nearest: America/New_York"),
        ("x,,+12125550102,EST,,,,,,", "timezone", "not an IANA zone"),
        ("x,,+12125550102,IST,,,,,,", "timezone", "not an IANA zone"),
        ("x,,+12125550102,Etc/GMT+8,,,,,,", "timezone", "not an IANA zone"),
        ("x,,+12125550102,UTC+5,,,,,,", "timezone", "not an IANA zone"),
        ("x,,+12125550102,europe/london,,,,,,", "timezone", "Europe/London"),
        ("x,,+12125550102,Europe/London,25:00,,,,,", "call_time", "25:00"),
        ("x,,+12125550102,Europe/London,soon,,,,,", "call_time", "soon"),
        ("x,,+12125550102,Europe/London,,maybe,,,,", "phone_validated", "yes or no"),
        ("x,,+12125550102,Europe/London,,,2026-02-30,,,", "last_call_date", "not a date"),
        ("x,,+12125550102,Europe/London,,,,yesterday,,", "created_at", "not an instant"),
        ("x,,+12125550102,Europe/London,,,,,busy,", "call_status", "not a call status"),
        ("x,,+12125550102,Europe/London,,,,,,0 7 30 2 *", "call_schedule", ""),
        ("x,nobody,+12125550102,Europe/London,,,,,,", "email", "not an e-mail"),
        ("ok,,+12125550102,Europe/London,,,,,,", "external_id", "line 2"),
        (",,+12125550101,Europe/London,,,,,,", "phone", "line 2"),
        ("x,,+12125550102,Europe/London,,,,,,,", "", "has 11 fields, the header has 10"),
    ] {
        let world = World::new();
        let report = world.import(format!("{header}{good}{row}\n"));
        assert_eq!(
            (counts(&report), report.outcome),
            ((1, 0, 0, 1), ImportOutcome::Refused),
            "{row}"
        );
        let problem = &report.problems[0];
        assert_eq!((problem.line, problem.column.as_deref().unwrap_or("")), (3, column), "{row}");
        assert!(problem.reason.contains(part), "{row}: {}", problem.reason);
        assert_eq!(world.customers(), [], "{row}");

        let options = Options { skip_bad: true, ..Options::default() };
        let path = world.folder.path().join("customers.csv");
        let report = world.try_import(&path, options).unwrap();
        assert_eq!((report.outcome, world.customers().len()), (ImportOutcome::Applied, 1), "{row}");
    }
}

#[test]
fn bytes_that_are_not_text_are_bad_rows_with_their_lines() {
    let world = World::new();
    let mut bytes = b"phone,timezone,name\n+12125550101,Europe/London,M\xFCller\n".to_vec();
    // The other names show that the file is UTF-8, so that the first one is damaged.
    bytes.extend("+12125550102,Europe/London,Zoë \0 Müller\n\n".as_bytes());
    bytes.extend(b"+12125550103,Europe/London,");
    bytes.extend(vec![b'x'; 2 << 20]);
    bytes.extend(b"\n+12125550104,Europe/London,\"two\nlines\"\n,,\n+1212555,Europe/London,\"");
    let report = world.import(bytes);
    let lines: Vec<u64> = report.problems.iter().map(|problem| problem.line).collect();
    assert_eq!((report.new, lines), (1, vec![2, 3, 5, 9]), "{:?}", report.problems);
}

#[test]
fn a_file_that_cannot_be_customers_is_refused_in_one_line() {
    for (bytes, part) in [
        (&b""[..], "is empty"),
        (b"name,phone_number,timezone\n", "rename the column \"phone_number\""),
        (b"phone,timezone_name\n", "rename the column \"timezone_name\""),
        (b"a,b\n", "there is no column \"phone\""),
        (b"phone,timezone,Phone\n", "two columns are named"),
        (b"phone,timezone,plan,plan\n", "two columns are named"),
        (b"phone,timezone,\xFCber \xC3\xA9\xC3\xA9\n", "not text in the encoding"),
        (b"\xFF\xFEp\0h\0", "there is no column \"phone\""),
        (b"PK\x03\x04 [Content_Types].xml", "is an Excel workbook: in Excel choose File"),
        (b"[{\"phone\": \"+12125550101\"}]", "is JSON: send its objects to POST"),
        (b"\x1F\x8B\x08\0 damaged", "cannot be read"),
    ] {
        let world = World::new();
        let error = world.try_import(&world.file(bytes), Options::default()).unwrap_err();
        assert!(error.is::<Unusable>() && error.to_string().contains(part), "{error}");
    }
    let world = World::new();
    for path in [world.folder.path().join("none.csv"), world.folder.path().to_path_buf()] {
        assert!(world.try_import(&path, Options::default()).unwrap_err().is::<Unusable>());
    }
    let options = Options { default_country: Some("Narnia"), ..Options::default() };
    assert!(world.try_import(&world.file(THREE), options).unwrap_err().is::<Unusable>());
}

#[test]
fn a_number_that_cannot_be_dialed_is_kept_whatever_the_file_claims() {
    let world = World::new();
    let report = world.import(
        "phone,timezone,phone_validated,external_id\n\
         +1212555010,America/New_York,true,a\n\
         +12125550102,America/New_York,false,b\n\
         +12125550103,America/New_York,,c\n",
    );
    assert_eq!((counts(&report), report.undialable), ((3, 0, 0, 0), 1));
    let validated: Vec<bool> = world.customers().iter().map(|c| c.phone_validated).collect();
    assert_eq!(validated, [false, false, true]);
    assert!(world.customer("external:a").phone_validation_error.is_some());
}

#[test]
fn import_takes_nothing_back_that_a_call_or_a_person_did() {
    let mut world = World::new();
    let file = "external_id,phone,timezone,call_time,welcome_call_completed,last_call_date,\
                call_status,next_call_scheduled_at\n\
                a,+12125550101,America/New_York,07:00,WELCOME,DATE,STATUS,NEXT\n";
    let row = |world: &World, welcome, date, status, next| {
        let file = file.replace("WELCOME", welcome).replace("DATE", date);
        world.import(file.replace("STATUS", status).replace("NEXT", next))
    };
    row(&world, "1", "2026-11-22", "pending", "");
    let called = world.customer("a");
    assert_eq!(called.next_call_scheduled_at, Some(at("2026-11-23T12:00:00Z")));
    world
        .store
        .write(|tx| pause(tx, &called, Act { who: "test", why: "asked to", now: world.now }))
        .map(|paused| assert!(paused))
        .unwrap();
    let stopped = world.customer("a");
    let report = row(&world, "0", "2026-11-1", "pending", "2026-11-22T11:00:00Z");
    assert_eq!(counts(&report), (0, 0, 1, 0));
    assert_eq!(world.customer("a"), stopped);

    world.now = at("2026-11-23T12:30:00Z");
    row(&world, "", "2026-11-23", "", "");
    let later = world.customer("a");
    assert_eq!(later.last_call_date, NaiveDate::from_ymd_opt(2026, 11, 23));
    assert_eq!(later.next_call_scheduled_at, Some(at("2026-11-24T12:00:00Z")));
    assert!(later.welcome_call_completed && later.call_status == CallStatus::Paused);

    let path = world.folder.path().join("ringonce.db");
    let store = Arc::new(Store::open(&path, world.now).unwrap());
    let cx = Context::new(store, Config::default(), Arc::new(Zones::bundled_only())).unwrap();
    world
        .store
        .write(|tx| resume(&cx, tx, &later, Act { who: "test", why: "asked to", now: world.now }))
        .unwrap();
    assert_eq!(world.customer("a").call_status, CallStatus::Pending);
}

#[test]
fn a_missing_column_leaves_the_known_value_alone() {
    let world = World::new();
    world.import(THREE);
    let before = world.customer("a1");
    let report = world.import("external_id,phone,timezone\na1,+12125550101,America/Chicago\n");
    assert_eq!(counts(&report), (0, 1, 0, 0));
    let after = world.customer("a1");
    assert_eq!(after.next_call_scheduled_at, Some(at("2026-11-22T13:00:00Z")));
    assert_eq!(
        Customer { timezone: before.timezone.clone(), next_call_scheduled_at: None, ..after },
        Customer { next_call_scheduled_at: None, ..before }
    );
}

#[test]
fn the_old_export_comes_in_as_it_is() {
    let world = World::new();
    let old = "id,name,email,phone,timezone,call_time_hour,call_time_minute,payment_status,\
               phone_validated,call_status,welcome_call_completed,last_call_date,\
               next_call_scheduled_at,total_calls_made,created_at,updated_at,favorite_color\n\
               17,Ada,ada@example.com,+12125550101,Eastern (ET),0,5,Paid,t,completed,t,2026-11-21,\
               2026-11-22 05:05:00+00,41,2026-01-02 03:04:05.678901+00,2026-11-21 05:06:00+00,red\n";
    assert_eq!(counts(&world.import(old)), (1, 0, 0, 0));
    let ada = world.customer("external:17");
    assert_eq!(ada.call_time.as_deref(), Some("00:05"));
    assert_eq!(ada.next_call_scheduled_at, Some(at("2026-11-22T05:05:00Z")));
    assert_eq!((ada.total_calls_made, ada.welcome_call_completed), (41, true));
    assert_eq!(ada.created_at, at("2026-01-02T03:04:05.678Z"));
    assert_eq!(serde_json::to_string(&ada.variables).unwrap(), r#"{"favorite_color":"red"}"#);
    assert_eq!(counts(&world.import(old)), (0, 0, 1, 0));
}

#[test]
fn a_customer_is_known_by_external_id_else_email_else_phone() {
    let world = World::new();
    world.import("phone,timezone,email,external_id\n+12125550101,Asia/Tokyo,ada@example.com,\n");
    // The external id arrives later, then the number changes.
    let report = world
        .import("phone,timezone,email,external_id\n+12125550102,Asia/Tokyo,ADA@example.com,a\n");
    assert_eq!(counts(&report), (0, 1, 0, 0));
    let report = world.import("phone,timezone,external_id\n+12125550103,Asia/Tokyo,a\n");
    assert_eq!((counts(&report), world.customers().len()), ((0, 1, 0, 0), 1));
    // A couple shares a phone: two keys, two customers. A row without a key is ambiguous.
    let report = world.import("phone,timezone,external_id\n+12125550103,Asia/Tokyo,b\n");
    assert_eq!((counts(&report), world.customers().len()), ((1, 0, 0, 0), 2));
    let report = world.import("phone,timezone\n+12125550103,Asia/Tokyo\n");
    assert_eq!((report.bad, report.problems[0].column.as_deref()), (1, Some("phone")));
    assert!(matches!(
        world.store.read(|conn| find(conn, "+12125550103")).unwrap(),
        Found::Several(found) if found.len() == 2
    ));
}

#[test]
fn an_id_that_is_another_customers_external_id_is_ambiguous_until_said() {
    let world = World::new();
    world.import(
        "phone,timezone,external_id\n+12125550101,Asia/Tokyo,2\n+12125550102,Asia/Tokyo,9\n",
    );
    let found = |who: &str| world.store.read(|conn| find(conn, who)).unwrap();
    assert!(matches!(found("2"), Found::Several(_)));
    assert!(matches!(found("id:2"), Found::One(c) if c.external_id.as_deref() == Some("9")));
    assert!(matches!(found("external:2"), Found::One(c) if c.id == 1));
    assert_eq!(found("nobody"), Found::Nobody);
}

#[test]
fn hostile_texts_are_stored_as_they_are_and_harm_nothing() {
    let world = World::new();
    for (i, name) in
        ["=HYPERLINK(\"\"x\"\")", "'); DROP TABLE customers;--", "{{7*7}}", "a\u{1b}[2J"]
            .into_iter()
            .enumerate()
    {
        let file = format!("phone,timezone,name\n+1212555010{i},Asia/Tokyo,\"{name}\"\n");
        assert_eq!(counts(&world.import(file)), (1, 0, 0, 0), "{name}");
    }
    let names: Vec<String> = world.customers().into_iter().map(|c| c.name).collect();
    assert_eq!(names[1], "'); DROP TABLE customers;--");
}

#[test]
fn the_journal_records_an_import_without_personal_data() {
    let world = World::new();
    world.import(THREE);
    world.import(THREE.replace("Ada,", "Ada Secret,").replace("+12125550101", "+12125550199"));
    let lines = world.store.read(|conn| journal::newest(conn, None, 10)).unwrap();
    let text = serde_json::to_string(&lines).unwrap();
    assert!(text.contains("0 new, 1 changed, 2 unchanged, 0 bad") && text.contains("customer:1"));
    assert!(!text.contains("Secret") && !text.contains("0199"), "{text}");
}

#[test]
fn a_file_that_changes_between_its_two_readings_is_not_imported() {
    let world = World::new();
    let path = world.file(THREE);
    let (zones, now) = (&world.zones, world.now);
    let checked = check(&world.store, zones, &path, Options::default(), now, &mut |_| {}).unwrap();
    world.file(THREE.replace("Ada", "Bea"));
    let error = checked.apply(&world.store, zones, now, &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("changed while it was read"), "{error}");
    assert_eq!(world.customers(), []);
}
