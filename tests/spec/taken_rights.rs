//! The right to dial is taken from the file that was armed before, or it is not given to another.
//! An obstacle is named, with what to do about it.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use ringonce::domain::call::AttemptState;
use ringonce::service::new_id;
use ringonce::steps::dial::{self, Pass};
use ringonce::store::Store;

use crate::arming::{adopt, copy_to, tick};
use crate::left_out::{NOBODY, Need, machine_has};
use crate::other_user::{as_nobody, world_for_others};
use crate::world::{Run, World, run_of};

const NOON: &str = "2026-02-02T12:00:00Z";

/// Ends each refusal whose cause a person must remove.
const MOVE_IT_AWAY: &str = "stop what dials from it, move that file away, then run \
     `ringonce adopt` again";

fn folder(world: &World, name: &str) -> PathBuf {
    let path = world.path(name);
    std::fs::create_dir(&path).unwrap();
    path
}

/// Moves the right to dial to a file in a folder of its own.
fn original_in(world: &World, name: &str) -> PathBuf {
    let db = copy_to(world, "moved.db");
    let to = folder(world, name).join("ringonce.db");
    std::fs::rename(db, &to).unwrap();
    let adopted = adopt(world, &to);
    assert_eq!(adopted.code, Some(0), "{adopted:?}");
    to
}

fn copy_of(db: &Path, to: &Path) {
    let conn = rusqlite::Connection::open(db).unwrap();
    conn.execute("VACUUM INTO ?1", [to.display().to_string()]).unwrap();
}

fn says(run: &Run, words: &[&str]) {
    assert_eq!(run.code, Some(3), "{run:?}");
    for word in words {
        assert!(run.stderr.contains(word), "{word}: {run:?}");
    }
}

/// Overwrites the attempts in the file.
fn damage(db: &Path) {
    let conn = rusqlite::Connection::open(db).unwrap();
    conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    let sql =
        "SELECT rootpage FROM sqlite_schema WHERE tbl_name = 'call_attempts' AND rootpage > 0";
    let mut statement = conn.prepare(sql).unwrap();
    let roots = statement.query_map([], |row| row.get::<_, u16>(0)).unwrap();
    let roots: Vec<usize> = roots.map(|root| usize::from(root.unwrap())).collect();
    drop(statement);
    drop(conn);
    let mut bytes = std::fs::read(db).unwrap();
    for root in roots {
        bytes[(root - 1) * 4096..root * 4096].fill(0xff);
    }
    std::fs::write(db, bytes).unwrap();
}

#[test]
fn a_damaged_original_is_named_with_what_to_do_and_moving_it_away_is_enough() {
    let world = World::new();
    world.daily("Ada");
    world.tick_at(NOON);
    let copy = copy_to(&world, "copy.db");
    damage(&world.db());
    world.set_clock("2026-02-02T12:30:00Z");
    let original = world.db().canonicalize().unwrap().display().to_string();
    for _ in 0..2 {
        says(&adopt(&world, &copy), &[&original, "malformed", MOVE_IT_AWAY]);
        assert_eq!(tick(&world, &copy).code, Some(3));
    }
    std::fs::rename(world.db(), world.path("broken.db")).unwrap();
    let adopted = adopt(&world, &copy);
    assert_eq!(adopted.code, Some(0), "{adopted:?}");
    assert_eq!((tick(&world, &copy).code, world.rings().len()), (Some(0), 1));
}

#[test]
fn an_original_whose_disk_is_mounted_read_only_cannot_dial_and_keeps_nobody_from_it() {
    if !machine_has(&[Need::MountNamespaces]) {
        return;
    }
    let world = World::new();
    world.daily("Ada");
    let original = original_in(&world, "old");
    let copy = copy_to(&world, "copy.db");
    copy_of(&original, &world.path("new.db"));
    std::fs::rename(world.path("new.db"), &copy).unwrap();
    let old = original.parent().unwrap().display().to_string();
    let mounted =
        format!("mount --bind {old} {old} && mount -o remount,bind,ro {old} && exec \"$0\" \"$@\"");
    let program = world.program(&["adopt", "--db", "copy.db", "--reason", "the disk is failing"]);
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", &mounted]).arg(program.get_program()).args(program.get_args());
    command.current_dir(world.path("")).env_clear();
    command.envs(program.get_envs().filter_map(|(key, value)| Some((key, value?))));
    let adopted = run_of(command.output().unwrap());
    assert_eq!(adopted.code, Some(0), "{adopted:?}");
    world.set_clock(NOON);
    assert_eq!((tick(&world, &copy).code, world.rings().len()), (Some(0), 1));
}

#[test]
fn an_unreadable_original_of_another_user_does_not_count_as_gone() {
    let Some(world) = world_for_others() else { return };
    world.daily("Ada");
    let original = original_in(&world, "private");
    let private = original.parent().unwrap();
    let open = folder(&world, "open");
    let copy = open.join("ringonce.db");
    copy_of(&original, &copy);
    for path in [&open, &copy] {
        chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let db = copy.display().to_string();
    let adopt_it =
        || as_nobody(&world, &["adopt", "--db", &db, "--reason", "the old machine is gone"]);
    let named = original.canonicalize().unwrap().display().to_string();
    // The folder is closed; the file is closed; the file can be read but not written.
    for (folder, file) in [(0o700, 0o600), (0o755, 0o600), (0o755, 0o644)] {
        std::fs::set_permissions(&original, Permissions::from_mode(file)).unwrap();
        std::fs::set_permissions(private, Permissions::from_mode(folder)).unwrap();
        says(&adopt_it(), &[&named, "as a user who may read and write it"]);
        let ticked = as_nobody(&world, &["tick", "--db", &db]);
        assert_eq!(ticked.code, Some(3), "{folder:o} {file:o}: {ticked:?}");
    }
    // The original is gone, and so is the obstacle.
    std::fs::remove_file(&original).unwrap();
    assert_eq!(adopt_it().code, Some(0));
}

#[test]
fn a_claim_that_waited_while_the_right_to_dial_was_taken_claims_nothing() {
    let world = World::new();
    world.daily("Ada");
    world.tick_at("2026-02-02T11:45:00Z");
    world.set_clock(NOON);
    let service = world.start();
    let claim = || {
        let mut id = || new_id(world.now());
        dial::claim(&service.cx, &mut Pass::default(), 1, world.now(), &mut id).unwrap()
    };
    let here = service
        .cx
        .store
        .read(ringonce::store::meta::installation::armed_identity)
        .unwrap()
        .unwrap();
    let arm = |machine_id: &str| {
        let identity = ringonce::store::file::identity::Armed {
            machine_id: machine_id.to_string(),
            ..here.clone()
        };
        let other = Store::open(&world.db(), world.now()).unwrap();
        other.write(|tx| ringonce::store::meta::installation::arm(tx, &identity)).unwrap();
    };
    // Another process takes the right after the dialer has checked it.
    arm("another machine");
    let claimed = claim();
    assert!(claimed.intents.is_empty() && !claimed.exhausted, "{claimed:?}");
    assert_eq!(world.items(), ["Ada daily 2026-02-02 pending"]);
    arm(&here.machine_id);
    let claimed = claim();
    assert_eq!(claimed.intents.len(), 1);
    assert_eq!(claimed.intents[0].attempt.state, AttemptState::Dialing);
}

#[test]
fn a_copy_at_another_place_waits_for_the_numbers_that_its_lost_original_gave() {
    let world = World::new();
    world.daily("Ada");
    let copy = copy_to(&world, "copy.db");
    world.tick_at(NOON);
    // The database is lost, but the note of the last number that it gave remains.
    for ending in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(world.path(&format!("ringonce.db{ending}")));
    }
    world.faults("list-lag=600");
    world.set_clock("2026-02-02T12:01:00Z");
    says(&adopt(&world, &copy), &["knows them up to 0", "from 2026-02-02T12:15:00.000Z on"]);
    assert_eq!((tick(&world, &copy).code, world.rings().len()), (Some(3), 1));
    world.set_clock("2026-02-02T12:11:00Z");
    assert_eq!(adopt(&world, &copy).code, Some(0));
    assert_eq!((tick(&world, &copy).code, world.rings().len()), (Some(0), 1));
}

#[test]
fn an_original_stops_at_the_first_adopt_although_its_last_call_is_not_in_the_list_yet() {
    let world = World::new();
    world.daily("Ada");
    world.customer("Bob").in_zone("America/New_York").at("07:05").paid().welcomed().add();
    let copy = copy_to(&world, "copy.db");
    world.tick_at(NOON);
    world.faults("list-lag=600");
    world.set_clock("2026-02-02T12:01:00Z");
    says(&adopt(&world, &copy), &["is not in the provider's list yet"]);
    world.set_clock("2026-02-02T12:05:00Z");
    assert_eq!(tick(&world, &world.db()).code, Some(3));
    assert_eq!(world.rings().len(), 1);
}
