//! A clone or an older state of the whole disk. Machine id, path and inode equal those of the armed
//! file, and its side files are as old as the file. The difference shows only in another boot, or
//! in the ids of the virtual machine.

use std::collections::BTreeMap;
use std::path::PathBuf;

use ringonce::clock::Reading;
use ringonce::domain::start::{Acceptance, Shut};
use ringonce::service::dialer::Dialer;
use ringonce::service::dialer::passed::Patience;
use ringonce::service::{Service, adopting, opening, tick};
use ringonce::steps::readiness::instance::InstanceIds;
use ringonce::steps::readiness::restart;
use ringonce::steps::reconcile::Started;
use ringonce::steps::scan;
use ringonce::store::Store;

use crate::unclean_starts::{killed_after_a_call, killed_now};
use crate::world::World;

const NOON: &str = "2026-02-02T12:00:00Z";

/// Both clocks on a machine that was started this many minutes ago.
fn up(world: &World, boot: &str, minutes: i64) -> Reading {
    let (now, monotonic_ms) = (world.now(), minutes * 60_000);
    Reading { now, monotonic_ms, boot_id: boot.to_string() }
}

/// A start on this boot, with one pass if it may dial.
fn start(world: &World, time: &str, boot: &str, minutes: i64) -> Started {
    world.set_clock(time);
    let (service, reading) = (world.start(), up(world, boot, minutes));
    restart::begin(&service.cx, &reading).expect("written");
    let opened =
        opening::open(&service, &reading, Acceptance::Nothing).expect("the database works");
    scan::scan(&service.cx, reading.now).expect("a scan");
    if opened.shut.is_none() {
        let patience = Patience { pace: true, record: std::time::Duration::from_secs(20) };
        let mut dialer = Dialer::new(&service, patience, reading.now).expect("a dialer");
        dialer.pass(&mut |_| Ok(None)).expect("a pass");
        restart::end(&service.cx, &reading);
    }
    opened
}

/// Whether the start waits for the list; it has no other reason to stay shut.
fn waits(opened: &Started) -> bool {
    assert!(opened.shut.as_ref().is_none_or(Shut::waits_for_the_list), "{opened:?}");
    opened.shut.is_some()
}

/// Every file of the database, as a snapshot of the disk holds it.
fn disk(world: &World) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = std::fs::read_dir(world.folder.path()).expect("the folder");
    let paths = files.map(|file| file.expect("a file").path());
    let of_the_database = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ringonce.db"))
    };
    let ours = paths.filter(of_the_database);
    ours.map(|path| (path.clone(), std::fs::read(path).expect("its bytes"))).collect()
}

/// Puts the disk back. Each file keeps its inode, because a disk is restored block by block.
fn set_back(world: &World, earlier: &BTreeMap<PathBuf, Vec<u8>>) {
    for path in disk(world).into_keys().filter(|path| !earlier.contains_key(path)) {
        std::fs::remove_file(path).expect("removed");
    }
    for (path, bytes) in earlier {
        std::fs::write(path, bytes).expect("written");
    }
}

#[test]
fn a_disk_that_was_set_back_dials_nobody_while_the_list_lags() {
    for ended_in_order in [true, false] {
        let world = World::new();
        world.daily("Ada");
        world.tick_at("2026-02-02T11:35:00Z");
        if !ended_in_order {
            killed_now(&world);
        }
        let earlier = disk(&world);
        world.faults("list-lag=600");
        world.tick_at(NOON);
        assert_eq!(world.rings().len(), 1);
        set_back(&world, &earlier);
        assert!(world.attempts().is_empty());
        assert!(waits(&start(&world, "2026-02-02T12:05:00Z", "another boot", 1)));
        assert!(waits(&start(&world, "2026-02-02T12:19:59Z", "another boot", 15)));
        assert_eq!(world.attempts().len(), 1, "the listed call is loaded during the wait");
        assert!(!waits(&start(&world, "2026-02-02T12:20:10Z", "another boot", 17)));
        assert_eq!(world.rings().len(), 1, "{ended_in_order}");
        world.assert_no_phone_rang_twice();
    }
}

#[test]
fn after_a_power_cut_a_list_that_shows_the_last_call_is_not_enough() {
    let world = killed_after_a_call();
    assert!(waits(&start(&world, "2026-02-02T12:05:00Z", "second", 1)));
    assert!(waits(&start(&world, "2026-02-02T12:15:00Z", "second", 11)));
    // After another power cut, the 15 minutes count from the boot that dials.
    assert!(waits(&start(&world, "2026-02-02T12:16:00Z", "third", 0)));
    assert!(waits(&start(&world, "2026-02-02T12:30:59Z", "third", 14)));
    assert_eq!(world.rings().len(), 1);
    assert!(!waits(&start(&world, "2026-02-02T12:31:00Z", "third", 15)));
    assert_eq!(world.rings().len(), 2);
}

#[test]
fn an_end_in_order_just_before_a_reboot_waits_for_nothing() {
    let world = World::new();
    world.daily("Ada");
    world.customer("Bob").in_zone("America/New_York").at("07:10").paid().welcomed().add();
    world.tick_at(NOON);
    world.faults("list-lag=600");
    assert!(!waits(&start(&world, "2026-02-02T12:10:00Z", "second", 3)));
    assert_eq!(world.rings().len(), 2);
}

#[test]
fn an_end_in_order_long_before_a_reboot_may_not_have_been_the_last() {
    // The machine was started after that end. If it was up already, it is another machine.
    for (time, minutes, is_last) in [
        ("2026-02-02T12:22:00Z", 2, true),
        ("2026-02-02T12:21:01Z", 0, false),
        ("2026-02-02T12:19:00Z", 90, true),
        ("2026-02-02T12:21:00Z", 90, false),
        ("2026-02-02T11:59:00Z", 90, false),
    ] {
        let world = World::new();
        world.daily("Ada");
        world.tick_at(NOON);
        // Nobody is due. The clock's own guard is removed, so that only this rule decides.
        world.sql("DELETE FROM meta WHERE key = 'clock_high_water'");
        let opened = start(&world, time, "second", minutes);
        assert_eq!(waits(&opened), !is_last, "{time} {minutes}");
    }
}

#[test]
fn a_new_file_waits_on_no_boot_and_one_that_was_killed_before_its_first_call_on_another() {
    let world = World::new();
    world.daily("Ada");
    assert!(!waits(&start(&world, NOON, "second", 1)));
    assert_eq!(world.rings().len(), 1);
    let world = World::new();
    world.customer("Bob").in_zone("America/New_York").at("07:05").paid().welcomed().add();
    killed_now(&world);
    assert!(waits(&start(&world, "2026-02-02T12:05:00Z", "second", 1)));
    assert!(world.rings().is_empty());
}

#[test]
fn without_a_boot_time_ticks_share_one_wait() {
    let world = killed_after_a_call();
    world.sql("UPDATE meta SET value = replace(value, 'test-clock', 'process-1') WHERE key = 'last_start'");
    world.faults("list-lag=100000");
    for (time, process) in
        [("2026-02-02T12:05:00Z", "process-2"), ("2026-02-02T12:19:00Z", "process-3")]
    {
        assert!(waits(&start(&world, time, process, 0)), "{time}");
    }
    assert!(!waits(&start(&world, "2026-02-02T12:20:00Z", "process-4", 0)));
}

/// A machine that has its ids in a folder of their own.
fn machine(world: &World, name: &str, ids: &[(&str, &str)]) -> InstanceIds {
    let root = world.path(name);
    for (place, id) in ids {
        let file = root.join(place);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("made");
        std::fs::write(file, id).expect("written");
    }
    InstanceIds::read(&root)
}

const PRODUCT: &str = "sys/class/dmi/id/product_uuid";
const HYPERVISOR: &str = "sys/hypervisor/uuid";
const CLOUD: &str = "var/lib/cloud/data/instance-id";

fn on(world: &World, machine: &InstanceIds) -> Service {
    let mut service = world.start();
    service.cx.machine = machine.clone();
    service
}

#[test]
fn a_clone_of_the_virtual_machine_is_not_armed_and_says_what_differs() {
    for (place, name) in
        [(PRODUCT, "product UUID"), (HYPERVISOR, "hypervisor"), (CLOUD, "cloud's instance id")]
    {
        let world = World::new();
        world.daily("Ada");
        let ours = machine(&world, "ours", &[(place, "one\n")]);
        let clone = machine(&world, "clone", &[(place, "two\n")]);
        // The file was armed before its ids were known; the first start that may dial stores them.
        world.set_clock("2026-02-02T11:45:00Z");
        assert!(!tick::tick(&on(&world, &ours)).expect("a tick").shut);
        world.set_clock(NOON);
        let ticked = tick::tick(&on(&world, &clone)).expect("a tick");
        let why = ticked.refused.unwrap_or_default();
        assert!(ticked.shut && why.contains(name) && why.contains(place), "{why}");
        assert!(
            why.contains("not armed here") && why.contains("ringonce adopt --reason WHY"),
            "{why}"
        );
        assert!(world.rings().is_empty());
        // A person confirms that the original is gone.
        adopting::adopt(&on(&world, &clone), false, "test", "it is gone").expect("adopted");
        assert!(!tick::tick(&on(&world, &clone)).expect("a tick").shut);
        assert_eq!(world.rings().len(), 1);
        assert!(tick::tick(&on(&world, &ours)).expect("a tick").shut, "the original lost it");
    }
}

#[test]
fn only_ids_that_are_readable_both_times_are_compared() {
    let world = World::new();
    let root = machine(&world, "root", &[(PRODUCT, "one"), (CLOUD, "i-1")]);
    let nothing = machine(&world, "nothing", &[]);
    let user = machine(&world, "user", &[(CLOUD, "i-1"), (HYPERVISOR, "x")]);
    for machine in [&root, &nothing, &user, &root] {
        assert!(!tick::tick(&on(&world, machine)).expect("a tick").shut, "{machine:?}");
    }
    let other = machine(&world, "other", &[(HYPERVISOR, "y")]);
    let ticked = tick::tick(&on(&world, &other)).expect("a tick");
    assert!(ticked.shut, "what the user could read was learned, too: {ticked:?}");
}

#[test]
fn the_ids_of_the_machine_are_not_in_a_snapshot() {
    let world = World::new();
    let ours = machine(&world, "ours", &[(PRODUCT, "one")]);
    tick::tick(&on(&world, &ours)).expect("a tick");
    let debug = world.path("debug.db");
    assert_eq!(world.command(&["snapshot", &debug.display().to_string()]).code, Some(0));
    let ids = "SELECT count(*) FROM meta WHERE key = 'armed_instance_ids'";
    let count =
        |store: Store| store.read(|conn| Ok(conn.query_one(ids, [], |row| row.get::<_, i64>(0))?));
    assert_eq!(count(world.store()).expect("read"), 1);
    assert_eq!(count(Store::look(&debug).expect("a snapshot")).expect("read"), 0);
}
