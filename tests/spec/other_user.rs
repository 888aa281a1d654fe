//! A world that another user can reach: its folder, and a copy of the program in it.
//!
//! The program that cargo built may be in a folder that only its owner can enter, such as root's
//! home. The same holds for the folder for temporary files.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::left_out::{self, NOBODY, Need, machine_has};
use crate::world::{Run, World, quick, run_of};

/// A world whose program `NOBODY` can start. `None`: this machine has no such place, or the tests
/// may not become another user. The calling test is then recorded as left out.
#[track_caller]
pub fn world_for_others() -> Option<World> {
    if !machine_has(&[Need::OtherUser]) {
        return None;
    }
    let places = [std::env::temp_dir(), "/tmp".into(), "/var/tmp".into(), "/dev/shm".into()];
    let world = places.into_iter().find_map(world_in);
    if world.is_none() {
        left_out::record("a folder for temporary files that another user can enter");
    }
    world
}

fn world_in(place: PathBuf) -> Option<World> {
    let folder = tempfile::tempdir_in(place).ok()?;
    set_permissions(folder.path(), Permissions::from_mode(0o755)).ok()?;
    let program = folder.path().join("ringonce");
    std::fs::copy(env!("CARGO_BIN_EXE_ringonce"), &program).ok()?;
    set_permissions(&program, Permissions::from_mode(0o755)).ok()?;
    let mut start = Command::new(&program);
    start.arg("--version").uid(NOBODY).gid(NOBODY).current_dir(folder.path());
    // The place may also forbid starting programs.
    let started = start.stdout(Stdio::null()).stderr(Stdio::null()).status();
    started.is_ok_and(|status| status.success()).then(|| World::inside(folder, quick(), ""))
}

/// Runs the world's copy of the program as `NOBODY`, to its end.
pub fn as_nobody(world: &World, arguments: &[&str]) -> Run {
    let program = world.program(arguments);
    let mut copy = Command::new(world.path("ringonce"));
    copy.args(arguments).current_dir(world.path("")).env_clear();
    copy.envs(program.get_envs().filter_map(|(key, value)| Some((key, value?))));
    run_of(copy.uid(NOBODY).gid(NOBODY).output().expect("the program starts"))
}
