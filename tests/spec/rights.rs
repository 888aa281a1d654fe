//! A file or folder that the dialing user may not write is named, with the user and the cause, by
//! `check` and by each command that needs it.

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use crate::left_out::NOBODY;
use crate::other_user::{as_nobody, world_for_others};
use crate::world::World;

/// A world whose files belong to the service's user, with a call that is due.
fn of_the_service() -> Option<World> {
    let world = world_for_others()?;
    world.daily("Ada");
    world.tick_at("2026-02-02T11:30:00Z");
    let files = std::fs::read_dir(world.folder.path()).unwrap();
    let files = files.map(|file| file.unwrap().path()).chain([world.path("")]);
    files.for_each(|file| chown(file, Some(NOBODY), Some(NOBODY)).unwrap());
    world.set_clock("2026-02-02T12:00:00Z");
    Some(world)
}

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// `name` belongs to root now: nothing is dialed, and every message names it.
fn is_named(world: &World, name: &str) {
    let path = world.path(name).canonicalize().unwrap();
    chown(&path, Some(0), Some(0)).unwrap();
    mode(&path, if path.is_dir() { 0o755 } else { 0o644 });
    let path = path.display().to_string();
    let path = path.trim_end_matches('/');
    let tick = as_nobody(world, &["tick"]);
    assert_eq!(tick.code, Some(1), "{name}: {tick:?}");
    let of_service = as_nobody(world, &["check"]);
    let of_root = world.command(&["check"]);
    for run in [&of_service, &of_root] {
        assert_eq!(run.code, Some(2), "{name}: {run:?}");
    }
    for said in [&tick.stderr, &of_service.stdout, &of_root.stdout] {
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        let words = format!("may not write {path} (owner root");
        assert!(said.contains(&words) && said.contains("run `chown "), "{name}: {said}");
        for foreign in ["os error", "SqliteFailure", "readonly database", "unable to open"] {
            assert!(!said.contains(foreign), "{name}: {said}");
        }
    }
    assert_eq!(world.posts().len(), 0, "{name}");
}

#[test]
fn file_that_the_service_may_not_write_is_named_by_check_and_by_the_start() {
    for name in ["ringonce.db.lock", "ringonce.db", "ringonce.db.seq", ""] {
        let Some(world) = of_the_service() else { return };
        if name.ends_with(".seq") {
            std::fs::write(world.path(name), "").unwrap();
        }
        is_named(&world, name);
    }
}
