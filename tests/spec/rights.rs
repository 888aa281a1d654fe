//! A file or folder that the dialing user may not write is named, with the user and the cause, by
//! `check` and by each command that needs it.

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

use crate::left_out::{NOBODY, Need, machine_has};
use crate::other_user::{as_nobody, world_for_others};
use crate::world::{World, run_of};

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
    // Somebody who only looks must not read that all is well.
    let status = world.command(&["status"]);
    for said in [&tick.stderr, &of_service.stdout, &of_root.stdout, &status.stdout] {
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

#[test]
fn a_disk_without_room_is_a_reason_in_status_before_a_call_fails() {
    if !machine_has(&[Need::Root, Need::MountNamespaces]) {
        return;
    }
    let world = World::new();
    std::fs::create_dir(world.path("small")).unwrap();
    let script = "mount -t tmpfs -o size=8m none small && \"$0\" customers add --name Ada --phone \
                  '+1 212 555 0101' --timezone America/New_York --db small/ringonce.db && \
                  \"$0\" tick --db small/ringonce.db && \"$0\" status --json --db small/ringonce.db && \
                  { dd if=/dev/zero of=small/fill bs=16k 2>/dev/null; \
                  \"$0\" status --json --db small/ringonce.db; }";
    let program = world.program(&[]);
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", script]).arg(program.get_program());
    command.current_dir(world.path("")).env_clear();
    command.envs(program.get_envs().filter_map(|(key, value)| Some((key, value?))));
    let run = run_of(command.output().unwrap());
    let told: Vec<serde_json::Value> = serde_json::Deserializer::from_str(
        run.stdout.split_once('{').map(|(_, json)| format!("{{{json}")).as_deref().unwrap_or(""),
    )
    .into_iter()
    .collect::<Result<_, _>>()
    .unwrap_or_else(|error| panic!("{error}: {run:?}"));
    let has = |told: &serde_json::Value| told["reasons"].to_string().contains("KiB left");
    assert_eq!(told.iter().map(has).collect::<Vec<_>>(), [false, true], "{run:?}");
}
