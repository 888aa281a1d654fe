//! One database has one dialer, whatever name or path leads to it. It stays armed when only the
//! numbers of the disks change. No other user may read it, and a command that only looks leaves no
//! file.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::arming::{adopt, copy_to, tick};
use crate::left_out::{self, Need};
use crate::other_user::{as_nobody, world_for_others};
use crate::processes::{stop, until};
use crate::world::{Run, World, run_of};

const NOON: &str = "2026-02-02T12:00:00Z";

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn beside(world: &World, name: &str) -> Vec<String> {
    names(world.folder.path()).into_iter().filter(|found| found.starts_with(name)).collect()
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().mode() & 0o777
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// The findings of `check` about one item.
fn told(world: &World, arguments: &[&str], item: &str) -> Vec<String> {
    let run = world.command(&[&["check", "--json"], arguments].concat());
    let found = run.json();
    let of_item = found.as_array().unwrap().iter().filter(|finding| finding["item"] == item);
    of_item
        .map(|f| format!("{} {}", f["state"].as_str().unwrap(), f["detail"].as_str().unwrap()))
        .collect()
}

/// A running service that has scanned, with its log.
fn service(world: &World) -> (std::process::Child, PathBuf) {
    world.set_clock("2026-02-02T11:50:00Z");
    let log = world.path("log");
    let child = world.program(&["run"]).stderr(std::fs::File::create(&log).unwrap()).spawn();
    until("the service scans", || world.items().len() == 1);
    (child.unwrap(), log)
}

#[test]
fn a_hard_link_of_a_live_database_has_no_dialer_and_the_first_dialer_continues() {
    let world = World::new();
    world.daily("Ada");
    let (child, log) = service(&world);
    std::fs::hard_link(world.db(), world.path("link.db")).unwrap();
    let link = ["--db", "link.db"];
    for command in [
        &["adopt", "--reason", "it is here"][..],
        &["tick"],
        &["run"],
        &["customers", "pause", "1", "--reason", "away"],
    ] {
        let run = world.command(&[command, &link].concat());
        assert_eq!(run.code, Some(3), "{command:?}: {run:?}");
        assert!(run.stderr.contains("has 2 names") && run.stderr.contains("find / -samefile"));
    }
    let said = told(&world, &link, "file name").concat();
    assert!(said.starts_with("problem ") && said.contains("has 2 names"), "{said}");
    let holder = told(&world, &link, "dialer").concat();
    assert!(holder.contains(&format!("pid {}", child.id())), "{holder}");
    assert_eq!(world.command(&["customers", "list", "--db", "link.db"]).code, Some(0));
    assert_eq!(beside(&world, "link.db"), ["link.db"], "a look makes nothing");
    world.set_clock(NOON);
    until("the service dials", || world.rings().len() == 1);
    std::fs::remove_file(world.path("link.db")).unwrap();
    let run = stop(child);
    assert_eq!(run.code, Some(0), "{run:?}");
    let log = std::fs::read_to_string(&log).unwrap();
    assert_eq!(log.matches("was given a second name").count(), 1, "{log}");
    world.assert_no_phone_rang_twice();
    assert_eq!(tick(&world, &world.db()).code, Some(0), "with one name all is as before");
}

#[test]
fn a_database_that_is_renamed_under_its_dialer_gets_no_second_one_under_the_new_name() {
    let world = World::with_config("timeout_secs = 60\n");
    world.daily("Ada");
    world.set_clock(NOON);
    world.faults("accept-then-hang=60");
    let mut first = world.program(&["tick"]).stdout(Stdio::null()).spawn().expect("a tick");
    until("the first dialer posts", || !world.posts().is_empty());
    for ending in ["", "-wal", "-shm"] {
        let from = world.path(&format!("ringonce.db{ending}"));
        std::fs::rename(from, world.path(&format!("moved.db{ending}"))).unwrap();
    }
    let moved = world.path("moved.db");
    let holder = format!("pid {}, which opened the same file as ", first.id());
    let adopted = adopt(&world, &moved);
    assert_eq!(adopted.code, Some(4), "{adopted:?}");
    assert!(adopted.stderr.contains(&holder) && adopted.stderr.contains("stop it"), "{adopted:?}");
    let ticked = tick(&world, &moved);
    assert_eq!(ticked.code, Some(0), "{ticked:?}");
    assert!(ticked.stdout.contains(&holder), "{ticked:?}");
    assert_eq!(world.command(&["run", "--db", "moved.db"]).code, Some(4));
    first.kill().expect("kill -9");
    first.wait().expect("its end");
    world.faults("");
    let adopted = adopt(&world, &moved);
    assert_eq!(adopted.code, Some(0), "the kernel released it: {adopted:?}");
    assert_eq!((tick(&world, &moved).code, world.posts().len()), (Some(0), 1));
}

/// Runs the program in a mount namespace of its own, after a shell command in the world's folder.
fn after_mounting(world: &World, mount: &str, arguments: &[&str]) -> Run {
    let program = world.program(arguments);
    let script = format!("{mount} && exec \"$0\" \"$@\"");
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", &script]).arg(program.get_program()).args(program.get_args());
    command.current_dir(world.folder.path()).env_clear();
    command.envs(program.get_envs().filter_map(|(key, value)| Some((key, value?))));
    run_of(command.output().unwrap())
}

#[test]
fn a_database_that_is_mounted_as_a_single_file_is_not_opened_for_writing() {
    if !left_out::machine_has(&[Need::MountNamespaces]) {
        return;
    }
    let world = World::new();
    world.daily("Ada");
    let (child, _) = service(&world);
    // As in a container during an update, and then in one that starts after the first has ended.
    let data = world.path("my data");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("ringonce.db"), "").unwrap();
    let mount = "mount --bind ringonce.db 'my data/ringonce.db'";
    let db = ["--db", "my data/ringonce.db"];
    let both = |stage: &str| {
        for command in [&["adopt", "--reason", "it is here"][..], &["tick"], &["run"]] {
            let run = after_mounting(&world, mount, &[command, &db].concat());
            assert_eq!(run.code, Some(3), "{stage} {command:?}: {run:?}");
            assert!(run.stderr.contains("mount its folder instead"), "{run:?}");
        }
        let listed = after_mounting(&world, mount, &[&["customers", "list"][..], &db].concat());
        assert_eq!(listed.code, Some(0), "{stage}: {listed:?}");
        assert_eq!(names(&data), ["ringonce.db"], "{stage}");
    };
    both("beside a live service");
    world.set_clock(NOON);
    until("the service dials", || world.rings().len() == 1);
    assert_eq!(stop(child).code, Some(0));
    both("after the service");
    // A mount of the whole folder is another path to the same files, not a second name.
    std::fs::create_dir(world.path("folder")).unwrap();
    std::fs::create_dir(world.path("whole")).unwrap();
    std::fs::rename(copy_to(&world, "c.db"), world.path("whole/ringonce.db")).unwrap();
    let adopt = ["adopt", "--db", "folder/ringonce.db", "--reason", "it is here"];
    let run = after_mounting(&world, "mount --bind whole folder", &adopt);
    assert_eq!(run.code, Some(0), "{run:?}");
    world.assert_no_phone_rang_twice();
}

/// A file system in a file, mounted through a loop device. Dropping it removes both.
struct Disk {
    device: String,
    place: PathBuf,
}

fn system(program: &str, arguments: &[&str]) -> String {
    let run = run_of(Command::new(program).args(arguments).output().expect(program));
    assert_eq!(run.code, Some(0), "{program} {arguments:?}: {run:?}");
    run.stdout.trim().to_string()
}

impl Disk {
    fn mount(image: &Path, place: &Path) -> Disk {
        let device = system("losetup", &["--find", "--show", image.to_str().unwrap()]);
        let disk = Disk { device, place: place.to_path_buf() };
        system("mount", &[&disk.device, place.to_str().unwrap()]);
        disk
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // A test that failed before the mount has nothing to unmount.
        let _ = Command::new("umount").arg(&self.place).output();
        let _ = Command::new("losetup").args(["--detach", &self.device]).output();
    }
}

#[test]
fn a_restart_that_renumbers_the_disk_leaves_the_database_armed() {
    if !left_out::machine_has(&[Need::LoopDevices, Need::Tool("mkfs.ext4")]) {
        return;
    }
    let world = World::new();
    world.daily("Ada");
    let (image, other, place) = (world.path("image"), world.path("other"), world.path("disk"));
    for file in [&image, &other] {
        std::fs::File::create(file).unwrap().set_len(16 << 20).unwrap();
    }
    std::fs::create_dir(&place).unwrap();
    system("mkfs.ext4", &["-q", image.to_str().unwrap()]);
    let db = place.join("ringonce.db");
    let disk = Disk::mount(&image, &place);
    std::fs::copy(copy_to(&world, "copy.db"), &db).unwrap();
    assert_eq!(adopt(&world, &db).code, Some(0));
    let device = std::fs::metadata(&db).unwrap().dev();
    drop(disk);
    // Another disk gets the number of the first.
    let taken = system("losetup", &["--find", "--show", other.to_str().unwrap()]);
    let taken = Disk { device: taken, place: world.path("nowhere") };
    let disk = Disk::mount(&image, &place);
    assert_ne!(std::fs::metadata(&db).unwrap().dev(), device, "the test is blind");
    world.set_clock(NOON);
    let ticked = tick(&world, &db);
    assert_eq!((ticked.code, world.rings().len()), (Some(0), 1), "{ticked:?}");
    // Another file at the path is still not the armed one.
    std::fs::copy(&db, place.join("copy.db")).unwrap();
    std::fs::rename(place.join("copy.db"), &db).unwrap();
    let refused = tick(&world, &db);
    assert_eq!(refused.code, Some(3), "{refused:?}");
    assert!(refused.stdout.contains("it was created at "), "{refused:?}");
    drop((disk, taken));
}

#[test]
fn an_identity_that_an_earlier_version_wrote_is_accepted_and_rewritten_where_it_matches() {
    let world = World::new();
    world.daily("Ada");
    world.set_clock(NOON);
    let about = std::fs::metadata(world.db()).unwrap();
    let stored = "SELECT value FROM meta WHERE key = 'armed_device_inode'";
    let new = world.one(stored);
    assert!(new.starts_with(&format!("inode={} ", about.ino())), "{new}");
    let set = |text: &str| {
        world.sql(&format!("UPDATE meta SET value = '{text}' WHERE key = 'armed_device_inode'"));
    };
    for other in [format!("{}:{}", about.dev() + 1, about.ino()), "a copy".to_string()] {
        set(&other);
        let refused = tick(&world, &world.db());
        assert_eq!(refused.code, Some(3), "{refused:?}");
        assert!(refused.stdout.contains("another file lies at the path now"), "{refused:?}");
        assert_eq!(world.one(stored), other, "a file that is not armed stays so");
    }
    set(&format!("{}:{}", about.dev(), about.ino()));
    let ticked = tick(&world, &world.db());
    assert_eq!((ticked.code, world.rings().len()), (Some(0), 1), "{ticked:?}");
    assert_eq!(world.one(stored), new);
}

#[test]
fn a_database_that_others_may_read_is_made_private_with_one_warning() {
    let world = World::new();
    world.daily("Ada");
    world.set_clock(NOON);
    world.tick();
    let side = ["ringonce.db", "ringonce.db.lock", "ringonce.db.seq"].map(|name| world.path(name));
    for file in &side {
        set_mode(file, 0o664);
    }
    let said = told(&world, &[], "file mode").concat();
    assert!(said.starts_with("warning ") && said.contains("chmod 600"), "{said}");
    assert_eq!(side.each_ref().map(|file| mode(file)), [0o664; 3], "check changes nothing");
    let pause = ["customers", "pause", "1", "--reason", "away"];
    let run = world.command(&pause);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(run.stderr.matches("the mode is 0600 now").count(), 1, "{run:?}");
    assert!(run.stderr.contains("ringonce.db.seq") && run.stderr.lines().count() == 1, "{run:?}");
    assert_eq!(side.each_ref().map(|file| mode(file)), [0o600; 3]);
    assert_eq!(world.command(&pause).stderr, "", "and is not warned of again");
    assert_eq!(told(&world, &[], "file mode"), [""; 0]);
}

#[test]
fn a_file_that_is_not_a_database_of_ours_keeps_its_mode() {
    let world = World::new();
    let letter = world.path("letter");
    std::fs::write(&letter, "a letter to a friend, which is long enough to be looked at").unwrap();
    set_mode(&letter, 0o644);
    let pause = ["customers", "pause", "1", "--reason", "away", "--db", "letter"];
    let run = world.command(&pause);
    assert_eq!((run.code, mode(&letter)), (Some(2), 0o644), "{run:?}");
}

#[test]
fn check_names_a_folder_that_everybody_may_write_to() {
    let world = World::new();
    assert_eq!(told(&world, &[], "folder mode"), [""; 0]);
    for (mode, words) in [(0o777, "others can replace the database"), (0o1777, "files beside")] {
        set_mode(world.folder.path(), mode);
        let said = told(&world, &[], "folder mode").concat();
        assert!(said.starts_with("warning ") && said.contains(words), "{said}");
    }
}

const LOOKS: [&[&str]; 4] =
    [&["check"], &["status"], &["customers", "list"], &["verify", "ringonce.db"]];

#[test]
fn a_look_leaves_no_file_beside_the_database() {
    let world = World::new();
    world.daily("Ada");
    let all = beside(&world, "ringonce.db");
    assert_eq!(all, ["ringonce.db"]);
    for look in LOOKS {
        world.command(look);
        assert_eq!(beside(&world, "ringonce.db"), all, "{look:?}");
    }
}

#[test]
fn a_look_of_another_user_leaves_no_file_either() {
    let Some(world) = world_for_others() else { return };
    world.daily("Ada");
    let all = beside(&world, "ringonce.db");
    // The other user may read the file and write to the folder.
    set_mode(world.folder.path(), 0o777);
    set_mode(&world.db(), 0o644);
    for file in ["clock", "ringonce.toml"] {
        set_mode(&world.path(file), 0o644);
    }
    for look in LOOKS.into_iter().chain([&["customers", "pause", "1", "--reason", "away"][..]]) {
        let run = as_nobody(&world, look);
        assert!(!run.stderr.contains("disk I/O"), "{look:?}: {run:?}");
        assert_eq!(beside(&world, "ringonce.db"), all, "{look:?}: {run:?}");
    }
}
